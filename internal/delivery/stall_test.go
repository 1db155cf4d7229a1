package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/engine"
	"usher/internal/provider"
	"usher/internal/store"
)

// deaf is the network with calls that hang for ever and heed no context, until
// the test ends; after those it works, each call taking its time.
type deaf struct {
	*network
	hangs atomic.Int64 // calls yet to hang
	takes time.Duration
	begun chan struct{} // closed when the first call has hung
	over  chan struct{}
}

func (d *deaf) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	if n := d.hangs.Add(-1); n >= 0 {
		if n == 0 {
			close(d.begun)
		}
		<-d.over
		return activation.Receipt{}, errDead
	}
	time.Sleep(d.takes)
	return d.network.Deliver(ctx, b)
}

// watched is a control store of the real kind with one or more nodes over it.
type watched struct {
	*world
	control *control
	net     *deaf
	stops   []func()
}

func watch(t *testing.T, people, hangs int, takes time.Duration, replay provider.Replay) *watched {
	t.Helper()
	w := onSQLite(t, template(t), 1, replay, false)
	for id := range int64(people) {
		w.plane.set(id, [2]string{fmt.Sprint("e", id)}, true)
	}
	c, ok := w.store.(*control)
	if !ok {
		t.Fatal("not the real store")
	}
	v := &watched{world: w, control: c, net: &deaf{network: w.net, takes: takes, begun: make(chan struct{}), over: make(chan struct{})}}
	v.net.hangs.Store(int64(hangs))
	return v
}

// node starts a node: an engine with delivery and the sweeper.
func (v *watched) node(t *testing.T, name string) {
	t.Helper()
	var e *engine.Engine
	d := delivery.New(delivery.Config{
		Node: name, Store: v.store, Ledger: v.plane, Audiences: v.plane, Settings: v.set,
		Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
			return v.net, v.def, nil
		},
		Wake: func(kind, id string) { e.Wake(kind, id) },
	})
	workers := []engine.Worker{&store.Sweeper{Store: v.control.Store}}
	for _, w := range d.Workers() {
		workers = append(workers, w)
	}
	e = engine.New(engine.Config{Node: name, Leases: v.control.Store, Sweep: 30 * time.Second}, workers...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	v.stops = append(v.stops, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// end stops the nodes, and lets what hangs go.
func (v *watched) end() {
	close(v.net.over)
	for _, stop := range v.stops {
		stop()
	}
	synctest.Wait()
}

func (v *watched) jobNow(t *testing.T) activation.Job {
	t.Helper()
	j, err := v.store.Job(t.Context(), v.job)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (v *watched) stalled(t *testing.T) int {
	t.Helper()
	logs, err := v.control.JobLogs(t.Context(), v.job, time.Time{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range logs {
		if e.Code == activation.CodeStalled && e.Event != activation.LogFailed { // that is its job's end
			n++
			if e.Event != activation.LogError || e.Level != "error" {
				t.Errorf("logged as %s, %s", e.Event, e.Level)
			}
		}
	}
	return n
}

// TestHungProvider: calls that never return and heed nothing are left behind.
// The run is taken from its node, shows since when it stalls, and is finished by
// whoever takes it next, with the right people at the network.
func TestHungProvider(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2} {
		for _, replay := range []provider.Replay{provider.ReplayHarmless, provider.ReplayNever} {
			if delivery.RaceEnabled && (nodes == 1) == (replay == provider.ReplayHarmless) {
				continue // make test runs all four without the race detector
			}
			synctest.Test(t, func(t *testing.T) {
				v := watch(t, 20, 2, time.Second, replay)
				for n := range nodes {
					v.node(t, fmt.Sprint("n", n))
				}
				<-v.net.begun
				time.Sleep(14 * time.Minute)
				if j := v.jobNow(t); !j.StalledAt.IsZero() || v.stalled(t) != 0 {
					t.Fatalf("stalled after 14 minutes: %v", j.StalledAt)
				}
				time.Sleep(95 * time.Second)
				j := v.jobNow(t)
				first := v.store.all()[0]
				if j.StalledAt.IsZero() && first.Stalls == 0 || v.stalled(t) != 1 || first.Stalls != 1 {
					t.Fatalf("after 15 minutes: since %v, %d stalls, %d log lines", j.StalledAt, first.Stalls, v.stalled(t))
				}
				time.Sleep(10 * time.Minute)
				if j := v.jobNow(t); !j.StalledAt.IsZero() {
					t.Fatal("the job still shows a stall")
				}
				first = v.store.all()[0]
				if first.Status != activation.RunCompleted || first.Attempt < 3 || v.stalled(t) != 1 {
					t.Fatalf("run %s in attempt %d", first.Status, first.Attempt)
				}
				if wrong := v.check(t.Context()) + v.verdict(t.Context()); wrong != "" {
					t.Fatal(wrong, v.story())
				}
				v.end()
			})
		}
	}
}

// TestAlwaysHung: where every call hangs, the job shows the stall all the time,
// as long as it lasts; it never merely shows that it runs. When that has lasted
// for its fail_after it gives up, and the run with it.
func TestAlwaysHung(t *testing.T) {
	t.Parallel()
	withoutRace(t)
	synctest.Test(t, func(t *testing.T) {
		v := watch(t, 4, 1_000_000, time.Second, provider.ReplayHarmless)
		v.store.change(v.job, func(j *activation.Job) { j.FailAfter = 4*time.Hour + 15*time.Minute })
		v.node(t, "n0")
		time.Sleep(20 * time.Minute)
		for range 12 {
			if j := v.jobNow(t); j.State == activation.JobRunnable && j.StalledAt.IsZero() {
				t.Fatal("the job shows that it runs, and no stall", v.story())
			}
			time.Sleep(20*time.Minute + time.Second)
		}
		if n := v.stalled(t); n < 3 {
			t.Fatalf("%d stalls were logged in hours", n)
		}
		time.Sleep(30 * time.Minute)
		runs, n := v.store.all(), v.stalled(t)
		if j := v.jobNow(t); j.State != activation.JobFailed || len(runs) != 1 || runs[0].Status != activation.RunFailed || runs[0].ErrorCode != activation.CodeStalled {
			t.Fatalf("after fail_after the job is %s: %s", j.State, v.story())
		}
		time.Sleep(2 * time.Hour)
		if again := v.stalled(t); again != n {
			t.Fatalf("%d stalls after the end", again-n)
		}
		v.end()
	})
}

// TestSlowIsNotStalled: a run whose calls take nearly the stall limit moves.
func TestSlowIsNotStalled(t *testing.T) {
	t.Parallel()
	withoutRace(t)
	synctest.Test(t, func(t *testing.T) {
		v := watch(t, 40, 0, 14*time.Minute, provider.ReplayHarmless)
		v.node(t, "n0")
		time.Sleep(3 * time.Hour)
		runs := v.store.all()
		if len(runs) == 0 || runs[0].Status != activation.RunCompleted || runs[0].Attempt != 1 || v.stalled(t) != 0 ||
			slices.ContainsFunc(runs, func(r activation.Run) bool { return r.Stalls > 0 }) {
			t.Fatal("a slow run was called stalled", v.story())
		}
		v.end()
	})
}

// withoutRace leaves a test of hours of timers to the run without the race detector:
// there is nothing in it that shorter ones do not show, and its runtime has died of
// the many timers once.
func withoutRace(t *testing.T) {
	t.Helper()
	if delivery.RaceEnabled {
		t.Skip("hours of timers; make test runs it without the race detector")
	}
}
