package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	driverduck "github.com/duckdb/duckdb-go/v2"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// How a ledger and a network differ. Compare writes what the network names into
// a table of the scratch database, a member at a time, and joins it with the
// values that the ledger's rows were sent with, old versions of keys among them.
// Only keys that identify count, and of a row only the values that were not taken
// away yet. Two sides are the same person where any value is the same:
//
//	drift_known   the ledger's rows that are in, maybe or shared, with their values
//	drift_there   people of drift_known who are in and whom the network names
//	drift_ours    the network's members who are in drift_known
//	drift_owner   whose present keys the other members have
//
// The differences stay in drift_<n> of their target until they are repaired, or
// the target has another generation. A row that cannot be compared, because what
// it was sent with is no column any more, is no difference, and neither is a
// member without a value that identifies.

func (t target) drift() string { return fmt.Sprintf("drift_%d", t.n) }

// Compare keeps how the ledger of a target and its network differ.
func (d *DB) Compare(ctx context.Context, r warehouse.CompareRequest) (warehouse.Drift, error) {
	keys, err := d.declareKeySet(ctx, r.Keys)
	if err != nil {
		return warehouse.Drift{}, err
	}
	t, err := d.declareTarget(ctx, r.Target)
	if err != nil {
		return warehouse.Drift{}, err
	}
	if r.Generation < t.generation {
		return warehouse.Drift{}, fmt.Errorf("compare generation %d of a target that is at %d: %w", r.Generation, t.generation, activation.ErrConflict)
	}
	c := &comparison{keys: keys, target: t, generation: r.Generation, name: fmt.Sprintf("remote_%d", d.stagings.Add(1))}
	err = d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		if err := c.read(ctx, conn, r); err != nil {
			return errors.Join(err, c.drop(context.WithoutCancel(ctx), conn))
		}
		d.state.audience.staging.RLock() // nobody is forgotten meanwhile, nor the file exchanged
		defer d.state.audience.staging.RUnlock()
		err := inTx(ctx, conn, func(tx *sql.Tx) error {
			c.tx = tx
			return c.compare(ctx)
		})
		return errors.Join(err, c.drop(context.WithoutCancel(ctx), conn))
	})
	return c.found, err
}

// comparison compares once.
type comparison struct {
	keys       keySet
	target     target
	generation int
	name       string // of the table of members, in the scratch database
	tx         *sql.Tx
	found      warehouse.Drift
}

func (c *comparison) remote() string { return "scratch." + c.name }

func (c *comparison) drop(ctx context.Context, q queryer) error {
	_, err := exec(ctx, q, "drop the network's members", "DROP TABLE IF EXISTS "+c.remote())
	return err
}

// read writes the members down that the network names.
func (c *comparison) read(ctx context.Context, conn *sql.Conn, r warehouse.CompareRequest) error {
	if _, err := exec(ctx, conn, "create a table of the network's members", fmt.Sprintf(`CREATE TABLE %s (n BIGINT, %s)`, c.remote(), c.keys.each("k%d BLOB", ", "))); err != nil {
		return err
	}
	return conn.Raw(func(raw any) error {
		dc, ok := raw.(driver.Conn)
		if !ok {
			return fmt.Errorf("unexpected connection type %T", raw)
		}
		a, err := driverduck.NewAppender(dc, "scratch", "main", c.name)
		if err != nil {
			return fmt.Errorf("append the network's members: %w", scrub(ctx, err))
		}
		line := make([]driver.Value, 1+len(c.keys.columns))
		if err := r.Read(ctx, func(values [][]byte) error {
			c.found.Remote++
			line[0] = c.found.Remote
			for i := range c.keys.columns {
				line[1+i] = nil
				if i < len(values) && values[i] != nil {
					line[1+i] = values[i]
				}
			}
			return a.AppendRow(line...)
		}); err != nil {
			return discard(err, a)
		}
		if err := a.CloseWithCancel(ctx); err != nil {
			return fmt.Errorf("append the network's members: %w", scrub(ctx, err))
		}
		return nil
	})
}

