package duckdb

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"testing"
	"time"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

// crashes is how often the child is killed before it may finish.
const crashes = 12

// TestCrash kills a process that merges loads at random moments, again and
// again. Whatever it had come to, offering the loads once more must give what
// merging them once gives.
func TestCrash(t *testing.T) {
	if dir := os.Getenv("USHER_CRASH_CHILD"); dir != "" {
		crashChild(t, dir)
		return
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	model := crashLoads(t, dir, r)
	killed := 0
	for killed < crashes {
		child := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$", "-test.count=1")
		child.Env = append(os.Environ(), "USHER_CRASH_CHILD="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(20+r.IntN(700))*time.Millisecond, func() { _ = child.Process.Kill() })
		err := child.Wait()
		if timer.Stop() {
			if err != nil {
				t.Fatalf("the child failed by itself: %v", err)
			}
			break // it was quicker than all of us
		}
		killed++
	}
	t.Logf("killed %d times", killed)
	d := crashOpen(t, dir)
	defer d.Close()
	l := warehousetest.NewLoader(t.TempDir(), d)
	for _, load := range readCrashLoads(t, dir) {
		l.Merge(t, load)
	}
	l.Compare(t, model)
	l.Rebuild(t)
	l.Compare(t, model)
}

// crashChild merges all loads, each as often as it is offered.
func crashChild(t *testing.T, dir string) {
	d := crashOpen(t, dir)
	l := warehousetest.NewLoader(t.TempDir(), d)
	for _, load := range readCrashLoads(t, dir) {
		l.Merge(t, load)
	}
}

func crashOpen(t *testing.T, dir string) *DB {
	t.Helper()
	d, err := Open(t.Context(), Config{Path: filepath.Join(dir, "warehouse.duckdb"), MaxSliceLines: 60})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// crashLoads spools visits, which have no id and so count twice if they are
// merged twice, orders, corrections of them and their prices, and returns
// the model that has merged them.
func crashLoads(t *testing.T, dir string, r *rand.Rand) *warehousetest.Model {
	t.Helper()
	schema := warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1, PII: true},
			{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
			{Name: "value", Type: warehouse.Number, Merge: warehouse.Sum},
			{Name: "orders", Type: warehouse.Integer, Merge: warehouse.Count},
			{Name: "visits", Type: warehouse.Integer, Merge: warehouse.Count},
		},
		Streams: []warehouse.Stream{{Name: "orders", MessageID: []string{"id"}}, {Name: "visits"}, {Name: "prices", ReferenceKey: "sku"}},
		Mappings: []warehouse.Mapping{
			{Stream: "orders", Field: "email", Expression: "e"},
			{Stream: "orders", Field: "customer", Expression: "c"},
			{Stream: "orders", Field: "value", Expression: `number(n) * number(lookup("prices", k, "price"))`},
			{Stream: "orders", Field: "orders", Expression: "id"},
			{Stream: "visits", Field: "email", Expression: "e"},
			{Stream: "visits", Field: "visits", Expression: "e"},
		},
	}
	d := crashOpen(t, dir)
	defer d.Close()
	if _, err := d.Apply(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	spool := warehousetest.NewLoader(dir, d)
	model := warehousetest.NewModel(schema)
	var loads []warehouse.Load
	for n := range 8 {
		stream, rows := "visits", crashOrders(r)
		switch n % 4 {
		case 1:
			stream = "orders"
		case 3:
			stream, rows = "prices", crashPrices(r)
		}
		id := fmt.Sprintf("load-%d", n)
		loads = append(loads, spool.Spool(t, id, stream, nil, rows))
		model.Merge(id, stream, rows)
	}
	text, err := json.Marshal(loads)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "loads.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return model
}

func crashOrders(r *rand.Rand) []warehousetest.Row {
	rows := make([]warehousetest.Row, 400)
	for i := range rows {
		rows[i] = warehousetest.Row{Time: int64(r.IntN(1000)), Values: map[string]string{
			"id": fmt.Sprint(r.IntN(900)), "e": fmt.Sprintf("p%d@x.org", r.IntN(200)),
			"k": fmt.Sprintf("s%d", r.IntN(5)), "n": fmt.Sprint(1 + r.IntN(4)),
		}}
		if r.IntN(10) == 0 {
			rows[i].Values["c"] = fmt.Sprint(r.IntN(100))
		}
	}
	return rows
}

func crashPrices(r *rand.Rand) []warehousetest.Row {
	var rows []warehousetest.Row
	for i := range 5 {
		rows = append(rows, warehousetest.Row{Time: int64(r.IntN(10)), Values: map[string]string{"sku": fmt.Sprintf("s%d", i), "price": fmt.Sprint(r.IntN(40))}})
	}
	return rows
}

func readCrashLoads(t *testing.T, dir string) []warehouse.Load {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "loads.json"))
	if err != nil {
		t.Fatal(err)
	}
	var loads []warehouse.Load
	if err := json.Unmarshal(text, &loads); err != nil {
		t.Fatal(err)
	}
	return loads
}
