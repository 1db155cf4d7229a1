package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// stagedTable is the table of a run's staged rows:
//
//	n           ordinal from 1, dense; NULL for rows never sent (op drop and doubt)
//	phase, op, plain   rows are ordered by them, then by pid; plain are people who leave or newly come
//	keyset, version, fp   the version of the person's keys the row is about
//	prior       state of that version in the ledger when staged
//	held        mask of keys kept back because a wanted person holds the value; of an add, whether the run replaces all
//	present, audience   key set and audience (0 = nobody) of the run, the same in all rows
//	k1, k2 …    the values to send
func stagedTable(run activation.RunID) string {
	return "staging." + quote("run_"+string(run))
}

// Stage refreshes match keys, plans the run in one snapshot and writes its
// staged rows on a connection of its own, so that merges go on meanwhile. A
// crash leaves the rows of the run's previous Stage, or none.
func (d *DB) Stage(ctx context.Context, r warehouse.PlanRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	if stage == nil {
		stage = func(activation.Stage) {}
	}
	d.state.audience.staging.RLock() // no version of keys is pruned meanwhile
	defer d.state.audience.staging.RUnlock()
	stage(activation.StagePayload)
	p, seq, err := d.prepare(ctx, r)
	if err != nil {
		return warehouse.Plan{}, err
	}
	if !p.nobody {
		if err := p.refresh.into(ctx); err != nil {
			return warehouse.Plan{}, err
		}
	}
	stage(activation.StageAudiences)
	var plan warehouse.Plan
	err = d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			p.tx = tx
			if plan, err = p.planned(ctx, r.Awaiting); err != nil {
				return err
			}
			stage(activation.StageStaging)
			if plan.Segments, err = p.stage(ctx, "TABLE "+stagedTable(r.Run), stagedTable(r.Run)); err != nil {
				return err
			}
			if !p.forgets {
				if err := p.begin(ctx); err != nil {
					return err
				}
			}
			if err := p.wants.keep(ctx, tx, r.Run); err != nil {
				return err
			}
			return p.forget(ctx)
		})
	})
	if err != nil {
		return warehouse.Plan{}, err
	}
	plan.Seq = seq
	d.staged(ctx)
	return plan, d.tidy(ctx, r.Run, p.target, r.Generation)
}

// DryRun plans without writing anything that lasts: fresh keys and rows stay in
// temporary tables.
func (d *DB) DryRun(ctx context.Context, r warehouse.PlanRequest) (warehouse.Plan, error) {
	p, seq, err := d.prepare(ctx, r)
	if err != nil {
		return warehouse.Plan{}, err
	}
	var plan warehouse.Plan
	err = d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		if err := p.refresh.beside(ctx, conn); err != nil {
			return err
		}
		p.present = p.refresh.overlay()
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			p.tx = tx
			if plan, err = p.planned(ctx, r.Awaiting); err != nil {
				return err
			}
			if plan.Segments, err = p.stage(ctx, "TEMP TABLE plan_staged", "plan_staged"); err != nil {
				return err
			}
			if plan.Sample, err = p.sample(ctx, "plan_staged", plan.Segments); err != nil {
				return err
			}
			return errors.Join(p.forget(ctx), execAll(ctx, tx, "DROP TABLE plan_staged", "DROP TABLE plan_fresh"))
		})
	})
	if err != nil {
		return warehouse.Plan{}, err
	}
	plan.Seq = seq
	return plan, nil
}

