package warehousetest

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"usher/internal/warehouse"
)

// arrival is the property all of ingest rests on: whatever loads come, in
// whatever order, slices, duplicates, corrections, late messages and late
// look-up rows, the profiles after incremental merging are those of the model,
// and those of a rebuild, under the same ids.
func arrival(t *rapid.T, dir string, open OpenIngest) {
	w, err := open(rapid.IntRange(1, 6).Draw(t, "slice rows"))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	l := NewLoader(dir, w)
	schema := drawSchema(t)
	if waiting := l.Apply(t, schema); len(waiting) > 0 {
		t.Fatalf("fields %v of an empty warehouse wait for a rebuild", waiting)
	}
	m := NewModel(schema)
	var loads []warehouse.Load
	for n := range rapid.IntRange(2, 6).Draw(t, "loads") {
		loads = append(loads, mergeDrawn(t, l, m, n))
		if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
			l.Merge(t, rapid.SampledFrom(loads).Draw(t, "which"))
		}
	}
	before := l.Compare(t, m)
	l.Rebuild(t)
	after := l.Compare(t, m)
	if !maps.Equal(before, after) {
		t.Fatalf("a rebuild changed the ids from %v to %v", before, after)
	}
	m.Schema.Fields, m.Schema.Mappings = drawFields(t)
	l.Apply(t, m.Schema)
	l.Rebuild(t)
	l.Compare(t, m)
	for n := range 2 {
		mergeDrawn(t, l, m, len(loads)+n)
		l.Compare(t, m)
	}
}

// mergeDrawn merges a random load into warehouse and model.
func mergeDrawn(t *rapid.T, l *Loader, m *Model, n int) warehouse.Load {
	stream := rapid.SampledFrom([]string{"orders", "orders", "visits", "visits", "prices"}).Draw(t, "stream")
	rows := rapid.SliceOfN(drawRow(stream), 0, 8).Draw(t, "rows")
	id := fmt.Sprintf("load-%d", n)
	columns := slices.Sorted(maps.Keys(columnPools[stream]))
	load := l.Spool(t, id, stream, rapid.Permutation(columns).Draw(t, "columns"), rows)
	got, want := l.Merge(t, load), m.Merge(id, stream, rows)
	if got.Rows != want.Rows || got.Duplicates != want.Duplicates || got.Corrected != want.Corrected || got.Suppressed != want.Suppressed {
		t.Fatalf("load %s: %+v, want %+v", id, got, want)
	}
	return load
}

// columnPools are the columns of the streams with the values drawn for them.
// They are few, so that people meet, prices come late and ids repeat.
var columnPools = map[string]map[string][]string{
	"orders": {
		"id": {"", "1", "2", "3", "4", "5"},
		"e":  {"", "", "ann@x.org", "bob@x.org", "cy@x.org", " ann@x.org", "none"},
		"c":  {"", "", "1", "2", "3", "007", "x"},
		"a":  {"", "Red", "blue", "Grün", "a \"b\",\nc"},
		"n":  {"", "0.25", "1.5", "-2", "many"},
		"k":  {"", "s1", "s2", "s3"},
		"d":  {"", "2026-01-02", "2026-03-04T05:06:07Z", "soon"},
	},
	"visits": {
		"e": {"", "", "ann@x.org", "bob@x.org", "cy@x.org", "dee@x.org"},
		"c": {"", "", "1", "2", "3", "4"},
		"a": {"", "Red", "blue", "x"},
		"n": {"", "4", "8", "0.5"},
		"b": {"", "true", "false", "yes", "no", "perhaps"},
		"d": {"", "2025-12-31", "2026-01-02"},
		"k": {"", "s1", "s2"},
	},
	"prices": {
		"sku":     {"", "s1", "s2", "s3"},
		"price":   {"", "0.5", "2", "10", "free"},
		"instead": {"", "s1", "s2"},
	},
}

