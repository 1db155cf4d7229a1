// Package sqlitetest gives tests a control plane that is up to date already.
//
// Bringing an empty database up to date takes seconds under the race detector,
// and every test that needs a control plane needs one of its own. This package
// does it once for each test binary and hands out copies. It must only be used by
// tests, and never by one that is about migrating.
package sqlitetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"usher/internal/store/sqlite"
)

var template = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "usher-sqlite")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "control.db")
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Fresh makes the file at path an empty control plane that is up to date, and
// returns path. Whatever was there is gone.
func Fresh(t testing.TB, path string) string {
	t.Helper()
	empty, err := template()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, empty, 0o600)
	}
	if err != nil {
		t.Fatalf("make a control plane: %v", err)
	}
	return path
}
