package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// SaveConsent keeps a consent that is under way, and forgets those that nobody
// came back from in time.
func (s *Store) SaveConsent(ctx context.Context, c activation.Consent) error {
	err := s.do(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM consents WHERE created_at <= $1`, t.micros()-activation.ConsentLife.Microseconds()); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO consents (state_hash, person, provider, authorization_id, label, description, key_id, sealed, return_to, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			c.StateHash, c.Person, c.Provider, text(c.Authorization), c.Label, c.Description, c.KeyID, c.Sealed, c.ReturnTo, t.micros())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep consent: %w", err)
	}
	return nil
}

// TakeConsent returns the consent under way with this state and forgets it, so
// that it is good once. One that is too old, or is not there, is ErrNotFound.
func (s *Store) TakeConsent(ctx context.Context, stateHash []byte) (c activation.Consent, err error) {
	err = s.do(ctx, func(t *tx) error {
		c = activation.Consent{StateHash: stateHash}
		err := t.row(`SELECT person, provider, authorization_id, label, description, key_id, sealed, return_to, created_at FROM consents
			WHERE state_hash = $1 AND created_at > $2`+t.d.ForUpdate, stateHash, t.micros()-activation.ConsentLife.Microseconds()).
			Scan(&c.Person, &c.Provider, word[activation.AuthorizationID]{&c.Authorization}, &c.Label, &c.Description, &c.KeyID, &c.Sealed, &c.ReturnTo, stamp{&c.CreatedAt})
		if c, err = found(c, err, "consent", "of this state"); err != nil {
			return err
		}
		return t.must(activation.ErrNotFound, `DELETE FROM consents WHERE state_hash = $1`, stateHash)
	})
	if err != nil {
		return activation.Consent{}, fmt.Errorf("take consent: %w", err)
	}
	return c, nil
}
