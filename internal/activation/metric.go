package activation

import "time"

// MetricPoint is what was counted in one bucket.
type MetricPoint struct {
	At    time.Time `json:"ts"`
	Value int64     `json:"value"`
}

// Names of what jobs count.
const (
	MetricAdded       = "added"
	MetricRemoved     = "removed"
	MetricOmitted     = "omitted"
	MetricSent        = "sent"
	MetricRejected    = "rejected"
	MetricRows        = "rows"
	MetricNewProfiles = "new_profiles"
	MetricDeleted     = "deleted"
	MetricReplies     = "replies"
	MetricNoReply     = "no_reply"
	MetricFailed      = "failed"
)

// MetricNames lists what jobs of a type count, in the order charts show it;
// for "" what jobs of any type do.
func MetricNames(jobType string) []string {
	switch jobType {
	case "export":
		return []string{MetricAdded, MetricRemoved, MetricOmitted, MetricSent, MetricRejected}
	case "import":
		return []string{MetricRows, MetricNewProfiles, MetricDeleted, MetricRejected}
	case "enrichment":
		return []string{MetricReplies, MetricNoReply}
	case "alert":
		return []string{MetricSent, MetricFailed}
	case "":
		return []string{MetricAdded, MetricRemoved, MetricOmitted, MetricSent, MetricRejected, MetricRows, MetricNewProfiles, MetricDeleted, MetricReplies, MetricNoReply, MetricFailed}
	}
	return nil
}

// RunMetrics is what of the counts of an export run goes into the metrics.
func RunMetrics(c Counts) map[string]int64 {
	return map[string]int64{MetricAdded: c.Added, MetricRemoved: c.Removed, MetricOmitted: c.Omitted, MetricSent: c.Sent, MetricRejected: c.Rejected}
}
