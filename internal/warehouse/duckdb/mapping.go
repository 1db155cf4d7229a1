package duckdb

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/expression"
	"usher/internal/warehouse"
)

// streamMappings are the mappings of one stream, compiled for the columns there
// are now. Their SQL is over a row m of the stream and the rows that joins add.
type streamMappings struct {
	fields   []mapped
	lookups  []lookup
	identity warehouse.Identity
}

// mapped is one mapping.
type mapped struct {
	field warehouse.Field
	// value is SQL for the value in the field's type, NULL when there is none
	// or it can't be one.
	value string
	// unparsed is SQL that is true when there is a value that can't be one of
	// the field's type.
	unparsed string
}

// lookup is one row that mappings of a stream look up.
type lookup struct {
	stream string // the reference stream
	table  string
	alias  string
	text   string // the key looked up, as the mapping has it
	key    string // the same as SQL
}

// sqlTypes are the column types of fields.
var sqlTypes = map[warehouse.FieldType]string{
	warehouse.Text:    "VARCHAR",
	warehouse.Integer: "BIGINT",
	warehouse.Number:  "DOUBLE",
	warehouse.Boolean: "BOOLEAN",
	warehouse.Time:    "TIMESTAMP",
	warehouse.TextSet: "VARCHAR[]",
}

// compileAll compiles every mapping of a declaration against the tables of sc,
// by stream. Errors are Invalid and name the field.
func compileAll(sc *schema, declared warehouse.Schema) (map[string]*streamMappings, error) {
	out := make(map[string]*streamMappings)
	for _, st := range sc.streams {
		out[st.Name] = &streamMappings{identity: declared.Identity}
	}
	for _, m := range declared.Mappings {
		f, _ := findField(declared.Fields, m.Field)
		if err := out[m.Stream].add(sc, sc.streams[m.Stream], f, m.Expression); err != nil {
			return nil, &activation.Error{
				Kind: activation.Invalid, Code: codeSchema, Field: m.Field,
				Message: fmt.Sprintf("mapping of stream %q to field %q: %v", m.Stream, m.Field, err),
			}
		}
	}
	return out, nil
}

// add compiles one mapping.
func (s *streamMappings) add(sc *schema, st stream, f warehouse.Field, text string) error {
	e, err := expression.Parse(text)
	if err != nil {
		return err
	}
	if f.Rank > 0 && len(expression.Lookups(e)) > 0 {
		return fmt.Errorf("an identifier can't be looked up, for who a person is would change with the other stream")
	}
	known := len(s.lookups)
	want := expression.Type(f.Type)
	if f.Merge == warehouse.Count {
		want = e.Type()
	}
	c, err := expression.CompileAs(e, want, expression.Options{
		LaterColumns: true,
		PhoneCountry: st.PhoneCountry,
		Columns: func(name string) (string, bool) {
			column := st.column(name)
			return "m." + column, column != ""
		},
		Lookup: func(l expression.Lookup) (string, error) { return s.lookUp(sc, l) },
	})
	if err != nil {
		return err
	}
	m := mapped{field: f, value: inline(c.SQL, c.Args), unparsed: inline(c.UnparsedSQL, c.Args)}
	for i := range s.lookups[known:] {
		s.lookups[known+i].key = inline(s.lookups[known+i].key, c.Args)
	}
	switch {
	case f.Rank > 0:
		m = identifierMapping(m)
	case f.Merge == warehouse.Count:
		m.value = "CASE WHEN (" + m.value + ") IS NOT NULL THEN 1::BIGINT END"
	}
	s.fields = append(s.fields, m)
	return nil
}

// lookUp returns the SQL of a column of a reference row. Uses of one row share it.
func (s *streamMappings) lookUp(sc *schema, l expression.Lookup) (string, error) {
	ref, ok := sc.streams[l.Stream]
	switch {
	case !ok:
		return "", fmt.Errorf("the stream is not declared")
	case ref.ReferenceKey == "":
		return "", fmt.Errorf("it is not a reference stream: declare its reference key")
	}
	i := slices.IndexFunc(s.lookups, func(have lookup) bool { return have.stream == l.Stream && have.text == l.Key })
	if i < 0 {
		i = len(s.lookups)
		s.lookups = append(s.lookups, lookup{stream: l.Stream, table: ref.reference(), alias: fmt.Sprintf("look%d", i), text: l.Key, key: l.KeySQL})
	}
	column := ref.column(l.Column)
	if column == "" {
		return "NULL::VARCHAR", nil
	}
	return s.lookups[i].alias + "." + column, nil
}

// joins returns the joins that bring in the reference rows looked up, "" = none.
func (s *streamMappings) joins() string {
	var b strings.Builder
	for _, l := range s.lookups {
		fmt.Fprintf(&b, " LEFT JOIN %s %s ON %s._key = trim(%s)", l.table, l.alias, l.alias, l.key)
	}
	return b.String()
}

// identifiers returns the mappings that find a profile.
func (s *streamMappings) identifiers() []mapped {
	var out []mapped
	for _, m := range s.fields {
		if m.field.Rank > 0 {
			out = append(out, m)
		}
	}
	return out
}

var parameter = regexp.MustCompile(`CAST\(\$[0-9]+ AS `)

// inline puts literals in the place of parameters: the SQL of many mappings
// becomes one statement. Outside of parameters an expression's SQL holds no text
// of its user, so nothing else looks like one.
func inline(sql string, args []any) string {
	return parameter.ReplaceAllStringFunc(sql, func(p string) string {
		var n int
		if _, err := fmt.Sscanf(p, "CAST($%d AS ", &n); err != nil || n < 1 || n > len(args) {
			return p
		}
		text := fmt.Sprint(args[n-1])
		if v, ok := args[n-1].(float64); ok {
			text = strconv.FormatFloat(v, 'g', -1, 64)
		}
		return "CAST(" + literal(text) + " AS "
	})
}

// columnsRead returns the columns of a stream that a mapping reads, in its own
// messages or by looking them up.
func columnsRead(m warehouse.Mapping, stream string) []string {
	e, err := expression.Parse(m.Expression)
	if err != nil {
		return nil // Apply stores none that can't be read
	}
	if m.Stream == stream {
		return expression.Columns(e)
	}
	var columns []string
	for _, l := range expression.Lookups(e) {
		if l.Stream == stream {
			columns = append(columns, l.Column)
		}
	}
	return columns
}
