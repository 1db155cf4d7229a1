package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

type overviewPage struct {
	Headline, Sub string
	Jobs          int64
	JobStates     string
	People        int64
	Runs          int64
	RunStates     string
	Day           dayCounts
	Waiting       int
	Attention     []attention
	Recent        []runRow
	Audiences     []audienceRow
	Streams       []warehouse.StreamStat
	FirstSteps    []step
}

// attention is one thing that a person should do something about.
type attention struct {
	Logo    string
	Link    link
	Chip    chip
	Text    string
	Note    string
	Buttons []button
}

// step is one step of setting up, done or not.
type step struct {
	link
	Help string
	Done bool
}

func (c *Console) registerOverview(mux *http.ServeMux) {
	c.page(mux, "/{$}", "overview", c.overview)
}

func (c *Console) overview(v visit) (view, error) {
	ctx := v.Context()
	var p overviewPage
	if err := c.overviewNumbers(ctx, &p); err != nil {
		return view{}, err
	}
	jobs, err := c.Store.Jobs(ctx, store.JobFilter{})
	if err != nil {
		return view{}, err
	}
	failing, err := c.attention(v, jobs, &p)
	if err != nil {
		return view{}, err
	}
	recent, err := c.Tracking.List(ctx, store.RunFilter{Limit: 8})
	if err != nil {
		return view{}, err
	}
	if p.Recent, err = c.runRows(v, recent); err != nil {
		return view{}, err
	}
	if p.Audiences, err = c.audienceRows(ctx); err != nil {
		return view{}, err
	}
	if p.Streams, err = c.Warehouse.Streams(ctx); err != nil {
		return view{}, err
	}
	if len(jobs) == 0 {
		if p.FirstSteps, err = c.firstSteps(ctx, p); err != nil {
			return view{}, err
		}
	}
	p.headline(len(jobs), failing)
	return view{
		Template: "overview", Title: "Overview", Section: "/", Page: "overview", Body: p,
		Regions: []string{"overview-head", "overview-kpis", "overview-attention", "overview-runs", "overview-audiences", "overview-streams"},
	}, nil
}

func (c *Console) overviewNumbers(ctx context.Context, p *overviewPage) error {
	states, err := c.Store.JobCounts(ctx, store.JobFilter{})
	if err != nil {
		return err
	}
	var parts []string
	for _, s := range jobStates {
		if n := states[s]; n > 0 {
			p.Jobs += n
			parts = append(parts, num(n)+" "+lower(jobChip(activation.Job{State: s}).Word))
		}
	}
	p.JobStates = orText(joinComma(parts), "None yet")
	if p.People, err = c.Warehouse.CountProfiles(ctx); err != nil {
		return err
	}
	since := c.Now().Add(-24 * time.Hour)
	runs, err := c.Store.RunCounts(ctx, store.RunFilter{Since: since})
	if err != nil {
		return err
	}
	parts = nil
	for _, s := range runStatuses {
		if n := runs[s]; n > 0 {
			p.Runs += n
			parts = append(parts, num(n)+" "+lower(runChip(tracking.View{Run: activation.Run{Status: s}}).Word))
		}
	}
	p.RunStates = orText(joinComma(parts), "None started")
	p.Day, err = c.day.counts(ctx, c.Store, c.Now())
	return err
}

// attention gathers what needs a person, failed things first, and returns how
// many jobs fail.
func (c *Console) attention(v visit, jobs []activation.Job, p *overviewPage) (failing int, err error) {
	ctx := v.Context()
	for _, j := range jobs {
		troubled := j.State == activation.JobFailed || j.State == activation.JobSleeping && (j.SleepReason == activation.SleepError || j.SleepReason == activation.SleepAuthorization)
		if !troubled {
			continue
		}
		failing++
		a, err := c.jobAttention(v, j)
		if err != nil {
			return 0, err
		}
		p.Attention = append(p.Attention, a)
	}
	pending, err := c.Tracking.List(ctx, store.RunFilter{Status: []activation.RunStatus{activation.RunPending}, Limit: 50})
	if err != nil {
		return 0, err
	}
	for _, r := range pending {
		if r.Reason != activation.SleepApproval {
			continue
		}
		p.Waiting++
		guard, err := c.guardBlock(v, r)
		if err != nil {
			return 0, err
		}
		p.Attention = append(p.Attention, attention{
			Logo: c.logoOf(r.DestinationType), Link: link{runPath(r.ID), r.AudienceName + " to " + r.DestinationName}, Chip: runChip(r),
			Text: guard.Question, Note: "Waiting since " + utc(r.StartedAt) + ", declined by itself after 7 days", Buttons: []button{guard.Decline, guard.Approve},
		})
	}
	return failing, nil
}

