package manifest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/filterql"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Plane is what a plan needs of the data plane beyond what the catalog does.
type Plane interface {
	Preview(ctx context.Context, s warehouse.Schema) (declared warehouse.Schema, rebuild []string, err error)
}

// Jobs lists the jobs there are.
type Jobs interface {
	Jobs(ctx context.Context, f store.JobFilter) ([]activation.Job, error)
}

// Manifest plans, applies and exports. Its methods may be called by any
// goroutine.
type Manifest struct {
	Catalog *catalog.Catalog
	Jobs    Jobs
	Plane   Plane
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
	w := &world{cat: m.Catalog, auths: auths, jobs: jobs, shadow: pretend}
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
		plane.rules = append(plane.rules, warehouse.Rule{ID: a.ID, Slug: a.Slug, Text: a.Rule, Version: a.Version})
	}
	cfg := m.Catalog.Config
	cfg.Store, cfg.Warehouse = &shadow{real: m.Catalog.Store}, plane
	w.cat = catalog.New(cfg)
	return w, nil
}

// play makes the world as the things say, in an order in which each finds what
// it needs. What is wrong with one does not stop the others of a shadow; in the
// real world the first refusal ends it.
func (w *world) play(ctx context.Context, things []thing, user string) (steps []Step, wrong Problems, err error) {
	things = ordered(things)
	for _, kind := range kinds {
		for _, t := range things {
			if t.kind != kind {
				continue
			}
			s := Step{Kind: t.kind, Name: t.name, File: t.file, Line: lineOf(t.node, "kind")}
			problems, err := w.do(ctx, t, &s, user)
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
	}
	return steps, wrong, nil
}

// do makes one thing as it is declared.
func (w *world) do(ctx context.Context, t thing, s *Step, user string) (Problems, error) {
	var err error
	switch d := t.doc.(type) {
	case *authorizationDoc:
		s.Action = Unchanged
		_, problem := w.authorization(d.Label, d.Provider)
		if problem != "" {
			return Problems{t.at("label", problem)}, nil
		}
	case *fieldDoc:
		err = w.field(ctx, *d, s)
	case *streamDoc:
		err = w.stream(ctx, *d, s)
	case *audienceDoc:
		err = w.audience(ctx, *d, s, user)
	case *destinationDoc:
		err = w.destination(ctx, *d, s, user)
	case *jobDoc:
		err = w.job(ctx, *d, s, user)
	}
	return t.problems(err)
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

// authorization finds credentials by label, or says what is wrong.
func (w *world) authorization(label, provider string) (activation.AuthorizationID, string) {
	var found []activation.AuthorizationID
	for _, a := range w.auths {
		if a.Label == label && (provider == "" || a.Provider == provider) {
			found = append(found, a.ID)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], ""
	case len(found) > 1:
		return "", "more than one authorization has this label; give them different ones"
	case provider == "":
		return "", "there is no authorization with this label; create it with usher auth create"
	}
	return "", fmt.Sprintf("there is no authorization of %s with this label; create it with usher auth create %s", provider, provider)
}

func (w *world) field(ctx context.Context, d fieldDoc, s *Step) error {
	f := warehouse.Field{Name: d.Name, Type: warehouse.FieldType(d.Type), Merge: warehouse.MergeRule(d.Merge), Rank: d.Identifier, PII: d.PII, Public: d.Public, Help: d.Description}
	if f.Merge == "" {
		f.Merge = warehouse.Latest
	}
	have, err := w.cat.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(have.Fields, func(o warehouse.Field) bool { return o.Name == f.Name })
	if i >= 0 && s.compare(have.Fields[i], f) {
		return nil
	}
	return s.declared(w.cat.Declare(ctx, warehouse.Schema{Fields: []warehouse.Field{f}}))
}

func (w *world) stream(ctx context.Context, d streamDoc, s *Step) error {
	want := warehouse.Stream{Name: d.Name, ReferenceKey: d.ReferenceKey, MessageID: d.MessageID, TimestampField: d.TimestampField, DateOrder: d.DateOrder}
	have, err := w.cat.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	mappings := map[string]string{}
	for _, m := range have.Mappings {
		if m.Stream == d.Name {
			mappings[m.Field] = m.Expression
		}
	}
	i := slices.IndexFunc(have.Streams, func(o warehouse.Stream) bool { return o.Name == d.Name })
	if i >= 0 {
		same := s.compare(have.Streams[i], want)
		if !reflect.DeepEqual(mappings, orEmpty(d.Mappings)) {
			s.Action, s.Changes, same = Update, append(s.Changes, "mappings"), false
		}
		if same {
			return nil
		}
	}
	var all []warehouse.Mapping
	for _, field := range slices.Sorted(maps.Keys(d.Mappings)) {
		all = append(all, warehouse.Mapping{Stream: d.Name, Field: field, Expression: d.Mappings[field]})
	}
	return s.declared(w.cat.DeclareStream(ctx, want, all))
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// declared notes what a change of the schema asks for.
func (s *Step) declared(rebuild []string, err error) error {
	if s.Action == "" {
		s.Action = Create
	}
	if len(rebuild) > 0 {
		s.Note = "a rebuild is needed to reach messages received before: " + strings.Join(rebuild, ", ")
	}
	return err
}

func (w *world) audience(ctx context.Context, d audienceDoc, s *Step, user string) error {
	want := activation.Audience{Slug: d.Slug, Name: d.Name, Description: d.Description, Rule: strings.TrimSpace(d.Rule)}
	have, err := w.cat.Audience(ctx, d.Slug)
	if errors.Is(err, activation.ErrNotFound) {
		s.Action = Create
		_, err = w.cat.CreateAudience(ctx, want, user)
		return err
	}
	if err != nil {
		return err
	}
	want.ID, want.Version, want.CreatedAt, want.UpdatedAt = have.ID, have.Version, have.CreatedAt, have.UpdatedAt
	if canonical(want.Rule) == canonical(have.Rule) {
		want.Rule = have.Rule
	}
	if s.compare(have, want) {
		return nil
	}
	_, err = w.cat.ReplaceAudience(ctx, d.Slug, want, user)
	return err
}

// canonical is a rule in its one form, so that layout is no change.
func canonical(rule string) string {
	f, err := filterql.Parse(rule)
	if err != nil {
		return rule
	}
	return f.String()
}

func (w *world) destination(ctx context.Context, d destinationDoc, s *Step, user string) error {
	auth, problem := w.authorization(d.Authorization, d.Provider)
	if problem != "" {
		return &activation.Error{Kind: activation.Invalid, Field: "auth_id", Message: problem}
	}
	config, err := settings(d.Config)
	if err != nil {
		return err
	}
	want := activation.Destination{Name: d.Name, Provider: d.Provider, Authorization: auth, Account: d.Account, Mapping: orEmpty(d.Mapping), Config: config, Enabled: d.Enabled == nil || *d.Enabled}
	all, err := w.cat.Store.Destinations(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(o activation.Destination) bool { return o.Name == d.Name })
	if i < 0 {
		s.Action = Create
		made, err := w.cat.CreateDestination(ctx, want, user)
		if err == nil && !want.Enabled {
			made.Enabled = false
			_, err = w.cat.UpdateDestination(ctx, made, user)
		}
		return err
	}
	have := all[i]
	if have.Provider != d.Provider {
		return &activation.Error{Kind: activation.Invalid, Field: "provider", Message: "can't be changed; name another destination"}
	}
	want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
	def, err := w.cat.Definition(d.Provider)
	if err != nil {
		return err
	}
	filled := want
	filled.Config = catalog.WithDefaults(def.DestinationFields, config)
	if s.compare(have, filled) {
		return nil
	}
	if have.Mapping != nil && !reflect.DeepEqual(have.Mapping, want.Mapping) {
		s.Note = "everybody's old keys are taken away and the new ones added at the next run"
	}
	_, err = w.cat.UpdateDestination(ctx, want, user)
	return err
}

func (w *world) job(ctx context.Context, d jobDoc, s *Step, user string) error {
	spec, err := w.spec(ctx, d)
	if err != nil {
		return err
	}
	want, err := w.cat.CheckJob(ctx, spec)
	i := slices.IndexFunc(w.jobs, func(j activation.Job) bool {
		return j.Name == d.Name && j.Workflow == strings.ReplaceAll(d.Workflow, "-", "_")
	})
	if i < 0 {
		if err != nil {
			return err
		}
		s.Action = Create
		_, err := w.cat.CreateJob(ctx, spec, user)
		return err
	}
	have := w.jobs[i]
	if have.State == activation.JobKilled {
		return &activation.Error{Kind: activation.Invalid, Field: "name", Message: "a job of this name was ended for good; delete it first, or choose another name"}
	}
	if err == nil && s.compareSpecs(catalog.SpecOf(have), catalog.SpecOf(want)) {
		return nil
	}
	_, err = w.cat.UpdateJob(ctx, have.ID, spec, user)
	return err
}

// spec is a job as the catalog takes it, its references found by name.
func (w *world) spec(ctx context.Context, d jobDoc) (catalog.JobSpec, error) {
	var wrong refusals
	spec := catalog.JobSpec{
		Workflow: d.Workflow, Name: d.Name, Description: d.Description, Audiences: d.Audiences,
		Schedule: activation.Schedule{
			Continuous: d.Continuous == nil || *d.Continuous, Frequency: d.Frequency, TimeOfDay: d.TimeOfDay, DayOfWeek: d.DayOfWeek, Timezone: d.Timezone,
			QuietTimeOfDay: d.QuietTime, QuietTimezone: d.QuietTimezone,
		},
		Reach: activation.Reach{SkipBackfill: d.WithBackfill != nil && !*d.WithBackfill, BackfillOnly: d.BackfillOnly, UserLimit: d.UserLimit, UserLimitFrequency: d.LimitFrequency},
		OnEnd: activation.OnEnd(d.OnEnd), Tag: d.Tag, Hidden: d.Hidden, VerboseLogging: d.VerboseLogging,
	}
	wrong.duration("quiet_period", d.QuietPeriod, &spec.QuietPeriod)
	wrong.duration("fail_after", d.FailAfter, &spec.FailAfter)
	wrong.duration("stall_after", d.StallAfter, &spec.StallAfter)
	if d.ExpiresAt != "" {
		t, err := time.Parse(time.RFC3339, d.ExpiresAt)
		if err != nil {
			wrong.add("expires_at", "must be a time such as 2026-12-31T18:00:00Z")
		}
		spec.ExpiresAt = t.UTC()
	}
	var err error
	if spec.Config, err = settings(d.Config); err != nil {
		wrong = append(wrong, refusal(err))
	}
	if d.Destination != "" {
		all, err := w.cat.Store.Destinations(ctx)
		if err != nil {
			return spec, err
		}
		if i := slices.IndexFunc(all, func(o activation.Destination) bool { return o.Name == d.Destination }); i >= 0 {
			spec.Destination = all[i].ID
		} else {
			wrong.add("destination_id", "there is no destination of this name, neither here nor in the files")
		}
	}
	for _, label := range d.Authorizations {
		id, problem := w.authorization(label, "")
		if problem != "" {
			wrong.add("auth_ids", problem)
			continue
		}
		spec.Authorizations = append(spec.Authorizations, id)
	}
	w.storedSecrets(d, &spec)
	if len(wrong) > 0 {
		return spec, wrong
	}
	return spec, nil
}

// storedSecrets keeps the secret settings of a job that is there: a file has
// none.
func (w *world) storedSecrets(d jobDoc, spec *catalog.JobSpec) {
	workflow, _, err := w.cat.Workflow(d.Workflow)
	if err != nil {
		return
	}
	for _, j := range w.jobs {
		if j.Name != d.Name || j.Workflow != workflow.Name {
			continue
		}
		for _, f := range workflow.Fields {
			if _, given := spec.Config[f.Name]; f.Secret && !given && j.Config[f.Name] != "" {
				spec.Config[f.Name] = j.Config[f.Name]
			}
		}
	}
}

// settings are configuration values as they are stored.
func settings(given map[string]any) (map[string]string, error) {
	out := map[string]string{}
	for name, v := range given {
		text, ok := catalog.SettingText(v)
		if !ok {
			return out, &activation.Error{Kind: activation.Invalid, Field: "config." + name, Message: "must be text, a number, true, false or a list of those"}
		}
		out[name] = text
	}
	return out, nil
}

// refusals is everything wrong with the form of a document.
type refusals []*activation.Error

func (r *refusals) add(field, message string) {
	*r = append(*r, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: message})
}

func (r *refusals) duration(field, text string, to *time.Duration) {
	if text == "" {
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		r.add(field, "must be a duration such as 90s or 6h")
	}
	*to = d
}

// Error names every wrong field.
func (r refusals) Error() string {
	texts := make([]string, len(r))
	for i, e := range r {
		texts[i] = e.Field + ": " + e.Message
	}
	return strings.Join(texts, "; ")
}

// Each returns one error per wrong field.
func (r refusals) Each() []*activation.Error { return r }

func refusal(err error) *activation.Error {
	var e *activation.Error
	errors.As(err, &e)
	return e
}

// compare notes what differs between what is there and what is wanted, and
// reports whether nothing does.
func (s *Step) compare(have, want any) bool {
	h, w := reflect.ValueOf(have), reflect.ValueOf(want)
	for i := range h.NumField() {
		if name, _, _ := strings.Cut(h.Type().Field(i).Tag.Get("json"), ","); !sameValue(h.Field(i).Interface(), w.Field(i).Interface()) {
			if own, ok := fieldNames[name]; ok {
				name = own
			}
			s.Changes = append(s.Changes, name)
		}
	}
	return s.settle()
}

// compareSpecs is compare for the declarations of jobs.
func (s *Step) compareSpecs(have, want catalog.JobSpec) bool {
	for _, one := range []struct {
		name       string
		have, want any
	}{
		{"description", have.Description, want.Description},
		{"destination", have.Destination, want.Destination},
		{"audiences", have.Audiences, want.Audiences},
		{"authorizations", have.Authorizations, want.Authorizations},
		{"config", have.Config, want.Config},
		{"schedule", have.Schedule, want.Schedule},
		{"reach", have.Reach, want.Reach},
		{"fail_after", orDefault(have.FailAfter, activation.DefaultFailAfter), orDefault(want.FailAfter, activation.DefaultFailAfter)},
		{"stall_after", orDefault(have.StallAfter, activation.DefaultStallAfter), orDefault(want.StallAfter, activation.DefaultStallAfter)},
		{"on_end", orDefault(have.OnEnd, activation.EndKeep), orDefault(want.OnEnd, activation.EndKeep)},
		{"tag", have.Tag, want.Tag},
		{"hidden", have.Hidden, want.Hidden},
		{"verbose_logging", have.VerboseLogging, want.VerboseLogging},
	} {
		if !sameValue(one.have, one.want) {
			s.Changes = append(s.Changes, one.name)
		}
	}
	return s.settle()
}

func (s *Step) settle() bool {
	s.Action = Unchanged
	if len(s.Changes) > 0 {
		s.Action = Update
	}
	return len(s.Changes) == 0
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// sameValue is equality where nothing and an empty list or map are the same.
func sameValue(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if k := va.Kind(); (k == reflect.Map || k == reflect.Slice) && va.Len() == 0 && vb.Len() == 0 {
		return true
	}
	if ta, ok := a.(activation.Schedule); ok {
		tb := b.(activation.Schedule)
		ea, eb := ta.ExpiresAt, tb.ExpiresAt
		ta.ExpiresAt, tb.ExpiresAt = time.Time{}, time.Time{}
		return ta == tb && ea.Equal(eb)
	}
	return reflect.DeepEqual(a, b)
}

// ordered puts included audiences before those that include them; those of a
// cycle stay, and are refused by name.
func ordered(things []thing) []thing {
	bySlug := map[string]thing{}
	for _, t := range things {
		if d, ok := t.doc.(*audienceDoc); ok {
			bySlug[d.Slug] = t
		}
	}
	var out []thing
	done := map[string]bool{}
	var visit func(t thing)
	visit = func(t thing) {
		d, ok := t.doc.(*audienceDoc)
		if !ok {
			out = append(out, t)
			return
		}
		if done[d.Slug] {
			return
		}
		done[d.Slug] = true
		if f, err := filterql.Parse(d.Rule); err == nil {
			for _, ref := range f.Includes() {
				if inner, ok := bySlug[ref]; ok {
					visit(inner)
				}
			}
		}
		out = append(out, t)
	}
	for _, t := range things {
		visit(t)
	}
	return out
}
