package storetest

import (
	"time"

	"usher/internal/activation"
)

// unstaging: rows of ended runs may go after a while, but not those of a failed
// run that can be retried, and each run is listed until it is marked.
func unstaging(w *world) {
	_, targets := w.job("j", nil, w.audience("a"))
	target := targets[0].ID
	failed := w.failedRun(target, activation.Unavailable)
	listed := func() []activation.RunID {
		ids, err := w.UnstageableRuns(w.t.Context(), w.clock.Now().Add(-time.Hour), 10)
		w.ok(err)
		return ids
	}
	w.clock.Add(2 * time.Hour)
	w.equal(0, len(listed()))
	later, items := w.queued(target, 1)
	w.equal(1, len(listed()))
	w.equal(failed.ID, listed()[0])
	w.ok(w.MarkUnstaged(w.t.Context(), listed()))
	w.equal(0, len(listed()))
	it := w.delivered(later, items[0])
	w.ok(w.MarkFolded(w.t.Context(), later, []activation.ItemID{it.ID}))
	later.Status = activation.RunCompleted
	w.ok(w.FinishRun(w.t.Context(), later, activation.End{Done: true}))
	w.equal(0, len(listed()))
	w.clock.Add(2 * time.Hour)
	w.equal(1, len(listed()))
}
