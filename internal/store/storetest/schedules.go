package storetest

import (
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
)

// sweep does what only time makes due, as the engine does it.
func (w *world) sweep() {
	w.t.Helper()
	_, err := w.Expire(w.t.Context())
	w.ok(err)
	_, err = w.TurnQuiet(w.t.Context())
	w.ok(err)
}

// until moves the clock to a time of the present day, or of a later one.
func (w *world) until(days, hour, minute int) time.Time {
	w.t.Helper()
	now := w.clock.Now()
	to := time.Date(now.Year(), now.Month(), now.Day()+days, hour, minute, 0, 0, time.UTC)
	w.clock.Add(to.Sub(now))
	return to
}

// shows checks what a job shows.
func (w *world) shows(id activation.JobID, state activation.JobState, reason activation.SleepReason, until time.Time) {
	w.t.Helper()
	j, err := w.Job(w.t.Context(), id)
	w.ok(err)
	w.equal([]any{state, reason, until}, []any{j.State, j.SleepReason, j.SleepUntil})
}

func daily(at string) func(*activation.Job) {
	return func(j *activation.Job) { j.Frequency, j.TimeOfDay = "daily", at }
}

// timeOfDay: a job with a time of day sleeps until it first comes and then from
// one to the next; missed ones are caught up once.
func timeOfDay(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("noon", daily("12:00"), w.audience("a"))
	id := targets[0].ID
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, noon)
	w.equal(noon, w.target(id).NextAt)
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 500_000}))
	w.until(0, 11, 59)
	w.equal(0, len(w.due()))
	w.until(0, 12, 0)
	w.equal([]activation.TargetID{id}, w.due())
	w.succeed(id)
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, noon.AddDate(0, 0, 1))

	w.until(10, 17, 30) // ten days without a server
	w.equal([]activation.TargetID{id}, w.due())
	w.succeed(id)
	w.equal(0, len(w.due()))
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, noon.AddDate(0, 0, 11))
	job, err := w.Job(ctx, j.ID)
	w.ok(err)
	w.equal(noon.AddDate(0, 0, 11), job.NextRunAt)
}

// scheduleAndErrors: a failed run is made good by the rhythm of errors, and the
// schedule goes on from its own times.
func scheduleAndErrors(w *world) {
	j, targets := w.job("every 6h", func(j *activation.Job) { j.Frequency = "6h" }, w.audience("a"))
	id, start := targets[0].ID, w.clock.Now()
	w.equal([]activation.TargetID{id}, w.due())
	for _, minutes := range []int{1, 2, 4, 8} {
		w.fail(id, activation.Unavailable)
		w.equal(start.Add(6*time.Hour), w.target(id).NextAt)
		wake := w.clock.Now().Add(time.Duration(minutes) * time.Minute)
		w.shows(j.ID, activation.JobSleeping, activation.SleepError, wake)
		w.clock.Add(time.Duration(minutes)*time.Minute - time.Second)
		w.equal(0, len(w.due()))
		w.clock.Add(time.Second)
		w.equal([]activation.TargetID{id}, w.due())
	}
	w.succeed(id)
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, start.Add(6*time.Hour))
	w.equal(0, len(w.due()))
	w.clock.Add(start.Add(6 * time.Hour).Sub(w.clock.Now()))
	w.equal([]activation.TargetID{id}, w.due())
}

// rescheduled: a changed schedule counts from the change on, for those that
// wait for nothing else; the commands make due now.
func rescheduled(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("noon", daily("12:00"), w.audience("a"))
	id := targets[0].ID
	change := func(fn func(*activation.Job)) {
		w.t.Helper()
		now, err := w.Job(ctx, j.ID)
		w.ok(err)
		fn(&now)
		w.ok(w.UpdateJob(ctx, now, "ann"))
	}
	two := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	change(daily("14:00"))
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, two)
	change(func(j *activation.Job) { j.Name = "afternoon" })
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, two)
	change(func(j *activation.Job) { j.Frequency, j.TimeOfDay = activation.Realtime, "" })
	w.shows(j.ID, activation.JobRunnable, "", time.Time{})
	w.equal([]activation.TargetID{id}, w.due()) // it never ran
	w.succeed(id)
	w.equal(0, len(w.due()))
	change(daily("14:00"))
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, two)
	change(func(j *activation.Job) { j.Frequency, j.TimeOfDay = activation.Realtime, "" })
	w.shows(j.ID, activation.JobRunnable, "", time.Time{})
	w.equal(0, len(w.due()))

	change(daily("14:00"))
	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	w.until(0, 15, 0)
	w.equal(0, len(w.due()))
	w.ok(w.Resume(ctx, j.ID, "ann"))
	w.equal([]activation.TargetID{id}, w.due())
	w.fail(id, activation.Unavailable)
	next := w.target(id).NextAt
	change(func(j *activation.Job) { j.Frequency, j.TimeOfDay = "hourly", "00:30" })
	w.equal(activation.SleepError, w.target(id).SleepReason) // errs as before
	w.equal(true, w.target(id).NextAt.Before(next))
	w.fail(id, activation.Invalid)
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.until(1, 0, 0)
	w.equal(0, len(w.due()))
	w.ok(w.Bounce(ctx, j.ID, "ann"))
	w.equal([]activation.TargetID{id}, w.due())
}

