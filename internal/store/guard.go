package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

// approvalTime is how long a run waits for an answer before it is declined.
const approvalTime = 7 * 24 * time.Hour

// AwaitApproval makes the run Pending with reason approval, stores its plan and
// gives open_run back; ErrConflict when an item was ever claimed. The target
// sleeps with the same reason, which holds back nothing but a run for changes
// that this one has seen.
func (s *Store) AwaitApproval(ctx context.Context, r activation.Run) error {
	err := s.do(ctx, func(t *tx) error {
		_, target, err := t.lockRun(r.ID)
		if err != nil {
			return err
		}
		if err := t.owns(r); err != nil {
			return err
		}
		if err := t.unclaimed(r.ID); err != nil {
			return err
		}
		if err := t.saveRun(r); err != nil {
			return err
		}
		until := t.now.Add(approvalTime)
		if err := t.must(activation.ErrFenced, `UPDATE runs SET status = 'pending', reason = 'approval', reason_until = $1, node = NULL, lease_until = NULL, wait_until = NULL, stalled_at = NULL
			WHERE id = $2 AND attempt = $3 AND status = 'running'`, until.UnixMicro(), r.ID, r.Attempt); err != nil {
			return err
		}
		if err := t.must(conflict("the run is not the open one of its target"), `UPDATE targets SET open_run = NULL WHERE id = $1 AND open_run = $2`, r.Target, r.ID); err != nil {
			return err
		}
		if err := t.setRest(target, activation.Asking(restOf(target), until)); err != nil {
			return err
		}
		t.Enqueue(WakeTarget, string(r.Target))
		if err := t.approvalEvent(r); err != nil {
			return err
		}
		return t.settleJob(r.Job)
	})
	if err != nil {
		return fmt.Errorf("await approval of run %q: %w", r.ID, err)
	}
	return nil
}

// Approve lets a run that waits for approval go on: it takes open_run again
// (else ErrConflict naming the open run). The answer also covers a successor
// with at most one per cent more plain removals.
func (s *Store) Approve(ctx context.Context, id activation.RunID, user string) error {
	return s.answer(ctx, id, activation.Approved, user)
}

// Decline is Approve, but the run goes on without its plain removals, which are
// not asked about again until they grow by one per cent.
func (s *Store) Decline(ctx context.Context, id activation.RunID, user string) error {
	return s.answer(ctx, id, activation.Declined, user)
}

func (s *Store) answer(ctx context.Context, id activation.RunID, answer, user string) error {
	err := s.do(ctx, func(t *tx) error {
		r, target, err := t.lockRun(id)
		if err != nil {
			return err
		}
		if r.Status != activation.RunPending || r.Reason != activation.SleepApproval {
			return conflict("run #%d does not wait for approval", r.Number)
		}
		if target.OpenRun != "" {
			return t.openConflict(target)
		}
		if err := t.must(activation.ErrConflict, `UPDATE runs SET reason = NULL, reason_until = NULL, verdict = $1, verdict_removes = $2, verdict_at = $3, progress_at = $3
			WHERE id = $4 AND status = 'pending' AND reason = 'approval'`, answer, r.Counts.Remove, t.micros(), id); err != nil {
			return err
		}
		if err := t.must(activation.ErrConflict, `UPDATE targets SET open_run = $1, last_opened_at = $3 WHERE id = $2 AND open_run IS NULL`, id, target.ID, t.micros()); err != nil {
			return err
		}
		if err := t.setRest(target, activation.Opened(restOf(target))); err != nil {
			return err
		}
		t.Enqueue(WakeRun, string(id))
		verb := map[string]string{activation.Approved: "approve", activation.Declined: "decline"}[answer]
		if err := t.audit(activation.AuditEntry{Actor: user, Verb: verb, SubjectType: "run", SubjectID: string(id), After: encode(map[string]int64{"remove": r.Counts.Remove})}); err != nil {
			return err
		}
		return t.settleJob(r.Job)
	})
	if err != nil {
		return fmt.Errorf("%s run %q: %w", map[string]string{activation.Approved: "approve", activation.Declined: "decline"}[answer], id, err)
	}
	return nil
}

// DeclineOverdue declines, as the system, the runs that have waited for
// approval for seven days, and returns how many there were. A run whose target
// is busy is left for the next time.
func (s *Store) DeclineOverdue(ctx context.Context) (int, error) {
	var overdue []string
	err := s.view(ctx, func(t *tx) (err error) {
		rows, err := t.query(`SELECT r.id FROM runs r JOIN targets t ON t.id = r.target_id AND t.open_run IS NULL
			WHERE r.status = 'pending' AND r.reason_until <= $1`, t.micros())
		overdue, err = collect(rows, err, scanID)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list overdue approvals: %w", err)
	}
	n := 0
	for _, id := range overdue {
		switch err := s.Decline(ctx, activation.RunID(id), systemUser); {
		case err == nil:
			n++
		case !isConflict(err):
			return n, err
		}
	}
	return n, nil
}

// LastVerdict returns the newest answer about any run of the target; the zero
// value when there is none.
func (s *Store) LastVerdict(ctx context.Context, target activation.TargetID) (activation.GuardVerdict, error) {
	var v activation.GuardVerdict
	err := s.read.QueryRowContext(ctx, `SELECT verdict, verdict_removes, verdict_at FROM runs WHERE target_id = $1 AND verdict IS NOT NULL
		ORDER BY verdict_at DESC, number DESC LIMIT 1`, target).Scan(&v.Answer, &v.Removes, stamp{&v.At})
	if errors.Is(err, sql.ErrNoRows) {
		return activation.GuardVerdict{}, nil
	}
	if err != nil {
		return activation.GuardVerdict{}, fmt.Errorf("read verdict: %w", err)
	}
	return v, nil
}

// Withdraw ends a Pending run, nothing of which was sent.
func (s *Store) Withdraw(ctx context.Context, id activation.RunID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		r, target, err := t.lockRun(id)
		if err != nil {
			return err
		}
		if r.Status != activation.RunPending {
			return conflict("run #%d is %s; only a pending run can be withdrawn", r.Number, r.Status)
		}
		if err := t.endUnsent(id); err != nil {
			return err
		}
		if err := t.wakeFromApproval(target.ID); err != nil {
			return err
		}
		if err := t.callOff(r, target); err != nil {
			return err
		}
		if err := t.audit(activation.AuditEntry{Actor: user, Verb: "withdraw", SubjectType: "run", SubjectID: string(id)}); err != nil {
			return err
		}
		return t.settleJob(r.Job)
	})
	if err != nil {
		return fmt.Errorf("withdraw run %q: %w", id, err)
	}
	return nil
}

// wakeFromApproval ends a target's sleep with reason approval.
func (t *tx) wakeFromApproval(id activation.TargetID) error {
	target, err := t.target(id)
	if err != nil {
		return err
	}
	return t.setRest(target, activation.WokenFrom(restOf(target), activation.SleepApproval))
}