func (c *Console) jobAttention(v visit, j activation.Job) (attention, error) {
	a := attention{Logo: logo(j.Provider), Link: link{jobPath(j.ID), j.Name}, Chip: jobChip(j), Text: "It has not said why; its log has more."}
	failed, err := c.Tracking.List(v.Context(), store.RunFilter{Job: j.ID, Status: []activation.RunStatus{activation.RunFailed}, Limit: 1})
	if err != nil {
		return a, err
	}
	if len(failed) > 0 {
		r := failed[0]
		a.Text = r.ErrorCode + ": " + sentence(r.ErrorText)
		a.Note = "Run #" + num(r.Number) + " failed at " + utc(r.EndedAt)
		if r.Retry.Allowed {
			a.Buttons = append(a.Buttons, v.press(runPath(r.ID)+"/retry", "Retry failed items", "refresh"))
		}
	}
	if j.State == activation.JobFailed {
		a.Buttons = append(a.Buttons, v.press(jobPath(j.ID)+"/bounce", "Start again", "player-play"))
	} else if !j.SleepUntil.IsZero() {
		a.Note += ", tries again at " + utc(j.SleepUntil)
	}
	return a, nil
}

// headline says in one sentence whether anything is wrong.
func (p *overviewPage) headline(jobs, failing int) {
	switch {
	case failing > 0:
		p.Headline = many(int64(failing), "job") + map[bool]string{true: " fails", false: " fail"}[failing == 1]
		p.Sub = "The other " + many(int64(jobs-failing), "job") + map[bool]string{true: " is", false: " are"}[jobs-failing == 1] + " in order."
	case p.Waiting > 0:
		p.Headline = many(int64(p.Waiting), "run") + map[bool]string{true: " waits", false: " wait"}[p.Waiting == 1] + " for your approval"
		p.Sub = "Approving removes many people at once from a network; the numbers are below. Nothing else needs you."
	case jobs == 0:
		p.Headline = "Nothing is set up to be sent yet"
		p.Sub = "Four steps lead from your data to a network."
	default:
		p.Headline = "Everything is in order"
		p.Sub = "No job fails, and no run waits for you."
	}
	if failing > 0 && p.Waiting > 0 {
		p.Headline += ", and " + many(int64(p.Waiting), "run") + map[bool]string{true: " waits", false: " wait"}[p.Waiting == 1] + " for approval"
	}
}

func (c *Console) firstSteps(ctx context.Context, p overviewPage) ([]step, error) {
	destinations, err := c.Store.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	return []step{
		{link{"/data", "Bring data in"}, "Declare a stream and its fields, then upload a file.", p.People > 0},
		{link{"/audiences/new", "Make an audience"}, "A rule that says who is in it.", len(p.Audiences) > 0},
		{link{"/destinations", "Name a destination"}, "Credentials and an account at a network.", len(destinations) > 0},
		{link{"/jobs/new", "Create a job"}, "It keeps the audience in step at the destination.", false},
	}, nil
}

// dayCounts are the outcomes of the runs of the last 24 hours.
type dayCounts struct {
	Accepted, Rejected int64
}

// dayAge is how long the sums of a day are good for; they read every run of it.
const dayAge = 5 * time.Second

// day keeps the sums of the last 24 hours for a moment, since every open page asks.
type day struct {
	mu   sync.Mutex
	at   time.Time
	sums dayCounts
}

func (d *day) counts(ctx context.Context, st *store.Store, now time.Time) (dayCounts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now.Sub(d.at); age >= 0 && age < dayAge {
		return d.sums, nil
	}
	var sums dayCounts
	const batch = 500
	for before := int64(0); ; {
		runs, err := st.Runs(ctx, store.RunFilter{Since: now.Add(-24 * time.Hour), Before: before, Limit: batch})
		if err != nil {
			return dayCounts{}, err
		}
		for _, r := range runs {
			sums.Accepted += r.Counts.Accepted
			sums.Rejected += r.Counts.Rejected
			before = r.Number
		}
		if len(runs) < batch {
			break
		}
	}
	d.at, d.sums = now, sums
	return sums, nil
}
