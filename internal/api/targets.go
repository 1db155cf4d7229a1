package api

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/store"
	"usher/internal/tracking"
)

// targetView is one target as the API shows it alone.
type targetView struct {
	tracking.TargetView
	Baseline int64 `json:"baseline" doc:"people left out because they were members when the job began (withbackfill=false)"`
}

func (a *API) targets(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id of the target"`
	}
	huma.Register(h, route("GET /v2/target", Viewer, "list-targets", "Audiences kept at destinations, and what the ledger says they hold", "runs"), func(ctx context.Context, in *struct {
		Job         string `query:"job_id" doc:"only those of a job"`
		Destination string `query:"destination_id" doc:"only those at a destination"`
		Audience    string `query:"segment_id" doc:"only those of an audience, by id or slug"`
	},
	) (*reply[[]tracking.TargetView], error) {
		f := store.TargetFilter{Job: activation.JobID(in.Job), Destination: activation.DestinationID(in.Destination)}
		if in.Audience != "" {
			audience, err := a.Catalog.Audience(ctx, in.Audience)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			f.Audience = audience.ID
		}
		targets, err := a.Tracking.Targets(ctx, f)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, targets)
	})
	huma.Register(h, route("GET /v2/target/{id}", Viewer, "show-target", "One target: remote audience, ledger, beginning, and whether it is being given up", "runs"), func(ctx context.Context, in *id) (*reply[targetView], error) {
		return a.target(ctx, activation.TargetID(in.ID))
	})
	huma.Register(h, route("DELETE /v2/target/{id}", Operator, "release-target", "Give up the remote audience of a target that no living job owns", "runs"), func(ctx context.Context, in *struct {
		ID     string `path:"id" doc:"id of the target"`
		Remote string `query:"remote" default:"keep" enum:"keep,empty,delete" doc:"what becomes of the remote audience: keep (Usher forgets it), empty (a run removes everybody, past the removal guard) or delete (and then the audience)"`
	},
	) (*reply[targetView], error) {
		if _, err := a.Delivery.ReleaseTarget(ctx, activation.TargetID(in.ID), activation.OnEnd(in.Remote), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return a.target(ctx, activation.TargetID(in.ID))
	})
}

func (a *API) target(ctx context.Context, id activation.TargetID) (*reply[targetView], error) {
	found, err := a.Tracking.Targets(ctx, store.TargetFilter{ID: id})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("target %q: %w", id, activation.ErrNotFound)
	}
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	left, err := a.Warehouse.Baseline(ctx, id, delivery.BegunBy(found[0].Job))
	if err != nil {
		return nil, a.fail(ctx, fmt.Errorf("count the beginning: %w", err))
	}
	return ok(ctx, targetView{found[0], left})
}
