package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// SaveReceipt inserts the receipt of the item's attempt and moves the item
// from sending or awaiting to state, where the attempts of run and item are
// still the ones given; else ErrFenced, and nothing is stored.
func (s *Store) SaveReceipt(ctx context.Context, r activation.Run, it activation.Item, state activation.ItemState, rc activation.Receipt, code, message string) error {
	if err := covers(it, state, rc); err != nil {
		return fmt.Errorf("save receipt of item %q: %w", it.ID, err)
	}
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrFenced, `UPDATE items SET state = $4, code = $5, message = $6, updated_at = $7
			WHERE`+attemptHolds+` AND id = $8 AND state IN ('sending', 'awaiting')`,
			it.Attempt, r.ID, r.Attempt, state, code, message, t.micros(), it.ID); err != nil {
			return err
		}
		note := t.advanced
		if state == activation.ItemUnknown { // not an answer
			note = t.moved
		}
		if err := note(r.ID); err != nil {
			return err
		}
		if err := t.putReceipt(it.ID, it.Attempt, rc); err != nil {
			return err
		}
		return t.logItem(r.ID, it.Number, state, code, rc)
	})
	if err != nil {
		return fmt.Errorf("save receipt of item %q: %w", it.ID, err)
	}
	return nil
}

// SaveRest stores a receipt as SaveReceipt does for a delivered item and, in the
// same transaction, queues what of its rows the network has surely not taken, or
// may be sent again, as children of the item, numbered after the run's last
// item. Their ranges rise and lie within the item's.
func (s *Store) SaveRest(ctx context.Context, r activation.Run, it activation.Item, rc activation.Receipt, children []activation.Item) error {
	err := orErr(covers(it, activation.ItemDelivered, rc), within(it, children))
	if err != nil {
		return fmt.Errorf("save the rest of item %q: %w", it.ID, err)
	}
	err = s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrFenced, `UPDATE items SET state = 'delivered', code = '', message = '', updated_at = $4
			WHERE`+attemptHolds+` AND id = $5 AND state IN ('sending', 'awaiting')`, it.Attempt, r.ID, r.Attempt, t.micros(), it.ID); err != nil {
			return err
		}
		if err := t.advanced(r.ID); err != nil {
			return err
		}
		if err := t.putReceipt(it.ID, it.Attempt, rc); err != nil {
			return err
		}
		if err := t.insertChildren(it, children); err != nil {
			return err
		}
		return t.logItem(r.ID, it.Number, activation.ItemDelivered, "", rc)
	})
	if err != nil {
		return fmt.Errorf("save the rest of item %q: %w", it.ID, err)
	}
	return nil
}

// within checks that the ranges of children rise and lie within the item's.
func within(it activation.Item, children []activation.Item) error {
	next := it.First
	for _, c := range children {
		if c.First < next || c.Last < c.First || c.Last > it.Last {
			return conflict("the rest of an item does not lie within it")
		}
		next = c.Last + 1
	}
	return nil
}

// covers checks that a receipt speaks of every row of its item, or of none
// while the network has not answered.
func covers(it activation.Item, state activation.ItemState, rc activation.Receipt) error {
	switch state {
	case activation.ItemAwaiting:
		if rc.PollToken == "" {
			return conflict("an awaiting item needs a token to ask with")
		}
		return nil
	case activation.ItemDelivered, activation.ItemFailed, activation.ItemUnknown, activation.ItemSuperseded:
	case activation.ItemQueued, activation.ItemSending, activation.ItemWithdrawn, activation.ItemSplit:
		return conflict("a receipt does not make an item %s", state)
	}
	if n := rc.Accepted + rc.Rejected + rc.Unknown + rc.Unsent + rc.Superseded; n != it.Rows() {
		return &activation.Error{
			Kind: activation.Internal, Code: activation.CodeCounts,
			Message: fmt.Sprintf("the receipt speaks of %d rows, the item has %d", n, it.Rows()),
		}
	}
	return nil
}

