package warehousetest

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// ingestCases are the examples; each has an empty warehouse.
var ingestCases = []struct {
	name string
	run  func(t *testing.T, l *Loader)
}{
	{"lifetime value from a price list that comes late", latePrices},
	{"late message keeps newer values and brings its own", lateMessage},
	{"profiles merge into the lowest id", mergeIntoLowest},
	{"a correction splits who it joined", correctionSplits},
	{"a rebuild under other identity rules moves messages", rebuildSplits},
	{"messages nobody is named in stay raw", unidentified},
	{"values that cannot be read are counted", unparsed},
	{"odd columns and values come back as they were", oddValues},
	{"a damaged spool merges nothing", damagedSpool},
	{"declaring again changes nothing", applyAgain},
	{"a changed rule waits for the rebuild", changedRule},
	{"contradictions are refused", refusals},
	{"streams that nobody declared are kept", undeclaredStream},
	{"what is not there is not found", notFound},
	{"reading goes on while a rebuild swaps", readDuringRebuild},
}

func people(fields ...warehouse.Field) []warehouse.Field {
	return append([]warehouse.Field{
		{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1, PII: true},
		{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
	}, fields...)
}

func mapAll(stream string, expressions map[string]string) []warehouse.Mapping {
	var out []warehouse.Mapping
	for _, field := range slices.Sorted(maps.Keys(expressions)) {
		out = append(out, warehouse.Mapping{Stream: stream, Field: field, Expression: expressions[field]})
	}
	return out
}

func row(at int64, pairs ...string) Row {
	r := Row{Time: at, Values: make(map[string]string)}
	for i := 0; i < len(pairs); i += 2 {
		r.Values[pairs[i]] = pairs[i+1]
	}
	return r
}

func wantValues(t *testing.T, p warehouse.Profile, want map[string]any) {
	t.Helper()
	compareFields(t, p.Values, want)
}

func latePrices(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{
		Fields:  people(warehouse.Field{Name: "value", Type: warehouse.Number, Merge: warehouse.Sum}),
		Streams: []warehouse.Stream{{Name: "orders"}, {Name: "prices", ReferenceKey: "sku"}},
		Mappings: mapAll("orders", map[string]string{
			"email": "email",
			"value": `number(quantity) * number(lookup("prices", sku, "price"))`,
		}),
	})
	l.Load(t, "o", "orders", row(1, "email", "a@x", "sku", "s1", "quantity", "3"), row(2, "email", "a@x", "sku", "s2", "quantity", "1"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x"})
	l.Load(t, "p", "prices", row(1, "sku", "s1", "price", "2.5"), row(1, "sku", "s2", "price", "10"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "value": 17.5})
	l.Load(t, "q", "prices", row(2, "sku", "s1", "price", "2"), row(0, "sku", "s2", "price", "1000"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "value": 16.0})
}

func lateMessage(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{
		Fields: people(warehouse.Field{Name: "city", Type: warehouse.Text, Merge: warehouse.Latest},
			warehouse.Field{Name: "phone", Type: warehouse.Text, Merge: warehouse.Latest}),
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "city": "city", "phone": "phone"}),
	})
	l.Load(t, "new", "crm", row(9, "email", "a@x", "city", "Bonn"))
	l.Load(t, "late", "crm", row(3, "email", "a@x", "city", "Kiel", "phone", "123"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "city": "Bonn", "phone": "123"})
}

func mergeIntoLowest(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "n", Type: warehouse.Integer, Merge: warehouse.Count}),
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "customer": "customer", "n": "any"}),
	})
	l.Load(t, "1", "crm", row(1, "email", "a@x", "any", "1"), row(1, "email", "b@x", "any", "1"), row(1, "customer", "7", "any", "1"))
	lowest := l.Find(t, "email", "a@x").ID
	l.Load(t, "2", "crm", row(2, "email", "b@x", "customer", "7", "any", "1"))
	second := l.Find(t, "email", "b@x").ID
	r := l.Load(t, "3", "crm", row(3, "email", "c@x", "customer", "8"), row(3, "email", "c@x", "customer", "7"), row(3, "email", "a@x", "customer", "8", "any", "1"))
	if r.NewProfile != 0 || r.Touched != 1 {
		t.Errorf("result is %+v, want one touched and no new profile", r)
	}
	for field, value := range map[string]string{"email": "b@x", "customer": "8"} {
		p := l.Find(t, field, value)
		if p.ID != min(lowest, second) {
			t.Errorf("%s leads to %d, want %d", field, p.ID, min(lowest, second))
		}
		wantValues(t, p, map[string]any{"email": "a@x", "customer": "8", "n": int64(5)})
	}
}

