package tracking_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// books is a control store and a data plane with one run in them.
type books struct {
	run      activation.Run
	items    []activation.Item
	receipts map[activation.ItemID][]activation.Receipt
	staged   []warehouse.StagedRow
	err      error // what looking up names returns
	looked   int
}

func (b *books) Runs(context.Context, store.RunFilter) ([]activation.Run, error) {
	return []activation.Run{b.run, b.run}, nil
}
func (b *books) Run(context.Context, activation.RunID) (activation.Run, error) { return b.run, nil }
func (b *books) Items(context.Context, activation.RunID) ([]activation.Item, error) {
	return b.items, nil
}

func (b *books) ItemTallies(_ context.Context, runs []activation.RunID) (map[activation.RunID]store.ItemTally, error) {
	out := map[activation.RunID]store.ItemTally{}
	for _, id := range runs {
		out[id] = store.ItemTally{Total: 5, Done: 3, Failed: 2}
	}
	return out, nil
}

func (b *books) Receipts(context.Context, activation.RunID) (map[activation.ItemID][]activation.Receipt, error) {
	return b.receipts, nil
}

func (b *books) RetryVerdict(context.Context, activation.RunID) (bool, string, error) {
	return false, "run #7 carries these", nil
}

func (b *books) RetryVerdicts(_ context.Context, ids []activation.RunID) (map[activation.RunID]store.Verdict, error) {
	out := map[activation.RunID]store.Verdict{}
	for _, id := range ids {
		out[id] = store.Verdict{Reason: "run #7 carries these"}
	}
	return out, nil
}

func (b *books) Audience(context.Context, activation.AudienceID) (activation.Audience, error) {
	b.looked++
	return activation.Audience{Slug: "high", Name: "High"}, b.err
}

func (b *books) Destination(context.Context, activation.DestinationID) (activation.Destination, error) {
	return activation.Destination{Name: "Shop", Provider: "meta"}, b.err
}

func (b *books) Job(context.Context, activation.JobID) (activation.Job, error) {
	return activation.Job{Name: "Job"}, b.err
}

func (b *books) Targets(context.Context, store.TargetFilter) ([]activation.Target, error) {
	return []activation.Target{{ID: "t", Generation: 2}}, nil
}

func (b *books) Holdings(_ context.Context, _ activation.TargetID, generation int) (warehouse.Holdings, error) {
	return warehouse.Holdings{In: int64(generation)}, nil
}

