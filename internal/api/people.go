package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/access"
	"usher/internal/activation"
)

// refuse is fail, where a caller may also be refused whatever the request says.
func (a *API) refuse(ctx context.Context, err error) error {
	if errors.Is(err, access.ErrForbidden) {
		f := newFailure(http.StatusForbidden, mayNot)
		f.RequestID = requestID(ctx)
		return f
	}
	return a.fail(ctx, err)
}

// people are the routes of those who may sign in. Administrators manage them;
// the own password is everybody's.
func (a *API) people(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id of the person"`
	}
	huma.Register(h, route("GET /v2/user", Admin, "list-users", "List the people who may sign in", "people"), func(ctx context.Context, _ *struct{}) (*reply[[]activation.User], error) {
		all, err := a.Access.Users(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/user/{id}", Admin, "show-user", "Show a person", "people"), func(ctx context.Context, in *id) (*reply[activation.User], error) {
		u, err := a.Access.User(ctx, activation.UserID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, u)
	})
	huma.Register(h, route("POST /v2/user", Admin, "create-user", "Make a person who may sign in; the first must be an administrator", "people"), func(ctx context.Context, in *struct {
		Body struct {
			Email    string          `json:"email" doc:"the login"`
			Name     string          `json:"name"`
			Role     activation.Role `json:"role" enum:"viewer,operator,admin"`
			Password string          `json:"password" doc:"at least 12 characters; write-only"`
		}
	},
	) (*reply[activation.User], error) {
		u, err := a.Access.CreateUser(ctx, access.NewUser{Login: in.Body.Email, Name: in.Body.Name, Role: in.Body.Role, Password: in.Body.Password}, CallerOf(ctx))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, u)
	})
	huma.Register(h, route("PUT /v2/user/{id}", Admin, "edit-user", "Change name, role or password of a person, or disable them; another role or password signs them out", "people"), func(ctx context.Context, in *struct {
		ID   string `path:"id" doc:"id of the person"`
		Body struct {
			Name     *string          `json:"name,omitempty"`
			Role     *activation.Role `json:"role,omitempty" enum:"viewer,operator,admin"`
			Disabled *bool            `json:"disabled,omitempty"`
			Password *string          `json:"password,omitempty" doc:"at least 12 characters; write-only"`
		}
	},
	) (*reply[activation.User], error) {
		b := in.Body
		u, err := a.Access.UpdateUser(ctx, activation.UserID(in.ID), access.Change{Name: b.Name, Role: b.Role, Disabled: b.Disabled, Password: b.Password}, CallerOf(ctx))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, u)
	})
	huma.Register(h, route("DELETE /v2/user/{id}", Admin, "delete-user", "Delete a person, with their sessions and tokens", "people"), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Access.DeleteUser(ctx, activation.UserID(in.ID), CallerOf(ctx)); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, route("POST /v2/user/password", Viewer, "change-password", "Change the own password; ends all own sessions", "people"), func(ctx context.Context, in *struct {
		Body struct {
			Present  string `json:"present_password" doc:"write-only"`
			Password string `json:"password" doc:"at least 12 characters; write-only"`
		}
	},
	) (*reply[map[string]bool], error) {
		if err := a.Access.ChangePassword(ctx, CallerOf(ctx), in.Body.Present, in.Body.Password); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, map[string]bool{"changed": true})
	})
}

// madeToken is a token with its text, which is in this one answer only.
type madeToken struct {
	activation.Token
	Text string `json:"token" doc:"shown once, kept nowhere"`
}

// tokens are the routes of API tokens: administrators see all, people their
// own, a token itself.
func (a *API) tokens(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id of the token"`
	}
	huma.Register(h, route("GET /v2/token", Viewer, "list-tokens", "List API tokens: all for administrators, else the own", "people"), func(ctx context.Context, _ *struct{}) (*reply[[]access.TokenView], error) {
		all, err := a.Access.Tokens(ctx, CallerOf(ctx))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/token/{id}", Viewer, "show-token", "Show an API token; never its text", "people"), func(ctx context.Context, in *id) (*reply[access.TokenView], error) {
		t, err := a.Access.Token(ctx, in.ID, CallerOf(ctx))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, t)
	})
	huma.Register(h, route("POST /v2/token", Viewer, "create-token", "Make an API token; its text is in the answer, once", "people"), func(ctx context.Context, in *struct {
		Body struct {
			Name        string          `json:"name" doc:"the audit log names the token by it"`
			Description string          `json:"description,omitempty"`
			Scope       activation.Role `json:"scope" enum:"viewer,operator,admin,site" doc:"at most the maker's own role; site asks for the public audiences of a public id and nothing else"`
			Expires     string          `json:"expires,omitempty" enum:"7d,30d,90d,never" default:"30d"`
		}
	},
	) (*reply[madeToken], error) {
		ends, err := access.Expiry(in.Body.Expires, a.Now())
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		text, t, err := a.Access.MakeToken(ctx, activation.Token{Name: in.Body.Name, Description: in.Body.Description, Role: in.Body.Scope, ExpiresAt: ends}, CallerOf(ctx))
		if err != nil {
			return nil, a.refuse(ctx, err)
		}
		return created(ctx, madeToken{t, text})
	})
	huma.Register(h, route("DELETE /v2/token/{id}", Viewer, "delete-token", "Revoke an API token at once", "people"), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Access.RevokeToken(ctx, in.ID, CallerOf(ctx)); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
}
