package ingest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// ErrBadFile is in the chain of an error that comes from what is in a file, not
// from the way to it.
var ErrBadFile = errors.New("the file can't be taken as it is")

// importBytes is how much one load of an import has at most.
const importBytes = 64 << 20

// What an import counts, by pass, beside what becomes of its loads.
const (
	CountPieces    = "pieces"
	CountRows      = "rows"
	CountRejected  = activation.MetricRejected
	CountUnchanged = "unchanged"
	CountDeleted   = activation.MetricDeleted
)

// Import is one file, or some rows of a query, to be taken in once.
type Import struct {
	// Job and Pass say whose state moves and whose counts grow.
	Job, Pass string
	Stream    string
	// Name, Version, ContentType, Open and After are those of a provider.Piece.
	Name, Version, ContentType string
	Open                       func(ctx context.Context) (io.ReadCloser, error)
	After                      func() ([]byte, error)
	// Timestamps are the columns that hold the time of a row, by importance; none =
	// the stream's own.
	Timestamps []string
	DateOrder  string
	Delimiter  string
	// Columns are those of a CSV without a header.
	Columns []string
	// SkipBadRows passes over faulty rows and counts them.
	SkipBadRows bool
	// Diff takes only the rows that were not in the last file.
	Diff bool
	// Between is called when a part of the piece is durable; its error ends the
	// import, which goes on there the next time. nil = nothing.
	Between func(ctx context.Context) error
	// Moved is called as rows are read; nil = nothing.
	Moved func()

	loadRows, loadBytes int64 // 0 = the defaults
}

// Imported is what became of a piece, in this attempt.
type Imported struct {
	// Rows are in; Rejected were faulty; Unchanged were in the last file as they
	// are; Deleted were in the last file and are not in this one.
	Rows, Rejected, Unchanged, Deleted int64
	Reasons                            []RowError
	Columns                            []string
	Loads                              []string
	// Resumed: a part of it was in already.
	Resumed bool
}

// importer is an import under way.
type importer struct {
	c     *Collector
	im    Import
	u     *upload
	seq   int64
	key   []byte
	diff  *differ
	parts bool // what is read becomes durable part by part

	id       string
	spool    *inbox.Spool
	rejected int64 // in loads before this one
	ready    []inbox.Load
	spooled  []*inbox.Spool // those of ready
	kept     []*inbox.Rejects
	out      Imported
}

// Import takes in one piece. Its rows become loads of bounded size, which are
// committed together with the state of the job, so every row counts once,
// whatever crashes.
//
// Where faulty rows are passed over, each load is committed as soon as it is full,
// with the place in the file up to which it goes, and the next attempt goes on
// there as long as Version is the same. Otherwise, and with Diff, all loads of the
// piece are committed at its end: the first faulty row leaves nothing of it.
//
// What is wrong with the piece itself has ErrBadFile in its chain; errors of Open
// and of reading come back as they are. ErrFenced means that the job was reset, or
// that another attempt was faster; nothing more was kept.
func (c *Collector) Import(ctx context.Context, im Import) (Imported, error) {
	defer c.inbox.Reading()()
	p, err := c.newImporter(ctx, im)
	if err != nil {
		return Imported{}, fmt.Errorf("import: %w", err)
	}
	if err := p.run(ctx); err != nil {
		return p.out, fmt.Errorf("import: %w", errors.Join(err, p.abort()))
	}
	return p.out, nil
}

// PassOver moves the state of a job behind a piece that is not taken, and counts
// it under name.
func (c *Collector) PassOver(ctx context.Context, im Import, name string) error {
	state, err := c.inbox.Import(ctx, im.Job)
	if err != nil {
		return fmt.Errorf("pass over a file: %w", err)
	}
	after, err := im.After()
	if err != nil {
		return fmt.Errorf("pass over a file: %w", err)
	}
	if err := c.inbox.CommitImport(ctx, inbox.ImportCommit{
		Job: im.Job, Seq: state.Seq, Pass: im.Pass, Key: newKey(state.Key), Piece: im.Name, Version: im.Version, State: after, Counts: map[string]int64{name: 1},
	}); err != nil {
		return fmt.Errorf("pass over a file: %w", err)
	}
	return nil
}

