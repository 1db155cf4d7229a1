package catalog_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/provider/meta"
)

// spec is a job that is right.
func (w *world) spec(t *testing.T) catalog.JobSpec {
	t.Helper()
	d := w.destination(t)
	if _, err := w.CreateAudience(t.Context(), activation.Audience{Slug: "high", Name: "High", Rule: "FILTER score > 1"}, "ann"); err != nil {
		t.Fatal(err)
	}
	return catalog.JobSpec{Workflow: "meta-custom-audience", Name: "Nightly", Destination: d.ID, Audiences: []string{"high"}, Schedule: activation.Schedule{Continuous: true}}
}

// TestWrongJobs: every wrong field is named, whatever else is wrong, and
// nothing is stored.
func TestWrongJobs(t *testing.T) {
	w := newWorld(t)
	right := w.spec(t)
	now := w.Now()
	cases := map[string]struct {
		change func(*catalog.JobSpec)
		fields []string
	}{
		"schedule": {func(s *catalog.JobSpec) { s.Frequency, s.TimeOfDay, s.Timezone = "often", "25:00", "Mars/Base" }, []string{"run_frequency", "time_of_day", "timezone"}},
		"expired":  {func(s *catalog.JobSpec) { s.ExpiresAt = now.Add(-time.Hour) }, []string{"expires_at"}},
		"reach": {func(s *catalog.JobSpec) {
			s.SkipBackfill, s.BackfillOnly, s.UserLimit, s.UserLimitFrequency = true, true, -1, "yearly"
		}, []string{"backfill_only", "user_limit", "user_limit_frequency"}},
		"a period without a limit": {func(s *catalog.JobSpec) { s.UserLimitFrequency = "daily" }, []string{"user_limit_frequency"}},
		"times":                    {func(s *catalog.JobSpec) { s.FailAfter, s.OnEnd = time.Second, "burn" }, []string{"fail_after", "on_end"}},
		"twice":                    {func(s *catalog.JobSpec) { s.Audiences = []string{"high", "high"} }, []string{"segment_ids"}},
		"another authorization":    {func(s *catalog.JobSpec) { s.Authorizations = []activation.AuthorizationID{"x"} }, []string{"auth_ids"}},
		"nothing":                  {func(s *catalog.JobSpec) { s.Name, s.Destination, s.Audiences = " ", "", nil }, []string{"name", "destination_id", "segment_ids"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := right
			c.change(&s)
			_, err := w.CreateJob(t.Context(), s, "ann")
			var all interface{ Each() []*activation.Error }
			if !errors.As(err, &all) {
				t.Fatalf("error is %v", err)
			}
			var got []string
			for _, e := range all.Each() {
				got = append(got, e.Field)
			}
			slices.Sort(got)
			slices.Sort(c.fields)
			if !slices.Equal(got, c.fields) {
				t.Errorf("wrong are %q, want %q: %v", got, c.fields, err)
			}
		})
	}
	if _, err := w.CheckJob(t.Context(), right); err != nil {
		t.Errorf("what is right is refused: %v", err)
	}
}

// TestChangeJob: workflow and destination stay, the rest is replaced.
func TestChangeJob(t *testing.T) {
	w := newWorld(t)
	s := w.spec(t)
	j, err := w.CreateJob(t.Context(), s, "ann")
	if err != nil {
		t.Fatal(err)
	}
	s = catalog.SpecOf(j)
	s.Name, s.Frequency, s.TimeOfDay, s.UserLimit = "Daily", "daily", "2:30", 10
	changed, err := w.UpdateJob(t.Context(), j.ID, s, "ann")
	if err != nil || changed.Name != "Daily" || changed.TimeOfDay != "02:30" || changed.UserLimit != 10 || changed.NextRunAt.IsZero() {
		t.Errorf("changed to %+v, %v", changed, err)
	}
	s.Destination = "elsewhere"
	if _, err := w.UpdateJob(t.Context(), j.ID, s, "ann"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("another destination: %v", err)
	}
	// What belongs to it alone goes with it.
	if _, err := w.CreateAudience(t.Context(), activation.Audience{Slug: "low", Name: "Low", Rule: "FILTER score < 1"}, "ann"); err != nil {
		t.Fatal(err)
	}
	own := catalog.SpecOf(j)
	own.Name, own.Audiences, own.Tag, own.Hidden = "Its own", []string{"low"}, activation.MonitorTag(j.ID), true
	watching, err := w.CreateJob(t.Context(), own, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteJob(t.Context(), j.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Job(t.Context(), watching.ID); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("the job that belongs to it is there: %v", err)
	}
	if _, err := w.UpdateJob(t.Context(), j.ID, catalog.SpecOf(j), "ann"); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("a deleted job is changed: %v", err)
	}
}

// TestCreateOnce: the same key makes one job, for another request it is refused.
func TestCreateOnce(t *testing.T) {
	w := newWorld(t)
	s := w.spec(t)
	once := catalog.Once{Person: "ann", Key: "k", Digest: []byte("first")}
	first, err := w.CreateJobOnce(t.Context(), s, "ann", once)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.CreateJobOnce(t.Context(), s, "ann", once)
	if err != nil || again.ID != first.ID {
		t.Errorf("again: %v, %v", again.ID, err)
	}
	once.Digest = []byte("second")
	if _, err := w.CreateJobOnce(t.Context(), s, "ann", once); activation.KindOf(err) != activation.Invalid {
		t.Errorf("the key for another request: %v", err)
	}
	if _, err := w.CreateJobOnce(t.Context(), s, "bob", catalog.Once{Person: "bob", Key: "k", Digest: []byte("second")}); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("another person's key is one's own, and the name is taken: %v", err)
	}
}

// TestSettingsFitTheMapping asks the workflow whether the settings of a job go
// with each other and with the mapping of its destination.
func TestSettingsFitTheMapping(t *testing.T) {
	w := newWorld(t)
	s := w.spec(t)
	for _, c := range []struct {
		config map[string]string
		wrong  string
	}{
		{map[string]string{"retention_days": "180", "is_value_based": "false"}, ""},
		{map[string]string{"retention_days": "181"}, "config.retention_days"},
		{map[string]string{"is_value_based": "true"}, "destination_id"}, // it maps no value
		{map[string]string{"opt_out_link": "nowhere"}, "config.opt_out_link"},
	} {
		s.Config = c.config
		_, err := w.CheckJob(t.Context(), s)
		if c.wrong == "" && err != nil {
			t.Errorf("%v: %v", c.config, err)
		}
		if c.wrong != "" {
			wrong(t, err, c.wrong)
		}
	}
}

// TestDeletingNeedsAProviderThatCan refuses what could not be done at the end.
func TestDeletingNeedsAProviderThatCan(t *testing.T) {
	w := newWorld(t)
	s := w.spec(t)
	s.OnEnd = activation.EndDelete
	if _, err := w.CheckJob(t.Context(), s); err != nil {
		t.Errorf("Meta deletes: %v", err)
	}
	def := meta.Definition()
	def.Deletes = false
	w.Providers = []provider.Definition{def}
	_, err := w.CheckJob(context.Background(), s)
	wrong(t, err, "on_end")
}
