package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

const alertColumns = `a.job_id, a.source, a.subject_id, a.subject_name, a.state, a.type, a.code, a.message, a.since, a.resolved_at, a.acknowledged_at, a.acknowledged_by, a.silenced_until`

func scanAlert(r scanner) (activation.Alert, error) {
	var a activation.Alert
	err := r.Scan(&a.Job, &a.Source, &a.SubjectID, &a.SubjectName, &a.State, &a.Type, &a.Code, &a.Message, stamp{&a.Since}, stamp{&a.ResolvedAt}, stamp{&a.AcknowledgedAt}, &a.AcknowledgedBy, stamp{&a.SilencedUntil})
	return a, err
}

const noticeColumns = `n.id, n.job_id, n.event_id, n.event_at, n.source, n.type, n.subject_id, n.subject_name, n.level, n.code, n.message, n.run, n.per_mille,
	n.recovery, n.repeat, n.state, n.attempts, n.created_at, n.sent_at, n.answer, n.error_code, n.error_text`

func scanNotice(r scanner) (activation.Notice, error) {
	var n activation.Notice
	e := &n.Event
	err := r.Scan(&n.ID, &n.Job, &e.ID, stamp{&e.At}, &e.Source, &e.Type, &e.SubjectID, &e.SubjectName, &e.Level, &e.Code, &e.Message, &e.Run, &e.PerMille,
		&n.Recovery, &n.Repeat, &n.State, &n.Attempts, stamp{&n.CreatedAt}, stamp{&n.SentAt}, &n.Answer, &n.ErrorCode, &n.ErrorText)
	return n, err
}

// startCursor makes an alert job begin behind the events there are, its own
// creation included.
func (t *tx) startCursor(id activation.JobID) error {
	_, err := t.exec(`INSERT INTO alert_cursors (job_id, event_id) SELECT $1, coalesce(max(e.id), 0) FROM events e`, id)
	return err
}

// Judge says what an event means to an alert job. have is what it last told
// about the subject (no State: nothing); now is what is so after the event (no
// State: still nothing). tell asks for a notice, recovery for one that says that
// the subject works again. It is called within a transaction, perhaps more than
// once, and must not do anything else.
type Judge func(have activation.Alert, e activation.Event) (now activation.Alert, tell, recovery bool)

// settleGap is how long a gap in the ids of events may be one that another
// transaction still fills: PostgreSQL gives ids before the commit, in any order.
const settleGap = 30 * time.Second

// ReadEvents moves an alert job past up to limit events it has not read, and
// returns how many: its cursor, its alerts and the notices move in one
// transaction, so that a crash doubles and loses nothing. What changes about an
// alert that is silenced or acknowledged is kept as a silenced notice.
func (s *Store) ReadEvents(ctx context.Context, job activation.JobID, limit int, judge Judge) (int, error) {
	read := 0
	err := s.do(ctx, func(t *tx) error {
		var cursor int64
		if err := t.row(`SELECT event_id FROM alert_cursors WHERE job_id = $1`+t.d.ForUpdate, job).Scan(&cursor); err != nil {
			return fmt.Errorf("read cursor: %w", err)
		}
		rows, err := t.query(`SELECT `+eventColumns+` FROM events e WHERE e.id > $1 ORDER BY e.id LIMIT $2`, cursor, limit)
		events, err := collect(rows, err, scanEvent)
		if err != nil {
			return err
		}
		events = settledEvents(cursor, events, t.now)
		for _, e := range events {
			if err := t.judged(job, e, judge); err != nil {
				return err
			}
			cursor = e.ID
		}
		if read = len(events); read == 0 {
			return nil
		}
		return t.must(activation.ErrConflict, `UPDATE alert_cursors SET event_id = $1 WHERE job_id = $2 AND event_id < $1`, cursor, job)
	})
	if err != nil {
		return 0, fmt.Errorf("read events of alert job %q: %w", job, err)
	}
	return read, nil
}

