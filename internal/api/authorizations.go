package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/store"
)

// AuthPath is the authorization in a path.
type AuthPath struct {
	ID string `path:"id" doc:"id of the authorization"`
}

// TypedAuthPath is the authorization in a path, with its provider before it.
type TypedAuthPath struct {
	Type string `path:"type" doc:"provider, such as meta"`
	AuthPath
}

// authBody is what people declare of an authorization. Clients of the older
// generation send whole objects back: what is not read is ignored.
type authBody struct {
	Label       *string           `json:"label,omitempty" doc:"name for people"`
	Description *string           `json:"description,omitempty"`
	Config      map[string]string `json:"config,omitempty" doc:"the provider's declared fields; write-only. In a change, what is left out stays"`
	_           struct{}          `json:"-" additionalProperties:"true"`
}

func (a *API) authorizations(h huma.API) {
	huma.Register(h, route("GET /v2/auth", Viewer, "list-authorizations", "List authorizations; never their secrets", "authorizations"), func(ctx context.Context, in *struct {
		Type   string `query:"type" doc:"only those of a provider"`
		Status string `query:"status" enum:"healthy,unhealthy,unknown" doc:"only those with this status"`
	},
	) (*reply[[]client.Authorization], error) {
		out, err := a.listAuthorizations(ctx, in.Type, in.Status)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, out)
	})
	huma.Register(h, route("POST /v2/auth/{type}", Admin, "create-authorization", "Store credentials for a provider, sealed", "authorizations"), func(ctx context.Context, in *struct {
		Type string `path:"type" doc:"provider, such as meta"`
		Body authBody
	},
	) (*reply[client.Authorization], error) {
		v, err := a.Catalog.StoreAuthorization(ctx, in.Body.over(catalog.AuthorizationSpec{Provider: in.Type}), CallerOf(ctx).Name)
		if err == nil {
			var out client.Authorization
			if out, err = a.oneAuthorization(ctx, v); err == nil {
				return created(ctx, out)
			}
		}
		return nil, a.fail(ctx, err)
	})
	huma.Register(h, route("GET /v2/auth/{id}", Viewer, "show-authorization", "Show an authorization; never its secrets", "authorizations"), func(ctx context.Context, in *AuthPath) (*reply[client.Authorization], error) {
		return a.showAuthorization(ctx, in.ID, "")
	})
	huma.Register(h, route("GET /v2/auth/{type}/{id}", Viewer, "show-typed-authorization", "Show an authorization; never its secrets", "authorizations"), func(ctx context.Context, in *TypedAuthPath) (*reply[client.Authorization], error) {
		return a.showAuthorization(ctx, in.ID, in.Type)
	})
	huma.Register(h, route("PUT /v2/auth/{id}", Admin, "edit-authorization", "Change label, description or credentials; what is left out stays", "authorizations"), func(ctx context.Context, in *struct {
		AuthPath
		Body authBody
	},
	) (*reply[client.Authorization], error) {
		return a.editAuthorization(ctx, in.ID, "", in.Body)
	})
	huma.Register(h, route("PUT /v2/auth/{type}/{id}", Admin, "edit-typed-authorization", "Change label, description or credentials; what is left out stays", "authorizations"), func(ctx context.Context, in *struct {
		TypedAuthPath
		Body authBody
	},
	) (*reply[client.Authorization], error) {
		return a.editAuthorization(ctx, in.ID, in.Type, in.Body)
	})
	huma.Register(h, route("DELETE /v2/auth/{id}", Admin, "delete-authorization", "Delete credentials nothing uses; 409 names what does", "authorizations"), func(ctx context.Context, in *AuthPath) (*reply[any], error) {
		if err := a.Config.DeleteAuthorization(ctx, activation.AuthorizationID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, asking(route("POST /v2/auth/{id}/test", Operator, "test-authorization", "Try the credentials now, through whatever uses them; writes nothing at the network", "authorizations")), func(ctx context.Context, in *AuthPath) (*reply[client.Authorization], error) {
		if err := a.Catalog.TestAuthorization(ctx, activation.AuthorizationID(in.ID)); err != nil {
			return nil, a.fail(ctx, err)
		}
		return a.showAuthorization(ctx, in.ID, "")
	})
	huma.Register(h, asking(route("POST /v2/auth/{id}/replace", Admin, "replace-authorization", "Move every destination and job to another authorization; 400 names each target it does not open", "authorizations")), func(ctx context.Context, in *struct {
		AuthPath
		Body struct {
			With         string `json:"with" minLength:"1" doc:"id of the other authorization"`
			NewAudiences bool   `json:"new_audiences,omitempty" doc:"leave remote audiences that it does not open behind, and begin new ones"`
		}
	},
	) (*reply[catalog.Replacement], error) {
		out, err := a.Catalog.ReplaceAuthorization(ctx, activation.AuthorizationID(in.ID), activation.AuthorizationID(in.Body.With), in.Body.NewAudiences, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	a.consents(h)
	a.keys(h)
	a.providers(h)
}

// over lays what a body gives over a declaration.
func (b authBody) over(s catalog.AuthorizationSpec) catalog.AuthorizationSpec {
	if b.Label != nil {
		s.Label = *b.Label
	}
	if b.Description != nil {
		s.Description = *b.Description
	}
	s.Config = b.Config
	return s
}

// listAuthorizations are the authorizations of a provider and a status, "" = any.
func (a *API) listAuthorizations(ctx context.Context, kind, status string) ([]client.Authorization, error) {
	all, err := a.Config.Authorizations(ctx)
	if err != nil {
		return nil, err
	}
	view, err := a.authViews(ctx)
	if err != nil {
		return nil, err
	}
	var out []client.Authorization
	for _, v := range all {
		if (kind == "" || v.Provider == kind) && (status == "" || string(v.Status) == status) {
			out = append(out, view(v))
		}
	}
	return out, nil
}

// authViews returns what makes views of authorizations; what uses them is read
// once.
func (a *API) authViews(ctx context.Context) (func(activation.Authorization) client.Authorization, error) {
	destinations, err := a.Config.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	of := map[activation.DestinationID]activation.AuthorizationID{}
	used := map[activation.AuthorizationID]client.UsedBy{}
	for _, d := range destinations {
		of[d.ID] = d.Authorization
		u := used[d.Authorization]
		u.Destinations++
		used[d.Authorization] = u
	}
	jobs, err := a.Jobs.Jobs(ctx, store.JobFilter{Hidden: true})
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if j.State == activation.JobKilled {
			continue
		}
		for _, id := range append(slices.Clone(j.Authorizations), of[j.Destination]) {
			u := used[id]
			u.Jobs++
			used[id] = u
		}
	}
	return func(v activation.Authorization) client.Authorization {
		name := v.Provider
		if def, err := a.Catalog.Definition(v.Provider); err == nil {
			name = def.Title
		}
		return client.Authorization{
			ID: v.ID, Label: v.Label, Description: v.Description, Type: authMethod(false), ProviderID: v.Provider, ProviderSlug: v.Provider, ProviderName: name,
			UserID: v.CreatedBy, Status: v.Status, StatusReason: v.Reason, Settings: a.Catalog.Settings(v), UsedBy: used[v.ID],
			LastAccessedAt: v.LastCheckedAt, ExpiresAt: v.ExpiresAt, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
		}
	}, nil
}

func (a *API) oneAuthorization(ctx context.Context, v activation.Authorization) (client.Authorization, error) {
	view, err := a.authViews(ctx)
	if err != nil {
		return client.Authorization{}, err
	}
	return view(v), nil
}

// authorization returns an authorization of the provider in the path, if there
// is one in it.
func (a *API) authorization(ctx context.Context, id, kind string) (activation.Authorization, error) {
	v, err := a.Config.Authorization(ctx, activation.AuthorizationID(id))
	if err == nil && kind != "" && v.Provider != kind {
		if _, unknown := a.Catalog.Definition(kind); unknown != nil {
			return v, fmt.Errorf("%w: %w", activation.ErrNotFound, unknown)
		}
		return v, activation.ErrNotFound
	}
	return v, err
}

func (a *API) showAuthorization(ctx context.Context, id, kind string) (*reply[client.Authorization], error) {
	v, err := a.authorization(ctx, id, kind)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out, err := a.oneAuthorization(ctx, v)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, out)
}

func (a *API) editAuthorization(ctx context.Context, id, kind string, b authBody) (*reply[client.Authorization], error) {
	v, err := a.authorization(ctx, id, kind)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	spec := b.over(catalog.AuthorizationSpec{Label: v.Label, Description: v.Description})
	if _, err := a.Catalog.UpdateAuthorization(ctx, v.ID, spec, CallerOf(ctx).Name); err != nil {
		return nil, a.fail(ctx, err)
	}
	return a.showAuthorization(ctx, id, "")
}

// authMethod is how credentials are given.
func authMethod(none bool) string {
	if none {
		return "none"
	}
	return "config"
}

func (a *API) keys(h huma.API) {
	huma.Register(h, route("GET /v2/vault", Admin, "show-vault", "Which keys seal the stored credentials; never a key itself", "authorizations"), func(ctx context.Context, _ *struct{}) (*reply[client.Keys], error) {
		all, err := a.Config.Authorizations(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := client.Keys{KeyID: a.Vault.KeyID(), Given: a.Vault.Given()}
		needed := map[string]int{}
		for _, v := range all {
			needed[v.KeyID]++
		}
		known := a.Vault.KeyIDs()
		for _, id := range known {
			out.Keys = append(out.Keys, client.KeyUse{ID: id, Known: true, Authorizations: needed[id]})
			delete(needed, id)
		}
		for id, n := range needed {
			out.Keys = append(out.Keys, client.KeyUse{ID: id, Authorizations: n})
		}
		return ok(ctx, out)
	})
	op := route("POST /v2/vault/rotate", Admin, "rotate-vault", "Change the key and seal every authorization anew; after a crash, again finishes it", "authorizations")
	op.Errors = append(op.Errors, http.StatusInternalServerError)
	huma.Register(h, op, func(ctx context.Context, _ *struct{}) (*reply[rotation], error) {
		out, err := a.Vault.Rotate(ctx, a.Sealed)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if err := a.note(ctx, "rotate", "vault", out.KeyID); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
}

func fieldViews(in []provider.Field) []client.Field {
	out := make([]client.Field, len(in))
	for i, f := range in {
		out[i] = client.Field(f)
	}
	return out
}
