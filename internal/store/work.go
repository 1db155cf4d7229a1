package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// jobOver is the condition under which the job j of a run is over, so that the
// run has to end whatever it waits for. $1 is now.
const jobOver = `(j.state IN ('killed', 'failed') OR j.deleted_at IS NOT NULL OR coalesce(j.expires_at <= $1, FALSE))`

// runOver is the condition under which a run r has to end because its job is
// over. $1 is now.
const runOver = `EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id AND ` + jobOver + `)`

// refusedOf is the condition under which the network refuses the credentials
// that a run r would be sent with: one has found out, the others need not.
const refusedOf = `EXISTS (SELECT 1 FROM destinations d JOIN authorizations a ON a.id = d.authorization_id WHERE d.id = r.destination_id AND a.status = 'unhealthy')`

// besideJob is the condition under which a run r heeds neither pause nor quiet
// window: somebody is to be forgotten, or the remote audience to be given up.
const besideJob = `(r.mode = 'forget' OR r.release_mode IS NOT NULL)`

// quietFor is the condition under which the quiet window of its job holds a run
// r back. Asking for answers sends nothing, so awaiting runs go on. $1 is now.
const quietFor = `(r.status <> 'awaiting' AND NOT ` + besideJob + ` AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id AND NOT ` + loud + `))`

// mustEnd is the condition under which a run r has to end whatever it waits for.
// $1 is now.
const mustEnd = `((NOT ` + besideJob + ` AND ` + runOver + `) OR ` + calledOff + `)`

// workable is the condition under which a run r may be worked on by somebody:
// it is its target's open run, or it awaits answers; nobody's lease is on it;
// its provider's wait is over, its job is neither paused nor in its quiet
// window, which a forget does not heed, and its authorization is
// not refused; or its job is over. $1 is now.
const workable = `r.status IN ('pending', 'running', 'awaiting')
	AND (r.status = 'awaiting' OR EXISTS (SELECT 1 FROM targets t WHERE t.id = r.target_id AND t.open_run = r.id))
	AND (r.node IS NULL OR r.lease_until <= $1)
	AND (` + mustEnd + ` OR ((r.wait_until IS NULL OR r.wait_until <= $1)
		AND NOT ` + refusedOf + ` AND NOT ` + quietFor + `
		AND (` + besideJob + ` OR NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id AND j.state = 'paused'))))`

