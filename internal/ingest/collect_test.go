package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBulkMakesALoad(t *testing.T) {
	b := newBench(t, Limits{})
	b.wh.schema.Streams = []warehouse.Stream{{Name: "orders", TimestampField: "at", DateOrder: "mdy", MessageID: []string{"id"}}}
	s, err := b.Bulk(t.Context(), Request{
		Stream: "orders", Body: body("id,at\n1,5/14/2020\n2,x\n3,5/15/2020\n"), DropErrors: true, Filename: "may.csv", Append: `{"src":"shop"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.MessageCount != 2 || s.RejectedCount != 1 || s.ContentType != "text/csv" || s.TimestampField != "at" || s.Filename != "may.csv" || !s.DropErrors || s.DryRun {
		t.Errorf("summary = %+v", s)
	}
	if len(s.FirstReasons) != 1 || s.FirstReasons[0].Line != 3 || s.FirstReasons[0].Field != "at" {
		t.Errorf("first reasons = %+v", s.FirstReasons)
	}
	l, text := b.spooled(t)
	if want := "2,1589414400000000,1,5/14/2020,shop\n4,1589500800000000,3,5/15/2020,shop\n"; text != want {
		t.Errorf("spool = %q, want %q", text, want)
	}
	if l.ID != s.LoadID || l.Stream != "orders" || l.Rows != 2 || l.Rejected != 1 || !slices.Equal(l.Columns, []string{"id", "at", "src"}) ||
		!l.ReceivedAt.Equal(testNow) || l.Filename != "may.csv" || l.ContentType != "text/csv" || l.Bytes != int64(len(text)) {
		t.Errorf("load = %+v", l)
	}
}

func TestBulkReadsEveryEncoding(t *testing.T) {
	csv := "a,b\n1,2\n"
	for name, r := range map[string]Request{
		"plain":                {Body: body(csv), ContentLength: int64(len(csv))},
		"gzip":                 {Body: body(zipped(t, csv))},
		"gzip declared":        {Body: body(zipped(t, csv)), ContentEncoding: "gzip"},
		"gzip of gzip":         {Body: body(zipped(t, zipped(t, csv))), ContentEncoding: "gzip"},
		"two members":          {Body: body(zipped(t, "a,b\n1") + zipped(t, ",2\n"))},
		"type of the archive":  {Body: body(zipped(t, csv)), ContentType: "application/gzip"},
		"single bytes of gzip": {Body: iotest.OneByteReader(body(zipped(t, csv)))},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Limits{})
			r.Stream = "s"
			if _, err := b.Bulk(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if _, text := b.spooled(t); untimed(text) != "2,1,2\n" {
				t.Errorf("spool = %q", text)
			}
		})
	}
}

func TestRefusedRequestsLeaveNothing(t *testing.T) {
	csv := "a,b\n1,2\n"
	gz := zipped(t, strings.Repeat(csv, 1000))
	damaged := []byte(gz)
	damaged[len(damaged)-6] ^= 1
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		req  Request
		want string
		ctx  context.Context
		kind activation.Kind
	}{
		"bad row":            {req: Request{Body: body(csv + "3\n")}, want: "line 3: expected 2 columns, found 1"},
		"bad JSON":           {req: Request{Body: body("{\"a\":1}\n{\"a\":x}\n")}, want: "line 2, column 6: expected a value"},
		"body cut":           {req: Request{Body: io.MultiReader(body(csv), iotest.ErrReader(io.ErrUnexpectedEOF))}, want: "the body ended before it was complete; nothing was kept"},
		"connection lost":    {req: Request{Body: io.MultiReader(body(csv), iotest.ErrReader(errors.New("reset")))}, want: "the body can't be read to its end; nothing was kept"},
		"JSON body cut":      {req: Request{Body: io.MultiReader(body("[{\"a\":1},"), iotest.ErrReader(io.ErrUnexpectedEOF))}, want: "the body ended before it was complete; nothing was kept"},
		"fewer than said":    {req: Request{Body: body(csv), ContentLength: 100}, want: "the body ended before it was complete; nothing was kept"},
		"more than said":     {req: Request{Body: body(csv), ContentLength: 3}, want: "the body ended before it was complete; nothing was kept"},
		"gzip cut":           {req: Request{Body: body(gz[:len(gz)-9])}, want: "the body ended before it was complete; nothing was kept"},
		"gzip damaged":       {req: Request{Body: body(string(damaged))}, want: "the gzip data is damaged"},
		"no gzip":            {req: Request{Body: body(csv), ContentEncoding: "gzip"}, want: "the content encoding says gzip, but the body is not"},
		"other encoding":     {req: Request{Body: body(csv), ContentEncoding: "br"}, want: "the content encoding must be gzip or none"},
		"gzip three times":   {req: Request{Body: body(zipped(t, zipped(t, zipped(t, csv))))}, want: "the body is compressed more than twice"},
		"too large":          {req: Request{Body: body("a,b\n" + strings.Repeat("1,2\n", 1<<18))}, want: "the body is larger than the limit of 600000 bytes, decompressed: send it in parts"},
		"zip bomb":           {req: Request{Body: body(zipped(t, "a,b\n"+strings.Repeat("1,2\n", 1<<19)))}, want: "the body is larger than the limit of 600000 bytes, decompressed: send it in parts"},
		"nothing but space":  {req: Request{Body: body(strings.Repeat("\n", 1<<19))}, want: "the body begins with white space and nothing else"},
		"endless line":       {req: Request{Body: io.MultiReader(body("a,b\n"), endless{}), ContentType: "text/csv"}, want: "line 2: the row is longer than the limit of 16384 bytes"},
		"endless NDJSON":     {req: Request{Body: endless{}, ContentType: "application/x-ndjson", DropErrors: true}, want: "the body is larger than the limit of 600000 bytes, decompressed: send it in parts"},
		"endless, dropping":  {req: Request{Body: io.MultiReader(body("a,b\n"), endless{}), DropErrors: true}, want: "the body is larger than the limit of 600000 bytes, decompressed: send it in parts"},
		"cancelled":          {req: Request{Body: body(csv)}, ctx: cancelled, want: "internal error", kind: activation.Internal},
		"stream's name":      {req: Request{Stream: "Orders", Body: body(csv)}, want: "a stream's name is up to 63 lower-case letters, digits and underscores and begins with a letter"},
		"delimiter":          {req: Request{Body: body(csv), Delimiter: "xy"}, want: "the delimiter is one character such as , ; or |, or t for a tab"},
		"date order":         {req: Request{Body: body(csv), DateOrder: "ydm"}, want: "date_order is mdy, dmy or ymd"},
		"lacks a message id": {req: Request{Stream: "orders", Body: body(csv)}, want: "there is no column \"id\", which the stream is declared to have"},
		"JSON lacks it":      {req: Request{Stream: "orders", Body: body("{\"a\":1}")}, want: "there is no column \"id\", which the stream is declared to have"},
		"lacks its key":      {req: Request{Stream: "prices", Body: body(csv)}, want: "there is no column \"sku\", which the stream is declared to have"},
		"time in append":     {req: Request{Body: body(csv), TimestampField: "t", Append: `{"t":"x"}`}, want: "the timestamp_field in append: not a time in a known format"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Limits{MaxBatchBytes: 600_000})
			b.wh.schema.Streams = []warehouse.Stream{{Name: "orders", MessageID: []string{"id"}}, {Name: "prices", ReferenceKey: "sku"}}
			if tt.ctx == nil {
				tt.ctx, tt.kind = t.Context(), activation.Invalid
			}
			if tt.req.Stream == "" {
				tt.req.Stream = "s"
			}
			_, err := b.Bulk(tt.ctx, tt.req)
			if got := activation.SafeMessage(err); err == nil || got != tt.want {
				t.Errorf("message = %q (%v), want %q", got, err, tt.want)
			}
			if k := activation.KindOf(err); k != tt.kind {
				t.Errorf("kind = %s, want %s", k, tt.kind)
			}
			b.nothingKept(t)
		})
	}
}

// endless is a line that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestCancelledMidwayLeavesNothing(t *testing.T) {
	for _, text := range []string{"a,b\n" + strings.Repeat("1,2\n", 1<<18), strings.Repeat("{\"a\":1}\n", 1<<18)} {
		b := newBench(t, Limits{})
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("the server stops")
		r := &hookReader{r: strings.NewReader(text), at: 1 << 20, hook: func() { cancel(stop) }}
		if _, err := b.Bulk(ctx, Request{Stream: "s", Body: r}); !errors.Is(err, stop) {
			t.Errorf("error = %v, want %v", err, stop)
		}
		b.nothingKept(t)
	}
}

// hookReader calls hook once at bytes were read.
type hookReader struct {
	r    io.Reader
	at   int
	hook func()
}

func (h *hookReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if h.at -= n; h.at < 0 {
		h.hook()
		h.at = math.MaxInt
	}
	return n, err
}

func TestDryRunKeepsNothing(t *testing.T) {
	for _, text := range []string{"a,b\n1,2\n3\n", "{\"a\":1,\"b\":2}\n{\"b\":{}}\n"} {
		b := newBench(t, Limits{})
		s, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body(text), DryRun: true, DropErrors: true})
		if err != nil {
			t.Fatal(err)
		}
		if s.MessageCount != 1 || s.RejectedCount != 1 || !s.DryRun || s.LoadID != "" || !slices.Equal(s.Columns, []string{"a", "b"}) {
			t.Errorf("summary = %+v", s)
		}
		if _, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body(text), DryRun: true}); err == nil {
			t.Error("a strict dry run let a bad row pass")
		}
		b.nothingKept(t)
	}
}

func TestLoadWithoutRows(t *testing.T) {
	b := newBench(t, Limits{})
	s, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body("a,b\n")})
	if err != nil || s.MessageCount != 0 || s.LoadID == "" {
		t.Fatalf("summary = %+v, %v", s, err)
	}
	if l, _ := b.spooled(t); l.Path != "" || l.Rows != 0 || !slices.Equal(l.Columns, []string{"a", "b"}) {
		t.Errorf("load = %+v", l)
	}
}

func TestSmallJSON(t *testing.T) {
	b := newBench(t, Limits{MaxSmallBytes: 100})
	for _, r := range []Request{{Body: body("{\"a\":1}")}, {Body: body("[{\"a\":1}]"), ContentType: "application/json"}} {
		r.Stream = "s"
		if s, err := b.JSON(t.Context(), r); err != nil || s.MessageCount != 1 {
			t.Errorf("summary = %+v, %v", s, err)
		}
	}
	for want, r := range map[string]Request{
		"this route takes JSON; send CSV to the bulk route":                              {Body: body("a\n1\n"), ContentType: "text/csv"},
		"the content type says JSON, but the body begins with neither [ nor {":           {Body: body("a\n1\n")},
		"the body is larger than the limit of 100 bytes, decompressed: send it in parts": {Body: body(strings.Repeat("{\"a\":1}\n", 20))},
	} {
		r.Stream = "s"
		if _, err := b.JSON(t.Context(), r); activation.SafeMessage(err) != want {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}

func TestRequestOverridesTheStream(t *testing.T) {
	b := newBench(t, Limits{MaxAhead: time.Hour})
	b.wh.schema.Streams = []warehouse.Stream{{Name: "s", TimestampField: "a", DateOrder: "mdy"}}
	_, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body("a,b\nx,2/3/2020\n"), TimestampField: "b", DateOrder: "dmy"})
	if err != nil {
		t.Fatal(err)
	}
	if _, text := b.spooled(t); text != "2,1583107200000000,x,2/3/2020\n" {
		t.Errorf("spool = %q, want the time of 2 March 2020", text)
	}
	_, err = b.Bulk(t.Context(), Request{Stream: "s", Body: body("a\n2026-03-01T13:00:01Z\n")})
	if e := rowError(err); e == nil || e.Reason != "the time lies more than 1h0m0s in the future" {
		t.Errorf("error = %v", err)
	}
}

func TestTimeInAppendIsThatOfEveryRow(t *testing.T) {
	b := newBench(t, Limits{})
	s, err := b.Bulk(t.Context(), Request{Stream: "s", Body: body("a\n1\n"), TimestampField: "t", Append: `{"t":"2020-01-01"}`})
	if err != nil || s.TimestampField != "t" {
		t.Fatalf("summary = %+v, %v", s, err)
	}
	if _, text := b.spooled(t); text != "2,1577836800000000,1,2020-01-01\n" {
		t.Errorf("spool = %q", text)
	}
}

// brokenFile fails one of its operations from the byte given on.
type brokenFile struct {
	inbox.File
	write, sync, close error
	after              int
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if f.after -= len(p); f.write != nil && f.after < 0 {
		return 0, f.write
	}
	return f.File.Write(p)
}

func (f *brokenFile) Sync() error  { return errors.Join(f.sync, f.File.Sync()) }
func (f *brokenFile) Close() error { return errors.Join(f.close, f.File.Close()) }
