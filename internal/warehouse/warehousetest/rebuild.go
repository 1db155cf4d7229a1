package warehousetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Rebuild judges how a warehouse replays all messages while merges go on. A
// rebuild tells its progress from where it works and holds nothing, so what is
// done in between is done in the callback.
func Rebuild(t *testing.T, open OpenIngest) {
	for _, c := range rebuildCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open(0)
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(t, NewLoader(t.TempDir(), w))
		})
	}
	t.Run("merges beside", func(t *testing.T) {
		dir := t.TempDir()
		within(t, besideTime, func(rt *rapid.T) { mergesBeside(rt, dir, open) })
	})
}

// besideTime is how long random merges beside a rebuild are tried.
const besideTime = 8 * time.Second

var rebuildCases = []struct {
	name string
	run  func(t *testing.T, l *Loader)
}{
	{"meanwhile another schema and another rebuild are refused", refusedMeanwhile},
	{"a cancelled rebuild leaves all as it was", cancelledRebuild},
	{"a rebuild tells what it changed", rebuildResult},
	{"who comes during a rebuild keeps the id", idsOfNewcomers},
	{"a price that changes during a rebuild is not lost", pricesMeanwhile},
}

// mergesBeside is the property of a rebuild beside the live profiles: whatever is
// merged while it replays, it ends with the people of the model, and where the
// declaration is the same, with those there were, under the same ids.
func mergesBeside(t *rapid.T, dir string, open OpenIngest) {
	w, err := open(rapid.IntRange(1, 6).Draw(t, "slice rows"))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	l := NewLoader(dir, w)
	schema := drawSchema(t)
	l.Apply(t, schema)
	m := NewModel(schema)
	n := 0
	merge := func() {
		mergeDrawn(t, l, m, n)
		n++
	}
	for range rapid.IntRange(0, 4).Draw(t, "loads before") {
		merge()
	}
	same := rapid.Bool().Draw(t, "same declaration")
	if !same {
		m.Schema.Fields, m.Schema.Mappings = drawFields(t)
		l.Apply(t, m.Schema)
	}
	var before map[string]int64
	rebuilt(t, l, func() {
		for range rapid.IntRange(0, 2).Draw(t, "loads beside") {
			merge()
		}
		if same {
			before = l.Compare(t, m)
		}
	})
	if after := l.Compare(t, m); same && !maps.Equal(before, after) {
		t.Fatalf("a rebuild changed the ids from %v to %v", before, after)
	}
	merge()
	l.Compare(t, m)
}

// rebuilt rebuilds, with meanwhile called at each step of it.
func rebuilt(t T, l *Loader, meanwhile func()) warehouse.RebuildResult {
	t.Helper()
	calls := 0
	r, err := l.Store.Rebuild(context.Background(), func(done, total int64) {
		calls++
		if done > total {
			t.Errorf("%d of %d messages are done", done, total)
		}
		meanwhile()
	})
	if err != nil {
		t.Fatalf("rebuild: %v", err)
	}
	if calls < 3 {
		t.Fatalf("a rebuild told its progress %d times, want the beginning, the replay and the end", calls)
	}
	return r
}

func refusedMeanwhile(t *testing.T, l *Loader) {
	ctx := context.Background()
	s := warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm"}}, Mappings: mapAll("crm", map[string]string{"email": "email"})}
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "email", "a@x"))
	rebuilt(t, l, func() {
		other := s
		other.Mappings = mapAll("crm", map[string]string{"email": "email", "customer": "customer"})
		if _, err := l.Store.Apply(ctx, other); !errors.Is(err, activation.ErrConflict) {
			t.Errorf("another schema during a rebuild: %v, want a conflict", err)
		}
		if _, err := l.Store.Rebuild(ctx, nil); !errors.Is(err, activation.ErrConflict) {
			t.Errorf("another rebuild during one: %v, want a conflict", err)
		}
		l.Apply(t, s)
	})
	l.Rebuild(t)
	if waiting := l.Apply(t, warehouse.Schema{Mappings: mapAll("crm", map[string]string{"customer": "customer"})}); !slices.Equal(waiting, []string{"customer"}) {
		t.Errorf("%v wait after a rebuild, want customer", waiting)
	}
}

