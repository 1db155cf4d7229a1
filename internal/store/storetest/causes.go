package storetest

import (
	"crypto/rand"
	"strings"
	"time"

	"usher/internal/activation"
)

// opens opens a run and returns it.
func (w *world) opens(r activation.Run) activation.Run {
	w.t.Helper()
	r, err := w.OpenRun(w.t.Context(), r)
	w.ok(err)
	return r
}

// done takes an open run and ends it well, having read up to seq.
func (w *world) done(r activation.Run, seq int64) {
	w.t.Helper()
	r, _, err := w.TakeRun(w.t.Context(), r.ID, "n1", lease)
	w.ok(err)
	r.Seq, r.Status, r.Stage = seq, activation.RunCompleted, activation.StageMembers
	w.ok(w.FinishRun(w.t.Context(), r, activation.End{Done: true}))
}

// errs takes an open run and ends it with an error.
func (w *world) errs(r activation.Run) {
	w.t.Helper()
	r, _, err := w.TakeRun(w.t.Context(), r.ID, "n1", lease)
	w.ok(err)
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Unavailable, "META-2"
	w.ok(w.FinishRun(w.t.Context(), r, activation.End{}))
}

func hourly(j *activation.Job) { j.Frequency = "hourly" }

// causes: a run says what triggered it, and asks made meanwhile lose nothing.
func causes(w *world) {
	ctx := w.t.Context()
	realTime, targets := w.job("real time", nil, w.audience("a"))
	target := targets[0].ID
	r := w.opens(activation.Run{Target: target})
	w.equal(activation.CauseRealTime, r.Cause)
	w.equal(activation.ModeSync, r.Mode)
	w.done(r, 1)
	w.clock.Add(time.Hour)
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 2}))
	r = w.opens(activation.Run{Target: target})
	w.equal(activation.CauseRealTime, r.Cause)
	w.done(r, 2)
	w.ok(w.RunNow(ctx, realTime.ID, "ann"))
	w.equal(activation.CauseManual, w.target(target).DueCause)
	w.equal(w.clock.Now(), w.target(target).DueAt)
	r = w.opens(activation.Run{Target: target})
	w.equal(activation.CauseManual, r.Cause)
	w.equal("", w.target(target).DueCause)

	// An error is tried again for the same reason; the agent takes nothing away
	// from what somebody has asked for, and is part of it.
	w.errs(r)
	w.equal(activation.CauseManual, w.target(target).DueCause)
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseAgent))
	w.equal(activation.CauseManual, w.target(target).DueCause)
	w.equal(0, len(w.due())) // it sleeps on after its error
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseRepair))
	w.equal([]activation.TargetID{target}, w.due()) // a person does not wait for that
	w.equal(activation.CauseManual, w.target(target).DueCause)
	w.done(w.opens(activation.Run{Target: target}), 3)

	for _, c := range []struct{ first, then, is activation.Cause }{
		{activation.CauseAgent, activation.CauseOutbound, activation.CauseOutbound},
		{activation.CauseOutbound, activation.CauseAgent, activation.CauseOutbound},
		{activation.CauseSchedule, activation.CauseRealTime, activation.CauseSchedule},
		{activation.CauseRepair, activation.CauseManual, activation.CauseManual},
		{activation.CauseManual, activation.CauseRepair, activation.CauseManual},
	} {
		w.woken.take()
		w.ok(w.MakeDue(ctx, []activation.TargetID{target}, c.first))
		w.ok(w.MakeDue(ctx, []activation.TargetID{target}, c.then))
		w.equal([]string{"target " + string(target), "target " + string(target)}, w.woken.take())
		r := w.opens(activation.Run{Target: target})
		w.equal(c.is, r.Cause)
		w.equal(c.is, w.run(r.ID).Cause)
		w.done(r, 3)
	}
	w.is(activation.ErrNotFound, w.MakeDue(ctx, []activation.TargetID{"nobody"}, activation.CauseAgent))
	w.equal(activation.Invalid, activation.KindOf(w.MakeDue(ctx, []activation.TargetID{target}, "whim")))

	// A scheduled one that waits for its time is roused; one that is over is not.
	scheduled, targets := w.job("hourly", hourly, w.audience("b"))
	target = targets[0].ID
	r = w.opens(activation.Run{Target: target})
	w.equal(activation.CauseSchedule, r.Cause)
	w.done(r, 3)
	w.equal(activation.SleepSchedule, w.target(target).SleepReason)
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseOutbound))
	w.equal([]activation.TargetID{target}, w.due())
	w.equal(activation.JobRunnable, w.jobState(scheduled.ID))
	w.done(w.opens(activation.Run{Target: target}), 4)
	w.clock.Add(time.Hour)
	r = w.opens(activation.Run{Target: target})
	w.equal(activation.CauseSchedule, r.Cause)
	w.done(r, 5)
	w.ok(w.Kill(ctx, scheduled.ID, "ann"))
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseOutbound))
	w.equal(false, w.target(target).DueNow)

	// Paused and resumed, by a person and by itself.
	w.ok(w.Pause(ctx, realTime.ID, time.Hour, "ann"))
	w.clock.Add(2 * time.Hour)
	n, err := w.ResumeDue(ctx)
	w.ok(err)
	w.equal(1, n)
	w.equal(activation.CauseRealTime, w.target(w.targetOf(realTime.ID)).DueCause)
}

