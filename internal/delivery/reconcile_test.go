package delivery_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// lists makes the network one that names its members.
func (w *world) lists() {
	w.def.Lists = true
	w.boot()
}

// sizes makes the network one that tells how many there are.
func (w *world) sizes(s provider.Size) {
	w.def.Sizes, w.net.size = true, s
	w.boot()
}

func (w *world) remote(t *testing.T) string {
	t.Helper()
	target, err := w.store.Target(t.Context(), w.target)
	if err != nil {
		t.Fatal(err)
	}
	return target.RemoteID
}

func (w *world) compare(t *testing.T) activation.Reconciliation {
	t.Helper()
	time.Sleep(time.Second) // later than what was before
	r, err := w.proc.Reconcile(t.Context(), w.target, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFiveBehindOurBack: three people are deleted and two are added at the
// network; comparing names exactly these five, and a repair makes both sides
// equal again.
func TestFiveBehindOurBack(t *testing.T) {
	t.Parallel()
	empty := template(t)
	for name, make := range map[string]func(t *testing.T) *world{
		"fakes":          func(*testing.T) *world { return inMemory(7, provider.ReplayHarmless, false) },
		"real databases": func(t *testing.T) *world { t.Helper(); return onDuckDB(t, empty, 7, provider.ReplayHarmless, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { fiveBehindOurBack(t, make(t)) })
		})
	}
}

func fiveBehindOurBack(t *testing.T, w *world) {
	t.Helper()
	ctx := t.Context()
	w.join(0, 10)
	w.lists()
	expect(t, w.work(t), activation.RunCompleted, "")
	if r := w.compare(t); r.Status != activation.ReconcileEqual || r.Ledger != 10 || r.RemoteLow != 10 || r.RemoteHigh != 10 || r.Method != activation.ByMembers || r.EndedAt.IsZero() {
		t.Fatalf("%+v", r)
	}
	w.net.behind(w.remote(t), []string{"e2", "e5", "e9"}, []string{"ex", "ey"})
	r := w.compare(t)
	if r.Status != activation.ReconcileDrifted || r.Missing != 3 || r.Extra != 2 || r.Ledger != 10 || r.RemoteLow != 9 {
		t.Fatalf("%+v", r)
	}
	rows, err := w.proc.DriftRows(ctx, w.target, 0, 100)
	if err != nil || names(rows) != "extra EMAIL, extra EMAIL, missing EMAIL, missing EMAIL, missing EMAIL" {
		t.Fatalf("the differences are %s (%v)", names(rows), err)
	}
	var missing []int64
	for _, row := range rows {
		if row.Kind == warehouse.DriftMissing {
			missing = append(missing, row.Profile)
		}
	}
	slices.Sort(missing)
	if slices.Sort(missing); len(slices.Compact(missing)) != 3 {
		t.Fatalf("those missing are %v", missing)
	}
	if m, ok := w.store.(*memory); ok && !slices.Equal(missing, []int64{2, 5, 9}) || ok && len(m.tracked.told) != 1 {
		t.Fatalf("those missing are %v", missing)
	}
	plan, err := w.proc.RepairPlan(ctx, w.target)
	if err != nil || plan.Counts.Update != 3 || plan.Counts.Unchanged != 7 || plan.Counts.Remove != 2 || plan.Counts.Staged != 5 || plan.Guard != "pass" {
		t.Fatalf("%+v %v", plan, err)
	}
	if again, err := w.proc.DriftRows(ctx, w.target, 0, 100); err != nil || len(again) != 5 {
		t.Fatalf("after a look at the plan %d differences are left (%v)", len(again), err)
	}
	run, err := w.proc.Repair(ctx, w.target, "ann")
	if err != nil || run.Cause != activation.CauseRepair {
		t.Fatalf("%+v %v", run, err)
	}
	done := w.work(t)
	if expect(t, done, activation.RunCompleted, ""); done.ID != run.ID || done.Counts.Added != 3 || done.Counts.Removed != 2 {
		t.Fatalf("%+v", done.Counts)
	}
	if wrong := w.verdict(ctx); wrong != "" {
		t.Fatal(wrong)
	}
	if r := w.compare(t); r.Status != activation.ReconcileEqual || r.RemoteLow != 10 {
		t.Fatalf("%+v", r)
	}
	list, err := w.store.Reconciliations(ctx, w.target, 9)
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v %v", list, err)
	}
	i := slices.IndexFunc(list, func(r activation.Reconciliation) bool { return r.Status == activation.ReconcileRepaired })
	if i < 0 || list[i].ID != r.ID || list[i].RepairedBy != "ann" || list[i].RepairedAt.IsZero() {
		t.Fatalf("%+v", list)
	}
}

