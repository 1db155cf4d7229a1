package storetest

import (
	"fmt"
	"time"

	"usher/internal/activation"
)

// stallsCount: a run that hangs again and again is an error of its target each
// time, until they have lasted for fail_after; one that gets further has none.
func stallsCount(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", func(j *activation.Job) { j.StallAfter, j.FailAfter = 10*time.Minute, time.Hour }, w.audience("vips"))
	target := targets[0].ID
	hang := func(r activation.Run) { // the node goes on renewing
		w.t.Helper()
		for range 20 {
			w.clock.Add(30 * time.Second)
			w.ok(w.RenewRun(ctx, r, lease))
		}
		n, err := w.RestartStalled(ctx, time.Time{})
		w.ok(err)
		w.equal(1, n)
	}
	take := func(id activation.RunID) activation.Run {
		w.t.Helper()
		r, _, err := w.TakeRun(ctx, id, "n2", lease)
		w.ok(err)
		return r
	}
	stands := func(want string) {
		w.t.Helper()
		t, err := w.Target(ctx, target)
		w.ok(err)
		job, err := w.Job(ctx, j.ID)
		w.ok(err)
		w.equal(want, fmt.Sprint(t.State, " ", t.ConsecutiveErrors, " ", job.State, " ", job.ConsecutiveErrors, " ", !job.FailingSince.IsZero()))
	}

	// What gets further in between begins anew.
	r, items := w.queued(target, 2)
	hang(r)
	stands("runnable 1 runnable 1 true")
	r = take(r.ID)
	hang(r)
	stands("runnable 2 runnable 2 true")
	r = take(r.ID)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, r, it, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	stands("runnable 0 runnable 0 false")

	// An hour of stalls is too much. What was delivered is accounted for by who
	// takes the run next; it is not this job's end that stops it.
	since := w.clock.Now().Add(10 * time.Minute)
	for n := range 6 {
		hang(r)
		t, err := w.Target(ctx, target)
		w.ok(err)
		w.equal(fmt.Sprint(n+1, since), fmt.Sprint(t.ConsecutiveErrors, t.FailingSince))
		r = take(r.ID)
	}
	hang(r)
	stands("failed 7 failed 7 true")
	r = take(r.ID)
	w.equal("running unavailable STALLED", fmt.Sprint(r.Status, " ", r.ErrorKind, " ", r.ErrorCode))
	r.Status = activation.RunFailed
	w.ok(w.MarkFolded(ctx, r, []activation.ItemID{items[0].ID}))
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	stands("failed 7 failed 7 true")
	w.equal(activation.CodeStalled, w.run(r.ID).ErrorCode)

	// A person lets it go on, with a clean slate. The new run hangs before it has
	// any items: it ends at once when it is given up.
	w.ok(w.Bounce(ctx, j.ID, "ann"))
	stands("runnable 0 runnable 0 false")
	if retried := w.run(r.ID); retried.Status == activation.RunRunning {
		r = take(r.ID)
		r.Status, r.ErrorKind, r.ErrorCode = activation.RunWithdrawn, "", ""
		w.ok(w.FinishRun(ctx, r, activation.End{}))
	}
	w.clock.Add(2 * time.Minute)
	r = w.started(target)
	for range 6 {
		hang(r)
		r = take(r.ID)
	}
	hang(r)
	stands("failed 7 failed 7 true")
	ended := w.run(r.ID)
	w.equal("failed STALLED false", fmt.Sprint(ended.Status, " ", ended.ErrorCode, " ", ended.EndedAt.IsZero()))
	t, err := w.Target(ctx, target)
	w.ok(err)
	w.equal(activation.RunID(""), t.OpenRun)
}

