package pass_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/engine"
	"usher/internal/pass"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
)

// world is a control store on a clock of synctest, with nodes that share it.
type world struct {
	t     *testing.T
	store *store.Store
	r     *runner
}

// runner does what the test says and notes what was asked of it.
type runner struct {
	mu    sync.Mutex
	due   bool
	fn    func(ctx context.Context, p pass.Progress) error
	calls []string // pass.attempt of each call
}

func (r *runner) Workflows() []string { return []string{"sftp_import"} }

func (r *runner) Due(context.Context, activation.Job) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.due, nil
}

func (r *runner) Pass(ctx context.Context, _ activation.Job, p pass.Progress) error {
	r.mu.Lock()
	r.calls = append(r.calls, fmt.Sprint(p.Pass().Number, ".", p.Pass().Attempt))
	fn := r.fn
	r.mu.Unlock()
	return fn(ctx, p)
}

func (r *runner) set(fn func(ctx context.Context, p pass.Progress) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fn = fn
}

func (r *runner) called() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.calls)
}

func test(t *testing.T, fn func(w *world)) {
	t.Helper()
	path := sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.db"))
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		fn(&world{t: t, store: s, r: &runner{fn: func(context.Context, pass.Progress) error { return nil }}})
	})
}

// node starts a node and returns the function that stops it and waits.
func (w *world) node(name string) (stop func()) {
	w.t.Helper()
	worker, err := pass.New(pass.Config{Node: name, Store: w.store, Runners: []pass.Runner{w.r}})
	if err != nil {
		w.t.Fatal(err)
	}
	e := engine.New(engine.Config{Node: name, Leases: w.store}, worker, &store.Sweeper{Store: w.store})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) job(change func(*activation.Job)) activation.JobID {
	w.t.Helper()
	j := activation.Job{Name: "nightly", Workflow: "sftp_import", Type: "import", Schedule: activation.Schedule{Continuous: true, Frequency: "hourly"}}
	if change != nil {
		change(&j)
	}
	j, err := w.store.CreateJob(w.t.Context(), j)
	if err != nil {
		w.t.Fatal(err)
	}
	return j.ID
}

