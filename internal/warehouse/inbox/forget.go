package inbox

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// OldestWaiting is when the oldest of what waits to be merged was received, or of
// what is being received began; zero = nothing waits.
func (b *Inbox) OldestWaiting(ctx context.Context) (time.Time, error) {
	arriving := b.reading.oldest() // first: what ends meanwhile is among the loads
	var oldest sql.NullInt64
	err := b.db.QueryRowContext(ctx, `SELECT min(received_at) FROM (
		SELECT received_at FROM loads WHERE status = 'pending' UNION ALL SELECT received_at FROM messages)`).Scan(&oldest)
	if err != nil {
		return time.Time{}, fmt.Errorf("find what waits: %w", err)
	}
	if !oldest.Valid {
		return arriving, nil
	}
	if waits := time.UnixMicro(oldest.Int64).UTC(); arriving.IsZero() || waits.Before(arriving) {
		return waits, nil
	}
	return arriving, nil
}

// FailedLoads lists the loads that failed, whose rows are kept.
func (b *Inbox) FailedLoads(ctx context.Context) ([]Load, error) {
	return b.list(ctx, `SELECT `+columns+` FROM loads WHERE status = 'failed' AND file <> '' ORDER BY n`)
}

// BlankRows takes the values out of those rows of a failed load that which names
// by line and values, and returns how many. The rows stay, without a value, so
// that what counts them still agrees. A crash leaves the old file or the new one;
// ErrDamaged means that the file is no spool file, and nothing was changed.
func (b *Inbox) BlankRows(ctx context.Context, l Load, which func(line int64, values []string) bool) (blanked int64, err error) {
	path := b.path(l.ID, doneSuffix)
	from, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open spool file: %w", err)
	}
	defer func() { _ = from.Close() }() // it is only read
	blanks, err := findRows(ctx, from, which)
	if err != nil || len(blanks) == 0 {
		return 0, err
	}
	part := b.path(l.ID, partSuffix)
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, diskError("create spool file", err)
	}
	w := bufio.NewWriter(to)
	if err := errors.Join(blankRows(from, w, blanks), w.Flush(), to.Sync(), to.Close()); err != nil {
		return 0, errors.Join(diskError("write spool file", err), remove(part))
	}
	if err := os.Rename(part, path); err != nil {
		return 0, errors.Join(diskError("name spool file", err), remove(part))
	}
	return int64(len(blanks)), syncDir(b.spool)
}

// blank is a row that is to lose its values: where it is in the file, and what
// takes its place.
type blank struct {
	begin, end int64
	row        string
}

// findRows reads a spool file and returns the rows that which names.
func findRows(ctx context.Context, from io.Reader, which func(line int64, values []string) bool) (blanks []blank, err error) {
	r := csv.NewReader(from)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	for begin := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return blanks, nil
		}
		if bad := (*csv.ParseError)(nil); err != nil && !errors.As(err, &bad) {
			return nil, fmt.Errorf("read spool file: %w", err)
		}
		if err != nil || len(record) < 2 {
			return nil, fmt.Errorf("read spool file: %w", ErrDamaged)
		}
		line, err := strconv.ParseInt(record[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read spool file: %w", ErrDamaged)
		}
		end := r.InputOffset()
		if which(line, record[2:]) {
			blanks = append(blanks, blank{begin, end, record[0] + "," + record[1] + strings.Repeat(",", len(record)-2) + "\n"})
		}
		begin = end
	}
}

// blankRows copies a spool file, with blanks in the place of some rows.
func blankRows(from io.ReadSeeker, w *bufio.Writer, blanks []blank) error {
	at := int64(0)
	for _, one := range append(blanks, blank{begin: -1}) {
		if _, err := from.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if one.begin < 0 {
			_, err := io.Copy(w, from)
			return err
		}
		if _, err := io.CopyN(w, from, one.begin-at); err != nil {
			return err
		}
		if _, err := w.WriteString(one.row); err != nil {
			return err
		}
		at = one.end
	}
	return nil
}

// ErrDamaged means that a spool file is not what it was written as.
var ErrDamaged = errors.New("the spool file is damaged")

// Compact rewrites the database so that nothing deleted can be read in it, nor in
// its log. Everything else waits meanwhile.
func (b *Inbox) Compact(ctx context.Context) error {
	if err := b.sealOlder(ctx); err != nil {
		return fmt.Errorf("compact the inbox: %w", err)
	}
	if _, err := b.db.ExecContext(ctx, `VACUUM`); err != nil {
		return fmt.Errorf("compact the inbox: %w", err)
	}
	var busy, pages, moved int
	if err := b.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("compact the inbox: %w", err)
	}
	if busy != 0 {
		return errors.New("compact the inbox: it is being read")
	}
	return nil
}
