package store

import (
	"time"

	"usher/internal/activation"
)

// outcome records on target and job how a run ended: a success forgets the
// errors, an error makes the target sleep or fail, Unauthorized parks every
// target of the authorization. A run that did not end by itself (withdrawn, or
// its job is over or another one's) has no outcome. An error counts when the
// run stops for it, also if it still awaits answers then, and never again when
// they are there: it may be mended by that time.
func (t *tx) outcome(r, stored activation.Run, until time.Time) error {
	kind := r.ErrorKind
	switch {
	case stored.Status == activation.RunAwaiting && stored.ErrorKind != "":
		return nil
	case r.Release != "":
		return t.releaseOutcome(r, until)
	case r.Status == activation.RunAwaiting && kind != "":
	case r.Status == activation.RunCompleted:
		kind = ""
	case r.Status != activation.RunFailed || r.ErrorCode == activation.CodeJobEnded:
		return nil
	case kind == "":
		kind = activation.Internal
	}
	target, err := t.target(r.Target)
	if err != nil || r.Job == "" || target.Job != r.Job {
		return err
	}
	job, err := t.job(r.Job)
	if err != nil || job.State == activation.JobKilled {
		return err
	}
	rhythm := rhythmOf(job)
	rhythm.Next = target.NextAt
	if r.Mode == activation.ModeForget {
		if _, goes, err := t.goesOn(target); err != nil || !goes {
			return err
		}
	}
	if part(r.Mode) {
		rhythm.Once = false // it is not the one run of a job
	}
	if r.Counts.Left > 0 {
		rhythm.Once, rhythm.Next = false, time.Time{} // more events wait
	}
	if c := r.Counts; kind == "" && r.Audience != "" && r.SyncType != activation.SyncEvents &&
		(c.Unsent > 0 || c.Superseded > 0 && c.Rejected == 0 || c.Withdrawn > 0 && (c.Rejected == 0 || c.Removed > 0)) {
		rhythm.Once = false // the run that is due now sends them: a job that runs once is not over
	}
	if rhythm, err = t.capped(r, job, rhythm); err != nil {
		return err
	}
	if target.DueNow && !rhythm.Next.IsZero() { // asked meanwhile, or the run left something to be done at once
		rhythm.Next = earlier(rhythm.Next, target.DueAt)
	}
	rest := activation.NextSleep(restOf(target), activation.RunEnd{Kind: kind, Until: until, At: t.now}, rhythm)
	if err := t.setRest(target, rest); err != nil {
		return err
	}
	if kind != "" && rest.State != activation.TargetFailed {
		if err := t.dueAfter(r, rest); err != nil { // waking starts a new run
			return err
		}
	}
	if kind == activation.Unauthorized {
		if err := t.park(r.Destination, "the provider refused the credentials"); err != nil {
			return err
		}
	}
	if err := t.logOutcome(r, kind, rest); err != nil {
		return err
	}
	if err := t.settleJob(r.Job); err != nil {
		return err
	}
	return t.runEvents(job, r, kind, rest)
}

func (t *tx) logOutcome(r activation.Run, kind activation.Kind, after activation.Rest) error {
	e := activation.LogEntry{
		Job: r.Job, Event: activation.LogSynced, Level: "info", Message: "synced",
		Context: activation.LogContext{Run: r.Number, Added: r.Counts.Added, Removed: r.Counts.Removed, Omitted: r.Counts.Omitted},
	}
	switch {
	case kind == "":
	case after.State == activation.TargetFailed:
		e.Event, e.Level, e.Code, e.Message = activation.LogError, "error", r.ErrorCode, "one of its targets gave up: "+r.ErrorText // failed is when none goes on
	case after.Reason == activation.SleepProviderLimit:
		e.Event, e.Code, e.Message = activation.LogSleeping, r.ErrorCode, "the provider asked to wait until "+after.Until.Format(time.RFC3339)
	default:
		e.Event, e.Level, e.Code, e.Message = activation.LogError, "warn", r.ErrorCode, r.ErrorText
	}
	return t.log(e)
}

func restOf(t activation.Target) activation.Rest {
	return activation.Rest{State: t.State, Reason: t.SleepReason, Until: t.SleepUntil, ConsecutiveErrors: t.ConsecutiveErrors, FailingSince: t.FailingSince}
}

func rhythmOf(j activation.Job) activation.Rhythm {
	return activation.Rhythm{FailAfter: j.FailAfter, Once: j.Once()}
}

// park makes the authorization of a destination unhealthy and puts all targets
// on it to sleep until it is mended. It counts towards fail_after.
func (t *tx) park(destination activation.DestinationID, reason string) error {
	var auth activation.AuthorizationID
	if err := t.row(`SELECT authorization_id FROM destinations WHERE id = $1`, destination).Scan(word[activation.AuthorizationID]{&auth}); err != nil || auth == "" {
		return err
	}
	return t.parkAuthorization(auth, reason)
}

func (t *tx) parkAuthorization(auth activation.AuthorizationID, reason string) error {
	if err := t.must(activation.ErrNotFound, `UPDATE authorizations SET status = 'unhealthy', reason = $1, last_checked_at = $2 WHERE id = $3`, reason, t.micros(), auth); err != nil {
		return err
	}
	if err := t.authorizationErred(auth, reason); err != nil {
		return err
	}
	targets, err := t.targetsOn(auth)
	if err != nil {
		return err
	}
	jobs := map[activation.JobID]activation.Job{}
	for _, target := range targets {
		job, ok := jobs[target.Job]
		if !ok {
			if job, err = t.job(target.Job); err != nil {
				return err
			}
			jobs[target.Job] = job
		}
		if err := t.setRest(target, activation.Park(restOf(target), t.now, rhythmOf(job))); err != nil {
			return err
		}
	}
	if err := t.parkPasses(auth); err != nil {
		return err
	}
	return t.settleAll(jobs)
}

// targetsOn lists the targets of living jobs whose destination uses auth.
func (t *tx) targetsOn(auth activation.AuthorizationID) ([]activation.Target, error) {
	rows, err := t.query(`SELECT `+targetColumns+` FROM targets t JOIN destinations d ON d.id = t.destination_id
		JOIN jobs j ON j.id = t.job_id AND j.state NOT IN ('killed', 'completed')
		WHERE d.authorization_id = $1 ORDER BY t.id`, auth)
	return collect(rows, err, scanTarget)
}

func (t *tx) settleAll(jobs map[activation.JobID]activation.Job) error {
	for id := range jobs {
		if err := t.settleJob(id); err != nil {
			return err
		}
	}
	return nil
}
