package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"usher/internal/api"
	"usher/internal/config"
	"usher/internal/engine"
	"usher/internal/store"
	"usher/internal/store/postgres"
)

// Process is one `usher serve`. With a control plane in PostgreSQL there may be
// several over the same data directory: the one that holds the lease of the
// warehouse opens it and does all work, the others stand by and answer that
// they do. One of them takes over when the holder's lease is over, or is given
// back.
//
// A holder that is cut off from the database lets go before its lease can be
// over, and ends itself where it cannot. Behind that fence there is a second
// one: the lock of the warehouse's file, which the next holder waits for.
type Process struct {
	cfg  config.Config
	log  *slog.Logger
	opt  Options
	node string

	alone  *Server      // without PostgreSQL
	turns  *turns       // else: who answers
	leases *store.Store // and who works
	// exit ends the process where letting go takes too long.
	exit func()
}

// warehouseLease is the name of the lease of the data directory.
const warehouseLease = "warehouse"

const (
	// letGoWithin is how long a holder may take to let go: requests 5 s, works
	// 9 s, then the files. So long before its lease can be over it begins.
	letGoWithin = 20 * time.Second
	// lookEvery is how often a process that stands by looks for the lease.
	lookEvery = time.Second
	// comeBackAfter is what callers of a process that stands by are told.
	comeBackAfter = 5 * time.Second
)

// Open makes a process and listens. Without PostgreSQL everything is opened.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger, opt Options) (_ *Process, err error) {
	p := &Process{cfg: cfg, log: log, opt: opt, node: nodeName(), exit: func() { os.Exit(1) }}
	if cfg.DatabaseURL == "" {
		p.alone, err = New(ctx, cfg, log, opt)
		return p, err
	}
	if p.leases, err = postgres.Open(ctx, string(cfg.DatabaseURL), postgres.Options{Standby: true, MaxConns: 2}); err != nil {
		return nil, err
	}
	ln := opt.Listener
	if ln == nil {
		var lc net.ListenConfig
		if ln, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
			return nil, errors.Join(fmt.Errorf("listen: %w", err), p.leases.Close())
		}
	}
	p.turns = newTurns(ln)
	return p, nil
}

// URL is the address of the API and the console.
func (p *Process) URL() string {
	if p.alone != nil {
		return p.alone.URL()
	}
	return "http://" + p.turns.Addr().String()
}

