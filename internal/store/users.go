package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
)

const userColumns = `u.id, u.login, u.name, u.role, u.password_hash, u.disabled_at, u.created_at, u.updated_at, u.last_sign_in_at`

func scanUser(r scanner) (activation.User, error) {
	var u activation.User
	var disabled time.Time
	err := r.Scan(&u.ID, &u.Login, &u.Name, &u.Role, &u.PasswordHash, stamp{&disabled}, stamp{&u.CreatedAt}, stamp{&u.UpdatedAt}, stamp{&u.LastSignInAt})
	u.Disabled = !disabled.IsZero()
	return u, err
}

// HasUsers reports whether there is any person who may sign in, disabled ones
// included.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	var n int64
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM users`).Scan(&n); err != nil {
		return false, fmt.Errorf("count people: %w", err)
	}
	return n > 0, nil
}

// Users lists the people by login.
func (s *Store) Users(ctx context.Context) ([]activation.User, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+userColumns+` FROM users u ORDER BY u.login`)
	out, err := collect(rows, err, scanUser)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return out, nil
}

// User returns one person, or ErrNotFound.
func (s *Store) User(ctx context.Context, id activation.UserID) (activation.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`, id))
	return found(u, err, "user", id)
}

// UserByLogin returns the person with a login, or ErrNotFound. The login is not
// part of the error: it may be anything that a stranger typed.
func (s *Store) UserByLogin(ctx context.Context, login string) (activation.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users u WHERE u.login = $1`, strings.ToLower(login)))
	return found(u, err, "user", "by login")
}

// CreateUser stores a person; a login taken is ErrConflict. The first person
// must be an administrator, and ends the one-time sign-in and the sessions that
// it began.
func (s *Store) CreateUser(ctx context.Context, u activation.User, by string) (activation.User, error) {
	err := s.do(ctx, func(t *tx) (err error) {
		u, err = t.createUser(u, by)
		return err
	})
	if err != nil {
		return activation.User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

func (t *tx) createUser(u activation.User, by string) (activation.User, error) {
	others, err := t.count(`SELECT count(*) FROM users`)
	if err != nil {
		return u, err
	}
	if others == 0 {
		if u.Role != activation.RoleAdmin || u.Disabled {
			return u, conflict("the first person must be an administrator")
		}
		if _, err := t.exec(`DELETE FROM sign_ins`); err != nil {
			return u, err
		}
		if _, err := t.exec(`DELETE FROM sessions WHERE user_id IS NULL`); err != nil {
			return u, err
		}
	}
	if u.ID == "" {
		u.ID = activation.NewID[activation.UserID]()
	}
	u.Login, u.CreatedAt, u.UpdatedAt, u.LastSignInAt = strings.ToLower(u.Login), t.now, t.now, time.Time{}
	_, err = t.exec(`INSERT INTO users (id, login, name, role, password_hash, disabled_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
		u.ID, u.Login, u.Name, u.Role, u.PasswordHash, t.since(u.Disabled), t.micros())
	if isConflict(err) {
		return u, conflict("a person with this e-mail exists already")
	}
	if err != nil {
		return u, err
	}
	return u, t.audit(activation.AuditEntry{Actor: by, Verb: "create", SubjectType: "user", SubjectID: string(u.ID), After: encode(userFace(u))})
}

// since is now when on, else NULL.
func (t *tx) since(on bool) any {
	if !on {
		return nil
	}
	return t.micros()
}

// userFace is what the audit log keeps of a person.
func userFace(u activation.User) any {
	return struct {
		Login    string          `json:"email"`
		Role     activation.Role `json:"role"`
		Disabled bool            `json:"disabled"`
	}{u.Login, u.Role, u.Disabled}
}

