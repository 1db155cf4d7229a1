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

func (w *world) identity(ctx context.Context, d identityDoc, s *Step) error {
	want := warehouse.Identity{MaxIdentifiers: cmp.Or(d.MaxIdentifiers, warehouse.DefaultMaxIdentifiers), StopList: d.StopList}
	have, err := w.cat.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	have.Identity.MaxIdentifiers = cmp.Or(have.Identity.MaxIdentifiers, warehouse.DefaultMaxIdentifiers)
	if s.compare(have.Identity, want) {
		return nil
	}
	return s.declared(w.cat.SetIdentity(ctx, want))
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
	want := activation.Audience{Slug: d.Slug, Name: d.Name, Description: d.Description, Rule: strings.TrimSpace(d.Rule), Public: d.Public}
	have, err := w.cat.Audience(ctx, d.Slug)
	if errors.Is(err, activation.ErrNotFound) {
		s.Action = Create
		_, err = w.cat.CreateAudience(ctx, want, user)
		return err
	}
	if err != nil {
		return err
	}
	want.ID, want.Kind, want.Version, want.CreatedAt, want.UpdatedAt = have.ID, have.Kind, have.Version, have.CreatedAt, have.UpdatedAt
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

func (w *world) template(ctx context.Context, d templateDoc, s *Step, user string) error {
	want := activation.Template{Name: d.Name, Description: d.Description, Text: d.Text}
	all, err := w.cat.Store.Templates(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(o activation.Template) bool { return o.Name == d.Name })
	if i < 0 {
		s.Action = Create
		_, err := w.cat.CreateTemplate(ctx, want, user)
		return err
	}
	have := all[i]
	want.ID, want.CreatedBy, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedBy, have.CreatedAt, have.UpdatedAt
	if s.compare(have, want) {
		return nil
	}
	_, err = w.cat.UpdateTemplate(ctx, want, user)
	return err
}

func (w *world) destination(ctx context.Context, d destinationDoc, s *Step, user string) error {
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

func (w *world) priorityList(ctx context.Context, d priorityListDoc, s *Step, user string) error {
	destinations, err := w.cat.Store.Destinations(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(destinations, func(o activation.Destination) bool { return o.Name == d.Destination })
	if i < 0 {
		return &activation.Error{Kind: activation.Invalid, Field: "destination_id", Message: "there is no destination of this name, neither here nor in the files"}
	}
	want := activation.PriorityList{Name: d.Name, Destination: destinations[i].ID}
	all, err := w.cat.PriorityLists(ctx, "")
	if err != nil {
		return err
	}
	i = slices.IndexFunc(all, func(o activation.PriorityList) bool { return o.Name == d.Name })
	if i < 0 {
		s.Action = Create
		_, err := w.cat.CreatePriorityList(ctx, want, d.Audiences, user)
		return err
	}
	have := all[i]
	want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
	for _, slug := range d.Audiences {
		a, err := w.cat.Audience(ctx, slug)
		if err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
		want.Audiences = append(want.Audiences, a.ID)
	}
	if s.compare(have, want) {
		return nil
	}
	_, err = w.cat.UpdatePriorityList(ctx, want, d.Audiences, user)
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
