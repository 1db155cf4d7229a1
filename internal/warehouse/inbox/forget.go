package inbox

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// OldestWaiting is when the oldest of what waits to be merged was received; zero
// = nothing waits.
func (b *Inbox) OldestWaiting(ctx context.Context) (time.Time, error) {
	var oldest sql.NullInt64
	err := b.db.QueryRowContext(ctx, `SELECT min(received_at) FROM (
		SELECT received_at FROM loads WHERE status = 'pending' UNION ALL SELECT received_at FROM messages)`).Scan(&oldest)
	if err != nil {
		return time.Time{}, fmt.Errorf("find what waits: %w", err)
	}
	if !oldest.Valid {
		return time.Time{}, nil
	}
	return time.UnixMicro(oldest.Int64).UTC(), nil
}

// FailedLoads lists the loads that failed, whose rows are kept.
func (b *Inbox) FailedLoads(ctx context.Context) ([]Load, error) {
	return b.list(ctx, `SELECT `+columns+` FROM loads WHERE status = 'failed' AND file <> '' ORDER BY n`)
}

// BlankRows takes the values out of those rows of a failed load that which names
// by line and values, and returns how many. The rows stay, without a value, so
// that what counts them still agrees. A crash leaves the old file or the new one.
func (b *Inbox) BlankRows(ctx context.Context, l Load, which func(line int64, values []string) bool) (blanked int64, err error) {
	path := b.path(l.ID, doneSuffix)
	from, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open spool file: %w", err)
	}
	defer from.Close()
	part := b.path(l.ID, partSuffix)
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, diskError("create spool file", err)
	}
	defer func() {
		if err != nil || blanked == 0 {
			err = errors.Join(err, to.Close(), remove(part))
		}
	}()
	w := bufio.NewWriter(to)
	if blanked, err = blankRows(ctx, from, w, which); err != nil || blanked == 0 {
		return 0, err
	}
	if err := errors.Join(w.Flush(), to.Sync(), to.Close()); err != nil {
		return 0, diskError("write spool file", err)
	}
	if err := os.Rename(part, path); err != nil {
		return 0, diskError("name spool file", err)
	}
	return blanked, syncDir(b.spool)
}

// blankRows copies rows as they are, but those that which names.
func blankRows(ctx context.Context, from io.ReadSeeker, w *bufio.Writer, which func(line int64, values []string) bool) (blanked int64, err error) {
	raw, err := io.ReadAll(from) // as large as what was uploaded; it failed, and is rare
	if err != nil {
		return 0, fmt.Errorf("read spool file: %w", err)
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	for begin := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return blanked, nil
		}
		if err != nil || len(record) < 2 {
			return 0, fmt.Errorf("read spool file: %w", errors.Join(errDamaged, err))
		}
		line, err := strconv.ParseInt(record[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read spool file: %w", errDamaged)
		}
		end := r.InputOffset()
		if which(line, record[2:]) {
			blanked++
			_, err = fmt.Fprintf(w, "%s,%s%s\n", record[0], record[1], bytes.Repeat([]byte(","), len(record)-2))
		} else {
			_, err = w.Write(raw[begin:end])
		}
		if err != nil {
			return 0, diskError("write spool file", err)
		}
		begin = end
	}
}

// errDamaged: a spool file is not what it was written as.
var errDamaged = errors.New("the spool file is damaged")

// Compact rewrites the database so that nothing deleted can be read in it, nor in
// its log. Everything else waits meanwhile.
func (b *Inbox) Compact(ctx context.Context) error {
	for _, statement := range []string{`VACUUM`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := b.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("compact the inbox: %w", err)
		}
	}
	return nil
}