// newKey is the key of a job's digests: the one it has, else a new one.
func newKey(has []byte) []byte {
	if len(has) > 0 {
		return has
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return key
}

func (c *Collector) newImporter(ctx context.Context, im Import) (*importer, error) {
	u, err := c.prepareImport(ctx, im)
	if err != nil {
		return nil, err
	}
	state, err := c.inbox.Import(ctx, im.Job)
	if err != nil {
		return nil, err
	}
	p := &importer{c: c, im: im, u: u, seq: state.Seq, key: newKey(state.Key), parts: im.SkipBadRows && !im.Diff && im.Version != ""}
	if p.parts {
		position, err := c.inbox.ImportPosition(ctx, im.Job, im.Name, im.Version)
		if err != nil {
			return nil, err
		}
		if position != nil {
			u.from = &place{}
			if err := json.Unmarshal(position, u.from); err != nil {
				return nil, fmt.Errorf("read import position: %w", err)
			}
			p.out.Resumed = true
		}
	}
	if im.Diff {
		if p.diff, err = newDiffer(c.inbox, p.key, state.Digests); err != nil {
			return nil, err
		}
	}
	u.cutRows, u.cutBytes, u.full = orDefault(im.loadRows, c.limits.MaxImportRows), orDefault(im.loadBytes, importBytes), func(at place) error { return p.full(ctx, at) }
	return p, nil
}

func orDefault(n, fallback int64) int64 {
	if n <= 0 {
		return fallback
	}
	return n
}

// prepareImport is prepare with the settings of an import.
func (c *Collector) prepareImport(ctx context.Context, im Import) (*upload, error) {
	r := Request{Stream: im.Stream, DateOrder: im.DateOrder, Delimiter: im.Delimiter, Headers: strings.Join(im.Columns, ","), DropErrors: im.SkipBadRows}
	var more []string
	if len(im.Timestamps) > 0 {
		r.TimestampField, more = im.Timestamps[0], im.Timestamps[1:]
	}
	u, err := c.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	u.timeMore = more
	return u, nil
}

// run reads the piece and makes what it has durable.
func (p *importer) run(ctx context.Context) error {
	if err := p.begin(ctx); err != nil {
		return err
	}
	if err := p.read(ctx); err != nil {
		return err
	}
	if err := p.finishLoad(); err != nil {
		return err
	}
	state, err := p.im.After()
	if err != nil {
		return err
	}
	commit := p.commit(nil)
	commit.State = state
	commit.Counts[CountPieces] = 1
	if p.diff != nil {
		if commit.Digests, err = p.diff.finish(); err != nil {
			return err
		}
		p.out.Unchanged, p.out.Deleted = p.diff.unchanged, p.diff.deleted
		commit.Counts[CountUnchanged], commit.Counts[CountDeleted] = p.out.Unchanged, p.out.Deleted
	}
	if err := p.c.inbox.CommitImport(ctx, commit); err != nil {
		return err
	}
	p.committed(ctx)
	if p.diff != nil {
		return p.diff.close()
	}
	return nil
}

// read reads the body to its end.
func (p *importer) read(ctx context.Context) (err error) {
	body, err := p.im.Open(ctx)
	if err != nil {
		return err
	}
	in := &watched{r: body, moved: p.im.Moved}
	err = p.u.read(ctx, Request{Body: in, ContentType: p.im.ContentType}, p.c.limits.MaxImportBytes)
	closing := body.Close()
	switch {
	case in.err != nil: // whatever was made of it since
		return in.err
	case errors.As(err, &emptyBody{}):
		return nil // a file without a byte has no rows
	case err == nil:
		if closing != nil {
			return fmt.Errorf("close the file: %w", closing)
		}
		return nil
	case activation.KindOf(err) == activation.Invalid && context.Cause(ctx) == nil && !errors.Is(err, errBetween):
		return fmt.Errorf("%w: %w", ErrBadFile, err)
	}
	return err
}

// watched is a body whose errors are kept as they were.
type watched struct {
	r     io.Reader
	moved func()
	err   error
}

// Read reads from the body.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	if n > 0 && w.moved != nil {
		w.moved()
	}
	return n, err
}

