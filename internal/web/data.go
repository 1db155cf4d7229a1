package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// loadLimit is how many uploads the page of data shows.
const loadLimit = 20

type dataPage struct {
	Streams []warehouse.StreamStat
	Schema  warehouse.Schema
	Loads   []loadRow
	Lookup  lookup
	Field   fieldForm
	Stream  field
	CSRF    string
	Wrong   string
}

type loadRow struct {
	ingest.LoadStatus
	Chip chip
}

type lookup struct {
	Field   field
	Value   field
	Asked   bool
	Found   []pair
	In      []string
	Missing string
}

// fieldForm is the form that declares or changes a profile field.
type fieldForm struct {
	Wrong                               string
	Name, Type, Merge, Rank, PII, About field
}

func (c *Console) registerData(mux *http.ServeMux) {
	c.page(mux, "/data", "data", func(v visit) (view, error) { return c.dataPage(v, nil, nil) })
	c.page(mux, "/data/streams/{id}", "", func(v visit) (view, error) { return c.streamPage(v, v.PathValue("id"), nil) })
	c.action(mux, "/data/streams", activation.RoleOperator, c.declareStream)
	c.action(mux, "/data/streams/{id}/mappings", activation.RoleOperator, c.declareMapping)
	c.action(mux, "/data/fields", activation.RoleOperator, c.declareField)
	c.action(mux, "/data/profile", activation.RoleViewer, c.lookUp)
	c.action(mux, "/data/rebuild", activation.RoleOperator, c.rebuild)
}

// dataPage is the page of data; found is what a look-up answered, and wrong
// what is wrong with the form that was sent.
func (c *Console) dataPage(v visit, found *lookup, wrong map[string]string) (view, error) {
	ctx := v.Context()
	p := dataPage{CSRF: v.who.CSRF, Wrong: wrong[""]}
	var err error
	if p.Streams, err = c.Warehouse.Streams(ctx); err != nil {
		return view{}, err
	}
	if p.Schema, err = c.Warehouse.Schema(ctx); err != nil {
		return view{}, err
	}
	loads, err := c.Loads.Recent(ctx, "", loadLimit)
	if err != nil {
		return view{}, err
	}
	for _, l := range loads {
		p.Loads = append(p.Loads, loadRow{l, loadChip(l.Status)})
	}
	if found != nil {
		p.Lookup = *found
	}
	p.Lookup.Field = field{Name: "field", Label: "Identifier", Type: "select"}
	for _, f := range p.Schema.Fields {
		if f.Rank > 0 {
			p.Lookup.Field.Options = append(p.Lookup.Field.Options, option{f.Name, f.Name, f.Name == v.post("field")})
		}
	}
	p.Lookup.Value = field{Name: "value", Label: "Value", Type: "text"}
	p.Field = newFieldForm(v, wrong)
	p.Stream = field{Name: "stream", Label: "Name", Type: "text", Required: true, Value: v.post("stream"), Error: wrong["stream"], Help: "Lower-case letters, digits and _, such as orders."}
	out := view{Template: "data", Title: "Data", Section: "/data", Page: "data", Regions: []string{"data-streams", "data-loads"}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func loadChip(s inbox.Status) chip {
	switch s {
	case inbox.Merged:
		return chip{"ok", "check", "Merged", false}
	case inbox.Failed:
		return chip{"bad", "alert-triangle", "Failed", false}
	}
	return chip{"run", "loader-2", sentenceWord(string(s)), false}
}

func sentenceWord(s string) string { return strings.TrimSuffix(sentence(s), ".") }

func newFieldForm(v visit, wrong map[string]string) fieldForm {
	words := func(chosen string, all ...string) []option {
		out := make([]option, len(all))
		for i, w := range all {
			out[i] = option{w, w, w == chosen}
		}
		return out
	}
	return fieldForm{
		Wrong: wrong["field-form"],
		Name:  field{Name: "name", Label: "Name", Type: "text", Required: true, Value: v.post("name"), Error: wrong["name"], Help: "Lower-case letters, digits and _. A name that exists is changed."},
		Type:  field{Name: "type", Label: "Type", Type: "select", Error: wrong["type"], Options: words(v.post("type"), "text", "integer", "number", "boolean", "time", "set")},
		Merge: field{Name: "merge", Label: "Several messages become", Type: "select", Error: wrong["merge"], Options: words(v.post("merge"), "latest", "first", "sum", "count", "min", "max", "set")},
		Rank:  field{Name: "identifier_rank", Label: "Identifier rank", Type: "number", Value: orText(v.post("identifier_rank"), "0"), Error: wrong["identifier_rank"], Help: "0: does not identify. 1: the strongest identifier."},
		PII:   field{Name: "pii", Label: "Personal", Type: "select", Options: []option{{"true", "Yes, shown masked", v.post("pii") != "false"}, {"false", "No", v.post("pii") == "false"}}},
		About: field{Name: "description", Label: "Description", Type: "text", Value: v.post("description")},
	}
}

func (c *Console) declareStream(v visit) (view, error) {
	name := v.post("stream")
	_, err := c.Catalog.Declare(v.Context(), warehouse.Schema{Streams: []warehouse.Stream{{Name: name}}})
	wrong, err := wrongFields(err, "stream", "name")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.dataPage(v, nil, map[string]string{"stream": allOf(wrong)})
	}
	return view{To: streamPath(name), Said: flash{"ok", "The stream “" + name + "” takes messages now."}}, nil
}

func (c *Console) declareField(v visit) (view, error) {
	rank, err := strconv.Atoi(orText(v.post("identifier_rank"), "0"))
	if err != nil || rank < 0 {
		return c.dataPage(v, nil, map[string]string{"identifier_rank": "Must be a whole number, 0 or more."})
	}
	f := warehouse.Field{
		Name: v.post("name"), Type: warehouse.FieldType(v.post("type")), Merge: warehouse.MergeRule(v.post("merge")), Rank: rank, PII: v.post("pii") != "false", Help: v.post("description"),
	}
	rebuild, err := c.Catalog.Declare(v.Context(), warehouse.Schema{Fields: []warehouse.Field{f}})
	wrong, err := wrongFields(err, "name", "type", "merge", "identifier_rank")
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		wrong["field-form"] = wrong[""]
		delete(wrong, "")
		return c.dataPage(v, nil, wrong)
	}
	return view{To: "/data", Said: saved(f.Name, rebuild)}, nil
}

