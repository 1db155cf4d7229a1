package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// SchemaStore keeps what is declared about the data. warehouse.Ingest is one.
type SchemaStore interface {
	SchemaReader
	Apply(ctx context.Context, s warehouse.Schema) (rebuild []string, err error)
}

// DeclareSchema checks a declaration and makes it so: what it does not name stays
// as it is, and a stream that it names has exactly the mappings given here. The
// names of the fields that change only with the next rebuild come back. Every fault found is in the
// error, each as an Invalid activation.Error that names its place.
func DeclareSchema(ctx context.Context, store SchemaStore, s warehouse.Schema) (rebuild []string, err error) {
	present, err := store.Schema(ctx)
	if err != nil {
		return nil, fmt.Errorf("declare schema: %w", err)
	}
	s.Fields = withMergeRules(s.Fields)
	if err := CheckSchema(s, present); err != nil {
		return nil, fmt.Errorf("declare schema: %w", err)
	}
	rebuild, err = store.Apply(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("declare schema: %w", err)
	}
	return rebuild, nil
}

// ExtendSchema declares one thing more, or a few: what is in add is added to the
// present schema or replaces what has the same name there. Unlike with
// DeclareSchema, a stream keeps the mappings that add does not name.
func ExtendSchema(ctx context.Context, store SchemaStore, add warehouse.Schema) (rebuild []string, err error) {
	present, err := store.Schema(ctx)
	if err != nil {
		return nil, fmt.Errorf("extend schema: %w", err)
	}
	return DeclareSchema(ctx, store, MergeSchemas(present, add))
}

// withMergeRules fills in the rule of fields that name none: set for sets, else
// latest.
func withMergeRules(fields []warehouse.Field) []warehouse.Field {
	out := slices.Clone(fields)
	for i := range out {
		switch {
		case out[i].Merge != "":
		case out[i].Type == warehouse.TextSet:
			out[i].Merge = warehouse.Set
		default:
			out[i].Merge = warehouse.Latest
		}
	}
	return out
}

// MergeSchemas returns base with everything of add in it. A field or stream of
// the same name and a mapping of the same stream and field are replaced.
func MergeSchemas(base, add warehouse.Schema) warehouse.Schema {
	return warehouse.Schema{
		Fields:  mergeBy(base.Fields, add.Fields, func(f warehouse.Field) string { return f.Name }),
		Streams: mergeBy(base.Streams, add.Streams, func(s warehouse.Stream) string { return s.Name }),
		Mappings: mergeBy(base.Mappings, add.Mappings, func(m warehouse.Mapping) [2]string {
			return [2]string{m.Stream, m.Field}
		}),
	}
}

func mergeBy[T any, K comparable](base, add []T, key func(T) K) []T {
	out := slices.Clone(base)
	for _, a := range add {
		if i := slices.IndexFunc(out, func(b T) bool { return key(b) == key(a) }); i >= 0 {
			out[i] = a
		} else {
			out = append(out, a)
		}
	}
	return out
}

