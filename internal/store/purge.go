package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"usher/internal/activation"
)

// KindPurge is the kind of work that a Purger does.
const KindPurge = "purge"

// How long things are kept that nobody asks for again.
const (
	// DefaultRetention is how long a job is kept that does not go on.
	DefaultRetention = 90 * 24 * time.Hour
	// purgeNotice is how long before its purge a job is announced to go.
	purgeNotice = 7 * 24 * time.Hour
	keepMinutes = 48 * time.Hour
	keepHours   = 90 * 24 * time.Hour
	keepDrafts  = 30 * 24 * time.Hour
	keepEvents  = 90 * 24 * time.Hour
	// purgeBatch is how many rows go in one transaction, so that the writer is
	// never held long.
	purgeBatch = 500
	// purgeEvery is how often a node looks for what has become old.
	purgeEvery = 10 * time.Minute
)

// Purger deletes what is kept for a time only: ended jobs with all their
// history, ended entries of the Activity Log, buckets of metrics, keys of requests, drafts, events and notices. The
// audit log, targets and ledgers stay. It is a worker of the engine.
type Purger struct {
	Store *Store
	// Retention is how long a failed, paused, completed or killed job is kept
	// after it entered that state, and an entry after it ended; 0 = DefaultRetention.
	Retention time.Duration
	// Forget takes away what the data plane keeps of a job, before the job goes;
	// nil = nothing is kept.
	Forget func(ctx context.Context, id activation.JobID) error

	mu     sync.Mutex
	looked time.Time
}

// Kind names the kind of work.
func (w *Purger) Kind() string { return KindPurge }

