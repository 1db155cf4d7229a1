package site

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"usher/internal/activation"
)

// Ensure makes an audience known under its marker and returns its id, which is
// never given to another one.
func (s *Site) Ensure(ctx context.Context, marker, slug string) (string, error) {
	var id int64
	err := s.change(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO audiences (marker, slug) VALUES ($1, $2)
			ON CONFLICT (marker) DO UPDATE SET slug = excluded.slug RETURNING id`, marker, slug).Scan(&id)
	})
	if err != nil {
		return "", fmt.Errorf("make an audience of the site: %w", err)
	}
	return strconv.FormatInt(id, 10), nil
}

// Has reports whether the audience is there.
func (s *Site) Has(ctx context.Context, audience string) (bool, error) {
	id, err := parse(audience)
	if err != nil {
		return false, nil //nolint:nilerr // what is no id of ours is not there
	}
	var there bool
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM audiences WHERE id = $1)`, id).Scan(&there); err != nil {
		return false, fmt.Errorf("look for an audience of the site: %w", err)
	}
	return there, nil
}

// Put adds people to an audience, or gives them other attributes. ErrNotFound
// where the audience is not there.
func (s *Site) Put(ctx context.Context, audience string, publicIDs, attributes []string) error {
	return s.put(ctx, audience, publicIDs, attributes, `INSERT INTO members (audience, person, sealed, attributes) VALUES ($1, $2, $3, $4)
		ON CONFLICT (person, audience) DO UPDATE SET attributes = excluded.attributes`, nil, "")
}

// Replace puts people into an audience as one part of all of its people. With
// last, whoever came by no part of the same session goes in the same transaction.
// Told again it changes nothing.
func (s *Site) Replace(ctx context.Context, audience string, session int64, last bool, publicIDs, attributes []string) error {
	end := ""
	if last {
		end = `DELETE FROM members WHERE audience = $1 AND session <> $2`
	}
	return s.put(ctx, audience, publicIDs, attributes, `INSERT INTO members (audience, person, sealed, attributes, session) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (person, audience) DO UPDATE SET attributes = excluded.attributes, session = excluded.session`, []any{session}, end)
}

func (s *Site) put(ctx context.Context, audience string, publicIDs, attributes []string, statement string, more []any, end string) error {
	if len(attributes) != len(publicIDs) {
		return fmt.Errorf("put %d people with %d attributes", len(publicIDs), len(attributes))
	}
	return s.each(ctx, audience, statement, len(publicIDs), func(i int) []any {
		return append([]any{s.digest(publicIDs[i]), s.sealed(publicIDs[i]), attributes[i]}, more...)
	}, end, more...)
}

// Members calls yield with each member of an audience: their public id and what
// Put was given as attributes. It reads them as they are at one moment, a row at
// a time, and stops at yield's error. ErrNotFound where the audience is not there.
func (s *Site) Members(ctx context.Context, audience string, yield func(publicID, attributes string) error) (err error) {
	id, err := parse(audience)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("list an audience of the site: %w", err)
		}
	}()
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was changed
	var there bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM audiences WHERE id = $1)`, id).Scan(&there); err != nil {
		return err
	}
	if !there {
		return activation.ErrNotFound
	}
	rows, err := tx.QueryContext(ctx, `SELECT sealed, attributes FROM members WHERE audience = $1`, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sealed []byte
		var attributes string
		if err := rows.Scan(&sealed, &attributes); err != nil {
			return err
		}
		publicID, err := s.unsealed(sealed)
		if err != nil {
			return err
		}
		if err := yield(publicID, attributes); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Take removes people from an audience. ErrNotFound where it is not there.
func (s *Site) Take(ctx context.Context, audience string, publicIDs []string) error {
	return s.each(ctx, audience, `DELETE FROM members WHERE audience = $1 AND person = $2`, len(publicIDs),
		func(i int) []any { return []any{s.digest(publicIDs[i])} }, "")
}

// each runs a statement for n people, and one at the end, in one transaction.
func (s *Site) each(ctx context.Context, audience, statement string, n int, args func(i int) []any, end string, more ...any) error {
	id, err := parse(audience)
	if err != nil {
		return err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM audiences WHERE id = $1)`, id).Scan(&there); err != nil {
			return err
		}
		if !there {
			return activation.ErrNotFound
		}
		st, err := tx.PrepareContext(ctx, statement)
		if err != nil {
			return err
		}
		defer func() { _ = st.Close() }()
		for i := range n {
			if _, err := st.ExecContext(ctx, append([]any{id}, args(i)...)...); err != nil {
				return err
			}
		}
		if end == "" {
			return nil
		}
		_, err = tx.ExecContext(ctx, end, append([]any{id}, more...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("change an audience of the site: %w", err)
	}
	return nil
}

// Drop removes an audience and its members. ErrNotFound where it is not there.
func (s *Site) Drop(ctx context.Context, audience string) error {
	id, err := parse(audience)
	if err != nil {
		return err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		var gone int64
		return tx.QueryRowContext(ctx, `DELETE FROM audiences WHERE id = $1 RETURNING id`, id).Scan(&gone)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = activation.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("drop an audience of the site: %w", err)
	}
	return nil
}

// Visitor is what a site may know of somebody.
type Visitor struct {
	// Audiences are the short names of the public audiences they are in, in order.
	Audiences []string
	// Attributes are their public attributes by name.
	Attributes map[string]json.RawMessage
}

// Visitor looks somebody up. Whoever is not known is in no audience and has no
// attributes: the answer does not say which.
func (s *Site) Visitor(ctx context.Context, publicID string) (v Visitor, err error) {
	v = Visitor{Audiences: []string{}, Attributes: map[string]json.RawMessage{}}
	rows, err := s.look.QueryContext(ctx, s.digest(publicID))
	if err != nil {
		return v, fmt.Errorf("look up a visitor: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var slug, attributes string
		if err := rows.Scan(&slug, &attributes); err != nil {
			return v, fmt.Errorf("look up a visitor: %w", err)
		}
		if !slices.Contains(v.Audiences, slug) {
			v.Audiences = append(v.Audiences, slug)
		}
		if attributes == "" {
			continue
		}
		// Of two destinations that tell the same attribute the later audience counts.
		if err := json.Unmarshal([]byte(attributes), &v.Attributes); err != nil {
			return v, errors.New("look up a visitor: attributes that are no JSON object")
		}
	}
	if err := rows.Err(); err != nil {
		return v, fmt.Errorf("look up a visitor: %w", err)
	}
	slices.Sort(v.Audiences)
	return v, nil
}

func parse(audience string) (int64, error) {
	id, err := strconv.ParseInt(audience, 10, 64)
	if err != nil || id <= 0 {
		return 0, fmt.Errorf("audience %q of the site: %w", audience, activation.ErrNotFound)
	}
	return id, nil
}
