package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// csvRows checks the rows of a CSV body and writes them out.
type csvRows struct {
	*upload
	scan    *csvScanner
	columns []string
	timesAt []int // indices of the columns that hold the time, by importance
}

// readCSV reads a whole CSV body.
func (u *upload) readCSV(w *window) error {
	r := &csvRows{upload: u, scan: newCSVScanner(w, u.delim, u.limits.MaxRecordBytes)}
	if err := r.header(); err != nil {
		return err
	}
	for {
		ok, bad, err := r.scan.next()
		if err != nil || !ok {
			return err
		}
		if bad == nil {
			bad, err = r.row(&r.scan.rec)
		}
		switch {
		case bad != nil:
			err = u.reject(bad, r.scan.rec.text)
		case err == nil && u.enough(u.out.rows, u.out.bytes()):
			err = u.full(place{Offset: w.consumed, Line: r.scan.line, Format: u.format, Columns: r.columns})
		}
		if err != nil {
			return err
		}
	}
}

// header takes the columns from the request or else from the first record.
func (r *csvRows) header() error {
	line := int64(1)
	if r.from != nil {
		r.columns, r.scan.line = r.from.Columns, r.from.Line
	} else if r.headers != "" {
		r.columns = parseHeaders(r.headers)
	} else {
		ok, bad, err := r.scan.next()
		switch {
		case err != nil:
			return err
		case bad != nil:
			return bad
		case !ok:
			return invalid("", "the body is empty: a CSV begins with a header")
		}
		line = r.scan.rec.line
		if err := r.headerRecord(&r.scan.rec); err != nil {
			return err
		}
	}
	if err := checkHeader(r.columns, r.limits.MaxColumns-len(r.extra.names), line); err != nil {
		return err
	}
	return r.bind(line)
}

func (r *csvRows) headerRecord(rec *csvRecord) error {
	if bytes.IndexByte(rec.text, '\r') >= 0 {
		return &RowError{Line: rec.line, Code: codeBad, Reason: "a carriage return stands inside the header: end lines with a line feed"}
	}
	if !rec.quoted {
		rec.split(r.delim)
	}
	for i := range rec.fields {
		r.columns = append(r.columns, strings.TrimSpace(string(rec.value(i))))
	}
	if len(r.columns) == 1 && strings.ContainsAny(r.columns[0], ",;|\t") {
		return invalid("delimiter", "the header is one column and holds another delimiter: give delimiter (t for a tab)")
	}
	return nil
}

// bind finds the columns that the request and the stream speak of.
func (r *csvRows) bind(line int64) error {
	present := make(map[string]bool, len(r.columns))
	for _, name := range r.columns {
		present[name] = true
		if _, ok := r.extra.values[name]; ok {
			return &RowError{Line: line, Field: name, Code: codeBad, Reason: "the column is also in append"}
		}
	}
	for _, name := range append([]string{r.timeField}, r.timeMore...) {
		if i := slices.Index(r.columns, name); i >= 0 && name != "" {
			r.timesAt = append(r.timesAt, i)
		}
	}
	r.upload.columns = r.columns
	return r.requireColumns(func(name string) bool { return present[name] })
}

// row checks one record and writes it.
func (r *csvRows) row(rec *csvRecord) (*RowError, error) {
	if !rec.quoted && r.delim == ',' && bytes.IndexByte(rec.text, '\r') < 0 {
		return r.plainRow(rec)
	}
	if !rec.quoted {
		rec.split(r.delim)
	}
	if bad := r.countFields(rec, len(rec.fields)); bad != nil {
		return bad, nil
	}
	micros := r.fixedTime
	if len(r.timesAt) > 0 {
		var bad *RowError
		if micros, bad = r.timeOf(rec.value, rec.line); bad != nil {
			return bad, nil
		}
	}
	r.out.begin(rec.line, micros)
	for i, f := range rec.fields {
		raw := rec.raw(i)
		if !f.quoted || !needsQuotes(raw) {
			r.out.value(raw)
			continue
		}
		r.out.quoted(raw)
	}
	return nil, r.out.end(r.extra.suffix)
}

// plainRow is row for records that are canonical as they are.
func (r *csvRows) plainRow(rec *csvRecord) (*RowError, error) {
	if bad := r.countFields(rec, bytes.Count(rec.text, comma)+1); bad != nil {
		return bad, nil
	}
	micros := r.fixedTime
	if len(r.timesAt) > 0 {
		var bad *RowError
		if micros, bad = r.timeOf(func(i int) []byte { return nthField(rec.text, i) }, rec.line); bad != nil {
			return bad, nil
		}
	}
	r.out.begin(rec.line, micros)
	r.out.raw(rec.text)
	return nil, r.out.end(r.extra.suffix)
}

// timeOf reads the time of a row from the first of its columns that has a value.
func (r *csvRows) timeOf(value func(i int) []byte, line int64) (int64, *RowError) {
	for _, i := range r.timesAt {
		if text := value(i); len(bytes.TrimSpace(text)) > 0 || len(r.timesAt) == 1 {
			return r.messageTime(r.columns[i], text, line)
		}
	}
	return r.messageTime(r.timeField, nil, line)
}

var comma = []byte{','}

func (r *csvRows) countFields(rec *csvRecord, found int) *RowError {
	if found == len(r.columns) {
		return nil
	}
	return &RowError{Line: rec.line, Code: codeBad, Reason: fmt.Sprintf("expected %d columns, found %d", len(r.columns), found)}
}

// nthField returns a field of a record without quotes that has it.
func nthField(text []byte, n int) []byte {
	for range n {
		text = text[bytes.IndexByte(text, ',')+1:]
	}
	if i := bytes.IndexByte(text, ','); i >= 0 {
		return text[:i]
	}
	return text
}
