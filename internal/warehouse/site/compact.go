package site

import (
	"context"
	"errors"
	"fmt"
)

// errRead: somebody reads what is older than the last change.
var errRead = errors.New("the table is being read")

// Compact rewrites the file so that nobody who was taken out can be read in it, nor
// in its log. Sites go on reading meanwhile.
func (s *Site) Compact(ctx context.Context) error {
	if _, err := s.write.ExecContext(ctx, `VACUUM`); err != nil {
		return fmt.Errorf("compact the site's table: %w", err)
	}
	var busy, pages, moved int
	if err := s.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("compact the site's table: %w", err)
	}
	if busy != 0 {
		return fmt.Errorf("compact the site's table: %w", errRead)
	}
	return nil
}
