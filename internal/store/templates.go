package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

const templateColumns = `id, name, description, body, created_by, created_at, updated_at`

func scanTemplate(r scanner) (activation.Template, error) {
	var v activation.Template
	err := r.Scan(&v.ID, &v.Name, &v.Description, &v.Text, &v.CreatedBy, stamp{&v.CreatedAt}, stamp{&v.UpdatedAt})
	return v, err
}

// Template returns one payload template by id or name, or ErrNotFound.
func (s *Store) Template(ctx context.Context, id string) (activation.Template, error) {
	v, err := scanTemplate(s.read.QueryRowContext(ctx, `SELECT `+templateColumns+` FROM templates WHERE id = $1 OR name = $1 ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1`, id))
	return found(v, err, "template", id)
}

// Templates lists the payload templates by name.
func (s *Store) Templates(ctx context.Context) ([]activation.Template, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+templateColumns+` FROM templates ORDER BY name`)
	out, err := collect(rows, err, scanTemplate)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	return out, nil
}

// CreateTemplate stores a payload template; a name taken is ErrConflict.
func (s *Store) CreateTemplate(ctx context.Context, v activation.Template) (activation.Template, error) {
	err := s.do(ctx, func(t *tx) error {
		if v.ID == "" {
			v.ID = activation.NewID[string]()
		}
		v.CreatedAt, v.UpdatedAt = t.now, t.now
		_, err := t.exec(`INSERT INTO templates (`+templateColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $6)`, v.ID, v.Name, v.Description, v.Text, v.CreatedBy, t.micros())
		if isConflict(err) {
			return conflict("a template named %q exists already", v.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: v.CreatedBy, Verb: "create", SubjectType: "template", SubjectID: v.ID, After: encode(map[string]string{"name": v.Name})})
	})
	if err != nil {
		return activation.Template{}, fmt.Errorf("create template: %w", err)
	}
	return v, nil
}

// UpdateTemplate changes name, description and text; jobs use it from their next
// batch on.
func (s *Store) UpdateTemplate(ctx context.Context, v activation.Template, user string) (activation.Template, error) {
	err := s.do(ctx, func(t *tx) error {
		before, err := scanTemplate(t.row(`SELECT `+templateColumns+` FROM templates WHERE id = $1`+t.d.ForUpdate, v.ID))
		if before, err = found(before, err, "template", v.ID); err != nil {
			return err
		}
		v.CreatedBy, v.CreatedAt, v.UpdatedAt = before.CreatedBy, before.CreatedAt, t.now
		_, err = t.exec(`UPDATE templates SET name = $1, description = $2, body = $3, updated_at = $4 WHERE id = $5`, v.Name, v.Description, v.Text, t.micros(), v.ID)
		if isConflict(err) {
			return conflict("a template named %q exists already", v.Name)
		}
		if err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{
			Actor: user, Verb: "update", SubjectType: "template", SubjectID: v.ID,
			Before: encode(map[string]string{"name": before.Name}), After: encode(map[string]string{"name": v.Name}),
		})
	})
	if err != nil {
		return activation.Template{}, fmt.Errorf("update template: %w", err)
	}
	return v, nil
}

// DeleteTemplate removes a payload template, by id or name; ErrConflict while a
// job that is not deleted names it.
func (s *Store) DeleteTemplate(ctx context.Context, id, user string) error {
	err := s.do(ctx, func(t *tx) error {
		v, err := scanTemplate(t.row(`SELECT `+templateColumns+` FROM templates WHERE id = $1 OR name = $1 ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1`, id))
		if v, err = found(v, err, "template", id); err != nil {
			return err
		}
		// The settings of a job are JSON and name a template by its id alone.
		n, err := t.count(`SELECT count(*) FROM jobs WHERE deleted_at IS NULL AND config LIKE $1`, `%"`+v.ID+`"%`)
		if err != nil || n > 0 {
			return orErr(err, conflict("%d jobs use the template", n))
		}
		if _, err := t.exec(`DELETE FROM templates WHERE id = $1`, v.ID); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "template", SubjectID: v.ID, Before: encode(map[string]string{"name": v.Name})})
	})
	if err != nil {
		return fmt.Errorf("delete template: %w", err)
	}
	return nil
}
