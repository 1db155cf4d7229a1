package duckdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Urgent work goes first, but nobody is passed over for longer than a second.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &DB{now: time.Now, stop: make(chan struct{})}
		var order []string
		if err := d.lockIngest(t.Context()); err != nil {
			t.Fatal(err)
		}
		join := func(name string, urgent bool) {
			go func() {
				if err := d.lockIngestAs(t.Context(), urgent); err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				time.Sleep(400 * time.Millisecond)
				d.unlockIngest()
			}()
			synctest.Wait()
		}
		join("plain 1", false)
		join("plain 2", false)
		for _, name := range []string{"urgent 1", "urgent 2", "urgent 3", "urgent 4"} {
			join(name, true)
		}
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- d.lockIngestAs(ctx, true) }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("lock = %v", err)
		}
		if !d.hurried() {
			t.Error("urgent work waits and nobody is hurried")
		}
		d.unlockIngest()
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"urgent 1", "urgent 2", "urgent 3", "plain 1", "plain 2", "urgent 4"}
		if !slices.Equal(order, want) {
			t.Errorf("order = %q, want %q", order, want)
		}
		if d.hurried() {
			t.Error("hurried a minute after the last urgent work")
		}
		if err := d.lockIngest(t.Context()); err != nil {
			t.Error(err)
		}
		close(d.stop)
		if err := d.lockIngestAs(t.Context(), true); !errors.Is(err, errClosed) {
			t.Errorf("lock after the end = %v", err)
		}
	})
}

// One who gives up just as the lock is given to them passes it on.
func TestALockGivenToOneWhoLeft(t *testing.T) {
	var l turns
	now := time.Now()
	l.ask(false, now)
	gone, next := l.ask(true, now), l.ask(false, now)
	l.pass(now)
	l.leave(gone, now)
	select {
	case <-next.ready:
	default:
		t.Error("the lock is lost")
	}
	l.pass(now)
	if l.held {
		t.Error("the lock is held by nobody")
	}
}

// Of the writes that wait an urgent one is next, whoever came first.
func TestUrgentWritesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type name struct{}
		d := &DB{now: time.Now, stop: make(chan struct{}), writes: make(chan writeRequest), urgent: make(chan writeRequest)}
		for _, who := range []string{"plain 1", "plain 2", "urgent 1", "urgent 2"} {
			go func() {
				if err := d.writeAs(context.WithValue(t.Context(), name{}, who), strings.HasPrefix(who, "urgent"), nil); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait() // until it waits for the writer, which is busy
		}
		if n := d.waiting.Load(); n != 4 {
			t.Errorf("%d writes wait, want 4", n)
		}
		var order []any
		for range 4 {
			r, ok := d.nextWrite()
			if !ok {
				t.Fatal("the writer has ended")
			}
			order = append(order, r.ctx.Value(name{}))
			r.done <- nil
			synctest.Wait()
		}
		if want := []any{"urgent 1", "urgent 2", "plain 1", "plain 2"}; !slices.Equal(order, want) {
			t.Errorf("order = %q, want %q", order, want)
		}
		close(d.stop)
		if _, ok := d.nextWrite(); ok {
			t.Error("a closed warehouse has a write")
		}
	})
}

// A bulk slice is narrow at once when somebody urgent has come, however wide the
// one before was, and what is urgent is not cut.
func TestSlicesAreNarrowWhileSomebodyWaits(t *testing.T) {
	now := time.Now()
	d := &DB{now: func() time.Time { return now }, maxSlice: maxSlice}
	wide := pace{width: 200_000, took: 2 * time.Second}
	for _, c := range []struct {
		what   string
		last   pace
		urgent bool
		quiet  int64
		busy   int64
	}{
		{"first", pace{}, false, firstSlice, minSlice},
		{"first, urgent", pace{}, true, firstSlice, firstSlice},
		{"after a wide one", wide, false, 200_000, 25_000},
		{"after a slow one", pace{width: 100_000, took: time.Minute}, false, 50_000, minSlice},
		{"after a quick one", pace{width: 20_000, took: time.Millisecond}, false, 40_000, 40_000},
	} {
		d.urgentAt.Store(0)
		if n := d.nextWidth(c.last, c.urgent); n != c.quiet {
			t.Errorf("%s: %d lines, want %d", c.what, n, c.quiet)
		}
		d.urgentAt.Store(now.UnixNano())
		if n := d.nextWidth(c.last, c.urgent); n != c.busy {
			t.Errorf("%s, somebody waits: %d lines, want %d", c.what, n, c.busy)
		}
	}
}
