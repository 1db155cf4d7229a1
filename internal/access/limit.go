package access

import (
	"sync"
	"time"
)

// The limits on failed sign-ins: so many from one address and so many for one
// login within the window, and no more of either than maxKept are remembered.
// There are more for a login, so that who mistypes is stopped at their own
// address before they stop the owner of the login everywhere.
const (
	maxByAddress = 10
	maxByLogin   = 20
	failWindow   = 15 * time.Minute
	maxKept      = 10_000
)

// limit remembers tries by key. It forgets at a restart.
type limit struct {
	most  int
	mu    sync.Mutex
	tries map[string][]time.Time
}

func newLimit(most int) *limit { return &limit{most: most, tries: map[string][]time.Time{}} }

// take counts a try before it is made, so that many at once are no way around:
// it returns how many are left after it, or when one may be made again, and
// then counts nothing.
func (l *limit) take(key string, now time.Time) (left int, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	recent := l.recent(key, now)
	if len(recent) >= l.most {
		return 0, recent[len(recent)-l.most].Add(failWindow)
	}
	if len(l.tries) >= maxKept {
		for other := range l.tries {
			l.recent(other, now)
		}
	}
	if len(l.tries) >= maxKept {
		clear(l.tries) // an attack from everywhere; remembering it helps nobody
	}
	l.tries[key] = append(recent, now)
	return l.most - len(recent) - 1, time.Time{}
}

// give takes back a try that was no failure.
func (l *limit) give(key string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.tries[key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Equal(at) {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if l.tries[key] = list; len(list) == 0 {
		delete(l.tries, key)
	}
}

// recent drops the tries that are out of the window, and returns the others.
func (l *limit) recent(key string, now time.Time) []time.Time {
	list := l.tries[key]
	for len(list) > 0 && !now.Before(list[0].Add(failWindow)) {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(l.tries, key)
		return nil
	}
	l.tries[key] = list
	return list
}
