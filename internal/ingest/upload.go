package ingest

import (
	"context"
	"fmt"
	"slices"

	"usher/internal/warehouse/inbox"
)

// upload is the state of one request while its body is read.
type upload struct {
	limits    Limits
	delim     byte
	headers   string
	extra     appended
	drop      bool
	tell      func(RowError) // of each row that is passed over; may be nil
	timeName  string         // the field that holds the message time; "" = none
	timeField string         // the same, if it is to be found in every row
	timeMore  []string       // fields that hold it where timeField has no value, by importance
	order     dateOrder
	received  int64    // Unix microseconds
	latest    int64    // the latest message time allowed, Unix microseconds
	fixedTime int64    // message time of rows that have none of their own
	required  []string // columns the stream cannot do without

	// full is called behind a row as soon as the rows are enough for a load: cutRows
	// or cutBytes. at is where the next row begins. nil = all are one load.
	full     func(at place) error
	cutRows  int64
	cutBytes int64
	from     *place // where reading goes on; nil = at the beginning

	out        *canonical
	newScratch func() (scratchFile, error) // nil for a dry run
	rejects    *inbox.Rejects              // nil: rejected rows are not kept
	// live: the body came in real time and must be JSON. Its rows stay in the
	// scratch file while that is small, and toSpool is called where it is not.
	live    bool
	toSpool func() (*canonical, error)

	format   format
	columns  []string // found in the body
	rows     int64    // kept, where live and out is nil
	rejected int64
	reasons  []RowError
}

// fixTime settles the time of rows that do not bring one: that of receipt, or
// one given in append.
func (u *upload) fixTime() error {
	u.fixedTime = u.received
	v, ok := u.extra.values[u.timeName]
	if !ok {
		u.timeField = u.timeName
		return nil
	}
	micros, reason := u.readTime(v)
	if reason != "" {
		return invalid("append", "the timestamp_field in append: %s", reason)
	}
	u.fixedTime = micros
	return nil
}

// read reads the whole body into u.out.
func (u *upload) read(ctx context.Context, r Request, limit int64) error {
	promise, err := parseContentType(r.ContentType)
	if err != nil {
		return err
	}
	text, err := openBody(ctx, r, limit)
	if err != nil {
		return err
	}
	w := newWindow(text, u.limits.MaxRecordBytes)
	defer w.release()
	if u.from != nil {
		if err := u.from.skip(text); err != nil {
			return err
		}
		w.consumed, u.format = u.from.Offset, u.from.Format
	} else if u.format, err = detect(w, promise); err != nil {
		return err
	}
	switch {
	case u.format == formatCSV && u.live:
		err = errNotJSON()
	case u.format == formatCSV:
		err = u.readCSV(w)
	default:
		err = u.readJSON(w, u.format)
	}
	if err != nil || u.out == nil {
		return err
	}
	return u.out.flush()
}

// reject deals with a faulty row: it ends the load, or is counted and kept for
// people to look at. text is the row as it was sent.
func (u *upload) reject(bad *RowError, text []byte) error {
	if !u.drop {
		return bad
	}
	u.rejected++
	if u.tell != nil {
		u.tell(*bad)
	}
	if u.rejects != nil {
		if err := u.rejects.Add(inbox.RejectedRow{Line: bad.Line, Column: bad.Column, Field: bad.Field, Code: bad.Code, Reason: bad.Reason}, text); err != nil {
			return err
		}
	}
	if len(u.reasons) < maxReasons {
		u.reasons = append(u.reasons, *bad)
	}
	return nil
}

// readTime reads a message time and refuses one too far in the future.
func (u *upload) readTime(text []byte) (micros int64, reason string) {
	micros, reason = parseTime(text, u.order)
	if reason == "" && micros > u.latest {
		reason = fmt.Sprintf("the time lies more than %s in the future", u.limits.MaxAhead)
	}
	return micros, reason
}

func (u *upload) messageTime(field string, text []byte, line int64) (int64, *RowError) {
	micros, reason := u.readTime(text)
	if reason != "" {
		return 0, &RowError{Line: line, Field: shown(field), Code: codeBad, Reason: reason}
	}
	return micros, nil
}

// requireColumns refuses a body that lacks a column which the request or the
// stream's declaration names.
func (u *upload) requireColumns(has func(name string) bool) error {
	if u.timeField != "" && !has(u.timeField) && !slices.ContainsFunc(u.timeMore, has) {
		return invalid("timestamp_field", "there is no column %q to read the time from", u.timeField)
	}
	for _, name := range u.required {
		if _, ok := u.extra.values[name]; !ok && !has(name) {
			return invalid("", "there is no column %q, which the stream is declared to have", name)
		}
	}
	return nil
}

func (u *upload) allColumns() []string {
	return append(append([]string{}, u.columns...), u.extra.names...)
}

// kept is how many rows there are.
func (u *upload) kept() int64 {
	if u.out == nil {
		return u.rows
	}
	return u.out.rows
}

func (u *upload) summary(r Request) Summary {
	return Summary{
		MessageCount: u.kept(), RejectedCount: u.rejected, ContentType: u.format.contentType(),
		DropErrors: r.DropErrors, DryRun: r.DryRun, TimestampField: u.timeName, Filename: r.Filename,
		FirstReasons: u.reasons, Columns: u.allColumns(),
	}
}
