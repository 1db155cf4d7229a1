package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/vault"
)

// returnPath is where a person who comes back from a network is sent within the
// console: the browser brings the session along only on a way that begins here.
const returnPath = "/oauth/return"

func (c *Console) registerConsents(mux *http.ServeMux) {
	mux.HandleFunc("GET "+vault.CallbackPath, c.callback)
	mux.HandleFunc("GET "+returnPath, func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.visitor(r)
		if !ok {
			c.renderBare(w, r, "oauth", http.StatusForbidden, oauthPage{Text: "Sign in to the console in this browser as an admin, then connect again. Nothing was stored.", Href: "/login", Link: "Sign in"})
			return
		}
		c.answer(w, v, c.consented)
	})
}

// oauthPage is the page between the console and a network, on either way.
type oauthPage struct{ Text, Href, Link string }

// callback takes a person that a network sends back. The session's cookie does
// not come along from another site, so the browser is sent on from here.
func (c *Console) callback(w http.ResponseWriter, r *http.Request) {
	q, in := url.Values{}, r.URL.Query()
	for _, name := range []string{"state", "code", "error"} {
		if v := in.Get(name); v != "" && len(v) < 4096 {
			q.Set(name, v)
		}
	}
	onward := returnPath + "?" + q.Encode()
	w.Header().Set("Refresh", "0; url="+onward)
	w.Header().Set("Cache-Control", "no-store")
	c.renderBare(w, r, "oauth", http.StatusOK, oauthPage{Text: "Back from the network.", Href: onward, Link: "Go on"})
}

// consented takes the answer of a signed-in person.
func (c *Console) consented(v visit) (view, error) {
	if !v.who.May(activation.RoleAdmin) {
		return trouble(http.StatusForbidden, "Your role may only look", "Nothing was stored. Connecting needs the role admin; you are "+string(v.who.Role)+"."), nil
	}
	a, done, err := c.Catalog.FinishConsent(v.Context(), vault.Answer{State: v.get("state"), Code: v.get("code"), Error: v.get("error"), Session: vault.SessionOf(v.who.CSRF)}, v.who.Name)
	from := done.ReturnTo
	if !catalog.LocalPath(from) {
		from = ""
	}
	if err != nil {
		if from == "" {
			from = "/authorizations"
			if done.Known {
				from = authorizationPath(done.Authorization)
			}
		}
		if done.Again != "" {
			from += separator(from) + "again=" + url.QueryEscape(done.Again)
		}
		return refused(from, unlessInternal(err))
	}
	said := flash{"ok", "Connected “" + a.Label + "”. What waited for working credentials tries again now."}
	if !done.Known {
		said.Text = "Connected “" + a.Label + "”."
	}
	return view{To: cmp.Or(afterConsent(from, a.ID), authorizationPath(a.ID)), Said: said}, nil
}

// unlessInternal has what declarations and networks refuse told on the page that
// the person came from.
func unlessInternal(err error) error {
	var wrong interface {
		error
		Each() []*activation.Error
	}
	if errors.As(err, &wrong) {
		return &activation.Error{Kind: activation.Invalid, Code: activation.CodeOf(err), Message: wrong.Error()}
	}
	return err
}

// afterConsent is where a person goes on who came from a page: to the form that
// the page was a detour of, else to the page itself. "" = nowhere in particular.
func afterConsent(from string, made activation.AuthorizationID) string {
	u, err := url.Parse(from)
	if from == "" || err != nil {
		return ""
	}
	back := u.Query().Get("return")
	for _, start := range detours {
		if strings.HasPrefix(back, start) && catalog.LocalPath(back) {
			return back + separator(back) + "auth=" + url.QueryEscape(string(made))
		}
	}
	if strings.HasPrefix(u.Path, "/authorizations") {
		return ""
	}
	return from
}

// connect sends a person to the network of a provider, with what the form says.
func (c *Console) connect(v visit, def provider.Definition, id activation.AuthorizationID, given map[string]string, form func(wrong map[string]string) (view, error)) (view, error) {
	from := authorizationPath(id)
	if id == "" {
		from = withReturn(v, "/authorizations/new?provider="+url.QueryEscape(def.Name))
	}
	address, _, err := c.Catalog.BeginConsent(v.Context(), catalog.Connecting{
		AuthorizationSpec: catalog.AuthorizationSpec{Provider: def.Name, Label: v.post("label"), Description: v.post("description"), Config: given},
		ID:                id, Session: vault.SessionOf(v.who.CSRF), Origin: v.Host, ReturnTo: from, Again: v.post("again"),
	}, v.who.Name)
	names := []string{"label", "description", "public_url"}
	for _, f := range def.AuthFields {
		names = append(names, "config."+f.Name)
	}
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		if wrong["public_url"] != "" {
			wrong[""] = wrong["public_url"]
		}
		return form(wrong)
	}
	return view{
		Template: "oauth-go", Title: "On to " + def.Title, Section: "/authorizations", Refresh: address,
		Body: oauthPage{Text: "Your browser goes on to " + def.Title + ". Come back within 15 minutes.", Href: address, Link: "Go on to " + def.Title},
	}, nil
}

// keptAnswers are what was typed before a consent was refused, in the form of
// the request: the values of a form by its field names.
func (c *Console) keptAnswers(v visit) (values map[string]string, again string) {
	again = cmp.Or(v.post("again"), v.get("again"))
	if again == "" {
		return nil, ""
	}
	kept, err := c.Catalog.KeptConsent(v.Context(), again, vault.SessionOf(v.who.CSRF))
	if err != nil {
		return nil, ""
	}
	values = map[string]string{"label": kept.Label, "description": kept.Description}
	for name, value := range kept.Given {
		values["config."+name] = value
	}
	return values, again
}
