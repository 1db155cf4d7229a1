package ingest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

func TestCheckSchemaNamesEveryFault(t *testing.T) {
	text := warehouse.Field{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1}
	tests := map[string]struct {
		s    warehouse.Schema
		want []string // fields of the errors
	}{
		"good": {s: warehouse.Schema{
			Fields:   []warehouse.Field{text, {Name: "ltv", Type: warehouse.Number, Merge: warehouse.Sum}, {Name: "tags", Type: warehouse.TextSet, Merge: warehouse.Set}},
			Streams:  []warehouse.Stream{{Name: "orders", DateOrder: "dmy", MessageID: []string{"id"}}, {Name: "prices", ReferenceKey: "sku"}},
			Mappings: []warehouse.Mapping{{Stream: "orders", Field: "email", Expression: "email"}, {Stream: "old", Field: "gone", Expression: "x"}},
		}},
		"names":         {s: warehouse.Schema{Fields: []warehouse.Field{{Name: "E-mail", Type: warehouse.Text, Merge: warehouse.Latest}, {Name: "a__b", Type: warehouse.Text, Merge: warehouse.Latest}}, Streams: []warehouse.Stream{{Name: ""}}}, want: []string{"fields", "fields", "streams"}},
		"twice":         {s: warehouse.Schema{Fields: []warehouse.Field{text, text}, Streams: []warehouse.Stream{{Name: "s"}, {Name: "s"}}}, want: []string{"fields.email", "streams.s"}},
		"types, merges": {s: warehouse.Schema{Fields: []warehouse.Field{{Name: "a", Type: "date"}, {Name: "b", Type: warehouse.Text, Merge: warehouse.Sum}, {Name: "c", Type: warehouse.TextSet, Merge: warehouse.Latest}}}, want: []string{"fields.a.type", "fields.b.merge", "fields.c.merge"}},
		"identifiers": {s: warehouse.Schema{Fields: []warehouse.Field{
			{Name: "a", Type: warehouse.Text, Merge: warehouse.Latest, Rank: -1}, {Name: "b", Type: warehouse.Text, Merge: warehouse.First, Rank: 1}, {Name: "c", Type: warehouse.Boolean, Merge: warehouse.Latest, Rank: 2},
		}}, want: []string{"fields.a.identifier_rank", "fields.b.merge", "fields.c.type"}},
		"streams": {s: warehouse.Schema{Streams: []warehouse.Stream{{Name: "a", DateOrder: "ydm"}, {Name: "b", ReferenceKey: "k", MessageID: []string{"id"}}}}, want: []string{"streams.a.date_order", "streams.b.message_id_fields"}},
		"mappings": {s: warehouse.Schema{Fields: []warehouse.Field{text}, Streams: []warehouse.Stream{{Name: "s"}}, Mappings: []warehouse.Mapping{
			{Stream: "s", Field: "x", Expression: "x"}, {Stream: "y", Field: "email", Expression: "x"}, {Stream: "s", Field: "email", Expression: " "}, {Stream: "s", Field: "email", Expression: "x"},
		}}, want: []string{"mappings.s.x", "mappings.y.email", "mappings.s.email", "mappings.s.email"}},
	}
	present := warehouse.Schema{Fields: []warehouse.Field{{Name: "gone"}}, Streams: []warehouse.Stream{{Name: "old"}}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := CheckSchema(tt.s, present)
			var got []string
			if joint, ok := err.(interface{ Unwrap() []error }); ok {
				for _, e := range joint.Unwrap() {
					var a *activation.Error
					if !errors.As(e, &a) || a.Kind != activation.Invalid || a.Code != "SCHEMA-INVALID-018" {
						t.Errorf("error %v is not an Invalid one of the schema", e)
						continue
					}
					got = append(got, a.Field)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("faults at %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

func TestDeclareAndExtendSchema(t *testing.T) {
	w := &fakeWarehouse{}
	if _, err := DeclareSchema(t.Context(), w, warehouse.Schema{Fields: []warehouse.Field{{Name: "x", Type: "date"}}}); err == nil {
		t.Fatal("an unknown type was declared")
	}
	if !reflect.DeepEqual(w.schema, warehouse.Schema{}) {
		t.Errorf("a refused schema was applied: %+v", w.schema)
	}
	base := warehouse.Schema{
		Fields:   []warehouse.Field{{Name: "email", Type: warehouse.Text, Rank: 1}, {Name: "tags", Type: warehouse.TextSet}},
		Streams:  []warehouse.Stream{{Name: "s"}},
		Mappings: []warehouse.Mapping{{Stream: "s", Field: "email", Expression: "mail"}},
	}
	if _, err := DeclareSchema(t.Context(), w, base); err != nil {
		t.Fatal(err)
	}
	if w.schema.Fields[0].Merge != warehouse.Latest || w.schema.Fields[1].Merge != warehouse.Set || base.Fields[0].Merge != "" {
		t.Errorf("merge rules were not filled in, or in the caller's schema: %+v", w.schema.Fields)
	}
	add := warehouse.Schema{Mappings: []warehouse.Mapping{{Stream: "s", Field: "tags", Expression: "tags"}, {Stream: "s", Field: "email", Expression: "lower(mail)"}}}
	if _, err := ExtendSchema(t.Context(), w, add); err != nil {
		t.Fatal(err)
	}
	want := []warehouse.Mapping{{Stream: "s", Field: "email", Expression: "lower(mail)"}, {Stream: "s", Field: "tags", Expression: "tags"}}
	if !slices.Equal(w.schema.Mappings, want) {
		t.Errorf("mappings = %+v, want %+v", w.schema.Mappings, want)
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "orders_2019": true, strings.Repeat("x", 63): true,
		"": false, "_a": false, "1a": false, "a-b": false, "A": false, "é": false, "a b": false, strings.Repeat("x", 64): false,
	} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) = %t", name, !want)
		}
	}
}