// TestReconcileIsRefused: what is under way is no difference.
func TestReconcileIsRefused(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.lists()
		refused := func(why string) {
			t.Helper()
			if _, err := w.proc.Reconcile(t.Context(), w.target, "ann"); !errors.Is(err, activation.ErrConflict) || activation.SafeMessage(err) != why {
				t.Fatalf("%v", err)
			}
		}
		refused("nothing was sent to this target yet")
		w.work(t)
		if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil {
			t.Fatal(err)
		}
		refused("run #2 is under way; compare when it has ended")
		w.work(t)
		w.compare(t)
		w.net.async, w.def.Async = true, true
		w.boot()
		w.join(10, 12)
		time.Sleep(time.Minute)
		if r := w.work(t); r.Status != activation.RunAwaiting {
			t.Fatalf("%+v", r)
		}
		refused("the network still owes 1 answers about this audience")
	})
}

// TestReconcileIsOvertaken: a run that begins while the network is asked makes
// what it says worth nothing.
func TestReconcileIsOvertaken(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.lists()
		w.work(t)
		w.net.behind(w.remote(t), []string{"e1"}, nil)
		w.net.asking = func() {
			w.net.asking = nil
			time.Sleep(time.Second)
			if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil {
				t.Error(err)
			}
			w.work(t)
		}
		if r := w.compare(t); r.Status != activation.ReconcileFailed || r.ErrorCode != "RECONCILE-OVERTAKEN" || r.Missing != 0 || r.RemoteLow != -1 {
			t.Fatalf("%+v", r)
		}
		if rows, err := w.proc.DriftRows(t.Context(), w.target, 0, 9); err != nil || len(rows) != 0 {
			t.Fatalf("%v %v", rows, err)
		}
		if _, err := w.proc.Repair(t.Context(), w.target, "ann"); !errors.Is(err, activation.ErrConflict) {
			t.Fatal(err)
		}
	})
}

// TestRepairIsRefused where there is nothing that could be mended now.
func TestRepairIsRefused(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.lists()
		refused := func() {
			t.Helper()
			_, err := w.proc.Repair(t.Context(), w.target, "ann")
			if _, perr := w.proc.RepairPlan(t.Context(), w.target); !errors.Is(err, activation.ErrConflict) || !errors.Is(perr, activation.ErrConflict) {
				t.Fatal(err, perr)
			}
		}
		refused() // never compared
		w.work(t)
		w.compare(t)
		refused() // equal
		time.Sleep(time.Minute)
		w.net.behind(w.remote(t), []string{"e1"}, nil)
		w.compare(t)
		time.Sleep(time.Minute)
		if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil {
			t.Fatal(err)
		}
		refused() // a run is open
		w.work(t)
		refused() // a run came after
		time.Sleep(time.Minute)
		w.def.Lists = false
		w.sizes(provider.Size{})
		if r := w.compare(t); r.Status != activation.ReconcileDrifted || r.Method != activation.BySize || r.Ledger != 10 || r.RemoteHigh != 9 {
			t.Fatalf("%+v", r)
		}
		refused() // nobody knows who
	})
}

