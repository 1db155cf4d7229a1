package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

const tokenColumns = `id, name, hash, role, created_by, created_at, expires_at, last_used_at`

func scanToken(r scanner) (activation.Token, error) {
	var v activation.Token
	err := r.Scan(&v.ID, &v.Name, &v.Hash, &v.Role, &v.CreatedBy, stamp{&v.CreatedAt}, stamp{&v.ExpiresAt}, stamp{&v.LastUsedAt})
	return v, err
}

// CreateToken stores a hashed API token; a name taken is ErrConflict.
func (s *Store) CreateToken(ctx context.Context, v activation.Token) (activation.Token, error) {
	err := s.do(ctx, func(t *tx) error {
		if v.ID == "" {
			v.ID = activation.NewID[string]()
		}
		v.CreatedAt = t.now
		_, err := t.exec(`INSERT INTO tokens (id, name, hash, role, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			v.ID, v.Name, v.Hash, v.Role, v.CreatedBy, t.micros(), at(v.ExpiresAt))
		if isConflict(err) {
			return conflict("a token named %q exists already", v.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: v.CreatedBy, Verb: "create", SubjectType: "token", SubjectID: v.ID, After: encode(map[string]string{"name": v.Name, "scope": string(v.Role)})})
	})
	if err != nil {
		return activation.Token{}, fmt.Errorf("create token: %w", err)
	}
	return v, nil
}

// TokenByHash returns the token with this hash, or ErrNotFound.
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (activation.Token, error) {
	v, err := scanToken(s.read.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE hash = $1`, hash))
	return found(v, err, "token", "by its hash")
}

// TouchToken notes when a token was last used.
func (s *Store) TouchToken(ctx context.Context, id string, usedAt time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE tokens SET last_used_at = $1 WHERE id = $2`, usedAt.UnixMicro(), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("touch token: %w", err)
	}
	return nil
}

// Tokens lists the API tokens by name.
func (s *Store) Tokens(ctx context.Context) ([]activation.Token, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+tokenColumns+` FROM tokens ORDER BY name`)
	out, err := collect(rows, err, scanToken)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return out, nil
}

// DeleteToken revokes a token, or answers ErrNotFound.
func (s *Store) DeleteToken(ctx context.Context, id, user string) error {
	return s.remove(ctx, "token", id, user, `DELETE FROM tokens WHERE id = $1`, "", "")
}

// ReplaceSignIn makes this hash the only one-time sign-in.
func (s *Store) ReplaceSignIn(ctx context.Context, hash []byte, expiresAt time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM sign_ins`); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO sign_ins (hash, expires_at) VALUES ($1, $2)`, hash, expiresAt.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("replace sign-in: %w", err)
	}
	return nil
}

// UseSignIn uses up a one-time sign-in that is not over, or answers ErrNotFound.
func (s *Store) UseSignIn(ctx context.Context, hash []byte, now time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		return t.must(activation.ErrNotFound, `DELETE FROM sign_ins WHERE hash = $1 AND expires_at > $2`, hash, now.UnixMicro())
	})
	if err != nil {
		return fmt.Errorf("use sign-in: %w", err)
	}
	return nil
}

// CreateSession stores a session and drops those that are over.
func (s *Store) CreateSession(ctx context.Context, v activation.Session) error {
	err := s.do(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM sessions WHERE expires_at <= $1`, v.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO sessions (hash, person, role, csrf, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			v.Hash, v.User, v.Role, v.CSRF, v.CreatedAt.UnixMicro(), v.ExpiresAt.UnixMicro()); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: v.User, Verb: "sign_in", SubjectType: "user", SubjectID: v.User})
	})
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	return nil
}

// SessionByHash returns the session with this hash, or ErrNotFound.
func (s *Store) SessionByHash(ctx context.Context, hash []byte) (activation.Session, error) {
	var v activation.Session
	err := s.read.QueryRowContext(ctx, `SELECT hash, person, role, csrf, created_at, expires_at FROM sessions WHERE hash = $1`, hash).
		Scan(&v.Hash, &v.User, &v.Role, &v.CSRF, stamp{&v.CreatedAt}, stamp{&v.ExpiresAt})
	return found(v, err, "session", "by its hash")
}

// ExtendSession moves the end of a session.
func (s *Store) ExtendSession(ctx context.Context, hash []byte, until time.Time) error {
	err := s.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE sessions SET expires_at = $1 WHERE hash = $2`, until.UnixMicro(), hash)
		return err
	})
	if err != nil {
		return fmt.Errorf("extend session: %w", err)
	}
	return nil
}

// DeleteSession ends a session. Ending one that is not there does nothing.
func (s *Store) DeleteSession(ctx context.Context, hash []byte) error {
	err := s.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM sessions WHERE hash = $1`, hash)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}