// begin opens the spool file of the next load.
func (p *importer) begin(ctx context.Context) error {
	if p.c.room != nil {
		if err := p.c.room(ctx); err != nil {
			return err
		}
	}
	p.id = activation.NewID[string]()
	spool, err := p.c.inbox.NewSpool(p.id)
	if err != nil {
		return err
	}
	p.spool = spool
	p.u.out = newCanonical(spool)
	p.u.rejects = p.c.inbox.NewRejects(p.id)
	p.u.newScratch = func() (scratchFile, error) { return p.c.inbox.NewScratch(p.id) }
	if p.diff == nil {
		return nil
	}
	known := false
	p.u.out.keep = func(row []byte) (bool, error) {
		if !known {
			known = true
			p.diff.columns(p.u.allColumns())
		}
		return p.diff.keep(row)
	}
	return nil
}

// errBetween marks an error of what is done between two parts.
var errBetween = errors.New("stopped between two parts")

// full ends a load within the piece and begins the next.
func (p *importer) full(ctx context.Context, at place) error {
	err := p.finishLoad()
	if err == nil && p.parts {
		err = p.checkpoint(ctx, at)
	}
	if err == nil {
		err = p.begin(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errBetween, err)
	}
	return nil
}

func (p *importer) checkpoint(ctx context.Context, at place) error {
	position, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("write import position: %w", err)
	}
	if err := p.c.inbox.CommitImport(ctx, p.commit(position)); err != nil {
		return err
	}
	p.committed(ctx)
	if p.im.Between == nil {
		return nil
	}
	return p.im.Between(ctx)
}

// commit is what is ready, with its counts.
func (p *importer) commit(position []byte) inbox.ImportCommit {
	counts := map[string]int64{}
	for _, l := range p.ready {
		counts[CountRows] += l.Rows
		counts[CountRejected] += l.Rejected
	}
	return inbox.ImportCommit{
		Job: p.im.Job, Seq: p.seq, Pass: p.im.Pass, Key: p.key, Loads: p.ready, Counts: counts, Piece: p.im.Name, Version: p.im.Version, Position: position,
	}
}

func (p *importer) committed(ctx context.Context) {
	p.seq++
	for _, l := range p.ready {
		p.out.Rows += l.Rows
		p.out.Rejected += l.Rejected
		p.out.Loads = append(p.out.Loads, l.ID)
		p.c.log.InfoContext(ctx, "accepted load of an import", "job_id", p.im.Job, "load_id", l.ID, "stream", l.Stream, "rows", l.Rows, "rejected", l.Rejected)
	}
	p.out.Reasons = p.u.reasons
	p.ready, p.spooled, p.kept = nil, nil, nil
}

// finishLoad makes the present rows a load that is ready to be committed; without
// rows there is one only if some were rejected.
func (p *importer) finishLoad() error {
	u := p.u
	if err := u.out.flush(); err != nil {
		return err
	}
	l := inbox.Load{
		Load:     warehouse.Load{ID: p.id, Stream: p.im.Stream, Columns: u.allColumns(), Rows: u.out.rows, ReceivedAt: time.UnixMicro(u.received).UTC()},
		Rejected: u.rejected - p.rejected, Bytes: p.spool.Bytes(), Filename: p.im.Name, ContentType: u.format.contentType(),
	}
	p.rejected = u.rejected
	p.kept = append(p.kept, u.rejects)
	if err := u.rejects.Keep(); err != nil {
		return err
	}
	u.rejects = nil
	spool := p.spool
	p.spool = nil
	if l.Rows == 0 {
		l.Bytes = 0
		if l.Rejected > 0 {
			p.ready = append(p.ready, l)
		}
		return spool.Abort()
	}
	p.out.Columns = l.Columns
	path, err := spool.Commit()
	if err != nil {
		return errors.Join(err, spool.Abort())
	}
	l.Path = path
	p.ready, p.spooled = append(p.ready, l), append(p.spooled, spool)
	return nil
}

// abort removes what was not committed.
func (p *importer) abort() error {
	var errs []error
	if p.spool != nil {
		errs = append(errs, p.spool.Abort())
	}
	for _, s := range p.spooled {
		errs = append(errs, s.Abort())
	}
	if p.u.rejects != nil {
		errs = append(errs, p.u.rejects.Abort())
	}
	for _, r := range p.kept {
		errs = append(errs, r.Abort())
	}
	if p.diff != nil {
		errs = append(errs, p.diff.close())
	}
	return errors.Join(errs...)
}
