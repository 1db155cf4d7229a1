package bidding_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/publishing/bidding"
)

// m makes millionths of an amount.
func m(amount float64) int64 { return int64(math.Round(amount * bidding.Million)) }

func TestNext(t *testing.T) {
	const wide = 1000.0
	for _, tc := range []struct {
		what    string
		in      bidding.Input
		want    float64
		changes bool
		why     string
	}{
		{"cost per conversion as wanted", bidding.Input{Goal: bidding.CPA, Target: 10, Old: m(1), Cost: m(200), Conversions: 20}, 1, false, bidding.WhySmall},
		{"conversions cheaper than wanted: more", bidding.Input{Goal: bidding.CPA, Target: 11, Old: m(1), Cost: m(200), Conversions: 20}, 1.1, true, ""},
		{"dearer than wanted: less", bidding.Input{Goal: bidding.CPA, Target: 9, Old: m(1), Cost: m(200), Conversions: 20}, 0.9, true, ""},
		{"twice as dear: one step down", bidding.Input{Goal: bidding.CPA, Target: 5, Old: m(1), Cost: m(200), Conversions: 20}, 0.8, true, bidding.WhyStep},
		{"half as dear: one step up", bidding.Input{Goal: bidding.CPA, Target: 20, Old: m(1), Cost: m(200), Conversions: 20}, 1.2, true, bidding.WhyStep},
		{"exactly one step is the formula's", bidding.Input{Goal: bidding.CPA, Target: 12, Old: m(1), Cost: m(200), Conversions: 20}, 1.2, true, ""},
		{"ten conversions are enough", bidding.Input{Goal: bidding.CPA, Target: 22, Old: m(1), Cost: m(200), Conversions: 10}, 1.1, true, ""},
		{"nine and a bit are not", bidding.Input{Goal: bidding.CPA, Target: 22, Old: m(1), Cost: m(200), Conversions: 9.99}, 1, false, bidding.WhyFew},
		{"few conversions leave a bid beyond its bounds alone", bidding.Input{Goal: bidding.CPA, Target: 22, Old: m(1), Cost: m(200), Conversions: 1, Ceiling: m(0.5)}, 1, false, bidding.WhyFew},
		{"no bid of its own", bidding.Input{Goal: bidding.CPA, Target: 22, Cost: m(200), Conversions: 20}, 0, false, bidding.WhyNoBid},
		{"not quite one per cent", bidding.Input{Goal: bidding.CPA, Target: 10.09, Old: m(10), Cost: m(200), Conversions: 20}, 10, false, bidding.WhySmall},
		{"one per cent", bidding.Input{Goal: bidding.CPA, Target: 10.1, Old: m(10), Cost: m(200), Conversions: 20}, 10.1, true, ""},
		{"the floor", bidding.Input{Goal: bidding.CPA, Target: 8.5, Old: m(1), Cost: m(200), Conversions: 20, Floor: m(0.9)}, 0.9, true, bidding.WhyFloor},
		{"the ceiling", bidding.Input{Goal: bidding.CPA, Target: 12, Old: m(1), Cost: m(200), Conversions: 20, Ceiling: m(1.1)}, 1.1, true, bidding.WhyCeiling},
		{"at the ceiling it stays", bidding.Input{Goal: bidding.CPA, Target: 12, Old: m(1.1), Cost: m(200), Conversions: 20, Ceiling: m(1.1)}, 1.1, false, bidding.WhyCeiling},
		{"far above the ceiling it comes back at once", bidding.Input{Goal: bidding.CPA, Target: 12, Old: m(5), Cost: m(200), Conversions: 20, Ceiling: m(2)}, 2, true, bidding.WhyCeiling},
		{"value per cost as wanted", bidding.Input{Goal: bidding.ROAS, Target: 4, Old: m(1), Cost: m(100), Value: 400, Conversions: 20}, 1, false, bidding.WhySmall},
		{"more value: more", bidding.Input{Goal: bidding.ROAS, Target: 4, Old: m(1), Cost: m(100), Value: 460, Conversions: 20}, 1.15, true, ""},
		{"less value: less", bidding.Input{Goal: bidding.ROAS, Target: 4, Old: m(1), Cost: m(100), Value: 340, Conversions: 20}, 0.85, true, ""},
		{"no value at all: one step down", bidding.Input{Goal: bidding.ROAS, Target: 4, Old: m(1), Cost: m(100), Conversions: 20}, 0.8, true, bidding.WhyStep},
		{"value without cost: one step up", bidding.Input{Goal: bidding.ROAS, Target: 4, Old: m(1), Value: 5, Conversions: 20}, 1.2, true, bidding.WhyStep},
		{"conversions without cost: one step up", bidding.Input{Goal: bidding.CPA, Target: 4, Old: m(1), Conversions: 20}, 1.2, true, bidding.WhyStep},
		{"rounding is toward the old bid, up", bidding.Input{Goal: bidding.CPA, Target: 12, Old: m(0.11), Cost: m(200), Conversions: 20}, 0.13, true, ""},
		{"rounding is toward the old bid, down", bidding.Input{Goal: bidding.CPA, Target: 8, Old: m(0.11), Cost: m(200), Conversions: 20}, 0.09, true, ""},
		{"a bid too small to step", bidding.Input{Goal: bidding.CPA, Target: 12, Old: m(0.04), Cost: m(200), Conversions: 20}, 0.04, false, bidding.WhySmall},
		{"a currency without cents", bidding.Input{Goal: bidding.CPA, Target: 11.5, Old: m(55), Cost: m(200), Conversions: 20, Unit: m(1)}, 63, true, ""},
	} {
		if tc.in.Ceiling == 0 {
			tc.in.Ceiling = m(wide)
		}
		if tc.in.Floor == 0 {
			tc.in.Floor = m(0.01)
		}
		got := bidding.Next(tc.in)
		if got.New != m(tc.want) || got.Changes != tc.changes || got.Why != tc.why {
			t.Errorf("%s: %+v, want %v, %t, %q", tc.what, got, tc.want, tc.changes, tc.why)
		}
	}
}

