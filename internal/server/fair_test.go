package server

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/engine"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
)

// queueing is a control store with one authorization that has very many jobs
// and others that have a few each, all due at once. It notes when each target's
// run was begun and when the network first heard of it.
type queueing struct {
	*store.Store
	crowd *crowd
	big   map[activation.TargetID]bool
	small map[activation.TargetID]bool
	owner map[activation.TargetID]string // the authorization's label
	slow  time.Duration                  // how long the network of the big one takes for a call
	quick time.Duration                  // and that of the others

	mu    sync.Mutex
	taken map[activation.TargetID]time.Time
	heard map[activation.TargetID]time.Time
}

// newQueueing declares big jobs of one authorization and others of so many
// authorizations, a few each.
func newQueueing(tb testing.TB, big, others, each int) *queueing {
	tb.Helper()
	ctx := tb.Context()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	q := &queueing{
		crowd: newCrowd(), big: map[activation.TargetID]bool{}, small: map[activation.TargetID]bool{}, owner: map[activation.TargetID]string{},
		taken: map[activation.TargetID]time.Time{}, heard: map[activation.TargetID]time.Time{},
	}
	var err error
	q.Store, err = sqlite.Open(ctx, sqlitetest.Fresh(tb, filepath.Join(tb.TempDir(), "control.db")), sqlite.Options{Now: time.Now})
	must(err)
	audiences := make([]activation.AudienceID, max(each, min(big, 100)))
	for i := range audiences {
		a, err := q.CreateAudience(ctx, activation.Audience{Slug: fmt.Sprint("people-", i), Name: fmt.Sprint("People ", i), Rule: "FILTER *"}, "ann")
		must(err)
		q.crowd.add(a.ID)
		audiences[i] = a.ID
	}
	account := 0
	declare := func(label string, jobs int, note map[activation.TargetID]bool) {
		auth, err := q.CreateAuthorization(ctx, activation.Authorization{Label: label, Provider: "meta", KeyID: "k", Sealed: []byte("s")}, "ann")
		must(err)
		var dest activation.Destination
		for i := range jobs {
			if i%len(audiences) == 0 {
				account++
				dest, err = q.CreateDestination(ctx, activation.Destination{
					Name: fmt.Sprint("Ads ", account), Provider: "meta", Authorization: auth.ID, Account: fmt.Sprint(account),
					Mapping: map[string]string{"EMAIL": "email"}, Enabled: true,
				}, "ann")
				must(err)
			}
			j, err := q.CreateJob(ctx, activation.Job{
				Name: fmt.Sprint(label, " ", i), Workflow: "meta_custom_audience", Provider: "meta", Type: "export", Destination: dest.ID,
				Audiences: []activation.AudienceID{audiences[i%len(audiences)]}, Schedule: activation.Schedule{Continuous: true, Frequency: activation.Realtime}, CreatedBy: "ann",
			})
			must(err)
			targets, err := q.Targets(ctx, store.TargetFilter{Job: j.ID})
			must(err)
			note[targets[0].ID], q.owner[targets[0].ID] = true, label
		}
	}
	declare("big", big, q.big)
	for i := range others {
		declare(fmt.Sprint("other ", i), each, q.small)
	}
	return q
}

// TakeRun notes when a target's run was begun.
func (q *queueing) TakeRun(ctx context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error) {
	r, lost, err := q.Store.TakeRun(ctx, id, node, lease)
	if err == nil {
		q.note(q.taken, r.Target)
	}
	return r, lost, err
}

func (q *queueing) note(when map[activation.TargetID]time.Time, id activation.TargetID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if when[id].IsZero() {
		when[id] = time.Now()
	}
}

// account is the network of one destination: it takes its time.
type account struct{ q *queueing }

func (a account) Check(context.Context) error { return nil }

func (a account) EnsureAudience(ctx context.Context, want provider.Audience) (provider.RemoteID, error) {
	id := activation.TargetID(strings.Split(want.Marker, "-")[1])
	a.q.note(a.q.heard, id)
	takes := a.q.quick
	if a.q.big[id] {
		takes = a.q.slow
	}
	t := time.NewTimer(takes)
	defer t.Stop()
	select {
	case <-t.C:
		return provider.RemoteID("remote-" + id), nil
	case <-ctx.Done():
		return "", &activation.Error{Kind: activation.Unavailable, Code: "META-UNAVAILABLE", Message: "cut off", Err: context.Cause(ctx)}
	}
}

func (a account) Deliver(_ context.Context, b provider.Batch) (activation.Receipt, error) {
	return activation.Receipt{Accepted: int64(b.Rows())}, nil
}

