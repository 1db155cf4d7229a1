package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// SchemaReader tells what is declared. warehouse.Ingest is one.
type SchemaReader interface {
	Schema(ctx context.Context) (warehouse.Schema, error)
}

// CollectorConfig is what a Collector needs.
type CollectorConfig struct {
	Inbox  *inbox.Inbox
	Schema SchemaReader
	Limits Limits
	Log    *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Room returns an error while there is no room for uploads; nil = always.
	Room func(ctx context.Context) error
}

// Collector accepts uploads. Its methods may be called from any goroutine; each
// call holds well under 2 MB of memory whatever the size of the body.
type Collector struct {
	inbox  *inbox.Inbox
	schema SchemaReader
	limits Limits
	log    *slog.Logger
	now    func() time.Time
	room   func(ctx context.Context) error
}

// NewCollector returns a Collector.
func NewCollector(cfg CollectorConfig) *Collector {
	c := &Collector{inbox: cfg.Inbox, schema: cfg.Schema, limits: cfg.Limits.WithDefaults(), log: cfg.Log, now: cfg.Now, room: cfg.Room}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// Request is one upload.
type Request struct {
	Stream string
	Body   io.Reader
	// ContentType is the header; empty and generic ones are told by looking.
	ContentType string
	// ContentEncoding is the header: gzip or nothing. Gzip is also told by looking.
	ContentEncoding string
	// ContentLength is how many bytes the sender promised; 0 or less = none.
	ContentLength int64
	// DryRun checks everything and keeps nothing.
	DryRun bool
	// TimestampField overrides the stream's.
	TimestampField string
	// DateOrder overrides the stream's: mdy, dmy or ymd.
	DateOrder string
	// Headers is the comma list of columns of a CSV that has no header.
	Headers string
	// Delimiter is the character between the values of a CSV, t for a tab; "" = comma.
	Delimiter string
	// Append is a JSON object of values added to every row.
	Append string
	// DropErrors passes over faulty rows and counts them.
	DropErrors bool
	// Rejected is told each row that is passed over; may be nil.
	Rejected func(RowError)
	// Filename is the sender's own name of the upload, for the history.
	Filename string
	// Alone makes a load of its own of what comes in real time, so that it can be
	// waited for and its result be told. It costs a merge.
	Alone bool
}

// Summary is what became of an upload.
type Summary struct {
	MessageCount   int64  `json:"message_count"` // rows kept
	RejectedCount  int64  `json:"rejected_count"`
	ContentType    string `json:"content-type"` // as found, not as declared
	DropErrors     bool   `json:"droperrors"`
	DryRun         bool   `json:"dryrun"`
	TimestampField string `json:"timestamp_field"`
	Filename       string `json:"filename"`
	// FirstReasons tells the first 20 rejected rows.
	FirstReasons []RowError `json:"first_reasons,omitempty"`
	// Columns are the columns found, those of append included.
	Columns []string `json:"columns"`
	// LoadID names the load to wait for; empty for a dry run, and for what came in
	// real time and is merged together with others.
	LoadID string `json:"load_id,omitempty"`
}

// maxReasons is how many rejected rows are told one by one.
const maxReasons = 20

// Bulk takes in one body of any format. When it returns without an error (and
// it was no dry run), the rows are durable and will be merged exactly once;
// otherwise nothing of the request is kept. What is wrong with the body or the
// request is an Invalid error; a *RowError in its chain tells the place.
func (c *Collector) Bulk(ctx context.Context, r Request) (Summary, error) {
	defer c.inbox.Reading()()
	s, err := c.take(ctx, r, c.limits.MaxBatchBytes)
	if err != nil {
		return Summary{}, fmt.Errorf("collect: %w", err)
	}
	return s, nil
}

func (c *Collector) take(ctx context.Context, r Request, limit int64) (Summary, error) {
	u, err := c.prepare(ctx, r)
	if err != nil {
		return Summary{}, err
	}
	if r.DryRun {
		u.out = newCanonical(io.Discard)
		if err := u.read(ctx, r, limit); err != nil {
			return Summary{}, err
		}
		return u.summary(r), nil
	}
	if c.room != nil {
		if err := c.room(ctx); err != nil {
			return Summary{}, err
		}
	}
	id := activation.NewID[string]()
	spool, err := c.inbox.NewSpool(id)
	if err != nil {
		return Summary{}, err
	}
	u.out = newCanonical(spool)
	u.newScratch = func() (scratchFile, error) { return c.inbox.NewScratch(id) }
	u.rejects = c.inbox.NewRejects(id)
	if err := c.store(ctx, r, u, spool, id, limit); err != nil {
		return Summary{}, errors.Join(err, spool.Abort(), u.rejects.Abort())
	}
	s := u.summary(r)
	s.LoadID = id
	c.log.InfoContext(ctx, "accepted load", "load_id", id, "stream", r.Stream, "rows", s.MessageCount, "rejected", s.RejectedCount, "bytes", spool.Bytes())
	return s, nil
}

// store reads the body into the spool and then makes it a load: first the file
// is durable, then the inbox names it.
func (c *Collector) store(ctx context.Context, r Request, u *upload, spool *inbox.Spool, id string, limit int64) error {
	if err := u.read(ctx, r, limit); err != nil {
		return err
	}
	l := inbox.Load{
		Load:     warehouse.Load{ID: id, Stream: r.Stream, Columns: u.allColumns(), Rows: u.out.rows, ReceivedAt: time.UnixMicro(u.received).UTC()},
		Rejected: u.rejected, Bytes: spool.Bytes(), Filename: r.Filename, ContentType: u.format.contentType(),
	}
	if l.Rows == 0 {
		if err := spool.Abort(); err != nil {
			return err
		}
		return c.add(ctx, u, l)
	}
	path, err := spool.Commit()
	if err != nil {
		return err
	}
	l.Path = path
	return c.add(ctx, u, l)
}

// add makes the inbox name the load, and the rejected rows the load's.
func (c *Collector) add(ctx context.Context, u *upload, l inbox.Load) error {
	if err := u.rejects.Keep(); err != nil {
		return err
	}
	return c.inbox.Add(ctx, l)
}

// prepare checks the request against the stream's declaration.
func (c *Collector) prepare(ctx context.Context, r Request) (*upload, error) {
	if !ValidName(r.Stream) {
		return nil, invalid("stream", "a stream's name is up to 63 lower-case letters, digits and underscores and begins with a letter")
	}
	delim, err := parseDelimiter(r.Delimiter)
	if err != nil {
		return nil, err
	}
	extra, err := parseAppend(r.Append)
	if err != nil {
		return nil, err
	}
	schema, err := c.schema.Schema(ctx)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	var s warehouse.Stream
	if i := slices.IndexFunc(schema.Streams, func(s warehouse.Stream) bool { return s.Name == r.Stream }); i >= 0 {
		s = schema.Streams[i]
	}
	now := c.now()
	u := &upload{
		limits: c.limits, delim: delim, headers: r.Headers, extra: extra, drop: r.DropErrors, tell: r.Rejected,
		timeName: cmp.Or(r.TimestampField, s.TimestampField), order: dateOrder(cmp.Or(r.DateOrder, s.DateOrder)),
		received: now.UnixMicro(), latest: now.Add(c.limits.MaxAhead).UnixMicro(),
		required: slices.Clone(s.MessageID),
	}
	if s.ReferenceKey != "" {
		u.required = append(u.required, s.ReferenceKey)
	}
	if !u.order.valid() {
		return nil, invalid("date_order", "date_order is mdy, dmy or ymd")
	}
	return u, u.fixTime()
}
