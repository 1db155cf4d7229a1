package rowfile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/rowfile"
)

var at = time.Date(2026, 11, 22, 9, 8, 7, 0, time.FixedZone("", 3600))

// batch has these columns, the first of which is the id.
func batch(columns []string, rows ...[]string) provider.Batch {
	b := provider.Batch{RunNumber: 12, Number: 3, At: at, Op: activation.OpAdd, Audience: provider.Audience{Slug: "vip", Name: "VIP customers"}}
	for i, name := range columns {
		b.Keys = append(b.Keys, matchkey.Key{Name: name, Exact: true, Identifies: i == 0, Normalize: matchkey.Plain})
	}
	for _, row := range rows {
		for _, v := range row {
			if v == "" {
				b.Values = append(b.Values, nil)
				continue
			}
			b.Values = append(b.Values, []byte(v))
		}
	}
	return b
}

func parse(t testing.TB, config map[string]string) rowfile.Settings {
	t.Helper()
	s, err := rowfile.Parse(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		what   string
		config map[string]string
		want   string
		second string
	}{
		{"nothing set", nil, "vip_20261122080807_12_00003_add.csv", "vip_20261122080807_12_00003-002_add.csv"},
		{"compressed", map[string]string{"compress": "true"}, "vip_20261122080807_12_00003_add.csv.gz", ""},
		{"ndjson", map[string]string{"format": "ndjson"}, "vip_20261122080807_12_00003_add.ndjson", ""},
		{"a size", map[string]string{"max_bytes": "1000"}, "vip_20261122080807_12_00003-001_add.csv", "vip_20261122080807_12_00003-002_add.csv"},
		{"the contract's name", map[string]string{"filename": "members_{TIMESTAMP}.csv", "time_format": "2006-01-02"}, "members_2026-11-22_12_00003.csv", "members_2026-11-22_12_00003-002.csv"},
		{"no extension", map[string]string{"filename": "members"}, "members_12_00003", ""},
		{"all given", map[string]string{"filename": "{OP}-{AUDIENCE}-{RUN}-{PART}.txt"}, "add-vip-12-00003.txt", ""},
		{"with the audience", map[string]string{"filename": "m.csv", "append_segment_slug": "true"}, "m_vip_12_00003.csv", ""},
		{"audience there already", map[string]string{"filename": "{AUDIENCE}.csv", "append_segment_slug": "true"}, "vip_12_00003.csv", ""},
		{"no operation column", map[string]string{"filename": "m.csv", "operation_column": "-"}, "m_12_00003_add.csv", ""},
		{"two extensions", map[string]string{"filename": "m.csv", "compress": "true"}, "m_12_00003.csv.gz", ""},
		{"gz given", map[string]string{"filename": "m.csv.gz", "compress": "true"}, "m_12_00003.csv.gz", ""},
	} {
		s := parse(t, tc.config)
		for i, want := range []string{tc.want, tc.second} {
			if got, err := s.Name.Of(batch([]string{"id"}), i); want != "" && (err != nil || got != want) {
				t.Errorf("%s, file %d: got %q, %v; want %q", tc.what, i, got, err, want)
			}
		}
	}
}

