package delivery_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// inThanks runs fn over a world whose job keeps an audience of conversions; five
// events of three people have happened.
func inThanks(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := thanking(7, provider.ReplayNever)
		for i := range 5 {
			w.heard.happen([]string{"ann", "bob", "cem"}[i%3], true)
		}
		fn(t, w)
	})
}

const conversions = "conversion-repeat-purchase"

func (w *world) converted() string {
	return strings.Join(slices.Sorted(maps.Keys(w.heard.given[conversions])), " ")
}

// TestConversionAudience: whoever's event was accepted comes into the audience of
// the job's conversions, which has a target and runs of its own.
func TestConversionAudience(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		m := w.store.(*memory)
		declared := 0
		w.declare = func(context.Context) error { declared++; return nil }
		w.boot()
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.SyncType != activation.SyncOfflineConversion || w.converted() != "ann bob cem" || declared != 1 {
			t.Fatalf("%s run, %q are in the audience, declared %d times", r.SyncType, w.converted(), declared)
		}
		a, target := m.auds[conversions], m.targets["of-"+conversions]
		if a.Name != "Conversion-Repeat Purchase" || a.Slug != conversions || a.Kind != activation.KindConversion || a.Rule != "" {
			t.Fatalf("%+v", a)
		}
		if target == nil || target.Workflow != "keep" || target.Job != w.job || target.Destination != "dest" {
			t.Fatalf("%+v", target)
		}
		w.heard.happen("dan", true)
		time.Sleep(time.Minute)
		w.work(t)
		if w.converted() != "ann bob cem dan" || declared != 1 || len(m.targets) != 2 {
			t.Fatalf("%q are in the audience, declared %d times, %d targets", w.converted(), declared, len(m.targets))
		}
		run, err := w.proc.RunTarget(t.Context(), target.ID)
		if err != nil || run.SyncType != activation.SyncConversionAudience || run.TriggeredBy != "" {
			t.Fatalf("%+v %v", run, err)
		}
		w.work(t)
		if len(w.heard.asked) != 1 || !w.heard.asked[0].Keep || w.heard.asked[0].Begun != "" || w.heard.asked[0].Limit != nil {
			t.Fatalf("%+v", w.heard.asked)
		}
		w.mustTell(t)
	})
}

// TestConversionAudienceOfSome: rejected people are not in it, and where nobody
// was accepted there is none.
func TestConversionAudienceOfSome(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		w.net.accepts = false
		for i, who := range []string{"ann", "bob", "cem", "dan", "eve"} {
			w.heard.events[i].who = who
		}
		w.goes("401")
		if r := w.work(t); r.Status != activation.RunFailed || len(w.store.(*memory).targets) != 1 {
			t.Fatalf("%+v, %d targets", r, len(w.store.(*memory).targets))
		}
		w.net.heal()
		if _, err := w.proc.Retry(t.Context(), w.store.all()[0].ID, "ann"); err != nil {
			t.Fatal(err)
		}
		w.breaksAt(1, "reject") // one of its four people
		r := w.work(t)
		if expect(t, r, activation.RunCompleted, ""); r.Counts.Rejected != 1 {
			t.Fatalf("%+v", r.Counts)
		}
		var want []string
		for _, n := range w.net.ear.heard {
			want = append(want, n.who)
		}
		slices.Sort(want)
		if got := w.converted(); got != strings.Join(slices.Compact(want), " ") {
			t.Fatalf("%q are in the audience, %q were accepted", got, want)
		}
	})
}

// TestConversionAudienceOfAwaited: they come in when the last answer is there.
func TestConversionAudienceOfAwaited(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		w.net.async, w.def.Async = true, true
		w.boot()
		if r := w.work(t); r.Status != activation.RunAwaiting || w.converted() != "" {
			t.Fatalf("%+v: %q", r, w.converted())
		}
		for range 4 {
			time.Sleep(time.Minute)
			w.work(t)
		}
		if w.converted() != "ann bob cem" {
			t.Fatalf("%q are in the audience", w.converted())
		}
	})
}

// TestNoConversionAudience where the job wants none, or its settings name no
// single event.
func TestNoConversionAudience(t *testing.T) {
	for name, config := range map[string]map[string]string{"not wanted": {"event": "Purchase", "audience": "off"}, "no name": {}} {
		t.Run(name, func(t *testing.T) {
			inThanks(t, func(t *testing.T, w *world) {
				w.store.change(w.job, func(j *activation.Job) { j.Config = config })
				expect(t, w.work(t), activation.RunCompleted, "")
				if len(w.store.(*memory).targets) != 1 || len(w.heard.given) != 0 {
					t.Fatalf("%d targets, %v", len(w.store.(*memory).targets), w.heard.given)
				}
			})
		})
	}
}

// TestConversionAudienceInTheWay: where the audience cannot be kept, the events
// were sent all the same; where the data plane does not answer, the run waits.
func TestConversionAudienceInTheWay(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		sick := errors.New("locked")
		w.declare = func(context.Context) error { return sick }
		w.boot()
		_ = w.turn(t.Context()) // the error is what is looked for
		r := w.store.all()[0]
		if r.Status != activation.RunRunning || r.Node != "" || w.converted() != "" {
			t.Fatalf("%+v", r)
		}
		sick = nil
		time.Sleep(time.Hour)
		expect(t, w.work(t), activation.RunCompleted, "")
		if w.converted() != "ann bob cem" {
			t.Fatalf("%q are in the audience", w.converted())
		}
		sick = &activation.Error{Kind: activation.Invalid, Code: "CONFLICT", Message: "the name is taken", Err: activation.ErrConflict}
		w.boot()
		w.heard.happen("dan", true)
		time.Sleep(time.Hour)
		expect(t, w.work(t), activation.RunCompleted, "")
	})
}
