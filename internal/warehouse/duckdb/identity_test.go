package duckdb

import (
	"math/rand/v2"
	"slices"
	"testing"

	"usher/internal/warehouse/warehousetest"
)

func TestIdentity(t *testing.T) {
	warehousetest.Identity(t, func(sliceRows int) (warehousetest.IdentityStore, error) {
		return Open(t.Context(), Config{MaxSliceLines: int64(sliceRows), Threads: 2})
	})
}

// TestCutterOfAMillion: a component of a million values is cut.
func TestCutterOfAMillion(t *testing.T) {
	const values, most = 1_000_000, 1000
	// The last value is linked with all others, as a shared e-mail is.
	c := newCutter(values, most)
	for v := range values - 1 {
		c.link(values-1, v)
	}
	if got := c.finish(); !slices.Equal(got, []int{values - 1}) {
		t.Errorf("%d values are capped, want the last one", len(got))
	}
	r := rand.New(rand.NewPCG(1, 2))
	c = newCutter(values, most)
	for v := 1; v < values; v++ {
		c.link(v, r.IntN(v))
	}
	capped := c.finish()
	if len(capped) == 0 || !slices.IsSorted(capped) {
		t.Fatalf("%d values of a random tree are capped", len(capped))
	}
	for v := range int32(values) {
		if n := c.size[c.root(v)]; n > most {
			t.Fatalf("somebody has %d values", n)
		}
	}
}
