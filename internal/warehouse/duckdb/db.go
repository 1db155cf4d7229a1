// Package duckdb keeps the data plane in one DuckDB file.
//
// It owns that file and the schema in it. One process opens it, one goroutine
// writes the live tables (write), many connections read. It is built for these
// failures: a crash at any statement (every write is one transaction, and what
// was merged or folded is recorded in the same transaction), two loads that
// bring the same new person (one writer), and a statement that fails midway
// (the transaction rolls back, because in DuckDB a COMMIT after a failed
// statement returns nil and stores nothing).
//
// It must not know jobs, schedules or networks, and nothing personal may leave
// it in an error or a log line.
package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher/internal/activation"
)

// Config says where the file is and how much memory DuckDB may use.
type Config struct {
	// Path of the database file; its directory must exist. "" = in memory (tests).
	Path string
	// MemoryLimitBytes bounds DuckDB's buffers (not the process: allow 1.3 times
	// as much). 0 = 2 GiB or a quarter of the machine's memory, the smaller.
	MemoryLimitBytes int64
	// Threads is how many cores a query may use. 0 = all.
	Threads int
	// MaxSliceLines is the most lines of a load that are merged in one
	// transaction. 0 = 250,000; fewer are taken where that many take too long.
	MaxSliceLines int64
	// SuppressionKey is what the list of those who were forgotten is kept under;
	// nil = the file suppression.key beside the database, made where there is none.
	SuppressionKey []byte
	Log            *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// DB is an open warehouse.
type DB struct {
	sql  *sql.DB
	file *file // what sql is over; see compact_file.go
	log  *slog.Logger
	now  func() time.Time

	// writing is held by the writer in each transaction, and for good by whoever
	// exchanges the file. opened counts those exchanges.
	writing sync.RWMutex
	opened  atomic.Int64
	// exchangeWithin replaces the constant of that name in tests.
	exchangeWithin time.Duration

	writes  chan writeRequest
	urgent  chan writeRequest // those that go first
	waiting atomic.Int64      // writes that wait for the writer
	stop    chan struct{}
	done    sync.WaitGroup
	once    sync.Once

	state state // declared schema and audiences, cached; see schema.go and audience.go

	// ingest is held by whoever merges a slice, changes the schema or rebuilds.
	ingest   turns
	urgentAt atomic.Int64 // when somebody urgent last asked for it, Unix nanoseconds
	stagings atomic.Int64 // names staging tables
	// unsaved counts the runs that were staged since the last save. saving is held
	// while one is under way, or a vacuum; saves asks for one; see checkpoint.go.
	unsaved atomic.Int64
	saving  sync.Mutex
	saves   chan struct{}
	saveAt  int64 // bytes of log
	// rebuilding: a rebuild is under way. logging: merges tell it what they do
	// (rebuild_log.go); it changes with the ingest lock held.
	rebuilding, logging atomic.Bool
	mostStaged          int64
	maxSlice            int64 // lines

	suppression suppression // of who was forgotten; see forget_key.go
}

type writeRequest struct {
	ctx  context.Context
	fn   func(ctx context.Context, tx *sql.Tx) error
	done chan error
}

// errClosed is returned by every write after Close.
var errClosed = errors.New("warehouse is closed")

// Open opens or creates the warehouse. A second process is refused by the
// file's lock; the error says so.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxSliceLines <= 0 {
		cfg.MaxSliceLines = maxSlice
	}
	limit := cfg.MemoryLimitBytes
	if limit <= 0 {
		limit = defaultMemoryLimit()
	}
	if strings.ContainsAny(cfg.Path, "?#") {
		return nil, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "data", Message: "the data directory's path must hold no ? and no #"}
	}
	settings := url.Values{
		"memory_limit":             {fmt.Sprintf("%dB", limit)},
		"preserve_insertion_order": {"false"},
		"checkpoint_threshold":     {fmt.Sprintf("%dB", limit/ownShare)},
	}
	if cfg.Threads > 0 {
		settings.Set("threads", strconv.Itoa(cfg.Threads))
	}
	if cfg.Path != "" {
		settings.Set("temp_directory", filepath.Join(filepath.Dir(cfg.Path), "duckdb-tmp"))
	}
	dsn := cfg.Path + "?" + settings.Encode()
	f, err := openFile(cfg.Path, dsn)
	if err != nil {
		return nil, fmt.Errorf("open warehouse %q: %w", cfg.Path, err)
	}
	d := &DB{sql: sql.OpenDB(f), file: f, log: cfg.Log, now: cfg.Now, writes: make(chan writeRequest), stop: make(chan struct{}), urgent: make(chan writeRequest), maxSlice: cfg.MaxSliceLines, mostStaged: mostStaged(limit), saves: make(chan struct{}, 1), saveAt: limit / saveShare}
	d.done.Add(2)
	go d.writer()
	go d.saver()
	if err := d.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open warehouse %q: %w", cfg.Path, err), d.Close())
	}
	if err := d.openSuppression(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open warehouse %q: %w", cfg.Path, err), d.Close())
	}
	if err := d.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open warehouse %q: %w", cfg.Path, err), d.Close())
	}
	return d, nil
}

// Close waits for the write and the checkpoint under way and closes the file. It may be called twice.
func (d *DB) Close() error {
	var err error
	d.once.Do(func() {
		close(d.stop)
		d.done.Wait()
		err = d.sql.Close()
	})
	return err
}

// writer is the one goroutine that writes live tables.
func (d *DB) writer() {
	defer d.done.Done()
	for {
		r, ok := d.nextWrite()
		if !ok {
			return
		}
		r.done <- d.transact(r.ctx, r.fn)
	}
}

// nextWrite waits for the next write, of those that wait an urgent one; ok is
// false after Close.
func (d *DB) nextWrite() (r writeRequest, ok bool) {
	select {
	case r = <-d.urgent:
		return r, true
	default:
	}
	select {
	case <-d.stop:
		return r, false
	case r = <-d.urgent:
	case r = <-d.writes:
	}
	return r, true
}

func (d *DB) transact(ctx context.Context, fn func(context.Context, *sql.Tx) error) error {
	d.writing.RLock()
	defer d.writing.RUnlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	defer d.written()
	return d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error { return fn(ctx, tx) })
	})
}

// write runs fn in one transaction on the writer goroutine. fn must return
// every statement's error; then nothing of it is kept.
func (d *DB) write(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	return d.writeBy(ctx, d.writes, fn)
}

// writeAs is write, before all others if it is urgent.
func (d *DB) writeAs(ctx context.Context, urgent bool, fn func(ctx context.Context, tx *sql.Tx) error) error {
	if urgent {
		return d.writeBy(ctx, d.urgent, fn)
	}
	return d.writeBy(ctx, d.writes, fn)
}

func (d *DB) writeBy(ctx context.Context, lane chan<- writeRequest, fn func(ctx context.Context, tx *sql.Tx) error) error {
	r := writeRequest{ctx: ctx, fn: fn, done: make(chan error, 1)}
	d.waiting.Add(1)
	select {
	case lane <- r:
		d.waiting.Add(-1)
		return <-r.done
	case <-ctx.Done():
		d.waiting.Add(-1)
		return context.Cause(ctx)
	case <-d.stop:
		d.waiting.Add(-1)
		return errClosed
	}
}

// defaultMemoryLimit is 2 GiB or a quarter of the machine's memory, the smaller.
func defaultMemoryLimit() int64 {
	const most = 2 << 30
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return most
	}
	var kb int64
	if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kb); err != nil || kb <= 0 {
		return most
	}
	return min(most, kb<<10/4)
}
