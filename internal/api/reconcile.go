package api

import (
	"context"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// TargetPath is the target in a path.
type TargetPath struct {
	ID string `path:"id" doc:"id of the target"`
}

// repaired is what a repair does, or would do.
type repaired struct {
	Plan *delivery.Preview `json:"plan,omitempty" doc:"with dry_run: what the run would do"`
	Run  *tracking.View    `json:"run,omitempty" doc:"the run that mends it"`
}

// reconcile are the routes that compare ledgers with networks, and mend them.
func (a *API) reconcile(h huma.API) {
	huma.Register(h, asking(route("POST /v2/target/{id}/reconcile", Operator, "reconcile-target", "Compare the ledger with what the network tells of the audience now", "runs")), func(ctx context.Context, in *TargetPath) (*reply[activation.Reconciliation], error) {
		out, err := a.Delivery.Reconcile(ctx, activation.TargetID(in.ID), CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/target/{id}/reconcile", Viewer, "list-reconciliations", "What comparing found, newest first", "runs"), func(ctx context.Context, in *struct {
		TargetPath
		Limit int `query:"limit" default:"20" minimum:"1" maximum:"200"`
	},
	) (*reply[[]activation.Reconciliation], error) {
		if _, err := a.target(ctx, activation.TargetID(in.ID)); err != nil {
			return nil, err
		}
		out, err := a.Jobs.Reconciliations(ctx, activation.TargetID(in.ID), in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
	huma.Register(h, route("GET /v2/target/{id}/drift", Viewer, "target-drift", "The differences that the last comparison found, person by person where the network names its members", "runs"), func(ctx context.Context, in *struct {
		TargetPath
		Start int64 `query:"start" doc:"number the page begins after"`
		Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	},
	) (*reply[[]warehouse.DriftRow], error) {
		if _, err := a.target(ctx, activation.TargetID(in.ID)); err != nil {
			return nil, err
		}
		rows, err := a.Delivery.DriftRows(ctx, activation.TargetID(in.ID), in.Start, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		next := ""
		if len(rows) == in.Limit {
			next = strconv.FormatInt(rows[len(rows)-1].N, 10)
		}
		return page(ctx, rows, next)
	})
	huma.Register(h, route("POST /v2/target/{id}/repair", Operator, "repair-target", "Mend what the last comparison found by a run; dry_run tells what it would do", "runs"), func(ctx context.Context, in *struct {
		TargetPath
		DryRun bool `query:"dry_run" doc:"plan only"`
	},
	) (*reply[repaired], error) {
		id := activation.TargetID(in.ID)
		if in.DryRun {
			plan, err := a.Delivery.RepairPlan(ctx, id)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return ok(ctx, repaired{Plan: &plan})
		}
		run, err := a.Delivery.Repair(ctx, id, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		v, _, err := a.Tracking.Run(ctx, run.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, repaired{Run: &v})
	})
	for _, c := range []struct {
		name, id, summary string
		do                func(context.Context, activation.TargetID, string) (activation.Run, error)
	}{
		{"replace", "replace-target", "Send everybody who is wanted in one go; the network drops the others (where it offers that)", a.Delivery.ReplaceTarget},
		{"run", "run-target", "Run one target now", func(ctx context.Context, id activation.TargetID, _ string) (activation.Run, error) {
			return a.Delivery.RunTarget(ctx, id)
		}},
	} {
		huma.Register(h, route("POST /v2/target/{id}/"+c.name, Operator, c.id, c.summary, "runs"), func(ctx context.Context, in *TargetPath) (*reply[tracking.View], error) {
			run, err := c.do(ctx, activation.TargetID(in.ID), CallerOf(ctx).Name)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return a.run(ctx, string(run.ID))
		})
	}
}
