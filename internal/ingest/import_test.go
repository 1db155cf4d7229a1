package ingest

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// imported reads all loads of the inbox as name=value pairs, sorted in each row,
// by another parser than ours. The loads are those of job j.
func imported(t testing.TB, in *inbox.Inbox) []string {
	t.Helper()
	loads, err := in.Pending(t.Context(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range loads {
		if l.Path == "" {
			continue
		}
		f, err := os.Open(l.Path)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil || int64(len(rows)) != l.Rows {
			t.Fatalf("load %s: %d rows of %d, %v", l.ID, len(rows), l.Rows, err)
		}
		_ = f.Close()
		last := ""
		for _, row := range rows {
			if number := fmt.Sprintf("%012s", row[0]); number <= last {
				t.Fatalf("line %s after %s in one load", row[0], last)
			} else {
				last = number
			}
			var pairs []string
			for i, name := range l.Columns {
				if v := row[i+2]; v != "" {
					pairs = append(pairs, name+"="+v)
				}
			}
			slices.Sort(pairs)
			out = append(out, strings.Join(pairs, " "))
		}
	}
	for _, l := range loads { // they are looked at once
		if err := in.Done(t.Context(), l.ID, warehouse.LoadResult{Rows: l.Rows, NewProfile: 1}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return out
}

// piece is an import of a text.
func piece(name, text string) Import {
	return Import{
		Job: "j", Pass: "p1", Stream: "s", Name: name, Version: "1", loadRows: 3, loadBytes: 1 << 20,
		Open:  func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		After: func() ([]byte, error) { return []byte("behind " + name), nil },
	}
}

func stateOf(t testing.TB, in *inbox.Inbox) inbox.Import {
	t.Helper()
	s, err := in.Import(t.Context(), "j")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestImportCutsAndKeepsState(t *testing.T) {
	b := newBench(t, Limits{})
	for name, text := range map[string]string{
		"csv":     "a,b\n1,x\n2,\"y\n,z\"\n3,\n4,w\n5,v\n6,u\n7,t\n",
		"ndjson":  "{\"a\":1,\"b\":\"x\"}\n{\"b\":\"y\\n,z\",\"a\":2}\n{\"a\":3}\n{\"a\":4,\"b\":\"w\"}\n{\"a\":5,\"b\":\"v\"}\n{\"a\":6,\"b\":\"u\"}\n{\"b\":\"t\",\"a\":7}",
		"array":   "[{\"a\":1,\"b\":\"x\"},{\"b\":\"y\\n,z\",\"a\":2}, {\"a\":3}\n,\n{\"a\":4,\"b\":\"w\"},{\"a\":5,\"b\":\"v\"},{\"a\":6,\"b\":\"u\"},{\"b\":\"t\",\"a\":7}]",
		"objects": "{\n\"a\":1,\"b\":\"x\"}{\"b\":\"y\\n,z\",\"a\":2}\n{\"a\":3}{\"a\":4,\"b\":\"w\"}{\"a\":5,\"b\":\"v\"}{\"a\":6,\"b\":\"u\"}{\"b\":\"t\",\"a\":7}",
	} {
		for _, skip := range []bool{false, true} {
			if err := b.inbox.ForgetImport(t.Context(), "j"); err != nil {
				t.Fatal(err)
			}
			im := piece("f", text)
			im.SkipBadRows = skip
			got, err := b.Import(t.Context(), im)
			if err != nil || got.Rows != 7 || len(got.Loads) != 3 || !slices.Equal(got.Columns, []string{"a", "b"}) && name == "csv" {
				t.Fatalf("%s, skip %t: %+v, %v", name, skip, got, err)
			}
			want := []string{"a=1 b=x", "a=2 b=y\n,z", "a=3", "a=4 b=w", "a=5 b=v", "a=6 b=u", "a=7 b=t"}
			if rows := imported(t, b.inbox); !slices.Equal(rows, want) {
				t.Errorf("%s: %q", name, rows)
			}
			s := stateOf(t, b.inbox)
			if string(s.State) != "behind f" || s.Rows != 7 || s.Pieces != 1 || s.Counts[CountRows] != 7 || s.Counts[CountPieces] != 1 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

// TestImportStrictLeavesNothing: without skip_bad_rows a file is in whole or not
// at all, however long it is.
func TestImportStrictLeavesNothing(t *testing.T) {
	b := newBench(t, Limits{})
	_, err := b.Import(t.Context(), piece("f", "a,b\n1,x\n2,y\n3,z\n4,w\n5\n"))
	if !errors.Is(err, ErrBadFile) || rowError(err) == nil || rowError(err).Line != 6 {
		t.Errorf("error = %v", err)
	}
	b.nothingKept(t)
	if s := stateOf(t, b.inbox); s.State != nil || s.Seq != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestImportSkipsBadRows(t *testing.T) {
	b := newBench(t, Limits{})
	im := piece("f", "a,b\n1,x\n2\n3,z\n4,w\n5\n6\n")
	im.SkipBadRows = true
	got, err := b.Import(t.Context(), im)
	if err != nil || got.Rows != 3 || got.Rejected != 3 || len(got.Reasons) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	loads, _ := b.inbox.Pending(t.Context(), 10)
	if len(loads) != 2 || loads[0].Rejected != 1 || loads[1].Rejected != 2 {
		t.Fatalf("loads %+v", loads)
	}
	for i, want := range []int{1, 2} {
		r, err := b.inbox.Rejected(loads[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || strings.Count(string(text), "expected 2 columns, found 1") != want {
			t.Errorf("rejected rows of load %d: %q, %v", i, text, err)
		}
	}
}

func TestImportTimestampsByImportance(t *testing.T) {
	b := newBench(t, Limits{})
	for _, text := range []string{
		"id,a,b\n1,2026-01-02,2026-01-03\n2, ,2026-01-04\n3,,\n4,2026-01-05,x\n",
		`[{"id":1,"b":"2026-01-03","a":"2026-01-02"},{"id":2,"a":" ","b":"2026-01-04"},{"id":3},{"id":4,"b":"x","a":"2026-01-05"}]`,
	} {
		im := piece("f", text)
		im.Timestamps, im.SkipBadRows, im.loadRows = []string{"a", "none", "b"}, true, 100
		got, err := b.Import(t.Context(), im)
		if err != nil || got.Rows != 3 || got.Rejected != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		_, spooled := b.spooled(t)
		for _, want := range []string{",1767312000000000,1", ",1767484800000000,2", ",1767571200000000,4"} {
			if !strings.Contains(spooled, want) {
				t.Errorf("%q is not in %q", want, spooled)
			}
		}
		imported(t, b.inbox)
	}
	im := piece("f", "id\n1\n")
	im.Timestamps = []string{"a", "b"}
	if _, err := b.Import(t.Context(), im); !errors.Is(err, ErrBadFile) || !strings.Contains(err.Error(), "timestamp") && activation.KindOf(err) != activation.Invalid {
		t.Errorf("no column of them: %v", err)
	}
}

func TestImportDiff(t *testing.T) {
	b := newBench(t, Limits{})
	seen := 0
	load := func(text string) Imported {
		t.Helper()
		im := piece("f", text)
		im.Diff, im.SkipBadRows = true, true
		got, err := b.Import(t.Context(), im)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for i, tc := range []struct {
		text                     string
		rows, unchanged, deleted int64
	}{
		{"a,b\n1,x\n2,y\n2,y\n3,\"z\nz\"\n", 4, 0, 0},
		{"a,b\n1,x\n2,y\n3,\"z\nz\"\n4,w\n", 1, 3, 0},
		{"b,a\nx,1\ny,2\nv,4\n", 1, 2, 2},                // columns in another order; 4 changed, 3 gone
		{"a,c,b\n1,,x\n2,,y\n4,new,v\n", 1, 2, 1},        // a new column
		{`[{"b":"x","a":"1"},{"a":2,"b":"y"}]`, 0, 2, 1}, // another format
		{"", 0, 0, 2},
		{"a,b\n1,x\n", 1, 0, 0},
	} {
		got := load(tc.text)
		if got.Rows != tc.rows || got.Unchanged != tc.unchanged || got.Deleted != tc.deleted {
			t.Errorf("%d: %+v", i, got)
		}
		seen += int(tc.rows)
	}
	if rows := imported(t, b.inbox); len(rows) != seen {
		t.Errorf("%d rows, want %d", len(rows), seen)
	}
	files, _ := os.ReadDir(b.dir + "/imports")
	if len(files) != 1 {
		t.Errorf("%d files of digests are left: %v", len(files), files)
	}
}

// TestDiffAgrees compares the diff with sets in memory, beyond one run and page.
func TestDiffAgrees(t *testing.T) {
	b := newBench(t, Limits{})
	rapid.Check(t, func(rt *rapid.T) {
		last, path := map[int]bool{}, ""
		for range 3 {
			n := rapid.SampledFrom([]int{0, 1, 511, 512, 513, 3000}).Draw(rt, "rows")
			from, step := rapid.IntRange(0, 2000).Draw(rt, "from"), rapid.IntRange(1, 3).Draw(rt, "step")
			d, err := newDiffer(b.inbox, make([]byte, 32), path)
			if err != nil {
				rt.Fatal(err)
			}
			d.columns([]string{"id"})
			present := map[int]bool{}
			fresh, had := 0, 0
			for i := range n {
				id := from + i*step
				present[id] = true
				keep, err := d.keep(fmt.Appendf(nil, ",%d", id))
				if err != nil || keep == last[id] {
					rt.Fatalf("row %d: kept %t, %v", id, keep, err)
				}
				if keep {
					fresh++
				} else {
					had++
				}
				if i%700 == 699 {
					if err := d.spill(); err != nil {
						rt.Fatal(err)
					}
				}
			}
			gone := 0
			for id := range last {
				if !present[id] {
					gone++
				}
			}
			next, err := d.finish()
			if err != nil || d.deleted != int64(gone) || d.unchanged != int64(had) {
				rt.Fatalf("deleted %d of %d, unchanged %d of %d, %v", d.deleted, gone, d.unchanged, had, err)
			}
			if err := d.close(); err != nil {
				rt.Fatal(err)
			}
			if path != "" {
				_ = os.Remove(path)
			}
			last, path = present, next
		}
		_ = os.Remove(path)
	})
}

// cutReader gives so many bytes and then an error of its own, like a connection
// that is lost.
type cutReader struct {
	io.Reader
	left int
}

var errLost = &activation.Error{Kind: activation.Unavailable, Code: "SFTP-LOST", Message: "the connection to the server ended within the work"}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLost
	}
	n, err := c.Reader.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestImportCountsEachRowOnce cuts the reading of files at random places, stops
// between parts, resets nothing, and opens the inbox again: every good row of
// every file is in exactly once.
func TestImportCountsEachRowOnce(t *testing.T) {
	b := newBench(t, Limits{})
	job := 0
	rapid.Check(t, func(rt *rapid.T) {
		job++
		name := fmt.Sprintf("j%d", job)
		skip := rapid.Bool().Draw(rt, "skip_bad_rows")
		zipped := rapid.Bool().Draw(rt, "gzip")
		format := rapid.SampledFrom([]string{"csv", "ndjson", "array"}).Draw(rt, "format")
		n := rapid.IntRange(0, 40).Draw(rt, "rows")
		var text strings.Builder
		var want []string
		var lines []string
		for i := range n {
			value := strings.Repeat("x", rapid.IntRange(0, 30).Draw(rt, "long")) + rapid.SampledFrom([]string{"", "\n", ",", "\"", "é"}).Draw(rt, "odd")
			id := fmt.Sprintf("%s-%d", name, i)
			bad := skip && rapid.IntRange(0, 9).Draw(rt, "bad") == 0
			pairs := "id=" + id
			if value != "" {
				pairs += " v=" + strings.ReplaceAll(value, "\r\n", "\n")
			}
			if !bad {
				want = append(want, pairs)
			}
			switch {
			case format == "csv" && bad:
				lines = append(lines, id)
			case format == "csv":
				lines = append(lines, id+",\""+strings.ReplaceAll(value, "\"", "\"\"")+"\"")
			case bad:
				lines = append(lines, "{}")
			default:
				lines = append(lines, fmt.Sprintf(`{"id":%q,"v":%q}`, id, value))
			}
		}
		switch format {
		case "csv":
			text.WriteString("id,v\n" + strings.Join(lines, "\n"))
		case "ndjson":
			text.WriteString(strings.Join(lines, "\n"))
		default:
			text.WriteString("[" + strings.Join(lines, ",") + "]")
		}
		body := []byte(text.String())
		if zipped {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(body)
			_ = w.Close()
			body = z.Bytes()
		}
		cut := true
		for try := 0; cut; try++ {
			cut = try < 6 && rapid.Bool().Draw(rt, "cut")
			im := piece("f", "")
			im.Job, im.SkipBadRows, im.loadRows = name, skip, int64(rapid.IntRange(1, 9).Draw(rt, "load"))
			left := len(body) + 1
			stop := 0
			if cut {
				if rapid.Bool().Draw(rt, "lost") {
					left = rapid.IntRange(0, len(body)).Draw(rt, "at")
				}
				stop = rapid.IntRange(0, 4).Draw(rt, "stop behind part")
			}
			im.Open = func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(&cutReader{Reader: bytes.NewReader(body), left: left}), nil
			}
			im.Between = func(context.Context) error {
				if stop--; stop == 0 {
					return errLost
				}
				return nil
			}
			after := im.After
			im.After = func() ([]byte, error) {
				if cut && left >= len(body) {
					return nil, errLost
				}
				return after()
			}
			_, err := b.Import(t.Context(), im)
			if err == nil {
				break
			}
			if activation.CodeOf(err) != "SFTP-LOST" || errors.Is(err, ErrBadFile) {
				rt.Fatalf("try %d: %v", try, err)
			}
		}
		var got []string
		for _, row := range imported(t, b.inbox) {
			if strings.Contains(row, "id="+name+"-") {
				got = append(got, row)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			rt.Fatalf("got %q\nwant %q\nof %q", got, want, text.String())
		}
	})
}

// TestImportGoesOnWithinAFile loses the connection in the middle of a file that is
// larger than any buffer.
func TestImportGoesOnWithinAFile(t *testing.T) {
	b := newBench(t, Limits{})
	var text strings.Builder
	text.WriteString("id,v\n")
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&text, "%d,\"%s\n\"\n", i, strings.Repeat("x", 50))
	}
	im := piece("f", "")
	im.SkipBadRows, im.loadRows = true, 3000
	attempts, resumed := 0, 0
	for left := 0; ; left += 400_000 {
		attempts++
		im.Open = func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(&cutReader{Reader: strings.NewReader(text.String()), left: left}), nil
		}
		got, err := b.Import(t.Context(), im)
		if got.Resumed {
			resumed++
		}
		if err == nil {
			break
		}
		if activation.CodeOf(err) != "SFTP-LOST" {
			t.Fatal(err)
		}
	}
	rows := imported(t, b.inbox)
	if len(rows) != n || len(slices.Compact(rows)) != n || attempts < 4 || resumed < 2 {
		t.Errorf("%d rows, %d attempts, %d went on", len(rows), attempts, resumed)
	}
	if s := stateOf(t, b.inbox); s.Rows != n || s.Counts[CountRows] != n || s.Pieces != 1 {
		t.Errorf("%+v", s)
	}
}

// TestImportIsFenced: what was begun before a reset, or beside another attempt, is
// not kept.
func TestImportIsFenced(t *testing.T) {
	b := newBench(t, Limits{})
	im := piece("f", "a\n1\n")
	after := im.After
	im.After = func() ([]byte, error) {
		if _, err := b.Import(t.Context(), piece("f", "a\n1\n")); err != nil {
			t.Error(err)
		}
		return after()
	}
	if _, err := b.Import(t.Context(), im); !errors.Is(err, activation.ErrFenced) {
		t.Errorf("error = %v", err)
	}
	if rows := imported(t, b.inbox); len(rows) != 1 {
		t.Errorf("rows %q", rows)
	}
	im.After = func() ([]byte, error) { return after() }
	im.Open = func(ctx context.Context) (io.ReadCloser, error) {
		if err := b.inbox.ResetImport(ctx, "j"); err != nil {
			t.Error(err)
		}
		return io.NopCloser(strings.NewReader("a\n2\n")), nil
	}
	if _, err := b.Import(t.Context(), im); !errors.Is(err, activation.ErrFenced) {
		t.Errorf("error = %v", err)
	}
	if s := stateOf(t, b.inbox); s.State != nil {
		t.Errorf("state %q", s.State)
	}
}

// TestSettleCountsEachLoadOnce: new profiles are counted by the pass that first
// sees a load merged.
func TestSettleCountsEachLoadOnce(t *testing.T) {
	b := newBench(t, Limits{})
	got, err := b.Import(t.Context(), piece("f", "a\n1\n2\n3\n4\n"))
	if err != nil || len(got.Loads) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	count := func(l inbox.Load) map[string]int64 { return map[string]int64{"new_profiles": l.Result.NewProfile} }
	settle := func(pass string, profiles, waiting int64) {
		t.Helper()
		counts, left, _, err := b.inbox.SettleImport(t.Context(), "j", pass, count)
		if err != nil || counts["new_profiles"] != profiles || left != waiting {
			t.Errorf("%s: %v, %d wait, %v", pass, counts, left, err)
		}
	}
	settle("p1", 0, 2)
	if err := b.inbox.Done(t.Context(), got.Loads[0], warehouse.LoadResult{NewProfile: 2}); err != nil {
		t.Fatal(err)
	}
	settle("p1", 2, 1)
	settle("p1", 2, 1)
	if err := b.inbox.Done(t.Context(), got.Loads[1], warehouse.LoadResult{NewProfile: 1}); err != nil {
		t.Fatal(err)
	}
	settle("p2", 1, 0)
	settle("p2", 1, 0)
}

func TestSample(t *testing.T) {
	b := newBench(t, Limits{})
	for _, text := range []string{
		"email,at,n\na@x.y,2026-01-02,1\n\"b,c\",2026-01-03 10:00,2\nbroken\nd,x,4\ne,2026-01-05,5\n",
		"{\"email\":\"a@x.y\",\"at\":\"2026-01-02\",\"n\":1}\n{\"email\":\"b,c\",\"at\":\"2026-01-03 10:00\",\"n\":2}\n{}\n{\"email\":\"d\",\"at\":\"x\",\"n\":4}\n{\"email\":\"e\",\"at\":\"2026-01-05\",\"n\":5}\n",
	} {
		im := piece("f", text)
		im.Timestamps = []string{"at"}
		s, err := b.Sample(t.Context(), im, 3)
		if err != nil || len(s.Rows) != 3 || len(s.Rejected) != 2 || s.Rows[1][0] != "b,c" || !slices.Equal(s.Parsed, []int{0, 3, 0}) || s.Times[1].Hour() != 10 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	b.nothingKept(t)
}
