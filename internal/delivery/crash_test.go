package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
)

// situation is a way of things going that leads through certain crash points.
type situation struct {
	name   string
	replay provider.Replay
	async  bool
	only   string           // what goes wrong at the network
	chaos  float64          // how often
	leave  bool             // most people leave
	end    activation.OnEnd // the job is killed
	events bool             // the target takes events
	swap   bool             // everybody is replaced
	thanks bool             // whoever's event was accepted comes into an audience
}

var situations = []situation{
	{name: "all well", replay: provider.ReplayHarmless},
	{name: "most people leave", replay: provider.ReplayHarmless, leave: true},
	{name: "outcome unknown, may be repeated", replay: provider.ReplayHarmless, only: "timeout after", chaos: 0.5},
	{name: "outcome unknown, never repeated", replay: provider.ReplayNever, only: "timeout after", chaos: 0.5},
	{name: "refused whole", replay: provider.ReplayNever, only: "refuse whole", chaos: 0.5},
	{name: "down", replay: provider.ReplayHarmless, only: "html", chaos: 1},
	{name: "long wait", replay: provider.ReplayHarmless, only: "throttle long", chaos: 0.7},
	{name: "audience gone", replay: provider.ReplayHarmless, only: "gone", chaos: 0.5},
	{name: "answers later", replay: provider.ReplayNever, async: true},
	{name: "emptied", replay: provider.ReplayHarmless, end: activation.EndEmpty},
	{name: "deleted", replay: provider.ReplayHarmless, end: activation.EndDelete},
	{name: "deleted, outcome unknown", replay: provider.ReplayNever, only: "timeout after", chaos: 0.5, end: activation.EndDelete},
	{name: "deleted, answers later", replay: provider.ReplayNever, async: true, end: activation.EndDelete},
	{name: "emptied, audience gone", replay: provider.ReplayHarmless, only: "gone", chaos: 0.5, end: activation.EndEmpty},
	{name: "replaced", replay: provider.ReplayHarmless, swap: true},
	{name: "replaced, most people leave", replay: provider.ReplayHarmless, swap: true, leave: true},
	{name: "replaced, outcome unknown", replay: provider.ReplayHarmless, only: "timeout after", chaos: 0.3, swap: true},
	{name: "replaced, somebody is rejected", replay: provider.ReplayNever, only: "reject", chaos: 0.7, swap: true},
	{name: "replaced, taken in part", replay: provider.ReplayHarmless, only: "unsent row", chaos: 0.5, swap: true},
	{name: "replaced, refused whole", replay: provider.ReplayHarmless, only: "refuse whole", chaos: 0.5, swap: true},
	{name: "replaced, down", replay: provider.ReplayHarmless, only: "html", chaos: 0.9, swap: true},
	{name: "replaced, long wait", replay: provider.ReplayHarmless, only: "throttle long", chaos: 0.5, swap: true},
	{name: "replaced, audience gone", replay: provider.ReplayHarmless, only: "gone", chaos: 0.3, swap: true},
	{name: "events, with an audience of conversions", replay: provider.ReplayNever, events: true, thanks: true},
	{name: "events, outcome unknown, with an audience of conversions", replay: provider.ReplayHarmless, only: "timeout after", chaos: 0.5, events: true, thanks: true},
	{name: "events, all well", replay: provider.ReplayNever, events: true},
	{name: "events, outcome unknown, dropped when repeated", replay: provider.ReplayDeduplicated, only: "timeout after", chaos: 0.5, events: true},
	{name: "events, outcome unknown, never repeated", replay: provider.ReplayNever, only: "timeout before", chaos: 0.5, events: true},
	{name: "events, taken in part", replay: provider.ReplayNever, only: "unsent row", chaos: 0.7, events: true},
	{name: "events, down", replay: provider.ReplayHarmless, only: "html", chaos: 1, events: true},
	{name: "events, taken in part as is said later", replay: provider.ReplayHarmless, only: "unsent row", chaos: 0.7, async: true, events: true},
	{name: "events, refused as is said later", replay: provider.ReplayHarmless, only: "refuse whole", chaos: 0.7, async: true, events: true},
}

// TestEveryCrashPoint kills the process at each crash point, in every situation
// that reaches it, and starts the next one.
func TestEveryCrashPoint(t *testing.T) {
	t.Parallel()
	hit := map[delivery.CrashPoint]int{}
	for _, s := range situations {
		for _, p := range delivery.CrashPoints {
			for skip := range 3 {
				if !s.passes(p) {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					w := s.world(uint64(skip) + 1)
					if wrong := w.crashIn(t.Context(), s, p, skip); wrong != "" {
						t.Errorf("%s, killed at %s after %d: %s", s.name, p, skip, wrong)
					}
					hit[p] += w.faults.hit[p]
				})
			}
		}
	}
	for _, p := range delivery.CrashPoints {
		if hit[p] == 0 {
			t.Errorf("no situation reaches %s", p)
		}
	}
}

// passes reports whether a run of the situation can come to the point at all.
func (s situation) passes(p delivery.CrashPoint) bool {
	switch p {
	case delivery.BeforeConversion, delivery.AfterConversion, delivery.BeforeAccept, delivery.AfterAccept:
		return s.thanks
	case delivery.BeforeReplaced, delivery.AfterReplaced, delivery.BeforeDoubt, delivery.AfterDoubt:
		return s.swap
	case delivery.BeforePoll, delivery.AfterPoll, delivery.AfterPollReceipt, delivery.BeforeReopen, delivery.AfterReopen, delivery.BeforeDelete, delivery.AfterDelete:
		return !s.swap && !s.thanks
	}
	return true
}

// world is a world of fakes for the situation.
func (s situation) world(seed uint64) *world {
	if s.thanks {
		return thanking(seed, s.replay)
	}
	if s.events {
		return hearing(seed, s.replay, s.async)
	}
	return inMemory(seed, s.replay, s.async)
}

// crashIn brings people to the network, then has them change in a situation
// with a crash in it, and says what is wrong in the end.
func (w *world) crashIn(ctx context.Context, s situation, p delivery.CrashPoint, skip int) string {
	r := rand.New(rand.NewPCG(uint64(skip), 9))
	if s.events {
		return w.crashTelling(ctx, r, s, p, skip)
	}
	w.humans(r, 30)
	if err := w.settle(ctx); err != nil {
		return "before: " + err.Error()
	}
	time.Sleep(25 * time.Hour) // what was removed until now no longer counts
	w.net.mu.Lock()
	w.net.only, w.net.chaos = s.only, s.chaos
	w.net.mu.Unlock()
	w.arm(p, skip)
	if s.end == "" {
		w.humans(r, 12)
	} else {
		w.kill(s.end)
	}
	if s.leave {
		for id := range int64(16) {
			w.plane.set(id, [2]string{fmt.Sprint("x", id)}, false)
		}
	}
	if s.swap {
		if _, err := w.proc.ReplaceTarget(ctx, w.target, "ann"); err != nil && w.proc.alive() == nil {
			return "replace: " + err.Error()
		}
	}
	for range 6 {
		if err := w.turn(ctx); err != nil {
			return err.Error()
		}
		if wrong := w.check(ctx); wrong != "" {
			return wrong
		}
		time.Sleep(30 * time.Second)
	}
	if s.end != "" {
		return w.given(ctx, s.end)
	}
	if err := w.settle(ctx); err != nil {
		return err.Error() + w.story()
	}
	if wrong := w.check(ctx) + w.verdict(ctx); wrong != "" {
		return wrong + w.story()
	}
	return ""
}
