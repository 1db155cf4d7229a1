package client

import (
	"time"

	"usher/internal/activation"
)

// Metric is one series of counts.
type Metric struct {
	// Job is "" for all jobs together.
	Job  activation.JobID `json:"job_id,omitempty"`
	Name string           `json:"name"`
	// From is where the first bucket begins; WidthSeconds is how long each is.
	From         time.Time                `json:"from"`
	Until        time.Time                `json:"until"`
	WidthSeconds int64                    `json:"width_seconds"`
	Total        int64                    `json:"total"`
	Points       []activation.MetricPoint `json:"points"`
}
