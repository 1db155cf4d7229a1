package manifest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/store"
)

// Export writes everything declared as files by name. Applying them to the same
// server changes nothing; to another, it makes the same once the authorizations
// are there. Killed and completed jobs are left out, and so is every secret.
func (m *Manifest) Export(ctx context.Context) (map[string]string, error) {
	e := exporter{files: map[string]string{}}
	auths, err := m.Catalog.Store.Authorizations(ctx)
	if err != nil {
		return nil, err
	}
	labels := map[activation.AuthorizationID]string{}
	for _, a := range auths {
		labels[a.ID] = a.Label
		e.add("authorizations.yaml", authorizationDoc{kindAuthorization, a.Label, a.Provider})
	}
	if err := m.exportData(ctx, &e); err != nil {
		return nil, err
	}
	slugs, err := m.exportAudiences(ctx, &e)
	if err != nil {
		return nil, err
	}
	if err := m.exportHierarchy(ctx, &e); err != nil {
		return nil, err
	}
	templates, err := m.exportTemplates(ctx, &e)
	if err != nil {
		return nil, err
	}
	accounts, err := m.exportPublishers(ctx, &e, labels)
	if err != nil {
		return nil, err
	}
	destinations, err := m.Catalog.Store.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	names := map[activation.DestinationID]string{}
	for _, d := range destinations {
		names[d.ID] = d.Name
		doc := destinationDoc{Kind: kindDestination, Name: d.Name, Provider: d.Provider, Authorization: labels[d.Authorization], Account: d.Account, Mapping: d.Mapping}
		if !d.Enabled {
			doc.Enabled = new(bool)
		}
		def, err := m.Catalog.Definition(d.Provider)
		if err != nil {
			return nil, err
		}
		doc.Config = declaredConfig(def.DestinationFields, d.Config)
		e.add("destinations/"+fileName(d.Name)+".yaml", doc)
	}
	jobs, err := m.Jobs.Jobs(ctx, store.JobFilter{Hidden: true, Limit: 100_000, State: []activation.JobState{activation.JobRunnable, activation.JobSleeping, activation.JobPaused, activation.JobFailed}})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(jobs, func(a, b activation.Job) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Workflow, b.Workflow))
	})
	for _, j := range jobs {
		w, _, err := m.Catalog.Workflow(j.Workflow)
		if err != nil {
			return nil, err
		}
		if w.Direction == provider.Editing {
			continue // it comes with a publisher account
		}
		doc := jobDocOf(j, w, names, slugs, labels, templates)
		if name, ok := accounts[j.Config[provider.PublisherField]]; ok && w.Subject == provider.Campaigns {
			doc.Config[provider.PublisherField] = name
		}
		e.add("jobs/"+fileName(j.Name)+".yaml", doc)
	}
	lists, err := m.Catalog.PriorityLists(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		doc := priorityListDoc{Kind: kindPriorityList, Name: l.Name, Destination: names[l.Destination]}
		for _, id := range l.Audiences {
			doc.Audiences = append(doc.Audiences, slugs[id])
		}
		e.add("priority-lists.yaml", doc)
	}
	return e.files, e.err
}

func (m *Manifest) exportData(ctx context.Context, e *exporter) error {
	schema, err := m.Catalog.Warehouse.Schema(ctx)
	if err != nil {
		return err
	}
	for _, f := range schema.Fields {
		e.add("fields.yaml", fieldDoc{kindField, f.Name, string(f.Type), string(f.Merge), f.Rank, f.PII, f.Public, f.Help})
	}
	if i := schema.Identity; !i.IsZero() {
		e.add("identity.yaml", identityDoc{kindIdentity, i.MaxIdentifiers, i.StopList})
	}
	for _, s := range schema.Streams {
		doc := streamDoc{Kind: kindStream, Name: s.Name, ReferenceKey: s.ReferenceKey, MessageID: s.MessageID, TimestampField: s.TimestampField, DateOrder: s.DateOrder, PhoneCountry: s.PhoneCountry, RetentionDays: s.RetentionDays, Mappings: map[string]string{}}
		for _, mapping := range schema.Mappings {
			if mapping.Stream == s.Name {
				doc.Mappings[mapping.Field] = mapping.Expression
			}
		}
		e.add("streams/"+s.Name+".yaml", doc)
	}
	return nil
}

