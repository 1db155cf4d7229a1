package warehousetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// MappingStore is what is needed to edit mappings and to watch what streams bring.
type MappingStore interface {
	IngestStore
	warehouse.Mappings
	warehouse.Retention
}

// Mappings judges previews of mappings, phone numbers in them, what is told of
// streams that change, and the deletion of old messages.
func Mappings(t *testing.T, open func() (MappingStore, error)) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *Loader, MappingStore)
	}{
		{"a preview shows what a merge would make", previewed},
		{"phone numbers are read by the stream's country", phoneNumbers},
		{"what a stream brings is watched", drifts},
		{"old messages go and profiles stay", retention},
		{"a field goes when nothing makes values of it", droppedField},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(t, NewLoader(t.TempDir(), w), w)
		})
	}
}

func previewed(t *testing.T, l *Loader, w MappingStore) {
	ctx := context.Background()
	s := warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "value", Type: warehouse.Number, Merge: warehouse.Sum}, warehouse.Field{Name: "age", Type: warehouse.Integer, Merge: warehouse.Latest}),
		Streams:  []warehouse.Stream{{Name: "orders"}, {Name: "prices", ReferenceKey: "sku"}},
		Mappings: mapAll("orders", map[string]string{"email": "email"}),
	}
	l.Apply(t, s)
	l.Load(t, "p", "prices", row(1, "sku", "s1", "price", "2.5"))
	l.Load(t, "o", "orders", row(1, "email", "old@x"), row(2, "email", " a@x ", "sku", "s1", "quantity", "3", "age", "old"), row(3, "email", "b@x", "sku", "s9", "quantity", "1", "age", "30"))
	other := warehouse.Schema{
		Streams: s.Streams[:1],
		Mappings: mapAll("orders", map[string]string{
			"email": "email", "age": "age", "value": `number(quantity) * number(lookup("prices", sku, "price"))`,
		}),
	}
	got, err := w.PreviewMappings(ctx, other, "orders", 2, 10)
	if err != nil {
		t.Fatal(err)
	}
	if got.Looked != 2 || !slices.Equal(got.Fields, []string{"age", "email", "value"}) || !slices.Equal(got.Rebuild, []string{"value", "age"}) || got.Cost.Messages != 4 {
		t.Errorf("preview is %+v", got)
	}
	if want := map[string]int64{"age": 1, "email": 2, "value": 1}; !reflect.DeepEqual(got.Parsed, want) {
		t.Errorf("parsed %v, want %v", got.Parsed, want)
	}
	if want := map[string]int64{"age": 1, "email": 0, "value": 0}; !reflect.DeepEqual(got.Unparsed, want) {
		t.Errorf("unparsed %v, want %v", got.Unparsed, want)
	}
	var results []map[string]any
	for _, r := range got.Rows {
		results = append(results, r.Results)
	}
	if want := []map[string]any{{"email": "b@x", "age": int64(30)}, {"email": "a@x", "value": 7.5}}; !reflect.DeepEqual(results, want) {
		t.Errorf("results are %v, want %v", results, want)
	}
	if r := got.Rows[1]; !slices.Equal(r.Failed, []string{"age"}) || r.Values["quantity"] != "3" || r.MessageTime.UnixMicro() != 2 {
		t.Errorf("the second row is %+v", r)
	}
	// It is what Apply and a rebuild make, and it changed nothing.
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x"})
	l.Apply(t, other)
	l.Rebuild(t)
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "value": 7.5})

	other.Mappings[0].Expression = "number("
	if _, err := w.PreviewMappings(ctx, other, "orders", 2, 10); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a mapping that cannot be read: %v", err)
	}
	if _, err := w.PreviewMappings(ctx, warehouse.Schema{}, "nowhere", 2, 10); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("a preview of no stream: %v", err)
	}
	fresh := warehouse.Schema{
		Streams:  []warehouse.Stream{{Name: "fresh"}, {Name: "towns", ReferenceKey: "zip"}},
		Mappings: mapAll("fresh", map[string]string{"email": "email", "value": `number(lookup("towns", zip, "size"))`}),
	}
	if got, err := w.PreviewMappings(ctx, fresh, "fresh", 2, 10); err != nil || got.Looked != 0 || len(got.Fields) != 2 {
		t.Errorf("a preview of a stream that is only declared: %+v (%v)", got, err)
	}
}