// prepare finds all that the plan needs. The change number is read before the
// keys are refreshed: what comes later is left to the next run, even where this
// one saw it already.
func (d *DB) prepare(ctx context.Context, r warehouse.PlanRequest) (*planner, int64, error) {
	wants, above, seq, err := d.watch(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	sources, err := keySources(d.state.snapshot(), r.Keys)
	if err != nil {
		return nil, 0, err
	}
	keys, err := d.declareKeySet(ctx, r.Keys)
	if err != nil {
		return nil, 0, err
	}
	t, err := d.declareTarget(ctx, r.Target)
	if err != nil {
		return nil, 0, err
	}
	if r.Generation < t.generation {
		return nil, 0, fmt.Errorf("stage generation %d of a target that is at %d: %w", r.Generation, t.generation, activation.ErrConflict)
	}
	sets, err := allKeySets(ctx, d.sql)
	if err != nil {
		return nil, 0, err
	}
	p := &planner{
		target: t, sets: sets, generation: r.Generation, wants: wants, above: above, keys: keys, names: d.state.snapshot().names(r.Keys), present: keys.table(),
		nobody: r.Nobody || r.Forget && wants.audience == 0, keep: r.Keep, forgets: r.Forget, keysOnly: r.KeysOnly, replace: r.Replace, begun: r.Begun, limit: r.Limit,
		refresh: &refresh{d: d, keys: keys, set: r.Keys, sources: sources, audience: wants.audience},
	}
	if !r.RefreshBefore.IsZero() {
		p.refreshBefore = r.RefreshBefore.UnixMicro()
	}
	return p, seq, nil
}

// planned makes the plan and its counts.
func (p *planner) planned(ctx context.Context, awaiting []warehouse.Range) (warehouse.Plan, error) {
	if err := p.plan(ctx, awaiting); err != nil {
		return warehouse.Plan{}, err
	}
	return p.counts(ctx)
}

// stage writes plan_rows in order and returns the segments.
func (p *planner) stage(ctx context.Context, what, name string) ([]warehouse.Segment, error) {
	columns := fmt.Sprintf(`phase, op, plain, pid, keyset, version, fp, prior, held, %d AS present, %d AS audience, %s`,
		p.keys.n, p.wants.audience, p.keys.each("k%d", ", "))
	if err := p.exec(ctx, "stage rows", `CREATE OR REPLACE %s AS
		SELECT row_number() OVER () AS n, * FROM (SELECT %s FROM plan_rows WHERE phase IS NOT NULL ORDER BY phase, op, plain, pid, fp)`, what, columns); err != nil {
		return nil, err
	}
	if err := p.exec(ctx, "stage what is tidied", `INSERT INTO %s SELECT NULL, %s FROM plan_rows WHERE phase IS NULL`, name, columns); err != nil {
		return nil, err
	}
	return segments(ctx, p.tx, name)
}

func segments(ctx context.Context, q queryer, table string) ([]warehouse.Segment, error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT phase, op, plain, min(n), max(n) FROM %s WHERE n IS NOT NULL GROUP BY ALL ORDER BY min(n)`, table))
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", scrub(ctx, err))
	}
	defer rows.Close()
	var all []warehouse.Segment
	for rows.Next() {
		var s warehouse.Segment
		if err := rows.Scan(&s.Phase, &s.Op, &s.Plain, &s.First, &s.Last); err != nil {
			return nil, fmt.Errorf("list segments: %w", scrub(ctx, err))
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list segments: %w", scrub(ctx, err))
	}
	return all, nil
}

// forget drops the plan's temporary tables; the connection lives on.
func (p *planner) forget(ctx context.Context) error {
	var drops []string
	tables := []string{"awaiting", "rows"}
	if p.choosy() {
		tables = append(tables, "heldout", "excluded", "begun", "capped", "wanted")
	}
	if !p.replace {
		tables = append(tables, "diff", "old", "now", "remove", "kept")
		for _, i := range p.keys.identifying() {
			tables = append(tables, fmt.Sprintf("held_%d", i))
		}
	}
	for _, t := range tables {
		drops = append(drops, "DROP TABLE plan_"+t)
	}
	return execAll(ctx, p.tx, drops...)
}

// tidy brings the ledger in step with what the plan found, before anything is
// sent. It needs no receipt, since no knowledge is lost; after a crash the next
// Stage does it.
//
// Dropped are refusals of people who left or whose keys changed, and old keys
// all of whose values the person's present row holds too.
//
// Doubted are rows that are in and not wanted: from now on a removal of somebody
// else may take their values along. When the person is wanted again before a
// removal of their own was accepted, they are added again. So are rows of wanted
// people whom a removal of this run may take along (plan_kept.go).
func (d *DB) tidy(ctx context.Context, run activation.RunID, t target, generation int) error {
	var drops, doubts int64
	if err := queryRow(ctx, d.sql, "count what is tidied", fmt.Sprintf(`SELECT count(*) FILTER (op = 'drop'), count(*) FILTER (op = 'doubt') FROM %s WHERE n IS NULL`,
		stagedTable(run)), nil, &drops, &doubts); err != nil {
		return err
	}
	var todo []string
	row := fmt.Sprintf(`l.generation = %d AND l.pid = s.pid AND l.fp = s.fp AND l.state = s.prior`, generation)
	if doubts > 0 {
		todo = append(todo, fmt.Sprintf(`UPDATE %s l SET delivered_at = %d FROM %s s WHERE s.op = 'doubt' AND %s`, t.table(), doubted, stagedTable(run), row))
	}
	if drops > 0 {
		todo = append(todo, fmt.Sprintf(`DELETE FROM %s l USING %s s WHERE s.op = 'drop' AND %s`, t.table(), stagedTable(run), row))
	}
	if len(todo) == 0 {
		return nil
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return execAll(ctx, tx, todo...) })
}

// onOwnConnection runs fn on one connection, outside the writer.
func (d *DB) onOwnConnection(ctx context.Context, fn func(*sql.Conn) error) error {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", scrub(ctx, err))
	}
	err = fn(conn)
	if closed := conn.Close(); !errors.Is(closed, sql.ErrConnDone) { // which is what one that was spoilt says
		err = errors.Join(err, closed)
	}
	return err
}

// inTx runs fn in one transaction of conn; any error rolls it back.
func inTx(ctx context.Context, conn *sql.Conn, fn func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", scrub(ctx, err))
	}
	if err := fn(tx); err != nil {
		if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
			spoil(conn)
			return errors.Join(err, fmt.Errorf("roll back: %w", scrub(ctx, rb)))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		spoil(conn)
		return fmt.Errorf("commit: %w", scrub(ctx, err))
	}
	return nil
}

// spoil keeps a connection from being used again. One whose transaction could not
// be ended, for want of memory, is still in it, and would answer everybody who
// comes after that it is aborted.
func spoil(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // what it returns is what we tell it
}
