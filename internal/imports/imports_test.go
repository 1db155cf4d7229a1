package imports_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/imports"
	"usher/internal/ingest"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/sftp"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// memory is a place in memory whose connections may be lost.
type memory struct {
	files map[string]drop.Info
	body  map[string]string
	// budget is how many calls, or hundreds of bytes, there are before one is lost;
	// -1 = none is.
	budget int
}

var errLost = &activation.Error{Kind: activation.Unavailable, Code: "SFTP-LOST", Message: "the connection to the server ended within the work"}

func (m *memory) spend() error {
	if m.budget == 0 {
		return errLost
	}
	m.budget--
	return nil
}

func (m *memory) Connect(context.Context) (drop.Drop, error)   { return m, m.spend() }
func (m *memory) Check(context.Context) error                  { return m.spend() }
func (m *memory) Close() error                                 { return nil }
func (m *memory) Put(context.Context, ...drop.File) error      { return nil }
func (m *memory) Rename(context.Context, string, string) error { return nil }
func (m *memory) List(context.Context, string) ([]drop.Info, error) {
	return slices.Collect(maps.Values(m.files)), m.spend()
}

func (m *memory) Stat(_ context.Context, n string) (drop.Info, bool, error) {
	i, ok := m.files[n]
	return i, ok, m.spend()
}

func (m *memory) Remove(_ context.Context, n string) error {
	if err := m.spend(); err != nil {
		return err
	}
	delete(m.files, n)
	return nil
}

func (m *memory) Open(_ context.Context, n string) (io.ReadCloser, error) {
	return io.NopCloser(&slow{m, strings.NewReader(m.body[n])}), m.spend()
}

type slow struct {
	m *memory
	r io.Reader
}

func (s *slow) Read(p []byte) (int, error) {
	if err := s.m.spend(); err != nil {
		return 0, err
	}
	return s.r.Read(p[:min(len(p), 100)])
}

func (m *memory) put(name, body string, at time.Time) {
	m.files[name] = drop.Info{Name: name, Size: int64(len(body)), Modified: at}
	m.body[name] = body
}

// progress keeps what a pass says; its counts are as durable as those of the store.
type progress struct {
	mu     sync.Mutex
	pass   activation.Pass
	counts map[string]int64
	notes  []string
}

func (p *progress) Pass() activation.Pass {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.pass
	at.Counts = maps.Clone(p.counts)
	return at
}

func (p *progress) Count(name string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[name] += n
}
func (p *progress) Moved()                     {}
func (p *progress) Save(context.Context) error { return nil }
func (p *progress) Note(_ context.Context, level, code, message string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, strings.TrimSpace(level+" "+code)+": "+message)
	return nil
}

type noSchema struct{}

func (noSchema) Schema(context.Context) (warehouse.Schema, error) { return warehouse.Schema{}, nil }

// bench is the import jobs of one inbox, reading one place.
type bench struct {
	t     testing.TB
	dir   string
	inbox *inbox.Inbox
	place *memory
	now   time.Time
	jobs  *imports.Imports
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	b.clear()
	b.open()
	t.Cleanup(func() { _ = b.inbox.Close() })
	return b
}

func (b *bench) clear() {
	b.place = &memory{files: map[string]drop.Info{}, body: map[string]string{}, budget: -1}
}

// open opens the inbox, as a process does that starts.
func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.inbox, err = inbox.Open(context.Background(), inbox.Config{Dir: b.dir}); err != nil {
		b.t.Fatal(err)
	}
	w, _ := sftp.Definition().Workflow("sftp_import")
	b.jobs = imports.New(imports.Config{
		Connect: func(_ context.Context, job activation.Job) (provider.Source, provider.Definition, error) {
			src, err := drop.NewImport(b.place, w.Fields, provider.Deps{Config: job.Config, Now: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler)})
			return src, sftp.Definition(), err
		},
		Providers: []provider.Definition{sftp.Definition()}, Inbox: b.inbox, MaxWaiting: 1000, WaitMerged: time.Nanosecond,
		Collector: ingest.NewCollector(ingest.CollectorConfig{Inbox: b.inbox, Schema: noSchema{}, Now: func() time.Time { return b.now }}),
		Now:       func() time.Time { return b.now },
	})
}

