package api

import (
	"sync"
	"time"
)

// maxPaced is how many senders are remembered at most.
const maxPaced = 50_000

// pace lets each sender ask so often a minute, and up to a tenth of that at once
// after a rest. It forgets at a restart.
type pace struct {
	perSecond float64
	burst     float64

	mu   sync.Mutex
	last map[string]allowance
}

// allowance is how much a sender had left, and when.
type allowance struct {
	left float64
	at   time.Time
}

// newPace returns the pace of a number a minute; 0 = no limit.
func newPace(perMinute int) *pace {
	return &pace{perSecond: float64(perMinute) / 60, burst: max(1, float64(perMinute)/10), last: map[string]allowance{}}
}

// take returns 0 and counts a question, or how long to wait for the next one.
func (p *pace) take(who string, now time.Time) time.Duration {
	if p.perSecond == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) >= maxPaced {
		p.forget(now)
	}
	left := p.left(who, now)
	if left < 1 {
		return time.Duration((1 - left) / p.perSecond * float64(time.Second))
	}
	p.last[who] = allowance{left - 1, now}
	return 0
}

func (p *pace) left(who string, now time.Time) float64 {
	have, known := p.last[who]
	if !known {
		return p.burst
	}
	return min(p.burst, have.left+max(0, now.Sub(have.at).Seconds())*p.perSecond)
}

// forget drops who has rested; an attack from everywhere drops all.
func (p *pace) forget(now time.Time) {
	for who := range p.last {
		if p.left(who, now) >= p.burst {
			delete(p.last, who)
		}
	}
	if len(p.last) >= maxPaced {
		clear(p.last)
	}
}
