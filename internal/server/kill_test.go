package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/delivery"
	"usher/internal/server"
	"usher/internal/store/postgres/postgrestest"
	"usher/sandbox/fault"
)

// The environment of a child process: this test binary as a server.
const (
	envChild    = "USHER_TEST_CHILD"    // data directory
	envSandbox  = "USHER_TEST_SANDBOX"  // host:port, several with commas
	envDatabase = "USHER_TEST_DATABASE" // address of a PostgreSQL; none = SQLite
	envCrash    = "USHER_TEST_CRASH"    // crash point and how many times to pass it first: "after_deliver 2"
	envSlow     = "USHER_TEST_REAL_LEASE"
	envPatient  = "USHER_TEST_PATIENT" // leases of 10 s, of which 8 s are there to let go
	envGuard    = "USHER_TEST_GUARD"   // per cent
	envParts    = "USHER_TEST_PARTS"   // rows of one load of an import
	envHasty    = "USHER_TEST_HASTY"   // publishers settle at once and take few edits in a call
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envChild); dir != "" {
		if err := child(dir); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(postgrestest.Main(m))
}

// child is a server process that tests kill.
func child(dir string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	term := make(chan os.Signal, 1)
	notify(term)
	go func() { <-term; stop() }()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.MaxBatch, cfg.MemoryMB = dir, "127.0.0.1:0", 40, 256
	cfg.AllowHosts = strings.Split(os.Getenv(envSandbox), ",")
	cfg.GuardPercent = 100
	if g, err := strconv.Atoi(os.Getenv(envGuard)); err == nil {
		cfg.GuardPercent = g
	}
	opt := server.Options{Faults: crashAt(os.Getenv(envCrash))}
	if n, err := strconv.ParseInt(os.Getenv(envParts), 10, 64); err == nil {
		opt.ImportRows = n
	}
	if os.Getenv(envSlow) == "" {
		opt.LeaseTTL, opt.Renew, opt.Sweep, opt.StopWithin = 2*time.Second, 300*time.Millisecond, 150*time.Millisecond, 400*time.Millisecond
	}
	if os.Getenv(envPatient) != "" {
		opt.LeaseTTL, opt.StopWithin = 10*time.Second, 4*time.Second
	}
	if os.Getenv(envHasty) != "" {
		opt.Providers = hasty()
	}
	cfg.DatabaseURL = config.Secret(os.Getenv(envDatabase))
	s, err := server.Open(ctx, cfg, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), opt)
	if err != nil {
		return err
	}
	fmt.Println("ready " + s.URL())
	return errors.Join(s.Run(ctx), s.Close())
}

// crashPoint kills its own process, as hard as kill -9, at one point.
type crashPoint struct {
	point delivery.CrashPoint
	skip  int
}

func crashAt(spec string) delivery.Faults {
	point, skip, ok := strings.Cut(spec, " ")
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(skip)
	if err != nil {
		return nil
	}
	return crashPoint{delivery.CrashPoint(point), n}
}

// At kills the process when the point is reached for the wanted time.
func (c crashPoint) At(_ context.Context, p delivery.CrashPoint, n int) error {
	if p == c.point && n == c.skip {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
	return nil
}

// process is a child under test.
type process struct {
	near
	cmd  *exec.Cmd
	dead chan struct{}
}

// start starts a child over dir and waits until it serves.
func start(t testing.TB, dir string, far *far, crash string, env ...string) *process {
	t.Helper()
	p := &process{dead: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0]) //nolint:gosec // this test binary
	p.cmd.Env = append(os.Environ(), envChild+"="+dir, envSandbox+"="+far.addr, envCrash+"="+crash)
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
	url := strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	p.near = near{Client: &client.Client{URL: url, Token: token(t, dir)}, t: t, dir: dir}
	t.Cleanup(p.kill)
	return p
}

// kill ends the child with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.dead
}

// stop asks the child to end and reports how long it took.
func (p *process) stop(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.dead:
	case <-time.After(patience * 20 * time.Second):
		t.Fatal("the server did not stop")
	}
	return time.Since(begin)
}

// lineLogger passes a child's log on to the test's.
type lineLogger struct{ t testing.TB }