func (b *books) StagedView(_ context.Context, _ activation.RunID, first, last int64, limit int) ([]warehouse.StagedRow, error) {
	if b.staged == nil {
		return nil, activation.ErrNotFound
	}
	var out []warehouse.StagedRow
	for _, r := range b.staged {
		if r.Ordinal >= first && r.Ordinal <= last && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func watch(b *books) *tracking.Tracking {
	return &tracking.Tracking{Store: b, Ledger: b, Providers: []provider.Definition{{Name: "meta", DestinationType: "Facebook Ads"}}}
}

func item(id string, number int, first, last int64, s activation.ItemState, code string) activation.Item {
	return activation.Item{ID: activation.ItemID(id), Number: number, First: first, Last: last, State: s, Code: code, Message: "because of " + code}
}

// TestCauses: items and rows that went wrong are grouped by code, the most rows
// first; what went well or was not tried again is no cause.
func TestCauses(t *testing.T) {
	rejected := func(n int64, code string) activation.Exception {
		return activation.Exception{Ordinal: n, Outcome: activation.Rejected, Code: code}
	}
	b := &books{
		run: activation.Run{Status: activation.RunFailed, ErrorCode: "META-AUTH", ErrorText: "expired"},
		items: []activation.Item{
			item("a", 1, 0, 9, activation.ItemFailed, "META-AUTH"),
			item("b", 2, 10, 19, activation.ItemFailed, "META-AUTH"),
			item("c", 3, 20, 24, activation.ItemUnknown, ""),
			item("d", 4, 25, 29, activation.ItemDelivered, ""),
			item("e", 5, 30, 39, activation.ItemDelivered, ""),
			item("f", 6, 40, 49, activation.ItemSplit, "META-SIZE"),
			item("g", 7, 50, 59, activation.ItemWithdrawn, ""),
		},
		receipts: map[activation.ItemID][]activation.Receipt{
			"a": {{Exceptions: []activation.Exception{rejected(0, "META-DATA")}}}, // a failed item counts once, as a whole
			"d": {
				{Exceptions: []activation.Exception{rejected(0, "META-SIZE")}}, // an earlier attempt
				{Exceptions: []activation.Exception{rejected(0, "META-DATA"), rejected(1, "META-DATA"), {Ordinal: 2, Outcome: activation.Superseded}, {Ordinal: 3, Outcome: activation.Unknown}}},
			},
			"e": {{Unplaced: 3, Exceptions: []activation.Exception{rejected(4, "META-DATA")}}},
		},
	}
	v, items, err := watch(b).Run(t.Context(), "r")
	if err != nil || len(items) != len(b.items) {
		t.Fatal(err, len(items))
	}
	const pages = "docs/troubleshooting/"
	want := []tracking.Cause{
		{Code: "META-AUTH", Message: "because of META-AUTH", Items: 2, Rows: 20, Page: pages + "meta-auth.md", Advice: "Make a new system-user token, store it as a new authorization and replace the old one with it."},
		{Code: "UNKNOWN-000", Message: "because of ", Items: 2, Rows: 6, Page: pages + "unknown.md", Advice: "Retry the run."},
		{Code: "META-DATA", Message: "refused by the network", Items: 2, Rows: 3, Page: pages + "meta-data.md", Advice: "Correct the value at its source, or the destination's mapping if every row is refused."},
		{Code: "UNPLACED", Message: "the network called these rows invalid without saying which", Items: 1, Rows: 3, Page: pages + "unplaced.md", Advice: "Look at the field each match key is mapped to (usher destination show ID) and at a few of its values."},
	}
	if !slices.Equal(v.Errors, want) {
		t.Errorf("causes are\n%+v\nwant\n%+v", v.Errors, want)
	}
	if v.ItemsDone != 2 || v.ItemsFailed != 3 {
		t.Errorf("%d done, %d failed, want 2 and 3", v.ItemsDone, v.ItemsFailed)
	}
	if v.Retry.Allowed || v.Retry.Reason != "run #7 carries these" || v.DestinationType != "Facebook Ads" || v.AudienceSlug != "high" || v.JobName != "Job" {
		t.Errorf("the view is %+v", v)
	}
}

// TestRunErrorIsACause: a run that failed before any item has its own error as
// cause.
func TestRunErrorIsACause(t *testing.T) {
	b := &books{run: activation.Run{Status: activation.RunFailed, ErrorCode: "MAPPING", ErrorText: "does not fit"}}
	v, _, err := watch(b).Run(t.Context(), "r")
	if err != nil || len(v.Errors) != 1 || v.Errors[0].Code != "MAPPING" || v.Errors[0].Message != "does not fit" || v.Errors[0].Items != 0 {
		t.Errorf("%+v, %v", v.Errors, err)
	}
}

// TestOutcomes: each row of an item has the item's outcome unless the last
// receipt says otherwise.
func TestOutcomes(t *testing.T) {
	var staged []warehouse.StagedRow
	for n := range int64(30) {
		staged = append(staged, warehouse.StagedRow{Ordinal: n, Profile: 100 + n})
	}
	for state, rest := range map[activation.ItemState]activation.Outcome{
		activation.ItemDelivered: activation.Accepted, activation.ItemUnknown: activation.Unknown, activation.ItemFailed: activation.Unsent,
		activation.ItemWithdrawn: activation.Unsent, activation.ItemSuperseded: activation.Superseded, activation.ItemQueued: "", activation.ItemAwaiting: "",
	} {
		b := &books{staged: staged, items: []activation.Item{item("a", 1, 0, 9, state, ""), item("b", 2, 10, 19, state, "")}, receipts: map[activation.ItemID][]activation.Receipt{
			"b": {{Exceptions: []activation.Exception{{Ordinal: 0, Outcome: activation.Rejected, Code: "OLD"}}}, {Exceptions: []activation.Exception{{Ordinal: 2, Outcome: activation.Rejected, Code: "META-DATA"}}}},
		}}
		d, err := watch(b).Item(t.Context(), "r", 2, 4)
		if err != nil || len(d.Rows) != 4 || d.More != 6 || len(d.Receipts) != 2 {
			t.Fatalf("%s: %d rows, %d more, %v", state, len(d.Rows), d.More, err)
		}
		for i, r := range d.Rows {
			want, code := rest, ""
			if i == 2 {
				want, code = activation.Rejected, "META-DATA"
			}
			if r.Ordinal != int64(10+i) || r.Outcome != want || r.Code != code {
				t.Errorf("%s: row %d is %d %q %q, want %q %q", state, i, r.Ordinal, r.Outcome, r.Code, want, code)
			}
		}
	}
	b := &books{items: []activation.Item{item("a", 1, 0, 9, activation.ItemDelivered, "")}}
	if d, err := watch(b).Item(t.Context(), "r", 1, 4); err != nil || len(d.Rows) != 0 || d.More != 10 {
		t.Errorf("an item whose rows were purged: %+v, %v", d, err)
	}
	if _, err := watch(b).Item(t.Context(), "r", 2, 4); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("an item that is not there: %v", err)
	}
}

// TestNames: each name is looked up once for a list; what was deleted has none;
// a store that fails is an error.
func TestNames(t *testing.T) {
	b := &books{run: activation.Run{Status: activation.RunCompleted, Counts: activation.Counts{Unplaced: 1}}}
	list, err := watch(b).List(t.Context(), store.RunFilter{})
	if err != nil || len(list) != 2 || b.looked != 1 || list[1].DestinationName != "Shop" || !list[0].WithErrors() || list[0].ItemsDone != 3 || list[0].ItemsFailed != 2 {
		t.Errorf("%d runs, looked %d times, %v", len(list), b.looked, err)
	}
	b.err = activation.ErrNotFound
	if list, err := watch(b).List(t.Context(), store.RunFilter{}); err != nil || len(list) != 2 {
		t.Errorf("deleted things: %v", err)
	}
	b.err = errors.New("locked")
	if _, err := watch(b).List(t.Context(), store.RunFilter{}); err == nil {
		t.Error("a store that fails went unseen")
	}
	b.err = nil
	targets, err := watch(b).Targets(t.Context(), store.TargetFilter{})
	if err != nil || len(targets) != 1 || targets[0].Holdings.In != 2 || targets[0].DestinationType != "Facebook Ads" {
		t.Errorf("targets: %+v, %v", targets, err)
	}
}

func TestDuration(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	v := tracking.View{Run: activation.Run{StartedAt: start}}
	if got := v.Duration(start.Add(time.Minute)); got != time.Minute {
		t.Errorf("an open run took %s", got)
	}
	v.EndedAt = start.Add(time.Second)
	if got := v.Duration(start.Add(time.Minute)); got != time.Second {
		t.Errorf("an ended run took %s", got)
	}
}