func (m *Manifest) exportAudiences(ctx context.Context, e *exporter) (map[activation.AudienceID]string, error) {
	all, err := m.Catalog.Store.Audiences(ctx)
	if err != nil {
		return nil, err
	}
	slugs := map[activation.AudienceID]string{}
	for _, a := range all {
		slugs[a.ID] = a.Slug
		if a.Managed() {
			continue // it follows from what it belongs to
		}
		e.add("audiences/"+a.Slug+".yaml", audienceDoc{kindAudience, a.Slug, a.Name, a.Description, a.Rule, a.Public})
	}
	return slugs, nil
}

// exportTemplates writes the payload templates, and returns their names by id.
func (m *Manifest) exportTemplates(ctx context.Context, e *exporter) (map[string]string, error) {
	all, err := m.Catalog.Store.Templates(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, v := range all {
		names[v.ID] = v.Name
		e.add("templates/"+fileName(v.Name)+".yaml", templateDoc{kindTemplate, v.Name, v.Description, v.Text})
	}
	return names, nil
}

func jobDocOf(j activation.Job, w provider.Workflow, destinations map[activation.DestinationID]string, slugs map[activation.AudienceID]string, labels map[activation.AuthorizationID]string, templates map[string]string) jobDoc {
	doc := jobDoc{
		Kind: kindJob, Name: j.Name, Workflow: j.Workflow, Description: j.Description, Destination: destinations[j.Destination], Stream: j.Stream, Config: declaredConfig(w.Fields, j.Config),
		Frequency: j.Frequency, TimeOfDay: j.TimeOfDay, DayOfWeek: j.DayOfWeek, Timezone: j.Timezone, QuietTime: j.QuietTimeOfDay, QuietTimezone: j.QuietTimezone, DropQuiet: j.DropQuiet,
		BackfillOnly: j.BackfillOnly, UserLimit: j.UserLimit, LimitFrequency: j.UserLimitFrequency, HoldoutPercent: j.HoldoutPercent, Level: string(j.Level), Tag: j.Tag, Hidden: j.Hidden, VerboseLogging: j.VerboseLogging,
	}
	for _, f := range w.Fields { // a setting holds the id of a template, a file its name
		if name, ok := templates[j.Config[f.Name]]; ok && f.Type == "template" {
			doc.Config[f.Name] = name
		}
	}
	if j.Level == "" {
		for _, id := range j.Audiences {
			doc.Audiences = append(doc.Audiences, slugs[id])
		}
	}
	for _, id := range j.Exclude {
		doc.Exclude = append(doc.Exclude, slugs[id])
	}
	for _, id := range j.Authorizations {
		doc.Authorizations = append(doc.Authorizations, labels[id])
	}
	if !j.Continuous {
		doc.Continuous = new(bool)
	}
	if j.SkipBackfill {
		doc.WithBackfill = new(bool)
	}
	if !j.ExpiresAt.IsZero() {
		doc.ExpiresAt = j.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if j.OnEnd != activation.EndKeep {
		doc.OnEnd = string(j.OnEnd)
	}
	for _, d := range []struct {
		to       *string
		is, from time.Duration
	}{{&doc.QuietPeriod, j.QuietPeriod, 0}, {&doc.FailAfter, j.FailAfter, activation.DefaultFailAfter}, {&doc.StallAfter, j.StallAfter, activation.DefaultStallAfter}} {
		if d.is != d.from {
			*d.to = d.is.String()
		}
	}
	return doc
}

// declaredConfig are settings by their declared types, without secrets and
// defaults.
func declaredConfig(fields []provider.Field, config map[string]string) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		if v, ok := config[f.Name]; ok && !f.Secret && v != f.Default {
			out[f.Name] = catalog.SettingValue(f, v)
		}
	}
	return out
}

type exporter struct {
	files map[string]string
	err   error
}

// add appends a document to a file.
func (e *exporter) add(file string, doc any) {
	raw, err := yaml.MarshalWithOptions(doc, yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		e.err = cmp.Or(e.err, fmt.Errorf("write %s: %w", file, err))
		return
	}
	if e.files[file] != "" {
		e.files[file] += "---\n"
	}
	e.files[file] += string(raw)
}

// fileName is a name for people as a file's.
func fileName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return cmp.Or(strings.Trim(b.String(), "-"), "unnamed")
}
