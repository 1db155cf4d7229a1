package tracking

import (
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// ItemDetail is one queue item as the drawer shows it: which keys each row
// carries, never their values, and what the network answered.
type ItemDetail struct {
	activation.Item
	// Receipts are the answers, one per attempt, oldest first.
	Receipts []activation.Receipt `json:"receipts"`
	Rows     []ItemRow            `json:"rows"`
	// More is how many rows are not shown.
	More int64 `json:"more"`
}

// ItemRow is one row of an item, masked.
type ItemRow struct {
	warehouse.StagedRow
	Outcome activation.Outcome `json:"outcome,omitempty"`
	Code    string             `json:"code,omitempty"`
}

// Item returns the numbered item of a run with up to limit of its rows.
func (t *Tracking) Item(ctx context.Context, run activation.RunID, number, limit int) (ItemDetail, error) {
	items, err := t.Store.Items(ctx, run)
	if err != nil {
		return ItemDetail{}, err
	}
	var d ItemDetail
	for _, it := range items {
		if it.Number == number {
			d.Item = it
		}
	}
	if d.ID == "" {
		return d, fmt.Errorf("item %d of run %q: %w", number, run, activation.ErrNotFound)
	}
	receipts, err := t.Store.Receipts(ctx, run)
	if err != nil {
		return d, err
	}
	d.Receipts = receipts[d.ID]
	staged, err := t.Ledger.StagedView(ctx, run, d.First, d.Last, limit)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return d, err
	}
	d.Rows = outcomes(d.Item, d.Receipts, staged)
	d.More = d.Item.Rows() - int64(len(staged))
	return d, nil
}

// outcomes joins rows with what the last receipt says of them.
func outcomes(it activation.Item, receipts []activation.Receipt, staged []warehouse.StagedRow) []ItemRow {
	said := map[int64]activation.Exception{}
	var rest activation.Outcome
	switch it.State {
	case activation.ItemDelivered:
		rest = activation.Accepted
	case activation.ItemUnknown:
		rest = activation.Unknown
	case activation.ItemSuperseded:
		rest = activation.Superseded
	case activation.ItemFailed, activation.ItemWithdrawn:
		rest = activation.Unsent
	case activation.ItemQueued, activation.ItemSending, activation.ItemAwaiting, activation.ItemSplit:
	}
	if len(receipts) > 0 {
		for _, e := range receipts[len(receipts)-1].Exceptions {
			said[e.Ordinal] = e
		}
	}
	out := make([]ItemRow, len(staged))
	for i, r := range staged {
		out[i] = ItemRow{StagedRow: r, Outcome: rest}
		if e, ok := said[r.Ordinal-it.First]; ok {
			out[i].Outcome, out[i].Code = e.Outcome, e.Code
		}
	}
	return out
}
