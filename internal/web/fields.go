package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

type fieldsPage struct {
	CSRF     string
	Fields   []fieldRow
	Form     fieldForm
	Identity identityForm
	Facts    identityFacts
	// Delete takes the field in the form away; nil for a new one.
	Delete *ask
}

// fieldRow is a field with the streams that feed it.
type fieldRow struct {
	warehouse.Field
	Path string
	From []string
}

// fieldForm is the form that declares or changes a profile field.
type fieldForm struct {
	Wrong                                       string
	Name, Type, Merge, Rank, PII, Public, About field
	// New is false where a field is changed; Sure is what its change means, "" =
	// not asked yet.
	New  bool
	Sure []string
	Path string
}

// identityForm is how people are told apart.
type identityForm struct {
	Wrong      string
	Most, Stop field
	Sure       []string
}

func (c *Console) registerFields(mux *http.ServeMux) {
	c.page(mux, "/data/fields", "", func(v visit) (view, error) { return c.fieldsPage(v, "", nil, nil) })
	c.page(mux, "/data/fields/{name}", "", func(v visit) (view, error) { return c.fieldsPage(v, v.PathValue("name"), nil, nil) })
	c.action(mux, "/data/fields", activation.RoleOperator, c.declareField)
	c.action(mux, "/data/fields/{name}/delete", activation.RoleOperator, c.deleteField)
	c.action(mux, "/data/identity", activation.RoleOperator, c.declareIdentity)
}

// fieldsPage lists the fields; name is the one in the form, "" = a new one. wrong
// is what is wrong with a form that was sent, sure what saving it means.
func (c *Console) fieldsPage(v visit, name string, wrong map[string]string, sure []string) (view, error) {
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return view{}, err
	}
	i := slices.IndexFunc(schema.Fields, func(f warehouse.Field) bool { return f.Name == name })
	if name != "" && i < 0 && v.Method == http.MethodGet {
		return view{}, activation.ErrNotFound
	}
	p := fieldsPage{CSRF: v.who.CSRF, Facts: identityOf(schema)}
	for _, f := range schema.Fields {
		row := fieldRow{Field: f, Path: fieldPath(f.Name)}
		for _, m := range schema.Mappings {
			if m.Field == f.Name {
				row.From = append(row.From, m.Stream)
			}
		}
		p.Fields = append(p.Fields, row)
	}
	var f warehouse.Field
	if i >= 0 {
		f = schema.Fields[i]
		if p.Delete, err = c.askToDelete(v, schema, name); err != nil {
			return view{}, err
		}
	}
	ofField := v.PathValue("name") != "" || v.Pattern != "POST /data/identity"
	p.Form = newFieldForm(v, f, i < 0, wrong)
	p.Identity = newIdentityForm(v, schema.Identity, wrong)
	if ofField {
		p.Form.Sure = sure
	} else {
		p.Identity.Sure = sure
	}
	out := view{Template: "fields", Title: "Fields and identity", Section: "/data", Crumbs: []link{{"/data", "Data"}}, Body: p}
	if name != "" {
		out.Title, out.Crumbs = name, append(out.Crumbs, link{"/data/fields", "Fields and identity"})
	}
	switch {
	case wrong != nil:
		out.Status = http.StatusBadRequest
	case sure != nil:
		out.Status = http.StatusConflict
	}
	return out, nil
}

// askToDelete is the button that deletes a field, withheld while something uses it.
func (c *Console) askToDelete(v visit, schema warehouse.Schema, name string) (*ask, error) {
	users, err := c.Catalog.FieldUsers(v.Context(), schema, name)
	if err != nil {
		return nil, err
	}
	b := v.press(fieldPath(name)+"/delete", "Delete field", "trash")
	if len(users) > 0 {
		b.Withheld = orText(b.Withheld, "It is in use: "+strings.Join(users, ", "))
	}
	return askFirst("delete", "Delete the field "+name+"?", b, "Keep it", "Nothing uses it. Messages stay as they were received, so that it can be declared and mapped again.").grave(), nil
}

func (c *Console) deleteField(v visit) (view, error) {
	name := v.PathValue("name")
	if err := c.Catalog.DeleteField(v.Context(), name, v.who.Name); err != nil {
		return refused(fieldPath(name), err)
	}
	return view{To: "/data/fields", Said: flash{"ok", "The field “" + name + "” is deleted."}}, nil
}

