package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/api/client"
	"usher/internal/store/postgres/postgrestest"
	"usher/sandbox/fault"
)

// startNode starts a child over dir whose control plane is in PostgreSQL. It
// listens when this returns; whether it works or stands by is another question.
func startNode(t testing.TB, dir, database string, far *far, crash string, env ...string) *process {
	t.Helper()
	p := &process{dead: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0]) //nolint:gosec // this test binary
	p.cmd.Env = append(os.Environ(), envChild+"="+dir, envDatabase+"="+database, envSandbox+"="+far.addr, envCrash+"="+crash)
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stderr = &lineLogger{t: t}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		t.Fatalf("the server did not start: %v", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = p.cmd.Wait()
		close(p.dead)
	}()
	p.near = near{Client: &client.Client{URL: strings.TrimSpace(strings.TrimPrefix(line, "ready "))}, t: t, dir: dir}
	t.Cleanup(p.kill)
	return p
}

// status asks a process for a path and returns status, header and body. A
// process that does not answer within 30 s has status 0.
func (p *process) status(path string) (int, http.Header, string) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, nil, ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(body)
}

// awaitWork waits until the process works, and returns how long that took.
func (p *process) awaitWork(within time.Duration) time.Duration {
	p.t.Helper()
	begin := time.Now()
	p.eventually("works", within, func() (bool, string) {
		code, _, body := p.status("/readyz")
		return code == http.StatusOK, fmt.Sprint(code, " ", body)
	})
	p.Token = token(p.t, p.dir)
	return time.Since(begin)
}

// standsBy checks every face of a process that stands by.
func (p *process) standsBy(secrets ...string) {
	p.t.Helper()
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/healthz":             {200, `"message":"success"`},
		"/readyz":              {503, `"code":"STANDBY"`},
		"/v2/job":              {503, `"code":"STANDBY"`},
		"/v2/no/such/thing":    {503, `"code":"STANDBY"`},
		"/collect/bulk/people": {503, `"code":"STANDBY"`},
		"/openapi.json":        {503, `"code":"STANDBY"`},
		"/":                    {503, "<h1>This Usher stands by</h1>"},
		"/jobs":                {503, "<h1>This Usher stands by</h1>"},
	} {
		code, header, body := p.status(path)
		if code != want.code || !strings.Contains(body, want.text) {
			p.t.Errorf("%s: %d %s; want %d with %s", path, code, body, want.code, want.text)
		}
		if code == 503 && header.Get("Retry-After") != "5" {
			p.t.Errorf("%s: Retry-After %q, want 5", path, header.Get("Retry-After"))
		}
		for _, secret := range append(secrets, p.dir) {
			if strings.Contains(body, secret) {
				p.t.Errorf("%s: says %q", path, secret)
			}
		}
	}
}

// TestTakeoverByStandby: of two processes one works; when it is killed in the
// middle of a run the other one goes on with it, and the network holds exactly
// the right people; when it stops, the other one takes over at once.
func TestTakeoverByStandby(t *testing.T) {
	database, seed := postgrestest.Fresh(t), seedOf(t)
	r := rand.New(rand.NewPCG(seed, 5))
	far, sh, dir := startSandbox(t), newShop(seed, 400), t.TempDir()
	works := startNode(t, dir, database, far, "")
	works.awaitWork(time.Minute)
	waits := startNode(t, dir, database, far, "")
	waits.standsBy(database)
	job := works.declare(far)
	works.load(sh.all())
	// Calls take a while, as they do out there: kills hit runs in the middle.
	far.fault(t, fault.Fault{Path: "*/users", Kind: fault.Slow, Delay: fault.Duration(40 * time.Millisecond), Times: -1})
	over := 0
	// Runs may be done before the process is killed, on a slow machine most of
	// all: as long as none was taken over, more are killed, at slower calls.
	tries := killCount(t)
	for kill := 0; kill < tries || over == 0 && kill < tries+3; kill++ {
		if kill == tries {
			far.ResetFaults()
			far.fault(t, fault.Fault{Path: "*/users", Kind: fault.Slow, Delay: fault.Duration(3 * time.Second), Times: -1})
		}
		upload(works, sh.change(150))
		ask(works, job)
		works.eventually("a run is sending", 20*time.Second, func() (bool, string) {
			rs := works.runs()
			if len(rs) == 0 || rs[0].Status.Final() {
				ask(works, job)
				return false, "no run is open"
			}
			return rs[0].Stage == "members", string(rs[0].Stage)
		})
		time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
		works.kill()
		took := waits.awaitWork(time.Minute)
		works, waits = waits, startNode(t, dir, database, far, "")
		works.load(sh.change(1))
		works.settle(job, time.Minute)
		compareAll(t, far, sh, fmt.Sprintf("kill %d (taken over after %s)", kill+1, took.Round(time.Millisecond)))
		if t.Failed() {
			return
		}
		over = 0
		for _, run := range works.runs() {
			over += run.Attempt - 1
		}
	}
	if over == 0 {
		t.Error("no run was taken over: nothing was under way when the processes were killed")
	}
	waits.standsBy(database)
	stopping := works.stop(t)
	took := waits.awaitWork(20 * time.Second)
	t.Logf("seed %d: %d runs taken over; a stop took %s, the next one worked %s later", seed, over, stopping.Round(time.Millisecond), took.Round(time.Millisecond))
	waits.load(sh.change(20))
	waits.settle(job, time.Minute)
	compareAll(t, far, sh, "the end")
}

