package store

import (
	"time"

	"usher/internal/activation"
)

// next returns the next scheduled time of a job after now; zero = none.
func next(j activation.Job, now time.Time) time.Time {
	if j.RealTime() || j.Once() {
		return time.Time{}
	}
	every := map[string]time.Duration{"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour}[j.Frequency]
	if d, err := time.ParseDuration(j.Frequency); err == nil {
		every = d
	}
	if every <= 0 {
		return time.Time{}
	}
	return now.Add(every)
}
