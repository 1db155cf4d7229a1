package activation

import "time"

// RunFilter narrows a list of runs; empty fields match all.
type RunFilter struct {
	Statuses    []RunStatus
	SyncType    SyncType
	Provider    string
	Destination DestinationID
	Job         JobID
	Audience    AudienceID
	Target      TargetID
	TriggeredBy string
	Since       time.Time // started at or after
	Until       time.Time // started before
	// Before is the run number the page begins below; 0 = the newest.
	Before int64
	// Limit is the most runs returned; 0 = 50.
	Limit int
}

// TargetFilter narrows a list of targets; empty fields match all.
type TargetFilter struct {
	Job         JobID
	Destination DestinationID
	Audience    AudienceID
}

// JobFilter narrows a list of jobs. By default completed and killed ones are
// left out.
type JobFilter struct {
	States   []JobState
	Workflow string
	// All shows completed and killed ones too.
	All bool
}
