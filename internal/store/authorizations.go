package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"usher/internal/activation"
)

const authorizationColumns = `a.id, a.label, a.description, a.provider, a.status, a.reason, a.key_id, a.sealed, a.created_by, a.last_checked_at, a.expires_at, a.created_at, a.updated_at`

func scanAuthorization(r scanner) (activation.Authorization, error) {
	var a activation.Authorization
	err := r.Scan(&a.ID, &a.Label, &a.Description, &a.Provider, &a.Status, &a.Reason, &a.KeyID, &a.Sealed, &a.CreatedBy, stamp{&a.LastCheckedAt}, stamp{&a.ExpiresAt}, stamp{&a.CreatedAt}, stamp{&a.UpdatedAt})
	return a, err
}

// Authorization returns one authorization, sealed, or ErrNotFound.
func (s *Store) Authorization(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error) {
	a, err := scanAuthorization(s.read.QueryRowContext(ctx, `SELECT `+authorizationColumns+` FROM authorizations a WHERE a.id = $1`, id))
	return found(a, err, "authorization", id)
}

// Authorizations lists the authorizations by label.
func (s *Store) Authorizations(ctx context.Context) ([]activation.Authorization, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+authorizationColumns+` FROM authorizations a ORDER BY a.label, a.id`)
	out, err := collect(rows, err, scanAuthorization)
	if err != nil {
		return nil, fmt.Errorf("list authorizations: %w", err)
	}
	return out, nil
}

// authorizationFace is what the audit log keeps of an authorization.
func authorizationFace(a activation.Authorization) any {
	return struct {
		Label    string `json:"label"`
		Provider string `json:"provider"`
		KeyID    string `json:"key_id"`
	}{a.Label, a.Provider, a.KeyID}
}

// CreateAuthorization stores sealed credentials with status unknown.
func (s *Store) CreateAuthorization(ctx context.Context, a activation.Authorization, user string) (activation.Authorization, error) {
	err := s.do(ctx, func(t *tx) error {
		if a.ID == "" {
			a.ID = activation.NewID[activation.AuthorizationID]()
		}
		a.Status, a.CreatedBy, a.CreatedAt, a.UpdatedAt = activation.AuthUnknown, user, t.now, t.now
		if _, err := t.exec(`INSERT INTO authorizations (id, label, description, provider, status, reason, key_id, sealed, created_by, expires_at, created_at, updated_at) VALUES ($1, $2, $3, $4, 'unknown', '', $5, $6, $7, $8, $9, $9)`,
			a.ID, a.Label, a.Description, a.Provider, a.KeyID, a.Sealed, user, at(a.ExpiresAt), t.micros()); err != nil {
			return err
		}
		if err := t.eventOfAuthorization(a, activation.EventCreated, "created"); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "authorization", SubjectID: string(a.ID), After: encode(authorizationFace(a))})
	})
	if err != nil {
		return activation.Authorization{}, fmt.Errorf("create authorization: %w", err)
	}
	return a, nil
}

// UpdateAuthorization changes label, description and, where Sealed is given,
// the credentials. New credentials are unknown until they are checked; what
// slept because of the old ones wakes to try them.
func (s *Store) UpdateAuthorization(ctx context.Context, a activation.Authorization, user string) error {
	err := s.do(ctx, func(t *tx) error {
		before, err := scanAuthorization(t.row(`SELECT `+authorizationColumns+` FROM authorizations a WHERE a.id = $1`+t.d.ForUpdate, a.ID))
		if before, err = found(before, err, "authorization", a.ID); err != nil {
			return err
		}
		if len(a.Sealed) == 0 {
			_, err = t.exec(`UPDATE authorizations SET label = $1, description = $2, updated_at = $3 WHERE id = $4`, a.Label, a.Description, t.micros(), a.ID)
		} else {
			_, err = t.exec(`UPDATE authorizations SET label = $1, description = $2, updated_at = $3, key_id = $4, sealed = $5, status = 'unknown', reason = '', expires_at = $6, expiry_noticed_at = CASE WHEN expires_at = $6 THEN expiry_noticed_at END WHERE id = $7`,
				a.Label, a.Description, t.micros(), a.KeyID, a.Sealed, at(a.ExpiresAt), a.ID)
			err = orElse(err, func() error { return t.unpark(a.ID) })
		}
		if err != nil {
			return err
		}
		if err := t.eventOfAuthorization(a, activation.EventUpdated, "updated"); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "authorization", SubjectID: string(a.ID), Before: encode(authorizationFace(before)), After: encode(authorizationFace(a))})
	})
	if err != nil {
		return fmt.Errorf("update authorization: %w", err)
	}
	return nil
}

