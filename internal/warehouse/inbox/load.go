package inbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Status is where a load stands.
type Status string

const (
	// Pending: accepted and durable, not merged yet.
	Pending Status = "pending"
	// Merged: every row is in the warehouse; the spool file is gone.
	Merged Status = "merged"
	// Failed: it will not be merged unless a person retries it; the spool file is kept.
	Failed Status = "failed"
)

// Load is an accepted upload and what became of it.
type Load struct {
	warehouse.Load
	// Number is the place in the order of acceptance.
	Number   int64
	Rejected int64 // rows dropped at the door
	// Bytes is the size of the spool file.
	Bytes       int64
	Filename    string // as the sender called it; may be empty
	ContentType string
	Status      Status
	// Attempts counts the merges that failed.
	Attempts  int
	ErrorCode string // of the last failed attempt
	Error     string // safe to show
	Result    warehouse.LoadResult
	// FinishedAt is when it was merged or failed; zero while pending.
	FinishedAt time.Time
}

const columns = `n, id, stream, file, columns, row_count, rejected, bytes, filename, content_type, received_at, status, attempts, error_code, error, result, finished_at`

// Add accepts loads, all or none, in the order given. When it returns nil they
// survive anything that leaves the disk whole. A dead context adds nothing;
// once begun, the commit is not interrupted.
func (b *Inbox) Add(ctx context.Context, loads ...Load) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("add load: %w", err)
	}
	if err := b.add(context.WithoutCancel(ctx), loads); err != nil {
		return diskError("add load", err)
	}
	b.notify()
	return nil
}

func (b *Inbox) add(ctx context.Context, loads []Load) error {
	return b.within(ctx, func(ctx context.Context, tx *sql.Tx) error { return b.insertLoads(ctx, tx, loads) })
}

func (b *Inbox) insertLoads(ctx context.Context, tx *sql.Tx, loads []Load) error {
	for _, l := range loads {
		cols, err := json.Marshal(l.Columns)
		if err != nil {
			return err
		}
		file := ""
		if l.Path != "" {
			file = filepath.Base(l.Path)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO loads (id, stream, file, columns, row_count, rejected, bytes, filename, content_type, received_at, status)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending')`,
			l.ID, l.Stream, file, string(cols), l.Rows, l.Rejected, l.Bytes, l.Filename, l.ContentType, l.ReceivedAt.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// Done records that a load is merged and removes its spool file. A second call
// changes nothing.
func (b *Inbox) Done(ctx context.Context, id string, r warehouse.LoadResult) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("finish load: %w", err)
	}
	if err := b.move(ctx, id, `UPDATE loads SET status = 'merged', result = $2, error = '', error_code = '', finished_at = $3
		WHERE id = $1 AND status = 'pending'`, string(text), b.now().UnixMicro()); err != nil {
		return fmt.Errorf("finish load: %w", err)
	}
	return b.removeFile(id)
}

// Fail records that a load will not be merged and why. Its spool file stays, so
// that Retry can be asked for once the cause is mended.
func (b *Inbox) Fail(ctx context.Context, id string, cause error) error {
	if err := b.move(ctx, id, `UPDATE loads SET status = 'failed', attempts = attempts + 1, error_code = $2, error = $3, finished_at = $4
		WHERE id = $1 AND status = 'pending'`, activation.CodeOf(cause), activation.SafeMessage(cause), b.now().UnixMicro()); err != nil {
		return fmt.Errorf("fail load: %w", err)
	}
	return nil
}

// Stumbled records an attempt that failed and will be made again.
func (b *Inbox) Stumbled(ctx context.Context, id string, cause error) error {
	if err := b.move(ctx, id, `UPDATE loads SET attempts = attempts + 1, error_code = $2, error = $3
		WHERE id = $1 AND status = 'pending'`, activation.CodeOf(cause), activation.SafeMessage(cause)); err != nil {
		return fmt.Errorf("record attempt: %w", err)
	}
	return nil
}

// Retry makes a failed load pending again, in its old place. A load that is not
// failed is ErrConflict.
func (b *Inbox) Retry(ctx context.Context, id string) error {
	n, err := b.exec(ctx, `UPDATE loads SET status = 'pending', error = '', error_code = '', finished_at = NULL WHERE id = $1 AND status = 'failed'`, id)
	if err == nil && n == 0 {
		err = b.absent(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("retry load %q: %w", id, err)
	}
	b.notify()
	return nil
}

// Discard forgets a failed load and its rows. A load that is not failed is
// ErrConflict.
func (b *Inbox) Discard(ctx context.Context, id string) error {
	n, err := b.exec(ctx, `DELETE FROM loads WHERE id = $1 AND status = 'failed'`, id)
	if err == nil && n == 0 {
		err = b.absent(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("discard load %q: %w", id, err)
	}
	b.notify()
	return errors.Join(b.removeFile(id), remove(filepath.Join(b.rejected.dir, id+rejectedSuffix)))
}

// Purge forgets the history of loads merged before a time and returns how many.
func (b *Inbox) Purge(ctx context.Context, before time.Time) (int64, error) {
	n, err := b.exec(ctx, `DELETE FROM loads WHERE status = 'merged' AND finished_at < $1`, before.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("purge loads: %w", err)
	}
	return n, nil
}

func (b *Inbox) move(ctx context.Context, id, update string, args ...any) error {
	n, err := b.exec(ctx, update, append([]any{id}, args...)...)
	if err != nil {
		return err
	}
	if n > 0 {
		b.notify()
	}
	return nil
}

func (b *Inbox) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := b.db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// absent tells why no row was changed: no such load, or another state.
func (b *Inbox) absent(ctx context.Context, id string) error {
	if _, err := b.Load(ctx, id); err != nil {
		return err
	}
	return activation.ErrConflict
}

func (b *Inbox) removeFile(id string) error {
	if err := remove(b.path(id, doneSuffix)); err != nil {
		return fmt.Errorf("remove spool file: %w", err)
	}
	return nil
}
