package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver this package wraps
)

// KeepHistory is how long Purge callers keep finished loads by default.
const KeepHistory = 90 * 24 * time.Hour

// Config says where the inbox lives.
type Config struct {
	// Dir is the folder of the inbox; it is made when missing.
	Dir string
	Log *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// CreateFile makes a new file for writing; nil = the file system. Tests put
	// full and broken disks here.
	CreateFile func(path string) (File, error)
}

// File is what the inbox needs of a file it writes.
type File interface {
	Write(p []byte) (int, error)
	Sync() error
	Close() error
}

// Inbox is an open inbox. All methods may be called from any goroutine.
type Inbox struct {
	db      *sql.DB
	spool   string
	imports string // the folder of what imports keep
	log     *slog.Logger
	now     func() time.Time
	create  func(path string) (File, error)

	mu      sync.Mutex
	changed chan struct{} // closed at the next change

	posts    posts // the real-time lane; see post.go
	rejected rejectedFiles
	reading  reading
}

const schema = `
CREATE TABLE IF NOT EXISTS loads (
	n            INTEGER PRIMARY KEY AUTOINCREMENT,
	id           TEXT NOT NULL UNIQUE,
	stream       TEXT NOT NULL,
	file         TEXT NOT NULL,
	columns      TEXT NOT NULL,
	row_count    INTEGER NOT NULL,
	rejected     INTEGER NOT NULL,
	bytes        INTEGER NOT NULL,
	filename     TEXT NOT NULL,
	content_type TEXT NOT NULL,
	received_at  INTEGER NOT NULL,
	status       TEXT NOT NULL CHECK (status IN ('pending', 'merged', 'failed')),
	attempts     INTEGER NOT NULL DEFAULT 0,
	error_code   TEXT NOT NULL DEFAULT '',
	error        TEXT NOT NULL DEFAULT '',
	result       TEXT NOT NULL DEFAULT '{}',
	finished_at  INTEGER,
	CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE INDEX IF NOT EXISTS loads_pending ON loads (n) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS loads_stream ON loads (stream, n);
PRAGMA user_version = 1;`

// Open opens or creates the inbox and removes spool files that no load names.
// A second process is refused by the file's lock; the error says so.
func Open(ctx context.Context, cfg Config) (*Inbox, error) {
	b := &Inbox{
		spool: filepath.Join(cfg.Dir, "spool"), imports: filepath.Join(cfg.Dir, "imports"), log: cfg.Log, now: cfg.Now,
		create: cfg.CreateFile, changed: make(chan struct{}),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	if b.create == nil {
		b.create = createFile
	}
	if err := os.MkdirAll(b.spool, 0o700); err != nil {
		return nil, fmt.Errorf("open inbox: %w", err)
	}
	if err := b.rejected.open(filepath.Join(cfg.Dir, "rejected")); err != nil {
		return nil, fmt.Errorf("open inbox: %w", err)
	}
	if err := b.open(ctx, filepath.Join(cfg.Dir, "inbox.db")); err != nil {
		return nil, fmt.Errorf("open inbox: %w", err)
	}
	if err := errors.Join(b.removeOrphans(ctx), b.openImports(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("open inbox: %w", err), b.Close())
	}
	if err := b.startPosts(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open inbox: %w", err), b.Close())
	}
	return b, nil
}

// open opens the database: one connection that holds the file's lock for as
// long as it lives, and every commit is on disk before it returns.
func (b *Inbox) open(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(1000)&_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	if _, err := db.ExecContext(ctx, schema+postSchema); err != nil {
		return errors.Join(fmt.Errorf("%q may be in use by another process: %w", path, err), db.Close())
	}
	b.db = db
	return nil
}

// Close ends the writing of messages and closes the database. It may be called
// twice.
func (b *Inbox) Close() error {
	b.stopPosts()
	return b.db.Close()
}

// Changed returns a channel that is closed at the next change of any load. Take
// it before looking, so that nothing between look and wait is missed.
func (b *Inbox) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *Inbox) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}