// orElse returns err, or what fn returns when it is nil.
func orElse(err error, fn func() error) error {
	if err != nil {
		return err
	}
	return fn()
}

// Reseal stores the secrets of an authorization sealed with another key, if they
// are still those that a holds, and reports whether they were. Nothing else
// changes: the secrets are the same.
func (s *Store) Reseal(ctx context.Context, a activation.Authorization, sealed []byte, keyID string) (done bool, err error) {
	err = s.do(ctx, func(t *tx) error {
		err := t.must(activation.ErrFenced, `UPDATE authorizations SET sealed = $1, key_id = $2 WHERE id = $3 AND key_id = $4 AND sealed = $5`, sealed, keyID, a.ID, a.KeyID, a.Sealed)
		if errors.Is(err, activation.ErrFenced) {
			return nil
		}
		done = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("seal authorization %q anew: %w", a.ID, err)
	}
	return done, nil
}

// DeleteAuthorization removes an authorization; ErrConflict while destinations
// or living jobs use it, and it names them.
func (s *Store) DeleteAuthorization(ctx context.Context, id activation.AuthorizationID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		users, err := t.usersOf(id)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return conflict("the authorization is used by %s", listed(users, 5))
		}
		if err := t.removedEvent("authorization", string(id)); err != nil {
			return err
		}
		if err := t.must(fmt.Errorf("authorization %q: %w", id, activation.ErrNotFound), `DELETE FROM authorizations WHERE id = $1`, id); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "authorization", SubjectID: string(id)})
	})
	if err != nil {
		return fmt.Errorf("delete authorization: %w", err)
	}
	return nil
}

// usersOf names the destinations and living jobs that use an authorization.
func (t *tx) usersOf(id activation.AuthorizationID) ([]string, error) {
	rows, err := t.query(`SELECT d.name FROM destinations d WHERE d.authorization_id = $1 ORDER BY d.name`, id)
	users, err := collect(rows, err, scanName("destination"))
	if err != nil {
		return nil, err
	}
	rows, err = t.query(`SELECT j.name FROM jobs j WHERE j.deleted_at IS NULL AND j.state <> 'killed'
		AND (j.auth_ids LIKE '%"' || CAST($1 AS TEXT) || '"%' OR j.destination_id IN (SELECT id FROM destinations WHERE authorization_id = CAST($1 AS TEXT))) ORDER BY j.name`, id)
	jobs, err := collect(rows, err, scanName("job"))
	return append(users, jobs...), err
}

// scanName reads a name as people are told of it.
func scanName(what string) func(scanner) (string, error) {
	return func(r scanner) (string, error) {
		var name string
		err := r.Scan(&name)
		return fmt.Sprintf("the %s %q", what, name), err
	}
}

// listed joins names for people, at most so many.
func listed(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// MarkHealthy records that an authorization works. What slept because of it
// wakes: the failed run is retried where that is allowed, else the target is
// due for a new one, never both.
func (s *Store) MarkHealthy(ctx context.Context, id activation.AuthorizationID) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrNotFound, `UPDATE authorizations SET status = 'healthy', reason = '', last_checked_at = $1 WHERE id = $2`, t.micros(), id); err != nil {
			return err
		}
		if err := t.authorizationWorks(id); err != nil {
			return err
		}
		return t.unpark(id)
	})
	if err != nil {
		return fmt.Errorf("mark authorization %q healthy: %w", id, err)
	}
	return nil
}

