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

// itemsShown is how many queue items the page of a run lists.
const itemsShown = 200

type runPage struct {
	Run      runRow
	Rail     []stage
	Items    runItems
	Causes   []causeRow
	Guard    *guardBlock
	Retry    *ask
	Withdraw *ask
	Duration time.Duration
	Counts   []countGroup
	// Mode says what the run does, where that is not the usual.
	Mode string
	// Did is what people did to the run, newest first.
	Did []deed
	// Who finds out about one person.
	Who *whoForm
	// Target is the page of what is kept at the destination.
	Target string
}

// deed is one thing that a person did to a run.
type deed struct {
	At        time.Time
	Text, Who string
}

// runItems are the queue items of a run, those with errors first.
type runItems struct {
	Rows        []itemRow
	Tabs        []segment
	More        int
	Total, With int64
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
	Chip     chip
	Path     string
	Rejected int64
	Request  string
}

// wrong reports whether any row of the item went wrong.
func (r itemRow) wrong() bool {
	return r.State == activation.ItemFailed || r.State == activation.ItemUnknown || r.Rejected > 0
}

type countGroup struct {
	Title  string
	Counts []count
}

type count struct {
	Name  string
	Value int64
}

// guardBlock says in numbers what approving a run does, and what declining, and
// why it is asked at all.
type guardBlock struct {
	Question, Why, Approving, Declining string
	Approve, Decline                    button
	Approval, Refusal                   *ask
}

func (c *Console) registerRuns(mux *http.ServeMux) {
	c.page(mux, "/runs/{id}", "run", c.run)
	c.page(mux, "/runs/{id}/rail", "", c.rail)
	c.page(mux, "/runs/{id}/items/{number}", "", c.item)
	c.page(mux, "/runs/{id}/items/{number}/open", "", func(v visit) (view, error) {
		out, err := c.item(v)
		out.Template, out.Fragment = "run", "item-open"
		return out, err
	})
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
	p := runPage{
		Run: rows[0], Rail: rail(r, rows[0].Items, c.Now()), Duration: r.Duration(c.Now()), Counts: countGroups(r.Counts), Mode: modeWords(r.Run),
		Retry: retryAsk(v, r, items), Target: targetPath(r.Target),
	}
	for _, part := range []func(visit, tracking.View, []activation.Item, *runPage) error{c.runItemsOf, c.runCauses, c.runGuard, c.runDeeds, c.runWho} {
		if err := part(v, r, items, &p); err != nil {
			return view{}, err
		}
	}
	query := url.Values{"id": {string(r.ID)}}
	if only := v.get("items"); only != "" {
		query.Set("items", only)
	}
	return view{
		Template: "run", Title: "Run #" + num(r.Number), Section: "/sync", Crumbs: []link{{"/sync", "Sync tracking"}}, Page: "run",
		Query: query, Regions: []string{"run-head", "run-guard", "run-body"}, Body: p,
	}, nil
}

// rail is the part of a run that an opened row of a list shows.
func (c *Console) rail(v visit) (view, error) {
	out, err := c.run(v)
	out.Template, out.Fragment = "sync", "run-open"
	return out, err
}

// retryAsk asks before failed items are sent again; nil where Retry is withheld.
func retryAsk(v visit, r tracking.View, items []activation.Item) *ask {
	if !r.Retry.Allowed {
		return nil
	}
	var n, rows, removes int64
	for _, it := range items {
		if it.State == activation.ItemFailed || it.State == activation.ItemUnknown {
			n++
			rows += it.Rows()
			if it.Op == activation.OpRemove {
				removes += it.Rows()
			}
		}
	}
	lines := []string{
		"Retry sends the " + many(n, "failed item") + " only: " + many(rows, "row") + " of " + num(r.Counts.Staged) + ".",
		"Stages 1 to 4 are not run again, and what was accepted is not sent twice.",
	}
	if removes > 0 {
		lines = append(lines, many(removes, "person")+" of them are removed from the audience at "+r.DestinationName+".")
	}
	b := v.press(runPath(r.ID)+"/retry", "Retry "+many(n, "failed item"), "refresh")
	a := askFirst("retry", "Send the "+many(n, "failed item")+" of run #"+num(r.Number)+" again?", b, "Leave it failed", lines...).main()
	return a
}

// runItemsOf lists the queue items, those with errors first.
func (c *Console) runItemsOf(v visit, r tracking.View, items []activation.Item, p *runPage) error {
	receipts, err := c.Store.Receipts(v.Context(), r.ID)
	if err != nil {
		return err
	}
	var with, rest []itemRow
	for _, it := range items {
		row := itemRow{Item: it, Chip: itemChip(it.State), Path: runPath(r.ID) + "/items/" + strconv.Itoa(it.Number)}
		if all := receipts[it.ID]; len(all) > 0 {
			last := all[len(all)-1]
			row.Rejected, row.Request = last.Rejected, last.RequestID
		}
		if row.Rejected > 0 && it.State == activation.ItemDelivered {
			row.Chip = chip{"warn", "alert-circle", "With errors", false}
		}
		if row.wrong() {
			with = append(with, row)
		} else {
			rest = append(rest, row)
		}
	}
	p.Items.Total, p.Items.With = int64(len(items)), int64(len(with))
	wrong := v.get("items") == "errors"
	p.Items.Tabs = []segment{
		{link{runPath(r.ID) + "#items", "All"}, p.Items.Total, !wrong},
		{link{runPath(r.ID) + "?items=errors#items", "With errors"}, p.Items.With, wrong},
	}
	if p.Items.Rows = with; !wrong {
		p.Items.Rows = append(with, rest...)
	}
	if n := len(p.Items.Rows) - itemsShown; n > 0 {
		p.Items.More, p.Items.Rows = n, p.Items.Rows[:itemsShown]
	}
	return nil
}

