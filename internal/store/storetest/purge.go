package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

const (
	day      = 24 * time.Hour
	retained = 90 * day
)

// purge does what the purger does, and returns how many jobs were announced and
// how many are gone.
func (w *world) purge() string {
	w.t.Helper()
	ctx := w.t.Context()
	noticed, err := w.NoticePurge(ctx, retained)
	w.ok(err)
	gone, err := w.PurgeJobs(ctx, retained, nil)
	w.ok(err)
	w.ok(w.PurgeOld(ctx, retained))
	return fmt.Sprint(noticed, " noticed ", gone, " gone")
}

// purging: a job that does not go on is announced once and deleted a week
// later, with its history; its target lives on and can be adopted.
func purging(w *world) {
	ctx := w.t.Context()
	vips := w.audience("vips")
	j, targets := w.job("vips", nil, vips)
	living, livingTargets := w.job("living", nil, w.audience("others"))
	w.ok(w.SetRemote(ctx, targets[0].ID, 1, "remote-1"))
	r, items := w.queued(targets[0].ID, 3)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.ok(w.SplitItem(ctx, r, it, []activation.Item{
		{Number: 4, Phase: it.Phase, Op: it.Op, First: it.First, Last: it.First + 3},
		{Number: 5, Phase: it.Phase, Op: it.Op, First: it.First + 4, Last: it.Last},
	}))
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Invalid, "META-100"
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.succeed(livingTargets[0].ID)

	w.clock.Add(retained - 7*day - time.Minute)
	w.equal("0 noticed 0 gone", w.purge())
	w.clock.Add(time.Minute)
	w.equal("1 noticed 0 gone", w.purge())
	w.equal("0 noticed 0 gone", w.purge())
	w.equal(activation.LogPurgeDue, w.events(j.ID)[len(w.events(j.ID))-1])

	// Whoever bounces it begins anew.
	w.ok(w.Bounce(ctx, j.ID, "ann"))
	w.clock.Add(8 * day)
	w.equal("0 noticed 0 gone", w.purge())
	w.ok(w.Pause(ctx, j.ID, 0, "ann")) // its retried run is open
	w.clock.Add(retained - 7*day)
	w.equal("1 noticed 0 gone", w.purge())
	w.clock.Add(7*day - time.Second)
	w.equal("0 noticed 0 gone", w.purge())
	w.clock.Add(time.Second)
	w.equal("0 noticed 0 gone", w.purge()) // hidden, and its open run has to end first
	_, err = w.Job(ctx, j.ID)
	w.is(activation.ErrNotFound, err)
	w.is(activation.ErrNotFound, w.Resume(ctx, j.ID, "ann"))
	for _, open := range w.openRuns() {
		open, _, err := w.TakeRun(ctx, open.ID, "n1", lease)
		w.ok(err)
		open.Status = activation.RunWithdrawn
		w.ok(w.FinishRun(ctx, open, activation.End{}))
	}
	w.equal("0 noticed 0 gone", w.purge()) // its staged rows have to go first
	due, err := w.UnstageableRuns(ctx, w.clock.Now().Add(time.Second), 10)
	w.ok(err)
	w.ok(w.MarkUnstaged(ctx, due))
	w.equal("0 noticed 1 gone", w.purge())

	_, err = w.Run(ctx, r.ID)
	w.is(activation.ErrNotFound, err)
	target := w.target(targets[0].ID)
	w.equal("remote-1 ", target.RemoteID+" "+string(target.Job))
	for _, id := range w.due() {
		if id == target.ID {
			w.t.Fatal("a target without a job is due")
		}
	}
	trail, err := w.Audit(ctx, store.AuditFilter{SubjectID: string(j.ID), Verb: "purge"})
	w.ok(err)
	w.equal(1, len(trail))
	w.equal(activation.JobRunnable, w.jobState(living.ID))
	w.equal(2, len(w.events(living.ID))-1)

	again, adopted := w.job("vips", nil, vips)
	w.equal(fmt.Sprint(target.ID, "remote-1", again.ID), fmt.Sprint(adopted[0].ID, adopted[0].RemoteID, adopted[0].Job))
	w.succeed(adopted[0].ID)
}

func (w *world) openRuns() []activation.Run {
	w.t.Helper()
	open, err := w.OpenRuns(w.t.Context(), 100)
	w.ok(err)
	return open
}

