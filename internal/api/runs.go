package api

import (
	"context"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// RunPath is the run in a path.
type RunPath struct {
	ID string `path:"id" doc:"id of the run"`
}

func (a *API) runs(h huma.API) {
	type filter struct {
		Status          string `query:"status" doc:"pending, running, awaiting, completed, withdrawn or failed; several with commas"`
		SyncType        string `query:"sync_type"`
		DestinationType string `query:"destination_type" doc:"such as Facebook Ads"`
		Destination     string `query:"destination_id"`
		Job             string `query:"job_id"`
		Audience        string `query:"segment_id"`
		Target          string `query:"target_id"`
		Cause           string `query:"cause" doc:"what triggered it: manual, schedule, real_time, outbound, agent or repair; several with commas"`
		TriggeredBy     string `query:"triggered_by" doc:"the audience, or issue and group"`
		Since           string `query:"since" doc:"RFC 3339, or such as now-3d"`
		Until           string `query:"until" doc:"the same"`
		Start           int64  `query:"start" doc:"run number the page begins below"`
		Limit           int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}
	huma.Register(h, route("GET /v2/run", Viewer, "list-runs", "Sync Tracking: runs, newest first", "runs"), func(ctx context.Context, in *filter) (*reply[[]tracking.View], error) {
		f := store.RunFilter{
			Destination: activation.DestinationID(in.Destination), Job: activation.JobID(in.Job),
			Audience: activation.AudienceID(in.Audience), Target: activation.TargetID(in.Target), TriggeredBy: in.TriggeredBy, Before: in.Start, Limit: in.Limit,
		}
		var err error
		if f.Since, f.Until, err = a.between(in.Since, in.Until); err != nil {
			return nil, a.fail(ctx, err)
		}
		if f.Status, err = words("status", in.Status, activation.RunStatuses); err != nil {
			return nil, a.fail(ctx, err)
		}
		if f.SyncType, err = words("sync_type", in.SyncType, activation.SyncTypes); err != nil {
			return nil, a.fail(ctx, err)
		}
		if f.Cause, err = words("cause", in.Cause, activation.Causes); err != nil {
			return nil, a.fail(ctx, err)
		}
		if f.Providers, err = a.providersOfType(in.DestinationType); err != nil {
			return nil, a.fail(ctx, err)
		}
		runs, err := a.Tracking.List(ctx, f)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		next := ""
		if len(runs) == in.Limit {
			next = strconv.FormatInt(runs[len(runs)-1].Number, 10)
		}
		return page(ctx, runs, next)
	})
	huma.Register(h, route("GET /v2/run/{id}", Viewer, "show-run", "One run: stages, counts, laws, errors by cause", "runs"), func(ctx context.Context, in *RunPath) (*reply[tracking.View], error) {
		return a.run(ctx, in.ID)
	})
	huma.Register(h, route("GET /v2/run/{id}/items", Viewer, "run-items", "The queue items of a run", "runs"), func(ctx context.Context, in *RunPath) (*reply[[]activation.Item], error) {
		_, items, err := a.Tracking.Run(ctx, activation.RunID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, items)
	})
	huma.Register(h, route("GET /v2/run/{id}/errors", Viewer, "run-errors", "What went wrong in a run, grouped by cause, with the page that says what to do", "runs"), func(ctx context.Context, in *RunPath) (*reply[[]tracking.Cause], error) {
		v, _, err := a.Tracking.Run(ctx, activation.RunID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, v.Errors)
	})
	huma.Register(h, route("GET /v2/run/{id}/item/{n}", Viewer, "run-item", "One queue item: masked rows, stored status and headers", "runs"), func(ctx context.Context, in *struct {
		RunPath
		Number int `path:"n" minimum:"1"`
	},
	) (*reply[tracking.ItemDetail], error) {
		d, err := a.Tracking.Item(ctx, activation.RunID(in.ID), in.Number, 100)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, d)
	})
	for _, c := range []struct {
		name, summary string
		do            func(context.Context, activation.RunID, string) (activation.Run, error)
	}{
		{"retry", "Send the failed items of a failed run again, and nothing else", a.Delivery.Retry},
		{"approve", "Let a run go on that waits because it removes many people", a.Delivery.Approve},
		{"decline", "Let such a run go on without its removals", a.Delivery.Decline},
		{"withdraw", "End a pending run before anything is sent", a.Delivery.Withdraw},
	} {
		huma.Register(h, route("POST /v2/run/{id}/"+c.name, Operator, c.name+"-run", c.summary, "runs"), func(ctx context.Context, in *RunPath) (*reply[tracking.View], error) {
			if _, err := c.do(ctx, activation.RunID(in.ID), CallerOf(ctx).Name); err != nil {
				return nil, a.fail(ctx, err)
			}
			return a.run(ctx, in.ID)
		})
	}
	a.targets(h)
}

func (a *API) run(ctx context.Context, id string) (*reply[tracking.View], error) {
	v, _, err := a.Tracking.Run(ctx, activation.RunID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, v)
}

// providersOfType are the providers whose destinations are shown as this type,
// nil for any.
func (a *API) providersOfType(t string) (out []string, err error) {
	if t == "" {
		return nil, nil
	}
	types := make([]string, len(a.Providers))
	for i, d := range a.Providers {
		types[i] = d.DestinationType
		if d.DestinationType == t {
			out = append(out, d.Name)
		}
	}
	if len(out) == 0 {
		return nil, invalid("destination_type", "destination_type: must be one of "+strings.Join(types, ", "))
	}
	return out, nil
}
