package storetest

import (
	"usher/internal/activation"
)

// mending: a mended authorization sends again what failed, but what may have
// taken effect only on a person's word.
func mending(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("j", nil, w.audience("a"))
	r, items := w.queued(targets[0].ID, 2)
	for i, state := range []activation.ItemState{activation.ItemUnknown, activation.ItemFailed} {
		it, err := w.ClaimItem(ctx, r, items[i].ID)
		w.ok(err)
		rc := activation.Receipt{Unknown: it.Rows()}
		if state == activation.ItemFailed {
			rc = activation.Receipt{Unsent: it.Rows()}
		}
		w.ok(w.SaveReceipt(ctx, r, it, state, rc, "META-190", "the token is no longer valid"))
	}
	w.ok(w.MarkFolded(ctx, r, []activation.ItemID{items[0].ID}))
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Unauthorized, "META-190"
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	states := func() string {
		now, err := w.Items(ctx, r.ID)
		w.ok(err)
		return string(now[0].State) + " " + string(now[1].State)
	}
	w.equal("unknown queued", states())

	r, _, err := w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Unavailable, "META-2"
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.equal("unknown failed", states())
	w.ok(w.Retry(ctx, r.ID, "ann"))
	w.equal("queued queued", states())
}
