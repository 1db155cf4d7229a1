package manifest

import (
	"context"
	"errors"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/filterql"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// shadow is a store and a warehouse that look like the real ones and keep what
// is written to themselves: what a plan would do can be tried on them. What a
// plan never does is left to the nil interfaces.
type shadow struct {
	catalog.Store
	real         catalog.Store
	audiences    []activation.Audience
	templates    []activation.Template
	destinations []activation.Destination
	jobs         []activation.Job
	lists        []activation.PriorityList
	issues       []activation.Issue
	groups       []activation.Group
	actions      []activation.Action
}

func (s *shadow) Hierarchy(ctx context.Context) (activation.Hierarchy, error) {
	h, err := s.real.Hierarchy(ctx)
	h.Issues = overlaid(h.Issues, s.issues, func(i activation.Issue) activation.IssueID { return i.ID })
	h.Groups = overlaid(h.Groups, s.groups, func(g activation.Group) activation.GroupID { return g.ID })
	h.Actions = overlaid(h.Actions, s.actions, func(a activation.Action) activation.ActionID { return a.ID })
	return h, err
}

func (s *shadow) Jobs(ctx context.Context, f store.JobFilter) ([]activation.Job, error) {
	all, err := s.real.Jobs(ctx, f)
	for i, j := range all { // they are made last: only those that are there can have changed
		if k := slices.IndexFunc(s.jobs, func(mine activation.Job) bool { return mine.ID == j.ID }); k >= 0 {
			all[i] = s.jobs[k]
		}
	}
	return all, err
}

// Targets are not changed by a plan.
func (s *shadow) Targets(context.Context, store.TargetFilter) ([]activation.Target, error) {
	return nil, nil
}

func (s *shadow) PriorityList(ctx context.Context, id activation.PriorityListID) (activation.PriorityList, error) {
	if i := slices.IndexFunc(s.lists, func(l activation.PriorityList) bool { return l.ID == id }); i >= 0 {
		return s.lists[i], nil
	}
	return s.real.PriorityList(ctx, id)
}

func (s *shadow) PriorityLists(ctx context.Context, d activation.DestinationID) ([]activation.PriorityList, error) {
	all, err := s.real.PriorityLists(ctx, d)
	return overlaid(all, s.lists, func(l activation.PriorityList) activation.PriorityListID { return l.ID }), err
}

func (s *shadow) CreatePriorityList(_ context.Context, l activation.PriorityList, _ string) (activation.PriorityList, error) {
	l.ID = activation.NewID[activation.PriorityListID]()
	s.lists = append(s.lists, l)
	return l, nil
}

func (s *shadow) UpdatePriorityList(_ context.Context, l activation.PriorityList, _ string) (activation.PriorityList, error) {
	s.lists = overlaid(s.lists, []activation.PriorityList{l}, func(l activation.PriorityList) activation.PriorityListID { return l.ID })
	return l, nil
}

func (s *shadow) Authorization(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error) {
	return s.real.Authorization(ctx, id)
}

// AddAudit notes nothing: what is tried was not done.
func (s *shadow) AddAudit(context.Context, activation.AuditEntry) error { return nil }

func (s *shadow) Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error) {
	if i := slices.IndexFunc(s.audiences, func(a activation.Audience) bool { return a.ID == id || a.Slug == string(id) }); i >= 0 {
		return s.audiences[i], nil
	}
	return s.real.Audience(ctx, id)
}

func (s *shadow) Audiences(ctx context.Context) ([]activation.Audience, error) {
	all, err := s.real.Audiences(ctx)
	return overlaid(all, s.audiences, func(a activation.Audience) activation.AudienceID { return a.ID }), err
}

func (s *shadow) CreateAudience(_ context.Context, a activation.Audience, _ string) (activation.Audience, error) {
	a.ID, a.Version = activation.NewID[activation.AudienceID](), 1
	s.audiences = append(s.audiences, a)
	return a, nil
}

func (s *shadow) UpdateAudience(_ context.Context, a activation.Audience, _ string) (activation.Audience, error) {
	s.audiences = overlaid(s.audiences, []activation.Audience{a}, func(a activation.Audience) activation.AudienceID { return a.ID })
	return a, nil
}

func (s *shadow) DeleteAudience(_ context.Context, id activation.AudienceID, _ string) error {
	s.audiences = slices.DeleteFunc(s.audiences, func(a activation.Audience) bool { return a.ID == id })
	return nil
}

func (s *shadow) Template(ctx context.Context, id string) (activation.Template, error) {
	if i := slices.IndexFunc(s.templates, func(v activation.Template) bool { return v.ID == id || v.Name == id }); i >= 0 {
		return s.templates[i], nil
	}
	return s.real.Template(ctx, id)
}

func (s *shadow) Templates(ctx context.Context) ([]activation.Template, error) {
	all, err := s.real.Templates(ctx)
	return overlaid(all, s.templates, func(v activation.Template) string { return v.ID }), err
}

func (s *shadow) CreateTemplate(_ context.Context, v activation.Template) (activation.Template, error) {
	v.ID = activation.NewID[string]()
	s.templates = append(s.templates, v)
	return v, nil
}

func (s *shadow) UpdateTemplate(_ context.Context, v activation.Template, _ string) (activation.Template, error) {
	s.templates = overlaid(s.templates, []activation.Template{v}, func(v activation.Template) string { return v.ID })
	return v, nil
}

