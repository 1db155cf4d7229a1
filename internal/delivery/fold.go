package delivery

import (
	"context"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// fold is step 9: it brings final items into the ledger, several in one
// transaction, and then notes in the store that it did, together with what it
// did to the ledger. A crash in between folds them again, which the warehouse
// answers with the numbers of the first time.
func (x *execution) fold(ctx context.Context, items []activation.Item) error {
	receipts, err := x.d.store.Receipts(ctx, x.run.ID)
	if err != nil {
		return err
	}
	for len(items) > 0 {
		n := min(len(items), x.d.set.FoldItems)
		if err := x.foldSome(ctx, items[:n], receipts); err != nil {
			if activation.CodeOf(err) == activation.CodeCounts {
				x.unfoldable = true
				return x.fail(ctx, err)
			}
			return err
		}
		items = items[n:]
	}
	return nil
}

func (x *execution) foldSome(ctx context.Context, items []activation.Item, receipts map[activation.ItemID][]activation.Receipt) error {
	folds := make([]warehouse.FoldItem, len(items))
	ids := make([]activation.ItemID, len(items))
	if x.ofEvents { // there is no ledger
		for i, it := range items {
			ids[i] = it.ID
		}
		return x.markFolded(ctx, x.run, ids)
	}
	for i, it := range items {
		folds[i] = foldOf(x.run, it, receiptOf(it, receipts[it.ID]), x.d.now())
		ids[i] = it.ID
	}
	var results []warehouse.FoldResult
	err := x.d.around(ctx, BeforeFold, AfterFold, func() (err error) {
		results, err = x.d.ledger.Fold(ctx, folds)
		return err
	})
	if err != nil {
		return fmt.Errorf("fold: %w", err)
	}
	r := x.run
	for _, f := range results {
		r.Counts.BecameIn += f.BecameIn
		r.Counts.LeftIn += f.LeftIn
		if r.Status == activation.RunAwaiting { // measured before; see count
			r.Counts.InAfter += f.BecameIn - f.LeftIn
		}
	}
	return x.markFolded(ctx, r, ids)
}

// markFolded notes what is folded, and the run's counts with it.
func (x *execution) markFolded(ctx context.Context, r activation.Run, ids []activation.ItemID) error {
	if err := x.d.store.MarkFolded(ctx, r, ids); err != nil {
		return fmt.Errorf("note what is folded: %w", err)
	}
	x.run = r
	return x.d.at(ctx, AfterMarkFolded)
}

// replay queues unknown items again; the ledger knows already that they may
// have taken effect. The rows are counted first, so a crash in between counts
// one item twice and never too little.
func (x *execution) replay(ctx context.Context, items []activation.Item) error {
	for _, it := range items {
		if !unsure(it) {
			continue
		}
		x.run.Counts.Resent += it.Rows()
		if err := x.d.store.SaveRun(ctx, x.run); err != nil {
			return err
		}
		err := x.d.around(ctx, BeforeReplay, AfterReplay, func() error { return x.d.store.ReplayItem(ctx, x.run, it.ID) })
		if err != nil {
			return err
		}
	}
	return nil
}

// endItems ends what is queued without sending it.
func (x *execution) endItems(ctx context.Context, s activation.ItemState) error {
	return x.d.around(ctx, BeforeEndItems, AfterEndItems, func() error { return x.d.store.EndItems(ctx, x.run, s) })
}

// forsake makes unknown what the network still owes, because nobody will ask.
func (x *execution) forsake(ctx context.Context, p progress) error {
	receipts, err := x.d.store.Receipts(ctx, x.run.ID)
	if err != nil {
		return err
	}
	code, why := activation.CodeJobEnded, "the job ended before the network answered"
	if x.replaces() {
		code, why = activation.CodeReplaceCut, "a full replace waits for no answer"
	}
	for _, it := range p.items {
		if it.State == activation.ItemAwaiting {
			if err := x.giveUpOn(ctx, it, receiptOf(it, receipts[it.ID]), code, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// giveUpOn makes an awaiting item unknown.
func (x *execution) giveUpOn(ctx context.Context, it activation.Item, rc activation.Receipt, code, message string) error {
	rc.Unknown, rc.PollToken = it.Rows()-rc.Superseded, ""
	if err := x.d.store.SaveReceipt(ctx, x.run, it, activation.ItemUnknown, rc, code, message); err != nil {
		return err
	}
	return x.d.at(ctx, AfterPollReceipt)
}
