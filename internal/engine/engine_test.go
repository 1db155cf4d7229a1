package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"usher/internal/engine"
)

// leases is a table of leases by a clock that all nodes share.
type leases struct {
	mu   sync.Mutex
	rows map[string]row
	cut  map[string]bool // nodes that no longer reach the database
}

type row struct {
	node  string
	until time.Time
}

var errCut = errors.New("the database is unreachable")

func newLeases() *leases { return &leases{rows: map[string]row{}, cut: map[string]bool{}} }

func (l *leases) Acquire(_ context.Context, name, node string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut[node] {
		return false, errCut
	}
	if r, ok := l.rows[name]; ok && r.node != node && time.Now().Before(r.until) {
		return false, nil
	}
	l.rows[name] = row{node, time.Now().Add(ttl)}
	return true, nil
}

func (l *leases) Renew(_ context.Context, name, node string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut[node] {
		return false, errCut
	}
	if l.rows[name].node != node {
		return false, nil
	}
	l.rows[name] = row{node, time.Now().Add(ttl)}
	return true, nil
}

func (l *leases) Release(_ context.Context, name, node string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut[node] {
		return errCut
	}
	if l.rows[name].node == node {
		delete(l.rows, name)
	}
	return nil
}

func (l *leases) cutOff(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[node] = true
}

func (l *leases) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rows)
}

// truth is the works there are; all nodes' workers read it.
type truth struct {
	mu    sync.Mutex
	left  map[engine.Work]bool
	doing map[string]map[string]int // lease -> node -> works in hand
	most  map[string]int            // lease -> most works at once
	done  map[engine.Work]time.Time
	clash string
}

func newTruth(works ...engine.Work) *truth {
	t := &truth{left: map[engine.Work]bool{}, doing: map[string]map[string]int{}, most: map[string]int{}, done: map[engine.Work]time.Time{}}
	for _, w := range works {
		t.left[w] = true
	}
	return t
}

func (t *truth) add(w engine.Work) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left[w] = true
}

func (t *truth) begin(node string, w engine.Work) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.doing[w.Lease] == nil {
		t.doing[w.Lease] = map[string]int{}
	}
	for other, n := range t.doing[w.Lease] {
		if other != node && n > 0 {
			t.clash = fmt.Sprintf("%s and %s both work under %s", node, other, w.Lease)
		}
	}
	t.doing[w.Lease][node]++
	t.most[w.Lease] = max(t.most[w.Lease], t.doing[w.Lease][node])
}

func (t *truth) end(node string, w engine.Work, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doing[w.Lease][node]--
	if done {
		delete(t.left, w)
		t.done[w] = time.Now()
	}
}

func (t *truth) snapshot() (left int, clash string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.left), t.clash
}

func (t *truth) doneAt(w engine.Work) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.done[w]
	return at, ok
}

// worker does the works of truth on one node; each takes some time.
type worker struct {
	node  string
	truth *truth
	takes func(engine.Work) time.Duration
	// deaf works don't notice their context for so long.
	deaf time.Duration
	dead chan struct{} // closed: the process is gone; nothing more is written
}

func (w *worker) Kind() string { return "run" }

