package store

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// ItemTally counts the items of one run; split ones count nothing.
type ItemTally struct {
	Total, Done, Failed int64
}

// ItemTallies counts the items of each of these runs.
func (s *Store) ItemTallies(ctx context.Context, runs []activation.RunID) (map[activation.RunID]ItemTally, error) {
	out := make(map[activation.RunID]ItemTally, len(runs))
	if len(runs) == 0 {
		return out, nil
	}
	w := &where{}
	in(w, "i.run_id", runs)
	w.add("i.state <> 'split'")
	rows, err := s.read.QueryContext(ctx, `SELECT i.run_id, count(*),
		sum(CASE WHEN i.state = 'delivered' THEN 1 ELSE 0 END), sum(CASE WHEN i.state IN ('failed', 'unknown') THEN 1 ELSE 0 END)
		FROM items i`+w.sql()+` GROUP BY i.run_id`, w.args...)
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var run activation.RunID
		var t ItemTally
		err := r.Scan(&run, &t.Total, &t.Done, &t.Failed)
		out[run] = t
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("count items: %w", err)
	}
	return out, nil
}