// TestReconcileFails: what the network answers wrongly is the result, and no
// difference.
func TestReconcileFails(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.lists()
		w.work(t)
		w.net.behind(w.remote(t), []string{"e1"}, nil)
		w.net.sick = unavailable(false)
		if r := w.compare(t); r.Status != activation.ReconcileFailed || r.ErrorCode != "NET-503" || r.ErrorText == "" || r.Missing != 0 {
			t.Fatalf("%+v", r)
		}
		w.net.sick = nil
		w.net.asking = func() { panic("a fault") }
		if r := w.compare(t); r.Status != activation.ReconcileFailed || r.ErrorCode != "INTERNAL-019" {
			t.Fatalf("%+v", r)
		}
		w.net.asking = nil
		w.def.Lists = false
		w.boot()
		if r := w.compare(t); r.Status != activation.ReconcileUntold || r.Method != activation.ByNothing {
			t.Fatalf("%+v", r)
		}
	})
}

// night lets a night go by, a look every few minutes, and returns the comparisons
// there are.
func (w *world) night(t *testing.T, until time.Duration) []activation.Reconciliation {
	t.Helper()
	for end := time.Now().Truncate(24 * time.Hour).Add(until); time.Now().Before(end); time.Sleep(5 * time.Minute) {
		if err := w.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := w.store.Reconciliations(t.Context(), w.target, 99)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestReconcileAtNight: each target once a night, whatever comes of it.
func TestReconcileAtNight(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.set.ReconcileAt = 2 * time.Hour
		w.lists()
		w.work(t)
		w.compare(t) // which is before the night
		if list := w.night(t, 2*time.Hour); len(list) != 1 {
			t.Fatalf("%d comparisons before the night", len(list))
		}
		w.net.sick = unavailable(false)
		list := w.night(t, 23*time.Hour)
		if len(list) != 2 || list[0].Status != activation.ReconcileFailed || list[0].AskedBy != "system" || list[0].StartedAt.Hour() != 2 {
			t.Fatalf("%+v", list)
		}
		w.net.sick = nil
		time.Sleep(2 * time.Hour) // the next day
		w.net.behind(w.remote(t), []string{"e1"}, nil)
		if list = w.night(t, 24*time.Hour); len(list) != 3 || list[0].Status != activation.ReconcileDrifted {
			t.Fatalf("%+v", list)
		}
		w.set.ReconcileAt = -1
		w.boot()
		time.Sleep(2 * time.Hour)
		if list = w.night(t, 24*time.Hour); len(list) != 3 {
			t.Fatalf("%d comparisons although there are none at night", len(list))
		}
	})
}

// TestReconcileAtNightWaitsForWhatIsUnderWay and then takes place.
func TestReconcileAtNightWaitsForWhatIsUnderWay(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.set.ReconcileAt = 2 * time.Hour
		w.lists()
		w.work(t)
		w.net.async, w.def.Async = true, true
		w.boot()
		w.join(10, 12)
		time.Sleep(2 * time.Minute)
		w.net.late = 2 * time.Hour
		w.work(t)
		if list := w.night(t, 4*time.Hour); len(list) != 0 {
			t.Fatalf("%+v", list)
		}
		if list := w.night(t, 8*time.Hour); len(list) != 1 || list[0].Status != activation.ReconcileEqual || list[0].Ledger != 12 {
			t.Fatalf("%+v", list)
		}
	})
}

// TestReconcileWorksUnderTheAccount: comparisons of an account that does not
// answer hold up no other.
func TestReconcileWorksUnderTheAccount(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.lists()
		w.work(t)
		time.Sleep(4 * time.Hour)
		for _, k := range w.proc.Workers() {
			if k.Kind() != delivery.KindReconcile {
				continue
			}
			works, err := k.Due(t.Context(), 10)
			if err != nil || len(works) != 1 || works[0].Lease != "auth:auth" || works[0].ID != string(w.target) {
				t.Fatalf("%+v %v", works, err)
			}
			if again, err := k.Due(t.Context(), 10); err != nil || len(again) != 0 {
				t.Fatalf("%+v %v", again, err)
			}
		}
	})
}