// compare finds the differences and keeps them.
func (c *comparison) compare(ctx context.Context) error {
	if err := c.known(ctx); err != nil {
		return err
	}
	todo := []string{`CREATE OR REPLACE TEMP TABLE drift_there (pid BIGINT)`, `CREATE OR REPLACE TEMP TABLE drift_ours (n BIGINT)`}
	for _, i := range c.keys.identifying() {
		todo = append(todo,
			fmt.Sprintf(`INSERT INTO drift_there SELECT DISTINCT pid FROM drift_known WHERE state = 'in' AND k%[1]d IN (SELECT k%[1]d FROM %[2]s WHERE k%[1]d IS NOT NULL)`, i, c.remote()),
			fmt.Sprintf(`INSERT INTO drift_ours SELECT n FROM %[2]s WHERE k%[1]d IN (SELECT k%[1]d FROM drift_known WHERE k%[1]d IS NOT NULL)`, i, c.remote()))
	}
	columns := c.keys.each("k%d", ", ")
	todo = append(todo,
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE drift_extra AS SELECT min(n) AS n, %[1]s FROM %[2]s
			WHERE n NOT IN (SELECT n FROM drift_ours) AND (%[3]s) GROUP BY %[1]s`, columns, c.remote(), c.any("%s IS NOT NULL")),
		`CREATE OR REPLACE TEMP TABLE drift_owner (n BIGINT, pid BIGINT, i INTEGER)`)
	for _, i := range c.keys.identifying() {
		todo = append(todo, fmt.Sprintf(`INSERT INTO drift_owner SELECT e.n, min(k.pid), %[1]d FROM drift_extra e JOIN %[2]s k ON k.k%[1]d = e.k%[1]d
			WHERE k.pid IN (SELECT _pid FROM profiles) GROUP BY e.n`, i, c.keys.table()))
	}
	none := c.keys.each("NULL::BLOB AS k%d", ", ")
	todo = append(todo, fmt.Sprintf(`CREATE OR REPLACE TABLE %[1]s AS
		SELECT row_number() OVER (ORDER BY kind DESC, pid, was) AS n, %[2]d AS generation, %[3]d AS keyset, * EXCLUDE (was) FROM (
			SELECT '%[4]s' AS kind, pid, bit_or(mask) FILTER (state = 'in') AS mask, 0 AS was, %[5]s FROM drift_known GROUP BY pid
			HAVING coalesce(bit_or(mask) FILTER (state = 'in'), 0) <> 0 AND NOT bool_or(state = 'maybe') AND pid NOT IN (SELECT pid FROM drift_there)
			UNION ALL
			SELECT '%[6]s', coalesce(o.pid, 0), %[7]s, e.n, %[8]s FROM drift_extra e LEFT JOIN (SELECT n, arg_min(pid, i) AS pid FROM drift_owner GROUP BY n) o ON o.n = e.n
		) ORDER BY n`,
		c.target.drift(), c.generation, c.keys.n, warehouse.DriftMissing, none, warehouse.DriftExtra, c.mask("e."), c.keys.each("e.k%d", ", ")))
	if err := execAll(ctx, c.tx, todo...); err != nil {
		return err
	}
	if err := queryRow(ctx, c.tx, "count differences", fmt.Sprintf(`SELECT (SELECT count(DISTINCT pid) FROM %s WHERE generation = $1 AND state = 'in'),
		count(*) FILTER (kind = $2), count(*) FILTER (kind = $3) FROM %s`, c.target.table(), c.target.drift()),
		[]any{c.generation, string(warehouse.DriftMissing), string(warehouse.DriftExtra)}, &c.found.Ledger, &c.found.Missing, &c.found.Extra); err != nil {
		return err
	}
	return execAll(ctx, c.tx, `DROP TABLE drift_known`, `DROP TABLE drift_there`, `DROP TABLE drift_ours`, `DROP TABLE drift_extra`, `DROP TABLE drift_owner`)
}

// known fills drift_known. Keys are matched by name, since an older mapping has
// other columns.
func (c *comparison) known(ctx context.Context) error {
	if err := execAll(ctx, c.tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE drift_known (pid BIGINT, state VARCHAR, mask BIGINT, %s)`, c.keys.each("k%d BLOB", ", "))); err != nil {
		return err
	}
	sets, err := allKeySets(ctx, c.tx)
	if err != nil {
		return err
	}
	for _, was := range sets {
		values := make([]string, len(c.keys.columns))
		for i, column := range c.keys.columns {
			value := "NULL"
			if n := was.column(column.Name); n != 0 && column.Identifies {
				value = fmt.Sprintf("CASE WHEN l.held & %d <> 0 THEN v.k%d END", bit(n), n)
			}
			values[i] = fmt.Sprintf("(%s)::BLOB AS k%d", value, i+1)
		}
		if _, err := exec(ctx, c.tx, "list what the ledger knows", fmt.Sprintf(`INSERT INTO drift_known
			SELECT pid, state, %[1]s, %[2]s FROM (
				SELECT l.pid, l.state, %[3]s
				FROM (SELECT * FROM %[4]s WHERE generation = %[5]d AND keyset = %[6]d AND state IN ('in', 'maybe', 'shared')) l
				JOIN (SELECT pid, version, %[7]s FROM %[8]s UNION ALL SELECT pid, version, %[7]s FROM %[9]s) v ON v.pid = l.pid AND v.version = l.version)`,
			c.mask(""), c.keys.each("k%d", ", "), strings.Join(values, ", "), c.target.table(), c.generation, was.n, was.each("k%d", ", "), was.table(), was.oldTable())); err != nil {
			return err
		}
	}
	return nil
}

