package activation

import "time"

// Template is a stored payload template, in Jsonnet.
type Template struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Text        string    `json:"text"`
	CreatedBy   string    `json:"created_by"`
	CreatedAt   time.Time `json:"created"`
	UpdatedAt   time.Time `json:"updated"`
}
