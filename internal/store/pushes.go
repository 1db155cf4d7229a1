package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// OpenPush opens a run that sends the events of a period before a target's job
// began. Each moment of the past is sent once: ErrConflict names the run that
// covers some of the period already. One that was withdrawn, or failed before
// anything was to be sent, does not count.
func (s *Store) OpenPush(ctx context.Context, id activation.TargetID, p activation.Period, user string) (activation.Run, error) {
	if p.From.IsZero() || !p.From.Before(p.Until) {
		return activation.Run{}, invalid("until", "a period ends after it begins")
	}
	var r activation.Run
	err := s.do(ctx, func(t *tx) error {
		target, err := t.target(id)
		if err != nil {
			return err
		}
		earlier, err := collectOne(t, scanRun, `SELECT `+runColumns+` FROM pushes p JOIN runs r ON r.id = p.run_id
			WHERE p.target_id = $1 AND p.from_at < $3 AND p.until_at > $2
			  AND r.status <> 'withdrawn' AND (r.status <> 'failed' OR EXISTS (SELECT 1 FROM items i WHERE i.run_id = r.id))
			ORDER BY r.number DESC LIMIT 1`, id, p.From.UnixMicro(), p.Until.UnixMicro())
		if err != nil {
			return err
		}
		if earlier != nil {
			return conflict("run #%d has pushed the time from %s until %s already", earlier.Number, earlier.Period.From.Format(time.RFC3339), earlier.Period.Until.Format(time.RFC3339))
		}
		r, err = t.openRun(activation.Run{
			Target: id, Mode: activation.ModeHistory, Cause: activation.CauseManual, SyncType: activation.SyncOfflineConversion,
			Period: activation.Period{From: p.From.UTC(), Until: p.Until.UTC()},
		})
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO pushes (run_id, target_id, destination_id, from_at, until_at, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			r.ID, id, target.Destination, p.From.UnixMicro(), p.Until.UnixMicro(), user, t.micros()); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "push", SubjectType: "target", SubjectID: string(id), After: encode(r.Period)})
	})
	if err != nil {
		return activation.Run{}, fmt.Errorf("open a push of target %q: %w", id, err)
	}
	return r, nil
}
