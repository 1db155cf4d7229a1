package duckdb

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"usher/internal/warehouse"
)

// rangeCount is about how many ranges numbers and times are divided into.
const rangeCount = 10

// outlying is how many times wider than the middle 98 % all values must lie for
// the ends to become open ranges.
const outlying = 4

// mostFinite is the largest number that is counted in a range.
const mostFinite = 1e300

// edge is a border between two ranges: a number or Unix microseconds, and the text of it.
type edge struct {
	at   float64
	text string
}

// ranges counts numbers or times in ranges of equal width with round borders.
func (b *breakdown) ranges(ctx context.Context) error {
	v := "CAST(v AS DOUBLE)"
	if b.field.Type == warehouse.Time {
		v = "CASE WHEN isfinite(v) THEN CAST(epoch_us(v) AS DOUBLE) END"
	}
	finite := fmt.Sprintf("(SELECT x FROM (SELECT %s AS x FROM %s) WHERE abs(x) <= %g)", v, b.all(), mostFinite)
	var n int64
	var least, most, low, high *float64
	if err := queryRow(ctx, b.tx, "measure values of a field", `SELECT count(*), min(x), max(x), approx_quantile(x, 0.01), approx_quantile(x, 0.99) FROM `+finite,
		b.args, &n, &least, &most, &low, &high); err != nil {
		return err
	}
	if n == 0 {
		b.out.Others = b.out.Present
		return nil
	}
	from, to := *least, *most
	if *most-*least > outlying*(*high-*low) && *high > *low {
		from, to = max(*low, *least), min(*high, *most)
	}
	var edges []edge
	switch b.field.Type {
	case warehouse.Time:
		edges = timeEdges(from, to)
	default:
		edges = numberEdges(from, to, b.field.Type == warehouse.Integer)
	}
	if err := b.countRanges(ctx, finite, edges); err != nil {
		return err
	}
	first, last := &b.out.Values[0], &b.out.Values[len(b.out.Values)-1]
	if *least < edges[0].at {
		first.Value = b.exact(*least)
	}
	if *most >= edges[len(edges)-1].at {
		last.Until = "" // open
	}
	b.out.Others = b.out.Present - n
	return nil
}

// exact is the text of a number or of microseconds.
func (b *breakdown) exact(at float64) string {
	if b.field.Type == warehouse.Time {
		return time.UnixMicro(int64(at)).UTC().Format(time.RFC3339)
	}
	return strconv.FormatFloat(at, 'f', -1, 64)
}

// countRanges counts between each two edges; what lies outside is of the first
// or the last range.
func (b *breakdown) countRanges(ctx context.Context, of string, edges []edge) error {
	which := "CASE"
	for i, e := range edges[1 : len(edges)-1] {
		which += fmt.Sprintf(" WHEN x < %s THEN %d", strconv.FormatFloat(e.at, 'e', -1, 64), i)
	}
	if which == "CASE" {
		which += " WHEN false THEN 0"
	}
	which += fmt.Sprintf(" ELSE %d END", len(edges)-2)
	for i := range edges[1:] {
		b.out.Values = append(b.out.Values, warehouse.BreakdownValue{Value: edges[i].text, Until: edges[i+1].text})
	}
	rows, err := b.tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s AS i, count(*) FROM %s GROUP BY i`, which, of), b.args...)
	if err != nil {
		return fmt.Errorf("count ranges of a field: %w", scrub(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var i int
		var n int64
		if err := rows.Scan(&i, &n); err != nil {
			return fmt.Errorf("count ranges of a field: %w", scrub(ctx, err))
		}
		b.out.Values[i].Count = n
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count ranges of a field: %w", scrub(ctx, err))
	}
	return nil
}

// numberEdges are multiples of 1, 2 or 5 times a power of ten, from one at or
// before from to one after to.
func numberEdges(from, to float64, whole bool) []edge {
	const exact = 1 << 50 // multiples beyond it run into each other
	exponent := -300
	if to > from {
		exponent = max(exponent, int(math.Floor(math.Log10(to/rangeCount-from/rangeCount))))
	}
	if whole {
		exponent = max(exponent, 0)
	}
	for ; ; exponent++ {
		for _, m := range []float64{1, 2, 5} {
			at := func(k float64) float64 { // nearest to the decimal number, which a product with 0.1 is not
				if exponent < 0 {
					return k * m / math.Pow10(-exponent)
				}
				return k * m * math.Pow10(exponent)
			}
			first, last := math.Floor(from/at(1)), math.Floor(to/at(1))+1
			if last-first > rangeCount || max(-first, last) > exact || at(last) <= to {
				continue
			}
			var edges []edge
			for k := first; k <= last; k++ {
				edges = append(edges, edge{at(k), strconv.FormatFloat(at(k)+0, 'f', -1, 64)}) // + 0: not -0
			}
			return edges
		}
	}
}

// timeSteps are the widths of ranges of times, shortest first.
var timeSteps = []struct {
	d      time.Duration
	months int
}{
	{d: time.Second},
	{d: 10 * time.Second},
	{d: time.Minute},
	{d: 5 * time.Minute},
	{d: 15 * time.Minute},
	{d: time.Hour},
	{d: 3 * time.Hour},
	{d: 6 * time.Hour},
	{d: 24 * time.Hour},
	{d: 2 * 24 * time.Hour},
	{d: 7 * 24 * time.Hour},
	{months: 1},
	{months: 2},
	{months: 3},
	{months: 6},
	{months: 12},
	{months: 24},
	{months: 60},
	{months: 120},
	{months: 240},
	{months: 600},
	{months: 1200},
	{months: 6000},
	{months: 12000},
	{months: 60000},
	{months: 1200000},
	{months: 12000000},
}

// timeEdges are round times of the calendar, from one at or before from to one
// after to, all in Unix microseconds.
func timeEdges(from, to float64) []edge {
	first, last := time.UnixMicro(int64(from)).UTC(), time.UnixMicro(int64(to)).UTC()
	for _, s := range timeSteps {
		at, next := first.Truncate(max(s.d, 1)), func(t time.Time) time.Time { return t.Add(s.d) }
		if s.months > 0 {
			month := first.Year()*12 + int(first.Month()) - 1
			month -= ((month % s.months) + s.months) % s.months
			at = time.Date(0, time.Month(month+1), 1, 0, 0, 0, 0, time.UTC)
			next = func(t time.Time) time.Time { return t.AddDate(0, s.months, 0) }
		}
		var edges []edge
		for ; len(edges) <= rangeCount; at = next(at) {
			edges = append(edges, edge{float64(at.UnixMicro()), at.Format(time.RFC3339)})
			if at.After(last) {
				return edges
			}
		}
	}
	return []edge{{from, first.Format(time.RFC3339)}, {math.Nextafter(to, math.Inf(1)), last.Add(time.Microsecond).Format(time.RFC3339)}}
}