// settledEvents returns the events up to the first gap that may still be filled.
func settledEvents(cursor int64, events []activation.Event, now time.Time) []activation.Event {
	for i, e := range events {
		if e.ID != cursor+1 && e.At.After(now.Add(-settleGap)) {
			return events[:i]
		}
		cursor = e.ID
	}
	return events
}

func (t *tx) judged(job activation.JobID, e activation.Event, judge Judge) error {
	have, err := t.alert(job, e.Source, e.SubjectID)
	if err != nil {
		return err
	}
	now, tell, recovery := judge(have, e)
	if now.State != "" && now != have {
		now.Job, now.Source, now.SubjectID = job, e.Source, e.SubjectID
		if err := t.saveAlert(now); err != nil {
			return err
		}
	}
	if !tell {
		return nil
	}
	n := activation.Notice{ID: activation.NewID[activation.NoticeID](), Job: job, Event: e, Recovery: recovery, State: activation.NoticePending}
	if have.Quiet(t.now) {
		n.State = activation.NoticeSilenced
	}
	return t.addNotice(n)
}

// alert returns what a job last told about a subject; the zero value when that
// is nothing.
func (t *tx) alert(job activation.JobID, source activation.Source, subject string) (activation.Alert, error) {
	a, err := collectOne(t, scanAlert, `SELECT `+alertColumns+` FROM alerts a WHERE a.job_id = $1 AND a.source = $2 AND a.subject_id = $3`+t.d.ForUpdate, job, source, subject)
	if err != nil || a == nil {
		return activation.Alert{}, err
	}
	return *a, nil
}

func (t *tx) saveAlert(a activation.Alert) error {
	_, err := t.exec(`INSERT INTO alerts (job_id, source, subject_id, subject_name, state, type, code, message, since, resolved_at, acknowledged_at, acknowledged_by, silenced_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (job_id, source, subject_id) DO UPDATE SET subject_name = excluded.subject_name, state = excluded.state, type = excluded.type, code = excluded.code,
			message = excluded.message, since = excluded.since, resolved_at = excluded.resolved_at, acknowledged_at = excluded.acknowledged_at,
			acknowledged_by = excluded.acknowledged_by, silenced_until = excluded.silenced_until`,
		a.Job, a.Source, a.SubjectID, a.SubjectName, a.State, a.Type, a.Code, a.Message, a.Since.UnixMicro(), at(a.ResolvedAt), at(a.AcknowledgedAt), a.AcknowledgedBy, at(a.SilencedUntil))
	return err
}

func (t *tx) addNotice(n activation.Notice) error {
	e := n.Event
	_, err := t.exec(`INSERT INTO notices (id, job_id, event_id, event_at, source, type, subject_id, subject_name, level, code, message, run, per_mille, recovery, repeat, state, attempts, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, $17)`,
		n.ID, n.Job, e.ID, e.At.UnixMicro(), e.Source, e.Type, e.SubjectID, e.SubjectName, e.Level, e.Code, e.Message, e.Run, e.PerMille, n.Recovery, n.Repeat, n.State, t.micros())
	return err
}

// dueRepeats finds the newest notice of each alert of the jobs that still fires
// and was last told of before $1. A test (event 0) is none of them.
const dueRepeats = `SELECT ` + noticeColumns + ` FROM alerts a JOIN notices n ON n.id = (SELECT m.id FROM notices m
		WHERE m.job_id = a.job_id AND m.source = a.source AND m.subject_id = a.subject_id AND m.event_id > 0 ORDER BY m.created_at DESC, m.event_id DESC, m.repeat DESC LIMIT 1)
	WHERE a.job_id = $1 AND a.state = 'firing' AND a.acknowledged_at IS NULL AND (a.silenced_until IS NULL OR a.silenced_until <= $2)
		AND NOT n.recovery AND n.state NOT IN ('pending', 'sending') AND n.created_at <= $3`

