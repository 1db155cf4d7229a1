package web

import (
	"net/http"
	"net/url"

	"usher/internal/access"
	"usher/internal/activation"
)

func (c *Console) registerTokens(mux *http.ServeMux) {
	c.page(mux, "/tokens", "", func(v visit) (view, error) { return c.tokens(v, "", nil) })
	c.action(mux, "/tokens", activation.RoleViewer, c.createToken)
	c.action(mux, "/tokens/{id}/revoke", activation.RoleViewer, c.revokeToken)
}

type tokensPage struct {
	CSRF, Wrong string
	// Made is the text of the token that was made just now: shown once.
	Made   string
	Rows   []tokenRow
	Fields []field
	All    bool
}

type tokenRow struct {
	access.TokenView
	Chip   chip
	Revoke string
	Less   bool // it can do less than it was made for
}

func tokenChip(s access.TokenStatus) chip {
	switch s {
	case access.TokenActive:
		return chip{"ok", "check", "Active", false}
	case access.TokenExpired:
		return chip{"off", "clock", "Expired", false}
	case access.TokenSuspended:
	}
	return chip{"off", "ban", "Suspended", false}
}

// expiries are how long a token may last.
var expiries = []option{{"7d", "7 days", false}, {"30d", "30 days", false}, {"90d", "90 days", false}, {"never", "Does not expire", false}}

// tokens is the page of the tokens that the person may see, with the one just
// made and the form of another.
func (c *Console) tokens(v visit, made string, wrong map[string]string) (view, error) {
	all, err := c.Access.Tokens(v.Context(), v.who)
	if err != nil {
		return view{}, err
	}
	p := tokensPage{CSRF: v.who.CSRF, Made: made, Wrong: wrong[""], All: v.who.May(activation.RoleAdmin)}
	for _, t := range all {
		p.Rows = append(p.Rows, tokenRow{t, tokenChip(t.Status), "/tokens/" + url.PathEscape(t.ID) + "/revoke", t.Effective != "" && t.Effective != t.Role})
	}
	var given url.Values
	if wrong != nil {
		given = v.PostForm
	}
	scopes := []option{}
	for _, o := range roleNames {
		if v.who.May(activation.Role(o.Value)) {
			scopes = append(scopes, o)
		}
	}
	if v.who.May(activation.RoleViewer) {
		scopes = append(scopes, option{string(activation.RoleSite), "Site: stands in web pages, asks for public audiences only", false})
	}
	expires := "30d"
	if given.Get("expires") != "" {
		expires = given.Get("expires")
	}
	p.Fields = []field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: given.Get("name"), Error: wrong["name"], Help: "The audit log names the token by it."},
		{Name: "description", Label: "Description", Type: "text", Value: given.Get("description"), Error: wrong["description"]},
		{Name: "scope", Label: "Can", Type: "select", Options: choose(scopes, given.Get("scope")), Error: wrong["scope"], Help: "It can never do more than you."},
		{Name: "expires", Label: "Expires", Type: "select", Options: choose(expiries, expires), Error: wrong["expires"]},
	}
	out := view{Template: "tokens", Title: "API tokens", Section: "/tokens", Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) createToken(v visit) (view, error) {
	t := activation.Token{Name: v.post("name"), Description: v.post("description"), Role: activation.Role(v.post("scope"))}
	ends, err := access.Expiry(v.post("expires"), c.Now())
	t.ExpiresAt = ends
	var made string
	if err == nil {
		made, _, err = c.Access.MakeToken(v.Context(), t, v.who)
	}
	wrong, err := wrongFields(err, "name", "description", "scope", "expires")
	if err != nil {
		return view{}, err
	}
	return c.tokens(v, made, wrong)
}

func (c *Console) revokeToken(v visit) (view, error) {
	if err := c.Access.RevokeToken(v.Context(), v.PathValue("id"), v.who); err != nil {
		return view{}, err
	}
	return view{To: "/tokens", Said: flash{"ok", "The token does not work any more."}}, nil
}
