package query

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// pieceRows is the most rows of a piece, so that state is kept in between.
	pieceRows = 100_000
	// maxTies is the most rows of one value of the cursor column whose digests are
	// kept.
	maxTies = 100_000
	// contentType is that of every piece.
	contentType = "application/x-ndjson"
)

// Database is one, with the credentials to reach it.
type Database interface {
	Dialect() Dialect
	// Open begins a conversation, in a transaction that may change nothing.
	Open(ctx context.Context) (Conversation, error)
}

// Conversation is one connection. It is used by one goroutine at a time. Its
// errors are those of provider.Source.
type Conversation interface {
	// Columns returns the columns of the result of a statement. before is how many
	// characters of it stand before the query that people wrote.
	Columns(ctx context.Context, statement string, before int) ([]Column, error)
	// Query begins to read the rows of a statement.
	Query(ctx context.Context, statement string, args []string) error
	// Next returns the values of the next row as the database writes them, nil for
	// NULL, or io.EOF. They are valid until the next call.
	Next(ctx context.Context) ([][]byte, error)
	// Append appends a value of column i as JSON; ok is false where it stands for
	// no value.
	Append(out []byte, i int, value []byte) (_ []byte, ok bool)
	// Close ends it. It may be called twice.
	Close() error
}

// Column is one of a result.
type Column struct {
	Name string
	// Kind is the database's own name of its type.
	Kind string
	// Orders: the column may be a cursor: values that are equal are written the
	// same, but for zeros at the end of a decimal.
	Orders bool
}

// Source reads the rows of a query in pieces.
//
// Without a cursor column a pass has one piece, everything there is. With one,
// pieces of at most 100,000 rows follow in its order, and the state is the last
// value with the digests of the rows at that value which were read: the next
// reading begins at the value, not behind it, and passes over those. So a row
// that is written later under the same value is not lost, and none counts twice.
// With a key column beside it, reading goes on behind the last pair of both.
type Source struct {
	db       Database
	settings Settings
	whole    bool // the one piece without a cursor column was read
	open     *reading
}

// New makes a source. The query is checked here already.
func New(db Database, s Settings) (*Source, error) {
	if _, _, err := s.inner(db.Dialect()); err != nil {
		return nil, err
	}
	return &Source{db: db, settings: s}, nil
}

// state is what was read, as the runner keeps it.
type state struct {
	// Column is the cursor column that Cursor is a value of; "" = nothing was read.
	Column string `json:"column"`
	Cursor string `json:"cursor"`
	Key    string `json:"key,omitempty"`
	Keyed  string `json:"key_column,omitempty"`
	// Seen are the digests of the rows at Cursor that were read.
	Seen [][]byte `json:"seen,omitempty"`
}

// plan is the columns of a result and those by which reading goes on; -1 = none.
type plan struct {
	columns     []Column
	cursor, key int
}

// Check proves that the query can be run and has the columns it needs.
func (s *Source) Check(ctx context.Context) error {
	c, err := s.db.Open(ctx)
	if err != nil {
		return err
	}
	_, err = s.plan(ctx, c)
	return errors.Join(err, c.Close())
}

func (s *Source) plan(ctx context.Context, c Conversation) (plan, error) {
	text, before, err := s.settings.describe(s.db.Dialect())
	if err != nil {
		return plan{}, err
	}
	p := plan{cursor: -1, key: -1}
	if p.columns, err = c.Columns(ctx, text, before); err != nil {
		return plan{}, err
	}
	seen := map[string]bool{}
	for i, column := range p.columns {
		switch {
		case column.Name == "" || column.Name == "?column?":
			return plan{}, s.settings.Refused(fmt.Sprintf("column %d of the result has no name: give it one with AS", i+1))
		case seen[column.Name]:
			return plan{}, s.settings.Refused(fmt.Sprintf("the result has two columns of the name %q: give one of them another with AS", column.Name))
		}
		seen[column.Name] = true
	}
	for _, at := range []struct {
		field, name string
		index       *int
	}{{CursorField, s.settings.Cursor, &p.cursor}, {KeyField, s.settings.Key, &p.key}} {
		if at.name == "" {
			continue
		}
		*at.index = slices.IndexFunc(p.columns, func(c Column) bool { return c.Name == at.name })
		switch {
		case *at.index < 0:
			return plan{}, cursorError(at.field, fmt.Sprintf("the result has no column %q; it has %s", at.name, names(p.columns)))
		case !p.columns[*at.index].Orders:
			return plan{}, cursorError(at.field, "a column of the type "+p.columns[*at.index].Kind+" is none to go on by; use a number, a time or an identifier that rises")
		}
	}
	return p, nil
}

