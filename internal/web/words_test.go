package web

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
)

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		num(0): "0", num(int64(999)): "999", num(1000): "1,000", num(int64(-1234567)): "-1,234,567", dur(0): "0 ms", dur(1500 * time.Millisecond): "1.5 s",
		dur(80 * time.Second): "1 min 20 s", dur(70 * time.Minute): "1 h 10 min", dur(72 * time.Hour): "3 days", sentence(""): "", sentence("é, no"): "É, no.", sentence("Why?"): "Why?",
		many(1, "person"): "1 person", many(2, "person"): "2 people", many(1200, "run"): "1,200 runs", pct(1, 0): "0", pct(1, 3): "33.3",
		utc(time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("x", 3600))): "2026-03-04 04:06:07", every(activation.Job{Schedule: activation.Schedule{Continuous: true}}): "As soon as something changes",
		every(activation.Job{}): "Once",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWrongFields(t *testing.T) {
	invalid := func(field, message string) error {
		return &activation.Error{Kind: activation.Invalid, Field: field, Message: message}
	}
	other := errors.New("disk full")
	for _, c := range []struct {
		name  string
		err   error
		want  map[string]string
		stays bool
	}{
		{"nothing", nil, nil, false},
		{"two fields", invalid("name", "name: is needed; rule: line 1: x; y"), map[string]string{"name": "Is needed.", "rule": "Line 1: x; y."}, false},
		{"only the field is named", invalid("rule", "is wrong"), map[string]string{"rule": "Is wrong."}, false},
		{"no field of the form", invalid("other", "is wrong"), map[string]string{"": "Is wrong."}, false},
		{"name taken", activation.ErrConflict, map[string]string{"": "Not possible in the present state."}, false},
		{"not a matter of the form", other, nil, true},
	} {
		got, err := wrongFields(c.err, "name", "rule")
		if !reflect.DeepEqual(got, c.want) || (err != nil) != c.stays {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestEveryStateHasItsWord(t *testing.T) {
	for _, s := range jobStates {
		if c := jobChip(activation.Job{State: s}); c.Tone == "line" {
			t.Errorf("job state %s has no chip", s)
		}
	}
	for _, s := range activation.Stages {
		if stageNames[s] == "" {
			t.Errorf("stage %s has no name", s)
		}
	}
}

// TestHub: signals to a page that is not looking become one, and none is lost.
func TestHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		page, other := h.join(), h.join()
		for range 1000 {
			h.changed()
		}
		if len(page) != 1 || len(other) != 1 {
			t.Fatalf("%d and %d signals wait, want 1 and 1", len(page), len(other))
		}
		h.leave(other)
		<-page
		<-other
		h.changed()
		if len(page) != 1 || len(other) != 0 {
			t.Fatalf("after leaving: %d and %d signals, want 1 and 0", len(page), len(other))
		}
		h.close()
		h.close()
		<-h.closed
	})
}
