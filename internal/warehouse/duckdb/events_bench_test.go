package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

// BenchmarkStageEvents stages the messages of a stream, 1,000,000 unless
// USHER_BENCH_SIZE says otherwise, of half as many people: of each five values
// and two keys of its person, two of the seven hashed.
func BenchmarkStageEvents(b *testing.B) {
	events := benchPeople(b)
	d, err := Open(context.Background(), Config{Path: filepath.Join(b.TempDir(), "data.duckdb"), MemoryLimitBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	l := warehousetest.NewLoader(b.TempDir(), d)
	l.Apply(b, warehouse.Schema{
		Fields:  []warehouse.Field{{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1}, {Name: "phone", Type: warehouse.Text, Merge: warehouse.Latest}},
		Streams: []warehouse.Stream{{Name: "orders", MessageID: []string{"order"}}},
	})
	l.Load(b, "first", "orders", warehousetest.Row{Time: 1, Values: map[string]string{"order": "0", "who": "x", "amount": "1", "currency": "EUR", "name": "Purchase"}})
	table := d.state.snapshot().streams["orders"].table()
	for _, query := range []string{
		fmt.Sprintf(`INSERT INTO profiles (_pid, _seq, email, phone)
			SELECT i, 1, 'person' || i || '@example.com', CASE WHEN i %% 3 = 0 THEN '+1' || (2000000000 + i) END FROM range(1, %d) t(i)`, events/2+1),
		fmt.Sprintf(`INSERT INTO %s SELECT i + 1, 1 + (i * 7919) %% %d, NULL, NULL, 1700000000000000 + i, 1700000000000000 + i, '12.50', 'EUR', 'Purchase', 'order-' || i, 'who' FROM range(1, %d) t(i)`,
			table, events/2, events),
	} {
		if err := d.write(context.Background(), func(ctx context.Context, tx *sql.Tx) error { return execAll(ctx, tx, query) }); err != nil {
			b.Fatal(err)
		}
	}
	plain := matchkey.Plain
	keys := matchkey.Set{ID: "bench", Fields: []string{"$id", "$time", "amount", "currency", `"Purchase"`, "email", "phone"}}
	for _, name := range []string{"ID", "TIME", "VALUE", "CURRENCY", "NAME", "EMAIL", "PHONE"} {
		keys.Keys = append(keys.Keys, matchkey.Key{Name: name, Exact: true, Identifies: name == "ID" || name == "EMAIL", Hash: name == "EMAIL" || name == "PHONE", Normalize: plain})
	}
	n := 0
	for b.Loop() {
		n++
		began := time.Now()
		plan, err := d.StageEvents(context.Background(), warehouse.EventRequest{
			Run: activation.RunID(fmt.Sprint("r", n)), Target: activation.TargetID(fmt.Sprint("t", n)), Job: "job", Stream: "orders", Keys: keys, Columns: 5, Backfill: true,
		}, nil)
		if err != nil || plan.Counts.Staged != events {
			b.Fatalf("%+v (%v)", plan.Counts, err)
		}
		b.ReportMetric(float64(events)/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(peakMB(b), "peak-MB")
	}
}

// peakMB is the most memory that the process had, in megabytes.
func peakMB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb float64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