// runGuard offers what a pending run takes.
func (c *Console) runGuard(v visit, r tracking.View, _ []activation.Item, p *runPage) error {
	if r.Status != activation.RunPending {
		return nil
	}
	if r.Reason == activation.SleepApproval {
		guard, err := c.guardBlock(v, r)
		if err != nil {
			return err
		}
		p.Guard = &guard
	}
	b := v.press(runPath(r.ID)+"/withdraw", "Withdraw run", "arrow-back-up")
	line := "It has not come to what it would send."
	if r.Counts.Staged > 0 {
		line = "Its " + many(r.Counts.Staged, "row") + " are not sent: " + num(r.Counts.Add) + " to add, " + num(r.Counts.Update) + " to update, " + num(r.Counts.Remove) + " to remove."
	}
	p.Withdraw = askFirst("withdraw", "Withdraw run #"+num(r.Number)+"?", b, "Leave it pending", line, "Nothing of it has been sent. The next run of this audience looks again at everything.").grave()
	return nil
}

// runVerbs are what people do to a run.
var runVerbs = map[string]string{"approve": "Approved", "decline": "Declined", "retry": "Retried", "withdraw": "Withdrawn"}

// runDeeds says who did what to the run.
func (c *Console) runDeeds(v visit, r tracking.View, _ []activation.Item, p *runPage) error {
	entries, err := c.Store.Audit(v.Context(), store.AuditFilter{SubjectType: "run", SubjectID: string(r.ID), Limit: 20})
	for _, e := range entries {
		if word, ok := runVerbs[e.Verb]; ok {
			p.Did = append(p.Did, deed{e.At, word, e.Actor})
		}
	}
	return err
}

// guardBlock puts the question of the removal guard in numbers.
func (c *Console) guardBlock(v visit, r tracking.View) (guardBlock, error) {
	holds, err := c.Warehouse.Holdings(v.Context(), r.Target, r.Generation)
	if err != nil {
		return guardBlock{}, err
	}
	before, err := c.Store.RemovedWithin(v.Context(), r.Target, c.Now().Add(-24*time.Hour))
	if err != nil {
		return guardBlock{}, err
	}
	held := holds.In + holds.Maybe
	others := ""
	if stay := r.Counts.Add + r.Counts.Update; stay > 0 {
		others = " The " + many(stay, "other change") + " of this run are sent too."
	}
	g := guardBlock{
		Question:  "This run would remove " + num(r.Counts.Remove) + " of the " + num(held) + " people that " + r.DestinationName + " holds (" + pct(r.Counts.Remove, held) + "%).",
		Why:       "It asks because more than " + strconv.Itoa(c.Facts.GuardPercent) + "% of an audience would go within 24 hours, or all of it. In the last 24 hours " + many(before, "person") + " were removed.",
		Approving: "Approving removes " + many(r.Counts.Remove, "person") + " from the audience at the network." + others,
		Declining: "Declining keeps these " + many(r.Counts.Remove, "person") + " there. The removals are withheld, and asked about again when they have grown by 1%." + others,
		Approve:   v.press(runPath(r.ID)+"/approve", "Approve "+many(r.Counts.Remove, "removal"), "check").as("btn-bad"),
		Decline:   v.press(runPath(r.ID)+"/decline", "Decline", "hand-stop"),
	}
	title := "Remove " + many(r.Counts.Remove, "person") + " from " + r.AudienceName + " at " + r.DestinationName + "?"
	g.Approval = askFirst("approve", title, g.Approve, "Not now", g.Approving, "It is planned again first; up to 1% more people may have left by then. You are asked again beyond that.").grave()
	g.Refusal = askFirst("decline", "Keep the "+many(r.Counts.Remove, "person")+" there?", g.Decline, "Not now", g.Declining)
	return g, nil
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
		{"People", []count{{"Selected", n.Selected}, {"Held out", n.HeldOut}, {"Excluded", n.Excluded}, {"Outranked, of these", n.Outranked}, {"Capped", n.Capped}, {"Eligible", n.Eligible}}},
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
	// Advice is the first sentence of what the page of its code says to do.
	Advice string
	Help   string
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
	p := itemPage{Run: r, Item: it, Chip: itemChip(it.State)}
	if it.Code != "" {
		p.Advice, p.Help = tracking.Advice(it.Code), helpPath(tracking.Page(it.Code))
	}
	return view{
		Template: "item", Title: "Item " + strconv.Itoa(number), Section: "/sync",
		Crumbs: []link{{"/sync", "Sync tracking"}, {runPath(r.ID), "Run #" + num(r.Number)}}, Body: p,
	}, nil
}
