package storetest

import (
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// rebuilds keeps which rebuild is under way, how far it is, and how it ended.
func rebuilds(w *world) {
	ctx := w.t.Context()
	none, err := w.TakeRebuild(ctx)
	w.ok(err)
	w.equal(true, none == nil)
	r, err := w.CreateRebuild(ctx, "a new field", "ann")
	w.ok(err)
	w.equal(int64(1), r.Number)
	w.equal(activation.RebuildRunning, r.Status)
	_, err = w.CreateRebuild(ctx, "", "bob")
	w.says(err, "rebuild #1 is under way")

	taken, err := w.TakeRebuild(ctx)
	w.ok(err)
	w.equal(1, taken.Attempt)
	_, err = w.SaveRebuild(ctx, r.ID, 1, 7, 9)
	w.ok(err)
	again, err := w.TakeRebuild(ctx) // after a crash
	w.ok(err)
	w.equal(2, again.Attempt)
	w.equal(int64(0), again.Done)
	_, err = w.SaveRebuild(ctx, r.ID, 1, 8, 9)
	w.says(err, "attempt 2")
	saved, err := w.SaveRebuild(ctx, r.ID, 2, 8, 9)
	w.ok(err)
	w.equal(int64(8), saved.Done)
	w.equal("", saved.CancelledBy)

	asked, err := w.CancelRebuild(ctx, r.ID, "bob")
	w.ok(err)
	w.equal(activation.RebuildRunning, asked.Status)
	_, err = w.CancelRebuild(ctx, r.ID, "cy")
	w.ok(err)
	saved, err = w.SaveRebuild(ctx, r.ID, 2, 8, 9)
	w.ok(err)
	w.equal("bob", saved.CancelledBy)
	saved.Status = activation.RebuildCancelled
	w.clock.Add(time.Minute)
	ended, err := w.EndRebuild(ctx, saved)
	w.ok(err)
	w.equal(activation.RebuildCancelled, ended.Status)
	w.equal(false, ended.EndedAt.IsZero())
	for _, verb := range []string{"rebuild", "cancel"} {
		audit, err := w.Audit(ctx, store.AuditFilter{Verb: verb})
		w.ok(err)
		w.equal(1, len(audit))
		w.equal(string(r.ID), audit[0].SubjectID)
	}
	_, err = w.CancelRebuild(ctx, r.ID, "bob")
	w.says(err, "cancelled")
	_, err = w.SaveRebuild(ctx, r.ID, 2, 9, 9)
	w.says(err, "cancelled")

	for _, status := range []activation.RebuildStatus{activation.RebuildFailed, activation.RebuildCompleted} {
		_, err := w.CreateRebuild(ctx, "", "ann")
		w.ok(err)
		next, err := w.TakeRebuild(ctx)
		w.ok(err)
		next.Status = status
		if status == activation.RebuildFailed {
			next.ErrorCode, next.ErrorText = "INTERNAL", "the disk is full"
		} else {
			next.Total, next.Counts = 9, map[string]int64{"changed_profiles": 4}
		}
		_, err = w.EndRebuild(ctx, *next)
		w.ok(err)
	}
	all, err := w.Rebuilds(ctx, 2)
	w.ok(err)
	w.equal(2, len(all))
	w.equal(int64(3), all[0].Number)
	w.equal(int64(4), all[0].Counts["changed_profiles"])
	one, err := w.Store.Rebuild(ctx, all[1].ID)
	w.ok(err)
	w.equal("the disk is full", one.ErrorText)
	w.ok(w.StreamDrifted(ctx, "crm", "column x is new"))
	w.ok(w.StreamSettled(ctx, "crm"))
	w.equal([]string{"failed", "recovered", "completed"}, w.told(activation.SourceQuery, "rebuild"))
	w.equal([]string{"drifted", "recovered"}, w.told(activation.SourceQuery, "crm"))
}

// says checks that an error is a conflict that names these words.
func (w *world) says(err error, words string) {
	w.t.Helper()
	w.is(activation.ErrConflict, err)
	if !strings.Contains(err.Error(), words) {
		w.t.Errorf("error is %v, want it to say %q", err, words)
	}
}
