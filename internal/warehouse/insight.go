package warehouse

import (
	"context"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
)

// Breakdown is how the values of one field spread over some people.
type Breakdown struct {
	Field string `json:"field"`
	// People are all of them; Present those who have a value.
	People  int64 `json:"people"`
	Present int64 `json:"present"`
	// Values are the most frequent ones, or ranges of numbers and times, with how
	// many have them. Values of personal fields and of identifiers are not told.
	Values []BreakdownValue `json:"values"`
	// Others is how many have a value that is not listed; Distinct about how many
	// different values there are.
	Others   int64 `json:"others"`
	Distinct int64 `json:"distinct"`
}

// BreakdownValue is one value, or the range from Value to Until (not included);
// the last range has no Until where a few values lie far above it.
type BreakdownValue struct {
	Value string `json:"value"`
	Until string `json:"until,omitempty"`
	Count int64  `json:"count"`
}

// MaxOverlap is how many audiences Overlaps compares at most.
const MaxOverlap = 12

// Overlap is how many people two audiences share.
type Overlap struct {
	A    activation.AudienceID `json:"a"`
	B    activation.AudienceID `json:"b"`
	Both int64                 `json:"both"`
}

// KeyReach is how many people have match keys of one key set.
type KeyReach struct {
	People int64 `json:"people"`
	// Sampled is how many of them were looked at where that is not all; the counts
	// are scaled up then. 0 = all.
	Sampled int64 `json:"sampled,omitempty"`
	// Usable have at least one key that identifies.
	Usable int64 `json:"usable"`
	// Keys counts who has each key.
	Keys []KeyCount `json:"keys"`
}

// KeyCount is how many people have one key.
type KeyCount struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Insights counts people for whoever makes audiences. Nothing is written.
type Insights interface {
	// Breakdown spreads the people a rule selects over the values of a field.
	Breakdown(ctx context.Context, rule, field string, now time.Time, limit int) (Breakdown, error)
	// Overlaps counts what each two of these audiences share, and each one alone
	// (A = B), in the order given. It compares at most MaxOverlap.
	Overlaps(ctx context.Context, audiences []activation.AudienceID) ([]Overlap, error)
	// Reach counts which keys of a set the members of an audience have.
	Reach(ctx context.Context, audience activation.AudienceID, keys matchkey.Set) (KeyReach, error)
	// Sizes returns the present size of every audience.
	Sizes(ctx context.Context) (map[activation.AudienceID]int64, error)
}
