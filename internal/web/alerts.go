package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
)

// Notifier sends a test notice of an alert job.
type Notifier interface {
	Test(ctx context.Context, id activation.JobID, user string) (activation.Notice, error)
}

func (c *Console) registerAlerts(mux *http.ServeMux) {
	c.page(mux, "/alerts", "alerts", c.alerts)
	c.action(mux, "/alerts/{job}/test", activation.RoleOperator, c.testAlert)
	c.action(mux, "/alerts/{job}/{source}/{subject}/{verb}", activation.RoleOperator, c.changeAlert)
}

// silenceFor is how long the button silences.
const silenceFor = 4 * time.Hour

// noticesShown is how many notices the page shows.
const noticesShown = 30

type alertsPage struct {
	Headline, Sub string
	Open, Past    []alertRow
	Rules         []ruleRow
	History       []noticeRow
}

type alertRow struct {
	Chip        chip
	Title, Text string
	Since, Over time.Time
	Subject     *link
	Rule        link
	Buttons     []button
}

// ruleRow is an alert job: what it tells of, and how it last went.
type ruleRow struct {
	Name, Logo, Type string
	Href             string
	Chip             chip
	Tells            string
	Last             string
	LastAt           time.Time
	Bad              bool
	Test             button
}

type noticeRow struct {
	Chip   chip
	Title  string
	Rule   link
	At     time.Time
	Tries  int
	Answer string
}

// alertChip is the state an alert is shown in.
func alertChip(shown string) chip {
	switch shown {
	case string(activation.AlertFiring):
		return chip{"bad", "bell-ringing", "Firing", false}
	case activation.ShownAcknowledged:
		return chip{"warn", "eye-check", "Acknowledged", false}
	case activation.ShownSilenced:
		return chip{"off", "bell-off", "Silenced", false}
	}
	return chip{"ok", "check", "Resolved", false}
}

// noticeChip is where a notice is on its way.
func noticeChip(s activation.NoticeState) chip {
	switch s {
	case activation.NoticePending:
		return chip{"wait", "clock", "Waiting", false}
	case activation.NoticeSending:
		return chip{"run", "send", "Sending", false}
	case activation.NoticeSent:
		return chip{"ok", "check", "Sent", false}
	case activation.NoticeFailed:
		return chip{"bad", "alert-triangle", "Failed", false}
	case activation.NoticeUnknown:
		return chip{"warn", "alert-circle", "Unknown", false}
	case activation.NoticeSilenced:
		return chip{"off", "bell-off", "Silenced", false}
	}
	return chip{"line", "info-circle", string(s), false}
}

func (c *Console) alerts(v visit) (view, error) {
	ctx := v.Context()
	jobs, err := c.Store.Jobs(ctx, store.JobFilter{Type: string(provider.Alerting), Hidden: true})
	if err != nil {
		return view{}, err
	}
	all, err := c.Store.Alerts(ctx, store.AlertFilter{Limit: 200})
	if err != nil {
		return view{}, err
	}
	notices, err := c.Store.Notices(ctx, store.NoticeFilter{Limit: noticesShown})
	if err != nil {
		return view{}, err
	}
	names := map[activation.JobID]string{}
	for _, j := range jobs {
		names[j.ID] = j.Name
	}
	var p alertsPage
	for _, a := range all {
		row := c.alertRow(v, a, names[a.Job])
		if a.State == activation.AlertFiring {
			p.Open = append(p.Open, row)
		} else if len(p.Past) < noticesShown {
			p.Past = append(p.Past, row)
		}
	}
	for _, j := range jobs {
		row, err := c.ruleRow(v, j)
		if err != nil {
			return view{}, err
		}
		p.Rules = append(p.Rules, row)
	}
	for _, n := range notices {
		said := n.Answer
		if n.ErrorText != "" {
			said = sentence(n.ErrorText)
		}
		p.History = append(p.History, noticeRow{
			Chip: noticeChip(n.State), Title: titleOf(n.Event, n.Recovery), Rule: link{jobPath(n.Job), names[n.Job]}, At: n.CreatedAt, Tries: n.Attempts, Answer: said,
		})
	}
	p.Headline, p.Sub = "Alerts", "What is wrong now, what is watched, and who is told."
	return view{
		Template: "alerts", Title: "Alerts", Section: "/alerts", Page: "alerts", Regions: []string{"alerts-open", "alerts-rules", "alerts-history", "alerts-past"}, Body: p,
	}, nil
}

func titleOf(e activation.Event, recovery bool) string {
	return provider.Notice{Event: e, Recovery: recovery}.Title()
}

// subjectLink leads to what an alert is about, where it has a page.
func subjectLink(source activation.Source, id string) *link {
	switch source {
	case activation.SourceWork:
		return &link{"/jobs/" + url.PathEscape(id), "Open job"}
	case activation.SourceSegment:
		return &link{"/audiences/" + url.PathEscape(id), "Open audience"}
	case activation.SourceAuth:
		return &link{"/authorizations", "Authorizations"}
	case activation.SourceQuery, activation.SourceServer:
	}
	return nil
}

