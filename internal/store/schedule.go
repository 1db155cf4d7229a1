package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// next returns the next scheduled time of a job after now; zero = none.
func next(j activation.Job, now time.Time) time.Time { return schedule.Next(j.Schedule, now) }

// A start is how a target begins: due now, or asleep until its first time.
type start struct {
	rest      activation.Rest
	due, next time.Time
}

// starts returns how a job's targets begin. Those of a job that expires before
// its first time are never due.
func starts(j activation.Job, now time.Time) start {
	first := schedule.First(j.Schedule, now)
	s := start{rest: activation.NewRest(now, first)}
	switch {
	case first.After(now):
		s.next = first
	case !first.IsZero():
		s.due, s.next = now, next(j, now)
	}
	return s
}

// nextAt is the scheduled time of a target after the run that opens now. A run
// that only makes good an error leaves it where it is: the schedule goes on
// from its own times.
func nextAt(j activation.Job, target activation.Target, now time.Time) time.Time {
	if target.ConsecutiveErrors > 0 && target.NextAt.After(now) {
		return target.NextAt
	}
	return next(j, now)
}

// reschedule gives the targets of a job the times of its changed schedule. Who
// waits for nothing but its time waits for the new one; what is due, errs or is
// parked stays so.
func (t *tx) reschedule(before, j activation.Job) error {
	if encode(before.Schedule) == encode(j.Schedule) {
		return nil
	}
	targets, err := t.targetsOf(j.ID)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if err := t.rescheduleTarget(j, target); err != nil {
			return err
		}
	}
	if err := t.noteQuiet(j.ID, j.Schedule); err != nil {
		return err
	}
	now, err := t.job(j.ID)
	if err != nil {
		return err
	}
	return t.settleQuiet(now)
}

func (t *tx) rescheduleTarget(j activation.Job, target activation.Target) error {
	s := starts(j, t.now)
	if !target.LastOpenedAt.IsZero() {
		s = start{next: next(j, t.now)}
		s.rest = activation.NewRest(t.now, s.next)
	}
	if target.State == activation.TargetFailed || target.State == activation.TargetCompleted {
		return nil
	}
	if _, err := t.exec(`UPDATE targets SET next_at = $1 WHERE id = $2`, at(s.next), target.ID); err != nil {
		return err
	}
	asleep := target.SleepReason == activation.SleepSchedule
	idle := target.State == activation.TargetRunnable && target.OpenRun == "" && !target.DueNow
	if !asleep && !idle {
		return nil
	}
	if !s.due.IsZero() {
		if err := t.setDue(target.ID, s.due.UnixMicro(), byTarget); err != nil {
			return err
		}
	}
	s.rest.ConsecutiveErrors, s.rest.FailingSince = target.ConsecutiveErrors, target.FailingSince
	t.Enqueue(WakeTarget, string(target.ID))
	return t.setRest(target, s.rest)
}

// loud is the condition under which the quiet window of a job j is not on. A
// window that is over counts as on until the sweep has noted the next one,
// which may be on as well. $1 is now.
const loud = `(j.quiet_from IS NULL OR j.quiet_from > $1)`

// alive is the condition under which a job j has not expired. $1 is now.
const alive = `(j.expires_at IS NULL OR j.expires_at > $1)`

// noteQuiet stores the quiet window that is on, or the next one.
func (t *tx) noteQuiet(id activation.JobID, s activation.Schedule) error {
	from, until := schedule.Quiet(s, t.now)
	_, err := t.exec(`UPDATE jobs SET quiet_from = $1, quiet_until = $2 WHERE id = $3`, at(from), at(until), id)
	return err
}

// quietConflict is the ErrConflict that says why no run opens although the job
// may run: its time is over, or its quiet window is on; or nil.
func (t *tx) quietConflict(id activation.JobID) error {
	j, err := t.job(id)
	switch {
	case err != nil:
		return err
	case j.Expired(t.now):
		return conflict("the job expired at %s", j.ExpiresAt.UTC().Format(time.RFC3339))
	case j.QuietAt(t.now):
		return conflict("the job's quiet window is on until %s", j.QuietUntil.Format(time.RFC3339))
	}
	return nil
}

