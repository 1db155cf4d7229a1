package storetest

import (
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// ofStream makes a job that a stream feeds.
func (w *world) ofStream(name string, change func(*activation.Job)) (activation.Job, activation.Target) {
	w.t.Helper()
	j, targets := w.job(name, func(j *activation.Job) {
		j.Workflow, j.Stream = "meta_conversions", "orders"
		if change != nil {
			change(j)
		}
	})
	return j, targets[0]
}

// pushes: each moment of the past is sent once to a target.
func pushes(w *world) {
	ctx := w.t.Context()
	j, target := w.ofStream("conversions", nil)
	day := func(n int) time.Time { return time.Date(2026, 9, n, 0, 0, 0, 0, time.UTC) }
	push := func(from, until int) (activation.Run, error) {
		return w.OpenPush(ctx, target.ID, activation.Period{From: day(from), Until: day(until)}, "ann")
	}
	for _, p := range []activation.Period{{}, {From: day(2), Until: day(2)}, {From: day(3), Until: day(2)}, {Until: day(2)}} {
		_, err := w.OpenPush(ctx, target.ID, p, "ann")
		w.equal(activation.Invalid, activation.KindOf(err))
	}
	w.done(w.opens(activation.Run{Target: target.ID, SyncType: activation.SyncOfflineConversion}), 7)
	w.ok(w.RaiseStreams(ctx, map[string]int64{"orders": 9}))
	r, err := push(1, 5)
	w.ok(err)
	w.equal([]any{activation.ModeHistory, activation.CauseManual, activation.SyncOfflineConversion, ""}, []any{r.Mode, r.Cause, r.SyncType, r.TriggeredBy})
	w.equal(activation.Period{From: day(1), Until: day(5)}, w.run(r.ID).Period)
	_, err = push(10, 12)
	w.is(activation.ErrConflict, err) // one at a time
	w.done(r, 8)
	w.equal([2]int64{9, 7}, [2]int64{w.target(target.ID).DirtySeq, w.target(target.ID).DoneSeq}) // the cursor stays
	for _, p := range [][2]int{{1, 5}, {4, 6}, {2, 3}, {1, 9}} {
		_, err := push(p[0], p[1])
		w.is(activation.ErrConflict, err)
		w.equal(true, strings.Contains(err.Error(), "run #2 "))
	}

	// One that was withdrawn does not count, nor one that came to nothing; one
	// that failed at the network does, and shows Retry however many came later.
	next, err := push(5, 7)
	w.ok(err)
	w.ok(w.Withdraw(ctx, next.ID, "ann"))
	next, err = push(5, 7)
	w.ok(err)
	w.errs(next)
	next, err = push(5, 7)
	w.ok(err)
	next, _, err = w.TakeRun(ctx, next.ID, "n1", lease)
	w.ok(err)
	next.Stage, next.StagedAt = activation.StageMembers, w.clock.Now()
	w.ok(w.QueueItems(ctx, next, tenEach(1)))
	next.Status, next.ErrorKind, next.ErrorCode = activation.RunFailed, activation.Unavailable, "META-2"
	w.ok(w.FinishRun(ctx, next, activation.End{}))
	_, err = push(6, 8)
	w.equal(true, strings.Contains(err.Error(), "run #5 "))
	w.clock.Add(10 * time.Minute)
	later := w.opens(activation.Run{Target: target.ID, SyncType: activation.SyncOfflineConversion})
	later, _, err = w.TakeRun(ctx, later.ID, "n1", lease)
	w.ok(err)
	later.StagedAt, later.Status, later.Seq = w.clock.Now(), activation.RunCompleted, 9
	w.ok(w.FinishRun(ctx, later, activation.End{Done: true}))
	ok, reason, err := w.RetryVerdict(ctx, next.ID)
	w.ok(err)
	w.equal([]any{true, ""}, []any{ok, reason})
	w.ok(w.Retry(ctx, next.ID, "ann"))
	w.equal(activation.RunRunning, w.run(next.ID).Status)
	next, _, err = w.TakeRun(ctx, next.ID, "n1", lease)
	w.ok(err)
	items, err := w.Items(ctx, next.ID)
	w.ok(err)
	w.delivered(next, items[0])
	next.Status, next.ErrorCode = activation.RunCompleted, ""
	w.ok(w.FinishRun(ctx, next, activation.End{Done: true}))
	w.equal(9, w.target(target.ID).DoneSeq)

	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	_, err = push(20, 21)
	w.equal(activation.Invalid, activation.KindOf(err))
	entries, err := w.Audit(ctx, storeAudit("target", string(target.ID)))
	w.ok(err)
	w.equal(4, len(entries))
	w.equal("push ann", entries[0].Verb+" "+entries[0].Actor)
}

// conversionTargets: the audience of conversions and where it is kept.
func conversionTargets(w *world) {
	ctx := w.t.Context()
	_, of := w.ofStream("conversions", nil)
	purchase := activation.Audience{Slug: "conversion-purchase", Name: "Conversion-Purchase", Kind: activation.KindConversion}
	const keeps = "meta_custom_audience"
	t, created, err := w.ConversionTarget(ctx, of, purchase, keeps)
	w.ok(err)
	w.equal([]any{true, of.Destination, of.Job, keeps, "", false}, []any{created, t.Destination, t.Job, t.Workflow, t.Stream, t.DueNow})
	a := w.saved(t.Audience)
	w.equal([]any{activation.KindConversion, "", "Conversion-Purchase"}, []any{a.Kind, a.Rule, a.Name})
	again, created, err := w.ConversionTarget(ctx, of, purchase, keeps)
	w.ok(err)
	w.equal([]any{false, t}, []any{created, again})
	w.equal([]activation.TargetID{of.ID}, w.due()) // nobody is in it yet
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{t.Audience: 3}))
	w.equal(2, len(w.due()))

	// Another destination has a target of its own, and another job at the same
	// one does not take it away.
	elsewhere := w.destination("Other", "200", w.auth.ID)
	_, far := w.ofStream("far", func(j *activation.Job) { j.Destination = elsewhere.ID })
	other, created, err := w.ConversionTarget(ctx, far, purchase, keeps)
	w.ok(err)
	w.equal([]any{false, false, elsewhere.ID}, []any{created, other.ID == t.ID, other.Destination})
	_, beside := w.ofStream("beside", func(j *activation.Job) { j.Stream = "returns" })
	same, _, err := w.ConversionTarget(ctx, beside, purchase, keeps)
	w.ok(err)
	w.equal([]any{t.ID, of.Job}, []any{same.ID, same.Job})
	// Once its job is over, the other one goes on with it.
	w.ok(w.Kill(ctx, of.Job, "ann"))
	_, _, err = w.ConversionTarget(ctx, of, purchase, keeps)
	w.is(activation.ErrConflict, err)
	same, _, err = w.ConversionTarget(ctx, beside, purchase, keeps)
	w.ok(err)
	w.equal([]any{t.ID, beside.Job, activation.TargetRunnable}, []any{same.ID, same.Job, same.State})

	// What is somebody's is left alone.
	w.audience("conversion-lead")
	_, _, err = w.ConversionTarget(ctx, beside, activation.Audience{Slug: "conversion-lead", Name: "Conversion-Lead"}, keeps)
	w.is(activation.ErrConflict, err)

	// A scheduled job sends them at its time, one that runs once does so soon and
	// is not over before.
	_, hours := w.ofStream("hourly", func(j *activation.Job) { j.Frequency, j.Stream = "hourly", "hours" })
	timed, _, err := w.ConversionTarget(ctx, hours, activation.Audience{Slug: "conversion-h", Name: "Conversion-h"}, keeps)
	w.ok(err)
	w.equal([]any{false, w.clock.Now().Add(time.Hour), activation.SleepSchedule}, []any{timed.DueNow, timed.NextAt, timed.SleepReason})
	once, single := w.ofStream("once", func(j *activation.Job) { j.Continuous, j.Stream = false, "single" })
	first := w.opens(activation.Run{Target: single.ID, SyncType: activation.SyncOfflineConversion})
	kept, _, err := w.ConversionTarget(ctx, single, activation.Audience{Slug: "conversion-o", Name: "Conversion-o"}, keeps)
	w.ok(err)
	w.equal([]any{true, w.clock.Now().Add(time.Minute)}, []any{kept.DueNow, kept.DueAt})
	w.done(w.opens(activation.Run{Target: kept.ID, SyncType: activation.SyncConversionAudience}), 1)
	kept, _, err = w.ConversionTarget(ctx, single, activation.Audience{Slug: "conversion-o", Name: "Conversion-o"}, keeps)
	w.ok(err)
	w.equal([]any{true, activation.TargetRunnable}, []any{kept.DueNow, kept.State})
	w.done(first, 1)
	w.equal(activation.JobRunnable, w.jobState(once.ID))
	w.done(w.opens(activation.Run{Target: kept.ID, SyncType: activation.SyncConversionAudience}), 2)
	w.equal(activation.JobCompleted, w.jobState(once.ID))
}

