package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/warehouse"
)

// TestWrongDeclarations: every wrong field is named and nothing is stored.
func TestWrongDeclarations(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.CreateAuthorization(ctx, "meta", " ", map[string]string{"base_url": "a-value", "zzz": "a-value"}, "ann")
	wrong(t, err, "label", "config.access_token", "config.base_url", "config.zzz")
	_, err = w.CreateDestination(ctx, activation.Destination{
		Provider: "meta", Authorization: "a-value", Mapping: map[string]string{"EMAIL": "a-value"}, Config: map[string]string{"regain_unit": "a-value"},
	}, "ann")
	wrong(t, err, "name", "account", "auth_id", "mapping.EMAIL", "config.regain_unit")
	_, err = w.CreateJob(ctx, catalog.JobSpec{Workflow: "meta-custom-audience", Name: strings.Repeat("n", 201), Destination: "a-value", Schedule: activation.Schedule{Frequency: "a-value"}, Config: map[string]string{"zzz": "a-value"}}, "ann")
	wrong(t, err, "name", "config.zzz", "run_frequency", "destination_id", "segment_ids")
	_, err = w.CreateJob(ctx, catalog.JobSpec{Workflow: "meta_custom_audience", Name: "x", Destination: "a-value", Audiences: []string{"a-value"}}, "ann")
	wrong(t, err, "destination_id", "segment_ids")
	_, err = w.CreateAudience(ctx, activation.Audience{Slug: "A-value", Rule: "FILTER"}, "ann")
	wrong(t, err, "slug_name", "name", "segment_ql")
	for _, name := range []string{"", "a-value", "meta_custom_audience"} {
		if _, err := w.Definition(name); activation.CodeOf(err) != "PROVIDER-NOTFOUND-016" || strings.Contains(err.Error(), "a-value") {
			t.Errorf("provider %q: %v", name, err)
		}
	}
	if _, _, err := w.Workflow("a-value"); activation.CodeOf(err) != "WF-NOTFOUND-005" {
		t.Errorf("workflow: %v", err)
	}
	w.isEmpty(t)
	if w.box.given != nil {
		t.Error("wrong credentials were sealed")
	}
}

// isEmpty fails when the store holds anything.
func (w *world) isEmpty(t *testing.T) {
	t.Helper()
	auths, err1 := w.store.Authorizations(t.Context())
	dests, err2 := w.store.Destinations(t.Context())
	audiences, err3 := w.store.Audiences(t.Context())
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(auths)+len(dests)+len(audiences) > 0 {
		t.Errorf("stored: %v %v %v", auths, dests, audiences)
	}
}

// TestCredentials: what is stored is sealed, with the defaults filled in.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	d := w.destination(t)
	if w.box.given["access_token"] != "secret" || w.box.given["base_url"] == "" {
		t.Errorf("sealed %d values", len(w.box.given))
	}
	auth, err := w.store.Authorization(t.Context(), d.Authorization)
	if err != nil || string(auth.Sealed) != "sealed" || auth.Status != activation.AuthUnknown || !d.Enabled {
		t.Errorf("%+v, %v", auth, err)
	}
}

// TestRefusedAudience: what the data plane refuses, before or after it is
// stored, is not left in the store.
func TestRefusedAudience(t *testing.T) {
	no := &activation.Error{Kind: activation.Invalid, Code: "FILTERQL", Message: "no such field"}
	for name, set := range map[string]func(*plane){
		"on trial":        func(p *plane) { p.try = no },
		"when it is told": func(p *plane) { p.refuse, p.refused = no, "score" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set(w.plane)
			if _, err := w.CreateAudience(t.Context(), activation.Audience{Slug: "high", Name: "High", Rule: "FILTER score > 1"}, "ann"); activation.SafeMessage(err) != "no such field" {
				t.Errorf("error is %v", err)
			}
			w.isEmpty(t)
		})
	}
	t.Run("a change", func(t *testing.T) {
		w := newWorld(t)
		old, err := w.CreateAudience(t.Context(), activation.Audience{Slug: "high", Name: "High", Rule: "FILTER score > 1"}, "ann")
		if err != nil {
			t.Fatal(err)
		}
		w.plane.refuse, w.plane.refused = no, "score > 2"
		if _, err := w.UpdateAudience(t.Context(), "high", activation.Audience{Rule: "FILTER score > 2"}, "ann"); err == nil {
			t.Fatal("accepted")
		}
		if got, err := w.Audience(t.Context(), "high"); err != nil || got.Rule != old.Rule {
			t.Errorf("the rule is %q, %v; want the old one", got.Rule, err)
		}
	})
}

