package warehousetest

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/warehouse"
)

// IngestStore is the half of a warehouse that takes data in and answers
// questions about people.
type IngestStore interface {
	warehouse.Ingest
	warehouse.Profiles
	Close() error
}

// OpenIngest makes an empty warehouse that merges in slices of at most
// sliceRows rows; 0 = its own choice. The suite closes it.
type OpenIngest func(sliceRows int) (IngestStore, error)

// T is what the suite needs of a test: both *testing.T and *rapid.T have it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

// Ingest judges how a warehouse takes data in.
func Ingest(t *testing.T, open OpenIngest) {
	for _, c := range ingestCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open(0)
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(t, NewLoader(t.TempDir(), w))
		})
	}
	t.Run("arrival", func(t *testing.T) {
		dir := t.TempDir()
		within(t, arrivalTime, func(rt *rapid.T) { arrival(rt, dir, open) })
	})
}

// arrivalTime is how long random arrivals are tried; USHER_TEST_ARRIVAL sets another
// duration, for a night of them.
const arrivalTime = 8 * time.Second

// within checks a property on as many draws as fit in a time. Once a draw has
// failed, time no longer counts: it is being made smaller.
func within(t *testing.T, limit time.Duration, property func(*rapid.T)) {
	t.Helper()
	if s := os.Getenv("USHER_TEST_ARRIVAL"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatalf("USHER_TEST_ARRIVAL: %v", err)
		}
	}
	end, failed, drawn := time.Now().Add(limit), false, 0
	rapid.Check(t, func(rt *rapid.T) {
		if !failed && drawn > 0 && time.Now().After(end) {
			return
		}
		drawn++
		defer func() { failed = failed || rt.Failed() }()
		property(rt)
	})
	t.Logf("%d arrivals", drawn)
}

func closeStore(t T, w IngestStore) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// Loader writes spool files and merges them.
type Loader struct {
	Store IngestStore
	dir   string
	n     int
}

// NewLoader returns a loader that spools into dir.
func NewLoader(dir string, w IngestStore) *Loader { return &Loader{Store: w, dir: dir} }

// Spool writes rows as a spool file and returns its load. columns nil means all
// there are.
func (l *Loader) Spool(t T, id, stream string, columns []string, rows []Row) warehouse.Load {
	t.Helper()
	if columns == nil {
		columns = columnsOf(rows)
	}
	l.n++
	path := filepath.Join(l.dir, fmt.Sprintf("spool-%d.csv", l.n))
	if err := writeSpool(path, columns, rows); err != nil {
		t.Fatalf("write spool: %v", err)
	}
	return warehouse.Load{ID: id, Stream: stream, Path: path, Columns: columns, Rows: int64(len(rows)), ReceivedAt: time.UnixMicro(1_700_000_000_000_000)}
}

func columnsOf(rows []Row) []string {
	names := make(map[string]bool)
	for _, r := range rows {
		for c := range r.Values {
			names[c] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func writeSpool(path string, columns []string, rows []Row) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := csv.NewWriter(f)
	for i, r := range rows {
		record := []string{strconv.Itoa(i + 2), strconv.FormatInt(r.Time, 10)}
		for _, c := range columns {
			record = append(record, r.Values[c])
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// Merge merges a load.
func (l *Loader) Merge(t T, load warehouse.Load) warehouse.LoadResult {
	t.Helper()
	result, err := l.Store.Merge(context.Background(), load, nil)
	if err != nil {
		t.Fatalf("merge %s: %v", load.ID, err)
	}
	return result
}

// Load spools and merges rows.
func (l *Loader) Load(t T, id, stream string, rows ...Row) warehouse.LoadResult {
	t.Helper()
	return l.Merge(t, l.Spool(t, id, stream, nil, rows))
}

// Apply declares a schema and returns the fields that wait for a rebuild.
func (l *Loader) Apply(t T, s warehouse.Schema) []string {
	t.Helper()
	waiting, err := l.Store.Apply(context.Background(), s)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	return waiting
}

// Rebuild rebuilds.
func (l *Loader) Rebuild(t T) {
	t.Helper()
	if _, err := l.Store.Rebuild(context.Background(), nil); err != nil {
		t.Fatalf("rebuild: %v", err)
	}
}

// Find returns the profile of an identifier value.
func (l *Loader) Find(t T, field, value string) warehouse.Profile {
	t.Helper()
	p, err := l.Store.Find(context.Background(), field, value)
	if err != nil {
		t.Fatalf("find by %s %q: %v", field, value, err)
	}
	return p
}
