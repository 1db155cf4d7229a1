package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

type destinationsPage struct {
	Rows      []destinationRow
	Providers []link
}

type destinationRow struct {
	activation.Destination
	Logo, Type, Authorization string
	Mapping                   []pair
	Test                      button
}

type pair struct{ Name, Value string }

type authorizationsPage struct {
	Rows      []authorizationRow
	Providers []link
}

type authorizationRow struct {
	activation.Authorization
	Chip         chip
	Logo, Type   string
	Destinations []string
}

func (c *Console) registerDestinations(mux *http.ServeMux) {
	c.page(mux, "/destinations", "", c.destinations)
	c.page(mux, "/destinations/new", "", func(v visit) (view, error) { return c.destinationForm(v, v.get("provider"), nil) })
	c.action(mux, "/destinations", activation.RoleOperator, c.createDestination)
	c.action(mux, "/destinations/{id}/test", activation.RoleOperator, c.testDestination)
	c.page(mux, "/authorizations", "", c.authorizations)
	c.page(mux, "/authorizations/new", "", func(v visit) (view, error) { return c.authorizationForm(v, v.get("provider"), nil) })
	c.action(mux, "/authorizations", activation.RoleAdmin, c.createAuthorization)
}

// providerLinks lead to the form of each provider; of a destination, to those
// that keep audiences.
func (c *Console) providerLinks(path string) []link {
	var out []link
	for _, d := range c.Providers {
		if path != "/destinations/new" || d.NewDestination != nil {
			out = append(out, link{path + "?provider=" + url.QueryEscape(d.Name), d.Title})
		}
	}
	return out
}

// keeper returns the name of the one provider that keeps audiences where none
// was chosen and there is one.
func (c *Console) keeper(chosen string) string {
	var all []string
	for _, d := range c.Providers {
		if d.NewDestination != nil {
			all = append(all, d.Name)
		}
	}
	if chosen == "" && len(all) == 1 {
		return all[0]
	}
	return chosen
}

func (c *Console) destinations(v visit) (view, error) {
	list, err := c.Store.Destinations(v.Context())
	if err != nil {
		return view{}, err
	}
	auths, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return view{}, err
	}
	p := destinationsPage{Providers: c.providerLinks("/destinations/new")}
	for _, d := range list {
		row := destinationRow{Destination: d, Logo: logo(d.Provider), Type: typeOf(c.Providers, d.Provider), Test: v.press("/destinations/"+url.PathEscape(string(d.ID))+"/test", "Test", "plug-connected").as("btn-s")}
		for _, a := range auths {
			if a.ID == d.Authorization {
				row.Authorization = a.Label
			}
		}
		for name, f := range d.Mapping {
			row.Mapping = append(row.Mapping, pair{name, f})
		}
		slices.SortFunc(row.Mapping, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
		p.Rows = append(p.Rows, row)
	}
	return view{Template: "destinations", Title: "Destinations", Section: "/destinations", Body: p}, nil
}

func (c *Console) testDestination(v visit) (view, error) {
	const to = "/destinations"
	id := activation.DestinationID(v.PathValue("id"))
	if err := c.Catalog.TestDestination(v.Context(), id); err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", "The network accepts credentials and account. Nothing was written there."}}, nil
}

type accountPage struct {
	Title, Help, Provider, CSRF, Wrong, To string
	Fields, Settings, Mapping              []field
	MappingWrong                           string
	Providers                              []link
	Missing                                []link
}

// destinationForm is the form of a new destination: account, settings, and one
// select of profile fields per match key of the network.
func (c *Console) destinationForm(v visit, providerName string, wrong map[string]string) (view, error) {
	out := view{Template: "account-new", Title: "New destination", Section: "/destinations", Crumbs: []link{{"/destinations", "Destinations"}}}
	p := accountPage{Title: out.Title, To: withReturn(v, "/destinations"), CSRF: v.who.CSRF, Wrong: wrong[""], MappingWrong: wrong["mapping"], Providers: c.providerLinks("/destinations/new")}
	def, ok := c.only(c.keeper(providerName))
	if !ok {
		out.Body = p
		return out, nil
	}
	auths, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return view{}, err
	}
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return view{}, err
	}
	p.Provider, p.Help = def.Name, def.Description
	auth := field{Name: "auth_id", Label: "Authorization", Type: "select", Required: true, Error: wrong["auth_id"]}
	for _, a := range auths {
		if a.Provider == def.Name {
			auth.Options = append(auth.Options, option{string(a.ID), a.Label, string(a.ID) == orText(v.post("auth_id"), v.get("auth"))})
		}
	}
	if len(auth.Options) == 0 {
		p.Missing = append(p.Missing, link{"/authorizations/new?provider=" + url.QueryEscape(def.Name) + "&return=" + url.QueryEscape(withReturn(v, "/destinations/new?provider="+url.QueryEscape(def.Name))), "Store credentials first"})
	}
	p.Fields = []field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: v.post("name"), Error: wrong["name"]},
		auth,
		{Name: "account", Label: "Account", Type: "text", Required: true, Value: v.post("account"), Error: wrong["account"], Help: def.AccountHelp},
	}
	p.Settings = declared(v, "config.", def.DestinationFields, wrong)
	options := []option{{"", "Not sent", false}}
	for _, f := range schema.Fields {
		options = append(options, option{f.Name, f.Name, false})
	}
	for _, k := range def.RuleSet.Keys {
		name := "mapping." + k.Name
		p.Mapping = append(p.Mapping, field{Name: name, Label: k.Name, Help: k.Help, Type: "select", Error: wrong[name], Options: choose(options, v.post(name))})
	}
	out.Body = p
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// only returns the named provider, or the one there is when none is named.
func (c *Console) only(name string) (provider.Definition, bool) {
	if name == "" && len(c.Providers) == 1 {
		return c.Providers[0], true
	}
	i := slices.IndexFunc(c.Providers, func(d provider.Definition) bool { return d.Name == name })
	if i < 0 {
		return provider.Definition{}, false
	}
	return c.Providers[i], true
}

func (c *Console) createDestination(v visit) (view, error) {
	def, err := c.Catalog.Definition(v.post("provider"))
	if err != nil {
		return refused("/destinations/new", err)
	}
	names := []string{"name", "account", "auth_id", "mapping"}
	mapping := map[string]string{}
	for _, k := range def.RuleSet.Keys {
		names = append(names, "mapping."+k.Name)
		if f := v.post("mapping." + k.Name); f != "" {
			mapping[k.Name] = f
		}
	}
	for _, f := range def.DestinationFields {
		names = append(names, "config."+f.Name)
	}
	d, err := c.Catalog.CreateDestination(v.Context(), activation.Destination{
		Name: v.post("name"), Provider: def.Name, Authorization: activation.AuthorizationID(v.post("auth_id")), Account: v.post("account"),
		Mapping: mapping, Config: values(v, "config.", def.DestinationFields),
	}, v.who.Name)
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.destinationForm(v, def.Name, wrong)
	}
	if back := returning(v, "destination", string(d.ID)); back != "" {
		return view{To: back, Said: flash{"ok", "Saved “" + d.Name + "”."}}, nil
	}
	return view{To: "/destinations", Said: flash{"ok", "Saved “" + d.Name + "”. Test it before the first job."}}, nil
}