func newFieldForm(v visit, f warehouse.Field, isNew bool, wrong map[string]string) fieldForm {
	shown := map[string]string{
		"name": orText(f.Name, v.get("name")), "type": string(f.Type), "merge": string(f.Merge), "identifier_rank": strconv.Itoa(f.Rank), "description": f.Help,
		"pii": strconv.FormatBool(f.PII || isNew), "public": strconv.FormatBool(f.Public),
	}
	if rank := v.get("rank"); isNew && rank != "" {
		shown["identifier_rank"] = rank
	}
	if v.Pattern == "POST /data/fields" {
		for name := range shown {
			shown[name] = v.post(name)
		}
	}
	words := func(chosen string, all ...string) []option {
		out := make([]option, len(all))
		for i, w := range all {
			out[i] = option{w, w, w == chosen}
		}
		return out
	}
	form := fieldForm{
		New: isNew, Path: "/data/fields", Wrong: wrong["field-form"],
		Name:   field{Name: "name", Label: "Name", Type: "text", Required: true, Value: shown["name"], Error: wrong["name"], Help: "Lower-case letters, digits and _. A name that exists is changed."},
		Type:   field{Name: "type", Label: "Type", Type: "select", Error: wrong["type"], Options: words(shown["type"], "text", "integer", "number", "boolean", "time", "set")},
		Merge:  field{Name: "merge", Label: "Several messages become", Type: "select", Error: wrong["merge"], Options: words(shown["merge"], "latest", "first", "sum", "count", "min", "max", "set"), Help: "The latest by the time of the message, in whatever order they come."},
		Rank:   field{Name: "identifier_rank", Label: "Identifier rank", Type: "number", Value: orText(shown["identifier_rank"], "0"), Error: wrong["identifier_rank"], Help: "0: does not identify. 1: the strongest identifier. A change tells everybody apart anew."},
		PII:    field{Name: "pii", Label: "Personal", Type: "select", Options: choose([]option{{"true", "Yes, shown masked", false}, {"false", "No", false}}, orText(shown["pii"], "true"))},
		Public: field{Name: "public", Label: "Sites may read it", Type: "select", Error: wrong["public"], Options: choose([]option{{"false", "No", false}, {"true", "Yes, without a sign-in", false}}, orText(shown["public"], "false"))},
		About:  field{Name: "description", Label: "Description", Type: "text", Value: shown["description"]},
	}
	return form
}

func newIdentityForm(v visit, now warehouse.Identity, wrong map[string]string) identityForm {
	most, stop := "", strings.Join(now.StopList, "\n")
	if now.MaxIdentifiers > 0 {
		most = strconv.Itoa(now.MaxIdentifiers)
	}
	if v.Pattern == "POST /data/identity" {
		most, stop = v.post("max_identifiers"), strings.TrimSpace(v.PostFormValue("stop_list"))
	}
	return identityForm{
		Wrong: wrong["identity-form"],
		Most: field{
			Name: "max_identifiers", Label: "Identifier values of one person, at most", Type: "number", Value: most, Example: strconv.Itoa(warehouse.DefaultMaxIdentifiers), Error: wrong["max_identifiers"],
			Help: "A value that would link more is left unlinked, and the merge history says so. Without a number, " + strconv.Itoa(warehouse.DefaultMaxIdentifiers) + ".",
		},
		Stop: field{
			Name: "stop_list", Label: "Values that identify nobody", Type: "textarea", Rows: 4, Value: stop, Error: wrong["stop_list"],
			Help: "One a line, such as the address of a shop's till. Left out by themselves: " + strings.Join(warehouse.Placeholders, ", ") + ".",
		},
	}
}

func (c *Console) declareField(v visit) (view, error) {
	name := v.post("name")
	rank, err := strconv.Atoi(orText(v.post("identifier_rank"), "0"))
	if err != nil || rank < 0 {
		return c.fieldsPage(v, name, map[string]string{"identifier_rank": "Must be a whole number, 0 or more."}, nil)
	}
	f := warehouse.Field{
		Name: name, Type: warehouse.FieldType(v.post("type")), Merge: warehouse.MergeRule(v.post("merge")), Rank: rank,
		PII: v.post("pii") != "false", Public: v.post("public") == "true", Help: v.post("description"),
	}
	add := warehouse.Schema{Fields: []warehouse.Field{f}}
	if v.post("sure") == "" {
		sure, err := c.whatChangesMean(v, f)
		if wrong, err := fieldErrors(err); err != nil || wrong != nil {
			if err != nil {
				return view{}, err
			}
			return c.fieldsPage(v, name, wrong, nil)
		}
		if sure != nil {
			return c.fieldsPage(v, name, nil, sure)
		}
	}
	rebuild, err := c.Catalog.Declare(v.Context(), add, v.who.Name)
	wrong, err := fieldErrors(err)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.fieldsPage(v, name, wrong, nil)
	}
	return view{To: "/data/fields", Said: saved(f.Name, rebuild)}, nil
}

