package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// What a breakdown costs at most: an exact count of values keeps every one of
// them in memory, so that a field with more than breakdownValues values has its
// most frequent ones found by a sketch of fixed size.
const (
	breakdownValues = 100_000
	breakdownLimit  = 10  // values listed where nobody says how many
	mostBreakdown   = 100 // and at most
)

// breakdown counts the values of one field in one snapshot.
type breakdown struct {
	tx    *sql.Tx
	field warehouse.Field
	limit int
	from  string // profiles p, those the rule selects, as SQL
	args  []any
	out   warehouse.Breakdown
}

// Breakdown spreads the people a rule selects over the values of a field.
// Identifiers and personal fields are only counted.
func (d *DB) Breakdown(ctx context.Context, rule, field string, now time.Time, limit int) (warehouse.Breakdown, error) {
	f, ok := d.state.snapshot().field(field)
	if !ok {
		return warehouse.Breakdown{}, &activation.Error{Kind: activation.Invalid, Code: "SCHEMA", Field: "field", Message: fmt.Sprintf("field: %q is not declared", field)}
	}
	if limit <= 0 {
		limit = breakdownLimit
	}
	c, err := d.compiled(ctx, rule, now, 1)
	if err != nil {
		return warehouse.Breakdown{}, err
	}
	b := &breakdown{field: f, limit: min(limit, mostBreakdown), from: "FROM profiles p WHERE (" + c.SQL + ")", args: c.Args}
	b.out = warehouse.Breakdown{Field: f.Name, Values: []warehouse.BreakdownValue{}}
	err = d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			b.tx = tx
			return b.count(ctx)
		})
	})
	return b.out, err
}

// value is the field, as SQL, NULL where rules call it missing.
func (b *breakdown) value() string {
	column := "p." + quote(b.field.Name)
	switch b.field.Type {
	case warehouse.Text:
		return "nullif(" + column + ", '')"
	case warehouse.TextSet:
		return "CASE WHEN len(" + column + ") > 0 THEN " + column + " END"
	}
	return column
}

// all is a relation v(v), as SQL, of every value there is: members of sets one by one.
func (b *breakdown) all() string {
	v := b.value()
	if b.field.Type == warehouse.TextSet {
		v = "unnest(" + v + ")"
	}
	return "(SELECT v FROM (SELECT " + v + " AS v " + b.from + ") WHERE v IS NOT NULL)"
}

func (b *breakdown) count(ctx context.Context) error {
	if err := queryRow(ctx, b.tx, "count values of a field", `SELECT count(*), count(`+b.value()+`) `+b.from, b.args, &b.out.People, &b.out.Present); err != nil {
		return err
	}
	if err := queryRow(ctx, b.tx, "count values of a field", `SELECT approx_count_distinct(v) FROM `+b.all(), b.args, &b.out.Distinct); err != nil {
		return err
	}
	if b.out.Distinct <= breakdownValues {
		if err := queryRow(ctx, b.tx, "count values of a field", `SELECT count(DISTINCT v) FROM `+b.all(), b.args, &b.out.Distinct); err != nil {
			return err
		}
	} else if b.field.Type != warehouse.TextSet {
		b.out.Distinct = min(b.out.Distinct, b.out.Present)
	}
	if b.field.PII || b.field.Rank > 0 || b.out.Present == 0 {
		return nil
	}
	ranged := b.field.Type == warehouse.Integer || b.field.Type == warehouse.Number || b.field.Type == warehouse.Time
	if ranged && b.out.Distinct > int64(b.limit) {
		return b.ranges(ctx)
	}
	if err := b.top(ctx); err != nil {
		return err
	}
	return b.others(ctx)
}

