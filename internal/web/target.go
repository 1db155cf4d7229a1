package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// Reconciling compares ledgers with what networks tell, and mends what differs.
type Reconciling interface {
	Reconcile(ctx context.Context, id activation.TargetID, user string) (activation.Reconciliation, error)
	RepairPlan(ctx context.Context, id activation.TargetID) (delivery.Preview, error)
	Repair(ctx context.Context, id activation.TargetID, user string) (activation.Run, error)
	ReplaceTarget(ctx context.Context, id activation.TargetID, user string) (activation.Run, error)
}

// Comparisons are what comparing has come to so far.
type Comparisons interface {
	Reconciliations(ctx context.Context, t activation.TargetID, limit int) ([]activation.Reconciliation, error)
}

// Differences are the people by whom a ledger and its network differ.
type Differences interface {
	DriftRows(ctx context.Context, t activation.TargetID, after int64, limit int) ([]warehouse.DriftRow, error)
}

const (
	// comparisonsShown is how many comparisons the page of a target lists.
	comparisonsShown = 10
	// differencesShown is how many differences one page of them has.
	differencesShown = 50
)

type targetPage struct {
	T           targetPlace
	Chip        chip
	Logo        string
	Destination link
	Feed        link
	Holds       string
	Run         button
	Plan        string
	// Compare compares now; nil where nobody does.
	Compare *button
	// Tells is what the network can be asked.
	Tells       string
	Comparisons []comparison
	Drift       []driftRow
	More        string
	// Mend leads to the plan of the repair.
	Mend    string
	Replace *ask
	Runs    []runRow
	Who     *whoForm
	All     string
}

// comparison is one comparison with its network.
type comparison struct {
	activation.Reconciliation
	Chip   chip
	Remote string
	Says   string
	Help   string
}

type driftRow struct {
	warehouse.DriftRow
	Chip chip
	Says string
}

func (c *Console) registerTarget(mux *http.ServeMux) {
	c.page(mux, "/targets/{id}", "target", c.target)
	c.page(mux, "/targets/{id}/repair", "", c.repairPlan)
	c.action(mux, "/targets/{id}/run", activation.RoleOperator, func(v visit) (view, error) {
		id := activation.TargetID(v.PathValue("id"))
		r, err := c.Delivery.RunTarget(v.Context(), id)
		if err != nil {
			return refused(targetPath(id), err)
		}
		return view{To: runPath(r.ID), Said: flash{"ok", "Started run #" + num(r.Number) + "."}}, nil
	})
	c.action(mux, "/targets/{id}/reconcile", activation.RoleOperator, c.reconcile)
	c.action(mux, "/targets/{id}/repair", activation.RoleOperator, func(v visit) (view, error) {
		return c.mending(v, Reconciling.Repair, "mends the differences")
	})
	c.action(mux, "/targets/{id}/replace", activation.RoleOperator, func(v visit) (view, error) {
		return c.mending(v, Reconciling.ReplaceTarget, "replaces everybody there")
	})
}

// targetView is the target that the address names, with its names.
func (c *Console) targetView(v visit) (targetPlace, error) {
	id := activation.TargetID(v.PathValue("id"))
	if id == "" {
		return targetPlace{}, activation.ErrNotFound
	}
	list, err := c.Tracking.Targets(v.Context(), store.TargetFilter{ID: id})
	if err != nil {
		return targetPlace{}, err
	}
	if len(list) == 0 {
		return targetPlace{}, activation.ErrNotFound
	}
	t := targetPlace{TargetView: list[0]}
	if t.Audience != "" {
		a, err := c.Store.Audience(v.Context(), t.Audience)
		if err != nil && !errors.Is(err, activation.ErrNotFound) {
			return t, err
		}
		t.AudienceName = a.Name
	}
	return t, nil
}

