package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

const forgetColumns = `f.id, f.status, f.stage, f.asked_by, f.field, f.counts, f.error_code, f.error_text, f.requested_at, f.erased_at, f.removed_at, f.completed_at`

func scanForget(row scanner) (activation.Forget, error) {
	var f activation.Forget
	err := row.Scan(&f.ID, &f.Status, &f.Stage, &f.AskedBy, &f.Field, object{&f.Counts}, &f.ErrorCode, &f.ErrorText,
		stamp{&f.RequestedAt}, stamp{&f.ErasedAt}, stamp{&f.RemovedAt}, stamp{&f.CompletedAt})
	return f, err
}

// AddForget records that somebody is to be forgotten, whom f says by no more than
// the name of a field. An id that is known is left as it is.
func (s *Store) AddForget(ctx context.Context, f activation.Forget) (activation.Forget, error) {
	err := s.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO forgets (id, status, stage, asked_by, field, counts, error_code, error_text, requested_at)
			VALUES ($1, 'pending', 'erase', $2, $3, '{}', '', '', $4) ON CONFLICT (id) DO NOTHING`, f.ID, f.AskedBy, f.Field, t.micros())
		if err != nil {
			return err
		}
		if n > 0 {
			// The audit log says that somebody was forgotten, never who.
			err = t.audit(activation.AuditEntry{Actor: f.AskedBy, Verb: "forget", SubjectType: "forget", SubjectID: string(f.ID), After: f.Field})
		}
		if err == nil {
			f, err = t.forget(f.ID)
		}
		return err
	})
	if err != nil {
		return activation.Forget{}, fmt.Errorf("add forget: %w", err)
	}
	return f, nil
}

// Forget returns one forget with its targets, or ErrNotFound.
func (s *Store) Forget(ctx context.Context, id activation.ForgetID) (f activation.Forget, err error) {
	err = s.view(ctx, func(t *tx) error {
		f, err = t.forget(id)
		return err
	})
	return f, err
}

func (t *tx) forget(id activation.ForgetID) (activation.Forget, error) {
	f, err := scanForget(t.row(`SELECT `+forgetColumns+` FROM forgets f WHERE f.id = $1`, id))
	if f, err = found(f, err, "forget", id); err != nil {
		return f, err
	}
	all := []activation.Forget{f}
	err = t.forgetTargets(all)
	return all[0], err
}

// Forgets lists up to limit forgets with their targets, newest first.
func (s *Store) Forgets(ctx context.Context, limit int) ([]activation.Forget, error) {
	return s.forgets(ctx, `SELECT `+forgetColumns+` FROM forgets f ORDER BY f.requested_at DESC, f.id DESC LIMIT $1`, limit)
}

// PendingForgets lists the forgets of which something is still to be done, oldest
// first.
func (s *Store) PendingForgets(ctx context.Context) ([]activation.Forget, error) {
	return s.forgets(ctx, `SELECT `+forgetColumns+` FROM forgets f WHERE f.status = 'pending' ORDER BY f.requested_at, f.id`)
}

func (s *Store) forgets(ctx context.Context, query string, args ...any) (out []activation.Forget, err error) {
	err = s.view(ctx, func(t *tx) error {
		rows, err := t.query(query, args...)
		if out, err = collect(rows, err, scanForget); err != nil {
			return err
		}
		return t.forgetTargets(out)
	})
	if err != nil {
		return nil, fmt.Errorf("list forgets: %w", err)
	}
	return out, nil
}

// forgetTargets fills in what became of forgets at targets.
func (t *tx) forgetTargets(of []activation.Forget) error {
	if len(of) == 0 {
		return nil
	}
	at := make(map[activation.ForgetID]int, len(of))
	ids := make([]activation.ForgetID, len(of))
	for i, f := range of {
		of[i].Targets = []activation.ForgetTarget{}
		at[f.ID], ids[i] = i, f.ID
	}
	var w where
	in(&w, "a.forget_id", ids)
	rows, err := t.query(`SELECT a.forget_id, a.target_id, a.destination_id, a.destination, a.audience, a.status, a.run_number, a.code, a.closed_at
		FROM forget_targets a`+w.sql()+` ORDER BY a.destination, a.audience, a.target_id`, w.args...)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var id activation.ForgetID
		var a activation.ForgetTarget
		err := row.Scan(&id, &a.Target, &a.DestinationID, &a.Destination, &a.Audience, &a.Status, &a.Run, &a.Code, stamp{&a.ClosedAt})
		if err == nil {
			f := &of[at[id]]
			f.Targets = append(f.Targets, a)
		}
		return struct{}{}, err
	})
	return err
}

// SaveForget stores how far a forget is: stage and status, counts, error, and what
// became of it at its targets. Its times are those at which a stage was reached
// first. A stage that is behind the stored one changes nothing.
func (s *Store) SaveForget(ctx context.Context, f activation.Forget) (saved activation.Forget, err error) {
	err = s.do(ctx, func(t *tx) error {
		before, err := t.forget(f.ID)
		if err != nil {
			return err
		}
		if forgetStages[f.Stage] < forgetStages[before.Stage] {
			return conflict("the forget is at stage %s already", before.Stage)
		}
		erased, removed, completed := before.ErasedAt, before.RemovedAt, before.CompletedAt
		if f.Stage != activation.ForgetErase && erased.IsZero() {
			erased = t.now
		}
		if (f.Stage == activation.ForgetCompact || f.Stage == activation.ForgetDone) && removed.IsZero() {
			removed = t.now
		}
		status := activation.ForgetPending
		if f.Stage == activation.ForgetDone {
			status = activation.ForgetComplete
			if completed.IsZero() {
				completed = t.now
			}
		}
		if _, err := t.exec(`UPDATE forgets SET status = $1, stage = $2, counts = $3, error_code = $4, error_text = $5, erased_at = $6, removed_at = $7, completed_at = $8 WHERE id = $9`,
			status, f.Stage, encode(f.Counts), f.ErrorCode, f.ErrorText, at(erased), at(removed), at(completed), f.ID); err != nil {
			return err
		}
		for _, a := range f.Targets {
			if err := t.saveForgetTarget(f.ID, a); err != nil {
				return err
			}
		}
		if status == activation.ForgetComplete && before.Status != status {
			if err := t.audit(activation.AuditEntry{Actor: "system", Verb: "forgotten", SubjectType: "forget", SubjectID: string(f.ID)}); err != nil {
				return err
			}
		}
		saved, err = t.forget(f.ID)
		return err
	})
	if err != nil {
		return activation.Forget{}, fmt.Errorf("save forget %q: %w", f.ID, err)
	}
	return saved, nil
}

// forgetStages are the stages in their order.
var forgetStages = map[activation.ForgetStage]int{activation.ForgetErase: 0, activation.ForgetRemove: 1, activation.ForgetCompact: 2, activation.ForgetDone: 3}

func (t *tx) saveForgetTarget(id activation.ForgetID, a activation.ForgetTarget) error {
	closed := at(a.ClosedAt)
	switch {
	case a.Status == activation.ForgetAtPending:
		closed = nil
	case a.ClosedAt.IsZero():
		closed = t.micros()
	}
	_, err := t.exec(`INSERT INTO forget_targets (forget_id, target_id, destination_id, destination, audience, status, run_number, code, closed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (forget_id, target_id) DO UPDATE SET status = excluded.status, run_number = excluded.run_number, code = excluded.code, closed_at = excluded.closed_at`,
		id, a.Target, a.DestinationID, a.Destination, a.Audience, a.Status, a.Run, a.Code, closed)
	return err
}

// ForgetRun returns the newest run of a target that forgets, or ErrNotFound.
func (s *Store) ForgetRun(ctx context.Context, target activation.TargetID) (activation.Run, error) {
	r, err := scanRun(s.read.QueryRowContext(ctx, `SELECT `+runColumns+` FROM runs r WHERE r.target_id = $1 AND r.mode = 'forget' ORDER BY r.number DESC LIMIT 1`, target))
	return found(r, err, "run that forgets at target", target)
}
