package storetest

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// told lists the events of a subject as "source type", oldest first.
func (w *world) told(source activation.Source, subject string) []string {
	w.t.Helper()
	list, err := w.Events(w.t.Context(), store.EventFilter{Source: source, SubjectID: subject, Limit: 1000})
	w.ok(err)
	var out []string
	for _, e := range list {
		out = append([]string{string(e.Type)}, out...)
	}
	return out
}

// alertJob creates an alert job, which has no destination.
func (w *world) alertJob(name string) activation.Job {
	w.t.Helper()
	j, _ := w.job(name, func(j *activation.Job) {
		j.Workflow, j.Provider, j.Type, j.Destination = "alert_webhook", "webhook", "alert", ""
		j.Authorizations = []activation.AuthorizationID{w.auth.ID}
	})
	return j
}

// eventsOfJobs: one event per change, not per retry; what one target did,
// another does not mend.
func eventsOfJobs(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("both", func(j *activation.Job) { j.FailAfter = 2 * time.Hour }, w.audience("a"), w.audience("b"))
	subject := string(j.ID)
	w.succeed(targets[0].ID)
	w.equal([]string{"created", "started"}, w.told(activation.SourceWork, subject))
	w.fail(targets[0].ID, activation.Unavailable)
	w.clock.Add(time.Minute)
	w.fail(targets[0].ID, activation.Unavailable)
	w.succeed(targets[1].ID)
	w.equal([]string{"created", "started", "error"}, w.told(activation.SourceWork, subject))
	w.clock.Add(2 * time.Minute)
	w.succeed(targets[0].ID)
	w.clock.Add(time.Hour)
	w.succeed(targets[0].ID)
	w.equal([]string{"created", "started", "error", "recovered"}, w.told(activation.SourceWork, subject))

	w.fail(targets[0].ID, activation.Invalid)
	w.succeed(targets[1].ID)
	w.fail(targets[1].ID, activation.Invalid)
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.equal([]string{"created", "started", "error", "recovered", "failed", "failed"}, w.told(activation.SourceWork, subject))
	list, err := w.Events(ctx, store.EventFilter{SubjectID: subject, Limit: 1})
	w.ok(err)
	w.equal("META-2 the service is unavailable error", list[0].Code+" "+list[0].Message+" "+list[0].Level)

	w.ok(w.Bounce(ctx, j.ID, "ann@example.com"))
	w.succeed(targets[0].ID)
	w.succeed(targets[1].ID)
	w.ok(w.Pause(ctx, j.ID, 0, "ann@example.com"))
	w.ok(w.Resume(ctx, j.ID, "ann@example.com"))
	w.ok(w.Kill(ctx, j.ID, "ann@example.com"))
	w.ok(w.Kill(ctx, j.ID, "ann@example.com"))
	w.ok(w.DeleteJob(ctx, j.ID, "ann@example.com"))
	w.equal([]string{"resumed", "recovered", "paused", "resumed", "killed", "deleted"}, w.told(activation.SourceWork, subject)[6:])
	all, err := w.Events(ctx, store.EventFilter{Limit: 1000})
	w.ok(err)
	for _, e := range all {
		if e.Message == "" || e.SubjectName == "" || containsAny(e.Message+e.SubjectName, "ann@example.com") {
			w.t.Fatalf("an event says nothing, or who did it: %+v", e)
		}
	}
}