func TestAudienceNamesStayInTheFolder(t *testing.T) {
	s := parse(t, map[string]string{"filename": "{AUDIENCE}.csv"})
	for in, want := range map[string]string{"../../etc/passwd": "_.._etc_passwd_12_00003.csv", "": "audience_12_00003.csv", "Größe 9/10": "Gr__e_9_10_12_00003.csv", "..": "audience_12_00003.csv"} {
		b := batch([]string{"id"})
		b.Audience = provider.Audience{Name: in}
		if got, err := s.Name.Of(b, 0); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestWrongSettingsNameTheirField(t *testing.T) {
	for _, tc := range []struct{ field, value string }{
		{"filename", "a/b.csv"},
		{"filename", "../b.csv"},
		{"filename", ".hidden"},
		{"filename", "a{DATE}.csv"},
		{"filename", "a{RUN.csv"},
		{"filename", "a\nb.csv"},
		{"filename", "a.tmp"},
		{"time_format", "2006/01/02"},
		{"format", "xml"},
		{"delimiter", "x"},
		{"delimiter", ",,"},
		{"write_headers", "maybe"},
		{"compress", "maybe"},
		{"append_segment_slug", "maybe"},
		{"max_bytes", "-1"},
		{"max_bytes", "10 MB"},
		{"operation_column", "a\nb"},
	} {
		_, err := rowfile.Parse(map[string]string{tc.field: tc.value})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != tc.field || e.Code != rowfile.CodeSettings {
			t.Errorf("%s %q: got %v", tc.field, tc.value, err)
		}
	}
	s := parse(t, map[string]string{"filename": strings.Repeat("a", 300)})
	if _, err := s.Name.Of(batch([]string{"id"}), 0); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a name of 300 bytes: %v", err)
	}
}

func TestDelimiters(t *testing.T) {
	for text, want := range map[string]string{",": ",", ";": ";", ":": ":", "|": "|", "tab": "\t", "t": "\t", `\t`: "\t", "\t": "\t", "Pipe": "|", "comma": ","} {
		files, err := parse(t, map[string]string{"delimiter": text}).Files(batch([]string{"a", "b"}, []string{"1", "2"}))
		if err != nil {
			t.Fatal(err)
		}
		if got, line := string(files[0].Body), strings.Join([]string{"1", "2", "add"}, want); !strings.HasSuffix(got, "\n"+line+"\n") {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestRows(t *testing.T) {
	b := batch([]string{"id", "name", "tags"}, []string{"1", `O"Last, a`, `["x","y, z",7,true,null]`}, []string{"2", "=1+1", ""}, []string{"3", "two\nlines", "[1,[2]]"})
	hashed := matchkey.Key{Name: "email", Hash: true, Normalize: matchkey.Lower}
	for _, tc := range []struct {
		what   string
		config map[string]string
		want   string
	}{
		{"csv", nil, "id,name,tags,operation\n1,\"O\"\"Last, a\",\"x&y, z&7&true\",add\n2,=1+1,,add\n3,\"two\nlines\",\"[1,[2]]\",add\n"},
		{"semicolons, joined otherwise, no header, no operation", map[string]string{"delimiter": ";", "join": "|", "write_headers": "false", "operation_column": "-"}, "1;\"O\"\"Last, a\";x|y, z|7|true\n2;=1+1;\n3;\"two\nlines\";[1,[2]]\n"},
		{"ndjson", map[string]string{"format": "ndjson", "operation_column": "op"}, `{"id":"1","name":"O\"Last, a","tags":["x","y, z",7,true,null],"op":"add"}` + "\n" + `{"id":"2","name":"=1+1","tags":null,"op":"add"}` + "\n" + `{"id":"3","name":"two\nlines","tags":"[1,[2]]","op":"add"}` + "\n"},
	} {
		files, err := parse(t, tc.config).Files(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(files[0].Body); len(files) != 1 || got != tc.want || files[0].Rows != 3 {
			t.Errorf("%s: %d files, %d rows\n%s\nwant\n%s", tc.what, len(files), files[0].Rows, got, tc.want)
		}
	}
	one := provider.Batch{Op: activation.OpRemove, Keys: []matchkey.Key{hashed}, Values: [][]byte{bytes.Repeat([]byte{0xab}, 32)}}
	files, err := parse(t, nil).Files(one)
	if err != nil || string(files[0].Body) != "email,operation\n"+strings.Repeat("ab", 32)+",remove\n" {
		t.Errorf("hashed: %v %q", err, files[0].Body)
	}
	if _, err := parse(t, map[string]string{"operation_column": "name"}).Files(b); activation.CodeOf(err) != rowfile.CodeColumns {
		t.Errorf("a column named like the operation: %v", err)
	}
}

func TestCompressedIsTheSameEveryTime(t *testing.T) {
	b := batch([]string{"id"}, []string{"1"}, []string{"2"})
	s := parse(t, map[string]string{"compress": "true"})
	first, err := s.Files(b)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Files(b)
	if err != nil || !bytes.Equal(first[0].Body, second[0].Body) || first[0].Digest() != second[0].Digest() {
		t.Errorf("not the same: %v", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(first[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != "id,operation\n1,add\n2,add\n" || first[0].Type != "application/gzip" {
		t.Errorf("%v %q %s", err, text, first[0].Type)
	}
}

// TestEveryRowOnce reads with another reader what was written, whatever the
// values and however small the files.
func TestEveryRowOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := []string{"id", "a", "b"}
		value := rapid.OneOf(rapid.StringMatching(`[a-z ,;|:"\t\n]{0,12}`), rapid.String(), rapid.Just(""), rapid.Just(`\.`), rapid.Just("=cmd|'/C calc'!A0"))
		var rows [][]string
		for i := range rapid.IntRange(1, 40).Draw(t, "rows") {
			row := []string{fmt.Sprint(i)}
			for range 2 {
				v := matchkey.Plain(value.Draw(t, "value"), nil)
				if strings.HasPrefix(v, "[") {
					v = "" // lists are read otherwise
				}
				row = append(row, v)
			}
			rows = append(rows, row)
		}
		limit := rapid.SampledFrom([]int{0, 1, 60, 400}).Draw(t, "limit")
		ndjson := rapid.Bool().Draw(t, "ndjson")
		config := map[string]string{"max_bytes": fmt.Sprint(limit), "delimiter": rapid.SampledFrom([]string{",", ";", ":", "|", "tab"}).Draw(t, "delimiter")}
		if ndjson {
			config["format"] = "ndjson"
		}
		s, err := rowfile.Parse(config)
		if err != nil {
			t.Fatal(err)
		}
		files, err := s.Files(batch(columns, rows...))
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		names := map[string]bool{}
		for _, f := range files {
			if names[f.Name] {
				t.Fatalf("two files named %s", f.Name)
			}
			names[f.Name] = true
			if limit > 0 && len(f.Body) > limit && f.Rows > 1 {
				t.Fatalf("%d bytes and %d rows, at most %d bytes", len(f.Body), f.Rows, limit)
			}
			in := readCSV(t, f.Body, s.Delimiter)
			if ndjson {
				in = readNDJSON(t, f.Body, columns)
			}
			if len(in) != f.Rows {
				t.Fatalf("%d rows, said to be %d", len(in), f.Rows)
			}
			got = append(got, in...)
		}
		for i, row := range rows {
			want := append(slices.Clone(row), "add")
			for j := range want {
				if !ndjson { // what encoding/csv reads of a quoted line break
					want[j] = strings.ReplaceAll(want[j], "\r\n", "\n")
				}
			}
			if i >= len(got) || !slices.Equal(got[i], want) {
				t.Fatalf("row %d of %d: got %q, want %q", i, len(got), got[i], want)
			}
		}
		if len(got) != len(rows) {
			t.Fatalf("%d rows of %d", len(got), len(rows))
		}
	})
}

func readCSV(t *rapid.T, body []byte, delimiter rune) [][]string {
	if body[0] == '{' {
		return nil
	}
	r := csv.NewReader(bytes.NewReader(body))
	r.Comma = delimiter
	rows, err := r.ReadAll()
	if err != nil || !slices.Equal(rows[0], []string{"id", "a", "b", "operation"}) {
		t.Fatalf("header %q: %v", rows[0], err)
	}
	return rows[1:]
}

func readNDJSON(t *rapid.T, body []byte, columns []string) [][]string {
	var out [][]string
	for line := range strings.Lines(string(body)) {
		var object map[string]*string
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		var row []string
		for _, name := range append(slices.Clone(columns), "operation") {
			text := ""
			if object[name] != nil {
				text = *object[name]
			}
			row = append(row, text)
		}
		out = append(out, row)
	}
	return out
}

func FuzzFilename(f *testing.F) {
	for _, seed := range []string{"{AUDIENCE}_{TIMESTAMP}.csv", "a.csv.gz", "{RUN}{PART}{OP}", "..", "{{RUN}}", "x{OP", ".{AUDIENCE}"} {
		f.Add(seed, "2006-01-02", "vip")
	}
	f.Fuzz(func(t *testing.T, pattern, layout, slug string) {
		s, err := rowfile.Parse(map[string]string{"filename": pattern, "time_format": layout})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for number := range 3 {
			for i := range 2 {
				b := batch([]string{"id"})
				b.Number, b.Audience.Slug = number, slug
				name, err := s.Name.Of(b, i)
				if err != nil {
					return
				}
				if seen[name] || strings.ContainsAny(name, "/\\\x00\n") || strings.HasPrefix(name, ".") || len(name) > 255-len(".manifest.json.tmp") {
					t.Errorf("%q makes %q", pattern, name)
				}
				seen[name] = true
			}
		}
	})
}

func TestDigest(t *testing.T) {
	f := rowfile.File{Body: []byte("abc")}
	if got := f.Digest(); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Error(got)
	}
	if _, err := hex.DecodeString(f.Digest()); err != nil {
		t.Error(err)
	}
}
