package sheet_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"usher/internal/publishing/sheet"
)

// read reads a file whole: its rows, and what it says is wrong.
func read(r io.Reader) (header []string, format string, rows [][]string, wrong []string) {
	s, err := sheet.NewReader(r)
	if err != nil {
		return nil, "", nil, []string{err.Error()}
	}
	for range 100_000 {
		row, err := s.Next()
		var e *sheet.Error
		switch {
		case errors.Is(err, io.EOF):
			return s.Header(), s.Format(), rows, wrong
		case errors.As(err, &e) && !e.End:
			wrong = append(wrong, err.Error())
		case err != nil:
			return s.Header(), s.Format(), rows, append(wrong, err.Error())
		default:
			rows = append(rows, append([]string{fmt.Sprint(row.Number)}, row.Cells...))
		}
	}
	panic("it never ends")
}

func little(s string) string { return wide16(s, false) }
func big(s string) string    { return wide16(s, true) }

func wide16(s string, bigFirst bool) string {
	out := []byte{0xff, 0xfe}
	if bigFirst {
		out = []byte{0xfe, 0xff}
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if bigFirst {
			out = binary.BigEndian.AppendUint16(out, u)
		} else {
			out = binary.LittleEndian.AppendUint16(out, u)
		}
	}
	return string(out)
}

