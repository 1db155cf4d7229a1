// Package alerting tells people what happens in Usher: it reads the events that
// the store keeps, decides by an alert job's settings which of them change
// something that somebody should know, and delivers a notice of each.
//
// It owns that decision and the delivery; the store owns that reading moves the
// job's place, its alerts and its notices in one transaction, a provider how a
// notice travels. It must not make events. Alert jobs are jobs: their sleep,
// errors and end are those of any other.
//
// It is built for these failures: a crash between any two steps (nothing is told
// twice for that a change was read twice, and nothing is left untold), an answer
// that is lost after the notice arrived (it is sent again under its id), and an
// alert job that fails itself (it tells nothing of itself; others tell of it).
package alerting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"usher/internal/activation"
	"usher/internal/pass"
	"usher/internal/provider"
	"usher/internal/store"
)

// Store is what alerts need of the control plane. store.Store has it.
type Store interface {
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	AlertsWaiting(ctx context.Context, job activation.JobID, repeatAfter time.Duration) (bool, error)
	ReadEvents(ctx context.Context, job activation.JobID, limit int, judge store.Judge) (int, error)
	RepeatNotices(ctx context.Context, job activation.JobID, after time.Duration) (int, error)
	ClaimNotice(ctx context.Context, job activation.JobID) (activation.Notice, error)
	NoticeSent(ctx context.Context, n activation.Notice, answer string) error
	NoticeErred(ctx context.Context, n activation.Notice, state activation.NoticeState, cause error) error
	AddTestNotice(ctx context.Context, n activation.Notice, user string) error
}

// Connector builds what sends the notices of a job, credentials opened.
type Connector func(ctx context.Context, job activation.Job) (provider.Alert, error)

// Config is what an Alerting is made of.
type Config struct {
	Store   Store
	Connect Connector
	// Providers are those whose alert workflows it does.
	Providers []provider.Definition
	// URL is the address of the console, for the links of notices; "" = none.
	URL string
	Log *slog.Logger
	Now func() time.Time
	// AfterNotify is called between a notice's delivery and its being recorded.
	// Tests crash there. nil = nothing.
	AfterNotify func()
}

// Alerting does the passes of alert jobs.
type Alerting struct{ cfg Config }

// New returns the runner of alert jobs.
func New(cfg Config) *Alerting {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.AfterNotify == nil {
		cfg.AfterNotify = func() {}
	}
	return &Alerting{cfg: cfg}
}

// Workflows names the alert workflows.
func (a *Alerting) Workflows() []string {
	var out []string
	for _, d := range a.cfg.Providers {
		for _, w := range d.Workflows {
			if w.Direction == provider.Alerting {
				out = append(out, w.Name)
			}
		}
	}
	return out
}

// Due reports whether events wait to be read or notices to be sent.
func (a *Alerting) Due(ctx context.Context, job activation.Job) (bool, error) {
	rule, err := provider.ParseAlertRule(job.Config)
	if err != nil {
		return true, nil //nolint:nilerr // the pass says so, and fails the job
	}
	return a.cfg.Store.AlertsWaiting(ctx, job.ID, rule.RepeatAfter)
}

// readAtOnce is how many events are read in one transaction.
const readAtOnce = 200

// Pass reads all events there are, then sends all notices that wait.
func (a *Alerting) Pass(ctx context.Context, job activation.Job, p pass.Progress) error {
	rule, err := provider.ParseAlertRule(job.Config)
	if err != nil {
		return err
	}
	for {
		n, err := a.cfg.Store.ReadEvents(ctx, job.ID, readAtOnce, Judge(job.ID, rule))
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if n == 0 {
			break
		}
		p.Count("events", int64(n))
	}
	if rule.RepeatAfter > 0 {
		if _, err := a.cfg.Store.RepeatNotices(ctx, job.ID, rule.RepeatAfter); err != nil {
			return fmt.Errorf("repeat notices: %w", err)
		}
	}
	return a.send(ctx, job, p)
}

