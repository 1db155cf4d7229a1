package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// Pause stops a job. Its open runs stay open, but nobody works on them: claims
// are refused with ErrPaused. With a duration it resumes by itself.
func (s *Store) Pause(ctx context.Context, id activation.JobID, d time.Duration, user string) error {
	return s.command(ctx, id, activation.CommandPause, user, activation.LogPaused, func(t *tx, j activation.Job) error {
		next, err := activation.Paused(j.Standing(), t.now, d)
		if err := t.moveJob(j, next, err); err != nil {
			return err
		}
		return t.wakeRuns(j.ID)
	})
}

// Resume lets a paused job go on: its targets are due now, their error counts
// are kept, and its open runs are worked on again.
func (s *Store) Resume(ctx context.Context, id activation.JobID, user string) error {
	return s.command(ctx, id, activation.CommandResume, user, activation.LogResumed, func(t *tx, j activation.Job) error {
		next, err := activation.Resumed(j.Standing(), t.now)
		return t.resume(j, next, err, activation.CauseManual)
	})
}

// resume makes the move to next: what waited for it goes on.
func (t *tx) resume(j activation.Job, next activation.Standing, err error, cause activation.Cause) error {
	if err := t.moveJob(j, next, err); err != nil {
		return err
	}
	if err := t.wakeTargets(j.ID, false, cause); err != nil {
		return err
	}
	return t.wakeRuns(j.ID)
}

// Bounce makes a failed job due now with a clean slate. A failed run that may
// be retried is retried; where none may, the target opens a new one.
func (s *Store) Bounce(ctx context.Context, id activation.JobID, user string) error {
	return s.command(ctx, id, activation.CommandBounce, user, activation.LogBounced, func(t *tx, j activation.Job) error {
		next, err := activation.Bounced(j.Standing(), t.now)
		if err := t.moveJob(j, next, err); err != nil {
			return err
		}
		before, err := t.targetsOf(j.ID)
		if err != nil {
			return err
		}
		if err := t.wakeTargets(j.ID, true, activation.CauseManual); err != nil {
			return err
		}
		for _, target := range before {
			now, err := t.target(target.ID)
			if err != nil {
				return err
			}
			if !now.DueNow {
				continue
			}
			if err := t.retryLast(target, byPerson); err != nil {
				return err
			}
		}
		return nil
	})
}

// retryLast retries the last run of a target where that is allowed; otherwise
// the target stays as it is, due for a new run. Never both, unless somebody has
// asked for more than that run does. The target is given as it was before it was
// woken.
func (t *tx) retryLast(target activation.Target, who retrier) error {
	last, err := collectOne(t, scanRun, `SELECT `+runColumns+` FROM runs r WHERE r.target_id = $1 ORDER BY r.number DESC LIMIT 1`, target.ID)
	if err != nil || last == nil {
		return err
	}
	facts, err := t.retryFacts(last.ID, who)
	if err != nil {
		return err
	}
	if ok, _ := activation.RetryRule(facts); !ok {
		return nil
	}
	return t.retry(last.ID, who, target)
}

// RunNow makes a job due now. Targets that have failed start afresh, the errors
// of others still count. A target with an open run refuses with ErrConflict
// naming it.
func (s *Store) RunNow(ctx context.Context, id activation.JobID, user string) error {
	return s.command(ctx, id, activation.CommandRun, user, "", func(t *tx, j activation.Job) error {
		if _, err := activation.Called(j.Standing(), t.now); err != nil {
			return err // what its targets come to when they are woken, it settles to
		}
		busy, err := collectOne(t, scanTarget, `SELECT `+targetColumns+` FROM targets t WHERE t.job_id = $1 AND t.open_run IS NOT NULL ORDER BY t.id LIMIT 1`, j.ID)
		if err != nil {
			return err
		}
		if busy != nil {
			return t.openConflict(*busy)
		}
		if err := t.busyPass(j.ID); err != nil {
			return err
		}
		return t.wakeTargets(j.ID, true, activation.CauseManual)
	})
}

