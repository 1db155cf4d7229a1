package drop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The codes of what is wrong with the files of an import.
const (
	// CodePattern: the settings that name the files are wrong.
	CodePattern = "FILE-PATTERN"
	// CodeMissing: the file that is named is not there.
	CodeMissing = "FILE-MISSING"
	// CodeChanged: a file changed while it was read.
	CodeChanged = "FILE-CHANGED"
	// CodeMany: there are more files than are looked at.
	CodeMany = "FILE-MANY"
)

const (
	// maxFiles is how many files of an import may be there at a time: what was
	// taken of them is kept with the state of the job.
	maxFiles = 20_000
	// readAhead is how much of a file is asked for at once.
	readAhead = 1 << 20
)

// Import is a source that reads the files of a place.
type Import struct {
	place  Place
	wanted wanted
	now    func() time.Time

	session Drop
	ctx     context.Context // that session was made with
}

// NewImport returns a source of the files that the settings of a job name.
func NewImport(p Place, fields []provider.Field, d provider.Deps) (*Import, error) {
	w, err := readWanted(fields, d.Config)
	if err != nil {
		return nil, err
	}
	return &Import{place: p, wanted: w, now: d.Now}, nil
}

// String says what it is and nothing else: settings are not for print.
func (s *Import) String() string { return "files to read" }

// GoString is String.
func (s *Import) GoString() string { return s.String() }

// importState is what an import of files keeps.
type importState struct {
	// From is the place in the order at which the files begin that are wanted.
	From string `json:"from,omitempty"`
	// FromFile is the setting that From was made of.
	FromFile string `json:"from_file,omitempty"`
	// Taken are the versions of the files that are there and in.
	Taken map[string]string `json:"taken,omitempty"`
	// Last is the file that was taken last, and how new it is.
	Last   string    `json:"last,omitempty"`
	LastAt time.Time `json:"last_at,omitzero"`
}

func readState(raw []byte) (importState, error) {
	s := importState{}
	if raw != nil {
		if err := json.Unmarshal(raw, &s); err != nil {
			return s, &activation.Error{Kind: activation.Internal, Message: "what was kept of the files can't be read: reset the import", Err: err}
		}
	}
	if s.Taken == nil {
		s.Taken = map[string]string{}
	}
	return s, nil
}

// connected returns a session for calls under ctx.
func (s *Import) connected(ctx context.Context) (Drop, error) {
	if s.session != nil && s.ctx == ctx {
		return s.session, nil
	}
	_ = s.Close() // nothing was written
	d, err := s.place.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s.session, s.ctx = d, ctx
	return d, nil
}

// Close ends the session.
func (s *Import) Close() error {
	d := s.session
	s.session, s.ctx = nil, nil
	if d == nil {
		return nil
	}
	return d.Close()
}

// Check proves credentials, folder and settings, and that a file is there which is
// named alone.
func (s *Import) Check(ctx context.Context) error {
	d, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if err := d.Check(ctx); err != nil {
		_ = s.Close() // what is wrong is said already
		return err
	}
	if !s.wanted.alone() {
		return nil
	}
	_, there, err := d.Stat(ctx, s.wanted.filename)
	if err != nil {
		return err
	}
	if !there {
		return &activation.Error{Kind: activation.Invalid, Code: CodeMissing, Field: filenameField, Message: filenameField + ": there is no file of this name in the folder"}
	}
	return nil
}

// found is a file with its place in the order.
type found struct {
	Info
	key string
}

func (f found) version() string {
	if f.Tag != "" {
		return f.Tag
	}
	return fmt.Sprintf("%d-%d", f.Size, f.Modified.Unix())
}

// list returns the files that are wanted, in their order.
func (s *Import) list(ctx context.Context) ([]found, error) {
	d, err := s.connected(ctx)
	if err != nil {
		return nil, err
	}
	var all []Info
	if w, ok := d.(Walker); ok {
		all, err = w.Walk(ctx, s.wanted.after, maxFiles+1)
	} else {
		all, err = d.List(ctx, "")
	}
	if err != nil {
		_ = s.Close() // the next call begins anew
		return nil, err
	}
	var out []found
	for _, info := range all {
		if key, ok := s.wanted.key(info); ok {
			out = append(out, found{info, key})
		}
	}
	if len(out) > maxFiles {
		return nil, &activation.Error{Kind: activation.Invalid, Code: CodeMany, Message: fmt.Sprintf("there are more than %d files that fit: move old ones away, or name fewer", maxFiles)}
	}
	slices.SortFunc(out, func(a, b found) int { return strings.Compare(a.key, b.key) })
	return out, nil
}