func packed(s string) string {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return z.String()
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", sheet.MaxCellBytes)
	for _, tc := range []struct {
		what, in, format string
		header           string // with | between
		rows             []string
		wrong            []string
	}{
		{"commas", "a,b\n1,2\n3,4\n", "CSV, UTF-8", "a|b", []string{"2|1|2", "3|3|4"}, nil},
		{"semicolons, and commas within", "a;b\n1,5;2\n", "CSV with semicolons, UTF-8", "a|b", []string{"2|1,5|2"}, nil},
		{"tabs", "a\tb, c\n1\t2\n", "TSV, UTF-8", "a|b, c", []string{"2|1|2"}, nil},
		{"a delimiter within quotes does not count", "\"a;b;c;d\",e\n1,2\n", "CSV, UTF-8", "a;b;c;d|e", []string{"2|1|2"}, nil},
		{"the line that says the delimiter", "sep=;\na,x,y;b\n1;2\n", "CSV with semicolons, UTF-8", "a,x,y|b", []string{"2|1|2"}, nil},
		{"one column", "a\n1\n\n2", "CSV, UTF-8", "a", []string{"2|1", "4|2"}, nil},
		{"with a mark", "\xef\xbb\xbfa,b\n1,2\n", "CSV, UTF-8", "a|b", []string{"2|1|2"}, nil},
		{"little-endian", little("a\tb\né\t𝄞\n"), "TSV, UTF-16 (little-endian)", "a|b", []string{"2|é|𝄞"}, nil},
		{"big-endian", big("a,b\r\né,𝄞"), "CSV, UTF-16 (big-endian)", "a|b", []string{"2|é|𝄞"}, nil},
		{"packed", packed("a,b\n1,2\n"), "CSV, UTF-8", "a|b", []string{"2|1|2"}, nil},
		{"lines end in any way", "a,b\r\n1,2\r3,4\n", "CSV, UTF-8", "a|b", []string{"2|1|2", "3|3|4"}, nil},
		{"quotes", "a,b\n\"1,\n2\", \"say \"\"hi\"\"\" \n", "CSV, UTF-8", "a|b", []string{"2|1,\n2|say \"hi\""}, nil},
		{"a quote in the middle is one", "a,b\n15\" screen,2\n", "CSV, UTF-8", "a|b", []string{"2|15\" screen|2"}, nil},
		{"space around", " a , b \n 1 , 2 \n", "CSV, UTF-8", "a|b", []string{"2|1|2"}, nil},
		{"blank rows are passed over and counted", "\n,\na,b\n,\n1,2\n\n", "CSV, UTF-8", "a|b", []string{"5|1|2"}, nil},
		{"empty columns at the end", "a,b,,\n1,2,,\n3,4,,,\n", "CSV, UTF-8", "a|b", []string{"2|1|2", "3|3|4"}, nil},
		{"a header only", "a,b\n", "CSV, UTF-8", "a|b", nil, nil},
		{"a header with line ends in it", "\"a\nx\",b\n1,2\n", "CSV, UTF-8", "a\nx|b", []string{"2|1|2"}, nil},
		{"as long as a cell may be", "a\n" + long + "\n", "CSV, UTF-8", "a", []string{"2|" + long}, nil},

		{"too few and too many cells", "a,b\n1\n1,2,3\n4,5\n", "CSV, UTF-8", "a|b", []string{"4|4|5"}, []string{
			"row 2: the row has 1 cells and the header 2: each row has a cell for each column, and a cell with a delimiter in it stands in quotes",
			"row 3: the row has 3 cells and the header 2: each row has a cell for each column, and a cell with a delimiter in it stands in quotes",
		}},
		{"text behind a quote", "a,b\n\"1\"x,2\n3,4\n", "CSV, UTF-8", "a|b", []string{"3|3|4"}, []string{`row 2: column "a": there is text behind the closing quote: a quote within a cell is written twice`}},
		{"a quote that is never closed", "a,b\n1,2\n\"3,4\n5,6\n", "CSV, UTF-8", "a|b", []string{"2|1|2"}, []string{`row 3: column "a": a quote is opened and never closed: a quote within a cell is written twice`}},
		{"a quote that is closed too late", "a,b\n\"" + long + "1", "CSV, UTF-8", "a|b", nil, []string{`row 2: column "a": the cell is longer than 65536 bytes, or its quote is never closed`}},
		{"a cell too long", "a,b\n1," + long + "1\n3,4\n", "CSV, UTF-8", "a|b", []string{"3|3|4"}, []string{`row 2: column "b": the cell is longer than 65536 bytes`}},
		{"no UTF-8", "a,b\n1,caf\xe9\n3,4\n", "CSV, UTF-8", "a|b", []string{"3|3|4"}, []string{`row 2: column "b": the cell is not UTF-8: save the file as CSV UTF-8 or as Unicode text`}},
		{"a zero byte", "a,b,c\n1,2\x00,3\n", "CSV, UTF-8", "a|b|c", nil, []string{`row 2: column "b": the cell has a zero byte in it: save the file as CSV UTF-8 or as Unicode text`}},
		{"half a character", little("a\n1\n") + "\x00\xd8a\x00", "CSV, UTF-16 (little-endian)", "a", []string{"2|1"}, []string{"row 3: the file is not UTF-16 here: half a character"}},
		{"half a unit", little("a\n1\n") + "x", "CSV, UTF-16 (little-endian)", "a", []string{"2|1"}, []string{"row 3: the file ends within a character"}},
		{"UTF-16 without a mark", "a\x00,\x00", "", "", nil, []string{"the file is no text in UTF-8, nor UTF-16 with its mark: save it as CSV UTF-8 or as Unicode text"}},
		{"a workbook", "PK\x03\x04rest", "", "", nil, []string{"this is a workbook, or another archive: save the sheet as CSV or as Unicode text"}},
		{"empty", "", "", "", nil, []string{"the file is empty"}},
		{"only a mark", "\xef\xbb\xbf", "", "", nil, []string{"the file has no header: its first row names the columns"}},
		{"only blank rows", "\n\n ,,\n", "", "", nil, []string{"the file has no header: its first row names the columns"}},
		{"too many columns", strings.Repeat("a,", sheet.MaxColumns) + "b\n", "", "", nil, []string{"row 1: the header has 201 columns; a file may have 200"}},
		{"cut while packed", packed("a,b\n1,2\n")[:20], "CSV, UTF-8", "a|b", []string{"2|1|2"}, []string{"the file is cut, or packed wrongly"}},
		{"no UTF-8 in the header", "a,caf\xe9\n1,2\n", "", "", nil, []string{`row 1: column "#2": the cell is not UTF-8: save the file as CSV UTF-8 or as Unicode text`}},
	} {
		header, format, rows, wrong := read(iotest.HalfReader(strings.NewReader(tc.in)))
		var got []string
		for _, r := range rows {
			got = append(got, strings.Join(r, "|"))
		}
		if strings.Join(header, "|") != tc.header || format != tc.format || !slices.Equal(got, tc.rows) || !slices.Equal(wrong, tc.wrong) {
			t.Errorf("%s: %q %s\n %.200q\n %q", tc.what, header, format, got, wrong)
		}
	}
}

