package decision_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/decision"
	"usher/internal/filterql"
	"usher/internal/filterql/filterqltest"
	"usher/internal/store"
	"usher/internal/warehouse"
)

var testNow = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// fields are what is known of people in these tests.
var fields = []warehouse.Field{
	{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
	{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
	{Name: "age", Type: warehouse.Integer, Merge: warehouse.Latest},
	{Name: "city", Type: warehouse.Text, Merge: warehouse.Latest},
}

// plane is the data plane of a test: a fake, or DuckDB.
type plane interface {
	decision.Warehouse
	SetAudiences(ctx context.Context, rules []warehouse.Rule, now time.Time) error
	Members(ctx context.Context, id activation.AudienceID, after int64, limit int) ([]warehouse.Profile, error)
}

// world is everything around the decisions.
type world struct {
	*decision.Decisions
	plane plane
	log   *bytes.Buffer

	mu        sync.Mutex
	h         activation.Hierarchy
	audiences map[activation.AudienceID]activation.Audience
	targets   []activation.Target
	jobs      []activation.Job
	// What was done, in order.
	done []string
	// fail makes one kind of call fail.
	fail map[string]error
}

func newWorld(p plane) *world {
	w := &world{plane: p, log: &bytes.Buffer{}, audiences: map[activation.AudienceID]activation.Audience{}, fail: map[string]error{}}
	w.Decisions = decision.New(decision.Config{
		Store: w, Warehouse: p, Catalog: w, Jobs: w, Delivery: w, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return testNow }, Moved: func(context.Context) { w.note("moved") },
	})
	return w
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, fmt.Sprintf(format, args...))
}

// said returns what was done since the last time.
func (w *world) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.done
	w.done = nil
	return out
}

func (w *world) Hierarchy(context.Context) (activation.Hierarchy, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return activation.Hierarchy{Issues: slices.Clone(w.h.Issues), Groups: slices.Clone(w.h.Groups), Actions: slices.Clone(w.h.Actions)}, w.fail["hierarchy"]
}

func (w *world) CreateIssue(_ context.Context, i activation.Issue, _ string) (activation.Issue, error) {
	i.ID = activation.NewID[activation.IssueID]()
	w.h.Issues = append(w.h.Issues, i)
	return i, nil
}

func (w *world) UpdateIssue(_ context.Context, i activation.Issue, _ string) (activation.Issue, error) {
	n := slices.IndexFunc(w.h.Issues, func(x activation.Issue) bool { return x.ID == i.ID })
	w.h.Issues[n] = i
	w.renameAudiences()
	return i, nil
}

func (w *world) DeleteIssue(_ context.Context, id activation.IssueID, _ string) error {
	if slices.ContainsFunc(w.h.Groups, func(g activation.Group) bool { return g.Issue == id }) {
		return activation.ErrConflict
	}
	w.h.Issues = slices.DeleteFunc(w.h.Issues, func(x activation.Issue) bool { return x.ID == id })
	return nil
}

func (w *world) CreateGroup(_ context.Context, g activation.Group, _ string) (activation.Group, error) {
	g.ID = activation.NewID[activation.GroupID]()
	w.h.Groups = append(w.h.Groups, g)
	return g, nil
}

func (w *world) UpdateGroup(_ context.Context, g activation.Group, _ string) (activation.Group, error) {
	n := slices.IndexFunc(w.h.Groups, func(x activation.Group) bool { return x.ID == g.ID })
	w.h.Groups[n] = g
	w.renameAudiences()
	return g, nil
}

func (w *world) DeleteGroup(_ context.Context, id activation.GroupID, _ string) error {
	w.h.Groups = slices.DeleteFunc(w.h.Groups, func(x activation.Group) bool { return x.ID == id })
	return nil
}

func (w *world) renameAudiences() {
	for _, a := range w.h.Actions {
		p, n := w.audiences[a.Audience], w.audiences[a.Negative]
		p.Name = w.h.AudienceName(a)
		n.Name = p.Name + "-N"
		w.audiences[p.ID], w.audiences[n.ID] = p, n
	}
}

