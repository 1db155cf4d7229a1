package decision_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider/usher"
)

// TestActionHasTwoAudiences: their names follow from the hierarchy, their slugs
// are unique, and whoever is not eligible is in the negative one at once.
func TestActionHasTwoAudiences(t *testing.T) {
	f := newFake()
	f.add("young", 17)
	f.add("old", 40)
	f.add("unknown", -1)
	w := newWorld(f)
	offers := w.group(t, w.issue(t, "Sales"), "Retention offers")
	a := w.action(t, offers, "5 off", "FILTER age >= 18", 1)

	positive, negative := w.audiences[a.Audience], w.audiences[a.Negative]
	if positive.Name != "Sales-Retention offers-5 off" || positive.Slug != "sales-retention-offers-5-off" || positive.Kind != activation.KindAction || positive.Rule != "" {
		t.Errorf("the audience is %+v", positive)
	}
	if negative.Name != positive.Name+"-N" || negative.Slug != positive.Slug+"-n" || negative.Kind != activation.KindNegative || negative.Rule != "FILTER NOT age >= 18" {
		t.Errorf("the negative audience is %+v", negative)
	}
	if got := w.members(t, a.Negative); !slices.Equal(got, []string{"unknown", "young"}) {
		t.Errorf("not eligible are %v", got)
	}
	if got := w.members(t, a.Audience); len(got) > 0 {
		t.Errorf("nothing was decided, and %v are in", got)
	}

	a.Eligibility, a.Name, a.Group = "FILTER age < 18", "Six", ""
	a, err := w.Decisions.UpdateAction(t.Context(), a, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.members(t, a.Negative); !slices.Equal(got, []string{"old", "unknown"}) {
		t.Errorf("after a change not eligible are %v", got)
	}
	if p, n := w.audiences[a.Audience], w.audiences[a.Negative]; p.Name != "Sales-Retention offers-Six" || n.Name != p.Name+"-N" || p.Slug != positive.Slug || n.Slug != negative.Slug {
		t.Errorf("after a change the audiences are %+v and %+v", p, n)
	}
}

func TestSlugs(t *testing.T) {
	w := newWorld(newFake())
	long := strings.Repeat("x", 60)
	issue := w.issue(t, "Ærø 2")
	for _, c := range []struct{ group, action, want string }{
		{"G", "A", "r-2-g-a"},
		{"G", "A.", "r-2-g-a-2"},
		{"g g", "A", "r-2-g-g-a"},
		{"g.g", "A", "r-2-g-g-a-2"},
		{"日本", "日本", "r-2"},
		{long, long, "r-2-" + strings.Repeat("x", 51)},
		{long, long[:59], "r-2-" + strings.Repeat("x", 51) + "-2"},
	} {
		var g activation.Group
		if i := slices.IndexFunc(w.h.Groups, func(g activation.Group) bool { return g.Name == c.group }); i >= 0 {
			g = w.h.Groups[i]
		} else {
			g = w.group(t, issue, c.group)
		}
		a := w.action(t, g, c.action, "FILTER *", 0)
		got := w.audiences[a.Audience].Slug
		if got != c.want || len(w.audiences[a.Negative].Slug) > 63 {
			t.Errorf("%s/%s: got %s, want %s", c.group, c.action, got, c.want)
		}
	}
	digits := w.action(t, w.group(t, w.issue(t, "1"), "2"), "3", "FILTER *", 0)
	if got := w.audiences[digits.Audience].Slug; got != "action-1-2-3" {
		t.Errorf("a slug begins with a letter, not %s", got)
	}
}

// TestWrongPartsAreNamed: every wrong field is named, and nothing is stored.
func TestWrongPartsAreNamed(t *testing.T) {
	w := newWorld(newFake())
	sales := w.issue(t, "Sales")
	offers := w.group(t, sales, "Offers")
	first := w.action(t, offers, "First", "FILTER age > 1", 0)
	ctx := t.Context()
	for _, c := range []struct {
		name, fields string
		do           func() error
	}{
		{"no name", "name", func() error { _, err := w.Decisions.CreateIssue(ctx, activation.Issue{Name: " "}, "ann"); return err }},
		{"taken in other letters", "name", func() error {
			_, err := w.Decisions.CreateIssue(ctx, activation.Issue{Name: "sALES"}, "ann")
			return err
		}},
		{"the word all", "name", func() error { _, err := w.Decisions.CreateIssue(ctx, activation.Issue{Name: "All"}, "ann"); return err }},
		{"a hyphen", "name", func() error {
			_, err := w.Decisions.CreateIssue(ctx, activation.Issue{Name: "Up-sell"}, "ann")
			return err
		}},
		{"a slash", "name", func() error { _, err := w.Decisions.CreateIssue(ctx, activation.Issue{Name: "A/B"}, "ann"); return err }},
		{"too long", "name description", func() error {
			_, err := w.Decisions.CreateIssue(ctx, activation.Issue{Name: strings.Repeat("ü", 61), Description: strings.Repeat("x", 2001)}, "ann")
			return err
		}},
		{"no issue", "issue_id name", func() error { _, err := w.Decisions.CreateGroup(ctx, activation.Group{Issue: "x"}, "ann"); return err }},
		{"a group taken", "name", func() error {
			_, err := w.Decisions.CreateGroup(ctx, activation.Group{Issue: sales.ID, Name: "offers"}, "ann")
			return err
		}},
		{"everything of an action", "group_id name priority eligibility", func() error {
			_, err := w.Decisions.CreateAction(ctx, activation.Action{Name: "a\nb", Priority: 1_000_001}, "ann")
			return err
		}},
		{"a rule that does not parse", "eligibility", func() error {
			_, err := w.Decisions.CreateAction(ctx, activation.Action{Group: offers.ID, Name: "x", Eligibility: "FILTER age >"}, "ann")
			return err
		}},
		{"an unknown field", "priority eligibility", func() error {
			_, err := w.Decisions.CreateAction(ctx, activation.Action{Group: offers.ID, Name: "x", Priority: -1_000_001, Eligibility: "FILTER town = 1"}, "ann")
			return err
		}},
		{"a rule too deep to be turned round", "eligibility", func() error {
			_, err := w.Decisions.CreateAction(ctx, activation.Action{Group: offers.ID, Name: "x", Eligibility: "FILTER " + strings.Repeat("AND (", 99) + "*" + strings.Repeat(")", 99)}, "ann")
			return err
		}},
		{"another group", "group_id", func() error {
			other := first
			other.Group = "x"
			_, err := w.Decisions.UpdateAction(ctx, other, "ann")
			return err
		}},
		{"its own negative audience", "eligibility", func() error {
			other := first
			other.Eligibility = "FILTER INCLUDE `sales-offers-first-n`"
			_, err := w.Decisions.UpdateAction(ctx, other, "ann")
			return err
		}},
		{"its own audience", "eligibility", func() error {
			other := first
			other.Eligibility = "FILTER INCLUDE `sales-offers-first`"
			_, err := w.Decisions.UpdateAction(ctx, other, "ann")
			return err
		}},
	} {
		err := c.do()
		if err == nil {
			t.Errorf("%s: it was taken", c.name)
			continue
		}
		if got := wrongFields(t, err); !strings.HasPrefix(got+" ", c.fields+" ") {
			t.Errorf("%s: the fields named are %s, want %s: %v", c.name, got, c.fields, err)
		}
	}
	if len(w.h.Issues) != 1 || len(w.h.Groups) != 1 || len(w.h.Actions) != 1 || w.h.Actions[0].Eligibility != "FILTER age > 1" || len(w.audiences) != 2 {
		t.Errorf("something wrong was stored: %+v", w.h)
	}
	for _, err := range []error{
		second(w.Decisions.UpdateIssue(ctx, activation.Issue{ID: "x", Name: "Y"}, "ann")), second(w.Decisions.UpdateGroup(ctx, activation.Group{ID: "x"}, "ann")),
		second(w.Decisions.UpdateAction(ctx, activation.Action{ID: "x"}, "ann")), w.Decisions.DeleteAction(ctx, "x", "ann"), w.Decisions.DeleteGroup(ctx, "x", "ann"),
		w.Decisions.DeleteIssue(ctx, "x", "ann"), second(w.Leaving(ctx, "x")),
	} {
		if !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("what is not there answers %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestWhatTheDataPlaneRefusesIsTakenBack: a change that the warehouse or a job
// does not take leaves everything as it was.
func TestWhatTheDataPlaneRefusesIsTakenBack(t *testing.T) {
	for _, part := range []string{"sync", "follow"} {
		t.Run(part, func(t *testing.T) {
			w := newWorld(newFake())
			sales := w.issue(t, "Sales")
			a := w.action(t, w.group(t, sales, "Offers"), "First", "FILTER age > 1", 0)
			w.jobs = []activation.Job{{ID: "j", Level: "Sales", State: activation.JobRunnable}}
			before, audiences := w.h.Actions[0], len(w.audiences)
			broken := errors.New("disk full")
			w.fail[part] = broken

			_, err := w.Decisions.CreateAction(t.Context(), activation.Action{Group: a.Group, Name: "Second", Eligibility: "FILTER *"}, "ann")
			if !errors.Is(err, broken) || len(w.h.Actions) != 1 {
				t.Errorf("creating: %v, and there are %d actions", err, len(w.h.Actions))
			}
			for _, x := range w.audiences {
				if x.Kind != activation.KindRetired && x.ID != a.Audience && x.ID != a.Negative {
					t.Errorf("the audience %s is left", x.Slug)
				}
			}
			changed := a
			changed.Eligibility, changed.Name = "FILTER age > 2", "Third"
			if _, err := w.Decisions.UpdateAction(t.Context(), changed, "ann"); !errors.Is(err, broken) || w.h.Actions[0] != before || w.audiences[a.Negative].Rule != "FILTER NOT age > 1" {
				t.Errorf("changing: %v, and the action is %+v", err, w.h.Actions[0])
			}
			if _, err := w.Decisions.UpdateIssue(t.Context(), activation.Issue{ID: sales.ID, Name: "Care"}, "ann"); !errors.Is(err, broken) || w.h.Issues[0].Name != "Sales" || w.jobs[0].Level != "Sales" {
				t.Errorf("renaming: %v, and the issue is %q, the job's level %q", err, w.h.Issues[0].Name, w.jobs[0].Level)
			}
			delete(w.fail, part)
			if err := w.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.audiences) != audiences+2 { // the two that are retired
				t.Errorf("there are %d audiences", len(w.audiences))
			}
		})
	}
}

// TestRenamingALevelReachesJobs: jobs go on with the level they named.
func TestRenamingALevelReachesJobs(t *testing.T) {
	w := newWorld(newFake())
	sales := w.issue(t, "Sales")
	offers := w.group(t, sales, "Offers")
	a := w.action(t, offers, "First", "FILTER *", 0)
	w.issue(t, "Sales 2")
	w.jobs = []activation.Job{
		{ID: "export", Level: "Sales/Offers", State: activation.JobPaused},
		{ID: "decide", Workflow: usher.Workflow, Config: map[string]string{"level": "Sales", "x": "y"}, State: activation.JobSleeping},
		{ID: "killed", Level: "Sales", State: activation.JobKilled},
		{ID: "other", Level: "Sales 2", State: activation.JobRunnable},
		{ID: "all", Level: "all", State: activation.JobRunnable},
		{ID: "none", State: activation.JobRunnable},
	}
	levels := func() []string {
		var out []string
		for _, j := range w.jobs {
			l := string(j.Level)
			if j.Workflow != "" {
				l = j.Config["level"]
			}
			out = append(out, l)
		}
		return out
	}
	if _, err := w.Decisions.UpdateIssue(t.Context(), activation.Issue{ID: sales.ID, Name: " Care "}, "ann"); err != nil {
		t.Fatal(err)
	}
	if got, want := levels(), []string{"Care/Offers", "Care", "Sales", "Sales 2", "all", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := w.Decisions.UpdateGroup(t.Context(), activation.Group{ID: offers.ID, Name: "Gifts"}, "ann"); err != nil {
		t.Fatal(err)
	}
	if got, want := levels(), []string{"Care/Gifts", "Care", "Sales", "Sales 2", "all", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := w.audiences[a.Negative].Name; got != "Care-Gifts-First-N" {
		t.Errorf("the negative audience is called %q", got)
	}
	if err := w.Decisions.DeleteAction(t.Context(), a.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{w.Decisions.DeleteGroup(t.Context(), offers.ID, "ann"), w.Decisions.DeleteIssue(t.Context(), sales.ID, "ann")} {
		if !errors.Is(err, activation.ErrConflict) || !strings.Contains(activation.SafeMessage(err), `"`) {
			t.Errorf("a level that a job names can be deleted: %v", err)
		}
	}
	w.jobs = nil
	if err := errors.Join(w.Decisions.DeleteGroup(t.Context(), offers.ID, "ann"), w.Decisions.DeleteIssue(t.Context(), sales.ID, "ann")); err != nil {
		t.Error(err)
	}
}

// TestDeletedActionIsGivenUp: people leave both audiences first, then networks
// are told to empty what they hold, but for what another job owns.
func TestDeletedActionIsGivenUp(t *testing.T) {
	f := newFake()
	f.add("young", 17)
	f.add("old", 40)
	w := newWorld(f)
	offers := w.group(t, w.issue(t, "Sales"), "Offers")
	a := w.action(t, offers, "First", "FILTER age >= 18", 0)
	b := w.action(t, offers, "Second", "FILTER *", -1)
	w.targets = []activation.Target{
		{ID: "level", Audience: a.Audience, Job: "level-job"},
		{ID: "level-n", Audience: a.Negative, Job: "level-job", State: activation.TargetCompleted},
		{ID: "own", Audience: a.Audience, Job: "own-job"},
		{ID: "other", Audience: b.Audience, Job: "level-job"},
	}
	if _, err := w.DecideLevel(t.Context(), "all"); err != nil {
		t.Fatal(err)
	}
	leaving, err := w.Leaving(t.Context(), a.ID)
	if err != nil || leaving.People != 1 || !slices.Equal(leaving.Targets, []activation.TargetID{"level", "own", "level-n"}) {
		t.Errorf("leaving: %+v, %v", leaving, err)
	}
	w.audiences["x"] = activation.Audience{ID: "x", Slug: "x", Rule: "FILTER AND (*, NOT INCLUDE `sales-offers-first-n`)"}
	if err := w.Decisions.DeleteAction(t.Context(), a.ID, "ann"); !errors.Is(err, activation.ErrConflict) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("an audience that a rule includes can be deleted: %v", err)
	}
	delete(w.audiences, "x")
	w.said()
	if err := w.Decisions.DeleteAction(t.Context(), a.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	if left := len(w.members(t, a.Audience)) + len(w.members(t, a.Negative)); left != 0 {
		t.Errorf("%d people are still in", left)
	}
	if got, want := w.said(), []string{"follow", "release level: empty", "moved", "release level-n: empty"}; !slices.Equal(got, want) {
		t.Errorf("what was done is %q, want %q", got, want)
	}
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.said(), []string{"follow"}; !slices.Equal(got, want) {
		t.Errorf("what Settle did is %q, want %q", got, want)
	}
	if got := w.members(t, b.Audience); !slices.Equal(got, []string{"young"}) {
		t.Errorf("the other action has %v", got)
	}
}

// TestSettleGoesOnAfterACrash: a deletion that ended right after the store is
// made good.
func TestSettleGoesOnAfterACrash(t *testing.T) {
	f := newFake()
	f.add("old", 40)
	w := newWorld(f)
	a := w.action(t, w.group(t, w.issue(t, "Sales"), "Offers"), "First", "FILTER age < 18", 0)
	b := w.action(t, w.h.Groups[0], "Second", "FILTER *", 0)
	w.targets = []activation.Target{{ID: "level", Audience: b.Audience, Job: "level-job"}}
	if _, err := w.DecideLevel(t.Context(), "Sales"); err != nil {
		t.Fatal(err)
	}
	for _, x := range []activation.ActionID{a.ID, b.ID} {
		if err := w.DeleteAction(t.Context(), x, "ann"); err != nil { // in the store alone
			t.Fatal(err)
		}
	}
	w.said()
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []activation.AudienceID{a.Audience, a.Negative, b.Audience, b.Negative} {
		if got := w.members(t, id); len(got) > 0 {
			t.Errorf("%v are still in %s", got, w.audiences[id].Slug)
		}
	}
	if got := w.said(); !slices.Contains(got, "release level: empty") || !slices.Contains(got, "moved") {
		t.Errorf("what was done is %q", got)
	}
}
