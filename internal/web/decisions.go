package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"usher/internal/activation"
	"usher/internal/decision"
	"usher/internal/provider/usher"
	"usher/internal/store"
)

// Decisions are the next-best-action hierarchy and what is decided by it.
type Decisions interface {
	Hierarchy(ctx context.Context) (activation.Hierarchy, error)
	CreateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error)
	UpdateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error)
	DeleteIssue(ctx context.Context, id activation.IssueID, user string) error
	CreateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error)
	UpdateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error)
	DeleteGroup(ctx context.Context, id activation.GroupID, user string) error
	CreateAction(ctx context.Context, a activation.Action, user string) (activation.Action, error)
	UpdateAction(ctx context.Context, a activation.Action, user string) (activation.Action, error)
	DeleteAction(ctx context.Context, id activation.ActionID, user string) error
	Leaving(ctx context.Context, id activation.ActionID) (decision.Leaving, error)
	Decide(ctx context.Context, customers []decision.Customer, user string) ([]decision.Outcome, error)
	Preview(ctx context.Context, l activation.Level) (decision.Preview, error)
}

type decisionsPage struct {
	CSRF    string
	Issues  []issueBlock
	Levels  []option
	NewName string
	// Customer is the form of one decision, Outcome what it came to.
	Customer []field
	Outcome  *decidedOne
	Withheld string
	Issue    link
}

type issueBlock struct {
	activation.Issue
	Path   string
	Level  activation.Level
	Acts   levelActs
	Groups []groupBlock
	New    string
}

type groupBlock struct {
	activation.Group
	Path    string
	Level   activation.Level
	Acts    levelActs
	Actions []actionRow
	New     string
}

// levelActs is what can be done at a level.
type levelActs struct {
	Preview string
	Send    button
}

// actionRow is an action as the hierarchy lists it.
type actionRow struct {
	activation.Action
	Path         string
	Chip         chip
	Size, Others int64
	Audience     link
	Negative     link
	Sent         []string
}

type decidedOne struct {
	Chip chip
	Says string
}

func (c *Console) registerDecisions(mux *http.ServeMux) {
	if c.Decisions == nil {
		return
	}
	c.page(mux, "/decisions", "", func(v visit) (view, error) { return c.decisions(v, nil, nil) })
	c.page(mux, "/decisions/preview", "", c.decidePreview)
	c.action(mux, "/decisions/decide", activation.RoleOperator, c.decideNow)
	c.action(mux, "/decisions/customer", activation.RoleOperator, c.decideCustomer)
	c.registerHierarchy(mux)
}

// levelsOf are all levels of the hierarchy, the widest first.
func levelsOf(h activation.Hierarchy) []activation.Level {
	out := []activation.Level{activation.LevelAll}
	for _, i := range h.Issues {
		out = append(out, activation.Level(i.Name))
		for _, g := range h.Groups {
			if g.Issue == i.ID {
				out = append(out, activation.Level(i.Name+"/"+g.Name))
			}
		}
	}
	return out
}

// levelWords is a level as people read it.
func levelWords(l activation.Level) string {
	issue, group := l.Names()
	switch {
	case issue == "":
		return "Everything"
	case group == "":
		return issue
	}
	return issue + " / " + group
}

func levelOptions(h activation.Hierarchy, chosen string) []option {
	var out []option
	for _, l := range levelsOf(h) {
		out = append(out, option{string(l), levelWords(l), string(l) == chosen})
	}
	return out
}

// levelNames are the levels as runs name them: Issue / Group.
func (c *Console) levelNames(v visit) (out []string) {
	if c.Decisions == nil {
		return nil
	}
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		c.Log.WarnContext(v.Context(), "levels not listed", slog.Any("err", err))
	}
	for _, l := range levelsOf(h) {
		if _, group := l.Names(); group != "" {
			out = append(out, levelWords(l))
		}
	}
	return out
}

