package manifest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/decision"
	"usher/internal/filterql"
	"usher/internal/publishing"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Plane is what a plan needs of the data plane beyond what the catalog does.
type Plane interface {
	Preview(ctx context.Context, s warehouse.Schema) (declared warehouse.Schema, rebuild []string, err error)
	Streams(ctx context.Context) ([]warehouse.StreamStat, error)
}

// Jobs lists the jobs there are.
type Jobs interface {
	Jobs(ctx context.Context, f store.JobFilter) ([]activation.Job, error)
}

// Manifest plans, applies and exports. Its methods may be called by any
// goroutine.
type Manifest struct {
	Catalog   *catalog.Catalog
	Decisions *decision.Decisions
	Jobs      Jobs
	Plane     Plane
	Desk      Desk
	// Publishing is what the desk is made of: a plan tries on one of its own, which
	// stores nothing.
	Publishing publishing.Config
}

// Action is what becomes of a thing.
type Action string

const (
	// Create: it is not there yet.
	Create Action = "create"
	// Update: it is there and differs.
	Update Action = "update"
	// Unchanged: it is there as it is declared.
	Unchanged Action = "unchanged"
	// Pending: it can't be made yet, and the note says what it waits for. Applied again
	// then, it is made.
	Pending Action = "pending"
)

