// Package bidding says what a bid should be: the formula of a strategy for one object,
// without any I/O.
//
// It owns the window, the step, the bounds and what is too little to matter. It must
// not know where costs come from or where a bid goes. It is built for numbers that
// mean little: few conversions, none, no cost or no value at all change a bid by no
// more than one step, and never beyond its bounds.
package bidding

import (
	"math"
)

const (
	// Days is how many days a bid is calculated from, up to yesterday.
	Days = 14
	// MinConversions is how many conversions those days must have, or nothing changes.
	MinConversions = 10
	// MaxStep is how far one calculation may move a bid, as a share of the old one.
	MaxStep = 0.2
	// MinChange is the share of the old bid below which a change makes no entry.
	MinChange = 0.01
)

// Million is how many millionths are in one unit of a currency.
const Million = 1_000_000

// Goal is what a strategy aims at.
type Goal string

const (
	// CPA is cost per conversion.
	CPA Goal = "cpa"
	// ROAS is value of conversions per cost.
	ROAS Goal = "roas"
	// Given: somebody else calculates the bids.
	Given Goal = "given"
)

// Input is what one bid is calculated from. Amounts are millionths of the currency's
// unit.
type Input struct {
	Goal Goal
	// Target is the wanted cost per conversion in units of the currency, or the wanted
	// value per cost as a ratio.
	Target float64
	// Old is the bid as it is locally, 0 = there is none.
	Old int64
	// Floor and Ceiling bound the new bid; both are above 0.
	Floor, Ceiling int64
	// Unit is the least step of a bid; 0 = a hundredth.
	Unit int64
	// Cost, Conversions and Value are those of the last Days days.
	Cost        int64
	Conversions float64
	Value       float64
}

// What kept a bid from changing, or bounded its change.
const (
	// WhyNoBid: the object has no bid of its own.
	WhyNoBid = "no bid"
	// WhyFew: there were fewer than MinConversions conversions.
	WhyFew = "too few conversions"
	// WhySmall: the change would be less than MinChange.
	WhySmall = "change under 1 %"
	// WhyStep, WhyFloor and WhyCeiling say which bound the formula met.
	WhyStep    = "step of 20 %"
	WhyFloor   = "floor"
	WhyCeiling = "ceiling"
)

// Result is what the formula makes of an input.
type Result struct {
	// New is the bid; it is Old where Changes is false.
	New     int64
	Changes bool
	// Why is "" where the formula alone decided.
	Why string
	// Actual is the cost per conversion or the value per cost that there was; infinite
	// where it is divided by nothing.
	Actual float64
}

// Next calculates one bid: old × target ÷ actual for CPA, old × actual ÷ target for
// ROAS, no more than MaxStep away from the old one, and within its bounds. A bid
// beyond its bounds comes back to them at once, however far that is.
func Next(in Input) Result {
	out := Result{New: in.Old, Actual: actual(in)}
	switch {
	case in.Old <= 0:
		out.Why = WhyNoBid
		return out
	case !(in.Conversions >= MinConversions):
		out.Why = WhyFew
		return out
	}
	unit := in.Unit
	if unit <= 0 {
		unit = Million / 100
	}
	wanted, why := float64(in.Old)*ratio(in, out.Actual), ""
	low, high := in.Old-int64(MaxStep*float64(in.Old)), in.Old+int64(MaxStep*float64(in.Old))
	var bid int64
	switch {
	case wanted < float64(low):
		bid, why = low, WhyStep
	case wanted > float64(high):
		bid, why = high, WhyStep
	default:
		bid = int64(math.Round(wanted))
	}
	bid = toward(bid, in.Old, unit)
	if bid < in.Floor {
		bid, why = in.Floor, WhyFloor
	} else if bid > in.Ceiling {
		bid, why = in.Ceiling, WhyCeiling
	}
	if !Matters(in.Old, bid) {
		if why == "" || why == WhyStep {
			why = WhySmall
		}
		out.Why = why
		return out
	}
	out.New, out.Changes, out.Why = bid, true, why
	return out
}

// Matters reports whether a bid differs from the old one by MinChange or more.
func Matters(old, bid int64) bool {
	return bid != old && math.Abs(float64(bid-old)) >= MinChange*float64(old)
}

// actual is what there was.
func actual(in Input) float64 {
	cost := float64(in.Cost) / Million
	if in.Goal == ROAS {
		return over(in.Value, cost)
	}
	return over(cost, in.Conversions)
}

// ratio is what the old bid is multiplied by.
func ratio(in Input, actual float64) float64 {
	if in.Goal == ROAS {
		return over(actual, in.Target)
	}
	return over(in.Target, actual)
}

// over divides; nothing divided by nothing is 1, and something by nothing infinite.
func over(a, b float64) float64 {
	switch {
	case b != 0 || math.IsNaN(b):
		return a / b
	case a == 0:
		return 1
	}
	return math.Inf(1)
}

// toward rounds a bid to whole units in the direction of the old one, so that
// rounding never makes a step longer.
func toward(bid, old, unit int64) int64 {
	rest := bid % unit
	switch {
	case bid == old || rest == 0:
		return bid
	case bid > old:
		return max(old, bid-rest)
	}
	return min(old, bid-rest+unit)
}
