package storetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

func storeAudit(kind, id string) store.AuditFilter {
	return store.AuditFilter{SubjectType: kind, SubjectID: id}
}

// fail runs a target's next run into an error of a kind.
func (w *world) fail(target activation.TargetID, kind activation.Kind) {
	w.t.Helper()
	r := w.started(target)
	r.Status, r.Stage, r.ErrorKind, r.ErrorCode, r.ErrorText = activation.RunFailed, activation.StageRemote, kind, "META-2", "the service is unavailable"
	w.ok(w.FinishRun(w.t.Context(), r, activation.End{}))
}

// succeed runs a target's next run to its end.
func (w *world) succeed(target activation.TargetID) {
	w.t.Helper()
	r := w.started(target)
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(w.t.Context(), r, activation.End{Done: true}))
}

// sleeping: errors double the sleep per target until fail_after, one success
// resets, and the job shows what its targets come to.
func sleeping(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("both", func(j *activation.Job) { j.FailAfter = 2 * time.Hour }, w.audience("a"), w.audience("b"))
	bad, good := targets[0].ID, targets[1].ID
	w.succeed(good)
	for _, minutes := range []int{1, 2, 4, 8, 16, 32, 57} {
		w.fail(bad, activation.Unavailable)
		got := w.target(bad)
		w.equal(time.Duration(minutes)*time.Minute, got.SleepUntil.Sub(w.clock.Now()))
		w.equal(activation.JobRunnable, w.jobState(j.ID)) // the other one is
		w.equal(true, got.DueNow)
		w.equal(0, len(w.due()))
		w.clock.Add(got.SleepUntil.Sub(w.clock.Now()))
		w.equal([]activation.TargetID{bad}, w.due())
	}
	w.fail(bad, activation.Unavailable)
	w.equal(activation.TargetFailed, w.target(bad).State)
	w.equal(activation.JobRunnable, w.jobState(j.ID))
	// It runs again when a person asks for it, and not otherwise.
	_, err := w.OpenRun(ctx, activation.Run{Target: bad, Cause: activation.CauseSchedule})
	w.is(activation.ErrConflict, err)
	asked, err := w.OpenRun(ctx, activation.Run{Target: bad, Cause: activation.CauseManual})
	w.ok(err)
	w.equal(activation.TargetRunnable, w.target(bad).State)
	w.equal(0, w.target(bad).ConsecutiveErrors)
	w.ok(w.Withdraw(ctx, asked.ID, "ann"))
	w.fail(bad, activation.Invalid)
	w.equal(activation.TargetFailed, w.target(bad).State)
	w.fail(good, activation.Invalid)
	w.equal(activation.TargetFailed, w.target(good).State)
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.equal(0, len(w.due()))
	w.ok(w.Bounce(ctx, j.ID, "ann"))
	w.equal(activation.JobRunnable, w.jobState(j.ID))
	w.equal(0, w.target(bad).ConsecutiveErrors)
	w.equal(2, len(w.due()))
	w.fail(bad, activation.Unavailable)
	w.succeed(good)
	w.clock.Add(time.Minute)
	w.succeed(bad)
	w.equal(0, w.target(bad).ConsecutiveErrors)
	w.equal(time.Time{}, w.target(bad).FailingSince)
}

// waiting for a provider is not counted as an error.
func waiting(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	r := w.started(targets[0].ID)
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.WaitUntil, "META-17"
	until := w.clock.Now().Add(26 * time.Hour)
	w.ok(w.FinishRun(ctx, r, activation.End{Until: until}))
	got := w.target(targets[0].ID)
	w.equal(0, got.ConsecutiveErrors)
	w.equal(activation.SleepProviderLimit, got.SleepReason)
	w.equal(until, got.SleepUntil)
	job, err := w.Job(ctx, j.ID)
	w.ok(err)
	w.equal(activation.SleepProviderLimit, job.SleepReason)
	w.clock.Add(26 * time.Hour)
	w.equal(1, len(w.due()))
}

