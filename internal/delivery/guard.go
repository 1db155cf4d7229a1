package delivery

import (
	"fmt"
	"math"
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

// held is what the target held at the beginning of the window, so that many small
// runs weigh as much as a big one.
func (f guardFacts) held() int64 { return f.Holding + f.Removed }

// answer decides.
func (f guardFacts) answer() answer {
	a, _ := f.verdict()
	return a
}

// verdict decides, and says why.
func (f guardFacts) verdict() (a answer, why string) {
	over := (f.Removed+f.Planned)*100 > f.Percent*f.held()
	emptied := f.Planned >= f.Holding
	switch {
	case f.Planned == 0:
		return guardPass, "nobody leaves"
	case f.held() < f.MinHolding:
		return guardPass, fmt.Sprintf("only audiences of at least %d people are guarded", f.MinHolding)
	case !over && !emptied:
		return guardPass, fmt.Sprintf("no more than %d %% leave within 24 hours", f.Percent)
	case f.Verdict.Answer == activation.Approved && f.Now.Sub(f.Verdict.At) <= guardWindow && f.Verdict.Covers(f.RemovedSince+f.Planned):
		return guardPass, fmt.Sprintf("the removal of %d people was approved", f.Verdict.Removes)
	case f.Verdict.Answer == activation.Declined && f.Verdict.Covers(f.Planned):
		return guardWithhold, fmt.Sprintf("the removal of %d people was declined", f.Verdict.Removes)
	case emptied:
		return guardAsk, "nobody would be left"
	}
	return guardAsk, fmt.Sprintf("more than %d %% would leave within 24 hours", f.Percent)
}

// removals are the facts as people see them.
func (f guardFacts) removals() *Removals {
	_, why := f.verdict()
	r := &Removals{Reason: why, Removed: f.Removed, Planned: f.Planned, Limit: f.Percent, Minimum: f.MinHolding}
	if f.held() > 0 {
		r.Percent = math.Round(float64(f.Removed+f.Planned)*1000/float64(f.held())) / 10
	}
	return r
}