func (w *world) CreateAction(_ context.Context, a activation.Action, positive, negative activation.Audience, _ string) (activation.Action, error) {
	a.ID = activation.NewID[activation.ActionID]()
	positive.ID, negative.ID = activation.NewID[activation.AudienceID](), activation.NewID[activation.AudienceID]()
	a.Audience, a.Negative = positive.ID, negative.ID
	w.audiences[positive.ID], w.audiences[negative.ID] = positive, negative
	w.h.Actions = append(w.h.Actions, a)
	return a, nil
}

func (w *world) UpdateAction(_ context.Context, a activation.Action, positive, negative activation.Audience, _ string) (activation.Action, error) {
	n := slices.IndexFunc(w.h.Actions, func(x activation.Action) bool { return x.ID == a.ID })
	w.h.Actions[n] = a
	negative.Version++
	w.audiences[positive.ID], w.audiences[negative.ID] = positive, negative
	return a, nil
}

func (w *world) DeleteAction(_ context.Context, id activation.ActionID, _ string) error {
	n := slices.IndexFunc(w.h.Actions, func(x activation.Action) bool { return x.ID == id })
	a := w.h.Actions[n]
	w.h.Actions = slices.Delete(w.h.Actions, n, n+1)
	for _, id := range []activation.AudienceID{a.Audience, a.Negative} {
		x := w.audiences[id]
		x.Kind, x.Rule, x.Slug = activation.KindRetired, "", x.Slug+"-retired-"+string(id)[:6]
		w.audiences[id] = x
	}
	return nil
}

func (w *world) Audience(_ context.Context, id activation.AudienceID) (activation.Audience, error) {
	a, ok := w.audiences[id]
	if !ok {
		return a, activation.ErrNotFound
	}
	return a, nil
}

func (w *world) Audiences(context.Context) ([]activation.Audience, error) {
	var out []activation.Audience
	for _, a := range w.audiences {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b activation.Audience) int { return cmp.Compare(a.Slug, b.Slug) })
	return out, nil
}

func (w *world) Targets(_ context.Context, f store.TargetFilter) ([]activation.Target, error) {
	return slices.DeleteFunc(slices.Clone(w.targets), func(t activation.Target) bool { return f.Audience != t.Audience }), nil
}

func (w *world) MakeDue(_ context.Context, targets []activation.TargetID, cause activation.Cause) error {
	w.note("due %v by %s", targets, cause)
	return w.fail["due"]
}

func (w *world) Jobs(_ context.Context, f store.JobFilter) ([]activation.Job, error) {
	from := slices.IndexFunc(w.jobs, func(j activation.Job) bool { return j.ID == f.After }) + 1
	return w.jobs[from:min(from+f.Limit, len(w.jobs))], nil
}

func (w *world) UpdateJob(_ context.Context, j activation.Job, _ string) error {
	n := slices.IndexFunc(w.jobs, func(x activation.Job) bool { return x.ID == j.ID })
	w.jobs[n] = j
	return nil
}

func (w *world) SyncAudiences(ctx context.Context) error {
	if err := w.fail["sync"]; err != nil {
		return err
	}
	var rules []warehouse.Rule
	for _, a := range w.audiences {
		rules = append(rules, warehouse.Rule{ID: a.ID, Slug: a.Slug, Text: a.Rule, Version: a.Version, Given: a.Kind.Given()})
	}
	return w.plane.SetAudiences(ctx, rules, testNow)
}

// FollowHierarchy lets go of the targets of retired audiences, as the jobs that
// send a level do.
func (w *world) FollowHierarchy(context.Context, string) error {
	w.note("follow")
	for i, t := range w.targets {
		if w.audiences[t.Audience].Kind == activation.KindRetired && t.Job == "level-job" {
			w.targets[i].Job = ""
		}
	}
	return w.fail["follow"]
}

