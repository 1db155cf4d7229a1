package activation

import "time"

// The answers a person can give to a run that the removal guard holds.
const (
	Approved = "approved"
	Declined = "declined"
)

// GuardVerdict is the last answer given to the removal guard for a target, and
// how many plain removals it was given for. The zero value is no answer.
type GuardVerdict struct {
	// Answer is Approved, Declined or "".
	Answer string
	// Removes is how many plain removals the answered run had.
	Removes int64
	// At is when it was given.
	At time.Time
}

// Covers reports whether the answer still speaks for a run with this many plain
// removals: up to one per cent more than it was given for.
func (v GuardVerdict) Covers(removes int64) bool {
	return v.Answer != "" && removes*100 <= v.Removes*101
}