func (w *worker) Due(_ context.Context, limit int) ([]engine.Work, error) {
	select {
	case <-w.dead:
		return nil, errCut
	default:
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	var out []engine.Work
	for x := range w.truth.left {
		if len(out) < limit {
			out = append(out, x)
		}
	}
	return out, nil
}

func (w *worker) Do(ctx context.Context, x engine.Work) error {
	w.truth.begin(w.node, x)
	t := time.NewTimer(w.takes(x))
	defer t.Stop()
	select {
	case <-t.C:
		w.truth.end(w.node, x, true)
		return nil
	case <-w.dead: // the process died: its work simply stops
		w.truth.end(w.node, x, false)
		return errCut
	case <-ctx.Done():
		time.Sleep(w.deaf)
		w.truth.end(w.node, x, false)
		return context.Cause(ctx)
	}
}

func fixed(d time.Duration) func(engine.Work) time.Duration {
	return func(engine.Work) time.Duration { return d }
}

// start runs an engine until stop is called; stop returns Run's error.
func start(t *testing.T, cfg engine.Config, w ...engine.Worker) (*engine.Engine, func() error) {
	t.Helper()
	e := engine.New(cfg, w...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() error { cancel(); return <-done }
}

func TestTakeoverAfterDeath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := engine.Work{Kind: "run", ID: "1", Lease: "auth:a"}
		tr, ls := newTruth(w), newLeases()
		first := &worker{node: "n1", truth: tr, takes: fixed(time.Hour), dead: make(chan struct{})}
		_, stop1 := start(t, engine.Config{Node: "n1", Leases: ls}, first)
		time.Sleep(12 * time.Second) // n1 works and has renewed once
		second := &worker{node: "n2", truth: tr, takes: fixed(time.Second)}
		_, stop2 := start(t, engine.Config{Node: "n2", Leases: ls}, second)
		time.Sleep(3 * time.Minute)
		if left, _ := tr.snapshot(); left != 1 {
			t.Fatal("the second node took a work whose lease the first one held")
		}
		died := time.Now()
		ls.cutOff("n1")
		close(first.dead)
		time.Sleep(2 * time.Minute)
		at, ok := tr.doneAt(w)
		if !ok || at.Sub(died) > time.Minute {
			t.Fatalf("taken over and done after %s, want within 60 s", at.Sub(died))
		}
		if err := errors.Join(stop1(), stop2()); err != nil {
			t.Fatal(err)
		}
		if _, clash := tr.snapshot(); clash != "" {
			t.Fatal(clash)
		}
	})
}

func TestCutOffNodeStopsBeforeItsLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := engine.Work{Kind: "run", ID: "1", Lease: "auth:a"}
		tr, ls := newTruth(w), newLeases()
		// n1 lives on but can't reach the database, and its works take 8 s to notice.
		first := &worker{node: "n1", truth: tr, takes: fixed(time.Hour), deaf: 8 * time.Second}
		_, stop1 := start(t, engine.Config{Node: "n1", Leases: ls}, first)
		second := &worker{node: "n2", truth: tr, takes: fixed(10 * time.Second)}
		time.Sleep(time.Second)
		_, stop2 := start(t, engine.Config{Node: "n2", Leases: ls}, second)
		time.Sleep(90 * time.Second)
		ls.cutOff("n1")
		time.Sleep(3 * time.Minute)
		left, clash := tr.snapshot()
		if left != 0 || clash != "" {
			t.Fatalf("left %d, %s", left, clash)
		}
		if err := errors.Join(stop1(), stop2()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSlowLeaseDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, ls := newTruth(), newLeases()
		for i := range 50 {
			tr.add(engine.Work{Kind: "run", ID: fmt.Sprint("dead", i), Lease: "auth:dead"})
		}
		for i := range 20 {
			tr.add(engine.Work{Kind: "run", ID: fmt.Sprint("live", i), Lease: "auth:live"})
		}
		wk := &worker{node: "n1", truth: tr, takes: func(w engine.Work) time.Duration {
			if w.Lease == "auth:dead" {
				return 10 * time.Hour
			}
			return time.Second
		}}
		_, stop := start(t, engine.Config{Node: "n1", Leases: ls, Concurrency: 4}, wk)
		time.Sleep(6 * time.Second) // 20 works, 4 at a time, 1 s each
		if left, _ := tr.snapshot(); left != 50 {
			t.Fatalf("%d works left, want the 50 of the dead authorization only", left)
		}
		begin := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Fatalf("stopping took %s", d)
		}
		if tr.most["auth:live"] != 4 || tr.most["auth:dead"] != 4 {
			t.Fatalf("most at once: %v, want 4 each", tr.most)
		}
		if ls.held() != 0 {
			t.Fatal("leases were not given back")
		}
	})
}

