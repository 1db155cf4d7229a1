package outbound

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
)

const querySecret = "proof-0123456789"

func client(t *testing.T, change func(*Config)) *http.Client {
	t.Helper()
	cfg := Config{Timeout: 5 * time.Second, AllowPrivate: true, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// silence never answers. Only a server that has read the body notices that its
// caller is gone.
func silence(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// post makes a call that changes something, with secrets in query and body.
func post(ctx context.Context, t *testing.T, c *http.Client, base string) (Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/x?proof="+querySecret, strings.NewReader("ana@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	return Do(c, req)
}

// wants checks an error and that it tells no secret.
func wants(t *testing.T, err error, kind activation.Kind, code string, applied bool) *activation.Error {
	t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if e.Kind != kind || e.Code != code || e.MayHaveApplied != applied {
		t.Errorf("got %v, kind %s, applied %v; want %s, kind %s, applied %v", err, e.Kind, e.MayHaveApplied, code, kind, applied)
	}
	for _, secret := range []string{querySecret, "ana@", "/x?"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
	return e
}

func TestAnswerIsReadWhole(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Len", r.Header.Get("Content-Length"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(bytes.ToUpper(body))
	})
	a, err := post(t.Context(), t, client(t, nil), s.URL)
	if err != nil || a.Status != http.StatusTeapot || string(a.Body) != "ANA@EXAMPLE.COM" {
		t.Errorf("%d %q %v", a.Status, a.Body, err)
	}
}

func TestFaultsTellWhetherTheCallLeft(t *testing.T) {
	silent := serve(t, silence)
	cut := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	long := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 101)) })
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tlsServer.Close)
	tlsServer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	short := func(c *Config) { c.Timeout = 200 * time.Millisecond }

	for _, tc := range []struct {
		name, base, code, cause string
		change                  func(*Config)
		applied                 bool
	}{
		{"no answer", silent.URL, CodeNoAnswer, "timed out", short, true},
		{"cut", cut.URL, CodeNoAnswer, "closed", nil, true},
		{"too long", long.URL, CodeNoAnswer, "longer", func(c *Config) { c.MaxAnswerBytes = 100 }, true},
		{"refused", closed.URL, CodeUnreachable, "refused", nil, false},
		{"unknown name", "http://no-such-host.invalid", CodeUnreachable, "resolve", nil, false},
		{"bad certificate", tlsServer.URL, CodeUnreachable, "certificate", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := client(t, tc.change)
			_, err := post(t.Context(), t, c, tc.base)
			e := wants(t, err, activation.Unavailable, tc.code, tc.applied)
			if !strings.Contains(e.Error(), tc.cause) {
				t.Errorf("cause of %v is not %q", e, tc.cause)
			}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.base+"/x?proof="+querySecret, http.NoBody)
			_, err = Do(c, req)
			wants(t, err, activation.Unavailable, tc.code, false)
		})
	}
	exact := client(t, func(c *Config) { c.MaxAnswerBytes = 101 })
	if a, err := post(t.Context(), t, exact, long.URL); err != nil || len(a.Body) != 101 {
		t.Errorf("an answer of the allowed length: %d %v", len(a.Body), err)
	}
}