// RepeatNotices tells again what still fires, was told at least after ago and is
// neither acknowledged nor silenced, and returns how much that is.
func (s *Store) RepeatNotices(ctx context.Context, job activation.JobID, after time.Duration) (int, error) {
	n := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(dueRepeats, job, t.micros(), t.now.Add(-after).UnixMicro())
		due, err := collect(rows, err, scanNotice)
		if err != nil {
			return err
		}
		for _, d := range due {
			d.ID, d.State, d.Repeat = activation.NewID[activation.NoticeID](), activation.NoticePending, d.Repeat+1
			if err := t.addNotice(d); err != nil {
				return err
			}
		}
		n = len(due)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("repeat notices of alert job %q: %w", job, err)
	}
	return n, nil
}

// AlertsWaiting reports whether an alert job has events to read, notices to send
// or, where after is more than 0, notices to repeat.
func (s *Store) AlertsWaiting(ctx context.Context, job activation.JobID, after time.Duration) (bool, error) {
	waits := false
	err := s.view(ctx, func(t *tx) error {
		n, err := t.count(`SELECT (SELECT count(*) FROM events e JOIN alert_cursors c ON c.job_id = $1 AND e.id > c.event_id)
			+ (SELECT count(*) FROM notices n WHERE n.job_id = $1 AND n.state IN ('pending', 'sending'))`, job)
		if waits = n > 0; err != nil || waits || after <= 0 {
			return err
		}
		rows, err := t.query(dueRepeats+` LIMIT 1`, job, t.micros(), t.now.Add(-after).UnixMicro())
		due, err := collect(rows, err, scanNotice)
		waits = len(due) > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for what alert job %q has to do: %w", job, err)
	}
	return waits, nil
}

// ClaimNotice takes the oldest notice of an alert job that is to be sent, and
// makes it sending with one attempt more. One that is sending already was left
// so by a crash: whether it arrived is unknown, so it is sent again under the
// same id. ErrNotFound when there is none.
func (s *Store) ClaimNotice(ctx context.Context, job activation.JobID) (activation.Notice, error) {
	var n activation.Notice
	err := s.do(ctx, func(t *tx) error {
		next, err := collectOne(t, scanNotice, `SELECT `+noticeColumns+` FROM notices n WHERE n.job_id = $1 AND n.state IN ('pending', 'sending')
			ORDER BY n.event_id, n.repeat, n.created_at, n.id LIMIT 1`+t.d.ForUpdate, job)
		if err != nil {
			return err
		}
		if next == nil {
			return activation.ErrNotFound
		}
		n = *next
		n.State, n.Attempts = activation.NoticeSending, n.Attempts+1
		return t.must(activation.ErrFenced, `UPDATE notices SET state = 'sending', attempts = $1 WHERE id = $2 AND attempts = $3`, n.Attempts, n.ID, next.Attempts)
	})
	if err != nil {
		return activation.Notice{}, fmt.Errorf("claim notice: %w", err)
	}
	return n, nil
}

// NoticeSent records that a claimed notice arrived, and what was answered. It is
// refused with ErrFenced when the notice was claimed again since.
func (s *Store) NoticeSent(ctx context.Context, n activation.Notice, answer string) error {
	return s.endAttempt(ctx, n, activation.NoticeSent, answer, nil)
}

// NoticeErred records that an attempt did not succeed. A notice that was refused
// for good (state failed) is not sent again; one that is pending is.
func (s *Store) NoticeErred(ctx context.Context, n activation.Notice, state activation.NoticeState, cause error) error {
	return s.endAttempt(ctx, n, state, "", cause)
}

func (s *Store) endAttempt(ctx context.Context, n activation.Notice, state activation.NoticeState, answer string, cause error) error {
	var code, message string
	if cause != nil {
		code, message = activation.CodeOf(cause), activation.SafeMessage(cause)
	}
	err := s.do(ctx, func(t *tx) error {
		var sentAt any
		if state == activation.NoticeSent {
			sentAt = t.micros()
		}
		return t.must(activation.ErrFenced, `UPDATE notices SET state = $1, sent_at = $2, answer = $3, error_code = $4, error_text = $5 WHERE id = $6 AND state = 'sending' AND attempts = $7`,
			state, sentAt, answer, code, message, n.ID, n.Attempts)
	})
	if err != nil {
		return fmt.Errorf("end attempt of notice %q: %w", n.ID, err)
	}
	return nil
}

// AddTestNotice records a notice that a person asked for, as it ended: it is
// never sent by the job itself.
func (s *Store) AddTestNotice(ctx context.Context, n activation.Notice, user string) error {
	err := s.do(ctx, func(t *tx) error {
		tests, err := t.count(`SELECT coalesce(min(event_id), 0) FROM notices WHERE job_id = $1 AND event_id <= 0`, n.Job)
		if err != nil {
			return err
		}
		n.Event.ID = tests - 1
		added := n
		added.State = activation.NoticeSilenced
		if err := t.addNotice(added); err != nil {
			return err
		}
		var sentAt any
		if n.State == activation.NoticeSent {
			sentAt = t.micros()
		}
		if _, err := t.exec(`UPDATE notices SET state = $1, attempts = 1, sent_at = $2, answer = $3, error_code = $4, error_text = $5 WHERE id = $6`, n.State, sentAt, n.Answer, n.ErrorCode, n.ErrorText, n.ID); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "test", SubjectType: "job", SubjectID: string(n.Job), After: encode(map[string]string{"notice": string(n.State)})})
	})
	if err != nil {
		return fmt.Errorf("record test notice: %w", err)
	}
	return nil
}

