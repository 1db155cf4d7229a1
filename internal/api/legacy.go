package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/warehouse"
)

// The names of the older generation of the API: the same data, read only, in an
// envelope whose status is called statuscode.

// oldEnvelope is the shape of every successful answer of the older generation.
type oldEnvelope[T any] struct {
	Data       T      `json:"data"`
	StatusCode int    `json:"statuscode"`
	RequestID  string `json:"request_id"`
	Message    string `json:"message"`
	Next       string `json:"_next,omitempty" doc:"where the next page starts; absent on the last"`
}

// oldReply is what a handler of the older generation returns.
type oldReply[T any] struct {
	Body oldEnvelope[T]
}

// oldRoute describes an operation of the older generation.
func oldRoute(pattern, id, instead string, role activation.Role, tag string) huma.Operation {
	op := route(pattern, role, id, "Older name of "+instead, tag)
	op.Deprecated = true
	return op
}

// old answers what a newer operation does in the envelope of the older
// generation.
func old[I, T any](do func(context.Context, *I) (*reply[T], error)) func(context.Context, *I) (*oldReply[T], error) {
	return func(ctx context.Context, in *I) (*oldReply[T], error) {
		r, err := do(ctx, in)
		var f *failure
		if errors.As(err, &f) {
			f.OldCode = f.Code
		}
		if err != nil {
			return nil, err
		}
		return &oldReply[T]{Body: oldEnvelope[T]{Data: r.Body.Data, StatusCode: http.StatusOK, RequestID: r.Body.RequestID, Message: r.Body.Message, Next: r.Body.Next}}, nil
	}
}

// isOld reports whether a path is one of the older generation.
func isOld(path string) bool { return strings.HasPrefix(path, "/api/") }

func (a *API) legacy(h huma.API) {
	huma.Register(h, oldRoute("GET /api/work", "old-list-jobs", "GET /v2/job", Viewer, "jobs"), old(func(ctx context.Context, in *JobFilter) (*reply[[]client.Job], error) {
		views, next, err := a.listJobs(ctx, in)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return page(ctx, views, next)
	}))
	huma.Register(h, oldRoute("GET /api/work/{id}", "old-show-job", "GET /v2/job/{id}", Viewer, "jobs"), old(func(ctx context.Context, in *JobPath) (*reply[client.Job], error) {
		return a.job(ctx, in.ID, false)
	}))
	huma.Register(h, oldRoute("GET /api/auth", "old-list-authorizations", "GET /v2/auth", Viewer, "authorizations"), old(func(ctx context.Context, _ *struct{}) (*reply[[]client.Authorization], error) {
		out, err := a.listAuthorizations(ctx, "", "")
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	}))
	huma.Register(h, oldRoute("GET /api/auth/{id}", "old-show-authorization", "GET /v2/auth/{id}", Viewer, "authorizations"), old(func(ctx context.Context, in *AuthPath) (*reply[client.Authorization], error) {
		return a.showAuthorization(ctx, in.ID, "")
	}))
	huma.Register(h, oldRoute("GET /api/provider", "old-list-providers", "GET /v2/provider", Viewer, "authorizations"), old(func(ctx context.Context, _ *struct{}) (*reply[[]client.Provider], error) {
		return list(ctx, a.listProviders())
	}))
	huma.Register(h, oldRoute("GET /api/provider/{slug}", "old-show-provider", "GET /v2/provider/{slug}", Viewer, "authorizations"), old(func(ctx context.Context, in *SlugPath) (*reply[client.Provider], error) {
		p, err := a.oneProvider(in.Slug)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, p)
	}))
	huma.Register(h, oldRoute("GET /api/segment", "old-list-audiences", "GET /v2/segment", Viewer, "audiences"), old(func(ctx context.Context, _ *struct{}) (*reply[[]segment], error) {
		return a.listSegments(ctx)
	}))
	huma.Register(h, oldRoute("GET /api/segment/{id}", "old-show-audience", "GET /v2/segment/{id}", Viewer, "audiences"), old(func(ctx context.Context, in *SegmentPath) (*reply[segment], error) {
		return a.showSegment(ctx, in.ID)
	}))
	huma.Register(h, oldRoute("GET /api/segment/{id}/sizes", "old-audience-size", "GET /v2/segment/{id}/sizes", Viewer, "audiences"), old(func(ctx context.Context, in *SegmentPath) (*reply[map[string]int64], error) {
		return a.segmentSize(ctx, in.ID)
	}))
	entity := oldRoute("GET /api/entity/user/{field}/{value}", "old-show-profile", "POST /v2/profile/lookup", Viewer, "profiles")
	entity.Description = "Personal values are masked unless the caller is an administrator. What is looked up stands in the path: the newer form keeps it out of other servers' logs."
	huma.Register(h, entity, old(func(ctx context.Context, in *struct {
		Field    string `path:"field" doc:"an identifier field"`
		Value    string `path:"value"`
		Segments bool   `query:"segments" doc:"with the audiences the person is in"`
	},
	) (*reply[warehouse.Profile], error) {
		p, err := a.lookUp(ctx, in.Field, in.Value, !CallerOf(ctx).Role.Includes(Admin))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if !in.Segments {
			p.Audiences = nil
		}
		return ok(ctx, p)
	}))
}

// lookUp finds one person, and notes who asked.
func (a *API) lookUp(ctx context.Context, field, value string, masked bool) (warehouse.Profile, error) {
	p, err := a.Warehouse.Find(ctx, field, value)
	if err != nil {
		return warehouse.Profile{}, err
	}
	if err := a.note(ctx, "lookup", "profile", strconv.FormatInt(p.ID, 10)); err != nil {
		return warehouse.Profile{}, err
	}
	one := []warehouse.Profile{p}
	if masked {
		err = a.mask(ctx, one)
	}
	return one[0], err
}

// withQueryToken takes the token from the query where a request has no header:
// clients of the older generation read so, and senders that can set no header.
func withQueryToken(r *http.Request) *http.Request {
	if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet && !strings.HasPrefix(r.URL.Path, "/collect/") {
		return r
	}
	q := r.URL.Query()
	token := cmp.Or(q.Get("access_token"), q.Get("key"))
	if token == "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", token)
	return r
}
