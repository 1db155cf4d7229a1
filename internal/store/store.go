// Package store is the control plane: authorizations, destinations, audiences,
// jobs, targets, runs, queue items, receipts, leases, logs and tokens.
//
// It owns the queries, one SQL text with $n placeholders that every database
// runs; packages sqlite and postgres open one, package migrations is its schema.
// Every method is one transaction, as if it were alone: SQLite lets one writer
// in at a time, PostgreSQL refuses what could not have happened one after the
// other, and do begins it again. Every transition is one guarded UPDATE made by
// a named method: it matches the state it leaves and the attempt it belongs to,
// so that a worker thought dead cannot finish somebody else's attempt.
//
// It must not hold personal data (no e-mail, no hash, no row), must not decide
// what to send, and must not import those that use it. It is built for these
// failures: a crash between any two transactions, two nodes at once, a node
// that comes back after its lease was taken, and wake-ups that get lost.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"usher/internal/activation"
)

// Dialect is what differs between databases.
type Dialect struct {
	// Now returns the database's clock. Leases and sleeps go by it alone.
	Now func(ctx context.Context, tx *sql.Tx) (time.Time, error)
	// IsUnique reports whether err is a violation of a unique constraint.
	IsUnique func(err error) bool
	// ForUpdate is appended to a SELECT that locks the rows it reads; empty
	// where writers are alone anyway.
	ForUpdate string
	// Writing and Reading are the isolation of transactions: the one as if alone,
	// the other one state of all tables. Zero where every transaction is so.
	Writing, Reading sql.IsolationLevel
	// Again reports whether err means that a transaction was undone because
	// another was in its way, and is to be done again. nil = never.
	Again func(err error) bool
	// Grown tells the database that a table has just grown by very much, so that
	// it does not go on planning for a small one. nil = it needs no telling.
	Grown func(ctx context.Context, tx *sql.Tx, table string) error
}

// Config is what a Store is made of.
type Config struct {
	// Write is the pool that writes; Read the one that only reads.
	Write, Read *sql.DB
	Dialect     Dialect
	// Wake is told what may have something to do, after the commit that made it
	// so. It must not block. Losing or doubling a call is harmless. May be nil.
	Wake func(kind, id string)
}

// The kinds of wake-up.
const (
	// WakeTarget: a target may want a run.
	WakeTarget = "target"
	// WakeRun: a run may be worked on, or must stop.
	WakeRun = "run"
)

// Store is an open control plane. Its methods may be called by any goroutine.
type Store struct {
	write *sql.DB
	read  pool
	d     Dialect
	wake  func(kind, id string)
	turn  chan struct{} // where one writes at a time: the line of those that will
	piece int           // how many entries one transaction takes
}

// New returns a store over open pools. Close closes them.
func New(cfg Config) *Store {
	if cfg.Wake == nil {
		cfg.Wake = func(string, string) {}
	}
	if cfg.Dialect.Again == nil {
		cfg.Dialect.Again = func(error) bool { return false }
	}
	s := &Store{write: cfg.Write, read: pool{cfg.Read}, d: cfg.Dialect, wake: cfg.Wake, piece: entryPiece}
	if cfg.Write.Stats().MaxOpenConnections == 1 {
		s.turn = make(chan struct{}, 1)
	}
	return s
}

// InPieces makes one transaction take so many entries of the Activity Log; before the
// store is used. It is 1,000 unless tests want more pieces of less.
func (s *Store) InPieces(entries int) { s.piece = entries }

// Close closes both pools.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// wakeUp is one message to whoever works.
type wakeUp struct{ kind, id string }

// tx is one transaction. now is the database's clock, read once.
type tx struct {
	ctx     context.Context //nolint:containedctx // a tx lives no longer than the call that began it
	sql     *sql.Tx
	d       Dialect
	now     time.Time
	wakeUps []wakeUp
	loads   *[]entryLoad // as entryLoads read them, nil = not yet
}

// Enqueue sends a wake-up when, and only when, the transaction commits.
func (t *tx) Enqueue(kind, id string) {
	w := wakeUp{kind, id}
	for _, have := range t.wakeUps {
		if have == w {
			return
		}
	}
	t.wakeUps = append(t.wakeUps, w)
}

// maxTries is how often a transaction is begun that others are in the way of.
const maxTries = 50

// do runs fn in one writing transaction. An error rolls everything back, a
// dead context writes nothing, and wake-ups leave after the commit. fn runs
// again when another transaction was in the way, so it must set what it hands
// out, and not add to it. A row that was there already is looked at twice, for
// another transaction may have made it after fn looked.
func (s *Store) do(ctx context.Context, fn func(t *tx) error) error {
	for try := 1; ; try++ {
		err := s.once(ctx, fn)
		if err == nil || try == maxTries || !(s.d.Again(err) || try == 1 && s.d.IsUnique(err)) {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits a random while that grows with the tries, up to 100 ms.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(rand.N(min(time.Millisecond<<min(try, 10), 100*time.Millisecond)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// line waits for the turn to write, where one writes at a time: first come,
// first served, which a pool of connections does not promise.
func (s *Store) line(ctx context.Context) (leave func(), _ error) {
	if s.turn == nil {
		return func() {}, nil
	}
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Store) once(ctx context.Context, fn func(t *tx) error) error {
	leave, err := s.line(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer leave()
	sqlTx, err := s.write.BeginTx(ctx, &sql.TxOptions{Isolation: s.d.Writing})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{ctx: ctx, sql: sqlTx, d: s.d}
	if t.now, err = s.d.Now(ctx, sqlTx); err == nil {
		err = fn(t)
	}
	if err != nil {
		if rb := sqlTx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rb))
		}
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, w := range t.wakeUps {
		s.wake(w.kind, w.id)
	}
	return nil
}

// view runs fn in one reading transaction, which sees one state of the tables.
func (s *Store) view(ctx context.Context, fn func(t *tx) error) error {
	sqlTx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.d.Reading})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = sqlTx.Rollback() }()
	t := &tx{ctx: ctx, sql: sqlTx, d: s.d}
	if t.now, err = s.d.Now(ctx, sqlTx); err != nil {
		return err
	}
	return fn(t)
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	res, err := t.sql.ExecContext(t.ctx, query, storable(args)...)
	if err != nil {
		if t.d.IsUnique(err) {
			return 0, fmt.Errorf("%w: %w", activation.ErrConflict, err)
		}
		return 0, err
	}
	return res.RowsAffected()
}

// must runs a guarded statement that has to change a row, and returns
// otherwise when it changed none.
func (t *tx) must(otherwise error, query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return otherwise
	}
	return nil
}

func (t *tx) row(query string, args ...any) *sql.Row {
	return t.sql.QueryRowContext(t.ctx, query, storable(args)...)
}

func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	return t.sql.QueryContext(t.ctx, query, storable(args)...)
}

// micros is now as it is stored.
func (t *tx) micros() int64 { return t.now.UnixMicro() }