// Step is what a plan does with one thing.
type Step struct {
	Action Action `json:"action"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	// Changes names the fields that differ; never their values.
	Changes []string `json:"changes,omitempty"`
	// Note says what follows, such as a rebuild that is needed.
	Note string `json:"note,omitempty"`
}

// Plan says what Apply would do. The error is Problems when anything is wrong;
// the steps are then those that were understood. Nothing is written.
func (m *Manifest) Plan(ctx context.Context, files map[string]string) ([]Step, error) {
	things, wrong := parse(files)
	w, err := m.world(ctx, true)
	if err != nil {
		return nil, err
	}
	steps, more, err := w.play(ctx, things, "")
	if err != nil {
		return nil, err
	}
	if wrong = append(wrong, more...); len(wrong) > 0 {
		return steps, wrong
	}
	return steps, nil
}

// Apply does what Plan says, and nothing at all where Plan finds anything wrong.
// Applied again it changes nothing. When a thing is refused in the middle all
// the same (somebody changed something meanwhile), the steps before it stand
// and are returned with the error.
func (m *Manifest) Apply(ctx context.Context, files map[string]string, user string) ([]Step, error) {
	if steps, err := m.Plan(ctx, files); err != nil {
		return steps, err
	}
	things, _ := parse(files)
	w, err := m.world(ctx, false)
	if err != nil {
		return nil, err
	}
	steps, wrong, err := w.play(ctx, things, user)
	if err == nil && len(wrong) > 0 {
		err = wrong
	}
	return steps, err
}

// A world is what there is, and the catalog that changes are made in: the real
// one, or a shadow of it.
type world struct {
	cat    *catalog.Catalog
	best   *decision.Decisions
	desk   Desk
	trial  Desk // on a shadow, also in the real world
	auths  []activation.Authorization
	jobs   []activation.Job
	shadow bool
}

func (m *Manifest) world(ctx context.Context, pretend bool) (*world, error) {
	auths, err := m.Catalog.Store.Authorizations(ctx)
	if err != nil {
		return nil, err
	}
	jobs, err := m.Jobs.Jobs(ctx, store.JobFilter{Hidden: true, Limit: 100_000})
	if err != nil {
		return nil, err
	}
	w := &world{cat: m.Catalog, best: m.Decisions, desk: m.Desk, trial: m.trial(), auths: auths, jobs: jobs, shadow: pretend}
	if !pretend {
		return w, nil
	}
	schema, err := m.Catalog.Warehouse.Schema(ctx)
	if err != nil {
		return nil, err
	}
	all, err := m.Catalog.Store.Audiences(ctx)
	if err != nil {
		return nil, err
	}
	plane := &shadowPlane{real: m.Plane, pending: schema}
	for _, a := range all {
		plane.rules = append(plane.rules, warehouse.Rule{ID: a.ID, Slug: a.Slug, Text: a.Rule, Version: a.Version, Given: a.Kind.Given()})
	}
	cfg := m.Catalog.Config
	over := &shadow{real: m.Catalog.Store}
	cfg.Store, cfg.Warehouse = over, plane
	w.cat = catalog.New(cfg)
	w.desk = w.trial
	w.best = pretended(over, plane, decision.Config{Catalog: w.cat, Jobs: w.cat, Now: cfg.Now})
	return w, nil
}

// play makes the world as the things say, in an order in which each finds what
// it needs. What is wrong with one does not stop the others of a shadow; in the
// real world the first refusal ends it.
func (w *world) play(ctx context.Context, things []thing, user string) (steps []Step, wrong Problems, err error) {
	things = ordered(things)
	for _, t := range things {
		s := Step{Kind: t.kind, Name: t.name, File: t.file, Line: lineOf(t.node, "kind")}
		problems, err := t.problems(t.doc.apply(ctx, w, &s, user))
		if err != nil {
			return steps, wrong, err
		}
		if len(problems) > 0 {
			wrong = append(wrong, problems...)
			if !w.shadow {
				return steps, wrong, nil
			}
			continue
		}
		steps = append(steps, s)
	}
	return steps, wrong, nil
}

// problems are the wrong fields of a refused thing; any other error is ours.
func (t thing) problems(err error) (Problems, error) {
	if err == nil {
		return nil, nil
	}
	var many interface{ Each() []*activation.Error }
	if errors.As(err, &many) {
		var out Problems
		for _, e := range many.Each() {
			out = append(out, t.at(e.Field, strings.TrimPrefix(e.Message, e.Field+": ")))
		}
		return out, nil
	}
	var e *activation.Error
	if errors.As(err, &e) && (e.Kind == activation.Invalid || errors.Is(err, activation.ErrConflict)) {
		return Problems{t.at(e.Field, strings.TrimPrefix(e.Message, e.Field+": "))}, nil
	}
	if errors.Is(err, activation.ErrConflict) {
		return Problems{t.at("", "is in conflict with what is there")}, nil
	}
	return nil, err
}

// turn is when things of a kind have their turn. Rules of audiences and of actions
// may include each other's audiences, so they have it together.
func turn(kind string) int {
	if kind == kindAction {
		kind = kindAudience
	}
	return slices.Index(kindNames(), kind)
}

// ordered puts things in an order in which each finds what it needs: kind by kind,
// and included audiences before what includes them. Those of a cycle stay, and are
// refused by name.
func ordered(things []thing) []thing {
	made := map[string]int{} // slug of an audience -> the thing it comes with
	for i, t := range things {
		switch d := t.doc.(type) {
		case *audienceDoc:
			made[d.Slug] = i
		case *actionDoc:
			made[decision.NegativeSlug(d.Issue, d.Group, d.Name)] = i
		}
	}
	var out []thing
	done := make([]bool, len(things))
	var visit func(i int)
	visit = func(i int) {
		if done[i] {
			return
		}
		done[i] = true
		for _, slug := range things[i].includes() {
			if inner, ok := made[slug]; ok {
				visit(inner)
			}
		}
		out = append(out, things[i])
	}
	for i := range things {
		visit(i)
	}
	slices.SortStableFunc(out, func(a, b thing) int { return cmp.Compare(turn(a.kind), turn(b.kind)) })
	return out
}

// includes are the audiences that the rule of a thing names.
func (t thing) includes() []string {
	rule := ""
	switch d := t.doc.(type) {
	case *audienceDoc:
		rule = d.Rule
	case *actionDoc:
		rule = d.Eligibility
	default:
		return nil
	}
	f, err := filterql.Parse(rule)
	if err != nil {
		return nil
	}
	return f.Includes()
}
