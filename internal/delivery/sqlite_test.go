package delivery_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
)

// control is the real control store as a world uses it.
type control struct {
	*store.Store
	t testing.TB
}

func (c *control) all() []activation.Run {
	runs, err := c.Runs(context.Background(), store.RunFilter{Limit: 1000})
	if err != nil {
		c.t.Error(err)
	}
	slices.SortFunc(runs, func(a, b activation.Run) int { return int(a.Number - b.Number) })
	return runs
}

// change changes a job as its owner does.
func (c *control) change(id activation.JobID, fn func(*activation.Job)) {
	job, err := c.Job(context.Background(), id)
	if err == nil {
		fn(&job)
		err = c.UpdateJob(context.Background(), job, "ann")
	}
	if err != nil {
		c.t.Error(err)
	}
}

// setJob sends the command that leads to the state, where the job takes it.
func (c *control) setJob(id activation.JobID, s activation.JobState) {
	ctx := context.Background()
	job, err := c.Job(ctx, id)
	if err != nil {
		c.t.Error(err)
		return
	}
	switch {
	case s == activation.JobPaused && (job.State == activation.JobRunnable || job.State == activation.JobSleeping):
		err = c.Pause(ctx, id, 0, "ann")
	case s == activation.JobKilled:
		err = c.Kill(ctx, id, "ann")
	case s == activation.JobRunnable && job.State == activation.JobPaused:
		err = c.Resume(ctx, id, "ann")
	case s == activation.JobRunnable && job.State == activation.JobFailed:
		err = c.Bounce(ctx, id, "ann")
	}
	if err == nil && s == activation.JobRunnable {
		err = c.mend(ctx)
	}
	if err != nil {
		c.t.Error(err)
	}
}

// mend makes every authorization healthy again.
func (c *control) mend(ctx context.Context) error {
	auths, err := c.Authorizations(ctx)
	var errs []error
	for _, a := range auths {
		if a.Status == activation.AuthUnhealthy {
			errs = append(errs, c.MarkHealthy(ctx, a.ID))
		}
	}
	return errors.Join(append(errs, err)...)
}

// template makes an empty control store to be copied.
func template(t *testing.T) string {
	t.Helper()
	return sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "template.db"))
}

// openSQLite opens a copy of the template.
func openSQLite(t *testing.T, template string) *store.Store {
	t.Helper()
	b, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "control.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// onSQLite is a world with the real control store.
func onSQLite(t *testing.T, template string, seed uint64, replay provider.Replay, async bool) *world {
	t.Helper()
	n := newNetwork(time.Now, seed)
	n.async = async
	s, p := openSQLite(t, template), newPlane(time.Now)
	w := newWorld(&control{s, t}, p, n, replay)
	p.audience = declare(t, s, w)
	w.boot()
	return w
}

// leavesOut makes the world's job one that leaves an audience out.
func (w *world) leavesOut(t *testing.T) {
	t.Helper()
	_, err := w.store.(*control).CreateAudience(t.Context(), activation.Audience{ID: leftOut, Slug: "left_out", Name: "Left out", Rule: "FILTER member = true"}, "ann")
	done(t, err)
	w.store.change(w.job, func(j *activation.Job) { j.Exclude = []activation.AudienceID{leftOut} })
}

// declare creates an authorization, a destination, an audience and a job, and
// notes the target that follows.
func declare(t *testing.T, s *store.Store, w *world) activation.AudienceID {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	auth, err := s.CreateAuthorization(ctx, activation.Authorization{Label: "a", Provider: "fake", KeyID: "k", Sealed: []byte("s")}, "ann")
	must(err)
	dest, err := s.CreateDestination(ctx, activation.Destination{
		Name: "Ads", Provider: "fake", Authorization: auth.ID, Account: "1",
		Mapping: map[string]string{"EMAIL": "email", "PHONE": "phone"}, Enabled: true,
	}, "ann")
	must(err)
	audience, err := s.CreateAudience(ctx, activation.Audience{Slug: "people", Name: "People", Rule: "FILTER member = true"}, "ann")
	must(err)
	job, err := s.CreateJob(ctx, activation.Job{
		Name: "j", Workflow: "fake", Provider: "fake", Type: "export", Destination: dest.ID,
		Audiences: []activation.AudienceID{audience.ID}, Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann", FailAfter: 1000 * time.Hour,
	})
	must(err)
	targets, err := s.Targets(ctx, store.TargetFilter{Job: job.ID})
	must(err)
	w.job, w.target = job.ID, targets[0].ID
	return audience.ID
}

// TestCampaignOnSQLite is the campaign against the real control store, which
// also says by itself what must never be so. The seed is printed.
func TestCampaignOnSQLite(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	empty, campaigns := template(t), 12
	if delivery.RaceEnabled {
		campaigns = 2
	}
	for i := range campaigns {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		replay := []provider.Replay{provider.ReplayHarmless, provider.ReplayNever}[r.IntN(2)]
		list := someDeeds(r, 1+r.IntN(30))
		synctest.Test(t, func(t *testing.T) {
			w := onSQLite(t, empty, r.Uint64(), replay, r.IntN(2) == 0)
			w.leavesOut(t)
			w.reaches([]activation.Reach{{}, {SkipBackfill: true}, {UserLimit: 5}, {UserLimit: 4, UserLimitFrequency: "hourly"}, {HoldoutPercent: 30}}[r.IntN(5)])
			wrong := campaign(t.Context(), w, list, activation.OnEnds[r.IntN(3)])
			found, err := w.store.(*control).Violations(t.Context())
			if wrong += strings.Join(found, "; "); wrong != "" || err != nil {
				t.Errorf("campaign %d: %s (%v)\ndeeds: %+v", i, wrong, err, list)
			}
		})
	}
}

// TestEveryCrashPointOnSQLite kills at each crash point once; under the race
// detector at a few of them. The seed is printed.
func TestEveryCrashPointOnSQLite(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	points := slices.Clone(delivery.CrashPoints)
	r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	if delivery.RaceEnabled {
		points = points[:4]
	}
	empty := template(t)
	for _, p := range points {
		s := situations[r.IntN(len(situations))]
		if s.events { // TestEventsOnDuckDB
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			w := onSQLite(t, empty, 1, s.replay, s.async)
			if wrong := w.crashIn(t.Context(), s, p, 0); wrong != "" {
				t.Errorf("%s, killed at %s: %s", s.name, p, wrong)
			}
		})
	}
}
