package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// ResumeDue resumes the paused jobs whose time is over, and returns how many.
func (s *Store) ResumeDue(ctx context.Context) (int, error) {
	n := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT `+jobColumns+` FROM jobs j WHERE j.state = 'paused' AND j.resume_at <= $1`, t.micros())
		jobs, err := collect(rows, err, scanJob)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			err := t.commanded(j, activation.CommandResume, systemUser, activation.LogResumed, func(t *tx, j activation.Job) error {
				next, err := activation.Unpaused(j.Standing(), t.now)
				return t.resume(j, next, err, byTarget)
			})
			if err != nil {
				return err
			}
		}
		n = len(jobs)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("resume due jobs: %w", err)
	}
	return n, nil
}

// FailOverdue fails the targets whose authorization was not mended within
// fail_after, and returns how many.
func (s *Store) FailOverdue(ctx context.Context) (int, error) {
	n := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT `+targetColumns+` FROM targets t JOIN jobs j ON j.id = t.job_id AND j.state NOT IN ('paused', 'killed')
			WHERE t.sleep_reason = 'authorization' AND t.sleep_until <= $1`, t.micros())
		targets, err := collect(rows, err, scanTarget)
		if err != nil {
			return err
		}
		for _, target := range targets {
			job, err := t.job(target.Job)
			if err != nil {
				return err
			}
			if err := t.setRest(target, activation.Park(restOf(target), t.now, rhythmOf(job))); err != nil {
				return err
			}
			if err := t.settleJob(job.ID); err != nil {
				return err
			}
		}
		n = len(targets)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("fail overdue targets: %w", err)
	}
	return n, nil
}

// violations are what must never be so, each with the query that finds it.
var violations = []struct{ law, query string }{
	{"target names a run that is not open", `SELECT t.id FROM targets t LEFT JOIN runs r ON r.id = t.open_run
		WHERE t.open_run IS NOT NULL AND (r.id IS NULL OR r.target_id <> t.id OR NOT (r.status = 'running' OR (r.status = 'pending' AND r.reason IS NULL)))`},
	{"open run that its target does not name", `SELECT r.id FROM runs r JOIN targets t ON t.id = r.target_id
		WHERE (r.status = 'running' OR (r.status = 'pending' AND r.reason IS NULL)) AND (t.open_run IS NULL OR t.open_run <> r.id)`},
	{"item under way in a run that is not", `SELECT i.id FROM items i JOIN runs r ON r.id = i.run_id WHERE i.state = 'sending' AND r.status NOT IN ('running', 'awaiting')`},
	{"item queued in a run that has ended", `SELECT i.id FROM items i JOIN runs r ON r.id = i.run_id WHERE i.state = 'queued' AND r.ended_at IS NOT NULL`},
	{"item awaited in a run that has ended", `SELECT i.id FROM items i JOIN runs r ON r.id = i.run_id WHERE i.state = 'awaiting' AND r.ended_at IS NOT NULL`},
	{"completed run with an item not folded", `SELECT i.id FROM items i JOIN runs r ON r.id = i.run_id WHERE r.status = 'completed' AND i.state IN ('delivered', 'unknown') AND NOT i.folded`},
	{"delivered item without a receipt", `SELECT i.id FROM items i WHERE i.state IN ('delivered', 'awaiting') AND NOT EXISTS (SELECT 1 FROM receipts c WHERE c.item_id = i.id AND c.attempt = i.attempt)`},
	{"remote audience of two targets", `SELECT t.id FROM targets t JOIN destinations d ON d.id = t.destination_id JOIN targets o ON o.remote_id = t.remote_id AND o.id > t.id
		JOIN destinations e ON e.id = o.destination_id AND e.provider = d.provider AND e.account = d.account WHERE t.remote_id <> ''`},
}

// Violations checks what must never be so, and returns one line for each find.
// An empty answer is the only good one.
func (s *Store) Violations(ctx context.Context) ([]string, error) {
	var out []string
	err := s.view(ctx, func(t *tx) error {
		for _, v := range violations {
			rows, err := t.query(v.query)
			ids, err := collect(rows, err, scanID)
			if err != nil {
				return err
			}
			for _, id := range ids {
				out = append(out, v.law+": "+id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("check invariants: %w", err)
	}
	return out, nil
}