// AlertFilter narrows Alerts; empty fields match all.
type AlertFilter struct {
	Job activation.JobID
	// Shown is one of activation.AlertsShown, or "" for all.
	Shown string
	// Limit is the most alerts; 0 = 500.
	Limit int
}

// Alerts lists what alert jobs that are not deleted told: what fires first, the
// newest first.
func (s *Store) Alerts(ctx context.Context, f AlertFilter) ([]activation.Alert, error) {
	var out []activation.Alert
	err := s.view(ctx, func(t *tx) error {
		var w where
		w.add("EXISTS (SELECT 1 FROM jobs j WHERE j.id = a.job_id AND j.deleted_at IS NULL)")
		equal(&w, "a.job_id", f.Job)
		switch f.Shown {
		case string(activation.AlertFiring):
			w.add("a.state = 'firing' AND a.acknowledged_at IS NULL AND (a.silenced_until IS NULL OR a.silenced_until <= $%d)", t.micros())
		case activation.ShownAcknowledged:
			w.add("a.state = 'firing' AND a.acknowledged_at IS NOT NULL AND (a.silenced_until IS NULL OR a.silenced_until <= $%d)", t.micros())
		case activation.ShownSilenced:
			w.add("a.state = 'firing' AND a.silenced_until > $%d", t.micros())
		case string(activation.AlertResolved):
			w.add("a.state = 'resolved'")
		}
		rows, err := t.query(`SELECT `+alertColumns+` FROM alerts a`+w.sql()+` ORDER BY CASE WHEN a.state = 'firing' THEN 0 ELSE 1 END, a.since DESC, a.job_id, a.source, a.subject_id LIMIT `+w.next(orDefault(f.Limit, 500)), w.args...)
		out, err = collect(rows, err, scanAlert)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list alerts: %w", err)
	}
	return out, nil
}

// AcknowledgeAlert records that a person knows of an alert that fires: nothing
// more is told about it until it is resolved.
func (s *Store) AcknowledgeAlert(ctx context.Context, job activation.JobID, source activation.Source, subject, user string) (activation.Alert, error) {
	return s.changeAlert(ctx, job, source, subject, user, "acknowledge", func(t *tx, a *activation.Alert) {
		if a.AcknowledgedAt.IsZero() {
			a.AcknowledgedAt, a.AcknowledgedBy = t.now, user
		}
	})
}

// SilenceAlert makes an alert job tell nothing about a subject for a while.
func (s *Store) SilenceAlert(ctx context.Context, job activation.JobID, source activation.Source, subject string, d time.Duration, user string) (activation.Alert, error) {
	return s.changeAlert(ctx, job, source, subject, user, "silence", func(t *tx, a *activation.Alert) { a.SilencedUntil = t.now.Add(d) })
}

// UnsilenceAlert ends a silence and an acknowledgement.
func (s *Store) UnsilenceAlert(ctx context.Context, job activation.JobID, source activation.Source, subject, user string) (activation.Alert, error) {
	return s.changeAlert(ctx, job, source, subject, user, "unsilence", func(_ *tx, a *activation.Alert) {
		a.SilencedUntil, a.AcknowledgedAt, a.AcknowledgedBy = time.Time{}, time.Time{}, ""
	})
}

func (s *Store) changeAlert(ctx context.Context, job activation.JobID, source activation.Source, subject, user, verb string, fn func(*tx, *activation.Alert)) (activation.Alert, error) {
	var a activation.Alert
	err := s.do(ctx, func(t *tx) (err error) {
		if a, err = t.alert(job, source, subject); err != nil {
			return err
		}
		switch {
		case a.State == "":
			return fmt.Errorf("alert of job %q about %s %q: %w", job, source, subject, activation.ErrNotFound)
		case a.State != activation.AlertFiring:
			return conflict("the alert is resolved; there is nothing to %s", verb)
		}
		fn(t, &a)
		if err := t.saveAlert(a); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: verb, SubjectType: "alert", SubjectID: string(job) + "/" + string(source) + "/" + subject})
	})
	if err != nil {
		return activation.Alert{}, fmt.Errorf("%s alert: %w", verb, err)
	}
	return a, nil
}