func TestCancelling(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		silence(nil, r)
	})
	c := client(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := post(ctx, t, c, s.URL)
	wants(t, err, activation.Unavailable, CodeNoAnswer, true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
	_, err = post(ctx, t, c, s.URL)
	wants(t, err, activation.Unavailable, CodeUnreachable, false)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestGuard(t *testing.T) {
	var calls atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	tlsServer := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(tlsServer.Close)
	u, _ := url.Parse(s.URL)
	roots := x509.NewCertPool()
	roots.AddCert(tlsServer.Certificate())

	guarded := func(allowed ...string) *http.Client {
		return client(t, func(c *Config) { c.AllowPrivate, c.AllowedHosts, c.RootCAs = false, allowed, roots })
	}
	for _, base := range []string{
		s.URL, "http://localhost:" + u.Port(), tlsServer.URL, "https://[::1]:9", "https://[::ffff:127.0.0.1]:9",
		"https://169.254.169.254", "https://10.0.0.1", "https://0.0.0.0:9", "http://example.com", "ftp://example.com",
	} {
		_, err := post(t.Context(), t, guarded(), base)
		wants(t, err, activation.Invalid, CodeAddress, false)
	}
	if calls.Load() != 0 {
		t.Fatal("an internal server was called")
	}
	if _, err := post(t.Context(), t, guarded(u.Host), s.URL); err != nil {
		t.Errorf("an allowed host: %v", err)
	}
	if _, err := post(t.Context(), t, guarded("127.0.0.1:1"), s.URL); err == nil {
		t.Error("another port than the allowed one was called")
	}
	if _, err := post(t.Context(), t, guarded("LOCALHOST:"+u.Port()), "http://localhost:"+u.Port()); err != nil {
		t.Errorf("an allowed name: %v", err)
	}
}

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"157.240.0.35": true, "8.8.8.8": true, "2a03:2880:f101::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false,
		"192.0.0.8": false, "198.18.0.1": false, "240.0.0.1": false, "::": false, "::1": false, "fe80::1": false,
		"fe80::1%eth0": false, "fd00:ec2::254": false, "ff02::1": false, "::ffff:10.0.0.1": false, "::ffff:100.64.0.1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "2001:0:a00:1::": false, "fec0::1": false,
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/there":
			_, _ = io.WriteString(w, "here")
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		default:
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		}
	})
	c := client(t, nil)
	get := func(path string) Answer {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, http.NoBody)
		a, err := Do(c, req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := get("/"); a.Status != 200 || string(a.Body) != "here" {
		t.Errorf("to the same host: %d", a.Status)
	}
	if a := get("/away"); a.Status != http.StatusTemporaryRedirect {
		t.Errorf("to another host: %d", a.Status)
	}
	if a, err := post(t.Context(), t, c, s.URL); err != nil || a.Status != http.StatusTemporaryRedirect {
		t.Errorf("of a call that changes something: %d %v", a.Status, err)
	}
	if elsewhere.Load() > 0 {
		t.Error("another host was called")
	}
}

