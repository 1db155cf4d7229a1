package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	driverduck "github.com/duckdb/duckdb-go/v2"
)

// file is the database file as connections are made to it. It can be closed,
// exchanged and opened again while the sql.DB over it lives on: who wants a
// connection meanwhile waits.
type file struct {
	path string // "" = in memory
	dsn  string

	mu      sync.Mutex
	inner   *driverduck.Connector
	shut    chan struct{} // nil while connections are made; closed when they are again
	waiting int           // who waits for that
	broken  error
}

// The names beside the database file that an exchange may leave after a crash.
const (
	compactSuffix  = ".compact"
	previousSuffix = ".previous"
)

// openFile opens the file, and removes what a crash left beside it: whoever has
// the lock of the file owns that too.
func openFile(path, dsn string) (*file, error) {
	f := &file{path: path, dsn: dsn}
	if err := f.open(); err != nil {
		return nil, err
	}
	if path == "" {
		return f, nil
	}
	if err := errors.Join(f.sweep(), emptyFolder(spillFolder(path))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// spillFolder is where queries put what has no room in memory.
func spillFolder(path string) string { return filepath.Join(filepath.Dir(path), "duckdb-tmp") }

// open opens the instance and makes it as all others were.
func (f *file) open() (err error) {
	if f.inner, err = driverduck.NewConnector(f.dsn, nil); err != nil {
		return err
	}
	db := sql.OpenDB(borrowed{f.inner})
	if err := errors.Join(prepareInstance(context.Background(), db), db.Close()); err != nil {
		return errors.Join(err, f.inner.Close())
	}
	return nil
}

// borrowed is a connector that is not closed with the sql.DB over it.
type borrowed struct{ driver.Connector }

// prepareInstance makes what is in no file: how tables are compressed and cleared, the place
// where loads are staged, an in-memory database, so that a crash leaves nothing of
// it behind, and the functions of mappings.
func prepareInstance(ctx context.Context, db *sql.DB) error {
	// These two would halve the file again, at twice the time of an import.
	if _, err := exec(ctx, db, "set compression", `SET GLOBAL disabled_compression_methods = 'fsst,zstd'`); err != nil {
		return err
	}
	// Commits clear nothing away; vacuums do (checkpoint.go).
	if _, err := exec(ctx, db, "set vacuum tasks", `SET GLOBAL max_vacuum_tasks = 0`); err != nil {
		return err
	}
	if _, err := exec(ctx, db, "attach scratch", `ATTACH ':memory:' AS scratch`); err != nil {
		return err
	}
	return registerPhone(ctx, db)
}

// Connect makes a connection, once the file is there.
func (f *file) Connect(ctx context.Context) (driver.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.shut != nil {
		open := f.shut
		f.waiting++
		f.mu.Unlock()
		<-open // an exchange is bounded; whose ctx ends meanwhile is told by the first statement
		f.mu.Lock()
		f.waiting--
	}
	if f.broken != nil {
		return nil, f.broken
	}
	return f.inner.Connect(ctx)
}

// Driver is the driver of the connections.
func (f *file) Driver() driver.Driver { return driverduck.Driver{} }

// Close closes the file. The sql.DB over it calls it.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return nil
	}
	return f.inner.Close()
}

// keptIdle is how many connections nobody uses stay open, as sql.DB has it.
const keptIdle = 2

// exchange closes the file, puts the compacted one in its place and opens that.
// It waits for connections in use no longer than within; then everything is as it
// was, and the error is ErrBusy. proof must hold of the new file and not of the
// old: an instance that somebody still has would go on with the old one.
func (f *file) exchange(ctx context.Context, db *sql.DB, within time.Duration, proof func(context.Context, driver.Conn) error) (err error) {
	f.mu.Lock()
	f.shut = make(chan struct{})
	f.mu.Unlock()
	db.SetMaxIdleConns(0)
	defer func() {
		db.SetMaxIdleConns(keptIdle)
		f.mu.Lock()
		defer f.mu.Unlock()
		close(f.shut)
		f.shut = nil
	}()
	if err := f.alone(ctx, db, within); err != nil {
		return err
	}
	if err := f.inner.Close(); err != nil {
		return f.reopen(fmt.Errorf("close the database: %w", err))
	}
	if err := f.replace(); err != nil {
		return f.reopen(err)
	}
	if err := f.reopen(nil); err != nil {
		return err
	}
	if err := f.proven(ctx, proof); err != nil {
		err = fmt.Errorf("the compacted database is not the one that was opened: %w", err)
		return errors.Join(err, f.inner.Close(), os.Rename(f.path+previousSuffix, f.path), f.breaks(err))
	}
	return f.sweep()
}

// alone waits until nobody has a connection.
func (f *file) alone(ctx context.Context, db *sql.DB, within time.Duration) error {
	over := time.NewTimer(within)
	defer over.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		f.mu.Lock()
		waiting := f.waiting // those count as open, and are not
		f.mu.Unlock()
		if db.Stats().OpenConnections-waiting <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return fmt.Errorf("exchange the database file: %w", errBusy)
		case <-look.C:
		}
	}
}

// replace puts the compacted file in the place of the other. Whenever it is cut,
// there is one of them under the name.
func (f *file) replace() error {
	if _, err := os.Stat(f.path + ".wal"); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("the database did not write down its log"), err)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if err := os.Chmod(f.path+compactSuffix, info.Mode().Perm()); err != nil {
		return err
	}
	if err := remove(f.path + previousSuffix); err != nil {
		return err
	}
	if err := os.Link(f.path, f.path+previousSuffix); err != nil {
		return err
	}
	if err := os.Rename(f.path+compactSuffix, f.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.path))
}

// reopen opens the file under the name, whichever it is. Where that fails nothing
// can be done with the warehouse until it is opened anew.
func (f *file) reopen(after error) error {
	if err := f.open(); err != nil {
		return errors.Join(after, f.breaks(fmt.Errorf("open the database again: %w", err)))
	}
	return after
}

func (f *file) breaks(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = errors.Join(ErrBroken, err)
	return f.broken
}

func (f *file) proven(ctx context.Context, proof func(context.Context, driver.Conn) error) error {
	conn, err := f.inner.Connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(proof(ctx, conn), conn.Close())
}

// sweep removes what is beside the file.
func (f *file) sweep() error {
	return errors.Join(remove(f.path+compactSuffix), remove(f.path+compactSuffix+".wal"), remove(f.path+previousSuffix))
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// emptyFolder removes the files in a folder that may not be there.
func emptyFolder(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(path, e.Name())))
	}
	return err
}

// syncFile makes the bytes of a file durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
