package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// Deliver writes or removes the rows of one batch in one transaction: they are
// copied into a table of the session and go from there into the audience's with
// one statement. Once COMMIT is acknowledged all of it holds; without COMMIT
// nothing does; where the answer to COMMIT is lost nobody knows.
func (d *destination) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	name, mark, err := d.whereTo(b)
	if err != nil {
		return activation.Receipt{}, err
	}
	rows := b.Rows()
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	p, err := d.prepare(b)
	if err != nil {
		return activation.Receipt{}, refusal(b, err)
	}
	refused := p.refused
	if len(p.ordinals) > 0 || b.Replace != nil {
		err = d.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
			t, err := d.read(ctx, tx, name)
			switch {
			case err != nil:
				return err
			case t.mark() != mark:
				return classGone.error()
			}
			more, err := d.write(ctx, tx, name, t, b, p)
			refused = append(refused, more...)
			return err
		})
	}
	if err != nil {
		return activation.Receipt{}, refusal(b, err)
	}
	slices.Sort(refused)
	rc := activation.Receipt{Accepted: int64(rows - len(refused)), Rejected: int64(len(refused))}
	for _, i := range refused {
		rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: i, Outcome: activation.Rejected, Code: classRow.code})
	}
	d.log.DebugContext(ctx, "postgres batch delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt,
		"table", name, "op", b.Op, "rows", rows, "rejected", rc.Rejected)
	return rc, nil
}

// whereTo is the table of a batch and the digest of the marker it carries. That
// of events is told by the job, since it always names one.
func (d *destination) whereTo(b provider.Batch) (name, mark string, err error) {
	if d.events == nil || b.Remote != "" {
		return parseRemote(b.Remote)
	}
	name, _, err = d.tableOf(b.Audience)
	return name, digest(b.Audience.Marker), err
}

// prepared is a batch as it is copied.
type prepared struct {
	columns []column // by key of the batch
	key     string   // the id column
	// ordinals are the rows that can be sent, refused those that cannot: they
	// have no id, or a text that no database holds.
	ordinals, refused []int64
}

func (d *destination) prepare(b provider.Batch) (p prepared, err error) {
	rows, idAt := b.Rows(), -1
	if b.Replace != nil && (d.events != nil || b.Op != activation.OpAdd || b.Replace.Session <= 0) {
		return p, wrong("replace", "a replacement adds people in a session with a number")
	}
	if rows > maxRows {
		return p, tooLarge(fmt.Sprintf("%d rows, at most %d", rows, maxRows))
	}
	for i, k := range b.Keys {
		kind := typeText
		if d.events != nil && i < len(d.events) {
			kind = d.events[i].kind
		} else if err := d.checkColumn(k.Name); err != nil {
			return p, err
		}
		p.columns = append(p.columns, column{k.Name, kind})
		if k.Identifies && idAt < 0 {
			idAt = i
		}
	}
	if idAt < 0 {
		return p, wrong("mapping", "none of the columns is the id column")
	}
	p.key = p.columns[idAt].name
	size := 0
	for i := range rows {
		row, good := b.Row(i), true
		for j, v := range row {
			size += len(v)
			good = good && (b.Keys[j].Hash || storable(v))
		}
		if good && row[idAt] != nil {
			p.ordinals = append(p.ordinals, int64(i))
		} else {
			p.refused = append(p.refused, int64(i))
		}
	}
	if size > maxBytes {
		return p, tooLarge(fmt.Sprintf("%d bytes, at most %d", size, maxBytes))
	}
	return p, nil
}

// checkColumn refuses a column of the mapping that cannot be one of the table.
func (d *destination) checkColumn(name string) error {
	if err := checkName("mapping", name); err != nil {
		return err
	}
	ours := slices.Concat(system, []string{columnSynced, columnLeft, columnSession})
	for _, c := range d.events {
		ours = append(ours, c.name)
	}
	if slices.Contains(ours, name) {
		return wrong("mapping", "the column "+name+" is one that the table has anyway: name it otherwise")
	}
	return nil
}

// write does what the batch asks, and returns the rows that the database did not
// take although it raised no error: triggers may do that.
func (d *destination) write(ctx context.Context, tx pgx.Tx, name string, t table, b provider.Batch, p prepared) ([]int64, error) {
	want := p.columns
	if b.Op == activation.OpRemove {
		want = []column{{p.key, typeText}}
	}
	marks := d.marks(b.Audience)
	if marks {
		want = append(slices.Clip(want), column{columnLeft, typeTime})
	}
	if b.Replace != nil {
		want = append(slices.Clip(want), column{columnSession, typeNumber})
	}
	if err := d.shape(ctx, tx, name, t, want, p.key); err != nil {
		return nil, err
	}
	if err := stage(ctx, tx, b, p); err != nil {
		return nil, err
	}
	question := d.upsert(name, t, p, b.Replace)
	if b.Op == activation.OpRemove {
		change, stays := d.remove(name, p), ""
		if marks {
			change, stays = d.mark(name, t, p), " AND t."+quoted(columnLeft)+" IS NULL"
		}
		if _, err := tx.Exec(ctx, change); err != nil {
			return nil, err
		}
		question = `SELECT s.n FROM pg_temp.usher_batch s JOIN ` + d.qualified(name) + ` t ON t.` + quoted(p.key) + ` = s.` + staged(p.at(p.key)) + stays
	}
	left, err := tx.Query(ctx, question)
	if err != nil {
		return nil, err
	}
	refused, err := pgx.CollectRows(left, pgx.RowTo[int64])
	if err == nil && b.Replace != nil && b.Replace.Number == b.Replace.Of {
		err = d.endReplacement(ctx, tx, name, t, p, b.Replace.Session, marks)
	}
	return refused, err
}

