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
		rows, err := t.query(`SELECT `+runColumns+` `+stalledRuns+` ORDER BY r.number`, t.micros(), since.UnixMicro())
		runs, err := collect(rows, err, scanRun)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := t.restart(r); err != nil {
				return err
			}
		}
		n = len(runs)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("restart stalled runs: %w", err)
	}
	return n, nil
}

func (t *tx) restart(r activation.Run) error {
	if err := t.must(activation.ErrConflict, `UPDATE runs SET stalled_at = coalesce(stalled_at, $1), stalls = stalls + 1, attempt = attempt + 1,
		node = NULL, lease_until = NULL, wait_until = NULL WHERE id = $2 AND attempt = $3 AND status = $4`, t.micros(), r.ID, r.Attempt, r.Status); err != nil {
		return err
	}
	t.Enqueue(WakeRun, string(r.ID))
	if r.Job == "" {
		return nil
	}
	lasted := t.now.Sub(r.ProgressAt).Truncate(time.Second)
	message := fmt.Sprintf("run #%d could go on, but nobody has taken it for %s", r.Number, lasted)
	if r.Node != "" {
		message = fmt.Sprintf("run #%d made no progress for %s; it was taken from its node and goes on from where it was", r.Number, lasted)
	}
	if err := t.stalledEvent(r, message); err != nil {
		return err
	}
	return t.log(activation.LogEntry{
		Job: r.Job, Event: activation.LogError, Level: "error", Code: activation.CodeStalled, Message: message,
		Context: activation.LogContext{Run: r.Number},
	})
}

// InLine notes that a run waits for its turn, behind others that move: that is
// no stall, however long it lasts.
func (s *Store) InLine(ctx context.Context, r activation.Run) error {
	err := s.do(ctx, func(t *tx) error {
		return t.must(activation.ErrFenced, `UPDATE runs SET progress_at = $1 WHERE id = $2 AND attempt = $3 AND node IS NOT NULL`, t.micros(), r.ID, r.Attempt)
	})
	if err != nil {
		return fmt.Errorf("note that run %q waits its turn: %w", r.ID, err)
	}
	return nil
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
// items are there. A run that was stalled is so no more.
func (t *tx) advanced(id activation.RunID) error {
	_, err := t.exec(`UPDATE runs SET progress_at = $1, stalled_at = NULL WHERE id = $2 AND (progress_at IS NULL OR progress_at <= $3 OR stalled_at IS NOT NULL)`,
		t.micros(), id, t.now.Add(-progressGrain).UnixMicro())
	return err
}
