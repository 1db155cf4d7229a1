package storetest

import (
	"errors"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// forgets keeps how far a forget is, and nothing of whom it is about.
func forgets(w *world) {
	ctx := w.t.Context()
	first, err := w.AddForget(ctx, activation.Forget{ID: activation.NewID[activation.ForgetID](), Field: "email", AskedBy: "ann"})
	w.ok(err)
	w.equal(activation.ForgetPending, first.Status)
	w.equal(activation.ForgetErase, first.Stage)
	w.equal("email", first.Field)
	w.equal(false, first.RequestedAt.IsZero())
	again, err := w.AddForget(ctx, activation.Forget{ID: first.ID, Field: "phone", AskedBy: "bob"})
	w.ok(err)
	w.equal(first, again)
	w.clock.Add(time.Second)
	second, err := w.AddForget(ctx, activation.Forget{ID: activation.NewID[activation.ForgetID](), Field: "phone", AskedBy: "ann"})
	w.ok(err)

	audit, err := w.Audit(ctx, store.AuditFilter{Verb: "forget"})
	w.ok(err)
	w.equal(2, len(audit))
	w.equal(string(first.ID), audit[1].SubjectID)
	w.equal("email", audit[1].After)

	f := first
	f.Stage, f.Counts = activation.ForgetRemove, map[string]int64{"profiles": 1, "messages": 7}
	f.Targets = []activation.ForgetTarget{
		{Target: "t1", DestinationID: "d", Destination: "Meta", Audience: "Buyers", Status: activation.ForgetAtPending, Run: 7},
		{Target: "t2", DestinationID: "e", Destination: "Ads", Audience: "Buyers", Status: activation.ForgetAtPending},
	}
	f, err = w.SaveForget(ctx, f)
	w.ok(err)
	w.equal(activation.ForgetRemove, f.Stage)
	w.equal(int64(7), f.Counts["messages"])
	w.equal(false, f.ErasedAt.IsZero())
	w.equal(true, f.RemovedAt.IsZero())
	w.equal([]activation.TargetID{"t2", "t1"}, []activation.TargetID{f.Targets[0].Target, f.Targets[1].Target}) // by destination
	erased := f.ErasedAt

	f.ErrorCode, f.ErrorText = "NET-503", "the network is down"
	f.Targets[0].Status, f.Targets[0].Code, f.Targets[0].Run = activation.ForgetAtGone, activation.CodeRemoteGone, 9
	f, err = w.SaveForget(ctx, f)
	w.ok(err)
	w.equal("the network is down", f.ErrorText)
	w.equal(activation.ForgetAtGone, f.Targets[0].Status)
	w.equal(int64(9), f.Targets[0].Run)
	w.equal(false, f.Targets[0].ClosedAt.IsZero())
	w.equal(true, f.Targets[1].ClosedAt.IsZero())
	closed := f.Targets[0].ClosedAt

	w.clock.Add(time.Minute)
	f.ErrorCode, f.ErrorText, f.Stage = "", "", activation.ForgetCompact
	f.Targets[1].Status = activation.ForgetAtRemoved
	f, err = w.SaveForget(ctx, f)
	w.ok(err)
	w.equal(erased, f.ErasedAt)
	w.equal(closed, f.Targets[0].ClosedAt)
	w.equal(false, f.RemovedAt.IsZero())
	w.equal(activation.ForgetPending, f.Status)

	pending, err := w.PendingForgets(ctx)
	w.ok(err)
	w.equal([]activation.ForgetID{first.ID, second.ID}, ids(pending))

	f.Stage = activation.ForgetDone
	for range 2 { // told again it changes nothing
		f, err = w.SaveForget(ctx, f)
		w.ok(err)
	}
	w.equal(activation.ForgetComplete, f.Status)
	w.equal(false, f.CompletedAt.IsZero())
	f.Stage = activation.ForgetErase
	if _, err := w.SaveForget(ctx, f); !errors.Is(err, activation.ErrConflict) || !strings.Contains(err.Error(), "done") {
		w.t.Errorf("a forget went back: %v", err)
	}
	pending, err = w.PendingForgets(ctx)
	w.ok(err)
	w.equal([]activation.ForgetID{second.ID}, ids(pending))
	all, err := w.Forgets(ctx, 1)
	w.ok(err)
	w.equal([]activation.ForgetID{second.ID}, ids(all))
	f, err = w.Forget(ctx, first.ID)
	w.ok(err)
	w.equal(2, len(f.Targets))
	_, err = w.Forget(ctx, "nobody")
	w.equal(true, errors.Is(err, activation.ErrNotFound))
	audit, err = w.Audit(ctx, store.AuditFilter{Verb: "forgotten"})
	w.ok(err)
	w.equal(1, len(audit))

	_, targets := w.job("one", nil, w.audience("a"))
	_, err = w.ForgetRun(ctx, targets[0].ID)
	w.equal(true, errors.Is(err, activation.ErrNotFound))
	r := w.opens(activation.Run{Target: targets[0].ID, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget})
	found, err := w.ForgetRun(ctx, targets[0].ID)
	w.ok(err)
	w.equal(r.ID, found.ID)
}

func ids(all []activation.Forget) (out []activation.ForgetID) {
	for _, f := range all {
		out = append(out, f.ID)
	}
	return out
}
