package linkedin

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

// TestHowLongToWait: LinkedIn does not say whether the minute or the day is used
// up, so the first 429 is taken for the minute and the next one for the day.
func TestHowLongToWait(t *testing.T) {
	refused := answer{status: 429, body: `{"status":429}`}
	s, n := openReady(t, refused)
	deliver := func() time.Time {
		_, err := s.Deliver(context.Background(), batch(1))
		if err == nil {
			return time.Time{}
		}
		e := asError(t, err)
		if e.Kind != activation.WaitUntil || e.MayHaveApplied {
			t.Errorf("got %v", e)
		}
		return e.Until
	}
	want := func(what string, got, want time.Time) {
		t.Helper()
		if !got.Equal(want) {
			t.Errorf("%s: until %v, want %v", what, got, want)
		}
	}
	midnight := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	want("first", deliver(), noon.Add(time.Minute))
	n.pass(30 * time.Second)
	want("within the minute nothing is called", deliver(), noon.Add(time.Minute))
	n.pass(30 * time.Second)
	n.expect(refused)
	want("after the minute", deliver(), midnight)
	n.pass(midnight.Sub(n.time()))
	n.expect(answered(201), refused)
	want("the next day", deliver(), time.Time{})
	want("a minute again", deliver(), midnight.Add(time.Minute))
	n.pass(3 * time.Minute)
	n.expect(refused)
	want("long after the minute", deliver(), midnight.Add(4*time.Minute))
	n.pass(time.Minute)
	n.expect(answer{status: 429, header: map[string]string{"Retry-After": "17"}})
	want("told", deliver(), n.time().Add(17*time.Second))
	if len(n.answers) > 0 {
		t.Errorf("%d answers left", len(n.answers))
	}
}

// TestCallsUnderWayTogetherAreOneRefusal: four calls that were made before the
// first 429 came back are not four of them.
func TestCallsUnderWayTogetherAreOneRefusal(t *testing.T) {
	var g gate
	for i := range 4 {
		got := g.refused(http.Header{}, noon, noon.Add(time.Duration(i)*10*time.Second))
		if want := noon.Add(time.Minute); !got.Equal(want) {
			t.Errorf("call %d: until %v", i, got)
		}
	}
}

// TestGateNeverWaitsLongerThanTheDay: whatever comes, the wait ends at the next
// 00:00 UTC at the latest, or a minute behind it, and is never taken back.
func TestGateNeverWaitsLongerThanTheDay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var g gate
		now, last := noon, time.Time{}
		for range rapid.IntRange(1, 30).Draw(r, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 7200).Draw(r, "seconds")) * time.Second)
			if g.pass(now) != nil {
				continue
			}
			took := time.Duration(rapid.IntRange(0, 90).Draw(r, "took")) * time.Second
			until := g.refused(http.Header{}, now, now.Add(took))
			now = now.Add(took)
			midnight := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
			if until.After(midnight.Add(time.Minute)) || until.Before(last) || g.pass(until) != nil {
				r.Fatal(fmt.Sprintf("at %v: until %v after %v", now, until, last))
			}
			last = until
		}
	})
}
