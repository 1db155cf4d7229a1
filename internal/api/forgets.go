package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
)

// Forgetting erases people.
type Forgetting interface {
	Ask(ctx context.Context, field, value, user string) (activation.Forget, error)
	Forget(ctx context.Context, id activation.ForgetID) (activation.Forget, error)
	Forgets(ctx context.Context, limit int) ([]activation.Forget, error)
	Compact(ctx context.Context, user string) error
}

// ForgetPath is the forget in a path.
type ForgetPath struct {
	ID string `path:"id" doc:"id of the forget"`
}

func (a *API) forgets(h huma.API) {
	huma.Register(h, route("POST /v2/forget", Admin, "forget", "Erase a person everywhere, by an identifier, and keep them from coming back. It is complete when every network accepted the remove", "forget"), func(ctx context.Context, in *struct {
		Body struct {
			Identifier identifier `json:"identifier"`
		}
	},
	) (*reply[activation.Forget], error) {
		f, err := a.Forgetting.Ask(ctx, in.Body.Identifier.Field, in.Body.Identifier.Value, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, f)
	})
	huma.Register(h, route("GET /v2/forget", Viewer, "list-forgets", "Forgets, newest first", "forget"), func(ctx context.Context, in *struct {
		Limit int `query:"limit" default:"50" minimum:"1" maximum:"500"`
	},
	) (*reply[[]activation.Forget], error) {
		all, err := a.Forgetting.Forgets(ctx, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/forget/{id}", Viewer, "show-forget", "A forget and, once it is complete, its receipt", "forget"), func(ctx context.Context, in *ForgetPath) (*reply[activation.Forget], error) {
		f, err := a.Forgetting.Forget(ctx, activation.ForgetID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, f)
	})
	huma.Register(h, route("POST /v2/compaction", Admin, "compact", "Rewrite the files now so that nothing deleted can be read in them", "forget"), func(ctx context.Context, _ *struct{}) (*reply[map[string]bool], error) {
		if err := a.Forgetting.Compact(ctx, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, map[string]bool{"compacted": true})
	})
}