func (c *Console) target(v visit) (view, error) {
	t, err := c.targetView(v)
	if err != nil {
		return view{}, err
	}
	p := targetPage{
		T: t, Chip: targetChip(t.Target), Logo: c.logoOf(t.DestinationType), Destination: link{destinationPath(t.Destination), t.DestinationName}, Feed: link{audiencePath(t.AudienceSlug), t.AudienceName},
		Holds: holdingsText(t.Holdings), Run: v.press(targetPath(t.ID)+"/run", "Run now", "bolt"), Plan: targetPath(t.ID) + "/plan", All: "/sync?target=" + string(t.ID),
	}
	if t.OpenRun != "" {
		p.Chip = chip{"run", "loader-2", "Run in progress", false}
		p.Run.Withheld = orText(p.Run.Withheld, "A run is in progress")
	}
	if t.Job == "" {
		p.Run.Withheld = orText(p.Run.Withheld, "No job keeps it in step")
	}
	if t.Stream != "" {
		p.Feed = link{streamPath(t.Stream), t.Stream}
	}
	runs, err := c.Tracking.List(v.Context(), store.RunFilter{Target: t.ID, Limit: 5})
	if err != nil {
		return view{}, err
	}
	if p.Runs, err = c.runRows(v, runs); err != nil {
		return view{}, err
	}
	if p.Who, err = c.whoForm(v, t.ID); err != nil {
		return view{}, err
	}
	if err := c.compared(v, t, &p); err != nil {
		return view{}, err
	}
	return view{
		Template: "target", Title: t.title(), Section: "/destinations", Crumbs: []link{{"/destinations", "Destinations"}, p.Destination}, Page: "target",
		Query: map[string][]string{"id": {string(t.ID)}}, Regions: []string{"target-head", "target-compared", "target-runs"}, Body: p,
	}, nil
}

// compared is what comparing has come to, and what can be done about it.
func (c *Console) compared(v visit, t targetPlace, p *targetPage) error {
	d, err := c.Store.Destination(v.Context(), t.Destination)
	if err != nil {
		return err
	}
	def, _ := c.only(d.Provider)
	def = def.For(t.Workflow)
	if c.Reconciling == nil || t.Audience == "" {
		return nil
	}
	busy := ""
	if t.OpenRun != "" {
		busy = "A run is in progress: what is under way is no difference"
	}
	b := v.press(targetPath(t.ID)+"/reconcile", "Compare now", "git-compare")
	b.Withheld = orText(b.Withheld, busy)
	switch {
	case t.RemoteID == "":
		b.Withheld = orText(b.Withheld, "There is no audience at the network yet")
		p.Tells = "Nothing has been made at the network yet."
	case def.Lists:
		p.Tells = "The network names its members, so every difference is found person by person."
	case def.Sizes:
		p.Tells = "The network tells how many members it has, and not who."
	default:
		p.Tells = "The network tells nothing about its members: what Usher knows is what it answered to each batch."
		b.Withheld = orText(b.Withheld, "The network tells nothing that could be compared")
	}
	p.Compare = &b
	if def.Replaces && t.RemoteID != "" {
		r := v.press(targetPath(t.ID)+"/replace", "Replace everybody", "refresh")
		r.Withheld = orText(r.Withheld, busy)
		held := t.Holdings.In + t.Holdings.Maybe
		members, err := c.Warehouse.Size(v.Context(), t.Audience)
		if err != nil {
			return err
		}
		p.Replace = askFirst("replace", "Replace everybody in "+t.title()+"?", r, "Leave it as it is",
			"All "+many(members, "person")+" of the audience who may be sent are sent again. The network drops everybody else: the ledger says it holds "+many(held, "person")+".",
			"It asks for approval where that removes many. If it is cut off half-way, nobody knows who is in until the next ordinary run.").grave()
	}
	return c.comparisons(v, t, p)
}

func (c *Console) comparisons(v visit, t targetPlace, p *targetPage) error {
	if c.Comparisons == nil {
		return nil
	}
	all, err := c.Comparisons.Reconciliations(v.Context(), t.ID, comparisonsShown)
	if err != nil {
		return err
	}
	for _, r := range all {
		p.Comparisons = append(p.Comparisons, comparisonOf(r))
	}
	if len(all) == 0 || all[0].Status != activation.ReconcileDrifted || all[0].Method != activation.ByMembers || all[0].Generation != t.Generation {
		return nil
	}
	p.Mend = targetPath(t.ID) + "/repair"
	if c.Differences == nil {
		return nil
	}
	after, _ := strconv.ParseInt(v.get("after"), 10, 64)
	rows, err := c.Differences.DriftRows(v.Context(), t.ID, after, differencesShown+1)
	if len(rows) > differencesShown {
		rows = rows[:differencesShown]
		p.More = targetPath(t.ID) + "?after=" + strconv.FormatInt(rows[differencesShown-1].N, 10) + "#differences"
	}
	for _, r := range rows {
		row := driftRow{r, chip{"warn", "user-minus", "Missing there", false}, "the ledger holds the person, the network does not"}
		if r.Kind == warehouse.DriftExtra {
			row.Chip, row.Says = chip{"warn", "plus", "Extra there", false}, "the network holds the person, the ledger does not"
		}
		p.Drift = append(p.Drift, row)
	}
	return err
}

