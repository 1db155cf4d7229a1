package catalog_test

import (
	"testing"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider/webhook"
)

// TestSealedSettings: the address of a webhook among a job's settings is a
// secret; it becomes an authorization and is never stored with the job.
func TestSealedSettings(t *testing.T) {
	w := newWorld(t)
	w.Providers = append(w.Providers, webhook.Definition())
	ctx := t.Context()
	const address = "https://hooks.example.com/xyzsecretxyz"
	spec := catalog.JobSpec{
		Workflow: "alert-webhook", Name: "Tell", Schedule: activation.Schedule{Continuous: true},
		Config: map[string]string{"webhook_url": address, "system_event_multiple_types": "failed"},
	}
	wrongly := spec
	wrongly.Config = map[string]string{"webhook_url": address, "system_event_multiple_types": "broken"}
	_, err := w.CreateJob(ctx, wrongly, "ann")
	wrong(t, err, "config.system_event_multiple_types")
	_, err = w.CreateJob(ctx, catalog.JobSpec{Workflow: "alert-webhook", Name: "Tell", Authorizations: []activation.AuthorizationID{"x"}, Config: spec.Config}, "ann")
	wrong(t, err, "config.webhook_url")
	w.isEmpty(t)

	j, err := w.CreateJob(ctx, spec, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Authorizations) != 1 || j.Config["webhook_url"] != "" || j.Config["system_event_multiple_types"] != "failed" {
		t.Errorf("the job is %+v", j)
	}
	if got := w.box.given["webhook_url"]; got.Reveal() != address {
		t.Error("the address was not sealed")
	}
	once := catalog.Once{Person: "ann", Key: "k", Digest: []byte("d")}
	spec.Name = "Tell again"
	first, err := w.CreateJobOnce(ctx, spec, "ann", once)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.CreateJobOnce(ctx, spec, "ann", once)
	if err != nil || again.ID != first.ID {
		t.Errorf("%s and then %s, %v", first.ID, again.ID, err)
	}
	auths, err := w.store.Authorizations(ctx)
	if err != nil || len(auths) != 2 {
		t.Errorf("%d authorizations, %v; want one for each job", len(auths), err)
	}
}
