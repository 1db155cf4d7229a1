package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

// systemUser is the actor of what Usher does by itself.
const systemUser = "system"

func isConflict(err error) bool { return errors.Is(err, activation.ErrConflict) }

// log writes a line of a job's log.
func (t *tx) log(e activation.LogEntry) error {
	if e.Level == "" {
		e.Level = "info"
	}
	_, err := t.exec(`INSERT INTO job_log (job_id, at, event, level, code, message, context) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.Job, t.micros(), e.Event, e.Level, e.Code, e.Message, encode(e.Context))
	return err
}

// AddLog writes a line of a job's log; its time is the database's.
func (s *Store) AddLog(ctx context.Context, e activation.LogEntry) error {
	if err := s.do(ctx, func(t *tx) error { return t.log(e) }); err != nil {
		return fmt.Errorf("add job log: %w", err)
	}
	return nil
}

// JobLogs returns the log of one job, or of all jobs that are not killed when
// id is empty, since a time, oldest first, at most limit of the newest lines.
func (s *Store) JobLogs(ctx context.Context, id activation.JobID, since time.Time, limit int) ([]activation.LogEntry, error) {
	var w where
	if id != "" {
		equal(&w, "l.job_id", id)
	} else {
		w.add("EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.job_id AND j.state <> 'killed')")
	}
	w.compare("l.at", ">=", since)
	rows, err := s.read.QueryContext(ctx, `SELECT job_id, at, event, level, code, message, context FROM (
		SELECT l.* FROM job_log l`+w.sql()+` ORDER BY l.id DESC LIMIT `+w.next(limit)+`) newest ORDER BY id`, w.args...)
	out, err := collect(rows, err, func(r scanner) (activation.LogEntry, error) {
		var e activation.LogEntry
		err := r.Scan(&e.Job, stamp{&e.At}, &e.Event, &e.Level, &e.Code, &e.Message, object{&e.Context})
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("list job logs: %w", err)
	}
	return out, nil
}

// audit appends to the audit log.
func (t *tx) audit(e activation.AuditEntry) error {
	_, err := t.exec(`INSERT INTO audit (at, actor, verb, subject_type, subject_id, before_text, after_text) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		t.micros(), e.Actor, e.Verb, e.SubjectType, e.SubjectID, e.Before, e.After)
	return err
}

// AddAudit appends to the audit log; its time is the database's. Before and
// After must hold neither secrets nor personal data.
func (s *Store) AddAudit(ctx context.Context, e activation.AuditEntry) error {
	if err := s.do(ctx, func(t *tx) error { return t.audit(e) }); err != nil {
		return fmt.Errorf("add audit: %w", err)
	}
	return nil
}

// AuditFilter narrows Audit; empty fields match all.
type AuditFilter struct {
	SubjectType, SubjectID, Verb, Actor string
	// Before is the id to page on from: only older entries; 0 = the newest.
	Before int64
	// Limit is the most entries; 0 = 100.
	Limit int
}

// Audit lists the audit log, newest first.
func (s *Store) Audit(ctx context.Context, f AuditFilter) ([]activation.AuditEntry, error) {
	var w where
	equal(&w, "subject_type", f.SubjectType)
	equal(&w, "subject_id", f.SubjectID)
	equal(&w, "verb", f.Verb)
	equal(&w, "actor", f.Actor)
	if f.Before > 0 {
		w.add("id < $%d", f.Before)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id, at, actor, verb, subject_type, subject_id, before_text, after_text FROM audit`+
		w.sql()+` ORDER BY id DESC LIMIT `+w.next(orDefault(f.Limit, 100)), w.args...)
	out, err := collect(rows, err, func(r scanner) (activation.AuditEntry, error) {
		var e activation.AuditEntry
		err := r.Scan(&e.ID, stamp{&e.At}, &e.Actor, &e.Verb, &e.SubjectType, &e.SubjectID, &e.Before, &e.After)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	return out, nil
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}