// TestAudiences: the data plane always knows what the store knows; what another
// rule includes stays.
func TestAudiences(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	made := map[string]activation.Audience{}
	for _, a := range []activation.Audience{{Slug: "high", Name: "High", Rule: "FILTER score > 50"}, {Slug: "rest", Name: "Rest", Rule: "FILTER NOT INCLUDE high"}} {
		out, err := w.CreateAudience(ctx, a, "ann")
		if err != nil {
			t.Fatal(err)
		}
		made[a.Slug] = out
	}
	err := w.DeleteAudience(ctx, string(made["high"].ID), "ann")
	if !errors.Is(err, activation.ErrConflict) || !strings.Contains(activation.SafeMessage(err), `"rest"`) {
		t.Fatalf("deleting what rest includes: %v", err)
	}
	before := len(w.plane.rules)
	if got, err := w.UpdateAudience(ctx, "rest", activation.Audience{Name: "All the rest"}, "ann"); err != nil || got.Rule != "FILTER NOT INCLUDE high" || got.Name != "All the rest" {
		t.Errorf("a new name: %+v, %v", got, err)
	}
	for _, slug := range []string{"rest", "high"} {
		if err := w.DeleteAudience(ctx, slug, "ann"); err != nil {
			t.Errorf("delete %s: %v", slug, err)
		}
	}
	if before != 2 || len(w.plane.rules) != 0 {
		t.Errorf("the data plane had %d rules and has %d, want 2 and 0", before, len(w.plane.rules))
	}
	if err := w.DeleteAudience(ctx, "high", "ann"); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	w.plane.rules = []warehouse.Rule{{Slug: "stale"}}
	if err := w.SyncAudiences(ctx); err != nil || len(w.plane.rules) != 0 {
		t.Errorf("in step at start: %v, %v", w.plane.rules, err)
	}
}

// TestDestinationHealth: a check that tells something of the credentials is
// their health; a network that is down tells nothing.
func TestDestinationHealth(t *testing.T) {
	bad := &activation.Error{Kind: activation.Unauthorized, Code: "META-AUTH", Message: "expired"}
	for _, c := range []struct {
		name     string
		found    error
		reported int
	}{
		{"good", nil, 1}, {"expired", bad, 1}, {"down", &activation.Error{Kind: activation.Unavailable, Code: "META-UNAVAILABLE", Message: "down"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			d := w.destination(t)
			w.far.found = c.found
			if err := w.TestDestination(t.Context(), d.ID); !errors.Is(err, c.found) {
				t.Errorf("error is %v, want %v", err, c.found)
			}
			if len(w.health.reported) != c.reported || c.reported == 1 && (w.health.of != d.Authorization || !errors.Is(w.health.reported[0], c.found)) {
				t.Errorf("reported %v of %q", w.health.reported, w.health.of)
			}
		})
	}
}

// TestDeclare adds to what is declared and leaves the rest alone.
func TestDeclare(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Declare(t.Context(), warehouse.Schema{Fields: []warehouse.Field{{Name: "score", Type: warehouse.Number, Merge: warehouse.Max}, {Name: "country", Type: warehouse.Text}}}, "ann"); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range w.plane.schema.Fields {
		names = append(names, f.Name+" "+string(f.Type))
	}
	if got := strings.Join(names, ", "); got != "email text, score number, country text" || w.plane.applied != 1 {
		t.Errorf("fields are %s after %d calls", got, w.plane.applied)
	}
}
