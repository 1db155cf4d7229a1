package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// JSON is Bulk for small bodies that come in real time, which must be JSON. Many
// requests share one sync of the disk, and their rows are merged together, ahead
// of uploads and within a second where the server keeps up. While too much waits,
// it is an error of the kind WaitUntil and nothing is kept.
func (c *Collector) JSON(ctx context.Context, r Request) (Summary, error) {
	if r.ContentType == "" || r.ContentType == "application/x-www-form-urlencoded" {
		r.ContentType = string(formatArray)
	}
	if d, err := parseContentType(r.ContentType); err == nil && d == declaresCSV {
		return Summary{}, fmt.Errorf("collect: %w", errNotJSON())
	}
	defer c.inbox.Reading()()
	s, err := c.live(ctx, r)
	if err != nil {
		return Summary{}, fmt.Errorf("collect: %w", err)
	}
	return s, nil
}

func errNotJSON() error {
	return invalid("content-type", "this route takes JSON; send CSV to the bulk route")
}

func (c *Collector) live(ctx context.Context, r Request) (Summary, error) {
	u, err := c.prepare(ctx, r)
	if err != nil {
		return Summary{}, err
	}
	u.live = true
	if r.DryRun {
		u.out = newCanonical(io.Discard)
		if err := u.read(ctx, r, c.limits.MaxSmallBytes); err != nil {
			return Summary{}, err
		}
		return u.summary(r), nil
	}
	if c.room != nil {
		if err := c.room(ctx); err != nil {
			return Summary{}, err
		}
	}
	if err := c.inbox.HasRoom(c.limits.room()); err != nil {
		return Summary{}, err
	}
	l := liveLoad{c: c, u: u, id: activation.NewID[string]()}
	u.rejects = c.inbox.NewRejects(l.id)
	s, err := l.take(ctx, r)
	if err != nil {
		return Summary{}, errors.Join(err, l.abort())
	}
	return s, u.rejects.Abort()
}

// liveLoad is one request that comes in real time.
type liveLoad struct {
	c     *Collector
	u     *upload
	id    string
	rows  spill
	spool *inbox.Spool // only where the rows are too many to be posted
}

func (l *liveLoad) abort() error {
	errs := []error{l.u.rejects.Abort()}
	if l.spool != nil {
		errs = append(errs, l.spool.Abort())
	}
	return errors.Join(errs...)
}

// take reads the body and makes its rows durable: a posting, or a load with a file
// where they are many.
func (l *liveLoad) take(ctx context.Context, r Request) (Summary, error) {
	l.rows.newFile = func() (scratchFile, error) { return l.c.inbox.NewScratch(l.id) }
	l.u.newScratch = func() (scratchFile, error) { return &l.rows, nil }
	l.u.toSpool = func() (*canonical, error) {
		var err error
		l.spool, err = l.c.inbox.NewSpool(l.id)
		return newCanonical(l.spool), err
	}
	if err := l.u.read(ctx, r, l.c.limits.MaxSmallBytes); err != nil {
		return Summary{}, err
	}
	s := l.u.summary(r)
	if l.spool != nil {
		s.LoadID = l.id
		return s, l.load(ctx, r)
	}
	if r.Alone {
		s.LoadID = l.id
	}
	return s, l.post(ctx, r)
}

// load makes the rows an upload like those of the bulk route.
func (l *liveLoad) load(ctx context.Context, r Request) error {
	path, err := l.spool.Commit()
	if err != nil {
		return err
	}
	if err := l.c.add(ctx, l.u, inbox.Load{
		Load:     warehouse.Load{ID: l.id, Stream: r.Stream, Path: path, Columns: l.u.allColumns(), Rows: l.u.kept(), ReceivedAt: l.received()},
		Rejected: l.u.rejected, Bytes: l.spool.Bytes(), Filename: r.Filename, ContentType: l.u.format.contentType(),
	}); err != nil {
		return err
	}
	// They are the load's now; what follows must not take them away.
	l.u.rejects = l.c.inbox.NewRejects(l.id)
	return nil
}

func (l *liveLoad) post(ctx context.Context, r Request) error {
	p := inbox.Posting{
		Stream: r.Stream, Columns: l.u.allColumns(), Rows: l.u.kept(), Rejected: l.u.rejected,
		Filename: r.Filename, ReceivedAt: l.received(), Body: l.rows.text,
	}
	rejects := inbox.HourID(r.Stream, p.ReceivedAt)
	if r.Alone {
		p.Load, rejects = l.id, l.id
	}
	if len(l.u.extra.names) > 0 {
		var err error
		if p.Body, err = withValues(p.Body, p.Rows, len(l.u.columns), l.u.extra); err != nil {
			return err
		}
	}
	if err := l.c.inbox.Post(ctx, p, l.c.limits.room()); err != nil {
		return err
	}
	// The rows are accepted: what is kept of the others can't change the answer.
	if err := l.u.rejects.AppendTo(rejects); err != nil {
		l.c.log.WarnContext(ctx, "rejected rows are not kept", "stream", r.Stream, "err", err)
	}
	return nil
}

func (l *liveLoad) received() time.Time { return time.UnixMicro(l.u.received).UTC() }

// withValues returns the rows with the appended values as their last columns.
func withValues(rows []byte, n int64, columns int, extra appended) ([]byte, error) {
	out := make([]byte, 0, len(rows)+int(n)*(len(extra.suffix)+4*len(extra.names)))
	values := make([][]byte, columns+len(extra.names))
	in, buf := bytes.NewReader(rows), []byte(nil)
	for range n {
		clear(values)
		line, micros, rest, err := readRow(in, values, buf[:0])
		if err != nil {
			return nil, err
		}
		buf = rest
		for i, name := range extra.names {
			values[columns+i] = extra.values[name]
		}
		out = appendRow(out, line, micros, values)
	}
	return out, nil
}