func job(id string, config map[string]string) activation.Job {
	conf := map[string]string{"prefix": "people", "settle": "0s"}
	maps.Copy(conf, config)
	return activation.Job{ID: activation.JobID(id), Workflow: "sftp_import", Provider: "sftp", Config: conf}
}

func newPass(id string) *progress {
	return &progress{pass: activation.Pass{ID: activation.PassID(id)}, counts: map[string]int64{}}
}

func (b *bench) pass(j activation.Job, p *progress) error {
	return b.jobs.Runner().Pass(b.t.Context(), j, p)
}

// ids reads the first column of every load that waits, and merges them.
func (b *bench) ids(fails func(l inbox.Load) bool) []string {
	b.t.Helper()
	loads, err := b.inbox.Pending(b.t.Context(), 10_000)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, l := range loads {
		if l.Path != "" {
			text, err := os.ReadFile(l.Path)
			if err != nil {
				b.t.Fatal(err)
			}
			rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
			if err != nil || int64(len(rows)) != l.Rows {
				b.t.Fatalf("%d rows of %d, %v", len(rows), l.Rows, err)
			}
			for _, row := range rows {
				out = append(out, l.Stream+"/"+row[2])
			}
		}
		if fails != nil && fails(l) {
			err = b.inbox.Fail(b.t.Context(), l.ID, errLost)
		} else {
			err = b.inbox.Done(b.t.Context(), l.ID, warehouse.LoadResult{Rows: l.Rows, NewProfile: l.Rows})
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	slices.Sort(out)
	return out
}

func TestPass(t *testing.T) {
	b := newBench(t)
	j, p := job("j", nil), newPass("p1")
	b.place.put("people_20260101.csv", "id,email\n1,a\n2,b\n", b.now)
	b.place.put("people_20260102.csv", "id,email\n3,c\n", b.now)
	if err := b.pass(j, p); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"pieces": 2, "rows": 3}; !maps.Equal(nonzero(p.counts), want) {
		t.Errorf("counts %v", p.counts)
	}
	if len(p.notes) != 2 || !strings.Contains(p.notes[0], `info: read "people_20260101.csv" into the stream sftp_import_people: 2 rows`) {
		t.Errorf("notes %q", p.notes)
	}
	first := true
	got := b.ids(func(inbox.Load) bool { was := first; first = false; return was })
	if !slices.Equal(got, []string{"sftp_import_people/1", "sftp_import_people/2", "sftp_import_people/3"}) {
		t.Errorf("rows %q", got)
	}
	// What was merged after the pass counts in the next one, once.
	for _, want := range []map[string]int64{{"new_profiles": 1, "failed_loads": 1}, {}} {
		p = newPass(fmt.Sprint(want))
		if err := b.pass(j, p); err != nil || !maps.Equal(nonzero(p.counts), want) {
			t.Errorf("counts %v, want %v, %v", p.counts, want, err)
		}
	}
	v, err := b.jobs.State(t.Context(), j)
	if err != nil || v.Pieces != 2 || v.Rows != 3 || v.Last != "people_20260102.csv" || !strings.Contains(v.Position, "people_20260101.csv") {
		t.Errorf("%+v, %v", v, err)
	}
	if err := b.jobs.Reset(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	p = newPass("p4")
	if err := b.pass(j, p); err != nil || p.counts["rows"] != 3 || len(b.ids(nil)) != 3 {
		t.Errorf("after a reset: %v, %v", p.counts, err)
	}
}

func nonzero(m map[string]int64) map[string]int64 {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

func TestBadFiles(t *testing.T) {
	b := newBench(t)
	b.place.put("people_1.csv", "id,email\n1,a\nbroken secret-value\n", b.now)
	b.place.put("people_2.csv", "id,email\n2,b\n", b.now)
	b.place.put("people_3.csv", "PK\x03\x04", b.now)
	p := newPass("p1")
	err := b.pass(job("j", nil), p)
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Unavailable || e.Code != imports.CodeFile || !strings.Contains(e.Message, "people_1.csv") || !strings.Contains(e.Message, "line 3") {
		t.Errorf("error = %v", err)
	}
	if got := b.ids(nil); got != nil {
		t.Errorf("rows %q", got)
	}
	p = newPass("p2")
	if err := b.pass(job("j", map[string]string{"skip_bad_files": "true", "stream": "s"}), p); err != nil {
		t.Fatal(err)
	}
	if p.counts["skipped_files"] != 2 || p.counts["rows"] != 1 || p.counts["pieces"] != 1 || len(p.notes) != 3 {
		t.Errorf("counts %v, notes %q", p.counts, p.notes)
	}
	if got := b.ids(nil); !slices.Equal(got, []string{"s/2"}) {
		t.Errorf("rows %q", got)
	}
	p = newPass("p3")
	if err := b.pass(job("k", map[string]string{"skip_bad_rows": "true", "skip_bad_files": "true", "stream": "s"}), p); err != nil {
		t.Fatal(err)
	}
	if p.counts["rejected"] != 1 || p.counts["rows"] != 2 || p.counts["skipped_files"] != 1 {
		t.Errorf("counts %v", p.counts)
	}
	if text := fmt.Sprint(p.notes, err); strings.Contains(text, "secret-value") {
		t.Errorf("a value is in %s", text)
	}
}

func TestDiffCountsWhatIsGone(t *testing.T) {
	b := newBench(t)
	j := job("j", map[string]string{"diff": "true", "stream": "s"})
	for day, tc := range []struct {
		body string
		want map[string]int64
		rows []string
	}{
		{"id,n\n1,a\n2,b\n3,c\n", map[string]int64{"pieces": 1, "rows": 3}, []string{"s/1", "s/2", "s/3"}},
		{"id,n\n1,a\n2,B\n4,d\n", map[string]int64{"pieces": 1, "rows": 2, "unchanged": 1, "deleted": 2, "new_profiles": 3}, []string{"s/2", "s/4"}},
	} {
		b.place.put(fmt.Sprintf("people_%d.csv", day), tc.body, b.now)
		p := newPass(fmt.Sprint("p", day))
		if err := b.pass(j, p); err != nil || !maps.Equal(nonzero(p.counts), tc.want) {
			t.Errorf("day %d: %v, want %v, %v", day, p.counts, tc.want, err)
		}
		if got := b.ids(nil); !slices.Equal(got, tc.rows) {
			t.Errorf("day %d: %q", day, got)
		}
	}
}

func TestImportsWaitForRoom(t *testing.T) {
	b := newBench(t)
	b.place.put("people_1.csv", "id\n"+strings.Repeat("1\n", 1500), b.now)
	b.place.put("people_2.csv", "id\n2\n", b.now)
	err := b.pass(job("j", nil), newPass("p1"))
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.WaitUntil || e.Code != imports.CodeWaiting || !e.Until.After(b.now) {
		t.Errorf("error = %v", err)
	}
	if n := len(b.ids(nil)); n != 1500 {
		t.Errorf("%d rows", n)
	}
	if err := b.pass(job("j", nil), newPass("p1")); err != nil || len(b.ids(nil)) != 1 {
		t.Errorf("when there is room: %v", err)
	}
}

// TestEachRowCountsOnce lets files appear, change and be passed over while
// connections are lost, passes are done again and the process starts anew, all at
// random: in the end every row of every version that was taken whole is in once.
func TestEachRowCountsOnce(t *testing.T) {
	b := newBench(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		b.clear()
		config := map[string]string{"stream": "s"}
		for _, name := range []string{"skip_bad_rows", "delete_file"} {
			config[name] = fmt.Sprint(rapid.Bool().Draw(rt, name))
		}
		config["order"] = rapid.SampledFrom([]string{"name", "modified"}).Draw(rt, "order")
		j := job(fmt.Sprintf("j%d", run), config)
		var want, got []string
		row, version, pass := 0, 0, 1
		p := newPass("1")
		write := func(name string) {
			version++
			b.now = b.now.Add(time.Second)
			var body strings.Builder
			body.WriteString("id,v\n")
			for range rapid.IntRange(0, 30).Draw(rt, "rows") {
				row++
				id := fmt.Sprintf("%d-%d", run, row)
				want = append(want, "s/"+id)
				fmt.Fprintf(&body, "%s,\"%s\n\"\n", id, strings.Repeat("x", rapid.IntRange(0, 40).Draw(rt, "long")))
			}
			b.place.put(name, body.String(), b.now)
		}
		whole := func() {
			b.place.budget = -1
			if err := b.pass(j, p); err != nil {
				rt.Fatal(err)
			}
			pass++
			p = newPass(fmt.Sprint(pass))
		}
		total := map[string]int64{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"file", "file", "cut", "cut", "cut", "change", "start", "merge"}).Draw(rt, "step") {
			case "file":
				write(fmt.Sprintf("people_%03d.csv", version))
			case "change": // of a file that is in: its rows are other rows
				counts := p
				whole()
				for name, n := range counts.counts {
					total[name] += n
				}
				if len(b.place.files) > 0 {
					write(slices.Sorted(maps.Keys(b.place.files))[0])
				}
			case "cut":
				b.place.budget = rapid.IntRange(0, 40).Draw(rt, "budget")
				if err := b.pass(j, p); err != nil && activation.CodeOf(err) != "SFTP-LOST" {
					rt.Fatal(err)
				}
			case "start":
				if run%10 != 0 {
					continue // it takes its time
				}
				if err := b.inbox.Close(); err != nil {
					rt.Fatal(err)
				}
				b.open()
			case "merge":
				got = append(got, b.ids(nil)...)
			}
		}
		for range 2 {
			counts := p
			whole()
			for name, n := range counts.counts {
				total[name] += n
			}
			got = append(got, b.ids(nil)...)
		}
		last := p
		whole()
		for name, n := range last.counts {
			total[name] += n
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			rt.Fatalf("%d rows, want %d:\n%q\n%q", len(got), len(want), got, want)
		}
		if n := int64(len(want)); total["rows"] != n || total["new_profiles"] != n {
			rt.Fatalf("counted %v of %d rows", total, n)
		}
		if config["delete_file"] == "true" && len(b.place.files) > 0 {
			rt.Fatalf("%d files are left", len(b.place.files))
		}
	})
}

