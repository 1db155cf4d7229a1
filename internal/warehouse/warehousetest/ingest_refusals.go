package warehousetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

func refusals(t *testing.T, l *Loader) {
	text := func(name string) warehouse.Field {
		return warehouse.Field{Name: name, Type: warehouse.Text, Merge: warehouse.Latest}
	}
	streams := []warehouse.Stream{{Name: "crm"}, {Name: "prices", ReferenceKey: "sku"}}
	for _, c := range []struct {
		name, field, says string
		schema            warehouse.Schema
	}{
		{"field name", "E-mail", "field name", warehouse.Schema{Fields: []warehouse.Field{text("E-mail")}}},
		{"reserved field name", "a__ord", "field name", warehouse.Schema{Fields: []warehouse.Field{text("a__ord")}}},
		{"sum of text", "a", "latest", warehouse.Schema{Fields: []warehouse.Field{{Name: "a", Type: warehouse.Text, Merge: warehouse.Sum}}}},
		{"unknown type", "a", "unknown type", warehouse.Schema{Fields: []warehouse.Field{{Name: "a", Type: "money", Merge: warehouse.Sum}}}},
		{"identifier that is a sum", "a", "identifier", warehouse.Schema{Fields: []warehouse.Field{{Name: "a", Type: warehouse.Integer, Merge: warehouse.Sum, Rank: 1}}}},
		{"field twice", "a", "twice", warehouse.Schema{Fields: []warehouse.Field{text("a"), text("a")}}},
		{"stream name", "Web Shop", "stream name", warehouse.Schema{Streams: []warehouse.Stream{{Name: "Web Shop"}}}},
		{"date order", "crm", "date order", warehouse.Schema{Streams: []warehouse.Stream{{Name: "crm", DateOrder: "dym"}}}},
		{"unknown stream", "a", "unknown stream", warehouse.Schema{Fields: []warehouse.Field{text("a")}, Mappings: mapAll("crm", map[string]string{"a": "x"})}},
		{"unknown field", "b", "unknown field", warehouse.Schema{Streams: streams, Mappings: mapAll("crm", map[string]string{"b": "x"})}},
		{"reference stream mapped", "a", "reference stream", warehouse.Schema{Fields: []warehouse.Field{text("a")}, Streams: streams, Mappings: mapAll("prices", map[string]string{"a": "x"})}},
		{"syntax", "a", "line 1, column", warehouse.Schema{Fields: []warehouse.Field{text("a")}, Streams: streams, Mappings: mapAll("crm", map[string]string{"a": "lower(x"})}},
		{"look-up in no reference", "a", "reference stream", warehouse.Schema{Fields: []warehouse.Field{text("a")}, Streams: streams, Mappings: mapAll("crm", map[string]string{"a": `lookup("crm", x, "y")`})}},
		{"identifier looked up", "email", "identifier", warehouse.Schema{Fields: people(), Streams: streams, Mappings: mapAll("crm", map[string]string{"email": `lookup("prices", x, "y")`})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := l.Store.Apply(context.Background(), c.schema)
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != c.field || !strings.Contains(e.Message, c.says) {
				t.Errorf("error is %v, want an invalid one about %q that says %q", err, c.field, c.says)
			}
		})
	}
	if s, err := l.Store.Schema(context.Background()); err != nil || len(s.Fields)+len(s.Streams)+len(s.Mappings) > 0 {
		t.Errorf("schema is %+v (%v) after refusals only", s, err)
	}
	l.Apply(t, warehouse.Schema{Fields: people(), Streams: streams, Mappings: mapAll("crm", map[string]string{"email": "email"})})
	l.Load(t, "1", "crm", row(1, "email", "a@x"))
	_, err := l.Store.Apply(context.Background(), warehouse.Schema{Streams: []warehouse.Stream{{Name: "crm", MessageID: []string{"id"}}}})
	if activation.KindOf(err) != activation.Invalid {
		t.Errorf("message id fields changed under messages: %v", err)
	}
}

func undeclaredStream(t *testing.T, l *Loader) {
	l.Load(t, "1", "crm", row(7, "email", "a@x"))
	l.Load(t, "2", "crm", row(8, "email", "b@x", "city", "Bonn"))
	stats, err := l.Store.Streams(context.Background())
	if err != nil || len(stats) != 1 {
		t.Fatalf("%d streams: %v", len(stats), err)
	}
	s := stats[0]
	if s.Name != "crm" || s.Messages != 2 || !slices.Equal(s.Columns, []string{"email", "city"}) || !slices.Equal(s.Unmapped, s.Columns) || s.LastMessage.UnixMicro() != 8 {
		t.Errorf("stream is %+v", s)
	}
	waiting := l.Apply(t, warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm"}}, Mappings: mapAll("crm", map[string]string{"email": "email"})})
	if !slices.Equal(waiting, []string{"email"}) {
		t.Errorf("%v wait for a rebuild, want email", waiting)
	}
	l.Rebuild(t)
	l.Find(t, "email", "b@x")
}

func notFound(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{Fields: people(warehouse.Field{Name: "city", Type: warehouse.Text, Merge: warehouse.Latest})})
	ctx := context.Background()
	if _, err := l.Store.Find(ctx, "email", "someone@x"); !errors.Is(err, activation.ErrNotFound) || strings.Contains(err.Error(), "someone") {
		t.Errorf("error is %v, want not found and no value", err)
	}
	if _, err := l.Store.Find(ctx, "city", "Bonn"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("find by a field that is no identifier: %v", err)
	}
	if _, err := l.Store.Messages(ctx, "nowhere", 1); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("messages of no stream: %v", err)
	}
}

func readDuringRebuild(t *testing.T, l *Loader) {
	l.Apply(t, warehouse.Schema{Fields: people(), Streams: []warehouse.Stream{{Name: "crm"}}, Mappings: mapAll("crm", map[string]string{"email": "email"})})
	l.Load(t, "1", "crm", row(1, "email", "a@x"), row(1, "email", "b@x"))
	want := l.Find(t, "email", "a@x").ID
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, err := l.Store.Find(context.Background(), "email", "a@x")
				if err != nil || p.ID != want {
					t.Errorf("found %d during a rebuild: %v", p.ID, err)
					return
				}
			}
		})
	}
	for range 5 {
		l.Rebuild(t)
	}
	close(stop)
	readers.Wait()
}