// reconciling: comparisons are kept, drift is an event, and which are due.
func reconciling(w *world) {
	ctx := w.t.Context()
	a := w.audience("a")
	j, targets := w.job("vips", nil, a, w.audience("b"))
	one, two := targets[0].ID, targets[1].ID
	if targets[0].Audience != a.ID {
		one, two = two, one
	}
	compared := func(target activation.TargetID, status activation.ReconcileStatus, by string) activation.Reconciliation {
		w.t.Helper()
		w.clock.Add(time.Minute)
		c := activation.Reconciliation{
			ID: activation.NewID[activation.ReconciliationID](), Target: target, Generation: 1, Method: activation.ByMembers, Status: activation.ReconcileRunning,
			AskedBy: by, StartedAt: w.clock.Now(),
		}
		w.ok(w.SaveReconciliation(ctx, c))
		c.Status, c.Ledger, c.RemoteLow, c.RemoteHigh, c.EndedAt = status, 100, 99, 99, w.clock.Now()
		if status == activation.ReconcileDrifted {
			c.Missing, c.Extra = 3, 2
		}
		w.ok(w.SaveReconciliation(ctx, c))
		w.ok(w.SaveReconciliation(ctx, c)) // told twice
		stored, err := w.Reconciliation(ctx, c.ID)
		w.ok(err)
		w.equal(c, stored)
		return c
	}
	told := func() string {
		w.t.Helper()
		events, err := w.Events(ctx, store.EventFilter{SubjectID: string(j.ID), Types: []activation.EventType{activation.EventDrifted, activation.EventRecovered}})
		w.ok(err)
		var out []string
		for _, e := range events {
			out = append(out, string(e.Type))
		}
		return strings.Join(out, " ")
	}
	due := func(before time.Time) []activation.TargetID {
		w.t.Helper()
		out, err := w.DueReconciliations(ctx, before, 10)
		w.ok(err)
		return out
	}
	w.equal(0, len(due(w.clock.Now()))) // nothing is at the network
	w.ok(w.SetRemote(ctx, one, 1, "r1"))
	w.ok(w.SetRemote(ctx, two, 1, "r2"))
	w.equal(2, len(due(w.clock.Now())))

	night := w.clock.Now()
	compared(one, activation.ReconcileEqual, "system")
	w.equal([]activation.TargetID{two}, due(night))
	w.equal("", told())
	drifted := compared(one, activation.ReconcileDrifted, "ann")
	w.equal("drifted", told())
	compared(one, activation.ReconcileDrifted, "system")
	w.equal("drifted", told()) // it is still so
	compared(one, activation.ReconcileFailed, "system")
	compared(two, activation.ReconcileDrifted, "system")
	w.equal("drifted drifted", told())
	w.equal(0, len(due(night)))
	w.equal([]activation.TargetID{one, two}, due(w.clock.Now().Add(time.Second))) // longest ago first
	compared(one, activation.ReconcileEqual, "system")
	w.equal("drifted drifted", told()) // the other one is not in step
	drifted.Status, drifted.RepairedBy, drifted.RepairedAt = activation.ReconcileRepaired, "bob", w.clock.Now()
	w.ok(w.SaveReconciliation(ctx, drifted))
	compared(two, activation.ReconcileEqual, "system")
	w.equal("recovered drifted drifted", told())
	events, err := w.Events(ctx, store.EventFilter{Types: []activation.EventType{activation.EventDrifted}})
	w.ok(err)
	w.equal(`"a" at "Ads": 3 of the people who were sent are missing there, and 2 are there who were not sent`, events[1].Message)
	entries, err := w.Audit(ctx, storeAudit("target", string(one)))
	w.ok(err)
	w.equal([]string{"repair bob", "reconcile ann"}, []string{entries[0].Verb + " " + entries[0].Actor, entries[1].Verb + " " + entries[1].Actor})

	list, err := w.Reconciliations(ctx, one, 2)
	w.ok(err)
	w.equal([]activation.ReconcileStatus{activation.ReconcileEqual, activation.ReconcileFailed}, []activation.ReconcileStatus{list[0].Status, list[1].Status})
	for range 100 {
		compared(two, activation.ReconcileEqual, "system")
	}
	list, err = w.Reconciliations(ctx, two, 1000)
	w.ok(err)
	w.equal(100, len(list))
	w.ok(w.Kill(ctx, j.ID, "ann"))
	w.equal(0, len(due(w.clock.Now().Add(time.Hour))))
	_, err = w.Reconciliation(ctx, "nobody")
	w.is(activation.ErrNotFound, err)
}