func TestPreview(t *testing.T) {
	b := newBench(t)
	var body strings.Builder
	body.WriteString("Customer ID,E-Mail,updated at,note\n")
	for i := range 150 {
		fmt.Fprintf(&body, "%d,person%d@example.com,2026-01-%02d,\n", i, i, i%28+1)
	}
	b.place.put("people_1.csv", body.String(), b.now)
	b.place.put("people_2.csv", "x\n1\n", b.now)
	j := job("j", map[string]string{"timestamps": "updated at"})
	plain, err := b.jobs.PreviewPlain(t.Context(), j)
	if err != nil || plain.Name != "people_1.csv" || plain.Stream != "sftp_import_people_1" || len(plain.Rows) != 100 || len(plain.Pieces) != 2 {
		t.Fatalf("%+v, %v", plain, err)
	}
	if plain.Times[3] != "2026-01-04T00:00:00Z" || plain.Rows[3][1] != "person3@example.com" {
		t.Errorf("%q, %q", plain.Times[3], plain.Rows[3])
	}
	for i, want := range []string{"customer_id", "email", "", ""} {
		if c := plain.Columns[i]; c.Identifier != want || (c.Times == 100) != (i == 2) || len(c.Samples) != 5 && i != 3 {
			t.Errorf("column %+v", c)
		}
	}
	masked, err := b.jobs.Preview(t.Context(), j)
	if text := fmt.Sprintf("%+v", masked); err != nil || strings.Contains(text, "person3@") || !masked.Masked || !strings.Contains(masked.Rows[3][1], "p•••") {
		t.Errorf("%s, %v", text, err)
	}
	if got := b.ids(nil); got != nil {
		t.Errorf("a preview imported %q", got)
	}
	if v, err := b.jobs.State(t.Context(), j); err != nil || v.Pieces != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestStream(t *testing.T) {
	for piece, want := range map[string]string{
		"customers.csv": "w_customers", "Customers_20260101.csv.gz": "w_customers", "customers-2026-01-01.csv": "w_customers", "2026/01/orders_20260101T120000.ndjson": "w_orders",
		"orders 01-02-2026.txt": "w_orders", "20260101.csv": "w_20260101", "public.orders": "w_public_orders", "Ünïcode": "w_n_code", "___": "w", strings.Repeat("a", 80): "w_" + strings.Repeat("a", 61),
	} {
		if got := imports.Stream("w", piece); got != want || !ingest.ValidName(got) {
			t.Errorf("%q: %q, want %q", piece, got, want)
		}
	}
}
