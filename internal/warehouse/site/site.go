package site

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver this package wraps
)

// readers are how many look-ups read at once.
const readers = 4

// keyBytes is how long the key is.
const keyBytes = 32

// Site is the open table. Its methods may be called by any goroutine.
type Site struct {
	write *sql.DB
	read  *sql.DB
	look  *sql.Stmt
	key   []byte
	seal  cipher.AEAD
	log   *slog.Logger
}

const schema = `
CREATE TABLE IF NOT EXISTS audiences (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	marker TEXT NOT NULL UNIQUE,
	slug   TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS members (
	person     BLOB NOT NULL CHECK (length(person) = 32),
	audience   INTEGER NOT NULL REFERENCES audiences (id) ON DELETE CASCADE,
	attributes TEXT NOT NULL DEFAULT '',
	sealed     BLOB NOT NULL,
	session    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (person, audience)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_audience ON members (audience);
CREATE TABLE IF NOT EXISTS keys (one INTEGER PRIMARY KEY CHECK (one = 1), proof BLOB NOT NULL);
PRAGMA user_version = 2;`

// version1 is what becomes of a table that was made before people could be
// named: it cannot tell who its people are, so it begins anew as under another key.
const version1 = `DROP TABLE members; DELETE FROM audiences`

// question finds a person's audiences by one look at the primary key.
const question = `SELECT a.slug, m.attributes FROM members m JOIN audiences a ON a.id = m.audience WHERE m.person = $1 ORDER BY m.audience`

// Open opens or creates the table and its key in a directory.
func Open(ctx context.Context, dir string, log *slog.Logger) (_ *Site, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Site{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open the site's table: %w", err), s.Close())
		}
	}()
	if s.key, err = openKey(filepath.Join(dir, "site.key")); err != nil {
		return nil, err
	}
	if s.seal, err = newSeal(s.key); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "site.db")
	// Public only or not, it holds people: nobody else on the machine reads it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	const common = "?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=secure_delete(1)"
	// What was acknowledged is on the disk.
	if s.write, err = sql.Open("sqlite", path+common+"&_pragma=synchronous(FULL)&_txlock=immediate"); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.shape(ctx); err != nil {
		return nil, err
	}
	if err := s.proveKey(ctx); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open("sqlite", path+common+"&_pragma=query_only(1)"); err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	s.look, err = s.read.PrepareContext(ctx, question)
	return s, err
}

// shape makes the tables, anew where they are of an earlier version.
func (s *Site) shape(ctx context.Context) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		version := 0
		if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
			return err
		}
		if version == 1 {
			s.log.InfoContext(ctx, "site.db is of an earlier version: the table is emptied, and the next runs fill it")
			if _, err := tx.ExecContext(ctx, version1); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, schema)
		return err
	})
}

// Close closes the table. It may be called twice.
func (s *Site) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// openKey reads the key, or makes it where there is none.
func openKey(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("%q is not a key of %d bytes as hexadecimal text: put the right file back, or remove it to begin anew", path, keyBytes)
	}
	return key, nil
}

// makeKey writes a new key next to its place and names it then, so that a crash
// leaves a whole one or none.
func makeKey(path string) ([]byte, error) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // it never fails
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	return key, err
}

// proveKey notes with which key the rows were written, and empties the table
// where it is another one: nobody can be found in it any more.
func (s *Site) proveKey(ctx context.Context) error {
	proof := s.digest("the key of the site's table")
	return s.change(ctx, func(tx *sql.Tx) error {
		var have []byte
		err := tx.QueryRowContext(ctx, `SELECT proof FROM keys`).Scan(&have)
		if err == nil && hmac.Equal(have, proof) {
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil {
			s.log.WarnContext(ctx, "site.key is not the key that site.db was written with: the table is emptied, and the next runs fill it")
		}
		for _, q := range []string{`DELETE FROM members`, `DELETE FROM audiences`, `DELETE FROM keys`} {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO keys (one, proof) VALUES (1, $1)`, proof)
		return err
	})
}

// digest is what a person is kept under.
func (s *Site) digest(publicID string) []byte {
	h := hmac.New(sha256.New, s.key)
	_, _ = h.Write([]byte(publicID)) // it never fails
	return h.Sum(nil)
}

// change runs do in one transaction.
func (s *Site) change(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