// names lists some columns for an error.
func names(columns []Column) string {
	var out []string
	for i, c := range columns {
		if i == 20 {
			out = append(out, "…")
			break
		}
		out = append(out, c.Name)
	}
	return strings.Join(out, ", ")
}

// Next returns the piece behind the state.
func (s *Source) Next(ctx context.Context, kept []byte) (provider.Piece, bool, error) {
	if err := s.Close(); err != nil {
		return provider.Piece{}, false, err
	}
	p := provider.Piece{Name: s.settings.Name(), ContentType: contentType}
	if s.settings.Cursor == "" {
		if s.whole {
			return p, false, nil
		}
		p.Whole = true
		var done *reading
		p.Open = func(ctx context.Context) (io.ReadCloser, error) {
			r, err := s.begin(ctx, state{})
			done = r
			return body{ctx, r}, err
		}
		p.After = func() ([]byte, error) {
			if done == nil || !done.ended {
				return nil, errors.New("the rows were not read to their end")
			}
			s.whole = true
			return []byte("{}"), nil
		}
		return p, true, nil
	}
	var from state
	if len(kept) > 0 {
		if err := json.Unmarshal(kept, &from); err != nil {
			return p, false, &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "the kept state of the import can't be read"}
		}
	}
	if from.Column != s.settings.Cursor || from.Keyed != s.settings.Key {
		from = state{} // another column: from the beginning
	}
	r, err := s.begin(ctx, from)
	if err != nil {
		return p, false, err
	}
	// One row ahead tells whether there is anything.
	switch err := r.fill(ctx); {
	case errors.Is(err, io.EOF):
		return p, false, r.close()
	case err != nil:
		return p, false, errors.Join(err, r.close())
	}
	s.open = r
	current := r
	p.Open = func(ctx context.Context) (io.ReadCloser, error) {
		if s.open == nil { // a second attempt at the same piece
			if current, err = s.begin(ctx, from); err != nil {
				return nil, err
			}
		}
		s.open = nil
		return body{ctx, current}, nil
	}
	p.After = func() ([]byte, error) { return current.after() }
	return p, true, nil
}

// Close ends what Next has opened.
func (s *Source) Close() error {
	r := s.open
	s.open = nil
	if r == nil {
		return nil
	}
	return r.close()
}

// digest is that of one row.
type digest [16]byte

// reading is one piece on its way.
type reading struct {
	settings Settings
	conv     Conversation
	plan     plan
	names    [][]byte // of the columns, as JSON with a colon
	from     state
	// known counts the rows at from.Cursor that were read before and have not come
	// by yet.
	known map[digest]int

	line  []byte // of the row in hand, not handed out yet
	rows  int
	last  state
	ties  []digest // rows at last.Cursor that came by
	ended bool     // at the end of the result, or of the piece
	cut   bool     // at the end of the piece
	err   error    // what ended the reading before
}

func (s *Source) begin(ctx context.Context, from state) (*reading, error) {
	conv, err := s.db.Open(ctx)
	if err != nil {
		return nil, err
	}
	r := &reading{settings: s.settings, conv: conv, from: from, last: from, known: map[digest]int{}}
	if err := r.begin(ctx, s); err != nil {
		return nil, errors.Join(err, conv.Close())
	}
	return r, nil
}

func (r *reading) begin(ctx context.Context, s *Source) (err error) {
	if r.plan, err = s.plan(ctx, r.conv); err != nil {
		return err
	}
	for _, c := range r.plan.columns {
		r.names = append(r.names, append(AppendText(nil, c.Name), ':'))
	}
	for _, d := range r.from.Seen {
		r.known[digest(append(make([]byte, 0, 16), d...)[:16:16])]++
	}
	text, args, err := s.settings.read(s.db.Dialect(), r.plan, r.from, pieceRows+len(r.from.Seen)+1)
	if err != nil {
		return err
	}
	return r.conv.Query(ctx, text, args)
}

