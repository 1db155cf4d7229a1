package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Forgetting somebody takes them out of every table in one transaction of the
// writer, while nothing is staged and no slice is merged. What is left of them are
// their numbers in forgotten, and what a network still has to be told with:
//
//	suppressed(digest)                 identifiers that make nobody again (forget_key.go)
//	forgets(id, field, sealed, result) whom to look for until that is erased, and what was
//	forgotten(pid, forget)             the profile ids of those who were; never given out again
//
// Tables are not named here where a column says that they hold people: a table
// that comes to be later is erased without anybody's having to think of it.

// eraser erases one person.
type eraser struct {
	d    *DB
	tx   *sql.Tx
	sc   *schema
	id   activation.ForgetID
	done warehouse.Erasure
}

// Erase deletes the person with the suppressed identifier, and returns what it
// did when it is told again.
func (d *DB) Erase(ctx context.Context, id activation.ForgetID) (warehouse.Erasure, error) {
	e := eraser{d: d, id: id}
	// Whatever is being staged has read the person.
	d.state.audience.staging.Lock()
	defer d.state.audience.staging.Unlock()
	if err := d.lockIngest(ctx); err != nil {
		return e.done, err
	}
	defer d.unlockIngest()
	err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		e.tx, e.sc, e.done = tx, d.state.snapshot(), warehouse.Erasure{}
		return e.run(ctx)
	})
	if err != nil {
		return warehouse.Erasure{}, fmt.Errorf("erase %q: %w", id, err)
	}
	return e.done, nil
}

func (e *eraser) run(ctx context.Context) error {
	var field string
	var sealed []byte
	var result sql.NullString
	err := e.tx.QueryRowContext(ctx, `SELECT field, sealed, result FROM forgets WHERE id = $1`, string(e.id)).Scan(&field, &sealed, &result)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return activation.ErrNotFound
	case err != nil:
		return scrub(ctx, err)
	case result.Valid:
		return json.Unmarshal([]byte(result.String), &e.done)
	}
	value, err := e.d.suppression.unsealed(sealed)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return e.find(ctx, field, value) },
		e.values, e.spareOthers, e.suppress, e.stagedRows, e.leave, e.messages, e.keys, e.drift, e.rest, e.held, e.save,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	e.d.state.ready.distrust()
	return execAll(ctx, e.tx, `DROP TABLE forget_pids`, `DROP TABLE forget_values`)
}

func (e *eraser) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	return exec(ctx, e.tx, what, query, args...)
}

// find fills forget_pids with the ids the person has and had.
func (e *eraser) find(ctx context.Context, field, value string) error {
	f, ok := e.sc.field(field)
	if !ok || f.Rank == 0 {
		return refuse(field, "the field is not an identifier any more")
	}
	if err := execAll(ctx, e.tx, `CREATE OR REPLACE TEMP TABLE forget_pids (pid BIGINT)`); err != nil {
		return err
	}
	keys := fmt.Sprintf(`SELECT %s FROM (SELECT unnest(%s) AS v FROM (SELECT %s AS v) WHERE v IS NOT NULL)`,
		keySQL(field, "v"), spellings, strings.ReplaceAll(typedText(f), "$2", "$1"))
	if _, err := e.exec(ctx, "find the person", fmt.Sprintf(`INSERT INTO forget_pids SELECT pid FROM identifiers WHERE key IN (%[1]s)
		UNION SELECT any_value(pid) FROM capped WHERE key IN (%[1]s) GROUP BY key HAVING count(DISTINCT pid) = 1`, keys), value); err != nil {
		return err
	}
	if strings.Contains(value, "@") { // whose address is written in another way than it was asked for
		if _, err := e.exec(ctx, "find the person", fmt.Sprintf(`INSERT INTO forget_pids SELECT _pid FROM profiles
			WHERE lower(%s) = lower($1) AND _pid NOT IN (SELECT pid FROM forget_pids) AND %s NOT IN (%s)`, quote(field), keySQL(field, quote(field)), carriedByMany), value); err != nil {
			return err
		}
	}
	if _, err := e.exec(ctx, "find who was merged into the person", `INSERT INTO forget_pids SELECT old FROM profile_merges
		WHERE pid IN (SELECT pid FROM forget_pids) AND old NOT IN (SELECT pid FROM forget_pids)`); err != nil {
		return err
	}
	return e.ghosts(ctx)
}

