package web

import (
	"net/http"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// planPage is what runs would do now. Nothing is written for it.
type planPage struct {
	Title, Sub string
	Cards      []planCard
	Run        *ask
	Back       link
}

// planCard is the plan of one target.
type planCard struct {
	Target link
	Counts []countGroup
	// Sums are the numbers that matter, the first the largest.
	Adds, Updates, Removes int64
	Holding, After         int64
	Calls                  int64
	Takes                  time.Duration
	Verdict                chip
	Says                   string
	Sample                 []warehouse.StagedRow
	Events                 bool
}

func (c *Console) registerPlan(mux *http.ServeMux) {
	c.page(mux, "/jobs/{id}/plan", "", c.planJob)
	c.page(mux, "/targets/{id}/plan", "", c.planTarget)
}

// planJob is what a run of each target of a job would do.
func (c *Console) planJob(v visit) (view, error) {
	j, err := c.Store.Job(v.Context(), activation.JobID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	previews, err := c.Delivery.PlanJob(v.Context(), j.ID)
	if err != nil {
		return view{}, err
	}
	targets, err := c.Tracking.Targets(v.Context(), store.TargetFilter{Job: j.ID})
	if err != nil {
		return view{}, err
	}
	p := planPage{Title: "What “" + j.Name + "” would send now", Sub: "Planned at " + utc(c.Now()) + ". Nothing was written or sent.", Back: link{jobPath(j.ID), j.Name}}
	for _, one := range previews {
		for _, t := range targets {
			if t.ID == one.Target {
				p.Cards = append(p.Cards, planCardOf(one, targetRowOf(t)))
			}
		}
	}
	b := v.press(jobPath(j.ID)+"/run", "Run now", "bolt")
	b.Withheld = orText(b.Withheld, withheld(activation.CommandRun, j.State, 0))
	p.Run = planAsk(b, p.Cards)
	return view{Template: "plan", Title: "Plan", Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}, p.Back}, Body: p}, nil
}

// planTarget is what a run of one target would do.
func (c *Console) planTarget(v visit) (view, error) {
	t, err := c.targetView(v)
	if err != nil {
		return view{}, err
	}
	preview, err := c.Delivery.PlanTarget(v.Context(), t.ID)
	if err != nil {
		return view{}, err
	}
	p := planPage{Title: "What a run of " + t.title() + " would send now", Sub: "Planned at " + utc(c.Now()) + ". Nothing was written or sent.", Back: link{targetPath(t.ID), t.title()}, Cards: []planCard{planCardOf(preview, t)}}
	p.Run = planAsk(v.press(targetPath(t.ID)+"/run", "Run now", "bolt"), p.Cards)
	return view{Template: "plan", Title: "Plan", Section: "/sync", Crumbs: []link{{"/sync", "Sync tracking"}, p.Back}, Body: p}, nil
}

// planAsk asks with the numbers of the plan before it is carried out.
func planAsk(b button, cards []planCard) *ask {
	var adds, updates, removes, calls int64
	asks := false
	for _, one := range cards {
		adds, updates, removes, calls = adds+one.Adds, updates+one.Updates, removes+one.Removes, calls+one.Calls
		asks = asks || one.Verdict.Tone == "warn"
	}
	lines := []string{"It adds " + num(adds) + ", updates " + num(updates) + " and removes " + num(removes) + " in " + many(calls, "call") + ". It is planned again first: what has changed by then counts."}
	if asks {
		lines = append(lines, "The removal guard asks before anybody is removed.")
	}
	return askFirst("run", "Carry this plan out?", b, "Not now", lines...).main()
}

// planCardOf puts a preview in numbers and words.
func planCardOf(one delivery.Preview, t targetPlace) planCard {
	n := one.Counts
	return planCard{
		Target: link{targetPath(t.ID), t.title()}, Adds: n.Add, Updates: n.Update, Removes: n.Remove - one.Withheld, Holding: one.Holding, After: one.Holding + n.Add - n.Remove + one.Withheld,
		Calls: int64(one.Calls), Takes: one.Duration, Sample: one.Sample, Events: t.Stream != "",
		Verdict: guardChip(one), Says: guardSays(one),
		Counts: []countGroup{
			{"People", []count{{"Selected", n.Selected}, {"Held out", n.HeldOut}, {"Excluded", n.Excluded}, {"Outranked, of these", n.Outranked}, {"Capped", n.Capped}, {"Eligible", n.Eligible}}},
			{"What to do", []count{{"Unchanged", n.Unchanged}, {"Add", n.Add}, {"Update", n.Update}, {"Omitted", n.Omitted}, {"Deferred", n.Deferred}, {"Remove", n.Remove}, {"Withheld", one.Withheld}}},
		},
	}
}

// What the removal guard says of a plan.
const (
	guardAsks      = "ask"
	guardWithholds = "withhold"
)

func guardChip(p delivery.Preview) chip {
	switch p.Guard {
	case guardAsks:
		return chip{"warn", "hand-stop", "Asks first", false}
	case guardWithholds:
		return chip{"warn", "hand-stop", "Keeps removals back", false}
	}
	return chip{"ok", "check", "Goes out at once", false}
}

// guardSays is the verdict of the removal guard in words.
func guardSays(p delivery.Preview) string {
	says := ""
	switch {
	case p.Removals == nil:
		return "Events only add: the removal guard has nothing to ask."
	case p.Guard == guardAsks:
		says = "The removal guard waits for somebody's word before it removes " + num(p.Counts.Remove) + " of the " + num(p.Holding) + " people there."
	case p.Guard == guardWithholds:
		says = "The removals were declined before: " + many(p.Withheld, "removal") + " are kept back, and asked about again when they have grown by 1%."
	case p.Counts.Remove == 0:
		return "Nobody is removed, so the removal guard has nothing to ask."
	default:
		says = "The removal guard lets it pass."
	}
	return says + " " + sentence(p.Removals.Reason)
}

// targetPlace is a target with the name of what is kept there.
type targetPlace struct {
	tracking.TargetView
	AudienceName string
}

func targetRowOf(t tracking.TargetView) targetPlace { return targetPlace{t, t.AudienceSlug} }

// title is what is kept, and where.
func (t targetPlace) title() string {
	if t.Stream != "" {
		return t.Stream + " at " + t.DestinationName
	}
	return orText(t.AudienceName, t.AudienceSlug) + " at " + t.DestinationName
}