// targetOf returns the only target of a job.
func (w *world) targetOf(job activation.JobID) activation.TargetID {
	w.t.Helper()
	list, err := w.TargetsOf(w.t.Context(), job, "")
	w.ok(err)
	w.equal(1, len(list))
	return list[0].ID
}

// changedKeys: a scheduled job moves keys between its times, and does nothing
// else by it.
func changedKeys(w *world) {
	ctx := w.t.Context()
	a := w.audience("a")
	_, targets := w.job("daily", func(j *activation.Job) { j.Frequency = "daily" }, a)
	target := targets[0].ID
	raise := func(n int64) {
		w.t.Helper()
		w.ok(w.RaiseKeys(ctx, map[activation.AudienceID]int64{a.ID: n}))
	}
	raise(3)
	first := w.opens(activation.Run{Target: target})
	w.errs(first)
	w.equal(3, w.target(target).KeysSeq)
	w.clock.Add(time.Minute)
	w.done(w.opens(activation.Run{Target: target}), 5)
	w.equal([2]int64{5, 5}, [2]int64{w.target(target).DoneSeq, w.target(target).KeysDone})
	w.equal(0, len(w.due()))

	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{a.ID: 8}))
	w.equal(0, len(w.due())) // its time has not come
	w.woken.take()
	raise(8)
	w.equal([]string{"target " + string(target)}, w.woken.take())
	raise(8)
	raise(7)
	w.equal(0, len(w.woken.take()))
	w.equal([]activation.TargetID{target}, w.due())
	before := w.target(target)
	keys := w.opens(activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Cause: activation.CauseAgent, Mode: activation.ModeKeys})
	w.equal(before.NextAt, w.target(target).NextAt)
	w.done(keys, 8)
	after := w.target(target)
	w.equal([]any{before.NextAt, int64(5), int64(8), activation.SleepSchedule, before.NextAt}, []any{after.NextAt, after.DoneSeq, after.KeysDone, after.SleepReason, after.SleepUntil})

	// Not more often than every quarter of an hour.
	raise(9)
	w.clock.Add(14 * time.Minute)
	w.equal(0, len(w.due()))
	w.clock.Add(time.Minute)
	w.equal([]activation.TargetID{target}, w.due())

	// What is due in full stays so when only keys are moved, and so it does where
	// that fails; what is due for the agent alone is done by it.
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseOutbound))
	keys = w.opens(activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Cause: activation.CauseAgent, Mode: activation.ModeKeys})
	w.equal(activation.CauseOutbound, w.target(target).DueCause)
	w.errs(keys)
	w.equal(activation.CauseOutbound, w.target(target).DueCause)
	w.clock.Add(time.Minute)
	w.done(w.opens(activation.Run{Target: target}), 9)
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseAgent))
	keys = w.opens(activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeKeys})
	w.equal(activation.CauseAgent, keys.Cause)
	w.equal(false, w.target(target).DueNow)
	w.errs(keys)
	w.equal(activation.CauseAgent, w.target(target).DueCause)
	w.clock.Add(2 * time.Minute)
	w.done(w.opens(activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeKeys}), 9)
	w.equal(0, len(w.due()))

	// While a run waits for approval its keys wait with it.
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseManual))
	asks := w.started(target)
	asks.Seq = 20
	w.ok(w.AwaitApproval(ctx, asks))
	raise(15)
	w.clock.Add(time.Hour)
	w.equal(0, len(w.due()))
	keys = w.opens(activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeKeys, Cause: activation.CauseAgent})
	w.equal(activation.RunWithdrawn, w.run(asks.ID).Status)
	w.equal(activation.CauseManual, w.target(target).DueCause) // what the other was to do
	w.done(keys, 20)
}

