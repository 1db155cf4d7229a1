// Package sqlite opens the control plane in one SQLite file.
//
// It owns the file, its schema (package migrations) and what differs from other
// databases; the queries are package store's. One connection writes, a pool
// reads, in WAL mode, so that readers never wait and writers never deadlock.
// It is built for a kill at any moment (WAL, synchronous commits) and for a
// second process on the same file (immediate transactions wait their turn).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"usher/internal/store"
	"usher/internal/store/migrations"
)

// Options say how the database is opened.
type Options struct {
	// Wake is told after a commit what may have something to do (store.Config).
	Wake func(kind, id string)
	// Now is the clock of this database: SQLite has none but its machine's.
	// nil = time.Now.
	Now func() time.Time
}

// busyTimeout is how long a transaction waits for another process's.
const busyTimeout = 10 * time.Second

// Open opens or creates the control plane at path and brings its schema up to
// date. The directory must exist.
func Open(ctx context.Context, path string, opt Options) (*store.Store, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	write := sql.OpenDB(connector{&sqlite.Driver{}, dsn(path, "rwc", "_txlock=immediate&_pragma=cache_size(-32768)")})
	write.SetMaxOpenConns(1)
	if err := migrations.SQLite(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("open control store %q: %w", path, err), write.Close())
	}
	read := sql.OpenDB(connector{&sqlite.Driver{}, dsn(path, "rw", "_pragma=query_only(1)")})
	read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	read.SetMaxIdleConns(max(4, runtime.NumCPU()))
	return store.New(store.Config{Write: write, Read: read, Wake: opt.Wake, Dialect: store.Dialect{
		Now: func(context.Context, *sql.Tx) (time.Time, error) {
			return opt.Now().UTC().Truncate(time.Microsecond), nil
		},
		IsUnique: isUnique,
	}}), nil
}

// dsn names the file with the pragmas every connection needs, busy_timeout
// first, since the others may have to wait already.
func dsn(path, mode, extra string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: fmt.Sprintf(
		"_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&mode=%s&%s",
		busyTimeout.Milliseconds(), mode, extra)}).String()
}

func isUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
