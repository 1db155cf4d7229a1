package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

const scheduledColumns = `s.id, s.publisher_id, s.kind, s.object_id, s.action, s.next_at, s.days, s.hour, s.last_entry, s.created_by, s.created_at`

func scanScheduled(r scanner) (activation.ScheduledOperation, error) {
	var s activation.ScheduledOperation
	err := r.Scan(&s.ID, &s.Publisher, &s.Object.Kind, &s.Object.ID, &s.Action, stamp{&s.At}, object{&s.Days}, &s.Hour, &s.LastEntry, &s.CreatedBy, stamp{&s.CreatedAt})
	return s, err
}

// Schedules lists the scheduled operations of an account, the next one first and what is
// done last.
func (s *Store) Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+scheduledColumns+` FROM publisher_schedules s WHERE s.publisher_id = $1
		ORDER BY CASE WHEN s.next_at IS NULL THEN 1 ELSE 0 END, s.next_at, s.created_at, s.id`, id)
	out, err := collect(rows, err, scanScheduled)
	if err != nil {
		return nil, fmt.Errorf("list scheduled operations: %w", err)
	}
	return out, nil
}

// DueSchedules lists up to limit scheduled operations of all accounts whose time has
// come, the longest overdue first.
func (s *Store) DueSchedules(ctx context.Context, now time.Time, limit int) ([]activation.ScheduledOperation, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+scheduledColumns+` FROM publisher_schedules s WHERE s.next_at <= $1 ORDER BY s.next_at, s.id LIMIT $2`, now.UnixMicro(), limit)
	out, err := collect(rows, err, scanScheduled)
	if err != nil {
		return nil, fmt.Errorf("list due operations: %w", err)
	}
	return out, nil
}

