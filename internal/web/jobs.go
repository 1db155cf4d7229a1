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
	Types          []option
	State, Name    string
	Hidden         bool
	Next           string
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
	c.registerWizard(mux)
	c.registerJob(mux)
}

// jobsPerPage is how many jobs a page lists.
const jobsPerPage = 50

func (c *Console) jobs(v visit) (view, error) {
	ctx := v.Context()
	state := v.get("state")
	f := store.JobFilter{Text: v.get("name"), Provider: v.get("provider"), Type: v.get("type"), After: activation.JobID(v.get("after")), Limit: jobsPerPage + 1, Hidden: v.get("hidden") != ""}
	if auth := v.get("authorization"); auth != "" {
		f.Authorizations = []activation.AuthorizationID{activation.AuthorizationID(auth)}
	}
	counts, err := c.Store.JobCounts(ctx, f)
	if err != nil {
		return view{}, err
	}
	p := jobsPage{State: state, Name: f.Text, Clear: len(filters(v)) > 0, Hidden: f.Hidden, Segments: []segment{{link{filtered(v, "state", ""), "All"}, 0, state == ""}}}
	for _, s := range jobStates {
		p.Total += counts[s]
		p.Segments = append(p.Segments, segment{link{filtered(v, "state", string(s)), jobChip(activation.Job{State: s}).Word}, counts[s], state == string(s)})
	}
	p.Segments[0].Count = p.Total
	if state != "" {
		f.State = []activation.JobState{activation.JobState(state)}
	}
	jobs, err := c.Store.Jobs(ctx, f)
	if err != nil {
		return view{}, err
	}
	if len(jobs) > jobsPerPage {
		jobs = jobs[:jobsPerPage]
		p.Next = filtered(v, "after", string(jobs[jobsPerPage-1].ID))
	}
	auths, err := c.Store.Authorizations(ctx)
	if err != nil {
		return view{}, err
	}
	types := map[string]bool{}
	for _, d := range c.Providers {
		p.Providers = append(p.Providers, option{d.Name, d.Title, d.Name == f.Provider})
		for _, one := range categoriesOf(d) {
			if !types[one] {
				types[one] = true
				p.Types = append(p.Types, option{one, sentenceWord(one), one == f.Type})
			}
		}
	}
	for _, a := range auths {
		p.Authorizations = append(p.Authorizations, option{string(a.ID), a.Label, string(a.ID) == v.get("authorization")})
	}
	if p.Rows, err = c.jobRows(v, jobs, auths); err != nil {
		return view{}, err
	}
	return view{Template: "jobs", Title: "Jobs", Section: "/jobs", Page: "jobs", Query: v.URL.Query(), Regions: []string{"jobs-status", "jobs-list"}, Body: p}, nil
}

// jobRows makes rows of jobs.
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
	rows := make([]jobRow, len(jobs))
	for i, j := range jobs {
		d := byID[j.Destination]
		row := jobRow{Job: j, Chip: jobChip(j), Path: jobPath(j.ID), Logo: c.logo(j.Provider), Provider: typeOf(c.Providers, j.Provider), Authorization: labels[d.Authorization], Destination: d.Name, Rhythm: every(j)}
		for _, id := range j.Authorizations {
			row.Authorization = labels[id]
		}
		if row.History, row.HistoryText, err = c.historyOf(v.Context(), j); err != nil {
			return nil, err
		}
		rows[i] = row
	}
	return rows, nil
}

// historyOf is how the last runs, or passes, of a job ended, oldest first.
func (c *Console) historyOf(ctx context.Context, j activation.Job) ([]outcome, string, error) {
	if j.Destination != "" {
		return c.history(ctx, j.ID)
	}
	passes, err := c.Store.Passes(ctx, j.ID, 0, historyLength)
	if err != nil {
		return nil, "", err
	}
	classes := map[activation.RunStatus]string{activation.RunCompleted: "", activation.RunFailed: "f", activation.RunWithdrawn: "n"}
	var ok, failed int64
	out := make([]outcome, 0, len(passes))
	for i := len(passes) - 1; i >= 0; i-- {
		class, final := classes[passes[i].Status]
		switch {
		case !final:
			class = "r"
		case class == "f":
			failed++
		case class == "":
			ok++
		}
		out = append(out, outcome{class})
	}
	return out, "Last " + many(int64(len(passes)), "run") + ": " + num(ok) + " ok, 0 with errors, " + num(failed) + " failed", nil
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