// What the sweep has to do about quiet windows and expiry. $1 is now.
const (
	// quietBegun: the window is on and the job does not show it yet.
	quietBegun = `FROM jobs j WHERE j.quiet_from <= $1 AND j.quiet_until > $1 AND (j.state = 'runnable'
		OR (j.state = 'sleeping' AND j.sleep_until < j.quiet_until AND j.sleep_reason NOT IN ('quiet_window', 'authorization', 'approval')))`
	// quietOver: the window is over, the next one is to be noted.
	quietOver = `FROM jobs j WHERE j.quiet_until <= $1 AND j.state NOT IN ('completed', 'killed')`
	// expired: the job's time is over and so are its runs, but those that nobody
	// has taken yet. One that has failed stays so.
	expired = `FROM jobs j WHERE j.expires_at <= $1 AND j.state IN ('runnable', 'sleeping', 'paused')
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.job_id = j.id AND r.status IN ('running', 'awaiting') AND NOT ` + besideJob + `)`
)

// atOnce is how many jobs the sweep moves in one transaction, so that others
// may write in between.
const atOnce = 200

// TurnQuiet lets the jobs whose quiet window has begun show it, notes the next
// window of those whose window is over and wakes what waited for that. It
// returns how many jobs there were.
func (s *Store) TurnQuiet(ctx context.Context) (int, error) {
	begun, err := s.sweepJobs(ctx, quietBegun, (*tx).settleQuiet)
	if err != nil {
		return begun, fmt.Errorf("begin quiet windows: %w", err)
	}
	over, err := s.sweepJobs(ctx, quietOver, func(t *tx, j activation.Job) error {
		if err := t.noteQuiet(j.ID, j.Schedule); err != nil {
			return err
		}
		if err := t.settleQuiet(j); err != nil {
			return err
		}
		t.Enqueue(WakeTarget, "")
		t.Enqueue(WakePass, string(j.ID))
		return t.wakeRuns(j.ID)
	})
	if err != nil {
		return begun + over, fmt.Errorf("end quiet windows: %w", err)
	}
	return begun + over, nil
}

// settleQuiet derives what a job shows after its window was noted or came on.
func (t *tx) settleQuiet(j activation.Job) error {
	if j.Destination != "" {
		return t.settleJob(j.ID)
	}
	now, err := t.job(j.ID)
	if err != nil {
		return err
	}
	if now.SleepReason == activation.SleepQuietWindow {
		woken := activation.WokenFrom(ownRestOf(now), activation.SleepQuietWindow)
		if err := t.setOwnRest(now, woken); err != nil {
			return err
		}
		if now, err = t.job(j.ID); err != nil {
			return err
		}
	}
	return t.setStanding(now, now.Hushed(now.Standing(), t.now))
}

// Expire completes the jobs whose time is over. Their runs end before, as those
// of a killed job do: nothing more of them can be claimed, OpenRuns lists them
// and delivery ends them. It returns how many jobs there were.
func (s *Store) Expire(ctx context.Context) (int, error) {
	n, err := s.sweepJobs(ctx, expired, (*tx).expire)
	if err != nil {
		return n, fmt.Errorf("end expired jobs: %w", err)
	}
	return n, nil
}

func (t *tx) expire(j activation.Job) error {
	if err := t.endPending(j.ID); err != nil {
		return err
	}
	next, err := activation.Expired(j.Standing(), t.now)
	if err != nil {
		return err
	}
	if err := t.setStanding(j, next); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE targets SET state = 'completed', sleep_reason = NULL, sleep_until = NULL, due_at = NULL, due_cause = NULL, next_at = NULL,
		consecutive_errors = 0, failing_since = NULL WHERE job_id = $1`, j.ID); err != nil {
		return err
	}
	if err := t.releaseTargets(j); err != nil {
		return err
	}
	if err := t.sent(j.Destination, j.Audiences); err != nil {
		return err
	}
	if err := t.endPasses(j.ID); err != nil {
		return err
	}
	if err := t.log(activation.LogEntry{Job: j.ID, Event: activation.LogCompleted, Message: "its time was over at " + j.ExpiresAt.UTC().Format(time.RFC3339)}); err != nil {
		return err
	}
	return t.wakeRuns(j.ID)
}

// sweepJobs does something to each job that a condition finds, a few in one
// transaction.
func (s *Store) sweepJobs(ctx context.Context, found string, fn func(*tx, activation.Job) error) (int, error) {
	total, last := 0, activation.JobID("")
	for {
		var jobs []activation.Job
		err := s.do(ctx, func(t *tx) (err error) {
			rows, err := t.query(`SELECT `+jobColumns+` `+found+` AND j.id > $2 ORDER BY j.id LIMIT $3`, t.micros(), last, atOnce)
			jobs, err = collect(rows, err, scanJob)
			for _, j := range jobs {
				if err == nil {
					err = fn(t, j)
				}
			}
			return err
		})
		if err != nil {
			return total, err
		}
		total += len(jobs)
		if len(jobs) < atOnce {
			return total, nil
		}
		last = jobs[len(jobs)-1].ID
	}
}
