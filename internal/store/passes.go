package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// WakePass is the kind of wake-up that says a job without targets may want a pass.
const WakePass = "pass"

const passColumns = `p.id, p.job_id, p.number, p.status, p.attempt, p.node, p.counts, p.error_kind, p.error_code, p.error_text, p.progress_at, p.started_at, p.ended_at`

func scanPass(r scanner) (activation.Pass, error) {
	var p activation.Pass
	err := r.Scan(&p.ID, &p.Job, &p.Number, &p.Status, &p.Attempt, word[string]{&p.Node}, object{&p.Counts}, &p.ErrorKind, &p.ErrorCode, &p.ErrorText,
		stamp{&p.ProgressAt}, stamp{&p.StartedAt}, stamp{&p.EndedAt})
	return p, err
}

// ownRest is the condition under which a job j keeps its rest itself, because
// it has no targets that could.
const ownRest = `j.destination_id IS NULL`

// mayPass is the condition under which a job j without targets may be worked
// on: its sleep is over, it is not in its quiet window, and none of its
// authorizations is unhealthy. $1 is now.
const mayPass = ownRest + ` AND j.deleted_at IS NULL
	AND (j.state = 'runnable' OR (j.state = 'sleeping' AND j.sleep_until <= $1 AND j.sleep_reason <> 'authorization'))
	AND (j.expires_at IS NULL OR j.expires_at > $1)
	AND (j.quiet_from IS NULL OR j.quiet_from > $1 OR j.quiet_until <= $1)
	AND NOT EXISTS (SELECT 1 FROM authorizations a WHERE a.status = 'unhealthy' AND j.auth_ids LIKE '%"' || a.id || '"%')`

// freePass is the condition under which a running pass p is to be had: nobody's
// lease is on it and its wait is over. $1 is now.
const freePass = `(p.node IS NULL OR p.lease_until <= $1) AND (p.wait_until IS NULL OR p.wait_until <= $1)`

// DuePass is a job without targets that may have a pass now.
type DuePass struct {
	Job activation.Job
	// Wanted is false for a job in real time that nothing but its runner can
	// call due.
	Wanted bool
}

