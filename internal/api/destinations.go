package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/store"
)

// DestinationPath is the destination in a path.
type DestinationPath struct {
	ID string `path:"id" doc:"id of the destination"`
}

// destinationBody is a change of a destination; what is left out stays.
type destinationBody struct {
	Name    *string           `json:"name,omitempty"`
	Auth    *string           `json:"auth_id,omitempty" doc:"POST /v2/auth/{id}/replace changes it for all"`
	Account *string           `json:"account,omitempty" doc:"only while no audience is kept there"`
	Mapping map[string]string `json:"mapping,omitempty" doc:"match key to profile field; the whole of it"`
	Config  map[string]string `json:"config,omitempty" doc:"settings; those left out stay, an empty one goes back to its default"`
	Enabled *bool             `json:"enabled,omitempty" doc:"false: nothing is sent, and pending runs are withdrawn"`
}

func (a *API) destinations(h huma.API) {
	huma.Register(h, route("GET /v2/destination", Viewer, "list-destinations", "List destinations", "destinations"), func(ctx context.Context, in *struct {
		Provider string `query:"provider" doc:"only those at a provider"`
		Auth     string `query:"auth_id" doc:"only those with an authorization"`
		Enabled  string `query:"enabled" enum:"true,false" doc:"only those that are switched on, or off"`
	},
	) (*reply[[]activation.Destination], error) {
		all, err := a.Config.Destinations(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, slices.DeleteFunc(all, func(d activation.Destination) bool {
			return in.Provider != "" && d.Provider != in.Provider || in.Auth != "" && string(d.Authorization) != in.Auth || in.Enabled != "" && fmt.Sprint(d.Enabled) != in.Enabled
		}))
	})
	huma.Register(h, route("POST /v2/destination", Operator, "create-destination", "Name an account that audiences go to", "destinations"), func(ctx context.Context, in *struct {
		Body struct {
			Name     string            `json:"name"`
			Provider string            `json:"provider"`
			Auth     string            `json:"auth_id,omitempty" doc:"none for a provider that needs none"`
			Account  string            `json:"account,omitempty" doc:"none for a provider that has no accounts"`
			Mapping  map[string]string `json:"mapping,omitempty" doc:"match key, or where people choose them column, to profile field; without it such a destination gets every field"`
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
	huma.Register(h, route("GET /v2/destination/{id}", Viewer, "show-destination", "Show a destination", "destinations"), func(ctx context.Context, in *DestinationPath) (*reply[activation.Destination], error) {
		d, err := a.Config.Destination(ctx, activation.DestinationID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, d)
	})
	huma.Register(h, route("PUT /v2/destination/{id}", Operator, "edit-destination", "Change a destination, or switch it on or off; what is left out stays. 409 says what another mapping rebuilds until it is confirmed", "destinations"), func(ctx context.Context, in *struct {
		DestinationPath
		Confirm bool `query:"confirm" doc:"do it, although people get new keys at the network"`
		Body    destinationBody
	},
	) (*reply[activation.Destination], error) {
		before, err := a.Config.Destination(ctx, activation.DestinationID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		after := in.Body.over(before)
		if !in.Confirm {
			if err := a.confirmKeys(ctx, before, after); err != nil {
				return nil, a.fail(ctx, err)
			}
		}
		d, err := a.Catalog.UpdateDestination(ctx, after, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, d)
	})
	huma.Register(h, route("DELETE /v2/destination/{id}", Operator, "delete-destination", "Delete a destination without targets", "destinations"), func(ctx context.Context, in *DestinationPath) (*reply[any], error) {
		if err := a.Config.DeleteDestination(ctx, activation.DestinationID(in.ID), CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, asking(route("POST /v2/destination/{id}/test", Operator, "test-destination", "Prove credentials and account; writes nothing at the network", "destinations")), func(ctx context.Context, in *DestinationPath) (*reply[map[string]bool], error) {
		if err := a.Catalog.TestDestination(ctx, activation.DestinationID(in.ID)); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, map[string]bool{"healthy": true})
	})
}

// over lays what a body gives over a destination.
func (b destinationBody) over(d activation.Destination) activation.Destination {
	if b.Name != nil {
		d.Name = *b.Name
	}
	if b.Auth != nil {
		d.Authorization = activation.AuthorizationID(*b.Auth)
	}
	if b.Account != nil {
		d.Account = *b.Account
	}
	if b.Mapping != nil {
		d.Mapping = b.Mapping
	}
	if b.Enabled != nil {
		d.Enabled = *b.Enabled
	}
	config := map[string]string{}
	for _, from := range []map[string]string{d.Config, b.Config} {
		for k, v := range from {
			config[k] = v
		}
	}
	d.Config = config
	return d
}

// confirmKeys is nil unless a change gives people new keys at the network; then
// it says how many.
func (a *API) confirmKeys(ctx context.Context, before, after activation.Destination) error {
	changes, err := a.Catalog.ChangesKeys(ctx, before, after)
	if err != nil || !changes {
		return err
	}
	targets, err := a.Tracking.Targets(ctx, store.TargetFilter{Destination: before.ID})
	if err != nil {
		return err
	}
	var people int64
	for _, t := range targets {
		people += t.Holdings.In + t.Holdings.Maybe
	}
	if people == 0 {
		return nil
	}
	return &activation.Error{
		Kind: activation.Invalid, Code: "CONFLICT", Field: "mapping", Err: activation.ErrConflict,
		Message: fmt.Sprintf("mapping: this rebuilds %d audiences: %d people are removed under their old keys and added under new ones; ask again with confirm=true to do it", len(targets), people),
	}
}
