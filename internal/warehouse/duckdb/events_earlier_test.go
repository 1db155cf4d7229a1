package duckdb

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/warehouse"
)

// TestSpans compares spans with sets of ordinals.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string) (ranges []warehouse.Range, has [12]bool) {
			for range rapid.IntRange(0, 4).Draw(rt, name) {
				first := rapid.Int64Range(1, 10).Draw(rt, "first")
				r := warehouse.Range{First: first, Last: rapid.Int64Range(first, 10).Draw(rt, "last")}
				ranges = append(ranges, r)
				for n := r.First; n <= r.Last; n++ {
					has[n] = true
				}
			}
			return ranges, has
		}
		all, inAll := draw("all")
		but, inBut := draw("but")
		got := without(spans(all), spans(but))
		var have [12]bool
		for _, s := range got {
			for n := s[0]; n <= s[1]; n++ {
				have[n] = true
			}
		}
		n := int64(0)
		for i := range have {
			if have[i] != (inAll[i] && !inBut[i]) {
				rt.Fatalf("%v without %v is %v", all, but, got)
			}
			if have[i] {
				n++
			}
		}
		if size(got) != n || !slices.IsSortedFunc(got, func(a, b span) int { return int(a[0] - b[0]) }) {
			rt.Fatalf("%v has not %d ordinals in order", got, n)
		}
	})
}