// TestTakeoverWithin60s is the same with the real times.
func TestTakeoverWithin60s(t *testing.T) {
	if killCount(t) < 50 {
		t.Skip("a minute of waiting; part of `make kill`")
	}
	database := postgrestest.New(t)
	far, sh, dir := startSandbox(t), newShop(1, 200), t.TempDir()
	works := startNode(t, dir, database, far, "after_deliver 1", envSlow+"=1")
	works.awaitWork(time.Minute)
	waits := startNode(t, dir, database, far, "", envSlow+"=1")
	waits.standsBy(database)
	job := works.declare(far)
	works.load(sh.all())
	ask(works, job)
	<-works.dead
	begin := time.Now()
	took := waits.awaitWork(time.Minute)
	waits.eventually("takeover of the run", time.Minute, func() (bool, string) {
		for _, r := range waits.runs() {
			if r.Attempt > 1 {
				return true, ""
			}
		}
		return false, "no run has a second attempt"
	})
	if all := time.Since(begin); all > time.Minute {
		t.Errorf("the run was taken over after %s", all)
	}
	t.Logf("the process was taken over after %s", took.Round(time.Second))
	waits.settle(job, time.Minute)
	compareAll(t, far, sh, "takeover")
}

// TestCutOff: a process that no longer reaches the database lets go of the
// warehouse before another one can take it, comes back as one that stands by,
// and works again when it is its turn.
func TestCutOff(t *testing.T) {
	database, seed := postgrestest.Fresh(t), seedOf(t)
	far, sh, dir := startSandbox(t), newShop(seed, 300), t.TempDir()
	wire := newWire(t, database)
	cutOff := startNode(t, dir, wire.url, far, "", envPatient+"=1")
	cutOff.awaitWork(time.Minute)
	other := startNode(t, dir, database, far, "")
	job := cutOff.declare(far)
	cutOff.load(sh.all())
	ask(cutOff, job)
	time.Sleep(time.Duration(rand.New(rand.NewPCG(seed, 1)).IntN(400)) * time.Millisecond) // anywhere in its run
	wire.cut()
	other.eventually("the other one works", time.Minute, func() (bool, string) {
		first, _, _ := cutOff.status("/readyz")
		second, _, _ := other.status("/readyz")
		third, _, _ := cutOff.status("/readyz")
		if second == http.StatusOK && (first == http.StatusOK || third == http.StatusOK) {
			t.Error("two processes work at the same time")
		}
		return second == http.StatusOK, fmt.Sprint(first, " ", second)
	})
	cutOff.standsBy(database)
	other.Token = token(t, dir)
	other.load(sh.change(50))
	other.settle(job, time.Minute)
	compareAll(t, far, sh, "the other one took over")
	wire.mend()
	other.kill()
	cutOff.awaitWork(time.Minute)
	cutOff.load(sh.change(50))
	cutOff.settle(job, time.Minute)
	compareAll(t, far, sh, "the first one came back")
}

// TestOtherDirectory: a process with another data directory than the one the
// database works with does not begin with an empty ledger, but says so.
func TestOtherDirectory(t *testing.T) {
	database := postgrestest.New(t)
	far := startSandbox(t)
	first := startNode(t, t.TempDir(), database, far, "")
	first.awaitWork(time.Minute)
	other := startNode(t, t.TempDir(), database, far, "")
	other.standsBy(database)
	first.stop(t)
	<-other.dead
	if code := other.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("it ended with %d, want 1", code)
	}
	if _, err := os.Stat(filepath.Join(other.dir, "warehouse.duckdb")); err == nil {
		t.Error("it made a warehouse")
	}
	again := startNode(t, first.dir, database, far, "")
	again.awaitWork(time.Minute)
}

// wire leads to the database until it is cut: what is sent then neither arrives
// nor fails, as when a cable is pulled.
type wire struct {
	url  string
	far  string
	mu   sync.Mutex
	open chan struct{} // closed while the wire leads somewhere
}

func newWire(t *testing.T, database string) *wire {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	q := u.Query()
	w := &wire{far: filepath.Join(q.Get("host"), ".s.PGSQL.5432"), open: make(chan struct{})}
	close(w.open)
	w.url = fmt.Sprintf("postgres://%s@%s%s?sslmode=disable&connect_timeout=1&search_path=%s", q.Get("user"), ln.Addr(), u.Path, q.Get("search_path"))
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			go w.join(t.Context(), near)
		}
	}()
	return w
}

func (w *wire) join(ctx context.Context, near net.Conn) {
	defer func() { _ = near.Close() }()
	w.passes(ctx)
	far, err := net.Dial("unix", w.far)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	go w.copy(ctx, near, far)
	w.copy(ctx, far, near)
}

// copy passes bytes on while the wire is whole.
func (w *wire) copy(ctx context.Context, to io.WriteCloser, from io.Reader) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		w.passes(ctx)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// passes waits until the wire is whole, or the test is over.
func (w *wire) passes(ctx context.Context) {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.open)
}
