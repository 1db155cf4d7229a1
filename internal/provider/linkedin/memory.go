package linkedin

import (
	"sync"
	"time"

	"usher/internal/provider"
)

const (
	// settle is how long a new segment is left alone: people that are sent within
	// 5 seconds may be lost (users); older pages say 10 to 15.
	settle = 15 * time.Second
	// young is how long "there is no such segment" is no news of a new one, which
	// LinkedIn may not find for one to two minutes: it is never taken for gone
	// before this.
	young = 10 * time.Minute
	// lookAgain is how long is waited for a new segment that is not found.
	lookAgain = 30 * time.Second
	// listed is how long a segment that was made may be missing in look-ups; until
	// then none is made in its place.
	listed = 3 * time.Minute
)

// memory is what a client has learnt of its segments. It is lost at a restart,
// and then learnt again by asking and waiting.
type memory struct {
	mu   sync.Mutex
	of   map[provider.RemoteID]note
	made map[string]attempt // by marker
}

// note is what is known of one segment. Times are those of LinkedIn's clock.
type note struct {
	created time.Time // zero = not known
	ready   bool      // it takes people
	missing time.Time // when it was first not found, its age unknown
}

// attempt is a segment that was asked for.
type attempt struct {
	at time.Time // by our clock
	id provider.RemoteID
}

func (m *memory) note(id provider.RemoteID) note {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[id]
}

// learn changes what is known of a segment and returns it.
func (m *memory) learn(id provider.RemoteID, change func(*note)) note {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[provider.RemoteID]note{}
	}
	n := m.of[id]
	change(&n)
	m.of[id] = n
	return n
}

// asked notes that a segment was asked for; without an id it may be there or not.
func (m *memory) asked(marker string, a attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil {
		m.made = map[string]attempt{}
	}
	m.made[marker] = a
}

// forget notes that a segment was refused.
func (m *memory) forget(marker string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.made, marker)
}

// before returns the latest attempt, as long as look-ups may not show it.
func (m *memory) before(marker string, now time.Time) (attempt, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.made[marker]
	return a, ok && now.Sub(a.at) < listed
}
