package warehouse

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Person is what the data plane knows of one person at one target, without any
// value of theirs.
type Person struct {
	Profile int64
	// Messages are the streams that told of the person.
	Messages []PersonStream
	// Member says whether the person is in the audience now, and Changed since
	// when; zero where there is no record of it.
	Member  bool
	Changed time.Time
	// Why the person is not wanted although a member.
	HeldOut     bool
	Begun       bool // a member when the job began, and never left since
	ExcludedBy  []activation.AudienceID
	OutrankedBy []activation.AudienceID
	// Keys are the match keys of the target's set; Usable is false where none
	// that identifies is there.
	Keys   []PersonKey
	Usable bool
	// Ledger are the rows of the target's present generation.
	Ledger []PersonLedger
	// Staged are the person's places in the runs asked for.
	Staged []PersonStaged
}

// PersonStream is what a stream told of a person.
type PersonStream struct {
	Stream       string
	Messages     int64
	LastTime     time.Time
	LastReceived time.Time
}

// PersonKey is one match key of a person.
type PersonKey struct {
	Name    string
	Field   string // the profile field it is made of
	Present bool
	// HasValue: the field has a value. Not Present then means that the network's
	// rules took it for none (an invalid e-mail, a phone without a country).
	HasValue   bool
	Identifies bool
}

// PersonLedger is a row of the ledger.
type PersonLedger struct {
	State       string // in, maybe, refused, shared
	Code        string
	Current     bool // sent with the keys the person has now
	DeliveredAt time.Time
}

// PersonStaged is a person's place in a run.
type PersonStaged struct {
	Run     activation.RunID
	Ordinal int64
	Op      activation.Op
	Phase   int
}

// Explains tells what is known of one person.
type Explains interface {
	// Explain looks one person up as a plan of this request would see them, and
	// in the staged rows of some runs. Nothing is written.
	Explain(ctx context.Context, r PlanRequest, profile int64, runs []activation.RunID) (Person, error)
}