// manyVerdicts: what is asked of many runs at once is what is asked of each, by
// every line of the rule.
func manyVerdicts(w *world) {
	ctx := w.t.Context()
	var ids []activation.RunID
	expect := map[activation.RunID]string{}
	add := func(r activation.Run, reason string) {
		ids = append(ids, r.ID)
		expect[r.ID] = reason
	}
	fresh := func(name string) (activation.Job, activation.TargetID) {
		w.t.Helper()
		j, targets := w.job(name, nil, w.audience(name))
		return j, targets[0].ID
	}
	// Two failed runs of one key: the newest one only.
	_, target := fresh("two")
	older := w.failedRun(target, activation.Unavailable)
	w.clock.Add(10 * time.Minute)
	newer := w.failedRun(target, activation.Unavailable)
	add(older, "run #2 carries these")
	add(newer, "")
	// An outbound run of next-best-action, and one in real time of the same key.
	_, target = fresh("nba")
	outbound := w.opens(activation.Run{Target: target, SyncType: activation.SyncNextBestAction, TriggeredBy: "Sales / Cards", Cause: activation.CauseOutbound})
	w.failsAt(outbound, activation.StageMembers, activation.Unavailable)
	w.clock.Add(10 * time.Minute)
	realTime := w.opens(activation.Run{Target: target, SyncType: activation.SyncNextBestAction, TriggeredBy: "Sales / Cards", Cause: activation.CauseRealTime})
	w.failsAt(realTime, activation.StageMembers, activation.Unavailable)
	add(outbound, "run #4 carries these")
	add(realTime, "")
	// A run for keys counts like any other.
	_, target = fresh("keys")
	full := w.failedRun(target, activation.Unavailable)
	w.clock.Add(10 * time.Minute)
	keys := w.opens(activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeKeys})
	w.failsAt(keys, activation.StageMembers, activation.Unavailable)
	add(full, "run #6 has moved identifiers since then; the next run plans afresh")
	add(keys, "")
	// Conversions only add.
	_, conversions := w.ofStream("conversions", nil)
	for range 2 {
		w.clock.Add(20 * time.Minute)
		r := w.opens(activation.Run{Target: conversions.ID, SyncType: activation.SyncOfflineConversion})
		w.failsAt(r, activation.StageMembers, activation.Unavailable)
		add(r, "")
	}
	_, target = fresh("conversion audience")
	for range 2 {
		w.clock.Add(20 * time.Minute)
		r := w.opens(activation.Run{Target: target, SyncType: activation.SyncConversionAudience})
		w.failsAt(r, activation.StageMembers, activation.Unavailable)
		add(r, "")
	}
	// Stage 2 and stage 5.
	_, target = fresh("audiences")
	early := w.opens(activation.Run{Target: target})
	w.failsAt(early, activation.StageAudiences, activation.Internal)
	add(early, "the run did not fail at the destination; the next run plans afresh")
	_, target = fresh("remote")
	remote := w.opens(activation.Run{Target: target})
	w.failsAt(remote, activation.StageRemote, activation.Unavailable)
	add(remote, "")
	// A later run that only planned takes nothing away; an open one does.
	_, target = fresh("open")
	waits := w.failedRun(target, activation.Unavailable)
	w.clock.Add(10 * time.Minute)
	open := w.opens(activation.Run{Target: target})
	add(waits, "run #14 is open for this audience at this destination")
	add(open, "the run is pending; only a failed run can be retried")
	// Cut in the middle of replacing everybody.
	_, target = fresh("replace")
	cut := w.opens(activation.Run{Target: target, Mode: activation.ModeReplace})
	w.failsAs(cut, activation.StageMembers, activation.Unavailable, activation.CodeReplaceCut)
	add(cut, "a full replace was cut in the middle; the next run brings the audience in step")
	paused, target := fresh("paused")
	add(w.failedRun(target, activation.Unavailable), "the job is paused; resume it first")
	w.ok(w.Pause(ctx, paused.ID, 0, "ann"))
	killed, target := fresh("killed")
	add(w.failedRun(target, activation.Unavailable), "the job was ended")
	w.ok(w.Kill(ctx, killed.ID, "ann"))

	check := func() {
		w.t.Helper()
		all, err := w.RetryVerdicts(ctx, append(ids, "nobody"))
		w.ok(err)
		w.equal(len(ids), len(all))
		for _, id := range ids {
			ok, reason, err := w.RetryVerdict(ctx, id)
			w.ok(err)
			w.equal(store.Verdict{OK: ok, Reason: reason}, all[id])
			w.equal(store.Verdict{OK: expect[id] == "", Reason: expect[id]}, all[id])
		}
	}
	check()

	// The authorization refused, and mended.
	auth := w.authorization("second")
	dest := w.destination("Second", "300", auth.ID)
	_, targets := w.job("refused", func(j *activation.Job) { j.Destination = dest.ID }, w.audience("refused"))
	refused := w.opens(activation.Run{Target: targets[0].ID})
	w.failsAt(refused, activation.StageMembers, activation.Unauthorized)
	ids, expect = []activation.RunID{refused.ID}, map[activation.RunID]string{refused.ID: "the authorization is not healthy yet"}
	check()
	w.ok(w.MarkHealthy(ctx, auth.ID))
	w.equal(activation.RunRunning, w.run(refused.ID).Status) // mending goes on with it
	none, err := w.RetryVerdicts(ctx, nil)
	w.ok(err)
	w.equal(0, len(none))
}

// failsAt takes an open run and has it fail at a stage, with an item that was
// not sent where items are cut by then.
func (w *world) failsAt(r activation.Run, stage activation.Stage, kind activation.Kind) {
	w.t.Helper()
	w.failsAs(r, stage, kind, "META-2")
}

func (w *world) failsAs(r activation.Run, stage activation.Stage, kind activation.Kind, code string) {
	w.t.Helper()
	ctx := w.t.Context()
	r, _, err := w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	r.Stage = stage
	if stage == activation.StageRemote || stage == activation.StageMembers {
		r.StagedAt = w.clock.Now()
		w.ok(w.QueueItems(ctx, r, tenEach(1)))
	}
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, kind, code
	w.ok(w.FinishRun(ctx, r, activation.End{}))
}
