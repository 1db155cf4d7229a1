package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

const targetColumns = `t.id, t.destination_id, t.audience_id, t.job_id, t.remote_id, t.remote_name, t.generation,
	t.open_run, t.due_at IS NOT NULL, t.due_at, t.dirty_seq, t.done_seq, t.state, t.sleep_reason, t.sleep_until,
	t.consecutive_errors, t.failing_since, t.last_opened_at, t.next_at, t.release_mode, t.created_at, t.stream, t.workflow, t.due_cause, t.keys_seq, t.keys_done`

func scanTarget(r scanner) (activation.Target, error) {
	var t activation.Target
	err := r.Scan(&t.ID, &t.Destination, word[activation.AudienceID]{&t.Audience}, word[activation.JobID]{&t.Job}, &t.RemoteID, &t.RemoteName, &t.Generation,
		word[activation.RunID]{&t.OpenRun}, &t.DueNow, stamp{&t.DueAt}, &t.DirtySeq, &t.DoneSeq, &t.State, word[activation.SleepReason]{&t.SleepReason}, stamp{&t.SleepUntil},
		&t.ConsecutiveErrors, stamp{&t.FailingSince}, stamp{&t.LastOpenedAt}, stamp{&t.NextAt}, word[activation.OnEnd]{&t.Release}, stamp{&t.CreatedAt}, &t.Stream, &t.Workflow, word[activation.Cause]{&t.DueCause}, &t.KeysSeq, &t.KeysDone)
	return t, err
}

// Target returns one target, or ErrNotFound.
func (s *Store) Target(ctx context.Context, id activation.TargetID) (activation.Target, error) {
	t, err := scanTarget(s.read.QueryRowContext(ctx, `SELECT `+targetColumns+` FROM targets t WHERE t.id = $1`, id))
	return found(t, err, "target", id)
}

// target reads and, where the database needs it, locks a target. Every
// transaction that moves runs begins with it.
func (t *tx) target(id activation.TargetID) (activation.Target, error) {
	v, err := scanTarget(t.row(`SELECT `+targetColumns+` FROM targets t WHERE t.id = $1`+t.d.ForUpdate, id))
	return found(v, err, "target", id)
}

// TargetFilter narrows Targets; empty fields match all.
type TargetFilter struct {
	ID          activation.TargetID
	Job         activation.JobID
	Destination activation.DestinationID
	Audience    activation.AudienceID
	Stream      string
}

// Targets lists targets, oldest first.
func (s *Store) Targets(ctx context.Context, f TargetFilter) ([]activation.Target, error) {
	var w where
	equal(&w, "t.id", f.ID)
	equal(&w, "t.job_id", f.Job)
	equal(&w, "t.destination_id", f.Destination)
	equal(&w, "t.audience_id", f.Audience)
	equal(&w, "t.stream", f.Stream)
	rows, err := s.read.QueryContext(ctx, `SELECT `+targetColumns+` FROM targets t`+w.sql()+` ORDER BY t.created_at, t.id`, w.args...)
	out, err := collect(rows, err, scanTarget)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	return out, nil
}

// TargetsOf lists the targets of a job, an audience or both ("" = any).
func (s *Store) TargetsOf(ctx context.Context, job activation.JobID, audience activation.AudienceID) ([]activation.Target, error) {
	return s.Targets(ctx, TargetFilter{Job: job, Audience: audience})
}

// runGap is the least time between two runs of a target that nobody asked for;
// realTimeBacklog is how many waiting changes open one sooner.
const (
	runGap          = time.Minute
	realTimeBacklog = 100_000
)

// mostWaiting is how many runs of one authorization are opened ahead: several
// times as many as are worked on at once.
const mostWaiting = 64

// wantedTargets finds the targets without an open run that something speaks
// for, by the four indexes that hold nothing else, so that finding nothing
// costs nothing however many targets there are. $1 is now.
const wantedTargets = `SELECT w.id FROM targets w WHERE ` + free + ` AND w.due_at <= $1
	UNION SELECT w.id FROM targets w WHERE ` + free + ` AND w.next_at <= $1
	UNION SELECT w.id FROM targets w JOIN jobs j ON j.id = w.job_id AND j.realtime WHERE ` + free + ` AND w.dirty_seq > w.done_seq
	UNION SELECT w.id FROM targets w JOIN jobs j ON j.id = w.job_id AND NOT j.realtime WHERE ` + free + ` AND w.keys_seq > w.keys_done`