// saved tells that something was declared, and whether a rebuild is owed.
func saved(name string, rebuild []string) flash {
	if len(rebuild) == 0 {
		return flash{"ok", "Saved “" + name + "”."}
	}
	return flash{"ok", "Saved “" + name + "”. Messages received before need a rebuild for " + strings.Join(rebuild, ", ") + "."}
}

// allOf is everything that is wrong, in one text.
func allOf(wrong map[string]string) string {
	var texts []string
	for _, t := range wrong {
		texts = append(texts, t)
	}
	return strings.Join(texts, " ")
}

func (c *Console) rebuild(v visit) (view, error) {
	begun := c.Now()
	if err := c.Warehouse.Rebuild(v.Context(), nil); err != nil {
		return refused("/data", err)
	}
	return view{To: "/data", Said: flash{"ok", "Rebuilt all profiles in " + dur(c.Now().Sub(begun)) + "."}}, nil
}

// lookUp finds one person by an identifier. The value is in the body alone, so
// that no log of addresses has it, and the audit log keeps who was looked at by
// profile number.
func (c *Console) lookUp(v visit) (view, error) {
	ctx := v.Context()
	found := lookup{Asked: true}
	p, err := c.Warehouse.Find(ctx, v.post("field"), v.post("value"))
	switch {
	case errors.Is(err, activation.ErrNotFound):
		found.Missing = "Nobody has this " + v.post("field") + "."
		return c.dataPage(v, &found, nil)
	case activation.KindOf(err) == activation.Invalid:
		found.Missing = sentence(reason(err))
		return c.dataPage(v, &found, nil)
	case err != nil:
		return view{}, err
	}
	if err := c.Store.AddAudit(ctx, activation.AuditEntry{Actor: v.who.Name, Verb: "lookup", SubjectType: "profile", SubjectID: strconv.FormatInt(p.ID, 10)}); err != nil {
		return view{}, err
	}
	schema, err := c.Warehouse.Schema(ctx)
	if err != nil {
		return view{}, err
	}
	columns, rows := table(schema, []warehouse.Profile{p})
	for i, name := range columns {
		found.Found = append(found.Found, pair{name, rows[0][i]})
	}
	found.In = p.Audiences
	return c.dataPage(v, &found, nil)
}

// cell is a value of a profile as text.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return utc(v)
	case []string:
		return strings.Join(v, ", ")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func streamPath(name string) string { return "/data/streams/" + url.PathEscape(name) }
