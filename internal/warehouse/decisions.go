package warehouse

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Choice is one action a person may be decided for.
type Choice struct {
	Audience activation.AudienceID
	// Eligible is FilterQL.
	Eligible string
}

// DecideRequest is one decision at one level.
type DecideRequest struct {
	// Level are all audiences among which the decision moves people.
	Level []activation.AudienceID
	// Choices in order: the first one a person is eligible for wins.
	Choices []Choice
	// Profiles are whom it is about; nil = everybody.
	Profiles []int64
	// Now is the time that date math means.
	Now time.Time
	// Dry decides and moves nobody.
	Dry bool
	// Stay: who is eligible for no choice stays where they are.
	Stay bool
}

// Decision is what was decided for one person.
type Decision struct {
	Profile int64
	// Audience is that of the action; "" = no action is eligible.
	Audience activation.AudienceID
	// Left are the audiences of the level that the person left by it; Entered
	// reports whether the person was not in Audience before.
	Left    []activation.AudienceID
	Entered bool
}

// Decided sums a decision up.
type Decided struct {
	Considered int64 `json:"considered"`
	// Chosen is how many people each audience was chosen for; Nothing how many
	// were eligible for none.
	Chosen  map[activation.AudienceID]int64 `json:"chosen"`
	Nothing int64                           `json:"nothing"`
	Entered int64                           `json:"entered"`
	Left    int64                           `json:"left"`
}

// Waiting is what has changed in some audiences since a change number.
type Waiting struct {
	Enters, Exits, Keys int64
}

// Given are audiences whose members are put in one by one.
type Given interface {
	// Decide decides for people and moves them among the audiences of the level,
	// in one transaction: added to the new one, removed from the others. fn, where
	// given, is told of each person, in the order of Profiles, and is for few.
	Decide(ctx context.Context, r DecideRequest, fn func(Decision)) (Decided, error)
	// Accept puts the people of rows that a network accepted into an audience;
	// those in it stay. Told again it changes nothing.
	Accept(ctx context.Context, audience activation.AudienceID, items []FoldItem) (entered int64, err error)
	// Waits counts the changes of audiences above a change number.
	Waits(ctx context.Context, audiences []activation.AudienceID, above int64) (Waiting, error)
	// KeySeq returns the number of the highest change of a member's identifiers,
	// per audience.
	KeySeq(ctx context.Context) (map[activation.AudienceID]int64, error)
}

// Patience is what events wait with (EventRequest.Wait).
type Patience interface {
	// ReadyEvents lists the targets that events wait at whose person has changed
	// since, or is known now.
	ReadyEvents(ctx context.Context) ([]activation.TargetID, error)
}

// Replaces are the ends of a run that replaces all members.
type Replaces interface {
	// Replaced drops the ledger rows of everybody whom the run did not stage; the
	// network has dropped them. It returns how many people left by it.
	Replaced(ctx context.Context, run activation.RunID, t activation.TargetID, generation int) (left int64, err error)
	// Doubt makes every row that is in a maybe: nobody knows what became of them.
	Doubt(ctx context.Context, t activation.TargetID, generation int) error
}