// mask has, as SQL, a bit for each column that identifies and has a value.
func (c *comparison) mask(of string) string {
	mask := "0"
	for _, i := range c.keys.identifying() {
		mask += fmt.Sprintf(" | (CASE WHEN %sk%d IS NOT NULL THEN %d ELSE 0 END)", of, i, bit(i))
	}
	return "(" + mask + ")::BIGINT"
}

// any joins a condition on each column that identifies.
func (c *comparison) any(condition string) string {
	var parts []string
	for _, i := range c.keys.identifying() {
		parts = append(parts, fmt.Sprintf(condition, fmt.Sprintf("k%d", i)))
	}
	return strings.Join(parts, " OR ")
}

// drifted returns the key set and generation of the differences kept of a target.
// It asks for the table first: a statement that fails ends a transaction.
func (t target) drifted(ctx context.Context, q queryer) (set, generation int, known bool, err error) {
	var tables int
	if err := queryRow(ctx, q, "look for differences", `SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'main' AND table_name = $1`,
		[]any{t.drift()}, &tables); err != nil || tables == 0 {
		return 0, 0, false, err
	}
	err = q.QueryRowContext(ctx, `SELECT keyset, generation FROM `+t.drift()+` LIMIT 1`).Scan(&set, &generation)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, 0, false, nil
	case err != nil:
		return 0, 0, false, fmt.Errorf("read differences: %w", scrub(ctx, err))
	}
	return set, generation, true, nil
}

// findDrift returns what the differences kept of a target are of: their key set
// and generation. known = false when none are kept.
func findDrift(ctx context.Context, q queryer, id activation.TargetID) (t target, keys keySet, generation int, known bool, err error) {
	if t, err = findTarget(ctx, q, id); errors.Is(err, activation.ErrNotFound) {
		return t, keys, 0, false, nil
	}
	if err != nil {
		return t, keys, 0, false, err
	}
	set, generation, known, err := t.drifted(ctx, q)
	if err != nil || !known {
		return t, keys, 0, false, err
	}
	sets, err := allKeySets(ctx, q)
	return t, sets[set], generation, err == nil && generation >= t.generation, err
}

// forgetDrift drops the differences of generations older than this one.
func forgetDrift(ctx context.Context, tx *sql.Tx, t target, generation int) error {
	_, of, known, err := t.drifted(ctx, tx)
	if err != nil || !known || of >= generation {
		return err
	}
	return execAll(ctx, tx, `DROP TABLE `+t.drift())
}

// DriftRows pages through the differences kept of a target.
func (d *DB) DriftRows(ctx context.Context, id activation.TargetID, after int64, limit int) (all []warehouse.DriftRow, err error) {
	t, keys, _, known, err := findDrift(ctx, d.sql, id)
	if err != nil || !known {
		return nil, err
	}
	rows, err := d.sql.QueryContext(ctx, `SELECT n, kind, pid, mask FROM `+t.drift()+` WHERE n > $1 ORDER BY n LIMIT $2`, after, limit)
	if missingTable(err) {
		return nil, nil // repaired meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("read differences: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r warehouse.DriftRow
		var mask int
		if err := rows.Scan(&r.N, &r.Kind, &r.Profile, &mask); err != nil {
			return nil, fmt.Errorf("read differences: %w", scrub(ctx, err))
		}
		for i, c := range keys.columns {
			if mask&bit(i+1) != 0 {
				r.Keys = append(r.Keys, c.Name)
			}
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read differences: %w", scrub(ctx, err))
	}
	return all, nil
}

// Repair brings the differences into the ledger and forgets them, in one
// transaction. What has changed since they were found is left as it is.
func (d *DB) Repair(ctx context.Context, id activation.TargetID, generation int) (missing, extra int64, err error) {
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		t, keys, of, known, err := findDrift(ctx, tx, id)
		if err != nil || !known || of != generation {
			return err
		}
		r := repair{tx: tx, target: t, keys: keys, generation: generation, at: d.now().UnixMicro()}
		if missing, err = r.missing(ctx); err != nil {
			return err
		}
		if extra, err = r.extra(ctx); err != nil {
			return err
		}
		return execAll(ctx, tx, `DROP TABLE `+t.drift())
	})
	if err != nil {
		return 0, 0, err
	}
	return missing, extra, nil
}