// keysElsewhere: real-time jobs need no runs of their own for keys, and what
// takes events holds none.
func keysElsewhere(w *world) {
	ctx := w.t.Context()
	a, b, c := w.audience("a"), w.audience("b"), w.audience("c")
	_, targets := w.job("real time", nil, a)
	w.done(w.opens(activation.Run{Target: targets[0].ID}), 1)
	_, events := w.job("events", hourly, b)
	w.done(w.opens(activation.Run{Target: events[0].ID, SyncType: activation.SyncEvents}), 1)
	_, fresh := w.job("new", func(j *activation.Job) { j.Frequency, j.TimeOfDay = "daily", "23:00" }, c)
	w.ok(w.RaiseKeys(ctx, map[activation.AudienceID]int64{a.ID: 5, b.ID: 5, c.ID: 5}))
	w.equal(5, w.target(targets[0].ID).KeysSeq)
	w.equal([2]int64{5, 5}, [2]int64{w.target(events[0].ID).KeysSeq, w.target(events[0].ID).KeysDone})
	w.equal([2]int64{5, 0}, [2]int64{w.target(fresh[0].ID).KeysSeq, w.target(fresh[0].ID).KeysDone})
	w.equal(0, len(w.due()))
}

// modes: how far a run that is done moves its target, by what it does.
func modes(w *world) {
	for _, c := range []struct {
		mode       activation.RunMode
		done, keys int64
		nextMoves  bool
	}{
		{activation.ModeSync, 7, 7, true},
		{activation.ModeReplace, 7, 7, true},
		{activation.ModeKeys, 2, 7, false},
		{activation.ModeHistory, 2, 2, false},
		{activation.ModeForget, 2, 2, false},
	} {
		_, targets := w.job("job "+string(c.mode), hourly, w.audience("a"+string(c.mode)))
		target := targets[0].ID
		w.done(w.opens(activation.Run{Target: target}), 2)
		w.clock.Add(10 * time.Minute)
		before := w.target(target)
		w.ok(w.MakeDue(w.t.Context(), []activation.TargetID{target}, activation.CauseManual))
		w.clock.Add(time.Hour)
		w.done(w.opens(activation.Run{Target: target, Mode: c.mode, Cause: activation.CauseManual}), 7)
		after := w.target(target)
		w.equal([2]int64{c.done, c.keys}, [2]int64{after.DoneSeq, after.KeysDone})
		w.equal(c.nextMoves, !after.NextAt.Equal(before.NextAt))
		w.equal(!c.nextMoves, after.DueNow)
		w.equal(activation.TargetState(map[bool]string{true: "sleeping", false: "runnable"}[c.nextMoves]), after.State)
	}

	// A part of the work is not the one run of a job that runs once.
	once, targets := w.job("once", func(j *activation.Job) { j.Continuous = false }, w.audience("once"))
	w.done(w.opens(activation.Run{Target: targets[0].ID, Mode: activation.ModeKeys}), 1)
	w.equal(activation.JobRunnable, w.jobState(once.ID))
	w.done(w.opens(activation.Run{Target: targets[0].ID, Mode: activation.ModeReplace}), 1)
	w.equal(activation.JobCompleted, w.jobState(once.ID))
}

