package web

import (
	"context"
	"net/http"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

var jobStates = []activation.JobState{
	activation.JobFailed, activation.JobRunnable, activation.JobSleeping, activation.JobPaused, activation.JobCompleted, activation.JobKilled,
}

type jobsPage struct {
	Segments       []segment
	Providers      []option
	Authorizations []option
	State, Name    string
	Rows           []jobRow
	Clear          bool
	Total          int64
}

// jobRow is a job as the list shows it.
type jobRow struct {
	activation.Job
	Chip                               chip
	Path, Logo, Provider               string
	Authorization, Destination, Rhythm string
	History                            []outcome
	HistoryText                        string
}

// outcome is one bar of the run history; Class "" is a good one.
type outcome struct{ Class string }

// historyLength is how many runs the history of a job shows.
const historyLength = 12

func (c *Console) registerJobs(mux *http.ServeMux) {
	c.page(mux, "/jobs", "jobs", c.jobs)
	c.page(mux, "/jobs/new", "", c.newJob)
	c.action(mux, "/jobs", activation.RoleOperator, c.createJob)
	c.page(mux, "/jobs/{id}", "job", c.job)
	c.action(mux, "/jobs/{id}/{command}", activation.RoleOperator, c.commandJob)
}

func (c *Console) jobs(v visit) (view, error) {
	ctx := v.Context()
	state := v.get("state")
	counts, err := c.Store.JobCounts(ctx, store.JobFilter{})
	if err != nil {
		return view{}, err
	}
	p := jobsPage{State: state, Name: v.get("name"), Clear: len(filters(v)) > 0, Segments: []segment{{link{filtered(v, "state", ""), "All"}, 0, state == ""}}}
	for _, s := range jobStates {
		p.Total += counts[s]
		p.Segments = append(p.Segments, segment{link{filtered(v, "state", string(s)), jobChip(activation.Job{State: s}).Word}, counts[s], state == string(s)})
	}
	p.Segments[0].Count = p.Total
	f := store.JobFilter{}
	if state != "" {
		f.State = []activation.JobState{activation.JobState(state)}
	}
	jobs, err := c.Store.Jobs(ctx, f)
	if err != nil {
		return view{}, err
	}
	auths, err := c.Store.Authorizations(ctx)
	if err != nil {
		return view{}, err
	}
	for _, d := range c.Providers {
		p.Providers = append(p.Providers, option{d.Name, d.Title, d.Name == v.get("provider")})
	}
	for _, a := range auths {
		p.Authorizations = append(p.Authorizations, option{string(a.ID), a.Label, string(a.ID) == v.get("authorization")})
	}
	if p.Rows, err = c.jobRows(v, jobs, auths); err != nil {
		return view{}, err
	}
	return view{Template: "jobs", Title: "Jobs", Section: "/jobs", Page: "jobs", Query: v.URL.Query(), Regions: []string{"jobs-status", "jobs-list"}, Body: p}, nil
}

// jobRows makes rows of the jobs that fit the filters of name, provider and
// authorization.
func (c *Console) jobRows(v visit, jobs []activation.Job, auths []activation.Authorization) ([]jobRow, error) {
	destinations, err := c.Store.Destinations(v.Context())
	if err != nil {
		return nil, err
	}
	byID := make(map[activation.DestinationID]activation.Destination, len(destinations))
	for _, d := range destinations {
		byID[d.ID] = d
	}
	labels := make(map[activation.AuthorizationID]string, len(auths))
	for _, a := range auths {
		labels[a.ID] = a.Label
	}
	var rows []jobRow
	for _, j := range jobs {
		d := byID[j.Destination]
		if !within(lower(j.Name), lower(v.get("name"))) || !fits(j.Provider, v.get("provider")) || !fits(string(d.Authorization), v.get("authorization")) {
			continue
		}
		row := jobRow{Job: j, Chip: jobChip(j), Path: jobPath(j.ID), Logo: logo(j.Provider), Provider: typeOf(c.Providers, j.Provider), Authorization: labels[d.Authorization], Destination: d.Name, Rhythm: every(j)}
		if row.History, row.HistoryText, err = c.history(v.Context(), j.ID); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// history is how the last runs of a job ended, oldest first.
func (c *Console) history(ctx context.Context, id activation.JobID) ([]outcome, string, error) {
	runs, err := c.Store.Runs(ctx, store.RunFilter{Job: id, Limit: historyLength})
	if err != nil {
		return nil, "", err
	}
	var ok, wrong, failed int64
	out := make([]outcome, 0, historyLength)
	for i := len(runs) - 1; i >= 0; i-- {
		switch r := (tracking.View{Run: runs[i]}); {
		case r.Status == activation.RunFailed:
			failed++
			out = append(out, outcome{"f"})
		case r.WithErrors():
			wrong++
			out = append(out, outcome{"w"})
		case r.Status == activation.RunCompleted:
			ok++
			out = append(out, outcome{})
		case r.Status == activation.RunWithdrawn:
			out = append(out, outcome{"n"})
		default:
			out = append(out, outcome{"r"})
		}
	}
	return out, "Last " + many(int64(len(runs)), "run") + ": " + num(ok) + " ok, " + num(wrong) + " with errors, " + num(failed) + " failed", nil
}
