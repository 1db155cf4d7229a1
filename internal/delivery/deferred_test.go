package delivery_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// TestDeferredAlthoughNothingHasChanged: a run that was asked for while answers
// were owed leaves those people to a later one. That one comes, also where the
// job has changed whom it sends and nobody has entered or left.
func TestDeferredAlthoughNothingHasChanged(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, w *world) {
		w.net.async, w.def.Async = true, true
		w.net.late = 30 * time.Minute
		w.boot()
		if r := w.work(t); r.Status != activation.RunAwaiting {
			t.Fatalf("%+v", r)
		}
		w.reaches(activation.Reach{HoldoutPercent: 30})
		time.Sleep(2 * time.Minute)
		if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil {
			t.Fatal(err)
		}
		if r := w.work(t); r.Number != 2 || r.Counts.Deferred == 0 || r.Counts.Remove != 0 {
			t.Fatalf("%+v", r.Counts)
		}
		var want []string
		for id := range int64(20) {
			if !heldBack(string(w.plane.(*plane).audience), 30, id) {
				want = append(want, fmt.Sprint("e", id))
			}
		}
		for range 24 {
			w.after(t, 10*time.Minute)
		}
		w.holding(t, want...)
		n := len(w.store.all())
		for range 24 {
			w.after(t, 10*time.Minute)
		}
		if more := len(w.store.all()) - n; more > 0 {
			t.Fatalf("%d runs although nothing has changed", more)
		}
	})
}

// TestReconcileIsOvertakenByRetry: a failed run that goes on while the network is
// asked makes what it says worth nothing, like one that opens.
func TestReconcileIsOvertakenByRetry(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.lists()
		w.work(t)
		w.join(10, 14)
		failed := w.failing(t, 2*time.Minute)
		w.net.heal()
		w.net.asking = func() {
			w.net.asking = nil
			time.Sleep(time.Second)
			if _, err := w.proc.Retry(t.Context(), failed.ID, "ann"); err != nil {
				t.Error(err)
			}
			w.work(t)
		}
		if r := w.compare(t); r.Status != activation.ReconcileFailed || r.ErrorCode != "RECONCILE-OVERTAKEN" {
			t.Fatalf("%+v", r)
		}
	})
}

// TestReaddedAfterAnswers: who loses an old identifier by a removal that the
// network answers later gets the new one as soon as the answer is there.
func TestReaddedAfterAnswers(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.net.async, w.def.Async = true, true
		w.boot()
		for range 6 {
			w.after(t, 10*time.Minute)
		}
		w.plane.set(0, [2]string{"new0"}, true)
		for range 12 {
			w.after(t, 10*time.Minute)
		}
		w.holding(t, "new0", "e1", "e2", "e3")
	})
}

// TestKeysAloneStrandNobody: a run that only moves keys takes the old one away and
// cannot give the new one yet; a full run does so, long before the job's time.
func TestKeysAloneStrandNobody(t *testing.T) {
	t.Parallel()
	play(t, []scenario{{"answers come later", func(t *testing.T, w *world, _ *store.Store, p *plane) {
		w.daily()
		w.net.async, w.def.Async = true, true
		w.boot()
		w.join(0, 4)
		w.work(t)
		if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil && !errors.Is(err, activation.ErrConflict) {
			t.Fatal(err)
		}
		for range 3 {
			w.after(t, 10*time.Minute)
		}
		w.holding(t, "e0", "e1", "e2", "e3")
		p.set(0, [2]string{"new0"}, true)
		for range 7 { // until twenty minutes before that time
			w.after(t, 10*time.Minute)
		}
		w.holding(t, "new0", "e1", "e2", "e3")
		if !slices.ContainsFunc(w.store.all(), func(r activation.Run) bool { return r.Mode == activation.ModeKeys && r.Counts.Withdrawn > 0 }) {
			t.Fatal("no run has only moved keys")
		}
	}}})
}