// scheduled jobs sleep until their next time; a job that runs once completes.
func scheduled(w *world) {
	ctx := w.t.Context()
	hourly, targets := w.job("hourly", func(j *activation.Job) { j.Frequency = "hourly" }, w.audience("a"))
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 9}))
	w.succeed(targets[0].ID)
	job, err := w.Job(ctx, hourly.ID)
	w.ok(err)
	w.equal(activation.JobSleeping, job.State)
	w.equal(activation.SleepSchedule, job.SleepReason)
	w.equal(w.clock.Now().Add(time.Hour), job.SleepUntil)
	w.clock.Add(time.Hour - time.Second)
	w.equal(0, len(w.due()))
	w.clock.Add(time.Second)
	w.equal(1, len(w.due()))

	once, targets := w.job("once", func(j *activation.Job) { j.Continuous = false }, w.audience("b"), w.audience("c"))
	w.succeed(targets[0].ID)
	w.equal(activation.JobRunnable, w.jobState(once.ID))
	w.succeed(targets[1].ID)
	w.equal(activation.JobCompleted, w.jobState(once.ID))
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[1].Audience: 9}))
	w.clock.Add(time.Hour)
	for _, id := range w.due() {
		if id == targets[0].ID || id == targets[1].ID {
			w.t.Fatal("a completed job is due")
		}
	}

	part, targets := w.job("in part", func(j *activation.Job) { j.Continuous = false }, w.audience("d"))
	r := w.started(targets[0].ID)
	r.Status, r.Counts.Unsent = activation.RunCompleted, 3
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Due: true}))
	w.equal(activation.JobRunnable, w.jobState(part.ID)) // the next run sends the rest
	w.clock.Add(time.Hour)
	w.equal(true, slices.Contains(w.due(), targets[0].ID))
	w.succeed(targets[0].ID)
	w.equal(activation.JobCompleted, w.jobState(part.ID))
}

// due: real time waits a minute between runs, unless very much waits.
func due(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	id, audience := targets[0].ID, targets[0].Audience
	w.succeed(id)
	w.equal(0, len(w.due()))
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{audience: 20}))
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{audience: 10})) // never lowers
	w.equal(20, w.target(id).DirtySeq)
	w.equal(0, len(w.due()))
	w.clock.Add(time.Minute)
	w.equal(1, len(w.due()))
	w.succeed(id)
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{audience: 200_000}))
	w.equal(1, len(w.due()))
	w.dest.Enabled = false
	_, err := w.UpdateDestination(ctx, w.dest, "ann")
	w.ok(err)
	w.equal(0, len(w.due()))
	w.dest.Enabled = true
	_, err = w.UpdateDestination(ctx, w.dest, "ann")
	w.ok(err)
	w.equal(1, len(w.due()))
}

// parked: one refusal puts all targets of the authorization to sleep; mending
// retries what may be retried and opens the rest, never both.
func parked(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("both", nil, w.audience("a"), w.audience("b"))
	other := w.destination("Other", "200", w.authorization("second").ID)
	w.dest, other = other, w.dest
	free, _ := w.job("free", nil, w.audience("c"))
	w.dest = other

	r := w.failedRun(targets[0].ID, activation.Unauthorized)
	for _, target := range targets {
		w.equal(activation.SleepAuthorization, w.target(target.ID).SleepReason)
	}
	w.equal(activation.JobSleeping, w.jobState(j.ID))
	w.equal(activation.JobRunnable, w.jobState(free.ID))
	w.equal(1, len(w.due()))
	w.withheld(r.ID, "authorization")
	w.clock.Add(9 * time.Hour)
	w.equal(1, len(w.due()))
	n, err := w.FailOverdue(ctx)
	w.ok(err)
	w.equal(0, n)

	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	w.equal(activation.RunRunning, w.run(r.ID).Status)
	first := w.target(targets[0].ID)
	w.equal(r.ID, first.OpenRun)
	w.equal(false, first.DueNow)
	w.equal(true, w.target(targets[1].ID).DueNow)
	w.equal("", w.target(targets[1].ID).OpenRun)

	w.ok(w.MarkUnhealthy(ctx, w.auth.ID, "revoked"))
	a, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal("unhealthy revoked", string(a.Status)+" "+a.Reason)
	w.clock.Add(10 * time.Hour)
	n, err = w.FailOverdue(ctx)
	w.ok(err)
	w.equal(2, n)
	w.equal(activation.JobFailed, w.jobState(j.ID))
}

