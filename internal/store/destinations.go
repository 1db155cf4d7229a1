package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

const destinationColumns = `d.id, d.name, d.provider, d.authorization_id, d.account, d.mapping, d.config, d.enabled, d.created_at, d.updated_at`

func scanDestination(r scanner) (activation.Destination, error) {
	var d activation.Destination
	err := r.Scan(&d.ID, &d.Name, &d.Provider, word[activation.AuthorizationID]{&d.Authorization}, &d.Account, object{&d.Mapping}, object{&d.Config}, &d.Enabled, stamp{&d.CreatedAt}, stamp{&d.UpdatedAt})
	return d, err
}

// Destination returns one destination, or ErrNotFound.
func (s *Store) Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error) {
	d, err := scanDestination(s.read.QueryRowContext(ctx, `SELECT `+destinationColumns+` FROM destinations d WHERE d.id = $1`, id))
	return found(d, err, "destination", id)
}

// Destinations lists the destinations by name.
func (s *Store) Destinations(ctx context.Context) ([]activation.Destination, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+destinationColumns+` FROM destinations d ORDER BY d.name, d.id`)
	out, err := collect(rows, err, scanDestination)
	if err != nil {
		return nil, fmt.Errorf("list destinations: %w", err)
	}
	return out, nil
}

// CreateDestination stores a destination; a name taken is ErrConflict.
func (s *Store) CreateDestination(ctx context.Context, d activation.Destination, user string) (activation.Destination, error) {
	err := s.do(ctx, func(t *tx) error {
		if d.ID == "" {
			d.ID = activation.NewID[activation.DestinationID]()
		}
		d.CreatedAt, d.UpdatedAt = t.now, t.now
		_, err := t.exec(`INSERT INTO destinations (id, name, provider, authorization_id, account, mapping, config, enabled, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
			d.ID, d.Name, d.Provider, text(d.Authorization), d.Account, encode(d.Mapping), encode(d.Config), d.Enabled, t.micros())
		if isConflict(err) {
			return conflict("a destination named %q exists already", d.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "destination", SubjectID: string(d.ID), After: encode(destinationFace(d))})
	})
	if err != nil {
		return activation.Destination{}, fmt.Errorf("create destination: %w", err)
	}
	return d, nil
}

// destinationFace is what the audit log keeps of a destination.
func destinationFace(d activation.Destination) any {
	return struct {
		Name     string                     `json:"name"`
		Provider string                     `json:"provider"`
		Auth     activation.AuthorizationID `json:"auth_id,omitempty"`
		Account  string                     `json:"account"`
		Enabled  bool                       `json:"enabled"`
		Mapping  map[string]string          `json:"mapping,omitempty"`
	}{d.Name, d.Provider, d.Authorization, d.Account, d.Enabled, d.Mapping}
}

// UpdateDestination changes name, authorization, account, mapping, config and
// enabled; the provider stays. Enabling wakes its targets; switching it off
// withdraws their Pending runs, of which nothing was sent. Where the mapping
// changes, or a setting that keys may depend on, its targets are due for that. A
// destination whose targets exist keeps its account, for their remote audiences
// are there.
func (s *Store) UpdateDestination(ctx context.Context, d activation.Destination, user string) (activation.Destination, error) {
	err := s.do(ctx, func(t *tx) error {
		before, err := scanDestination(t.row(`SELECT `+destinationColumns+` FROM destinations d WHERE d.id = $1`+t.d.ForUpdate, d.ID))
		if before, err = found(before, err, "destination", d.ID); err != nil {
			return err
		}
		if d.Account != before.Account {
			if n, err := t.count(`SELECT count(*) FROM targets WHERE destination_id = $1`, d.ID); err != nil || n > 0 {
				return orErr(err, conflict("the account cannot change while %d audiences are kept there", n))
			}
		}
		d.Provider, d.CreatedAt, d.UpdatedAt = before.Provider, before.CreatedAt, t.now
		_, err = t.exec(`UPDATE destinations SET name = $1, authorization_id = $2, account = $3, mapping = $4, config = $5, enabled = $6, updated_at = $7 WHERE id = $8`,
			d.Name, text(d.Authorization), d.Account, encode(d.Mapping), encode(d.Config), d.Enabled, t.micros(), d.ID)
		if isConflict(err) {
			return conflict("a destination named %q exists already", d.Name)
		}
		if err != nil {
			return err
		}
		if before.Enabled && !d.Enabled {
			if err := t.endPendingAt(d.ID); err != nil {
				return err
			}
		}
		if encode(before.Mapping) != encode(d.Mapping) || encode(before.Config) != encode(d.Config) {
			if err := t.rekey(d.ID); err != nil {
				return err
			}
		}
		t.Enqueue(WakeTarget, "")
		return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "destination", SubjectID: string(d.ID), Before: encode(destinationFace(before)), After: encode(destinationFace(d))})
	})
	if err != nil {
		return activation.Destination{}, fmt.Errorf("update destination: %w", err)
	}
	return d, nil
}

// rekey makes the targets at a destination due that hold people under keys which
// may be others now.
func (t *tx) rekey(id activation.DestinationID) error {
	rows, err := t.query(`SELECT t.id FROM targets t WHERE t.destination_id = $1 AND t.last_opened_at IS NOT NULL AND t.stream = ''
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.target_id = t.id AND r.sync_type = 'events') ORDER BY t.id`, id)
	ids, err := collect(rows, err, scanID)
	if err != nil {
		return err
	}
	targets := make([]activation.TargetID, len(ids))
	for i, target := range ids {
		targets[i] = activation.TargetID(target)
	}
	return t.makeDue(targets, activation.CauseAgent, false)
}

// endPendingAt withdraws the Pending runs of the targets at a destination. Those
// that are open are ended by delivery, which folds what was under way. What they
// were to do is owed: the targets are due when the destination is switched on.
func (t *tx) endPendingAt(id activation.DestinationID) error {
	rows, err := t.query(`SELECT `+runColumns+` FROM runs r JOIN targets t ON t.id = r.target_id WHERE t.destination_id = $1 AND r.status = 'pending' AND r.mode <> 'forget'`, id)
	runs, err := collect(rows, err, scanRun)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if err := t.endUnsent(r.ID); err != nil {
			return err
		}
		if err := t.wakeFromApproval(r.Target); err != nil {
			return err
		}
		if err := t.setDue(r.Target, t.micros(), again(r)); err != nil {
			return err
		}
		if err := t.settleJob(r.Job); err != nil {
			return err
		}
	}
	return nil
}

// DeleteDestination removes a destination; ErrConflict while targets, jobs or
// priority lists name it.
func (s *Store) DeleteDestination(ctx context.Context, id activation.DestinationID, user string) error {
	return s.remove(ctx, "destination", string(id), user, `DELETE FROM destinations WHERE id = $1`,
		`SELECT (SELECT count(*) FROM targets WHERE destination_id = $1) + (SELECT count(*) FROM jobs WHERE destination_id = $1)
			+ (SELECT count(*) FROM priority_lists WHERE destination_id = $1)`,
		"%d targets, jobs or priority lists use the destination")
}

// remove deletes a row unless inUse (where given) counts users of it.
func (s *Store) remove(ctx context.Context, what, id, user, statement, inUse, refusal string) error {
	err := s.do(ctx, func(t *tx) error {
		if inUse != "" {
			if n, err := t.count(inUse, id); err != nil || n > 0 {
				return orErr(err, conflict(refusal, n))
			}
		}
		if err := t.removedEvent(what, id); err != nil {
			return err
		}
		if err := t.must(fmt.Errorf("%s %q: %w", what, id, activation.ErrNotFound), statement, id); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: what, SubjectID: id})
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", what, err)
	}
	return nil
}

func (t *tx) count(query string, args ...any) (int64, error) {
	var n int64
	err := t.row(query, args...).Scan(&n)
	return n, err
}

// orErr returns err, or otherwise when it is nil.
func orErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
