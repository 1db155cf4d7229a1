package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
)

const itemColumns = `i.id, i.run_id, i.number, i.parent, i.phase, i.op, i.plain, i.first_row, i.last_row, i.state, i.attempt, i.folded, i.code, i.message, i.updated_at`

func scanItem(r scanner) (activation.Item, error) {
	var i activation.Item
	err := r.Scan(&i.ID, &i.Run, &i.Number, word[activation.ItemID]{&i.Parent}, &i.Phase, &i.Op, &i.Plain, &i.First, &i.Last, &i.State, &i.Attempt, &i.Folded, &i.Code, &i.Message, stamp{&i.UpdateAt})
	return i, err
}

// Items returns the items of a run in their order.
func (s *Store) Items(ctx context.Context, run activation.RunID) ([]activation.Item, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+itemColumns+` FROM items i WHERE i.run_id = $1 ORDER BY i.number`, run)
	out, err := collect(rows, err, scanItem)
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	return out, nil
}

// AwaitingItems lists the items of a target's generation that the network owes
// an answer, and those of awaiting runs that have theirs but are not folded
// yet: the ledger knows about neither.
func (s *Store) AwaitingItems(ctx context.Context, target activation.TargetID, generation int) ([]activation.Item, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+itemColumns+` FROM runs r JOIN items i ON i.run_id = r.id
		WHERE r.target_id = $1 AND r.generation = $2 AND ((r.status IN ('running', 'awaiting') AND i.state = 'awaiting')
			OR (r.status = 'awaiting' AND i.state IN ('delivered', 'unknown') AND NOT i.folded)) ORDER BY r.number, i.number`, target, generation)
	out, err := collect(rows, err, scanItem)
	if err != nil {
		return nil, fmt.Errorf("list awaiting items: %w", err)
	}
	return out, nil
}

