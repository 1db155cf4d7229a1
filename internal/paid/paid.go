// Package paid takes in what customers did because of a paid medium, such as a
// purchase after an advertisement (CapturePaidResponse), and has the past of it
// sent to networks.
//
// It owns what a response may say, its stream and who is told of it; keeping it is
// ingest's, sending it is delivery's by an ordinary conversions job. Without such
// a job a response is stored and not sent. It must not put a customer's id or any
// other value of a response into an error or a log line.
//
// It is built for senders that repeat themselves: a response with the same event
// id is stored once, whether its answer was lost or it was queued twice.
package paid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/ingest"
	"usher/internal/store"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// Stream is the stream of the responses.
const Stream = "paid_responses"

// The columns of the stream. ColumnEventID names a message.
const (
	ColumnCustomer = "customer_id"
	ColumnEventID  = "event_id"
	columnTime     = "time"
)

// codeBad is the code of what is wrong with a request.
const codeBad = "BADREQ-001"

// MaxResponses is the most responses of one call.
const MaxResponses = 1000

// Collector accepts uploads. ingest.Collector is one.
type Collector interface {
	JSON(ctx context.Context, r ingest.Request) (ingest.Summary, error)
}

// Loads waits for uploads to be merged. ingest.Merger is one.
type Loads interface {
	// Wait returns a load once it is merged or has failed, or why ctx ended.
	Wait(ctx context.Context, id string) (inbox.Load, error)
}

// Schema tells what is declared. warehouse.Ingest is one.
type Schema interface {
	Schema(ctx context.Context) (warehouse.Schema, error)
}

// Catalog declares streams and mappings and leaves all others as they are.
type Catalog interface {
	Declare(ctx context.Context, add warehouse.Schema, user string) ([]string, error)
}

// Store is what responses need of the control store.
type Store interface {
	Targets(ctx context.Context, f store.TargetFilter) ([]activation.Target, error)
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
}

// Pusher sends the past of conversions. delivery.Delivery is one.
type Pusher interface {
	Push(ctx context.Context, id activation.DestinationID, period activation.Period, dry bool, user string) ([]delivery.Pushed, error)
}

// Config is what Paid is made of.
type Config struct {
	Collector Collector
	Loads     Loads
	Schema    Schema
	Catalog   Catalog
	Store     Store
	Delivery  Pusher
	// CustomerField is the identifier that customers are found by; "" = the
	// strongest one that is declared.
	CustomerField string
	// Await is how long an answer waits for the responses to be merged, which tells
	// repetitions. Default 2 s; below 0 = not at all.
	Await time.Duration
	Log   *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Paid is the use cases of responses. Its methods may be called from any goroutine.
type Paid struct{ Config }

// New returns the use cases.
func New(cfg Config) *Paid {
	if cfg.Await == 0 {
		cfg.Await = 2 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Paid{cfg}
}

// Captured is what became of responses: when there is one, they are durable.
type Captured struct {
	// EventIDs are those of the responses, in order; Usher makes those that are
	// missing.
	EventIDs []string `json:"event_ids"`
	// Stored is how many responses were taken. Repeated of them said nothing new,
	// and Corrected took the place of an earlier one with the same event id.
	Stored    int64 `json:"stored"`
	Repeated  int64 `json:"repeated"`
	Corrected int64 `json:"corrected"`
	// Unidentified is how many have a customer's id that names nobody and can't: it
	// is no value of the customer field, or in the stop-list.
	Unidentified int64 `json:"unidentified"`
	// Settled: Repeated, Corrected and Unidentified are counted. Otherwise the
	// responses still wait to be merged, and the three are 0.
	Settled bool `json:"settled"`
	// SentTo are the destinations that responses are sent to; where there are
	// none, Note says so.
	SentTo []SentTo `json:"sent_to"`
	Note   string   `json:"note,omitempty"`
}

// NotSent is the note where no destination is switched on.
const NotSent = "stored, not sent"

// SentTo is a destination that a living job sends the responses to.
type SentTo struct {
	Destination activation.DestinationID `json:"destination_id"`
	Name        string                   `json:"name"`
	Job         activation.JobID         `json:"job_id"`
}

// Capture stores one response.
func (p *Paid) Capture(ctx context.Context, r Response, user string) (Captured, error) {
	return p.capture(ctx, []Response{r}, func(int) string { return "" }, user)
}

// CaptureAll stores up to MaxResponses. All or, where one of them is wrong, none
// are stored. Where storing fails midway, sending the same again stores the rest.
func (p *Paid) CaptureAll(ctx context.Context, all []Response, user string) (Captured, error) {
	if len(all) == 0 || len(all) > MaxResponses {
		var wrong activation.Problems
		wrong.Add(codeBad, "responses", "must be from 1 to %d, and are %d", MaxResponses, len(all))
		return Captured{}, wrong.Err()
	}
	return p.capture(ctx, all, func(i int) string { return fmt.Sprintf("responses[%d].", i) }, user)
}

// capture stores responses; place is where the fields of each are in the request.
func (p *Paid) capture(ctx context.Context, all []Response, place func(i int) string, user string) (Captured, error) {
	var wrong activation.Problems
	rows := make([]row, len(all))
	now := p.Now()
	for i, r := range all {
		rows[i] = r.check(now, func(field, format string, args ...any) {
			wrong.Add(codeBad, place(i)+field, format, args...)
		})
	}
	if err := wrong.Err(); err != nil {
		return Captured{}, err
	}
	if err := p.declare(ctx); err != nil {
		return Captured{}, err
	}
	out := Captured{EventIDs: make([]string, len(rows))}
	for i, r := range rows {
		out.EventIDs[i] = r.EventID
	}
	var err error
	if out.SentTo, err = p.sentTo(ctx); err != nil {
		return Captured{}, err
	}
	if len(out.SentTo) == 0 {
		out.Note = NotSent
	}
	loads, err := p.collect(ctx, rows)
	if err != nil {
		return Captured{}, err
	}
	out.Stored = int64(len(rows))
	p.Log.InfoContext(ctx, "captured paid responses", "user", user, "responses", len(rows), "destinations", len(out.SentTo))
	p.await(ctx, loads, &out)
	return out, nil
}

// collect stores the rows and returns the loads they are in: those that say their
// time apart from those that happen now, whose time is that of their receipt. (A
// time that Usher made up would make a repetition another message.)
func (p *Paid) collect(ctx context.Context, rows []row) (loads []string, err error) {
	for _, field := range []string{"", columnTime} {
		part := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return (r.Time == "") != (field == "") })
		if len(part) == 0 {
			continue
		}
		body, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("write responses: %w", err)
		}
		s, err := p.Collector.JSON(ctx, ingest.Request{Stream: Stream, Body: bytes.NewReader(body), ContentType: "application/json", TimestampField: field, Alone: true})
		if err != nil {
			return nil, err
		}
		loads = append(loads, s.LoadID)
	}
	return loads, nil
}

