package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
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
	JobStates     []link
	People        int64
	Runs          int64
	RunStates     []link
	Day           dayCounts
	Waiting       int
	Broken        int // authorizations that do not work
	Firing        int // alerts
	Data          int // what is wrong with data that comes in
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
	// Fix is a page where it can be mended, nil where a button does.
	Fix *link
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
	for _, s := range jobStates {
		if n := states[s]; n > 0 {
			p.Jobs += n
			p.JobStates = append(p.JobStates, link{"/jobs?state=" + url.QueryEscape(string(s)), num(n) + " " + lower(jobChip(activation.Job{State: s}).Word)})
		}
	}
	if p.People, err = c.Warehouse.CountProfiles(ctx); err != nil {
		return err
	}
	since := c.Now().Add(-24 * time.Hour)
	runs, err := c.Store.RunCounts(ctx, store.RunFilter{Since: since})
	if err != nil {
		return err
	}
	for _, s := range runStatuses {
		if n := runs[s]; n > 0 {
			p.Runs += n
			p.RunStates = append(p.RunStates, link{"/sync?within=24h&status=" + url.QueryEscape(string(s)), num(n) + " " + lower(runChip(tracking.View{Run: activation.Run{Status: s}}).Word)})
		}
	}
	p.Day, err = c.day.counts(ctx, c.Store, c.Now())
	return err
}

// attention gathers what needs a person, worst first: failed jobs, credentials
// that do not work, runs that wait for an approval, jobs that try again or stand
// still, data that comes in badly, and alerts. It returns how many jobs fail.
func (c *Console) attention(v visit, jobs []activation.Job, p *overviewPage) (failing int, err error) {
	var later []attention
	for _, j := range jobs {
		if !troubled(j) {
			continue
		}
		failing++
		a, err := c.jobAttention(v, j)
		if err != nil {
			return 0, err
		}
		if j.State == activation.JobFailed {
			p.Attention = append(p.Attention, a)
		} else {
			later = append(later, a)
		}
	}
	for _, gather := range []func(visit, *overviewPage) error{c.brokenAuthorizations, c.approvals} {
		if err := gather(v, p); err != nil {
			return 0, err
		}
	}
	p.Attention = append(p.Attention, later...)
	if err := c.dataAttention(v, p); err != nil {
		return 0, err
	}
	return failing, c.firing(v, p)
}

// brokenAuthorizations adds the authorizations that do not work.
func (c *Console) brokenAuthorizations(v visit, p *overviewPage) error {
	all, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return err
	}
	var used map[activation.AuthorizationID]usage
	for _, a := range all {
		if a.Status != activation.AuthUnhealthy {
			continue
		}
		if used == nil {
			if used, err = c.usages(v); err != nil {
				return err
			}
		}
		row := c.authorizationRow(v, a, used[a.ID])
		p.Broken++
		p.Attention = append(p.Attention, attention{
			Logo: row.Logo, Link: link{row.Path, a.Label}, Chip: row.Chip, Text: sentence(orText(a.Reason, "the network refused the credentials")) + " It stops: " + lower(row.Used.Words()) + ".",
			Note: "Tried again at " + utc(row.Next), Buttons: []button{row.Test.as("")}, Fix: &link{row.Path, "Give new credentials"},
		})
	}
	return nil
}

// approvals adds the runs that wait for an approval.
func (c *Console) approvals(v visit, p *overviewPage) error {
	pending, err := c.Tracking.List(v.Context(), store.RunFilter{Status: []activation.RunStatus{activation.RunPending}, Limit: 50})
	if err != nil {
		return err
	}
	for _, r := range pending {
		if r.Reason != activation.SleepApproval {
			continue
		}
		p.Waiting++
		guard, err := c.guardBlock(v, r)
		if err != nil {
			return err
		}
		p.Attention = append(p.Attention, attention{
			Logo: c.logoOf(r.DestinationType), Link: link{runPath(r.ID), r.AudienceName + " to " + r.DestinationName}, Chip: runChip(r),
			Text: guard.Question, Note: "Waiting since " + utc(r.StartedAt) + ", declined by itself after 7 days", Buttons: []button{guard.Decline, guard.Approve},
		})
	}
	return nil
}

// firingShown is how many firing alerts the overview shows.
const firingShown = 5