// send delivers the waiting notices, oldest first.
func (a *Alerting) send(ctx context.Context, job activation.Job, p pass.Progress) error {
	client, err := a.cfg.Connect(ctx, job)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		n, err := a.cfg.Store.ClaimNotice(ctx, job.ID)
		if errors.Is(err, activation.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claim notice: %w", err)
		}
		answer, err := client.Notify(ctx, a.told(job, n))
		a.cfg.AfterNotify()
		if err := a.record(ctx, n, answer, err); err != nil {
			return err
		}
		if err == nil {
			p.Count("sent", 1)
			continue
		}
		if activation.KindOf(err) != activation.RefusedWhole {
			return err
		}
		p.Count("refused", 1)
		a.cfg.Log.WarnContext(ctx, "a notice is refused for good", "job_id", job.ID, "notice_id", n.ID, "code", activation.CodeOf(err))
	}
	return context.Cause(ctx)
}

// recordTime is how long the outcome of a call may take to be written down,
// whatever became of the context it was made in.
const recordTime = 5 * time.Second

// record writes down how an attempt ended. Whatever is not refused for good is
// sent again, under the same id, also when it may have arrived.
func (a *Alerting) record(ctx context.Context, n activation.Notice, answer string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	if cause == nil {
		return a.cfg.Store.NoticeSent(ctx, n, answer)
	}
	state := activation.NoticePending
	if activation.KindOf(cause) == activation.RefusedWhole {
		state = activation.NoticeFailed
	}
	return a.cfg.Store.NoticeErred(ctx, n, state, cause)
}

// told is a notice as the provider tells it.
func (a *Alerting) told(job activation.Job, n activation.Notice) provider.Notice {
	return provider.Notice{ID: string(n.ID), At: a.cfg.Now(), Event: n.Event, Recovery: n.Recovery, Job: job.Name, Link: a.link(n.Event)}
}

// pages are where the console shows a subject.
var pages = map[activation.Source]string{
	activation.SourceWork: "/jobs/", activation.SourceSegment: "/audiences/",
}

func (a *Alerting) link(e activation.Event) string {
	page := pages[e.Source]
	switch {
	case a.cfg.URL == "":
		return ""
	case page == "":
		return a.cfg.URL + "/alerts"
	}
	return a.cfg.URL + page + e.SubjectID
}

// TestEvent is the type of the event of a test notice.
const TestEvent activation.EventType = "test"

// Test sends a notice of nothing, as somebody asked, and records it. The error
// is the provider's; the notice is returned with it.
func (a *Alerting) Test(ctx context.Context, id activation.JobID, user string) (activation.Notice, error) {
	job, err := a.cfg.Store.Job(ctx, id)
	if err != nil {
		return activation.Notice{}, err
	}
	if job.Type != string(provider.Alerting) {
		return activation.Notice{}, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "job", Message: "only alert jobs send notices"}
	}
	n := activation.Notice{
		ID: activation.NewID[activation.NoticeID](), Job: id, Attempts: 1, CreatedAt: a.cfg.Now(),
		Event: activation.Event{
			At: a.cfg.Now(), Source: activation.SourceWork, Type: TestEvent, SubjectID: string(id), SubjectName: job.Name, Level: "info",
			Message: "this is a test: notices of this job arrive here",
		},
	}
	client, err := a.cfg.Connect(ctx, job)
	if err == nil {
		n.Answer, err = client.Notify(ctx, a.told(job, n))
	}
	n.State, n.SentAt = activation.NoticeSent, a.cfg.Now()
	if err != nil {
		n.State, n.SentAt, n.ErrorCode, n.ErrorText = activation.NoticeFailed, time.Time{}, activation.CodeOf(err), activation.SafeMessage(err)
	}
	if kept := a.cfg.Store.AddTestNotice(context.WithoutCancel(ctx), n, user); kept != nil {
		return n, errors.Join(err, kept)
	}
	return n, err
}