// runKeys: what runs have in common by which they are told apart in Sync
// Tracking.
func runKeys(w *world) {
	_, targets := w.job("a", nil, w.audience("a"))
	target := targets[0]
	nba := func(cause activation.Cause, level string) activation.Run {
		r := w.opens(activation.Run{Target: target.ID, SyncType: activation.SyncNextBestAction, TriggeredBy: level, Cause: cause})
		w.done(r, 1)
		return r
	}
	outbound, realTime, other := nba(activation.CauseOutbound, "Sales / Cards"), nba(activation.CauseRealTime, "Sales / Cards"), nba(activation.CauseOutbound, "Sales / Loans")
	w.equal(outbound.Key, realTime.Key)
	w.equal(false, outbound.Key == other.Key)
	segment := w.opens(activation.Run{Target: target.ID})
	w.equal(false, segment.Key == outbound.Key)
	w.equal("segment/"+string(target.Destination)+"/"+string(target.Audience), segment.Key)

	// Through the target they take each other's place, whatever their keys are.
	segment, _, err := w.TakeRun(w.t.Context(), segment.ID, "n1", lease)
	w.ok(err)
	w.ok(w.AwaitApproval(w.t.Context(), segment))
	w.done(w.opens(activation.Run{Target: target.ID, SyncType: activation.SyncPIIUpdate, Cause: activation.CauseAgent}), 2)
	w.equal(activation.RunWithdrawn, w.run(segment.ID).Status)
	w.equal(false, w.target(target.ID).DueNow) // a full run does what the other was to do

	// What only adds takes nobody's place.
	w.ok(w.MakeDue(w.t.Context(), []activation.TargetID{target.ID}, activation.CauseManual))
	adds := w.opens(activation.Run{Target: target.ID, SyncType: activation.SyncConversionAudience})
	adds, _, err = w.TakeRun(w.t.Context(), adds.ID, "n1", lease)
	w.ok(err)
	w.ok(w.AwaitApproval(w.t.Context(), adds))
	w.done(w.opens(activation.Run{Target: target.ID, SyncType: activation.SyncConversionAudience}), 3)
	w.equal(activation.RunPending, w.run(adds.ID).Status)
	w.ok(w.Withdraw(w.t.Context(), adds.ID, "ann"))
}

// switchedOffKeys: runs for changed identifiers obey the destination, a forget
// does not.
func switchedOffKeys(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("a", hourly, w.audience("a"), w.audience("b"))
	for _, t := range targets {
		w.done(w.opens(activation.Run{Target: t.ID}), 1)
	}
	keys := w.opens(activation.Run{Target: targets[0].ID, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeKeys, Cause: activation.CauseAgent})
	forget := w.opens(activation.Run{Target: targets[1].ID, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget, Cause: activation.CauseAgent})
	w.dest.Enabled = false
	_, err := w.UpdateDestination(ctx, w.dest, "ann")
	w.ok(err)
	w.equal(activation.RunWithdrawn, w.run(keys.ID).Status)
	w.equal(activation.RunPending, w.run(forget.ID).Status)
	w.equal(activation.CauseAgent, w.target(targets[0].ID).DueCause) // owed
	w.done(forget, 2)
}

// askedMeanwhile: a retried run does what was due for its own sake, and nothing
// of what was asked after it was staged.
func askedMeanwhile(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("hourly", hourly, w.audience("a"))
	target := targets[0].ID
	fails := func() activation.Run {
		r := w.opens(activation.Run{Target: target, Cause: activation.CauseSchedule})
		w.failsAt(r, activation.StageMembers, activation.Unavailable)
		return r
	}
	ends := func(r activation.Run) {
		r, _, err := w.TakeRun(ctx, r.ID, "n1", lease)
		w.ok(err)
		items, err := w.Items(ctx, r.ID)
		w.ok(err)
		w.delivered(r, items[0])
		r.Status, r.ErrorCode = activation.RunCompleted, ""
		w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
		w.clock.Add(time.Minute)
	}
	r := fails()
	w.equal(true, w.target(target).DueNow)
	w.clock.Add(5 * time.Second)
	w.ok(w.Retry(ctx, r.ID, "ann"))
	w.equal(false, w.target(target).DueNow)
	w.equal(w.clock.Now(), w.target(target).LastOpenedAt) // it is at work from now on
	ends(r)

	r = fails()
	w.clock.Add(time.Second)
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseOutbound))
	w.ok(w.Retry(ctx, r.ID, "ann"))
	w.equal([]any{true, activation.CauseOutbound}, []any{w.target(target).DueNow, w.target(target).DueCause})
	ends(r)
	w.equal([]activation.TargetID{target}, w.due())

	// Asked while the run was under way, and for as little as the run was for.
	r = w.opens(activation.Run{Target: target})
	w.equal(activation.CauseOutbound, r.Cause)
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseRepair))
	w.failsAt(r, activation.StageMembers, activation.Unavailable)
	w.ok(w.Retry(ctx, r.ID, "ann"))
	w.equal(activation.CauseRepair, w.target(target).DueCause)
	ends(r)
	w.equal([]activation.TargetID{target}, w.due())

	// Asked for as much as the run was for.
	r = w.opens(activation.Run{Target: target, Cause: activation.CauseManual})
	w.failsAt(r, activation.StageMembers, activation.Unavailable)
	w.clock.Add(time.Second)
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseOutbound))
	w.ok(w.Retry(ctx, r.ID, "ann"))
	w.equal(activation.CauseManual, w.target(target).DueCause)
	ends(r)
	w.equal([]activation.TargetID{target}, w.due())
}

