package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/config"
	"usher/internal/delivery"
	"usher/internal/engine"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/vault"
)

// farSide is an HTTP server that is reached over pipes, so that time is
// simulated on both sides. It counts what it is asked.
type farSide struct {
	http  http.Server
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once

	mu    sync.Mutex
	asked []time.Time
}

func newFarSide(t *testing.T, answer http.HandlerFunc) *farSide {
	t.Helper()
	f := &farSide{conns: make(chan net.Conn), over: make(chan struct{})}
	f.http = http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, time.Now())
		f.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
	})}
	go func() { _ = f.http.Serve(f) }()
	return f
}

func (f *farSide) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case f.conns <- there:
		return here, nil
	case <-f.over:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *farSide) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.over:
		return nil, net.ErrClosed
	}
}

func (f *farSide) Close() error   { f.once.Do(func() { close(f.over) }); return nil }
func (f *farSide) Addr() net.Addr { return &net.TCPAddr{} }

// within counts the requests from one time after the beginning to another.
func (f *farSide) within(begin time.Time, from, to time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, at := range f.asked {
		if d := at.Sub(begin); d >= from && d < to {
			n++
		}
	}
	return n
}

// siege is a control store with jobs of one authorization at a network.
type siege struct {
	t     *testing.T
	store *store.Store
	box   *vault.Vault
	crowd *crowd
	net   *farSide
}

func newSiege(t *testing.T, jobs int, answer http.HandlerFunc) *siege {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &siege{t: t, crowd: newCrowd(), net: newFarSide(t, answer)}
	var err error
	s.store, err = sqlite.Open(ctx, sqlitetest.Fresh(t, filepath.Join(dir, "control.db")), sqlite.Options{Now: time.Now})
	must(err)
	s.box, err = vault.Open(filepath.Join(dir, "secret.key"))
	must(err)
	sealed, key, err := s.box.Seal(map[string]provider.Secret{"access_token": "tok", "base_url": "http://network.test"})
	must(err)
	auth, err := s.store.CreateAuthorization(ctx, activation.Authorization{Label: "a", Provider: "meta", KeyID: key, Sealed: sealed}, "ann")
	must(err)
	must(s.store.MarkHealthy(ctx, auth.ID)) // it worked until now
	dest, err := s.store.CreateDestination(ctx, activation.Destination{
		Name: "Ads", Provider: "meta", Authorization: auth.ID, Account: "1", Mapping: map[string]string{"EMAIL": "email"}, Enabled: true,
	}, "ann")
	must(err)
	for i := range jobs {
		a, err := s.store.CreateAudience(ctx, activation.Audience{Slug: fmt.Sprint("people-", i), Name: fmt.Sprint("People ", i), Rule: "FILTER *"}, "ann")
		must(err)
		s.crowd.add(a.ID)
		_, err = s.store.CreateJob(ctx, activation.Job{
			Name: fmt.Sprint("job ", i), Workflow: "meta_custom_audience", Provider: "meta", Type: "export", Destination: dest.ID, Audiences: []activation.AudienceID{a.ID},
			Schedule: activation.Schedule{Continuous: true, Frequency: activation.Realtime}, CreatedBy: "ann",
		})
		must(err)
	}
	return s
}

// run runs a node for a while, with everything that calls the network.
func (s *siege) run(node string, sweep, d time.Duration) {
	s.t.Helper()
	cfg := config.Default()
	cfg.AllowHosts = []string{"network.test:80"}
	log := slog.New(slog.DiscardHandler)
	c := newConnections(s.store, s.box, []provider.Definition{meta.Definition()}, cfg, log, time.Now)
	c.dial = s.net.dial
	health := &vault.Health{Store: s.store, Probe: probe(s.store, c.connect), Log: log, Now: time.Now}
	var e *engine.Engine
	deliver := delivery.New(delivery.Config{
		Node: node, Store: s.store, Ledger: s.crowd, Audiences: s.crowd, Providers: delivery.Providers(c.connect), Log: log,
		Wake:     func(kind, id string) { e.Wake(kind, id) },
		Settings: delivery.Settings{Watch: 30 * time.Second, Renew: 15 * time.Second}, // nobody commands anything here
	})
	e = engine.New(engine.Config{Node: node, Leases: s.store, Sweep: sweep}, workers(deliver, health, &store.Sweeper{Store: s.store})...)
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	if err := e.Run(ctx); err != nil {
		s.t.Error(err)
	}
	for _, client := range c.http {
		client.http.CloseIdleConnections()
	}
}

func (s *siege) close() {
	_ = s.net.http.Close()
	_ = s.net.Close()
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
}

