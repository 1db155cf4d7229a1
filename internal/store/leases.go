package store

import (
	"context"
	"fmt"
	"time"
)

// Lease is the right of one node to do one thing, such as "auth:<id>".
type Lease struct {
	Name  string
	Node  string
	Until time.Time
}

// Acquire takes the lease for node until ttl from now by the database's clock,
// and reports whether it did: a free one, an expired one or its own.
func (s *Store) Acquire(ctx context.Context, name, node string, ttl time.Duration) (bool, error) {
	var got bool
	err := s.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO leases (name, node, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET node = excluded.node, until = excluded.until
			WHERE leases.node = excluded.node OR leases.until <= $4`, name, node, t.now.Add(ttl).UnixMicro(), t.micros())
		got = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("acquire lease %q: %w", name, err)
	}
	return got, nil
}

// Renew extends a lease that node still holds, also when it is over but nobody
// took it, and reports whether node holds it.
func (s *Store) Renew(ctx context.Context, name, node string, ttl time.Duration) (bool, error) {
	var held bool
	err := s.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE leases SET until = $1 WHERE name = $2 AND node = $3`, t.now.Add(ttl).UnixMicro(), name, node)
		held = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("renew lease %q: %w", name, err)
	}
	return held, nil
}

// Release gives a lease back. Releasing what one does not hold does nothing.
func (s *Store) Release(ctx context.Context, name, node string) error {
	err := s.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM leases WHERE name = $1 AND node = $2`, name, node)
		return err
	})
	if err != nil {
		return fmt.Errorf("release lease %q: %w", name, err)
	}
	return nil
}

// Leases lists the leases that are not over, by name.
func (s *Store) Leases(ctx context.Context) ([]Lease, error) {
	var out []Lease
	err := s.view(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT name, node, until FROM leases WHERE until > $1 ORDER BY name`, t.micros())
		out, err = collect(rows, err, func(r scanner) (Lease, error) {
			var l Lease
			err := r.Scan(&l.Name, &l.Node, stamp{&l.Until})
			return l, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return out, nil
}
