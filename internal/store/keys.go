package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// keysGap is the least time between two runs of a target that only move keys.
const keysGap = 15 * time.Minute

// keysWait is the condition under which a target t of a job j on a schedule
// wants a run for changed identifiers alone. One that never ran holds nobody,
// and a run that waits for approval is not to be taken away for it: what that
// one staged it would send under the old keys. $1 is now, $6 is keysGap before.
const keysWait = `(NOT j.realtime AND t.keys_seq > t.keys_done AND t.last_opened_at IS NOT NULL AND (t.keys_at IS NULL OR t.keys_at <= $6)
	AND (t.state = 'runnable' OR t.sleep_reason = 'schedule' OR (t.sleep_until <= $1 AND t.sleep_reason NOT IN ('authorization', 'approval')))
	AND NOT EXISTS (SELECT 1 FROM runs w WHERE w.target_id = t.id AND w.status = 'pending'))`

// RaiseKeys raises keys_seq of the targets of these audiences to the highest
// change of a member's identifiers, and wakes those it raised. It never lowers.
// What takes events holds nobody under a key: for such a target the change is
// dealt with at once.
func (s *Store) RaiseKeys(ctx context.Context, seq map[activation.AudienceID]int64) error {
	if len(seq) == 0 {
		return nil
	}
	seq, err := behind(ctx, s, seq, "audience_id", "keys_seq")
	if err != nil || len(seq) == 0 {
		return err
	}
	err = s.do(ctx, func(t *tx) error {
		for audience, n := range seq {
			rows, err := t.query(`UPDATE targets AS t SET keys_seq = $1,
				keys_done = CASE WHEN EXISTS (SELECT 1 FROM runs r WHERE r.target_id = t.id AND r.sync_type = 'events') THEN $1 ELSE t.keys_done END
				WHERE t.audience_id = $2 AND t.keys_seq < $1 RETURNING id`, n, audience)
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
		return fmt.Errorf("raise keys: %w", err)
	}
	return nil
}

// takeBeside makes r its target's open run without taking from the target what
// it is due for: r moves keys, forgets somebody or sends the past, and another
// run has to do the rest. Moving keys deals with what was due for that alone.
func (t *tx) takeBeside(r activation.Run) error {
	keys := r.Mode == activation.ModeKeys
	return t.must(activation.ErrConflict, `UPDATE targets AS w SET open_run = $1, last_opened_at = $2,
		keys_at = CASE WHEN $3 THEN $2 ELSE w.keys_at END,
		due_at = CASE WHEN $3 AND w.due_cause = 'agent' AND w.due_at <= $2 THEN NULL ELSE w.due_at END,
		due_cause = CASE WHEN $3 AND w.due_cause = 'agent' AND w.due_at <= $2 THEN NULL ELSE w.due_cause END,
		state = 'runnable', sleep_reason = NULL, sleep_until = NULL WHERE w.id = $4 AND w.open_run IS NULL`, r.ID, t.micros(), keys, r.Target)
}

// part reports whether a run in this mode does only a part of what its target
// may want.
func part(m activation.RunMode) bool {
	return m == activation.ModeKeys || m == activation.ModeForget || m == activation.ModeHistory
}
