// Package sheet reads the rows of a file that people made with a spreadsheet: CSV,
// with commas or semicolons, and TSV, in UTF-8 or UTF-16.
//
// It owns encoding, delimiter, quotes and the bounds of a file. It must not know what
// a column means. It is built for files that are not what they should be: whatever is
// wrong is told with row and column, what can be read behind it is read, nothing is
// guessed, and no file makes it hold more than one row.
package sheet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// MaxRows is how many rows a file may have below its header.
	MaxRows = 1_000_000
	// MaxColumns is how many columns a file may have.
	MaxColumns = 200
	// MaxCellBytes is how long one cell may be, as UTF-8.
	MaxCellBytes = 64 << 10
	// MaxRowBytes is how long one row may be, as UTF-8.
	MaxRowBytes = 1 << 20
	// MaxBytes is how long a file may be, unpacked and as UTF-8.
	MaxBytes = 1 << 30
)

// Error is what is wrong with a file or with one of its rows.
type Error struct {
	// Row counts as spreadsheets do: the header is row 1. 0 = the whole file.
	Row int
	// Column is the header of the cell at fault, "" = the row.
	Column string
	// Message says what would be right. It holds no value of a cell.
	Message string
	// End: nothing behind it can be read.
	End bool
}

// Error returns the message with its place.
func (e *Error) Error() string {
	s := e.Message
	if e.Column != "" {
		s = fmt.Sprintf("column %q: %s", e.Column, s)
	}
	if e.Row > 0 {
		s = fmt.Sprintf("row %d: %s", e.Row, s)
	}
	return s
}

// Row is one row below the header.
type Row struct {
	// Number counts as spreadsheets do: the first row below the header is 2.
	Number int
	// Cells has one text for each column of the header, without space around it.
	Cells []string
}

// Reader reads one file. It is used by one goroutine.
type Reader struct {
	in        *bufio.Reader
	header    []string
	delimiter byte
	encoding  string
	row       int // the number of the row that was read last
	read      int64
	ended     error

	cell  []byte
	cells []string
}

// NewReader reads the header of a file. A file that begins like gzip is unpacked.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, unreadable(err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	s := &Reader{in: in}
	if err := s.decode(); err != nil {
		return nil, err
	}
	if err := s.readHeader(); err != nil {
		return nil, err
	}
	return s, nil
}

// decode finds the encoding by the file's mark and makes all that follows UTF-8.
func (s *Reader) decode() error {
	head, err := s.in.Peek(4)
	if len(head) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			return unreadable(err)
		}
		return &Error{Message: "the file is empty", End: true}
	}
	s.encoding = "UTF-8"
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = s.in.Discard(3)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		s.utf16("UTF-16 (little-endian)", false)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		s.utf16("UTF-16 (big-endian)", true)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return &Error{Message: "this is a workbook, or another archive: save the sheet as CSV or as Unicode text", End: true}
	case bytes.IndexByte(head, 0) >= 0:
		return &Error{Message: "the file is no text in UTF-8, nor UTF-16 with its mark: save it as CSV UTF-8 or as Unicode text", End: true}
	}
	return nil
}

func (s *Reader) utf16(name string, big bool) {
	_, _ = s.in.Discard(2)
	s.encoding = name
	s.in = bufio.NewReaderSize(&utf16Reader{in: s.in, big: big}, 64<<10)
}

// readHeader reads the first row that is not blank, and finds the delimiter by it.
func (s *Reader) readHeader() error {
	for {
		line, err := s.headerText()
		if err != nil {
			return err
		}
		if d, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "sep="); ok && len(d) == 1 && strings.Contains(",;\t", d) {
			s.delimiter = d[0] // a line that spreadsheets put in front
			s.row--
			continue
		}
		if s.delimiter == 0 {
			s.delimiter = delimiterOf(line)
		}
		body := *s
		body.in, body.row = bufio.NewReaderSize(strings.NewReader(line), len(line)+16), s.row-1
		cells, err := body.next()
		if err != nil {
			return fatal(err)
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) == 0 {
			continue
		}
		if len(cells) > MaxColumns {
			return &Error{Row: s.row, Message: fmt.Sprintf("the header has %d columns; a file may have %d", len(cells), MaxColumns), End: true}
		}
		s.header = append([]string(nil), cells...)
		return nil
	}
}

