package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// SaveDraft stores a person's draft; one without an id is new. A draft of
// somebody else is ErrNotFound.
func (s *Store) SaveDraft(ctx context.Context, d activation.Draft) (activation.Draft, error) {
	err := s.do(ctx, func(t *tx) error {
		d.UpdatedAt = t.now
		if d.ID == "" {
			d.ID = activation.NewID[activation.DraftID]()
			_, err := t.exec(`INSERT INTO drafts (id, person, answers, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)`, d.ID, d.Person, encode(d.Answers), t.micros())
			return err
		}
		return t.must(activation.ErrNotFound, `UPDATE drafts SET answers = $1, updated_at = $2 WHERE id = $3 AND person = $4`, encode(d.Answers), t.micros(), d.ID, d.Person)
	})
	if err != nil {
		return activation.Draft{}, fmt.Errorf("save draft: %w", err)
	}
	return d, nil
}

// Draft returns a draft of this person, or ErrNotFound.
func (s *Store) Draft(ctx context.Context, id activation.DraftID, person string) (activation.Draft, error) {
	d := activation.Draft{ID: id, Person: person}
	err := s.read.QueryRowContext(ctx, `SELECT answers, updated_at FROM drafts WHERE id = $1 AND person = $2`, id, person).Scan(object{&d.Answers}, stamp{&d.UpdatedAt})
	return found(d, err, "draft", id)
}

// DeleteDraft drops a draft of this person; one that is gone already is fine.
func (s *Store) DeleteDraft(ctx context.Context, id activation.DraftID, person string) error {
	err := s.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM drafts WHERE id = $1 AND person = $2`, id, person)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete draft: %w", err)
	}
	return nil
}