// commands moves a job as the table says, and says so where it does not.
func commands(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	r, items := w.queued(targets[0].ID, 2)
	refused := func(err error) {
		w.t.Helper()
		w.equal(activation.Invalid, activation.KindOf(err))
		if !strings.Contains(activation.SafeMessage(err), "it takes") {
			w.t.Fatalf("the refusal does not say what is taken: %v", err)
		}
	}
	refused(w.Resume(ctx, j.ID, "ann"))
	refused(w.Bounce(ctx, j.ID, "ann"))
	w.is(activation.ErrConflict, w.RunNow(ctx, j.ID, "ann"))
	w.woken.take()
	w.ok(w.Pause(ctx, j.ID, time.Hour, "ann"))
	w.equal([]string{"run " + string(r.ID)}, w.woken.take())
	refused(w.Pause(ctx, j.ID, 0, "ann"))
	_, err := w.ClaimItem(ctx, r, items[0].ID)
	w.is(activation.ErrPaused, err)
	w.ok(w.ReleaseRun(ctx, r, time.Time{}))
	list, err := w.OpenRuns(ctx, 10)
	w.ok(err)
	w.equal(0, len(list))
	_, err = w.OpenRun(ctx, activation.Run{Target: targets[0].ID})
	refused(err)
	n, err := w.ResumeDue(ctx)
	w.ok(err)
	w.equal(0, n)
	w.clock.Add(time.Hour)
	n, err = w.ResumeDue(ctx)
	w.ok(err)
	w.equal(1, n)
	w.equal(activation.JobRunnable, w.jobState(j.ID))
	r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	w.delivered(r, items[0])

	w.ok(w.Kill(ctx, j.ID, "ann"))
	w.ok(w.Kill(ctx, j.ID, "ann"))
	_, err = w.ClaimItem(ctx, r, items[1].ID)
	w.is(activation.ErrFenced, err)
	w.ok(w.ReleaseRun(ctx, r, w.clock.Now().Add(time.Hour)))
	list, err = w.OpenRuns(ctx, 10) // to be ended, whatever it waits for
	w.ok(err)
	w.equal(1, len(list))
	r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	w.ok(w.EndItems(ctx, r, activation.ItemWithdrawn))
	r.Status, r.ErrorCode = activation.RunFailed, activation.CodeJobEnded
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.equal(activation.JobKilled, w.jobState(j.ID))
	for _, c := range []func() error{func() error { return w.Pause(ctx, j.ID, 0, "ann") }, func() error { return w.Resume(ctx, j.ID, "ann") }, func() error { return w.RunNow(ctx, j.ID, "ann") }} {
		refused(c())
	}
	logs, err := w.JobLogs(ctx, j.ID, time.Time{}, 100)
	w.ok(err)
	var events []string
	for _, e := range logs {
		events = append(events, string(e.Event))
	}
	w.equal("created started paused resumed killed sleeping", strings.Join(events, " "))
}

// killing withdraws what nobody has taken, deleting frees the name, and the
// next job adopts the target with its remote audience.
func adopting(w *world) {
	ctx := w.t.Context()
	vips := w.audience("vips")
	j, targets := w.job("vips", nil, vips)
	target := targets[0].ID
	w.ok(w.SetRemote(ctx, target, 1, "remote-1"))
	r := w.started(target)
	w.ok(w.AwaitApproval(ctx, r))
	second := activation.Job{Name: "second", Workflow: j.Workflow, Destination: w.dest.ID, Audiences: []activation.AudienceID{vips.ID}}
	_, err := w.CreateJob(ctx, second)
	w.equal(activation.Invalid, activation.KindOf(err))
	if !strings.Contains(activation.SafeMessage(err), `"vips"`) {
		w.t.Fatalf("the refusal does not name the owner: %v", err)
	}
	if _, err := w.Jobs(ctx, store.JobFilter{Name: "second"}); err != nil {
		w.t.Fatal(err)
	}
	second.Name, second.Workflow = "vips", j.Workflow
	_, err = w.CreateJob(ctx, second)
	w.is(activation.ErrConflict, err)

	w.ok(w.DeleteJob(ctx, j.ID, "ann"))
	w.equal(activation.RunWithdrawn, w.run(r.ID).Status)
	_, err = w.Job(ctx, j.ID)
	w.is(activation.ErrNotFound, err)
	w.is(activation.ErrNotFound, w.Kill(ctx, j.ID, "ann"))
	adopted, err := w.CreateJob(ctx, second)
	w.ok(err)
	got := w.target(target)
	w.equal(adopted.ID, got.Job)
	w.equal("remote-1", got.RemoteID)
	w.equal(true, got.DueNow)

	// A remote audience belongs to one target, by whatever way it is named.
	named := activation.Job{Name: "third", Workflow: j.Workflow, Destination: w.dest.ID, Audiences: []activation.AudienceID{w.audience("other").ID}, Config: map[string]string{store.ConfigRemoteID: "remote-1"}}
	_, err = w.CreateJob(ctx, named)
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Invalid || !strings.Contains(e.Message, `"vips"`) {
		w.t.Fatalf("a taken remote audience: %v", err)
	}
	named.Config[store.ConfigRemoteID] = "remote-9"
	third, err := w.CreateJob(ctx, named)
	w.ok(err)
	list, err := w.Targets(ctx, store.TargetFilter{Job: third.ID})
	w.ok(err)
	w.equal("remote-9", list[0].RemoteID)
}

