package catalog_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// shelf is a provider of the other sort: no credentials, no accounts, columns of
// people's own, events, and terms to be accepted.
func shelf() provider.Definition {
	return provider.Definition{
		Name: "shelf", Title: "Shelf", OpenColumns: &provider.OpenColumns{Rules: "shelf/1"},
		DestinationFields: []provider.Field{
			{Name: "terms", Label: "Terms", Type: "agreement", Required: true, Help: "the terms of the shelf"},
			{Name: provider.IDColumnField, Type: "string"},
			{Name: provider.HashColumnsField, Type: "list"},
		},
		Workflows: []provider.Workflow{
			{
				Name: "shelf_messages", Direction: provider.Export, Kind: provider.Event, Feed: provider.FeedStream, RealTime: true, Scheduled: true,
				Events: []matchkey.Key{{Name: "id", Identifies: true, Normalize: matchkey.Plain}, {Name: "value", Normalize: matchkey.Plain}},
				Fields: []provider.Field{
					{Name: "id", Type: "column", Default: "$id", Required: true}, {Name: "value", Type: "column"}, {Name: "template_id", Type: "template"},
				},
			},
			{
				Name: "shelf_moves", Direction: provider.Export, Kind: provider.Event, Feed: provider.FeedAudience, RealTime: true,
				Events: []matchkey.Key{{Name: "id", Identifies: true, Normalize: matchkey.Plain}},
				Fields: []provider.Field{{Name: "id", Type: "column", Default: "$id"}, {Name: provider.AudienceEventsField, Type: "string"}},
			},
		},
		NewDestination: func(provider.Deps) (provider.Destination, error) { return &far{}, nil },
	}
}

