package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/config"
	"usher/internal/queue"
	"usher/internal/store"
	"usher/internal/store/postgres"
	"usher/internal/store/sqlite"
)

// openControl opens the control plane: in PostgreSQL, with a queue for its
// wake-ups, where its address is set, else in a file of the data directory.
func (s *Server) openControl(ctx context.Context, node string, now func() time.Time) error {
	if s.cfg.DatabaseURL == "" {
		var err error
		s.store, err = sqlite.Open(ctx, filepath.Join(s.cfg.Data, "control.sqlite"), sqlite.Options{Wake: s.wake, Now: now})
		return err
	}
	var err error
	if s.queue, err = queue.Open(ctx, queue.Config{URL: string(s.cfg.DatabaseURL), Node: node, Handle: s.woken, Log: s.log}); err != nil {
		return err
	}
	s.store, err = postgres.Open(ctx, string(s.cfg.DatabaseURL), postgres.Options{Wake: s.wake})
	return err
}

// wake tells whoever works that a thing may have something to do, and who
// watches that it may have changed.
func (s *Server) wake(kind, id string) {
	if s.queue == nil {
		s.woken(kind, id)
		return
	}
	s.queue.Wake(kind, id)
	if s.console != nil {
		s.console.Changed()
	}
}

// woken takes a wake-up from the queue, or straight from who sent it.
func (s *Server) woken(kind, id string) {
	if s.engine != nil {
		s.engine.Wake(kind, id)
	}
	if s.console != nil {
		s.console.Changed()
	}
}

// runQueue carries wake-ups until ctx is done, where there is a queue.
func (s *Server) runQueue(ctx context.Context) error {
	if s.queue == nil {
		return nil
	}
	return s.queue.Run(ctx)
}

// errInUse: another process has the data directory open.
var errInUse = errors.New("another Usher process works in this data directory and holds the lock of its warehouse; stop that one first, " +
	"or give both the same USHER_DATABASE_URL, so that the second one stands by")

// inUse says what is wrong when the warehouse's file is locked.
func inUse(err error, dir string) error {
	if err != nil && strings.Contains(err.Error(), "Could not set lock on file") { // DuckDB has no code for it
		return fmt.Errorf("data directory %q: %w (%w)", dir, errInUse, err)
	}
	return err
}

// The warehouse has an id, which a file beside it and the database both hold:
// with another data directory the ledgers of all targets would be missing.
const (
	warehouseFile    = "warehouse.id"
	warehouseSetting = "warehouse.id"
)

// sameWarehouse checks that the data directory is the one the database works
// with. The first process that works makes the two belong together.
func sameWarehouse(ctx context.Context, st *store.Store, cfg config.Config) error {
	path := filepath.Join(cfg.Data, warehouseFile)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the warehouse's id: %w", err)
	}
	here := strings.TrimSpace(string(raw))
	there, err := st.Setting(ctx, warehouseSetting)
	switch {
	case err == nil && here == there:
		return nil
	case err == nil:
		return fmt.Errorf("data directory %q does not belong to this database: its file %s is missing or another one; give every process the data directory of the first, "+
			"or see docs/configuration.md if that one is lost", cfg.Data, warehouseFile)
	case !errors.Is(err, activation.ErrNotFound):
		return err
	}
	if here == "" {
		var b [16]byte
		_, _ = rand.Read(b[:])
		here = hex.EncodeToString(b[:])
		if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
		if err := os.WriteFile(path, []byte(here+"\n"), 0o600); err != nil {
			return fmt.Errorf("write the warehouse's id: %w", err)
		}
	}
	return st.SetSetting(ctx, warehouseSetting, here, "system")
}
