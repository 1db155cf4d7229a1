package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/expression"
	"usher/internal/warehouse"
)

// mappingPage is the editor of a stream's mappings: all of them are one form.
type mappingPage struct {
	Stream  warehouse.StreamStat
	Path    string
	CSRF    string
	Wrong   string
	Rows    []mappingRow
	Columns []columnRow
	Help    []functionHelp
	Preview *mappingPreview
	// Previews is false where nobody evaluates.
	Previews bool
	NoFields bool
}

// mappingRow is one field and what it is made of.
type mappingRow struct {
	N          int
	Options    []option
	Expression string
	Error      string
	field      string
}

// functionHelp is one function as the editor explains it.
type functionHelp struct{ Call, Gives string }

// functionsHelp are the functions of the mapping language, in the order of
// docs/expressions.md.
var functionsHelp = []functionHelp{
	{"lower(text), upper(text)", "in small or capital letters"},
	{"trim(text)", "without white space at both ends"},
	{"replace(text, old, new)", "every old one replaced"},
	{"substr(text, start, length)", "characters from start; 1 is the first, -1 the last"},
	{`split(text, ";", n)`, "the nth part"},
	{"length(text)", "how many characters"},
	{"concat(a, b, …)", "the values as one text"},
	{"text(value)", "a number, truth or time as text"},
	{`number(text), number(text, ",")`, "a number; with a decimal comma"},
	{"boolean(text)", "yes, true, y, t, 1 or their opposites"},
	{`date(text, "mdy")`, "a time; the order is mdy, dmy or ymd"},
	{`phone(text), phone(text, "US")`, "a phone number with its country code; that of the stream's country where none is given"},
	{"round(number, digits)", "rounded"},
	{`set(text, ",")`, "the set of the parts"},
	{"coalesce(a, b, …)", "the first that is not missing"},
	{"if(condition, then, else)", "one or the other"},
	{"exists(value)", "whether it is not missing"},
	{`lookup("stream", key, "column")`, "a column of the row with that key in a reference stream"},
}

func (c *Console) registerMapping(mux *http.ServeMux) {
	c.page(mux, "/data/streams/{id}/mappings", "", func(v visit) (view, error) { return c.mappingForm(v) })
	c.action(mux, "/data/streams/{id}/mappings", activation.RoleOperator, c.mappingsSent)
}

func mappingPath(stream string) string { return streamPath(stream) + "/mappings" }

// mappingForm is the editor with what is declared, and with a row for the column
// that the address names.
func (c *Console) mappingForm(v visit) (view, error) {
	st, schema, err := c.stream(v)
	if err != nil {
		return view{}, err
	}
	rows := mappingsOf(schema, st.Name)
	if column := v.get("column"); column != "" {
		m := warehouse.Mapping{Stream: st.Name, Expression: columnText(column)}
		if i := slices.IndexFunc(schema.Fields, func(f warehouse.Field) bool { return f.Name == strings.ToLower(column) }); i >= 0 {
			m.Field = schema.Fields[i].Name
		}
		rows = append(rows, m)
	}
	return c.mappingPage(v, st, schema, rows, nil, nil)
}

// columnText is a column as an expression.
func columnText(name string) string {
	if e, err := expression.Parse(name); err == nil {
		if columns := expression.Columns(e); len(columns) == 1 && columns[0] == name {
			return name
		}
	}
	return "`" + name + "`"
}

