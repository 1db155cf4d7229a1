package delivery

import (
	"time"

	"usher/internal/activation"
)

// guardWindow is how far back removals count towards the guard, and how long
// an approval speaks for later runs.
const guardWindow = 24 * time.Hour

// An answer is what the removal guard says about a plan.
type answer string

const (
	// guardPass: go on.
	guardPass answer = "pass"
	// guardAsk: a person must decide first.
	guardAsk answer = "ask"
	// guardWithhold: go on without the plain removals.
	guardWithhold answer = "withhold"
)

// guardFacts is what the guard looks at. Removals here are plain ones: people
// who leave. Keys that are taken away do not count.
type guardFacts struct {
	// Holding is how many people the target holds before the run.
	Holding int64
	// Planned is how many of them the run would remove.
	Planned int64
	// Removed is how many were removed within guardWindow.
	Removed int64
	// Verdict is the last one about the target; RemovedSince counts from it.
	Verdict      activation.GuardVerdict
	RemovedSince int64
	Now          time.Time
	// Percent and MinHolding are the settings: 20 and 100 by default.
	Percent    int64
	MinHolding int64
}

// answer decides. The share is of what the target held at the beginning of the
// window, so that many small runs weigh as much as a big one.
func (f guardFacts) answer() answer {
	held := f.Holding + f.Removed
	over := (f.Removed+f.Planned)*100 > f.Percent*held || f.Planned >= f.Holding
	switch {
	case f.Planned == 0 || held < f.MinHolding || !over:
		return guardPass
	case f.Verdict.Answer == activation.Approved && f.Now.Sub(f.Verdict.At) <= guardWindow && f.Verdict.Covers(f.RemovedSince+f.Planned):
		return guardPass
	case f.Verdict.Answer == activation.Declined && f.Verdict.Covers(f.Planned):
		return guardWithhold
	}
	return guardAsk
}