// headerText reads one record as it stands: up to a line's end that is in no quotes.
func (s *Reader) headerText() (string, error) {
	s.row++
	var text []byte
	quoted := false
	for {
		b, err := s.in.ReadByte()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return "", fatal(s.broken(err))
			}
			if len(text) == 0 {
				return "", &Error{Message: "the file has no header: its first row names the columns", End: true}
			}
			return string(text), nil
		}
		if text = append(text, b); len(text) > MaxRowBytes {
			return "", &Error{Row: s.row, Message: fmt.Sprintf("the header is longer than %d bytes: the first row names the columns", MaxRowBytes), End: true}
		}
		switch {
		case b == '"':
			quoted = !quoted
		case b == '\n' && !quoted:
			return string(text), nil
		case b == '\r' && !quoted:
			if next, _ := s.in.Peek(1); len(next) == 1 && next[0] == '\n' {
				_, _ = s.in.Discard(1)
			}
			return string(append(text, '\n')), nil
		}
	}
}

// delimiterOf is what stands between the cells of a header: of tab, semicolon and
// comma, in this order, the one that is in it most often outside quotes.
func delimiterOf(header string) byte {
	count := map[byte]int{}
	quoted := false
	for i := range len(header) {
		if header[i] == '"' {
			quoted = !quoted
		} else if !quoted {
			count[header[i]]++
		}
	}
	best := byte(',')
	for _, d := range []byte{';', '\t'} {
		if count[d] > 0 && count[d] >= count[best] {
			best = d
		}
	}
	return best
}

// Header returns the names of the columns.
func (s *Reader) Header() []string { return s.header }

// Format says what the file is: "CSV, UTF-8".
func (s *Reader) Format() string {
	switch s.delimiter {
	case '\t':
		return "TSV, " + s.encoding
	case ';':
		return "CSV with semicolons, " + s.encoding
	}
	return "CSV, " + s.encoding
}

// Next returns the next row that is not blank; its cells are valid until the call
// after. What is wrong is an *Error: unless it says End, the next call goes on behind
// that row. io.EOF is the end.
func (s *Reader) Next() (Row, error) {
	for s.ended == nil {
		cells, err := s.next()
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.End {
				s.ended = err
			}
			return Row{}, err
		}
		if s.row > MaxRows+1 {
			s.ended = &Error{Row: s.row, Message: fmt.Sprintf("a file may have %d rows: cut it into several", MaxRows), End: true}
			return Row{}, s.ended
		}
		if blank(cells) {
			continue
		}
		if len(cells) < len(s.header) || !blank(cells[len(s.header):]) {
			return Row{}, &Error{Row: s.row, Message: fmt.Sprintf("the row has %d cells and the header %d: each row has a cell for each column, and a cell with a delimiter in it stands in quotes", len(cells), len(s.header))}
		}
		return Row{Number: s.row, Cells: cells[:len(s.header)]}, nil
	}
	return Row{}, s.ended
}

func blank(cells []string) bool {
	for _, c := range cells {
		if c != "" {
			return false
		}
	}
	return true
}

