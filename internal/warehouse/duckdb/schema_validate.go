package duckdb

import (
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// maxName is how many characters a stream or field name may have.
const maxName = 63

// codeSchema is the class of every refused declaration.
const codeSchema = "SCHEMA"

func refuse(field, format string, args ...any) error {
	return &activation.Error{Kind: activation.Invalid, Code: codeSchema, Field: field, Message: fmt.Sprintf(format, args...)}
}

// validate checks a whole declaration: every name, every rule on its type, and
// that mappings name what is declared. Expressions are checked by compileAll.
func validate(s warehouse.Schema) error {
	for _, f := range s.Fields {
		if err := validateField(f); err != nil {
			return err
		}
	}
	for _, st := range s.Streams {
		if err := validateStream(st); err != nil {
			return err
		}
	}
	for _, m := range s.Mappings {
		if err := validateMapping(s, m); err != nil {
			return err
		}
	}
	return validateIdentity(s.Identity)
}

// refuseTwice refuses a declaration that names one thing twice.
func refuseTwice(s warehouse.Schema) error {
	for i, f := range s.Fields {
		if _, twice := findField(s.Fields[:i], f.Name); twice {
			return refuse(f.Name, "field %q is declared twice", f.Name)
		}
	}
	for i, st := range s.Streams {
		if _, twice := findStream(s.Streams[:i], st.Name); twice {
			return refuse(st.Name, "stream %q is declared twice", st.Name)
		}
	}
	for i, m := range s.Mappings {
		if _, twice := findMapping(s.Mappings[:i], m.Stream, m.Field); twice {
			return refuse(m.Field, "field %q has two mappings on stream %q: join them in one expression", m.Field, m.Stream)
		}
	}
	return nil
}

func validateField(f warehouse.Field) error {
	if !validName(f.Name) || strings.Contains(f.Name, "__") {
		return refuse(f.Name, "field name %q: use a-z, 0-9 and single underscores, beginning with a letter, at most %d characters", f.Name, maxName)
	}
	rules, ok := mergeRules[f.Type]
	if !ok {
		return refuse(f.Name, "field %q has an unknown type: use text, integer, number, boolean, time or set", f.Name)
	}
	if !slices.Contains(rules, f.Merge) {
		return refuse(f.Name, "field %q of type %s can't merge that way: use %s", f.Name, f.Type, joinRules(rules))
	}
	if f.Rank < 0 {
		return refuse(f.Name, "field %q: the identifier rank begins at 1", f.Name)
	}
	if f.Rank > 0 && (f.Merge != warehouse.Latest || f.Type != warehouse.Text && f.Type != warehouse.Integer) {
		return refuse(f.Name, "field %q is an identifier: it must be text or integer and merge by latest", f.Name)
	}
	return nil
}

// mergeRules are the rules that make sense for each type.
var mergeRules = map[warehouse.FieldType][]warehouse.MergeRule{
	warehouse.Text:    {warehouse.Latest, warehouse.First},
	warehouse.Integer: {warehouse.Latest, warehouse.First, warehouse.Sum, warehouse.Count, warehouse.Min, warehouse.Max},
	warehouse.Number:  {warehouse.Latest, warehouse.First, warehouse.Sum, warehouse.Min, warehouse.Max},
	warehouse.Boolean: {warehouse.Latest, warehouse.First},
	warehouse.Time:    {warehouse.Latest, warehouse.First, warehouse.Min, warehouse.Max},
	warehouse.TextSet: {warehouse.Set},
}

func joinRules(rules []warehouse.MergeRule) string {
	words := make([]string, len(rules))
	for i, r := range rules {
		words[i] = string(r)
	}
	return strings.Join(words, ", ")
}

func validateStream(s warehouse.Stream) error {
	if !validName(s.Name) {
		return refuse(s.Name, "stream name %q: use a-z, 0-9 and underscores, beginning with a letter, at most %d characters", s.Name, maxName)
	}
	switch s.DateOrder {
	case "", "mdy", "dmy", "ymd":
	default:
		return refuse(s.Name, "stream %q has the unknown date order %q: use mdy, dmy or ymd", s.Name, s.DateOrder)
	}
	if s.PhoneCountry != "" && !matchkey.PhoneCountry(s.PhoneCountry) {
		return refuse(s.Name, "stream %q has the unknown phone country %q: use an ISO 3166 code in capital letters, such as US", s.Name, s.PhoneCountry)
	}
	if s.RetentionDays < 0 {
		return refuse(s.Name, "stream %q: raw messages can't be kept %d days: use 1 or more, or 0 for ever", s.Name, s.RetentionDays)
	}
	for i, c := range s.MessageID {
		if c == "" || slices.Contains(s.MessageID[:i], c) {
			return refuse(s.Name, "stream %q: the message id fields must be named and differ", s.Name)
		}
	}
	return nil
}

func validateMapping(s warehouse.Schema, m warehouse.Mapping) error {
	st, ok := findStream(s.Streams, m.Stream)
	if !ok {
		return refuse(m.Field, "the mapping of field %q names the unknown stream %q", m.Field, m.Stream)
	}
	if _, ok := findField(s.Fields, m.Field); !ok {
		return refuse(m.Field, "a mapping of stream %q names the unknown field %q", m.Stream, m.Field)
	}
	if st.ReferenceKey != "" {
		return refuse(m.Field, "stream %q is a reference stream: it can't be mapped to field %q, only looked up", m.Stream, m.Field)
	}
	return nil
}

func findStream(streams []warehouse.Stream, name string) (warehouse.Stream, bool) {
	i := slices.IndexFunc(streams, func(s warehouse.Stream) bool { return s.Name == name })
	if i < 0 {
		return warehouse.Stream{Name: name}, false
	}
	return streams[i], true
}

func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
