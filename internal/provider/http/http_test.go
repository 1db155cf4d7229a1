package http_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	httpsource "usher/internal/provider/http"
	"usher/internal/provider/sourcetest"
)

const (
	password = "correct-horse-battery"
	apiKey   = "key-0123456789"
)

// world is a server that offers one file: what has come since it was read last.
type world struct {
	server *httptest.Server
	proxy  *sourcetest.Proxy

	mu      sync.Mutex
	words   []string
	version int
	read    bool
	refuse  bool
	sent    int // whole files
}

func openWorld() (sourcetest.World, error) {
	w := &world{}
	w.server = httptest.NewServer(w)
	var err error
	w.proxy, err = sourcetest.NewProxy(w.server.Listener.Addr().String())
	return w, err
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	user, pass, _ := r.BasicAuth()
	etag := fmt.Sprintf(`"v%d"`, w.version)
	switch {
	case w.refuse || user != "usher" || pass != password || r.Header.Get("X-Api-Key") != apiKey:
		http.Error(rw, "no "+apiKey, http.StatusUnauthorized)
	case r.URL.Path != "/exports/people.csv" || r.URL.RawQuery != "a=1&full=yes":
		http.NotFound(rw, r)
	case r.Method != http.MethodGet:
		http.Error(rw, "no", http.StatusMethodNotAllowed)
	case len(w.words) == 0:
		rw.WriteHeader(http.StatusNoContent)
	case r.Header.Get("If-None-Match") == etag:
		rw.WriteHeader(http.StatusNotModified)
	default:
		rw.Header().Set("ETag", etag)
		rw.Header().Set("Content-Type", "text/csv; charset=utf-8")
		out := io.Writer(rw)
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && w.version%2 == 0 {
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			defer z.Close()
			out = z
		}
		_, _ = io.WriteString(out, "email,name\n")
		for _, word := range w.words {
			_, _ = fmt.Fprintf(out, "%s@example.com,\"A, B\"\n", word)
		}
		w.sent++
		w.read = true
	}
}

func (w *world) Deps() provider.Deps {
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"address": provider.Secret("http://" + w.proxy.Addr() + "/exports/?a=1"), "username": "usher", "password": password, "headers": "X-Api-Key: " + apiKey,
		},
		Config: map[string]string{"path": "people.csv?full=yes"},
	}
}

func (w *world) Hosts() []string { return []string{w.proxy.Addr()} }

func (w *world) Add(words []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.read {
		w.words, w.read = nil, false
	}
	w.words = append(w.words, words...)
	w.version += 2 - w.version%2 - len(words)%2 // large ones are not compressed in the tests that cut
	if len(words) >= 1000 {
		w.version |= 1
	}
	return nil
}

func (w *world) Missing() map[string]string { return map[string]string{"path": "other.csv?full=yes"} }

func (w *world) Fail(f sourcetest.Fault) error {
	switch f {
	case sourcetest.BadCredentials:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refuse = true
	case sourcetest.Cut:
		w.proxy.CutAfter(60_000)
	case sourcetest.Down:
		w.proxy.CutAfter(0)
	}
	return nil
}

func (w *world) Heal() {
	w.mu.Lock()
	w.refuse = false
	w.mu.Unlock()
	w.proxy.CutAfter(-1)
}

func (w *world) Close() {
	w.proxy.Close()
	w.server.CloseClientConnections()
	w.server.Close()
}

func TestSourceConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Harness{Definition: httpsource.Definition(), Workflow: "http_import", Open: openWorld})
}