func (p prepared) at(name string) int {
	return slices.IndexFunc(p.columns, func(c column) bool { return c.name == name })
}

func staged(i int) string { return "c" + strconv.Itoa(i) }

// stage copies the rows into a table of the session that ends with the
// transaction.
func stage(ctx context.Context, tx pgx.Tx, b provider.Batch, p prepared) error {
	names, define := []string{"n"}, []string{"n bigint"}
	for i := range p.columns {
		names, define = append(names, staged(i)), append(define, staged(i)+" text")
	}
	if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE usher_batch (`+strings.Join(define, ", ")+`) ON COMMIT DROP`); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "usher_batch"}, names, pgx.CopyFromSlice(len(p.ordinals), func(i int) ([]any, error) {
		return rowValues(p.ordinals[i], b.Keys, b.Row(int(p.ordinals[i]))), nil
	}))
	return err
}

func rowValues(n int64, keys []matchkey.Key, row [][]byte) []any {
	out := []any{n}
	for j, v := range row {
		switch {
		case v == nil:
			out = append(out, nil)
		case keys[j].Hash:
			out = append(out, hex.EncodeToString(v))
		default:
			out = append(out, string(v))
		}
	}
	return out
}

// upsert writes the staged rows, ordered by id so that no two batches wait for
// each other's rows, and returns the ordinals that were not written. Of two rows
// with one id the later one counts.
func (d *destination) upsert(name string, t table, p prepared, replace *provider.Replace) string {
	var into, from, set []string
	for i, c := range p.columns {
		into, from = append(into, quoted(c.name)), append(from, "s."+staged(i)+"::"+c.kind)
		if c.name != p.key {
			set = append(set, quoted(c.name)+" = excluded."+quoted(c.name))
		}
	}
	set = append(set, quoted(columnSynced)+" = pg_catalog.now()")
	if replace != nil {
		into, from = append(into, quoted(columnSession)), append(from, strconv.FormatInt(replace.Session, 10))
		set = append(set, quoted(columnSession)+" = excluded."+quoted(columnSession))
	}
	if slices.ContainsFunc(t.columns, func(c column) bool { return c.name == columnLeft }) {
		set = append(set, quoted(columnLeft)+" = NULL")
	}
	key := staged(p.at(p.key))
	return `WITH done AS (INSERT INTO ` + d.qualified(name) + ` AS t (` + strings.Join(into, ", ") + `)
		SELECT DISTINCT ON (s.` + key + `) ` + strings.Join(from, ", ") + ` FROM pg_temp.usher_batch s ORDER BY s.` + key + `, s.n DESC
		ON CONFLICT (` + quoted(p.key) + `) DO UPDATE SET ` + strings.Join(set, ", ") + `
		RETURNING ` + quoted(p.key) + ` AS id)
		SELECT s.n FROM pg_temp.usher_batch s WHERE NOT EXISTS (SELECT 1 FROM done WHERE done.id = s.` + key + `)`
}

// mark empties our columns of who left and says when.
func (d *destination) mark(name string, t table, p prepared) string {
	return d.leave(name, t, p) + ` FROM pg_temp.usher_batch s
		WHERE t.` + quoted(p.key) + ` = s.` + staged(p.at(p.key)) + ` AND t.` + quoted(columnLeft) + ` IS NULL`
}

// leave begins the statement that marks rows.
func (d *destination) leave(name string, t table, p prepared) string {
	set := []string{quoted(columnLeft) + " = pg_catalog.now()", quoted(columnSynced) + " = pg_catalog.now()"}
	for _, c := range p.columns {
		if c.name != p.key && slices.ContainsFunc(t.columns, func(have column) bool { return have.name == c.name }) {
			set = append(set, quoted(c.name)+" = NULL")
		}
	}
	return `UPDATE ` + d.qualified(name) + ` t SET ` + strings.Join(set, ", ")
}

// endReplacement deletes or marks the rows that no batch of the session wrote, in
// the transaction of its last one. Sent again it finds none.
func (d *destination) endReplacement(ctx context.Context, tx pgx.Tx, name string, t table, p prepared, session int64, marks bool) error {
	who := ` WHERE t.` + quoted(columnSession) + ` IS DISTINCT FROM $1`
	statement := `DELETE FROM ` + d.qualified(name) + ` t` + who
	if marks {
		statement = d.leave(name, t, p) + who + ` AND t.` + quoted(columnLeft) + ` IS NULL`
	}
	_, err := tx.Exec(ctx, statement, session)
	return err
}

// refusal is the error of a batch: one of a replacement cannot be halved, so what
// would be refused whole is refused for good.
func refusal(b provider.Batch, err error) error {
	if b.Replace == nil {
		return err
	}
	return notABatch(err)
}

// remove deletes the rows of who left.
func (d *destination) remove(name string, p prepared) string {
	return `DELETE FROM ` + d.qualified(name) + ` t USING pg_temp.usher_batch s WHERE t.` + quoted(p.key) + ` = s.` + staged(p.at(p.key))
}

func tooLarge(what string) error {
	e := classSize.error()
	e.Message += ": " + what
	return e
}
