package paid_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/ingest"
	"usher/internal/paid"
	"usher/internal/store"
	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/inbox"
)

// control is the control store of these tests, and what delivery is asked for.
type control struct {
	targets      []activation.Target
	jobs         map[activation.JobID]activation.Job
	destinations map[activation.DestinationID]activation.Destination
	pushed       []string
}

func (c *control) Targets(_ context.Context, f store.TargetFilter) ([]activation.Target, error) {
	return slices.DeleteFunc(slices.Clone(c.targets), func(t activation.Target) bool { return t.Stream != f.Stream }), nil
}

func (c *control) Job(_ context.Context, id activation.JobID) (activation.Job, error) {
	j, ok := c.jobs[id]
	if !ok {
		return j, activation.ErrNotFound
	}
	return j, nil
}

func (c *control) Destination(_ context.Context, id activation.DestinationID) (activation.Destination, error) {
	return c.destinations[id], nil
}

func (c *control) Push(_ context.Context, id activation.DestinationID, p activation.Period, dry bool, user string) ([]delivery.Pushed, error) {
	c.pushed = append(c.pushed, fmt.Sprintf("%s %s %s %v %s", id, p.From.Format(time.DateOnly), p.Until.Format(time.DateOnly), dry, user))
	return []delivery.Pushed{{Target: "t"}}, nil
}

// declarer declares as the catalog does.
type declarer struct {
	w     warehouse.Ingest
	times int
}

func (d *declarer) Declare(ctx context.Context, add warehouse.Schema, _ string) ([]string, error) {
	d.times++
	s, err := d.w.Schema(ctx)
	if err != nil {
		return nil, err
	}
	s.Streams = append(slices.DeleteFunc(s.Streams, func(x warehouse.Stream) bool {
		return slices.ContainsFunc(add.Streams, func(y warehouse.Stream) bool { return x.Name == y.Name })
	}), add.Streams...)
	s.Mappings = append(s.Mappings, add.Mappings...)
	return d.w.Apply(ctx, s)
}

