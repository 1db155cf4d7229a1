package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Fold brings final items into the ledger in one transaction. The table of
// folded items makes a second fold of the same attempt do nothing.
func (d *DB) Fold(ctx context.Context, items []warehouse.FoldItem) ([]warehouse.FoldResult, error) {
	results := make([]warehouse.FoldResult, len(items))
	err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		todo, err := unfolded(ctx, tx, items, results)
		if err != nil {
			return err
		}
		for len(todo) > 0 {
			batch := foldable(items, todo)
			if err := foldBatch(ctx, tx, items, batch, results); err != nil {
				return err
			}
			todo = todo[len(batch):]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// unfolded lists the items, by index, that no fold has seen, and fills the
// results of the others from what they did then.
func unfolded(ctx context.Context, tx *sql.Tx, items []warehouse.FoldItem, results []warehouse.FoldResult) ([]int, error) {
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = string(it.Item)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("encode items: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT item, attempt, became_in, left_in FROM folded
		WHERE item IN (SELECT unnest(from_json($1, '["VARCHAR"]')))`, string(list))
	if err != nil {
		return nil, fmt.Errorf("read folded items: %w", scrub(ctx, err))
	}
	defer rows.Close()
	type key struct {
		item    activation.ItemID
		attempt int
	}
	before := map[key]warehouse.FoldResult{}
	for rows.Next() {
		var k key
		r := warehouse.FoldResult{Skipped: true}
		if err := rows.Scan(&k.item, &k.attempt, &r.BecameIn, &r.LeftIn); err != nil {
			return nil, fmt.Errorf("read folded items: %w", scrub(ctx, err))
		}
		r.Item = k.item
		before[k] = r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read folded items: %w", scrub(ctx, err))
	}
	var todo []int
	for i, it := range items {
		k := key{it.Item, it.Attempt}
		r, done := before[k]
		if results[i] = r; !done {
			results[i].Item = it.Item
			before[k] = warehouse.FoldResult{Item: it.Item, Skipped: true}
			todo = append(todo, i)
		}
	}
	return todo, nil
}

// foldable is how many of the items to do can be folded at once: those of one
// run whose ranges do not overlap, so that no ledger row is met twice.
func foldable(items []warehouse.FoldItem, todo []int) []int {
	first := items[todo[0]]
	for n, i := range todo {
		it := items[i]
		same := it.Run == first.Run && it.Target == first.Target && it.Generation == first.Generation
		for _, j := range todo[:n] {
			same = same && (it.Last < items[j].First || items[j].Last < it.First)
		}
		if !same {
			return todo[:n]
		}
	}
	return todo
}

// foldBatch folds items of one run.
func foldBatch(ctx context.Context, tx *sql.Tx, items []warehouse.FoldItem, batch []int, results []warehouse.FoldResult) error {
	it := items[batch[0]]
	t, err := findTarget(ctx, tx, it.Target)
	if err != nil {
		return err
	}
	if it.Generation >= t.generation {
		f := folder{tx: tx, target: t, generation: it.Generation, staged: stagedTable(it.Run), items: items, batch: batch, results: results}
		if err := f.fold(ctx); err != nil {
			return err
		}
	}
	for _, i := range batch {
		if _, err := exec(ctx, tx, "record fold", `INSERT INTO folded VALUES ($1, $2, $3, $4)`,
			string(items[i].Item), items[i].Attempt, results[i].BecameIn, results[i].LeftIn); err != nil {
			return err
		}
	}
	return nil
}

// folder folds items of one run at once. Its intermediate results are temporary
// tables:
//
//	fold_items        the items: range, outcome of rows that are no exception
//	fold_exceptions   the exceptions by ordinal of the run
//	fold_sent         the staged rows of the items with their outcome
//	fold_prior        the ledger rows of fold_sent as they are
//	fold_moves        what becomes of each combination (nextState)
//	fold_change       the rows that change, with what they become
type folder struct {
	tx         *sql.Tx
	target     target
	generation int
	staged     string
	items      []warehouse.FoldItem
	batch      []int
	results    []warehouse.FoldResult
}

func (f *folder) fold(ctx context.Context) error {
	if err := f.load(ctx); err != nil {
		return err
	}
	before, err := f.expect(ctx)
	if err != nil {
		return err
	}
	if err := f.apply(ctx); err != nil {
		return err
	}
	if err := f.check(ctx, before); err != nil {
		return err
	}
	return execAll(ctx, f.tx, "DROP TABLE fold_items", "DROP TABLE fold_exceptions", "DROP TABLE fold_sent",
		"DROP TABLE fold_prior", "DROP TABLE fold_moves", "DROP TABLE fold_change")
}

// foldRange and foldException are how items travel to the database.
type foldRange struct {
	I       int                `json:"i"`
	First   int64              `json:"first"`
	Last    int64              `json:"last"`
	Op      activation.Op      `json:"op"`
	Outcome activation.Outcome `json:"outcome"`
	At      int64              `json:"at"`
}

type foldException struct {
	I       int                `json:"i"`
	N       int64              `json:"n"`
	Outcome activation.Outcome `json:"outcome"`
	Code    string             `json:"code"`
}

// load makes fold_sent and fold_prior.
func (f *folder) load(ctx context.Context) error {
	if err := f.sent(ctx); err != nil {
		return err
	}
	return execAll(ctx, f.tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE fold_prior AS
		SELECT s.n, l.rowid AS row, l.state, l.held, l.version, l.code, l.delivered_at
		FROM %s l JOIN fold_sent s ON l.pid = s.pid AND l.fp = s.fp WHERE l.generation = %d`, f.target.table(), f.generation))
}

// sent makes fold_sent.
func (f *folder) sent(ctx context.Context) error {
	var ranges []foldRange
	exceptions := []foldException{}
	lowest, highest := f.items[f.batch[0]].First, f.items[f.batch[0]].Last
	for _, i := range f.batch {
		it := f.items[i]
		lowest, highest = min(lowest, it.First), max(highest, it.Last)
		ranges = append(ranges, foldRange{i, it.First, it.Last, it.Op, it.Outcome, it.At.UnixMicro()})
		for _, x := range it.Exceptions {
			exceptions = append(exceptions, foldException{i, it.First + x.Ordinal, x.Outcome, x.Code})
		}
	}
	if err := f.table(ctx, "fold_items", `[{"i":"INTEGER","first":"BIGINT","last":"BIGINT","op":"VARCHAR","outcome":"VARCHAR","at":"BIGINT"}]`, ranges); err != nil {
		return err
	}
	if err := f.table(ctx, "fold_exceptions", `[{"i":"INTEGER","n":"BIGINT","outcome":"VARCHAR","code":"VARCHAR"}]`, exceptions); err != nil {
		return err
	}
	return execAll(ctx, f.tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE fold_sent AS
		SELECT r.i, s.n, s.op, s.pid, s.keyset, s.version, s.fp, s.held, coalesce(x.outcome, r.outcome) AS outcome, x.code, r."at"
		FROM (SELECT * FROM %s WHERE n BETWEEN %d AND %d) s
		JOIN fold_items r ON s.n BETWEEN r.first AND r.last AND s.op = r.op
		LEFT JOIN fold_exceptions x ON x.i = r.i AND x.n = s.n`, f.staged, lowest, highest))
}

// table makes a temporary table of a JSON list.
func (f *folder) table(ctx context.Context, name, structure string, list any) error {
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	_, err = exec(ctx, f.tx, "create "+name, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE %s AS SELECT unnest(from_json($1, '%s'), recursive := true)`, name, structure), string(text))
	return err
}

