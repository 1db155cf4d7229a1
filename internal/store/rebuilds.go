package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

const rebuildColumns = `r.id, r.number, r.status, r.reason, r.asked_by, r.attempt, r.cancelled_by, r.done, r.total, r.counts, r.error_code, r.error_text, r.started_at, r.ended_at`

func scanRebuild(row scanner) (activation.Rebuild, error) {
	var r activation.Rebuild
	err := row.Scan(&r.ID, &r.Number, &r.Status, &r.Reason, &r.AskedBy, &r.Attempt, &r.CancelledBy, &r.Done, &r.Total, object{&r.Counts},
		&r.ErrorCode, &r.ErrorText, stamp{&r.StartedAt}, stamp{&r.EndedAt})
	return r, err
}

// rebuildSubject is what events of rebuilds are about.
const rebuildSubject = "rebuild"

// CreateRebuild records that all messages are to be replayed. While another
// rebuild is under way it returns ErrConflict with its number.
func (s *Store) CreateRebuild(ctx context.Context, reason, user string) (r activation.Rebuild, err error) {
	err = s.do(ctx, func(t *tx) error {
		running, err := t.runningRebuild()
		if err != nil {
			return err
		}
		if running != nil {
			return conflict("rebuild #%d is under way", running.Number)
		}
		id := activation.NewID[activation.RebuildID]()
		if _, err := t.exec(`INSERT INTO rebuilds (id, number, status, reason, asked_by, attempt, done, total, counts, error_code, error_text, started_at)
			SELECT $1, coalesce(max(number), 0) + 1, 'running', $2, $3, 0, 0, 0, '{}', '', '', $4 FROM rebuilds`, id, reason, user, t.micros()); err != nil {
			return err
		}
		if user != systemUser {
			if err := t.audit(activation.AuditEntry{Actor: user, Verb: "rebuild", SubjectType: "rebuild", SubjectID: string(id), After: reason}); err != nil {
				return err
			}
		}
		r, err = t.rebuild(id)
		return err
	})
	if err != nil {
		return activation.Rebuild{}, fmt.Errorf("create rebuild: %w", err)
	}
	return r, nil
}

// TakeRebuild takes up the rebuild that is under way, as a new attempt of it; nil =
// none is.
func (s *Store) TakeRebuild(ctx context.Context) (r *activation.Rebuild, err error) {
	err = s.do(ctx, func(t *tx) error {
		running, err := t.runningRebuild()
		if err != nil || running == nil {
			return err
		}
		if _, err := t.exec(`UPDATE rebuilds SET attempt = attempt + 1, done = 0 WHERE id = $1`, running.ID); err != nil {
			return err
		}
		taken, err := t.rebuild(running.ID)
		r = &taken
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take rebuild: %w", err)
	}
	return r, nil
}

// Rebuild returns one rebuild, or ErrNotFound.
func (s *Store) Rebuild(ctx context.Context, id activation.RebuildID) (activation.Rebuild, error) {
	r, err := scanRebuild(s.read.QueryRowContext(ctx, `SELECT `+rebuildColumns+` FROM rebuilds r WHERE r.id = $1`, id))
	return found(r, err, "rebuild", id)
}

// Rebuilds lists up to limit rebuilds, newest first.
func (s *Store) Rebuilds(ctx context.Context, limit int) ([]activation.Rebuild, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+rebuildColumns+` FROM rebuilds r ORDER BY r.number DESC LIMIT $1`, limit)
	out, err := collect(rows, err, scanRebuild)
	if err != nil {
		return nil, fmt.Errorf("list rebuilds: %w", err)
	}
	return out, nil
}

// SaveRebuild stores how far an attempt is, and returns the rebuild, which
// somebody may want cancelled. An attempt that is not the present one, or one of a
// rebuild that is over, is ErrConflict.
func (s *Store) SaveRebuild(ctx context.Context, id activation.RebuildID, attempt int, done, total int64) (r activation.Rebuild, err error) {
	err = s.do(ctx, func(t *tx) error {
		if r, err = t.attemptOf(id, attempt); err != nil {
			return err
		}
		r.Done, r.Total = done, total
		_, err = t.exec(`UPDATE rebuilds SET done = $1, total = $2 WHERE id = $3`, done, total, id)
		return err
	})
	if err != nil {
		return activation.Rebuild{}, fmt.Errorf("save rebuild %q: %w", id, err)
	}
	return r, nil
}