// DuePasses lists up to limit jobs of these workflows that have no targets and
// may have a pass now: first those of which a pass is open and nobody's or whose
// time has come, the longest neglected first; then those in real time, by id
// from the one after the given id on and around, so that each is asked in turn
// where they are more than limit.
func (s *Store) DuePasses(ctx context.Context, workflows []string, after activation.JobID, limit int) ([]DuePass, error) {
	if len(workflows) == 0 {
		return nil, nil
	}
	var out []DuePass
	err := s.view(ctx, func(t *tx) error {
		w := where{args: []any{t.micros()}}
		in(&w, "j.workflow", workflows)
		const wanted = `(p.id IS NOT NULL OR coalesce(j.due_at <= $1, FALSE) OR coalesce(j.next_at <= $1, FALSE))`
		rows, err := t.query(`SELECT `+jobColumns+`, `+wanted+` FROM jobs j LEFT JOIN passes p ON p.job_id = j.id AND p.status = 'running'`+w.sql()+`
			AND `+mayPass+` AND (p.id IS NULL OR (`+freePass+`)) AND (j.realtime OR `+wanted+`)
			ORDER BY CASE WHEN `+wanted+` THEN 0 WHEN j.id > `+w.next(after)+` THEN 1 ELSE 2 END,
				CASE WHEN `+wanted+` THEN coalesce(j.last_run_at, 0) ELSE 0 END, j.id LIMIT `+w.next(limit), w.args...)
		out, err = collect(rows, err, func(r scanner) (DuePass, error) {
			var d DuePass
			var err error
			d.Job, err = scanJob(also{r, []any{&d.Wanted}})
			return d, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list due passes: %w", err)
	}
	return out, nil
}

// also scans a row that has more columns than its scan function knows.
type also struct {
	scanner
	more []any
}

func (a also) Scan(dest ...any) error { return a.scanner.Scan(append(dest, a.more...)...) }

// TakePass makes node the owner of a pass of a job without targets: of the open
// one where nobody holds it, else of a new one, which clears what made the job
// due. Attempt + 1, with a lease by the database's clock. ErrConflict when the
// job may not run or its pass is another's.
func (s *Store) TakePass(ctx context.Context, id activation.JobID, node string, lease time.Duration) (activation.Pass, error) {
	var p activation.Pass
	err := s.do(ctx, func(t *tx) error {
		j, err := t.job(id)
		if err != nil {
			return err
		}
		n, err := t.count(`SELECT count(*) FROM jobs j WHERE j.id = $2 AND `+mayPass, t.micros(), id)
		if err != nil || n == 0 {
			return orErr(err, conflict("the job may not run now"))
		}
		open, err := t.openPass(id)
		if err != nil {
			return err
		}
		if open == nil {
			if open, err = t.newPass(j); err != nil {
				return err
			}
		}
		if err := t.must(conflict("the pass is not to be had now"), `UPDATE passes AS p SET attempt = attempt + 1, node = $2, lease_until = $3, wait_until = NULL, progress_at = $4
			WHERE p.id = $5 AND p.status = 'running' AND `+freePass, t.micros(), node, t.now.Add(lease).UnixMicro(), t.micros(), open.ID); err != nil {
			return err
		}
		if err := t.setOwnRest(j, activation.Rest{State: activation.TargetRunnable, ConsecutiveErrors: j.ConsecutiveErrors, FailingSince: j.FailingSince}); err != nil {
			return err
		}
		p, err = t.pass(open.ID)
		return err
	})
	if err != nil {
		return activation.Pass{}, fmt.Errorf("take a pass of job %q: %w", id, err)
	}
	return p, nil
}

func (t *tx) pass(id activation.PassID) (activation.Pass, error) {
	p, err := scanPass(t.row(`SELECT `+passColumns+` FROM passes p WHERE p.id = $1`, id))
	return found(p, err, "pass", id)
}

// openPass returns the pass of a job that has not ended, or nil.
func (t *tx) openPass(job activation.JobID) (*activation.Pass, error) {
	return collectOne(t, scanPass, `SELECT `+passColumns+` FROM passes p WHERE p.job_id = $1 AND p.status = 'running'`, job)
}

// newPass opens a pass of a job and notes it on the job.
func (t *tx) newPass(j activation.Job) (*activation.Pass, error) {
	p := activation.Pass{ID: activation.NewID[activation.PassID](), Job: j.ID, Status: activation.RunRunning, ProgressAt: t.now, StartedAt: t.now}
	if err := t.row(`SELECT coalesce(max(number), 0) + 1 FROM passes WHERE job_id = $1`, j.ID).Scan(&p.Number); err != nil {
		return nil, fmt.Errorf("number the pass: %w", err)
	}
	if _, err := t.exec(`INSERT INTO passes (id, job_id, number, status, attempt, counts, error_kind, error_code, error_text, progress_at, started_at)
		VALUES ($1, $2, $3, 'running', 0, '{}', '', '', '', $4, $4)`, p.ID, p.Job, p.Number, t.micros()); err != nil {
		return nil, err
	}
	if _, err := t.exec(`UPDATE jobs SET last_run_at = $1, due_at = NULL, next_at = $2 WHERE id = $3`, t.micros(),
		at(nextAt(j, activation.Target{ConsecutiveErrors: j.ConsecutiveErrors, NextAt: j.NextRunAt}, t.now)), j.ID); err != nil {
		return nil, err
	}
	if !j.LastRunAt.IsZero() {
		return &p, nil
	}
	if err := t.startedEvent(j.ID, p.Number); err != nil {
		return nil, err
	}
	return &p, t.log(activation.LogEntry{Job: j.ID, Event: activation.LogStarted, Message: "the first run began", Context: activation.LogContext{Run: p.Number}})
}

// heldPass guards every write of an attempt: the pass runs, and it is this
// attempt that holds it.
const heldPass = `attempt = $2 AND status = 'running' AND node IS NOT NULL`

// RenewPass extends the lease of a pass that this attempt holds. A lease that
// is over is not revived (ErrFenced): the pass must be taken again.
func (s *Store) RenewPass(ctx context.Context, p activation.Pass, lease time.Duration) error {
	err := s.do(ctx, func(t *tx) error {
		return t.must(activation.ErrFenced, `UPDATE passes SET lease_until = $3 WHERE id = $1 AND `+heldPass+` AND lease_until > $4`,
			p.ID, p.Attempt, t.now.Add(lease).UnixMicro(), t.micros())
	})
	if err != nil {
		return fmt.Errorf("renew pass %q: %w", p.ID, err)
	}
	return nil
}

// CheckPass tells whether an attempt may go on: nil, ErrPaused where its job is
// paused, expired or quiet now, ErrFenced where the pass is another's or over.
func (s *Store) CheckPass(ctx context.Context, p activation.Pass) error {
	return s.view(ctx, func(t *tx) error {
		held, err := t.count(`SELECT count(*) FROM passes WHERE id = $1 AND `+heldPass, p.ID, p.Attempt)
		if err != nil || held == 0 {
			return orErr(err, activation.ErrFenced)
		}
		may, err := t.count(`SELECT count(*) FROM jobs j WHERE j.id = $2 AND `+mayPass, t.micros(), p.Job)
		if err != nil || may == 0 {
			return orErr(err, activation.ErrPaused)
		}
		return nil
	})
}

// SavePass stores the counts of a pass and that it moved, guarded by its attempt.
func (s *Store) SavePass(ctx context.Context, p activation.Pass) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrFenced, `UPDATE passes SET counts = $3, progress_at = $4 WHERE id = $1 AND `+heldPass, p.ID, p.Attempt, encode(p.Counts), t.micros()); err != nil {
			return err
		}
		return t.meterPass(p.ID)
	})
	if err != nil {
		return fmt.Errorf("save pass %q: %w", p.ID, err)
	}
	return nil
}

