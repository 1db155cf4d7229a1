package delivery_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/explain"
	"usher/internal/provider"
)

// TestAsPlanned follows people through both real databases: what is explained is
// what happened to them.
func TestAsPlanned(t *testing.T) {
	t.Parallel()
	empty := template(t)
	synctest.Test(t, func(t *testing.T) {
		w := onDuckDB(t, empty, 7, provider.ReplayHarmless, false)
		w.net.accepts = false
		l, s := w.plane.(*lake), w.store.(*control).Store
		ask := func(uid string) explain.Answer {
			t.Helper()
			e := explain.Explainer{Store: s, Warehouse: l, Planner: w.proc, Page: func(code string) string { return code + ".md" }}
			a, err := e.Explain(t.Context(), explain.Question{Field: "uid", Value: uid, Target: w.target})
			done(t, err)
			raw, err := json.Marshal(a)
			done(t, err)
			if strings.Contains(string(raw), uid) {
				t.Errorf("the answer about %s holds the value", uid)
			}
			return a
		}
		stops := func(uid, step, says string) {
			t.Helper()
			a := ask(uid)
			i := slices.IndexFunc(a.Steps, func(s explain.Step) bool { return s.Cause })
			switch {
			case step == "" && !a.Synced:
				t.Errorf("%s is not synced: %+v", uid, a)
			case step != "" && (i < 0 || a.Steps[i].Name != step || !strings.Contains(a.Steps[i].Text, says)):
				t.Errorf("%s does not stop at %s saying %q: %+v", uid, step, says, a)
			}
		}
		ended := func(r activation.Run) {
			t.Helper()
			expect(t, r, activation.RunCompleted, "")
		}
		w.join(1, 4)
		l.set(9, [2]string{}, true)
		stops("u1", "Message", "Nobody is known")
		done(t, l.load(t.Context()))
		stops("u1", "Staged", "No run has been made")
		ended(w.work(t))
		stops("u1", "", "")
		stops("u9", "Keys", "nothing is known of email (EMAIL) and phone (PHONE)")
		if a := ask("u2"); a.Profile == 0 || !slices.ContainsFunc(a.Steps, func(s explain.Step) bool { return s.Name == "Answer" && s.Run != nil && *s.Run == 1 && s.Item != nil }) {
			t.Errorf("%+v", a)
		}

		w.leave(1, 2)
		time.Sleep(2 * time.Minute)
		ended(w.work(t))
		stops("u1", "Audience", "left")
		if a := ask("u1"); !slices.ContainsFunc(a.Steps, func(s explain.Step) bool { return strings.Contains(s.Text, "removed the person") }) {
			t.Errorf("nothing tells of the removal: %+v", a)
		}

		w.goes("reject")
		w.join(20, 21)
		time.Sleep(2 * time.Minute)
		w.work(t)
		stops("u20", "Answer", "refused the person's row")

		w.goes("")
		w.store.change(w.job, func(j *activation.Job) { j.HoldoutPercent = 100 })
		w.join(30, 31)
		done(t, l.load(t.Context()))
		stops("u30", "Holdout", "100 %")
		w.store.change(w.job, func(j *activation.Job) { j.HoldoutPercent = 0 })
		done(t, w.destination(func(d *activation.Destination) { d.Enabled = false }))
		stops("u30", "Delivery", "switched off")
		stops("u2", "", "")
	})
}