// forgetting runs whatever the job's state, and leaves that state alone.
func forgetting(w *world) {
	ctx := w.t.Context()
	once, targets := w.job("once", func(j *activation.Job) { j.Continuous = false }, w.audience("a"))
	target := targets[0].ID
	forget := func(status activation.RunStatus) {
		w.t.Helper()
		r, err := w.OpenRun(ctx, activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget})
		w.ok(err)
		r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
		w.ok(err)
		w.ok(w.QueueItems(ctx, r, tenEach(1)))
		items, err := w.Items(ctx, r.ID)
		w.ok(err)
		w.delivered(r, items[0])
		r.Status, r.ErrorKind, r.ErrorCode = status, activation.Unavailable, "META-2"
		w.ok(w.FinishRun(ctx, r, activation.End{}))
	}
	forget(activation.RunCompleted)
	w.equal(activation.JobRunnable, w.jobState(once.ID)) // it has not had its own run
	w.succeed(target)
	w.equal(activation.JobCompleted, w.jobState(once.ID))
	for _, status := range []activation.RunStatus{activation.RunCompleted, activation.RunFailed} {
		forget(status)
		w.equal(activation.JobCompleted, w.jobState(once.ID))
		w.equal(activation.TargetCompleted, w.target(target).State)
	}
	paused, targets := w.job("paused", nil, w.audience("b"))
	target = targets[0].ID
	w.ok(w.Pause(ctx, paused.ID, 0, "ann"))
	before := w.target(target)
	forget(activation.RunFailed)
	w.equal(before, w.target(target))
	w.ok(w.Kill(ctx, paused.ID, "ann"))
	forget(activation.RunCompleted)
	w.equal(activation.JobKilled, w.jobState(paused.ID))
}

// overdue: what only time makes due is swept, once.
func overdue(w *world) {
	ctx := w.t.Context()
	sweeper := &store.Sweeper{Store: w.Store}
	sweep := func(want int) {
		w.t.Helper()
		works, err := sweeper.Due(ctx, 10)
		w.ok(err)
		w.equal(want, len(works))
		for _, work := range works {
			w.ok(sweeper.Do(ctx, work))
		}
	}
	paused, _ := w.job("paused", nil, w.audience("a"))
	w.ok(w.Pause(ctx, paused.ID, time.Hour, "ann"))
	_, targets := w.job("asks", nil, w.audience("b"))
	r := w.started(targets[0].ID)
	w.ok(w.AwaitApproval(ctx, r))
	sweep(0)
	w.clock.Add(time.Hour)
	sweep(1)
	w.equal(activation.JobRunnable, w.jobState(paused.ID))
	sweep(0)
	w.clock.Add(7 * 24 * time.Hour)
	sweep(1)
	w.equal(r.ID, w.target(targets[0].ID).OpenRun)
	w.ok(w.MarkUnhealthy(ctx, w.auth.ID, "revoked"))
	sweep(0)
	w.clock.Add(10 * time.Hour)
	sweep(1)
	w.equal(activation.JobFailed, w.jobState(paused.ID))
	sweep(0)
}

// updating a job keeps its state and shows in log and audit.
func updating(w *world) {
	ctx := w.t.Context()
	j, _ := w.job("vips", nil, w.audience("vips"))
	j.Name, j.Config, j.Frequency = "very important", map[string]string{"password_like": "hunter2"}, "hourly"
	w.ok(w.UpdateJob(ctx, j, "bob"))
	got, err := w.Job(ctx, j.ID)
	w.ok(err)
	w.equal("very important", got.Name)
	w.equal("hourly", got.Frequency)
	w.equal(activation.DefaultFailAfter, got.FailAfter)
	entries, err := w.Audit(ctx, store.AuditFilter{SubjectType: "job", Verb: "update"})
	w.ok(err)
	w.equal(1, len(entries))
	if strings.Contains(entries[0].After, "hunter2") || !strings.Contains(entries[0].After, "password_like") {
		w.t.Fatalf("the audit log keeps %s", entries[0].After)
	}
}