// onceAt: a job that runs once waits for its time of day and completes after
// its first success; so does one that sends the present members only.
func onceAt(w *world) {
	j, targets := w.job("once at noon", func(j *activation.Job) { j.Continuous, j.TimeOfDay = false, "12:00" }, w.audience("a"))
	w.equal(activation.JobSleeping, w.jobState(j.ID))
	w.until(0, 12, 0)
	w.fail(targets[0].ID, activation.Unavailable)
	w.until(0, 12, 1)
	w.equal([]activation.TargetID{targets[0].ID}, w.due())
	w.succeed(targets[0].ID)
	w.equal(activation.JobCompleted, w.jobState(j.ID))
	w.until(3, 12, 0)
	w.equal(0, len(w.due()))

	j, targets = w.job("backfill", func(j *activation.Job) { j.BackfillOnly = true }, w.audience("b"))
	w.equal([]activation.TargetID{targets[0].ID}, w.due())
	w.succeed(targets[0].ID)
	w.equal(activation.JobCompleted, w.jobState(j.ID))
}

// quiet gives a job a window from 22:00 to 06:00.
func quiet(j *activation.Job) { j.QuietTimeOfDay, j.QuietPeriod = "22:00", 8*time.Hour }

// quietWindow: in it no run opens and no item is claimed, the job sleeps until
// its end, and what was under way goes on after it.
func quietWindow(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", quiet, w.audience("a"), w.audience("b"), w.audience("c"))
	w.until(0, 21, 59)
	w.succeed(targets[0].ID)
	running, items := w.queued(targets[1].ID, 2)
	it, err := w.ClaimItem(ctx, running, items[0].ID)
	w.ok(err)
	awaiting := w.started(targets[2].ID)
	awaiting.Stage = activation.StageMembers
	w.ok(w.QueueItems(ctx, awaiting, tenEach(1)))
	owed, err := w.Items(ctx, awaiting.ID)
	w.ok(err)
	asked, err := w.ClaimItem(ctx, awaiting, owed[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, awaiting, asked, activation.ItemAwaiting, activation.Receipt{PollToken: "p"}, "", ""))
	awaiting.Status = activation.RunAwaiting
	w.ok(w.FinishRun(ctx, awaiting, activation.End{Done: true, Until: w.clock.Now().Add(time.Hour)}))
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 9}))

	w.clock.Add(30 * time.Second)
	w.ok(w.RenewRun(ctx, running, lease))
	w.clock.Add(31 * time.Second) // 22:00:01
	six := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	w.equal(0, len(w.due()))
	_, err = w.OpenRun(ctx, activation.Run{Target: targets[0].ID})
	w.is(activation.ErrConflict, err)
	_, err = w.ClaimItem(ctx, running, items[1].ID)
	w.is(activation.ErrQuiet, err)
	w.is(activation.ErrPaused, err)
	w.sweep()
	w.shows(j.ID, activation.JobSleeping, activation.SleepQuietWindow, six)

	// What was sent is written down, and the run is given back without an end.
	w.ok(w.SaveReceipt(ctx, running, it, activation.ItemDelivered, activation.Receipt{Accepted: it.Rows()}, "", ""))
	w.ok(w.ReleaseRun(ctx, running, time.Time{}))
	w.equal(running.ID, w.target(targets[1].ID).OpenRun)
	w.equal(0, len(w.open()))
	_, _, err = w.TakeRun(ctx, running.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
	w.until(0, 23, 0)
	w.equal([]activation.RunID{awaiting.ID}, w.open()) // may be asked for

	// Resuming obeys the window, a forget does not heed it.
	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	w.ok(w.Resume(ctx, j.ID, "ann"))
	w.shows(j.ID, activation.JobSleeping, activation.SleepQuietWindow, six)
	w.equal(0, len(w.due()))
	forget, err := w.OpenRun(ctx, activation.Run{Target: targets[0].ID, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget})
	w.ok(err)
	w.equal(true, slices.Contains(w.open(), forget.ID))
	forget, _, err = w.TakeRun(ctx, forget.ID, "n1", lease)
	w.ok(err)
	w.ok(w.QueueItems(ctx, forget, tenEach(1)))
	erased, err := w.Items(ctx, forget.ID)
	w.ok(err)
	w.delivered(forget, erased[0])
	forget.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, forget, activation.End{}))
	w.shows(j.ID, activation.JobSleeping, activation.SleepQuietWindow, six)

	// Until the sweep has noted the next window the one that is over counts.
	w.until(1, 6, 0)
	w.equal(0, len(w.due()))
	w.woken.take()
	w.sweep()
	w.equal(true, slices.Contains(w.woken.take(), "run "+string(running.ID)))
	w.shows(j.ID, activation.JobRunnable, "", time.Time{})
	w.equal(true, slices.Contains(w.due(), targets[0].ID))
	w.equal(true, slices.Contains(w.open(), running.ID))
	running, _, err = w.TakeRun(ctx, running.ID, "n2", lease)
	w.ok(err)
	w.ok(w.MarkFolded(ctx, running, []activation.ItemID{it.ID}))
	w.delivered(running, items[1])
	running.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, running, activation.End{Done: true}))

	// Ten days without a server end in the middle of another window.
	w.until(10, 23, 30)
	w.equal(0, len(w.due()))
	w.sweep()
	w.equal(0, len(w.due()))
	w.equal(activation.JobSleeping, w.jobState(j.ID))
	now, err := w.Job(ctx, j.ID)
	w.ok(err)
	now.QuietTimeOfDay, now.QuietPeriod = "", 0
	w.ok(w.UpdateJob(ctx, now, "ann"))
	w.shows(j.ID, activation.JobRunnable, "", time.Time{})
	w.equal(true, slices.Contains(w.due(), targets[0].ID))
}