func droppedField(t *testing.T, l *Loader, w MappingStore) {
	ctx := context.Background()
	s := warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "age", Type: warehouse.Integer, Merge: warehouse.Latest}, warehouse.Field{Name: "size", Type: warehouse.Number, Merge: warehouse.Sum}),
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "age": "age"}),
	}
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "email", "a@x", "age", "7"))
	drop := func(name string, want error, says string) {
		t.Helper()
		if err := w.DropField(ctx, name); !errors.Is(err, want) || says != "" && !strings.Contains(err.Error(), says) {
			t.Errorf("dropping %s: %v, want %v with %q", name, err, want, says)
		}
	}
	drop("age", activation.ErrConflict, "has a mapping")
	drop("none", activation.ErrNotFound, "")
	drop("size", nil, "")
	drop("size", activation.ErrNotFound, "")
	s.Mappings = mapAll("crm", map[string]string{"email": "email"})
	l.Apply(t, warehouse.Schema{Streams: s.Streams, Mappings: s.Mappings})
	drop("age", activation.ErrConflict, "next rebuild") // people have it until then
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "age": int64(7)})
	l.Rebuild(t)
	drop("age", nil, "")
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x"})
	got, err := w.Schema(ctx)
	if err != nil || slices.ContainsFunc(got.Fields, func(f warehouse.Field) bool { return f.Name == "age" || f.Name == "size" }) {
		t.Errorf("declared are %+v (%v)", got.Fields, err)
	}
	// Another of the name begins with nothing, and reads what was received before.
	l.Apply(t, warehouse.Schema{
		Fields:   []warehouse.Field{{Name: "age", Type: warehouse.Text, Merge: warehouse.First}},
		Streams:  s.Streams,
		Mappings: mapAll("crm", map[string]string{"email": "email", "age": "concat(age, \"!\")"}),
	})
	l.Load(t, "2", "crm", row(2, "email", "a@x"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x"})
	l.Rebuild(t)
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "age": "7!"})
}

func phoneNumbers(t *testing.T, l *Loader, w MappingStore) {
	ctx := context.Background()
	s := warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "phone", Type: warehouse.Text, Merge: warehouse.Latest}, warehouse.Field{Name: "fax", Type: warehouse.Text, Merge: warehouse.Latest}),
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "phone": "phone(tel)", "fax": `phone(tel, "GB")`}),
	}
	_, err := w.Apply(ctx, s)
	if activation.KindOf(err) != activation.Invalid || !strings.Contains(err.Error(), "phone country") {
		t.Fatalf("phone() on a stream without a country: %v", err)
	}
	s.Streams[0].PhoneCountry = "XX"
	if _, err := w.Apply(ctx, s); activation.KindOf(err) != activation.Invalid || !strings.Contains(err.Error(), "XX") {
		t.Fatalf("an unknown phone country: %v", err)
	}
	s.Streams[0].PhoneCountry = "US"
	l.Apply(t, s)
	r := l.Load(t, "1", "crm", row(1, "email", "a@x", "tel", "(415) 555-2671"), row(1, "email", "b@x", "tel", "call me"), row(1, "email", "c@x", "tel", "020 7946 0958"))
	if p := l.Find(t, "email", "a@x"); p.Values["phone"] != "+14155552671" {
		t.Errorf("a number of the stream's country is %v", p.Values)
	}
	wantValues(t, l.Find(t, "email", "b@x"), map[string]any{"email": "b@x"})
	if p := l.Find(t, "email", "c@x"); p.Values["fax"] != "+442079460958" {
		t.Errorf("a number of the expression's country is %v", p.Values)
	}
	if r.Unparsed["phone"] == 0 || r.Unparsed["fax"] != 1 {
		t.Errorf("unparsed is %v", r.Unparsed)
	}
	l.Rebuild(t)
	if p := l.Find(t, "email", "a@x"); p.Values["phone"] != "+14155552671" {
		t.Errorf("after a rebuild the number is %v", p.Values)
	}
}

