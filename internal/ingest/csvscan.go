package ingest

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// csvScanner cuts a body into CSV records. A record ends at the first line feed
// before which the quotes are even; in valid CSV that is exactly its end.
//
// After a faulty record it goes on with the line after the fault, so that the
// rest of a torn multi-line field is not taken for rows.
type csvScanner struct {
	w         *window
	delim     byte
	maxRecord int
	line      int64 // number of the line that comes next
	rec       csvRecord
	// skip passes over what is left of a faulty record, which may be long or
	// never end: only when the next one is asked for. nil = nothing is left.
	skip func() error
}

// csvRecord is one record, valid until the next call of next.
type csvRecord struct {
	line   int64
	text   []byte // as sent, without the line end
	quoted bool   // there is a quote in it
	fields []csvField
}

// csvField is a value within the record's text, without its quotes.
type csvField struct {
	start, end int
	quoted     bool
}

func newCSVScanner(w *window, delim byte, maxRecord int) *csvScanner {
	return &csvScanner{w: w, delim: delim, maxRecord: maxRecord, line: 1}
}

// next reads one record, passing over blank lines. ok is false at the end. A
// record that is wrong comes back as bad, and the scanner is past it.
func (s *csvScanner) next() (ok bool, bad *RowError, err error) {
	if skip := s.skip; skip != nil {
		s.skip = nil
		if err := skip(); err != nil {
			return false, nil, err
		}
	}
	for {
		text, n, long, err := s.w.line(s.maxRecord)
		if err != nil || n == 0 {
			return false, nil, err
		}
		if bytes.IndexByte(text, '"') >= 0 {
			return s.quotedRecord()
		}
		if long {
			bad := s.tooLong()
			s.rec.text = text
			s.line++
			s.skip = s.w.skipLine
			return true, bad, nil
		}
		text = trimCR(text)
		line := s.line
		s.w.consume(n)
		s.line++
		if len(text) == 0 {
			continue
		}
		s.rec = csvRecord{line: line, text: text, fields: s.rec.fields[:0]}
		return true, checkText(text, line), nil
	}
}

// quotedRecord reads a record whose first line has a quote in it.
func (s *csvScanner) quotedRecord() (ok bool, bad *RowError, err error) {
	n, whole, err := s.extent()
	if err != nil {
		return false, nil, err
	}
	raw := s.w.bytes()[:n]
	s.rec = csvRecord{line: s.line, text: trimCR(bytes.TrimSuffix(raw, []byte("\n"))), quoted: true, fields: s.rec.fields[:0]}
	fields, at, reason := splitQuoted(s.rec.text, s.delim, s.rec.fields)
	s.rec.fields = fields
	switch {
	case reason != "":
		bad := s.faultAt(at, reason)
		s.resumeAfter(at)
		return true, bad, nil
	case !whole:
		return true, s.tooLongQuoted(at), nil
	case at >= 0:
		return false, nil, s.neverClosed(at)
	}
	s.line += int64(bytes.Count(raw, []byte("\n")))
	s.w.consume(n)
	if len(s.rec.text) > s.maxRecord {
		return true, s.tooLongAt(s.rec.line), nil
	}
	return true, checkText(s.rec.text, s.rec.line), nil
}

// extent returns the length of the record that begins here, its line feed
// included. whole is false when the record is longer than allowed.
func (s *csvScanner) extent() (n int, whole bool, err error) {
	odd := false
	for {
		b := s.w.bytes()
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			if len(b) > s.maxRecord+1 {
				return len(b), false, nil
			}
			if s.w.fill() {
				continue
			}
			return len(b), true, s.w.failure()
		}
		odd = odd != (bytes.Count(b[n:n+i], quote)%2 == 1)
		n += i + 1
		if !odd {
			return n, true, nil
		}
	}
}

var quote = []byte{'"'}

// tooLongQuoted is the fault of a record that has quotes in it and exceeds the
// limit. at is where the last open quote is, if any.
func (s *csvScanner) tooLongQuoted(at int) *RowError {
	bad := s.tooLong()
	if at >= 0 {
		bad = s.faultAt(at, bad.Reason+", counted through the quoted value that opens here")
	}
	never := s.neverClosed(max(at, 0))
	s.skip = func() error {
		closed, err := s.skipRecord()
		if err == nil && !closed {
			err = never
		}
		return err
	}
	return bad
}

