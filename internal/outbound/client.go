package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// Config sets limits. The zero value of a limit takes the default it names.
type Config struct {
	// Timeout bounds a whole call, answer included. Default 60 s.
	Timeout time.Duration
	// ConnectTimeout bounds reaching the host, TLS included. Default 10 s.
	ConnectTimeout time.Duration
	// AllowedHosts are host:port pairs that may be reached although they are
	// internal, and by plain http: a sandbox, a tool in the own network.
	AllowedHosts []string
	// AllowPrivate lifts the address guard altogether.
	AllowPrivate bool
	// RequestsPerSecond and Burst pace the calls. 0 = no pace; Burst at least 1.
	RequestsPerSecond float64
	Burst             int
	// MaxConcurrent is how many calls may be under way. 0 = no limit.
	MaxConcurrent int
	// MaxAnswerBytes bounds an answer's body. Default 4 MiB.
	MaxAnswerBytes int64
	// BreakAfter is how many calls in a row must fail by the network's fault
	// before calls pause. Default 5.
	BreakAfter int
	// BreakFor is the first pause; each further one doubles up to 16 times it.
	// Default 10 s.
	BreakFor time.Duration
	// Dial replaces reaching the network, and the address guard with it; nil =
	// the network. For tests.
	Dial func(ctx context.Context, network, hostport string) (net.Conn, error)
	// RootCAs are the trusted authorities; nil = the system's.
	RootCAs *x509.CertPool
	// Log takes what the client decides by itself. Required.
	Log *slog.Logger
	// Now is the clock. Required.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.Timeout = orDefault(c.Timeout, time.Minute)
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 10*time.Second)
	c.MaxAnswerBytes = orDefault(c.MaxAnswerBytes, 4<<20)
	c.BreakAfter = orDefault(c.BreakAfter, 5)
	c.BreakFor = orDefault(c.BreakFor, 10*time.Second)
	c.Burst = max(c.Burst, 1)
	return c
}

func orDefault[T int | int64 | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

// New returns a client that keeps cfg. Pace, concurrency and the pause of a
// failing network are per client: make one per authorization. Calls should go
// through Do, whose errors are safe to show.
//
// It takes no proxy from the environment, since a proxy would connect on our
// behalf where the guard cannot look.
func New(cfg Config) *http.Client {
	cfg = cfg.withDefaults()
	g := newGuard(cfg)
	dial := g.dial
	if cfg.Dial != nil {
		dial = cfg.Dial
	}
	t := &transport{
		cfg:   cfg,
		guard: g,
		base: &http.Transport{
			DialContext:           dial,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
			TLSHandshakeTimeout:   cfg.ConnectTimeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   max(cfg.MaxConcurrent, 4),
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: time.Second,
		},
		breaker: breaker{after: cfg.BreakAfter, pause: cfg.BreakFor},
	}
	if cfg.RequestsPerSecond > 0 {
		t.pace = rate.NewLimiter(rate.Limit(cfg.RequestsPerSecond), cfg.Burst)
	}
	if cfg.MaxConcurrent > 0 {
		t.slots = make(chan struct{}, cfg.MaxConcurrent)
	}
	return &http.Client{Transport: t, Timeout: cfg.Timeout, CheckRedirect: stayHome}
}

// stayHome follows a redirect only of a call that changes nothing, and only to
// the host it was for; credentials never travel further. Otherwise the redirect
// itself is the answer.
func stayHome(req *http.Request, via []*http.Request) error {
	first := via[0]
	same := req.URL.Scheme == first.URL.Scheme && req.URL.Host == first.URL.Host
	if !same || first.Method != http.MethodGet || len(via) > 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// bounded reads at most left bytes and then fails, and gives the slot back when
// closed.
type bounded struct {
	io.ReadCloser
	left    int64
	release func()
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

func (b *bounded) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
