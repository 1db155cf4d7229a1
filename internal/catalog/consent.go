package catalog

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/vault"
)

// Consents asks people for their consent at networks.
type Consents interface {
	Begin(ctx context.Context, q vault.Question) (address string, err error)
	Finish(ctx context.Context, a vault.Answer, oauth func(providerName string) (provider.OAuth, error)) (vault.Consented, error)
	Kept(ctx context.Context, again, session string) (vault.Consented, error)
}

// Connecting is an authorization that a person is to consent to.
type Connecting struct {
	AuthorizationSpec
	// ID is one that is there and is connected again; "" = a new one.
	ID activation.AuthorizationID
	// Session is the browser session that may bring the answer, "" = any.
	Session string
	// Origin is host:port at which the request reached the server.
	Origin string
	// ReturnTo is the page to go back to, "" = that of the authorization.
	ReturnTo string
	// Again brings back what was typed before a refusal; what is given wins.
	Again string
}

// BeginConsent checks what will be stored and returns the network's address
// that asks the person, and the id of the authorization to be. Nothing is stored
// but the question, sealed.
func (c *Catalog) BeginConsent(ctx context.Context, in Connecting, user string) (address string, id activation.AuthorizationID, err error) {
	def, err := c.Definition(in.Provider)
	if err != nil {
		return "", "", err
	}
	given := maps.Clone(in.Config)
	maps.DeleteFunc(given, func(_, v string) bool { return v == Redacted })
	if given == nil {
		given = map[string]string{}
	}
	if in.Again != "" {
		kept, err := c.Consents.Kept(ctx, in.Again, in.Session)
		if err == nil && kept.Provider == def.Name && (kept.Known && kept.Authorization == in.ID || !kept.Known && in.ID == "") {
			for name, v := range kept.Given {
				if given[name] == "" {
					given[name] = v
				}
			}
		}
	}
	fields, id := maps.Clone(given), in.ID
	if id != "" {
		a, err := c.Store.Authorization(ctx, id)
		if err != nil {
			return "", "", err
		}
		if a.Provider != def.Name {
			return "", "", &activation.Error{Kind: activation.Invalid, Code: "AUTH-BADREQ-008", Field: "auth_id", Message: "auth_id: belongs to another provider"}
		}
		in.Label, in.Description = orGiven(in.Label, a.Label), orGiven(in.Description, a.Description)
		if stored, err := c.opened(a); err == nil { // else all of it must be given anew
			maps.Copy(stored, given)
			fields = stored
		}
	} else {
		id = activation.NewID[activation.AuthorizationID]()
	}
	p := describe(in.AuthorizationSpec)
	fields = p.check("config.", def.AuthFields, fields)
	switch {
	case def.OAuth == nil:
		p.add("type", "%s is not connected by consent; store its credentials", def.Name)
	case fields[provider.ClientIDField] == "":
		p.add("config."+provider.ClientIDField, "is needed to connect")
	}
	if in.ReturnTo != "" && !LocalPath(in.ReturnTo) {
		p.add("return_to", "must be a path of this server, such as /authorizations")
	}
	if err := p.err("AUTH-BADREQ-008"); err != nil {
		return "", "", err
	}
	address, err = c.Consents.Begin(ctx, vault.Question{
		Provider: def.Name, OAuth: *def.OAuth, Authorization: id, Known: in.ID != "", Label: in.Label, Description: in.Description,
		Given: given, Fields: fields, Person: user, Session: in.Session, Origin: in.Origin, ReturnTo: in.ReturnTo,
	})
	return address, id, err
}

// FinishConsent takes the answer that a person brings back and stores the
// authorization, new or connected again; what slept because of it wakes. On an
// error, what comes back says where the person came from.
func (c *Catalog) FinishConsent(ctx context.Context, a vault.Answer, user string) (activation.Authorization, vault.Consented, error) {
	done, err := c.Consents.Finish(ctx, a, func(name string) (provider.OAuth, error) {
		def, err := c.Definition(name)
		if err == nil && def.OAuth == nil {
			err = &activation.Error{Kind: activation.Invalid, Code: "AUTH-BADREQ-008", Field: "type", Message: "the provider is not connected by consent any more"}
		}
		if err != nil {
			return provider.OAuth{}, err
		}
		return *def.OAuth, nil
	})
	if err != nil {
		return activation.Authorization{}, done, err
	}
	def, err := c.Definition(done.Provider)
	if err != nil {
		return activation.Authorization{}, done, err
	}
	maps.DeleteFunc(done.Given, func(name, v string) bool { return v == "" && !declares(def.AuthFields, name) })
	spec := AuthorizationSpec{Provider: done.Provider, Label: done.Label, Description: done.Description, Config: done.Given, ID: done.Authorization, ExpiresAt: done.ExpiresAt}
	var out activation.Authorization
	if done.Known {
		out, err = c.UpdateAuthorization(ctx, done.Authorization, spec, user)
	} else {
		maps.DeleteFunc(spec.Config, func(_, v string) bool { return v == "" })
		out, err = c.StoreAuthorization(ctx, spec, user)
	}
	return out, done, err
}

// KeptConsent returns what was typed for a consent that was refused, without
// what the provider declares secret.
func (c *Catalog) KeptConsent(ctx context.Context, again, session string) (vault.Consented, error) {
	kept, err := c.Consents.Kept(ctx, again, session)
	if err != nil {
		return kept, err
	}
	def, err := c.Definition(kept.Provider)
	if err != nil {
		return vault.Consented{}, err
	}
	maps.DeleteFunc(kept.Given, func(name, _ string) bool {
		return !slices.ContainsFunc(def.AuthFields, func(f provider.Field) bool { return f.Name == name && !f.Secret })
	})
	return kept, nil
}

func orGiven(given, stored string) string {
	if given != "" {
		return given
	}
	return stored
}

// LocalPath reports whether an address leads to a page of this server, whatever
// a browser makes of it.
func LocalPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") || len(path) > 2000 {
		return false
	}
	for _, r := range path {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	u, err := url.Parse(path)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && !strings.HasPrefix(u.Path, "//") && !strings.Contains(u.Path, "\\")
}
