package activation

import "time"

// DraftID names a draft.
type DraftID string

// Draft is a job half made in the console: what its maker has answered so far,
// by the name of the form's field. It holds no secret.
type Draft struct {
	ID        DraftID
	Person    string
	Answers   map[string][]string
	UpdatedAt time.Time
}
