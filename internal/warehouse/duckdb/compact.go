package duckdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"usher/internal/warehouse"
)

// What is deleted in a DuckDB file stays in its blocks until they are written
// over. Compact copies every table into a new file beside the old one, while
// reading goes on and writing waits, and then exchanges the files, for which
// reading waits too. Only rows that are there are copied, so nothing else is in
// the new file.

// errBusy: something under way has to end first.
var errBusy = warehouse.ErrBusy

const (
	// exchangeWithin is how long an exchange waits for connections in use, and
	// whoever wants one with it.
	exchangeWithin = 5 * time.Second
	// stagingWithin is how long a compaction waits for stagings under way.
	stagingWithin = time.Minute
)

// Compact rewrites the file without what was deleted.
func (d *DB) Compact(ctx context.Context) error {
	if d.file.path == "" {
		return nil // what is in memory is in no file
	}
	if d.rebuilding.Load() {
		return fmt.Errorf("compact: a rebuild is under way: %w", errBusy)
	}
	if err := d.lockStaging(ctx); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	defer d.state.audience.staging.Unlock()
	if err := d.lockIngest(ctx); err != nil {
		return err
	}
	defer d.unlockIngest()
	d.saving.Lock()
	defer d.saving.Unlock()
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.compact(ctx); err != nil {
		return fmt.Errorf("compact: %w", errors.Join(err, d.discardCopy(ctx)))
	}
	return nil
}

// lockStaging waits until nothing is being staged. Who wants to stage does not
// wait for it meanwhile.
func (d *DB) lockStaging(ctx context.Context) error {
	over := time.NewTimer(stagingWithin)
	defer over.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !d.state.audience.staging.TryLock() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return errBusy
		case <-look.C:
		}
	}
	return nil
}

func (d *DB) compact(ctx context.Context) error {
	if err := d.file.sweep(); err != nil {
		return err
	}
	var mark [16]byte
	_, _ = rand.Read(mark[:]) // it never fails
	proof := hex.EncodeToString(mark[:])
	if err := d.onOwnConnection(ctx, func(conn *sql.Conn) error { return d.copyInto(ctx, conn, proof) }); err != nil {
		return err
	}
	if err := syncFile(d.file.path + compactSuffix); err != nil {
		return err
	}
	if err := d.file.exchange(ctx, d.sql, cmp.Or(d.exchangeWithin, exchangeWithin), func(ctx context.Context, conn driver.Conn) error { return proves(ctx, conn, proof) }); err != nil {
		return err
	}
	d.opened.Add(1)
	return emptyFolder(spillFolder(d.file.path))
}

// copyInto writes the new file. The rows keep their order, by which rows that are
// read together lie together.
func (d *DB) copyInto(ctx context.Context, conn *sql.Conn, proof string) (err error) {
	var live string
	if err := queryRow(ctx, conn, "name the database", `SELECT current_database()`, nil, &live); err != nil {
		return err
	}
	if err := execAll(ctx, conn, `ATTACH `+literal(d.file.path+compactSuffix)+` AS compacted`, `SET preserve_insertion_order = true`); err != nil {
		return err
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		_, reset := exec(clean, conn, "set the order of rows", `SET preserve_insertion_order = false`)
		_, detached := exec(clean, conn, "close the copy", `DETACH compacted`) // which writes down its log
		err = errors.Join(err, reset, detached)
	}()
	if _, err := exec(ctx, conn, "copy the database", `COPY FROM DATABASE `+quote(live)+` TO compacted`); err != nil {
		return err
	}
	if err := sameTables(ctx, conn, live); err != nil {
		return err
	}
	if err := execAll(ctx, conn, `DELETE FROM compacted.main.settings WHERE name = 'compacted'`); err != nil {
		return err
	}
	_, err = exec(ctx, conn, "mark the copy", `INSERT INTO compacted.main.settings VALUES ('compacted', $1)`, proof)
	return err
}

// sameTables makes sure that the copy has every row.
func sameTables(ctx context.Context, conn *sql.Conn, live string) error {
	tables, err := listTables(ctx, conn, `true`)
	if err != nil {
		return err
	}
	for _, t := range tables {
		var ours, copied int64
		if err := queryRow(ctx, conn, "compare the copy", fmt.Sprintf(`SELECT (SELECT count(*) FROM %s.%s), (SELECT count(*) FROM compacted.%[2]s)`, quote(live), t.quoted()), nil, &ours, &copied); err != nil {
			return err
		}
		if ours != copied {
			return countsError("the copy of table %s has %d of %d rows", t.name, copied, ours)
		}
	}
	return nil
}

// proves reads the mark of the new file.
func proves(ctx context.Context, conn driver.Conn, proof string) error {
	c, ok := conn.(driver.QueryerContext)
	if !ok {
		return fmt.Errorf("unexpected connection type %T", conn)
	}
	rows, err := c.QueryContext(ctx, `SELECT value FROM settings WHERE name = 'compacted'`, nil)
	if err != nil {
		return scrub(ctx, err)
	}
	value := make([]driver.Value, 1)
	err = errors.Join(rows.Next(value), rows.Close())
	if errors.Is(err, io.EOF) || err == nil && value[0] != proof {
		return errors.New("it has another mark")
	}
	return err
}

// discardCopy removes a copy that did not come to its place.
func (d *DB) discardCopy(ctx context.Context) error {
	if err := d.file.sweep(); err != nil {
		return err
	}
	return context.Cause(ctx)
}
