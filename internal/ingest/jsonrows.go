package ingest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// scratchFile holds the rows of a JSON body until all their keys are known.
type scratchFile interface {
	io.ReadWriter
	// Rewind makes the next Read begin at the start.
	Rewind() error
	// Remove deletes it.
	Remove() error
}

// jsonRows checks the objects of a JSON body. The canonical form needs the
// columns before the first row, so rows go to a scratch file first, as
//
//	(column+1, length, value)… 0 line time
//
// in variable-length integers, and from there to the spool.
type jsonRows struct {
	*upload
	scan   *jsonScanner
	parser objectParser
	index  map[string]int // column by key
	names  []string
	seen   []int64 // per column: the last object that had it
	count  int64   // objects read
	line   int64   // line number of the last row kept
	buf    []byte
	rows   int64
	// gathered is how many bytes of the present load are in the scratch file.
	gathered int64
	timeText []byte // the time of the present object, where several fields may hold it
}

// readJSON reads a whole JSON body.
func (u *upload) readJSON(w *window, f format) error {
	r := &jsonRows{upload: u, scan: newJSONScanner(w, f, u.limits.MaxRecordBytes), index: map[string]int{}}
	if u.newScratch == nil {
		if _, err := r.gather(io.Discard); err != nil {
			return err
		}
		u.out.rows = r.rows
		return r.finishColumns()
	}
	if u.from != nil {
		r.scan.line, r.scan.column, r.scan.state, r.line = u.from.Line, u.from.Column, u.from.State, u.from.Row
	}
	for {
		file, err := u.newScratch()
		if err != nil {
			return err
		}
		cut, err := r.through(file)
		if err := errors.Join(err, file.Remove()); err != nil || !cut {
			return err
		}
		at := place{Offset: w.consumed, Line: r.scan.line, Column: r.scan.column, State: r.scan.state, Row: r.line, Format: f}
		if err := u.full(at); err != nil {
			return err
		}
		r.index, r.names, r.seen, r.rows, r.gathered = map[string]int{}, nil, nil, 0, 0
	}
}

func (r *jsonRows) through(file scratchFile) (cut bool, err error) {
	if cut, err = r.gather(file); err != nil {
		return false, err
	}
	if err := r.finishColumns(); err != nil {
		return false, err
	}
	if r.live {
		r.upload.rows = r.rows
		if s, ok := file.(*spill); ok && s.small() {
			return cut, nil
		}
		if r.out, err = r.toSpool(); err != nil {
			return false, err
		}
	}
	if err := file.Rewind(); err != nil {
		return false, err
	}
	return cut, r.scatter(bufio.NewReaderSize(file, 64<<10))
}

// gather checks every object and writes it to the scratch file, up to the end or
// until they are enough for a load.
func (r *jsonRows) gather(w io.Writer) (cut bool, err error) {
	for !cut {
		ok, bad, err := r.scan.next()
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		if bad == nil {
			bad = r.row()
		}
		if bad != nil {
			err = r.reject(bad, r.scan.text)
		}
		if err != nil {
			return false, err
		}
		cut = bad == nil && r.enough(r.rows, r.gathered+int64(len(r.buf)))
		if len(r.buf) >= canonicalBytes || cut {
			if err := r.flush(w); err != nil {
				return false, err
			}
		}
	}
	return cut, r.flush(w)
}

func (r *jsonRows) flush(w io.Writer) error {
	_, err := w.Write(r.buf)
	r.gathered += int64(len(r.buf))
	r.buf = r.buf[:0]
	return err
}

