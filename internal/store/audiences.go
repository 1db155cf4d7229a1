package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

const audienceColumns = `a.id, a.slug, a.name, a.description, a.rule, a.version, a.created_at, a.updated_at, a.public, a.kind`

func scanAudience(r scanner) (activation.Audience, error) {
	var a activation.Audience
	err := r.Scan(&a.ID, &a.Slug, &a.Name, &a.Description, &a.Rule, &a.Version, stamp{&a.CreatedAt}, stamp{&a.UpdatedAt}, &a.Public, &a.Kind)
	return a, err
}

// Audience returns one audience by id or slug, or ErrNotFound.
func (s *Store) Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error) {
	a, err := scanAudience(s.read.QueryRowContext(ctx, `SELECT `+audienceColumns+` FROM audiences a WHERE a.id = $1 OR a.slug = $1`, id))
	return found(a, err, "audience", id)
}

// Audiences lists the audiences by slug, those that Usher keeps as well. Retired
// ones are there while a target has them.
func (s *Store) Audiences(ctx context.Context) ([]activation.Audience, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+audienceColumns+` FROM audiences a
		WHERE a.kind <> 'retired' OR EXISTS (SELECT 1 FROM targets t WHERE t.audience_id = a.id) ORDER BY a.slug`)
	out, err := collect(rows, err, scanAudience)
	if err != nil {
		return nil, fmt.Errorf("list audiences: %w", err)
	}
	return out, nil
}

// audienceFace is what the audit log keeps of an audience: not the rule, which
// may name a person.
func audienceFace(a activation.Audience) any {
	return struct {
		Slug    string `json:"slug_name"`
		Name    string `json:"name"`
		Version int    `json:"version"`
		Public  bool   `json:"is_public,omitempty"`
	}{a.Slug, a.Name, a.Version, a.Public}
}

// CreateAudience stores an audience of people as version 1; a slug taken is
// ErrConflict.
func (s *Store) CreateAudience(ctx context.Context, a activation.Audience, user string) (activation.Audience, error) {
	err := s.do(ctx, func(t *tx) error {
		if a.Kind != "" && a.Kind != activation.KindRule {
			return kept(a)
		}
		a.Kind = activation.KindRule
		return t.createAudience(&a, user)
	})
	if err != nil {
		return activation.Audience{}, fmt.Errorf("create audience: %w", err)
	}
	return a, nil
}

// createAudience stores an audience of any kind, and fills in the rest of a.
func (t *tx) createAudience(a *activation.Audience, user string) error {
	if a.ID == "" {
		a.ID = activation.NewID[activation.AudienceID]()
	}
	a.Version, a.CreatedAt, a.UpdatedAt = 1, t.now, t.now
	_, err := t.exec(`INSERT INTO audiences (id, slug, name, description, rule, version, created_at, updated_at, public, kind) VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $7, $8)`,
		a.ID, a.Slug, a.Name, a.Description, a.Rule, t.micros(), a.Public, a.Kind)
	if isConflict(err) {
		return conflict("an audience with the slug %q exists already", a.Slug)
	}
	if err != nil {
		return err
	}
	if err := t.eventOfAudience(*a, activation.EventCreated, "created"); err != nil {
		return err
	}
	return t.audit(activation.AuditEntry{Actor: user, Verb: "create", SubjectType: "audience", SubjectID: string(a.ID), After: encode(audienceFace(*a))})
}

// kept refuses what only Usher itself does to an audience.
func kept(a activation.Audience) error {
	return conflict("the audience %q is kept by Usher: its kind is %s", a.Name, a.Kind)
}

// UpdateAudience changes slug, name, description and rule; the version grows by
// one when, and only when, the rule changes. One that Usher keeps is
// ErrConflict.
func (s *Store) UpdateAudience(ctx context.Context, a activation.Audience, user string) (activation.Audience, error) {
	err := s.do(ctx, func(t *tx) error {
		before, err := scanAudience(t.row(`SELECT `+audienceColumns+` FROM audiences a WHERE a.id = $1`+t.d.ForUpdate, a.ID))
		if before, err = found(before, err, "audience", a.ID); err != nil {
			return err
		}
		if before.Kind != activation.KindRule {
			return kept(before)
		}
		a.Kind = before.Kind
		return t.updateAudience(before, &a, user)
	})
	if err != nil {
		return activation.Audience{}, fmt.Errorf("update audience: %w", err)
	}
	return a, nil
}

// updateAudience stores what has become of an audience, and fills in the rest
// of a.
func (t *tx) updateAudience(before activation.Audience, a *activation.Audience, user string) error {
	a.Version, a.CreatedAt, a.UpdatedAt = before.Version, before.CreatedAt, t.now
	if a.Rule != before.Rule {
		a.Version++
	}
	_, err := t.exec(`UPDATE audiences SET slug = $1, name = $2, description = $3, rule = $4, version = $5, updated_at = $6, public = $8, kind = $9 WHERE id = $7`,
		a.Slug, a.Name, a.Description, a.Rule, a.Version, t.micros(), a.ID, a.Public, a.Kind)
	if isConflict(err) {
		return conflict("an audience with the slug %q exists already", a.Slug)
	}
	if err != nil {
		return err
	}
	if err := t.eventOfAudience(*a, activation.EventUpdated, "updated"); err != nil {
		return err
	}
	return t.audit(activation.AuditEntry{Actor: user, Verb: "update", SubjectType: "audience", SubjectID: string(a.ID), Before: encode(audienceFace(before)), After: encode(audienceFace(*a))})
}

// DeleteAudience removes an audience; ErrConflict while a target uses it, a job
// leaves it out or a priority list names it, and for one that Usher keeps.
func (s *Store) DeleteAudience(ctx context.Context, id activation.AudienceID, user string) error {
	err := s.do(ctx, func(t *tx) error {
		a, err := scanAudience(t.row(`SELECT `+audienceColumns+` FROM audiences a WHERE a.id = $1`+t.d.ForUpdate, id))
		if a, err = found(a, err, "audience", id); err != nil {
			return err
		}
		if a.Kind != activation.KindRule {
			return kept(a)
		}
		for _, use := range []struct{ count, refusal string }{
			{`SELECT count(*) FROM targets WHERE audience_id = $1`, "%d targets use the audience"},
			{`SELECT count(*) FROM jobs WHERE exclude LIKE '%"' || CAST($1 AS TEXT) || '"%' AND deleted_at IS NULL AND state NOT IN ('killed', 'completed')`, "%d jobs leave the audience out"},
			{`SELECT count(*) FROM priority_lists WHERE audiences LIKE '%"' || CAST($1 AS TEXT) || '"%'`, "%d priority lists name the audience"},
		} {
			if n, err := t.count(use.count, id); err != nil || n > 0 {
				return orErr(err, conflict(use.refusal, n))
			}
		}
		if _, err := t.exec(`DELETE FROM watches WHERE audience_id = $1`, id); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM series WHERE kind = $1 AND subject = $2`, SeriesAudience, id); err != nil {
			return err
		}
		if err := t.eventOfAudience(a, activation.EventDeleted, "deleted"); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM audiences WHERE id = $1`, id); err != nil {
			return err
		}
		return t.audit(activation.AuditEntry{Actor: user, Verb: "delete", SubjectType: "audience", SubjectID: string(id)})
	})
	if err != nil {
		return fmt.Errorf("delete audience: %w", err)
	}
	return nil
}