// MarkUnhealthy records that an authorization does not work, and why; its
// targets sleep until it is mended, which counts towards fail_after.
func (s *Store) MarkUnhealthy(ctx context.Context, id activation.AuthorizationID, reason string) error {
	err := s.do(ctx, func(t *tx) error { return t.parkAuthorization(id, reason) })
	if err != nil {
		return fmt.Errorf("mark authorization %q unhealthy: %w", id, err)
	}
	return nil
}

// unpark wakes the targets that sleep because of an authorization.
func (t *tx) unpark(id activation.AuthorizationID) error {
	targets, err := t.targetsOn(id)
	if err != nil {
		return err
	}
	jobs := map[activation.JobID]activation.Job{}
	for _, target := range targets {
		if target.SleepReason != activation.SleepAuthorization {
			continue
		}
		if err := t.setRest(target, activation.WokenFrom(restOf(target), activation.SleepAuthorization)); err != nil {
			return err
		}
		if err := t.setDue(target.ID, t.micros(), byTarget); err != nil {
			return err
		}
		if err := t.retryLast(target, byItself); err != nil {
			return err
		}
		t.Enqueue(WakeTarget, string(target.ID))
		jobs[target.Job] = activation.Job{}
	}
	if err := t.unparkPasses(id); err != nil {
		return err
	}
	return t.settleAll(jobs)
}

// ReplaceAuthorization moves every destination, publisher account and job from one authorization to
// another of the same provider, and wakes what slept because of the old one.
// Open runs go on under the new one. That it can open their remote audiences is
// the caller's to check; the targets in anew, whose audiences it can't, leave
// them behind and begin another one: what awaits an answer or approval ends as
// when a remote audience is gone, and ErrConflict while a run is open.
func (s *Store) ReplaceAuthorization(ctx context.Context, from, to activation.AuthorizationID, anew []activation.TargetID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		n, err := t.count(`SELECT count(*) FROM authorizations a JOIN authorizations b ON b.provider = a.provider WHERE a.id = $1 AND b.id = $2`, from, to)
		if err != nil || n == 0 {
			return orErr(err, invalid("with", "the authorizations are not of the same provider"))
		}
		if err := t.leaveBehind(from, anew); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE destinations SET authorization_id = $1, updated_at = $2 WHERE authorization_id = $3`, to, t.micros(), from); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE publishers SET auth_id = $1, updated_at = $2 WHERE auth_id = $3`, to, t.micros(), from); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE jobs SET auth_ids = replace(auth_ids, $1, $2), updated_at = $3 WHERE auth_ids LIKE '%' || CAST($1 AS TEXT) || '%'`,
			encode(from), encode(to), t.micros()); err != nil {
			return err
		}
		if err := t.unpark(to); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{
			Actor: user, Verb: "replace", SubjectType: "authorization", SubjectID: string(from),
			After: encode(struct {
				With activation.AuthorizationID `json:"with"`
				Anew []activation.TargetID      `json:"new_audiences,omitempty"`
			}{to, anew}),
		})
	})
	if err != nil {
		return fmt.Errorf("replace authorization: %w", err)
	}
	return nil
}

// leaveBehind gives targets of an authorization another generation.
func (t *tx) leaveBehind(auth activation.AuthorizationID, targets []activation.TargetID) error {
	for _, id := range targets {
		n, err := t.count(`SELECT count(*) FROM targets t JOIN destinations d ON d.id = t.destination_id WHERE t.id = $1 AND d.authorization_id = $2`, id, auth)
		if err != nil || n == 0 {
			return orErr(err, conflict("the target %q is not one of the authorization", id))
		}
		target, err := t.target(id)
		if err != nil {
			return err
		}
		if target.OpenRun != "" {
			return t.openConflict(target) // only its own attempt knows its counts
		}
		if err := t.voidGeneration(id, ""); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE targets SET generation = generation + 1, remote_id = '' WHERE id = $1`, id); err != nil {
			return err
		}
		if err := t.setDue(id, t.micros(), byTarget); err != nil {
			return err
		}
		t.Enqueue(WakeTarget, string(id))
	}
	return nil
}
