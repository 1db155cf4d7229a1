package activation

import "fmt"

// Counts are the numbers of one export run. The laws below must hold before a
// run may complete; they are shown on every run.
type Counts struct {
	// Of the people: selected = held out + excluded + capped + eligible.
	Selected int64 `json:"selected"`
	HeldOut  int64 `json:"held_out"`
	Excluded int64 `json:"excluded"`
	Capped   int64 `json:"capped"`
	// Outranked is how many of the excluded go to another audience of a priority
	// list.
	Outranked int64 `json:"outranked"`
	Eligible  int64 `json:"eligible"`
	// Of the eligible: eligible = unchanged + add + update + omitted + deferred.
	Unchanged int64 `json:"unchanged"`
	Add       int64 `json:"add"`
	Update    int64 `json:"update"`
	Omitted   int64 `json:"omitted"`
	Deferred  int64 `json:"deferred"`
	// Left is how many events wait that the run did not look at; they are none of
	// those selected.
	Left int64 `json:"left"`
	// Remove is how many people leave (plain removals, key moves not counted).
	Remove int64 `json:"remove"`
	// Of the staged rows: staged = sent + unsent + withdrawn + withheld + superseded.
	Staged     int64 `json:"staged"`
	Sent       int64 `json:"sent"`
	Unsent     int64 `json:"unsent"`
	Withdrawn  int64 `json:"withdrawn"`
	Withheld   int64 `json:"withheld"`
	Superseded int64 `json:"superseded"`
	// Of the sent: sent = accepted + rejected + unknown + awaiting.
	Accepted int64 `json:"accepted"`
	Rejected int64 `json:"rejected"`
	Unknown  int64 `json:"unknown"`
	Awaiting int64 `json:"awaiting"`
	// Unplaced: accepted rows of which the network called this many invalid
	// without naming them.
	Unplaced int64 `json:"unplaced"`
	// Resent is how many rows were sent again because their outcome was unknown
	// and the network declares that harmless.
	Resent int64 `json:"resent"`
	// Of the ledger, over the rows of this run:
	// InAfter = InBefore + BecameIn - LeftIn.
	InBefore int64 `json:"in_before"`
	BecameIn int64 `json:"became_in"`
	LeftIn   int64 `json:"left_in"`
	InAfter  int64 `json:"in_after"`
	// Added and Removed are what the network accepted of each operation.
	Added   int64 `json:"added"`
	Removed int64 `json:"removed"`
}

// Law is one equation of the counts with both of its sides.
type Law struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Left  int64  `json:"left"`
	Right int64  `json:"right"`
}

// Holds reports whether both sides are equal.
func (l Law) Holds() bool { return l.Left == l.Right }

// Laws returns the count laws with the present numbers.
func (c Counts) Laws() []Law {
	return []Law{
		{"selected", "selected = held out + excluded + capped + eligible", c.Selected, c.HeldOut + c.Excluded + c.Capped + c.Eligible},
		{"eligible", "eligible = unchanged + add + update + omitted + deferred", c.Eligible, c.Unchanged + c.Add + c.Update + c.Omitted + c.Deferred},
		{"staged", "staged = sent + unsent + withdrawn + withheld + superseded", c.Staged, c.Sent + c.Unsent + c.Withdrawn + c.Withheld + c.Superseded},
		{"sent", "sent = accepted + rejected + unknown + awaiting", c.Sent, c.Accepted + c.Rejected + c.Unknown + c.Awaiting},
		{"ledger", "in after = in before + became in - left in", c.InAfter, c.InBefore + c.BecameIn - c.LeftIn},
	}
}

// CheckLaws returns an Internal error with code COUNTS naming the first law
// that does not hold, or nil.
func (c Counts) CheckLaws() error {
	for _, l := range c.Laws() {
		if !l.Holds() {
			return &Error{Kind: Internal, Code: "COUNTS", Message: fmt.Sprintf("the counts do not add up: %s (%d is not %d)", l.Text, l.Left, l.Right)}
		}
	}
	return nil
}
