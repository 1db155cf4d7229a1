package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// onlyAdds are the kinds of runs that carry what no other run carries, as SQL.
const onlyAdds = `('events', 'offline_conversion', 'conversion_audience')`

// stagedLater is the condition that a later run of the target of r was staged.
const stagedLater = `EXISTS (SELECT 1 FROM runs l WHERE l.target_id = r.target_id AND l.number > r.number AND l.staged_at IS NOT NULL)`

// UnstageableRuns lists up to limit ended runs whose staged rows are still
// kept and needed no more: they ended before the given time, and are not the
// failed run that a Retry could still send again, which the newest staged run
// of a target may be while its job is not killed, and any that only adds. Of
// those the newest is kept however it ended: the next one may have to stage
// again what it has not sent.
func (s *Store) UnstageableRuns(ctx context.Context, before time.Time, limit int) ([]activation.RunID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT r.id FROM runs r WHERE r.staged_at IS NOT NULL AND NOT r.unstaged AND r.ended_at < $1
		AND (CASE WHEN r.sync_type IN `+onlyAdds+` THEN r.status <> 'failed' AND `+stagedLater+` ELSE r.status <> 'failed' OR `+stagedLater+` END
			OR NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id AND j.state <> 'killed' AND j.deleted_at IS NULL))
		ORDER BY r.number LIMIT $2`, before.UnixMicro(), limit)
	ids, err := collect(rows, err, scanID)
	if err != nil {
		return nil, fmt.Errorf("list runs to unstage: %w", err)
	}
	out := make([]activation.RunID, len(ids))
	for i, id := range ids {
		out[i] = activation.RunID(id)
	}
	return out, nil
}

// MarkUnstaged notes that the staged rows of these runs are dropped.
func (s *Store) MarkUnstaged(ctx context.Context, runs []activation.RunID) error {
	err := s.do(ctx, func(t *tx) error {
		for _, id := range runs {
			if _, err := t.exec(`UPDATE runs SET unstaged = TRUE WHERE id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note dropped rows: %w", err)
	}
	return nil
}
