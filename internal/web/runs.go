package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// itemRows is how many rows of an item its page shows.
const itemRows = 100

type runPage struct {
	Run      runRow
	Rail     []stage
	Items    []itemRow
	Guard    *guardBlock
	Withdraw *button
	Duration time.Duration
	Counts   []countGroup
}

// stage is one step of the rail.
type stage struct {
	Number      int
	Class, Said string // done, now, fail, todo
	Name, Text  string
	Took        time.Duration
	Left, Width string // of the time bar, in per cent
	Timed       bool
}

type itemRow struct {
	activation.Item
	Chip chip
	Path string
}

type countGroup struct {
	Title  string
	Counts []count
}

type count struct {
	Name  string
	Value int64
}

// guardBlock says in numbers what approving a run does, and what declining.
type guardBlock struct {
	Question, Approving, Declining string
	Approve, Decline               button
}

func (c *Console) registerRuns(mux *http.ServeMux) {
	c.page(mux, "/runs/{id}", "run", c.run)
	c.page(mux, "/runs/{id}/rail", "", c.rail)
	c.page(mux, "/runs/{id}/items/{number}", "", c.item)
	for name, do := range map[string]struct {
		do   func(context.Context, activation.RunID, string) (activation.Run, error)
		said string
	}{
		"retry":    {c.Delivery.Retry, "The failed items are sent again."},
		"withdraw": {c.Delivery.Withdraw, "The run was withdrawn. Nothing was sent."},
		"approve":  {c.Delivery.Approve, "Approved. The run goes on and removes these people."},
		"decline":  {c.Delivery.Decline, "Declined. The run goes on and keeps these people."},
	} {
		c.action(mux, "/runs/{id}/"+name, activation.RoleOperator, func(v visit) (view, error) {
			id := activation.RunID(v.PathValue("id"))
			if _, err := do.do(v.Context(), id, v.who.Name); err != nil {
				return refused(runPath(id), err)
			}
			return view{To: runPath(id), Said: flash{"ok", do.said}}, nil
		})
	}
}