func drawRow(stream string) *rapid.Generator[Row] {
	return rapid.Custom(func(t *rapid.T) Row {
		r := Row{Time: rapid.Int64Range(-2, 6).Draw(t, "time"), Values: make(map[string]string)}
		for _, c := range slices.Sorted(maps.Keys(columnPools[stream])) {
			r.Values[c] = rapid.SampledFrom(columnPools[stream][c]).Draw(t, c)
		}
		return r
	})
}

func drawSchema(t *rapid.T) warehouse.Schema {
	s := warehouse.Schema{Streams: []warehouse.Stream{{Name: "orders"}, {Name: "visits"}, {Name: "prices", ReferenceKey: "sku"}}}
	s.Streams[0].MessageID = rapid.SampledFrom([][]string{nil, {"id"}, {"id"}, {"id", "k"}}).Draw(t, "message id")
	if rapid.Bool().Draw(t, "prices have ids") {
		s.Streams[2].MessageID = []string{"sku"}
	}
	s.Fields, s.Mappings = drawFields(t)
	return s
}

// drawFields draws two identifiers and some attributes with their mappings.
func drawFields(t *rapid.T) ([]warehouse.Field, []warehouse.Mapping) {
	fields := []warehouse.Field{
		{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2, PII: true},
		{Name: "customer", Type: warehouse.Integer, Merge: warehouse.Latest, Rank: 1},
	}
	mappings := []warehouse.Mapping{{Stream: "orders", Field: "email", Expression: "e"}, {Stream: "visits", Field: "customer", Expression: "c"}}
	if rapid.Bool().Draw(t, "orders name customers") {
		mappings = append(mappings, warehouse.Mapping{Stream: "orders", Field: "customer", Expression: "c"})
	}
	if rapid.Bool().Draw(t, "visits name emails") {
		mappings = append(mappings, warehouse.Mapping{Stream: "visits", Field: "email", Expression: "e"})
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "attributes") {
		k := rapid.SampledFrom(attributeKinds).Draw(t, "kind")
		f := warehouse.Field{Name: fmt.Sprintf("f%d", i), Type: k.typ, Merge: rapid.SampledFrom(k.rules).Draw(t, "rule")}
		fields = append(fields, f)
		for _, stream := range []string{"orders", "visits"} {
			if e := rapid.SampledFrom(append([]string{""}, k.expressions...)).Draw(t, "expression"); e != "" {
				mappings = append(mappings, warehouse.Mapping{Stream: stream, Field: f.Name, Expression: e})
			}
		}
	}
	return fields, mappings
}

// attributeKinds are the types with their rules and the expressions that make
// such a value.
var attributeKinds = []struct {
	typ         warehouse.FieldType
	rules       []warehouse.MergeRule
	expressions []string
}{
	{warehouse.Text, []warehouse.MergeRule{warehouse.Latest, warehouse.First}, []string{"a", "k", "b", exprIf, exprLowerA, exprMissing}},
	{warehouse.Integer, []warehouse.MergeRule{warehouse.Latest, warehouse.First, warehouse.Sum, warehouse.Min, warehouse.Max}, []string{"c"}},
	{warehouse.Integer, []warehouse.MergeRule{warehouse.Count}, []string{"a", "k", exprNested}},
	{warehouse.Number, []warehouse.MergeRule{warehouse.Latest, warehouse.First, warehouse.Sum, warehouse.Min, warehouse.Max}, []string{"n", exprPriced, exprPriced, exprNested}},
	{warehouse.Boolean, []warehouse.MergeRule{warehouse.Latest, warehouse.First}, []string{"b"}},
	{warehouse.Time, []warehouse.MergeRule{warehouse.Latest, warehouse.First, warehouse.Min, warehouse.Max}, []string{"d"}},
	{warehouse.TextSet, []warehouse.MergeRule{warehouse.Set}, []string{"a", "k"}},
}