// ReleasePass gives a pass back without ending it, so that another attempt goes
// on. With until set nobody does before then: the job sleeps for the provider's
// limit, which is not counted as an error, and its log says so.
func (s *Store) ReleasePass(ctx context.Context, p activation.Pass, until time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		j, err := t.job(p.Job)
		if err != nil {
			return err
		}
		rest := activation.NextSleep(ownRestOf(j), activation.RunEnd{Kind: activation.WaitUntil, Until: until, At: t.now}, rhythmOf(j))
		var wait any
		if !until.IsZero() {
			wait = rest.Until.UnixMicro()
		}
		if err := t.must(activation.ErrFenced, `UPDATE passes SET node = NULL, lease_until = NULL, wait_until = $3, counts = $4 WHERE id = $1 AND `+heldPass,
			p.ID, p.Attempt, wait, encode(p.Counts)); err != nil {
			return err
		}
		if err := t.meterPass(p.ID); err != nil {
			return err
		}
		t.Enqueue(WakePass, string(p.Job))
		if until.IsZero() {
			return nil
		}
		if err := t.setOwnRest(j, rest); err != nil {
			return err
		}
		return t.log(activation.LogEntry{
			Job: j.ID, Event: activation.LogSleeping, Code: p.ErrorCode, Message: "the provider asked to wait until " + rest.Until.UTC().Format(time.RFC3339),
			Context: activation.LogContext{Run: p.Number},
		})
	})
	if err != nil {
		return fmt.Errorf("release pass %q: %w", p.ID, err)
	}
	return nil
}

// FinishPass ends a pass as completed, or as failed with its error, guarded by
// its attempt, and does to the job what the end of a run does to a target: a
// success forgets the errors, an error makes it sleep or fail, Unauthorized
// parks everything that uses the job's authorizations.
func (s *Store) FinishPass(ctx context.Context, p activation.Pass) error {
	if p.Status != activation.RunCompleted && p.Status != activation.RunFailed {
		return fmt.Errorf("finish pass %q: %w", p.ID, conflict("a pass does not end as %s", p.Status))
	}
	err := s.do(ctx, func(t *tx) error {
		j, err := t.job(p.Job)
		if err != nil {
			return err
		}
		return t.finishPass(j, p)
	})
	if err != nil {
		return fmt.Errorf("finish pass %q: %w", p.ID, err)
	}
	return nil
}

