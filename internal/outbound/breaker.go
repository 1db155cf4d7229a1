package outbound

import (
	"sync"
	"time"

	"usher/internal/activation"
)

// breaker stops calls to a network that is down, so that a thousand items do
// not each wait for a timeout. After its pause it lets one call through: if that
// works, all may go.
type breaker struct {
	after int
	pause time.Duration

	mu        sync.Mutex
	failures  int
	pauses    int
	openUntil time.Time
	probing   bool
}

// allow returns nil when a call may go out. Each nil must be followed by one of
// succeed, fail and abandon.
func (b *breaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.openUntil.IsZero() {
		return nil
	}
	if now.Before(b.openUntil) || b.probing {
		return &activation.Error{
			Kind: activation.Unavailable, Code: CodePaused,
			Message: "the network failed several times in a row; calls pause before the next try",
		}
	}
	b.probing = true
	return nil
}

func (b *breaker) succeed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.pauses, b.openUntil, b.probing = 0, 0, time.Time{}, false
}

// abandon ends a call that was never made.
func (b *breaker) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

// fail counts a call that failed by the network's fault, and reports until when
// calls pause if this one made them.
func (b *breaker) fail(now time.Time) (until time.Time, opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.failures < b.after && !b.probing {
		return time.Time{}, false
	}
	if now.Before(b.openUntil) {
		return time.Time{}, false // a call from before the pause
	}
	b.openUntil = now.Add(b.pause << min(b.pauses, 4))
	b.pauses++
	b.probing = false
	return b.openUntil, true
}