// Due lists one work now and then.
func (w *Purger) Due(ctx context.Context, limit int) ([]activation.Work, error) {
	var now time.Time
	if err := w.Store.view(ctx, func(t *tx) error { now = t.now; return nil }); err != nil {
		return nil, fmt.Errorf("look for what is old: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if limit < 1 || !w.looked.IsZero() && now.Sub(w.looked) < purgeEvery {
		return nil, nil
	}
	w.looked = now
	return []activation.Work{{Kind: KindPurge, ID: "old", Lease: KindPurge}}, nil
}

// Do deletes all that is old enough; one thing that goes wrong does not stop
// the others.
func (w *Purger) Do(ctx context.Context, _ activation.Work) error {
	retention := w.Retention
	if retention <= 0 {
		retention = DefaultRetention
	}
	_, noticeErr := w.Store.NoticePurge(ctx, retention)
	_, purgeErr := w.Store.PurgeJobs(ctx, retention, w.Forget)
	_, entriesErr := w.Store.PurgeEntries(ctx, retention)
	return errors.Join(noticeErr, purgeErr, entriesErr, w.Store.PurgeOld(ctx, retention))
}

// resting is the condition under which a job j does not go on by itself. The jobs of
// a publisher account stay as long as it does.
const resting = `j.state IN ('failed', 'paused', 'completed', 'killed') AND NOT EXISTS (SELECT 1 FROM publishers p WHERE j.id IN (p.sync_job, p.post_job))`

// NoticePurge announces, in log and event, the jobs that will be purged in a
// week, each once, and returns how many. A job that enters a state anew is
// announced anew.
func (s *Store) NoticePurge(ctx context.Context, retention time.Duration) (int, error) {
	total := 0
	for {
		var n int
		err := s.do(ctx, func(t *tx) error {
			rows, err := t.query(`SELECT `+jobColumns+` FROM jobs j WHERE `+resting+` AND j.deleted_at IS NULL AND j.state_since <= $1
				AND (j.purge_noticed_at IS NULL OR j.purge_noticed_at < j.state_since) ORDER BY j.state_since, j.id LIMIT $2`,
				t.now.Add(noticeOf(retention)-retention).UnixMicro(), purgeBatch)
			jobs, err := collect(rows, err, scanJob)
			if err != nil {
				return err
			}
			n = len(jobs)
			for _, j := range jobs {
				if err := t.noticePurge(j, retention); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return total, fmt.Errorf("announce purges: %w", err)
		}
		if total += n; n < purgeBatch {
			return total, nil
		}
	}
}

// noticeOf is how long before its purge a job is announced.
func noticeOf(retention time.Duration) time.Duration { return min(purgeNotice, retention) }

func (t *tx) noticePurge(j activation.Job, retention time.Duration) error {
	if _, err := t.exec(`UPDATE jobs SET purge_noticed_at = $1 WHERE id = $2`, t.micros(), j.ID); err != nil {
		return err
	}
	when := j.StateSince.Add(retention)
	if soonest := t.now.Add(noticeOf(retention)); when.Before(soonest) {
		when = soonest
	}
	message := fmt.Sprintf("it has been %s since %s and will be purged with its runs and logs on %s", j.State, j.StateSince.Format(time.DateOnly), when.Format(time.DateOnly))
	if err := t.log(activation.LogEntry{Job: j.ID, Event: activation.LogPurgeDue, Level: "warn", Message: message}); err != nil {
		return err
	}
	return t.purgeEvent(j, message)
}

// PurgeJobs deletes the jobs that have not gone on for retention and were
// announced, with runs, items, receipts, passes, notices, logs and metrics, and
// returns how many are gone. Their targets and ledgers stay, free to be adopted.
// A job is ended and hidden before anything of it is deleted, and is deleted
// itself when its last run has ended and its remote audiences are given up as
// its on_end says, and when forget, where it is given, has taken away what others
// keep of it.
func (s *Store) PurgeJobs(ctx context.Context, retention time.Duration, forget func(context.Context, activation.JobID) error) (int, error) {
	n, last := 0, activation.JobID("")
	for {
		var j *activation.Job
		err := s.do(ctx, func(t *tx) (err error) {
			j, err = collectOne(t, scanJob, `SELECT `+jobColumns+` FROM jobs j WHERE `+resting+` AND j.state_since <= $1
				AND (j.deleted_at IS NOT NULL OR (j.purge_noticed_at >= j.state_since AND j.purge_noticed_at <= $2))
				AND j.id > $3 ORDER BY j.id LIMIT 1`, t.now.Add(-retention).UnixMicro(), t.now.Add(-noticeOf(retention)).UnixMicro(), last)
			if err != nil || j == nil || j.Deleted {
				return err
			}
			return t.hide(*j)
		})
		if err != nil || j == nil {
			return n, orWrapped(err, "purge jobs")
		}
		last = j.ID
		if forget != nil {
			err = forget(ctx, j.ID)
		}
		gone := false
		if err == nil {
			gone, err = s.purgeJob(ctx, *j)
		}
		if err != nil {
			return n, fmt.Errorf("purge job %q: %w", j.ID, err)
		}
		if gone {
			n++
		}
	}
}

func orWrapped(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// hide ends a job that is to be purged. It counts as ended since it was.
func (t *tx) hide(j activation.Job) error {
	if j.State != activation.JobKilled {
		next, err := activation.Killed(j.Standing(), t.now)
		if err := t.kill(j, next, err); err != nil {
			return err
		}
	}
	if err := t.eventOfJob(j, activation.EventDeleted, "purged"); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE jobs SET deleted_at = $1, state_since = $2 WHERE id = $3`, t.micros(), at(j.StateSince), j.ID)
	return err
}

// goneRun is the condition under which a run r has nothing anywhere any more.
const goneRun = `r.ended_at IS NOT NULL AND (r.staged_at IS NULL OR r.unstaged)`

// jobRows are the rows of a job, each statement deleting at most $2 of them.
// Items go before those they were split from.
var jobRows = []string{
	`DELETE FROM items WHERE id IN (SELECT i.id FROM runs r JOIN items i ON i.run_id = r.id WHERE r.job_id = $1 AND ` + goneRun + ` ORDER BY r.number, i.number DESC LIMIT $2)`,
	`DELETE FROM runs WHERE id IN (SELECT r.id FROM runs r WHERE r.job_id = $1 AND ` + goneRun + ` AND NOT EXISTS (SELECT 1 FROM items i WHERE i.run_id = r.id) ORDER BY r.number LIMIT $2)`,
	`DELETE FROM passes WHERE id IN (SELECT p.id FROM passes p WHERE p.job_id = $1 ORDER BY p.number LIMIT $2)`,
	`DELETE FROM notices WHERE id IN (SELECT n.id FROM notices n WHERE n.job_id = $1 ORDER BY n.id LIMIT $2)`,
	`DELETE FROM job_metrics WHERE job_id = $1 AND (width, bucket, name) IN (SELECT m.width, m.bucket, m.name FROM job_metrics m WHERE m.job_id = $1 LIMIT $2)`,
	`DELETE FROM job_log WHERE id IN (SELECT l.id FROM job_log l WHERE l.job_id = $1 ORDER BY l.id LIMIT $2)`,
}

// purgeJob deletes the rows of a hidden job and reports whether all are gone.
func (s *Store) purgeJob(ctx context.Context, j activation.Job) (bool, error) {
	for _, statement := range jobRows {
		if err := s.inBatches(ctx, statement, j.ID, purgeBatch); err != nil {
			return false, err
		}
	}
	gone := false
	err := s.do(ctx, func(t *tx) error {
		left, err := t.count(`SELECT (SELECT count(*) FROM runs WHERE job_id = $1) + (SELECT count(*) FROM targets WHERE job_id = $1 AND (open_run IS NOT NULL OR release_mode IS NOT NULL))`, j.ID)
		if gone = err == nil && left == 0; !gone {
			return err
		}
		if _, err := t.exec(`UPDATE targets SET job_id = NULL, due_at = NULL, due_cause = NULL, next_at = NULL WHERE job_id = $1`, j.ID); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM jobs WHERE id = $1`, j.ID); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: systemUser, Verb: "purge", SubjectType: "job", SubjectID: string(j.ID), Before: encode(jobFace(j))})
	})
	return gone, err
}