func drifts(t *testing.T, l *Loader, w MappingStore) {
	ctx := context.Background()
	l.Apply(t, warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "age", Type: warehouse.Integer, Merge: warehouse.Latest}, warehouse.Field{Name: "city", Type: warehouse.Text, Merge: warehouse.Latest}),
		Streams:  []warehouse.Stream{{Name: "crm", MessageID: []string{"id"}}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "age": "age", "city": "city"}),
	})
	load := func(id string, urgent bool, r Row, want ...string) {
		t.Helper()
		spooled := l.Spool(t, id, "crm", nil, []Row{r})
		spooled.Urgent = urgent
		var got []string
		for _, d := range l.Merge(t, spooled).Drift {
			if d.Load != id || d.Since.IsZero() {
				t.Errorf("load %s tells %+v", id, d)
			}
			got = append(got, d.Kind+" "+d.Column+d.Field)
		}
		if !slices.Equal(got, want) {
			t.Errorf("load %s tells %v, want %v", id, got, want)
		}
	}
	now := func(want ...string) {
		t.Helper()
		all, err := w.StreamDrift(ctx, "crm")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range all {
			got = append(got, d.Kind+" "+d.Column+d.Field)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("drift is %v, want %v", got, want)
		}
	}
	load("1", false, row(1, "email", "a@x", "age", "3", "note", "n"))
	load("2", false, row(2, "email", "a@x", "age", "3"))                            // no mapping reads note
	load("3", false, row(3, "email", "a@x", "age", "3", "id", "7", "city", "Bonn")) // declared before
	load("4", false, row(4, "email", "a@x", "age", "3", "extra", "1"), "new_column extra")
	load("5", true, row(5, "email", "a@x", "extra", "1", "more", "2"), "new_column more")
	load("6", false, row(6, "email", "a@x"), "missing_column age")
	load("7", false, row(7, "email", "a@x"))
	load("8", false, row(8, "email", "a@x", "age", "old"), "unparsed age")
	load("9", false, row(9, "email", "a@x", "age", "older"))
	now("missing_column age", "new_column extra", "new_column more", "unparsed age")
	if err := w.SettleDrift(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	now()
	load("10", false, row(10, "email", "a@x", "age", "oldest", "extra", "3"))
	load("11", false, row(11, "age", "1"), "missing_column email")
	now("missing_column email")
	if _, err := w.StreamDrift(ctx, "nowhere"); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("drift of no stream: %v", err)
	}
}

func retention(t *testing.T, l *Loader, w MappingStore) {
	ctx := context.Background()
	received := time.UnixMicro(1_700_000_000_000_000)
	l.Apply(t, warehouse.Schema{
		Fields:   people(warehouse.Field{Name: "sum", Type: warehouse.Integer, Merge: warehouse.Sum}, warehouse.Field{Name: "n", Type: warehouse.Integer, Merge: warehouse.Count}),
		Streams:  []warehouse.Stream{{Name: "crm", RetentionDays: 10}, {Name: "prices", ReferenceKey: "sku", RetentionDays: 10}, {Name: "kept"}},
		Mappings: append(mapAll("crm", map[string]string{"email": "email", "sum": "x", "n": "x"}), mapAll("kept", map[string]string{"email": "email"})...),
	})
	l.Load(t, "old", "crm", row(1, "email", "a@x", "x", "1"), row(2, "email", "b@x", "x", "2"))
	l.Load(t, "p", "prices", row(1, "sku", "s1"))
	l.Load(t, "k", "kept", row(1, "email", "a@x"))
	later := l.Spool(t, "later", "crm", nil, []Row{row(3, "email", "a@x", "x", "4")})
	later.ReceivedAt = received.AddDate(0, 0, 5)
	l.Merge(t, later)
	if n, err := w.Expire(ctx, received.AddDate(0, 0, 9)); err != nil || n != 0 {
		t.Errorf("on day 9 %d messages went (%v), want none", n, err)
	}
	if n, err := w.Expire(ctx, received.AddDate(0, 0, 11)); err != nil || n != 2 {
		t.Errorf("on day 11 %d messages went (%v), want 2", n, err)
	}
	stats, err := w.Streams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{1, 1, 1} { // crm, kept, prices
		if stats[i].Messages != want {
			t.Errorf("stream %s has %d messages, want %d", stats[i].Name, stats[i].Messages, want)
		}
	}
	l.Load(t, "new", "crm", row(9, "email", "a@x", "x", "8"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "sum": int64(13), "n": int64(3)})
	wantValues(t, l.Find(t, "email", "b@x"), map[string]any{"email": "b@x", "sum": int64(2), "n": int64(1)})
	// A rebuild knows only what is kept.
	rebuilt(t, l, func() {})
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "sum": int64(12), "n": int64(2)})
	if _, err := l.Store.Find(ctx, "email", "b@x"); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("who has no message left: %v", err)
	}
}