// OpenRuns lists up to limit runs to be worked on now: the open ones and the
// awaiting ones (to poll) that nobody holds, whose wait is over and whose job is
// not paused. Those whose job is killed or has failed are listed whatever their
// wait, so that they are ended. The authorizations take turns, and of each the
// oldest comes first.
func (s *Store) OpenRuns(ctx context.Context, limit int) ([]activation.Run, error) {
	var out []activation.Run
	err := s.view(ctx, func(t *tx) (err error) {
		rows, err := t.query(`SELECT `+runColumns+` FROM (
			SELECT r.*, row_number() OVER (PARTITION BY coalesce(o.authorization_id, r.destination_id) ORDER BY r.number) AS turn
			FROM runs r LEFT JOIN destinations o ON o.id = r.destination_id WHERE `+workable+`) r ORDER BY r.turn, r.number LIMIT $2`, t.micros(), limit)
		out, err = collect(rows, err, scanRun)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	return out, nil
}

// TakeRun makes node the owner of a workable run: attempt + 1, Running (an
// awaiting run stays Awaiting), with a lease by the database's clock. Items
// that were sending become unknown, because what was in flight is unknown and
// never queued; they are returned. ErrConflict when it is not to be had.
func (s *Store) TakeRun(ctx context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error) {
	var r activation.Run
	var lost []activation.Item
	err := s.do(ctx, func(t *tx) error {
		before, target, err := t.lockRun(id)
		if err != nil {
			return err
		}
		err = t.must(conflict("the run is not to be had now"), `UPDATE runs AS r SET attempt = attempt + 1, node = $2, lease_until = $3,
			status = CASE WHEN r.status = 'awaiting' THEN 'awaiting' ELSE 'running' END, wait_until = NULL, progress_at = $1
			WHERE r.id = $4 AND r.reason IS NULL AND `+workable, t.micros(), node, t.now.Add(lease).UnixMicro(), id)
		if err != nil {
			return err
		}
		if lost, err = t.loseSending(id); err != nil {
			return err
		}
		if err := t.goOnWithin(before, target); err != nil {
			return err
		}
		r, err = t.run(id)
		return err
	})
	if err != nil {
		return activation.Run{}, nil, fmt.Errorf("take run %q: %w", id, err)
	}
	return r, lost, nil
}

// RenewRuns extends the leases of runs that these attempts hold, and returns
// those that they do not hold any more. A lease that is over is not revived: the
// run must be taken again. That a run waits its turn, behind others that move,
// is no stall however long it lasts. What one run comes to says nothing about
// the others.
func (s *Store) RenewRuns(ctx context.Context, runs []activation.HeldRun, lease time.Duration) (fenced []activation.RunID, err error) {
	err = s.do(ctx, func(t *tx) error {
		fenced = nil
		for _, r := range runs {
			n, err := t.exec(`UPDATE runs SET lease_until = $1, progress_at = CASE WHEN CAST($5 AS BOOLEAN) THEN $4 ELSE progress_at END
				WHERE id = $2 AND attempt = $3 AND lease_until > $4`, t.now.Add(lease).UnixMicro(), r.ID, r.Attempt, t.micros(), r.InLine)
			if err != nil {
				return err
			}
			if n == 0 {
				fenced = append(fenced, r.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("renew %d runs: %w", len(runs), err)
	}
	return fenced, nil
}

// RestlessJobs lists the jobs whose runs in node's hands may have to stop: they
// are over, paused or in their quiet window.
func (s *Store) RestlessJobs(ctx context.Context, node string) ([]activation.JobID, error) {
	var out []activation.JobID
	err := s.view(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT DISTINCT coalesce(r.job_id, '') FROM runs r LEFT JOIN jobs j ON j.id = r.job_id
			WHERE r.status IN ('pending', 'running', 'awaiting') AND r.node = $2
			  AND (j.id IS NULL OR j.state = 'paused' OR `+jobOver+` OR NOT `+loud+`)`, t.micros(), node)
		out, err = collect(rows, err, func(r scanner) (activation.JobID, error) {
			var id activation.JobID
			err := r.Scan(&id)
			return id, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list restless jobs: %w", err)
	}
	return out, nil
}

// ReleaseRun gives the lease of a run back without ending it; with waitUntil
// set nobody works on it before then: its target sleeps, and the job's log says
// so. That is no error.
func (s *Store) ReleaseRun(ctx context.Context, r activation.Run, waitUntil time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		_, target, err := t.lockRun(r.ID)
		if err != nil {
			return err
		}
		if err := t.must(activation.ErrFenced, `UPDATE runs SET node = NULL, lease_until = NULL, wait_until = $1
			WHERE id = $2 AND attempt = $3 AND status IN ('running', 'awaiting')`, at(waitUntil), r.ID, r.Attempt); err != nil {
			return err
		}
		if waitUntil.IsZero() || r.Job == "" || r.Status == activation.RunAwaiting {
			return nil
		}
		if err := t.restWithin(r, target, waitUntil); err != nil {
			return err
		}
		return t.log(activation.LogEntry{
			Job: r.Job, Event: activation.LogSleeping, Message: "the provider asked to wait until " + waitUntil.UTC().Format(time.RFC3339),
			Context: activation.LogContext{Run: r.Number},
		})
	})
	if err != nil {
		return fmt.Errorf("release run %q: %w", r.ID, err)
	}
	return nil
}

// restWithin puts a target to sleep while its open run waits for the provider.
// One that rests already for another reason goes on resting for that.
func (t *tx) restWithin(r activation.Run, target activation.Target, until time.Time) error {
	if target.OpenRun != r.ID || target.Job != r.Job || target.State != activation.TargetRunnable {
		return nil
	}
	asleep := activation.NextSleep(restOf(target), activation.RunEnd{Kind: activation.WaitUntil, Until: until, At: t.now}, activation.Rhythm{})
	if err := t.setRest(target, asleep); err != nil {
		return err
	}
	return t.settleJob(r.Job)
}

// RestRun gives a run back that met an error, r's, and goes on once its target
// has slept, as long as after any error. With anew the network has answered
// since the last one, so they count from one. It returns when that is; zero, and
// nothing is changed, where the errors have lasted as long as the job allows.
func (s *Store) RestRun(ctx context.Context, r activation.Run, anew bool) (until time.Time, err error) {
	err = s.do(ctx, func(t *tx) error {
		_, target, err := t.lockRun(r.ID)
		if err != nil {
			return err
		}
		if target.OpenRun != r.ID || target.Job != r.Job {
			return activation.ErrFenced
		}
		job, err := t.job(r.Job)
		if err != nil {
			return err
		}
		before := restOf(target)
		if anew {
			before.ConsecutiveErrors, before.FailingSince = 0, time.Time{}
		}
		rest := activation.NextSleep(before, activation.RunEnd{Kind: r.ErrorKind, At: t.now}, rhythmOf(job))
		if until = rest.Until; rest.State != activation.TargetSleeping {
			until = time.Time{}
			return nil
		}
		if err := t.must(activation.ErrFenced, `UPDATE runs SET node = NULL, lease_until = NULL, wait_until = $1
			WHERE id = $2 AND attempt = $3 AND status = 'running'`, at(until), r.ID, r.Attempt); err != nil {
			return err
		}
		if err := t.setRest(target, rest); err != nil {
			return err
		}
		if err := t.logOutcome(r, r.ErrorKind, rest); err != nil {
			return err
		}
		if err := t.settleJob(r.Job); err != nil {
			return err
		}
		return t.runEvents(job, r, r.ErrorKind, rest)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("rest run %q: %w", r.ID, err)
	}
	return until, nil
}

// ReopenRun makes an awaiting run its target's open run again, because the
// network has not taken all of it. ErrConflict while another one is open.
func (s *Store) ReopenRun(ctx context.Context, r activation.Run) error {
	err := s.do(ctx, func(t *tx) error {
		_, target, err := t.lockRun(r.ID)
		if err != nil {
			return err
		}
		if target.OpenRun != "" {
			return t.openConflict(target)
		}
		if err := t.must(activation.ErrFenced, `UPDATE runs SET status = 'running', progress_at = $3 WHERE id = $1 AND attempt = $2 AND status = 'awaiting'`, r.ID, r.Attempt, t.micros()); err != nil {
			return err
		}
		return t.must(activation.ErrConflict, `UPDATE targets SET open_run = $1 WHERE id = $2 AND open_run IS NULL AND generation = $3`, r.ID, r.Target, r.Generation)
	})
	if err != nil {
		return fmt.Errorf("reopen run %q: %w", r.ID, err)
	}
	return nil
}

// goOnWithin wakes a target whose open run goes on after a wait.
func (t *tx) goOnWithin(r activation.Run, target activation.Target) error {
	if target.OpenRun != r.ID || r.Mode == activation.ModeForget {
		return nil
	}
	awake := activation.WokenFrom(activation.WokenFrom(restOf(target), activation.SleepProviderLimit), activation.SleepError)
	if awake == restOf(target) {
		return nil
	}
	if err := t.setRest(target, awake); err != nil {
		return err
	}
	return t.settleJob(target.Job)
}

// SaveRun stores stage, seq, now, key set, counts, timings and staged_at of a run that
// is being worked on, guarded by its attempt.
func (s *Store) SaveRun(ctx context.Context, r activation.Run) error {
	err := s.do(ctx, func(t *tx) error { return t.saveRun(r) })
	if err != nil {
		return fmt.Errorf("save run %q: %w", r.ID, err)
	}
	return nil
}

func (t *tx) saveRun(r activation.Run) error {
	return t.must(activation.ErrFenced, `UPDATE runs SET stage = $1, seq = $2, plan_now = $3, key_set = $4, counts = $5, timings = $6, staged_at = $7, progress_at = $10
		WHERE id = $8 AND attempt = $9 AND status IN ('running', 'awaiting')`,
		r.Stage, r.Seq, at(r.Now), r.KeySet, encode(r.Counts), encode(r.Timings), at(r.StagedAt), r.ID, r.Attempt, t.micros())
}

// worked reports whether a run is being worked on in this attempt.
func worked(r activation.Run, attempt int) bool {
	return r.Attempt == attempt && (r.Status == activation.RunRunning || r.Status == activation.RunAwaiting)
}

// NewGeneration ends r with code REMOTE-GONE because the remote audience is
// gone or another one: the target's generation grows, its remote id is cleared,
// what was unsent is withdrawn, what was under way or awaited is unknown, and
// the target is due now. The target's runs that await answers or approval end
// with it. ErrConflict while another run of the target is open: it finds the
// same by itself, and only its own attempt knows its counts.
func (s *Store) NewGeneration(ctx context.Context, r activation.Run, status activation.RunStatus) error {
	if status != activation.RunWithdrawn && status != activation.RunFailed {
		return fmt.Errorf("new generation: a run does not end as %s: %w", status, activation.ErrConflict)
	}
	err := s.do(ctx, func(t *tx) error {
		now, target, err := t.lockRun(r.ID)
		if err != nil {
			return err
		}
		if !worked(now, r.Attempt) || target.Generation != r.Generation {
			return activation.ErrFenced
		}
		if target.OpenRun != "" && target.OpenRun != r.ID {
			return t.openConflict(target) // the open run finds it out by itself
		}
		if err := t.voidGeneration(target.ID, r.ID); err != nil {
			return err
		}
		if err := t.endGone(r, status); err != nil {
			return err
		}
		if err := t.must(activation.ErrFenced, `UPDATE targets SET generation = generation + 1, remote_id = '', open_run = NULL
			WHERE id = $1 AND generation = $2`, target.ID, r.Generation); err != nil {
			return err
		}
		if err := t.setDue(target.ID, t.soon(target), anew(r)); err != nil {
			return err
		}
		t.Enqueue(WakeTarget, string(target.ID))
		return nil
	})
	if err != nil {
		return fmt.Errorf("new generation: %w", err)
	}
	return nil
}

// endGone ends a run whose remote audience is gone.
func (t *tx) endGone(r activation.Run, status activation.RunStatus) error {
	if err := t.moveItems(r.ID, activation.ItemQueued, activation.ItemWithdrawn, activation.CodeRemoteGone, ""); err != nil {
		return err
	}
	if _, err := t.loseSending(r.ID); err != nil {
		return err
	}
	if err := t.loseAwaiting(r.ID); err != nil {
		return err
	}
	if err := t.must(activation.ErrFenced, `UPDATE runs SET status = $1, ended_at = $2, node = NULL, lease_until = NULL, wait_until = NULL, reason = NULL, reason_until = NULL, stalled_at = NULL,
		counts = $3, timings = $4, stage = $5, error_kind = 'gone', error_code = 'REMOTE-GONE', error_text = $6 WHERE id = $7 AND attempt = $8 AND ended_at IS NULL`,
		status, t.micros(), encode(awaitingLost(r.Counts)), encode(r.Timings), r.Stage, "the remote audience is gone; the next run fills a new one", r.ID, r.Attempt); err != nil {
		return err
	}
	return t.meterRun(r.ID)
}

// voidGeneration ends the live runs of a target but one: folds of an old
// generation are skipped, so nothing is owed to them any more.
func (t *tx) voidGeneration(target activation.TargetID, but activation.RunID) error {
	rows, err := t.query(`SELECT `+runColumns+` FROM runs r WHERE r.target_id = $1 AND r.id <> $2 AND r.status IN ('pending', 'running', 'awaiting')`, target, but)
	runs, err := collect(rows, err, scanRun)
	if err != nil {
		return err
	}
	for _, r := range runs {
		status := activation.RunWithdrawn
		switch err := t.unclaimed(r.ID); {
		case isConflict(err):
			status = activation.RunFailed
		case err != nil:
			return err
		}
		if err := t.endGone(r, status); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE runs SET attempt = attempt + 1 WHERE id = $1`, r.ID); err != nil {
			return err
		}
		t.Enqueue(WakeRun, string(r.ID))
	}
	return nil
}

// awaitingLost moves what was awaited to what is unknown.
func awaitingLost(c activation.Counts) activation.Counts {
	c.Unknown, c.Awaiting = c.Unknown+c.Awaiting, 0
	return c
}