// comparisonOf puts a comparison in words.
func comparisonOf(r activation.Reconciliation) comparison {
	out := comparison{Reconciliation: r, Remote: num(r.RemoteLow), Chip: reconcileChip(r.Status)}
	if r.RemoteHigh != r.RemoteLow {
		out.Remote = num(r.RemoteLow) + " to " + num(r.RemoteHigh)
	}
	if r.RemoteLow < 0 || r.Method == activation.ByNothing || r.Status == activation.ReconcileUntold || r.Status == activation.ReconcileFailed || r.Status == activation.ReconcileRunning {
		out.Remote = "–"
	}
	if r.ErrorCode != "" {
		out.Says, out.Help = r.ErrorCode+": "+sentence(r.ErrorText), helpPath(tracking.Page(r.ErrorCode))
	}
	if r.RepairedBy != "" {
		out.Says = "Repair begun by " + r.RepairedBy + " at " + utc(r.RepairedAt)
	}
	return out
}

func reconcileChip(s activation.ReconcileStatus) chip {
	switch s {
	case activation.ReconcileRunning:
		return chip{"run", "loader-2", "Comparing", true}
	case activation.ReconcileEqual:
		return chip{"ok", "check", "No difference", false}
	case activation.ReconcileDrifted:
		return chip{"bad", "git-compare", "Differs", false}
	case activation.ReconcileRepaired:
		return chip{"ok", "check", "Being mended", false}
	case activation.ReconcileFailed:
		return chip{"warn", "alert-circle", "Could not compare", false}
	case activation.ReconcileUntold:
		return chip{"off", "eye", "Nothing told", false}
	}
	return chip{"line", "info-circle", string(s), false}
}

// reconcile compares now, and says what it came to.
func (c *Console) reconcile(v visit) (view, error) {
	id := activation.TargetID(v.PathValue("id"))
	if c.Reconciling == nil {
		return view{}, activation.ErrNotFound
	}
	r, err := c.Reconciling.Reconcile(v.Context(), id, v.who.Name)
	if err != nil {
		return refused(targetPath(id), err)
	}
	said := flash{"ok", "The network holds what the ledger says, as far as it tells."}
	switch r.Status {
	case activation.ReconcileDrifted:
		said = flash{"bad", "They differ: the ledger says " + num(r.Ledger) + ", the network " + comparisonOf(r).Remote + "."}
		if r.Method == activation.ByMembers {
			said.Text = "They differ: " + many(r.Missing, "person") + " are missing at the network, " + num(r.Extra) + " are there and not in the ledger."
		}
	case activation.ReconcileFailed:
		said = flash{"bad", "It could not be compared: " + sentence(r.ErrorText)}
	case activation.ReconcileUntold:
		said = flash{"ok", "The network tells nothing that could be compared."}
	case activation.ReconcileEqual, activation.ReconcileRunning, activation.ReconcileRepaired:
	}
	return view{To: targetPath(id), Said: said}, nil
}

// mending opens a run that mends a target, and leads to it.
func (c *Console) mending(v visit, do func(Reconciling, context.Context, activation.TargetID, string) (activation.Run, error), says string) (view, error) {
	id := activation.TargetID(v.PathValue("id"))
	if c.Reconciling == nil {
		return view{}, activation.ErrNotFound
	}
	r, err := do(c.Reconciling, v.Context(), id, v.who.Name)
	if err != nil {
		return refused(targetPath(id), err)
	}
	return view{To: runPath(r.ID), Said: flash{"ok", "Run #" + num(r.Number) + " " + says + "."}}, nil
}

// repairPlan is what mending the differences would send.
func (c *Console) repairPlan(v visit) (view, error) {
	t, err := c.targetView(v)
	if err != nil {
		return view{}, err
	}
	if c.Reconciling == nil {
		return view{}, activation.ErrNotFound
	}
	preview, err := c.Reconciling.RepairPlan(v.Context(), t.ID)
	if err != nil {
		return view{}, err
	}
	p := planPage{Title: "What mending " + t.title() + " would send", Sub: "Whoever is missing is added again; whoever is there and not wanted is removed. Nothing was written or sent yet.", Back: link{targetPath(t.ID), t.title()}, Cards: []planCard{planCardOf(preview, t)}}
	p.Run = planAsk(v.press(targetPath(t.ID)+"/repair", "Repair", "check"), p.Cards)
	p.Run.ID, p.Run.Title = "repair", "Mend the differences of "+t.title()+"?"
	return view{Template: "plan", Title: "Repair", Section: "/destinations", Crumbs: []link{{"/destinations", "Destinations"}, p.Back}, Body: p}, nil
}
