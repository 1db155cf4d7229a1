package decision_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/decision"
)

// model is who is decided for what, in plain maps. It knows nothing of audiences,
// levels as texts, rules or orders.
type model struct {
	ages    map[string]int64 // by customer; below 0 = not known
	actions map[string]*modelAction
	chosen  map[string]map[string]bool // by customer, the actions
}

type modelAction struct {
	id           activation.ActionID
	issue, group string
	name         string
	from         int64 // the least age of those eligible
	everybody    bool
	priority     int64
	enabled      bool
}

func (a *modelAction) path() string { return a.issue + "/" + a.group + "/" + a.name }

func (a *modelAction) takes(age int64) bool { return a.everybody || age >= 0 && age >= a.from }

func (a *modelAction) rule() string {
	if a.everybody {
		return "FILTER *"
	}
	return fmt.Sprintf("FILTER age >= %d", a.from)
}

// at lists the actions of an issue and group ("" = any).
func (m *model) at(issue, group string) []*modelAction {
	var out []*modelAction
	for _, a := range m.actions {
		if (issue == "" || a.issue == issue) && (group == "" || a.group == group) {
			out = append(out, a)
		}
	}
	return out
}

// decide decides for one customer; only, where it is given, is the one action.
func (m *model) decide(customer, issue, group string, only *modelAction) {
	level := m.at(issue, group)
	var best *modelAction
	for _, a := range level {
		switch {
		case only != nil && a != only, !a.enabled, !a.takes(m.ages[customer]):
		case best == nil, a.priority > best.priority, a.priority == best.priority && a.name+"/"+a.path() < best.name+"/"+best.path():
			best = a
		}
	}
	if only != nil && best == nil {
		return
	}
	for _, a := range level {
		delete(m.chosen[customer], a.path())
	}
	if best != nil {
		m.chosen[customer][best.path()] = true
	}
}

// arbitration makes a random hierarchy, changes it and decides, and compares who
// is where with the model after each step.
type arbitration struct {
	t     *rapid.T
	w     *world
	m     *model
	parts map[string]activation.Group // by issue/group
}

// newArbitration makes people and an empty hierarchy of four groups. open makes
// a data plane of people with these ages.
func newArbitration(t *rapid.T, open func(ages map[string]int64) plane) *arbitration {
	m := &model{ages: map[string]int64{}, actions: map[string]*modelAction{}, chosen: map[string]map[string]bool{}}
	for i := range rapid.IntRange(1, 6).Draw(t, "people") {
		id := fmt.Sprintf("c%d", i)
		m.ages[id], m.chosen[id] = rapid.Int64Range(-1, 5).Draw(t, "age"), map[string]bool{}
	}
	x := &arbitration{t: t, w: newWorld(open(m.ages)), m: m, parts: map[string]activation.Group{}}
	for _, issue := range []string{"Care", "Sales"} {
		i := x.w.issue(t, issue)
		for _, group := range []string{"Gifts", "Offers"} {
			x.parts[issue+"/"+group] = x.w.group(t, i, group)
		}
	}
	return x
}

// someLevel draws a level, as text and as issue and group.
func (x *arbitration) someLevel() (l activation.Level, issue, group string) {
	l = rapid.SampledFrom([]activation.Level{"all", "Care", "Sales", "Care/Gifts", "Care/Offers", "Sales/Gifts", "Sales/Offers"}).Draw(x.t, "level")
	if l == "all" {
		return l, "", ""
	}
	issue, group, _ = strings.Cut(string(l), "/")
	return l, issue, group
}

func (x *arbitration) someAction() *modelAction {
	paths := slices.Sorted(maps.Keys(x.m.actions))
	if len(paths) == 0 {
		return nil
	}
	return x.m.actions[rapid.SampledFrom(paths).Draw(x.t, "action")]
}

func (x *arbitration) drawEligibility(a *modelAction) {
	a.everybody, a.from = rapid.Bool().Draw(x.t, "everybody"), rapid.Int64Range(0, 6).Draw(x.t, "from")
	a.priority, a.enabled = rapid.Int64Range(-1, 1).Draw(x.t, "priority"), rapid.IntRange(0, 3).Draw(x.t, "enabled") > 0
}

// change makes an action, or changes the one of that name.
func (x *arbitration) change() {
	part := rapid.SampledFrom(slices.Sorted(maps.Keys(x.parts))).Draw(x.t, "group")
	issue, group, _ := strings.Cut(part, "/")
	a := &modelAction{issue: issue, group: group, name: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(x.t, "name")}
	if known := x.m.actions[a.path()]; known != nil {
		a = known
	}
	x.drawEligibility(a)
	given := activation.Action{ID: a.id, Group: x.parts[part].ID, Name: a.name, Eligibility: a.rule(), Priority: a.priority, Enabled: a.enabled}
	var err error
	if a.id == "" {
		given, err = x.w.Decisions.CreateAction(context.Background(), given, "ann")
		a.id = given.ID
	} else {
		_, err = x.w.Decisions.UpdateAction(context.Background(), given, "ann")
	}
	if err != nil {
		x.t.Fatalf("change %s: %v", a.path(), err)
	}
	x.m.actions[a.path()] = a
}

