package ingest

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// jsonScanner cuts a body into JSON objects. In NDJSON every line is one
// object, so a faulty line never hides the next. In an array, or when objects
// span lines, an object ends where its brackets balance; there a fault of
// syntax between objects ends the load, because nobody can tell what is next.
type jsonScanner struct {
	w         *window
	format    format
	maxRecord int
	line      int64 // of the next byte
	column    int   // of the next byte
	state     arrayState

	// The object that next found, valid until it is called again.
	text      []byte
	recLine   int64
	recColumn int

	// skip passes over what is left of an object that is too long, when the next
	// one is asked for. nil = nothing is left.
	skip func() error
}

// arrayState is what may come next in a JSON array.
type arrayState int

const (
	beforeArray arrayState = iota
	firstElement
	nextElement
	afterArray
)

func newJSONScanner(w *window, f format, maxRecord int) *jsonScanner {
	return &jsonScanner{w: w, format: f, maxRecord: maxRecord, line: 1, column: 1}
}

// next finds one object. ok is false at the end. An object that is wrong comes
// back as bad, and the scanner is past it.
func (s *jsonScanner) next() (ok bool, bad *RowError, err error) {
	if skip := s.skip; skip != nil {
		s.skip = nil
		if err := skip(); err != nil {
			return false, nil, err
		}
	}
	if s.format == formatNDJSON {
		return s.nextLine()
	}
	if s.format == formatArray {
		more, err := s.element()
		if !more || err != nil {
			return false, nil, err
		}
	}
	return s.object()
}

func (s *jsonScanner) nextLine() (ok bool, bad *RowError, err error) {
	for {
		text, n, long, err := s.w.line(s.maxRecord)
		if err != nil || n == 0 {
			return false, nil, err
		}
		s.recLine, s.recColumn = s.line, 1
		s.line++
		if long {
			s.text = text
			s.skip = s.w.skipLine
			return true, s.tooLong(), nil
		}
		s.w.consume(n)
		if len(bytes.TrimSpace(text)) > 0 {
			s.text = text
			return true, checkJSONText(s), nil
		}
	}
}

// element moves to the next element of the array. more is false after its end.
func (s *jsonScanner) element() (more bool, err error) {
	for {
		c, err := s.token()
		if err != nil {
			return false, err
		}
		switch {
		case s.state == beforeArray && c == '[':
			s.state = firstElement
		case s.state == afterArray && c == 0:
			return false, nil
		case s.state == afterArray:
			return false, s.here("something follows the array")
		case c == 0:
			return false, s.here("the body ends before the array does")
		case c == ']':
			s.state = afterArray
		case s.state == nextElement && c == ',':
			s.advance(1)
			if _, err := s.token(); err != nil {
				return false, err
			}
			return true, nil
		case s.state == firstElement:
			s.state = nextElement
			return true, nil
		default:
			return false, s.here("expected a comma or the end of the array")
		}
		s.advance(1)
	}
}

// object reads the object that begins here, by its balance of brackets.
func (s *jsonScanner) object() (ok bool, bad *RowError, err error) {
	c, err := s.token()
	switch {
	case err != nil:
		return false, nil, err
	case c == 0 && s.format != formatArray:
		return false, nil, nil
	case c != '{':
		return false, nil, s.here("expected an object")
	}
	s.recLine, s.recColumn = s.line, s.column
	var bal balance
	n := 0
	for {
		b := s.w.bytes()
		fed, done := bal.feed(b[n:])
		n += fed
		if done {
			s.text = b[:n]
			s.advance(n)
			if n > s.maxRecord {
				return true, s.tooLong(), nil
			}
			return true, checkJSONText(s), nil
		}
		if n > s.maxRecord {
			s.text = b[:n]
			s.skip = func() error { return s.skipObject(n, &bal) }
			return true, s.tooLong(), nil
		}
		if !s.w.fill() {
			if err := s.w.failure(); err != nil {
				return false, nil, err
			}
			return false, nil, s.here("the body ends before the object that begins here does")
		}
	}
}

// skipObject passes over the rest of an object that is longer than allowed, of
// which n bytes were read.
func (s *jsonScanner) skipObject(n int, bal *balance) error {
	cut := s.here("the body ends before the object that begins here does")
	s.advance(n)
	for s.w.fill() {
		n, done := bal.feed(s.w.bytes())
		s.advance(n)
		if done {
			return nil
		}
	}
	if err := s.w.failure(); err != nil {
		return err
	}
	return cut
}

// token passes over white space and returns the byte after it, 0 at the end.
func (s *jsonScanner) token() (byte, error) {
	for {
		b := s.w.bytes()
		rest := bytes.TrimLeft(b, " \t\r\n")
		s.advance(len(b) - len(rest))
		if len(rest) > 0 {
			return rest[0], nil
		}
		if !s.w.fill() {
			return 0, s.w.failure()
		}
	}
}

// advance consumes n bytes and keeps count of line and column.
func (s *jsonScanner) advance(n int) {
	text := s.w.bytes()[:n]
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		s.line += int64(bytes.Count(text, []byte("\n")))
		s.column = 1
		text = text[i+1:]
	}
	s.column += utf8.RuneCount(text)
	s.w.consume(n)
}

// here is a fault that ends the load.
func (s *jsonScanner) here(reason string) *RowError {
	return &RowError{Line: s.line, Column: s.column, Code: codeBadJSON, Reason: reason}
}

func (s *jsonScanner) tooLong() *RowError {
	return &RowError{Line: s.recLine, Code: codeBad, Reason: fmt.Sprintf("the object is longer than the limit of %d bytes", s.maxRecord)}
}

// rowError gives a fault within the present object its place in the body.
func (s *jsonScanner) rowError(f *fault) *RowError {
	line, column := position(s.text, f.at, s.recLine)
	if line == s.recLine {
		column += s.recColumn - 1
	}
	return &RowError{Line: line, Column: column, Field: f.field, Code: codeBadJSON, Reason: f.reason}
}

func checkJSONText(s *jsonScanner) *RowError {
	if at, reason := notText(s.text); reason != "" {
		return s.rowError(&fault{at: at, reason: reason})
	}
	return nil
}

// balance counts the brackets of a JSON text that comes in pieces.
type balance struct {
	depth    int
	inString bool
	escaped  bool
}

// feed reads on and returns how many bytes it took, and whether the brackets
// came out even with the last of them.
func (b *balance) feed(text []byte) (n int, done bool) {
	for i, c := range text {
		if b.inString {
			switch {
			case b.escaped:
				b.escaped = false
			case c == '\\':
				b.escaped = true
			case c == '"':
				b.inString = false
			}
			continue
		}
		switch c {
		case '"':
			b.inString = true
		case '{', '[':
			b.depth++
		case '}', ']':
			b.depth--
			if b.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(text), false
}
