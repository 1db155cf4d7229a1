package activation

import "time"

// ForgetID names a forget.
type ForgetID string

// ForgetStatus is where a forget stands.
type ForgetStatus string

const (
	// ForgetPending: some of it is still to be done; Stage says what.
	ForgetPending ForgetStatus = "pending"
	// ForgetComplete: no table, file or log holds the person, and every network
	// that held them accepted a remove or is named in the receipt.
	ForgetComplete ForgetStatus = "complete"
)

// ForgetStage is the next thing to do in a forget.
type ForgetStage string

const (
	// ForgetErase: profile and messages are to be deleted.
	ForgetErase ForgetStage = "erase"
	// ForgetRemove: networks are to be told.
	ForgetRemove ForgetStage = "remove"
	// ForgetCompact: files are to be rewritten without what was deleted.
	ForgetCompact ForgetStage = "compact"
	ForgetDone    ForgetStage = "done"
)

// Forget is the erasure of one person, and once it is complete its receipt. It
// holds nothing of the person but the name of the field they were asked by.
type Forget struct {
	ID      ForgetID     `json:"id"`
	Status  ForgetStatus `json:"status"`
	Stage   ForgetStage  `json:"stage"`
	AskedBy string       `json:"asked_by"`
	// Field is the identifier field that the request named.
	Field string `json:"field"`
	// Counts are what was erased: profiles, messages, identifiers, memberships,
	// staged_rows, waiting_loads. All 0 where nobody had the identifier; it is
	// kept from coming back all the same.
	Counts    map[string]int64 `json:"counts"`
	Targets   []ForgetTarget   `json:"targets"`
	ErrorCode string           `json:"error_code,omitempty"`
	ErrorText string           `json:"error,omitempty"`

	RequestedAt time.Time `json:"requested"`
	ErasedAt    time.Time `json:"erased,omitzero"`
	RemovedAt   time.Time `json:"removed,omitzero"`
	CompletedAt time.Time `json:"completed,omitzero"`
}

// ForgetTargetStatus is what became of the person at one target.
type ForgetTargetStatus string

const (
	// ForgetAtPending: the network has not accepted the remove yet.
	ForgetAtPending ForgetTargetStatus = "pending"
	// ForgetAtRemoved: it has.
	ForgetAtRemoved ForgetTargetStatus = "removed"
	// ForgetAtRefused: it refused for good; Code says why.
	ForgetAtRefused ForgetTargetStatus = "refused"
	// ForgetAtGone: the remote audience is not there any more.
	ForgetAtGone ForgetTargetStatus = "gone"
	// ForgetAtReleased: Usher gave the remote audience up and does not reach it.
	ForgetAtReleased ForgetTargetStatus = "released"
)

// ForgetTarget is what became of a forget at one target.
type ForgetTarget struct {
	Target        TargetID           `json:"target_id"`
	DestinationID DestinationID      `json:"destination_id"`
	Destination   string             `json:"destination"` // name, as it was
	Audience      string             `json:"segment"`     // name, as it was
	Status        ForgetTargetStatus `json:"status"`
	// Run is the number of the run that removed or removes the person, 0 = none.
	Run      int64     `json:"run,omitempty"`
	Code     string    `json:"code,omitempty"`
	ClosedAt time.Time `json:"closed,omitzero"`
}