func deps(t *testing.T, handler http.HandlerFunc) provider.Deps {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	d := provider.Deps{Auth: map[string]provider.Secret{"address": provider.Secret(server.URL + "/f.csv")}, Config: map[string]string{}, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	d.HTTP = outbound.New(outbound.Config{AllowedHosts: []string{server.Listener.Addr().String()}, Log: d.Log, Now: d.Now, MaxAnswerBytes: 1000, Timeout: 5 * time.Second})
	return d
}

func TestWhatAnswersMean(t *testing.T) {
	for _, tc := range []struct {
		status int
		header string
		kind   activation.Kind
		code   string
	}{
		{401, "", activation.Unauthorized, "HTTP-AUTH"},
		{403, "", activation.Unauthorized, "HTTP-AUTH"},
		{404, "", activation.Gone, "HTTP-GONE"},
		{410, "", activation.Gone, "HTTP-GONE"},
		{301, "Location: http://169.254.169.254/", activation.Gone, "HTTP-GONE"},
		{400, "", activation.Invalid, "HTTP-REFUSED"},
		{429, "Retry-After: 120", activation.WaitUntil, "HTTP-LIMIT"},
		{503, "Retry-After: 120", activation.WaitUntil, "HTTP-LIMIT"},
		{500, "", activation.Unavailable, "HTTP-UNAVAILABLE"},
		{200, "Content-Type: text/html; charset=utf-8", activation.Unavailable, "HTTP-UNAVAILABLE"},
	} {
		d := deps(t, func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(tc.header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(tc.status)
		})
		src, err := httpsource.New(d)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = src.Next(t.Context(), nil)
		if activation.KindOf(err) != tc.kind || activation.CodeOf(err) != tc.code {
			t.Errorf("%d: %v", tc.status, err)
		}
	}
}

// TestServersWithoutETags: Last-Modified tells as well; where a server says
// nothing, the file is read once in a pass.
func TestServersWithoutETags(t *testing.T) {
	for _, modified := range []string{"Sun, 22 Nov 2026 08:00:00 GMT", ""} {
		asked := ""
		d := deps(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.Header.Get("If-Modified-Since")
			if modified != "" {
				w.Header().Set("Last-Modified", modified)
			}
			_, _ = io.WriteString(w, "a\n"+strings.Repeat("1\n", 100_000)) // more than other answers may have
		})
		var state []byte
		for pass := range 2 {
			src, err := httpsource.New(d)
			if err != nil {
				t.Fatal(err)
			}
			p, ok, err := src.Next(t.Context(), state)
			if want := pass == 0 || modified == ""; err != nil || ok != want {
				t.Fatalf("%q, pass %d: %t, %v", modified, pass, ok, err)
			}
			if ok {
				body, err := p.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, body); n != 200_002 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				if state, err = p.After(); err != nil {
					t.Fatal(err)
				}
			}
			if _, ok, err := src.Next(t.Context(), state); ok || err != nil {
				t.Errorf("again in one pass: %t, %v", ok, err)
			}
			_ = src.Close()
		}
		if asked != modified {
			t.Errorf("asked if modified since %q, want %q", asked, modified)
		}
	}
}

// TestLimits: a file that is too large is cut with an error, and one that stands
// in the own network is not asked for.
func TestLimits(t *testing.T) {
	d := deps(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 20 {
			_, _ = w.Write(make([]byte, 100_000))
		}
	})
	d.Config["max_megabytes"] = "1"
	src, err := httpsource.New(d)
	if err != nil {
		t.Fatal(err)
	}
	p, ok, err := src.Next(t.Context(), nil)
	if err != nil || !ok {
		t.Fatalf("%t, %v", ok, err)
	}
	body, _ := p.Open(t.Context())
	if n, err := io.Copy(io.Discard, body); err == nil || n > 1<<20 || activation.CodeOf(err) != outbound.CodeNoAnswer {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = src.Close()
	d.HTTP = outbound.New(outbound.Config{Log: d.Log, Now: d.Now})
	if src, err = httpsource.New(d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := src.Next(t.Context(), nil); activation.CodeOf(err) != outbound.CodeAddress {
		t.Errorf("the own network: %v", err)
	}
}

func TestWrongSettingsNameTheirField(t *testing.T) {
	for _, tc := range []struct{ field, value string }{
		{"address", ""},
		{"address", "data.example.com"},
		{"address", "https://u:p@example.com/"},
		{"address", "ftp://example.com"},
		{"path", "https://elsewhere.example.com/x"},
		{"path", "//elsewhere.example.com/x"},
		{"path", "../x"},
		{"path", "a/%2e%2e/x"},
		{"headers", "no colon"},
		{"headers", "Host: x"},
		{"headers", "If-None-Match: x"},
		{"headers", "{"},
		{"username", "a:b"},
		{"max_megabytes", "0"},
		{"max_megabytes", "x"},
	} {
		d := provider.Deps{Auth: map[string]provider.Secret{"address": "https://data.example.com/x"}, Config: map[string]string{}, Now: time.Now}
		if tc.field == "path" || tc.field == "max_megabytes" {
			d.Config[tc.field] = tc.value
		} else {
			d.Auth[tc.field] = provider.Secret(tc.value)
		}
		_, err := httpsource.New(d)
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != tc.field || e.Code != "HTTP-SETTINGS" {
			t.Errorf("%s %q: %v", tc.field, tc.value, err)
		}
	}
}
