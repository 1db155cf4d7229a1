package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// stallAfter is the stall limit of a run r, in microseconds.
const stallAfter = `coalesce((SELECT j.stall_after FROM jobs j WHERE j.id = r.job_id), 900000000)`

// still is the condition under which a run r has not moved for its stall limit
// although nothing holds it back: its job is neither paused nor in its quiet
// window, no provider's wait is on or was on lately, and somebody would have
// seen it move, for it has been watched all that time. $1 is now, $2 since when
// runs are watched.
const still = `r.progress_at + ` + stallAfter + ` <= $1 AND $2 + ` + stallAfter + ` <= $1
	AND (r.wait_until IS NULL OR r.wait_until + ` + stallAfter + ` <= $1)
	AND NOT ` + quietFor + `
	AND (` + besideJob + ` OR NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id AND j.state = 'paused'))`

// hung is the condition under which a run r does not move in the hands of a
// node that goes on renewing its lease.
const hung = `r.status IN ('running', 'awaiting') AND r.node IS NOT NULL AND r.lease_until > $1 AND ` + still

// neglected is the condition under which nobody takes a run r that could be
// worked on, and nobody was told yet. One that stands in line behind a run of
// the same authorization is not: that one moves.
const neglected = `r.stalled_at IS NULL AND r.status <> 'awaiting' AND ` + workable + ` AND ` + still + `
	AND NOT EXISTS (SELECT 1 FROM runs o JOIN destinations od ON od.id = o.destination_id JOIN destinations rd ON rd.id = r.destination_id
		WHERE o.id <> r.id AND o.node IS NOT NULL AND o.lease_until > $1 AND o.progress_at + ` + stallAfter + ` > $1
		  AND coalesce(od.authorization_id, od.id) = coalesce(rd.authorization_id, rd.id))`

// stalledRuns finds the runs that do not move, among the live ones, which have
// an index of their own.
const stalledRuns = `FROM runs r WHERE r.status IN ('pending', 'running', 'awaiting') AND ((` + hung + `) OR (` + neglected + `))`