// TestNextKeepsItsBounds: whatever the numbers are, a bid that changes is within its
// bounds, and no more than one step away unless a bound wants it to be.
func TestNextKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(1, 1_000*bidding.Million)
		floor := amount.Draw(t, "floor")
		in := bidding.Input{
			Goal:   rapid.SampledFrom([]bidding.Goal{bidding.CPA, bidding.ROAS}).Draw(t, "goal"),
			Target: rapid.Float64Range(0.01, 1e6).Draw(t, "target"),
			Old:    rapid.Int64Range(0, 1_000*bidding.Million).Draw(t, "old"),
			Floor:  floor, Ceiling: floor + amount.Draw(t, "above"),
			Unit: rapid.SampledFrom([]int64{0, 1, 1000, 10_000, bidding.Million}).Draw(t, "unit"),
			Cost: rapid.Int64Range(0, 1_000_000*bidding.Million).Draw(t, "cost"), Conversions: rapid.Float64Range(0, 1e5).Draw(t, "conversions"),
			Value: rapid.Float64Range(0, 1e7).Draw(t, "value"),
		}
		got := bidding.Next(in)
		if !got.Changes {
			if got.New != in.Old || got.Why == "" {
				t.Fatalf("nothing changes: %+v", got)
			}
			return
		}
		moved := math.Abs(float64(got.New - in.Old))
		switch {
		case in.Conversions < bidding.MinConversions || in.Old == 0:
			t.Fatalf("changed without a reason: %+v", got)
		case got.New < in.Floor || got.New > in.Ceiling:
			t.Fatalf("beyond its bounds: %+v", got)
		case moved < bidding.MinChange*float64(in.Old):
			t.Fatalf("too little: %+v", got)
		case moved > bidding.MaxStep*float64(in.Old) && in.Old >= in.Floor && in.Old <= in.Ceiling:
			t.Fatalf("more than one step: %+v", got)
		}
		// The direction is that of the formula, unless a bound turned it.
		up := got.Actual < in.Target
		if in.Goal == bidding.ROAS {
			up = !up
		}
		if got.Why == "" && (got.New > in.Old) != up {
			t.Fatalf("the wrong way: %+v", got)
		}
	})
}

// TestNextReachesItsGoal: night after night, and stays there.
func TestNextReachesItsGoal(t *testing.T) {
	// Twice the bid is twice the cost per conversion: the bid that meets a target of
	// 10 is 2, and the steps lead there from both sides.
	for _, start := range []float64{0.2, 2, 40} {
		bid := m(start)
		for range 40 {
			cpa := 5 * float64(bid) / bidding.Million
			bid = bidding.Next(bidding.Input{Goal: bidding.CPA, Target: 10, Old: bid, Floor: m(0.05), Ceiling: m(100), Cost: m(cpa * 30), Conversions: 30}).New
		}
		if math.Abs(float64(bid-m(2))) > bidding.MinChange*float64(m(2)) {
			t.Errorf("from %v it comes to %v", start, float64(bid)/bidding.Million)
		}
	}
}