// plant is the real path of a response: collector, inbox, merger and DuckDB.
type plant struct {
	*paid.Paid
	*control
	db       *duckdb.DB
	declarer *declarer
	log      *bytes.Buffer
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	dir := t.TempDir()
	db, err := duckdb.Open(t.Context(), duckdb.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inbox.Open(t.Context(), inbox.Config{Dir: filepath.Join(dir, "inbox")})
	if err != nil {
		t.Fatal(err)
	}
	merger := ingest.NewMerger(ingest.MergerConfig{Inbox: in, Warehouse: db})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- merger.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, in.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	p := &plant{control: &control{}, db: db, declarer: &declarer{w: db}, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.Paid = paid.New(paid.Config{
		Collector: ingest.NewCollector(ingest.CollectorConfig{Inbox: in, Schema: db, Log: log}), Loads: merger, Schema: db, Catalog: p.declarer,
		Store: p.control, Delivery: p.control, Log: log, Await: time.Minute,
	})
	if _, err := db.Apply(t.Context(), warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
			{Name: "number", Type: warehouse.Integer, Merge: warehouse.Latest, Rank: 3},
		},
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// capture stores responses and returns what of the answer is the same each time.
func (p *plant) capture(t *testing.T, all ...paid.Response) paid.Captured {
	t.Helper()
	got, err := p.CaptureAll(t.Context(), all, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.EventIDs) != len(all) || !got.Settled || got.Stored != int64(len(all)) {
		t.Errorf("the answer is %+v", got)
	}
	return got
}

// stored returns the messages of the stream, by event id.
func (p *plant) stored(t *testing.T) map[string]warehouse.Message {
	t.Helper()
	all, err := p.db.Messages(t.Context(), paid.Stream, 1000)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]warehouse.Message{}
	for _, m := range all {
		if id := m.Values["event_id"]; out[id].Values != nil {
			t.Errorf("two messages have the event id %q", id)
		}
		out[m.Values["event_id"]] = m
	}
	return out
}

func TestStoredOnce(t *testing.T) {
	p := newPlant(t)
	r := paid.Response{CustomerID: "c-1", AdSet: "7", Value: "49.90", Currency: "EUR", EventID: "order-1"}
	if got := p.capture(t, r); got.Repeated+got.Corrected+got.Unidentified != 0 || got.EventIDs[0] != "order-1" {
		t.Errorf("the first answer is %+v", got)
	}
	if got := p.capture(t, r); got.Repeated != 1 || got.Corrected != 0 {
		t.Errorf("told again the answer is %+v", got)
	}
	first := p.stored(t)["order-1"]
	if want := map[string]string{"customer_id": "c-1", "adset_id": "7", "event_id": "order-1", "event_name": "Purchase", "value": "49.90", "currency": "EUR"}; !reflect.DeepEqual(first.Values, want) {
		t.Errorf("what is stored is %v, want %v", first.Values, want)
	}
	r.Value = "59.90"
	if got := p.capture(t, r); got.Corrected != 1 || got.Repeated != 0 || p.stored(t)["order-1"].Values["value"] != "59.90" {
		t.Errorf("corrected the answer is %+v", got)
	}
	// The same moment in other words is the same.
	r = paid.Response{CustomerID: "c-1", AdSet: "7", EventID: "order-2", Time: time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}
	p.capture(t, r)
	at, err := time.Parse(time.RFC3339, r.Time)
	if err != nil {
		t.Fatal(err)
	}
	r.Time = at.In(time.FixedZone("", 7200)).Format(time.RFC3339)
	if got := p.capture(t, r); got.Repeated != 1 {
		t.Errorf("in other words the answer is %+v", got)
	}
	if m := p.stored(t)["order-2"]; !m.MessageTime.Equal(at) {
		t.Errorf("it happened at %s, and its message at %s", at, m.MessageTime)
	}
	if p.declarer.times != 1 {
		t.Errorf("the stream was declared %d times", p.declarer.times)
	}
}

// TestUnknownCustomerIsKept: a customer whom nobody knew is one with that
// identifier, and what is learnt later joins it.
func TestUnknownCustomerIsKept(t *testing.T) {
	p := newPlant(t)
	p.capture(t, paid.Response{CustomerID: "c-9", ExternalAudience: "a"}, paid.Response{CustomerID: "c-9", AdSet: "b", Time: "2026-01-01T00:00:00Z"}, paid.Response{CustomerID: "c-8", AdSet: "b"})
	found, err := p.db.Find(t.Context(), "customer", "c-9")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"customer": "c-9"}; !reflect.DeepEqual(found.Values, want) {
		t.Errorf("of the customer is known %v, want %v", found.Values, want)
	}
	if n, err := p.db.CountProfiles(t.Context()); n != 2 || err != nil {
		t.Errorf("there are %d people, %v", n, err)
	}
	if got := p.stored(t); len(got) != 3 {
		t.Errorf("there are %d messages", len(got))
	}
	if log := p.log.String(); strings.Contains(log, "c-9") {
		t.Errorf("the log tells of a customer: %s", log)
	}
}

// TestCustomerField: a response finds its customer by the field that is set, and
// says so when the id can be nobody's.
func TestCustomerField(t *testing.T) {
	p := newPlant(t)
	p.Paid.CustomerField = "number"
	if got := p.capture(t, paid.Response{CustomerID: "12", AdSet: "a"}, paid.Response{CustomerID: "twelve", AdSet: "a"}); got.Unidentified != 1 {
		t.Errorf("the answer is %+v", got)
	}
	if _, err := p.db.Find(t.Context(), "number", "12"); err != nil {
		t.Error(err)
	}
	p.Paid.CustomerField = "shoe_size"
	if _, err := p.Capture(t.Context(), paid.Response{CustomerID: "12", AdSet: "a"}, "ann"); activation.CodeOf(err) != "SCHEMA" || activation.KindOf(err) != activation.Invalid {
		t.Errorf("a field that is none: %v", err)
	}
}

// TestMappingOfPeopleStays: who leads responses to customers in another way is
// not overruled.
func TestMappingOfPeopleStays(t *testing.T) {
	p := newPlant(t)
	if _, err := p.declarer.Declare(t.Context(), warehouse.Schema{
		Streams:  []warehouse.Stream{{Name: paid.Stream}}, // without message ids
		Mappings: []warehouse.Mapping{{Stream: paid.Stream, Field: "email", Expression: "lower(customer_id)"}},
	}, "ann"); err != nil {
		t.Fatal(err)
	}
	r := paid.Response{CustomerID: "Ann@Example.com", AdSet: "a", EventID: "e"}
	p.capture(t, r)
	if got := p.capture(t, r); got.Repeated != 1 {
		t.Errorf("told again the answer is %+v", got)
	}
	if _, err := p.db.Find(t.Context(), "email", "ann@example.com"); err != nil {
		t.Error(err)
	}
	if _, err := p.db.Find(t.Context(), "customer", "Ann@Example.com"); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("the mapping of the customer field was added: %v", err)
	}
}

func TestSentTo(t *testing.T) {
	p := newPlant(t)
	if got := p.capture(t, paid.Response{CustomerID: "c", AdSet: "a"}); got.Note != "stored, not sent" || len(got.SentTo) != 0 {
		t.Errorf("without a job the answer is %+v", got)
	}
	p.jobs = map[activation.JobID]activation.Job{}
	p.destinations = map[activation.DestinationID]activation.Destination{"on": {ID: "on", Name: "Shop", Enabled: true}, "off": {ID: "off", Name: "Off"}}
	for _, s := range activation.JobStates {
		p.jobs[activation.JobID(s)] = activation.Job{ID: activation.JobID(s), State: s}
		p.targets = append(p.targets, activation.Target{Stream: paid.Stream, Destination: "on", Job: activation.JobID(s)})
	}
	p.targets = append(p.targets,
		activation.Target{Stream: paid.Stream, Destination: "off", Job: "runnable"}, activation.Target{Stream: "orders", Destination: "on", Job: "runnable"},
		activation.Target{Stream: paid.Stream, Destination: "on", Job: "deleted"}, activation.Target{Stream: paid.Stream, Destination: "on"},
		activation.Target{Stream: paid.Stream, Destination: "on", Job: "runnable", Release: activation.EndKeep})
	got := p.capture(t, paid.Response{CustomerID: "c", AdSet: "a"})
	if want := []paid.SentTo{{"on", "Shop", "paused"}, {"on", "Shop", "runnable"}, {"on", "Shop", "sleeping"}}; !reflect.DeepEqual(got.SentTo, want) || got.Note != "" {
		t.Errorf("got %+v, want %+v", got.SentTo, want)
	}
}

