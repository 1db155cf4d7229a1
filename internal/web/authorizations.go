package web

import (
	"net/http"
)

func (c *Console) authorizations(v visit) (view, error) {
	list, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return view{}, err
	}
	destinations, err := c.Store.Destinations(v.Context())
	if err != nil {
		return view{}, err
	}
	p := authorizationsPage{Providers: c.providerLinks("/authorizations/new")}
	for _, a := range list {
		row := authorizationRow{Authorization: a, Chip: authChip(a.Status), Logo: logo(a.Provider), Type: typeOf(c.Providers, a.Provider)}
		for _, d := range destinations {
			if d.Authorization == a.ID {
				row.Destinations = append(row.Destinations, d.Name)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	return view{Template: "authorizations", Title: "Authorizations", Section: "/authorizations", Body: p}, nil
}

// authorizationForm is the form of new credentials, from what the provider
// declares. Secrets go in and never come out.
func (c *Console) authorizationForm(v visit, providerName string, wrong map[string]string) (view, error) {
	out := view{Template: "account-new", Title: "New authorization", Section: "/authorizations", Crumbs: []link{{"/authorizations", "Authorizations"}}}
	p := accountPage{Title: out.Title, To: withReturn(v, "/authorizations"), CSRF: v.who.CSRF, Wrong: wrong[""], Providers: c.providerLinks("/authorizations/new")}
	for i := range p.Providers {
		p.Providers[i].Href = withReturn(v, p.Providers[i].Href)
	}
	if def, ok := c.only(providerName); ok {
		p.Provider, p.Help = def.Name, "Secrets are sealed on this server and never shown again. Type them anew if the form comes back."
		p.Fields = []field{{Name: "label", Label: "Label", Type: "text", Required: true, Value: v.post("label"), Error: wrong["label"], Help: "How you know these credentials, such as " + def.Title + " of your company."}}
		p.Settings = declared(v, "config.", def.AuthFields, wrong)
	}
	out.Body = p
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) createAuthorization(v visit) (view, error) {
	def, err := c.Catalog.Definition(v.post("provider"))
	if err != nil {
		return refused("/authorizations/new", err)
	}
	names := []string{"label"}
	for _, f := range def.AuthFields {
		names = append(names, "config."+f.Name)
	}
	a, err := c.Catalog.CreateAuthorization(v.Context(), def.Name, v.post("label"), values(v, "config.", def.AuthFields), v.who.Name)
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.authorizationForm(v, def.Name, wrong)
	}
	if back := returning(v, "auth", string(a.ID)); back != "" {
		return view{To: back, Said: flash{"ok", "Stored “" + a.Label + "”."}}, nil
	}
	return view{To: "/authorizations", Said: flash{"ok", "Stored “" + a.Label + "”. It is checked when a destination uses it."}}, nil
}