func TestSlots(t *testing.T) {
	var now, most atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, "ok")
	})
	c := client(t, func(c *Config) { c.MaxConcurrent = 2 })
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := post(t.Context(), t, c, s.URL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != 2 {
		t.Errorf("%d calls at once, want 2", most.Load())
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{RequestsPerSecond: 2, Log: slog.New(slog.DiscardHandler), Now: time.Now}).Transport.(*transport)
		begin := time.Now()
		for i := range 4 {
			if err := tr.waitTurn(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(begin), time.Duration(i)*500*time.Millisecond; got != want {
				t.Errorf("call %d after %v, want %v", i, got, want)
			}
		}
		tr = New(Config{RequestsPerSecond: 0.1, Log: slog.New(slog.DiscardHandler), Now: time.Now}).Transport.(*transport)
		if err := tr.waitTurn(t.Context()); err != nil {
			t.Fatal(err)
		}
		e := wants(t, tr.waitTurn(t.Context()), activation.WaitUntil, CodePaced, false)
		if got := time.Until(e.Until); got != 10*time.Second {
			t.Errorf("told to wait %v, want 10 s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		tr.pace.SetLimit(2)
		tr.pace.AllowN(time.Now(), 1)
		if err := tr.waitTurn(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited on after its context: %v", err)
		}
	})
}

func TestBreaker(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	b := breaker{after: 3, pause: 10 * time.Second}
	failing := func() (time.Time, bool) {
		t.Helper()
		if err := b.allow(at); err != nil {
			t.Fatal(err)
		}
		return b.fail(at)
	}
	failing()
	b.succeed()
	failing()
	failing()
	until, opened := failing()
	if !opened || until.Sub(at) != 10*time.Second {
		t.Fatalf("after three failures in a row: %v %v", opened, until)
	}
	wants(t, b.allow(at), activation.Unavailable, CodePaused, false)
	for i, want := range []time.Duration{20, 40, 80, 160, 160} {
		at = until
		if err := b.allow(at); err != nil {
			t.Fatalf("the pause is over: %v", err)
		}
		wants(t, b.allow(at), activation.Unavailable, CodePaused, false) // one probe only
		b.abandon()
		until, opened = failing()
		if !opened || until.Sub(at) != want*time.Second {
			t.Fatalf("pause %d is %v, want %v s", i+2, until.Sub(at), want)
		}
	}
	at = until
	if err := b.allow(at); err != nil {
		t.Fatal(err)
	}
	b.succeed()
	for range 5 {
		if err := b.allow(at); err != nil {
			t.Fatalf("after a good probe: %v", err)
		}
	}
}

func TestBreakerStopsCalls(t *testing.T) {
	var calls atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	var log bytes.Buffer
	c := client(t, func(c *Config) { c.BreakAfter = 2; c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 2 {
		if a, err := post(t.Context(), t, c, s.URL); err != nil || a.Status != 502 {
			t.Fatal(a.Status, err)
		}
	}
	_, err := post(t.Context(), t, c, s.URL)
	wants(t, err, activation.Unavailable, CodePaused, false)
	if calls.Load() != 2 || !strings.Contains(log.String(), "pause") || strings.Contains(log.String(), querySecret) {
		t.Errorf("%d calls, log %s", calls.Load(), log.String())
	}
}

// TestBreakerTakesPagesForFailures: who answers an API's calls with pages for
// people is not the network, whatever the status.
func TestBreakerTakesPagesForFailures(t *testing.T) {
	var calls atomic.Int32
	kind := "text/html; charset=utf-8"
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, "<html>Sign in</html>")
	})
	c := client(t, func(c *Config) { c.BreakAfter = 2 })
	for range 2 {
		if a, err := post(t.Context(), t, c, s.URL); err != nil || a.Status != 200 {
			t.Fatal(a.Status, err)
		}
	}
	_, err := post(t.Context(), t, c, s.URL)
	wants(t, err, activation.Unavailable, CodePaused, false)
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
	kind = "application/json"
	c = client(t, func(c *Config) { c.BreakAfter = 2 })
	for range 4 {
		if _, err := post(t.Context(), t, c, s.URL); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCallJudgesByWhatIsRead: who reads the answers says whether the network
// works, and what was cut off or cancelled is judged all the same.
func TestCallJudgesByWhatIsRead(t *testing.T) {
	var calls atomic.Int32
	var down atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, "{}")
	})
	now := time.Now()
	c := client(t, func(c *Config) { c.BreakAfter, c.Now = 2, func() time.Time { return now } })
	call := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Call(c, req, func(Answer) error {
			if down.Load() {
				return &activation.Error{Kind: activation.Unavailable, Code: "X", Message: "not now"}
			}
			return nil
		})
		return err
	}
	down.Store(true)
	wants(t, call("/"), activation.Unavailable, "X", false)
	wants(t, call("/"), activation.Unavailable, "X", false)
	wants(t, call("/"), activation.Unavailable, CodePaused, false)
	if calls.Load() != 2 {
		t.Fatalf("%d calls", calls.Load())
	}
	down.Store(false)
	now = now.Add(time.Minute)
	if err := call("/"); err != nil { // the probe works
		t.Fatal(err)
	}
	for range 2 {
		wants(t, call("/cut"), activation.Unavailable, CodeNoAnswer, false)
	}
	wants(t, call("/"), activation.Unavailable, CodePaused, false)
	now = now.Add(time.Minute)
	if err := call("/"); err != nil {
		t.Fatal(err)
	}
}

