package store

import (
	"testing"
	"time"

	"usher/internal/activation"
)

// TestSettledEvents: an id that is missing may belong to a transaction that has
// not committed yet, so nothing behind it is read before it has had its time.
func TestSettledEvents(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	event := func(id int64, ago time.Duration) activation.Event { return activation.Event{ID: id, At: now.Add(-ago)} }
	for name, c := range map[string]struct {
		cursor int64
		events []activation.Event
		want   int
	}{
		"none":              {5, nil, 0},
		"no gap":            {5, []activation.Event{event(6, 0), event(7, 0)}, 2},
		"a gap at once":     {5, []activation.Event{event(7, time.Second)}, 0},
		"a gap later":       {5, []activation.Event{event(6, 0), event(8, time.Second), event(9, 0)}, 1},
		"a gap that stayed": {5, []activation.Event{event(7, time.Minute), event(8, 0)}, 2},
	} {
		if got := settledEvents(c.cursor, c.events, now); len(got) != c.want {
			t.Errorf("%s: %d events are read, want %d", name, len(got), c.want)
		}
	}
}