// waitsWithin: while an open run waits for its provider its job sleeps, which is
// no error, and goes on with it.
func waitsWithin(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	stands := func(want string) {
		w.t.Helper()
		job, err := w.Job(ctx, j.ID)
		w.ok(err)
		until := ""
		if !job.SleepUntil.IsZero() {
			until = fmt.Sprint(" ", job.SleepUntil.Sub(w.clock.Now()))
		}
		w.equal(want, fmt.Sprint(job.State, " ", job.SleepReason, " ", job.ConsecutiveErrors, until))
	}
	r, _ := w.queued(targets[0].ID, 1)
	stands("runnable  0")
	w.ok(w.ReleaseRun(ctx, r, w.clock.Now().Add(time.Hour)))
	stands("sleeping provider_limit 0 1h0m0s")
	_, _, err := w.TakeRun(ctx, r.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
	stands("sleeping provider_limit 0 1h0m0s")
	w.clock.Add(time.Hour)
	r, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
	stands("runnable  0")

	// A pause hides it; an authorization that is refused is what it waits for then.
	w.ok(w.ReleaseRun(ctx, r, w.clock.Now().Add(time.Hour)))
	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	stands("paused  0")
	w.ok(w.Resume(ctx, j.ID, "ann"))
	w.ok(w.MarkUnhealthy(ctx, w.auth.ID, "revoked"))
	w.clock.Add(time.Hour)
	_, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
	job, err := w.Job(ctx, j.ID)
	w.ok(err)
	w.equal(activation.SleepAuthorization, job.SleepReason)
	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	r, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
	w.ok(w.ReleaseRun(ctx, r, time.Time{})) // no wait: no sleep
	job, err = w.Job(ctx, j.ID)
	w.ok(err)
	w.equal(activation.JobRunnable, job.State)
}

// restless: the jobs that may have to stop what a node has in hand are found,
// and leases are renewed for those who hold them.
func restless(w *world) {
	ctx := w.t.Context()
	one, first := w.job("one", nil, w.audience("a"))
	two, second := w.job("two", nil, w.audience("b"))
	r, s := w.started(first[0].ID), w.started(second[0].ID)
	lists := func(node string, want ...activation.JobID) {
		w.t.Helper()
		got, err := w.RestlessJobs(ctx, node)
		w.ok(err)
		w.equal(fmt.Sprint(want), fmt.Sprint(got))
	}
	lists(r.Node)
	w.ok(w.Pause(ctx, one.ID, 0, "ann"))
	lists(r.Node, one.ID)
	lists("another")
	w.ok(w.Resume(ctx, one.ID, "ann"))
	w.ok(w.Kill(ctx, two.ID, "ann"))
	lists(r.Node, two.ID)
	w.ok(w.ReleaseRun(ctx, s, time.Time{}))
	lists(r.Node)
	s, _, err := w.TakeRun(ctx, s.ID, r.Node, lease)
	w.ok(err)

	// One that is lost takes no other with it, and is not revived.
	w.clock.Add(lease / 2)
	fenced, err := w.RenewRuns(ctx, []activation.HeldRun{{ID: r.ID, Attempt: r.Attempt + 1}, {ID: s.ID, Attempt: s.Attempt}}, lease)
	w.ok(err)
	w.equal(fmt.Sprint([]activation.RunID{r.ID}), fmt.Sprint(fenced))
	w.equal(w.clock.Now().Add(lease), w.run(s.ID).LeaseUntil)
	w.clock.Add(lease / 2)
	fenced, err = w.RenewRuns(ctx, []activation.HeldRun{{ID: r.ID, Attempt: r.Attempt}, {ID: s.ID, Attempt: s.Attempt}}, lease)
	w.ok(err)
	w.equal(fmt.Sprint([]activation.RunID{r.ID}), fmt.Sprint(fenced))
}

// opensAhead: of an authorization so many runs are opened as could be taken
// soon, and those that nobody may take keep no other from being opened.
func opensAhead(w *world) {
	ctx := w.t.Context()
	const ahead = 64
	var audiences []activation.Audience
	for i := range ahead + 3 {
		audiences = append(audiences, w.audience(fmt.Sprint("a", i)))
	}
	j, targets := w.job("many", nil, audiences...)
	due := func(want int) {
		w.t.Helper()
		list, err := w.DueTargets(ctx, 1000)
		w.ok(err)
		w.equal(want, len(list))
	}
	due(ahead)
	var opened []activation.Run
	for _, t := range targets[:ahead] {
		r, err := w.OpenRun(ctx, activation.Run{Target: t.ID})
		w.ok(err)
		opened = append(opened, r)
	}
	due(0)
	_, _, err := w.TakeRun(ctx, opened[0].ID, "n1", lease)
	w.ok(err)
	due(1)
	_, err = w.OpenRun(ctx, activation.Run{Target: targets[ahead].ID})
	w.ok(err)
	due(0)
	w.ok(w.Pause(ctx, j.ID, 0, "ann")) // nobody may take its runs
	_, _ = w.job("another", nil, w.audience("b"))
	due(1)
	w.ok(w.Resume(ctx, j.ID, "ann"))
	due(0)
}