// fieldErrors is wrongFields for a field: what names no part of it is about all.
func fieldErrors(err error) (map[string]string, error) {
	wrong, err := wrongFields(err, "name", "type", "merge", "identifier_rank", "public")
	if wrong != nil && wrong[""] != "" {
		wrong["field-form"] = wrong[""]
		delete(wrong, "")
	}
	return wrong, err
}

// whatChangesMean says what saving a field would mean, nil where nothing that is
// worth asking about.
func (c *Console) whatChangesMean(v visit, f warehouse.Field) ([]string, error) {
	schema, err := c.Warehouse.Schema(v.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(schema.Fields, func(o warehouse.Field) bool { return o.Name == f.Name })
	if i < 0 {
		return nil, nil // nothing is made of it yet
	}
	before := schema.Fields[i]
	schema.Fields = slices.Clone(schema.Fields)
	schema.Fields[i] = f
	_, rebuild, err := c.Warehouse.Preview(v.Context(), schema)
	if err != nil {
		return nil, err
	}
	var means []string
	if before.Rank != f.Rank {
		means = append(means, "Who is one person is decided by identifiers: with “"+f.Name+"” as "+rankText(f.Rank)+" instead of "+rankText(before.Rank)+", the next rebuild may join people and part them, and jobs send what differs.")
	}
	if slices.Contains(rebuild, f.Name) {
		means = append(means, "What messages received before say of it is read anew at the next rebuild; until then the old values stand. "+c.rebuildCost(v))
	}
	if before.PII && !f.PII {
		means = append(means, "Its values are no longer masked for anybody.")
	}
	if f.Public && !before.Public {
		means = append(means, "Sites may read it of their visitors, without a sign-in.")
	}
	return means, nil
}

func rankText(rank int) string {
	if rank == 0 {
		return "no identifier"
	}
	return "identifier of rank " + strconv.Itoa(rank)
}

// rebuildCost says what a rebuild costs, "" where that is not known.
func (c *Console) rebuildCost(v visit) string {
	if c.Rebuilds == nil {
		return ""
	}
	cost, err := c.Rebuilds.Cost(v.Context())
	if err != nil {
		return ""
	}
	return costText(cost)
}

// identityCap is the highest number of identifier values that a person may have.
const identityCap = 10000

func (c *Console) declareIdentity(v visit) (view, error) {
	var want warehouse.Identity
	if text := v.post("max_identifiers"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > identityCap {
			return c.fieldsPage(v, "", map[string]string{"max_identifiers": "Must be a whole number from 1 to " + num(identityCap) + "."}, nil)
		}
		want.MaxIdentifiers = n
	}
	for _, line := range strings.Split(v.PostFormValue("stop_list"), "\n") {
		if line = strings.ToLower(strings.TrimSpace(line)); line != "" && !slices.Contains(want.StopList, line) {
			want.StopList = append(want.StopList, line)
		}
	}
	if v.post("sure") == "" {
		return c.fieldsPage(v, "", nil, []string{"Everybody is told apart anew at the next rebuild: people may be joined and parted, and jobs send what differs. " + c.rebuildCost(v)})
	}
	rebuild, err := c.Catalog.SetIdentity(v.Context(), want, v.who.Name)
	var e *activation.Error
	if errors.As(err, &e) && e.Kind == activation.Invalid && !contains([]string{"max_identifiers", "stop_list"}, e.Field) {
		return c.fieldsPage(v, "", map[string]string{"identity-form": sentence(e.Message)}, nil)
	}
	wrong, err := wrongFields(err, "max_identifiers", "stop_list")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.fieldsPage(v, "", wrong, nil)
	}
	return view{To: "/data/fields", Said: saved("how people are told apart", rebuild)}, nil
}
