package publishing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/publishing/sheet"
)

const (
	// MaxUploadChanges is how many entries one file may make: they are one transaction.
	MaxUploadChanges = 250_000
	// maxName is how long the name of a file may be in the log.
	maxName = 120
)

// The ways entries come from files.
const (
	sourceUpload = "upload"
	sourceDrop   = "drop"
)

// What the parent of an upload keeps in Entry.Detail.
const (
	detailColumns  = "columns"
	detailFormat   = "format"
	detailRows     = "rows"
	detailSame     = "same"
	detailErrors   = "errors"
	detailProblems = "problems"
)

// Preview says what a file would do, and does nothing. name is what its sender calls
// it.
func (d *Desk) Preview(ctx context.Context, id activation.PublisherID, name string, body io.Reader) (UploadPreview, error) {
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return UploadPreview{}, err
	}
	f, err := d.readFile(ctx, account, body)
	if err != nil {
		return UploadPreview{}, err
	}
	return f.preview(), nil
}

// Upload writes what a file says as one parent with a child for each row that changes
// something, in one transaction. Where a row has an error nothing is written and the
// answer says so, unless skipErrors leaves such rows out. A file that can't be read to
// its end is never taken.
func (d *Desk) Upload(ctx context.Context, id activation.PublisherID, name string, body io.Reader, send activation.Send, skipErrors bool, user string) (UploadPreview, error) {
	return d.upload(ctx, id, name, body, skipErrors, writing{send: send, origin: activation.OriginUser, source: sourceUpload, user: user, audit: auditUpload})
}

func (d *Desk) upload(ctx context.Context, id activation.PublisherID, name string, body io.Reader, skipErrors bool, w writing) (UploadPreview, error) {
	if err := checkSend(w.send); err != nil {
		return UploadPreview{}, err
	}
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return UploadPreview{}, err
	}
	kept, err := keep(body)
	if err != nil {
		return UploadPreview{}, err
	}
	defer kept.close()
	var out UploadPreview
	err = d.again(func() error {
		text, err := kept.begin()
		if err != nil {
			return err
		}
		f, err := d.readFile(ctx, account, text)
		if err != nil {
			return err
		}
		out = f.preview()
		if f.broken || f.result.Errors > 0 && !skipErrors {
			return nil
		}
		w := w
		w.parent = f.parent(account, name, w)
		written, err := d.write(ctx, account, f.plans, w)
		if err == nil && len(written) > 0 {
			out.Parent, out.Entries = written[0].Parent, written[:min(len(written), maxEntries)]
		}
		return err
	})
	return out, err
}

// fileRead is a file that was read and planned.
type fileRead struct {
	*rowReader
	format string
	header []string
	rows   int64
	// broken: the file can't be read, or not to its end.
	broken bool
	// cells are those of the rows in hand, left those of rows with an error, by row, up
	// to maxLeft bytes.
	cells, left map[int][]string
	leftBytes   int
}

// maxLeft is how many bytes of cells are kept of the rows that an upload leaves out.
const maxLeft = 256 << 10

// leftOut is a problem of an upload as its parent keeps it, with the cells of its row.
type leftOut struct {
	Problem
	Cells []string `json:"cells,omitempty"`
}

// keepLeft keeps the cells of rows that have a problem.
func (f *fileRead) keepLeft(problems []Problem) {
	for _, p := range problems {
		cells := f.cells[p.Row]
		if cells == nil || f.left[p.Row] != nil {
			continue
		}
		size := 0
		for _, c := range cells {
			size += len(c)
		}
		if f.leftBytes += size; f.leftBytes > maxLeft {
			f.leftBytes -= size
			continue
		}
		if f.left == nil {
			f.left = map[int][]string{}
		}
		f.left[p.Row] = cells
	}
	f.cells = nil
}

// leftOut are the problems with the cells of their rows, those once for each row.
func (f *fileRead) leftOut() []leftOut {
	out := make([]leftOut, len(f.result.Problems))
	told := map[int]bool{}
	for i, p := range f.result.Problems {
		if out[i].Problem = p; !told[p.Row] {
			told[p.Row] = true
			out[i].Cells = f.left[p.Row]
		}
	}
	return out
}

// readFile reads a file whole and plans its rows. Its error is for what is no fault of
// the file.
func (d *Desk) readFile(ctx context.Context, account activation.PublisherAccount, body io.Reader) (*fileRead, error) {
	p, err := d.newPlanner(account, true)
	if err != nil {
		return nil, err
	}
	f := &fileRead{rowReader: &rowReader{planner: p}}
	s, err := sheet.NewReader(body)
	if err != nil {
		return f, f.fault(err)
	}
	f.format, f.header = s.Format(), s.Header()
	if problems := f.layout.read(p.pub, f.header); len(problems) > 0 {
		for _, one := range problems {
			f.tell(one)
		}
		f.result.Errors, f.broken = int64(len(problems)), true
		return f, nil
	}
	for !f.broken {
		before := len(f.result.Problems)
		rows, more, err := f.some(s)
		if err != nil {
			return nil, err
		}
		if err := f.planAll(ctx, rows); err != nil {
			return nil, err
		}
		slices.SortStableFunc(f.result.Problems[before:], func(a, b Problem) int { return a.Row - b.Row })
		f.keepLeft(f.result.Problems[min(before, len(f.result.Problems)):])
		if !more {
			break
		}
	}
	if f.rows == 0 && f.result.Errors == 0 {
		f.refuse(Problem{Index: -1, Code: CodeFile, Message: "the file has no row below its header"})
	}
	return f, nil
}