// Run works, or stands by until it may work, until ctx is done.
func (p *Process) Run(ctx context.Context) error {
	if p.alone != nil {
		p.announce(p.alone)
		return p.alone.Run(ctx)
	}
	for ctx.Err() == nil {
		if err := p.takeTurn(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *Process) announce(s *Server) {
	if p.opt.Announce != nil {
		p.opt.Announce(s)
	}
}

// takeTurn stands by until this process holds the warehouse, then works until
// ctx is done or the lease is lost.
func (p *Process) takeTurn(ctx context.Context) error {
	standIn := p.standBy()
	held, release, err := p.await(ctx)
	if err != nil {
		standIn()
		return nil // ctx is done: nothing was held
	}
	defer release()
	fenced := p.fence(held)
	defer fenced()
	s, err := p.open(held)
	standIn()
	if err != nil {
		return p.lost(held, err)
	}
	p.announce(s)
	return p.lost(held, errors.Join(s.Run(held), s.Close()))
}

// lost says that the lease was lost, and drops what followed from it.
func (p *Process) lost(held context.Context, err error) error {
	if !errors.Is(context.Cause(held), engine.ErrLeaseLost) {
		return err
	}
	p.log.WarnContext(held, "the lease of the warehouse is lost; standing by", slog.Any("error", err))
	return nil
}

// fence ends the process if it has not let go when the lost lease can be over.
func (p *Process) fence(held context.Context) (done func()) {
	let := make(chan struct{})
	stop := context.AfterFunc(held, func() {
		if !errors.Is(context.Cause(held), engine.ErrLeaseLost) {
			return
		}
		over := time.NewTimer(p.times().StopWithin)
		defer over.Stop()
		select {
		case <-let:
		case <-over.C:
			p.log.ErrorContext(held, "the lease of the warehouse is lost and its files are still open; ending the process")
			p.exit()
		}
	})
	return func() { stop(); close(let) }
}

// times are how long the lease lasts, as the engine counts them.
func (p *Process) times() engine.Config {
	c := engine.Config{Node: p.node, Leases: p.leases, Log: p.log, LeaseTTL: p.opt.LeaseTTL, Renew: p.opt.Renew, StopWithin: letGoWithin}
	if p.opt.StopWithin > 0 {
		c.StopWithin = 2 * p.opt.StopWithin
	}
	return c
}

func (p *Process) lookEvery() time.Duration {
	if p.opt.Sweep > 0 {
		return p.opt.Sweep
	}
	return lookEvery
}

// await waits until this process holds the lease of the warehouse. It returns
// an error only when ctx is done.
func (p *Process) await(ctx context.Context) (held context.Context, release func(), err error) {
	said := ""
	say := func(because string, attrs ...any) {
		if because != said && ctx.Err() == nil {
			p.log.InfoContext(ctx, "standing by", append(attrs, slog.String("url", p.URL()), slog.String("because", because))...)
		}
		said = because
	}
	for {
		free, err := p.free(ctx)
		if err == nil && free {
			mine, giveBack, herr := engine.Hold(ctx, p.times(), warehouseLease)
			if herr == nil {
				return mine, giveBack, nil
			}
			err = herr
		}
		switch {
		case err == nil, errors.Is(err, engine.ErrHeld):
			say("another process works")
		default:
			say("the database does not answer", slog.Any("error", err))
		}
		if err := wait(ctx, p.lookEvery()); err != nil {
			return nil, nil, err
		}
	}
}

// free reports whether nobody holds the warehouse. It only reads, as a process
// that stands by does all day.
func (p *Process) free(ctx context.Context) (bool, error) {
	leases, err := p.leases.Leases(ctx)
	if err != nil {
		return false, err
	}
	for _, l := range leases {
		if l.Name == warehouseLease {
			return false, nil
		}
	}
	return true, nil
}

// open opens the data plane, and waits where another process has not let go of
// its files yet.
func (p *Process) open(held context.Context) (*Server, error) {
	if err := sameWarehouse(held, p.leases, p.cfg); err != nil {
		return nil, err
	}
	said := false
	for {
		opt := p.opt
		opt.Listener = p.turns.turn()
		s, err := New(held, p.cfg, p.log, opt)
		if err == nil || !errors.Is(err, errInUse) {
			return s, err
		}
		if !said {
			p.log.WarnContext(held, "waiting for another process to let go of the warehouse", slog.Any("error", err))
			said = true
		}
		if err := wait(held, p.lookEvery()); err != nil {
			return nil, err
		}
	}
}

// wait waits, or returns why ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// standBy answers that this process stands by, until the function it returns is
// called.
func (p *Process) standBy() (end func()) {
	srv := &http.Server{
		Handler:           api.Standby(p.opt.Version, comeBackAfter, http.HandlerFunc(standbyPage)),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	srv.SetKeepAlivesEnabled(false) // the next request may find the one who works
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(p.turns.turn()); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("answering while standing by", slog.Any("error", err))
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			_ = srv.Close() // who asks slowly asks again
		}
		<-done
	}
}

// standbyPage is what a browser sees: no script, nothing loaded from elsewhere.
func standbyPage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(standbyHTML)) // the caller is gone: nobody to tell
}

const standbyHTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Standing by · Usher</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }
h1 { font-size: 1.4rem; margin: 0 0 .5rem }
</style>
</head>
<body>
<main>
<h1>This Usher stands by</h1>
<p>Another process does the work, and this one takes over when that one stops.
Please use the address of the other one, or stay: this page looks again every 5 seconds.</p>
</main>
</body>
</html>
`

// Close closes what Open opened. Call it after Run has returned.
func (p *Process) Close() error {
	if p.alone != nil {
		return p.alone.Close()
	}
	err := p.turns.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.leases.Close())
}