func (l *lineLogger) Write(p []byte) (int, error) {
	if testing.Verbose() && os.Getenv("USHER_TEST_LOG") != "" {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// TestKillEachPoint kills the server at every named point of the protocol that
// a run passes, restarts it, and compares what the sandbox holds, person by
// person, with what it should hold.
func TestKillEachPoint(t *testing.T) {
	kills := killCount(t)
	seed := seedOf(t)
	far, sh, dir := startSandbox(t), newShop(seed, 600), t.TempDir()
	p := start(t, dir, far, "")
	job := p.declare(far)
	p.load(sh.all())
	p.settle(job, time.Minute)
	compareAll(t, far, sh, "first run")
	p.kill()

	points := delivery.CrashPoints
	if kills < len(points) { // a short run walks some of them, others each time
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		points = points[:kills]
	}
	reached := map[delivery.CrashPoint]bool{}
	for _, point := range points {
		if trouble, ok := troubles[point]; ok && trouble == nil {
			continue
		}
		p = start(t, dir, far, crashSpec(point).spec(), guarded(point)...)
		p.load(changes(sh, point))
		if trouble := troubles[point]; trouble != nil {
			trouble(t, far)
		}
		p.awaitDeath(job, 2*time.Minute)
		select {
		case <-p.dead:
			reached[point] = true
		default:
			p.kill()
		}
		far.ResetFaults()
		p = start(t, dir, far, "", guarded(point)...)
		p.mend()
		p.load(sh.change(1))
		p.settle(job, time.Minute)
		compareAll(t, far, sh, string(point))
		p.kill()
		if t.Failed() {
			return
		}
	}
	t.Logf("seed %d: died at %d of %d points; batches sent twice: %d", seed, len(reached), len(points), repeated(far))
	for _, point := range points {
		if trouble, ok := troubles[point]; !reached[point] && (!ok || trouble != nil) {
			t.Errorf("%s was not reached: the trouble that leads there or the protocol changed", point)
		}
	}
}

// troubles lead a run to the points that one without trouble never passes; nil
// marks points that no run to Meta can pass.
var troubles = map[delivery.CrashPoint]func(testing.TB, *far){
	delivery.BeforeReplay:     cutApplied,
	delivery.AfterReplay:      cutApplied,
	delivery.BeforeEndItems:   tokenDies,
	delivery.AfterEndItems:    tokenDies,
	delivery.BeforeGeneration: audienceGone,
	delivery.AfterGeneration:  audienceGone,
	delivery.BeforeRelease:    throttled,
	delivery.AfterRelease:     throttled,
	delivery.BeforeRemote:     audienceGone,
	delivery.AfterRemoteCall:  audienceGone,
	delivery.AfterRemote:      audienceGone,
	delivery.BeforePoll:       nil, delivery.AfterPoll: nil, delivery.AfterPollReceipt: nil,
	// Those of targets that take events: see delivery's TestEveryCrashPoint.
	delivery.BeforeReopen: nil, delivery.AfterReopen: nil, delivery.BeforeRest: nil, delivery.AfterRest: nil,
	delivery.BeforeConversion: nil, delivery.AfterConversion: nil, delivery.BeforeAccept: nil, delivery.AfterAccept: nil,
	// Nobody asks for a full replace here: see there too.
	delivery.BeforeReplaced: nil, delivery.AfterReplaced: nil, delivery.BeforeDoubt: nil, delivery.AfterDoubt: nil,
	// Nothing is deleted while the job lives: see TestKillWhileReleasing.
	delivery.BeforeDelete: nil, delivery.AfterDelete: nil,
}

// cutApplied lets the first batch take effect and cuts the answer.
func cutApplied(t testing.TB, f *far) {
	f.fault(t, fault.Fault{Method: http.MethodPost, Path: "*/users", Kind: fault.Cut, Applied: true, Times: 1})
}

// tokenDies refuses the token at the second batch.
func tokenDies(t testing.TB, f *far) {
	f.fault(t, fault.Fault{Path: "*/users", Kind: fault.Token, Subcode: 463, Skip: 1, Times: -1})
}

// throttled asks to come back in 2 s (the destination counts in seconds).
func throttled(t testing.TB, f *far) {
	f.fault(t, fault.Fault{Path: "*/users", Kind: fault.Throttle, Minutes: 2, Times: 1})
}

// audienceGone takes the audience away behind the server's back.
func audienceGone(_ testing.TB, f *far) {
	for _, a := range f.Meta().Audiences() {
		f.Meta().DeleteAudience(a.ID)
	}
}

func (f *far) fault(t testing.TB, script fault.Fault) {
	t.Helper()
	if _, err := f.Fault(script); err != nil {
		t.Fatal(err)
	}
}

// guarded switches the removal guard on where a run is to be held by it.
func guarded(p delivery.CrashPoint) []string {
	if p == delivery.BeforeGuard || p == delivery.AfterGuard {
		return []string{envGuard + "=20"}
	}
	return nil
}

// changes is what happened before the crash: a little, or for the guard, most
// people leave.
func changes(sh *shop, p delivery.CrashPoint) string {
	if guarded(p) != nil {
		return sh.exodus()
	}
	return sh.change(120)
}

// spec is the crash point as a child reads it. Points that a run passes many
// times are hit in the middle.
func (p crashSpec) spec() string {
	switch delivery.CrashPoint(p) {
	case delivery.BeforeClaim, delivery.AfterClaim, delivery.BeforeDeliver, delivery.AfterDeliver, delivery.BeforeReceipt, delivery.AfterReceipt:
		return string(p) + " 2"
	}
	return string(p) + " 0"
}

type crashSpec delivery.CrashPoint

// awaitDeath asks for runs until the server has died or the time is over.
func (p *process) awaitDeath(job activation.JobID, within time.Duration) {
	deadline := time.After(within)
	for {
		ask(p, job)
		select {
		case <-p.dead:
			return
		case <-deadline:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// mend proves the credentials again, as a person would after a token died.
func (p *process) mend() {
	p.t.Helper()
	var all []struct{ ID string }
	p.must(http.MethodGet, "/v2/destination", nil, &all)
	for _, d := range all {
		p.must(http.MethodPost, "/v2/destination/"+d.ID+"/test", nil, nil)
	}
}

// TestKillRandom kills the server at random moments.
func TestKillRandom(t *testing.T) {
	kills := killCount(t)
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 3))
	far, sh, dir := startSandbox(t), newShop(seed, 600), t.TempDir()
	p := start(t, dir, far, "")
	job := p.declare(far)
	p.load(sh.all())
	// Calls take a while, as they do out there: kills hit runs in the middle.
	far.fault(t, fault.Fault{Path: "*/users", Kind: fault.Slow, Delay: fault.Duration(40 * time.Millisecond), Times: -1})
	for i := range kills {
		upload(p, sh.change(200))
		for moment := time.Now().Add(time.Duration(r.IntN(1500)) * time.Millisecond); time.Now().Before(moment); {
			ask(p, job)
			time.Sleep(20 * time.Millisecond)
		}
		p.kill()
		p = start(t, dir, far, "")
		if i%5 == 4 { // from time to time look whether all is well
			p.load(sh.change(1))
			p.settle(job, time.Minute)
			compareAll(t, far, sh, fmt.Sprintf("kill %d", i+1))
			if t.Failed() {
				return
			}
		}
	}
	p.load(sh.change(1))
	p.settle(job, time.Minute)
	compareAll(t, far, sh, "the end")
	over := 0
	for _, run := range p.runs() {
		over += run.Attempt - 1
	}
	t.Logf("seed %d: %d kills, %d runs taken over; batches sent twice: %d", seed, kills, over, repeated(far))
}

// upload sends CSV to a server that may die meanwhile. What was accepted
// counts; what was not is sent again by the caller's model at the next change,
// so it retries until a server takes it.
func upload(p *process, csv string) {
	p.t.Helper()
	var sum struct{}
	if err := p.Upload(p.t.Context(), "/collect/bulk/people", "text/csv", strings.NewReader(csv), &sum); err != nil {
		p.t.Fatalf("upload: %v", err)
	}
}

// ask makes the job due now; the server may die while it answers.
func ask(p *process, job activation.JobID) {
	_, _ = p.Do(p.t.Context(), http.MethodPost, "/v2/job/"+string(job)+"/run", nil, nil)
}

func compareAll(t testing.TB, far *far, sh *shop, when string) {
	t.Helper()
	if diff := sh.differences(far.held(t)); len(diff) > 0 {
		t.Errorf("after %s: %d differences: %s", when, len(diff), strings.Join(diff[:min(len(diff), 10)], "; "))
	}
}

func repeated(far *far) int {
	n := 0
	for _, a := range far.Meta().Audiences() {
		n += a.Books.Repeated()
	}
	return n
}

// TestTakeover: with the real times, a run whose server was killed goes on at
// another one within 60 s.
func TestTakeover(t *testing.T) {
	if killCount(t) < 50 {
		t.Skip("a minute of waiting; part of `make kill`")
	}
	far, sh, dir := startSandbox(t), newShop(1, 200), t.TempDir()
	p := start(t, dir, far, "after_deliver 1", envSlow+"=1")
	job := p.declare(far)
	p.load(sh.all())
	ask(p, job)
	<-p.dead
	begin := time.Now()
	p = start(t, dir, far, "", envSlow+"=1")
	p.eventually("takeover", time.Minute, func() (bool, string) {
		for _, r := range p.runs() {
			if r.Attempt > 1 {
				return true, ""
			}
		}
		return false, "no run has a second attempt"
	})
	took := time.Since(begin)
	if took > time.Minute {
		t.Errorf("taken over after %s", took)
	}
	t.Logf("taken over after %s", took.Round(time.Second))
	p.settle(job, time.Minute)
	compareAll(t, far, sh, "takeover")
}

// TestStop: a server in the middle of a run stops in time, and the next one
// goes on at once.
func TestStop(t *testing.T) {
	far, sh, dir := startSandbox(t), newShop(2, 400), t.TempDir()
	p := start(t, dir, far, "")
	job := p.declare(far)
	p.load(sh.all())
	ask(p, job)
	time.Sleep(100 * time.Millisecond)
	if took := p.stop(t); took > patience*10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	p = start(t, dir, far, "")
	p.settle(job, time.Minute)
	compareAll(t, far, sh, "stop")
}

// killCount is how many kills a test makes: few in `make test`, USHER_KILLS in
// `make kill`.
func killCount(t testing.TB) int {
	t.Helper()
	if s := os.Getenv("USHER_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("USHER_KILLS: %v", err)
		}
		return n
	}
	return 3
}

func seedOf(t testing.TB) uint64 {
	t.Helper()
	if s := os.Getenv("USHER_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("USHER_SEED: %v", err)
		}
		return n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d (repeat with USHER_SEED)", seed)
	return seed
}