// next reads the cells of one record. Its errors are told when the record was read to
// its end, where that can be found.
func (s *Reader) next() ([]string, error) {
	if _, err := s.in.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	s.row++
	s.cells = s.cells[:0]
	var wrong error
	length := 0
	for {
		last, err := s.readCell()
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.End {
				return nil, err
			}
			if wrong == nil {
				wrong = err
			}
		}
		length += len(s.cell)
		if length > MaxRowBytes {
			return nil, &Error{Row: s.row, Message: fmt.Sprintf("the row is longer than %d bytes", MaxRowBytes), End: true}
		}
		if len(s.cells) > 10*MaxColumns {
			return nil, &Error{Row: s.row, Message: fmt.Sprintf("the row has more than %d cells", 10*MaxColumns), End: true}
		}
		if !utf8.Valid(s.cell) && wrong == nil {
			wrong = s.at("the cell is not UTF-8: save the file as CSV UTF-8 or as Unicode text")
		}
		if bytes.IndexByte(s.cell, 0) >= 0 && wrong == nil {
			wrong = s.at("the cell has a zero byte in it: save the file as CSV UTF-8 or as Unicode text")
		}
		s.cells = append(s.cells, string(bytes.TrimSpace(s.cell)))
		if last {
			return s.cells, wrong
		}
	}
}

// readCell reads one cell into s.cell; last is true at the end of the record.
func (s *Reader) readCell() (last bool, err error) {
	s.cell = s.cell[:0]
	quoted, closed := false, false
	begin := true
	for {
		b, e := s.readByte()
		switch {
		case errors.Is(e, io.EOF) && quoted:
			return true, &Error{Row: s.row, Column: s.column(), Message: "a quote is opened and never closed: a quote within a cell is written twice", End: true}
		case errors.Is(e, io.EOF):
			return true, err
		case e != nil:
			return true, e
		case quoted && b == '"':
			if next, _ := s.in.Peek(1); len(next) == 1 && next[0] == '"' {
				_, _ = s.in.Discard(1)
				break // one of them is kept, below
			}
			quoted, closed = false, true
			continue
		case quoted:
		case b == s.delimiter:
			return false, err
		case b == '\n':
			return true, err
		case b == '\r':
			if next, _ := s.in.Peek(1); len(next) == 1 && next[0] == '\n' {
				_, _ = s.in.Discard(1)
			}
			return true, err
		case b == '"' && begin:
			quoted, begin = true, false
			s.cell = s.cell[:0]
			continue
		case closed && b != ' ':
			if err == nil {
				err = s.at("there is text behind the closing quote: a quote within a cell is written twice")
			}
		}
		begin = begin && b == ' '
		if len(s.cell) < MaxCellBytes {
			s.cell = append(s.cell, b)
			continue
		}
		if quoted {
			return true, &Error{Row: s.row, Column: s.column(), Message: fmt.Sprintf("the cell is longer than %d bytes, or its quote is never closed", MaxCellBytes), End: true}
		}
		if err == nil {
			err = s.at(fmt.Sprintf("the cell is longer than %d bytes", MaxCellBytes))
		}
	}
}

func (s *Reader) readByte() (byte, error) {
	b, err := s.in.ReadByte()
	if err != nil {
		return 0, s.broken(err)
	}
	if s.read++; s.read > MaxBytes {
		return 0, &Error{Row: s.row, Message: fmt.Sprintf("the file is longer than %d bytes", int64(MaxBytes)), End: true}
	}
	return b, nil
}

// broken is what a reader below has said: its end, its own account of what is wrong,
// or that the file was cut.
func (s *Reader) broken(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Row = s.row
		return e
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return unreadable(err)
}

// unreadable is for a body that breaks off. The cause stays in the chain: a lost
// connection is no fault of the file.
func unreadable(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Message: "the file is cut, or packed wrongly", End: true}
	}
	return fmt.Errorf("read the file: %w", err)
}

// at is what is wrong with the cell in hand.
func (s *Reader) at(message string) *Error {
	return &Error{Row: s.row, Column: s.column(), Message: message}
}

// column is the header of the cell in hand, or its number.
func (s *Reader) column() string {
	i := len(s.cells)
	if i < len(s.header) && s.header[i] != "" {
		return s.header[i]
	}
	return fmt.Sprintf("#%d", i+1)
}

// fatal makes what is wrong with a header the end.
func fatal(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.End = true
	}
	if errors.Is(err, io.EOF) {
		return &Error{Message: "the file has no header: its first row names the columns", End: true}
	}
	return err
}
