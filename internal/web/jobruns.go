package web

import (
	"net/url"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// runsPerPage is how many runs a job's page lists.
const runsPerPage = 20

// jobRuns is one page of the runs of a job, or of the passes of one without
// targets.
type jobRuns struct {
	// Kept is true for jobs that have runs at a network.
	Kept          bool
	Rows          []runRow
	Passes        []passRow
	Older, Newest string
	// open are the runs in progress, whatever the page lists.
	open []runRow
}

type passRow struct {
	activation.Pass
	Chip    chip
	Counted string
	Took    time.Duration
	Wrong   string
	Help    string
}

// openLimit is the most runs in progress that a page shows.
const openLimit = 20

func (c *Console) jobRunsOf(v visit, j activation.Job, p *jobPage) error {
	before, _ := strconv.ParseInt(v.get("before"), 10, 64)
	p.Runs.Kept = j.Destination != ""
	if before > 0 {
		p.Runs.Newest = jobHref(v, j.ID, "before", "", "#runs")
	}
	if !p.Runs.Kept {
		return c.jobPasses(v, j, before, p)
	}
	live := []activation.RunStatus{activation.RunPending, activation.RunRunning, activation.RunAwaiting}
	open, err := c.Tracking.List(v.Context(), store.RunFilter{Job: j.ID, Status: live, Limit: openLimit})
	if err != nil {
		return err
	}
	if p.Runs.open, err = c.runRows(v, open); err != nil {
		return err
	}
	runs, err := c.Tracking.List(v.Context(), store.RunFilter{Job: j.ID, Before: before, Limit: runsPerPage + 1})
	if err != nil {
		return err
	}
	if len(runs) > runsPerPage {
		runs = runs[:runsPerPage]
		p.Runs.Older = jobHref(v, j.ID, "before", strconv.FormatInt(runs[runsPerPage-1].Number, 10), "#runs")
	}
	p.Runs.Rows, err = c.runRows(v, runs)
	return err
}

func (c *Console) jobPasses(v visit, j activation.Job, before int64, p *jobPage) error {
	passes, err := c.Store.Passes(v.Context(), j.ID, before, runsPerPage+1)
	if err != nil {
		return err
	}
	if len(passes) > runsPerPage {
		passes = passes[:runsPerPage]
		p.Runs.Older = jobHref(v, j.ID, "before", strconv.FormatInt(passes[runsPerPage-1].Number, 10), "#runs")
	}
	for _, pass := range passes {
		p.Runs.Passes = append(p.Runs.Passes, passRowOf(pass, c.Now()))
	}
	return nil
}

func passRowOf(p activation.Pass, now time.Time) passRow {
	row := passRow{Pass: p, Chip: runChip(tracking.View{Run: activation.Run{Status: p.Status}}), Counted: countsText(p.Counts), Took: now.Sub(p.StartedAt)}
	if !p.EndedAt.IsZero() {
		row.Took = p.EndedAt.Sub(p.StartedAt)
	}
	if p.ErrorCode != "" {
		row.Wrong, row.Help = p.ErrorCode+": "+sentence(p.ErrorText), helpPath(tracking.Page(p.ErrorCode))
	}
	return row
}

// jobTarget is one audience kept at one destination.
type jobTarget struct {
	tracking.TargetView
	Chip  chip
	Says  string
	Until time.Time
	// Release is where the remote audience of an ended job is given up.
	Release string
}

func (c *Console) jobTargets(v visit, j activation.Job, p *jobPage) error {
	targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{Job: j.ID})
	if err != nil {
		return err
	}
	for _, t := range targets {
		row := jobTarget{TargetView: t}
		row.Chip, row.Says, row.Until = targetState(t.Target)
		if t.RemoteID != "" && t.Release == "" && (j.State == activation.JobKilled || j.State == activation.JobCompleted) {
			row.Release = "/destinations/" + url.PathEscape(string(t.Destination))
		}
		p.Targets = append(p.Targets, row)
	}
	return nil
}

// targetState is how a target stands.
func targetState(t activation.Target) (chip, string, time.Time) {
	switch {
	case t.Release == activation.EndEmpty:
		return chip{"warn", "user-minus", "Being emptied", false}, "everybody is removed at the network", time.Time{}
	case t.Release == activation.EndDelete:
		return chip{"warn", "trash", "Being deleted", false}, "everybody is removed, and then the audience", time.Time{}
	case t.OpenRun != "":
		return chip{"run", "loader-2", "Run in progress", false}, "", time.Time{}
	}
	switch t.State {
	case activation.TargetSleeping:
		says, until := standing(activation.Job{State: activation.JobSleeping, SleepReason: t.SleepReason, SleepUntil: t.SleepUntil})
		return jobChip(activation.Job{State: activation.JobSleeping, SleepReason: t.SleepReason}), says, until
	case activation.TargetFailed:
		return chip{"bad", "alert-triangle", "Failed", false}, "", time.Time{}
	case activation.TargetCompleted:
		return chip{"ok", "check", "Completed", false}, "", time.Time{}
	case activation.TargetRunnable:
	}
	if t.DirtySeq > t.DoneSeq {
		return chip{"line", "clock", "Changes wait", false}, "", time.Time{}
	}
	return chip{"ok", "check", "Up to date", false}, "", time.Time{}
}
