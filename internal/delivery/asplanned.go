package delivery

import (
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// AsPlanned is what the next run of a target would be planned from, to ask about
// one person: events says that the target takes each event once, and then the
// keys are those of the event's person. Where the mapping fits no run, the error
// is Invalid and the rest of the request is there.
func (d *Delivery) AsPlanned(ctx context.Context, t activation.Target) (req warehouse.PlanRequest, events bool, err error) {
	dest, err := d.store.Destination(ctx, t.Destination)
	if err != nil {
		return req, false, err
	}
	_, def, err := d.providers(ctx, dest, t.Workflow)
	if def.Name == "" {
		return req, false, fmt.Errorf("ask as a plan would: %w", err)
	}
	if takesEvents(def, t) {
		req = warehouse.PlanRequest{Target: t.ID, Generation: t.Generation, Audience: t.Audience}
		job, err := d.store.Job(ctx, t.Job)
		if err != nil && !errors.Is(err, activation.ErrNotFound) {
			return req, true, err
		}
		keys, ofEvent, err := columns(def, dest, t, job)
		if err == nil {
			keys.Keys, keys.Fields = keys.Keys[ofEvent:], keys.Fields[ofEvent:]
		}
		req.Keys = keys
		return req, true, err
	}
	keys, unfit := keySet(def, dest)
	if unfit != nil {
		keys = matchkey.Set{}
	}
	r := activation.Run{Target: t.ID, SyncType: activation.SyncSegment, Release: t.Release}
	if req, err = d.planRequest(ctx, r, t, def, keys); err != nil {
		return req, false, err
	}
	return req, false, unfit
}
