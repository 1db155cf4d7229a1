package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/ingest"
)

// LoadPath is the upload in a path.
type LoadPath struct {
	ID string `path:"id" doc:"id of the upload"`
}

func (a *API) loads(h huma.API) {
	huma.Register(h, route("GET /v2/load", Viewer, "list-loads", "Uploads, newest first", "data"), func(ctx context.Context, in *struct {
		Stream string `query:"stream"`
		Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	},
	) (*reply[[]ingest.LoadStatus], error) {
		all, err := a.Loads.Recent(ctx, in.Stream, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, all)
	})
	huma.Register(h, route("GET /v2/load/{id}", Viewer, "show-load", "What became of an upload", "data"), func(ctx context.Context, in *LoadPath) (*reply[ingest.LoadStatus], error) {
		l, err := a.Loads.Load(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, l)
	})
	huma.Register(h, route("POST /v2/load/{id}/retry", Operator, "retry-load", "Merge a failed upload again", "data"), func(ctx context.Context, in *LoadPath) (*reply[ingest.LoadStatus], error) {
		if err := a.Loads.Retry(ctx, in.ID); err != nil {
			return nil, a.fail(ctx, err)
		}
		if err := a.note(ctx, "retry", "load", in.ID); err != nil {
			return nil, a.fail(ctx, err)
		}
		l, err := a.Loads.Load(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, l)
	})
	huma.Register(h, route("DELETE /v2/load/{id}", Operator, "discard-load", "Forget a failed upload and its rows", "data"), func(ctx context.Context, in *LoadPath) (*reply[any], error) {
		if err := a.Loads.Discard(ctx, in.ID); err != nil {
			return nil, a.fail(ctx, err)
		}
		if err := a.note(ctx, "discard", "load", in.ID); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
}

// note writes to the audit log who did what; never a value.
func (a *API) note(ctx context.Context, verb, subject, id string) error {
	return a.Audit.AddAudit(ctx, activation.AuditEntry{Actor: CallerOf(ctx).Name, Verb: verb, SubjectType: subject, SubjectID: id})
}
