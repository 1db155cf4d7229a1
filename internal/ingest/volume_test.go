package ingest

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// rowsReader is a body of n rows made as it is read.
type rowsReader struct {
	n    int
	row  func(n int) string
	buf  []byte
	text []byte // what is left of buf
}

func (r *rowsReader) Read(p []byte) (int, error) {
	for len(r.text) == 0 {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.buf = append(r.buf[:0], r.row(r.n)...)
		r.text = r.buf
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

// A body of any size takes a few buffers, not its size: four times the rows
// allocate no more than a quarter of the bytes they add, and for a faulty row no
// more than it takes to say what is wrong.
func TestMemoryDoesNotGrowWithTheBody(t *testing.T) {
	const rows = 10_000
	row := strings.Repeat("some value,", 3) + "x\n"
	quoted := strings.Repeat("\"some, value\",", 3) + "\"x\ny\"\n"
	object := "{\"one\":\"some value\",\"two\":[1,2,3],\"three\":null}\n"
	for name, c := range map[string]struct {
		headers    string
		dropErrors bool
		row        string
		toRow      int // bytes that each row more may allocate; 0 = a quarter of its own
	}{
		"CSV":           {headers: "a,b,c,d", row: row},
		"quoted":        {headers: "a,b,c,d", row: quoted},
		"faulty rows":   {headers: "a,b", dropErrors: true, row: row, toRow: 1 << 10},
		"NDJSON":        {row: object},
		"endless value": {headers: "a", dropErrors: true, row: "\"\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"},
	} {
		t.Run(name, func(t *testing.T) {
			few := allocated(t, c.headers, c.dropErrors, c.row, rows)
			many := allocated(t, c.headers, c.dropErrors, c.row, 4*rows)
			may := uint64(3 * rows * cmp.Or(c.toRow, len(c.row)/4))
			if many > few+may {
				t.Errorf("%d rows more allocated %d KiB more than %d KiB; want at most %d KiB more", 3*rows, (many-few)>>10, few>>10, may>>10)
			}
		})
	}
}

// allocated returns how many bytes a bulk request of n rows allocates. What
// others allocate meanwhile is told apart by trying several times.
func allocated(t *testing.T, headers string, dropErrors bool, row string, n int) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		b := newBench(t, Limits{})
		r := Request{Stream: "s", Headers: headers, DropErrors: dropErrors, Body: &rowsReader{n: n, row: func(int) string { return row }}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := b.Bulk(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// A body of many windows is read as encoding/csv reads it, row for row, with
// the line numbers of an editor.
func TestLargeBodiesAreReadLikeTheStandardLibrary(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var text bytes.Buffer
	var lines []int
	text.WriteString("a,b,c\n")
	for line := 2; text.Len() < 3<<20; {
		lines = append(lines, line)
		for i := range 3 {
			cell := strings.Repeat("é\"\n,x"[:rng.IntN(7)], rng.IntN(60))
			if rng.IntN(50) == 0 {
				cell = strings.Repeat("long ", 600)
			}
			line += strings.Count(cell, "\n")
			if strings.ContainsAny(cell, "\"\n,") || rng.IntN(4) == 0 {
				cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
			text.WriteString(strings.ToValidUTF8(cell, "?"))
			text.WriteString([]string{",", ",", "\n"}[i])
		}
		line++
	}
	got, _, err := parsed(t, Request{Body: bytes.NewReader(text.Bytes())}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := readBack(t, got)
	if len(rows) != len(want)-1 {
		t.Fatalf("%d rows, want %d", len(rows), len(want)-1)
	}
	for i, row := range rows {
		if row[0] != strconv.Itoa(lines[i]) || strings.Join(row[2:], "\x00") != strings.Join(want[i+1], "\x00") {
			t.Fatalf("row %d (line %s, want %d) differs", i, row[0], lines[i])
		}
	}
}

func TestLargeJSONIsReadWhole(t *testing.T) {
	var text, want strings.Builder
	text.WriteString("[")
	for i := range 20_000 {
		if i > 0 {
			text.WriteString(",\n")
		}
		fmt.Fprintf(&text, "{\"n\":%d,\"text\":\"%s\"}", i, strings.Repeat("{é", i%40))
		fmt.Fprintf(&want, "%d,%d,%s\n", i+1, i, strings.Repeat("{é", i%40))
	}
	text.WriteString("]")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := io.WriteString(w, text.String()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, _, err := parsed(t, Request{Body: &z}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if untimed(got) != want.String() {
		t.Error("the rows differ from what was sent")
	}
}