// some reads the next rows of a file; more is false at its end.
func (f *fileRead) some(s *sheet.Reader) (rows []*fileRow, more bool, err error) {
	for len(rows) < planChunk {
		row, err := s.Next()
		if errors.Is(err, io.EOF) {
			return rows, false, nil
		}
		if err != nil {
			if err := f.fault(err); err != nil {
				return nil, false, err
			}
			if f.broken {
				return rows, false, nil
			}
			continue
		}
		f.rows++
		if f.cells == nil {
			f.cells = make(map[int][]string, planChunk)
		}
		f.cells[row.Number] = slices.Clone(row.Cells)
		if parsed := f.parse(row.Number, row.Cells); parsed != nil {
			rows = append(rows, parsed)
		}
	}
	return rows, true, nil
}

func (f *fileRead) planAll(ctx context.Context, rows []*fileRow) error {
	if err := f.prefetch(ctx, rows); err != nil {
		return err
	}
	for _, row := range rows {
		if err := f.plan(ctx, row); err != nil {
			return err
		}
		if len(f.plans) > MaxUploadChanges {
			f.refuse(Problem{Index: -1, Row: row.number, Code: CodeFile, Message: fmt.Sprintf("the file makes more than %d changes: cut it into several", MaxUploadChanges)})
			return nil
		}
	}
	return nil
}

// fault notes what is wrong with a file or one of its rows; what is no fault of the
// file is returned.
func (f *fileRead) fault(err error) error {
	var e *sheet.Error
	if !errors.As(err, &e) {
		return err
	}
	if !e.End {
		f.rows++
		f.count++
		f.result.Errors++
		f.tell(Problem{Index: f.count - 1, Row: e.Row, Column: e.Column, Code: CodeFile, Message: e.Message})
		return nil
	}
	f.refuse(Problem{Index: -1, Row: e.Row, Column: e.Column, Code: CodeFile, Message: e.Message})
	return nil
}

// refuse says why the whole file is not taken.
func (f *fileRead) refuse(p Problem) {
	f.broken = true
	f.result.Errors++
	if len(f.result.Problems) >= maxProblems {
		f.result.Problems = f.result.Problems[:maxProblems-1] // why it is refused is told in any case
	}
	f.tell(p)
}

func (f *fileRead) preview() UploadPreview {
	out := UploadPreview{EditResult: f.result, Rows: f.rows, Format: f.format, Sample: f.sample}
	for _, c := range f.layout.columns {
		out.Columns = append(out.Columns, UploadColumn{Header: c.header, Field: c.means()})
	}
	return out
}

// parent is the entry that stands for the file.
func (f *fileRead) parent(account activation.PublisherAccount, name string, w writing) *activation.Entry {
	name = short(path.Base("/"+strings.ReplaceAll(name, `\`, "/")), maxName)
	if name == "/" || name == "." {
		name = "upload"
	}
	r := f.result
	e := &activation.Entry{
		Publisher: account.ID, Origin: w.origin, By: w.user, Source: w.source, Operation: activation.OpUpload, ObjectName: name,
		Text:   fmt.Sprintf("Upload %s: %s, %s, %s", quoted(name), count(r.Adds, "add"), count(r.Edits, "edit"), count(r.Deletes, "delete")),
		Detail: map[string]string{detailFormat: f.format, detailRows: strconv.FormatInt(f.rows, 10), detailColumns: encoded(f.header)},
	}
	if r.Same > 0 {
		e.Detail[detailSame] = strconv.FormatInt(r.Same, 10)
	}
	if r.Errors > 0 {
		e.Detail[detailErrors] = strconv.FormatInt(r.Errors, 10)
		e.Detail[detailProblems] = encoded(f.leftOut())
	}
	return e
}

// encoded is v as JSON; what is stored so are texts and numbers.
func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// keptFile is a body that may be read again. It lies in a file that has no name any
// more where the system allows that, so that nothing of it stays behind a crash.
type keptFile struct{ file *os.File }

func keep(body io.Reader) (*keptFile, error) {
	f, err := os.CreateTemp("", "usher-upload-*")
	if err != nil {
		return nil, fmt.Errorf("keep the file: %w", err)
	}
	_ = os.Remove(f.Name()) // again when it is closed, where it can't be done now
	k := &keptFile{f}
	if _, err := io.Copy(f, io.LimitReader(body, sheet.MaxBytes+1)); err != nil {
		k.close()
		return nil, fmt.Errorf("read the file: %w", err)
	}
	return k, nil
}

func (k *keptFile) begin() (io.Reader, error) {
	if _, err := k.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the kept file: %w", err)
	}
	return k.file, nil
}

func (k *keptFile) close() {
	_ = k.file.Close()
	_ = os.Remove(k.file.Name())
}
