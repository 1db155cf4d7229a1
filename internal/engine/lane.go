package engine

import (
	"context"
	"errors"
)

// A lane is the works of one lease. It exists while there are any, holds the
// lease all that time and has slots of its own: a lane that hangs delays no
// other.
type lane struct {
	lease string
	alone bool            // its works are done one after the other
	held  context.Context // set while the lease is held
	queue []task          // in order of arrival
	known map[Work]bool   // waiting or being done
	slots int             // in use
	idle  chan struct{}   // told when the last slot in use becomes free
}

type task struct {
	worker Worker
	work   Work
}

// dispatch puts a due work into its lane, unless it is there already.
func (e *Engine) dispatch(ctx context.Context, w Worker, due Work) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lanes[due.Lease]
	if l == nil {
		l = &lane{lease: due.Lease, alone: due.Alone, known: map[Work]bool{}, idle: make(chan struct{}, 1)}
		e.lanes[due.Lease] = l
		e.open.Go(func() { e.serve(ctx, l) })
	}
	if l.known[due] {
		return
	}
	l.known[due] = true
	l.queue = append(l.queue, task{w, due})
	if l.held != nil {
		e.fill(l)
	}
}

// serve holds the lane's lease and lets its works be done until none is left.
func (e *Engine) serve(ctx context.Context, l *lane) {
	for {
		held, release, err := e.hold(ctx, l.lease)
		if err == nil {
			e.drain(held, l)
			release()
		} else if !errors.Is(err, errHeld) {
			e.cfg.Log.ErrorContext(ctx, "acquiring a lease", "lease", l.lease, "error", err)
		}
		if e.closeLane(l, err != nil || ctx.Err() != nil) {
			return
		}
	}
}

// drain does the lane's works until none is left or the lease is lost. It
// returns when no slot is in use.
func (e *Engine) drain(held context.Context, l *lane) {
	for e.refill(held, l) {
		<-l.idle
	}
}

// refill starts slots for what waits and reports whether any slot is in use.
func (e *Engine) refill(held context.Context, l *lane) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.held = held
	e.fill(l)
	if l.slots == 0 {
		l.held = nil
	}
	return l.slots > 0
}

// fill starts a slot for each waiting work, as long as there are slots and the
// lease is held. e.mu is held.
func (e *Engine) fill(l *lane) {
	held, slots := l.held, e.cfg.Concurrency
	if l.alone {
		slots = 1
	}
	for n := len(l.queue); n > 0 && l.slots < slots && held.Err() == nil; n-- {
		l.slots++
		go e.work(held, l) // drain waits for it
	}
}

// work is one slot: it does the lane's works in turn until none waits.
func (e *Engine) work(held context.Context, l *lane) {
	for {
		e.mu.Lock()
		if len(l.queue) == 0 || held.Err() != nil {
			l.free()
			e.mu.Unlock()
			return
		}
		t := l.queue[0]
		l.queue = l.queue[1:]
		e.mu.Unlock()

		e.do(held, t)

		e.mu.Lock()
		delete(l.known, t.work)
		e.mu.Unlock()
	}
}

// free gives a slot back and tells drain when it was the last. The engine's mu is held.
func (l *lane) free() {
	l.slots--
	if l.slots > 0 {
		return
	}
	select {
	case l.idle <- struct{}{}:
	default: // drain is told already
	}
}

// closeLane ends a lane that has nothing to do, or whose works are given up;
// the next sweep brings back what is still due. It reports whether it did.
func (e *Engine) closeLane(l *lane, giveUp bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.queue) > 0 && !giveUp {
		return false
	}
	delete(e.lanes, l.lease)
	return true
}

// serving is how many lanes there are.
func (e *Engine) serving() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.lanes)
}