// ValidName reports whether s can name a stream or a field: up to 63 lower-case
// letters, digits and underscores, beginning with a letter.
func ValidName(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// CheckSchema returns every contradiction in a declaration, joined. Its mappings
// may also name the fields and streams that are present.
func CheckSchema(s, present warehouse.Schema) error {
	c := &schemaCheck{fields: map[string]bool{}, streams: map[string]bool{}, seen: map[[2]string]bool{}, present: present}
	for _, f := range s.Fields {
		c.field(f)
	}
	for _, st := range s.Streams {
		c.stream(st)
	}
	for _, m := range s.Mappings {
		c.mapping(m)
	}
	return errors.Join(c.faults...)
}

type schemaCheck struct {
	fields  map[string]bool
	streams map[string]bool
	seen    map[[2]string]bool
	present warehouse.Schema
	faults  []error
}

func (c *schemaCheck) bad(field, format string, args ...any) {
	c.faults = append(c.faults, &activation.Error{Kind: activation.Invalid, Code: "SCHEMA-INVALID-018", Field: field, Message: fmt.Sprintf(format, args...)})
}

// merges lists the merge rules each type can have.
var merges = map[warehouse.FieldType][]warehouse.MergeRule{
	warehouse.Text:    {warehouse.Latest, warehouse.First},
	warehouse.Integer: {warehouse.Latest, warehouse.First, warehouse.Sum, warehouse.Count, warehouse.Min, warehouse.Max},
	warehouse.Number:  {warehouse.Latest, warehouse.First, warehouse.Sum, warehouse.Min, warehouse.Max},
	warehouse.Boolean: {warehouse.Latest, warehouse.First},
	warehouse.Time:    {warehouse.Latest, warehouse.First, warehouse.Min, warehouse.Max},
	warehouse.TextSet: {warehouse.Set},
}

func (c *schemaCheck) field(f warehouse.Field) {
	at := "fields." + f.Name
	allowed, known := merges[f.Type]
	switch {
	case !ValidName(f.Name) || strings.Contains(f.Name, "__"):
		c.bad("fields", "field %q: a name is up to 63 lower-case letters, digits and single underscores and begins with a letter", f.Name)
	case c.fields[f.Name]:
		c.bad(at, "field %q is declared twice", f.Name)
	case !known:
		c.bad(at+".type", "field %q: unknown type %q", f.Name, f.Type)
	case !slices.Contains(allowed, f.Merge):
		c.bad(at+".merge", "field %q: a field of type %s can't merge by %q", f.Name, f.Type, f.Merge)
	case f.Rank < 0:
		c.bad(at+".identifier_rank", "field %q: the rank of an identifier is 1 or more, 0 for none", f.Name)
	case f.Rank > 0 && f.Merge != warehouse.Latest:
		c.bad(at+".merge", "field %q: identifiers merge by latest", f.Name)
	case f.Rank > 0 && f.Type != warehouse.Text && f.Type != warehouse.Integer:
		c.bad(at+".type", "field %q: identifiers are text or integer", f.Name)
	}
	c.fields[f.Name] = true
}

func (c *schemaCheck) stream(s warehouse.Stream) {
	at := "streams." + s.Name
	switch {
	case !ValidName(s.Name):
		c.bad("streams", "stream %q: a name is up to 63 lower-case letters, digits and underscores and begins with a letter", s.Name)
	case c.streams[s.Name]:
		c.bad(at, "stream %q is declared twice", s.Name)
	case !dateOrder(s.DateOrder).valid():
		c.bad(at+".date_order", "stream %q: date_order is mdy, dmy or ymd", s.Name)
	case s.ReferenceKey != "" && len(s.MessageID) > 0:
		c.bad(at+".message_id_fields", "stream %q: a reference stream goes by its reference_key, not by message ids", s.Name)
	}
	c.streams[s.Name] = true
}

func (c *schemaCheck) mapping(m warehouse.Mapping) {
	at := "mappings." + m.Stream + "." + m.Field
	key := [2]string{m.Stream, m.Field}
	switch {
	case !c.knowsStream(m.Stream):
		c.bad(at, "the mapping of %q names stream %q, which is not declared", m.Field, m.Stream)
	case !c.knowsField(m.Field):
		c.bad(at, "a mapping of stream %q names field %q, which is not declared", m.Stream, m.Field)
	case c.seen[key]:
		c.bad(at, "field %q is mapped twice from stream %q", m.Field, m.Stream)
	case strings.TrimSpace(m.Expression) == "":
		c.bad(at, "the mapping of %q from %q has no expression", m.Field, m.Stream)
	}
	c.seen[key] = true
}

func (c *schemaCheck) knowsStream(name string) bool {
	return c.streams[name] || slices.ContainsFunc(c.present.Streams, func(s warehouse.Stream) bool { return s.Name == name })
}

func (c *schemaCheck) knowsField(name string) bool {
	return c.fields[name] || slices.ContainsFunc(c.present.Fields, func(f warehouse.Field) bool { return f.Name == name })
}
