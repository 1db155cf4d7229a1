package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/provider"
)

func (a *API) destinations(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id of the destination"`
	}
	huma.Register(h, route("GET /v2/destination", Viewer, "list-destinations", "List destinations", "destinations"), func(ctx context.Context, _ *struct{}) (*reply[[]activation.Destination], error) {
		all, err := a.Config.Destinations(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("POST /v2/destination", Operator, "create-destination", "Name an account that audiences go to", "destinations"), func(ctx context.Context, in *struct {
		Body struct {
			Name     string            `json:"name"`
			Provider string            `json:"provider"`
			Auth     string            `json:"auth_id"`
			Account  string            `json:"account"`
			Mapping  map[string]string `json:"mapping" doc:"match key to profile field"`
			Config   map[string]string `json:"config,omitempty"`
		}
	},
	) (*reply[activation.Destination], error) {
		b := in.Body
		d, err := a.Catalog.CreateDestination(ctx, activation.Destination{
			Name: b.Name, Provider: b.Provider, Authorization: activation.AuthorizationID(b.Auth), Account: b.Account, Mapping: b.Mapping, Config: b.Config,
		}, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, d)
	})
	huma.Register(h, route("GET /v2/destination/{id}", Viewer, "show-destination", "Show a destination", "destinations"), func(ctx context.Context, in *id) (*reply[activation.Destination], error) {
		d, err := a.Config.Destination(ctx, activation.DestinationID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, d)
	})
	huma.Register(h, route("DELETE /v2/destination/{id}", Operator, "delete-destination", "Delete a destination without targets", "destinations"), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Config.DeleteDestination(ctx, activation.DestinationID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, route("POST /v2/destination/{id}/test", Operator, "test-destination", "Prove credentials and account; writes nothing at the network", "destinations"), func(ctx context.Context, in *id) (*reply[map[string]bool], error) {
		if err := a.Catalog.TestDestination(ctx, activation.DestinationID(in.ID)); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, map[string]bool{"healthy": true})
	})
}

func (a *API) authorizations(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id of the authorization"`
	}
	huma.Register(h, route("GET /v2/auth", Viewer, "list-authorizations", "List authorizations; never their secrets", "authorizations"), func(ctx context.Context, _ *struct{}) (*reply[[]activation.Authorization], error) {
		all, err := a.Config.Authorizations(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/auth/{id}", Viewer, "show-authorization", "Show an authorization; never its secrets", "authorizations"), func(ctx context.Context, in *id) (*reply[activation.Authorization], error) {
		v, err := a.Config.Authorization(ctx, activation.AuthorizationID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, v)
	})
	huma.Register(h, route("POST /v2/auth/{type}", Admin, "create-authorization", "Store credentials for a provider, sealed", "authorizations"), func(ctx context.Context, in *struct {
		Type string `path:"type" doc:"provider, such as meta"`
		Body struct {
			Label  string            `json:"label"`
			Config map[string]string `json:"config" doc:"the provider's declared fields; write-only"`
		}
	},
	) (*reply[activation.Authorization], error) {
		v, err := a.Catalog.CreateAuthorization(ctx, in.Type, in.Body.Label, in.Body.Config, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, v)
	})
	huma.Register(h, route("DELETE /v2/auth/{id}", Admin, "delete-authorization", "Delete credentials nothing uses", "authorizations"), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Config.DeleteAuthorization(ctx, activation.AuthorizationID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})

	type workflow struct {
		Name        string           `json:"name"`
		Title       string           `json:"title"`
		Type        string           `json:"type"`
		Fields      []provider.Field `json:"fields"`
		Destination []provider.Field `json:"destination_fields"`
		MatchKeys   []matchKey       `json:"match_keys"`
	}
	type shown struct {
		Slug        string           `json:"slug"`
		Name        string           `json:"name"`
		Description string           `json:"description"`
		Categories  []string         `json:"categories"`
		AuthFields  []provider.Field `json:"auth_fields"`
		Workflows   []workflow       `json:"workflows"`
	}
	huma.Register(h, route("GET /v2/provider", Viewer, "list-providers", "Providers, their workflows and every configuration field", "authorizations"), func(ctx context.Context, _ *struct{}) (*reply[[]shown], error) {
		out := make([]shown, len(a.Providers))
		for i, d := range a.Providers {
			keys := make([]matchKey, len(d.RuleSet.Keys))
			for n, k := range d.RuleSet.Keys {
				keys[n] = matchKey{k.Name, k.Help, k.Hash, k.Identifies}
			}
			out[i] = shown{Slug: d.Name, Name: d.Title, Description: d.Description, AuthFields: d.AuthFields}
			for _, w := range d.Workflows {
				out[i].Categories = append(out[i].Categories, string(w.Direction))
				out[i].Workflows = append(out[i].Workflows, workflow{w.Name, w.Title, string(w.Direction), w.Fields, d.DestinationFields, keys})
			}
		}
		return ok(ctx, out)
	})
}

type matchKey struct {
	Name       string `json:"name"`
	Help       string `json:"help"`
	Hashed     bool   `json:"hashed"`
	Identifies bool   `json:"identifies"`
}