func cancelledRebuild(t *testing.T, l *Loader) {
	s := warehouse.Schema{
		Fields: people(warehouse.Field{Name: "n", Type: warehouse.Integer, Merge: warehouse.Latest}), Streams: []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "n": "n"}),
	}
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "email", "a@x", "n", "1"), row(2, "email", "a@x", "n", "2"))
	l.Apply(t, warehouse.Schema{Fields: []warehouse.Field{{Name: "n", Type: warehouse.Integer, Merge: warehouse.Sum}}})
	for stop := range 4 {
		ctx, cancel := context.WithCancel(context.Background())
		calls := 0
		_, err := l.Store.Rebuild(ctx, func(int64, int64) {
			if calls++; calls > stop {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			if err == nil && calls <= stop {
				break // it was done before
			}
			t.Fatalf("a rebuild cancelled at step %d: %v", stop, err)
		}
		wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "n": int64(2)})
	}
	l.Load(t, "2", "crm", row(3, "email", "a@x", "n", "4"))
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "n": int64(4)})
	l.Rebuild(t)
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "n": int64(7)})
}

func rebuildResult(t *testing.T, l *Loader) {
	s := warehouse.Schema{
		Fields: people(warehouse.Field{Name: "n", Type: warehouse.Integer, Merge: warehouse.Latest}), Streams: []warehouse.Stream{{Name: "crm"}},
		Mappings: mapAll("crm", map[string]string{"email": "email", "customer": "customer", "n": "n"}),
	}
	l.Apply(t, s)
	l.Load(t, "1", "crm",
		row(1, "email", "a@x", "n", "1"), row(2, "email", "a@x", "n", "2"), // changes: their sum
		row(3, "email", "b@x", "n", "3"),                                                            // stays
		row(4, "email", "c@x", "customer", "7", "n", "10"), row(5, "email", "d@x", "customer", "7"), // are parted
		row(6, "name", "nobody"))
	s.Fields[1].Rank = 0
	s.Fields[2].Merge = warehouse.Sum
	l.Apply(t, s)
	got := rebuilt(t, l, func() {})
	want := warehouse.RebuildResult{Messages: 6, Profiles: 4, Changed: 2, New: 1, Moved: 1}
	if got != want {
		t.Errorf("a rebuild says %+v, want %+v", got, want)
	}
	if got, want := rebuilt(t, l, func() {}), (warehouse.RebuildResult{Messages: 6, Profiles: 4}); got != want {
		t.Errorf("a second rebuild says %+v, want %+v", got, want)
	}
	s.Fields[1].Rank = 2
	l.Apply(t, s)
	n := 0
	got = rebuilt(t, l, func() {
		if n++; n == 3 { // after all was compared
			l.Load(t, "2", "crm", row(7, "email", "b@x", "customer", "7", "n", "5"), row(8, "email", "e@x"))
		}
	})
	// b, c and d are one: two of them are gone.
	if want := (warehouse.RebuildResult{Messages: 8, Profiles: 3, Changed: 1, Gone: 2, Moved: 2}); got != want {
		t.Errorf("a third rebuild says %+v, want %+v", got, want)
	}
}

func idsOfNewcomers(t *testing.T, l *Loader) {
	s := warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm"}}, Mappings: mapAll("crm", map[string]string{"email": "email", "customer": "customer"})}
	l.Apply(t, s)
	l.Load(t, "1", "crm", row(1, "email", "a@x", "customer", "1"))
	ids := map[string]int64{"a@x": l.Find(t, "email", "a@x").ID}
	n := 0
	rebuilt(t, l, func() {
		n++
		for range 2 {
			email := string(rune('a'+len(ids))) + "@x"
			l.Load(t, email, "crm", row(int64(len(ids)), "email", email, "customer", email))
			ids[email] = l.Find(t, "email", email).ID
		}
	})
	for email, id := range ids {
		if p := l.Find(t, "customer", map[bool]string{true: "1", false: email}[email == "a@x"]); p.ID != id {
			t.Errorf("%s was %d and is %d", email, id, p.ID)
		}
	}
}

func pricesMeanwhile(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{
		Fields:  people(warehouse.Field{Name: "value", Type: warehouse.Number, Merge: warehouse.Sum}),
		Streams: []warehouse.Stream{{Name: "orders"}, {Name: "prices", ReferenceKey: "sku"}},
		Mappings: mapAll("orders", map[string]string{
			"email": "email",
			"value": `number(quantity) * number(lookup("prices", sku, "price"))`,
		}),
	})
	l.Load(t, "p", "prices", row(1, "sku", "s1", "price", "2"))
	l.Load(t, "o", "orders", row(1, "email", "a@x", "sku", "s1", "quantity", "3"))
	n := int64(1)
	rebuilt(t, l, func() {
		n++
		l.Load(t, "p"+string(rune('0'+n)), "prices", row(n, "sku", "s1", "price", string(rune('0'+n))))
	})
	wantValues(t, l.Find(t, "email", "a@x"), map[string]any{"email": "a@x", "value": float64(3 * n)})
}
