package delivery_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// past notes an event that came so many days before the job began.
func (j *journal) past(id string, days int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, note{id: id, who: "ann", usable: true, past: time.Now().AddDate(0, 0, -days)})
}

func (w *world) pushed(t *testing.T, from, to int, dry bool) ([]string, error) {
	t.Helper()
	now := time.Now()
	list, err := w.proc.Push(t.Context(), "dest", activation.Period{From: now.AddDate(0, 0, -from), Until: now.AddDate(0, 0, -to)}, dry, "ann")
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprintf("%d of %d, %d omitted, #%d %s", p.Counts.Add, p.Counts.Selected, p.Counts.Omitted, p.Run.Number, p.Withheld))
	}
	return out, err
}

func (w *world) heardOf() string {
	var out []string
	for _, n := range w.net.ear.heard {
		out = append(out, n.id)
	}
	return strings.Join(out, " ")
}

// TestPush: the past is counted, sent once, and what waits is not touched by it.
func TestPush(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		w.def.Workflows[0].Window = func(map[string]string, map[string]string) time.Duration { return 20 * 24 * time.Hour }
		w.boot()
		for _, days := range []int{25, 15, 10, 5} {
			w.heard.past(fmt.Sprint("day", days), days)
		}
		w.work(t)
		before := w.heardOf()
		if strings.Contains(before, "day") {
			t.Fatal(before)
		}
		if got, err := w.pushed(t, 30, 9, true); err != nil || !slices.Equal(got, []string{"2 of 3, 1 omitted, #0 "}) || len(w.store.all()) != 1 {
			t.Fatal(got, err)
		}
		if got, err := w.pushed(t, 30, 9, false); err != nil || !slices.Equal(got, []string{"2 of 3, 1 omitted, #2 "}) {
			t.Fatal(got, err)
		}
		r := w.work(t)
		if expect(t, r, activation.RunCompleted, ""); r.Mode != activation.ModeHistory || r.Cause != activation.CauseManual || r.SyncType != activation.SyncOfflineConversion || r.Counts.Added != 2 || r.Counts.Omitted != 1 {
			t.Fatalf("%+v", r)
		}
		if got := strings.TrimPrefix(w.heardOf(), before); got != " day15 day10" {
			t.Fatalf("the network heard%s", got)
		}
		target, err := w.store.Target(t.Context(), w.target)
		if err != nil || target.DoneSeq != 9 {
			t.Fatalf("%+v %v", target, err)
		}
		if got, err := w.pushed(t, 12, 1, false); !errors.Is(err, activation.ErrConflict) || !strings.Contains(err.Error(), "#2") {
			t.Fatal(got, err)
		}
		w.heard.happen("dan", true)
		time.Sleep(time.Minute)
		expect(t, w.work(t), activation.RunCompleted, "")
		w.mustTell(t)
		if got, err := w.pushed(t, 9, 6, false); err != nil || !slices.Equal(got, []string{"0 of 0, 0 omitted, #0 nothing of the period is to be sent"}) {
			t.Fatal(got, err)
		}
		if got, err := w.pushed(t, 9, 1, false); err != nil || !slices.Equal(got, []string{"1 of 1, 0 omitted, #4 "}) {
			t.Fatal(got, err)
		}
	})
}

// TestPushFailsAndIsRetried: no later run carries what a push has not sent.
func TestPushFailsAndIsRetried(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		w.work(t)
		w.heard.past("day3", 3)
		w.goes("401")
		if _, err := w.pushed(t, 9, 1, false); err != nil {
			t.Fatal(err)
		}
		push := w.work(t)
		expect(t, push, activation.RunFailed, "NET-401")
		w.net.heal()
		w.heard.happen("dan", true)
		time.Sleep(time.Hour)
		if r := w.work(t); strings.Contains(w.heardOf(), "day3") {
			t.Fatalf("run #%d sent it", r.Number)
		}
		if _, err := w.proc.Retry(t.Context(), push.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		w.work(t)
		if got := w.heardOf(); strings.Count(got, "day3") != 1 || strings.Count(got, "event6") != 1 {
			t.Fatal(got)
		}
	})
}

// TestPushIsRefused names the field that is wrong.
func TestPushIsRefused(t *testing.T) {
	inThanks(t, func(t *testing.T, w *world) {
		now := time.Now()
		for _, c := range []struct {
			period activation.Period
			field  string
		}{
			{activation.Period{Until: now}, "from"},
			{activation.Period{From: now.Add(-time.Hour)}, "to"},
			{activation.Period{From: now.Add(time.Hour), Until: now.Add(2 * time.Hour)}, "from"},
			{activation.Period{From: now.Add(-time.Hour), Until: now.Add(-time.Hour)}, "to"},
			{activation.Period{From: now.Add(-time.Hour), Until: now.Add(-2 * time.Hour)}, "to"},
			{activation.Period{From: now.Add(-time.Hour), Until: now.Add(time.Second)}, "to"},
		} {
			_, err := w.proc.Push(t.Context(), "dest", c.period, false, "ann")
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != c.field {
				t.Errorf("%v: %v", c.period, err)
			}
		}
		w.store.setJob(w.job, activation.JobKilled)
		if got, err := w.pushed(t, 9, 1, false); !errors.Is(err, activation.ErrConflict) {
			t.Error(got, err)
		}
		w.def.Workflows[0].SyncType = ""
		w.boot()
		_, err := w.pushed(t, 9, 1, false)
		var e *activation.Error
		if !errors.As(err, &e) || e.Field != "destination_id" {
			t.Error(err)
		}
	})
}

// TestAnswersWaitForTheirPerson: what comes before anybody knows who it was is
// sent once they are known, and no sooner.
func TestAnswersWaitForTheirPerson(t *testing.T) {
	for stream, waits := range map[string]bool{"paid_responses": true, "orders": false} {
		t.Run(stream, func(t *testing.T) {
			inEvents(t, 1, provider.ReplayNever, false, func(t *testing.T, w *world) {
				m := w.store.(*memory)
				m.targets[w.target].Stream, m.targets[w.target].DueNow = stream, true
				w.heard.happen("nobody", true)
				w.heard.events[1].stranger = true
				r := w.work(t)
				if expect(t, r, activation.RunCompleted, ""); r.Counts.Added != 1 || r.Counts.Omitted == 1 == waits {
					t.Fatalf("%+v", r.Counts)
				}
				time.Sleep(time.Hour)
				if w.work(t); len(w.store.all()) != 1 {
					t.Fatal("a run was opened although nobody is known")
				}
				w.heard.meet()
				time.Sleep(time.Hour)
				r = w.work(t)
				if waits && (r.Number != 2 || r.Counts.Added != 1 || r.Cause != activation.CauseRealTime) || !waits && r.Number != 1 {
					t.Fatalf("run #%d: %+v", r.Number, r.Counts)
				}
				if got := w.heardOf(); got == "event0 event1" != waits {
					t.Fatal(got)
				}
			})
		})
	}
}
