package web

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

const (
	// jobRuns and jobLines are how many runs and log lines a job's page shows.
	jobRuns  = 20
	jobLines = 200
)

type jobPage struct {
	Job      jobRow
	Actions  []button
	Kill     *button
	Open     []openRun
	Targets  []tracking.TargetView
	Config   string
	Log      []logLine
	Runs     []runRow
	Failure  string
	LastFail string
}

// openRun is a run in progress with its rail.
type openRun struct {
	Run  runRow
	Rail []stage
	// Total is known once the rows are staged; before, the rail alone tells.
	Known    bool
	Done     int64
	Progress string
}

type logLine struct {
	activation.LogEntry
	Tone string
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
	p := jobPage{Job: row, Config: jobJSON(j)}
	p.Actions, p.Kill = jobActions(v, j)
	if p.Targets, err = c.Tracking.Targets(ctx, store.TargetFilter{Job: j.ID}); err != nil {
		return view{}, err
	}
	if err := c.jobRunsOf(v, j, &p); err != nil {
		return view{}, err
	}
	lines, err := c.Store.JobLogs(ctx, j.ID, time.Time{}, jobLines)
	if err != nil {
		return view{}, err
	}
	for _, l := range lines {
		p.Log = append(p.Log, logLine{l, logTone(l.Level)})
	}
	return view{
		Template: "job", Title: j.Name, Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}}, Page: "job", Query: url.Values{"id": {string(j.ID)}},
		Regions: []string{"job-head", "job-progress", "job-targets", "job-log", "job-runs"}, Body: p,
	}, nil
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

func (c *Console) jobRunsOf(v visit, j activation.Job, p *jobPage) error {
	runs, err := c.Tracking.List(v.Context(), store.RunFilter{Job: j.ID, Limit: jobRuns})
	if err != nil {
		return err
	}
	if p.Runs, err = c.runRows(v, runs); err != nil {
		return err
	}
	for _, r := range p.Runs {
		if !r.Status.Final() {
			p.Open = append(p.Open, c.openRun(r))
		}
	}
	if i := slices.IndexFunc(p.Runs, func(r runRow) bool { return r.Status == activation.RunFailed }); i >= 0 && (j.State == activation.JobFailed || j.ConsecutiveErrors > 0) {
		r := p.Runs[i]
		p.Failure = r.ErrorCode + ": " + sentence(r.ErrorText)
		p.LastFail = r.Path
	}
	return nil
}

func (c *Console) openRun(r runRow) openRun {
	n := r.Counts
	done := n.Accepted + n.Rejected + n.Unknown
	o := openRun{Run: r, Rail: rail(r.View, r.Items, c.Now()), Known: r.Items.Total > 0 && n.Staged > 0, Done: done}
	o.Progress = num(done) + " of " + num(n.Staged) + " sent, " + num(n.Rejected) + " rejected"
	return o
}

// jobActions are the buttons that the job's state takes, and the one that ends it.
func jobActions(v visit, j activation.Job) ([]button, *button) {
	all := []struct {
		command    activation.JobCommand
		text, icon string
	}{
		{activation.CommandRun, "Run now", "bolt"},
		{activation.CommandPause, "Pause", "player-pause"},
		{activation.CommandResume, "Resume", "player-play"},
		{activation.CommandBounce, "Start again", "player-play"},
	}
	var out []button
	for _, a := range all {
		if slices.Contains(a.command.From(), j.State) {
			out = append(out, v.press(jobPath(j.ID)+"/"+string(a.command), a.text, a.icon))
		}
	}
	if j.State == activation.JobKilled {
		return out, nil
	}
	kill := v.press(jobPath(j.ID)+"/kill", "Terminate", "square-x").as("btn-bad")
	return out, &kill
}

// killWord is what a person types to end a job for good.
const killWord = "terminate"

func (c *Console) commandJob(v visit) (view, error) {
	ctx, id := v.Context(), activation.JobID(v.PathValue("id"))
	to := jobPath(id)
	command := activation.JobCommand(v.PathValue("command"))
	switch command {
	case activation.CommandRun:
		runs, err := c.Delivery.RunJob(ctx, id)
		if err != nil {
			return refused(to, err)
		}
		return view{To: to, Said: flash{"ok", "Started " + many(int64(len(runs)), "run") + "."}}, nil
	case activation.CommandKill:
		if v.post("confirm") != killWord {
			return view{To: to, Said: flash{"bad", "Nothing was changed: the word “" + killWord + "” was not typed."}}, nil
		}
	case activation.CommandPause, activation.CommandResume, activation.CommandBounce:
	default:
		return view{}, activation.ErrNotFound
	}
	j, err := c.Catalog.Command(ctx, id, command, 0, v.who.Name)
	if err != nil {
		return refused(to, err)
	}
	return view{To: to, Said: flash{"ok", "The job is now " + lower(jobChip(j).Word) + "."}}, nil
}

// jobJSON is the configuration of a job as JSON. It holds no secrets: those
// belong to authorizations.
func jobJSON(j activation.Job) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(map[string]any{ // plain values always encode
		"workflow": j.Workflow, "provider": j.Provider, "destination_id": j.Destination, "segment_ids": j.Audiences, "config": j.Config,
		"continuous_update": j.Continuous, "run_frequency": j.Frequency, "fail_after": j.FailAfter.String(),
	})
	return b.String()
}

func logTone(level string) string {
	switch level {
	case "error":
		return "bad"
	case "warn":
		return "warn"
	}
	return "ok"
}