func (s *shadow) Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error) {
	if i := slices.IndexFunc(s.destinations, func(d activation.Destination) bool { return d.ID == id }); i >= 0 {
		return s.destinations[i], nil
	}
	return s.real.Destination(ctx, id)
}

func (s *shadow) Destinations(ctx context.Context) ([]activation.Destination, error) {
	all, err := s.real.Destinations(ctx)
	return overlaid(all, s.destinations, func(d activation.Destination) activation.DestinationID { return d.ID }), err
}

func (s *shadow) CreateDestination(_ context.Context, d activation.Destination, _ string) (activation.Destination, error) {
	d.ID = activation.NewID[activation.DestinationID]()
	s.destinations = append(s.destinations, d)
	return d, nil
}

func (s *shadow) UpdateDestination(_ context.Context, d activation.Destination, _ string) (activation.Destination, error) {
	s.destinations = overlaid(s.destinations, []activation.Destination{d}, func(d activation.Destination) activation.DestinationID { return d.ID })
	return d, nil
}

func (s *shadow) Job(ctx context.Context, id activation.JobID) (activation.Job, error) {
	if i := slices.IndexFunc(s.jobs, func(j activation.Job) bool { return j.ID == id }); i >= 0 {
		return s.jobs[i], nil
	}
	return s.real.Job(ctx, id)
}

func (s *shadow) CreateJobOnce(_ context.Context, j activation.Job, _ activation.Once) (activation.Job, error) {
	j.ID = activation.NewID[activation.JobID]()
	s.jobs = append(s.jobs, j)
	return j, nil
}

func (s *shadow) UpdateJob(ctx context.Context, j activation.Job, _ string) error {
	before, err := s.Job(ctx, j.ID)
	if err != nil {
		return err
	}
	j.State = before.State
	s.jobs = overlaid(s.jobs, []activation.Job{j}, func(j activation.Job) activation.JobID { return j.ID })
	return nil
}

// overlaid puts the things of top over those of base with the same id.
func overlaid[T any, ID comparable](base, top []T, id func(T) ID) []T {
	out := slices.Clone(base)
	for _, t := range top {
		if i := slices.IndexFunc(out, func(b T) bool { return id(b) == id(t) }); i >= 0 {
			out[i] = t
		} else {
			out = append(out, t)
		}
	}
	return out
}

// shadowPlane is the data plane of a shadow: it judges, and keeps nothing.
type shadowPlane struct {
	real    Plane
	pending warehouse.Schema // everything declared so far
	rules   []warehouse.Rule
}

func (p *shadowPlane) Apply(ctx context.Context, s warehouse.Schema) ([]string, error) {
	_, rebuild, err := p.real.Preview(ctx, s)
	if err == nil {
		p.pending = s
	}
	return rebuild, err
}

func (p *shadowPlane) Schema(context.Context) (warehouse.Schema, error) { return p.pending, nil }

// Streams are those there are and those that are declared with them.
func (p *shadowPlane) Streams(ctx context.Context) ([]warehouse.StreamStat, error) {
	all, err := p.real.Streams(ctx)
	for _, s := range p.pending.Streams {
		if !slices.ContainsFunc(all, func(have warehouse.StreamStat) bool { return have.Name == s.Name }) {
			all = append(all, warehouse.StreamStat{Stream: s})
		}
	}
	return all, err
}

func (p *shadowPlane) SetAudiences(_ context.Context, rules []warehouse.Rule, now time.Time) error {
	p.rules = rules
	for _, r := range rules {
		if r.Given {
			continue // it follows no rule
		}
		f, err := filterql.Parse(r.Text)
		if err == nil {
			err = p.compile(f, r.Slug, now)
		}
		if err != nil {
			return ruleError(err)
		}
	}
	return nil
}

// Try judges a rule that may name fields and audiences which are not there yet.
func (p *shadowPlane) Try(_ context.Context, text string, now time.Time) (int64, error) {
	f, err := filterql.Parse(text)
	if err == nil {
		err = p.compile(f, "", now)
	}
	return 0, ruleError(err)
}

func (p *shadowPlane) Size(context.Context, activation.AudienceID) (int64, error) { return 0, nil }

func (p *shadowPlane) compile(f *filterql.Filter, name string, now time.Time) error {
	fields := filterql.Fields{}
	for _, one := range p.pending.Fields {
		fields[one.Name] = filterql.Type(one.Type)
	}
	_, err := filterql.Compile(f, filterql.Options{
		Schema: fields, Name: name, Table: "p", Now: now,
		Resolve: func(slugOrID string) (*filterql.Filter, error) {
			i := slices.IndexFunc(p.rules, func(r warehouse.Rule) bool { return r.Slug == slugOrID || string(r.ID) == slugOrID })
			if i < 0 {
				return nil, nil
			}
			if p.rules[i].Given {
				return nil, errGivenIncluded
			}
			return filterql.Parse(p.rules[i].Text)
		},
	})
	return err
}

var errGivenIncluded = errors.New("its members come by decisions or conversions, not by a rule, so no rule can include it")

func ruleError(err error) error {
	if err == nil {
		return nil
	}
	return &activation.Error{Kind: activation.Invalid, Code: "FILTERQL", Field: "segment_ql", Message: err.Error()}
}
