package linkedin

import (
	"net/http"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// LinkedIn says neither how much of a quota is used nor when to come back (users,
// "rate limits"): a 429 is either the limit of the minute or the quota of the
// day, which begins again at 00:00 UTC.
const (
	minuteWait = time.Minute
	// afterMinute is how long after the wait of a minute another 429 says that it
	// was not the minute.
	afterMinute = time.Minute
)

// gate stops the calls of one client after a 429. It forgets at a restart, and
// then learns from the first answer.
type gate struct {
	mu    sync.Mutex
	until time.Time
	// minuteEnd is when the latest wait of a minute ends.
	minuteEnd time.Time
}

// pass says when to come back, if calls are stopped.
func (g *gate) pass(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !now.Before(g.until) {
		return nil
	}
	e := classThrottle.New()
	e.Until = g.until
	return e
}

// refused takes a 429 of a call that began then and returns when to come back:
// when the answer says so, else a minute later. A call that began after such a
// minute and is refused again has met the quota of the day. What began before
// says nothing new.
func (g *gate) refused(h http.Header, began, now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, told := outbound.RetryAfter(h, now)
	again := !g.minuteEnd.IsZero() && !began.Before(g.minuteEnd) && now.Before(g.minuteEnd.Add(afterMinute))
	switch {
	case told:
	case again:
		until = now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	case began.Before(g.minuteEnd):
		until = g.minuteEnd
	default:
		g.minuteEnd = now.Add(minuteWait)
		until = g.minuteEnd
	}
	if until.After(g.until) {
		g.until = until
	}
	return g.until
}

// throttled is the error of a 429.
func throttled(until time.Time, status int, e envelope) *activation.Error {
	err := failure(classThrottle, status, e)
	err.Until = until
	return err
}