func correctionSplits(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "sum", Type: warehouse.Integer, Merge: warehouse.Sum}),
		Streams:  []warehouse.Stream{{Name: "crm", MessageID: []string{"id"}}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "customer": "customer", "sum": "x"}),
	})
	l.Load(t, "1", "crm", row(1, "id", "1", "email", "a@x", "x", "1"), row(1, "id", "2", "customer", "7", "x", "2"))
	first := l.Find(t, "email", "a@x").ID
	l.Load(t, "2", "crm", row(2, "id", "3", "email", "a@x", "customer", "7", "x", "4"))
	wantValues(t, l.Find(t, "customer", "7"), map[string]any{"email": "a@x", "customer": "7", "sum": int64(7)})
	r := l.Load(t, "3", "crm", row(2, "id", "3", "email", "a@x", "x", "8"))
	if r.Corrected != 1 {
		t.Errorf("result is %+v, want one correction", r)
	}
	p := l.Find(t, "email", "a@x")
	wantValues(t, p, map[string]any{"email": "a@x", "sum": int64(9)})
	if p.ID != first {
		t.Errorf("profile %d became %d", first, p.ID)
	}
	wantValues(t, l.Find(t, "customer", "7"), map[string]any{"customer": "7", "sum": int64(2)})
}

func rebuildSplits(t *testing.T, l *Loader) {
	s := warehouse.Schema{
		Fields:  people(warehouse.Field{Name: "sum", Type: warehouse.Number, Merge: warehouse.Sum}),
		Streams: []warehouse.Stream{{Name: "crm", MessageID: []string{"id"}}, {Name: "prices", ReferenceKey: "sku"}},
		Mappings: mapAll("crm", map[string]string{
			"email": "email", "customer": "customer",
			"sum": `number(x) * number(lookup("prices", "all", "price"))`,
		}),
	}
	l.Apply(t, s)
	l.Load(t, "p1", "prices", row(1, "sku", "all", "price", "1"))
	l.Load(t, "1", "crm", row(1, "id", "1", "email", "a@x", "customer", "7", "x", "1"), row(2, "id", "2", "email", "b@x", "customer", "7", "x", "2"),
		row(3, "id", "3", "email", "b@x", "x", "4"))
	want := func(email string, sum float64) {
		t.Helper()
		wantValues(t, l.Find(t, "email", email), map[string]any{"email": email, "customer": "7", "sum": sum})
	}
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "b@x", "customer": "7", "sum": 7.0})
	s.Fields[1].Rank = 0
	if waiting := l.Apply(t, s); !slices.Equal(waiting, []string{"customer"}) {
		t.Errorf("%v wait for a rebuild, want customer", waiting)
	}
	l.Rebuild(t)
	want("a@x", 1)
	want("b@x", 6)
	l.Load(t, "p2", "prices", row(2, "sku", "all", "price", "10"))
	want("a@x", 10)
	want("b@x", 60)
	l.Load(t, "2", "crm", row(3, "id", "3", "email", "b@x", "x", "8"))
	want("a@x", 10)
	want("b@x", 100)
}

