package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// importJob creates a job without targets.
func (w *world) importJob(name string, change func(*activation.Job)) activation.Job {
	w.t.Helper()
	j := activation.Job{
		Name: name, Workflow: "sftp_import", Provider: "sftp", Type: "import", CreatedBy: "ann",
		Schedule: activation.Schedule{Continuous: true, Frequency: "hourly"},
	}
	if change != nil {
		change(&j)
	}
	j, err := w.CreateJob(w.t.Context(), j)
	w.ok(err)
	return j
}

// duePasses returns the ids of the jobs that may have a pass.
func (w *world) duePasses() []activation.JobID {
	w.t.Helper()
	list, err := w.DuePasses(w.t.Context(), []string{"sftp_import"}, "", 100)
	w.ok(err)
	var out []activation.JobID
	for _, d := range list {
		out = append(out, d.Job.ID)
	}
	return out
}

func (w *world) taken(id activation.JobID) activation.Pass {
	w.t.Helper()
	p, err := w.TakePass(w.t.Context(), id, "n1", lease)
	w.ok(err)
	return p
}

// passed does a job's next pass, to its end or into an error of a kind.
func (w *world) passed(id activation.JobID, kind activation.Kind) activation.Pass {
	w.t.Helper()
	p := w.taken(id)
	p.Status, p.Counts = activation.RunCompleted, map[string]int64{"new_profiles": 7}
	if kind != "" {
		p.Status, p.ErrorKind, p.ErrorCode, p.ErrorText = activation.RunFailed, kind, "SFTP-1", "the server is away"
	}
	w.ok(w.FinishPass(w.t.Context(), p))
	return p
}

func (w *world) aJob(id activation.JobID) activation.Job {
	w.t.Helper()
	j, err := w.Job(w.t.Context(), id)
	w.ok(err)
	return j
}

// events are the events of a job's log, oldest first.
func (w *world) events(id activation.JobID) []activation.LogEvent {
	w.t.Helper()
	lines, err := w.JobLogs(w.t.Context(), id, time.Time{}, 100)
	w.ok(err)
	var out []activation.LogEvent
	for _, l := range lines {
		out = append(out, l.Event)
	}
	return out
}

