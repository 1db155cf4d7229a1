package duckdb

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"usher/internal/activation"
)

// Who was forgotten is kept away by digests of their identifiers that only the
// holder of a key can make: HMAC-SHA-256 over the digest that identifiers has of a
// value. Whoever has the database alone cannot try addresses against them. The key
// is a file of its own in the data directory, and the same key seals what is to be
// erased until it is.

// suppressionKeyBytes is how long the key is.
const suppressionKeyBytes = 32

// suppressionFile is the name of the key, beside the database.
const suppressionFile = "suppression.key"

// suppression is what the digests are made with.
type suppression struct {
	// inner and outer are the padded keys of HMAC.
	inner, outer []byte
	seal         cipher.AEAD
	key          []byte
	// some says that there is a digest; nothing is looked for where there is none.
	some atomic.Bool
}

// digest is SQL for the digest of key, an UHUGEINT as keySQL makes it. Its
// arguments are $1 and $2 (args).
func (s *suppression) digest(key string) string {
	return `unhex(sha256($2::BLOB || unhex(sha256($1::BLOB || encode((` + key + `)::VARCHAR)))))`
}

func (s *suppression) args() []any { return []any{s.inner, s.outer} }

// openSuppression reads the key, or makes it, and refuses one that the digests
// were not made with: people would come back whom somebody asked to be forgotten.
func (d *DB) openSuppression(ctx context.Context, cfg Config) error {
	key := cfg.SuppressionKey
	if len(key) == 0 {
		var err error
		if key, err = suppressionKey(cfg.Path); err != nil {
			return fmt.Errorf("read the key of the suppression list: %w", err)
		}
	}
	if len(key) != suppressionKeyBytes {
		return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: suppressionFile, Message: fmt.Sprintf("the key of the suppression list must be %d bytes", suppressionKeyBytes)}
	}
	d.suppression.key = key
	d.suppression.inner, d.suppression.outer = pad(key, 0x36), pad(key, 0x5c)
	block, err := aes.NewCipher(hmacOf(key, "the seal of who is to be forgotten"))
	if err == nil {
		d.suppression.seal, err = cipher.NewGCM(block)
	}
	if err != nil {
		return fmt.Errorf("read the key of the suppression list: %w", err)
	}
	return d.proveSuppression(ctx)
}

// proveSuppression notes which key the digests are made with.
func (d *DB) proveSuppression(ctx context.Context) error {
	proof := hex.EncodeToString(hmacOf(d.suppression.key, "the key of the suppression list"))
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var digests, waiting int64
		if err := queryRow(ctx, tx, "count who is suppressed", `SELECT (SELECT count(*) FROM suppressed), (SELECT count(*) FROM forgets WHERE sealed IS NOT NULL)`, nil, &digests, &waiting); err != nil {
			return err
		}
		d.suppression.some.Store(digests > 0)
		var have string
		err := tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = 'suppression'`).Scan(&have)
		switch {
		case err == nil && have == proof:
			return nil
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("read the proof of the suppression list: %w", scrub(ctx, err))
		case err == nil && digests+waiting > 0:
			return &activation.Error{
				Kind: activation.Invalid, Code: "BADREQ-001", Field: suppressionFile,
				Message: "the key of the suppression list is not the one it was written with: put the right file back, or people who were forgotten would return",
			}
		}
		if _, err := exec(ctx, tx, "note the key of the suppression list", `DELETE FROM settings WHERE name = 'suppression'`); err != nil {
			return err
		}
		_, err = exec(ctx, tx, "note the key of the suppression list", `INSERT INTO settings VALUES ('suppression', $1)`, proof)
		return err
	})
}

// suppressionKey reads the key beside a database, or makes one. What is in memory
// has one of its own.
func suppressionKey(path string) ([]byte, error) {
	key := make([]byte, suppressionKeyBytes)
	_, _ = rand.Read(key) // it never fails
	if path == "" {
		return key, nil
	}
	name := filepath.Join(filepath.Dir(path), suppressionFile)
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return key, writeKey(name, key)
	}
	if err != nil {
		return nil, err
	}
	have, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil, fmt.Errorf("%q is not a key of %d bytes as hexadecimal text", name, suppressionKeyBytes)
	}
	return have, nil
}

// writeKey writes a key next to its place and names it then, so that a crash
// leaves a whole one or none.
func writeKey(name string, key []byte) error {
	next := name + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, name)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(name))
	}
	return err
}

// syncFolder makes a renaming in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func pad(key []byte, with byte) []byte {
	out := make([]byte, sha256.BlockSize)
	copy(out, key)
	for i := range out {
		out[i] ^= with
	}
	return out
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // it never fails
	return h.Sum(nil)
}

// sealed is a text that only the key opens.
func (s *suppression) sealed(text string) []byte {
	nonce := make([]byte, s.seal.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return s.seal.Seal(nonce, nonce, []byte(text), nil)
}

func (s *suppression) unsealed(sealed []byte) (string, error) {
	n := s.seal.NonceSize()
	if len(sealed) < n {
		return "", errors.New("what is to be forgotten cannot be unsealed")
	}
	text, err := s.seal.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return "", errors.New("what is to be forgotten cannot be unsealed")
	}
	return string(text), nil
}