func (x *arbitration) drop() {
	a := x.someAction()
	if a == nil {
		return
	}
	if err := x.w.Decisions.DeleteAction(context.Background(), a.id, "ann"); err != nil {
		x.t.Fatalf("delete %s: %v", a.path(), err)
	}
	delete(x.m.actions, a.path())
	for _, chosen := range x.m.chosen {
		delete(chosen, a.path())
	}
}

func (x *arbitration) everybody() {
	l, issue, group := x.someLevel()
	previewed, err := x.w.Preview(context.Background(), l)
	if err != nil {
		x.t.Fatalf("preview %s: %v", l, err)
	}
	done, err := x.w.DecideLevel(context.Background(), l)
	if err != nil {
		x.t.Fatalf("decide at %s: %v", l, err)
	}
	if previewed.Entered != done.Entered || previewed.Left != done.Left || previewed.Nothing != done.Nothing {
		x.t.Fatalf("the preview said %+v, and it came to %+v", previewed, done)
	}
	for customer := range x.m.ages {
		x.m.decide(customer, issue, group, nil)
	}
	if again, err := x.w.DecideLevel(context.Background(), l); err != nil || again.Entered+again.Left > 0 {
		x.t.Fatalf("deciding again moved somebody: %+v, %v", again, err)
	}
}

func (x *arbitration) some() {
	var customers []decision.Customer
	for range rapid.IntRange(1, 6).Draw(x.t, "customers") {
		l, issue, group := x.someLevel()
		c := decision.Customer{ID: rapid.SampledFrom(slices.Sorted(maps.Keys(x.m.ages))).Draw(x.t, "customer"), Level: l}
		var only *modelAction
		if rapid.Bool().Draw(x.t, "asked") {
			if only = x.someAction(); only != nil {
				c.Action = only.path()
			}
		}
		if customers = append(customers, c); only == nil || only.enabled && slices.Contains(x.m.at(issue, group), only) {
			x.m.decide(c.ID, issue, group, only)
		}
	}
	if _, err := x.w.Decide(context.Background(), customers, "ann"); err != nil {
		x.t.Fatalf("decide for %v: %v", customers, err)
	}
}

// compare holds the audiences against the model: the positive ones have whom a
// decision chose, the negative ones exactly those who are not eligible, and
// nobody is in an audience of what was deleted.
func (x *arbitration) compare() {
	h, err := x.w.Hierarchy(context.Background())
	if err != nil {
		x.t.Fatalf("hierarchy: %v", err)
	}
	live := map[activation.AudienceID]bool{}
	for _, a := range h.Actions {
		path := string(h.LevelOf(a)) + "/" + a.Name
		want, not := []string{}, []string{}
		for customer, age := range x.m.ages {
			if x.m.chosen[customer][path] {
				want = append(want, customer)
			}
			if !x.m.actions[path].takes(age) {
				not = append(not, customer)
			}
		}
		slices.SortFunc(want, cmp.Compare[string])
		slices.SortFunc(not, cmp.Compare[string])
		if got := x.w.members(x.t, a.Audience); !slices.Equal(got, want) {
			x.t.Fatalf("decided for %s are %v, want %v", path, got, want)
		}
		if got := x.w.members(x.t, a.Negative); !slices.Equal(got, not) {
			x.t.Fatalf("not eligible for %s are %v, want %v", path, got, not)
		}
		live[a.Audience], live[a.Negative] = true, true
	}
	for id, a := range x.w.audiences {
		if got := x.w.members(x.t, id); !live[id] && len(got) > 0 {
			x.t.Fatalf("%v are in %s, which is no more", got, a.Slug)
		}
	}
}

func (x *arbitration) run() {
	x.change()
	for range rapid.IntRange(1, 12).Draw(x.t, "steps") {
		switch rapid.IntRange(0, 9).Draw(x.t, "step") {
		case 0, 1, 2:
			x.change()
		case 3:
			x.drop()
		case 4, 5, 6:
			x.everybody()
		default:
			x.some()
		}
		x.compare()
	}
}

// TestArbitration: whatever happens in whatever order, each person is decided for
// as the plain model says.
func TestArbitration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newArbitration(t, func(ages map[string]int64) plane {
			f := newFake()
			for _, id := range slices.Sorted(maps.Keys(ages)) {
				f.add(id, ages[id])
			}
			return f
		}).run()
	})
}