// Kill ends a job for good: nothing more of its runs can be claimed, those that
// nobody works on are withdrawn, and delivery ends the others. Killing a killed
// job changes nothing.
func (s *Store) Kill(ctx context.Context, id activation.JobID, user string) error {
	return s.command(ctx, id, activation.CommandKill, user, activation.LogKilled, func(t *tx, j activation.Job) error {
		if err := t.ofPublisher(j.ID); err != nil {
			return err
		}
		next, err := activation.Killed(j.Standing(), t.now)
		return t.kill(j, next, err)
	})
}

// kill makes the move to next, which is killed.
func (t *tx) kill(j activation.Job, next activation.Standing, err error) error {
	if err := t.moveJob(j, next, err); err != nil {
		return err
	}
	if err := t.endPending(j.ID); err != nil {
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
	if err := t.endNotices(j.ID); err != nil {
		return err
	}
	return t.wakeRuns(j.ID)
}

// DeleteJob kills a job if need be and hides it; its name is free again. Its
// targets and ledgers stay until another job adopts them. The alert jobs that
// belong to it alone are deleted with it.
func (s *Store) DeleteJob(ctx context.Context, id activation.JobID, user string) error {
	return s.change(ctx, id, func(t *tx, j activation.Job) error {
		if err := t.ofPublisher(j.ID); err != nil {
			return err
		}
		rows, err := t.query(`SELECT `+jobColumns+` FROM jobs j WHERE j.tag = $1 AND j.deleted_at IS NULL ORDER BY j.id`, activation.MonitorTag(id))
		watching, err := collect(rows, err, scanJob)
		if err != nil {
			return err
		}
		for _, one := range append(watching, j) {
			if err := t.deleteJob(one, user); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) deleteJob(j activation.Job, user string) error {
	if j.State != activation.JobKilled {
		next, err := activation.Deleted(j.Standing(), t.now)
		if err := t.kill(j, next, err); err != nil {
			return err
		}
	}
	if _, err := t.exec(`UPDATE jobs SET deleted_at = $1 WHERE id = $2 AND state = 'killed'`, t.micros(), j.ID); err != nil {
		return err
	}
	if err := t.eventOfJob(j, activation.EventDeleted, "deleted"); err != nil {
		return err
	}
	return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "job", SubjectID: string(j.ID), Before: encode(jobFace(j))})
}

// UpdateJob changes name, description, config, fail_after, schedule and
// continuity of a job that is not killed; config takes effect at the next run,
// and whom the job leaves out makes its targets due.
func (s *Store) UpdateJob(ctx context.Context, j activation.Job, user string) error {
	return s.change(ctx, j.ID, func(t *tx, before activation.Job) error { return t.updateJob(before, j, user) })
}

func (t *tx) updateJob(before, j activation.Job, user string) error {
	if before.State == activation.JobKilled {
		return conflict("the job is killed")
	}
	if j.FailAfter <= 0 {
		j.FailAfter = activation.DefaultFailAfter
	}
	if j.StallAfter <= 0 {
		j.StallAfter = activation.DefaultStallAfter
	}
	if j.OnEnd == "" {
		j.OnEnd = activation.EndKeep
	}
	_, err := t.exec(`UPDATE jobs SET name = $1, description = $2, config = $3, fail_after = $4, stall_after = $5, schedule = $6, realtime = $7, once = $8, reach = $9,
		auth_ids = $10, on_end = $11, tag = $12, hidden = $13, verbose_logging = $14, expires_at = $15, updated_at = $16, exclude = $18, level = $19 WHERE id = $17`,
		j.Name, j.Description, encode(j.Config), j.FailAfter.Microseconds(), j.StallAfter.Microseconds(), encode(j.Schedule), j.RealTime(), j.Once(), encode(j.Reach),
		encode(j.Authorizations), j.OnEnd, j.Tag, j.Hidden, j.VerboseLogging, at(j.ExpiresAt), t.micros(), j.ID, list(j.Exclude), j.Level)
	if isConflict(err) {
		return conflict("a job named %q of workflow %q exists already", j.Name, before.Workflow)
	}
	if err != nil {
		return err
	}
	if err := t.retarget(before, j); err != nil {
		return err
	}
	if err := t.rewatch(before, j); err != nil {
		return err
	}
	if err := t.reschedule(before, j); err != nil {
		return err
	}
	if err := t.reschedulePasses(before, j); err != nil {
		return err
	}
	if err := t.log(activation.LogEntry{Job: j.ID, Event: activation.LogUpdated, Message: "updated", Context: activation.LogContext{User: user}}); err != nil {
		return err
	}
	if err := t.eventOfJob(j, activation.EventUpdated, "updated"); err != nil {
		return err
	}
	after, err := t.job(j.ID)
	if err != nil {
		return err
	}
	return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "job", SubjectID: string(j.ID), Before: encode(jobFace(before)), After: encode(jobFace(after))})
}

