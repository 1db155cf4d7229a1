package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// Allowance is how many people may still be newly added to a target in the
// present period of its job's user_limit; nil = any number. Who was sent and may
// have arrived counts, who was rejected does not. People whom the network may
// hold already are added again as often as need be.
func (s *Store) Allowance(ctx context.Context, id activation.TargetID) (*int64, error) {
	var left *int64
	err := s.view(ctx, func(t *tx) error {
		target, err := scanTarget(t.row(`SELECT `+targetColumns+` FROM targets t WHERE t.id = $1`, id))
		if err != nil || target.Job == "" {
			return err
		}
		job, err := scanJob(t.row(`SELECT `+jobColumns+` FROM jobs j WHERE j.id = $1`, target.Job))
		if err != nil || job.UserLimit <= 0 {
			return err
		}
		left = &job.UserLimit
		from, _ := schedule.Period(job.UserLimitFrequency, job.Timezone, t.now)
		if from.IsZero() {
			return nil
		}
		used, err := t.count(`SELECT coalesce(sum(q.n), 0) FROM (
			SELECT max(CASE WHEN c.poll_token <> '' THEN i.last_row - i.first_row + 1 - c.superseded ELSE c.accepted + c.unknown END) AS n
			FROM runs r JOIN items i ON i.run_id = r.id AND i.op IN ('add', 'readd') AND i.plain
			JOIN receipts c ON c.item_id = i.id AND c.at >= $2
			WHERE r.target_id = $1 AND (r.ended_at IS NULL OR r.ended_at >= $2) GROUP BY i.id) q`, id, from.UnixMicro())
		*left = max(0, job.UserLimit-used)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count newcomers of target %q: %w", id, err)
	}
	return left, nil
}

// capped changes the rhythm of a target whose run left people out because of
// the job's user_limit: the job is not over for it, and the next run comes at
// the latest when the limit's period is over.
func (t *tx) capped(r activation.Run, job activation.Job, rhythm activation.Rhythm) (activation.Rhythm, error) {
	if r.Counts.Capped == 0 || r.Status != activation.RunCompleted {
		return rhythm, nil
	}
	at := t.now.Add(runGap)
	if _, until := schedule.Period(job.UserLimitFrequency, job.Timezone, t.now); !until.IsZero() {
		at = until
	} else if !rhythm.Next.IsZero() {
		return rhythm, nil // so many for each run, and runs have their times
	}
	if rhythm.Once || !rhythm.Next.IsZero() {
		rhythm.Next = earlier(rhythm.Next, at)
	}
	rhythm.Once = false
	return rhythm, t.setDue(r.Target, at.UnixMicro(), byTarget)
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
