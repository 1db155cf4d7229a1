package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"usher/internal/activation"
)

var (
	// errLeftBehind: the work did not end when it was cancelled.
	errLeftBehind = errors.New("it did not end when it was cancelled and was left behind")
	// errPanicked: the work panicked.
	errPanicked = errors.New("panic")
)

// An outcome is what came of a function that may be left behind.
type outcome[T any] struct {
	value T
	err   error
}

// leaving runs fn and waits for it, but not for longer than grace once ctx is
// done: whoever hangs and does not heed its context is left behind, so that it
// holds up nobody. What it says later is discarded. A panic is fn's error.
func leaving[T any](ctx context.Context, grace time.Duration, fn func() (T, error)) (T, error) {
	done := make(chan outcome[T], 1)
	go func() {
		var o outcome[T]
		defer func() {
			if p := recover(); p != nil {
				o.err = fmt.Errorf("%w: %v\n%s", errPanicked, p, debug.Stack())
			}
			done <- o
		}()
		o.value, o.err = fn()
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-late.C:
		var none T
		return none, fmt.Errorf("%w: %w", errLeftBehind, context.Cause(ctx))
	}
}

// call calls a network on behalf of a run. A call that does not end within half
// of StopWithin after it was cancelled is left behind, so that there is time to
// write down that nobody knows what became of it; nor does anybody after a panic.
func call[T any](ctx context.Context, x *execution, fn func() (T, error)) (T, error) {
	v, err := leaving(ctx, x.d.set.StopWithin/2, fn)
	switch {
	case errors.Is(err, errPanicked):
		err = &activation.Error{Kind: activation.Internal, Code: activation.CodeOf(nil), Message: "a fault in the code for this network", MayHaveApplied: true, Err: err}
	case errors.Is(err, errLeftBehind):
		x.log.ErrorContext(ctx, "a call to the network was left behind", "provider", x.dest.Provider, "error", err)
		err = &activation.Error{Kind: activation.Unavailable, Code: activation.CodeStalled, Message: "the call did not end when it was cancelled", MayHaveApplied: true, Err: err}
	}
	return v, err
}

// A line counts what an attempt does: waiting for its turn, or at work.
type line struct{ waiting, working atomic.Int64 }

// enter waits for a turn. The function it returns ends it.
func (l *line) enter(wait func() (leave func(), err error)) (func(), error) {
	l.waiting.Add(1)
	leave, err := wait()
	l.waiting.Add(-1)
	if err != nil {
		return nil, err
	}
	l.working.Add(1)
	return func() {
		l.working.Add(-1)
		leave()
	}, nil
}

// idle reports whether the attempt does nothing but wait for its turn.
func (l *line) idle() bool { return l.waiting.Load() > 0 && l.working.Load() == 0 }

// slot is Delivery.slot for the run's destination.
func (x *execution) slot(ctx context.Context) (leave func(), err error) {
	return x.line.enter(func() (func(), error) { return x.d.slot(ctx, x.dest, x.def.Concurrency) })
}
