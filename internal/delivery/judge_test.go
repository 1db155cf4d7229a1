package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	failure := func(k activation.Kind, applied bool) error {
		return fmt.Errorf("call: %w", &activation.Error{Kind: k, Code: "X-1", Message: "m", Until: until, MayHaveApplied: applied})
	}
	cases := []struct {
		name   string
		rows   int64
		rc     activation.Receipt
		err    error
		move   move
		state  activation.ItemState
		effect effect
	}{
		{"accepted", 3, activation.Receipt{Accepted: 3}, nil, moveRecord, activation.ItemDelivered, effectNone},
		{"one rejected", 3, activation.Receipt{Accepted: 2, Rejected: 1, Exceptions: []activation.Exception{{Ordinal: 2, Outcome: activation.Rejected}}}, nil, moveRecord, activation.ItemDelivered, effectNone},
		{"unplaced", 3, activation.Receipt{Accepted: 3, Unplaced: 2}, nil, moveRecord, activation.ItemDelivered, effectNone},
		{"answers later", 3, activation.Receipt{PollToken: "t"}, nil, moveRecord, activation.ItemAwaiting, effectNone},
		{"answers later with half an answer", 3, activation.Receipt{Accepted: 1, PollToken: "t"}, nil, moveRecord, activation.ItemAwaiting, effectNone},
		{"too few", 3, activation.Receipt{Accepted: 2}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"too many", 3, activation.Receipt{Accepted: 4}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"negative", 3, activation.Receipt{Accepted: -1, Rejected: 4}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"rejected without a position", 3, activation.Receipt{Accepted: 2, Rejected: 1}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"position outside", 3, activation.Receipt{Accepted: 2, Rejected: 1, Exceptions: []activation.Exception{{Ordinal: 3, Outcome: activation.Rejected}}}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"position twice", 3, activation.Receipt{Accepted: 1, Rejected: 2, Exceptions: []activation.Exception{{Ordinal: 1, Outcome: activation.Rejected}, {Ordinal: 1, Outcome: activation.Rejected}}}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"more unplaced than accepted", 3, activation.Receipt{Accepted: 3, Unplaced: 4}, nil, moveRecord, activation.ItemUnknown, effectFail},
		{"down", 3, activation.Receipt{}, failure(activation.Unavailable, false), moveRequeue, "", effectTrouble},
		{"timeout", 3, activation.Receipt{}, failure(activation.Unavailable, true), moveRecord, activation.ItemUnknown, effectTrouble},
		{"throttled", 3, activation.Receipt{}, failure(activation.WaitUntil, false), moveRequeue, "", effectWait},
		{"token", 3, activation.Receipt{}, failure(activation.Unauthorized, false), moveRecord, activation.ItemFailed, effectFail},
		{"invalid", 3, activation.Receipt{}, failure(activation.Invalid, false), moveRecord, activation.ItemFailed, effectFail},
		{"refused whole", 3, activation.Receipt{}, failure(activation.RefusedWhole, false), moveHalve, "", effectNone},
		{"one row refused whole", 1, activation.Receipt{}, failure(activation.RefusedWhole, false), moveRecord, activation.ItemDelivered, effectNone},
		{"gone", 3, activation.Receipt{}, failure(activation.Gone, false), moveRequeue, "", effectGone},
		{"ours", 3, activation.Receipt{}, failure(activation.Internal, false), moveRequeue, "", effectTrouble},
		{"cut off", 3, activation.Receipt{}, context.Canceled, moveRecord, activation.ItemUnknown, effectTrouble},
		{"odd", 3, activation.Receipt{}, errors.New("odd"), moveRecord, activation.ItemUnknown, effectTrouble},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := judge(c.rows, c.rc, c.err)
			if r.move != c.move || r.state != c.state || r.effect != c.effect {
				t.Errorf("judged %s %s %s, want %s %s %s", r.move, r.state, r.effect, c.move, c.state, c.effect)
			}
			if (r.effect != effectNone) != (r.err != nil) && r.move != moveRecord {
				t.Errorf("effect %s with error %v", r.effect, r.err)
			}
		})
	}
}

// TestJudgeNeverForgets: whatever may have taken effect is unknown and never
// goes back to the queue, and a recorded receipt speaks of every row.
func TestJudgeNeverForgets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.Int64Range(1, 50).Draw(t, "rows")
		e := &activation.Error{Kind: rapid.SampledFrom(activation.Kinds).Draw(t, "kind"), MayHaveApplied: rapid.Bool().Draw(t, "applied")}
		r := judge(rows, activation.Receipt{}, e)
		if e.MayHaveApplied && (r.move != moveRecord || r.state != activation.ItemUnknown || r.receipt.Unknown != rows) {
			t.Fatalf("%s that may have applied is %s %s", e.Kind, r.move, r.state)
		}
		rc := r.receipt
		if r.move == moveRecord && rc.Accepted+rc.Rejected+rc.Unknown+rc.Unsent != rows {
			t.Fatalf("the receipt of %d rows speaks of %+v", rows, rc)
		}
	})
}

func TestPatience(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p patience
	var waited time.Duration
	last := time.Duration(0)
	for {
		next, pause, ok := p.again(now.Add(waited))
		if !ok {
			break
		}
		if pause < last || pause > longestPause {
			t.Fatalf("pause %s after %s", pause, last)
		}
		p, waited, last = next, waited+pause, pause
	}
	if waited < 45*time.Second || waited > time.Minute {
		t.Errorf("gave up after %s, want about a minute", waited)
	}
}

// After a fault of ours a run is tried again in a second, and ever later while
// it happens again.
func TestStumbles(t *testing.T) {
	d := New(Config{})
	var got []time.Duration
	for range 8 {
		got = append(got, d.stumble("r"))
		d.stumbled("r", true)
	}
	s := time.Second
	if want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, time.Minute, time.Minute}; !slices.Equal(got, want) {
		t.Errorf("pauses of %v, want %v", got, want)
	}
	if got := d.stumble("another"); got != s {
		t.Errorf("another run pauses %s, want a second", got)
	}
	d.stumbled("r", false)
	if got := d.stumble("r"); got != s || len(d.stumbles) != 0 {
		t.Errorf("after an attempt without a fault: %s, %d noted", got, len(d.stumbles))
	}
}