// due returns the files that are to be read, oldest first, and the state brought
// in step with what is there.
func (s *Import) due(ctx context.Context, raw []byte) ([]found, importState, error) {
	state, err := readState(raw)
	if err != nil {
		return nil, state, err
	}
	all, err := s.list(ctx)
	if err != nil {
		return nil, state, err
	}
	if state.From == "" || state.FromFile != s.wanted.filename {
		state.From, state.FromFile = s.wanted.from(all), s.wanted.filename
	}
	there := make(map[string]string, len(all))
	var out []found
	for _, f := range all {
		if v, ok := state.Taken[f.Name]; ok {
			there[f.Name] = v
		}
		if state.Taken[f.Name] != f.version() && f.key >= state.From {
			out = append(out, f)
		}
	}
	if s.wanted.remove && there[state.Last] != "" {
		// A crash came between the rows of the last file and its removal.
		for _, f := range all {
			if f.Name == state.Last && f.version() == state.Taken[f.Name] {
				if err := s.session.Remove(ctx, f.Name); err != nil {
					return nil, state, err
				}
				delete(there, f.Name)
			}
		}
	}
	state.Taken = there
	return out, state, nil
}

// Next returns the first file that is not in as it is now. One that may still be
// written holds up those behind it, so that the order stays.
func (s *Import) Next(ctx context.Context, raw []byte) (provider.Piece, bool, error) {
	files, state, err := s.due(ctx, raw)
	if err != nil || len(files) == 0 || s.now().Sub(files[0].Modified) < s.wanted.settle {
		return provider.Piece{}, false, err
	}
	return s.piece(files[0], state), true, nil
}

// Pieces returns what would be read now.
func (s *Import) Pieces(ctx context.Context, raw []byte, limit int) ([]provider.Piece, error) {
	files, state, err := s.due(ctx, raw)
	if err != nil {
		return nil, err
	}
	var out []provider.Piece
	for _, f := range files[:min(limit, len(files))] {
		out = append(out, s.piece(f, state))
	}
	return out, nil
}

func (s *Import) piece(f found, state importState) provider.Piece {
	return provider.Piece{
		Name: f.Name, Version: f.version(), Modified: f.Modified, Size: f.Size, Whole: true,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			d, err := s.connected(ctx)
			if err != nil {
				return nil, err
			}
			body, err := d.Open(ctx, f.Name)
			if err != nil {
				_ = s.Close() // the next call begins anew
				return nil, err
			}
			return &ahead{ctx: ctx, Reader: bufio.NewReaderSize(body, readAhead), body: body}, nil
		},
		After: func() ([]byte, error) {
			if err := s.unchanged(f); err != nil {
				return nil, err
			}
			state.Taken[f.Name], state.Last, state.LastAt = f.version(), f.Name, f.Modified
			return json.Marshal(state)
		},
		Settled: s.settled(f),
	}
}

// unchanged asks whether a file that was read is what it was before.
func (s *Import) unchanged(f found) error {
	if s.session == nil {
		return nil // it was passed over, or its connection is lost
	}
	info, there, err := s.session.Stat(s.ctx, f.Name)
	if err != nil {
		return err
	}
	if v := (found{Info: info}).version(); there && v != f.version() {
		return &activation.Error{Kind: activation.Unavailable, Code: CodeChanged, Message: "the file changed while it was read; it is read again when it rests"}
	}
	return nil
}

func (s *Import) settled(f found) func(ctx context.Context) error {
	if !s.wanted.remove {
		return nil
	}
	return func(ctx context.Context) error {
		d, err := s.connected(ctx)
		if err != nil {
			return err
		}
		return d.Remove(ctx, f.Name)
	}
}

// Overdue says that no file has come for more than two of its periods.
func (s *Import) Overdue(raw []byte) string {
	state, err := readState(raw)
	if err != nil || s.wanted.every == 0 || state.LastAt.IsZero() || s.now().Sub(state.LastAt) <= 2*s.wanted.every {
		return ""
	}
	return fmt.Sprintf("no new file has come since %s; one is expected %s", state.LastAt.UTC().Format(time.RFC3339), s.wanted.frequency)
}

// ahead is a file that is read in large steps, and whose errors are ours.
type ahead struct {
	*bufio.Reader
	ctx  context.Context
	body io.Closer
}

// Read reads from the file.
func (a *ahead) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, stoppedReading(err)
	}
	n, err := a.Reader.Read(p)
	var own *activation.Error
	if err != nil && err != io.EOF && !errors.As(err, &own) { //nolint:errorlint // a reader returns io.EOF itself
		err = stoppedReading(err)
	}
	return n, err
}

// WriteTo is not that of bufio, which knows no context.
func (a *ahead) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{a})
}

// Close closes the file. What its server says of that changes nothing: all of it
// was read, or it is read again.
func (a *ahead) Close() error {
	_ = a.body.Close()
	return nil
}

func stoppedReading(cause error) error {
	return &activation.Error{Kind: activation.Unavailable, Code: CodeStopped, Message: "stopped before the file was read to its end", Err: cause}
}