// RestartStalled marks the runs that have made no progress for the stall limit
// of their job, says so in its log and takes those that somebody holds from
// their node: attempt + 1, so that what the old attempt still writes is refused.
// Whoever takes such a run next goes on from what is stored, and what was in
// flight is unknown, as at any takeover. since is from when on somebody has
// looked: what no node could have moved before that is no stall. It returns how
// many there were.
func (s *Store) RestartStalled(ctx context.Context, since time.Time) (int, error) {
	n := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT `+runColumns+` `+stalledRuns+` ORDER BY CASE WHEN r.node IS NOT NULL AND r.lease_until > $1 THEN 0 ELSE 1 END, r.number`, t.micros(), since.UnixMicro())
		runs, err := collect(rows, err, scanRun)
		if err != nil {
			return err
		}
		n = 0
		for _, r := range runs {
			restarted, err := t.restart(r)
			if err != nil {
				return err
			}
			if restarted {
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("restart stalled runs: %w", err)
	}
	return n, nil
}

// restart reports whether it did: a run may have ended with its job because
// another one of the job stalled for too long.
func (t *tx) restart(r activation.Run) (bool, error) {
	changed, err := t.exec(`UPDATE runs SET stalled_at = coalesce(stalled_at, $1), stalls = stalls + 1, attempt = attempt + 1,
		node = NULL, lease_until = NULL, wait_until = NULL WHERE id = $2 AND attempt = $3 AND status = $4`, t.micros(), r.ID, r.Attempt, r.Status)
	if err != nil || changed == 0 {
		return false, err
	}
	t.Enqueue(WakeRun, string(r.ID))
	if r.Job == "" {
		return true, nil
	}
	lasted := t.now.Sub(r.ProgressAt).Truncate(time.Second)
	message := fmt.Sprintf("run #%d could go on, but nobody has taken it for %s", r.Number, lasted)
	if r.Node != "" {
		message = fmt.Sprintf("run #%d made no progress for %s; it was taken from its node and goes on from where it was", r.Number, lasted)
	}
	if err := t.stalledEvent(r, message); err != nil {
		return true, err
	}
	if err := t.log(activation.LogEntry{
		Job: r.Job, Event: activation.LogError, Level: "error", Code: activation.CodeStalled, Message: message,
		Context: activation.LogContext{Run: r.Number},
	}); err != nil {
		return true, err
	}
	return true, t.countStall(r)
}

// countStall counts a stall in somebody's hands as an error of the run's target.
// There is no sleep, for it has not moved for so long already. When the errors
// have lasted for the job's fail_after the run is given up, and its target with
// it: one that has cut no items has nothing to account for and ends here; any
// other is ended by whoever takes it next, who folds what the network has taken
// and sends nothing more. What only waits for answers is bounded by their own
// limit, and somebody who is to be forgotten is never given up.
func (t *tx) countStall(r activation.Run) error {
	inHand := r.Node != "" && r.LeaseUntil.After(t.now)
	if !inHand || r.Mode == activation.ModeForget || r.Release != "" || r.Status == activation.RunAwaiting || r.ErrorCode == activation.CodeStalled {
		return nil
	}
	target, err := t.target(r.Target)
	if err != nil || target.Job != r.Job || target.OpenRun != r.ID || target.State == activation.TargetFailed || target.State == activation.TargetCompleted {
		return err
	}
	job, err := t.job(r.Job)
	if err != nil || job.State == activation.JobKilled {
		return err
	}
	rest := restOf(target)
	after := activation.NextSleep(rest, activation.RunEnd{Kind: activation.Unavailable, At: t.now}, rhythmOf(job))
	if after.State != activation.TargetFailed {
		rest.ConsecutiveErrors, rest.FailingSince = after.ConsecutiveErrors, after.FailingSince
		if err := t.setRest(target, rest); err != nil {
			return err
		}
		return t.settleJob(r.Job)
	}
	return t.giveUpStalled(r, target, after)
}

// giveUpStalled ends a run that has stalled for too long, and fails its target.
func (t *tx) giveUpStalled(r activation.Run, target activation.Target, after activation.Rest) error {
	const text = "the run made no progress again and again until its errors had lasted as long as the job allows"
	if err := t.must(activation.ErrConflict, `UPDATE runs SET error_kind = $1, error_code = $2, error_text = $3 WHERE id = $4 AND status = 'running'`,
		activation.Unavailable, activation.CodeStalled, text, r.ID); err != nil {
		return err
	}
	items, err := t.count(`SELECT count(*) FROM items WHERE run_id = $1`, r.ID)
	if err != nil {
		return err
	}
	if items == 0 {
		r.Status, r.Attempt, r.ErrorKind, r.ErrorCode, r.ErrorText = activation.RunFailed, r.Attempt+1, activation.Unavailable, activation.CodeStalled, text
		if err := t.end(r, time.Time{}); err != nil {
			return err
		}
		if err := t.freeTarget(r, target, activation.End{}); err != nil {
			return err
		}
	}
	if err := t.setRest(target, after); err != nil {
		return err
	}
	return t.settleJob(r.Job)
}

// progressGrain is how exactly it is known when a run last moved, so that a run
// that moves all the time does not write that all the time.
const progressGrain = 10 * time.Second

// moved notes that a run has moved. That it was stalled is shown on, for taking
// it over and folding what was lost by it moves it as well.
func (t *tx) moved(id activation.RunID) error {
	_, err := t.exec(`UPDATE runs SET progress_at = $1 WHERE id = $2 AND (progress_at IS NULL OR progress_at <= $3)`, t.micros(), id, t.now.Add(-progressGrain).UnixMicro())
	return err
}

// advanced notes that a run has got further: the network has answered, or its
// items are there. A run that was stalled is so no more, and where the errors of
// its target were nothing but its stalls, they are over.
func (t *tx) advanced(id activation.RunID) error {
	if err := t.endStall(id); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE runs SET progress_at = $1, stalled_at = NULL WHERE id = $2 AND (progress_at IS NULL OR progress_at <= $3 OR stalled_at IS NOT NULL)`,
		t.micros(), id, t.now.Add(-progressGrain).UnixMicro())
	return err
}

// endStall clears the errors of a target that began with a stall of this run.
func (t *tx) endStall(id activation.RunID) error {
	n, err := t.exec(`UPDATE targets SET consecutive_errors = 0, failing_since = NULL
		WHERE open_run = $1 AND state IN ('runnable', 'sleeping') AND coalesce(sleep_reason, '') <> 'authorization'
		  AND failing_since = (SELECT r.stalled_at FROM runs r WHERE r.id = $1)`, id)
	if err != nil || n == 0 {
		return err
	}
	r, err := t.run(id)
	if err != nil {
		return err
	}
	return t.settleJob(r.Job)
}
