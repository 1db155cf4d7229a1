package store

import (
	"maps"
	"slices"

	"usher/internal/activation"
)

// stretch is how many keys of the order of what is released are counted together: what
// is ahead of an entry is added up from those before its own, which alone is read.
const stretch = 1024

// turned notes that something came to a place of the order of what is released, or went
// from there: its stretch is counted again when the tally is stored.
func (c *entryTally) turned(turn int64) { c.stretches[turn/stretch] = true }

// turnedOf notes the places of those of ids that are queued now.
func (t *tx) turnedOf(c *entryTally, ids []activation.EntryID) error {
	return inChunks(0, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT DISTINCT e.turn FROM entries e WHERE e.status = 'queued' AND e.id IN `+marks, args...)
		turns, err := collect(rows, err, func(r scanner) (turn int64, err error) { return turn, r.Scan(&turn) })
		for _, turn := range turns {
			c.turned(turn)
		}
		return err
	})
}

// countStretches counts what is queued in the stretches that have changed.
func (t *tx) countStretches(c *entryTally) error {
	for _, n := range slices.Sorted(maps.Keys(c.stretches)) {
		if _, err := t.exec(`DELETE FROM entry_queue WHERE publisher_id = $1 AND stretch = $2`, c.account, n); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO entry_queue (publisher_id, stretch, origin, kind, operation, parent_id, n, first_turn, first_id)
			SELECT e.publisher_id, CAST($2 AS BIGINT), e.origin, e.kind, e.operation, coalesce(e.parent_id, 0), count(*), min(e.turn), min(e.id) FROM entries e
			WHERE e.publisher_id = $1 AND e.status = 'queued' AND e.operation <> 'upload' AND e.turn >= $3 AND e.turn < $4
			GROUP BY e.publisher_id, e.origin, e.kind, e.operation, e.parent_id`, c.account, n, n*stretch, (n+1)*stretch); err != nil {
			return err
		}
	}
	return nil
}

// queuedAhead groups what is queued before a place.
func (t *tx) queuedAhead(account activation.PublisherID, turn, before int64) ([]activation.AheadGroup, error) {
	own := turn / stretch
	rows, err := t.query(`SELECT g.origin, g.kind, g.operation, g.parent_id, min(g.first_id), CAST(sum(g.n) AS BIGINT) FROM (
			SELECT q.origin, q.kind, q.operation, q.parent_id, q.n, q.first_turn, q.first_id FROM entry_queue q WHERE q.publisher_id = $1 AND q.stretch < $2
			UNION ALL
			SELECT e.origin, e.kind, e.operation, coalesce(e.parent_id, 0), count(*), min(e.turn), min(e.id) FROM entries e
			WHERE e.publisher_id = $1 AND e.status = 'queued' AND e.operation <> 'upload' AND e.turn >= $3 AND (e.turn, e.turn_before) < ($4, $5)
			GROUP BY e.origin, e.kind, e.operation, e.parent_id
		) AS g GROUP BY g.origin, g.kind, g.operation, g.parent_id ORDER BY min(g.first_turn), min(g.first_id)`, account, own, own*stretch, turn, before)
	return collect(rows, err, func(r scanner) (g activation.AheadGroup, err error) {
		g.Status = activation.EntryQueued
		return g, r.Scan(&g.Origin, &g.Kind, &g.Operation, &g.Parent, &g.First, &g.Count)
	})
}