// inBatches runs a statement that deletes some rows until it deletes none, each
// time in a transaction of its own.
func (s *Store) inBatches(ctx context.Context, statement string, args ...any) error {
	for {
		var n int64
		err := s.do(ctx, func(t *tx) (err error) {
			n, err = t.exec(statement, append([]any(nil), args...)...)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// PurgeOld deletes buckets of metrics and series, keys of requests, drafts, events,
// notices and passes that are older than they are kept. The newest pass of a
// job stays, for the next one is numbered after it.
func (s *Store) PurgeOld(ctx context.Context, retention time.Duration) error {
	var now time.Time
	if err := s.view(ctx, func(t *tx) error { now = t.now; return nil }); err != nil {
		return err
	}
	old := func(d time.Duration) int64 { return now.Add(-d).UnixMicro() }
	const buckets = `DELETE FROM job_metrics WHERE width = $1 AND (job_id, bucket, name) IN (SELECT m.job_id, m.bucket, m.name FROM job_metrics m WHERE m.width = $1 AND m.bucket < $2 LIMIT $3)`
	const seriesBuckets = `DELETE FROM series WHERE width = $1 AND (kind, subject, bucket, name) IN (SELECT o.kind, o.subject, o.bucket, o.name FROM series o WHERE o.width = $1 AND o.bucket < $2 LIMIT $3)`
	errs := []error{
		s.inBatches(ctx, seriesBuckets, int64(time.Minute/time.Second), old(keepMinutes), purgeBatch),
		s.inBatches(ctx, seriesBuckets, int64(time.Hour/time.Second), old(keepHours), purgeBatch),
		s.inBatches(ctx, buckets, int64(time.Minute/time.Second), old(keepMinutes), purgeBatch),
		s.inBatches(ctx, buckets, int64(time.Hour/time.Second), old(keepHours), purgeBatch),
		s.inBatches(ctx, `DELETE FROM idempotency WHERE (person, key) IN (SELECT o.person, o.key FROM idempotency o WHERE o.created_at <= $1 LIMIT $2)`, old(onceFor), purgeBatch),
		s.inBatches(ctx, `DELETE FROM drafts WHERE id IN (SELECT d.id FROM drafts d WHERE d.updated_at < $1 LIMIT $2)`, old(keepDrafts), purgeBatch),
		s.inBatches(ctx, `DELETE FROM passes WHERE id IN (SELECT p.id FROM passes p WHERE p.ended_at < $1
			AND EXISTS (SELECT 1 FROM passes n WHERE n.job_id = p.job_id AND n.number > p.number) ORDER BY p.ended_at LIMIT $2)`, old(retention), purgeBatch),
	}
	for _, purge := range []func(context.Context, time.Time, int) (int64, error){s.PurgeEvents, s.PurgeNotices} {
		for {
			n, err := purge(ctx, now.Add(-keepEvents), purgeBatch)
			if errs = append(errs, err); err != nil || n == 0 {
				break
			}
		}
	}
	return orWrapped(errors.Join(errs...), "delete what is old")
}