// TestLostConnection: a body that breaks off is no end of the file, and no fault of it.
func TestLostConnection(t *testing.T) {
	lost := errors.New("the line is cut")
	for _, head := range []string{"", "a,b", "a,b\n1", "a,b\n\"1,2\n"} {
		s, err := sheet.NewReader(io.MultiReader(strings.NewReader(head), iotest.ErrReader(lost)))
		for err == nil {
			_, err = s.Next()
		}
		if !errors.Is(err, lost) {
			t.Errorf("%q: %v", head, err)
		}
	}
}

type endless struct{ row string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.row) <= len(p) {
		n += copy(p[n:], e.row)
	}
	return n, nil
}

// TestBounds: a file without end is refused at the row that is too many, or where a
// row is too long.
func TestBounds(t *testing.T) {
	for what, tc := range map[string]struct{ head, row, want string }{
		"rows":  {"a\n", "1\n", fmt.Sprintf("row %d: a file may have %d rows: cut it into several", sheet.MaxRows+2, sheet.MaxRows)},
		"cells": {"a,b\n", "1,", "row 2: the row has more than 2000 cells"},
		"row":   {"a,b\n", strings.Repeat("x", 60_000) + ",", fmt.Sprintf("row 2: the row is longer than %d bytes", sheet.MaxRowBytes)},
		"head":  {"", "aaaa", fmt.Sprintf("row 1: the header is longer than %d bytes: the first row names the columns", sheet.MaxRowBytes)},
	} {
		s, err := sheet.NewReader(io.MultiReader(strings.NewReader(tc.head), endless{tc.row}))
		for err == nil {
			_, err = s.Next()
		}
		if err.Error() != tc.want {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWhatIsWrittenIsRead: what a CSV writer makes of cells is read as those cells, in
// every encoding and with every delimiter.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 5).Draw(t, "columns")
		cell := rapid.Map(rapid.StringOfN(rapid.RuneFrom([]rune("ab,;\t\"\n é𝄞")), 0, 8, -1), strings.TrimSpace)
		delimiter := rapid.SampledFrom([]rune{',', ';', '\t'}).Draw(t, "delimiter")
		if columns == 1 {
			delimiter = ',' // what a reader takes for it where the header has none
		}
		header := make([]string, columns)
		for i := range header {
			header[i] = fmt.Sprintf("column %d", i)
		}
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, columns, columns), 0, 10).Draw(t, "rows")
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		w.Comma = delimiter
		_ = w.Write(header)
		_ = w.WriteAll(rows)
		in := text.String()
		switch rapid.IntRange(0, 4).Draw(t, "encoding") {
		case 1:
			in = "\xef\xbb\xbf" + in
		case 2:
			in = little(in)
		case 3:
			in = big(in)
		case 4:
			in = packed(in)
		}
		_, _, got, wrong := read(strings.NewReader(in))
		var want [][]string
		for i, r := range rows {
			if strings.Join(r, "") != "" {
				want = append(want, append([]string{fmt.Sprint(i + 2)}, r...))
			}
		}
		if len(wrong) != 0 || !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q: %q, want %q, %q", in, got, want, wrong)
		}
	})
}

// FuzzReader: whatever a file is, reading it ends, every row has a cell for each
// column, and all of it is text.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a;b\n\"1;\n2\";3", little("a\tb\n1\t2\n"), big("a"), packed("a\n1\n"), "sep=;\na;b\n", "\"a", "a\n\"1\"x", "a,b\r\r\n\x00", "\xff\xfe\x00\xd8"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := sheet.NewReader(bytes.NewReader(in))
		if err != nil {
			return
		}
		last := 1
		for range len(in)*1100 + 10 { // packed, a byte may stand for many
			row, err := s.Next()
			var e *sheet.Error
			if errors.As(err, &e) && !e.End {
				if e.Row < last {
					t.Fatalf("row %d behind %d", e.Row, last)
				}
				last = e.Row
				continue
			}
			if err != nil {
				if _, again := s.Next(); again == nil {
					t.Fatal("it goes on behind its end")
				}
				return
			}
			if row.Number <= last || len(row.Cells) != len(s.Header()) {
				t.Fatalf("%+v behind row %d, of %q", row, last, s.Header())
			}
			last = row.Number
			for _, c := range row.Cells {
				if !utf8.ValidString(c) || len(c) > sheet.MaxCellBytes {
					t.Fatalf("a cell is no text: %.40q", c)
				}
			}
		}
		t.Fatal("it never ends")
	})
}
