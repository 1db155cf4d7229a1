package web

import (
	"net/http"
	"net/url"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
)

type jobPage struct {
	Job     jobRow
	Head    jobHead
	Failure *failure
	Open    []openRun
	Chart   chart
	Config  []code
	Log     jobLog
	Targets []jobTarget
	Alerts  jobAlerts
	Runs    jobRuns
	Import  *importCard
	Kill    *button
	Delete  *button
}

func (c *Console) registerJob(mux *http.ServeMux) {
	c.page(mux, "/jobs/{id}", "job", c.job)
	mux.HandleFunc("GET /jobs/{id}/log", c.jobLogFile)
	c.action(mux, "/jobs/{id}/{command}", activation.RoleOperator, c.commandJob)
}

func (c *Console) job(v visit) (view, error) {
	ctx := v.Context()
	j, err := c.Store.Job(ctx, activation.JobID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	auths, err := c.Store.Authorizations(ctx)
	if err != nil {
		return view{}, err
	}
	row, err := c.jobRow(v, j, auths)
	if err != nil {
		return view{}, err
	}
	row.Provider = orText(row.Provider, c.providerName(j.Provider))
	p := jobPage{Job: row, Config: colored(c.jobJSON(j))}
	for _, part := range []func(visit, activation.Job, *jobPage) error{
		c.jobRunsOf, c.jobOpen, c.jobHeadOf, c.jobFailure, c.jobChart, c.jobLines, c.jobTargets, c.jobWatched, c.jobImport,
	} {
		if err := part(v, j, &p); err != nil {
			return view{}, err
		}
	}
	query := jobQuery(v, "", "")
	query.Set("id", string(j.ID))
	out := view{
		Template: "job", Title: j.Name, Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}}, Page: "job", Query: query,
		Regions: []string{"job-head", "job-failed", "job-summary", "job-progress", "job-legend", "job-chart", "job-log", "job-targets", "job-alerts", "job-runs"}, Body: p,
	}
	if p.Import != nil {
		out.Regions = append(out.Regions, "job-import")
	}
	return out, nil
}

// jobQueries are the parameters of a job's page that its links keep.
var jobQueries = []string{"range", "since", "until", "event", "before"}

// jobQuery is what the address asks for, with one thing changed.
func jobQuery(v visit, name, value string) url.Values {
	q := url.Values{}
	for _, n := range jobQueries {
		if have := v.get(n); have != "" {
			q.Set(n, have)
		}
	}
	if name != "" {
		q.Del(name)
	}
	if value != "" {
		q.Set(name, value)
	}
	return q
}

// jobHref is the address of a job's page with one parameter changed.
func jobHref(v visit, id activation.JobID, name, value, at string) string {
	to := jobPath(id)
	if q := jobQuery(v, name, value); len(q) > 0 {
		to += "?" + q.Encode()
	}
	return to + at
}

func (c *Console) jobRow(v visit, j activation.Job, auths []activation.Authorization) (jobRow, error) {
	plain := v
	plain.Request = v.Clone(v.Context())
	plain.URL.RawQuery = "" // one job, no filter of a list
	rows, err := c.jobRows(plain, []activation.Job{j}, auths)
	if err != nil || len(rows) == 0 {
		return jobRow{}, err
	}
	return rows[0], nil
}

// providerName is how people know a provider by one word or two, such as Meta.
func (c *Console) providerName(name string) string {
	for _, d := range c.Providers {
		if d.Name == name {
			short, _, _ := strings.Cut(d.Title, " (")
			return short
		}
	}
	return name
}

// jobAlerts are the rules that watch a job, and what they say of it now.
type jobAlerts struct {
	Rules  []watcher
	Firing []alertRow
}

type watcher struct {
	Link  link
	Logo  string
	Chip  chip
	Tells string
}

// jobWatched finds the alert jobs that tell of a job.
func (c *Console) jobWatched(v visit, j activation.Job, p *jobPage) error {
	rules, err := c.Store.Jobs(v.Context(), store.JobFilter{Type: string(provider.Alerting), Hidden: true, State: []activation.JobState{activation.JobRunnable, activation.JobSleeping, activation.JobPaused, activation.JobFailed}})
	if err != nil {
		return err
	}
	names := map[activation.JobID]string{}
	for _, rule := range rules {
		if rule.ID == j.ID || !watches(rule.Config, j.ID) {
			continue
		}
		names[rule.ID] = rule.Name
		p.Alerts.Rules = append(p.Alerts.Rules, watcher{link{jobPath(rule.ID), rule.Name}, c.logo(rule.Provider), jobChip(rule), tells(rule.Config)})
	}
	if len(names) == 0 {
		return nil
	}
	alerts, err := c.Store.Alerts(v.Context(), store.AlertFilter{})
	for _, a := range alerts {
		if a.Source == activation.SourceWork && a.SubjectID == string(j.ID) && a.State == activation.AlertFiring && names[a.Job] != "" {
			p.Alerts.Firing = append(p.Alerts.Firing, c.alertRow(v, a, names[a.Job]))
		}
	}
	return err
}

// watches reports whether an alert job with these settings tells of a job.
func watches(config map[string]string, id activation.JobID) bool {
	rule, err := provider.ParseAlertRule(config)
	if err != nil || rule.Source != "" && rule.Source != activation.SourceWork {
		return false
	}
	if len(rule.Subjects) == 0 {
		return true
	}
	for _, s := range rule.Subjects {
		if s == string(id) {
			return true
		}
	}
	return false
}

// running is what says that a job is not to be started: the number of its open
// run, 0 = none.
func (p *jobPage) running() int64 {
	if len(p.Open) == 0 {
		return 0
	}
	return p.Open[0].Number
}
