package duckdb

import (
	"context"
	"errors"
	"slices"
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