// NoticeFilter narrows Notices; empty fields match all.
type NoticeFilter struct {
	Job    activation.JobID
	States []activation.NoticeState
	// Before pages on: only notices older than that one; "" = the newest.
	Before activation.NoticeID
	// Limit is the most notices; 0 = 100.
	Limit int
}

// Notices lists the notices of alert jobs, newest first.
func (s *Store) Notices(ctx context.Context, f NoticeFilter) ([]activation.Notice, error) {
	var w where
	equal(&w, "n.job_id", f.Job)
	in(&w, "n.state", f.States)
	if f.Before != "" {
		w.add("(n.created_at, n.id) < (SELECT b.created_at, b.id FROM notices b WHERE b.id = $%d)", string(f.Before))
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+noticeColumns+` FROM notices n`+w.sql()+` ORDER BY n.created_at DESC, n.id DESC LIMIT `+w.next(orDefault(f.Limit, 100)), w.args...)
	out, err := collect(rows, err, scanNotice)
	if err != nil {
		return nil, fmt.Errorf("list notices: %w", err)
	}
	return out, nil
}

// EndNotices ends, when an alert job has ended, what it was to send: what may
// have arrived is unknown, the rest has failed.
func (t *tx) endNotices(job activation.JobID) error {
	_, err := t.exec(`UPDATE notices SET state = CASE WHEN state = 'sending' THEN 'unknown' ELSE 'failed' END, error_code = 'JOB-ENDED', error_text = 'the alert job ended'
		WHERE job_id = $1 AND state IN ('pending', 'sending')`, job)
	return err
}

// PurgeNotices deletes notices of a time ago, at most limit, and returns how
// many. The newest of each alert that fires stays: it is what is repeated.
func (s *Store) PurgeNotices(ctx context.Context, before time.Time, limit int) (int64, error) {
	var n int64
	err := s.do(ctx, func(t *tx) (err error) {
		n, err = t.exec(`DELETE FROM notices WHERE id IN (SELECT n.id FROM notices n WHERE n.created_at < $1 AND n.state NOT IN ('pending', 'sending')
			AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.job_id = n.job_id AND a.source = n.source AND a.subject_id = n.subject_id AND a.state = 'firing')
			ORDER BY n.created_at LIMIT $2)`, before.UnixMicro(), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purge notices: %w", err)
	}
	return n, nil
}
