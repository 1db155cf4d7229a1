package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// insightFields are told of customers beside the shop's own.
var insightFields = []warehouse.Field{
	{Name: "tags", Type: warehouse.TextSet, Merge: warehouse.Set},
	{Name: "spent", Type: warehouse.Number, Merge: warehouse.Latest},
	{Name: "vip", Type: warehouse.Boolean, Merge: warehouse.Latest},
}

// Insights judges how a warehouse counts people.
func Insights(t *testing.T, open Open) {
	for _, c := range insightCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(newInquiry(t, t.TempDir(), w))
		})
	}
	t.Run("ranges and values count everybody once", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "6")
		rapid.Check(t, func(rt *rapid.T) { everybodyOnce(rt, dir, open) })
	})
}

// inquiry asks about the shop's customers.
type inquiry struct{ *shop }

func newInquiry(t T, dir string, w warehouse.Warehouse) *inquiry {
	t.Helper()
	s := newShop(t, dir, w)
	schema := warehouse.Schema{Fields: insightFields}
	for _, f := range insightFields {
		schema.Mappings = append(schema.Mappings, warehouse.Mapping{Stream: "customers", Field: f.Name, Expression: f.Name})
	}
	s.loader.Apply(t, schema)
	return &inquiry{s}
}

func (q *inquiry) breakdown(rule, field string, limit int) warehouse.Breakdown {
	q.t.Helper()
	b, err := q.Breakdown(context.Background(), rule, field, shopNow, limit)
	q.must(err)
	if b.Field != field || b.Values == nil {
		q.t.Errorf("the breakdown of %s is of %q, its values %v", field, b.Field, b.Values)
	}
	return b
}

// wantBreakdown checks a breakdown, written "people present distinct others: a=1 b..c=2".
func (q *inquiry) wantBreakdown(b warehouse.Breakdown, want string) {
	q.t.Helper()
	got := fmt.Sprintf("%d %d %d %d:", b.People, b.Present, b.Distinct, b.Others)
	for _, v := range b.Values {
		got += " " + v.Value
		if v.Until != "" {
			got += ".." + v.Until
		}
		got += fmt.Sprintf("=%d", v.Count)
	}
	if got != want {
		q.t.Errorf("%s breaks down into %s, want %s", b.Field, got, want)
	}
}

// overlaps writes what audiences share: "a=2 a+b=1 b=3".
func (q *inquiry) overlaps(slugs ...string) string {
	q.t.Helper()
	var ids []activation.AudienceID
	for _, s := range slugs {
		ids = append(ids, idOf(s))
	}
	all, err := q.Overlaps(context.Background(), ids)
	q.must(err)
	var parts []string
	for _, o := range all {
		name := strings.TrimPrefix(string(o.A), "id-of-")
		if o.A != o.B {
			name += "+" + strings.TrimPrefix(string(o.B), "id-of-")
		}
		parts = append(parts, fmt.Sprintf("%s=%d", name, o.Both))
	}
	return strings.Join(parts, " ")
}