// expect says, from the receipts, how many rows of each item become in and
// leave it, and returns how many are in now.
func (f *folder) expect(ctx context.Context) (in map[int]int64, err error) {
	rows, err := f.tx.QueryContext(ctx, `SELECT s.i, s.op, coalesce(p.state, ''), s.outcome, s.held <> 0, count(*), count(DISTINCT s.n), count(s.code)
		FROM fold_sent s LEFT JOIN fold_prior p ON p.n = s.n GROUP BY ALL`)
	if err != nil {
		return nil, fmt.Errorf("count outcomes: %w", scrub(ctx, err))
	}
	defer rows.Close()
	in = map[int]int64{}
	seen, outcomes := map[int]int64{}, map[int]map[activation.Outcome]int64{}
	for rows.Next() {
		var i int
		var op activation.Op
		var prior string
		var outcome activation.Outcome
		var held bool
		var n, distinct, coded int64
		if err := rows.Scan(&i, &op, &prior, &outcome, &held, &n, &distinct, &coded); err != nil {
			return nil, fmt.Errorf("count outcomes: %w", scrub(ctx, err))
		}
		if n != distinct {
			return nil, countsError("%d rows have more than one row in the ledger", n-distinct)
		}
		seen[i] += n
		if outcomes[i] == nil {
			outcomes[i] = map[activation.Outcome]int64{}
		}
		outcomes[i][outcome] += n
		next := nextState(op, prior, outcome, held)
		switch {
		case prior == stateIn:
			in[i] += n
			if next != stateIn {
				f.results[i].LeftIn += n
			}
		case next == stateIn:
			f.results[i].BecameIn += n
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count outcomes: %w", scrub(ctx, err))
	}
	return in, f.matches(seen, outcomes)
}

// matches compares the rows found with what the receipts cover.
func (f *folder) matches(seen map[int]int64, outcomes map[int]map[activation.Outcome]int64) error {
	for _, i := range f.batch {
		it := f.items[i]
		if want := it.Last - it.First + 1; seen[i] != want {
			return countsError("an item of %d rows (%s) has %d staged ones", want, it.Op, seen[i])
		}
		want := map[activation.Outcome]int64{it.Outcome: seen[i]}
		for _, x := range it.Exceptions {
			want[it.Outcome]--
			want[x.Outcome]++
		}
		for outcome, n := range want {
			if outcomes[i][outcome] != n {
				return countsError("a receipt tells of %d rows %s and %d are found", n, outcome, outcomes[i][outcome])
			}
		}
	}
	return nil
}

// apply changes the ledger: rows that had a state go, rows that get one come.
func (f *folder) apply(ctx context.Context) error {
	// What a run that replaces all members did not get accepted (replace.go).
	const dropped = `(s.op <> 'remove' AND s.held <> 0 AND s.outcome IN ('rejected', 'superseded') AND m.next = 'maybe')`
	return execAll(ctx, f.tx, `CREATE OR REPLACE TEMP TABLE fold_moves AS SELECT * FROM (VALUES `+moves()+`) t(op, prior, outcome, held, next)`,
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE fold_change AS
		SELECT p.row, s.pid, s.keyset, m.next AS state,
		       CASE WHEN s.op <> 'remove' AND s.outcome IN ('accepted', 'unknown') THEN s.version ELSE coalesce(p.version, s.version) END AS version, s.fp,
		       CASE WHEN s.op <> 'remove' AND s.outcome IN ('accepted', 'unknown') THEN %[1]d
		            WHEN s.op = 'remove' AND s.outcome = 'accepted' THEN s.held ELSE coalesce(p.held, %[1]d) END AS held,
		       CASE WHEN s.outcome = 'accepted' THEN NULL ELSE s.code END AS code,
		       CASE WHEN %[2]s THEN %[3]d WHEN s.outcome = 'rejected' THEN coalesce(p.delivered_at, s."at") ELSE s."at" END AS delivered_at
		FROM fold_sent s LEFT JOIN fold_prior p ON p.n = s.n
		JOIN fold_moves m ON m.op = s.op AND m.prior = coalesce(p.state, '') AND m.outcome = s.outcome AND m.held = (s.held <> 0)
		WHERE (s.outcome IN ('accepted', 'rejected', 'unknown') OR %[2]s) AND (p.row IS NOT NULL OR m.next <> '')`, allKeys, dropped, doubted),
		fmt.Sprintf(`DELETE FROM %s WHERE rowid IN (SELECT row FROM fold_change WHERE row IS NOT NULL)`, f.target.table()),
		fmt.Sprintf(`INSERT INTO %s SELECT %d, pid, keyset, version, fp, state, held, code, delivered_at FROM fold_change WHERE state <> ''`, f.target.table(), f.generation))
}

// check counts the same rows again in the ledger and compares.
func (f *folder) check(ctx context.Context, before map[int]int64) error {
	rows, err := f.tx.QueryContext(ctx, fmt.Sprintf(`SELECT s.i, count(*) FROM %s l
		JOIN fold_sent s ON l.pid = s.pid AND l.fp = s.fp WHERE l.generation = %d AND l.state = 'in' GROUP BY s.i`,
		f.target.table(), f.generation))
	if err != nil {
		return fmt.Errorf("count the ledger: %w", scrub(ctx, err))
	}
	defer rows.Close()
	after := map[int]int64{}
	for rows.Next() {
		var i int
		var n int64
		if err := rows.Scan(&i, &n); err != nil {
			return fmt.Errorf("count the ledger: %w", scrub(ctx, err))
		}
		after[i] = n
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count the ledger: %w", scrub(ctx, err))
	}
	for _, i := range f.batch {
		r := f.results[i]
		if want := before[i] + r.BecameIn - r.LeftIn; after[i] != want {
			return countsError("the ledger has %d of an item's rows in where the receipt leads to %d", after[i], want)
		}
	}
	return nil
}

// moves lists nextState for every combination, as SQL rows.
func moves() string {
	var rows []string
	for _, op := range []activation.Op{activation.OpAdd, activation.OpRemove, activation.OpReadd} {
		for _, prior := range []string{stateNone, stateIn, stateMaybe, stateRefused, stateShared} {
			for _, outcome := range []activation.Outcome{activation.Accepted, activation.Rejected, activation.Unknown, activation.Unsent, activation.Superseded} {
				for _, held := range []bool{false, true} {
					rows = append(rows, fmt.Sprintf("('%s', '%s', '%s', %t, '%s')", op, prior, outcome, held, nextState(op, prior, outcome, held)))
				}
			}
		}
	}
	return strings.Join(rows, ", ")
}
