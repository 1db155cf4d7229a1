package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/engine"
	"usher/internal/provider"
	"usher/internal/store"
)

// timed notes when each delivery begins.
type timed struct {
	*network
	mu    sync.Mutex
	calls []time.Time
}

func (n *timed) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	n.mu.Lock()
	n.calls = append(n.calls, time.Now())
	n.mu.Unlock()
	time.Sleep(5 * time.Second) // a call under way ends, whatever the time
	return n.network.Deliver(ctx, b)
}

// within counts the deliveries that began from one time to another.
func (n *timed) within(from, to time.Time) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, at := range n.calls {
		if !at.Before(from) && at.Before(to) {
			count++
		}
	}
	return count
}

// TestQuietWindowStopsARun: a run under way when the quiet window begins ends
// the calls it has made, makes no other until the window is over, and then goes
// on as the same run.
func TestQuietWindowStopsARun(t *testing.T) {
	t.Parallel()
	empty := template(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, begin := t.Context(), time.Now().UTC()
		w := onSQLite(t, empty, 1, provider.ReplayHarmless, false)
		s := w.store.(*control).Store
		for id := range int64(60) {
			w.plane.set(id, [2]string{fmt.Sprint("e", id)}, true)
		}
		job, err := s.Job(ctx, w.job)
		if err != nil {
			t.Fatal(err)
		}
		const window = 10 * time.Minute
		end := begin.Add(25 * time.Minute)
		quiet := begin.Add(time.Minute).Truncate(time.Minute)
		job.QuietTimeOfDay, job.QuietPeriod = quiet.Format("15:04"), window
		if err := s.UpdateJob(ctx, job, "ann"); err != nil {
			t.Fatal(err)
		}
		net := &timed{network: w.net}
		w.def.Concurrency, w.def.MaxRows = 1, 3
		var e *engine.Engine
		d := delivery.New(delivery.Config{
			Node: "quiet", Store: s, Ledger: w.plane, Audiences: w.plane, Settings: w.set, Wake: func(kind, id string) { e.Wake(kind, id) },
			Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
				return net, w.def, nil
			},
		})
		sweeper := engine.Worker(&store.Sweeper{Store: s})
		list := []engine.Worker{sweeper}
		for _, k := range d.Workers() {
			list = append(list, k)
		}
		e = engine.New(engine.Config{Node: "quiet", Leases: leases}, list...)
		run, cancel := context.WithDeadline(ctx, end)
		defer cancel()
		if err := e.Run(run); err != nil {
			t.Error(err)
		}
		before, in, after := net.within(begin, quiet), net.within(quiet, quiet.Add(window)), net.within(quiet.Add(window), end)
		if before == 0 || in != 0 || after == 0 {
			t.Errorf("%d calls before the window, %d in it, %d after it", before, in, after)
		}
		runs := w.store.all()
		if len(runs) != 1 || runs[0].Status != activation.RunCompleted || before+after != 20 {
			t.Errorf("%d runs, the first is %s after %d calls, want one that is completed after 20", len(runs), runs[0].Status, before+after)
		}
	})
}

// TestNoRoom: while the disk is nearly full no run begins, neither by itself nor
// because somebody wants one; what is due stays due.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(1, provider.ReplayHarmless, false)
		w.plane.set(1, [2]string{"e1"}, true)
		full := errors.New("no room")
		room := full
		d := delivery.New(delivery.Config{
			Node: "n", Store: w.store, Ledger: w.plane, Audiences: w.plane, Settings: w.set, Room: func(context.Context) error { return room },
			Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
				return w.net, w.def, nil
			},
		})
		due := func() int {
			t.Helper()
			works, err := d.Workers()[0].Due(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(works)
		}
		if n := due(); n != 0 {
			t.Errorf("%d targets are due without room", n)
		}
		if _, err := d.RunTarget(t.Context(), w.target); !errors.Is(err, full) {
			t.Errorf("a run without room: %v", err)
		}
		room = nil
		if n := due(); n != 1 {
			t.Errorf("%d targets are due with room, want 1", n)
		}
		if _, err := d.RunTarget(t.Context(), w.target); err != nil {
			t.Error(err)
		}
	})
}
