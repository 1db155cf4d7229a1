package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// RetryVerdict reports whether a run may be retried, and when not, why.
func (s *Store) RetryVerdict(ctx context.Context, id activation.RunID) (ok bool, reason string, err error) {
	err = s.view(ctx, func(t *tx) error {
		facts, err := t.retryFacts(id, byPerson)
		if err == nil {
			ok, reason = activation.RetryRule(facts)
		}
		return err
	})
	if err != nil {
		return false, "", fmt.Errorf("retry verdict of run %q: %w", id, err)
	}
	return ok, reason, nil
}

// Verdict is whether something is allowed, and why not.
type Verdict struct {
	OK     bool
	Reason string
}

// RetryVerdicts is RetryVerdict of several runs at once.
func (s *Store) RetryVerdicts(ctx context.Context, ids []activation.RunID) (map[activation.RunID]Verdict, error) {
	out := make(map[activation.RunID]Verdict, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	err := s.view(ctx, func(t *tx) error {
		all, err := t.allRetryFacts(ids, byPerson)
		for _, f := range all {
			ok, reason := activation.RetryRule(f)
			out[f.Run.ID] = Verdict{OK: ok, Reason: reason}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("retry verdicts of %d runs: %w", len(ids), err)
	}
	return out, nil
}

// Retry moves a run Failed -> Running, attempt + 1, its failed and unknown items
// to queued, and takes open_run; the start time stays. ErrConflict, with the reason as its
// message, where it is withheld. A failed or sleeping target becomes runnable,
// and its job with it.
func (s *Store) Retry(ctx context.Context, id activation.RunID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		r, _, err := t.lockRun(id)
		if err != nil {
			return err
		}
		target, err := t.target(r.Target)
		if err != nil {
			return err
		}
		if err := t.retry(id, byPerson, target); err != nil {
			return err
		}
		if err := t.audit(activation.AuditEntry{Actor: user, Verb: "retry", SubjectType: "run", SubjectID: string(id)}); err != nil {
			return err
		}
		return t.settleJob(r.Job)
	})
	if err != nil {
		return fmt.Errorf("retry run %q: %w", id, err)
	}
	return nil
}

// A retrier is who sends items again, by the states it may take them from, as
// SQL. Only a person's word sends again what may have taken effect.
type retrier string

const (
	byPerson retrier = `('failed', 'unknown')`
	byItself retrier = `('failed')`
)

// retry is the move itself, for Retry, bounce and a mended authorization. before
// is the target as it was before anybody woke it for that.
func (t *tx) retry(id activation.RunID, who retrier, before activation.Target) error {
	facts, err := t.retryFacts(id, who)
	if err != nil {
		return err
	}
	if ok, reason := activation.RetryRule(facts); !ok {
		return conflict("%s", reason)
	}
	r := facts.Run
	if _, err := t.exec(`UPDATE items SET state = 'queued', folded = FALSE, code = '', message = '', updated_at = $1
		WHERE run_id = $2 AND state IN `+string(who), t.micros(), id); err != nil {
		return err
	}
	if err := t.must(activation.ErrConflict, `UPDATE runs SET status = 'running', attempt = attempt + 1, ended_at = NULL,
		error_kind = '', error_code = '', error_text = '', progress_at = $3 WHERE id = $1 AND attempt = $2 AND status = 'failed'`, id, r.Attempt, t.micros()); err != nil {
		return err
	}
	target, err := t.target(r.Target)
	if err != nil {
		return err
	}
	if err := t.setRest(target, activation.RetriedRest(restOf(target))); err != nil {
		return err
	}
	asked, err := t.askedBeside(before, r)
	if err != nil {
		return err
	}
	if err := t.retake(r, asked); err != nil {
		return err
	}
	if err := t.retryJob(r.Job); err != nil {
		return err
	}
	t.Enqueue(WakeRun, string(id))
	return nil
}

// askedBeside reports whether a target is due for more than that its failed run r
// is done again: somebody has asked since then, or a later run has failed too.
// What is sent again was staged before that, so it stays due.
func (t *tx) askedBeside(target activation.Target, r activation.Run) (bool, error) {
	if !target.DueNow {
		return false, nil
	}
	if later, err := t.count(`SELECT count(*) FROM runs WHERE target_id = $1 AND number > $2`, target.ID, r.Number); err != nil || later > 0 {
		return later > 0, err
	}
	switch {
	case target.State == activation.TargetRunnable, target.SleepReason == activation.SleepSchedule:
		return target.DueCause != activation.CauseManual, nil // who rouses it wants what Retry does
	case (target.SleepReason == activation.SleepError || target.SleepReason == activation.SleepProviderLimit) && target.DueAt.Before(target.SleepUntil):
		return true, nil // an error makes it due when the sleep is over
	}
	return weights[target.DueCause] > weights[r.Cause], nil
}

// retake makes a run that goes on its target's open one again. It does what the
// target was due for, unless it does only a part of that or more was asked since.
// It counts as a run that opens now: whoever looks at the network from then on
// sees its doing.
func (t *tx) retake(r activation.Run, asked bool) error {
	return t.must(activation.ErrConflict, `UPDATE targets SET open_run = $1, last_opened_at = $6,
		due_at = CASE WHEN CAST($4 AS BOOLEAN) AND NOT (due_cause = 'agent' AND CAST($5 AS BOOLEAN)) THEN due_at ELSE NULL END,
		due_cause = CASE WHEN CAST($4 AS BOOLEAN) AND NOT (due_cause = 'agent' AND CAST($5 AS BOOLEAN)) THEN due_cause ELSE NULL END
		WHERE id = $2 AND open_run IS NULL AND generation = $3`, r.ID, r.Target, r.Generation, part(r.Mode) || asked, r.Mode == activation.ModeKeys && !asked, t.micros())
}

// retryJob makes a failed job runnable because a run of it goes on. Any other
// settles to what its targets come to.
func (t *tx) retryJob(id activation.JobID) error {
	job, err := t.job(id)
	if err != nil {
		return err
	}
	next, err := activation.Retried(job.Standing(), t.now)
	if err != nil || job.State != activation.JobFailed {
		return err
	}
	return t.setStanding(job, next)
}

// retryFacts gathers what the Retry rule looks at.
func (t *tx) retryFacts(id activation.RunID, who retrier) (activation.RetryFacts, error) {
	all, err := t.allRetryFacts([]activation.RunID{id}, who)
	if err != nil || len(all) == 0 {
		return activation.RetryFacts{}, orErr(err, fmt.Errorf("run %q: %w", id, activation.ErrNotFound))
	}
	return all[0], nil
}

// allRetryFacts gathers it of several runs at once; a run that is not there has
// none. Of those that have not failed no more is looked at than the rule needs.
func (t *tx) allRetryFacts(ids []activation.RunID, who retrier) ([]activation.RetryFacts, error) {
	var w where
	in(&w, "r.id", ids)
	rows, err := t.query(`SELECT coalesce(j.state, 'killed'), j.id IS NULL OR j.deleted_at IS NOT NULL, t.generation, coalesce(o.number, 0), coalesce(a.status, 'healthy'),
			CASE WHEN r.status = 'failed' THEN coalesce((SELECT l.number FROM runs l WHERE l.target_id = r.target_id AND l.number > r.number AND l.staged_at IS NOT NULL AND (l.mode IN ('', 'replace') OR l.mode = r.mode) ORDER BY l.number DESC LIMIT 1), 0) ELSE 0 END,
			CASE WHEN r.status = 'failed' THEN coalesce((SELECT l.number FROM runs l WHERE l.target_id = r.target_id AND l.number > r.number AND l.staged_at IS NOT NULL AND l.mode IN ('keys', 'forget') ORDER BY l.number DESC LIMIT 1), 0) ELSE 0 END,
			CASE WHEN r.status = 'failed' THEN (SELECT count(*) FROM items i WHERE i.run_id = r.id AND i.state IN `+string(who)+`) ELSE 0 END, `+runColumns+`
		FROM runs r JOIN targets t ON t.id = r.target_id JOIN destinations d ON d.id = t.destination_id
		LEFT JOIN jobs j ON j.id = r.job_id
		LEFT JOIN authorizations a ON a.id = d.authorization_id
		LEFT JOIN runs o ON o.id = t.open_run`+w.sql(), w.args...)
	return collect(rows, err, func(row scanner) (activation.RetryFacts, error) {
		var f activation.RetryFacts
		var err error
		f.Run, err = scanRun(behindOf{row, []any{&f.Job, &f.JobGone, &f.Generation, &f.OpenRun, &f.Auth, &f.Later, &f.Moved, &f.Left}})
		return f, err
	})
}

// behindOf is a row of which some columns come before those that are scanned.
type behindOf struct {
	scanner
	first []any
}

func (b behindOf) Scan(dest ...any) error { return b.scanner.Scan(append(b.first, dest...)...) }