// passing: a job without targets is due, has one pass at a time, is taken over
// when its lease ends, and sleeps until its next time.
func passing(w *world) {
	ctx := w.t.Context()
	j := w.importJob("nightly", nil)
	w.equal([]activation.JobID{j.ID}, w.duePasses())
	none, err := w.DuePasses(ctx, []string{"other"}, "", 10)
	w.ok(err)
	w.equal(0, len(none))

	p := w.taken(j.ID)
	w.equal("1 1 running n1", fmt.Sprint(p.Number, p.Attempt, " ", p.Status, " ", p.Node))
	w.equal(0, len(w.duePasses()))
	_, err = w.TakePass(ctx, j.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
	w.is(activation.ErrConflict, w.RunNow(ctx, j.ID, "ann"))
	p.Counts = map[string]int64{"new_profiles": 3}
	w.ok(w.SavePass(ctx, p))
	w.clock.Add(lease - time.Second)
	w.ok(w.RenewPass(ctx, p, lease))
	w.clock.Add(lease - time.Second)
	w.ok(w.CheckPass(ctx, p))
	w.clock.Add(time.Second)
	w.is(activation.ErrFenced, w.RenewPass(ctx, p, lease))

	w.equal([]activation.JobID{j.ID}, w.duePasses())
	next, err := w.TakePass(ctx, j.ID, "n2", lease)
	w.ok(err)
	w.equal(fmt.Sprint(p.ID, 2, 3), fmt.Sprint(next.ID, next.Attempt, next.Counts["new_profiles"]))
	w.is(activation.ErrFenced, w.CheckPass(ctx, p))
	w.is(activation.ErrFenced, w.SavePass(ctx, p))
	w.is(activation.ErrFenced, w.ReleasePass(ctx, p, time.Time{}))
	p.Status = activation.RunCompleted
	w.is(activation.ErrFenced, w.FinishPass(ctx, p))
	w.equal(activation.JobRunnable, w.jobState(j.ID))

	began := w.clock.Now().Add(-2*lease + time.Second)
	next.Status, next.Counts = activation.RunCompleted, map[string]int64{"new_profiles": 5}
	w.ok(w.FinishPass(ctx, next))
	w.is(activation.ErrFenced, w.FinishPass(ctx, next))
	after := w.aJob(j.ID)
	w.equal(fmt.Sprint("sleeping schedule ", began.Add(time.Hour)), fmt.Sprint(after.State, " ", after.SleepReason, " ", after.SleepUntil))
	w.equal(0, len(w.duePasses()))
	w.clock.Add(time.Hour)
	w.equal([]activation.JobID{j.ID}, w.duePasses())
	w.passed(j.ID, "")
	w.equal([]activation.LogEvent{activation.LogCreated, activation.LogStarted, activation.LogSynced, activation.LogSynced}, w.events(j.ID))
	list, err := w.Passes(ctx, j.ID, 0, 10)
	w.ok(err)
	w.equal("2 completed, 1 completed", fmt.Sprint(list[0].Number, " ", list[0].Status, ", ", list[1].Number, " ", list[1].Status))
	list, err = w.Passes(ctx, j.ID, 2, 10)
	w.ok(err)
	w.equal(1, len(list))

	w.ok(w.RunNow(ctx, j.ID, "ann"))
	w.equal([]activation.JobID{j.ID}, w.duePasses())
}

// passErrors: the job's own rest follows the same rules as a target's.
func passErrors(w *world) {
	ctx := w.t.Context()
	j := w.importJob("j", func(j *activation.Job) { j.FailAfter = 2 * time.Hour })
	w.passed(j.ID, "")
	w.clock.Add(time.Hour)
	for i, minutes := range []int{1, 2, 4, 8, 16, 32, 57} {
		w.passed(j.ID, activation.Unavailable)
		got := w.aJob(j.ID)
		w.equal(fmt.Sprint("sleeping error ", minutes, " ", i+1), fmt.Sprint(got.State, " ", got.SleepReason, " ", got.SleepUntil.Sub(w.clock.Now()).Minutes(), " ", got.ConsecutiveErrors))
		w.equal(0, len(w.duePasses()))
		w.clock.Add(got.SleepUntil.Sub(w.clock.Now()))
		w.equal(1, len(w.duePasses()))
	}
	w.passed(j.ID, activation.Internal)
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.equal(0, len(w.duePasses()))
	_, err := w.TakePass(ctx, j.ID, "n1", lease)
	w.is(activation.ErrConflict, err)
	w.ok(w.Bounce(ctx, j.ID, "ann"))
	w.equal(0, w.aJob(j.ID).ConsecutiveErrors)
	w.equal(1, len(w.duePasses()))

	p := w.taken(j.ID)
	until := w.clock.Now().Add(3 * time.Hour)
	w.ok(w.ReleasePass(ctx, p, until))
	got := w.aJob(j.ID)
	w.equal(fmt.Sprint("sleeping provider_limit ", until, " 0"), fmt.Sprint(got.State, " ", got.SleepReason, " ", got.SleepUntil, " ", got.ConsecutiveErrors))
	w.clock.Add(3 * time.Hour)
	w.equal(1, len(w.duePasses()))
	again := w.taken(j.ID)
	w.equal(p.ID, again.ID)
	again.Status, again.ErrorKind, again.ErrorCode = activation.RunFailed, activation.Invalid, "SFTP-2"
	w.ok(w.FinishPass(ctx, again))
	w.equal(activation.JobFailed, w.jobState(j.ID))
	lines := w.events(j.ID)
	w.equal([]activation.LogEvent{activation.LogFailed, activation.LogBounced, activation.LogSleeping, activation.LogFailed}, lines[len(lines)-4:])

	once := w.importJob("once", func(j *activation.Job) { j.Continuous = false })
	w.passed(once.ID, activation.Unavailable)
	w.equal(activation.JobSleeping, w.jobState(once.ID))
	w.clock.Add(time.Minute)
	w.passed(once.ID, "")
	w.equal(activation.JobCompleted, w.jobState(once.ID))
	w.equal([]activation.LogEvent{activation.LogCreated, activation.LogStarted, activation.LogError, activation.LogSynced, activation.LogCompleted}, w.events(once.ID))
	w.clock.Add(24 * time.Hour)
	for _, id := range w.duePasses() {
		if id == once.ID {
			w.t.Fatal("a completed job is due")
		}
	}
}

// passCommands: pause lets go and goes on later with the same pass; kill and
// delete end it, and what its attempt still writes is refused.
func passCommands(w *world) {
	ctx := w.t.Context()
	j := w.importJob("j", nil)
	p := w.taken(j.ID)
	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	w.is(activation.ErrPaused, w.CheckPass(ctx, p))
	p.Counts = map[string]int64{"new_profiles": 2}
	w.ok(w.ReleasePass(ctx, p, time.Time{}))
	w.equal(activation.JobPaused, w.jobState(j.ID))
	w.equal(0, len(w.duePasses()))
	_, err := w.TakePass(ctx, j.ID, "n1", lease)
	w.is(activation.ErrConflict, err)
	w.ok(w.Resume(ctx, j.ID, "ann"))
	w.equal(1, len(w.duePasses()))
	again := w.taken(j.ID)
	w.equal(fmt.Sprint(p.ID, 2), fmt.Sprint(again.ID, again.Counts["new_profiles"]))

	// It had ended before it noticed the pause: errors count, the job stays paused.
	w.ok(w.Pause(ctx, j.ID, time.Hour, "ann"))
	again.Status, again.ErrorKind, again.ErrorCode = activation.RunFailed, activation.Unavailable, "SFTP-1"
	w.ok(w.FinishPass(ctx, again))
	got := w.aJob(j.ID)
	w.equal("paused 1", fmt.Sprint(got.State, " ", got.ConsecutiveErrors))
	w.clock.Add(time.Hour)
	n, err := w.ResumeDue(ctx)
	w.ok(err)
	w.equal(1, n)
	w.equal(1, len(w.duePasses()))
	w.equal(1, w.aJob(j.ID).ConsecutiveErrors)

	p = w.taken(j.ID)
	w.ok(w.Kill(ctx, j.ID, "ann"))
	w.is(activation.ErrFenced, w.CheckPass(ctx, p))
	p.Status = activation.RunCompleted
	w.is(activation.ErrFenced, w.FinishPass(ctx, p))
	w.equal(activation.JobKilled, w.jobState(j.ID))
	list, err := w.Passes(ctx, j.ID, 0, 1)
	w.ok(err)
	w.equal(activation.RunWithdrawn, list[0].Status)

	gone := w.importJob("gone", nil)
	p = w.taken(gone.ID)
	w.ok(w.DeleteJob(ctx, gone.ID, "ann"))
	w.is(activation.ErrFenced, w.SavePass(ctx, p))
	w.equal(0, len(w.duePasses()))

	later := w.importJob("later", func(j *activation.Job) { j.Frequency, j.TimeOfDay = "daily", "03:00" })
	got = w.aJob(later.ID)
	w.equal("sleeping schedule", fmt.Sprint(got.State, " ", got.SleepReason))
	w.equal(got.NextRunAt, got.SleepUntil)
	w.equal(0, len(w.duePasses()))
	later.Schedule = activation.Schedule{Continuous: true}
	w.ok(w.UpdateJob(ctx, later, "ann"))
	w.equal("runnable", w.jobState(later.ID))
	list2, err := w.DuePasses(ctx, []string{"sftp_import"}, "", 10)
	w.ok(err)
	w.equal("1 false", fmt.Sprint(len(list2), " ", list2[0].Wanted)) // in real time: its runner knows
}

// passAsked: of more jobs in real time than are listed at once each is in turn,
// behind those whose time has come.
func passAsked(w *world) {
	ctx := w.t.Context()
	for n := range 5 {
		w.importJob(fmt.Sprint("real time ", n), func(j *activation.Job) { j.Schedule = activation.Schedule{Continuous: true} })
	}
	for range 5 { // a new job's first pass is wanted
		list, err := w.DuePasses(ctx, []string{"sftp_import"}, "", 1)
		w.ok(err)
		w.passed(list[0].Job.ID, "")
	}
	timed := w.importJob("timed", nil)
	asked := map[activation.JobID]int{}
	after := activation.JobID("")
	for range 3 {
		list, err := w.DuePasses(ctx, []string{"sftp_import"}, after, 3)
		w.ok(err)
		w.equal("3 true false", fmt.Sprint(len(list), " ", list[0].Wanted, " ", list[1].Wanted))
		w.equal(timed.ID, list[0].Job.ID)
		asked[list[1].Job.ID]++
		asked[list[2].Job.ID]++
		after = list[2].Job.ID
	}
	w.equal(5, len(asked))
}

// passParked: an authorization that does not work puts every job that uses it
// to sleep, with or without targets, and wakes them when it is mended.
func passParked(w *world) {
	ctx := w.t.Context()
	on := func(auth activation.AuthorizationID) func(*activation.Job) {
		return func(j *activation.Job) { j.Authorizations = []activation.AuthorizationID{auth} }
	}
	j, other, free := w.importJob("j", on(w.auth.ID)), w.importJob("other", on(w.auth.ID)), w.importJob("free", nil)
	_, targets := w.job("vips", nil, w.audience("vips"))
	w.passed(j.ID, activation.Unauthorized)
	for _, id := range []activation.JobID{j.ID, other.ID} {
		w.equal("sleeping authorization", fmt.Sprint(w.aJob(id).State, " ", w.aJob(id).SleepReason))
	}
	w.equal(activation.SleepAuthorization, w.target(targets[0].ID).SleepReason)
	w.equal([]activation.JobID{free.ID}, w.duePasses())
	w.ok(w.RunNow(ctx, j.ID, "ann"))
	w.equal([]activation.JobID{free.ID}, w.duePasses())
	w.ok(w.Pause(ctx, other.ID, 0, "ann"))
	w.ok(w.Resume(ctx, other.ID, "ann"))
	w.equal(activation.SleepAuthorization, w.aJob(other.ID).SleepReason)
	w.is(activation.ErrConflict, w.DeleteAuthorization(ctx, w.auth.ID, "ann"))

	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	w.equal(3, len(w.duePasses()))
	w.equal(activation.JobRunnable, w.jobState(j.ID))

	w.passed(j.ID, activation.Unauthorized)
	w.clock.Add(activation.DefaultFailAfter)
	second := w.authorization("second")
	n, err := w.FailOverduePasses(ctx)
	w.ok(err)
	w.equal(2, n)
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.ok(w.ReplaceAuthorization(ctx, w.auth.ID, second.ID, nil, "ann"))
	w.equal([]activation.AuthorizationID{second.ID}, w.aJob(j.ID).Authorizations)
	w.ok(w.Bounce(ctx, j.ID, "ann"))
	w.equal(2, len(w.duePasses()))

	w.passed(free.ID, activation.Unauthorized) // nothing to mend: it tries again
	w.equal(activation.SleepError, w.aJob(free.ID).SleepReason)
}

// passStalled: a pass that makes no progress is ended, whoever holds it.
func passStalled(w *world) {
	ctx := w.t.Context()
	j := w.importJob("j", func(j *activation.Job) { j.StallAfter = time.Minute })
	p := w.taken(j.ID)
	beat := func() {
		w.clock.Add(40 * time.Second)
		w.ok(w.RenewPass(ctx, p, lease))
	}
	beat()
	p.Counts = map[string]int64{"new_profiles": 4}
	w.ok(w.SavePass(ctx, p))
	beat()
	n, err := w.StallPasses(ctx)
	w.ok(err)
	w.equal(0, n)
	beat()
	n, err = w.StallPasses(ctx)
	w.ok(err)
	w.equal(1, n)
	w.is(activation.ErrFenced, w.CheckPass(ctx, p))
	list, err := w.Passes(ctx, j.ID, 0, 1)
	w.ok(err)
	w.equal("failed STALLED 4", fmt.Sprint(list[0].Status, " ", list[0].ErrorCode, " ", list[0].Counts["new_profiles"]))
	w.equal(activation.SleepError, w.aJob(j.ID).SleepReason)
	w.clock.Add(time.Minute)
	w.equal(1, len(w.duePasses()))
}

// passRace: of many who take a pass at once one has it, and of many who end it.
func passRace(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	j := w.importJob("j", func(j *activation.Job) { j.Frequency = "1m" })
	for round := range 3 {
		var winners, enders atomic.Int64
		var p atomic.Pointer[activation.Pass]
		atOnce(8, func(i int) {
			switch got, err := nodes[i%2].TakePass(ctx, j.ID, fmt.Sprint("n", i), lease); {
			case err == nil:
				winners.Add(1)
				p.Store(&got)
			case !errors.Is(err, activation.ErrConflict):
				w.t.Errorf("loser %d: %v", i, err)
			}
		})
		w.equal(1, winners.Load())
		atOnce(8, func(i int) {
			end := *p.Load()
			end.Status = activation.RunCompleted
			if nodes[i%2].FinishPass(ctx, end) == nil {
				enders.Add(1)
			}
		})
		w.equal(1, enders.Load())
		w.equal(int64(round+1), p.Load().Number)
		w.clock.Add(time.Minute)
	}
}