// purgingMuch: everything goes, however many rows it is, and only of the job
// that goes.
func purgingMuch(w *world) {
	ctx := w.t.Context()
	stays := w.importJob("stays", nil)
	goes := w.importJob("goes", nil)
	for _, j := range []activation.Job{stays, goes} {
		for i := range 3 {
			w.ok(w.AddLog(ctx, activation.LogEntry{Job: j.ID, Event: activation.LogSynced, Message: fmt.Sprint(i)}))
		}
		w.passed(j.ID, "")
	}
	for range 1200 {
		w.ok(w.AddLog(ctx, activation.LogEntry{Job: goes.ID, Event: activation.LogSynced, Message: "synced"}))
	}
	w.ok(w.DeleteJob(ctx, goes.ID, "ann"))
	w.clock.Add(retained - time.Second)
	w.equal("0 noticed 0 gone", w.purge())
	w.clock.Add(time.Second)
	// A job stays until what others keep of it is gone.
	var asked []activation.JobID
	refused := errors.New("not now")
	gone, err := w.PurgeJobs(ctx, retained, func(_ context.Context, id activation.JobID) error {
		asked = append(asked, id)
		return refused
	})
	w.equal("0 true", fmt.Sprint(gone, errors.Is(err, refused)))
	w.equal(fmt.Sprint([]activation.JobID{goes.ID}), fmt.Sprint(asked))
	w.equal("0 noticed 1 gone", w.purge()) // who deletes a job needs no notice
	lines, err := w.JobLogs(ctx, goes.ID, time.Time{}, 10)
	w.ok(err)
	w.equal(0, len(lines))
	for _, width := range []time.Duration{time.Minute, time.Hour, day} {
		w.equal(0, len(w.metricSums(goes.ID, width)))
	}
	w.equal(6, len(w.events(stays.ID)))

	// Of the job that stays, minutes and hours become old, days never.
	w.equal("map[] map[new_profiles:7] map[new_profiles:7]", fmt.Sprint(w.metricSums(stays.ID, time.Minute), w.metricSums(stays.ID, time.Hour), w.metricSums(stays.ID, day)))
	w.clock.Add(2 * time.Hour)
	w.purge()
	w.equal("map[] map[] map[new_profiles:7]", fmt.Sprint(w.metricSums(stays.ID, time.Minute), w.metricSums(stays.ID, time.Hour), w.metricSums(stays.ID, day)))

	w.passed(stays.ID, "")
	w.purge()
	list, err := w.Passes(ctx, stays.ID, 0, 10)
	w.ok(err)
	w.equal("1 2", fmt.Sprint(len(list), " ", list[0].Number))
}

// purgingEntries: entries go a time after they ended, uploads with all of their rows, and
// the last one of each object that is there stays.
func purgingEntries(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	w.have(a, p, "1", "2", "3")
	entries := []activation.Entry{edit("1", "bid", "1.00", "2.00", activation.EntryToBeSent), edit("2", "bid", "1.00", "2.00", activation.EntryHeld)}
	upload, err := w.WriteEntries(ctx, a.ID, &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "file"}, entries, activation.EntryWrite{})
	w.ok(err)
	one := w.write(a, edit("1", "bid", "1.00", "3.00", activation.EntryToBeSent))[0]
	// A create that was cancelled, and what goes with it: nothing of the kind is there.
	gone := w.write(a, creation(0, activation.KindCampaign, "Gone", activation.ObjectRef{}, activation.EntryToBeSent))[0]
	w.moved(activation.CommandCancel, upload[0].ID, one.ID, gone.ID)
	left := func() string {
		w.t.Helper()
		out := ""
		w.ok(w.EachEntry(ctx, activation.EntryQuery{Publisher: a.ID}, func(e activation.Entry) error {
			switch e.ID {
			case upload[0].Parent:
				out += "upload "
			case upload[0].ID:
				out += "row1 "
			case upload[1].ID:
				out += "row2 "
			case one.ID:
				out += "one "
			case gone.ID:
				out += "gone "
			}
			return nil
		}))
		n, err := w.EntryCounts(ctx, a.ID)
		w.ok(err)
		return out + fmt.Sprint(n)
	}
	w.clock.Add(retained)
	w.purged(0)
	w.equal("upload row1 row2 one gone map[cancelled:3 held:1]", left())
	w.clock.Add(time.Second)
	w.purged(1) // the upload has a row that waits, and of group 1 nothing ended later
	w.equal("upload row1 row2 one map[cancelled:2 held:1]", left())
	w.moved(activation.CommandCancel, upload[1].ID)
	w.clock.Add(retained)
	w.purged(0)
	w.clock.Add(time.Second)
	w.purged(1) // row 2 is the last of group 2
	w.equal("upload row2 one map[cancelled:2]", left())
	last := w.write(a, edit("2", "bid", "1.00", "4.00", activation.EntryToBeSent))[0]
	w.moved(activation.CommandCancel, last.ID)
	w.purged(1)
	w.equal("upload one map[cancelled:2]", left())
	w.purged(1) // the upload when its rows are gone
	w.equal("one map[cancelled:2]", left())
	w.equal(activation.EntryCancelled, w.anEntry(last.ID).Status)
}

// purged purges entries, and expects so many to go.
func (w *world) purged(want int64) {
	w.t.Helper()
	n, err := w.PurgeEntries(w.t.Context(), retained)
	w.ok(err)
	w.equal(want, n)
}
