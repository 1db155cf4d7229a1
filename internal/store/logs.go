package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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

// LogFilter narrows Logs; empty fields match all.
type LogFilter struct {
	// Job is "" for all jobs that are not killed.
	Job          activation.JobID
	Since, Until time.Time
	Events       []activation.LogEvent
	Levels       []string
	// After is the id to page on from: only later lines; 0 = from the first.
	After int64
	// Newest takes the newest lines where there are more than Limit.
	Newest bool
	// Limit is the most lines; 0 = 100.
	Limit int
	// Detail adds to warnings and errors what is known of their runs.
	Detail bool
}

// Logs returns lines of jobs' logs, oldest first.
func (s *Store) Logs(ctx context.Context, f LogFilter) ([]activation.LogEntry, error) {
	var w where
	if f.Job != "" {
		equal(&w, "l.job_id", f.Job)
	} else {
		w.add("EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.job_id AND j.state <> 'killed')")
	}
	w.compare("l.at", ">=", f.Since)
	w.compare("l.at", "<", f.Until)
	in(&w, "l.event", f.Events)
	in(&w, "l.level", f.Levels)
	if f.After > 0 {
		w.add("l.id > $%d", f.After)
	}
	order := ""
	if f.Newest {
		order = " DESC"
	}
	var out []activation.LogEntry
	err := s.view(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT id, job_id, at, event, level, code, message, context FROM job_log l`+w.sql()+` ORDER BY l.id`+order+` LIMIT `+w.next(orDefault(f.Limit, 100)), w.args...)
		out, err = collect(rows, err, func(r scanner) (activation.LogEntry, error) {
			var e activation.LogEntry
			err := r.Scan(&e.ID, &e.Job, stamp{&e.At}, &e.Event, &e.Level, &e.Code, &e.Message, object{&e.Context})
			return e, err
		})
		if err != nil || !f.Detail {
			return err
		}
		return t.detail(out)
	})
	if err != nil {
		return nil, fmt.Errorf("list job logs: %w", err)
	}
	if f.Newest {
		slices.Reverse(out)
	}
	return out, nil
}

// JobLogs returns the newest lines of the log of one job, or of all jobs that
// are not killed when id is empty, since a time, oldest first.
func (s *Store) JobLogs(ctx context.Context, id activation.JobID, since time.Time, limit int) ([]activation.LogEntry, error) {
	return s.Logs(ctx, LogFilter{Job: id, Since: since, Limit: limit, Newest: true})
}

// detail adds to warnings and errors what is known of their runs and passes.
func (t *tx) detail(lines []activation.LogEntry) error {
	for i, l := range lines {
		if l.Context.Run == 0 || l.Level != "warn" && l.Level != "error" {
			continue
		}
		d, err := t.detailOf(l.Job, l.Context.Run)
		if err != nil {
			return err
		}
		lines[i].Detail = d
	}
	return nil
}

// detailOf returns what is known of a run or pass of a job, or nil.
func (t *tx) detailOf(job activation.JobID, number int64) (*activation.LogDetail, error) {
	d, err := collectOne(t, func(r scanner) (activation.LogDetail, error) {
		var d activation.LogDetail
		err := r.Scan(&d.Run, &d.Status, &d.Stage, &d.ErrorKind, &d.ErrorCode, &d.Error)
		return d, err
	}, `SELECT number, status, stage, error_kind, error_code, error_text FROM runs WHERE job_id = $1 AND number = $2
		UNION ALL SELECT number, status, '', error_kind, error_code, error_text FROM passes WHERE job_id = $1 AND number = $2`, job, number)
	if err != nil || d == nil {
		return d, err
	}
	rows, err := t.query(`SELECT i.state, i.code, max(i.message), count(*), CAST(sum(i.last_row - i.first_row + 1) AS BIGINT)
		FROM runs r JOIN items i ON i.run_id = r.id WHERE r.job_id = $1 AND r.number = $2 AND i.code <> '' GROUP BY i.state, i.code ORDER BY i.state, i.code`, job, number)
	d.Items, err = collect(rows, err, func(r scanner) (activation.LogItems, error) {
		var n activation.LogItems
		err := r.Scan(&n.State, &n.Code, &n.Message, &n.Items, &n.Rows)
		return n, err
	})
	return d, err
}

// logItem writes what became of an item into the log of a job that logs all.
func (t *tx) logItem(run activation.RunID, number int, state activation.ItemState, code string, rc activation.Receipt) error {
	e := activation.LogEntry{Event: activation.LogItem, Level: "debug", Code: code}
	err := t.row(`SELECT j.id, r.number FROM runs r JOIN jobs j ON j.id = r.job_id AND j.verbose_logging WHERE r.id = $1`, run).Scan(&e.Job, &e.Context.Run)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read job of run %q: %w", run, err)
	}
	e.Message = fmt.Sprintf("item %d is %s: %d accepted, %d rejected, %d unknown, %d unsent, %d superseded", number, state, rc.Accepted, rc.Rejected, rc.Unknown, rc.Unsent, rc.Superseded)
	return t.log(e)
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
	// Since and Until bound the time: since included, until not.
	Since, Until time.Time
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
	w.compare("at", ">=", f.Since)
	w.compare("at", "<", f.Until)
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
