package ingest

import (
	"bytes"
	"context"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"usher/internal/activation"
)

// bomb is a gzip stream that unpacks to n bytes of text.
func bomb(t testing.TB, n int, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	block := []byte(strings.Repeat(text, 1+(64<<10)/len(text)))
	for n > 0 {
		if _, err := z.Write(block); err != nil {
			t.Fatal(err)
		}
		n -= len(block)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// endlessGzip is a gzip stream whose members never end.
type endlessGzip struct {
	member []byte
	at     int
}

func (e *endlessGzip) Read(p []byte) (int, error) {
	n := copy(p, e.member[e.at:])
	e.at = (e.at + n) % len(e.member)
	return n, nil
}

// Whatever a body does, it is refused on both routes, leaves nothing and takes no
// more memory than a few buffers.
func TestHostileBodiesAreRefusedInBoundedMemory(t *testing.T) {
	const limit = 1 << 20
	large := "the body is larger than the limit of 1048576 bytes, decompressed: send it in parts"
	object := "{\"a\":\"" + strings.Repeat("x", 1000) + "\"}\n"
	for name, tt := range map[string]struct {
		req  func() Request
		want string
	}{
		"zip bomb":               {func() Request { return Request{Body: bytes.NewReader(bomb(t, 16<<20, object))} }, large},
		"zip bomb in a zip bomb": {func() Request { return Request{Body: strings.NewReader(zipped(t, string(bomb(t, 16<<20, object))))} }, large},
		"zip bomb of one line": {func() Request {
			return Request{Body: bytes.NewReader(bomb(t, 16<<20, "{\"a\":\"x")), ContentType: "application/x-ndjson"}
		}, "line 1: the object is longer than the limit of 16384 bytes"},
		"one line, rows dropped": {func() Request {
			return Request{Body: bytes.NewReader(bomb(t, 16<<20, "{\"a\":\"x")), ContentType: "application/x-ndjson", DropErrors: true}
		}, large},
		"faulty rows without end": {func() Request {
			return Request{Body: &endlessGzip{member: []byte("{\"a\":}\n")}, ContentType: "application/x-ndjson", DropErrors: true}
		}, large},
		"endless gzip":    {func() Request { return Request{Body: &endlessGzip{member: bomb(t, 1, object)}} }, large},
		"gzip of nothing": {func() Request { return Request{Body: &endlessGzip{member: []byte(zipped(t, "{\"a\":1}\n"))}} }, large},
		"promises more":   {func() Request { return Request{Body: body(object), ContentLength: math.MaxInt64} }, "the body ended before it was complete; nothing was kept"},
		"promises less":   {func() Request { return Request{Body: body(object), ContentLength: 3} }, "the body ended before it was complete; nothing was kept"},
	} {
		for route, take := range map[string]func(*Collector, context.Context, Request) (Summary, error){"bulk": (*Collector).Bulk, "json": (*Collector).JSON} {
			t.Run(name+"/"+route, func(t *testing.T) {
				b := newBench(t, Limits{MaxBatchBytes: limit, MaxSmallBytes: limit})
				r := tt.req()
				r.Stream = "s"
				sent := &counting{r: r.Body}
				r.Body = sent
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := take(b.Collector, t.Context(), r)
				runtime.ReadMemStats(&after)
				if got := activation.SafeMessage(err); err == nil || got != tt.want {
					t.Errorf("error = %q, want %q", got, tt.want)
				}
				// Rows that are refused one by one cost a little each.
				if got := after.TotalAlloc - before.TotalAlloc; got > 24<<20 || got > 8<<20 && !strings.HasPrefix(name, "faulty") && !strings.HasPrefix(name, "gzip of") {
					t.Errorf("%d KiB were allocated in all", got>>10)
				}
				if sent.n > 8<<20 {
					t.Errorf("%d bytes were read of it", sent.n)
				}
				b.nothingKept(t)
				if rows, _ := b.inbox.Waiting(); rows != 0 {
					t.Errorf("%d rows wait", rows)
				}
			})
		}
	}
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
