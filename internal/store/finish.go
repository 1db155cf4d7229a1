package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// FinishRun ends the run as r.Status says, with r's counts, timings and error,
// clears open_run where this run holds it, and gives the lease back. What it
// means for the target is in end. Completed and Failed are outcomes: they count
// on the target and its job (activation.NextSleep), unless the job has ended.
// Awaiting is none yet, unless an error has stopped the run: it is worked on
// again from end.Until on.
//
// It is refused with ErrConflict while delivered or unknown items are not
// folded or any are awaited, unless the count laws are broken (code COUNTS:
// nothing is folded, and what is awaited is unknown); while anything is
// sending; and, for Completed and Awaiting, while anything is queued. Items
// still queued at the end of a Failed run become failed with cause "not
// attempted", those of a Withdrawn one withdrawn.
func (s *Store) FinishRun(ctx context.Context, r activation.Run, end activation.End) error {
	err := s.do(ctx, func(t *tx) error {
		stored, target, err := t.lockRun(r.ID)
		if err != nil {
			return err
		}
		if !worked(stored, r.Attempt) {
			return activation.ErrFenced
		}
		if err := t.endOpenItems(r); err != nil {
			return err
		}
		if err := t.mayFinish(r); err != nil {
			return err
		}
		if err := t.end(r, end.Until); err != nil {
			return err
		}
		if err := t.freeTarget(r, target, end); err != nil {
			return err
		}
		return t.outcome(r, stored, end.Until)
	})
	if err != nil {
		return fmt.Errorf("finish run %q: %w", r.ID, err)
	}
	return nil
}

// endOpenItems ends what the run's status leaves no room for.
func (t *tx) endOpenItems(r activation.Run) error {
	switch r.Status {
	case activation.RunFailed:
		if r.ErrorCode == activation.CodeCounts {
			if err := t.loseAwaiting(r.ID); err != nil {
				return err
			}
		}
		return t.moveItems(r.ID, activation.ItemQueued, activation.ItemFailed, activation.CodeNotAttempted, "not attempted")
	case activation.RunWithdrawn:
		return t.moveItems(r.ID, activation.ItemQueued, activation.ItemWithdrawn, "", "")
	case activation.RunCompleted, activation.RunAwaiting:
		return nil
	case activation.RunPending, activation.RunRunning:
	}
	return conflict("a run does not end as %s", r.Status)
}

// mayFinish checks what must be so before a run ends.
func (t *tx) mayFinish(r activation.Run) error {
	var queued, sending, awaiting, unfolded int
	err := t.row(`SELECT count(CASE WHEN state = 'queued' THEN 1 END), count(CASE WHEN state = 'sending' THEN 1 END),
		count(CASE WHEN state = 'awaiting' THEN 1 END), count(CASE WHEN state IN ('delivered', 'unknown') AND NOT folded THEN 1 END)
		FROM items WHERE run_id = $1`, r.ID).Scan(&queued, &sending, &awaiting, &unfolded)
	switch {
	case err != nil:
		return err
	case queued > 0:
		return conflict("%d items are queued", queued)
	case sending > 0:
		return conflict("%d items are under way", sending)
	case unfolded > 0 && r.ErrorCode != activation.CodeCounts:
		return conflict("%d items are not folded", unfolded)
	case (awaiting > 0) != (r.Status == activation.RunAwaiting):
		return conflict("%d items are awaited, which is no %s run", awaiting, r.Status)
	}
	return nil
}

func (t *tx) end(r activation.Run, until time.Time) error {
	var endedAt, waitUntil any
	if r.Status == activation.RunAwaiting {
		waitUntil = at(until)
	} else {
		endedAt = t.micros()
	}
	if r.Status == activation.RunFailed && r.ErrorCode == "" {
		r.ErrorCode = activation.CodeOf(nil)
	}
	err := t.must(activation.ErrFenced, `UPDATE runs SET status = $1, ended_at = $2, wait_until = $3, node = NULL, lease_until = NULL, stalled_at = NULL, reason = NULL, reason_until = NULL,
		stage = $4, seq = $5, plan_now = $6, key_set = $7, staged_at = $8, counts = $9, timings = $10, error_kind = $11, error_code = $12, error_text = $13
		WHERE id = $14 AND attempt = $15 AND status IN ('running', 'awaiting')`,
		r.Status, endedAt, waitUntil, r.Stage, r.Seq, at(r.Now), r.KeySet, at(r.StagedAt), encode(r.Counts), encode(r.Timings), r.ErrorKind, r.ErrorCode, r.ErrorText, r.ID, r.Attempt)
	if err != nil {
		return err
	}
	return t.meterRun(r.ID)
}

// freeTarget clears open_run if it is this run's, and moves what the end of the
// run moves. A Failed or Withdrawn run never moves done_seq, and one that does a
// part of the work moves no more than its part.
func (t *tx) freeTarget(r activation.Run, target activation.Target, end activation.End) error {
	doneSeq, keysDone := target.DoneSeq, target.KeysDone
	if end.Done && (r.Status == activation.RunCompleted || r.Status == activation.RunAwaiting) {
		switch r.Mode {
		case activation.ModeSync, activation.ModeReplace:
			doneSeq, keysDone = max(doneSeq, r.Seq), max(keysDone, r.Seq)
		case activation.ModeKeys:
			keysDone = max(keysDone, r.Seq)
		case activation.ModeHistory, activation.ModeForget:
		}
	}
	if _, err := t.exec(`UPDATE targets SET open_run = CASE WHEN open_run = $1 THEN NULL ELSE open_run END, done_seq = $2, keys_done = $4 WHERE id = $3`,
		r.ID, doneSeq, target.ID, keysDone); err != nil {
		return err
	}
	if end.Due || r.Counts.Left > 0 {
		if err := t.setDue(target.ID, t.soon(target), goesOnFor(r)); err != nil {
			return err
		}
	}
	t.Enqueue(WakeTarget, string(target.ID))
	if r.Release != "" {
		return t.endRelease(r, target, end)
	}
	return nil
}