var insightCases = []struct {
	name string
	run  func(q *inquiry)
}{
	{"values, the most frequent first", func(q *inquiry) {
		q.customers("ann country=DK vip=true tags=a", "bob country=DK vip=false", "eve country=SE tags=b", "kim country=NO tags=a", "lea", "ann tags=b", "kim tags=c")
		q.wantBreakdown(q.breakdown("FILTER *", "country", 2), "5 4 3 1: DK=2 NO=1")
		q.wantBreakdown(q.breakdown(`FILTER country != "DK"`, "country", 0), "2 2 2 0: NO=1 SE=1")
		q.wantBreakdown(q.breakdown("FILTER *", "vip", 0), "5 2 2 0: false=1 true=1")
		q.wantBreakdown(q.breakdown("FILTER *", "tags", 0), "5 3 3 0: a=2 b=2 c=1")
		q.wantBreakdown(q.breakdown("FILTER *", "tags", 1), "5 3 3 3: a=2")
		q.wantBreakdown(q.breakdown(`FILTER country = "SE"`, "tags", 1), "1 1 1 0: b=1")
		q.wantBreakdown(q.breakdown(`FILTER country = "XX" OR country = "YY"`, "tags", 1), "0 0 0 0:")
		_, err := q.Breakdown(context.Background(), "FILTER *", "colour", shopNow, 0)
		q.wantInvalid(err, "colour")
		_, err = q.Breakdown(context.Background(), "FILTER age", "country", shopNow, 0)
		q.wantInvalid(err, "line 1, column")
	}},
	{"what is personal is counted and not told", func(q *inquiry) {
		q.customers("ann email=ann@example.com phone=1", "bob email=bob@example.com", "eve phone=1")
		q.wantBreakdown(q.breakdown("FILTER *", "email", 0), "3 2 2 0:")
		q.wantBreakdown(q.breakdown("FILTER *", "phone", 0), "3 2 1 0:")
		q.wantBreakdown(q.breakdown("FILTER *", "customer", 0), "3 3 3 0:")
	}},
	{"numbers and times in ranges with round borders", func(q *inquiry) {
		var lines []string
		for i := range 20 {
			lines = append(lines, fmt.Sprintf("c%d orders=%d spent=%g seen=%s", i, i*3, float64(i)/10, shopNow.AddDate(0, 0, -3*i).Format(time.RFC3339)))
		}
		q.customers(lines...)
		q.wantBreakdown(q.breakdown("FILTER orders < 6", "orders", 0), "2 2 2 0: 0=1 3=1")
		q.wantBreakdown(q.breakdown("FILTER *", "orders", 0), "20 20 20 0: 0..10=4 10..20=3 20..30=3 30..40=4 40..50=3 50..60=3")
		q.wantBreakdown(q.breakdown("FILTER *", "spent", 0), "20 20 20 0: 0..0.2=2 0.2..0.4=2 0.4..0.6=2 0.6..0.8=2 0.8..1=2 1..1.2=2 1.2..1.4=2 1.4..1.6=2 1.6..1.8=2 1.8..2=2")
		q.wantBreakdown(q.breakdown("FILTER *", "seen", 0), "20 20 20 0: 2026-08-31T00:00:00Z..2026-09-07T00:00:00Z=1 2026-09-07T00:00:00Z..2026-09-14T00:00:00Z=2 "+
			"2026-09-14T00:00:00Z..2026-09-21T00:00:00Z=3 2026-09-21T00:00:00Z..2026-09-28T00:00:00Z=2 2026-09-28T00:00:00Z..2026-10-05T00:00:00Z=2 "+
			"2026-10-05T00:00:00Z..2026-10-12T00:00:00Z=3 2026-10-12T00:00:00Z..2026-10-19T00:00:00Z=2 2026-10-19T00:00:00Z..2026-10-26T00:00:00Z=2 2026-10-26T00:00:00Z..2026-11-02T00:00:00Z=3")
	}},
	{"a few values far away do not fill the ranges", func(q *inquiry) {
		lines := []string{"far orders=9000000", "near orders=-9223372036854775808"}
		for i := range 300 {
			lines = append(lines, fmt.Sprintf("c%d orders=%d", i, i))
		}
		q.customers(lines...)
		b := q.breakdown("FILTER *", "orders", 0)
		last := b.Values[len(b.Values)-1]
		if len(b.Values) < 5 || b.Values[0].Value != "-9223372036854776000" || last.Until != "" || last.Count > 60 {
			q.t.Errorf("ranges %+v", b.Values)
		}
	}},
	{"how audiences overlap", func(q *inquiry) {
		q.must(q.declare(`danes: FILTER country = "DK"`, `buyers: FILTER orders > 0`, `nobody: FILTER NOT *`, `all: FILTER *`))
		q.customers("ann country=DK orders=1", "bob country=DK orders=2", "eve country=DK", "kim orders=1", "lea")
		if got, want := q.overlaps("buyers", "danes", "nobody", "buyers"), "buyers=3 buyers+danes=2 buyers+nobody=0 danes=3 danes+nobody=0 nobody=0"; got != want {
			q.t.Errorf("overlaps %s, want %s", got, want)
		}
		if got := q.overlaps(); got != "" {
			q.t.Errorf("overlaps of nothing: %s", got)
		}
		if _, err := q.Overlaps(context.Background(), []activation.AudienceID{idOf("danes"), "gone"}); !errors.Is(err, activation.ErrNotFound) {
			q.t.Errorf("an audience that is not there: %v", err)
		}
		var many []activation.AudienceID
		for i := range warehouse.MaxOverlap + 1 {
			many = append(many, activation.AudienceID(strconv.Itoa(i)))
		}
		_, err := q.Overlaps(context.Background(), many)
		q.wantInvalid(err, "at most 12")
		sizes, err := q.Sizes(context.Background())
		q.must(err)
		if len(sizes) != 4 || sizes[idOf("danes")] != 3 || sizes[idOf("all")] != 5 || sizes[idOf("nobody")] != 0 {
			q.t.Errorf("sizes %v", sizes)
		}
	}},
	{"who can be reached by which key", func(q *inquiry) {
		q.must(q.declare(`all: FILTER *`, `nobody: FILTER NOT *`))
		q.customers("ann country=DK email=a@b.c phone=1", "bob email=b@b.c", "eve country=DK", "kim")
		set, err := matchkey.NewSet(accountRules, map[string]string{"EMAIL": "email", "PHONE": "phone", "COUNTRY": "country"}, "")
		q.must(err)
		for slug, want := range map[string]string{"all": "{4 0 2 [{EMAIL 2} {PHONE 1} {COUNTRY 2}]}", "nobody": "{0 0 0 [{EMAIL 0} {PHONE 0} {COUNTRY 0}]}"} {
			reach, err := q.Reach(context.Background(), idOf(slug), set)
			q.must(err)
			if got := fmt.Sprint(reach); got != want {
				q.t.Errorf("reach of %s is %s, want %s", slug, got, want)
			}
		}
		if _, err := q.Reach(context.Background(), "gone", set); !errors.Is(err, activation.ErrNotFound) {
			q.t.Errorf("an audience that is not there: %v", err)
		}
	}},
	{"a cycle of inclusions is refused by name", func(q *inquiry) {
		q.must(q.declare(`a: FILTER country = "DK"`, `b: FILTER INCLUDE "id-of-a"`))
		q.wantInvalid(q.declare(`a: FILTER INCLUDE "id-of-b"`, `b: FILTER INCLUDE "id-of-a"`), "audiences include each other: a → b → a")
		q.wantInvalid(q.declare(`a: FILTER NOT INCLUDE "id-of-a"`), "audiences include each other: a → a")
		q.must(q.declare(`a: FILTER country = "DK"`, `b: FILTER NOT INCLUDE a`))
	}},
}