// fill makes the line of the next row that was not read before.
func (r *reading) fill(ctx context.Context) error {
	for len(r.line) == 0 {
		if r.plan.cursor >= 0 && r.rows == pieceRows {
			r.ended, r.cut = true, true
		}
		if r.err != nil || r.ended {
			return cmp.Or(r.err, io.EOF)
		}
		values, err := r.conv.Next(ctx)
		if errors.Is(err, io.EOF) {
			r.ended = true
			return io.EOF
		}
		if err == nil {
			err = r.take(values)
		}
		if err != nil {
			r.err, r.line = err, r.line[:0]
			return err
		}
	}
	return nil
}

// take makes the line of a row, unless it was read before.
func (r *reading) take(values [][]byte) error {
	r.line = append(r.line[:0], '{')
	for i, v := range values {
		if v == nil {
			continue
		}
		before := len(r.line)
		if before > 1 {
			r.line = append(r.line, ',')
		}
		r.line = append(r.line, r.names[i]...)
		var ok bool
		if r.line, ok = r.conv.Append(r.line, i, v); !ok {
			r.line = r.line[:before]
		}
	}
	r.line = append(r.line, '}', '\n')
	if r.plan.cursor < 0 {
		r.rows++
		return nil
	}
	cursor := values[r.plan.cursor]
	if r.last.Column == "" || !same(cursor, r.last.Cursor) {
		r.last = state{Column: r.settings.Cursor, Cursor: string(cursor), Keyed: r.settings.Key}
		r.ties = r.ties[:0]
	}
	if r.plan.key >= 0 {
		r.last.Key = string(values[r.plan.key])
		r.rows++
		return nil
	}
	sum := sha256.Sum256(r.line)
	d := digest(sum[:16])
	r.ties = append(r.ties, d)
	if len(r.ties) > maxTies {
		return cursorError(KeyField, fmt.Sprintf("more than %d rows share one value of the cursor column: name a key column, or a cursor column that is finer", maxTies))
	}
	if r.from.Column != "" && r.known[d] > 0 && same(cursor, r.from.Cursor) {
		r.known[d]--
		r.line = r.line[:0]
		return nil
	}
	r.rows++
	return nil
}

// same reports whether two values of a cursor column are equal: as they are
// written, but for zeros at the end of a decimal.
func same(a []byte, b string) bool {
	return string(a) == b || bytes.Equal(trimmed(a), trimmed([]byte(b)))
}

func trimmed(v []byte) []byte {
	if bytes.IndexByte(v, '.') < 0 || bytes.ContainsAny(v, ": eE+") {
		return v
	}
	return bytes.TrimSuffix(bytes.TrimRight(v, "0"), []byte("."))
}

// after is the state once everything was read.
func (r *reading) after() ([]byte, error) {
	if !r.ended {
		return nil, errors.New("the rows were not read to their end")
	}
	if r.plan.key < 0 {
		r.last.Seen = make([][]byte, 0, len(r.ties))
		for _, d := range r.ties {
			r.last.Seen = append(r.last.Seen, d[:])
		}
		if r.cut && same([]byte(r.last.Cursor), r.from.Cursor) { // those that did not come by yet are known still
			for d, n := range r.known {
				for range n {
					r.last.Seen = append(r.last.Seen, d[:])
				}
			}
		}
	}
	return json.Marshal(r.last)
}

func (r *reading) close() error { return r.conv.Close() }

// body is the lines of a piece. Its context is that of Open, which begins each
// attempt.
type body struct {
	ctx context.Context //nolint:containedctx // an io.Reader has none; it ends with Close
	*reading
}

// Read hands out lines.
func (b body) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if err := b.fill(b.ctx); err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		took := copy(p[n:], b.line)
		n += took
		b.line = b.line[:copy(b.line, b.line[took:])]
	}
	return n, nil
}

// Close ends the conversation.
func (b body) Close() error { return b.close() }
