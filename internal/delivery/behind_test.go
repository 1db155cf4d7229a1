package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestLeaving: who heeds the context is waited for, who does not is left behind,
// and who panics has an error.
func TestLeaving(t *testing.T) {
	t.Parallel()
	late := errors.New("late")
	for _, c := range []struct {
		name  string
		takes time.Duration // after the cancellation
		waits time.Duration
		want  error
	}{
		{"at once", 0, 0, late},
		{"within the grace", 3 * time.Second, 3 * time.Second, late},
		{"never", time.Hour, 4 * time.Second, errLeftBehind},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, cancel)
				begin := time.Now()
				_, err := leaving(ctx, 4*time.Second, func() (int, error) {
					time.Sleep(time.Minute + c.takes)
					return 1, late
				})
				if waited := time.Since(begin) - time.Minute; !errors.Is(err, c.want) || waited != c.waits {
					t.Fatalf("%v after %s", err, waited)
				}
				time.Sleep(time.Hour)
			})
		})
	}
	if _, err := leaving(t.Context(), time.Second, func() (int, error) { panic("oh") }); !errors.Is(err, errPanicked) {
		t.Fatalf("a panic is %v", err)
	}
}

// TestLine: an attempt stands in line only while nothing of it is at work.
func TestLine(t *testing.T) {
	t.Parallel()
	var l line
	in, out, standing := make(chan struct{}), make(chan func()), make(chan struct{})
	go func() {
		leave, err := l.enter(func() (func(), error) { close(standing); <-in; return func() {}, nil })
		if err != nil {
			t.Error(err)
		}
		out <- leave
	}()
	<-standing
	if !l.idle() {
		t.Fatal("not idle although it stands in line")
	}
	leave, err := l.enter(func() (func(), error) { return func() {}, nil })
	if err != nil || l.idle() {
		t.Fatalf("idle although something is at work (%v)", err)
	}
	leave()
	if !l.idle() {
		t.Fatal("not idle although it only waits")
	}
	close(in)
	leave = <-out
	if l.idle() {
		t.Fatal("idle although its turn has come")
	}
	leave()
	if _, err := l.enter(func() (func(), error) { return nil, context.Canceled }); err == nil || l.idle() {
		t.Fatal("who gave up waiting still stands in line")
	}
}
