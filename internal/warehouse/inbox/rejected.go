package inbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
)

// Rows that were passed over because droperrors was asked for are kept for
// people to look at: rejected/<load>.ndjson beside the spool, one RejectedRow a
// line, and for what came in real time one file a stream and hour, named by
// HourID. They are no promise: a crash may lose those of the last moments, and a
// file ends at MaxRejectedRows.

// KeepRejected is how long they are kept.
const KeepRejected = 30 * 24 * time.Hour

const (
	// MaxRejectedRows is the most rows of one file.
	MaxRejectedRows = 10_000
	// MaxRejectedText is the most bytes of the text of one row.
	MaxRejectedText = 16 << 10
)

const rejectedSuffix = ".ndjson"

// RejectedRow is a row that was passed over.
type RejectedRow struct {
	Line   int64  `json:"line"`
	Column int    `json:"column,omitempty"`
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	// Text is the row as it was sent; bytes that are no UTF-8 are replaced.
	Text string `json:"text"`
	// Cut says that the text was longer.
	Cut bool `json:"cut,omitempty"`
}

// rejectedFiles is what the files of rejected rows need in memory.
type rejectedFiles struct {
	dir string
	mu  sync.Mutex // held by whoever changes a file that is named
	// rows counts those of the file that was appended to last.
	last string
	rows int
}

// Rejects collects the rejected rows of one request. One goroutine uses it.
type Rejects struct {
	files *rejectedFiles
	id    string
	file  *os.File
	w     *bufio.Writer
	rows  int
	named bool
}

// NewRejects begins to collect the rejected rows of a load; without rows it
// makes no file.
func (b *Inbox) NewRejects(id string) *Rejects { return &Rejects{files: &b.rejected, id: id} }

// Add keeps a row, up to the bounds.
func (r *Rejects) Add(row RejectedRow, text []byte) error {
	if r.rows >= MaxRejectedRows {
		return nil
	}
	if len(text) > MaxRejectedText {
		text, row.Cut = text[:MaxRejectedText], true
	}
	row.Text = strings.ToValidUTF8(string(text), "\uFFFD")
	if r.file == nil {
		f, err := os.OpenFile(r.path(partSuffix), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return diskError("create file of rejected rows", err)
		}
		r.file, r.w = f, bufio.NewWriter(f)
	}
	r.rows++
	line, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("write rejected row: %w", err)
	}
	if _, err := r.w.Write(append(line, '\n')); err != nil {
		return diskError("write rejected rows", err)
	}
	return nil
}

// Keep makes the rows those of the load. Without a following Add of the load
// call Abort.
func (r *Rejects) Keep() error {
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.w.Flush(), r.file.Close())
	r.file = nil
	if err == nil {
		err = os.Rename(r.path(partSuffix), r.path(rejectedSuffix))
		r.named = err == nil
	}
	if err != nil {
		return diskError("keep rejected rows", err)
	}
	return nil
}

// AppendTo adds the rows to those of another load, and Abort must follow.
func (r *Rejects) AppendTo(id string) error {
	if r.file == nil {
		return nil
	}
	if err := r.w.Flush(); err != nil {
		return diskError("keep rejected rows", err)
	}
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return diskError("keep rejected rows", err)
	}
	if err := r.files.append(id, r.file); err != nil {
		return diskError("keep rejected rows", err)
	}
	return nil
}

// Abort removes whatever was not kept, and what was if the load was not added.
func (r *Rejects) Abort() error {
	var errs []error
	if r.file != nil {
		errs = append(errs, r.file.Close())
		r.file = nil
	}
	if r.rows > 0 {
		errs = append(errs, remove(r.path(partSuffix)))
	}
	if r.named {
		errs = append(errs, remove(r.path(rejectedSuffix)))
	}
	return errors.Join(errs...)
}

func (r *Rejects) path(suffix string) string { return filepath.Join(r.files.dir, r.id+suffix) }

// append adds rows to a file, up to its bound.
func (f *rejectedFiles) append(id string, rows io.Reader) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := filepath.Join(f.dir, id+rejectedSuffix)
	if f.last != id {
		n, err := countLines(path)
		if err != nil {
			return err
		}
		f.last, f.rows = id, n
	}
	if f.rows >= MaxRejectedRows {
		return nil
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := bufio.NewWriter(out)
	in := bufio.NewReader(rows)
	for f.rows < MaxRejectedRows {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
		f.rows++
	}
	return w.Flush()
}

func countLines(path string) (n int, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return bytes.Count(text, []byte("\n")), err
}

// Rejected opens the rejected rows of a load, as NDJSON; ErrNotFound where there
// are none, or none any more.
func (b *Inbox) Rejected(id string) (io.ReadCloser, error) {
	if id == "" || strings.ContainsAny(id, `/\.`) {
		return nil, fmt.Errorf("rejected rows of load %q: %w", id, activation.ErrNotFound)
	}
	f, err := os.Open(filepath.Join(b.rejected.dir, id+rejectedSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("rejected rows of load %q: %w", id, activation.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("rejected rows of load %q: %w", id, err)
	}
	return f, nil
}

// HasRejected reports whether rejected rows of a load are kept.
func (b *Inbox) HasRejected(id string) bool {
	_, err := os.Stat(filepath.Join(b.rejected.dir, filepath.Base(id)+rejectedSuffix))
	return err == nil
}

// PurgeRejected removes the files that nothing was added to since a time, and
// returns how many.
func (b *Inbox) PurgeRejected(before time.Time) (n int, err error) {
	err = b.rejected.each(func(path string, e fs.DirEntry) error {
		at, err := e.Info()
		if err != nil || !at.ModTime().Before(before) {
			return err
		}
		n++
		return remove(path)
	})
	if err != nil {
		return n, fmt.Errorf("purge rejected rows: %w", err)
	}
	return n, nil
}

// RewriteRejected gives every rejected row that is kept to keep and removes those
// for which it returns false. It is for forgetting people.
func (b *Inbox) RewriteRejected(ctx context.Context, keep func(RejectedRow) bool) error {
	err := b.rejected.each(func(path string, _ fs.DirEntry) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b.rejected.last = ""
		return rewriteRejected(path, keep)
	})
	if err != nil {
		return fmt.Errorf("rewrite rejected rows: %w", err)
	}
	return nil
}

// each calls fn for every file that is named, while nobody else changes one.
func (f *rejectedFiles) each(fn func(path string, e fs.DirEntry) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != rejectedSuffix {
			continue
		}
		if err := fn(filepath.Join(f.dir, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func rewriteRejected(path string, keep func(RejectedRow) bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		var row RejectedRow
		if json.Unmarshal(line, &row) == nil && keep(row) { // a torn line tells nobody anything
			out = append(out, line...)
		}
	}
	if len(out) == len(text) {
		return nil
	}
	// What was taken out must not come back with a power failure.
	if len(out) == 0 {
		return errors.Join(remove(path), syncDir(filepath.Dir(path)))
	}
	if err := writeSynced(path+partSuffix, out); err != nil {
		return err
	}
	if err := os.Rename(path+partSuffix, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// open makes the folder and removes what requests left that were never answered.
func (f *rejectedFiles) open(dir string) error {
	f.dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	parts, err := filepath.Glob(filepath.Join(dir, "*"+partSuffix))
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := remove(p); err != nil {
			return err
		}
	}
	return nil
}
