package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
)

const tokenColumns = `id, name, description, hash, role, user_id, created_by, created_at, expires_at, last_used_at`

func scanToken(r scanner) (activation.Token, error) {
	var v activation.Token
	err := r.Scan(&v.ID, &v.Name, &v.Description, &v.Hash, &v.Role, word[activation.UserID]{&v.User}, &v.CreatedBy, stamp{&v.CreatedAt}, stamp{&v.ExpiresAt}, stamp{&v.LastUsedAt})
	return v, err
}

// CreateToken stores a hashed API token; a name taken is ErrConflict.
func (s *Store) CreateToken(ctx context.Context, v activation.Token) (activation.Token, error) {
	err := s.do(ctx, func(t *tx) error {
		if v.ID == "" {
			v.ID = activation.NewID[string]()
		}
		v.CreatedAt = t.now
		v.LastUsedAt = time.Time{}
		_, err := t.exec(`INSERT INTO tokens (id, name, description, hash, role, user_id, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			v.ID, v.Name, v.Description, v.Hash, v.Role, text(v.User), v.CreatedBy, t.micros(), at(v.ExpiresAt))
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

// Token returns one API token, or ErrNotFound.
func (s *Store) Token(ctx context.Context, id string) (activation.Token, error) {
	v, err := scanToken(s.read.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1`, id))
	return found(v, err, "token", id)
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

// SignInOnce uses up a one-time sign-in that is not over and starts a session of
// nobody by name; ErrNotFound when it is not there, or once there are people.
func (s *Store) SignInOnce(ctx context.Context, hash []byte, v activation.Session) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.useSignIn(hash, v.CreatedAt); err != nil {
			return err
		}
		return t.startSession(v)
	})
	if err != nil {
		return fmt.Errorf("sign in once: %w", err)
	}
	return nil
}

// SetUp uses up a one-time sign-in that is not over for the first person and
// their session; ErrNotFound when it is not there, or once there are people.
func (s *Store) SetUp(ctx context.Context, hash []byte, u activation.User, v activation.Session) (activation.User, error) {
	err := s.do(ctx, func(t *tx) (err error) {
		if err := t.useSignIn(hash, v.CreatedAt); err != nil {
			return err
		}
		if u, err = t.createUser(u, strings.ToLower(u.Login)); err != nil {
			return err
		}
		v.UserID, v.User, v.Role = u.ID, u.Login, u.Role
		u.LastSignInAt = v.CreatedAt
		return t.startSession(v)
	})
	if err != nil {
		return activation.User{}, fmt.Errorf("set up: %w", err)
	}
	return u, nil
}

// useSignIn uses up a one-time sign-in while there are no people.
func (t *tx) useSignIn(hash []byte, now time.Time) error {
	if err := t.must(activation.ErrNotFound, `DELETE FROM sign_ins WHERE hash = $1 AND expires_at > $2`, hash, now.UnixMicro()); err != nil {
		return err
	}
	n, err := t.count(`SELECT count(*) FROM users`)
	if err == nil && n > 0 {
		err = activation.ErrNotFound
	}
	return err
}

// StartSession starts the session of a person whose password was checked
// against the hash was, and stores the hash now in its place. It is ErrNotFound
// when the password has been changed since, or the person disabled or deleted.
func (s *Store) StartSession(ctx context.Context, v activation.Session, was, now string) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrNotFound, `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3 AND disabled_at IS NULL`, now, v.UserID, was); err != nil {
			return err
		}
		return t.startSession(v)
	})
	if err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	return nil
}

// CreateSession stores a session and drops those that are over.
func (s *Store) CreateSession(ctx context.Context, v activation.Session) error {
	err := s.do(ctx, func(t *tx) error { return t.startSession(v) })
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	return nil
}

func (t *tx) startSession(v activation.Session) error {
	if _, err := t.exec(`DELETE FROM sessions WHERE expires_at <= $1`, v.CreatedAt.UnixMicro()); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO sessions (hash, person, user_id, role, csrf, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		v.Hash, v.User, text(v.UserID), v.Role, v.CSRF, v.CreatedAt.UnixMicro(), v.ExpiresAt.UnixMicro()); err != nil {
		return err
	}
	subject := v.User
	if v.UserID != "" {
		subject = string(v.UserID)
		if _, err := t.exec(`UPDATE users SET last_sign_in_at = $1 WHERE id = $2`, v.CreatedAt.UnixMicro(), v.UserID); err != nil {
			return err
		}
	}
	return t.audit(activation.AuditEntry{Actor: v.User, Verb: "sign_in", SubjectType: "user", SubjectID: subject})
}

// SessionByHash returns the session with this hash, or ErrNotFound.
func (s *Store) SessionByHash(ctx context.Context, hash []byte) (activation.Session, error) {
	var v activation.Session
	err := s.read.QueryRowContext(ctx, `SELECT hash, person, user_id, role, csrf, created_at, expires_at FROM sessions WHERE hash = $1`, hash).
		Scan(&v.Hash, &v.User, word[activation.UserID]{&v.UserID}, &v.Role, &v.CSRF, stamp{&v.CreatedAt}, stamp{&v.ExpiresAt})
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
		rows, err := t.query(`DELETE FROM sessions WHERE hash = $1 RETURNING person, COALESCE(user_id, person)`, hash)
		gone, err := collect(rows, err, func(r scanner) (who [2]string, err error) { return who, r.Scan(&who[0], &who[1]) })
		if err != nil || len(gone) == 0 {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: gone[0][0], Verb: "sign_out", SubjectType: "user", SubjectID: gone[0][1]})
	})
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}