// PutSchedule stores a scheduled operation: a new one where it has no id, else in place
// of what it was.
func (s *Store) PutSchedule(ctx context.Context, o activation.ScheduledOperation, user string) (put activation.ScheduledOperation, err error) {
	err = s.do(ctx, func(t *tx) error {
		if _, err := t.publisher(o.Publisher); err != nil {
			return err
		}
		put = o
		verb := "update"
		if put.ID == "" {
			verb, put.ID, put.CreatedBy, put.CreatedAt = "create", activation.NewID[string](), user, t.now
			_, err = t.exec(`INSERT INTO publisher_schedules (id, publisher_id, kind, object_id, action, next_at, days, hour, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
				put.ID, put.Publisher, put.Object.Kind, put.Object.ID, put.Action, at(put.At), list(put.Days), put.Hour, put.CreatedBy, t.micros())
		} else {
			err = t.must(fmt.Errorf("scheduled operation %q: %w", put.ID, activation.ErrNotFound),
				`UPDATE publisher_schedules SET kind = $3, object_id = $4, action = $5, next_at = $6, days = $7, hour = $8 WHERE id = $1 AND publisher_id = $2`,
				put.ID, put.Publisher, put.Object.Kind, put.Object.ID, put.Action, at(put.At), list(put.Days), put.Hour)
		}
		if err != nil {
			return err
		}
		if put, err = scanScheduled(t.row(`SELECT `+scheduledColumns+` FROM publisher_schedules s WHERE s.id = $1`, put.ID)); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: verb, SubjectType: "publisher_schedule", SubjectID: put.ID, After: encode(put)})
	})
	if err != nil {
		return activation.ScheduledOperation{}, fmt.Errorf("store scheduled operation: %w", err)
	}
	return put, nil
}

// DeleteSchedule deletes a scheduled operation.
func (s *Store) DeleteSchedule(ctx context.Context, id activation.PublisherID, schedule, user string) error {
	return s.deletePlan(ctx, `DELETE FROM publisher_schedules WHERE id = $1 AND publisher_id = $2`, "scheduled operation", "publisher_schedule", id, schedule, user)
}

func (s *Store) deletePlan(ctx context.Context, statement, what, subject string, account activation.PublisherID, id, user string) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(fmt.Errorf("%s %q: %w", what, id, activation.ErrNotFound), statement, id, account); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: subject, SubjectID: id})
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", what, err)
	}
	return nil
}

// moveSchedule moves a scheduled operation on to its next time once its entry is
// written. Another that has done so before is ErrConflict.
func (t *tx) moveSchedule(o activation.ScheduledOperation, entry activation.EntryID) error {
	return t.must(conflict("the scheduled operation %q was moved on already", o.ID),
		`UPDATE publisher_schedules SET next_at = CAST($1 AS BIGINT), last_entry = $2 WHERE id = $3 AND next_at IS NOT NULL AND (CAST($1 AS BIGINT) IS NULL OR next_at < CAST($1 AS BIGINT))`, at(o.At), int64(entry), o.ID)
}

const strategyColumns = `s.id, s.publisher_id, s.name, s.body, s.run_at, s.created_at, s.updated_at`

func scanStrategy(r scanner) (activation.Strategy, error) {
	var s activation.Strategy
	var body string
	var id, name string
	var publisher activation.PublisherID
	var run, created, updated time.Time
	if err := r.Scan(&id, &publisher, &name, &body, stamp{&run}, stamp{&created}, stamp{&updated}); err != nil {
		return s, err
	}
	err := object{&s}.Scan(body)
	s.ID, s.Publisher, s.Name, s.RunAt, s.CreatedAt, s.UpdatedAt = id, publisher, name, run, created, updated
	return s, err
}

// Strategies lists the bidding strategies of an account by name.
func (s *Store) Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+strategyColumns+` FROM publisher_strategies s WHERE s.publisher_id = $1 ORDER BY s.name`, id)
	out, err := collect(rows, err, scanStrategy)
	if err != nil {
		return nil, fmt.Errorf("list bidding strategies: %w", err)
	}
	return out, nil
}

// Strategy returns one bidding strategy of an account, or ErrNotFound.
func (s *Store) Strategy(ctx context.Context, id activation.PublisherID, strategy string) (activation.Strategy, error) {
	one, err := scanStrategy(s.read.QueryRowContext(ctx, `SELECT `+strategyColumns+` FROM publisher_strategies s WHERE s.publisher_id = $1 AND s.id = $2`, id, strategy))
	return found(one, err, "bidding strategy", strategy)
}

// PutStrategy stores a bidding strategy: a new one where it has no id, else in place of
// what it was. A name that another has is ErrConflict.
func (s *Store) PutStrategy(ctx context.Context, given activation.Strategy, user string) (put activation.Strategy, err error) {
	err = s.do(ctx, func(t *tx) error {
		if _, err := t.publisher(given.Publisher); err != nil {
			return err
		}
		put = given
		verb := "update"
		if put.ID == "" {
			verb, put.ID, put.CreatedBy = "create", activation.NewID[string](), user
			_, err = t.exec(`INSERT INTO publisher_strategies (id, publisher_id, name, body, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`, put.ID, put.Publisher, put.Name, encode(put), t.micros())
		} else {
			before, err := scanStrategy(t.row(`SELECT `+strategyColumns+` FROM publisher_strategies s WHERE s.publisher_id = $1 AND s.id = $2`, put.Publisher, put.ID))
			if before, err = found(before, err, "bidding strategy", put.ID); err != nil {
				return err
			}
			put.CreatedBy = before.CreatedBy
			_, err = t.exec(`UPDATE publisher_strategies SET name = $1, body = $2, updated_at = $3 WHERE id = $4`, put.Name, encode(put), t.micros(), put.ID)
			if err != nil {
				return strategyTaken(err, put.Name)
			}
		}
		if err != nil {
			return strategyTaken(err, put.Name)
		}
		if put, err = scanStrategy(t.row(`SELECT `+strategyColumns+` FROM publisher_strategies s WHERE s.id = $1`, put.ID)); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: verb, SubjectType: "publisher_strategy", SubjectID: put.ID, After: encode(put)})
	})
	if err != nil {
		return activation.Strategy{}, fmt.Errorf("store bidding strategy: %w", err)
	}
	return put, nil
}

func strategyTaken(err error, name string) error {
	if isConflict(err) {
		return conflict("a bidding strategy named %q exists already", name)
	}
	return err
}

// DeleteStrategy deletes a bidding strategy.
func (s *Store) DeleteStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) error {
	return s.deletePlan(ctx, `DELETE FROM publisher_strategies WHERE id = $1 AND publisher_id = $2`, "bidding strategy", "publisher_strategy", id, strategy, user)
}

// SaveProposals keeps what the last run of a strategy made of each object.
func (s *Store) SaveProposals(ctx context.Context, id activation.PublisherID, strategy string, ran time.Time, made []activation.BidProposal) error {
	err := s.do(ctx, func(t *tx) error {
		return t.must(fmt.Errorf("bidding strategy %q: %w", strategy, activation.ErrNotFound),
			`UPDATE publisher_strategies SET proposals = $1, run_at = $2 WHERE id = $3 AND publisher_id = $4`, list(made), at(ran), strategy, id)
	})
	if err != nil {
		return fmt.Errorf("keep what a strategy proposes: %w", err)
	}
	return nil
}

// Proposals returns what the last run of a strategy made of each object.
func (s *Store) Proposals(ctx context.Context, id activation.PublisherID, strategy string) (out []activation.BidProposal, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT s.proposals FROM publisher_strategies s WHERE s.publisher_id = $1 AND s.id = $2`, id, strategy).Scan(object{&out})
	return found(out, err, "bidding strategy", strategy)
}

// DropState returns how far a job has read a drop folder, nil = it has not begun.
func (s *Store) DropState(ctx context.Context, job activation.JobID) ([]byte, error) {
	var state string
	err := s.read.QueryRowContext(ctx, `SELECT state FROM publisher_drops WHERE job_id = $1`, job).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far a drop folder was read: %w", err)
	}
	return []byte(state), nil
}

// SaveDropState keeps how far a job has read a drop folder.
func (s *Store) SaveDropState(ctx context.Context, job activation.JobID, state []byte) error {
	if err := s.do(ctx, func(t *tx) error { return t.saveDrop(job, state) }); err != nil {
		return fmt.Errorf("keep how far a drop folder was read: %w", err)
	}
	return nil
}

func (t *tx) saveDrop(job activation.JobID, state []byte) error {
	_, err := t.exec(`INSERT INTO publisher_drops (job_id, state) VALUES ($1, $2) ON CONFLICT (job_id) DO UPDATE SET state = excluded.state`, job, string(state))
	return err
}
