package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/rebuild"
)

// Rebuilding replays raw messages under what is declared now.
type Rebuilding interface {
	Start(ctx context.Context, reason, user string) (activation.Rebuild, error)
	Rebuild(ctx context.Context, id activation.RebuildID) (activation.Rebuild, error)
	Rebuilds(ctx context.Context, limit int) ([]activation.Rebuild, error)
	Cancel(ctx context.Context, id activation.RebuildID, user string) (activation.Rebuild, error)
	Cost(ctx context.Context) (rebuild.Cost, error)
}

// rebuildView is a rebuild as the API shows it.
type rebuildView struct {
	activation.Rebuild
	Left float64 `json:"seconds_left,omitempty" doc:"until it is done, from its pace so far; left out where there is no pace yet"`
}

func viewRebuild(r activation.Rebuild) rebuildView {
	return rebuildView{Rebuild: r, Left: r.Left.Round(100 * time.Millisecond).Seconds()}
}

// RebuildPath is the rebuild in a path.
type RebuildPath struct {
	ID string `path:"id" doc:"id of the rebuild"`
}

func (a *API) rebuilds(h huma.API) {
	huma.Register(h, route("POST /v2/rebuild", Operator, "rebuild", "Replay all messages under the present fields, mappings and identity settings, beside the live profiles; 409 while one is under way", "data"), func(ctx context.Context, in *struct {
		Body *struct {
			Reason string `json:"reason,omitempty" maxLength:"200" doc:"why, for the history"`
		}
	},
	) (*reply[rebuildView], error) {
		reason := ""
		if in.Body != nil {
			reason = in.Body.Reason
		}
		r, err := a.Rebuilding.Start(ctx, reason, CallerOf(ctx).Name)
		return a.rebuilt(ctx, r, err)
	})
	huma.Register(h, route("GET /v2/rebuild", Viewer, "list-rebuilds", "Rebuilds, newest first", "data"), func(ctx context.Context, in *struct {
		Limit int `query:"limit" default:"20" minimum:"1" maximum:"200"`
	},
	) (*reply[[]rebuildView], error) {
		all, err := a.Rebuilding.Rebuilds(ctx, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := make([]rebuildView, len(all))
		for i, r := range all {
			out[i] = viewRebuild(r)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/rebuild/cost", Viewer, "rebuild-cost", "What a rebuild would have to do, and about how long it would take", "data"), func(ctx context.Context, _ *struct{}) (*reply[rebuild.Cost], error) {
		cost, err := a.Rebuilding.Cost(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, cost)
	})
	huma.Register(h, route("GET /v2/rebuild/{id}", Viewer, "show-rebuild", "A rebuild, how far it is and when it will be done", "data"), func(ctx context.Context, in *RebuildPath) (*reply[rebuildView], error) {
		r, err := a.Rebuilding.Rebuild(ctx, activation.RebuildID(in.ID))
		return a.rebuilt(ctx, r, err)
	})
	huma.Register(h, route("POST /v2/rebuild/{id}/cancel", Operator, "cancel-rebuild", "Stop a rebuild; the live profiles stay as they are", "data"), func(ctx context.Context, in *RebuildPath) (*reply[rebuildView], error) {
		r, err := a.Rebuilding.Cancel(ctx, activation.RebuildID(in.ID), CallerOf(ctx).Name)
		return a.rebuilt(ctx, r, err)
	})
}

func (a *API) rebuilt(ctx context.Context, r activation.Rebuild, err error) (*reply[rebuildView], error) {
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, viewRebuild(r))
}