// row checks one object and appends it to the buffer; a faulty one leaves no
// trace there nor in the columns.
func (r *jsonRows) row() *RowError {
	mark, known := len(r.buf), len(r.names)
	r.count++
	micros, timed := r.fixedTime, r.timeField == ""
	rank := len(r.timeMore) + 1 // of the field that timeText is from
	f := r.parser.parse(r.scan.text, func(key, value []byte) *fault {
		if f := r.member(key, value); f != nil {
			return f
		}
		if len(r.timeMore) > 0 {
			if i := r.timeRank(key); i < rank && len(bytes.TrimSpace(value)) > 0 {
				rank, r.timeText = i, append(r.timeText[:0], value...)
			}
			return nil
		}
		if !timed && string(key) == r.timeField {
			timed = true
			var reason string
			if micros, reason = r.readTime(value); reason != "" {
				return &fault{field: r.timeField, reason: reason}
			}
		}
		return nil
	})
	var bad *RowError
	if f == nil && len(r.timeMore) > 0 && rank <= len(r.timeMore) {
		timed = true
		micros, bad = r.messageTime(append([]string{r.timeField}, r.timeMore...)[rank], r.timeText, r.scan.recLine)
	}
	if bad == nil {
		bad = r.judge(f, len(r.buf) == mark, timed)
	}
	if most := r.limits.MaxColumns; bad == nil && len(r.names)+len(r.extra.names) > most {
		bad = &RowError{Line: r.scan.recLine, Code: codeBad, Reason: fmt.Sprintf("with this row there are more than %d different keys", most)}
	}
	if bad != nil {
		r.buf = r.buf[:mark]
		for _, name := range r.names[known:] {
			delete(r.index, name)
		}
		r.names, r.seen = r.names[:known], r.seen[:known]
		return bad
	}
	r.line = max(r.scan.recLine, r.line+1) // several objects may share a line
	r.buf = append(r.buf, 0)
	r.buf = binary.AppendVarint(r.buf, r.line)
	r.buf = binary.AppendVarint(r.buf, micros)
	r.rows++
	return nil
}

// timeRank is the place of a key among the fields that hold the time, by
// importance; behind all of them for any other.
func (r *jsonRows) timeRank(key []byte) int {
	if string(key) == r.timeField {
		return 0
	}
	if i := slices.Index(r.timeMore, string(key)); i >= 0 {
		return i + 1
	}
	return len(r.timeMore) + 1
}

func (r *jsonRows) judge(f *fault, empty, timed bool) *RowError {
	switch {
	case f != nil:
		return r.scan.rowError(f)
	case empty:
		return &RowError{Line: r.scan.recLine, Code: codeBad, Reason: "the object is empty"}
	case !timed:
		return &RowError{Line: r.scan.recLine, Field: r.timeField, Code: codeBad, Reason: "the field that holds the time is missing"}
	}
	return nil
}

// member notes one key and value of the present object.
func (r *jsonRows) member(key, value []byte) *fault {
	col, ok := r.index[string(key)]
	if !ok {
		name := string(key)
		if _, ok := r.extra.values[name]; ok {
			return &fault{field: shown(name), reason: "the key is also in append"}
		}
		col = len(r.names)
		r.index[name] = col
		r.names = append(r.names, name)
		r.seen = append(r.seen, 0)
	}
	if r.seen[col] == r.count {
		return &fault{field: shown(r.names[col]), reason: "the key stands twice in one object"}
	}
	r.seen[col] = r.count
	r.buf = binary.AppendUvarint(r.buf, uint64(col)+1)
	r.buf = binary.AppendUvarint(r.buf, uint64(len(value)))
	r.buf = append(r.buf, value...)
	return nil
}

func (r *jsonRows) finishColumns() error {
	r.columns = r.names
	if r.rows == 0 {
		return nil
	}
	return r.requireColumns(func(name string) bool { _, ok := r.index[name]; return ok })
}

// scatter writes the rows of the scratch file to the spool, column by column.
func (r *jsonRows) scatter(in *bufio.Reader) error {
	values := make([][]byte, len(r.names))
	var buf []byte
	for range r.rows {
		clear(values)
		line, micros, rest, err := readRow(in, values, buf[:0])
		if err != nil {
			return err
		}
		buf = rest
		r.out.begin(line, micros)
		for _, v := range values {
			r.out.value(v)
		}
		if err := r.out.end(r.extra.suffix); err != nil {
			return err
		}
	}
	return nil
}

// readValue reads one value to the end of buf. Values read before stay valid:
// when buf grows, they keep the old one alive.
func readValue(in rowSource, buf []byte) (value, rest []byte, err error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, buf, err
	}
	start := len(buf)
	if need := start + int(n); need > cap(buf) {
		buf = append(make([]byte, 0, 2*need), buf...)
	}
	buf = buf[:start+int(n)]
	_, err = io.ReadFull(in, buf[start:])
	return buf[start:], buf, err
}
