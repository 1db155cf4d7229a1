// Package api is the HTTP API: handlers, their types and the OpenAPI document
// made from them. Lytics-compatible where that exists, ours beside it, all in
// one envelope.
//
// It owns routes, request validation, status codes and who may call what. It
// decides nothing about data, audiences or runs: every handler calls the same
// use-case functions that the console and the command line use. It never
// echoes a submitted value: it could be a secret or a person.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"usher/internal/access"
	"usher/internal/activation"
)

// What a caller may do; each role includes the ones before it.
const (
	// Viewer reads, masked.
	Viewer = activation.RoleViewer
	// Operator runs, retries, and edits jobs and audiences.
	Operator = activation.RoleOperator
	// Admin manages authorizations, people, tokens and settings.
	Admin = activation.RoleAdmin
	// public operations need no caller.
	public = activation.Role("")
)

// Caller is who makes a request.
type Caller = access.Caller

// Authenticate finds out who makes a request, or returns false.
type Authenticate func(r *http.Request) (Caller, bool)

// New registers every route on mux.
func New(mux *http.ServeMux, d Deps) huma.API {
	installErrors()
	cfg := huma.DefaultConfig("Usher", d.Version)
	cfg.Info.Description = "Audience activation: data in, audiences, delivery, and every run down to the queue item."
	cfg.OpenAPIPath = "/openapi"
	cfg.DocsPath = ""
	cfg.SchemasPath = ""
	cfg.CreateHooks = nil
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "apiKey", In: "header", Name: "Authorization", Description: "an API token, raw or after the word Bearer"},
	}
	cfg.Security = []map[string][]string{{"token": {}}}
	a := &API{Deps: d}
	t := traced{mux}
	h := humago.New(t, cfg)
	h.UseMiddleware(a.identify(h))
	a.jobs(h)
	a.logs(h)
	a.passes(h)
	a.metrics(h)
	a.runs(h)
	a.reconcile(h)
	a.priorityLists(h)
	a.hierarchy(h)
	a.paidMedia(h)
	a.explain(h)
	a.audiences(h)
	a.insight(h)
	a.destinations(h)
	a.authorizations(h)
	a.alerts(h)
	a.streams(h)
	a.manifests(h)
	a.people(h)
	a.tokens(h)
	a.templates(h)
	a.profiles(h)
	a.identities(h)
	a.rebuilds(h)
	a.forgets(h)
	a.publishers(h)
	a.legacy(h)
	a.system(h)
	a.collect(h, t)
	a.rejected(h, t)
	a.publisherFiles(h, t)
	a.site(h, t)
	t.HandleFunc("GET /docs/api", a.reference(h))
	t.refuseTheRest()
	return h
}

// schemaName names a type in the OpenAPI document: ours by the noun, those of
// other rooms with the room before it.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	room := path.Base(t.PkgPath())
	if t.Name() == "" || room == "." || room == "api" || room == "client" || room == "activation" || strings.Contains(t.Name(), "[") {
		return name
	}
	return strings.ToUpper(room[:1]) + room[1:] + name
}

// API holds what handlers need.
type API struct{ Deps }

type contextKey int

const (
	callerKey contextKey = iota
	requestKey
)

const (
	noToken = "a valid token is needed in the Authorization header"
	mayNot  = "this token may not do that"
)

// CallerOf returns who makes the request of ctx.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey).(Caller)
	return c
}

// identify gives each request a caller, and refuses who may not.
func (a *API) identify(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humago.Unwrap(ctx)
		need, _ := ctx.Operation().Metadata["role"].(activation.Role)
		if need != public {
			caller, ok := a.Authenticate(withQueryToken(r))
			if !ok {
				_ = huma.WriteErr(h, ctx, http.StatusUnauthorized, noToken)
				return
			}
			if !caller.Role.Includes(need) {
				_ = huma.WriteErr(h, ctx, http.StatusForbidden, mayNot)
				return
			}
			ctx = huma.WithValue(ctx, callerKey, caller)
		}
		start := a.Now()
		next(ctx)
		a.Log.DebugContext(ctx.Context(), "request", slog.String("request_id", requestID(ctx.Context())), slog.String("operation", ctx.Operation().OperationID),
			slog.Int("status", ctx.Status()), slog.Duration("took", a.Now().Sub(start)))
	}
}

// route describes one operation: "GET /v2/run", who may call it, what it does.
func route(pattern string, role activation.Role, id, summary string, tags ...string) huma.Operation {
	method, path, _ := strings.Cut(pattern, " ")
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: tags,
		Metadata:      map[string]any{"role": role},
		MaxBodyBytes:  1 << 20,
		DefaultStatus: http.StatusOK,
		Errors:        []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}
	if strings.HasPrefix(id, "create-") {
		op.DefaultStatus = http.StatusCreated
	}
	if method == http.MethodPost || method == http.MethodPut {
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge)
	}
	if role == public {
		op.Security = []map[string][]string{}
	}
	return op
}

// asking marks an operation that asks a network, which may be down or ask for
// fewer calls.
func asking(op huma.Operation) huma.Operation {
	op.Errors = append(op.Errors, http.StatusTooManyRequests, http.StatusBadGateway)
	return op
}

// envelope is the shape of every successful answer.
type envelope[T any] struct {
	Data      T              `json:"data"`
	Status    int            `json:"status"`
	RequestID string         `json:"request_id"`
	Message   string         `json:"message"`
	Meta      map[string]any `json:"_meta,omitempty"`
	Next      string         `json:"_next,omitempty" doc:"where the next page starts; absent on the last"`
}

// reply is what a handler returns.
type reply[T any] struct {
	Status int
	Body   envelope[T]
}

func ok[T any](ctx context.Context, data T) (*reply[T], error) {
	return &reply[T]{Status: http.StatusOK, Body: envelope[T]{Data: data, Status: http.StatusOK, RequestID: requestID(ctx), Message: "success"}}, nil
}

// list is ok for lists: one without entries is [] and never null.
func list[T any](ctx context.Context, data []T) (*reply[[]T], error) {
	if data == nil {
		data = []T{}
	}
	return ok(ctx, data)
}

func page[T any](ctx context.Context, data []T, next string) (*reply[[]T], error) {
	r, err := list(ctx, data)
	r.Body.Next = next
	return r, err
}

func created[T any](ctx context.Context, data T) (*reply[T], error) {
	return &reply[T]{Status: http.StatusCreated, Body: envelope[T]{Data: data, Status: http.StatusCreated, RequestID: requestID(ctx), Message: "success"}}, nil
}

func deleted(ctx context.Context) (*reply[any], error) {
	return &reply[any]{Status: http.StatusOK, Body: envelope[any]{Status: http.StatusOK, RequestID: requestID(ctx), Message: "deleted"}}, nil
}

var errorsOnce sync.Once