// free is the condition under which a target w could be given a run, as the
// indexes have it.
const free = `w.open_run IS NULL AND w.state IN ('runnable', 'sleeping') AND coalesce(w.sleep_reason, '') <> 'authorization'`

// DueTargets lists up to limit targets without an open run that want one now:
// it is due by itself (due_at has come); or changes wait and the job is in real
// time (its last run opened a minute ago, or very many wait); or the job's own
// time has come; or the job is on a schedule and identifiers of its members have
// changed, which are moved every quarter of an hour. Only where the job may run and is not in its quiet window, or
// the target is to be given up whatever its job does, the
// target's sleep is over, the destination is enabled and its authorization is
// not unhealthy. While a run waits for approval, only changes that it has not
// seen count.
//
// The authorizations take turns, and of each the longest neglected comes first:
// nobody waits behind all the targets of somebody else. An authorization that
// has runs enough waiting to be taken is given no more until some are: what
// could not be worked on anyway is not opened.
func (s *Store) DueTargets(ctx context.Context, limit int) ([]activation.Target, error) {
	var out []activation.Target
	err := s.view(ctx, func(t *tx) (err error) {
		rows, err := t.query(`SELECT `+targetColumns+` FROM (SELECT t.*, coalesce(d.authorization_id, d.id) AS account, row_number() OVER (PARTITION BY coalesce(d.authorization_id, d.id)
				ORDER BY CASE WHEN t.last_opened_at IS NULL THEN 0 ELSE 1 END, t.last_opened_at, t.id) AS turn
			FROM (`+wantedTargets+`) wanted
			CROSS JOIN targets t -- in this order, says SQLite; PostgreSQL sees for itself
			LEFT JOIN jobs j ON j.id = t.job_id
			JOIN destinations d ON d.id = t.destination_id
			LEFT JOIN authorizations a ON a.id = d.authorization_id
			WHERE t.id = wanted.id AND t.open_run IS NULL
			  AND (t.release_mode IS NOT NULL
			    OR (j.deleted_at IS NULL AND j.state IN ('runnable', 'sleeping') AND `+loud+` AND `+alive+`))
			  AND d.enabled AND (a.status IS NULL OR a.status <> 'unhealthy')
			  AND (`+keysWait+` OR ((t.state = 'runnable' OR (t.state = 'sleeping'
			      AND ((t.sleep_until <= $1 AND t.sleep_reason <> 'authorization') OR t.sleep_reason = 'approval' OR (t.sleep_reason = 'schedule' AND t.due_at <= $1))))
			    AND NOT EXISTS (SELECT 1 FROM runs w WHERE w.target_id = t.id AND w.status = 'pending' AND w.seq >= t.dirty_seq)
			    AND (t.due_at <= $1
			      OR (j.realtime AND t.dirty_seq > t.done_seq
			        AND (t.last_opened_at IS NULL OR t.last_opened_at <= $2 OR t.dirty_seq - t.done_seq >= $3))
			      OR t.next_at <= $1)))) t
			LEFT JOIN (SELECT coalesce(o.authorization_id, o.id) AS account, count(*) AS waiting
				FROM runs r JOIN destinations o ON o.id = r.destination_id WHERE r.status = 'pending' AND `+workable+`
				GROUP BY coalesce(o.authorization_id, o.id)) q ON q.account = t.account
			WHERE t.turn + coalesce(q.waiting, 0) <= $5
			ORDER BY t.turn, CASE WHEN t.last_opened_at IS NULL THEN 0 ELSE 1 END, t.last_opened_at, t.id
			LIMIT $4`, t.micros(), t.now.Add(-runGap).UnixMicro(), realTimeBacklog, limit, mostWaiting, t.now.Add(-keysGap).UnixMicro())
		out, err = collect(rows, err, scanTarget)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list due targets: %w", err)
	}
	return out, nil
}

// RaiseDirty raises dirty_seq of the targets of these audiences and of those that
// watch them, and wakes those it raised. It never lowers.
func (s *Store) RaiseDirty(ctx context.Context, seq map[activation.AudienceID]int64) error {
	return raise(ctx, s, seq, "audience_id", ` OR id IN (SELECT w.target_id FROM watches w WHERE w.audience_id = $2)`)
}

// RaiseStreams is RaiseDirty for the targets that streams feed, by their highest
// message number.
func (s *Store) RaiseStreams(ctx context.Context, seq map[string]int64) error {
	return raise(ctx, s, seq, "stream", "")
}

// raise raises dirty_seq of the targets whose column names what has changed, and
// of those that watch it.
func raise[K ~string](ctx context.Context, s *Store, seq map[K]int64, column, watching string) error {
	if len(seq) == 0 {
		return nil
	}
	seq, err := behind(ctx, s, seq, column, "dirty_seq")
	if err != nil || len(seq) == 0 {
		return err
	}
	err = s.do(ctx, func(t *tx) error {
		for what, n := range seq {
			rows, err := t.query(`UPDATE targets SET dirty_seq = $1 WHERE (`+column+` = $2`+watching+`) AND dirty_seq < $1 RETURNING id`, n, string(what))
			ids, err := collect(rows, err, scanID)
			if err != nil {
				return err
			}
			for _, id := range ids {
				t.Enqueue(WakeTarget, id)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("raise dirty: %w", err)
	}
	return nil
}

// behind returns what of seq has a target to be raised, so that nothing is
// written when nothing has changed. number is the column that is raised.
func behind[K ~string](ctx context.Context, s *Store, seq map[K]int64, column, number string) (map[K]int64, error) {
	out := map[K]int64{}
	watched := ""
	if number == "dirty_seq" && column == "audience_id" {
		watched = ` UNION ALL SELECT w.audience_id, min(t.dirty_seq) FROM watches w JOIN targets t ON t.id = w.target_id GROUP BY w.audience_id`
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+column+`, min(`+number+`) FROM targets WHERE `+column+` <> '' GROUP BY `+column+watched)
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var id K
		var least int64
		err := r.Scan(&id, &least)
		if n, ok := seq[id]; ok && n > least {
			out[id] = n
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("compare change numbers: %w", err)
	}
	return out, nil
}

func scanID(r scanner) (string, error) {
	var id string
	err := r.Scan(&id)
	return id, err
}

// SetRemote stores the first remote id of a target's generation. The same id
// again is fine; another one is ErrConflict, and so is one that belongs to
// another target of the same account.
func (s *Store) SetRemote(ctx context.Context, id activation.TargetID, generation int, remote string) error {
	return s.do(ctx, func(t *tx) error {
		target, err := t.target(id)
		if err != nil {
			return err
		}
		if target.Generation != generation {
			return fmt.Errorf("target %q is in generation %d: %w", id, target.Generation, activation.ErrFenced)
		}
		if target.RemoteID == remote {
			return nil
		}
		if err := t.freeRemote(target, remote); err != nil {
			return err
		}
		return t.must(conflict("the target has another remote audience already"),
			`UPDATE targets SET remote_id = $1 WHERE id = $2 AND generation = $3 AND remote_id = ''`, remote, id, generation)
	})
}

// freeRemote checks that no other target of the same provider and account has
// this remote audience.
func (t *tx) freeRemote(target activation.Target, remote string) error {
	other, err := collectOne(t, scanTarget, `SELECT `+targetColumns+`
		FROM destinations mine
		CROSS JOIN destinations d -- in this order, says SQLite: there are few of an account and many targets
		CROSS JOIN targets t
		WHERE mine.id = $1 AND mine.provider = d.provider AND mine.account = d.account
		  AND t.destination_id = d.id AND t.remote_id = $2 AND t.id <> $3 LIMIT 1`, target.Destination, remote, target.ID)
	if err != nil || other == nil {
		return err
	}
	owner, err := t.ownerName(other.Job)
	if err != nil {
		return err
	}
	return taken("the remote audience", owner)
}

// collectOne returns the first row, or nil when there is none.
func collectOne[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (*T, error) {
	rows, err := t.query(query, args...)
	all, err := collect(rows, err, scan)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}