// await waits for loads to be merged and counts what was said before. It is no
// error that they are not in time: they are durable and will be.
func (p *Paid) await(ctx context.Context, loads []string, out *Captured) {
	if p.Await < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.Await)
	defer cancel()
	sum := *out
	for _, id := range loads {
		l, err := p.Loads.Wait(ctx, id)
		if err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "waiting for paid responses to be merged", "load_id", id, "error", err)
		}
		if err != nil || l.Status != inbox.Merged {
			return
		}
		sum.Repeated, sum.Corrected, sum.Unidentified = sum.Repeated+l.Result.Duplicates, sum.Corrected+l.Result.Corrected, sum.Unidentified+l.Result.Unidentified
	}
	sum.Settled = true
	*out = sum
}

// declare declares the stream, and what leads from a response to its customer,
// where that has not been done. A mapping that people made stays as it is.
func (p *Paid) declare(ctx context.Context) error {
	s, err := p.Schema.Schema(ctx)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	customer, err := s.Customer(p.CustomerField)
	if err != nil {
		return err
	}
	var add warehouse.Schema
	i := slices.IndexFunc(s.Streams, func(st warehouse.Stream) bool { return st.Name == Stream })
	switch {
	case i < 0:
		add.Streams = []warehouse.Stream{{Name: Stream, MessageID: []string{ColumnEventID}}}
	case !slices.Equal(s.Streams[i].MessageID, []string{ColumnEventID}):
		st := s.Streams[i]
		st.MessageID = []string{ColumnEventID}
		add.Streams = []warehouse.Stream{st}
	}
	identifies := func(m warehouse.Mapping) bool {
		return m.Stream == Stream && slices.ContainsFunc(s.Fields, func(f warehouse.Field) bool { return f.Name == m.Field && f.Rank > 0 })
	}
	if !slices.ContainsFunc(s.Mappings, identifies) {
		add.Mappings = []warehouse.Mapping{{Stream: Stream, Field: customer.Name, Expression: ColumnCustomer}}
	}
	if len(add.Streams)+len(add.Mappings) == 0 {
		return nil
	}
	if _, err := p.Catalog.Declare(ctx, add, "system"); err != nil {
		return fmt.Errorf("declare the stream of paid responses: %w", err)
	}
	return nil
}

// sentTo lists the destinations that are switched on: those to which a job that
// has not ended sends the stream.
func (p *Paid) sentTo(ctx context.Context) ([]SentTo, error) {
	out := []SentTo{}
	targets, err := p.Store.Targets(ctx, store.TargetFilter{Stream: Stream})
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if t.Job == "" || t.Release != "" {
			continue
		}
		j, err := p.Store.Job(ctx, t.Job)
		if errors.Is(err, activation.ErrNotFound) || err == nil && !living(j.State) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d, err := p.Store.Destination(ctx, t.Destination)
		if err != nil {
			return nil, err
		}
		if d.Enabled {
			out = append(out, SentTo{d.ID, d.Name, j.ID})
		}
	}
	slices.SortFunc(out, func(a, b SentTo) int {
		return strings.Compare(a.Name+" "+string(a.Job), b.Name+" "+string(b.Job))
	})
	return out, nil
}

// living reports whether a job in this state sends, now or once it goes on.
func living(s activation.JobState) bool {
	return s == activation.JobRunnable || s == activation.JobSleeping || s == activation.JobPaused
}

// History sends what was captured in a period before the destination's conversions
// jobs began; dry counts it only. Nothing of the past is sent twice.
func (p *Paid) History(ctx context.Context, id activation.DestinationID, period activation.Period, dry bool, user string) ([]delivery.Pushed, error) {
	var wrong activation.Problems
	if id == "" {
		wrong.Add(codeBad, "destination_id", "is needed")
	}
	if period.From.IsZero() {
		wrong.Add(codeBad, "from", "say when the period begins, such as 2026-01-31T00:00:00Z")
	}
	if period.Until.IsZero() {
		wrong.Add(codeBad, "to", "say when the period ends, such as 2026-02-28T00:00:00Z")
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	return p.Delivery.Push(ctx, id, period, dry, user)
}
