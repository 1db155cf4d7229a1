package delivery

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	verdict := func(a string, n int64, ago time.Duration) activation.GuardVerdict {
		return activation.GuardVerdict{Answer: a, Removes: n, At: now.Add(-ago)}
	}
	cases := []struct {
		name    string
		holding int64
		planned int64
		removed int64
		verdict activation.GuardVerdict
		since   int64
		want    answer
	}{
		{"nothing leaves", 1000, 0, 0, activation.GuardVerdict{}, 0, guardPass},
		{"a fifth", 1000, 200, 0, activation.GuardVerdict{}, 0, guardPass},
		{"more than a fifth", 1000, 201, 0, activation.GuardVerdict{}, 0, guardAsk},
		{"more than a fifth in many runs", 900, 101, 100, activation.GuardVerdict{}, 0, guardAsk},
		{"few people", 99, 99, 0, activation.GuardVerdict{}, 0, guardPass},
		{"a hundred people", 100, 21, 0, activation.GuardVerdict{}, 0, guardAsk},
		{"a hundred at the beginning of the day", 85, 10, 15, activation.GuardVerdict{}, 0, guardAsk},
		{"emptied", 100, 100, 0, activation.GuardVerdict{}, 0, guardAsk},
		{"approved", 1000, 500, 0, verdict(activation.Approved, 500, time.Hour), 0, guardPass},
		{"approved, one per cent more", 1000, 505, 0, verdict(activation.Approved, 500, time.Hour), 0, guardPass},
		{"approved, two per cent more", 1000, 510, 0, verdict(activation.Approved, 500, time.Hour), 0, guardAsk},
		{"approved and half done", 750, 250, 250, verdict(activation.Approved, 500, time.Hour), 250, guardPass},
		{"approved and used up", 500, 100, 500, verdict(activation.Approved, 500, time.Hour), 500, guardAsk},
		{"approved long ago", 1000, 500, 0, verdict(activation.Approved, 500, 25*time.Hour), 0, guardAsk},
		{"declined", 1000, 500, 0, verdict(activation.Declined, 500, 48*time.Hour), 0, guardWithhold},
		{"declined, one per cent more", 1000, 505, 0, verdict(activation.Declined, 500, time.Hour), 0, guardWithhold},
		{"declined, and grown", 1000, 506, 0, verdict(activation.Declined, 500, time.Hour), 0, guardAsk},
		{"declined, and few now", 1000, 100, 0, verdict(activation.Declined, 500, time.Hour), 0, guardPass},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := guardFacts{Holding: c.holding, Planned: c.planned, Removed: c.removed, Verdict: c.verdict, RemovedSince: c.since, Now: now, Percent: 20, MinHolding: 100}
			if got := f.answer(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestGuardIsMonotone: removing more never needs less permission, and without
// anybody's word no more than a fifth of at least a hundred people go in a day.
func TestGuardIsMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := guardFacts{
			Holding: rapid.Int64Range(0, 5000).Draw(t, "holding"), Removed: rapid.Int64Range(0, 2000).Draw(t, "removed"),
			Percent: 20, MinHolding: 100,
		}
		f.Planned = rapid.Int64Range(0, f.Holding).Draw(t, "planned")
		if f.answer() == guardPass && f.Planned > 0 && f.Holding+f.Removed >= 100 && (f.Planned+f.Removed)*5 > f.Holding+f.Removed {
			t.Fatal("passed without being asked")
		}
		if f.answer() == guardAsk && f.Planned < f.Holding {
			f.Planned++
			if f.answer() != guardAsk {
				t.Fatal("asked for fewer and not for more")
			}
		}
	})
}
