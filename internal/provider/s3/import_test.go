package s3_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/s3"
	"usher/internal/provider/s3/s3test"
	"usher/internal/provider/sourcetest"
	"usher/sandbox/fault"
	sandboxs3 "usher/sandbox/s3"
)

// world is a bucket with dated folders, behind a proxy that cuts.
type world struct {
	*s3test.Network
	proxy *sourcetest.Proxy
	files int
}

func openWorld() (sourcetest.World, error) {
	n, err := s3test.Open(sandboxs3.Options{})
	if err != nil {
		return nil, err
	}
	proxy, err := sourcetest.NewProxy(n.Hosts()[0])
	if err != nil {
		return nil, err
	}
	return &world{Network: n, proxy: proxy}, nil
}

func (w *world) Hosts() []string { return []string{w.proxy.Addr()} }

func (w *world) Deps() provider.Deps {
	d := w.Network.Deps()
	d.Auth["endpoint"] = provider.Secret("http://" + w.proxy.Addr() + "/s3")
	d.Config = map[string]string{"bucket": sandboxs3.DefaultBucket, "prefix": "exports"}
	return d
}

// Add puts an object into a folder of its day.
func (w *world) Add(words []string) error {
	w.files++
	var body strings.Builder
	for _, word := range words {
		fmt.Fprintf(&body, "{\"email\":\"%s@example.com\",\"name\":\"A, B\"}\n", word)
	}
	return w.Box.Put(sandboxs3.DefaultBucket, fmt.Sprintf("exports/2026/01/%02d/people.ndjson", w.files), []byte(body.String()))
}

func (w *world) Missing() map[string]string { return map[string]string{"bucket": "another-bucket"} }

func (w *world) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.BadCredentials:
		w.Script(fault.Fault{Network: "s3", Kind: fault.Token, Times: -1})
	case sourcetest.Cut:
		w.proxy.CutAfter(60_000)
	case sourcetest.Down:
		w.proxy.CutAfter(0)
	}
	return nil
}

func (w *world) Heal() {
	w.Network.Heal()
	w.proxy.CutAfter(-1)
}

func (w *world) Close() {
	w.proxy.Close()
	w.Network.Close()
}

func TestSourceConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Harness{Definition: s3.Definition(), Workflow: "s3_import", Open: openWorld})
}

// TestChangedObjects: an object with another ETag is read again; start_after and
// the pattern leave out others; large ones come whole.
func TestChangedObjects(t *testing.T) {
	n, err := s3test.Open(sandboxs3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	put := func(key, body string) {
		t.Helper()
		if err := n.Box.Put(sandboxs3.DefaultBucket, key, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	d := n.Deps()
	d.Config = map[string]string{"bucket": sandboxs3.DefaultBucket, "prefix": "in", "start_after": "b", "pattern": `\w+\.csv`}
	d.Now, d.Log = time.Now, slog.New(slog.DiscardHandler)
	d.HTTP = outbound.New(outbound.Config{AllowedHosts: n.Hosts(), Log: d.Log, Now: d.Now, MaxAnswerBytes: 1 << 20})
	var state []byte
	read := func() (names []string, size int64) {
		t.Helper()
		src, err := s3.NewSource(d)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		for range 20 {
			p, ok, err := src.Next(t.Context(), state)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			body, err := p.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			k, err := io.Copy(io.Discard, body)
			if err != nil {
				t.Fatal(err)
			}
			_ = body.Close()
			if state, err = p.After(); err != nil {
				t.Fatal(err)
			}
			names, size = append(names, p.Name), size+k
		}
		return names, size
	}
	for _, key := range []string{"a.csv", "in/a.csv", "in/b", "in/b1.csv", "in/c.csv", "in/c.txt", "out/d.csv"} {
		put(key, "a\n1\n")
	}
	if names, _ := read(); !slices.Equal(names, []string{"b1.csv", "c.csv"}) {
		t.Errorf("at first: %q", names)
	}
	large := "a\n" + strings.Repeat("0123456\n", 1<<20)
	put("in/b1.csv", large)
	put("in/c.csv", "a\n1\n") // the same content is the same ETag
	if names, size := read(); !slices.Equal(names, []string{"b1.csv"}) || size != int64(len(large)) {
		t.Errorf("changed: %q, %d bytes", names, size)
	}
	if names, _ := read(); names != nil {
		t.Errorf("unchanged: %q", names)
	}
}