func containsAny(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

// eventsOfAuthorizations: what does not work is told once, by the authorization
// and not by every job on it.
func eventsOfAuthorizations(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	w.fail(targets[0].ID, activation.Unauthorized)
	w.ok(w.MarkUnhealthy(ctx, w.auth.ID, "the provider refused the credentials"))
	w.equal([]string{"created", "unhealthy"}, w.told(activation.SourceAuth, string(w.auth.ID)))
	w.equal([]string{"created", "started"}, w.told(activation.SourceWork, string(j.ID)))
	w.ok(w.UpdateAuthorization(ctx, activation.Authorization{ID: w.auth.ID, Label: "first", KeyID: "k1", Sealed: []byte("new")}, "ann"))
	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	w.equal([]string{"created", "unhealthy", "updated", "recovered"}, w.told(activation.SourceAuth, string(w.auth.ID)))
	a := w.audience("short")
	a.Name = "Short"
	_, err := w.UpdateAudience(ctx, a, "ann")
	w.ok(err)
	w.ok(w.DeleteAudience(ctx, a.ID, "ann"))
	w.equal([]string{"created", "updated", "deleted"}, w.told(activation.SourceSegment, string(a.ID)))
	w.is(activation.ErrNotFound, w.DeleteAudience(ctx, a.ID, "ann"))
	w.equal(3, len(w.told(activation.SourceSegment, string(a.ID))))
}

// eventsOfServer: one for an error of the server, however many jobs meet it.
func eventsOfServer(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("both", nil, w.audience("a"), w.audience("b"))
	for _, target := range targets {
		r := w.started(target.ID)
		r.Status, r.ErrorKind, r.ErrorCode, r.ErrorText = activation.RunFailed, activation.Internal, "INTERNAL-019", "internal error"
		w.ok(w.FinishRun(ctx, r, activation.End{}))
	}
	w.ok(w.ServerErred(ctx, "INTERNAL-019", "the disk is full"))
	w.equal([]string{"error"}, w.told(activation.SourceServer, "server"))
	w.equal([]string{"created", "started"}, w.told(activation.SourceWork, string(targets[0].Job)))
	w.clock.Add(time.Minute)
	w.succeed(targets[0].ID)
	w.ok(w.ServerWorks(ctx))
	w.equal([]string{"error", "recovered"}, w.told(activation.SourceServer, "server"))
}

// counted runs a target to its end with counts.
func (w *world) counted(target activation.TargetID, added, removed, rejected int64) {
	w.t.Helper()
	w.clock.Add(time.Hour)
	r := w.started(target)
	r.Status = activation.RunCompleted
	r.Counts = activation.Counts{Added: added, Removed: removed, Sent: added + removed + rejected, Accepted: added + removed, Rejected: rejected}
	w.ok(w.FinishRun(w.t.Context(), r, activation.End{Done: true}))
}

// unusualCounts: five times the median, of enough people and after enough runs.
func unusualCounts(w *world) {
	j, targets := w.job("vips", nil, w.audience("a"), w.audience("b"))
	id := targets[0].ID
	w.counted(id, 400, 0, 0) // the first of all
	for range 5 {
		w.counted(id, 30, 1, 0)
	}
	w.counted(id, 99, 0, 0)  // too few people
	w.counted(id, 150, 0, 0) // just five times
	w.equal([]string{"created", "started"}, w.told(activation.SourceWork, string(j.ID)))
	w.counted(id, 30, 120, 0)
	w.counted(id, 30, 120, 0)
	w.counted(targets[1].ID, 1, 0, 0) // another's is no mending
	w.equal([]string{"created", "started", "unusual_counts"}, w.told(activation.SourceWork, string(j.ID)))
	w.counted(id, 30, 2, 0)
	w.equal([]string{"created", "started", "unusual_counts", "recovered"}, w.told(activation.SourceWork, string(j.ID)))
}

// rejectedShare: of the newest runs of all targets, and only when it changes.
func rejectedShare(w *world) {
	j, targets := w.job("vips", nil, w.audience("a"), w.audience("b"))
	shares := func() (out []int64) {
		list, err := w.Events(w.t.Context(), store.EventFilter{SubjectID: string(j.ID), Types: []activation.EventType{activation.EventRejected}})
		w.ok(err)
		for _, e := range list {
			out = append([]int64{e.PerMille}, out...)
		}
		return out
	}
	w.counted(targets[0].ID, 90, 0, 10)
	w.counted(targets[0].ID, 90, 0, 10)
	w.equal([]int64{100}, shares())
	w.counted(targets[1].ID, 100, 0, 0)
	w.equal([]int64{100, 50}, shares())
	w.counted(targets[1].ID, 0, 0, 0) // sends nothing, says nothing
	w.equal([]int64{100, 50}, shares())
	w.counted(targets[0].ID, 100, 0, 0)
	w.equal([]int64{100, 50, 0}, shares())
}

// everything is a judge that tells of every event, and fires for errors.
func everything(have activation.Alert, e activation.Event) (activation.Alert, bool, bool) {
	switch e.Type {
	case activation.EventErred:
		have.State, have.Type, have.SubjectName, have.Since, have.ResolvedAt = activation.AlertFiring, e.Type, e.SubjectName, e.At, time.Time{}
	case activation.EventRecovered:
		have.State, have.ResolvedAt = activation.AlertResolved, e.At
		have.AcknowledgedAt, have.AcknowledgedBy = time.Time{}, ""
		return have, true, true
	default:
		return have, false, false
	}
	return have, true, false
}

func (w *world) read(job activation.JobID) int {
	w.t.Helper()
	n, err := w.ReadEvents(w.t.Context(), job, 100, everything)
	w.ok(err)
	return n
}

// readingEvents: a new alert job begins at the newest event, reads each once,
// and what it makes of them is there together or not at all.
func readingEvents(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	w.fail(targets[0].ID, activation.Unavailable)
	alerts := w.alertJob("tell")
	w.equal(0, w.read(alerts.ID))
	waits, err := w.AlertsWaiting(ctx, alerts.ID, 0)
	w.ok(err)
	w.equal(false, waits)
	w.clock.Add(time.Minute)
	w.succeed(targets[0].ID)
	w.fail(targets[0].ID, activation.Unavailable)
	waits, err = w.AlertsWaiting(ctx, alerts.ID, 0)
	w.ok(err)
	w.equal(true, waits)

	// The node is cut off in the middle of the transaction: nothing is there.
	cut, cancel := context.WithCancel(ctx)
	_, err = w.ReadEvents(cut, alerts.ID, 100, func(have activation.Alert, e activation.Event) (activation.Alert, bool, bool) {
		if e.Type == activation.EventErred {
			cancel()
		}
		return everything(have, e)
	})
	if err == nil {
		w.t.Fatal("a cut transaction was committed")
	}
	notices, err := w.Notices(ctx, store.NoticeFilter{Job: alerts.ID})
	w.ok(err)
	w.equal(0, len(notices))
	w.equal(2, w.read(alerts.ID))
	w.equal(0, w.read(alerts.ID))
	notices, err = w.Notices(ctx, store.NoticeFilter{Job: alerts.ID})
	w.ok(err)
	w.equal(2, len(notices))
	list, err := w.Alerts(ctx, store.AlertFilter{Job: alerts.ID})
	w.ok(err)
	w.equal(1, len(list))
	w.equal("firing "+string(j.ID), string(list[0].State)+" "+list[0].SubjectID)
}

// noticesOfAlerts: acknowledged and silenced alerts keep what they would tell,
// what fires is told again when asked for, and every attempt is fenced.
func noticesOfAlerts(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	alerts := w.alertJob("tell")
	flip := func(kind activation.Kind) {
		w.clock.Add(10 * time.Minute)
		if kind == "" {
			w.succeed(targets[0].ID)
		} else {
			w.fail(targets[0].ID, kind)
		}
		w.read(alerts.ID)
	}
	states := func() (out []string) {
		list, err := w.Notices(ctx, store.NoticeFilter{Job: alerts.ID})
		w.ok(err)
		for _, n := range list {
			out = append([]string{fmt.Sprintf("%s %s %t %d", n.Event.Type, n.State, n.Recovery, n.Repeat)}, out...)
		}
		return out
	}
	flip(activation.Unavailable)
	w.equal([]string{"error pending false 0"}, states())

	// An attempt that was claimed again cannot end the new one.
	old, err := w.ClaimNotice(ctx, alerts.ID)
	w.ok(err)
	again, err := w.ClaimNotice(ctx, alerts.ID)
	w.ok(err)
	w.equal(old.ID, again.ID)
	w.equal(2, again.Attempts)
	w.is(activation.ErrFenced, w.NoticeSent(ctx, old, "ok"))
	w.ok(w.NoticeErred(ctx, again, activation.NoticePending, &activation.Error{Kind: activation.Unavailable, Code: "NOTICE-UNAVAILABLE", Message: "down"}))
	again, err = w.ClaimNotice(ctx, alerts.ID)
	w.ok(err)
	w.ok(w.NoticeSent(ctx, again, "ok"))
	_, err = w.ClaimNotice(ctx, alerts.ID)
	w.is(activation.ErrNotFound, err)

	repeat := func() int {
		n, err := w.RepeatNotices(ctx, alerts.ID, time.Hour)
		w.ok(err)
		return n
	}
	w.equal(0, repeat())
	w.clock.Add(time.Hour)
	waits, err := w.AlertsWaiting(ctx, alerts.ID, time.Hour)
	w.ok(err)
	w.equal(true, waits)
	w.equal(1, repeat())
	w.equal(0, repeat())
	w.equal([]string{"error sent false 0", "error pending false 1"}, states())
	next, err := w.ClaimNotice(ctx, alerts.ID)
	w.ok(err)
	w.ok(w.NoticeErred(ctx, next, activation.NoticeFailed, &activation.Error{Kind: activation.RefusedWhole, Code: "NOTICE-REFUSED", Message: "no"}))

	a, err := w.AcknowledgeAlert(ctx, alerts.ID, activation.SourceWork, string(j.ID), "ann")
	w.ok(err)
	w.equal("acknowledged", a.Shown(w.clock.Now()))
	w.clock.Add(2 * time.Hour)
	w.equal(0, repeat())
	flip("")
	w.equal("recovered silenced true 0", states()[2])
	_, err = w.AcknowledgeAlert(ctx, alerts.ID, activation.SourceWork, string(j.ID), "ann")
	w.is(activation.ErrConflict, err)

	flip(activation.Unavailable)
	w.equal("error pending false 0", states()[3]) // the acknowledgement is over
	_, err = w.SilenceAlert(ctx, alerts.ID, activation.SourceWork, string(j.ID), 4*time.Hour, "ann")
	w.ok(err)
	list, err := w.Alerts(ctx, store.AlertFilter{Shown: "silenced"})
	w.ok(err)
	w.equal(1, len(list))
	flip("")
	flip(activation.Unavailable)
	w.equal([]string{"recovered silenced true 0", "error silenced false 0"}, states()[4:])
	w.clock.Add(4 * time.Hour)
	list, err = w.Alerts(ctx, store.AlertFilter{Shown: "firing"})
	w.ok(err)
	w.equal(1, len(list))
	flip("")
	w.equal("recovered pending true 0", states()[6])
	_, err = w.UnsilenceAlert(ctx, alerts.ID, activation.SourceWork, "nothing", "ann")
	w.is(activation.ErrNotFound, err)

	first, err := w.Notices(ctx, store.NoticeFilter{Job: alerts.ID, Limit: 3})
	w.ok(err)
	rest, err := w.Notices(ctx, store.NoticeFilter{Job: alerts.ID, Before: first[2].ID})
	w.ok(err)
	w.equal(len(states()), len(first)+len(rest))

	for _, state := range []activation.NoticeState{activation.NoticeSent, activation.NoticeFailed} {
		w.ok(w.AddTestNotice(ctx, activation.Notice{ID: activation.NewID[activation.NoticeID](), Job: alerts.ID, State: state, Event: activation.Event{At: w.clock.Now(), Source: activation.SourceWork, Type: "test"}}, "ann"))
	}
	_, err = w.ClaimNotice(ctx, alerts.ID)
	w.ok(err)
	w.ok(w.Kill(ctx, alerts.ID, "ann"))
	ended := states()
	w.equal([]string{"error failed false 0", "recovered silenced true 0"}, []string{replaced(ended[3]), ended[4]})
	n, err := w.PurgeNotices(ctx, w.clock.Now().Add(time.Hour), 100)
	w.ok(err)
	w.equal(int64(len(ended)), n)
	n, err = w.PurgeEvents(ctx, w.clock.Now().Add(time.Hour), 1000)
	w.ok(err)
	w.equal([]string{"recovered"}, w.told(activation.SourceWork, string(j.ID)))
	if n == 0 {
		w.t.Fatal("no event was purged")
	}
}

// replaced takes unknown for failed: the one that was claimed at the end is the
// oldest that waited.
func replaced(s string) string {
	if s == "error unknown false 0" {
		return "error failed false 0"
	}
	return s
}
