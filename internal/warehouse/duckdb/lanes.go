package duckdb

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Two lanes lead into the warehouse: what came in real time goes before the rest,
// at the ingest lock and at the writer. Whoever is in the other lane gets a turn
// all the same: one that has been passed over for passedOver goes next.

// passedOver is how long urgent work may go before other work that waits.
const passedOver = time.Second

// lately is how long after an urgent merge bulk slices stay short, as the next
// will come soon.
const lately = 5 * time.Second

// turns is a lock with two queues. The zero value is unlocked.
type turns struct {
	mu            sync.Mutex
	held          bool
	urgent, plain []*turn
}

// turn is somebody who waits for the lock.
type turn struct {
	since time.Time
	ready chan struct{} // closed when the lock is theirs
}

// ask joins a queue.
func (t *turns) ask(urgent bool, now time.Time) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &turn{since: now, ready: make(chan struct{})}
	if !t.held {
		t.held = true
		close(w.ready)
		return w
	}
	queue := &t.plain
	if urgent {
		queue = &t.urgent
	}
	*queue = append(*queue, w)
	return w
}

// leave takes somebody out who does not want to wait any more. If the lock was
// given to them meanwhile, it goes on to the next.
func (t *turns) leave(w *turn, now time.Time) {
	t.mu.Lock()
	for _, queue := range []*[]*turn{&t.urgent, &t.plain} {
		if i := slices.Index(*queue, w); i >= 0 {
			*queue = slices.Delete(*queue, i, i+1)
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	t.pass(now)
}

// pass gives the lock to whoever is next.
func (t *turns) pass(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	queue := &t.urgent
	if len(t.urgent) == 0 || len(t.plain) > 0 && now.Sub(t.plain[0].since) >= passedOver {
		queue = &t.plain
	}
	if len(*queue) == 0 {
		t.held = false
		return
	}
	next := (*queue)[0]
	*queue = slices.Delete(*queue, 0, 1)
	close(next.ready)
}

// urgentWaits reports whether somebody urgent waits.
func (t *turns) urgentWaits() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.urgent) > 0
}

// lockIngest waits until nobody else merges a slice, changes the schema or
// rebuilds. unlockIngest must follow.
func (d *DB) lockIngest(ctx context.Context) error { return d.lockIngestAs(ctx, false) }

func (d *DB) lockIngestAs(ctx context.Context, urgent bool) error {
	if urgent {
		d.urgentAt.Store(d.now().UnixNano())
	}
	w := d.ingest.ask(urgent, d.now())
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		d.ingest.leave(w, d.now())
		return context.Cause(ctx)
	case <-d.stop:
		d.ingest.leave(w, d.now())
		return errClosed
	}
}

func (d *DB) unlockIngest() { d.ingest.pass(d.now()) }

// hurried reports whether somebody waits for the writer, or something urgent will
// soon.
func (d *DB) hurried() bool {
	return d.waiting.Load() > 0 || d.ingest.urgentWaits() || d.now().Sub(time.Unix(0, d.urgentAt.Load())) < lately
}
