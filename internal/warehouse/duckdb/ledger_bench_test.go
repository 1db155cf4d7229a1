package duckdb

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// benchPeople is how many profiles the benchmarks have, half of them members:
// USHER_BENCH_SIZE=10000000 for the large ones.
func benchPeople(b *testing.B) int64 {
	n, err := strconv.ParseInt(os.Getenv("USHER_BENCH_SIZE"), 10, 64)
	if err != nil {
		n = 1_000_000
	}
	return n
}

func benchWorld(b *testing.B, people int64) *world {
	b.Helper()
	limit := int64(1 << 30)
	if people > 2_000_000 {
		limit = 2 << 30
	}
	w := newWorldFile(b, limit)
	w.write(fmt.Sprintf(`INSERT INTO profiles (_pid, _seq, email, phone, first_name)
		SELECT i, 1, 'person' || i || '@example.com', CASE WHEN i %% 3 = 0 THEN '+1' || (2000000000 + i) END, 'ann' FROM range(1, %d) t(i)`, people+1))
	w.enter(fmt.Sprintf(`SELECT i * 2 FROM range(1, %d) t(i)`, people/2+1))
	return w
}

func BenchmarkStageFirst1M(b *testing.B) {
	people := benchPeople(b)
	for b.Loop() {
		b.StopTimer()
		w := benchWorld(b, people)
		b.StartTimer()
		plan := benchStage(b, w, "first")
		if plan.Counts.Add != people/2 {
			b.Fatalf("%d adds, want %d", plan.Counts.Add, people/2)
		}
		b.StopTimer()
		w.d.Close()
		b.StartTimer()
	}
}

// BenchmarkStageSecond1pct plans the run after the first one was delivered,
// with 0.5 % of the members gone, as many new and as many with another e-mail.
func BenchmarkStageSecond1pct(b *testing.B) {
	people := benchPeople(b)
	w := benchWorld(b, people)
	first := benchStage(b, w, "first")
	began := time.Now()
	w.fold("first", first, activation.Accepted)
	b.Logf("fold of %d rows: %s", first.Counts.Staged, time.Since(began))
	w.enter(`SELECT _pid FROM profiles WHERE (_pid % 2 = 0 AND _pid % 400 <> 0) OR _pid % 400 = 1`)
	w.write(`CREATE TEMP TABLE moved AS SELECT _pid, _seq + 1 AS _seq, 'new' || email AS email, phone, first_name FROM profiles WHERE _pid % 400 = 2`,
		`DELETE FROM profiles WHERE _pid % 400 = 2`, `INSERT INTO profiles SELECT * FROM moved`, `DROP TABLE moved`)
	var plan warehouse.Plan
	for i := 0; b.Loop(); i++ {
		plan = benchStage(b, w, "second"+strconv.Itoa(i))
	}
	c := plan.Counts
	if c.Remove != people/400 || c.Update != people/400 || c.Add != people/400 || c.Staged != people/100 {
		b.Fatalf("counts %+v", c)
	}
}

func benchStage(b *testing.B, w *world, run string) warehouse.Plan {
	b.Helper()
	began := time.Now()
	plan, err := w.d.Stage(context.Background(), w.request(run), func(s activation.Stage) { b.Logf("%s %s at %s", run, s, time.Since(began)) })
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%s took %s", run, time.Since(began))
	return plan
}

// BenchmarkFold folds items of 10,000 rows into a ledger of 5 million.
func BenchmarkFold(b *testing.B) {
	w := benchWorld(b, benchPeople(b))
	plan := benchStage(b, w, "first")
	w.write(`INSERT INTO ledger_1 SELECT 1, i, 1, 1, uuid(), 'in', -1, NULL, 0 FROM range(10000000, 15000000) t(i)`)
	items := plan.Counts.Staged / 10_000
	var n int64
	for b.Loop() {
		s := plan.Segments[0]
		s.First = 1 + (n%items)*10_000
		s.Last = s.First + 9_999
		it := w.item("first", fmt.Sprint(n), s, activation.Accepted)
		if n++; n > items {
			it.Outcome = activation.Unknown
		}
		if _, err := w.d.Fold(context.Background(), []warehouse.FoldItem{it}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkEvaluate1M evaluates a rule that a third of all people meet: anew, when
// everybody enters, and again, when nobody does.
func BenchmarkEvaluate1M(b *testing.B) {
	people := benchPeople(b)
	w := benchWorld(b, people)
	rule := []warehouse.Rule{{ID: "contactable", Slug: "contactable", Text: `FILTER AND (EXISTS email, phone LIKE "+12*", NOT first_name = "bob")`}}
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "enter", true: "again"}[again], func(b *testing.B) {
			for b.Loop() {
				if !again {
					b.StopTimer()
					if err := w.d.SetAudiences(context.Background(), nil, w.now); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				if err := w.d.SetAudiences(context.Background(), rule, w.now); err != nil {
					b.Fatal(err)
				}
				if err := w.d.Evaluate(context.Background(), "contactable", w.now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if size, err := w.d.Size(context.Background(), "contactable"); err != nil || size != people/3 {
		b.Fatalf("%d members (%v), want %d", size, err, people/3)
	}
}