// everybodyOnce checks a breakdown by counting people in plain Go.
func everybodyOnce(t *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	q := newInquiry(t, dir, w)
	spread := rapid.SampledFrom([]float64{1e-6, 1, 40, 1e9}).Draw(t, "spread")
	var lines []string
	var orders []int64
	var spent []float64
	var seen []time.Time
	for i := range rapid.IntRange(1, 60).Draw(t, "customers") {
		line := fmt.Sprintf("c%d", i)
		if rapid.IntRange(0, 4).Draw(t, "orders there") > 0 {
			n := rapid.Int64Range(int64(-spread), int64(spread)).Draw(t, "orders")
			orders, line = append(orders, n), line+fmt.Sprintf(" orders=%d", n)
		}
		if rapid.IntRange(0, 4).Draw(t, "spent there") > 0 {
			n := rapid.Float64Range(-spread, spread).Draw(t, "spent")
			spent, line = append(spent, n), line+" spent="+strconv.FormatFloat(n, 'f', -1, 64)
		}
		if rapid.IntRange(0, 4).Draw(t, "seen there") > 0 {
			at := shopNow.Add(-time.Duration(rapid.Float64Range(0, min(spread, 9e6)*1e12).Draw(t, "seen"))).Truncate(time.Second)
			seen, line = append(seen, at), line+" seen="+at.Format(time.RFC3339)
		}
		lines = append(lines, line)
	}
	q.customers(lines...)
	var xs []float64
	for _, n := range orders {
		xs = append(xs, float64(n))
	}
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		q.must(err)
		return f
	}
	q.wantCounted("orders", len(lines), xs, number)
	q.wantCounted("spent", len(lines), spent, number)
	xs = nil
	for _, at := range seen {
		xs = append(xs, float64(at.UnixMicro()))
	}
	q.wantCounted("seen", len(lines), xs, func(s string) float64 {
		at, err := time.Parse(time.RFC3339, s)
		q.must(err)
		return float64(at.UnixMicro())
	})
}

// wantCounted compares the ranges or values of a field with what there is.
func (q *inquiry) wantCounted(field string, people int, xs []float64, number func(string) float64) {
	q.t.Helper()
	b := q.breakdown("FILTER *", field, 0)
	if b.People != int64(people) || b.Present != int64(len(xs)) || b.Others != 0 || len(b.Values) > 11 {
		q.t.Fatalf("%s of %d people, %d with a value: %+v", field, people, len(xs), b)
	}
	slices.Sort(xs)
	left := xs
	for i, v := range b.Values {
		from := number(v.Value)
		inside := func(x float64) bool { return x == from }
		switch {
		case v.Until != "":
			until := number(v.Until)
			inside = func(x float64) bool { return x >= from && x < until }
		case i == len(b.Values)-1 && i > 0 && b.Values[i-1].Until != "":
			inside = func(x float64) bool { return x >= from }
		}
		n := 0
		for n < len(left) && inside(left[n]) {
			n++
		}
		if int64(n) != v.Count {
			q.t.Fatalf("%s: range %+v has %d, want %d; values %v in %+v", field, v, v.Count, n, xs, b.Values)
		}
		left = left[n:]
	}
	if len(left) > 0 {
		q.t.Fatalf("%s: %v is in no range of %+v", field, left, b.Values)
	}
}
