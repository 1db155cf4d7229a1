package activation

import "fmt"

// Codes of runs that ended for a reason of ours; such a run offers no Retry.
const (
	// CodeRemoteGone: the remote audience is gone or another one; the next
	// generation starts anew.
	CodeRemoteGone = "REMOTE-GONE"
	// CodeCounts: the count laws did not hold.
	CodeCounts = "COUNTS"
	// CodeJobEnded: the run was ended because its job was.
	CodeJobEnded = "JOB-ENDED"
	// CodeNotAttempted: the item was not sent because its run failed before.
	CodeNotAttempted = "NOT-ATTEMPTED"
	// CodeReplaceCut: a full replace was cut in the middle.
	CodeReplaceCut = "REPLACE-CUT"
	// CodeTakenOver: the item was under way when its node lost the run.
	CodeTakenOver = "TAKEN-OVER"
)

// RetryFacts is what the Retry rule looks at.
type RetryFacts struct {
	Run Run
	// Job is the state of the run's job; JobGone is true when it was deleted.
	Job     JobState
	JobGone bool
	// OpenRun is the number of the target's open run, 0 = none.
	OpenRun int64
	// Later is the number of a later run of the target that was staged and does
	// what this one was to do, 0 = none. Moved is that of one which does not: it
	// moved the keys of those who are held.
	Later, Moved int64
	// Generation is the target's present one.
	Generation int
	// Auth is the health of the destination's present authorization.
	Auth AuthStatus
	// Left is how many items failed or are unknown.
	Left int64
}

// RetryRule reports whether a failed run may be retried, and when not, why:
// one sentence for the console and the API.
func RetryRule(f RetryFacts) (ok bool, reason string) {
	r := f.Run
	switch {
	case r.Status != RunFailed:
		return false, fmt.Sprintf("the run is %s; only a failed run can be retried", r.Status)
	case f.JobGone || f.Job == JobKilled:
		return false, "the job was ended"
	case f.Job == JobCompleted:
		return false, "the job is completed"
	case f.Job == JobPaused:
		return false, "the job is paused; resume it first"
	case r.ErrorCode == CodeRemoteGone || r.Generation != f.Generation:
		return false, "the remote audience is no longer the same; the next run fills the new one"
	case r.ErrorCode == CodeCounts || r.ErrorCode == CodeJobEnded:
		return false, "the run did not fail at the destination; the next run plans afresh"
	case r.ErrorCode == CodeReplaceCut:
		return false, "a full replace was cut in the middle; the next run brings the audience in step"
	case r.Stage != StageRemote && r.Stage != StageMembers:
		return false, "the run did not fail at the destination; the next run plans afresh"
	case f.OpenRun != 0:
		return false, fmt.Sprintf("run #%d is open for this audience at this destination", f.OpenRun)
	case f.Later != 0 && !r.SyncType.OnlyAdds():
		return false, fmt.Sprintf("run #%d carries these", f.Later)
	case f.Moved != 0 && !r.SyncType.OnlyAdds():
		return false, fmt.Sprintf("run #%d has moved identifiers since then; the next run plans afresh", f.Moved)
	case r.ErrorKind == Unauthorized && f.Auth != AuthHealthy:
		return false, "the authorization is not healthy yet"
	case f.Left == 0:
		return false, "nothing of the run failed"
	}
	return true, ""
}

// OnlyAdds reports whether runs of this type carry what no later run carries
// again and never remove anybody, so that an older one can be retried after a
// newer one.
func (s SyncType) OnlyAdds() bool {
	return s == SyncOfflineConversion || s == SyncConversionAudience || s == SyncEvents
}
