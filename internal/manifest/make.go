package manifest

import (
	"cmp"
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
	"usher/internal/provider"
	"usher/internal/warehouse"
)

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

func (d *authorizationDoc) apply(_ context.Context, w *world, s *Step, _ string) error {
	s.Action = Unchanged
	if _, problem := w.authorization(d.Label, d.Provider); problem != "" {
		return unnamed("label", problem)
	}
	return nil
}

func (d *fieldDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	f := warehouse.Field{Name: d.Name, Type: warehouse.FieldType(d.Type), Merge: warehouse.MergeRule(d.Merge), Rank: d.Identifier, PII: d.PII, Public: d.Public, Help: d.Description}
	if f.Merge == "" {
		f.Merge = warehouse.Latest
	}
	have, err := w.cat.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	declare := func(ctx context.Context, f warehouse.Field, user string) (warehouse.Field, error) {
		return f, s.declared(w.cat.Declare(ctx, warehouse.Schema{Fields: []warehouse.Field{f}}, user))
	}
	return settle(ctx, s, user, settling[warehouse.Field]{
		there: have.Fields, is: func(o warehouse.Field) bool { return o.Name == f.Name }, want: f, create: declare, update: declare,
	})
}

func (d *streamDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	want := warehouse.Stream{Name: d.Name, ReferenceKey: d.ReferenceKey, MessageID: d.MessageID, TimestampField: d.TimestampField, DateOrder: d.DateOrder, PhoneCountry: d.PhoneCountry, RetentionDays: d.RetentionDays}
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
	s.Action = Create
	if i := slices.IndexFunc(have.Streams, func(o warehouse.Stream) bool { return o.Name == d.Name }); i >= 0 {
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
	return s.declared(w.cat.DeclareStream(ctx, want, all, user))
}

func (d *identityDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	want := warehouse.Identity{MaxIdentifiers: cmp.Or(d.MaxIdentifiers, warehouse.DefaultMaxIdentifiers), StopList: d.StopList}
	have, err := w.cat.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	have.Identity.MaxIdentifiers = cmp.Or(have.Identity.MaxIdentifiers, warehouse.DefaultMaxIdentifiers)
	if s.compare(have.Identity, want) {
		return nil
	}
	return s.declared(w.cat.SetIdentity(ctx, want, user))
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// declared notes what a change of the schema asks for.
func (s *Step) declared(rebuild []string, err error) error {
	if len(rebuild) > 0 {
		s.Note = "a rebuild is needed to reach messages received before: " + strings.Join(rebuild, ", ")
	}
	return err
}

func (d *audienceDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	all, err := w.cat.Store.Audiences(ctx)
	if err != nil {
		return err
	}
	return settle(ctx, s, user, settling[activation.Audience]{
		there: all, is: func(a activation.Audience) bool { return a.Slug == d.Slug },
		want: activation.Audience{Slug: d.Slug, Name: d.Name, Description: d.Description, Rule: strings.TrimSpace(d.Rule), Public: d.Public},
		adjust: func(have activation.Audience, want *activation.Audience) {
			want.Kind, want.Rule = have.Kind, sameRule(have.Rule, want.Rule)
		},
		create: w.cat.CreateAudience,
		update: func(ctx context.Context, want activation.Audience, user string) (activation.Audience, error) {
			return w.cat.ReplaceAudience(ctx, d.Slug, want, user)
		},
	})
}

// sameRule is the rule that is wanted, as it stands there where both mean the same.
func sameRule(have, want string) string {
	if canonical(want) == canonical(have) {
		return have
	}
	return want
}

// canonical is a rule in its one form, so that layout is no change.
func canonical(rule string) string {
	f, err := filterql.Parse(rule)
	if err != nil {
		return rule
	}
	return f.String()
}

func (d *templateDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	all, err := w.cat.Store.Templates(ctx)
	if err != nil {
		return err
	}
	return settle(ctx, s, user, settling[activation.Template]{
		there: all, is: func(v activation.Template) bool { return v.Name == d.Name },
		want:   activation.Template{Name: d.Name, Description: d.Description, Text: d.Text},
		create: w.cat.CreateTemplate, update: w.cat.UpdateTemplate,
	})
}

func (d *destinationDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	auth, problem := activation.AuthorizationID(""), ""
	if def, err := w.cat.Definition(d.Provider); err != nil || !def.NoAuth() || d.Authorization != "" {
		auth, problem = w.authorization(d.Authorization, d.Provider)
	}
	if problem != "" {
		return &activation.Error{Kind: activation.Invalid, Field: "auth_id", Message: problem}
	}
	config, err := settings(d.Config)
	if err != nil {
		return err
	}
	all, err := w.cat.Store.Destinations(ctx)
	if err != nil {
		return err
	}
	is := func(o activation.Destination) bool { return o.Name == d.Name }
	if i := slices.IndexFunc(all, is); i >= 0 && all[i].Provider != d.Provider {
		return unnamed("provider", "can't be changed; name another destination")
	}
	return settle(ctx, s, user, settling[activation.Destination]{
		there: all, is: is,
		want: activation.Destination{Name: d.Name, Provider: d.Provider, Authorization: auth, Account: d.Account, Mapping: orEmpty(d.Mapping), Config: config, Enabled: d.Enabled == nil || *d.Enabled},
		adjust: func(have activation.Destination, want *activation.Destination) {
			def, _ := w.cat.Definition(d.Provider)
			keepSecrets(def.DestinationFields, config, have.Config)
			want.Config = withDefaults(def.DestinationFields, config)
			if have.Mapping != nil && !reflect.DeepEqual(have.Mapping, want.Mapping) {
				s.Note = "everybody's old keys are taken away and the new ones added at the next run"
			}
		},
		create: func(ctx context.Context, want activation.Destination, user string) (activation.Destination, error) {
			made, err := w.cat.CreateDestination(ctx, want, user)
			if err == nil && !want.Enabled {
				made.Enabled = false
				made, err = w.cat.UpdateDestination(ctx, made, user)
			}
			return made, err
		},
		update: w.cat.UpdateDestination,
	})
}

// withDefaults are settings with the defaults of those that were not given, and those
// that nobody knows as they were given, to be refused.
func withDefaults(fields []provider.Field, given map[string]string) map[string]string {
	out := maps.Clone(given)
	maps.Copy(out, catalog.WithDefaults(fields, given))
	return out
}

func (w *world) destinationNamed(ctx context.Context, name string) (activation.Destination, error) {
	all, err := w.cat.Store.Destinations(ctx)
	if err != nil {
		return activation.Destination{}, err
	}
	return named(all, "destination_id", "destination", func(o activation.Destination) bool { return o.Name == name })
}

func (d *priorityListDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	destination, err := w.destinationNamed(ctx, d.Destination)
	if err != nil {
		return err
	}
	all, err := w.cat.PriorityLists(ctx, "")
	if err != nil {
		return err
	}
	want := activation.PriorityList{Name: d.Name, Destination: destination.ID}
	for _, slug := range d.Audiences {
		a, err := w.cat.Audience(ctx, slug)
		if err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
		want.Audiences = append(want.Audiences, a.ID)
	}
	return settle(ctx, s, user, settling[activation.PriorityList]{
		there: all, is: func(l activation.PriorityList) bool { return l.Name == d.Name }, want: want,
		create: func(ctx context.Context, l activation.PriorityList, user string) (activation.PriorityList, error) {
			l.Audiences = nil
			return w.cat.CreatePriorityList(ctx, l, d.Audiences, user)
		},
		update: func(ctx context.Context, l activation.PriorityList, user string) (activation.PriorityList, error) {
			return w.cat.UpdatePriorityList(ctx, l, d.Audiences, user)
		},
	})
}

func (d *jobDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	spec, err := w.spec(ctx, *d)
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
	if workflow, _, e := w.cat.Workflow(have.Workflow); e == nil && workflow.Direction == provider.Editing {
		return err // it comes with a publisher account, and nobody declares it
	}
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
		Workflow: d.Workflow, Name: d.Name, Description: d.Description, Audiences: d.Audiences, Exclude: d.Exclude, Level: activation.Level(d.Level), Stream: d.Stream,
		Schedule: activation.Schedule{
			Continuous: d.Continuous == nil || *d.Continuous, Frequency: d.Frequency, TimeOfDay: d.TimeOfDay, DayOfWeek: d.DayOfWeek, Timezone: d.Timezone,
			QuietTimeOfDay: d.QuietTime, QuietTimezone: d.QuietTimezone, DropQuiet: d.DropQuiet,
		},
		Reach: activation.Reach{SkipBackfill: d.WithBackfill != nil && !*d.WithBackfill, BackfillOnly: d.BackfillOnly, UserLimit: d.UserLimit, UserLimitFrequency: d.LimitFrequency, HoldoutPercent: d.HoldoutPercent},
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
		destination, err := w.destinationNamed(ctx, d.Destination)
		if refused := refusal(err); refused != nil {
			wrong = append(wrong, refused)
		} else if err != nil {
			return spec, err
		}
		spec.Destination = destination.ID
	}
	for _, label := range d.Authorizations {
		id, problem := w.authorization(label, "")
		if problem != "" {
			wrong.add("auth_ids", problem)
			continue
		}
		spec.Authorizations = append(spec.Authorizations, id)
	}
	if refused := refusal(w.dropFolder(ctx, d, spec.Config)); refused != nil {
		wrong = append(wrong, refused)
	}
	w.storedSecrets(d, &spec)
	if len(wrong) > 0 {
		return spec, wrong
	}
	return spec, nil
}

// storedSecrets keeps the secret settings of a job that is there.
func (w *world) storedSecrets(d jobDoc, spec *catalog.JobSpec) {
	workflow, _, err := w.cat.Workflow(d.Workflow)
	if err != nil {
		return
	}
	for _, j := range w.jobs {
		if j.Name == d.Name && j.Workflow == workflow.Name {
			keepSecrets(workflow.Fields, spec.Config, j.Config)
		}
	}
}

// keepSecrets puts in the secret settings that there are: a file has none.
func keepSecrets(fields []provider.Field, config, there map[string]string) {
	for _, f := range fields {
		if _, given := config[f.Name]; f.Secret && !given && there[f.Name] != "" {
			config[f.Name] = there[f.Name]
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
