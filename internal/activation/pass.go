package activation

import "time"

// PassID names a pass.
type PassID string

// Pass is one execution of a job that has no targets: an import, an enrichment
// or an alert. Attempt grows with every takeover, and writes match it.
type Pass struct {
	ID     PassID `json:"id"`
	Job    JobID  `json:"job_id"`
	Number int64  `json:"number"`
	// Status is running, completed, failed or withdrawn (its job was ended).
	Status     RunStatus        `json:"status"`
	Attempt    int              `json:"attempt"`
	Node       string           `json:"node,omitempty"`
	Counts     map[string]int64 `json:"counts,omitempty"`
	ErrorKind  Kind             `json:"error_kind,omitempty"`
	ErrorCode  string           `json:"error_code,omitempty"`
	ErrorText  string           `json:"error,omitempty"`
	ProgressAt time.Time        `json:"progress_at,omitzero"`
	StartedAt  time.Time        `json:"started"`
	EndedAt    time.Time        `json:"ended,omitzero"`
}

// CodeStalled means that a run or a pass made no progress for the stall limit of
// its job.
const CodeStalled = "STALLED"