// askedUnderWay: what is asked for while a run is open comes after it, and not at
// the job's next time; so does what the run itself has left.
func askedUnderWay(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("daily", func(j *activation.Job) { j.Frequency = "daily" }, w.audience("a"))
	target := targets[0].ID
	r := w.opens(activation.Run{Target: target})
	w.ok(w.MakeDue(ctx, []activation.TargetID{target}, activation.CauseOutbound))
	w.done(r, 1)
	w.equal([]activation.TargetID{target}, w.due())
	r = w.opens(activation.Run{Target: target})
	w.equal(activation.CauseOutbound, r.Cause)
	r, _, err := w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Due: true}))
	w.equal(0, len(w.due()))
	w.equal(activation.SleepSchedule, w.target(target).SleepReason)
	w.clock.Add(time.Minute)
	w.equal([]activation.TargetID{target}, w.due())
	w.done(w.opens(activation.Run{Target: target}), 2)
	w.clock.Add(time.Hour)
	w.equal(0, len(w.due()))
}

// approvedNow: a run that is approved is at work from then on.
func approvedNow(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("people", nil, w.audience("a"))
	r := w.opens(activation.Run{Target: targets[0].ID})
	r, _, err := w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	w.ok(w.AwaitApproval(ctx, r))
	w.clock.Add(time.Hour)
	w.ok(w.Approve(ctx, r.ID, "ann"))
	w.equal(w.clock.Now(), w.target(targets[0].ID).LastOpenedAt)
}

// strandedKeys: who has lost an old key and got no new one is held no more, so a
// run that only moves keys would never bring them back. Nor would one fill the
// remote audience that takes the place of one that is gone.
func strandedKeys(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("daily", func(j *activation.Job) { j.Frequency = "daily" }, w.audience("a"))
	target := targets[0].ID
	w.done(w.opens(activation.Run{Target: target}), 1)
	keys := func(c activation.Counts) activation.Run {
		w.clock.Add(20 * time.Minute)
		r, _, err := w.TakeRun(ctx, w.opens(activation.Run{Target: target, Mode: activation.ModeKeys, Cause: activation.CauseAgent, SyncType: activation.SyncPIIUpdate}).ID, "n1", lease)
		w.ok(err)
		r.Counts, r.Stage = c, activation.StageMembers
		return r
	}
	r := keys(activation.Counts{Removed: 1, Unsent: 1})
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Unavailable, "META-2"
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.equal(activation.CauseSchedule, w.target(target).DueCause)
	w.done(w.opens(activation.Run{Target: target}), 2)

	r = keys(activation.Counts{Unsent: 1}) // nobody has lost anything
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Unavailable, "META-2"
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.equal(activation.CauseAgent, w.target(target).DueCause)
	w.done(w.opens(activation.Run{Target: target}), 3)

	r = keys(activation.Counts{Removed: 1, Withdrawn: 1}) // behind removals that were answered later
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Due: true}))
	w.equal(activation.CauseSchedule, w.target(target).DueCause)
	w.done(w.opens(activation.Run{Target: target}), 4)

	r = keys(activation.Counts{Removed: 1, Unknown: 1}) // which may be held
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Due: true}))
	w.equal(activation.CauseAgent, w.target(target).DueCause)
	w.done(w.opens(activation.Run{Target: target}), 5)

	w.ok(w.NewGeneration(ctx, keys(activation.Counts{}), activation.RunWithdrawn))
	w.equal(activation.CauseSchedule, w.target(target).DueCause)
}