// repair mends the differences of one target.
type repair struct {
	tx         *sql.Tx
	target     target
	keys       keySet
	generation int
	at         int64
}

// missing doubts those whom the network does not have.
func (r repair) missing(ctx context.Context) (n int64, err error) {
	in := fmt.Sprintf(`generation = %d AND state = 'in' AND pid IN (SELECT pid FROM %s WHERE kind = '%s')`, r.generation, r.target.drift(), warehouse.DriftMissing)
	if err := queryRow(ctx, r.tx, "count who is missing", fmt.Sprintf(`SELECT count(DISTINCT pid) FROM %s WHERE %s`, r.target.table(), in), nil, &n); err != nil {
		return 0, err
	}
	return n, execAll(ctx, r.tx, fmt.Sprintf(`UPDATE %s SET state = 'maybe' WHERE %s`, r.target.table(), in))
}

// extra writes those down whom the network has and the ledger does not: under
// the person whose present keys they have, else under a profile id of their own
// whose keys are what the network named. Those keys are an old version, which is
// pruned when the ledger needs it no more.
func (r repair) extra(ctx context.Context) (n int64, err error) {
	same := make([]string, 0, len(r.keys.columns))
	for _, i := range r.keys.identifying() {
		same = append(same, fmt.Sprintf("k.k%[1]d = x.k%[1]d", i))
	}
	columns := r.keys.each("x.k%d", ", ")
	if err := execAll(ctx, r.tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE drift_taken AS
		SELECT k.pid, k.version, k.fp, %s FROM (SELECT * FROM %s WHERE kind = '%s') x
		LEFT JOIN %s k ON k.pid = x.pid AND k.fp <> %s AND (%s)`, columns, r.target.drift(), warehouse.DriftExtra, r.keys.table(), noKeys, strings.Join(same, " OR "))); err != nil {
		return 0, err
	}
	var strangers int64
	if err := queryRow(ctx, r.tx, "count strangers", `SELECT count(*), count(*) FILTER (pid IS NULL) FROM drift_taken`, nil, &n, &strangers); err != nil {
		return 0, err
	}
	first, err := take(ctx, r.tx, "profile", strangers)
	if err != nil {
		return 0, err
	}
	row := fmt.Sprintf(`%d, %%s, 'maybe', %d, NULL, %d`, r.generation, allKeys, r.at)
	return n, execAll(ctx, r.tx,
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE drift_stranger AS SELECT %d + row_number() OVER () - 1 AS pid, 1 AS version, uuid() AS fp, %s FROM drift_taken WHERE pid IS NULL`, first, r.keys.each("k%d", ", ")),
		fmt.Sprintf(`INSERT INTO %s SELECT * FROM drift_stranger`, r.keys.oldTable()),
		fmt.Sprintf(`INSERT INTO %s SELECT %s FROM drift_stranger`, r.target.table(), fmt.Sprintf(row, fmt.Sprintf("pid, %d, version, fp", r.keys.n))),
		fmt.Sprintf(`UPDATE %s l SET state = 'maybe', held = %d, code = NULL FROM drift_taken x WHERE l.generation = %d AND l.pid = x.pid AND l.fp = x.fp AND l.state IN ('refused', 'shared')`, r.target.table(), allKeys, r.generation),
		fmt.Sprintf(`INSERT INTO %[1]s SELECT DISTINCT %[2]s FROM drift_taken x WHERE pid IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM %[1]s l WHERE l.generation = %[3]d AND l.pid = x.pid AND l.fp = x.fp)`,
			r.target.table(), fmt.Sprintf(row, fmt.Sprintf("pid, %d, version, fp", r.keys.n)), r.generation),
		`DROP TABLE drift_taken`, `DROP TABLE drift_stranger`)
}