// top lists the most frequent values; numbers and times, which are few, in order.
func (b *breakdown) top(ctx context.Context) error {
	all := b.all()
	if b.out.Distinct > breakdownValues {
		all = fmt.Sprintf("(SELECT v FROM %[1]s WHERE v IN (SELECT unnest(approx_top_k(v, %[2]d)) FROM %[1]s))", all, b.limit)
	}
	order := "2 DESC, 1"
	switch b.field.Type {
	case warehouse.Integer, warehouse.Number, warehouse.Time:
		order = "v"
	}
	text := "CAST(v AS VARCHAR)"
	if b.field.Type == warehouse.Time {
		text = rfc3339("v")
	}
	rows, err := b.tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s, count(*) FROM %s GROUP BY v ORDER BY %s LIMIT %d`, text, all, order, b.limit), b.args...)
	if err != nil {
		return fmt.Errorf("list values of a field: %w", scrub(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var v warehouse.BreakdownValue
		if err := rows.Scan(&v.Value, &v.Count); err != nil {
			return fmt.Errorf("list values of a field: %w", scrub(ctx, err))
		}
		b.out.Values = append(b.out.Values, v)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list values of a field: %w", scrub(ctx, err))
	}
	return nil
}

// others counts who has a value that is not listed.
func (b *breakdown) others(ctx context.Context) error {
	if b.field.Type != warehouse.TextSet {
		b.out.Others = b.out.Present
		for _, v := range b.out.Values {
			b.out.Others -= v.Count
		}
		return nil
	}
	args := slices.Clone(b.args)
	var listed []string
	for _, v := range b.out.Values {
		args = append(args, v.Value)
		listed = append(listed, fmt.Sprintf("CAST($%d AS VARCHAR)", len(args)))
	}
	return queryRow(ctx, b.tx, "count other values", fmt.Sprintf(`SELECT count(*) %s AND len(list_filter(%s, lambda x: x NOT IN (%s))) > 0`,
		b.from, b.value(), strings.Join(listed, ", ")), args, &b.out.Others)
}

// Overlaps counts what each two of these audiences share, and each one alone.
func (d *DB) Overlaps(ctx context.Context, of []activation.AudienceID) ([]warehouse.Overlap, error) {
	var ids []activation.AudienceID
	for _, id := range of {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if len(ids) > warehouse.MaxOverlap {
		return nil, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "segments", Message: fmt.Sprintf("segments: at most %d audiences are compared at a time", warehouse.MaxOverlap)}
	}
	bit := "CASE audience"
	numbers := make([]int, len(ids))
	for i, id := range ids {
		n, _, err := audienceNumber(ctx, d.sql, id)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
		bit += fmt.Sprintf(" WHEN %d THEN %d", n, 1<<i)
	}
	rows, err := d.sql.QueryContext(ctx, fmt.Sprintf(`SELECT mask, count(*) FROM (
		SELECT pid, bit_or(%s END) AS mask FROM membership WHERE audience IN (%s) GROUP BY pid) GROUP BY mask`, bit, joinNumbers(numbers)))
	if err != nil {
		return nil, fmt.Errorf("count who is in several audiences: %w", scrub(ctx, err))
	}
	defer rows.Close()
	both := map[[2]int]int64{}
	for rows.Next() {
		var mask, n int64
		if err := rows.Scan(&mask, &n); err != nil {
			return nil, fmt.Errorf("count who is in several audiences: %w", scrub(ctx, err))
		}
		for i := range ids {
			for j := i; j < len(ids); j++ {
				if mask&(1<<i) != 0 && mask&(1<<j) != 0 {
					both[[2]int{i, j}] += n
				}
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count who is in several audiences: %w", scrub(ctx, err))
	}
	var out []warehouse.Overlap
	for i := range ids {
		for j := i; j < len(ids); j++ {
			out = append(out, warehouse.Overlap{A: ids[i], B: ids[j], Both: both[[2]int{i, j}]})
		}
	}
	return out, nil
}

// Sizes returns the present size of every audience.
func (d *DB) Sizes(ctx context.Context) (map[activation.AudienceID]int64, error) {
	return d.changeNumbers(ctx, `SELECT a.id, coalesce(m.n, 0) FROM audiences a
		LEFT JOIN (SELECT audience, count(*) AS n FROM membership GROUP BY audience) m ON m.audience = a.n`)
}