func (w *world) ReleaseTarget(_ context.Context, id activation.TargetID, how activation.OnEnd, _ string) (activation.Target, error) {
	i := slices.IndexFunc(w.targets, func(t activation.Target) bool { return t.ID == id })
	if w.targets[i].Job != "" {
		return w.targets[i], fmt.Errorf("release target: %w", activation.ErrConflict)
	}
	w.note("release %s: %s", id, how)
	w.targets[i].Release = how
	return w.targets[i], nil
}

// fake is a data plane in maps.
type fake struct {
	people  map[int64]filterqltest.Profile
	rules   []warehouse.Rule
	members map[activation.AudienceID]map[int64]bool
	// decisions counts how often it decided.
	decisions int
}

func newFake() *fake {
	return &fake{people: map[int64]filterqltest.Profile{}, members: map[activation.AudienceID]map[int64]bool{}}
}

// add makes a person; age < 0 = it is not known.
func (f *fake) add(id string, age int64) {
	p := filterqltest.Profile{"customer": id}
	if age >= 0 {
		p["age"] = age
	}
	f.people[int64(len(f.people)+1)] = p
}

func (f *fake) options(name string) filterql.Options {
	types := filterql.Fields{}
	for _, x := range fields {
		types[x.Name] = filterql.Type(x.Type)
	}
	return filterql.Options{Schema: types, Name: name, Table: "p", Now: testNow, Resolve: func(slug string) (*filterql.Filter, error) {
		for _, r := range f.rules {
			switch {
			case r.Slug != slug:
			case r.Given:
				return filterql.Parse("FILTER *") // its members do not matter here
			default:
				return filterql.Parse(r.Text)
			}
		}
		return nil, nil
	}}
}

func (f *fake) selected(text, name string) (map[int64]bool, error) {
	rule, err := filterql.Parse(text)
	if err == nil {
		_, err = filterql.Compile(rule, f.options(name))
	}
	if err != nil {
		return nil, &activation.Error{Kind: activation.Invalid, Code: "FILTERQL", Field: "segment_ql", Message: err.Error()}
	}
	out := map[int64]bool{}
	w := filterqltest.World{Now: testNow, Schema: f.options("").Schema.(filterql.Fields)}
	for pid, p := range f.people {
		if len(rule.Includes()) == 0 && w.Eval(rule.Where, p) {
			out[pid] = true
		}
	}
	return out, nil
}

func (f *fake) SetAudiences(_ context.Context, rules []warehouse.Rule, _ time.Time) error {
	before := f.rules
	f.rules = rules
	next := map[activation.AudienceID]map[int64]bool{}
	for _, r := range rules {
		if next[r.ID] = f.members[r.ID]; r.Given {
			continue // whoever was in by a rule stays: nobody decided otherwise
		}
		in, err := f.selected(r.Text, r.Slug)
		if err != nil {
			f.rules = before
			return err
		}
		next[r.ID] = in
	}
	f.members = next
	return nil
}

func (f *fake) Members(_ context.Context, id activation.AudienceID, _ int64, _ int) ([]warehouse.Profile, error) {
	var out []warehouse.Profile
	for pid := range f.members[id] {
		out = append(out, warehouse.Profile{ID: pid, Values: f.people[pid]})
	}
	return out, nil
}