// QueueItems inserts all items of a run at once and stores the run. It replaces
// the items of the run only when none was ever claimed, else ErrConflict.
func (s *Store) QueueItems(ctx context.Context, r activation.Run, items []activation.Item) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.owns(r); err != nil {
			return err
		}
		if err := t.saveRun(r); err != nil {
			return err
		}
		if err := t.unclaimed(r.ID); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM items WHERE run_id = $1`, r.ID); err != nil {
			return err
		}
		if err := t.advanced(r.ID); err != nil {
			return err
		}
		return t.insertItems(r.ID, items)
	})
	if err != nil {
		return fmt.Errorf("queue items: %w", err)
	}
	return nil
}

// unclaimed checks that no item of the run was ever claimed.
func (t *tx) unclaimed(run activation.RunID) error {
	n, err := t.count(`SELECT count(*) FROM items WHERE run_id = $1 AND attempt > 0`, run)
	if err == nil && n > 0 {
		return conflict("items of the run were claimed already")
	}
	return err
}

// bulks are how many items one statement inserts: few different statements, which
// databases keep prepared, and few ways to the database and back.
var bulks = [...]int{256, 32, 4, 1}

// manyItems is from how many on the database is told that the table has grown.
const manyItems = 1000

func (t *tx) insertItems(run activation.RunID, items []activation.Item) error {
	many := len(items) >= manyItems
	for len(items) > 0 {
		n := bulks[slices.IndexFunc(bulks[:], func(n int) bool { return n <= len(items) })]
		if err := t.insertBulk(run, items[:n]); err != nil {
			return fmt.Errorf("items from %d on: %w", items[0].Number, err)
		}
		items = items[n:]
	}
	if many && t.d.Grown != nil {
		return t.d.Grown(t.ctx, t.sql, "items")
	}
	return nil
}

func (t *tx) insertBulk(run activation.RunID, items []activation.Item) error {
	args := []any{run, t.micros()}
	var q strings.Builder
	q.WriteString(`INSERT INTO items (id, run_id, number, parent, phase, op, plain, first_row, last_row, state, attempt, folded, code, message, updated_at) VALUES`)
	for k, i := range items {
		if i.ID == "" {
			i.ID = activation.NewID[activation.ItemID]()
		}
		if k > 0 {
			q.WriteByte(',')
		}
		n := len(args)
		fmt.Fprintf(&q, ` ($%d, $1, $%d, $%d, $%d, $%d, $%d, $%d, $%d, 'queued', 0, FALSE, '', '', $2)`, n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8)
		args = append(args, i.ID, i.Number, text(i.Parent), i.Phase, i.Op, i.Plain, i.First, i.Last)
	}
	_, err := t.exec(q.String(), args...)
	return err
}

// owns checks that the run's attempt is r's, that its lease is not over by the
// database's clock, that its job is neither over nor paused nor in its quiet
// window, which a forget does not heed, and that the network does not refuse
// the credentials.
func (t *tx) owns(r activation.Run) error {
	var paused, quiet, refused, over, held bool
	err := t.row(`SELECT NOT `+besideJob+` AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id AND j.state = 'paused'), `+quietFor+`, `+refusedOf+`,
			`+mustEnd+`,
			r.attempt = $3 AND r.status = 'running' AND r.node IS NOT NULL AND r.lease_until > $1
		FROM runs r WHERE r.id = $2`+t.d.ForUpdate, t.micros(), r.ID, r.Attempt).Scan(&paused, &quiet, &refused, &over, &held)
	switch {
	case err != nil:
		return fmt.Errorf("read run: %w", err)
	case !held || over:
		return activation.ErrFenced
	case paused:
		return activation.ErrPaused
	case quiet:
		return activation.ErrQuiet
	case refused:
		return activation.ErrRefused
	}
	return nil
}

// ClaimItem moves queued -> sending, attempt + 1, where the run's attempt is
// r's and its lease is not over by the database's clock; else ErrFenced, which
// is ErrPaused when the job was paused meanwhile.
func (s *Store) ClaimItem(ctx context.Context, r activation.Run, id activation.ItemID) (activation.Item, error) {
	var it activation.Item
	err := s.do(ctx, func(t *tx) (err error) {
		if err := t.owns(r); err != nil {
			return err
		}
		if err := t.must(activation.ErrFenced, `UPDATE items SET state = 'sending', attempt = attempt + 1, folded = FALSE, code = '', message = '', updated_at = $1
			WHERE id = $2 AND run_id = $3 AND state = 'queued'`, t.micros(), id, r.ID); err != nil {
			return err
		}
		it, err = scanItem(t.row(`SELECT `+itemColumns+` FROM items i WHERE i.id = $1`, id))
		return err
	})
	if err != nil {
		return activation.Item{}, fmt.Errorf("claim item %q: %w", id, err)
	}
	return it, nil
}

// attemptHolds is the guard of every write about an item under way: the item's
// attempt is $1, and its run ($2) is in attempt $3 and not ended.
const attemptHolds = ` attempt = $1 AND run_id = $2 AND EXISTS (SELECT 1 FROM runs r WHERE r.id = $2 AND r.attempt = $3 AND r.status IN ('running', 'awaiting'))`

// UnclaimItem moves sending -> queued when nothing was applied.
func (s *Store) UnclaimItem(ctx context.Context, r activation.Run, it activation.Item) error {
	err := s.do(ctx, func(t *tx) error {
		return t.must(activation.ErrFenced, `UPDATE items SET state = 'queued', updated_at = $4 WHERE`+attemptHolds+` AND id = $5 AND state = 'sending'`,
			it.Attempt, r.ID, r.Attempt, t.micros(), it.ID)
	})
	if err != nil {
		return fmt.Errorf("unclaim item %q: %w", it.ID, err)
	}
	return nil
}

// SplitItem replaces a sending item by queued children, which must cover its
// ordinals exactly, in order.
func (s *Store) SplitItem(ctx context.Context, r activation.Run, it activation.Item, children []activation.Item) error {
	if err := tiles(it, children); err != nil {
		return fmt.Errorf("split item %q: %w", it.ID, err)
	}
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrFenced, `UPDATE items SET state = 'split', updated_at = $4 WHERE`+attemptHolds+` AND id = $5 AND state = 'sending'`,
			it.Attempt, r.ID, r.Attempt, t.micros(), it.ID); err != nil {
			return err
		}
		if err := t.advanced(r.ID); err != nil {
			return err
		}
		return t.insertChildren(it, children)
	})
	if err != nil {
		return fmt.Errorf("split item %q: %w", it.ID, err)
	}
	return nil
}

// insertChildren queues the children of an item.
func (t *tx) insertChildren(it activation.Item, children []activation.Item) error {
	var last int
	if err := t.row(`SELECT max(number) FROM items WHERE run_id = $1`, it.Run).Scan(&last); err != nil {
		return err
	}
	for i := range children {
		children[i].Number, children[i].Parent = last+1+i, it.ID
	}
	return t.insertItems(it.Run, children)
}

var errTiles = errors.New("the children do not cover the item exactly")

// tiles checks that children cover the item's ordinals without gap or overlap.
func tiles(it activation.Item, children []activation.Item) error {
	next := it.First
	for _, c := range children {
		if c.First != next || c.Last < c.First {
			return errTiles
		}
		next = c.Last + 1
	}
	if next != it.Last+1 {
		return errTiles
	}
	return nil
}

// EndItems moves all queued items of the run to withdrawn, superseded or
// failed (not attempted).
func (s *Store) EndItems(ctx context.Context, r activation.Run, state activation.ItemState) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.attempt(r); err != nil {
			return err
		}
		switch state {
		case activation.ItemWithdrawn, activation.ItemSuperseded:
			return t.moveItems(r.ID, activation.ItemQueued, state, "", "")
		case activation.ItemFailed:
			return t.moveItems(r.ID, activation.ItemQueued, state, activation.CodeNotAttempted, "not attempted")
		case activation.ItemQueued, activation.ItemSending, activation.ItemDelivered, activation.ItemAwaiting, activation.ItemUnknown, activation.ItemSplit:
		}
		return conflict("queued items do not end as %s", state)
	})
	if err != nil {
		return fmt.Errorf("end items: %w", err)
	}
	return nil
}

// attempt checks that the run is being worked on in r's attempt.
func (t *tx) attempt(r activation.Run) error {
	var n int
	err := t.row(`SELECT count(*) FROM runs WHERE id = $1 AND attempt = $2 AND status IN ('running', 'awaiting')`, r.ID, r.Attempt).Scan(&n)
	if err == nil && n == 0 {
		return activation.ErrFenced
	}
	return err
}

// moveItems moves all items of a run from one state to another.
func (t *tx) moveItems(run activation.RunID, from, to activation.ItemState, code, message string) error {
	_, err := t.exec(`UPDATE items SET state = $1, code = $2, message = $3, updated_at = $4 WHERE run_id = $5 AND state = $6`, to, code, message, t.micros(), run, from)
	return err
}

// ReplayItem moves unknown -> queued where the provider declares it harmless.
func (s *Store) ReplayItem(ctx context.Context, r activation.Run, id activation.ItemID) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.owns(r); err != nil {
			return err
		}
		return t.must(activation.ErrFenced, `UPDATE items SET state = 'queued', folded = FALSE, code = '', message = '', updated_at = $1
			WHERE id = $2 AND run_id = $3 AND state = 'unknown'`, t.micros(), id, r.ID)
	})
	if err != nil {
		return fmt.Errorf("replay item %q: %w", id, err)
	}
	return nil
}

// MarkFolded records that the warehouse has folded these final items, and
// stores the run's counts with it, which keeps the counts of the ledger exact
// across a crash. Marking twice is harmless.
func (s *Store) MarkFolded(ctx context.Context, r activation.Run, items []activation.ItemID) error {
	err := s.do(ctx, func(t *tx) error {
		if err := t.must(activation.ErrFenced, `UPDATE runs SET counts = $1, progress_at = $4 WHERE id = $2 AND attempt = $3 AND status IN ('running', 'awaiting')`,
			encode(r.Counts), r.ID, r.Attempt, t.micros()); err != nil {
			return err
		}
		for _, id := range items {
			if err := t.must(conflict("an item that is not final cannot be folded"), `UPDATE items SET folded = TRUE
				WHERE id = $1 AND run_id = $2 AND state NOT IN ('queued', 'sending', 'awaiting')`, id, r.ID); err != nil {
				return err
			}
		}
		return t.meterRun(r.ID)
	})
	if err != nil {
		return fmt.Errorf("mark folded: %w", err)
	}
	return nil
}
