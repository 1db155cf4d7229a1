package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"usher/internal/activation"
)

// audienceState is what the audience and ledger half keeps in memory.
type audienceState struct {
	// refreshing lets one refresh of match keys run at a time: it decides
	// versions from a snapshot and merges them later.
	refreshing sync.Mutex
}

// audienceNumber returns the number an audience has in membership, and its
// highest change number.
func audienceNumber(ctx context.Context, q queryer, id activation.AudienceID) (n int, seq int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT n, seq FROM audiences WHERE id = $1`, string(id)).Scan(&n, &seq)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, 0, fmt.Errorf("audience %q: %w", id, activation.ErrNotFound)
	case err != nil:
		return 0, 0, fmt.Errorf("read audience: %w", scrub(ctx, err))
	}
	return n, seq, nil
}
