package inbox

import (
	"sync"
	"time"
)

// reading is what is being received: rows of it are in files already, and nobody
// knows whose.
type reading struct {
	mu    sync.Mutex
	next  int64
	since map[int64]time.Time
}

// Reading notes that something is being received from now on, until done is called.
// OldestWaiting counts it among what waits.
func (b *Inbox) Reading() (done func()) {
	r := &b.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	n := r.next
	if r.since == nil {
		r.since = map[int64]time.Time{}
	}
	r.since[n] = b.now()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.since, n)
	}
}

// oldest is when the oldest of it began; zero = nothing is being received.
func (r *reading) oldest() (at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, since := range r.since {
		if at.IsZero() || since.Before(at) {
			at = since
		}
	}
	return at.UTC()
}
