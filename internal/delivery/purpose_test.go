package delivery

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

func TestWhatIdentifiersAloneAskFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	behind := activation.Target{KeysSeq: 5, KeysDone: 4}
	with := func(t activation.Target, change func(*activation.Target)) activation.Target { change(&t); return t }
	due := func(c activation.Cause, at time.Time) func(*activation.Target) {
		return func(t *activation.Target) { t.DueNow, t.DueAt, t.DueCause = true, at, c }
	}
	keys, enters, exits := warehouse.Waiting{Keys: 2}, warehouse.Waiting{Enters: 1}, warehouse.Waiting{Exits: 1}
	for _, c := range []struct {
		name string
		want want
		mode activation.RunMode
		only bool
	}{
		{"real time, nothing", want{realTime: true}, activation.ModeSync, false},
		{"real time, keys", want{realTime: true, own: keys}, activation.ModeSync, true},
		{"real time, keys and somebody came", want{realTime: true, own: warehouse.Waiting{Keys: 2, Enters: 1}}, activation.ModeSync, false},
		{"real time, keys and somebody left", want{realTime: true, own: warehouse.Waiting{Keys: 2, Exits: 1}}, activation.ModeSync, false},
		{"real time, keys and somebody is left out now", want{realTime: true, own: keys, others: enters}, activation.ModeSync, false},
		{"real time, keys and somebody is left out no more", want{realTime: true, own: keys, others: exits}, activation.ModeSync, false},
		{"real time, keys of those left out", want{realTime: true, others: keys}, activation.ModeSync, false},
		{"real time, a new mapping", want{realTime: true, target: with(activation.Target{}, due(activation.CauseAgent, now))}, activation.ModeSync, true},
		{"real time, asked for", want{realTime: true, own: keys, target: with(activation.Target{}, due(activation.CauseManual, now))}, activation.ModeSync, false},
		{"real time, due later", want{realTime: true, own: keys, target: with(activation.Target{}, due(activation.CauseManual, now.Add(time.Hour)))}, activation.ModeSync, true},
		{"on schedule, nothing", want{}, activation.ModeKeys, false},
		{"on schedule, keys", want{target: behind}, activation.ModeKeys, true},
		{"on schedule, before its time", want{target: with(behind, func(t *activation.Target) { t.NextAt = now.Add(time.Hour) })}, activation.ModeKeys, true},
		{"on schedule, at its time", want{target: with(behind, func(t *activation.Target) { t.NextAt = now })}, activation.ModeSync, false},
		{"on schedule, a new mapping", want{target: with(activation.Target{}, due(activation.CauseAgent, now))}, activation.ModeKeys, true},
		{"on schedule, a new mapping at its time", want{target: with(with(behind, due(activation.CauseAgent, now)), func(t *activation.Target) { t.NextAt = now })}, activation.ModeSync, false},
		{"on schedule, the outbound run decided", want{target: with(behind, due(activation.CauseOutbound, now))}, activation.ModeSync, false},
		{"on schedule, a limit ends later", want{target: with(behind, due(activation.CauseSchedule, now.Add(time.Hour)))}, activation.ModeKeys, true},
		{"given up", want{target: with(behind, func(t *activation.Target) { t.Release = activation.EndEmpty })}, activation.ModeSync, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.want.now = now
			mode, only := c.want.keys()
			if only != c.only || only && mode != c.mode {
				t.Errorf("mode %q, only %t", mode, only)
			}
		})
	}
}

// TestKeysAloneNeverHideOthers: a run that moves keys alone is never opened where
// somebody has asked for more or the time of the job has come.
func TestKeysAloneNeverHideOthers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	moment := rapid.SampledFrom([]time.Time{{}, now.Add(-time.Hour), now, now.Add(time.Hour)})
	rapid.Check(t, func(t *rapid.T) {
		w := want{now: now, realTime: rapid.Bool().Draw(t, "real time"), target: activation.Target{
			DueNow: rapid.Bool().Draw(t, "due"), DueAt: moment.Draw(t, "due at"), NextAt: moment.Draw(t, "next"),
			DueCause: rapid.SampledFrom(append(activation.Causes, "")).Draw(t, "cause"), KeysSeq: rapid.Int64Range(0, 3).Draw(t, "keys"),
		}}
		w.own = warehouse.Waiting{Enters: rapid.Int64Range(0, 1).Draw(t, "enters"), Keys: rapid.Int64Range(0, 1).Draw(t, "own keys")}
		mode, only := w.keys()
		due := w.target.DueNow && !w.target.DueAt.After(now)
		switch {
		case only && due && w.target.DueCause != activation.CauseAgent:
			t.Fatal("what was asked for is not done")
		case only && mode == activation.ModeKeys && w.realTime:
			t.Fatal("in real time people wait for nothing")
		case only && !w.realTime && !w.target.NextAt.IsZero() && !w.target.NextAt.After(now):
			t.Fatal("the time of the job is not kept")
		}
	})
}

func TestWhatRunsAreCalled(t *testing.T) {
	t.Parallel()
	def := provider.Definition{Workflows: []provider.Workflow{
		{Name: "audience"},
		{Name: "convert", Kind: provider.Event, Feed: provider.FeedStream, SyncType: activation.SyncOfflineConversion},
		{Name: "tell", Kind: provider.Event, Feed: provider.FeedAudience},
	}}
	of := func(kind activation.AudienceKind, name string) activation.Audience {
		return activation.Audience{Kind: kind, Name: name}
	}
	for _, c := range []struct {
		target   activation.Target
		audience activation.Audience
		kind     activation.SyncType
		by       string
	}{
		{activation.Target{Workflow: "audience"}, of(activation.KindRule, "VIPs"), activation.SyncSegment, "VIPs"},
		{activation.Target{Workflow: "audience"}, of("", "A-B-C"), activation.SyncSegment, "A-B-C"},
		{activation.Target{Workflow: "audience"}, of(activation.KindAction, "Sales-Retention offers-Bike"), activation.SyncNextBestAction, "Sales / Retention offers"},
		{activation.Target{Workflow: "audience"}, of(activation.KindNegative, "Sales-Retention-Bike-N"), activation.SyncNextBestAction, "Sales / Retention"},
		{activation.Target{Workflow: "audience"}, of(activation.KindRetired, "Sales-Retention-Bike"), activation.SyncNextBestAction, "Sales / Retention"},
		{activation.Target{Workflow: "audience"}, of(activation.KindConversion, "Conversion-Purchase"), activation.SyncConversionAudience, ""},
		{activation.Target{Workflow: "convert", Stream: "orders"}, activation.Audience{}, activation.SyncOfflineConversion, ""},
		{activation.Target{Workflow: "tell"}, of(activation.KindAction, "Sales-Retention-Bike"), activation.SyncEvents, "Sales-Retention-Bike"},
		{activation.Target{Workflow: "tell", Stream: "orders"}, activation.Audience{}, activation.SyncEvents, "orders"},
	} {
		if kind, by := syncOf(def, c.target, c.audience); kind != c.kind || by != c.by {
			t.Errorf("%s of a %s audience is %s by %q, want %s by %q", c.target.Workflow, c.audience.Kind, kind, by, c.kind, c.by)
		}
	}
}