// decisions is the page of the hierarchy.
func (c *Console) decisions(v visit, wrong map[string]string, came *decidedOne) (view, error) {
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		return view{}, err
	}
	rows, err := c.actionRows(v, h)
	if err != nil {
		return view{}, err
	}
	p := decisionsPage{CSRF: v.who.CSRF, Levels: levelOptions(h, v.post("level")), Outcome: came, Issue: link{"/decisions/issues/new", "New issue"}}
	for _, i := range h.Issues {
		one := issueBlock{Issue: i, Path: issuePath(i.ID), Level: activation.Level(i.Name), New: "/decisions/groups/new?issue=" + url.QueryEscape(string(i.ID))}
		one.Acts = v.levelActs(one.Level)
		for _, g := range h.Groups {
			if g.Issue != i.ID {
				continue
			}
			group := groupBlock{Group: g, Path: groupPath(g.ID), Level: activation.Level(i.Name + "/" + g.Name), New: "/decisions/actions/new?group=" + url.QueryEscape(string(g.ID))}
			group.Acts = v.levelActs(group.Level)
			for _, a := range h.At(group.Level) {
				group.Actions = append(group.Actions, rows[a.ID])
			}
			one.Groups = append(one.Groups, group)
		}
		p.Issues = append(p.Issues, one)
	}
	if !v.who.May(activation.RoleOperator) {
		p.Withheld = "Your role may only look"
	}
	p.Customer = []field{
		{Name: "id", Label: "Customer", Type: "text", Required: true, Error: wrong["id"], Help: "The value by which customers are known. It is kept nowhere."},
		{Name: "level", Label: "Level", Type: "select", Options: p.Levels, Error: wrong["level"]},
		{Name: "action", Label: "Action", Type: "text", Error: orText(wrong["action"], wrong[""]), Help: "Empty = Usher decides. Otherwise what was decided elsewhere, by name."},
	}
	out := view{Template: "decisions", Title: "Next-best-action", Section: "/decisions", Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (v visit) levelActs(l activation.Level) levelActs {
	send := v.press("/jobs/new", "Send it…", "send").as("btn-s")
	send.Hidden = []hidden{{"go", "begin"}, {"level", string(l)}, {"name", "Next-best-action: " + levelWords(l)}}
	return levelActs{Preview: previewPath(l), Send: send}
}

func previewPath(l activation.Level) string {
	return "/decisions/preview?level=" + url.QueryEscape(string(l))
}

// actionRows are the actions with the sizes of their audiences and where those
// are sent.
func (c *Console) actionRows(v visit, h activation.Hierarchy) (map[activation.ActionID]actionRow, error) {
	ctx := v.Context()
	all, err := c.Store.Audiences(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := c.Store.Targets(ctx, store.TargetFilter{})
	if err != nil {
		return nil, err
	}
	names, err := c.destinationNames(ctx)
	if err != nil {
		return nil, err
	}
	audiences := map[activation.AudienceID]activation.Audience{}
	for _, a := range all {
		audiences[a.ID] = a
	}
	out := map[activation.ActionID]actionRow{}
	for _, a := range h.Actions {
		positive, negative := audiences[a.Audience], audiences[a.Negative]
		row := actionRow{Action: a, Path: actionPath(a.ID), Chip: chip{"ok", "check", "Takes part", false}, Audience: link{audiencePath(positive.Slug), positive.Name}, Negative: link{audiencePath(negative.Slug), negative.Name}}
		if !a.Enabled {
			row.Chip = chip{"off", "player-pause", "Switched off", false}
		}
		if row.Size, err = c.Warehouse.Size(ctx, a.Audience); err != nil {
			return nil, err
		}
		if row.Others, err = c.Warehouse.Size(ctx, a.Negative); err != nil {
			return nil, err
		}
		for _, t := range targets {
			if t.Audience == a.Audience && t.Job != "" {
				row.Sent = append(row.Sent, names[t.Destination])
			}
		}
		out[a.ID] = row
	}
	return out, nil
}

// previewPage is what a decision for everybody at a level would do.
type previewPage struct {
	Preview decision.Preview
	Words   string
	Levels  []option
	Decide  *ask
	// Create makes the job that decides at this level on a schedule.
	Create *button
	Send   button
	Job    *link
}

func (c *Console) decidePreview(v visit) (view, error) {
	level := activation.Level(orText(v.get("level"), activation.LevelAll))
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil {
		return view{}, err
	}
	if !h.Exists(level) {
		return view{}, activation.ErrNotFound
	}
	p := previewPage{Words: levelWords(level), Levels: levelOptions(h, string(level)), Send: v.levelActs(level).Send.as("")}
	if p.Preview, err = c.Decisions.Preview(v.Context(), level); err != nil {
		return view{}, err
	}
	job, err := c.outbound(v, level)
	if err != nil {
		return view{}, err
	}
	b := v.press("/decisions/decide", "Decide now", "bolt")
	b.Hidden = []hidden{{"level", string(level)}}
	if job == nil {
		b.Withheld = orText(b.Withheld, "No job decides at this level yet: create the outbound job first")
		create := v.press("/jobs/new", "Create the outbound job…", "calendar-time")
		create.Hidden = []hidden{{"go", "begin"}, {"provider", usher.Definition().Name}, {"type", usher.Workflow}, {"config." + usher.LevelField, string(level)}, {"name", "Decide: " + p.Words}, {"run_frequency", "daily"}}
		p.Create = &create
	} else {
		p.Job = &link{jobPath(job.ID), job.Name}
		b.Withheld = orText(b.Withheld, withheld(activation.CommandRun, job.State, 0))
	}
	p.Decide = askFirst("decide", "Decide for everybody at "+p.Words+" now?", b, "Not now",
		num(p.Preview.Entered)+" people enter an audience of the level and "+num(p.Preview.Left)+" leave one, of "+num(p.Preview.Considered)+".",
		"What networks hold of these audiences is brought in step afterwards; the removal guard still asks there.").main()
	return view{Template: "decide", Title: "Decide at " + p.Words, Section: "/decisions", Crumbs: []link{{"/decisions", "Next-best-action"}}, Body: p}, nil
}

// outbound finds the job that decides at a level; nil = there is none.
func (c *Console) outbound(v visit, level activation.Level) (*activation.Job, error) {
	jobs, err := c.Store.Jobs(v.Context(), store.JobFilter{Workflow: usher.Workflow, Hidden: true})
	for _, j := range jobs {
		if activation.Level(j.Config[usher.LevelField]) == level && j.State != activation.JobKilled && j.State != activation.JobCompleted {
			return &j, err
		}
	}
	return nil, err
}

// decideNow has the outbound job of a level run.
func (c *Console) decideNow(v visit) (view, error) {
	level := activation.Level(v.post("level"))
	job, err := c.outbound(v, level)
	if err != nil {
		return view{}, err
	}
	if job == nil {
		return view{To: previewPath(level), Said: flash{"bad", "Nothing was decided: no job decides at this level."}}, nil
	}
	if _, err := c.Catalog.Command(v.Context(), job.ID, activation.CommandRun, 0, v.who.Name); err != nil {
		return refused(previewPath(level), err)
	}
	return view{To: jobPath(job.ID), Said: flash{"ok", "The job decides now."}}, nil
}

// outcomeSays are the outcomes of one decision in words.
var outcomeSays = map[decision.Status]decidedOne{
	decision.Decided:         {chip{"ok", "check", "Decided", false}, "The customer is moved."},
	decision.Unchanged:       {chip{"ok", "check", "Unchanged", false}, "The customer is there already."},
	decision.Nothing:         {chip{"wait", "user-minus", "No action", false}, "No action of the level is eligible; the customer is in none of its audiences now."},
	decision.NotEligible:     {chip{"warn", "alert-circle", "Not eligible", false}, "The customer is not eligible for this action, and stays."},
	decision.UnknownCustomer: {chip{"warn", "user-search", "Not known", false}, "Nobody is known by this."},
	decision.UnknownLevel:    {chip{"bad", "x", "No such level", false}, "There is no level of this name."},
	decision.UnknownAction:   {chip{"bad", "x", "No such action", false}, "There is no action of this name at the level."},
	decision.AmbiguousAction: {chip{"warn", "alert-circle", "Several fit", false}, "Several actions of the level have this name; give Issue/Group/Action."},
	decision.DisabledAction:  {chip{"warn", "player-pause", "Switched off", false}, "The action takes no part in decisions."},
}

// decideCustomer decides for one customer. Who it was is in the body of the form
// alone, and not in the answer.
func (c *Console) decideCustomer(v visit) (view, error) {
	if v.post("id") == "" {
		return c.decisions(v, map[string]string{"id": "Give the customer."}, nil)
	}
	out, err := c.Decisions.Decide(v.Context(), []decision.Customer{{ID: v.post("id"), Level: activation.Level(v.post("level")), Action: v.post("action")}}, v.who.Name)
	wrong, err := wrongFields(err, "id", "level", "action")
	switch {
	case err != nil:
		return view{}, err
	case wrong != nil:
		return c.decisions(v, wrong, nil)
	case len(out) != 1:
		return view{}, errors.New("a decision for one customer had " + strconv.Itoa(len(out)) + " outcomes")
	}
	came, ok := outcomeSays[out[0].Status]
	if !ok {
		came = decidedOne{chip{"line", "info-circle", string(out[0].Status), false}, ""}
	}
	if out[0].Action != "" {
		came.Says += " It is " + out[0].Action + "."
	}
	if len(out[0].Left) > 0 {
		came.Says += " Left: " + joinComma(out[0].Left) + "."
	}
	return c.decisions(v, nil, &came)
}