// ghosts adds the ids of nobody who lives under which a network was sent the
// person's keys: a profile that fell apart, or a stranger whom a comparison found.
func (e *eraser) ghosts(ctx context.Context) error {
	sets, err := allKeySets(ctx, e.tx)
	if err != nil {
		return err
	}
	for _, s := range sets {
		all := fmt.Sprintf(`(SELECT pid, %[1]s FROM %[2]s UNION ALL SELECT pid, %[1]s FROM %[3]s)`, s.each("k%d", ", "), s.table(), s.oldTable())
		for _, i := range s.identifying() {
			if _, err := e.exec(ctx, "find whose keys are left", fmt.Sprintf(`INSERT INTO forget_pids SELECT DISTINCT g.pid FROM %[1]s g
				WHERE g.k%[2]d IN (SELECT k%[2]d FROM %[1]s WHERE pid IN (SELECT pid FROM forget_pids) AND k%[2]d IS NOT NULL)
				AND g.pid NOT IN (SELECT _pid FROM profiles) AND g.pid NOT IN (SELECT pid FROM forget_pids)
				AND g.pid NOT IN (SELECT old FROM profile_merges)`, all, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// values fills forget_values with all identifier values the person has and had.
func (e *eraser) values(ctx context.Context) error {
	compiled, err := compileAll(e.sc, e.sc.Active)
	if err != nil {
		return err
	}
	if err := execAll(ctx, e.tx, forgetValues, `CREATE OR REPLACE TEMP TABLE raw AS SELECT pid AS stored, pid FROM forget_pids`); err != nil {
		return err
	}
	var parts []string
	for _, f := range e.sc.fields() {
		if f.Rank > 0 {
			parts = append(parts, fmt.Sprintf(`SELECT %s AS field, (%s)::VARCHAR AS value, %t AS personal FROM profiles WHERE _pid IN (SELECT pid FROM forget_pids)`, literal(f.Name), quote(f.Name), f.PII))
		}
	}
	for _, st := range e.sc.sortedStreams() {
		for _, m := range compiled[st.Name].identifiers() {
			parts = append(parts, fmt.Sprintf(`SELECT %s, (%s)::VARCHAR, %t %s`, literal(m.field.Name), m.value, m.field.PII, messagesOfRaw(st).clause("")))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	_, err = e.exec(ctx, "list the person's identifiers", `INSERT INTO forget_values SELECT DISTINCT field, value, personal FROM (`+strings.Join(parts, " UNION ALL ")+`) WHERE value IS NOT NULL`)
	return err
}

// suppress keeps every identifier of theirs away, also those whose message is not
// kept any more.
func (e *eraser) suppress(ctx context.Context) (err error) {
	if err := e.d.suppressValues(ctx, e.tx, carriedByOthers); err != nil {
		return err
	}
	if err := e.d.suppressKeys(ctx, e.tx, carriedByOthers, `SELECT key FROM identifiers WHERE pid IN (SELECT pid FROM forget_pids)`); err != nil {
		return err
	}
	return queryRow(ctx, e.tx, "count the person", `SELECT (SELECT count(*) FROM profiles WHERE _pid IN (SELECT pid FROM forget_pids)),
		(SELECT count(*) FROM identifiers WHERE pid IN (SELECT pid FROM forget_pids)), (SELECT count(*) FROM membership WHERE pid IN (SELECT pid FROM forget_pids))`,
		nil, &e.done.Profiles, &e.done.Identifiers, &e.done.Memberships)
}

// stagedRows takes the values out of staged rows that add the person: a row
// without values is not sent, and one that was sent is answered by its number.
// A row that removes them keeps what it removes.
func (e *eraser) stagedRows(ctx context.Context) error {
	tables, err := e.tables(ctx, `schema_name = 'staging' AND starts_with(table_name, 'run_')`)
	if err != nil {
		return err
	}
	for _, t := range tables {
		run := activation.RunID(strings.TrimPrefix(t.name, "run_"))
		rows, err := e.tx.QueryContext(ctx, `SELECT n, op, phase FROM `+t.quoted()+` WHERE n IS NOT NULL AND pid IN (SELECT pid FROM forget_pids) ORDER BY n`)
		if err != nil {
			return fmt.Errorf("find staged rows: %w", scrub(ctx, err))
		}
		found, err := readStaged(rows, run)
		if err != nil {
			return fmt.Errorf("find staged rows: %w", scrub(ctx, err))
		}
		e.done.Staged = append(e.done.Staged, found...)
		if err := t.blank(ctx, e.tx, `pid IN (SELECT pid FROM forget_pids) AND op <> 'remove'`); err != nil {
			return err
		}
	}
	e.done.StagedRows = int64(len(e.done.Staged))
	return nil
}

func readStaged(rows *sql.Rows, run activation.RunID) (found []warehouse.PersonStaged, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		s := warehouse.PersonStaged{Run: run}
		if err := rows.Scan(&s.Ordinal, &s.Op, &s.Phase); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// leave takes the person out of every audience. There is no change that names
// them; the audience as a whole has changed.
func (e *eraser) leave(ctx context.Context) error {
	numbers, err := (&planner{tx: e.tx}).numbers(ctx, `SELECT DISTINCT audience FROM membership WHERE pid IN (SELECT pid FROM forget_pids) ORDER BY audience`)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		seq, err := take(ctx, e.tx, "change", 1)
		if err != nil {
			return err
		}
		if _, err := e.exec(ctx, "mark audience changed", `UPDATE audiences SET seq = $2 WHERE n = $1`, n, seq); err != nil {
			return err
		}
	}
	return nil
}

// messages deletes what streams have of the person: their messages, and those
// that name them in a column that no mapping finds people by. Look-up rows are
// not people's.
func (e *eraser) messages(ctx context.Context) error {
	var names int64
	const known = `SELECT lower(value) FROM forget_values WHERE length(value) >= 5 AND (personal OR contains(value, '@'))`
	if err := queryRow(ctx, e.tx, "count the person's names", `SELECT count(*) FROM (`+known+`)`, nil, &names); err != nil {
		return err
	}
	for _, st := range e.sc.sortedStreams() {
		if st.ReferenceKey != "" {
			continue
		}
		which := `_pid IN (SELECT pid FROM forget_pids)`
		if len(st.columns) > 0 && names > 0 {
			columns := make([]string, len(st.columns))
			for i := range st.columns {
				columns[i] = fmt.Sprintf(`lower(trim(c%d)) IN (%s)`, i+1, known)
			}
			which += ` OR (_pid IS NULL AND (` + strings.Join(columns, " OR ") + `))`
		}
		if err := execAll(ctx, e.tx, `CREATE OR REPLACE TEMP TABLE forget_messages AS SELECT _seq AS seq FROM `+st.table()+` WHERE `+which); err != nil {
			return err
		}
		if err := e.d.noteLost(ctx, e.tx, `SELECT seq FROM forget_messages`); err != nil {
			return err
		}
		n, err := e.exec(ctx, "delete messages", `DELETE FROM `+st.table()+` WHERE _seq IN (SELECT seq FROM forget_messages)`)
		if err != nil {
			return err
		}
		e.done.Messages += n
		if _, err := e.exec(ctx, "delete waiting events", `DELETE FROM waiting_events WHERE stream = $1 AND seq IN (SELECT seq FROM forget_messages)`, st.Name); err != nil {
			return err
		}
	}
	return execAll(ctx, e.tx, `DROP TABLE IF EXISTS forget_messages`, `DROP TABLE raw`)
}

// keys keeps the match keys that a ledger or a staged row needs, as old versions,
// and no others.
func (e *eraser) keys(ctx context.Context) error {
	if err := e.forgetLedger(ctx); err != nil {
		return err
	}
	sets, err := allKeySets(ctx, e.tx)
	if err != nil {
		return err
	}
	for _, s := range sets {
		k := s.each("k%d", ", ")
		if err := execAll(ctx, e.tx,
			fmt.Sprintf(`INSERT INTO %s SELECT pid, version, fp, %s FROM %s WHERE pid IN (SELECT pid FROM forget_pids)`, s.oldTable(), k, s.table()),
			fmt.Sprintf(`DELETE FROM %s WHERE pid IN (SELECT pid FROM forget_pids)`, s.table())); err != nil {
			return err
		}
	}
	return prune(ctx, e.tx)
}

// forgetLedger drops the ledger's rows that tell of nothing at a network.
func (e *eraser) forgetLedger(ctx context.Context) error {
	tables, err := e.tables(ctx, `schema_name = 'main' AND starts_with(table_name, 'ledger_')`)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := e.exec(ctx, "forget refusals", `DELETE FROM `+t.quoted()+` WHERE pid IN (SELECT pid FROM forget_pids) AND state NOT IN ('in', 'maybe', 'shared')`); err != nil {
			return err
		}
	}
	return nil
}

// drift drops what comparisons found of the person, also what a network named of
// somebody whom nobody here knew.
func (e *eraser) drift(ctx context.Context) error {
	tables, err := e.tables(ctx, `schema_name = 'main' AND starts_with(table_name, 'drift_')`)
	if err != nil {
		return err
	}
	sets, err := allKeySets(ctx, e.tx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		for _, s := range sets {
			for _, i := range s.identifying() {
				if !slices.Contains(t.columns, fmt.Sprintf("k%d", i)) {
					continue
				}
				if _, err := e.exec(ctx, "forget differences", fmt.Sprintf(`DELETE FROM %[1]s WHERE keyset = %[2]d AND k%[3]d IN (
					SELECT k%[3]d FROM %[4]s WHERE pid IN (SELECT pid FROM forget_pids) AND k%[3]d IS NOT NULL)`, t.quoted(), s.n, i, s.oldTable())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// rest deletes the person from every other table that has a column of people. A
// rebuild under way, which has tables of its own, is told of the lost messages.
func (e *eraser) rest(ctx context.Context) error {
	if err := forgetIdentity(ctx, e.tx, `SELECT pid FROM forget_pids`); err != nil {
		return err
	}
	tables, err := e.tables(ctx, `schema_name = 'main' AND table_name <> 'forgotten'
		AND NOT starts_with(table_name, 'ledger_') AND NOT starts_with(table_name, 'keys_') AND NOT starts_with(table_name, 'stream_') AND NOT ends_with(table_name, '_next')`)
	if err != nil {
		return err
	}
	for _, t := range tables {
		var people []string
		for _, c := range t.columns {
			if c == "pid" || c == "_pid" || c == "old" {
				people = append(people, quote(c)+` IN (SELECT pid FROM forget_pids)`)
			}
		}
		if len(people) == 0 {
			continue
		}
		if _, err := e.exec(ctx, "delete from "+t.name, `DELETE FROM `+t.quoted()+` WHERE `+strings.Join(people, " OR ")); err != nil {
			return err
		}
	}
	_, err = e.exec(ctx, "note who was forgotten", `INSERT INTO forgotten SELECT DISTINCT pid, $1 FROM forget_pids`, string(e.id))
	return err
}

// held finds the targets whose networks are to be told.
func (e *eraser) held(ctx context.Context) error {
	states, err := heldStates(ctx, e.tx, e.id)
	for _, s := range states {
		if !slices.Contains(e.done.Held, s.Target) {
			e.done.Held = append(e.done.Held, s.Target)
		}
	}
	return err
}

// save keeps what was done, and the value no longer.
func (e *eraser) save(ctx context.Context) error {
	result, err := json.Marshal(e.done)
	if err != nil {
		return err
	}
	_, err = e.exec(ctx, "record the erasure", `UPDATE forgets SET sealed = NULL, result = $2 WHERE id = $1`, string(e.id), string(result))
	return err
}

// peopleTable is a table with its columns.
type peopleTable struct {
	schema, name string
	columns      []string
}

func (t peopleTable) quoted() string { return t.schema + "." + quote(t.name) }

// blank takes the values out of staged rows.
func (t peopleTable) blank(ctx context.Context, tx *sql.Tx, which string) error {
	var values []string
	for _, c := range t.columns {
		if len(c) > 1 && c[0] == 'k' && strings.Trim(c[1:], "0123456789") == "" {
			values = append(values, c)
		}
	}
	if len(values) == 0 {
		return nil
	}
	_, err := exec(ctx, tx, "blank staged rows", fmt.Sprintf(`UPDATE %s SET %s = NULL WHERE (%s) AND (%s IS NOT NULL)`,
		t.quoted(), strings.Join(values, " = NULL, "), which, strings.Join(values, " IS NOT NULL OR ")))
	return err
}

// tables lists tables of the file, with their columns, by a condition.
func (e *eraser) tables(ctx context.Context, which string) ([]peopleTable, error) {
	return listTables(ctx, e.tx, which)
}

func listTables(ctx context.Context, q queryer, which string) (tables []peopleTable, err error) {
	rows, err := q.QueryContext(ctx, `SELECT schema_name, table_name, column_name FROM duckdb_columns()
		WHERE database_name = current_database() AND NOT internal AND `+which+` ORDER BY schema_name, table_name, column_index`)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var schema, table, column string
		if err := rows.Scan(&schema, &table, &column); err != nil {
			return nil, fmt.Errorf("list tables: %w", scrub(ctx, err))
		}
		if n := len(tables); n == 0 || tables[n-1].schema != schema || tables[n-1].name != table {
			tables = append(tables, peopleTable{schema: schema, name: table})
		}
		last := &tables[len(tables)-1]
		last.columns = append(last.columns, column)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tables: %w", scrub(ctx, err))
	}
	return tables, nil
}