func unidentified(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm"}}, Mappings: mapAll("crm", map[string]string{"email": "email"})})
	r := l.Load(t, "1", "crm", row(1, "email", "a@x"), row(1, "name", "Nobody"), row(1, "email", "test@test.com"), row(1, "email", "  "))
	if r.Rows != 4 || r.Unidentified != 3 || r.NewProfile != 1 {
		t.Errorf("result is %+v, want 4 rows, 3 unidentified, 1 new", r)
	}
	messages, err := l.Store.Messages(context.Background(), "crm", 10)
	if err != nil || len(messages) != 4 {
		t.Errorf("%d messages (%v), want 4", len(messages), err)
	}
}

func unparsed(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "age", Type: warehouse.Integer, Merge: warehouse.Latest}),
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "age": "age"}),
	})
	r := l.Load(t, "1", "crm", row(1, "email", "a@x", "age", "old"), row(1, "email", "b@x", "age", "30"), row(1, "email", "c@x"))
	if !reflect.DeepEqual(r.Unparsed, map[string]int64{"age": 1}) {
		t.Errorf("unparsed is %v, want age: 1", r.Unparsed)
	}
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x"})
}

func oddValues(t *testing.T, l *Loader) {
	want := map[string]string{
		`Straße "Nr", 1`: "line\nbreak, \"quoted\"\r\nand more", "select": `'); DROP TABLE profiles; --`,
		"c1": "Ünïcödé 🎉", "_pid": " spaces ", "": "",
	}
	delete(want, "")
	r := Row{Time: 5, Values: want}
	l.Load(t, "1", "odd", r)
	messages, err := l.Store.Messages(context.Background(), "odd", 1)
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages: %v", len(messages), err)
	}
	if !maps.Equal(messages[0].Values, want) {
		t.Errorf("values are %q, want %q", messages[0].Values, want)
	}
	if !messages[0].MessageTime.Equal(time.UnixMicro(5)) {
		t.Errorf("message time is %v", messages[0].MessageTime)
	}
}

func damagedSpool(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm"}}, Mappings: mapAll("crm", map[string]string{"email": "email"})})
	load := l.Spool(t, "1", "crm", nil, []Row{row(1, "email", "secret@x"), row(2, "email", "b@x")})
	load.Rows = 3
	_, err := l.Store.Merge(context.Background(), load, nil)
	if activation.KindOf(err) != activation.Internal {
		t.Fatalf("error is %v, want an internal one", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error holds a value: %v", err)
	}
	if n, err := l.Store.CountProfiles(context.Background()); n != 0 || err != nil {
		t.Errorf("%d profiles (%v) after a refused load", n, err)
	}
	load.Rows = 2
	l.Merge(t, load)
	l.Find(t, "email", "b@x")
}

func applyAgain(t *testing.T, l *Loader) {
	s := warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm", MessageID: []string{"id"}}}, Mappings: mapAll("crm", map[string]string{"email": "email"})}
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "id", "1", "email", "a@x"))
	if waiting := l.Apply(t, s); len(waiting) > 0 {
		t.Errorf("%v wait for a rebuild", waiting)
	}
	got, err := l.Store.Schema(context.Background())
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("schema is %+v (%v), want %+v", got, err, s)
	}
}

func changedRule(t *testing.T, l *Loader) {
	s := warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "x", Type: warehouse.Integer, Merge: warehouse.Latest}),
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "x": "x"}),
	}
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "email", "a@x", "x", "1"), row(2, "email", "a@x", "x", "2"))
	s.Fields = people(warehouse.Field{Name: "x", Type: warehouse.Integer, Merge: warehouse.Sum}, warehouse.Field{Name: "y", Type: warehouse.Text, Merge: warehouse.First})
	s.Mappings = mapAll("crm", map[string]string{"email": "email", "x": "x", "y": `concat("n", x)`})
	if waiting := l.Apply(t, s); !slices.Equal(waiting, []string{"x", "y"}) {
		t.Errorf("%v wait for a rebuild, want x and y", waiting)
	}
	l.Load(t, "2", "crm", row(3, "email", "a@x", "x", "3"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "x": int64(3)})
	l.Rebuild(t)
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "x": int64(6), "y": "n1"})
	if waiting := l.Apply(t, s); len(waiting) > 0 {
		t.Errorf("%v wait for a rebuild after one", waiting)
	}
}
