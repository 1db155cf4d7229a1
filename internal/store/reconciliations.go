package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

const reconciliationColumns = `c.id, c.target_id, c.generation, c.method, c.status, c.ledger, c.remote_low, c.remote_high, c.missing, c.extra,
	c.error_code, c.error_text, c.asked_by, c.started_at, c.ended_at, c.repaired_by, c.repaired_at`

func scanReconciliation(r scanner) (activation.Reconciliation, error) {
	var c activation.Reconciliation
	err := r.Scan(&c.ID, &c.Target, &c.Generation, &c.Method, &c.Status, &c.Ledger, &c.RemoteLow, &c.RemoteHigh, &c.Missing, &c.Extra,
		&c.ErrorCode, &c.ErrorText, &c.AskedBy, stamp{&c.StartedAt}, stamp{&c.EndedAt}, &c.RepairedBy, stamp{&c.RepairedAt})
	return c, err
}

// keepReconciliations is how many comparisons of a target are kept.
const keepReconciliations = 100

// Reconciliation returns one comparison, or ErrNotFound.
func (s *Store) Reconciliation(ctx context.Context, id activation.ReconciliationID) (activation.Reconciliation, error) {
	c, err := scanReconciliation(s.read.QueryRowContext(ctx, `SELECT `+reconciliationColumns+` FROM reconciliations c WHERE c.id = $1`, id))
	return found(c, err, "reconciliation", id)
}

// Reconciliations lists the comparisons of a target, the newest first; "" = of
// all targets.
func (s *Store) Reconciliations(ctx context.Context, target activation.TargetID, limit int) ([]activation.Reconciliation, error) {
	var w where
	equal(&w, "c.target_id", target)
	rows, err := s.read.QueryContext(ctx, `SELECT `+reconciliationColumns+` FROM reconciliations c`+w.sql()+` ORDER BY c.started_at DESC, c.id LIMIT `+w.next(limit), w.args...)
	out, err := collect(rows, err, scanReconciliation)
	if err != nil {
		return nil, fmt.Errorf("list reconciliations: %w", err)
	}
	return out, nil
}

// SaveReconciliation stores a comparison, or what has become of it. That a
// network no longer holds what was sent to it is an event, and that it does
// again; who asked and who repaired is in the audit log.
func (s *Store) SaveReconciliation(ctx context.Context, c activation.Reconciliation) error {
	err := s.do(ctx, func(t *tx) error {
		target, err := t.target(c.Target)
		if err != nil {
			return err
		}
		before, err := collectOne(t, scanReconciliation, `SELECT `+reconciliationColumns+` FROM reconciliations c WHERE c.id = $1`, c.ID)
		if err != nil {
			return err
		}
		if before == nil {
			err = t.insertReconciliation(c)
		} else {
			err = t.updateReconciliation(*before, c)
		}
		if err != nil || before != nil && before.Status == c.Status {
			return err
		}
		return t.reconciled(target, c)
	})
	if err != nil {
		return fmt.Errorf("save reconciliation %q: %w", c.ID, err)
	}
	return nil
}

func (t *tx) insertReconciliation(c activation.Reconciliation) error {
	if _, err := t.exec(`INSERT INTO reconciliations (id, target_id, generation, method, status, ledger, remote_low, remote_high, missing, extra,
		error_code, error_text, asked_by, started_at, ended_at, repaired_by, repaired_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		c.ID, c.Target, c.Generation, c.Method, c.Status, c.Ledger, c.RemoteLow, c.RemoteHigh, c.Missing, c.Extra,
		c.ErrorCode, c.ErrorText, c.AskedBy, at(c.StartedAt), at(c.EndedAt), c.RepairedBy, at(c.RepairedAt)); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM reconciliations WHERE target_id = $1 AND id NOT IN
		(SELECT c.id FROM reconciliations c WHERE c.target_id = $1 ORDER BY c.started_at DESC, c.id LIMIT $2)`, c.Target, keepReconciliations); err != nil {
		return err
	}
	if c.AskedBy == systemUser {
		return nil
	}
	return t.audit(activation.AuditEntry{Actor: c.AskedBy, Verb: "reconcile", SubjectType: "target", SubjectID: string(c.Target)})
}

func (t *tx) updateReconciliation(before, c activation.Reconciliation) error {
	if _, err := t.exec(`UPDATE reconciliations SET generation = $1, method = $2, status = $3, ledger = $4, remote_low = $5, remote_high = $6, missing = $7, extra = $8,
		error_code = $9, error_text = $10, ended_at = $11, repaired_by = $12, repaired_at = $13 WHERE id = $14`,
		c.Generation, c.Method, c.Status, c.Ledger, c.RemoteLow, c.RemoteHigh, c.Missing, c.Extra,
		c.ErrorCode, c.ErrorText, at(c.EndedAt), c.RepairedBy, at(c.RepairedAt), c.ID); err != nil {
		return err
	}
	if c.Status != activation.ReconcileRepaired || before.Status == c.Status {
		return nil
	}
	return t.audit(activation.AuditEntry{
		Actor: c.RepairedBy, Verb: "repair", SubjectType: "target", SubjectID: string(c.Target),
		After: encode(map[string]int64{"missing": c.Missing, "extra": c.Extra}),
	})
}

