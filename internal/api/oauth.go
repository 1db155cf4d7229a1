package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/catalog"
)

// Reached is the host and port at which a request reached the server.
type Reached struct{ host string }

// Resolve notes it.
func (r *Reached) Resolve(ctx huma.Context) []error {
	r.host = ctx.Host()
	return nil
}

// consents registers connecting: the network asks a person, who comes back to
// the console.
func (a *API) consents(h huma.API) {
	huma.Register(h, route("POST /v2/auth/{type}/connect", Admin, "connect-authorization", "Begin to connect an authorization: the address where a person consents. It is stored when they come back, in a browser in which an admin is signed in", "authorizations"), func(ctx context.Context, in *struct {
		Reached
		Type string `path:"type" doc:"provider, such as google"`
		Body struct {
			Label       string            `json:"label,omitempty" doc:"name for people; needed for a new one"`
			Description string            `json:"description,omitempty"`
			Config      map[string]string `json:"config,omitempty" doc:"the provider's declared fields, of which client_id is needed; write-only"`
			AuthID      string            `json:"auth_id,omitempty" doc:"an authorization to connect again, in place of a new one"`
			ReturnTo    string            `json:"return_to,omitempty" doc:"a path of the console to come back to"`
		}
	},
	) (*reply[client.Connecting], error) {
		address, id, err := a.Catalog.BeginConsent(ctx, catalog.Connecting{
			AuthorizationSpec: catalog.AuthorizationSpec{Provider: in.Type, Label: in.Body.Label, Description: in.Body.Description, Config: in.Body.Config},
			ID:                activation.AuthorizationID(in.Body.AuthID), Origin: in.host, ReturnTo: in.Body.ReturnTo,
		}, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, client.Connecting{AuthorizeURL: address, AuthID: id, ExpiresIn: int(activation.ConsentLife.Seconds())})
	})
}