// mappingPage is the editor with these rows. wrong is by row, -1 = no row.
func (c *Console) mappingPage(v visit, st warehouse.StreamStat, schema warehouse.Schema, rows []warehouse.Mapping, wrong map[int]string, preview *mappingPreview) (view, error) {
	p := mappingPage{Stream: st, Path: mappingPath(st.Name), CSRF: v.who.CSRF, Wrong: wrong[-1], Help: functionsHelp, Preview: preview, Previews: c.Mapping != nil, NoFields: len(schema.Fields) == 0}
	if len(rows) == 0 {
		rows = []warehouse.Mapping{{}}
	}
	for i, m := range rows {
		row := mappingRow{N: i + 1, Expression: m.Expression, Error: wrong[i], field: m.Field, Options: []option{{"", "Choose a field", m.Field == ""}}}
		for _, f := range schema.Fields {
			row.Options = append(row.Options, option{f.Name, f.Name, f.Name == m.Field})
		}
		p.Rows = append(p.Rows, row)
	}
	p.Columns = columnsOf(st, rows)
	out := view{Template: "mapping", Title: "Mappings of " + st.Name, Section: "/data", Crumbs: []link{{"/data", "Data"}, {streamPath(st.Name), st.Name}}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// sentMappings are the rows of the form, as they were sent.
func sentMappings(v visit, stream string) (rows []warehouse.Mapping) {
	fields, expressions := v.PostForm["field"], v.PostForm["expression"]
	for i, e := range expressions {
		m := warehouse.Mapping{Stream: stream, Expression: strings.TrimSpace(e)}
		if i < len(fields) {
			m.Field = strings.TrimSpace(fields[i])
		}
		rows = append(rows, m)
	}
	return rows
}

// mappingsSent does what the pressed button says: a row more or less, a preview,
// or saving all.
func (c *Console) mappingsSent(v visit) (view, error) {
	st, schema, err := c.stream(v)
	if err != nil {
		return view{}, err
	}
	_ = v.PostFormValue("field") // reads the form
	rows := sentMappings(v, st.Name)
	verb, of, _ := strings.Cut(v.post("do"), ":")
	switch verb {
	case "add":
		m := warehouse.Mapping{Stream: st.Name}
		if of != "" {
			m.Expression = columnText(of)
		}
		return c.mappingPage(v, st, schema, append(rows, m), nil, nil)
	case "remove":
		if n, err := strconv.Atoi(of); err == nil && n >= 1 && n <= len(rows) {
			rows = slices.Delete(rows, n-1, n)
		}
		return c.mappingPage(v, st, schema, rows, nil, nil)
	}
	rows = slices.DeleteFunc(rows, func(m warehouse.Mapping) bool { return m.Field == "" && m.Expression == "" })
	if wrong := wrongMappings(rows); wrong != nil {
		return c.mappingPage(v, st, schema, rows, wrong, nil)
	}
	if verb == "preview" {
		return c.previewMappings(v, st, schema, rows)
	}
	rebuild, err := c.Catalog.DeclareStream(v.Context(), st.Stream, rows, v.who.Name)
	if wrong, err := mappingErrors(err, rows); err != nil || wrong != nil {
		if err != nil {
			return view{}, err
		}
		return c.mappingPage(v, st, schema, rows, wrong, nil)
	}
	c.drifts.drop(st.Name)
	return view{To: streamPath(st.Name), Said: saved("the mappings of "+st.Name, rebuild)}, nil
}

// wrongMappings are the mistakes that each row shows by itself, by row.
func wrongMappings(rows []warehouse.Mapping) map[int]string {
	wrong := map[int]string{}
	seen := map[string]bool{}
	for i, m := range rows {
		_, err := expression.Parse(m.Expression)
		switch {
		case m.Field == "":
			wrong[i] = "Choose the field that it becomes."
		case m.Expression == "":
			wrong[i] = "Give a column or an expression, or remove the row."
		case seen[m.Field]:
			wrong[i] = "The field " + m.Field + " has a mapping above already."
		case err != nil:
			wrong[i] = sentence(err.Error())
		}
		seen[m.Field] = true
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

// mappingErrors puts what a declaration is refused for at its row.
func mappingErrors(err error, rows []warehouse.Mapping) (map[int]string, error) {
	var names []string
	for _, m := range rows {
		names = append(names, m.Field)
	}
	byField, err := wrongFields(err, names...)
	if err != nil || byField == nil {
		return nil, err
	}
	wrong := map[int]string{}
	for name, text := range byField {
		wrong[slices.Index(names, name)] = text
	}
	return wrong, nil
}

// withMappings is what is declared with other mappings of one stream.
func withMappings(s warehouse.Schema, stream string, rows []warehouse.Mapping) warehouse.Schema {
	s.Mappings = slices.DeleteFunc(slices.Clone(s.Mappings), func(m warehouse.Mapping) bool { return m.Stream == stream })
	s.Mappings = append(s.Mappings, rows...)
	return s
}

func fieldPath(name string) string { return "/data/fields/" + url.PathEscape(name) }
