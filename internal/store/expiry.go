package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// NoteExpiry stores when what an authorization has ends. A later end than the one
// that was warned of is warned of anew. The credentials are the same, so the time
// of their last change stays.
func (s *Store) NoteExpiry(ctx context.Context, id activation.AuthorizationID, end time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		return t.must(activation.ErrNotFound, `UPDATE authorizations SET expires_at = $1,
			expiry_noticed_at = CASE WHEN $1 <= expires_at + $2 THEN expiry_noticed_at END WHERE id = $3`, at(end), time.Hour.Microseconds(), id)
	})
	if err != nil {
		return fmt.Errorf("note when authorization %q ends: %w", id, err)
	}
	return nil
}

// expiring are the authorizations that end soon and were not warned of. $1 is
// now; $2 how long before the end.
const expiring = `FROM authorizations a WHERE a.expires_at <= CAST($1 AS BIGINT) + $2 AND a.expiry_noticed_at IS NULL`

// WarnExpiring writes, once, that an authorization ends within 30 days, and
// returns of how many.
func (s *Store) WarnExpiring(ctx context.Context) (int, error) {
	warned := 0
	err := s.do(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT `+authorizationColumns+` `+expiring+` ORDER BY a.id`+t.d.ForUpdate, t.micros(), activation.ExpiryNotice.Microseconds())
		ending, err := collect(rows, err, scanAuthorization)
		if err != nil {
			return err
		}
		warned = len(ending)
		for _, a := range ending {
			if _, err := t.exec(`UPDATE authorizations SET expiry_noticed_at = $1 WHERE id = $2`, t.micros(), a.ID); err != nil {
				return err
			}
			if err := t.event(activation.Event{
				Source: activation.SourceAuth, Type: activation.EventExpiring, SubjectID: string(a.ID), SubjectName: a.Label, Level: "warn",
				Message: expiryText(a.ExpiresAt, t.now),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("warn of authorizations that end: %w", err)
	}
	return warned, nil
}

// expiryText says when credentials end.
func expiryText(end, now time.Time) string {
	if !now.Before(end) {
		return "the credentials ended on " + end.UTC().Format("2 January 2006") + "; connect the authorization again"
	}
	return "the credentials end on " + end.UTC().Format("2 January 2006") + "; connect the authorization again before"
}