// states counts the jobs by state.
func (s *siege) states() map[activation.JobState]int {
	s.t.Helper()
	jobs, err := s.store.Jobs(s.t.Context(), store.JobFilter{})
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[activation.JobState]int{}
	for _, j := range jobs {
		out[j.State]++
	}
	return out
}

const (
	week = 7 * 24 * time.Hour
	// failAfter is how long errors last before jobs give up, and a margin.
	failAfter = activation.DefaultFailAfter + 15*time.Minute
	// seriesRuns is how many runs the doubling sleeps leave room for within
	// fail_after: after each of 1, 2, 4 … 256 minutes, at its end, and the first.
	seriesRuns = 11
	// runTries is how often a run may ask within its minute of trouble: at once
	// and after 1, 2, 4, 8, 15, 15 and 15 seconds.
	runTries = 8
	// atOnceRuns is how many runs of one authorization a node works on at once:
	// what one of them learns the others may have asked already.
	atOnceRuns = 16
	// laterProbes is how many health checks there are in a week: hourly, after
	// the first hour in which they come sooner, and one more for each start.
	laterProbes = 7*24 + 8
	// parallel is how many requests an authorization may have under way.
	parallel = 4
	// breakAfter is how many failures in a row make the calls of an authorization
	// pause, and longestPause the time between two probes in the end, after four
	// shorter ones.
	breakAfter   = 5
	longestPause = 160 * time.Second
	// sharedProbes is how often a dead authorization is asked until its jobs have
	// given up, however many they are: pace, breaker and probe are the
	// authorization's. The failures that open the breaker, what was under way
	// then, the shorter pauses, and one probe at the end of each long one.
	sharedProbes = breakAfter + parallel + 4 + int(failAfter/longestPause)
)

// dead is the most requests of so many jobs to an authorization that does not
// work: each job's own series of sleeps, and in it each run's minute of tries;
// or what all of them share.
func dead(jobs int) int { return min(jobs*seriesRuns*runTries, sharedProbes) }

// storms are the ways a network can go wrong for good, each with the most
// requests that n jobs may make until they give up, and after that.
var storms = []struct {
	name   string
	answer http.HandlerFunc
	until  func(jobs int) int
	after  int
	// givesUp: the jobs have failed in the end.
	givesUp bool
}{
	{"401", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": 190, "message": "expired"}})
	}, func(jobs int) int { return min(jobs, atOnceRuns) + laterProbes }, laterProbes, true},
	{"429 with Retry-After", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}, func(jobs int) int { return 12 * (min(jobs, parallel) + 1) }, (7*24 + 2) * (parallel + 1), false},
	{
		"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		func(jobs int) int { return 12 * 12 * (min(jobs, parallel) + 1) }, (7*24 + 2) * 12 * (parallel + 1), false,
	},
	{
		"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		dead, laterProbes, true,
	},
	{"HTML with 200", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>Sign in to the guest network</body></html>")
	}, dead, laterProbes, true},
	{"an error of its own", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": 2, "message": "an unexpected error", "is_transient": true}})
	}, dead, laterProbes, true},
	{
		"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		dead, laterProbes, true,
	},
}

// TestNoRetryStorm: whatever a network answers for a week, it is asked no more
// often than the sleeps allow until the jobs give up, and then only whether it
// works again. Everything is real but the data plane and the time.
func TestNoRetryStorm(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("a week is more than the race detector counts: make test runs it without")
	}
	crowds := []int{1}
	if os.Getenv("USHER_STORM") != "" { // minutes each
		crowds = append(crowds, 200)
	}
	for _, storm := range storms {
		for _, jobs := range crowds {
			t.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(storm.name, " ", "-"), jobs), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSiege(t, jobs, storm.answer)
					defer s.close()
					begin := time.Now()
					s.run("n1", time.Minute, failAfter)
					first := s.net.within(begin, 0, failAfter)
					s.run("n2", time.Hour, week-failAfter)
					later := s.net.within(begin, failAfter, 2*week)
					states := s.states()
					t.Logf("%d jobs: %d requests in the first %s, %d in the rest of the week; jobs %v", jobs, first, failAfter, later, states)
					if most := storm.until(jobs); first > most || first == 0 {
						t.Errorf("%d requests until fail_after, want 1 to %d", first, most)
					}
					if later > storm.after {
						t.Errorf("%d requests in the rest of the week, want %d at most", later, storm.after)
					}
					if got := states[activation.JobFailed]; storm.givesUp && got != jobs {
						t.Errorf("%d of %d jobs have failed", got, jobs)
					}
				})
			})
		}
	}
}
