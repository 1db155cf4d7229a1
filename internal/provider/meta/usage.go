package meta

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"usher/internal/activation"
)

// usage is how much of its limits the account has used
// (docs/graph-api/overview/rate-limiting).
type usage struct {
	percent float64
	// regain is the time until calls are taken again, 0 = not told.
	regain time.Duration
}

// maxRegain bounds what a header may ask for.
const maxRegain = 24 * time.Hour

// usageOf reads the three usage headers; unit is that of
// estimated_time_to_regain_access. What cannot be read counts as nothing.
func usageOf(h http.Header, unit time.Duration) usage {
	var u usage
	var app struct {
		Calls float64 `json:"call_count"`
		Time  float64 `json:"total_time"`
		CPU   float64 `json:"total_cputime"`
	}
	if json.Unmarshal([]byte(h.Get("X-App-Usage")), &app) == nil {
		u.percent = max(u.percent, app.Calls, app.Time, app.CPU)
	}
	var account struct {
		Percent float64 `json:"acc_id_util_pct"`
		Reset   float64 `json:"reset_time_duration"` // seconds
	}
	if json.Unmarshal([]byte(h.Get("X-Ad-Account-Usage")), &account) == nil {
		u.percent = max(u.percent, account.Percent)
		if account.Percent >= stopAt {
			u.regain = bound(account.Reset, time.Second)
		}
	}
	var cases map[string][]struct {
		Calls  float64 `json:"call_count"`
		Time   float64 `json:"total_time"`
		CPU    float64 `json:"total_cputime"`
		Regain float64 `json:"estimated_time_to_regain_access"`
	}
	if json.Unmarshal([]byte(h.Get("X-Business-Use-Case-Usage")), &cases) == nil {
		var regain time.Duration
		for _, list := range cases {
			for _, c := range list {
				u.percent = max(u.percent, c.Calls, c.Time, c.CPU)
				regain = max(regain, bound(c.Regain, unit))
			}
		}
		if regain > 0 { // it knows the limit that was met
			u.regain = regain
		}
	}
	return u
}

func bound(n float64, unit time.Duration) time.Duration {
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(maxRegain)))
}

const (
	// From slowAt percent on, calls are spread; at stopAt they stop.
	slowAt = 75
	stopAt = 100
	// maxSpread is the time between two calls just below stopAt.
	maxSpread = time.Second
)

// gate spreads or stops the calls of one account by what the headers say. It
// forgets at a restart, and then learns from the first answer.
type gate struct {
	mu     sync.Mutex
	spread time.Duration
	next   time.Time
	until  time.Time
}

// note takes what the latest answer said.
func (g *gate) note(u usage, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spread = 0
	switch {
	case u.percent >= stopAt:
		wait := u.regain
		if wait == 0 {
			wait = throttleWait
		}
		g.until = now.Add(wait)
	case u.percent >= slowAt:
		g.spread = time.Duration(float64(maxSpread) * (u.percent - slowAt + 1) / (stopAt - slowAt + 1))
		g.next = now.Add(g.spread)
	}
}

// close stops calls until then.
func (g *gate) close(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.until) {
		g.until = until
	}
}

// pass waits for the account's turn, a second at most, or says when to come back.
func (g *gate) pass(ctx context.Context, now func() time.Time) error {
	wait, err := g.turn(now())
	if err != nil || wait <= 0 {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &activation.Error{Kind: activation.Unavailable, Code: classUnavailable.Code, Message: "stopped before the call; nothing was sent", Err: ctx.Err()}
	}
}

func (g *gate) turn(now time.Time) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until) {
		err := failure(classThrottle, envelope{})
		err.Until = g.until
		return 0, err
	}
	if g.spread == 0 || !now.Before(g.next) {
		g.next = now.Add(g.spread)
		return 0, nil
	}
	wait := g.next.Sub(now)
	if wait > maxSpread {
		err := failure(classThrottle, envelope{})
		err.Until = g.next
		return 0, err
	}
	g.next = g.next.Add(g.spread)
	return wait, nil
}