func (f *fake) Decide(_ context.Context, r warehouse.DecideRequest, fn func(warehouse.Decision)) (warehouse.Decided, error) {
	f.decisions++
	for _, id := range r.Level {
		if !slices.ContainsFunc(f.rules, func(x warehouse.Rule) bool { return x.ID == id && x.Given }) {
			return warehouse.Decided{}, fmt.Errorf("audience %q is not given: %w", id, activation.ErrNotFound)
		}
	}
	profiles := r.Profiles
	if profiles == nil {
		for pid := range f.people {
			profiles = append(profiles, pid)
		}
	}
	out := warehouse.Decided{Chosen: map[activation.AudienceID]int64{}}
	for _, pid := range profiles {
		out.Considered++
		one := warehouse.Decision{Profile: pid}
		for _, c := range r.Choices {
			in, err := f.selected(c.Eligible, "")
			if err != nil {
				return out, err
			}
			if in[pid] {
				one.Audience = c.Audience
				break
			}
		}
		if one.Audience == "" {
			out.Nothing++
		} else {
			out.Chosen[one.Audience]++
		}
		for _, id := range r.Level {
			switch was := f.members[id][pid]; {
			case r.Stay && one.Audience == "", was == (id == one.Audience):
				continue
			case was:
				one.Left = append(one.Left, id)
				out.Left++
			default:
				one.Entered = true
				out.Entered++
			}
			if r.Dry {
				continue
			}
			if f.members[id] == nil {
				f.members[id] = map[int64]bool{}
			}
			if delete(f.members[id], pid); id == one.Audience {
				f.members[id][pid] = true
			}
		}
		if fn != nil {
			fn(one)
		}
	}
	return out, nil
}

func (f *fake) Find(_ context.Context, field, value string) (warehouse.Profile, error) {
	for pid, p := range f.people {
		if p[field] == value {
			return warehouse.Profile{ID: pid}, nil
		}
	}
	return warehouse.Profile{}, activation.ErrNotFound
}

func (f *fake) Try(_ context.Context, text string, _ time.Time) (int64, error) {
	in, err := f.selected(text, "")
	return int64(len(in)), err
}

func (f *fake) Size(_ context.Context, id activation.AudienceID) (int64, error) {
	return int64(len(f.members[id])), nil
}

func (f *fake) Schema(context.Context) (warehouse.Schema, error) {
	return warehouse.Schema{Fields: fields}, nil
}

// members returns the customers in an audience, sorted.
func (w *world) members(t failer, id activation.AudienceID) []string {
	t.Helper()
	all, err := w.plane.Members(context.Background(), id, 0, 100_000)
	if err != nil {
		t.Fatalf("members: %v", err)
	}
	out := []string{}
	for _, p := range all {
		out = append(out, p.Values["customer"].(string))
	}
	slices.Sort(out)
	return out
}

// failer is what these helpers need of a test.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// issue, group and action make a part of the hierarchy.
func (w *world) issue(t failer, name string) activation.Issue {
	t.Helper()
	i, err := w.Decisions.CreateIssue(context.Background(), activation.Issue{Name: name}, "ann")
	if err != nil {
		t.Fatalf("create issue: %v", err)
	}
	return i
}

func (w *world) group(t failer, of activation.Issue, name string) activation.Group {
	t.Helper()
	g, err := w.Decisions.CreateGroup(context.Background(), activation.Group{Issue: of.ID, Name: name}, "ann")
	if err != nil {
		t.Fatalf("create group: %v", err)
	}
	return g
}

func (w *world) action(t failer, of activation.Group, name, eligibility string, priority int64) activation.Action {
	t.Helper()
	a, err := w.Decisions.CreateAction(context.Background(), activation.Action{Group: of.ID, Name: name, Eligibility: eligibility, Priority: priority, Enabled: true}, "ann")
	if err != nil {
		t.Fatalf("create action: %v", err)
	}
	return a
}

// wrongFields lists the fields that an error names.
func wrongFields(t *testing.T, err error) string {
	t.Helper()
	var many interface{ Each() []*activation.Error }
	if !errors.As(err, &many) {
		t.Fatalf("the error names no fields: %v", err)
	}
	var out []string
	for _, e := range many.Each() {
		if e.Kind != activation.Invalid || e.Code != "BADREQ-001" {
			t.Errorf("%s is of kind %s and code %s", e.Field, e.Kind, e.Code)
		}
		out = append(out, e.Field)
	}
	return strings.Join(out, " ")
}
