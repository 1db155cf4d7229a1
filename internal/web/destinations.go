package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

type destinationsPage struct {
	Rows      []destinationRow
	Providers []link
}

// destinationRow is a destination as the list shows it, with how it is.
type destinationRow struct {
	activation.Destination
	Path, Logo, Type string
	Chip, Health     chip
	Authorization    link
	Reason           string
	Mapping          []pair
	Targets          int
	People           int64
	Test             button
}

type pair struct{ Name, Value string }

func (c *Console) registerDestinations(mux *http.ServeMux) {
	c.page(mux, "/destinations", "", c.destinations)
	c.page(mux, "/destinations/new", "", func(v visit) (view, error) { return c.destinationForm(v, v.get("provider"), nil) })
	c.action(mux, "/destinations", activation.RoleOperator, c.createDestination)
	c.action(mux, "/destinations/{id}/test", activation.RoleOperator, c.testDestination)
	c.page(mux, "/destinations/{id}", "", func(v visit) (view, error) { return c.destination(v, nil, nil) })
	c.action(mux, "/destinations/{id}", activation.RoleOperator, c.editDestination)
	c.action(mux, "/destinations/{id}/switch", activation.RoleOperator, c.switchDestination)
	c.action(mux, "/destinations/{id}/delete", activation.RoleOperator, c.deleteDestination)
	c.action(mux, "/destinations/{id}/targets/{target}/release", activation.RoleOperator, c.releaseAt)
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
	targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{})
	if err != nil {
		return view{}, err
	}
	for _, d := range list {
		row := c.destinationRow(v, d, auths)
		for _, t := range targets {
			if t.Destination == d.ID {
				row.Targets++
				row.People += t.Holdings.In + t.Holdings.Maybe
			}
		}
		p.Rows = append(p.Rows, row)
	}
	return view{Template: "destinations", Title: "Destinations", Section: "/destinations", Body: p}, nil
}

func destinationPath(id activation.DestinationID) string {
	return "/destinations/" + url.PathEscape(string(id))
}

func (c *Console) destinationRow(v visit, d activation.Destination, auths []activation.Authorization) destinationRow {
	row := destinationRow{
		Destination: d, Path: destinationPath(d.ID), Logo: c.logo(d.Provider), Type: typeOf(c.Providers, d.Provider), Chip: chip{"ok", "check", "On", false},
		Test: v.press(destinationPath(d.ID)+"/test", "Test", "plug-connected").as("btn-s"),
	}
	if !d.Enabled {
		row.Chip = chip{"off", "player-pause", "Switched off", false}
	}
	for _, a := range auths {
		if a.ID == d.Authorization {
			row.Authorization, row.Health, row.Reason = link{authorizationPath(a.ID), a.Label}, authChip(a.Status), a.Reason
		}
	}
	for name, f := range d.Mapping {
		row.Mapping = append(row.Mapping, pair{name, f})
	}
	slices.SortFunc(row.Mapping, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return row
}

// testDestination proves credentials and account, and says so where the person
// was: on the page of the destination, or on the list.
func (c *Console) testDestination(v visit) (view, error) {
	id := activation.DestinationID(v.PathValue("id"))
	to := "/destinations"
	if v.post("here") != "" {
		to = destinationPath(id)
	}
	if err := c.Catalog.TestDestination(v.Context(), id); err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", "The network accepts credentials and account. Nothing was written there."}}, nil
}

type accountPage struct {
	Title, Help, Provider, CSRF, Wrong, To string
	Fields, Settings, Mapping              []field
	MappingWrong                           string
	Open                                   bool
	Providers                              []link
	Missing                                []link
	// Connect is the network that a person can be sent to, "" for none; Again
	// brings back what was typed before a refusal.
	Connect, Again string
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
	p.Provider, p.Help, p.Open = def.Name, def.Description, def.OpenColumns != nil
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
	if def.NoAuth() {
		p.Fields, p.Missing = slices.Delete(p.Fields, 1, 2), nil
	}
	if def.AccountHelp == "" {
		p.Fields = p.Fields[:len(p.Fields)-1]
	}
	p.Settings = declared(v.post, "config.", def.DestinationFields, wrong)
	p.Mapping = mappingFields(def, schema, postedMapping(v, def), wrong)
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

// mappingFields are one select of profile fields per match key of the network.
func mappingFields(def provider.Definition, schema warehouse.Schema, chosen map[string]string, wrong map[string]string) []field {
	options := []option{{"", "Not sent", false}}
	for _, f := range schema.Fields {
		options = append(options, option{f.Name, f.Name, false})
	}
	if def.OpenColumns != nil {
		return []field{columnsField(shown(def, schema), chosen, wrong)}
	}
	var out []field
	for _, k := range def.RuleSet.Keys {
		name := "mapping." + k.Name
		out = append(out, field{Name: name, Label: k.Name, Help: k.Help, Type: "select", Error: wrong[name], Options: choose(options, chosen[k.Name])})
	}
	return out
}

// columnsField is the mapping of a destination that takes any columns: one a
// line, at first every profile field under its own name.
func columnsField(schema warehouse.Schema, chosen, wrong map[string]string) field {
	if len(chosen) == 0 {
		chosen = map[string]string{}
		for _, f := range schema.Fields {
			chosen[f.Name] = f.Name
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		line := name
		if chosen[name] != name {
			line += " = " + chosen[name]
		}
		lines = append(lines, line)
		if text := wrong["mapping."+name]; text != "" {
			wrong[mappingColumns] = strings.TrimSpace(wrong[mappingColumns] + " " + name + ": " + text)
		}
	}
	return field{
		Name: mappingColumns, Label: "Columns", Type: "textarea", Rows: min(max(4, len(lines)+1), 16), Value: strings.Join(lines, "\n"), Error: wrong[mappingColumns],
		Help: "One column a line, as column = profile field; the field alone where both have the same name.",
	}
}

// mappingColumns is the input of a mapping whose columns people name.
const mappingColumns = "mapping_columns"

// postedMapping is the mapping that a form holds.
func postedMapping(v visit, def provider.Definition) map[string]string {
	out := map[string]string{}
	if def.OpenColumns != nil {
		for line := range strings.Lines(v.post(mappingColumns)) {
			name, from, two := strings.Cut(line, "=")
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if out[name] = name; two {
				out[name] = strings.TrimSpace(from)
			}
		}
		return out
	}
	for _, k := range def.RuleSet.Keys {
		if f := v.post("mapping." + k.Name); f != "" {
			out[k.Name] = f
		}
	}
	return out
}

// declaredNames are the inputs of a destination that its provider declares.
func declaredNames(def provider.Definition, mapping map[string]string) []string {
	var out []string
	for _, k := range def.RuleSet.Keys {
		out = append(out, "mapping."+k.Name)
	}
	for name := range mapping {
		out = append(out, "mapping."+name)
	}
	for _, f := range def.DestinationFields {
		out = append(out, "config."+f.Name)
	}
	return out
}

func (c *Console) createDestination(v visit) (view, error) {
	def, err := c.Catalog.Definition(v.post("provider"))
	if err != nil {
		return refused("/destinations/new", err)
	}
	names := []string{"name", "account", "auth_id", "mapping"}
	names = append(names, declaredNames(def, postedMapping(v, def))...)
	d, err := c.Catalog.CreateDestination(v.Context(), activation.Destination{
		Name: v.post("name"), Provider: def.Name, Authorization: activation.AuthorizationID(v.post("auth_id")), Account: v.post("account"),
		Mapping: postedMapping(v, def), Config: values(v, "config.", def.DestinationFields),
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