// quietAndOther: a sleep that lasts longer than the window is shown, and so is
// one that a person must end; a job made in its window begins with it.
func quietAndOther(w *world) {
	j, targets := w.job("noon", func(j *activation.Job) { quiet(j); daily("12:00")(j) }, w.audience("a"))
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w.until(0, 12, 0)
	w.succeed(targets[0].ID)
	w.until(0, 22, 30)
	w.sweep()
	w.shows(j.ID, activation.JobSleeping, activation.SleepSchedule, noon.AddDate(0, 0, 1))

	six := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	late, lateTargets := w.job("made late", quiet, w.audience("b"))
	w.shows(late.ID, activation.JobSleeping, activation.SleepQuietWindow, six)
	w.equal(0, len(w.due()))
	night, _ := w.job("at night", func(j *activation.Job) { quiet(j); daily("03:00")(j) }, w.audience("c"))
	w.shows(night.ID, activation.JobSleeping, activation.SleepQuietWindow, six)
	w.until(1, 3, 0)
	w.sweep()
	w.equal(0, len(w.due()))
	w.until(0, 6, 0)
	w.sweep()
	w.equal(2, len(w.due())) // the one of 03:00 is made good, once

	w.failedRun(lateTargets[0].ID, activation.Unauthorized)
	w.until(0, 23, 0)
	w.sweep()
	got, err := w.Job(w.t.Context(), late.ID)
	w.ok(err)
	w.equal(true, got.State == activation.JobFailed || got.SleepReason == activation.SleepAuthorization)
}

// open lists the runs to be worked on now.
func (w *world) open() []activation.RunID {
	w.t.Helper()
	runs, err := w.OpenRuns(w.t.Context(), 100)
	w.ok(err)
	var out []activation.RunID
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}

