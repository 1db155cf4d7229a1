package web

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// farSide is a network that was compared, and the people by whom it differs.
type farSide struct {
	last activation.Reconciliation
	rows []warehouse.DriftRow
}

func (f farSide) Reconciliations(context.Context, activation.TargetID, int) ([]activation.Reconciliation, error) {
	return []activation.Reconciliation{f.last}, nil
}

func (f farSide) DriftRows(_ context.Context, _ activation.TargetID, after int64, limit int) (out []warehouse.DriftRow, _ error) {
	for _, r := range f.rows {
		if r.N > after && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

// comparedPage is the part of a target's page that tells of it.
func comparedPage(t *testing.T, f farSide, path string) string {
	t.Helper()
	c := New(Config{Log: slog.New(slog.DiscardHandler), Now: time.Now, Comparisons: f, Differences: f})
	p := targetPage{Compare: &button{Text: "Compare now"}, Tells: "It tells."}
	place := targetPlace{TargetView: tracking.TargetView{Target: activation.Target{ID: "t1", Generation: 1}}}
	if err := c.comparisons(asked(t, path), place, &p); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.templates["target"].ExecuteTemplate(&b, "target-compared", pageData{view: view{Body: p}}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDifferences: three who were taken out and two who were put in are named,
// and nobody else.
func TestDifferences(t *testing.T) {
	f := farSide{last: activation.Reconciliation{Generation: 1, Method: activation.ByMembers, Status: activation.ReconcileDrifted, Ledger: 140, RemoteLow: 139, RemoteHigh: 139, Missing: 3, Extra: 2, AskedBy: "ann"}}
	for i, profile := range []int64{11, 12, 13, 14, 0} {
		kind := warehouse.DriftMissing
		if i > 2 {
			kind = warehouse.DriftExtra
		}
		f.rows = append(f.rows, warehouse.DriftRow{N: int64(i + 1), Kind: kind, Profile: profile, Keys: []string{"EMAIL"}})
	}
	page := comparedPage(t, f, "/targets/t1")
	for what, n := range map[string]int{"Missing there": 3, "Extra there": 2, ">EMAIL<": 5, "nobody here": 1, `<td class="mono">14</td>`: 1, "Differs": 1, `href="/targets/t1/repair"`: 1} {
		if got := strings.Count(page, what); got != n {
			t.Errorf("%q is there %d times, want %d", what, got, n)
		}
	}
	// What another generation held, what is mended already, and what the network
	// told by number alone name nobody.
	for what, change := range map[string]func(*activation.Reconciliation){
		"generation": func(r *activation.Reconciliation) { r.Generation = 2 },
		"repaired":   func(r *activation.Reconciliation) { r.Status = activation.ReconcileRepaired },
		"size":       func(r *activation.Reconciliation) { r.Method = activation.BySize },
	} {
		g := f
		change(&g.last)
		if page := comparedPage(t, g, "/targets/t1"); strings.Contains(page, "Plan a repair") || strings.Contains(page, "Missing there") {
			t.Errorf("%s: differences are named", what)
		}
	}
}

// TestDifferencesPages: a long list goes on where the page ends.
func TestDifferencesPages(t *testing.T) {
	f := farSide{last: activation.Reconciliation{Generation: 1, Method: activation.ByMembers, Status: activation.ReconcileDrifted}}
	for i := range int64(differencesShown + 7) {
		f.rows = append(f.rows, warehouse.DriftRow{N: i + 1, Kind: warehouse.DriftMissing, Profile: i + 1})
	}
	more := fmt.Sprintf(`href="/targets/t1?after=%d#differences"`, differencesShown)
	if page := comparedPage(t, f, "/targets/t1"); strings.Count(page, "Missing there") != differencesShown || !strings.Contains(page, more) {
		t.Errorf("the first page has %d differences, and %s", strings.Count(page, "Missing there"), page[max(0, len(page)-200):])
	}
	if page := comparedPage(t, f, fmt.Sprintf("/targets/t1?after=%d", differencesShown)); strings.Count(page, "Missing there") != 7 || strings.Contains(page, "#differences\">More") {
		t.Errorf("the second page has %d differences", strings.Count(page, "Missing there"))
	}
}

func TestComparisonWords(t *testing.T) {
	for _, c := range []struct {
		r    activation.Reconciliation
		want string
	}{
		{activation.Reconciliation{Method: activation.BySize, Status: activation.ReconcileEqual, RemoteLow: 1000, RemoteHigh: 1000}, "1,000"},
		{activation.Reconciliation{Method: activation.BySize, Status: activation.ReconcileDrifted, RemoteLow: 1000, RemoteHigh: 2000}, "1,000 to 2,000"},
		{activation.Reconciliation{Method: activation.BySize, Status: activation.ReconcileUntold, RemoteLow: -1, RemoteHigh: -1}, "–"},
		{activation.Reconciliation{Method: activation.ByNothing, Status: activation.ReconcileUntold}, "–"},
		{activation.Reconciliation{Method: activation.ByMembers, Status: activation.ReconcileFailed}, "–"},
	} {
		if got := comparisonOf(c.r).Remote; got != c.want {
			t.Errorf("%+v has %q at the network, want %q", c.r, got, c.want)
		}
	}
}
