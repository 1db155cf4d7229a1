package access

import (
	"sync"
	"time"
)

// The limit on failed sign-ins: so many from one address within the window, and
// no more from anywhere than maxAddresses are remembered.
const (
	maxFailures  = 10
	failWindow   = 15 * time.Minute
	maxAddresses = 10_000
)

// limit remembers failed sign-ins by address. It forgets at a restart, which
// also replaces what could be guessed.
type limit struct {
	mu       sync.Mutex
	failures map[string][]time.Time
}

// until returns when an address may try again; the zero time means now.
func (l *limit) until(from string, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	recent := l.recent(from, now)
	if len(recent) < maxFailures {
		return time.Time{}
	}
	return recent[len(recent)-maxFailures].Add(failWindow)
}

// fail notes a failure.
func (l *limit) fail(from string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) >= maxAddresses {
		for address := range l.failures {
			l.recent(address, now)
		}
	}
	if len(l.failures) >= maxAddresses {
		clear(l.failures) // an attack from everywhere; remembering it helps nobody
	}
	l.failures[from] = append(l.recent(from, now), now)
}

// clear forgets the failures of an address that has signed in.
func (l *limit) clear(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failures, from)
}

// recent drops the failures that are out of the window, and returns the others.
func (l *limit) recent(from string, now time.Time) []time.Time {
	list := l.failures[from]
	for len(list) > 0 && !now.Before(list[0].Add(failWindow)) {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(l.failures, from)
		return nil
	}
	l.failures[from] = list
	return list
}