// command runs a guarded move of a job, with its log line and audit entry. In
// a state that does not take the command it answers Invalid, saying which it
// does take.
func (s *Store) command(ctx context.Context, id activation.JobID, c activation.JobCommand, user string, event activation.LogEvent, fn func(*tx, activation.Job) error) error {
	return s.change(ctx, id, func(t *tx, j activation.Job) error {
		if c == activation.CommandKill && j.State == activation.JobKilled {
			return nil
		}
		return t.commanded(j, c, user, event, fn)
	})
}

// commanded moves a job that takes the command.
func (t *tx) commanded(j activation.Job, c activation.JobCommand, user string, event activation.LogEvent, fn func(*tx, activation.Job) error) error {
	if err := fn(t, j); err != nil {
		return err
	}
	if err := t.settleJob(j.ID); err != nil {
		return err
	}
	after, err := t.job(j.ID)
	if err != nil {
		return err
	}
	if err := t.commandEvent(j, event); err != nil {
		return err
	}
	if event != "" {
		if err := t.log(activation.LogEntry{Job: j.ID, Event: event, Message: string(event) + " by " + user, Context: activation.LogContext{User: user}}); err != nil {
			return err
		}
	}
	return t.audit(activation.AuditEntry{Actor: user, Verb: string(c), SubjectType: "job", SubjectID: string(j.ID), Before: encode(jobFace(j)), After: encode(jobFace(after))})
}

// change runs fn on a job that is not deleted.
func (s *Store) change(ctx context.Context, id activation.JobID, fn func(*tx, activation.Job) error) error {
	err := s.do(ctx, func(t *tx) error {
		j, err := t.job(id)
		if err != nil {
			return err
		}
		if _, gone, err := t.jobState(id); err != nil || gone {
			return orErr(err, fmt.Errorf("job %q: %w", id, activation.ErrNotFound))
		}
		return fn(t, j)
	})
	if err != nil {
		return fmt.Errorf("change job %q: %w", id, err)
	}
	return nil
}

// wakeTargets makes the targets of a job due now, or the job itself where it
// has none, as far as activation.Roused says.
func (t *tx) wakeTargets(job activation.JobID, failedToo bool, cause activation.Cause) error {
	targets, err := t.targetsOf(job)
	if err != nil {
		return err
	}
	for _, target := range targets {
		rest, due := activation.Roused(restOf(target), failedToo)
		if due {
			if err := t.setRest(target, rest); err != nil {
				return err
			}
			if err := t.setDue(target.ID, t.micros(), cause); err != nil {
				return err
			}
		}
		if due || target.DueNow {
			t.Enqueue(WakeTarget, string(target.ID))
		}
	}
	return t.wakePasses(job)
}

// wakeRuns wakes whoever works on the runs of a job. How long they make no
// progress counts from now, for something may have held them back.
func (t *tx) wakeRuns(job activation.JobID) error {
	rows, err := t.query(`UPDATE runs SET progress_at = $1 WHERE job_id = $2 AND status IN ('pending', 'running', 'awaiting') RETURNING id`, t.micros(), job)
	ids, err := collect(rows, err, scanID)
	for _, id := range ids {
		t.Enqueue(WakeRun, id)
	}
	return err
}

// endPending withdraws the Pending runs of a job that nobody has taken yet:
// nothing of them was sent. Its other runs are ended by delivery, which lists
// them because their job is over, withdraws what is queued, folds what was
// under way and finishes them.
func (t *tx) endPending(job activation.JobID) error {
	rows, err := t.query(`SELECT `+runColumns+` FROM runs r WHERE r.job_id = $1 AND r.status = 'pending' AND r.mode <> 'forget'`, job)
	runs, err := collect(rows, err, scanRun)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if err := t.endUnsent(r.ID); err != nil {
			return err
		}
		if err := t.wakeFromApproval(r.Target); err != nil {
			return err
		}
	}
	return nil
}
