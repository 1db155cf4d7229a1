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

// Events are an outbox: what somebody may want to be told is written in the
// transaction that makes it so, and read by the alert jobs later.

// health are the types of event that say how a subject is; the newest of them
// is how it is now.
const health = `('error', 'failed', 'stalled', 'approval', 'unusual_counts', 'drifted', 'unhealthy', 'recovered')`

const eventColumns = `e.id, e.at, e.source, e.type, e.subject_id, e.subject_name, e.level, e.code, e.message, e.run, e.per_mille`

func scanEvent(r scanner) (activation.Event, error) {
	var e activation.Event
	err := r.Scan(&e.ID, stamp{&e.At}, &e.Source, &e.Type, &e.SubjectID, &e.SubjectName, &e.Level, &e.Code, &e.Message, &e.Run, &e.PerMille)
	return e, err
}

// event writes an event; its time is the database's.
func (t *tx) event(e activation.Event) error {
	if e.Level == "" {
		e.Level = "info"
	}
	_, err := t.exec(`INSERT INTO events (at, source, type, subject_id, subject_name, level, code, message, run, per_mille) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.micros(), e.Source, e.Type, e.SubjectID, e.SubjectName, e.Level, e.Code, e.Message, e.Run, e.PerMille)
	if err != nil {
		return err
	}
	readers, err := t.count(`SELECT count(*) FROM alert_cursors`)
	if readers > 0 {
		t.Enqueue(WakePass, "")
	}
	return err
}

// eventOfJob writes an event about a job that says nothing of its health.
func (t *tx) eventOfJob(j activation.Job, kind activation.EventType, message string) error {
	return t.event(activation.Event{Source: activation.SourceWork, Type: kind, SubjectID: string(j.ID), SubjectName: j.Name, Message: message})
}

// commandEvents are the events of what people tell a job.
var commandEvents = map[activation.LogEvent]activation.EventType{
	activation.LogPaused: activation.EventPaused, activation.LogResumed: activation.EventResumed,
	activation.LogBounced: activation.EventResumed, activation.LogKilled: activation.EventKilled,
}

// commandEvent writes the event of a command; some have none.
func (t *tx) commandEvent(j activation.Job, event activation.LogEvent) error {
	kind, ok := commandEvents[event]
	if !ok {
		return nil
	}
	return t.eventOfJob(j, kind, string(event))
}

// lastHealth returns the newest event that says how a subject is; the zero
// value when there is none.
func (t *tx) lastHealth(source activation.Source, subject string) (activation.Event, error) {
	return t.lastEvent(`e.type IN `+health, source, subject)
}

func (t *tx) lastEvent(condition string, source activation.Source, subject string) (activation.Event, error) {
	e, err := collectOne(t, scanEvent, `SELECT `+eventColumns+` FROM events e WHERE e.source = $1 AND e.subject_id = $2 AND `+condition+` ORDER BY e.id DESC LIMIT 1`, source, subject)
	if err != nil || e == nil {
		return activation.Event{}, err
	}
	return *e, nil
}

// worse writes an event about something that is wrong, unless that is what was
// wrong already: an error that is tried again and again is one event.
func (t *tx) worse(e activation.Event) error {
	last, err := t.lastHealth(e.Source, e.SubjectID)
	if err != nil || last.Type == e.Type {
		return err
	}
	return t.event(e)
}

// better writes that a subject works again, if the newest that was said about
// it is that it does not.
func (t *tx) better(e activation.Event) error {
	last, err := t.lastHealth(e.Source, e.SubjectID)
	if err != nil || last.Type == "" || last.Type == activation.EventRecovered {
		return err
	}
	e.Type, e.Level = activation.EventRecovered, "info"
	return t.event(e)
}

// erred writes the event of an error of a job that it will try again, or, where
// the server itself is at fault, one of the server.
func (t *tx) erred(j activation.Job, kind activation.Kind, code, message string, run int64) error {
	if kind == activation.Unauthorized { // the authorization tells it, once for all jobs on it
		return nil
	}
	if code == activation.CodeOf(nil) {
		return t.serverErred(code, message)
	}
	return t.worse(activation.Event{
		Source: activation.SourceWork, Type: activation.EventErred, SubjectID: string(j.ID), SubjectName: j.Name,
		Level: "warn", Code: code, Message: message, Run: run,
	})
}

// gaveUp writes that a job, or one of its targets, will not go on by itself.
func (t *tx) gaveUp(j activation.Job, code, message string, run int64) error {
	return t.event(activation.Event{
		Source: activation.SourceWork, Type: activation.EventFailed, SubjectID: string(j.ID), SubjectName: j.Name,
		Level: "error", Code: code, Message: message, Run: run,
	})
}

// fine writes that a job without targets works again, and so does the server.
func (t *tx) fine(j activation.Job, run int64) error {
	if err := t.serverWorks(); err != nil {
		return err
	}
	return t.better(activation.Event{Source: activation.SourceWork, SubjectID: string(j.ID), SubjectName: j.Name, Message: "the job works again", Run: run})
}

// serverSubject is the subject of the events of the server itself.
const serverSubject = "server"

func (t *tx) serverErred(code, message string) error {
	return t.worse(activation.Event{
		Source: activation.SourceServer, Type: activation.EventErred, SubjectID: serverSubject, SubjectName: "This server",
		Level: "error", Code: code, Message: message,
	})
}

func (t *tx) serverWorks() error {
	return t.better(activation.Event{Source: activation.SourceServer, SubjectID: serverSubject, SubjectName: "This server", Message: "the server works again"})
}

// ServerErred records an error of the server itself, such as a full disk: one
// event until ServerWorks, however often it is called.
func (s *Store) ServerErred(ctx context.Context, code, message string) error {
	if err := s.do(ctx, func(t *tx) error { return t.serverErred(code, message) }); err != nil {
		return fmt.Errorf("record error of the server: %w", err)
	}
	return nil
}

// ServerWorks records that the server works, if the newest that was said about
// it is that it does not.
func (s *Store) ServerWorks(ctx context.Context) error {
	if err := s.do(ctx, (*tx).serverWorks); err != nil {
		return fmt.Errorf("record that the server works: %w", err)
	}
	return nil
}

// runEvents writes what the end of a run says about its job. job is as it was
// before the run ended, rest is how its target is now.
func (t *tx) runEvents(job activation.Job, r activation.Run, kind activation.Kind, rest activation.Rest) error {
	switch {
	case kind == activation.WaitUntil:
		return nil
	case kind == "":
		return t.succeeded(job, r)
	case rest.State == activation.TargetFailed:
		after, err := t.job(job.ID)
		if err != nil || after.State == activation.JobFailed { // told where the job moved
			return err
		}
		return t.gaveUp(job, r.ErrorCode, "one of its targets gave up: "+r.ErrorText, r.Number)
	}
	return t.erred(job, kind, r.ErrorCode, r.ErrorText, r.Number)
}

// succeeded writes what a run that ended well says: that the job works again,
// that its counts are unusual, how many rows were rejected.
func (t *tx) succeeded(job activation.Job, r activation.Run) error {
	if err := t.serverWorks(); err != nil {
		return err
	}
	last, err := t.lastHealth(activation.SourceWork, string(job.ID))
	if err != nil {
		return err
	}
	unusual, err := t.unusual(r)
	if err != nil {
		return err
	}
	over, err := t.isOver(last, r)
	if err != nil {
		return err
	}
	if over && !(unusual != "" && last.Type == activation.EventUnusual) {
		if err := t.better(activation.Event{Source: activation.SourceWork, SubjectID: string(job.ID), SubjectName: job.Name, Message: "the job works again", Run: r.Number}); err != nil {
			return err
		}
	}
	if unusual != "" {
		if err := t.worse(activation.Event{
			Source: activation.SourceWork, Type: activation.EventUnusual, SubjectID: string(job.ID), SubjectName: job.Name, Level: "warn", Message: unusual, Run: r.Number,
		}); err != nil {
			return err
		}
	}
	return t.rejectedRows(job, r)
}

// isOver reports whether a good run of r's target means that what was wrong
// with the job is over. What one target did, another does not mend.
func (t *tx) isOver(last activation.Event, r activation.Run) (bool, error) {
	switch last.Type {
	case activation.EventErred, activation.EventFailed:
		n, err := t.count(`SELECT count(*) FROM targets WHERE job_id = $1 AND (state = 'failed' OR consecutive_errors > 0 OR failing_since IS NOT NULL)`, r.Job)
		return n == 0, err
	case activation.EventStalled, activation.EventApproval, activation.EventUnusual:
		n, err := t.count(`SELECT count(*) FROM runs WHERE number = $1 AND target_id <> $2`, last.Run, r.Target)
		return n == 0, err
	default:
		return false, nil
	}
}

// What is unusual: this many times the median of the newest runs, if there are
// that many to compare with and that many people are concerned.
const (
	unusualTimes   = 5
	unusualNewest  = 10
	unusualLeast   = 5
	unusualFromAll = 100
)

// unusual says in words what is unusual about the counts of a run compared with
// the newest completed runs of its target before it; "" = nothing.
func (t *tx) unusual(r activation.Run) (string, error) {
	if r.Counts.Added < unusualFromAll && r.Counts.Removed < unusualFromAll {
		return "", nil
	}
	rows, err := t.query(`SELECT r.counts FROM runs r WHERE r.target_id = $1 AND r.number < $2 AND r.status = 'completed' ORDER BY r.number DESC LIMIT $3`, r.Target, r.Number, unusualNewest)
	before, err := collect(rows, err, scanCounts)
	if err != nil || len(before) < unusualLeast {
		return "", err
	}
	for _, c := range []struct {
		what string
		now  int64
		of   func(activation.Counts) int64
	}{
		{"added", r.Counts.Added, func(c activation.Counts) int64 { return c.Added }},
		{"removed", r.Counts.Removed, func(c activation.Counts) int64 { return c.Removed }},
	} {
		each := make([]int64, len(before))
		for i, b := range before {
			each[i] = c.of(b)
		}
		slices.Sort(each)
		median := each[len(each)/2]
		if c.now >= unusualFromAll && c.now > unusualTimes*median {
			return fmt.Sprintf("%d people were %s; the median of the %d runs before is %d", c.now, c.what, len(before), median), nil
		}
	}
	return "", nil
}

func scanCounts(r scanner) (activation.Counts, error) {
	var c activation.Counts
	err := r.Scan(object{&c})
	return c, err
}

// rejectedRows writes how many of the rows that the newest runs of all the
// job's targets sent were rejected, when that has changed.
func (t *tx) rejectedRows(job activation.Job, r activation.Run) error {
	if r.Counts.Sent == 0 {
		return nil
	}
	rows, err := t.query(`SELECT r.counts FROM targets t JOIN runs r ON r.id = (SELECT n.id FROM runs n
			WHERE n.target_id = t.id AND n.job_id = t.job_id AND n.status = 'completed' AND n.counts NOT LIKE '%"sent":0,%' ORDER BY n.number DESC LIMIT 1)
		WHERE t.job_id = $1`, job.ID)
	newest, err := collect(rows, err, scanCounts)
	if err != nil {
		return err
	}
	var sent, rejected int64
	for _, c := range newest {
		sent, rejected = sent+c.Sent, rejected+c.Rejected
	}
	return t.rejected(job, rejected, sent, r.Number)
}

// rejected writes that so many of all rows of a job were rejected, when the
// share is not what it was.
func (t *tx) rejected(job activation.Job, rejected, all, run int64) error {
	if all == 0 {
		return nil
	}
	last, err := t.lastEvent(`e.type = 'rejected_rows'`, activation.SourceWork, string(job.ID))
	if err != nil {
		return err
	}
	perMille := (rejected*1000 + all - 1) / all
	if perMille == last.PerMille {
		return nil
	}
	level := "warn"
	if rejected == 0 {
		level = "info"
	}
	return t.event(activation.Event{
		Source: activation.SourceWork, Type: activation.EventRejected, SubjectID: string(job.ID), SubjectName: job.Name, Level: level,
		Message: fmt.Sprintf("%d of %d rows were rejected", rejected, all), Run: run, PerMille: perMille,
	})
}

// lastError is the code, text and number of the newest run of a job that erred.
func (t *tx) lastError(id activation.JobID) (code, message string, run int64, err error) {
	err = t.row(`SELECT error_code, error_text, number FROM (
			SELECT error_code, error_text, number, started_at FROM runs WHERE job_id = $1 AND error_code <> ''
			UNION ALL SELECT error_code, error_text, number, started_at FROM passes WHERE job_id = $1 AND error_code <> '') newest
		ORDER BY started_at DESC, number DESC LIMIT 1`, id).Scan(&code, &message, &run)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "it will not run again by itself", 0, nil
	}
	return code, message, run, err
}

// jobGaveUp writes that a job has failed, and why.
func (t *tx) jobGaveUp(j activation.Job) error {
	code, message, run, err := t.lastError(j.ID)
	if err != nil {
		return err
	}
	return t.gaveUp(j, code, message, run)
}

// eventOfAuthorization writes an event about stored credentials.
func (t *tx) eventOfAuthorization(a activation.Authorization, kind activation.EventType, message string) error {
	return t.event(activation.Event{Source: activation.SourceAuth, Type: kind, SubjectID: string(a.ID), SubjectName: a.Label, Message: message})
}

// authorizationErred writes, once, that credentials do not work any more.
func (t *tx) authorizationErred(id activation.AuthorizationID, reason string) error {
	label, err := t.labelOf(id)
	if err != nil {
		return err
	}
	return t.worse(activation.Event{
		Source: activation.SourceAuth, Type: activation.EventUnhealthy, SubjectID: string(id), SubjectName: label, Level: "error", Message: reason,
	})
}

// authorizationWorks writes, once, that credentials work again.
func (t *tx) authorizationWorks(id activation.AuthorizationID) error {
	label, err := t.labelOf(id)
	if err != nil {
		return err
	}
	return t.better(activation.Event{Source: activation.SourceAuth, SubjectID: string(id), SubjectName: label, Message: "the authorization works again"})
}

func (t *tx) labelOf(id activation.AuthorizationID) (label string, err error) {
	err = t.row(`SELECT label FROM authorizations WHERE id = $1`, id).Scan(&label)
	return label, err
}

// eventOfAudience writes an event about a saved rule.
func (t *tx) eventOfAudience(a activation.Audience, kind activation.EventType, message string) error {
	return t.event(activation.Event{Source: activation.SourceSegment, Type: kind, SubjectID: string(a.ID), SubjectName: a.Name, Message: message})
}

// removedEvents name the source and the name of what remove deletes.
var removedEvents = map[string]struct {
	source activation.Source
	name   string
}{
	"authorization": {activation.SourceAuth, `SELECT label FROM authorizations WHERE id = $1`},
}

// removedEvent writes, before a thing is deleted, that it is; not everything
// that can be deleted has events. What is not there has none either.
func (t *tx) removedEvent(what, id string) error {
	of, ok := removedEvents[what]
	if !ok {
		return nil
	}
	var name string
	err := t.row(of.name, id).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.event(activation.Event{Source: of.source, Type: activation.EventDeleted, SubjectID: id, SubjectName: name, Message: "deleted"})
}

// EventFilter narrows Events; empty fields match all.
type EventFilter struct {
	Source    activation.Source
	SubjectID string
	Types     []activation.EventType
	// Before is the id to page on from: only older events; 0 = the newest.
	Before int64
	// Limit is the most events; 0 = 100.
	Limit int
}

// Events lists the events, newest first.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]activation.Event, error) {
	var w where
	equal(&w, "e.source", f.Source)
	equal(&w, "e.subject_id", f.SubjectID)
	in(&w, "e.type", f.Types)
	if f.Before > 0 {
		w.add("e.id < $%d", f.Before)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM events e`+w.sql()+` ORDER BY e.id DESC LIMIT `+w.next(orDefault(f.Limit, 100)), w.args...)
	out, err := collect(rows, err, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return out, nil
}

// PurgeEvents deletes events that are older than a time, at most limit, and
// returns how many. The newest event about the health of each subject stays, for
// it is what the next one is compared with, and so does what an alert job has
// not read.
func (s *Store) PurgeEvents(ctx context.Context, before time.Time, limit int) (int64, error) {
	var n int64
	err := s.do(ctx, func(t *tx) (err error) {
		n, err = t.exec(`DELETE FROM events WHERE id IN (SELECT e.id FROM events e WHERE e.at < $1
			AND (e.type NOT IN `+health+` OR EXISTS (SELECT 1 FROM events n WHERE n.source = e.source AND n.subject_id = e.subject_id AND n.id > e.id AND n.type IN `+health+`))
			AND NOT EXISTS (SELECT 1 FROM alert_cursors c JOIN jobs j ON j.id = c.job_id WHERE c.event_id < e.id AND j.state NOT IN ('killed', 'completed'))
			ORDER BY e.id LIMIT $2)`, before.UnixMicro(), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purge events: %w", err)
	}
	return n, nil
}

// createdEvent writes that a job is there. An alert job begins to read behind it.
func (t *tx) createdEvent(j activation.Job) error {
	if err := t.eventOfJob(j, activation.EventCreated, "created"); err != nil || j.Type != typeAlert {
		return err
	}
	return t.startCursor(j.ID)
}

// typeAlert is the type of a job that tells somebody what happens.
const typeAlert = "alert"

// startedEvent writes that a job has begun its first run.
func (t *tx) startedEvent(id activation.JobID, run int64) error {
	j, err := t.job(id)
	if err != nil {
		return err
	}
	return t.event(activation.Event{Source: activation.SourceWork, Type: activation.EventStarted, SubjectID: string(j.ID), SubjectName: j.Name, Message: "the first run began", Run: run})
}

// approvalEvent writes that a run waits for a person.
func (t *tx) approvalEvent(r activation.Run) error {
	if r.Job == "" {
		return nil
	}
	j, err := t.job(r.Job)
	if err != nil {
		return err
	}
	return t.worse(activation.Event{
		Source: activation.SourceWork, Type: activation.EventApproval, SubjectID: string(j.ID), SubjectName: j.Name, Level: "warn",
		Message: fmt.Sprintf("run #%d would remove %d people and waits for approval", r.Number, r.Counts.Remove), Run: r.Number,
	})
}

// stalledEvent writes that a run of a job makes no progress.
func (t *tx) stalledEvent(r activation.Run, message string) error {
	j, err := t.job(r.Job)
	if err != nil {
		return err
	}
	return t.worse(activation.Event{
		Source: activation.SourceWork, Type: activation.EventStalled, SubjectID: string(j.ID), SubjectName: j.Name,
		Level: "warn", Code: activation.CodeStalled, Message: message, Run: r.Number,
	})
}

// purgeEvent writes that an ended job will be purged soon.
func (t *tx) purgeEvent(j activation.Job, message string) error {
	return t.event(activation.Event{
		Source: activation.SourceWork, Type: activation.EventPurgeDue, SubjectID: string(j.ID), SubjectName: j.Name, Level: "warn", Message: message,
	})
}