// EndRebuild stores the end of the attempt r: its status, counts, progress and error.
func (s *Store) EndRebuild(ctx context.Context, r activation.Rebuild) (ended activation.Rebuild, err error) {
	err = s.do(ctx, func(t *tx) error {
		before, err := t.attemptOf(r.ID, r.Attempt)
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE rebuilds SET status = $1, done = $2, total = $3, counts = $4, error_code = $5, error_text = $6, ended_at = $7 WHERE id = $8`,
			r.Status, r.Done, r.Total, encode(r.Counts), r.ErrorCode, r.ErrorText, t.micros(), r.ID); err != nil {
			return err
		}
		r.Number = before.Number
		if err := t.rebuildEvent(r); err != nil {
			return err
		}
		ended, err = t.rebuild(r.ID)
		return err
	})
	if err != nil {
		return activation.Rebuild{}, fmt.Errorf("end rebuild %q: %w", r.ID, err)
	}
	return ended, nil
}

// CancelRebuild asks that a rebuild be cancelled; whoever replays ends it. One that
// is over is ErrConflict.
func (s *Store) CancelRebuild(ctx context.Context, id activation.RebuildID, user string) (r activation.Rebuild, err error) {
	err = s.do(ctx, func(t *tx) error {
		before, err := t.rebuild(id)
		if err != nil {
			return err
		}
		if before.Status != activation.RebuildRunning {
			return conflict("rebuild #%d is %s", before.Number, before.Status)
		}
		if before.CancelledBy == "" {
			if _, err := t.exec(`UPDATE rebuilds SET cancelled_by = $1 WHERE id = $2`, user, id); err != nil {
				return err
			}
			if err := t.audit(activation.AuditEntry{Actor: user, Verb: "cancel", SubjectType: "rebuild", SubjectID: string(id)}); err != nil {
				return err
			}
		}
		r, err = t.rebuild(id)
		return err
	})
	if err != nil {
		return activation.Rebuild{}, fmt.Errorf("cancel rebuild %q: %w", id, err)
	}
	return r, nil
}

func (t *tx) rebuild(id activation.RebuildID) (activation.Rebuild, error) {
	r, err := scanRebuild(t.row(`SELECT `+rebuildColumns+` FROM rebuilds r WHERE r.id = $1`, id))
	return found(r, err, "rebuild", id)
}

func (t *tx) runningRebuild() (*activation.Rebuild, error) {
	return collectOne(t, scanRebuild, `SELECT `+rebuildColumns+` FROM rebuilds r WHERE r.status = 'running'`)
}

// attemptOf returns a running rebuild whose present attempt this is.
func (t *tx) attemptOf(id activation.RebuildID, attempt int) (activation.Rebuild, error) {
	r, err := t.rebuild(id)
	switch {
	case err != nil:
		return r, err
	case r.Status != activation.RebuildRunning:
		return r, conflict("rebuild #%d is %s", r.Number, r.Status)
	case r.Attempt != attempt:
		return r, conflict("rebuild #%d was taken up by attempt %d", r.Number, r.Attempt)
	}
	return r, nil
}

// rebuildEvent tells how a rebuild ended; a person who cancelled one knows.
func (t *tx) rebuildEvent(r activation.Rebuild) error {
	e := activation.Event{Source: activation.SourceQuery, SubjectID: rebuildSubject, SubjectName: fmt.Sprintf("Rebuild #%d", r.Number)}
	switch r.Status {
	case activation.RebuildFailed:
		e.Type, e.Level, e.Code, e.Message = activation.EventFailed, "error", r.ErrorCode, r.ErrorText
		return t.event(e)
	case activation.RebuildCompleted:
		e.Message = "all profiles are made anew"
		if err := t.better(e); err != nil {
			return err
		}
		e.Type, e.Message = activation.EventCompleted, fmt.Sprintf("%d messages are replayed: %d profiles changed, %d are new, %d are gone",
			r.Total, r.Counts["changed_profiles"], r.Counts["new_profiles"], r.Counts["gone_profiles"])
		return t.event(e)
	case activation.RebuildRunning, activation.RebuildCancelled:
	}
	return nil
}

// StreamDrifted tells that what a stream brings has changed in a way nobody
// declared; message says how, without values.
func (s *Store) StreamDrifted(ctx context.Context, stream, message string) error {
	return s.do(ctx, func(t *tx) error {
		return t.event(activation.Event{Source: activation.SourceQuery, Type: activation.EventDrifted, SubjectID: stream, SubjectName: stream, Level: "warn", Message: message})
	})
}

// StreamSettled tells that what a stream brings now was accepted.
func (s *Store) StreamSettled(ctx context.Context, stream string) error {
	return s.do(ctx, func(t *tx) error {
		return t.better(activation.Event{Source: activation.SourceQuery, SubjectID: stream, SubjectName: stream, Message: "what the stream brings now is accepted"})
	})
}
