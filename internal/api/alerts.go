package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/store"
)

// Alerts is what the API needs of the store about alerts.
type Alerts interface {
	Alerts(ctx context.Context, f store.AlertFilter) ([]activation.Alert, error)
	AcknowledgeAlert(ctx context.Context, job activation.JobID, source activation.Source, subject, user string) (activation.Alert, error)
	SilenceAlert(ctx context.Context, job activation.JobID, source activation.Source, subject string, d time.Duration, user string) (activation.Alert, error)
	UnsilenceAlert(ctx context.Context, job activation.JobID, source activation.Source, subject, user string) (activation.Alert, error)
	Notices(ctx context.Context, f store.NoticeFilter) ([]activation.Notice, error)
}

// Notifier sends a test notice of an alert job.
type Notifier interface {
	Test(ctx context.Context, id activation.JobID, user string) (activation.Notice, error)
}

// DefaultSilence is how long an alert is silenced where no time is given.
const DefaultSilence = 4 * time.Hour

// maxSilence is the longest silence: whoever wants none at all ends the job.
const maxSilence = 30 * 24 * time.Hour

// alertView is an alert as the API shows it.
type alertView struct {
	activation.Alert
	Shown string `json:"shown" enum:"firing,acknowledged,silenced,resolved" doc:"the state that people see"`
}

// AlertPath names one alert: what an alert job last told about a subject.
type AlertPath struct {
	Job     string `path:"job" doc:"id of the alert job"`
	Source  string `path:"source" enum:"work,auth,segment,query,server" doc:"what the subject is"`
	Subject string `path:"subject" maxLength:"64" doc:"id of the job, authorization or audience; server for the server itself"`
}

func (p AlertPath) keys() (activation.JobID, activation.Source, string) {
	return activation.JobID(p.Job), activation.Source(p.Source), p.Subject
}

func (a *API) alerts(h huma.API) {
	show := func(ctx context.Context, v activation.Alert, err error) (*reply[alertView], error) {
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, alertView{v, v.Shown(a.Now())})
	}
	huma.Register(h, route("GET /v2/alert", Viewer, "list-alerts", "What alert jobs told of last: what fires first", "alerts"), func(ctx context.Context, in *struct {
		Job   string `query:"job" doc:"id of an alert job"`
		Shown string `query:"state" enum:"firing,acknowledged,silenced,resolved" doc:"only those shown in this state"`
		Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"500"`
	},
	) (*reply[[]alertView], error) {
		all, err := a.Alerts.Alerts(ctx, store.AlertFilter{Job: activation.JobID(in.Job), Shown: in.Shown, Limit: in.Limit})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := make([]alertView, len(all))
		for i, v := range all {
			out[i] = alertView{v, v.Shown(a.Now())}
		}
		return list(ctx, out)
	})
	huma.Register(h, route("POST /v2/alert/{job}/{source}/{subject}/acknowledge", Operator, "acknowledge-alert", "Say that somebody knows: nothing more is told until it is resolved", "alerts"), func(ctx context.Context, in *AlertPath) (*reply[alertView], error) {
		job, source, subject := in.keys()
		v, err := a.Alerts.AcknowledgeAlert(ctx, job, source, subject, CallerOf(ctx).Name)
		return show(ctx, v, err)
	})
	huma.Register(h, route("POST /v2/alert/{job}/{source}/{subject}/silence", Operator, "silence-alert", "Tell nothing about a subject for a while", "alerts"), func(ctx context.Context, in *struct {
		AlertPath
		For string `query:"for" doc:"a duration up to 720h, such as 4h, which is the default"`
	},
	) (*reply[alertView], error) {
		d := DefaultSilence
		if in.For != "" {
			var err error
			if d, err = time.ParseDuration(in.For); err != nil || d <= 0 || d > maxSilence {
				return nil, a.fail(ctx, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "for", Message: "for: must be a duration up to 720h, such as 4h"})
			}
		}
		job, source, subject := in.keys()
		v, err := a.Alerts.SilenceAlert(ctx, job, source, subject, d, CallerOf(ctx).Name)
		return show(ctx, v, err)
	})
	huma.Register(h, route("POST /v2/alert/{job}/{source}/{subject}/unsilence", Operator, "unsilence-alert", "End a silence and an acknowledgement", "alerts"), func(ctx context.Context, in *AlertPath) (*reply[alertView], error) {
		job, source, subject := in.keys()
		v, err := a.Alerts.UnsilenceAlert(ctx, job, source, subject, CallerOf(ctx).Name)
		return show(ctx, v, err)
	})
	huma.Register(h, route("POST /v2/alert/{job}/test", Operator, "test-alert", "Send a test notice of an alert job", "alerts"), func(ctx context.Context, in *struct {
		Job string `path:"job" doc:"id of the alert job"`
	},
	) (*reply[activation.Notice], error) {
		n, err := a.Notifier.Test(ctx, activation.JobID(in.Job), CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, n)
	})
	huma.Register(h, route("GET /v2/notice", Viewer, "list-notices", "The notices of alert jobs, with attempts and answers, newest first", "alerts"), func(ctx context.Context, in *struct {
		Job   string `query:"job" doc:"id of an alert job"`
		State string `query:"state" enum:"pending,sending,sent,failed,unknown,silenced"`
		Start string `query:"start" doc:"_next of the page before"`
		Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
	},
	) (*reply[[]activation.Notice], error) {
		f := store.NoticeFilter{Job: activation.JobID(in.Job), Before: activation.NoticeID(in.Start), Limit: in.Limit + 1}
		if in.State != "" {
			f.States = []activation.NoticeState{activation.NoticeState(in.State)}
		}
		all, err := a.Alerts.Notices(ctx, f)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		next := ""
		if len(all) > in.Limit {
			all = all[:in.Limit]
			next = string(all[in.Limit-1].ID)
		}
		return page(ctx, all, next)
	})
}