// firing adds the alerts that fire and nobody has acknowledged.
func (c *Console) firing(v visit, p *overviewPage) error {
	all, err := c.Store.Alerts(v.Context(), store.AlertFilter{Shown: string(activation.AlertFiring), Limit: firingShown + 1})
	if err != nil {
		return err
	}
	for i, a := range all {
		p.Firing++
		if i == firingShown {
			p.Attention = append(p.Attention, attention{Logo: "bell-ringing", Link: link{"/alerts", "More alerts"}, Chip: alertChip(string(activation.AlertFiring)), Text: "The page of alerts lists them all."})
			break
		}
		row := c.alertRow(v, a, "")
		p.Attention = append(p.Attention, attention{
			Logo: "bell-ringing", Link: link{"/alerts", row.Title}, Chip: row.Chip, Text: row.Text, Note: "Since " + utc(row.Since), Buttons: row.Buttons, Fix: row.Subject,
		})
	}
	return nil
}

func (c *Console) jobAttention(v visit, j activation.Job) (attention, error) {
	a := attention{Logo: c.logo(j.Provider), Link: link{jobPath(j.ID), j.Name}, Chip: jobChip(j), Text: "It has not said why; its log has more."}
	if !j.StalledAt.IsZero() && j.State == activation.JobRunnable {
		a.Chip = chip{"warn", "alert-circle", "Stalled", false}
		a.Text, a.Note = "No progress since "+utc(j.StalledAt)+". The run is taken up anew by itself; its log says where it stands.", "Limit: "+dur(j.StallAfter)
		a.Fix = &link{jobPath(j.ID), "Open its log"}
		return a, nil
	}
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
	switch {
	case j.State == activation.JobFailed:
		a.Buttons = append(a.Buttons, v.press(jobPath(j.ID)+"/bounce", "Start again", "player-play"))
	case j.SleepReason == activation.SleepAuthorization:
		a.Text, a.Fix = "Its credentials do not work; it goes on by itself once they do.", &link{"/authorizations", "Authorizations"}
	case !j.SleepUntil.IsZero():
		a.Note = joinNotes(a.Note, "tries again at "+utc(j.SleepUntil))
	}
	return a, nil
}

// joinNotes puts two notes into one line; the first may be missing.
func joinNotes(a, b string) string {
	if a == "" {
		return sentenceWord(b)
	}
	return a + ", " + b
}

// verb is the verb after a number of things: one fails, two fail.
func verb(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// headline says in one sentence whether anything is wrong.
func (p *overviewPage) headline(jobs, failing int) {
	var parts []string
	if failing > 0 {
		parts = append(parts, many(int64(failing), "job")+verb(failing, " fails", " fail"))
	}
	if p.Broken > 0 && failing == 0 {
		parts = append(parts, many(int64(p.Broken), "authorization")+verb(p.Broken, " does", " do")+" not work")
	}
	if p.Waiting > 0 && len(parts) > 0 {
		parts = append(parts, many(int64(p.Waiting), "run")+verb(p.Waiting, " waits", " wait")+" for approval")
	} else if p.Waiting > 0 {
		parts = append(parts, many(int64(p.Waiting), "run")+verb(p.Waiting, " waits", " wait")+" for your approval")
	}
	switch {
	case failing > 0:
		p.Sub = "The other " + many(int64(jobs-failing), "job") + verb(jobs-failing, " is", " are") + " in order."
	case p.Broken > 0:
		p.Sub = "What uses it waits until there are credentials that work."
	case p.Waiting > 0:
		p.Sub = "Approving removes many people at once from a network; the numbers are below. Nothing else needs you."
	case p.Data > 0:
		parts = append(parts, "Data that comes in needs a look")
		p.Sub = "No job fails, and no run waits for you; what it says is below."
	case p.Firing > 0:
		parts = append(parts, "Alerts fire")
		p.Sub = "No job fails, and no run waits for you; what is watched says otherwise."
	case jobs == 0:
		parts, p.Sub = append(parts, "Nothing is set up to be sent yet"), "Four steps lead from your data to a network."
	default:
		parts, p.Sub = append(parts, "Everything is in order"), "No job fails, and no run waits for you."
	}
	p.Headline = strings.Join(parts, ", and ")
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