// movedSince: a run that only moved keys carries nothing of a failed one.
func movedSince(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("daily", func(j *activation.Job) { j.Frequency = "daily" }, w.audience("a"))
	target := targets[0].ID
	failed := w.opens(activation.Run{Target: target})
	w.failsAt(failed, activation.StageMembers, activation.Unavailable)
	stage := func(r activation.Run) {
		r, _, err := w.TakeRun(ctx, w.opens(r).ID, "n1", lease)
		w.ok(err)
		r.StagedAt, r.Status = w.clock.Now(), activation.RunCompleted
		w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	}
	says := func(want string) {
		ok, reason, err := w.RetryVerdict(ctx, failed.ID)
		w.ok(err)
		w.equal([]any{false, want}, []any{ok, reason})
	}
	stage(activation.Run{Target: target, Mode: activation.ModeKeys, SyncType: activation.SyncPIIUpdate})
	says("run #2 has moved identifiers since then; the next run plans afresh")
	w.equal(true, w.target(target).DueNow) // which is owed
	stage(activation.Run{Target: target})
	says("run #3 carries these")
	stage(activation.Run{Target: target, Mode: activation.ModeKeys, SyncType: activation.SyncPIIUpdate})
	says("run #3 carries these")
}

// fillsAtOnce: another remote audience is filled at once, and not at the job's
// next time, also where an answer that was owed told that the first is gone.
func fillsAtOnce(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("daily", func(j *activation.Job) { j.Frequency = "daily" }, w.audience("a"))
	target := targets[0].ID
	r, _, err := w.TakeRun(ctx, w.opens(activation.Run{Target: target}).ID, "n1", lease)
	w.ok(err)
	r.StagedAt, r.Stage = w.clock.Now(), activation.StageMembers
	w.ok(w.QueueItems(ctx, r, tenEach(1)))
	items, err := w.Items(ctx, r.ID)
	w.ok(err)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, r, it, activation.ItemAwaiting, activation.Receipt{Attempt: it.Attempt, PollToken: "t"}, "", ""))
	r.Status = activation.RunAwaiting
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Until: w.clock.Now().Add(time.Hour)}))
	w.done(w.opens(activation.Run{Target: target}), 1)
	w.equal(activation.SleepSchedule, w.target(target).SleepReason)
	w.clock.Add(2 * time.Hour)
	r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	w.equal(0, len(w.due()))
	w.ok(w.NewGeneration(ctx, r, activation.RunFailed))
	w.equal([]activation.TargetID{target}, w.due())
}

// onceAudience: the audience of a job that runs once is not over while rows of it
// are left for the run that is due.
func onceAudience(w *world) {
	ctx := w.t.Context()
	for _, c := range []struct {
		sync  activation.SyncType
		left  activation.Counts
		state activation.TargetState
	}{
		{activation.SyncSegment, activation.Counts{Unsent: 1}, activation.TargetRunnable},
		{activation.SyncConversionAudience, activation.Counts{Unsent: 1}, activation.TargetRunnable},
		{activation.SyncSegment, activation.Counts{Removed: 1, Withdrawn: 1}, activation.TargetRunnable},
		{activation.SyncSegment, activation.Counts{Rejected: 1, Withdrawn: 1}, activation.TargetCompleted},
		{activation.SyncSegment, activation.Counts{Rejected: 1}, activation.TargetCompleted},
	} {
		name := strings.ToLower(rand.Text())
		_, targets := w.job(name, func(j *activation.Job) { j.Continuous = false }, w.audience(name))
		r, _, err := w.TakeRun(ctx, w.opens(activation.Run{Target: targets[0].ID, SyncType: c.sync}).ID, "n1", lease)
		w.ok(err)
		r.Status, r.Counts = activation.RunCompleted, c.left
		w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Due: true}))
		w.equal(c.state, w.target(targets[0].ID).State)
	}
}