// onShelf makes a destination without credentials, and a stream.
func (w *world) onShelf(t *testing.T) activation.Destination {
	t.Helper()
	w.plane.schema.Streams = []warehouse.Stream{{Name: "orders"}, {Name: "fresh"}, {Name: "prices", ReferenceKey: "sku"}}
	w.plane.columns = map[string][]string{"orders": {"order_no", "total"}}
	d, err := w.CreateDestination(t.Context(), activation.Destination{Name: "Shelf", Provider: "shelf", Config: map[string]string{"terms": "true"}}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestOpenColumns: a destination that takes any columns gets every field where
// none is named, and every wrong column is refused.
func TestOpenColumns(t *testing.T) {
	w := newWorld(t)
	d := w.onShelf(t)
	if len(d.Mapping) != 2 || d.Mapping["email"] != "email" || d.Mapping["score"] != "score" {
		t.Errorf("mapping is %v, want every field under its own name", d.Mapping)
	}
	rs := shelf().Rules(map[string]string{provider.IDColumnField: "score", provider.HashColumnsField: "email"}, d.Mapping)
	for _, k := range rs.Keys {
		if k.Identifies != (k.Name == "score") || k.Hash != (k.Name == "email") {
			t.Errorf("key %+v", k)
		}
	}
	for name, c := range map[string]struct {
		d      activation.Destination
		fields []string
	}{
		"an account":        {activation.Destination{Account: "7"}, []string{"account"}},
		"no such field":     {activation.Destination{Mapping: map[string]string{"a": "zzz"}}, []string{"mapping.a"}},
		"a broken name":     {activation.Destination{Mapping: map[string]string{" a\n": "email"}}, []string{"mapping"}},
		"id is no column":   {activation.Destination{Config: map[string]string{provider.IDColumnField: "zzz"}}, []string{"mapping", "config." + provider.IDColumnField}},
		"hash is no column": {activation.Destination{Config: map[string]string{provider.HashColumnsField: "email,zzz"}}, []string{"config." + provider.HashColumnsField}},
		"terms refused":     {activation.Destination{Config: map[string]string{"terms": "no"}}, []string{"config.terms"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.d.Name, c.d.Provider = "Other", "shelf"
			if c.d.Config == nil {
				c.d.Config = map[string]string{}
			}
			if c.d.Config["terms"] == "" {
				c.d.Config["terms"] = "true"
			}
			_, err := w.CreateDestination(t.Context(), c.d, "ann")
			wrong(t, err, c.fields...)
		})
	}
}

// TestAgreement: who accepted and when is written down by the server, once, and
// nobody can write it down for somebody else.
func TestAgreement(t *testing.T) {
	w := newWorld(t)
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	w.Now = func() time.Time { return at }
	d := w.onShelf(t)
	const first = "accepted by ann at 2026-11-22T09:00:00Z"
	if d.Config["terms"] != first {
		t.Fatalf("terms are %q", d.Config["terms"])
	}
	at = at.Add(time.Hour)
	for _, given := range []string{"true", first, "accepted by eve at 2020-01-01T00:00:00Z"} {
		d.Config["terms"] = given
		var err error
		if d, err = w.UpdateDestination(t.Context(), d, "bob"); err != nil || d.Config["terms"] != first {
			t.Errorf("given %q they are %q (%v)", given, d.Config["terms"], err)
		}
	}
	forged, err := w.CreateDestination(t.Context(), activation.Destination{Name: "Second", Provider: "shelf", Config: map[string]string{"terms": first}}, "bob")
	if err != nil || forged.Config["terms"] != "accepted by bob at 2026-11-22T10:00:00Z" {
		t.Errorf("a forged agreement is %q (%v)", forged.Config["terms"], err)
	}
}

// TestEventJobs: what a job sends of a stream, or of people entering and leaving,
// is checked before anything is stored, and it gets one target.
func TestEventJobs(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	d := w.onShelf(t)
	if _, err := w.CreateAudience(ctx, activation.Audience{Slug: "high", Name: "High", Rule: "FILTER score > 1", Public: true}, "ann"); err != nil {
		t.Fatal(err)
	}
	messages := catalog.JobSpec{Workflow: "shelf_messages", Name: "m", Destination: d.ID, Stream: "orders", Config: map[string]string{"value": "total"}, Schedule: activation.Schedule{Continuous: true}}
	moves := catalog.JobSpec{Workflow: "shelf_moves", Name: "v", Destination: d.ID, Audiences: []string{"high"}, Schedule: activation.Schedule{Continuous: true}}
	for name, c := range map[string]struct {
		spec   catalog.JobSpec
		change func(*catalog.JobSpec)
		fields string
	}{
		"no stream":            {messages, func(s *catalog.JobSpec) { s.Stream = "" }, "stream"},
		"another stream":       {messages, func(s *catalog.JobSpec) { s.Stream = "zzz" }, "stream"},
		"a reference stream":   {messages, func(s *catalog.JobSpec) { s.Stream, s.Config = "prices", nil }, "stream"},
		"audiences":            {messages, func(s *catalog.JobSpec) { s.Audiences = []string{"high"} }, "segment_ids"},
		"no such column":       {messages, func(s *catalog.JobSpec) { s.Config = map[string]string{"value": "zzz"} }, "config.value"},
		"no such source":       {messages, func(s *catalog.JobSpec) { s.Config = map[string]string{"value": "$zzz"} }, "config.value"},
		"an open quote":        {messages, func(s *catalog.JobSpec) { s.Config = map[string]string{"value": `"EUR`} }, "config.value"},
		"no such template":     {messages, func(s *catalog.JobSpec) { s.Config = map[string]string{"template_id": "zzz"} }, "config.template_id"},
		"to be emptied":        {messages, func(s *catalog.JobSpec) { s.OnEnd = activation.EndEmpty }, "on_end"},
		"a stream of moves":    {moves, func(s *catalog.JobSpec) { s.Stream = "orders" }, "stream"},
		"no audience":          {moves, func(s *catalog.JobSpec) { s.Audiences = nil }, "segment_ids"},
		"no such kind of move": {moves, func(s *catalog.JobSpec) { s.Config = map[string]string{provider.AudienceEventsField: "sideways"} }, "config." + provider.AudienceEventsField},
	} {
		t.Run(name, func(t *testing.T) {
			c.change(&c.spec)
			_, err := w.CreateJob(ctx, c.spec, "ann")
			wrong(t, err, strings.Fields(c.fields)...)
		})
	}
	for _, value := range []string{`"EUR"`, "$time", "order_no", ""} {
		s := messages
		s.Name, s.Config = "job "+value, map[string]string{"value": value}
		j, err := w.CreateJob(ctx, s, "ann")
		if err != nil {
			t.Fatalf("value %q: %v", value, err)
		}
		targets, err := w.store.TargetsOf(ctx, j.ID, "")
		if err != nil || len(targets) != 1 || targets[0].Stream != "orders" || targets[0].Audience != "" || targets[0].Workflow != "shelf_messages" {
			t.Errorf("targets of a stream's job: %+v, %v", targets, err)
		}
	}
	unseen := messages
	unseen.Name, unseen.Stream = "before its first message", "fresh"
	if _, err := w.CreateJob(ctx, unseen, "ann"); err != nil {
		t.Errorf("before a stream's first message nobody knows its columns: %v", err)
	}
	if _, err := w.CreateJob(ctx, moves, "ann"); err != nil {
		t.Fatal(err)
	}
	if err := raise(ctx, w, map[string]int64{"orders": 12}); err != nil {
		t.Fatal(err)
	}
	all, err := w.store.Targets(ctx, targetsOf("orders"))
	if err != nil || len(all) != 4 || slices.ContainsFunc(all, func(t activation.Target) bool { return t.DirtySeq != 12 }) {
		t.Errorf("after 12 messages: %+v, %v", all, err)
	}
}

// site is a provider that shows what it holds to anybody.
func site() provider.Definition {
	return provider.Definition{
		Name: "site", Title: "Site", OpenColumns: &provider.OpenColumns{Rules: "site/1"}, PublicOnly: true,
		DestinationFields: []provider.Field{{Name: provider.IDColumnField, Type: "string", Default: "score"}},
		Workflows:         []provider.Workflow{{Name: "site_audience", Direction: provider.Export, Kind: provider.State, RealTime: true}},
		NewDestination:    func(provider.Deps) (provider.Destination, error) { return &far{}, nil },
	}
}

// TestPublicOnly: what anybody may read gets public audiences and public fields
// alone, and neither is made private while it is there.
func TestPublicOnly(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.plane.schema.Fields[0].PII, w.plane.schema.Fields[1].Public = true, true // email, score
	for slug, public := range map[string]bool{"high": true, "secret": false} {
		if _, err := w.CreateAudience(ctx, activation.Audience{Slug: slug, Name: slug, Rule: "FILTER score > 1", Public: public}, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		d     activation.Destination
		field string
	}{
		"a private field": {activation.Destination{Mapping: map[string]string{"score": "score", "mail": "email"}}, "mapping.mail"},
		"a personal id":   {activation.Destination{Mapping: map[string]string{"id": "email"}, Config: map[string]string{provider.IDColumnField: "id"}}, "mapping.id"},
	} {
		c.d.Name, c.d.Provider = name, "site"
		_, err := w.CreateDestination(ctx, c.d, "ann")
		wrong(t, err, c.field)
	}
	d, err := w.CreateDestination(ctx, activation.Destination{Name: "Site", Provider: "site"}, "ann")
	if err != nil || len(d.Mapping) != 1 {
		t.Fatalf("without a mapping it has %v (%v), want the public fields", d.Mapping, err)
	}
	spec := catalog.JobSpec{Workflow: "site_audience", Name: "s", Destination: d.ID, Audiences: []string{"high", "secret"}, Schedule: activation.Schedule{Continuous: true}}
	_, err = w.CreateJob(ctx, spec, "ann")
	wrong(t, err, "segment_ids")
	spec.Audiences = []string{"high"}
	if _, err := w.CreateJob(ctx, spec, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetPublic(ctx, "high", false, "ann"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("an audience that sites read was made private: %v", err)
	}
	d.Mapping["level"] = "score" // shown, where the id is only asked by
	if _, err := w.UpdateDestination(ctx, d, "ann"); err != nil {
		t.Fatal(err)
	}
	private := w.plane.schema.Fields[1]
	private.Public = false
	if _, err := w.Declare(ctx, warehouse.Schema{Fields: []warehouse.Field{private}}, "ann"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a field that sites read was made private: %v", err)
	}
	if _, err := w.Declare(ctx, warehouse.Schema{Fields: []warehouse.Field{{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest}}}, "ann"); err != nil {
		t.Errorf("a field that no site reads may be private: %v", err)
	}
}

func raise(ctx context.Context, w *world, seq map[string]int64) error {
	return w.store.RaiseStreams(ctx, seq)
}

func targetsOf(stream string) store.TargetFilter { return store.TargetFilter{Stream: stream} }