// TestAllOrNone: one wrong response keeps all of a call from being stored, and
// the error names each wrong field and no value.
func TestAllOrNone(t *testing.T) {
	p := newPlant(t)
	_, err := p.CaptureAll(t.Context(), []paid.Response{{CustomerID: "c", AdSet: "a"}, {CustomerID: "secret\n1", Value: "secret"}}, "ann")
	var many interface{ Each() []*activation.Error }
	if !errors.As(err, &many) || activation.KindOf(err) != activation.Invalid || strings.Contains(err.Error(), "secret") {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, e := range many.Each() {
		fields = append(fields, e.Field)
	}
	if want := []string{"responses[1].CustomerID", "responses[1].Adset_id", "responses[1].value", "responses[1].currency"}; !slices.Equal(fields, want) {
		t.Errorf("got %q, want %q", fields, want)
	}
	_, err = p.Capture(t.Context(), paid.Response{CustomerID: "c"}, "ann")
	if !errors.As(err, &many) || many.Each()[0].Field != "Adset_id" {
		t.Errorf("one alone: %v", err)
	}
	for _, n := range []int{0, 1001} {
		if _, err := p.CaptureAll(t.Context(), make([]paid.Response, n), "ann"); activation.KindOf(err) != activation.Invalid || !strings.Contains(activation.SafeMessage(err), "1000") {
			t.Errorf("%d responses: %v", n, err)
		}
	}
	if streams, err := p.db.Streams(t.Context()); err != nil || len(streams) > 0 {
		t.Errorf("something was stored or declared: %v, %v", streams, err)
	}
}

// slow is a merger that does not come to a load.
type slow struct{ err error }

func (s slow) Wait(ctx context.Context, _ string) (inbox.Load, error) {
	if s.err != nil {
		return inbox.Load{}, s.err
	}
	<-ctx.Done()
	return inbox.Load{}, context.Cause(ctx)
}

type collector struct{ err error }

func (c collector) JSON(context.Context, ingest.Request) (ingest.Summary, error) {
	return ingest.Summary{LoadID: "l"}, c.err
}

// declared is a schema that has all it needs.
type declared struct{}

func (declared) Schema(context.Context) (warehouse.Schema, error) {
	return warehouse.Schema{
		Fields:   []warehouse.Field{{Name: "customer", Rank: 1}},
		Streams:  []warehouse.Stream{{Name: paid.Stream, MessageID: []string{"event_id"}}},
		Mappings: []warehouse.Mapping{{Stream: paid.Stream, Field: "customer", Expression: "customer_id"}},
	}, nil
}

// TestAnswerDoesNotWaitForEver: what is durable is answered, merged or not; what
// is not durable is an error.
func TestAnswerDoesNotWaitForEver(t *testing.T) {
	full := errors.New("disk full")
	for _, c := range []struct {
		name     string
		await    time.Duration
		merging  slow
		storing  collector
		want     time.Duration
		wantFail error
	}{
		{"by default", 0, slow{}, collector{}, 2 * time.Second, nil},
		{"not at all", -1, slow{}, collector{}, 0, nil},
		{"the load has failed", 0, slow{errors.New("no such column")}, collector{}, 0, nil},
		{"not stored", 0, slow{}, collector{full}, 0, full},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := paid.New(paid.Config{Collector: c.storing, Loads: c.merging, Schema: declared{}, Store: &control{}, Await: c.await})
				began := time.Now()
				got, err := p.Capture(t.Context(), paid.Response{CustomerID: "c", AdSet: "a"}, "ann")
				if took := time.Since(began); took != c.want || !errors.Is(err, c.wantFail) {
					t.Errorf("after %s the answer is %+v, %v", took, got, err)
				}
				if err == nil && (got.Settled || got.Stored != 1) {
					t.Errorf("the answer is %+v", got)
				}
			})
		})
	}
}

func TestHistory(t *testing.T) {
	c := &control{}
	p := paid.New(paid.Config{Delivery: c})
	period := activation.Period{From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	got, err := p.History(t.Context(), "d", period, true, "ann")
	if err != nil || len(got) != 1 || !slices.Equal(c.pushed, []string{"d 2026-01-01 2026-02-01 true ann"}) {
		t.Errorf("got %v, %v and %q", got, err, c.pushed)
	}
	_, err = p.History(t.Context(), "", activation.Period{}, false, "ann")
	var many interface{ Each() []*activation.Error }
	if !errors.As(err, &many) || len(many.Each()) != 3 || len(c.pushed) != 1 {
		t.Errorf("got %v", err)
	}
}
