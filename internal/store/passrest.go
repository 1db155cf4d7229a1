package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// ownRestOf is the rest that a job without targets keeps itself. A paused job
// has it as if it were runnable.
func ownRestOf(j activation.Job) activation.Rest {
	r := activation.Rest{State: activation.TargetRunnable, Reason: j.SleepReason, Until: j.SleepUntil, ConsecutiveErrors: j.ConsecutiveErrors, FailingSince: j.FailingSince}
	switch j.State {
	case activation.JobSleeping:
		r.State = activation.TargetSleeping
	case activation.JobFailed:
		r.State = activation.TargetFailed
	case activation.JobCompleted, activation.JobKilled:
		r.State = activation.TargetCompleted
	case activation.JobRunnable, activation.JobPaused:
	}
	return r
}

// setOwnRest stores the rest of a job without targets; of a paused one only how
// its errors stand, for it is due when it is resumed.
func (t *tx) setOwnRest(j activation.Job, r activation.Rest) error {
	state, reason, until := activation.JobRest([]activation.Rest{r})
	if j.State == activation.JobPaused {
		state, reason, until = activation.JobPaused, "", time.Time{}
	}
	_, err := t.exec(`UPDATE jobs SET state = $1, sleep_reason = $2, sleep_until = $3, consecutive_errors = $4, failing_since = $5,
		state_since = CASE WHEN state = $1 THEN state_since ELSE $6 END,
		resume_at = CASE WHEN state = $1 THEN resume_at ELSE NULL END WHERE id = $7 AND state NOT IN ('killed', 'completed')`,
		state, text(reason), at(until), r.ConsecutiveErrors, at(r.FailingSince), t.micros(), j.ID)
	return err
}

// beginPasses makes a new job without targets due: now, or, where it says at
// what time, then.
func (t *tx) beginPasses(j activation.Job) error {
	s := starts(j, t.now)
	_, err := t.exec(`UPDATE jobs SET due_at = $1, next_at = $2 WHERE id = $3`, at(s.due), at(s.next), j.ID)
	t.Enqueue(WakePass, string(j.ID))
	return err
}

// reschedulePasses gives a job without targets the next time of its changed
// schedule. One that slept until the old time sleeps until the new one.
func (t *tx) reschedulePasses(before, j activation.Job) error {
	if encode(before.Schedule) == encode(j.Schedule) {
		return nil
	}
	to := next(j, t.now)
	_, err := t.exec(`UPDATE jobs AS j SET next_at = $1,
		state = CASE WHEN j.sleep_reason = 'schedule' AND $2 THEN 'runnable' ELSE j.state END,
		sleep_until = CASE WHEN j.sleep_reason = 'schedule' THEN $1 ELSE j.sleep_until END,
		sleep_reason = CASE WHEN j.sleep_reason = 'schedule' AND $2 THEN NULL ELSE j.sleep_reason END
		WHERE j.id = $3 AND `+ownRest, at(to), to.IsZero(), j.ID)
	t.Enqueue(WakePass, string(j.ID))
	return err
}