// neverClosed ends every load, even one that drops faulty rows: there is no
// telling where the rows go on.
func (s *csvScanner) neverClosed(at int) *RowError {
	return s.faultAt(at, "the quote that opens here is never closed")
}

// faultAt is a fault at an offset of the record that begins in the present line.
func (s *csvScanner) faultAt(at int, reason string) *RowError {
	line, column := position(s.rec.text, at, s.line)
	return &RowError{Line: line, Column: column, Code: codeBad, Reason: reason}
}

// skipRecord passes over a record of any length. closed is false when the body
// ends inside a quoted value.
func (s *csvScanner) skipRecord() (closed bool, err error) {
	odd := false
	for {
		part := s.w.bytes()
		i := bytes.IndexByte(part, '\n')
		if i >= 0 {
			part = part[:i+1]
			s.line++
		}
		odd = odd != (bytes.Count(part, quote)%2 == 1)
		s.w.consume(len(part))
		if i >= 0 && !odd {
			return true, nil
		}
		if i < 0 && !s.w.fill() {
			return !odd, s.w.failure()
		}
	}
}

// resumeAfter goes on with the line after the one that holds offset at of the
// record.
func (s *csvScanner) resumeAfter(at int) {
	s.line += int64(bytes.Count(s.rec.text[:at], []byte("\n"))) + 1
	s.w.consume(at)
	s.skip = s.w.skipLine
}

func (s *csvScanner) tooLong() *RowError { return s.tooLongAt(s.line) }

func (s *csvScanner) tooLongAt(line int64) *RowError {
	return &RowError{Line: line, Code: codeBad, Reason: fmt.Sprintf("the row is longer than the limit of %d bytes", s.maxRecord)}
}

// split fills the fields of a record without quotes.
func (r *csvRecord) split(delim byte) {
	r.fields = r.fields[:0]
	start := 0
	for {
		i := bytes.IndexByte(r.text[start:], delim)
		if i < 0 {
			r.fields = append(r.fields, csvField{start: start, end: len(r.text)})
			return
		}
		r.fields = append(r.fields, csvField{start: start, end: start + i})
		start += i + 1
	}
}

// raw returns the field as sent, doubled quotes still doubled.
func (r *csvRecord) raw(i int) []byte { return r.text[r.fields[i].start:r.fields[i].end] }

// value returns the field's meaning.
func (r *csvRecord) value(i int) []byte {
	v := r.raw(i)
	if r.fields[i].quoted && bytes.IndexByte(v, '"') >= 0 {
		return bytes.ReplaceAll(v, []byte(`""`), quote)
	}
	return v
}

// splitQuoted cuts a record that has quotes in it. With a reason, the fault is
// at offset at. Without one, at is -1, or the place of a quote left open.
func splitQuoted(text []byte, delim byte, fields []csvField) (out []csvField, at int, reason string) {
	for i := 0; ; i++ {
		if i < len(text) && text[i] == '"' {
			end := closingQuote(text, i+1)
			if end < 0 {
				return fields, i, ""
			}
			fields = append(fields, csvField{start: i + 1, end: end, quoted: true})
			i = end + 1
			if i < len(text) && text[i] != delim {
				return fields, i, "text after a closing quote; quotes inside a quoted value are doubled"
			}
		} else {
			start := i
			for i < len(text) && text[i] != delim && text[i] != '"' {
				i++
			}
			if i < len(text) && text[i] != delim {
				return fields, i, "a quote inside a value that does not begin with one"
			}
			fields = append(fields, csvField{start: start, end: i})
		}
		if i >= len(text) {
			return fields, -1, ""
		}
	}
}

// closingQuote returns where the quoted value that begins at i ends, or -1.
func closingQuote(text []byte, i int) int {
	for {
		q := bytes.IndexByte(text[i:], '"')
		if q < 0 {
			return -1
		}
		i += q
		if i+1 >= len(text) || text[i+1] != '"' {
			return i
		}
		i += 2
	}
}

// checkText refuses what is not text in UTF-8.
func checkText(text []byte, first int64) *RowError {
	at, reason := notText(text)
	if reason == "" {
		return nil
	}
	line, column := position(text, at, first)
	return &RowError{Line: line, Column: column, Code: codeBad, Reason: reason}
}

func notText(text []byte) (at int, reason string) {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return i, "a NUL byte is not text"
	}
	if utf8.Valid(text) {
		return 0, ""
	}
	for at < len(text) {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at, "the text is not valid UTF-8 here"
}

func trimCR(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		return text[:n-1]
	}
	return text
}
