package ingest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readBack parses canonical text with the standard library.
func readBack(t *testing.T, text string) [][]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(text))
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("the canonical text is not CSV: %v\n%q", err, text)
	}
	return rows
}

// What encoding/csv accepts and ours accepts, both read alike.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "\uFEFFa,b\r\n\"x\ny\",\"\"\"\"\r\n", "a,b\n\"$90,000 \",2\n\n", "a,b\n1,x\"y\n2,2", "a\n\"\r\n\"\r", "a,b\nx\ry,\n,\"\"", "h\n\"a\"\"\nb\"\n",
	} {
		f.Add([]byte(s), byte(','), false)
		f.Add([]byte(s), byte(';'), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, delim byte, drop bool) {
		req := Request{Body: bytes.NewReader(text), ContentType: "text/csv", Delimiter: string(rune(delim)), DropErrors: drop}
		got, u, err := parsed(t, req, Limits{MaxRecordBytes: 1000})
		if err != nil {
			return
		}
		rows := readBack(t, got)
		lines := int64(bytes.Count(text, []byte("\n"))) + 1
		last := int64(0)
		for _, row := range rows {
			n, err := strconv.ParseInt(row[0], 10, 64)
			if err != nil || n <= last || n > lines || len(row) != len(u.columns)+2 {
				t.Fatalf("row %q after line %d of %d, %d columns", row, last, lines, len(u.columns))
			}
			last = n
		}
		if drop {
			return
		}
		std := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, bom)))
		std.Comma = rune(delim)
		want, err := std.ReadAll()
		if err != nil {
			return
		}
		if len(rows) != len(want)-1 {
			t.Fatalf("%d rows, encoding/csv reads %d", len(rows), len(want)-1)
		}
		for i, row := range rows {
			for j, v := range row[2:] {
				if v != want[i+1][j] {
					t.Errorf("row %d value %d is %q, encoding/csv reads %q", i, j, v, want[i+1][j])
				}
			}
		}
	})
}

// What encoding/json accepts and ours accepts, both read alike; and ours
// accepts nothing that is not JSON.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":"x\u00e9\ud83d\ude00","c":[1,"y",null],"d":true,"e":null,"f":-1.5e+3}`,
		"[{\"a\":1},\n{\"b\":\"q\\\"\"}]", "{\"a\":1}\n\n{\"b\":[]}\n", "{\n\"a\": [ 1 , 2 ]\n}", `{"a":01}`, `{"a":"\ud800"}`, `[{"a":{}}]`,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, drop bool) {
		got, u, err := parsed(t, Request{Body: bytes.NewReader(text), ContentType: "application/json", DropErrors: drop}, Limits{MaxRecordBytes: 1000})
		if err != nil {
			return
		}
		rows := readBack(t, got)
		if drop {
			return
		}
		want := objects(t, bytes.TrimPrefix(text, bom))
		if len(rows) != len(want) {
			t.Fatalf("%d rows, encoding/json reads %d", len(rows), len(want))
		}
		for i, row := range rows {
			for j, name := range u.columns {
				if w := canonicalOf(want[i][name]); normalEnds(row[j+2]) != normalEnds(w) {
					t.Errorf("row %d, %q is %q, encoding/json reads %q", i, name, row[j+2], w)
				}
			}
		}
	})
}

// normalEnds: encoding/csv, which reads the result back, joins CR LF.
func normalEnds(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func objects(t *testing.T, text []byte) (out []map[string]json.RawMessage) {
	t.Helper()
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		return out
	}
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var o map[string]json.RawMessage
		err := d.Decode(&o)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		out = append(out, o)
	}
}

// canonicalOf is what a JSON value becomes, by the standard library's reading.
func canonicalOf(raw json.RawMessage) string {
	var text string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return ""
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return "unreadable"
		}
		return text
	case raw[0] == '[':
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return "unreadable"
		}
		return b.String()
	}
	return string(raw)
}

// However the body comes in pieces, the result is the same, faults included.
func TestPiecesMakeNoDifference(t *testing.T) {
	cell := rapid.SampledFrom([]string{"1", "", "x y", "\"q\"", "\"a\"\"b\"", "\"l\nm\"", "\"c,d\"", "é", "x\"y", "\"open", "\xff", strings.Repeat("z", 90)})
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 3), 0, 8).Draw(t, "rows")
		var text strings.Builder
		text.WriteString("a,b\n")
		for _, r := range rows {
			text.WriteString(strings.Join(r, ",") + rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(t, "end"))
		}
		pieces(t, text.String(), "text/csv")
	})
	object := rapid.SampledFrom([]string{`{"a":1}`, `{"b":"x\ny\ud83d\ude00"}`, "{\n\"a\": [1, 2]}", `{"a":{}}`, `{"a":tru}`, `{"c":"` + strings.Repeat("z", 90) + `"}`, "{", "{}"})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(object, 0, 8).Draw(t, "objects")
		pieces(t, "["+strings.Join(all, " ,\n")+"]", "application/json")
		pieces(t, strings.Join(all, "\n"), "application/x-ndjson")
	})
}

// pieces compares one reading of the whole text with one of random pieces.
func pieces(t *rapid.T, text, contentType string) {
	seed := rapid.Uint64().Draw(t, "seed")
	for _, drop := range []bool{false, true} {
		read := func(r io.Reader) (string, int64, string) {
			u := &upload{limits: Limits{MaxRecordBytes: 80}.WithDefaults(), delim: ',', drop: drop, latest: 1}
			var out bytes.Buffer
			u.out = newCanonical(&out)
			u.newScratch = func() (scratchFile, error) { return &memoryScratch{}, nil }
			err := u.read(t.Context(), Request{Body: r, ContentType: contentType}, 1<<20)
			return out.String(), u.rejected, errorText(err)
		}
		out, rejected, fault := read(strings.NewReader(text))
		readers := map[string]io.Reader{
			"random pieces": &pieceReader{r: strings.NewReader(text), rng: rand.New(rand.NewPCG(seed, 1))},
			"single bytes":  iotest.OneByteReader(strings.NewReader(text)),
			"error with":    iotest.DataErrReader(strings.NewReader(text)),
		}
		for name, r := range readers {
			if o, n, f := read(r); o != out || n != rejected || f != fault {
				t.Fatalf("%s: %q, %d rejected, %s\nwhole: %q, %d rejected, %s", name, o, n, f, out, rejected, fault)
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// pieceReader reads pieces of random length, also empty ones.
type pieceReader struct {
	r   io.Reader
	rng *rand.Rand
}

func (p *pieceReader) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.rng.IntN(20))]) }
