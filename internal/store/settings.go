package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// Setting returns the value of a setting, or ErrNotFound.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var v string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&v)
	return found(v, err, "setting", name)
}

// Settings returns all settings.
func (s *Store) Settings(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	rows, err := s.read.QueryContext(ctx, `SELECT name, value FROM settings`)
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var name, value string
		err := r.Scan(&name, &value)
		out[name] = value
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", err)
	}
	return out, nil
}

// SetSetting stores a setting; an empty value removes it. The audit log keeps
// that it changed, not to what.
func (s *Store) SetSetting(ctx context.Context, name, value, user string) error {
	err := s.do(ctx, func(t *tx) error {
		query, args := `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, []any{name, value}
		if value == "" {
			query, args = `DELETE FROM settings WHERE name = $1`, []any{name}
		}
		if _, err := t.exec(query, args...); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "setting", SubjectID: name})
	})
	if err != nil {
		return fmt.Errorf("set setting %q: %w", name, err)
	}
	return nil
}
