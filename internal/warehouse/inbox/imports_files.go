package inbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"usher/internal/activation"
)

// The names of files in the folder of imports: <id>.dig are the sorted digests of
// a whole file, <id>.run is a part of them that is not merged yet.
const (
	digestSuffix = ".dig"
	runSuffix    = ".run"
)

// NewDigests makes the file of the digests of a whole file. Commit gives its path
// to ImportCommit.Digests; what no commit names is removed at the next start.
func (b *Inbox) NewDigests() (*os.File, error) { return b.importFile(digestSuffix) }

// NewDigestRun makes a file for a part of them.
func (b *Inbox) NewDigestRun() (*os.File, error) { return b.importFile(runSuffix) }

func (b *Inbox) importFile(suffix string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(b.imports, activation.NewID[string]()+suffix), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, diskError("create digests", err)
	}
	return f, nil
}

// SealDigests makes a file of digests durable and closes it.
func (b *Inbox) SealDigests(f *os.File) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return diskError("sync digests", err)
	}
	if err := syncDir(b.imports); err != nil {
		return diskError("sync digests", err)
	}
	return nil
}

// DropDigests closes and removes files of digests that are not needed.
func (b *Inbox) DropDigests(files ...*os.File) error {
	var errs []error
	for _, f := range files {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
		errs = append(errs, remove(f.Name()))
	}
	return errors.Join(errs...)
}

// openImports makes the folder of imports and removes from it what no job names.
func (b *Inbox) openImports(ctx context.Context) (err error) {
	if err := os.MkdirAll(b.imports, 0o700); err != nil {
		return err
	}
	if _, err := b.db.ExecContext(ctx, importSchema); err != nil {
		return err
	}
	rows, err := b.db.QueryContext(ctx, `SELECT digests FROM imports WHERE digests <> ''`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	needed := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		needed[name] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(b.imports)
	if err != nil {
		return err
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if ext != digestSuffix && ext != runSuffix || !activation.ValidID(strings.TrimSuffix(e.Name(), ext)) || needed[e.Name()] {
			continue
		}
		if err := remove(filepath.Join(b.imports, e.Name())); err != nil {
			return fmt.Errorf("remove digests: %w", err)
		}
	}
	return nil
}
