package activation

import "time"

// RebuildID names a rebuild.
type RebuildID string

// RebuildStatus is where a rebuild stands.
type RebuildStatus string

const (
	RebuildRunning   RebuildStatus = "running"
	RebuildCompleted RebuildStatus = "completed"
	RebuildCancelled RebuildStatus = "cancelled"
	RebuildFailed    RebuildStatus = "failed"
)

// Rebuild is one replay of every raw message into fresh profiles. At most one is
// running; one that a crash interrupted begins again by itself.
type Rebuild struct {
	ID     RebuildID     `json:"id"`
	Number int64         `json:"number"`
	Status RebuildStatus `json:"status"`
	// Reason is the asker's own words, "" for none.
	Reason string `json:"reason,omitempty"`
	// AskedBy is a person, or "system" where identity settings or a forget ask.
	AskedBy string `json:"asked_by"`
	// Attempt grows with each start of the server that takes it up again.
	Attempt     int    `json:"attempt"`
	CancelledBy string `json:"cancelled_by,omitempty"`
	// Done of Total messages are replayed.
	Done  int64 `json:"messages_done"`
	Total int64 `json:"messages_total"`
	// Counts are what it changed: profiles, changed_profiles, new_profiles,
	// gone_profiles, moved_messages.
	Counts    map[string]int64 `json:"counts,omitempty"`
	ErrorCode string           `json:"error_code,omitempty"`
	ErrorText string           `json:"error,omitempty"`
	StartedAt time.Time        `json:"started"`
	EndedAt   time.Time        `json:"ended,omitzero"`
	// Left is the time until it is done, from its pace so far; zero where it is
	// over or has no pace yet.
	Left time.Duration `json:"-"`
}