// UpdateUser changes name, role, password hash and whether a person is disabled
// as change does with the person as stored, maybe more than once; the rest
// stays. Whatever changes what the person may do, or how they prove who they
// are, ends their sessions at once. The last administrator who may sign in
// stays one: ErrConflict.
func (s *Store) UpdateUser(ctx context.Context, id activation.UserID, change func(*activation.User), by string) (u activation.User, err error) {
	err = s.do(ctx, func(t *tx) error {
		admins, err := t.admins(id)
		if err != nil {
			return err
		}
		before, err := t.user(id)
		if err != nil {
			return err
		}
		u = before
		change(&u)
		if active(before) && !active(u) && admins == 0 {
			return conflict("this is the last administrator who may sign in; give the role to another person first")
		}
		u.ID, u.Login, u.CreatedAt, u.LastSignInAt, u.UpdatedAt = id, before.Login, before.CreatedAt, before.LastSignInAt, t.now
		if _, err := t.exec(`UPDATE users SET name = $1, role = $2, password_hash = $3, updated_at = $4 WHERE id = $5`, u.Name, u.Role, u.PasswordHash, t.micros(), u.ID); err != nil {
			return err
		}
		if u.Disabled != before.Disabled {
			if _, err := t.exec(`UPDATE users SET disabled_at = $1 WHERE id = $2`, t.since(u.Disabled), u.ID); err != nil {
				return err
			}
		}
		verb := "update"
		if u.PasswordHash != before.PasswordHash {
			verb = "set_password"
		}
		if verb != "update" || u.Role != before.Role || u.Disabled != before.Disabled {
			if err := t.endSessions(u.ID); err != nil {
				return err
			}
		}
		return t.audit(activation.AuditEntry{Actor: by, Verb: verb, SubjectType: "user", SubjectID: string(u.ID), Before: encode(userFace(before)), After: encode(userFace(u))})
	})
	if err != nil {
		return activation.User{}, fmt.Errorf("update user: %w", err)
	}
	return u, nil
}

// active reports whether a person is an administrator who may sign in.
func active(u activation.User) bool { return u.Role == activation.RoleAdmin && !u.Disabled }

// admins counts the administrators who may sign in beside one person, and keeps
// others from changing any of them until the transaction ends.
func (t *tx) admins(beside activation.UserID) (int, error) {
	rows, err := t.query(`SELECT u.id FROM users u WHERE u.role = 'admin' AND u.disabled_at IS NULL ORDER BY u.id` + t.d.ForUpdate)
	all, err := collect(rows, err, func(r scanner) (id activation.UserID, err error) { return id, r.Scan(&id) })
	n := 0
	for _, id := range all {
		if id != beside {
			n++
		}
	}
	return n, err
}

// user reads a person to be changed.
func (t *tx) user(id activation.UserID) (activation.User, error) {
	u, err := scanUser(t.row(`SELECT `+userColumns+` FROM users u WHERE u.id = $1`+t.d.ForUpdate, id))
	return found(u, err, "user", id)
}

func (t *tx) endSessions(id activation.UserID) error {
	_, err := t.exec(`DELETE FROM sessions WHERE user_id = $1`, id)
	return err
}

// SetPassword replaces the password hash was by another and ends the person's
// sessions; ErrConflict when it is not was any more.
func (s *Store) SetPassword(ctx context.Context, id activation.UserID, was, hash, by string) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(conflict("the password was changed meanwhile"), `UPDATE users SET password_hash = $1, updated_at = $2 WHERE id = $3 AND password_hash = $4`, hash, t.micros(), id, was); err != nil {
			return err
		}
		if err := t.endSessions(id); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: by, Verb: "set_password", SubjectType: "user", SubjectID: string(id)})
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// DeleteUser removes a person with their sessions and API tokens. What they did
// stays in the audit log. The last administrator who may sign in stays:
// ErrConflict.
func (s *Store) DeleteUser(ctx context.Context, id activation.UserID, by string) error {
	err := s.do(ctx, func(t *tx) error {
		admins, err := t.admins(id)
		if err != nil {
			return err
		}
		before, err := t.user(id)
		if err != nil {
			return err
		}
		if active(before) && admins == 0 {
			return conflict("this is the last administrator who may sign in; give the role to another person first")
		}
		if err := t.endSessions(id); err != nil {
			return err
		}
		rows, err := t.query(`DELETE FROM tokens WHERE user_id = $1 RETURNING id`, id)
		tokens, err := collect(rows, err, func(r scanner) (id string, err error) { return id, r.Scan(&id) })
		if err != nil {
			return err
		}
		for _, token := range tokens {
			if err := t.audit(activation.AuditEntry{Actor: by, Verb: "delete", SubjectType: "token", SubjectID: token}); err != nil {
				return err
			}
		}
		if _, err := t.exec(`DELETE FROM users WHERE id = $1`, id); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: by, Verb: "delete", SubjectType: "user", SubjectID: string(id), Before: encode(userFace(before))})
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
