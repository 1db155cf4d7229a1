package storetest

import (
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// logged returns the events and levels that a filter finds.
func (w *world) logged(f store.LogFilter) string {
	w.t.Helper()
	lines, err := w.Logs(w.t.Context(), f)
	w.ok(err)
	out := ""
	for i, l := range lines {
		if i > 0 && (lines[i-1].ID >= l.ID || lines[i-1].At.After(l.At)) {
			w.t.Fatalf("line %d is out of order", l.ID)
		}
		out += string(l.Event) + " "
	}
	return out
}

// logs: each thing that happens to a job is told once, can be found by what it
// is, and errors tell on request what is known of their run.
func logs(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", func(j *activation.Job) { j.VerboseLogging = true }, w.audience("vips"))
	quiet, other := w.job("quiet", nil, w.audience("others"))
	w.succeed(targets[0].ID)
	w.clock.Add(time.Hour)
	noon := w.clock.Now()
	failed := w.failedRun(targets[0].ID, activation.Unavailable)
	w.equal("created started synced item item error ", w.logged(store.LogFilter{Job: j.ID}))
	w.failedRun(other[0].ID, activation.Invalid)
	w.equal("created started error failed ", w.logged(store.LogFilter{Job: quiet.ID}))
	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	w.ok(w.Resume(ctx, j.ID, "ann"))
	w.ok(w.Bounce(ctx, quiet.ID, "ann"))
	w.ok(w.Kill(ctx, quiet.ID, "bob"))
	w.ok(w.UpdateJob(ctx, j, "ann"))
	w.equal("created started synced item item error paused resumed updated ", w.logged(store.LogFilter{Job: j.ID}))
	w.equal("created started error failed bounced killed ", w.logged(store.LogFilter{Job: quiet.ID}))

	for _, c := range []struct {
		f    store.LogFilter
		want string
	}{
		{store.LogFilter{}, "created started synced item item error paused resumed updated "}, // quiet is killed
		{store.LogFilter{Job: j.ID, Since: noon}, "item item error paused resumed updated "},
		{store.LogFilter{Job: j.ID, Until: noon}, "created started synced "},
		{store.LogFilter{Job: j.ID, Events: []activation.LogEvent{activation.LogPaused, activation.LogError}}, "error paused "},
		{store.LogFilter{Job: j.ID, Levels: []string{"debug"}}, "item item "},
		{store.LogFilter{Job: j.ID, Limit: 2}, "created started "},
		{store.LogFilter{Job: j.ID, Limit: 2, Newest: true}, "resumed updated "},
	} {
		w.equal(c.want, w.logged(c.f))
	}
	paged, after := "", int64(0)
	for {
		lines, err := w.Logs(ctx, store.LogFilter{Job: j.ID, After: after, Limit: 4})
		w.ok(err)
		if len(lines) == 0 {
			break
		}
		for _, l := range lines {
			paged += string(l.Event) + " "
		}
		after = lines[len(lines)-1].ID
	}
	w.equal(w.logged(store.LogFilter{Job: j.ID}), paged)

	lines, err := w.Logs(ctx, store.LogFilter{Job: j.ID, Events: []activation.LogEvent{activation.LogError, activation.LogPaused}, Detail: true})
	w.ok(err)
	d := lines[0].Detail
	w.equal(fmt.Sprint(failed.Number, " failed META-2 the service is unavailable failed META-2 1 10"),
		fmt.Sprint(d.Run, " ", d.Status, " ", d.ErrorCode, " ", d.Error, " ", d.Items[0].State, " ", d.Items[0].Code, " ", d.Items[0].Items, " ", d.Items[0].Rows))
	w.equal(true, lines[1].Detail == nil)
	w.equal("ann", lines[1].Context.User)

	in := w.importJob("nightly", nil)
	w.passed(in.ID, activation.Unavailable)
	lines, err = w.Logs(ctx, store.LogFilter{Job: in.ID, Levels: []string{"warn"}, Detail: true})
	w.ok(err)
	w.equal("1 SFTP-1 the server is away 7", fmt.Sprint(lines[0].Detail.Run, " ", lines[0].Detail.ErrorCode, " ", lines[0].Detail.Error, " ", lines[0].Context.Counts["new_profiles"]))
}
