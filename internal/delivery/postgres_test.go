package delivery_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/store/postgres"
	"usher/internal/store/postgres/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// onPostgres is a world whose control store is in PostgreSQL.
func onPostgres(t *testing.T, database string, seed uint64, replay provider.Replay, async bool) *world {
	t.Helper()
	n := newNetwork(time.Now, seed)
	n.async = async
	s, err := postgres.Open(t.Context(), database, postgres.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := newPlane(time.Now)
	w := newWorld(&control{s, t}, p, n, replay)
	p.audience = declare(t, s, w)
	w.boot()
	return w
}

// TestCampaignOnPostgres is the campaign against a control store in PostgreSQL.
// The seed is printed.
func TestCampaignOnPostgres(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	campaigns := 3
	if delivery.RaceEnabled {
		campaigns = 1
	}
	for i := range campaigns {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		replay := []provider.Replay{provider.ReplayHarmless, provider.ReplayNever}[r.IntN(2)]
		list := someDeeds(r, 1+r.IntN(20))
		database := postgrestest.Fresh(t)
		synctest.Test(t, func(t *testing.T) {
			w := onPostgres(t, database, r.Uint64(), replay, r.IntN(2) == 0)
			w.leavesOut(t)
			w.reaches(activation.Reach{})
			wrong := campaign(t.Context(), w, list, activation.OnEnds[r.IntN(3)])
			found, err := w.store.(*control).Violations(t.Context())
			if wrong += strings.Join(found, "; "); wrong != "" || err != nil {
				t.Errorf("campaign %d: %s (%v)\ndeeds: %+v", i, wrong, err, list)
			}
		})
	}
}

// TestCrashPointsOnPostgres kills at some crash points. The seed is printed.
func TestCrashPointsOnPostgres(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	points := 4
	if delivery.RaceEnabled {
		points = 1
	}
	for range points {
		p := delivery.CrashPoints[r.IntN(len(delivery.CrashPoints))]
		s := situations[r.IntN(len(situations))]
		if s.events { // TestEventsOnDuckDB
			continue
		}
		database := postgrestest.Fresh(t)
		synctest.Test(t, func(t *testing.T) {
			w := onPostgres(t, database, 1, s.replay, s.async)
			if wrong := w.crashIn(t.Context(), s, p, 0); wrong != "" {
				t.Errorf("%s, killed at %s: %s", s.name, p, wrong)
			}
		})
	}
}
