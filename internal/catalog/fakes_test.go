package catalog_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/warehouse"
)

// plane is a data plane that can be told to refuse.
type plane struct {
	schema  warehouse.Schema
	rules   []warehouse.Rule
	refuse  error // what SetAudiences returns while the slug refused is in the list
	refused string
	try     error
	applied int
	columns map[string][]string // by stream
}

func (p *plane) Apply(_ context.Context, s warehouse.Schema) ([]string, error) {
	p.schema, p.applied = s, p.applied+1
	return nil, nil
}

func (p *plane) DropField(_ context.Context, name string) error {
	p.schema.Fields = slices.DeleteFunc(slices.Clone(p.schema.Fields), func(f warehouse.Field) bool { return f.Name == name })
	return nil
}
func (p *plane) Schema(context.Context) (warehouse.Schema, error) { return p.schema, nil }
func (p *plane) Streams(context.Context) ([]warehouse.StreamStat, error) {
	var out []warehouse.StreamStat
	for _, s := range p.schema.Streams {
		out = append(out, warehouse.StreamStat{Stream: s, Columns: p.columns[s.Name]})
	}
	return out, nil
}

func (p *plane) SetAudiences(_ context.Context, rules []warehouse.Rule, _ time.Time) error {
	for _, r := range rules {
		if p.refuse != nil && strings.Contains(r.Text, p.refused) {
			return p.refuse
		}
	}
	p.rules = rules
	return nil
}
func (p *plane) Try(context.Context, string, time.Time) (int64, error)      { return 0, p.try }
func (p *plane) Size(context.Context, activation.AudienceID) (int64, error) { return 0, nil }

// box seals nothing and remembers what it was given.
type box struct{ given map[string]provider.Secret }

func (b *box) Seal(secrets map[string]provider.Secret) ([]byte, string, error) {
	b.given = secrets
	return []byte("sealed"), "key", nil
}

func (b *box) Open([]byte, string) (map[string]provider.Secret, error) { return b.given, nil }

// far is a destination whose check finds what it is told.
type far struct {
	provider.Destination
	found error
}

func (f *far) Check(context.Context) error { return f.found }

// health remembers what was reported.
type health struct {
	reported []error
	of       activation.AuthorizationID
}

func (h *health) Report(_ context.Context, id activation.AuthorizationID, found error) error {
	h.reported, h.of = append(h.reported, found), id
	return nil
}

func (h *health) Test(context.Context, activation.AuthorizationID) error { return nil }

// world is a catalog over a real control store.
type world struct {
	*catalog.Catalog
	store  *store.Store
	plane  *plane
	box    *box
	far    *far
	health *health
}

func newWorld(t *testing.T) *world {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.sqlite")), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{store: st, box: &box{}, far: &far{}, health: &health{}, plane: &plane{schema: warehouse.Schema{Fields: []warehouse.Field{
		{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest}, {Name: "score", Type: warehouse.Integer, Merge: warehouse.Latest},
	}}}}
	w.Catalog = catalog.New(catalog.Config{
		Store: st, Warehouse: w.plane, Sealer: w.box, Providers: []provider.Definition{meta.Definition(), shelf(), site()}, Health: w.health,
		Connect: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
			return w.far, meta.Definition(), nil
		},
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	return w
}

// destination makes credentials and a destination that are right.
func (w *world) destination(t *testing.T) activation.Destination {
	t.Helper()
	auth, err := w.CreateAuthorization(t.Context(), "meta", "Meta", map[string]string{"access_token": "secret"}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.CreateDestination(t.Context(), activation.Destination{Name: "Shop", Provider: "meta", Authorization: auth.ID, Account: "1", Mapping: map[string]string{"EMAIL": "email"}}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wrong fails unless err is one Invalid error that names each of the fields,
// once for the whole and once for each.
func wrong(t *testing.T, err error, fields ...string) {
	t.Helper()
	if activation.KindOf(err) != activation.Invalid {
		t.Fatalf("error is %v, want an invalid one", err)
	}
	message := activation.SafeMessage(err)
	var all interface{ Each() []*activation.Error }
	if !errors.As(err, &all) {
		t.Fatalf("%v does not tell its fields", err)
	}
	if len(all.Each()) != len(fields) {
		t.Errorf("%d wrong fields, want %d: %s", len(all.Each()), len(fields), message)
	}
	for i, f := range fields {
		if !strings.Contains(message, f+": ") || i < len(all.Each()) && all.Each()[i].Field != f {
			t.Errorf("field %q is not named: %s", f, message)
		}
	}
	if strings.Contains(err.Error(), "a-value") {
		t.Errorf("the error gives back a value: %v", err)
	}
}