// putReceipt stores the receipt of an attempt; a later answer to the same
// attempt (a poll, a takeover) replaces the earlier one.
func (t *tx) putReceipt(item activation.ItemID, attempt int, rc activation.Receipt) error {
	_, err := t.exec(`INSERT INTO receipts (item_id, attempt, at, accepted, rejected, unknown, unsent, superseded, unplaced, exceptions,
			request_id, http_status, headers, poll_token, poll_after)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (item_id, attempt) DO UPDATE SET at = excluded.at, accepted = excluded.accepted, rejected = excluded.rejected,
			unknown = excluded.unknown, unsent = excluded.unsent, superseded = excluded.superseded, unplaced = excluded.unplaced,
			exceptions = excluded.exceptions, request_id = excluded.request_id, http_status = excluded.http_status,
			headers = excluded.headers, poll_token = excluded.poll_token, poll_after = excluded.poll_after`,
		item, attempt, t.micros(), rc.Accepted, rc.Rejected, rc.Unknown, rc.Unsent, rc.Superseded, rc.Unplaced, encode(rc.Exceptions),
		rc.RequestID, rc.HTTPStatus, encode(rc.Headers), rc.PollToken, at(rc.PollAfter))
	return err
}

// Receipts returns the receipts of a run, the newest attempt of each item last.
func (s *Store) Receipts(ctx context.Context, run activation.RunID) (map[activation.ItemID][]activation.Receipt, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT c.item_id, c.attempt, c.accepted, c.rejected, c.unknown, c.unsent, c.superseded, c.unplaced,
			c.exceptions, c.request_id, c.http_status, c.headers, c.poll_token, c.poll_after
		FROM items i JOIN receipts c ON c.item_id = i.id WHERE i.run_id = $1 ORDER BY i.number, c.attempt`, run)
	out := map[activation.ItemID][]activation.Receipt{}
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var id activation.ItemID
		var rc activation.Receipt
		err := r.Scan(&id, &rc.Attempt, &rc.Accepted, &rc.Rejected, &rc.Unknown, &rc.Unsent, &rc.Superseded, &rc.Unplaced,
			object{&rc.Exceptions}, &rc.RequestID, &rc.HTTPStatus, object{&rc.Headers}, &rc.PollToken, stamp{&rc.PollAfter})
		out[id] = append(out[id], rc)
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("list receipts: %w", err)
	}
	return out, nil
}

// RemovedWithin sums the accepted plain removals of the target since a time,
// for the removal guard. A removal whose outcome is unknown counts as well,
// since it may have happened. Who was forgotten does not: of them the guard is
// not asked.
func (s *Store) RemovedWithin(ctx context.Context, target activation.TargetID, since time.Time) (int64, error) {
	var n int64
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(sum(c.accepted + c.unknown), 0) FROM runs r
		JOIN items i ON i.run_id = r.id AND i.op = 'remove' AND i.plain
		JOIN receipts c ON c.item_id = i.id AND c.at >= $2
		WHERE r.target_id = $1 AND r.mode <> 'forget'`, target, since.UnixMicro()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sum removals: %w", err)
	}
	return n, nil
}

// loseSending makes the sending items of a run unknown, and returns them.
func (t *tx) loseSending(run activation.RunID) ([]activation.Item, error) {
	return t.lose(run, activation.ItemSending, "its node lost the run while the call was under way")
}

// loseAwaiting makes the awaiting items of a run unknown.
func (t *tx) loseAwaiting(run activation.RunID) error {
	_, err := t.lose(run, activation.ItemAwaiting, "the run ended before the network answered")
	return err
}

// lose makes the items of a run that are in a state unknown, with a receipt
// that says so of every row.
func (t *tx) lose(run activation.RunID, from activation.ItemState, why string) ([]activation.Item, error) {
	rows, err := t.query(`UPDATE items SET state = 'unknown', code = $1, message = $2, updated_at = $3
		WHERE run_id = $4 AND state = $5 RETURNING id`, activation.CodeTakenOver, why, t.micros(), run, from)
	ids, err := collect(rows, err, scanID)
	if err != nil {
		return nil, err
	}
	var items []activation.Item
	for _, id := range ids {
		it, err := scanItem(t.row(`SELECT `+itemColumns+` FROM items i WHERE i.id = $1`, id))
		if err != nil {
			return nil, err
		}
		if err := t.putReceipt(it.ID, it.Attempt, activation.Receipt{Unknown: it.Rows()}); err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, nil
}