// TestBreakerIgnoresWhatIsNotTheNetworks: a call that was given up, or that the
// guard refused, neither counts as a failure nor makes up for one.
func TestBreakerIgnoresWhatIsNotTheNetworks(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		arrived <- struct{}{}
		silence(nil, r)
	})
	u, _ := url.Parse(s.URL)
	c := client(t, func(c *Config) { c.AllowPrivate, c.AllowedHosts, c.BreakAfter = false, []string{u.Host}, 2 })
	bad := func() {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/bad", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := Do(c, req); err != nil || a.Status != http.StatusBadGateway {
			t.Fatal(a.Status, err)
		}
	}
	bad()
	for range 3 {
		_, err := post(t.Context(), t, c, "https://127.0.0.1:9")
		wants(t, err, activation.Invalid, CodeAddress, false)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := post(ctx, t, c, s.URL)
	wants(t, err, activation.Unavailable, CodeNoAnswer, true)
	bad()
	_, err = post(t.Context(), t, c, s.URL)
	wants(t, err, activation.Unavailable, CodePaused, false)
}

func TestBufferIsUsedAgainOnlyWhenNobodyReads(t *testing.T) {
	var bodies Buffers
	b := bodies.Take()
	b.B = append(b.B, "first body"...)
	req, err := b.Request(t.Context(), http.MethodPost, "https://example.com")
	if err != nil || req.ContentLength != 10 {
		t.Fatal(req.ContentLength, err)
	}
	again, _ := req.GetBody()
	b.Release()
	if n := b.users.Load(); n != 2 {
		t.Fatalf("%d readers, want 2", n)
	}
	_ = req.Body.Close()
	_ = req.Body.Close()
	if n, err := req.Body.Read(make([]byte, 4)); n != 0 || err == nil {
		t.Error("read after close")
	}
	text, _ := io.ReadAll(again)
	if string(text) != "first body" || b.users.Load() != 1 {
		t.Errorf("second reader got %q", text)
	}
	_ = again.Close()
	if b.users.Load() != 0 {
		t.Error("not given back")
	}
	if _, err := b.Request(t.Context(), "BAD METHOD", "://"+querySecret); err == nil || strings.Contains(err.Error(), querySecret) {
		t.Errorf("a bad request: %v", err)
	}
}

// TestBuffersUnderFire sends bodies to a server that answers without reading,
// so that the transport still reads when the call has returned.
func TestBuffersUnderFire(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 1)
		_, _ = io.ReadFull(r.Body, first)
		rest, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength/2))
		if err == nil && len(bytes.Trim(rest, string(first))) > 0 {
			t.Errorf("a body of %q holds bytes of another", first)
		}
		w.WriteHeader(http.StatusForbidden)
	})
	c := client(t, nil)
	var bodies Buffers
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				b := bodies.Take()
				b.B = append(b.B, bytes.Repeat([]byte{'a' + byte(i)}, 1<<18)...)
				req, err := b.Request(t.Context(), http.MethodPost, s.URL)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = Do(c, req)
				b.Release()
			}
		})
	}
	wg.Wait()
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"17": 17 * time.Second, " 0 ": 0, "-5": 0, "99999999999": maxRetryAfter,
		"Sun, 22 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 22 Nov 2020 12:01:00 GMT": 0,
		"Sun, 22 Nov 2036 12:01:00 GMT": maxRetryAfter,
		"soon":                          -1, "": -1, "1.5": -1,
	} {
		until, ok := RetryAfter(http.Header{"Retry-After": {v}}, now)
		if ok != (want >= 0) || ok && until.Sub(now) != want {
			t.Errorf("%q: %v %v", v, until.Sub(now), ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("17")
	f.Add("Sun, 22 Nov 2026 12:01:00 GMT")
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, v string) {
		until, ok := RetryAfter(http.Header{"Retry-After": {v}}, now)
		if ok && (until.Before(now) || until.After(now.Add(maxRetryAfter))) {
			t.Errorf("%q: %v", v, until)
		}
	})
}

func TestTokenHidesItself(t *testing.T) {
	var log bytes.Buffer
	token := FixedToken(querySecret)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", token)
	if strings.Contains(log.String(), querySecret) {
		t.Error(log.String())
	}
	if got, err := token.Token(t.Context()); got != querySecret || err != nil {
		t.Error(got, err)
	}
	var _ TokenSource = token
}
