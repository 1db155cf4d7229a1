package activation

import (
	"crypto/rand"
	"encoding/hex"
)

// The ids of Usher are 32 lower-case hexadecimal characters, random, and say
// nothing about the thing they name. Each noun has its own type so that the
// compiler refuses a run where a target is wanted.
type (
	// JobID names a standing instruction.
	JobID string
	// AuthorizationID names stored credentials.
	AuthorizationID string
	// DestinationID names an account at a provider that audiences go to.
	DestinationID string
	// AudienceID names a saved rule.
	AudienceID string
	// TargetID names one audience kept at one destination.
	TargetID string
	// RunID names one execution of a job for one target.
	RunID string
	// ItemID names one queue item of a run.
	ItemID string
	// PriorityListID names an order of audiences at a destination.
	PriorityListID string
	// ReconciliationID names one comparison of a ledger with its network.
	ReconciliationID string
	// IssueID names the top of the next-best-action hierarchy.
	IssueID string
	// GroupID names a part of an issue.
	GroupID string
	// ActionID names what a customer may be decided for.
	ActionID string
)

// NewID returns a fresh random id of any of the id types.
func NewID[T ~string]() T {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand panics inside instead
	return T(hex.EncodeToString(b[:]))
}

// ValidID reports whether s has the shape of an id.
func ValidID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