// wakePasses makes a job without targets due now; its errors still count. One
// whose authorization is unhealthy sleeps until it is mended.
func (t *tx) wakePasses(id activation.JobID) error {
	j, err := t.job(id)
	if err != nil || j.Destination != "" || j.State != activation.JobRunnable && j.State != activation.JobSleeping {
		return err
	}
	rest := ownRestOf(j)
	rest.State, rest.Reason, rest.Until = activation.TargetRunnable, "", time.Time{}
	parked, err := t.count(`SELECT count(*) FROM jobs j JOIN authorizations a ON a.status = 'unhealthy' AND j.auth_ids LIKE '%"' || a.id || '"%' WHERE j.id = $1`, id)
	if err != nil {
		return err
	}
	if parked > 0 {
		rest = activation.Park(rest, t.now, rhythmOf(j))
	}
	if err := t.setOwnRest(j, rest); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE jobs SET due_at = $1 WHERE id = $2`, t.micros(), id)
	t.Enqueue(WakePass, string(id))
	return err
}

// busyPass is the ErrConflict that names the open pass of a job, or nil.
func (t *tx) busyPass(job activation.JobID) error {
	open, err := t.openPass(job)
	if err != nil || open == nil {
		return err
	}
	return conflict("pass #%d of the job is open", open.Number)
}

// endPasses withdraws the open pass of a job; what its attempt still writes is
// refused.
func (t *tx) endPasses(job activation.JobID) error {
	_, err := t.exec(`UPDATE passes SET status = 'withdrawn', ended_at = $1, node = NULL, lease_until = NULL, wait_until = NULL, attempt = attempt + 1
		WHERE job_id = $2 AND status = 'running'`, t.micros(), job)
	return err
}

// passJobsOn lists the living jobs without targets that use an authorization.
func (t *tx) passJobsOn(auth activation.AuthorizationID) ([]activation.Job, error) {
	rows, err := t.query(`SELECT `+jobColumns+` FROM jobs j WHERE `+ownRest+` AND j.deleted_at IS NULL AND j.state NOT IN ('killed', 'completed')
		AND j.auth_ids LIKE '%"' || CAST($1 AS TEXT) || '"%' ORDER BY j.id`, auth)
	return collect(rows, err, scanJob)
}

// parkPasses puts the jobs without targets that use an authorization to sleep
// until it is mended.
func (t *tx) parkPasses(auth activation.AuthorizationID) error {
	jobs, err := t.passJobsOn(auth)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := t.parkPass(j); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) parkPass(j activation.Job) error {
	rest := activation.Park(ownRestOf(j), t.now, rhythmOf(j))
	if j.State == activation.JobPaused {
		return nil // it is parked when it is resumed, if that is still so
	}
	if err := t.setOwnRest(j, rest); err != nil || rest.State != activation.TargetFailed || j.State == activation.JobFailed {
		return err
	}
	if err := t.endPasses(j.ID); err != nil {
		return err
	}
	if err := t.gaveUp(j, "", "the authorization was not mended in time", 0); err != nil {
		return err
	}
	return t.log(activation.LogEntry{Job: j.ID, Event: activation.LogFailed, Level: "error", Message: "gave up: the authorization was not mended in time"})
}

// unparkPasses makes the jobs without targets due that slept because of an
// authorization.
func (t *tx) unparkPasses(auth activation.AuthorizationID) error {
	jobs, err := t.passJobsOn(auth)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.SleepReason != activation.SleepAuthorization {
			continue
		}
		if err := t.wakePasses(j.ID); err != nil {
			return err
		}
	}
	return nil
}

// overduePass and stalledPass are what only time brings about for jobs without
// targets. $1 is now.
const (
	overduePass = `FROM jobs j WHERE ` + ownRest + ` AND j.state = 'sleeping' AND j.sleep_reason = 'authorization' AND j.sleep_until <= $1`
	stalledPass = `FROM passes p JOIN jobs j ON j.id = p.job_id WHERE p.status = 'running' AND p.node IS NOT NULL AND p.lease_until > $1 AND p.progress_at + j.stall_after <= $1`
)

// FailOverduePasses fails the jobs without targets whose authorization was not
// mended within fail_after, and returns how many.
func (s *Store) FailOverduePasses(ctx context.Context) (int, error) {
	n := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT `+jobColumns+` `+overduePass, t.micros())
		jobs, err := collect(rows, err, scanJob)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if err := t.parkPass(j); err != nil {
				return err
			}
		}
		n = len(jobs)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("fail overdue jobs: %w", err)
	}
	return n, nil
}

// StallPasses ends the passes that made no progress for the stall limit of
// their jobs, whoever holds them, and returns how many. It is an error like
// another: the job tries again after its sleep.
func (s *Store) StallPasses(ctx context.Context) (int, error) {
	n := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT `+passColumns+` `+stalledPass, t.micros())
		stalled, err := collect(rows, err, scanPass)
		if err != nil {
			return err
		}
		for _, p := range stalled {
			j, err := t.job(p.Job)
			if err != nil {
				return err
			}
			p.Status, p.ErrorKind, p.ErrorCode = activation.RunFailed, activation.Unavailable, activation.CodeStalled
			p.ErrorText = "no progress for " + j.StallAfter.String()
			if err := t.finishPass(j, p); err != nil {
				return err
			}
		}
		n = len(stalled)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("end stalled passes: %w", err)
	}
	return n, nil
}