// is checks the state of the job, its last pass and the runner's calls.
func (w *world) is(id activation.JobID, job, last, calls string) {
	w.t.Helper()
	j, err := w.store.Job(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := w.store.Passes(w.t.Context(), id, 0, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	got := ""
	if len(list) > 0 {
		got = fmt.Sprint(list[0].Number, ".", list[0].Attempt, " ", list[0].Status, list[0].Counts["n"], list[0].ErrorCode)
	}
	if state := string(j.State) + string(j.SleepReason); state != job || got != last || w.r.called() != calls {
		w.t.Fatalf("job %s, pass %s, calls %s; want %s, %s, %s", state, got, w.r.called(), job, last, calls)
	}
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestScheduledAndOnce(t *testing.T) {
	test(t, func(w *world) {
		w.r.set(func(_ context.Context, p pass.Progress) error { p.Count("n", 2); return nil })
		id := w.job(nil)
		stop := w.node("a")
		wait(time.Second)
		w.is(id, "sleepingschedule", "1.1 completed2", "[1.1]")
		wait(59 * time.Minute)
		w.is(id, "sleepingschedule", "1.1 completed2", "[1.1]")
		wait(2 * time.Minute)
		w.is(id, "sleepingschedule", "2.1 completed2", "[1.1 2.1]")
		once := w.job(func(j *activation.Job) { j.Name, j.Continuous = "once", false })
		wait(10 * time.Second)
		w.is(once, "completed", "1.1 completed2", "[1.1 2.1 1.1]")
		stop()
	})
}

func TestRealTimeAsksTheRunner(t *testing.T) {
	test(t, func(w *world) {
		id := w.job(func(j *activation.Job) { j.Frequency = "realtime" })
		stop := w.node("a")
		wait(time.Minute)
		w.is(id, "runnable", "1.1 completed0", "[1.1]")
		w.r.mu.Lock()
		w.r.due = true
		w.r.mu.Unlock()
		w.r.set(func(context.Context, pass.Progress) error {
			w.r.mu.Lock()
			defer w.r.mu.Unlock()
			w.r.due = false
			return nil
		})
		wait(10 * time.Second)
		w.is(id, "runnable", "2.1 completed0", "[1.1 2.1]")
		stop()
	})
}

func TestErrors(t *testing.T) {
	cases := []struct {
		err       error
		job, last string
	}{
		{&activation.Error{Kind: activation.Unavailable, Code: "SFTP-1"}, "sleepingerror", "1.1 failed0SFTP-1"},
		{&activation.Error{Kind: activation.Invalid, Code: "SFTP-2", Field: "path"}, "failed", "1.1 failed0SFTP-2"},
		{&activation.Error{Kind: activation.WaitUntil, Code: "SFTP-3"}, "sleepingprovider_limit", "1.1 running0"},
		{errors.New("the disk is full"), "sleepingerror", "1.1 failed0INTERNAL-019"},
	}
	for _, c := range cases {
		t.Run(c.err.Error(), func(t *testing.T) {
			test(t, func(w *world) {
				w.r.set(func(context.Context, pass.Progress) error { return c.err })
				id := w.job(nil)
				stop := w.node("a")
				wait(time.Second)
				w.is(id, c.job, c.last, "[1.1]")
				stop()
			})
		})
	}
	t.Run("panic", func(t *testing.T) {
		test(t, func(w *world) {
			w.r.set(func(context.Context, pass.Progress) error { panic("oh") })
			id := w.job(nil)
			stop := w.node("a")
			wait(time.Second)
			w.is(id, "sleepingerror", "1.1 failed0INTERNAL-019", "[1.1]")
			stop()
		})
	})
}

// TestCrash: another node goes on with the pass of one that died, with its
// counts, once its lease is over; what the dead one still does is refused.
func TestCrash(t *testing.T) {
	test(t, func(w *world) {
		id := w.job(nil)
		dead, err := w.store.TakePass(w.t.Context(), id, "dead", 45*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		dead.Counts = map[string]int64{"n": 4}
		if err := w.store.SavePass(w.t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		w.r.set(func(_ context.Context, p pass.Progress) error { p.Count("n", 1); return nil })
		stop := w.node("b")
		wait(44 * time.Second)
		w.is(id, "runnable", "1.1 running4", "[]")
		wait(10 * time.Second)
		w.is(id, "sleepingschedule", "1.2 completed5", "[1.2]")
		dead.Status = activation.RunFailed
		if err := w.store.FinishPass(w.t.Context(), dead); !errors.Is(err, activation.ErrFenced) {
			t.Fatalf("the dead node's end: %v", err)
		}
		stop()
	})
}

// untilTold returns when it is told to, with the counts it has made.
func untilTold(ctx context.Context, p pass.Progress) error {
	p.Count("n", 1)
	<-ctx.Done()
	p.Count("n", 1)
	return ctx.Err()
}

// TestStops: pause, kill and shutdown end a pass within 10 s, and nothing of
// its counts is lost; what may go on does, on any node.
func TestStops(t *testing.T) {
	test(t, func(w *world) {
		ctx := w.t.Context()
		w.r.set(untilTold)
		id := w.job(nil)
		stop := w.node("a")
		wait(time.Minute) // its lease is renewed
		w.is(id, "runnable", "1.1 running1", "[1.1]")
		if err := w.store.Pause(ctx, id, 0, "ann"); err != nil {
			t.Fatal(err)
		}
		wait(10 * time.Second)
		w.is(id, "paused", "1.1 running2", "[1.1]")
		if err := w.store.Resume(ctx, id, "ann"); err != nil {
			t.Fatal(err)
		}
		wait(10 * time.Second)
		w.is(id, "runnable", "1.2 running3", "[1.1 1.2]")
		stop()
		w.is(id, "runnable", "1.2 running4", "[1.1 1.2]")
		stop = w.node("b")
		wait(10 * time.Second)
		w.is(id, "runnable", "1.3 running5", "[1.1 1.2 1.3]")
		if err := w.store.Kill(ctx, id, "ann"); err != nil {
			t.Fatal(err)
		}
		wait(10 * time.Second)
		w.is(id, "killed", "1.4 withdrawn5", "[1.1 1.2 1.3]")
		stop()
	})
}

// TestHang: a runner that makes no progress is ended, and one that does not
// even return is left behind; its job and the others go on.
func TestHang(t *testing.T) {
	test(t, func(w *world) {
		release := make(chan struct{})
		w.r.set(func(_ context.Context, p pass.Progress) error {
			if p.Pass().Number == 1 {
				<-release
				p.Count("n", 99)
				if err := p.Save(context.Background()); !errors.Is(err, activation.ErrFenced) {
					w.t.Errorf("what was left behind wrote: %v", err)
				}
			}
			return nil
		})
		id := w.job(nil)
		stop := w.node("a")
		wait(14*time.Minute + 50*time.Second)
		w.is(id, "runnable", "1.1 running0", "[1.1]")
		wait(20 * time.Second)
		w.is(id, "sleepingerror", "1.1 failed0STALLED", "[1.1]")
		wait(70 * time.Second)
		w.is(id, "sleepingschedule", "2.1 completed0", "[1.1 2.1]")
		close(release)
		wait(time.Second)
		stop()
	})
}

// TestSlowIsNotHung: a pass that moves now and then may take as long as it wants.
func TestSlowIsNotHung(t *testing.T) {
	test(t, func(w *world) {
		w.r.set(func(_ context.Context, p pass.Progress) error {
			for range 12 {
				time.Sleep(10 * time.Minute)
				p.Moved()
			}
			return nil
		})
		id := w.job(func(j *activation.Job) { j.Frequency = "daily" })
		stop := w.node("a")
		wait(119 * time.Minute)
		w.is(id, "runnable", "1.1 running0", "[1.1]")
		wait(2 * time.Minute)
		w.is(id, "sleepingschedule", "1.1 completed0", "[1.1]")
		stop()
	})
}

// moody says of each job, by its name, whether it has something to do.
type moody struct{ runner }

func (*moody) Due(_ context.Context, j activation.Job) (bool, error) {
	if j.Name == "broken" {
		return false, errors.New("no idea")
	}
	return j.Name == "busy", nil
}

// candidates is a store whose jobs are asked about.
type candidates struct {
	pass.Store
	due   []store.DuePass
	after []activation.JobID // what each look began behind
}

func (c *candidates) DuePasses(_ context.Context, _ []string, after activation.JobID, _ int) ([]store.DuePass, error) {
	c.after = append(c.after, after)
	return c.due, nil
}

// A job that nobody can tell about holds up neither the one after it whose time
// has come nor the one after that with something to do.
func TestNobodyWaitsForABrokenJob(t *testing.T) {
	job := func(name string, wanted bool) store.DuePass {
		return store.DuePass{Job: activation.Job{ID: activation.JobID(name), Name: name, Workflow: "sftp_import"}, Wanted: wanted}
	}
	w, err := pass.New(pass.Config{Store: &candidates{due: []store.DuePass{
		job("broken", false), job("scheduled", true), job("idle", false), job("busy", false), job("broken", true),
	}}, Runners: []pass.Runner{&moody{}}})
	if err != nil {
		t.Fatal(err)
	}
	works, err := w.Due(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(works))
	for _, x := range works {
		got = append(got, x.ID)
	}
	if want := []string{"scheduled", "busy", "broken"}; !slices.Equal(got, want) {
		t.Errorf("due are %v, want %v", got, want)
	}
}

// Where more jobs in real time may have something to do than are listed at once,
// each look goes on behind the last one.
func TestEachIsAskedInTurn(t *testing.T) {
	job := func(name string, wanted bool) store.DuePass {
		return store.DuePass{Job: activation.Job{ID: activation.JobID(name), Name: name, Workflow: "sftp_import"}, Wanted: wanted}
	}
	c := &candidates{}
	w, err := pass.New(pass.Config{Store: c, Runners: []pass.Runner{&moody{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range [][]store.DuePass{
		{job("timed", true), job("a", false)}, // full
		{job("b", false)},                     // the last of them
		{job("timed", true), job("timed too", true)},
		{},
	} {
		c.due = page
		if _, err := w.Due(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}
	if want := []activation.JobID{"", "a", "", ""}; !slices.Equal(c.after, want) {
		t.Errorf("the looks began behind %q, want %q", c.after, want)
	}
}
