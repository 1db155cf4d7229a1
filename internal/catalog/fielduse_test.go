package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider/webhook"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// TestDeleteField: a field goes only when nothing uses it, and what uses it is named.
func TestDeleteField(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.Providers = append(w.Providers, webhook.Definition())
	w.destination(t) // is given email
	w.plane.schema.Fields = append(w.plane.schema.Fields, warehouse.Field{Name: "customer", Rank: 2}, warehouse.Field{Name: "town"}, warehouse.Field{Name: "plan"}, warehouse.Field{Name: "spare"})
	w.plane.schema.Streams = []warehouse.Stream{{Name: "crm"}}
	w.plane.schema.Mappings = []warehouse.Mapping{{Stream: "crm", Field: "town", Expression: "town"}}
	if _, err := w.CreateAudience(ctx, activation.Audience{Slug: "high", Name: "High", Rule: `FILTER AND (NOT (score > 5), plan = "a")`}, "ann"); err != nil {
		t.Fatal(err)
	}
	auth, err := w.CreateAuthorization(ctx, "webhook", "CRM", map[string]string{"webhook_url": "https://crm.example/ask"}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	job := catalog.JobSpec{
		Workflow: "webhook_enrichment", Name: "Scores", Authorizations: []activation.AuthorizationID{auth.ID},
		Config: map[string]string{"stream": "scores", "user_fields": "spare , plan"},
	}
	j, err := w.CreateJob(ctx, job, "ann")
	if err != nil {
		t.Fatal(err)
	}
	for field, users := range map[string][]string{
		"email":    {`the mapping of the destination "Shop"`},
		"score":    {`the audience "high"`},
		"plan":     {`the audience "high"`, `the enrichment job "Scores"`},
		"customer": {"identifies people with rank 2"},
		"town":     {`the mapping of the stream "crm"`},
		"spare":    {`the enrichment job "Scores"`},
	} {
		err := w.DeleteField(ctx, field, "ann")
		if !errors.Is(err, activation.ErrConflict) || activation.CodeOf(err) != "CONFLICT" {
			t.Errorf("%s: %v", field, err)
		}
		for _, user := range users {
			if !strings.Contains(activation.SafeMessage(err), user) {
				t.Errorf("%s: %v does not name %s", field, err, user)
			}
		}
	}
	if _, err := w.Command(ctx, j.ID, activation.CommandKill, 0, "ann"); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteField(ctx, "spare", "ann"); err != nil {
		t.Errorf("of a job that has ended: %v", err)
	}
	told, err := w.store.Audit(ctx, store.AuditFilter{SubjectType: "field"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range told {
		got = append(got, e.Actor+" "+e.Verb+" "+e.SubjectID)
	}
	if len(got) == 0 || got[0] != "ann delete spare" || slices.Contains(got, "ann delete email") {
		t.Errorf("the audit log says %q", got)
	}
}