// TestAlone: works that want their lease for themselves are done one after the other,
// those of other leases beside them.
func TestAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, ls := newTruth(), newLeases()
		for i := range 6 {
			tr.add(engine.Work{Kind: "run", ID: fmt.Sprint("a", i), Lease: "account:a", Alone: true})
			tr.add(engine.Work{Kind: "run", ID: fmt.Sprint("b", i), Lease: "account:b", Alone: true})
		}
		_, stop := start(t, engine.Config{Node: "n1", Leases: ls, Concurrency: 4}, &worker{node: "n1", truth: tr, takes: fixed(time.Second)})
		time.Sleep(8 * time.Second)
		if left, _ := tr.snapshot(); left != 0 || tr.most["account:a"] != 1 || tr.most["account:b"] != 1 {
			t.Fatalf("%d works left; most at once: %v, want 1 each", left, tr.most)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStopNamesWorkThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, ls := newTruth(engine.Work{Kind: "run", ID: "1", Lease: "auth:a"}), newLeases()
		wk := &worker{node: "n1", truth: tr, takes: fixed(time.Hour), deaf: 20 * time.Second}
		_, stop := start(t, engine.Config{Node: "n1", Leases: ls}, wk)
		time.Sleep(time.Second)
		begin := time.Now()
		if err := stop(); err == nil {
			t.Fatal("Run returned no error although work goes on")
		}
		if d := time.Since(begin); d > 10*time.Second {
			t.Fatalf("Run waited %s, want 9 s at most", d)
		}
		time.Sleep(time.Minute)
	})
}

func TestPanicIsOneWorksError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTruth(engine.Work{Kind: "run", ID: "bad"}, engine.Work{Kind: "run", ID: "good"})
		wk := &worker{node: "n1", truth: tr, takes: func(w engine.Work) time.Duration {
			if w.ID == "bad" {
				panic("a bug")
			}
			return time.Second
		}}
		_, stop := start(t, engine.Config{Node: "n1", Leases: newLeases()}, wk)
		time.Sleep(20 * time.Second)
		if left, _ := tr.snapshot(); left != 1 {
			t.Fatalf("%d works left, want the one that panics", left)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWakeIsFasterThanTheSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTruth()
		wk := &worker{node: "n1", truth: tr, takes: fixed(time.Millisecond)}
		e, stop := start(t, engine.Config{Node: "n1", Leases: newLeases()}, wk)
		time.Sleep(6 * time.Second)
		w := engine.Work{Kind: "run", ID: "1", Lease: "auth:a"}
		tr.add(w)
		e.Wake("run", "1")
		e.Wake("nothing", "1")
		time.Sleep(10 * time.Millisecond)
		if _, ok := tr.doneAt(w); !ok {
			t.Fatal("a wake-up did not bring the work before the sweep")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// arrival is a work that becomes due, the nodes that are told (none: the
// wake-up was dropped; several: doubled) and the time until the next.
type arrival struct {
	lease string
	told  []int
	pause time.Duration
}

// TestQueueThatDropsAndDoubles: whatever becomes of the wake-ups, every work is
// done within a sweep of becoming due (plus its own time), on some node, and no
// two nodes ever work under one lease.
func TestQueueThatDropsAndDoubles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		nodes := rapid.IntRange(1, 3).Draw(rt, "nodes")
		arrivals := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) arrival {
			return arrival{
				lease: fmt.Sprint("auth:", rapid.IntRange(0, 2).Draw(rt, "lease")),
				told:  rapid.SliceOfN(rapid.IntRange(0, nodes-1), 0, 3).Draw(rt, "told"),
				pause: time.Duration(rapid.IntRange(0, 400).Draw(rt, "ms")) * time.Millisecond,
			}
		}), 1, 20).Draw(rt, "arrivals")
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = unreliableQueue(t, nodes, arrivals) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

func unreliableQueue(t *testing.T, count int, arrivals []arrival) string {
	t.Helper()
	tr, ls := newTruth(), newLeases()
	var nodes []*engine.Engine
	var stops []func() error
	for n := range count {
		node := fmt.Sprint("n", n)
		wk := &worker{node: node, truth: tr, takes: fixed(200 * time.Millisecond)}
		e, stop := start(t, engine.Config{Node: node, Leases: ls, Concurrency: 50}, wk)
		nodes, stops = append(nodes, e), append(stops, stop)
	}
	for i, a := range arrivals {
		tr.add(engine.Work{Kind: "run", ID: fmt.Sprint(i), Lease: a.lease})
		for _, n := range a.told {
			nodes[n].Wake("run", fmt.Sprint(i))
		}
		time.Sleep(a.pause)
	}
	time.Sleep(6 * time.Second)
	left, clash := tr.snapshot()
	for _, stop := range stops {
		if err := stop(); err != nil {
			return err.Error()
		}
	}
	if left != 0 || clash != "" {
		return fmt.Sprintf("%d works left; %s", left, clash)
	}
	return ""
}