func (t *tx) finishPass(j activation.Job, p activation.Pass) error {
	if p.Status == activation.RunFailed {
		if p.ErrorKind == "" {
			p.ErrorKind = activation.Internal
		}
		if p.ErrorCode == "" {
			p.ErrorCode = activation.CodeOf(nil)
		}
	} else {
		p.ErrorKind, p.ErrorCode, p.ErrorText = "", "", ""
	}
	if err := t.must(activation.ErrFenced, `UPDATE passes SET status = $3, ended_at = $4, node = NULL, lease_until = NULL, wait_until = NULL,
		counts = $5, error_kind = $6, error_code = $7, error_text = $8, progress_at = $4 WHERE id = $1 AND `+heldPass,
		p.ID, p.Attempt, p.Status, t.micros(), encode(p.Counts), p.ErrorKind, p.ErrorCode, p.ErrorText); err != nil {
		return err
	}
	if err := t.meterPass(p.ID); err != nil {
		return err
	}
	return t.passOutcome(j, p)
}

// passOutcome records on a job how its pass ended. A paused job stays paused.
func (t *tx) passOutcome(j activation.Job, p activation.Pass) error {
	rhythm := rhythmOf(j)
	if err := t.row(`SELECT next_at FROM jobs WHERE id = $1`, j.ID).Scan(stamp{&rhythm.Next}); err != nil {
		return err
	}
	kind := p.ErrorKind
	if kind == activation.Unauthorized && len(j.Authorizations) == 0 {
		kind = activation.Unavailable // nothing could be mended that would wake it
	}
	rest := activation.NextSleep(ownRestOf(j), activation.RunEnd{Kind: kind, At: t.now}, rhythm)
	if err := t.setOwnRest(j, rest); err != nil {
		return err
	}
	if p.ErrorKind != "" && rest.State != activation.TargetFailed {
		if _, err := t.exec(`UPDATE jobs SET due_at = $1 WHERE id = $2 AND (due_at IS NULL OR due_at > $1)`, t.micros(), j.ID); err != nil {
			return err
		}
	}
	if p.ErrorKind == activation.Unauthorized {
		for _, auth := range j.Authorizations {
			if err := t.parkAuthorization(auth, "the provider refused the credentials"); err != nil {
				return err
			}
		}
	}
	t.Enqueue(WakePass, string(j.ID))
	if err := t.passEvents(j, p, rest); err != nil {
		return err
	}
	return t.logPass(p, rest)
}

func (t *tx) logPass(p activation.Pass, after activation.Rest) error {
	e := activation.LogEntry{Job: p.Job, Event: activation.LogSynced, Message: "synced", Context: activation.LogContext{Run: p.Number, Counts: p.Counts}}
	switch {
	case p.ErrorKind == "":
	case after.State == activation.TargetFailed:
		e.Event, e.Level, e.Code, e.Message = activation.LogFailed, "error", p.ErrorCode, "gave up: "+p.ErrorText
	default:
		e.Event, e.Level, e.Code, e.Message = activation.LogError, "warn", p.ErrorCode, p.ErrorText
	}
	if err := t.log(e); err != nil || after.State != activation.TargetCompleted {
		return err
	}
	return t.log(activation.LogEntry{Job: p.Job, Event: activation.LogCompleted, Message: "all its work is done"})
}

// Passes lists the passes of a job, newest first; before is the number to page
// on from, 0 = the newest.
func (s *Store) Passes(ctx context.Context, job activation.JobID, before int64, limit int) ([]activation.Pass, error) {
	var w where
	equal(&w, "p.job_id", job)
	if before > 0 {
		w.add("p.number < $%d", before)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+passColumns+` FROM passes p`+w.sql()+` ORDER BY p.number DESC LIMIT `+w.next(orDefault(limit, 100)), w.args...)
	out, err := collect(rows, err, scanPass)
	if err != nil {
		return nil, fmt.Errorf("list passes: %w", err)
	}
	return out, nil
}