// expiring: at its time a job opens and claims nothing more, its runs are ended
// whatever they wait for, and then it is completed.
func expiring(w *world) {
	ctx := w.t.Context()
	end := w.clock.Now().Add(time.Hour)
	j, targets := w.job("week", func(j *activation.Job) { j.ExpiresAt = end }, w.audience("a"), w.audience("b"), w.audience("c"))
	r, items := w.queued(targets[0].ID, 2)
	w.delivered(r, items[0])
	w.ok(w.ReleaseRun(ctx, r, w.clock.Now().Add(26*time.Hour))) // the provider said so
	asking := w.started(targets[1].ID)
	asking.StagedAt = w.clock.Now()
	w.ok(w.AwaitApproval(ctx, asking))
	w.equal([]activation.TargetID{targets[2].ID}, w.due())
	w.equal(0, len(w.open()))
	w.sweep()
	w.equal(activation.JobRunnable, w.jobState(j.ID))

	w.clock.Add(time.Hour)
	w.equal(0, len(w.due()))
	_, err := w.OpenRun(ctx, activation.Run{Target: targets[2].ID})
	w.is(activation.ErrConflict, err)
	w.sweep()
	w.equal(activation.JobRunnable, w.jobState(j.ID)) // its run is not ended yet
	w.equal([]activation.RunID{r.ID}, w.open())
	r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	_, err = w.ClaimItem(ctx, r, items[1].ID)
	w.is(activation.ErrFenced, err)
	w.ok(w.EndItems(ctx, r, activation.ItemWithdrawn))
	r.Status, r.ErrorCode = activation.RunFailed, activation.CodeJobEnded
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.sweep()
	w.equal(activation.JobCompleted, w.jobState(j.ID))
	w.equal(activation.RunWithdrawn, w.run(asking.ID).Status)
	w.equal(activation.TargetCompleted, w.target(targets[2].ID).State)
	w.clock.Add(time.Hour)
	w.sweep()
	w.equal(0, len(w.due()))
	w.equal(0, len(w.open()))
	w.equal(activation.JobCompleted, w.jobState(j.ID))

	paused, _ := w.job("paused", func(j *activation.Job) { j.ExpiresAt = w.clock.Now().Add(time.Hour) }, w.audience("d"))
	w.ok(w.Pause(ctx, paused.ID, 0, "ann"))
	w.clock.Add(time.Hour)
	w.sweep()
	w.equal(activation.JobCompleted, w.jobState(paused.ID))
}

// turns: the authorizations take turns, whoever has how much.
func turns(w *world) {
	ctx := w.t.Context()
	many := make([]activation.Audience, 40)
	for i := range many {
		many[i] = w.audience(fmt.Sprint("audience-", i))
	}
	w.job("big", nil, many...)
	w.dest = w.destination("Second", "200", w.authorization("second").ID)
	_, second := w.job("second", nil, many[:3]...)
	w.dest = w.destination("No authorization", "300", "")
	_, third := w.job("third", nil, many[:2]...)
	few := map[activation.TargetID]bool{}
	for _, t := range append(second, third...) {
		few[t.ID] = true
	}

	listed := func(due []activation.Target) (others int) {
		for _, t := range due {
			if few[t.ID] {
				others++
			}
		}
		return others
	}
	due, err := w.DueTargets(ctx, 3)
	w.ok(err)
	w.equal(2, listed(due)) // one of each
	due, err = w.DueTargets(ctx, 8)
	w.ok(err)
	w.equal(5, listed(due)) // all, and three of the many

	all, err := w.DueTargets(ctx, 100)
	w.ok(err)
	w.equal(45, len(all))
	slices.SortStableFunc(all, func(a, b activation.Target) int { // the many first
		return map[bool]int{false: 0, true: 1}[few[a.ID]] - map[bool]int{false: 0, true: 1}[few[b.ID]]
	})
	for _, t := range all {
		_, err := w.OpenRun(ctx, activation.Run{Target: t.ID})
		w.ok(err)
	}
	runs, err := w.OpenRuns(ctx, 8)
	w.ok(err)
	others := 0
	for _, r := range runs {
		if few[r.Target] {
			others++
		}
	}
	w.equal(5, others)
}

// refused: when one run has found that the network refuses the credentials, no
// other run of the authorization goes there, until they are mended.
func refused(w *world) {
	ctx := w.t.Context()
	w.job("a", nil, w.audience("a"))
	_, targets := w.job("both", nil, w.audience("b"), w.audience("c"), w.audience("d"))
	running, items := w.queued(targets[0].ID, 1)
	waiting, err := w.OpenRun(ctx, activation.Run{Target: targets[1].ID})
	w.ok(err)
	w.equal([]activation.RunID{waiting.ID}, w.open())
	w.failedRun(targets[2].ID, activation.Unauthorized)
	w.equal(0, len(w.open()))
	_, err = w.ClaimItem(ctx, running, items[0].ID)
	w.is(activation.ErrRefused, err)
	w.is(activation.ErrPaused, err)
	w.ok(w.ReleaseRun(ctx, running, time.Time{}))
	w.equal(0, len(w.open()))
	w.equal(0, len(w.due()))
	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	w.equal(true, slices.Contains(w.open(), waiting.ID) && slices.Contains(w.open(), running.ID))
	w.equal(true, w.target(targets[1].ID).OpenRun == waiting.ID)
}