func (a account) Poll(context.Context, string, int64) (activation.Receipt, error) {
	return activation.Receipt{}, nil
}

// run works for so long, or until done says that it is enough.
func (q *queueing) run(tb testing.TB, cfg engine.Config, d time.Duration, done func() bool) {
	tb.Helper()
	var e *engine.Engine
	def := meta.Definition()
	deliver := delivery.New(delivery.Config{
		Node: "n1", Store: q, Ledger: q.crowd, Audiences: q.crowd, Log: slog.New(slog.DiscardHandler), Wake: func(kind, id string) { e.Wake(kind, id) },
		Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
			return account{q}, def, nil
		},
	})
	cfg.Node, cfg.Leases = "n1", q.Store
	e = engine.New(cfg, workers(deliver)...)
	ctx, cancel := context.WithTimeout(tb.Context(), d)
	defer cancel()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				if done() {
					cancel()
				}
			}
		}
	}()
	if err := e.Run(ctx); err != nil {
		tb.Error(err)
	}
}

// delays lists how long after begin the targets were noted, shortest first;
// those that never were are left out.
func (q *queueing) delays(when map[activation.TargetID]time.Time, of map[activation.TargetID]bool, begin time.Time) []time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []time.Duration
	for id := range of {
		if at, ok := when[id]; ok {
			out = append(out, at.Sub(begin))
		}
	}
	slices.Sort(out)
	return out
}

// TestNobodyWaitsForTheCrowd: two hundred jobs of one authorization whose network
// hangs are due in the same moment as a few of others, many more than a sweep
// lists. The others are all at their network before the third sweep.
func TestNobodyWaitsForTheCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t, 200, 6, 3)
		q.slow, q.quick = time.Hour, 100*time.Millisecond
		begin := time.Now()
		q.run(t, engine.Config{Limit: 10}, 10*time.Second, func() bool { return false })
		heard := q.delays(q.heard, q.small, begin)
		if len(heard) != len(q.small) {
			t.Fatalf("%d of %d others were at their network within 10 s", len(heard), len(q.small))
		}
		if last := heard[len(heard)-1]; last >= 10*time.Second {
			t.Fatalf("the last one came after %s", last)
		}
		if n := len(q.delays(q.taken, q.big, begin)); n == 0 || n > 16 {
			t.Fatalf("%d runs of the big one are under way, want 1 to 16", n)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// firsts lists when each authorization of the others was first noted, shortest
// first.
func (q *queueing) firsts(when map[activation.TargetID]time.Time, begin time.Time) []time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := map[string]time.Duration{}
	for id := range q.small {
		at, ok := when[id]
		if !ok {
			continue
		}
		if d, ok := first[q.owner[id]]; !ok || at.Sub(begin) < d {
			first[q.owner[id]] = at.Sub(begin)
		}
	}
	return slices.Sorted(maps.Values(first))
}

// BenchmarkCrowd lets 10,000 jobs be due in the same second, 9,000 of them of
// one authorization whose network takes two seconds for a call, the others of a
// hundred, ten each. It reports, in seconds, when runs were begun (taken by the
// node: they are Running) and when the network first heard of them: the middle
// one, the 99th of a hundred and the last; and when each other authorization had
// its first run begun. What that is without the crowd says how much it delays.
func BenchmarkCrowd(b *testing.B) {
	for _, c := range []struct {
		name string
		big  int
	}{{"alone", 0}, {"crowd", 9000}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				benchCrowd(b, c.big)
			}
		})
	}
}

func benchCrowd(b *testing.B, big int) {
	b.Helper()
	q := newQueueing(b, big, 100, 10)
	q.slow, q.quick = 2*time.Second, 50*time.Millisecond
	begin := time.Now()
	q.run(b, engine.Config{}, 90*time.Second, func() bool { return len(q.delays(q.heard, q.small, begin)) == len(q.small) })
	report := func(name string, d []time.Duration, of int) {
		if len(d) == 0 {
			return
		}
		b.ReportMetric(d[len(d)/2].Seconds(), "s-"+name+"-p50")
		b.ReportMetric(d[len(d)*99/100].Seconds(), "s-"+name+"-p99")
		b.ReportMetric(d[len(d)-1].Seconds(), "s-"+name+"-last")
		b.ReportMetric(float64(of-len(d)), "not-yet-"+name)
	}
	report("first-of-each", q.firsts(q.taken, begin), 100)
	report("others-begun", q.delays(q.taken, q.small, begin), len(q.small))
	report("others-heard", q.delays(q.heard, q.small, begin), len(q.small))
	report("big-begun", q.delays(q.taken, q.big, begin), len(q.big))
	if err := q.Close(); err != nil {
		b.Error(err)
	}
}
