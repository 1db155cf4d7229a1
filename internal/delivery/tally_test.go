package delivery

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// TestTally: however items end, their rows add up to what was staged.
func TestTally(t *testing.T) {
	t.Parallel()
	states := []activation.ItemState{activation.ItemQueued, activation.ItemDelivered, activation.ItemAwaiting, activation.ItemFailed, activation.ItemUnknown, activation.ItemWithdrawn, activation.ItemSuperseded}
	rapid.Check(t, func(t *rapid.T) {
		var segments []warehouse.Segment
		next := int64(0)
		for range rapid.IntRange(1, 4).Draw(t, "segments") {
			n := rapid.Int64Range(1, 40).Draw(t, "rows")
			segments = append(segments, warehouse.Segment{Phase: 1, Op: rapid.SampledFrom([]activation.Op{activation.OpAdd, activation.OpRemove}).Draw(t, "op"), Plain: rapid.Bool().Draw(t, "plain"), First: next, Last: next + n - 1})
			next += n
		}
		items, withheld := cut("r", segments, rapid.Int64Range(1, 15).Draw(t, "cut"), rapid.Bool().Draw(t, "withhold"))
		receipts := map[activation.ItemID][]activation.Receipt{}
		for i := 0; i < len(items); i++ {
			it := &items[i]
			if it.Rows() > 1 && rapid.IntRange(0, 5).Draw(t, "split") == 0 {
				it.State = activation.ItemSplit
				items = append(items, halves(*it)...)
				continue
			}
			it.State, it.Attempt = rapid.SampledFrom(states).Draw(t, "state"), 1
			if rc, ok := drawReceipt(t, *it); ok {
				receipts[it.ID] = append(receipts[it.ID], activation.Receipt{Unknown: it.Rows(), Attempt: 0}, rc)
			}
		}
		c := tally(activation.Counts{Staged: next, Withheld: withheld, Sent: 99}, items, receipts)
		if err := c.CheckLaws(); err != nil {
			t.Fatal(err)
		}
	})
}

// drawReceipt draws a receipt that adds up to the item's rows.
func drawReceipt(t *rapid.T, it activation.Item) (activation.Receipt, bool) {
	rows := it.Rows()
	rc := activation.Receipt{Attempt: it.Attempt}
	skipped := rapid.Int64Range(0, rows-1).Draw(t, "skipped")
	switch it.State {
	case activation.ItemDelivered:
		rc.Rejected = rapid.Int64Range(0, rows-skipped).Draw(t, "rejected")
		rc.Accepted, rc.Superseded = rows-skipped-rc.Rejected, skipped
	case activation.ItemUnknown:
		rc.Unknown, rc.Superseded = rows-skipped, skipped
		return rc, rapid.Bool().Draw(t, "taken over")
	case activation.ItemAwaiting:
		rc.Superseded, rc.PollToken = skipped, "t"
	case activation.ItemFailed:
		rc.Unsent, rc.Superseded = rows-skipped, skipped
	default:
		return rc, false
	}
	return rc, true
}

// TestCut: items tile the segments in order, none longer than asked, none of a
// plain removal that is withheld.
func TestCut(t *testing.T) {
	t.Parallel()
	segments := []warehouse.Segment{
		{Phase: 1, Op: activation.OpRemove, Plain: true, First: 0, Last: 9},
		{Phase: 1, Op: activation.OpRemove, First: 10, Last: 11},
		{Phase: 1, Op: activation.OpAdd, Plain: true, First: 12, Last: 20},
		{Phase: 2, Op: activation.OpReadd, First: 21, Last: 21},
	}
	items, withheld := cut("r", segments, 4, false)
	next := int64(0)
	for n, it := range items {
		if it.First != next || it.Rows() > 4 || it.Number != n+1 {
			t.Errorf("item %d: %d..%d, want from %d", it.Number, it.First, it.Last, next)
		}
		next = it.Last + 1
	}
	if next != 22 || withheld != 0 || len(items) != 3+1+3+1 {
		t.Errorf("%d items up to %d, %d withheld", len(items), next, withheld)
	}
	items, withheld = cut("r", segments, 4, true)
	if withheld != 10 || items[0].First != 10 || items[0].Plain {
		t.Errorf("withheld %d, first item %+v", withheld, items[0])
	}
}

func TestRowsPerItem(t *testing.T) {
	t.Parallel()
	keys := []matchkey.Key{{Name: "EMAIL", Hash: true}, {Name: "CITY"}}
	for _, c := range []struct {
		def  provider.Definition
		most int
		want int64
	}{
		{provider.Definition{MaxRows: 10_000}, 0, 10_000},
		{provider.Definition{MaxRows: 10_000}, 500, 500},
		{provider.Definition{MaxRows: 10_000, MaxBytes: bodyBytes + 1000*(hashedBytes+plainBytes+rowBytes)}, 0, 1000},
		{provider.Definition{MaxRows: 10_000, MaxBytes: 1}, 0, 1},
		{provider.Definition{}, 0, 1},
	} {
		if got := rowsPerItem(c.def, keys, c.most); got != c.want {
			t.Errorf("%d rows, want %d", got, c.want)
		}
	}
}

// TestLift: a receipt about the rows that were sent becomes one about all rows
// of the item, each row with its own outcome.
func TestLift(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 30).Draw(t, "rows")
		var s skips
		var rc activation.Receipt
		want := make([]activation.Outcome, rows)
		batch := int64(0)
		for i := range rows {
			want[i] = rapid.SampledFrom([]activation.Outcome{activation.Accepted, activation.Rejected, activation.Unknown, activation.Superseded}).Draw(t, "outcome")
			if want[i] == activation.Superseded {
				s = append(s, activation.Exception{Ordinal: int64(i), Outcome: activation.Superseded})
				continue
			}
			if want[i] != activation.Accepted {
				rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: batch, Outcome: want[i]})
			}
			batch++
		}
		got := make([]activation.Outcome, rows)
		for i := range got {
			got[i] = activation.Accepted
		}
		lifted := s.lift(rc)
		for _, x := range lifted.Exceptions {
			got[x.Ordinal] = x.Outcome
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("row %d is %s, want %s", i, got[i], want[i])
			}
		}
		if len(skipsOf(lifted)) != len(s) {
			t.Fatal("the skipped rows are not found again")
		}
	})
}

// TestFoldOfUnknown: what was in flight at a takeover is unknown row by row,
// but for the rows that were never put into the batch.
func TestFoldOfUnknown(t *testing.T) {
	t.Parallel()
	it := activation.Item{ID: "i", First: 10, Last: 19, Attempt: 2, State: activation.ItemUnknown}
	old := []activation.Receipt{{Attempt: 1, Unknown: 9, Superseded: 1, Exceptions: []activation.Exception{{Ordinal: 3, Outcome: activation.Superseded}}}}
	f := foldOf(activation.Run{ID: "r"}, it, receiptOf(it, old), time.Time{})
	if f.Outcome != activation.Unknown || len(f.Exceptions) != 0 {
		t.Errorf("a receipt of an earlier attempt was used: %+v", f)
	}
	it.Attempt = 1
	f = foldOf(activation.Run{ID: "r"}, it, receiptOf(it, old), time.Time{})
	if f.Outcome != activation.Unknown || len(f.Exceptions) != 1 {
		t.Errorf("the skipped row is lost: %+v", f)
	}
}
