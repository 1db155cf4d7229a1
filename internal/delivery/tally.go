package delivery

import (
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// tally counts the rows of a run from its items and receipts. What the plan and
// the ledger counted is taken over from c.
func tally(c activation.Counts, items []activation.Item, receipts map[activation.ItemID][]activation.Receipt) activation.Counts {
	c.Sent, c.Unsent, c.Withdrawn, c.Superseded = 0, 0, 0, 0
	c.Accepted, c.Rejected, c.Unknown, c.Awaiting, c.Unplaced = 0, 0, 0, 0, 0
	c.Added, c.Removed = 0, 0
	if len(items) == 0 {
		c.Unsent = c.Staged - c.Withheld // it ended before they were queued
		return c
	}
	again := map[activation.ItemID]int64{} // rows that an item's children send again
	for _, it := range items {
		if it.Parent != "" {
			again[it.Parent] += it.Rows()
		}
	}
	for _, it := range items {
		rc := receiptOf(it, receipts[it.ID])
		unsent := min(rc.Unsent, again[it.ID])
		rc.Unsent -= unsent
		rc.Unknown -= min(rc.Unknown, again[it.ID]-unsent)
		tallyItem(&c, it, rc)
	}
	c.Sent = c.Accepted + c.Rejected + c.Unknown + c.Awaiting
	return c
}

func tallyItem(c *activation.Counts, it activation.Item, rc activation.Receipt) {
	rows := it.Rows() - rc.Superseded
	switch it.State {
	case activation.ItemSplit:
		return // its children count
	case activation.ItemQueued, activation.ItemSending, activation.ItemFailed:
		c.Unsent += rows
	case activation.ItemWithdrawn:
		c.Withdrawn += rows
	case activation.ItemSuperseded:
		c.Superseded += it.Rows()
		return
	case activation.ItemAwaiting:
		c.Awaiting += rows
	case activation.ItemUnknown:
		c.Unknown += rows
	case activation.ItemDelivered:
		c.Accepted += rc.Accepted
		c.Rejected += rc.Rejected
		c.Unknown += rc.Unknown
		c.Unsent += rc.Unsent
		c.Unplaced += rc.Unplaced
		if it.Op == activation.OpRemove {
			c.Removed += rc.Accepted
		} else {
			c.Added += rc.Accepted
		}
	}
	c.Superseded += rc.Superseded
}

// receiptOf returns the receipt of the item's present attempt, or an empty one.
func receiptOf(it activation.Item, receipts []activation.Receipt) activation.Receipt {
	if n := len(receipts); n > 0 && receipts[n-1].Attempt == it.Attempt && it.State != activation.ItemQueued {
		return receipts[n-1]
	}
	return activation.Receipt{Attempt: it.Attempt}
}

// foldOf says what a final item means for the ledger. What was in flight at a
// takeover has no receipt and is unknown, row by row.
func foldOf(r activation.Run, it activation.Item, rc activation.Receipt, at time.Time) warehouse.FoldItem {
	f := warehouse.FoldItem{
		Item: it.ID, Attempt: it.Attempt, Run: r.ID, Target: r.Target, Generation: r.Generation,
		Op: it.Op, First: it.First, Last: it.Last, Outcome: activation.Accepted, Exceptions: rc.Exceptions, At: at,
	}
	if it.State == activation.ItemUnknown {
		f.Outcome = activation.Unknown
	}
	return f
}

// skips are the rows of an item that were not put into its batch, by offset in
// the item, ascending.
type skips []activation.Exception

// lift turns a receipt whose ordinals count within the batch into one whose
// ordinals count within the item, with the skipped rows as superseded.
func (s skips) lift(rc activation.Receipt) activation.Receipt {
	if len(s) == 0 {
		return rc
	}
	out := make([]activation.Exception, 0, len(s)+len(rc.Exceptions))
	skipped := 0
	for _, x := range rc.Exceptions {
		for skipped < len(s) && s[skipped].Ordinal <= x.Ordinal+int64(skipped) {
			out = append(out, s[skipped])
			skipped++
		}
		x.Ordinal += int64(skipped)
		out = append(out, x)
	}
	rc.Exceptions = append(out, s[skipped:]...)
	rc.Superseded = int64(len(s))
	return rc
}

// skipsOf returns the rows that were skipped when the item was sent.
func skipsOf(rc activation.Receipt) skips {
	var s skips
	for _, x := range rc.Exceptions {
		if x.Outcome == activation.Superseded {
			s = append(s, x)
		}
	}
	return s
}
