package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// testNow is the clock of most tests: 2026-03-01 12:00:00 UTC.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeWarehouse keeps the schema and the rows of merged loads in memory.
type fakeWarehouse struct {
	mu     sync.Mutex
	schema warehouse.Schema
	merged []warehouse.Load
	texts  []string
	fail   func(l warehouse.Load, attempt int) error // may be nil
	tries  map[string]int
	during func(l warehouse.Load, progress func(int64)) // may be nil
}

func (f *fakeWarehouse) Schema(context.Context) (warehouse.Schema, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.schema, nil
}

func (f *fakeWarehouse) Apply(_ context.Context, s warehouse.Schema) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.schema = s
	return nil, nil
}

func (f *fakeWarehouse) Merge(ctx context.Context, l warehouse.Load, progress func(int64)) (warehouse.LoadResult, error) {
	if err := ctx.Err(); err != nil {
		return warehouse.LoadResult{}, err
	}
	f.mu.Lock()
	if f.tries == nil {
		f.tries = map[string]int{}
	}
	f.tries[l.ID]++
	n := f.tries[l.ID]
	f.mu.Unlock()
	if f.during != nil {
		f.during(l, progress)
	}
	if f.fail != nil {
		if err := f.fail(l, n); err != nil {
			return warehouse.LoadResult{}, err
		}
	}
	text := ""
	if l.Path != "" {
		b, err := os.ReadFile(l.Path)
		if err != nil {
			return warehouse.LoadResult{}, err
		}
		text = string(b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.merged = append(f.merged, l)
	f.texts = append(f.texts, text)
	return warehouse.LoadResult{Rows: l.Rows}, nil
}

func (f *fakeWarehouse) streams() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, l := range f.merged {
		out = append(out, l.Stream)
	}
	return out
}

func (f *fakeWarehouse) attempts(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries[id]
}

func (f *fakeWarehouse) firstMerged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.merged[0].ID
}

// bench is a collector with its inbox in a folder of the test.
type bench struct {
	dir   string
	inbox *inbox.Inbox
	wh    *fakeWarehouse
	*Collector
}

func newBench(t testing.TB, limits Limits) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), wh: &fakeWarehouse{}}
	b.inbox = openInbox(t, inbox.Config{Dir: b.dir})
	b.Collector = NewCollector(CollectorConfig{Inbox: b.inbox, Schema: b.wh, Limits: limits, Now: func() time.Time { return testNow }})
	return b
}

func openInbox(t testing.TB, cfg inbox.Config) *inbox.Inbox {
	t.Helper()
	in, err := inbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	return in
}

// spooled returns the only pending load and its spool file.
func (b *bench) spooled(t testing.TB) (inbox.Load, string) {
	t.Helper()
	loads, err := b.inbox.Pending(t.Context(), 10)
	if err != nil || len(loads) != 1 {
		t.Fatalf("pending = %v, %v; want one load", loads, err)
	}
	if loads[0].Path == "" {
		return loads[0], ""
	}
	text, err := os.ReadFile(loads[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	return loads[0], string(text)
}

// nothingKept checks that no load and no file is left.
func (b *bench) nothingKept(t testing.TB) {
	t.Helper()
	if loads, err := b.inbox.Recent(t.Context(), "", 10); err != nil || len(loads) != 0 {
		t.Errorf("loads = %v, %v; want none", loads, err)
	}
	files, err := os.ReadDir(filepath.Join(b.dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("file %q is left", f.Name())
	}
}

// memoryScratch is a scratch file in memory.
type memoryScratch struct{ bytes.Buffer }

func (*memoryScratch) Rewind() error { return nil }
func (*memoryScratch) Remove() error { return nil }

// parsed runs a body through the parser alone and returns the canonical text.
func parsed(t testing.TB, r Request, limits Limits) (string, *upload, error) {
	t.Helper()
	c := NewCollector(CollectorConfig{Schema: &fakeWarehouse{}, Limits: limits, Now: func() time.Time { return testNow }})
	r.Stream = "s"
	u, err := c.prepare(t.Context(), r)
	if err != nil {
		return "", nil, err
	}
	var out bytes.Buffer
	u.out = newCanonical(&out)
	u.newScratch = func() (scratchFile, error) { return &memoryScratch{}, nil }
	err = u.read(t.Context(), r, c.limits.MaxBatchBytes)
	return out.String(), u, err
}

// untimed takes the time of receipt out of a canonical text, for short tables.
func untimed(text string) string { return strings.ReplaceAll(text, ",1772366400000000", "") }

func rowError(err error) *RowError {
	var e *RowError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

func body(text string) io.Reader { return strings.NewReader(text) }
