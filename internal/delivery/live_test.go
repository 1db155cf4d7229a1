package delivery_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/engine"
	"usher/internal/provider"
)

// slow is the network with calls that take their time and can be cut off.
type slow struct {
	*network
	takes atomic.Int64  // nanoseconds
	begun chan struct{} // told as each delivery begins
}

func (s *slow) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	t := time.NewTimer(time.Duration(s.takes.Load()))
	defer t.Stop()
	select {
	case <-t.C:
		return s.network.Deliver(ctx, b)
	case <-ctx.Done():
		return activation.Receipt{}, &activation.Error{Kind: activation.Unavailable, Code: "NET-CUT", Message: "the call was cut off", MayHaveApplied: true, Err: context.Cause(ctx)}
	}
}

// node is a world with a real engine over it.
type node struct {
	*world
	net  *slow
	stop func() error
}

// live starts an engine over a world whose deliveries take some time.
func live(t *testing.T, takes time.Duration, people int) *node {
	t.Helper()
	w := inMemory(1, provider.ReplayHarmless, false)
	for id := range int64(people) {
		w.plane.set(id, [2]string{fmt.Sprint("e", id)}, true)
	}
	n := &node{world: w, net: &slow{network: w.net, begun: make(chan struct{}, 1)}}
	n.net.takes.Store(int64(takes))
	n.start(t)
	return n
}

func (n *node) start(t *testing.T) {
	t.Helper()
	n.born++
	name := fmt.Sprint("live", n.born)
	var e *engine.Engine
	d := delivery.New(delivery.Config{
		Node: name, Store: n.store, Ledger: n.plane, Audiences: n.plane, Settings: n.set,
		Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
			return n.net, n.def, nil
		},
		Wake: func(kind, id string) { e.Wake(kind, id) },
	})
	var workers []engine.Worker
	for _, w := range d.Workers() {
		workers = append(workers, w)
	}
	e = engine.New(engine.Config{Node: name, Leases: leases}, workers...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	n.stop = func() error { cancel(); return <-done }
}

// free grants every lease: there is one node at a time here.
type free struct{}

func (free) Acquire(context.Context, string, string, time.Duration) (bool, error) { return true, nil }
func (free) Renew(context.Context, string, string, time.Duration) (bool, error)   { return true, nil }
func (free) Release(context.Context, string, string) error                        { return nil }

var leases free

func (n *node) items(t *testing.T) map[activation.ItemState]int {
	t.Helper()
	out := map[activation.ItemState]int{}
	for _, r := range n.store.all() {
		items, err := n.store.Items(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			out[i.State]++
		}
	}
	return out
}

func TestEngineDeliversAndStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := live(t, time.Second, 10)
		time.Sleep(10 * time.Second)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if wrong := n.check(t.Context()) + n.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong, n.story())
		}
		if r := n.store.all()[0]; r.Status != activation.RunCompleted || len(r.Timings) != len(activation.Stages) {
			t.Fatalf("%s after %d stages: %+v", r.Status, len(r.Timings), r.Timings)
		}
	})
}

// TestStopInMidCall: a stop cuts calls off, writes down what is unknown, gives
// the run back, and the next node carries on at once.
func TestStopInMidCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := live(t, time.Minute, 20)
		<-n.net.begun
		time.Sleep(time.Second)
		begin := time.Now()
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 9*time.Second {
			t.Fatalf("stopping took %s", d)
		}
		got := n.items(t)
		if got[activation.ItemUnknown] != 2 || got[activation.ItemSending] != 0 || got[activation.ItemQueued] == 0 {
			t.Fatalf("items after a stop: %v", got)
		}
		r := n.store.all()[0]
		if r.Status != activation.RunRunning || r.Node != "" {
			t.Fatalf("the run is %s and held by %q", r.Status, r.Node)
		}
		n.net.takes.Store(int64(time.Second))
		n.start(t)
		time.Sleep(30 * time.Second)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if wrong := n.check(t.Context()) + n.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong, n.story())
		}
		if r := n.store.all()[0]; r.Status != activation.RunCompleted || r.Counts.Resent == 0 {
			t.Fatalf("%s, %d rows sent again", r.Status, r.Counts.Resent)
		}
	})
}

// TestPauseInMidCall: a pause stops the run within ten seconds and keeps it
// open; resuming goes on with what is left.
func TestPauseInMidCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := live(t, 40*time.Second, 20)
		<-n.net.begun
		n.store.setJob(n.job, activation.JobPaused)
		time.Sleep(10 * time.Second)
		r := n.store.all()[0]
		if got := n.items(t); got[activation.ItemSending] != 0 || r.Status != activation.RunRunning || r.Node != "" {
			t.Fatalf("ten seconds after the pause: run %s held by %q, items %v", r.Status, r.Node, got)
		}
		time.Sleep(10 * time.Minute)
		if calls := len(n.net.network.calls); calls != 0 {
			t.Fatalf("%d calls came through while paused", calls)
		}
		n.store.setJob(n.job, activation.JobRunnable)
		time.Sleep(10 * time.Minute)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if wrong := n.check(t.Context()) + n.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong, n.story())
		}
	})
}

// TestKillInMidCall: a kill ends the run within ten seconds; what was under way
// is unknown, what was queued is withdrawn, and nothing more is sent.
func TestKillInMidCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := live(t, 40*time.Second, 20)
		<-n.net.begun
		n.store.setJob(n.job, activation.JobKilled)
		time.Sleep(10 * time.Second)
		r := n.store.all()[0]
		got := n.items(t)
		if r.Status != activation.RunFailed || r.ErrorCode != activation.CodeJobEnded || got[activation.ItemUnknown] != 2 || got[activation.ItemWithdrawn] != 3 {
			t.Fatalf("ten seconds after the kill: run %s %s, items %v", r.Status, r.ErrorCode, got)
		}
		if wrong := n.check(t.Context()); wrong != "" {
			t.Fatal(wrong)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLostLeaseIsFenced: an attempt that cannot renew its run's lease stops
// before the lease is over, and what it still says is discarded.
func TestLostLeaseIsFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(1, provider.ReplayHarmless, false)
		w.plane.set(1, [2]string{"e1"}, true)
		n := &node{world: w, net: &slow{network: w.net, begun: make(chan struct{}, 1)}}
		n.net.takes.Store(int64(10 * time.Minute))
		cut := &cutStore{worldStore: w.store}
		n.store = cut
		n.start(t)
		<-n.net.begun
		begin := time.Now()
		cut.renewals.Store(true)
		n.net.takes.Store(int64(time.Second))
		time.Sleep(5 * time.Minute)
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if cut.taken == nil || cut.taken[len(cut.taken)-1].Sub(begin) < 30*time.Second {
			t.Fatalf("taken at %v", cut.taken)
		}
		if wrong := n.check(t.Context()) + n.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong, n.story())
		}
	})
}

// cutStore is a store whose renewals get lost.
type cutStore struct {
	worldStore
	renewals atomic.Bool // true: lost
	taken    []time.Time
}

func (c *cutStore) RenewRuns(ctx context.Context, runs []activation.HeldRun, d time.Duration) ([]activation.RunID, error) {
	if c.renewals.Load() {
		return nil, errDead
	}
	return c.worldStore.RenewRuns(ctx, runs, d)
}

func (c *cutStore) TakeRun(ctx context.Context, id activation.RunID, node string, d time.Duration) (activation.Run, []activation.Item, error) {
	r, lost, err := c.worldStore.TakeRun(ctx, id, node, d)
	if err == nil {
		c.taken = append(c.taken, time.Now())
	}
	return r, lost, err
}