// reconciled writes what a comparison says of the job of its target, where that
// is another thing than the one before said.
func (t *tx) reconciled(target activation.Target, c activation.Reconciliation) error {
	if target.Job == "" || c.Status != activation.ReconcileDrifted && c.Status != activation.ReconcileEqual {
		return nil
	}
	earlier, err := collectOne(t, scanReconciliation, `SELECT `+reconciliationColumns+` FROM reconciliations c
		WHERE c.target_id = $1 AND c.id <> $2 AND c.status IN ('equal', 'drifted', 'repaired') ORDER BY c.started_at DESC, c.id LIMIT 1`, target.ID, c.ID)
	if err != nil {
		return err
	}
	was := activation.ReconcileEqual
	if earlier != nil {
		was = earlier.Status
	}
	if c.Status == was {
		return nil
	}
	if c.Status == activation.ReconcileDrifted {
		return t.driftedEvent(target, c)
	}
	return t.inStep(target)
}

// driftedEvent writes that a network does not hold what was sent to it.
func (t *tx) driftedEvent(target activation.Target, c activation.Reconciliation) error {
	var where, what string
	if err := t.row(`SELECT d.name, coalesce(a.name, '') FROM targets t JOIN destinations d ON d.id = t.destination_id
		LEFT JOIN audiences a ON a.id = t.audience_id WHERE t.id = $1`, target.ID).Scan(&where, &what); err != nil {
		return err
	}
	message := fmt.Sprintf("%q at %q: %d of the people who were sent are missing there, and %d are there who were not sent", what, where, c.Missing, c.Extra)
	if c.Method != activation.ByMembers {
		message = fmt.Sprintf("%q at %q: %d people were sent, and the network counts from %d to %d", what, where, c.Ledger, c.RemoteLow, c.RemoteHigh)
	}
	j, err := t.job(target.Job)
	if err != nil {
		return err
	}
	return t.event(activation.Event{
		Source: activation.SourceWork, Type: activation.EventDrifted, SubjectID: string(j.ID), SubjectName: j.Name, Level: "warn", Message: message,
	})
}

// inStep writes that a network holds again what was sent to it, if that is what
// was wrong with the job and no other target of it has drifted.
func (t *tx) inStep(target activation.Target) error {
	last, err := t.lastHealth(activation.SourceWork, string(target.Job))
	if err != nil || last.Type != activation.EventDrifted {
		return err
	}
	others, err := t.count(`SELECT count(*) FROM targets t JOIN reconciliations c ON c.id = (SELECT n.id FROM reconciliations n
			WHERE n.target_id = t.id AND n.status IN ('equal', 'drifted', 'repaired') ORDER BY n.started_at DESC, n.id LIMIT 1)
		WHERE t.job_id = $1 AND t.id <> $2 AND c.status <> 'equal'`, target.Job, target.ID)
	if err != nil || others > 0 {
		return err
	}
	j, err := t.job(target.Job)
	if err != nil {
		return err
	}
	return t.better(activation.Event{Source: activation.SourceWork, SubjectID: string(j.ID), SubjectName: j.Name, Message: "the network holds again what was sent to it"})
}

// DueReconciliations lists up to limit targets with a remote audience and a
// living job none of whose comparisons began at a time or later; those that were
// not looked at for longest come first.
func (s *Store) DueReconciliations(ctx context.Context, before time.Time, limit int) ([]activation.TargetID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT q.id FROM (
			SELECT t.id, coalesce((SELECT max(c.started_at) FROM reconciliations c WHERE c.target_id = t.id), 0) AS compared
			FROM targets t JOIN jobs j ON j.id = t.job_id AND j.deleted_at IS NULL AND j.state NOT IN ('killed', 'completed')
			WHERE t.remote_id <> '' AND t.audience_id <> '' AND t.release_mode IS NULL) q
		WHERE q.compared < $1 ORDER BY q.compared, q.id LIMIT $2`, before.UnixMicro(), limit)
	ids, err := collect(rows, err, scanID)
	if err != nil {
		return nil, fmt.Errorf("list targets to compare: %w", err)
	}
	out := make([]activation.TargetID, len(ids))
	for i, id := range ids {
		out[i] = activation.TargetID(id)
	}
	return out, nil
}