func (c *Console) alertRow(v visit, a activation.Alert, rule string) alertRow {
	shown := a.Shown(c.Now())
	row := alertRow{
		Chip: alertChip(shown), Since: a.Since, Over: a.ResolvedAt, Subject: subjectLink(a.Source, a.SubjectID), Rule: link{jobPath(a.Job), rule},
		Title: titleOf(activation.Event{Source: a.Source, Type: a.Type, SubjectName: a.SubjectName}, false), Text: sentence(a.Message),
	}
	if a.State != activation.AlertFiring {
		return row
	}
	base := "/alerts/" + url.PathEscape(string(a.Job)) + "/" + url.PathEscape(string(a.Source)) + "/" + url.PathEscape(a.SubjectID) + "/"
	switch shown {
	case string(activation.AlertFiring):
		row.Buttons = []button{v.press(base+"acknowledge", "Acknowledge", "eye-check").as("btn-s"), v.press(base+"silence", "Silence 4 h", "bell-off").as("btn-s")}
	case activation.ShownAcknowledged:
		row.Text += " Acknowledged by " + a.AcknowledgedBy + "."
		row.Buttons = []button{v.press(base+"silence", "Silence 4 h", "bell-off").as("btn-s"), v.press(base+"unsilence", "Undo", "arrow-back-up").as("btn-s")}
	case activation.ShownSilenced:
		row.Text += " Silenced until " + utc(a.SilencedUntil) + "."
		row.Buttons = []button{v.press(base+"unsilence", "Undo", "arrow-back-up").as("btn-s")}
	}
	return row
}

func (c *Console) ruleRow(v visit, j activation.Job) (ruleRow, error) {
	row := ruleRow{
		Name: j.Name, Logo: c.logo(j.Provider), Type: j.Provider, Href: jobPath(j.ID), Chip: jobChip(j), Tells: tells(j.Config),
		Test: v.press("/alerts/"+url.PathEscape(string(j.ID))+"/test", "Test", "send").as("btn-s"), Last: "Nothing was told yet",
	}
	for _, d := range c.Providers {
		if d.Name == j.Provider {
			row.Type = d.Title
		}
	}
	last, err := c.Store.Notices(v.Context(), store.NoticeFilter{Job: j.ID, Limit: 1, States: []activation.NoticeState{activation.NoticePending, activation.NoticeSending, activation.NoticeSent, activation.NoticeFailed, activation.NoticeUnknown}})
	if err != nil || len(last) == 0 {
		return row, err
	}
	n := last[0]
	row.LastAt = n.CreatedAt
	switch {
	case n.State == activation.NoticeSent:
		row.Last, row.LastAt = "Delivered", n.SentAt
	case n.ErrorText != "":
		row.Last, row.Bad = "Last try failed: "+n.ErrorText, true
	default:
		row.Last = "On its way"
	}
	return row, nil
}

// tells says in words what an alert job tells of.
func tells(config map[string]string) string {
	r, err := provider.ParseAlertRule(config)
	if err != nil {
		return "Its settings are wrong"
	}
	what := map[activation.Source]string{
		"": "Everything", activation.SourceWork: "Jobs", activation.SourceAuth: "Authorizations", activation.SourceSegment: "Audiences",
		activation.SourceQuery: "Mappings", activation.SourceServer: "The server",
	}[r.Source]
	if len(r.Subjects) > 0 {
		what += ", " + num(len(r.Subjects)) + " chosen"
	}
	types := config[provider.AlertTypes]
	if types == "" {
		return what + ": what matters"
	}
	return what + ": " + strings.ReplaceAll(strings.Join(provider.List(types), ", "), "_", " ")
}

func (c *Console) testAlert(v visit) (view, error) {
	const to = "/alerts"
	n, err := c.Notifier.Test(v.Context(), activation.JobID(v.PathValue("job")), v.who.Name)
	if err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", "A test notice was sent: " + n.Answer + "."}}, nil
}

func (c *Console) changeAlert(v visit) (view, error) {
	const to = "/alerts"
	job, source, subject := activation.JobID(v.PathValue("job")), activation.Source(v.PathValue("source")), v.PathValue("subject")
	var err error
	said := ""
	switch v.PathValue("verb") {
	case "acknowledge":
		_, err = c.Store.AcknowledgeAlert(v.Context(), job, source, subject, v.who.Name)
		said = "Acknowledged. Nothing more is told until it is resolved."
	case "silence":
		_, err = c.Store.SilenceAlert(v.Context(), job, source, subject, silenceFor, v.who.Name)
		said = "Silenced for 4 hours."
	case "unsilence":
		_, err = c.Store.UnsilenceAlert(v.Context(), job, source, subject, v.who.Name)
		said = "Changes are told again."
	default:
		return view{}, activation.ErrNotFound
	}
	if err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", said}}, nil
}
