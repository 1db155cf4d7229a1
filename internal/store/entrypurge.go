package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// oldEntry is the condition that an entry e has ended before $1 and is needed no more.
// An upload goes when its last row is gone, and its rows when all of them have ended. A
// create stays while others refer to it, for they may be retried. Of an object that is
// there the entry that ended last of it stays.
const oldEntry = `e.ended_at < $1 AND e.status IN ('done', 'failed', 'cancelled', 'partial') AND CASE WHEN e.operation = 'upload'
	THEN NOT EXISTS (SELECT 1 FROM entries c WHERE c.parent_id = e.id)
	ELSE NOT EXISTS (SELECT 1 FROM entries p WHERE p.id = e.parent_id AND (p.ended_at IS NULL OR p.ended_at >= $1))
		AND NOT EXISTS (SELECT 1 FROM entry_refers r WHERE r.publisher_id = e.publisher_id AND r.needs = e.id)
		AND (NOT EXISTS (SELECT 1 FROM publisher_objects o WHERE o.publisher_id = e.publisher_id AND o.kind = e.kind AND o.id = e.object_id AND NOT o.removed)
			OR EXISTS (SELECT 1 FROM entries n WHERE n.publisher_id = e.publisher_id AND n.kind = e.kind AND n.object_id = e.object_id AND n.id > e.id AND n.ended_at IS NOT NULL))
	END`

// PurgeEntries deletes entries of the Activity Log that ended longer than retention ago
// and are needed no more, some in each transaction, and returns how many.
func (s *Store) PurgeEntries(ctx context.Context, retention time.Duration) (int64, error) {
	accounts, err := s.Publishers(ctx)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, a := range accounts {
		n, err := s.purgeEntriesOf(ctx, a.ID, retention)
		if total += n; err != nil {
			return total, fmt.Errorf("purge entries of publisher account %q: %w", a.ID, err)
		}
	}
	return total, nil
}

func (s *Store) purgeEntriesOf(ctx context.Context, account activation.PublisherID, retention time.Duration) (int64, error) {
	total, last := int64(0), entryCursor{Place: -1} // by the time it ended, and id
	for {
		var old []activation.EntryID
		looked := 0
		var before int64
		if err := s.view(ctx, func(t *tx) error {
			old, looked = nil, 0
			before = t.now.Add(-retention).UnixMicro()
			rows, err := t.query(`SELECT e.id, e.ended_at, CASE WHEN `+oldEntry+` THEN 1 ELSE 0 END FROM entries e
				WHERE e.publisher_id = $2 AND e.ended_at < $1 AND e.ended_at >= $3 AND (e.ended_at > $3 OR e.id > $4) ORDER BY e.ended_at, e.id LIMIT $5`, before, account, last.Place, int64(last.ID), purgeBatch)
			_, err = collect(rows, err, func(r scanner) (struct{}, error) {
				goes := 0
				err := r.Scan(&last.ID, &last.Place, &goes)
				if looked++; goes == 1 {
					old = append(old, last.ID)
				}
				return struct{}{}, err
			})
			return err
		}); err != nil || looked == 0 {
			return total, err
		}
		if len(old) == 0 {
			continue
		}
		var n int64
		if err := s.do(ctx, func(t *tx) (err error) {
			n, err = t.purgeEntries(account, before, old)
			return err
		}); err != nil {
			return total, err
		}
		total += n
	}
}

// purgeEntries deletes those of ids that are old and needed no more, and returns how
// many.
func (t *tx) purgeEntries(account activation.PublisherID, before int64, ids []activation.EntryID) (n int64, err error) {
	if _, err := t.publisher(account); err != nil {
		return 0, err
	}
	tally := newTally(account)
	err = inChunks(1, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT `+nodeColumns+` FROM entries e WHERE `+oldEntry+` AND e.id IN `+marks, append([]any{before}, args...)...)
		nodes, err := collect(rows, err, scanNode)
		if err != nil {
			return err
		}
		for _, e := range nodes {
			for _, need := range e.needs {
				if _, err := t.exec(`DELETE FROM entry_refers WHERE publisher_id = $1 AND needs = $2 AND entry_id = $3`, account, int64(need), int64(e.id)); err != nil {
					return err
				}
			}
			upload, err := t.count(`SELECT count(*) FROM entries WHERE id = $1 AND operation = 'upload'`, int64(e.id))
			if err != nil {
				return err
			}
			if _, err := t.exec(`DELETE FROM entries WHERE id = $1`, int64(e.id)); err != nil {
				return err
			}
			if n++; upload == 0 {
				tally.n[e.status]--
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, t.tallied(tally)
}
