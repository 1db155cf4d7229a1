// Package postgres opens the control plane in a PostgreSQL database, for
// several processes at once.
//
// It owns the connections, bringing the schema up to date and what differs from
// other databases; the queries are package store's. Every transaction is
// serializable, and every clock is the database's. It must never show the
// database's address with its password. It is built for these failures: two
// nodes at once (what cannot have happened one after the other is refused and
// done again), two nodes that migrate at once (one waits), a node with another
// clock, and a node that hangs in mid-transaction (the database ends it).
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"usher/internal/store"
	"usher/internal/store/migrations"
)

// Options say how the database is opened.
type Options struct {
	// Wake is told after a commit what may have something to do (store.Config).
	Wake func(kind, id string)
	// Now replaces the database's clock in tests; nil = the database's.
	Now func() time.Time
	// MaxConns is the most connections that write, and as many again that read.
	// 0 = 12.
	MaxConns int
	// Standby leaves the schema of a database that has one as it is, since its
	// tables belong to who works with them. Only leases and settings may be used.
	Standby bool
}

// defaultConns, twice, leaves four nodes room in a database as it is installed
// (100 connections).
const defaultConns = 12

// Open opens the control plane at url (postgres://user:password@host/name, or
// key=value words) and brings its schema up to date.
func Open(ctx context.Context, url string, opt Options) (*store.Store, error) {
	if opt.MaxConns <= 0 {
		opt.MaxConns = defaultConns
	}
	write, err := connect(url, opt.MaxConns, nil)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, write, opt.Standby); err != nil {
		return nil, errors.Join(fmt.Errorf("open control store in PostgreSQL: %w", err), write.Close())
	}
	read, err := connect(url, opt.MaxConns, map[string]string{"default_transaction_read_only": "on"})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return store.New(store.Config{Write: write, Read: read, Wake: opt.Wake, Dialect: dialect(opt.Now)}), nil
}

func dialect(now func() time.Time) store.Dialect {
	d := store.Dialect{
		Now: clock, IsUnique: isUnique, Again: again, Grown: analyze, ForUpdate: " FOR UPDATE",
		Writing: sql.LevelSerializable, Reading: sql.LevelRepeatableRead,
	}
	if now != nil {
		d.Now = func(context.Context, *sql.Tx) (time.Time, error) { return now().UTC().Truncate(time.Microsecond), nil }
	}
	return d
}

// connect returns a pool of up to n connections. No connection is made yet.
func connect(url string, n int, params map[string]string) (*sql.DB, error) {
	cfg, err := Parse(url)
	if err != nil {
		return nil, err
	}
	for name, value := range params {
		cfg.RuntimeParams[name] = value
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(min(n, 4))
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

// What a connection asks of the database unless its address says otherwise: a
// node that hangs in mid-transaction gives back what it locked.
var defaults = map[string]string{
	"application_name":                    "usher",
	"idle_in_transaction_session_timeout": "30000",
	"timezone":                            "UTC",
}

// connectTimeout is how long making a connection may take, unless the address
// says otherwise.
const connectTimeout = 5 * time.Second

// Parse reads the address of a database. What is wrong with it is not said in
// its own words, for a password may be among them.
func Parse(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the address of the database cannot be read; it looks like postgres://user:password@host:5432/name")
	}
	for name, value := range defaults {
		if _, ok := cfg.RuntimeParams[name]; !ok {
			cfg.RuntimeParams[name] = value
		}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	return cfg, nil
}

// Describe names the database of an address, without user and password.
func Describe(url string) (string, error) {
	cfg, err := Parse(url)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("PostgreSQL database %q at %s:%d", cfg.Database, cfg.Host, cfg.Port), nil
}

// Check connects once and returns the version of the database.
func Check(ctx context.Context, url string) (version string, err error) {
	cfg, err := Parse(url)
	if err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, `SHOW server_version`).Scan(&version)
	return version, err
}

// migrationLock is the number of the advisory lock of whoever migrates.
const migrationLock = 0x7573686572 // "usher"

// prepare brings the schema up to date, or looks whether it may be used as it is.
func prepare(ctx context.Context, db *sql.DB, standby bool) error {
	if standby {
		var there bool
		if err := db.QueryRowContext(ctx, `SELECT to_regclass('leases') IS NOT NULL`).Scan(&there); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if there {
			return migrations.CheckPostgres(ctx, db)
		}
	}
	return migrate(ctx, db)
}

// migrate brings the schema up to date. Another node that does so is waited for.
func migrate(ctx context.Context, db *sql.DB) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("wait for other nodes: %w", err)
	}
	defer func() {
		_, uerr := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
		err = errors.Join(err, uerr)
	}()
	return migrations.Postgres(ctx, db)
}

// clock reads the database's clock, not the time at which the transaction began.
func clock(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var micros int64
	if err := tx.QueryRowContext(ctx, `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&micros); err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return time.UnixMicro(micros).UTC(), nil
}

// analyze counts a table anew; by itself the database does so a minute later.
func analyze(ctx context.Context, tx *sql.Tx, table string) error {
	_, err := tx.ExecContext(ctx, `ANALYZE `+table) // a name of ours
	return err
}

// Classes of errors (postgresql.org/docs/current/errcodes-appendix.html, read 2026-11-22).
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
)

func isUnique(err error) bool { return code(err) == uniqueViolation }

func again(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlockDetected
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