func (c *Console) run(v visit) (view, error) {
	r, items, err := c.Tracking.Run(v.Context(), activation.RunID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	rows, err := c.runRows(v, []tracking.View{r})
	if err != nil {
		return view{}, err
	}
	p := runPage{Run: rows[0], Rail: rail(r, rows[0].Items, c.Now()), Duration: r.Duration(c.Now()), Counts: countGroups(r.Counts)}
	for _, it := range items {
		p.Items = append(p.Items, itemRow{it, itemChip(it.State), runPath(r.ID) + "/items/" + strconv.Itoa(it.Number)})
	}
	if r.Status == activation.RunPending {
		if r.Reason == activation.SleepApproval {
			guard, err := c.guardBlock(v, r)
			if err != nil {
				return view{}, err
			}
			p.Guard = &guard
		}
		b := v.press(runPath(r.ID)+"/withdraw", "Withdraw run", "arrow-back-up")
		p.Withdraw = &b
	}
	return view{
		Template: "run", Title: "Run #" + num(r.Number), Section: "/sync", Crumbs: []link{{"/sync", "Sync tracking"}}, Page: "run",
		Query: url.Values{"id": {string(r.ID)}}, Regions: []string{"run-head", "run-guard", "run-body"}, Body: p,
	}, nil
}

// rail is the part of a run that an opened row of a list shows.
func (c *Console) rail(v visit) (view, error) {
	out, err := c.run(v)
	out.Template, out.Fragment = "sync", "run-open"
	return out, err
}

// guardBlock puts the question of the removal guard in numbers.
func (c *Console) guardBlock(v visit, r tracking.View) (guardBlock, error) {
	holds, err := c.Warehouse.Holdings(v.Context(), r.Target, r.Generation)
	if err != nil {
		return guardBlock{}, err
	}
	held := holds.In + holds.Maybe
	others := ""
	if stay := r.Counts.Add + r.Counts.Update; stay > 0 {
		others = " The " + many(stay, "other change") + " of this run are sent too."
	}
	return guardBlock{
		Question:  "This run would remove " + num(r.Counts.Remove) + " of the " + num(held) + " people that " + r.DestinationName + " holds (" + pct(r.Counts.Remove, held) + "%).",
		Approving: "Approving removes " + many(r.Counts.Remove, "person") + " from the audience at the network." + others,
		Declining: "Declining keeps these " + many(r.Counts.Remove, "person") + " there. The removals are withheld, and asked about again when they have grown by 1%." + others,
		Approve:   v.press(runPath(r.ID)+"/approve", "Approve "+many(r.Counts.Remove, "removal"), "check").as("btn-bad"),
		Decline:   v.press(runPath(r.ID)+"/decline", "Decline", "hand-stop"),
	}, nil
}

// rail is the six stages of a run: where it is and how long each took.
func rail(r tracking.View, items store.ItemTally, now time.Time) []stage {
	at := len(activation.Stages)
	if r.Status != activation.RunCompleted {
		at = 0
		for i, s := range activation.Stages {
			if s == r.Stage {
				at = i
			}
		}
	}
	timings := map[activation.Stage]activation.Timing{}
	for _, t := range r.Timings {
		timings[t.Stage] = t // the last attempt counts
	}
	whole := r.Duration(now)
	out := make([]stage, len(activation.Stages))
	for i, name := range activation.Stages {
		s := stage{Number: i + 1, Name: stageNames[name], Class: "todo", Said: "not started", Text: stageText(name, r, items)}
		switch {
		case i < at:
			s.Class, s.Said = "done", "done"
		case i == at && r.Status == activation.RunFailed:
			s.Class, s.Said = "fail", "failed"
		case i == at && (r.Status == activation.RunRunning || r.Status == activation.RunAwaiting):
			s.Class, s.Said = "now", "in progress"
		}
		if s.Class == "todo" {
			s.Text = ""
		}
		if t, ok := timings[name]; ok && whole > 0 {
			end := t.EndedAt
			if end.IsZero() {
				end = r.StartedAt.Add(whole)
			}
			s.Timed, s.Took = true, end.Sub(t.StartedAt)
			s.Left, s.Width = pct(int64(t.StartedAt.Sub(r.StartedAt)), int64(whole)), pct(int64(s.Took), int64(whole))
		}
		out[i] = s
	}
	return out
}

func stageText(s activation.Stage, r tracking.View, items store.ItemTally) string {
	n := r.Counts
	switch s {
	case activation.StagePayload:
		return num(n.Selected) + " selected"
	case activation.StageAudiences:
		return num(n.Add+n.Update) + " in, " + num(n.Remove) + " out, " + num(n.Unchanged) + " there"
	case activation.StageStaging:
		return many(n.Staged, "row")
	case activation.StageQueue:
		return many(items.Total, "item")
	case activation.StageRemote:
		return "1 audience"
	case activation.StageMembers:
		return num(n.Accepted) + " of " + num(n.Staged) + " accepted"
	}
	return ""
}

func countGroups(n activation.Counts) []countGroup {
	return []countGroup{
		{"People", []count{{"Selected", n.Selected}, {"Held out", n.HeldOut}, {"Excluded", n.Excluded}, {"Capped", n.Capped}, {"Eligible", n.Eligible}}},
		{"What to do", []count{{"Unchanged", n.Unchanged}, {"Add", n.Add}, {"Update", n.Update}, {"Remove", n.Remove}, {"Omitted", n.Omitted}, {"Deferred", n.Deferred}}},
		{"Rows", []count{{"Staged", n.Staged}, {"Sent", n.Sent}, {"Unsent", n.Unsent}, {"Withdrawn", n.Withdrawn}, {"Withheld", n.Withheld}, {"Superseded", n.Superseded}, {"Sent again", n.Resent}}},
		{"Answers", []count{{"Accepted", n.Accepted}, {"Rejected", n.Rejected}, {"Unknown", n.Unknown}, {"Awaiting", n.Awaiting}, {"Unplaced", n.Unplaced}}},
		{"Ledger", []count{{"In before", n.InBefore}, {"Became in", n.BecameIn}, {"Left in", n.LeftIn}, {"In after", n.InAfter}}},
	}
}

type itemPage struct {
	Run  tracking.View
	Item tracking.ItemDetail
	Chip chip
}

func (c *Console) item(v visit) (view, error) {
	number, err := strconv.Atoi(v.PathValue("number"))
	if err != nil {
		return view{}, activation.ErrNotFound
	}
	r, _, err := c.Tracking.Run(v.Context(), activation.RunID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	it, err := c.Tracking.Item(v.Context(), r.ID, number, itemRows)
	if err != nil {
		return view{}, err
	}
	return view{
		Template: "item", Title: "Item " + strconv.Itoa(number), Section: "/sync",
		Crumbs: []link{{"/sync", "Sync tracking"}, {runPath(r.ID), "Run #" + num(r.Number)}}, Body: itemPage{r, it, itemChip(it.State)},
	}, nil
}
