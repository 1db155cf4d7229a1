package singer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// pieceRows is how many rows a piece has at least before it ends at a STATE.
	pieceRows = 10_000
	// maxTime bounds one run.
	maxTime = 24 * time.Hour
)

// fileName is what a program may be called.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// source runs one tap. A pass runs it once; its pieces are the rows up to a STATE.
type source struct {
	program, path, scratch string
	config                 []byte
	stream, catalog        string
	method, key            string
	limit                  time.Duration
	memory                 uint64
	log                    *slog.Logger

	run  *run
	over bool // the tap ran to its end
}

// String keeps a printed source from showing its configuration.
func (s *source) String() string { return "singer source" }

// GoString does the same.
func (s *source) GoString() string { return s.String() }

func newSource(d provider.Deps) (provider.Source, error) {
	fields := Definition().Workflows[0].Fields
	value := func(name string) string { return provider.Setting(fields, d.Config, name) }
	s := &source{
		program: value(programField), scratch: d.Scratch, config: []byte(d.Auth[configField].Reveal()),
		stream: value(tapField), catalog: value(catalogField), method: value(methodField), key: value(keyField), log: d.Log,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var object map[string]json.RawMessage
	memory, err := strconv.ParseUint(value(memoryField), 10, 32)
	switch {
	case err != nil || memory < 64 || memory > 65536:
		return nil, invalid(codeSettings, memoryField, "must be a number from 64 to 65536")
	case !fileName.MatchString(s.program):
		return nil, invalid(codeSettings, programField, "must be the name of a file: letters, digits, full stops, hyphens and underscores, without a path")
	case s.stream == "":
		return nil, invalid(codeSettings, tapField, "is needed")
	case json.Unmarshal(s.config, &object) != nil || object == nil:
		return nil, invalid(codeSettings, configField, "must be a JSON object")
	case d.Programs == "":
		return nil, invalid(codeProgram, programField, "this server starts no programs: it has no folder of programs")
	case d.Scratch == "":
		return nil, internal("there is no folder for the files of a tap", nil)
	}
	s.memory = memory << 20
	if s.limit, err = time.ParseDuration(value(timeField)); err != nil || s.limit < time.Second || s.limit > maxTime {
		return nil, invalid(codeSettings, timeField, "must be a duration from 1s to 24h")
	}
	if s.catalog != "" {
		if _, err := choose([]byte(s.catalog), s.stream, s.method, s.key, false); err != nil {
			var e *activation.Error
			if errors.As(err, &e) && e.Code == codeOutput {
				return nil, invalid(codeSettings, catalogField, "must be a JSON object with streams")
			}
			return nil, err
		}
	}
	s.path = filepath.Join(d.Programs, s.program)
	if at, err := os.Stat(s.path); err != nil || !at.Mode().IsRegular() || at.Mode().Perm()&0o111 == 0 {
		return nil, invalid(codeProgram, programField, "the folder of programs has no program of this name")
	}
	return s, nil
}

// prepare makes a folder with the files of one run; catalog says whether that of
// the tap is asked for.
func (s *source) prepare(ctx context.Context, state json.RawMessage) (dir string, args []string, err error) {
	if dir, err = os.MkdirTemp(s.scratch, "singer-"); err != nil {
		return "", nil, internal("the files of a tap can't be written", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	write := func(option string, text []byte) {
		if err != nil {
			return
		}
		path := filepath.Join(dir, option+".json")
		if failed := os.WriteFile(path, text, 0o600); failed != nil {
			err = internal("the files of a tap can't be written", failed)
			return
		}
		args = append(args, "--"+option, path)
	}
	write("config", s.config)
	if err != nil {
		return "", nil, err
	}
	text, whole := []byte(s.catalog), false
	if s.catalog == "" {
		if text, err = s.output(ctx, dir, append(args[:len(args):len(args)], "--discover")...); err != nil {
			return "", nil, err
		}
		whole = true
	}
	if text, err = choose(text, s.stream, s.method, s.key, whole); err != nil {
		return "", nil, err
	}
	write("catalog", text)
	if state != nil {
		write("state", state)
	}
	return dir, args, err
}

// Check has the tap make its catalog, which needs its credentials, and looks for
// the stream in it. Where the catalog is a setting the tap is not started.
func (s *source) Check(ctx context.Context) error {
	dir, _, err := s.prepare(ctx, nil)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return internal("the files of a tap can't be removed", err)
	}
	return nil
}

// kept is the state as the runner keeps it.
type kept struct {
	Program string `json:"program"`
	Stream  string `json:"stream"`
	// Value is that of the last STATE; nil = there was none.
	Value json.RawMessage `json:"value,omitempty"`
}

// Next returns the rows up to a STATE of the tap, which is started with the first
// piece and goes on with the others.
func (s *source) Next(ctx context.Context, state []byte) (provider.Piece, bool, error) {
	p := provider.Piece{Name: s.stream, ContentType: "application/x-ndjson"}
	if s.run != nil && !bytes.Equal(s.run.after, state) {
		if err := s.Close(); err != nil { // its rows were not taken
			return p, false, err
		}
	}
	if s.run == nil && s.over {
		return p, false, nil
	}
	if s.run == nil {
		if err := s.begin(ctx, state); err != nil {
			return p, false, err
		}
	}
	r := s.run
	r.piece(ctx)
	switch err := r.fill(); {
	case errors.Is(err, io.EOF) && r.finished:
		s.over = true
		return p, false, s.Close()
	case err != nil && !errors.Is(err, io.EOF):
		return p, false, errors.Join(err, s.Close())
	}
	p.Open = func(ctx context.Context) (io.ReadCloser, error) {
		if s.run != r { // a second attempt: from the beginning of the piece
			s.over = false
			if err := s.begin(ctx, state); err != nil {
				return nil, err
			}
			r = s.run
			r.piece(ctx)
		}
		r.watch(ctx)
		return &body{s, r}, nil
	}
	p.After = func() ([]byte, error) {
		if !r.ended {
			return nil, errors.New("the rows were not read to the end of the piece")
		}
		after, err := json.Marshal(kept{s.program, s.stream, r.state})
		r.after = after
		if r.finished {
			s.over = true
			err = errors.Join(err, s.Close())
		}
		return after, err
	}
	return p, true, nil
}

// begin starts the tap behind a state.
func (s *source) begin(ctx context.Context, state []byte) error {
	var from kept
	if len(state) > 0 {
		if err := json.Unmarshal(state, &from); err != nil {
			return internal("the kept state of the tap can't be read", nil)
		}
	}
	if from.Program != s.program || from.Stream != s.stream {
		from = kept{} // that of another tap
	}
	dir, args, err := s.prepare(ctx, from.Value)
	if err != nil {
		return err
	}
	// It lives from piece to piece, and ends with the source or whoever reads.
	p, err := s.start(context.WithoutCancel(ctx), dir, args...)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	s.run = &run{process: p, dir: dir, stream: s.stream, state: from.Value, names: map[string]bool{}}
	s.names(s.run)
	return nil
}

// names are the names that records of the stream may have: RECORD names the
// stream, which may be another word than the tap_stream_id.
func (s *source) names(r *run) {
	r.names[s.stream] = true
	text, err := os.ReadFile(filepath.Join(r.dir, "catalog.json"))
	if err != nil {
		return
	}
	var c struct {
		Streams []struct {
			ID     string `json:"tap_stream_id"`
			Stream string `json:"stream"`
		} `json:"streams"`
	}
	if json.Unmarshal(text, &c) != nil {
		return
	}
	for _, one := range c.Streams {
		if one.ID == s.stream || one.Stream == s.stream {
			r.names[one.ID], r.names[one.Stream] = true, true
			return
		}
	}
}

// Close ends the tap and removes its files.
func (s *source) Close() error {
	r := s.run
	s.run = nil
	if r == nil {
		return nil
	}
	r.unhook()
	r.end(errClosed)
	if err := os.RemoveAll(r.dir); err != nil {
		return internal("the files of a tap can't be removed", err)
	}
	return nil
}

// run is a tap on its way.
type run struct {
	*process
	dir, stream string
	names       map[string]bool
	hook        func() bool

	state json.RawMessage // of the last STATE behind rows that were handed out
	after []byte          // what the last piece was ended with
	buf   []byte          // of the line in hand
	row   []byte          // not handed out yet
	rows  int             // of this piece
	err   error
	ended bool // the piece is at its end
	// finished: the tap has ended well.
	finished bool
}

// piece begins the next piece.
func (r *run) piece(ctx context.Context) {
	r.rows, r.ended = 0, r.finished
	r.watch(ctx)
}

// watch ends the tap when ctx is done.
func (r *run) watch(ctx context.Context) {
	r.unhook()
	r.hook = context.AfterFunc(ctx, func() { r.cancel(context.Cause(ctx)) })
}

func (r *run) unhook() {
	if r.hook != nil {
		r.hook()
	}
}

// fill makes the next row, or says io.EOF at the end of the piece.
func (r *run) fill() error {
	for len(r.row) == 0 {
		if r.err != nil {
			return r.err
		}
		if r.ended {
			return io.EOF
		}
		if err := r.next(); err != nil {
			r.err = err
			return err
		}
	}
	return nil
}

// next takes one message.
func (r *run) next() error {
	line, err := r.line(r.buf)
	if errors.Is(err, io.EOF) {
		if err := r.wait(); err != nil {
			return err
		}
		r.ended, r.finished = true, true
		return nil
	}
	if err != nil {
		return err
	}
	r.buf = line
	m, err := parse(line)
	switch {
	case err != nil:
		return err
	case m.Type == "STATE":
		r.state = bytes.Clone(m.Value)
		r.ended = r.rows >= pieceRows
	case m.Type == "RECORD" && r.names[m.Stream]:
		r.rows++
		r.row, err = appendRow(r.row[:0], m.Record)
	}
	return err
}

// body is the rows of a piece.
type body struct {
	s *source
	r *run
}

// Read hands out rows.
func (b *body) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if err := b.r.fill(); err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		took := copy(p[n:], b.r.row)
		n += took
		b.r.row = b.r.row[:copy(b.r.row, b.r.row[took:])]
	}
	return n, nil
}

// Close ends the tap where the piece was not read to its end; otherwise it goes on
// with the next piece.
func (b *body) Close() error {
	if b.r.ended && b.r.err == nil && len(b.r.row) == 0 {
		b.r.unhook()
		return nil
	}
	if b.s.run != b.r {
		return nil
	}
	return b.s.Close()
}
