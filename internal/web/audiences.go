package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/api"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// sampleSize is how many members of an audience its page shows, masked.
const sampleSize = 10

type audienceRow struct {
	activation.Audience
	Size         int64
	Path         string
	Destinations []string
	KindName     string
}

type audiencePage struct {
	Wrong            string
	New              bool
	To, CSRF         string
	Slug, Name, Rule field
	Public           field
	Tried            tried
	Version          int
	UpdatedAt        time.Time
	Columns          []string
	Sample           [][]string
	Jobs             []link
	// Kind is who decides about the members; Kept says so where people do not.
	Kind, Kept string
	// Sent are the destinations it is enabled for, Run sends it to all of them.
	Sent    []targetLink
	Run     button
	Fields  []warehouse.Field
	Members int64
	// Builder is what the rule builder in the browser knows, as JSON.
	Builder string
	Insight *insightParts
	Path    string
}

func (c *Console) registerAudiences(mux *http.ServeMux) {
	c.page(mux, "/audiences", "audiences", c.audiences)
	c.page(mux, "/audiences/new", "", func(v visit) (view, error) { return c.audienceForm(v, nil, nil) })
	c.page(mux, "/audiences/{id}", "", c.audience)
	c.page(mux, "/audiences/{id}/parts/{part}", "", c.partOf)
	c.action(mux, "/audiences", activation.RoleOperator, c.createAudience)
	c.action(mux, "/audiences/try", activation.RoleViewer, c.tryRule)
	c.action(mux, "/audiences/{id}", activation.RoleOperator, c.updateAudience)
	c.action(mux, "/audiences/{id}/run", activation.RoleOperator, c.runAudience)
}

func (c *Console) audiences(v visit) (view, error) {
	rows, err := c.audienceRows(v.Context())
	return view{Template: "audiences", Title: "Audiences", Section: "/audiences", Page: "audiences", Regions: []string{"audiences-list"}, Body: rows}, err
}

// audienceRows lists the audiences with their live sizes and where they go.
func (c *Console) audienceRows(ctx context.Context) ([]audienceRow, error) {
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
	rows := make([]audienceRow, len(all))
	for i, a := range all {
		rows[i] = audienceRow{Audience: a, Path: audiencePath(a.Slug), KindName: kindNames[kindOf(a)]}
		if rows[i].Size, err = c.Warehouse.Size(ctx, a.ID); err != nil {
			return nil, err
		}
		for _, t := range targets {
			if t.Audience == a.ID && t.Job != "" {
				rows[i].Destinations = append(rows[i].Destinations, names[t.Destination])
			}
		}
	}
	return rows, nil
}

func (c *Console) destinationNames(ctx context.Context) (map[activation.DestinationID]string, error) {
	list, err := c.Store.Destinations(ctx)
	names := make(map[activation.DestinationID]string, len(list))
	for _, d := range list {
		names[d.ID] = d.Name
	}
	return names, err
}

func (c *Console) audience(v visit) (view, error) {
	a, err := c.Catalog.Audience(v.Context(), v.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	return c.audienceForm(v, &a, nil)
}

// audienceForm is the page of an audience, or with a nil one of a new one.
func (c *Console) audienceForm(v visit, a *activation.Audience, wrong map[string]string) (view, error) {
	ctx := v.Context()
	p := audiencePage{Wrong: wrong[""], New: a == nil, CSRF: v.who.CSRF, To: withReturn(v, "/audiences")}
	p.Name = field{Name: "name", Label: "Name", Type: "text", Required: true, Value: v.post("name"), Error: wrong["name"]}
	p.Slug = field{Name: "slug_name", Label: "Short name", Type: "text", Required: true, Value: v.post("slug_name"), Error: wrong["slug_name"], Help: "Lower-case letters, digits, - and _. Other rules and the API call the audience by it."}
	p.Rule = field{Name: "segment_ql", Label: "Rule", Type: "textarea", Rows: 6, Value: v.post("segment_ql"), Error: wrong["segment_ql"]}
	p.Public = field{Name: "is_public", Label: "Sites may read who is in it", Type: "checkbox", Checked: v.post("is_public") != "", Error: wrong["is_public"], Help: "Needed for the web destination."}
	schema, err := c.Warehouse.Schema(ctx)
	if err != nil {
		return view{}, err
	}
	p.Fields = schema.Fields
	all, err := c.Store.Audiences(ctx)
	if err != nil {
		return view{}, err
	}
	var own activation.AudienceID
	if a != nil {
		own = a.ID
	}
	if p.Builder, err = ruleBuilder(schema, all, own); err != nil {
		return view{}, err
	}
	out := view{Template: "audience", Title: "New audience", Section: "/audiences", Crumbs: []link{{"/audiences", "Audiences"}}}
	if a == nil {
		p.Rule.Value = orText(p.Rule.Value, "FILTER ")
	} else {
		out.Title = a.Name
		p.Public.Checked = p.Public.Checked || v.Method == http.MethodGet && a.Public
		p.Name.Value, p.Rule.Value = orText(p.Name.Value, a.Name), orText(p.Rule.Value, a.Rule)
		p.To, p.Version, p.UpdatedAt = audiencePath(a.Slug), a.Version, a.UpdatedAt
		p.Path = p.To
		if err := c.audienceFacts(v, *a, schema, &p); err != nil {
			return view{}, err
		}
	}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	} else if a != nil {
		p.Tried.Size = many(p.Members, "person") + " in it now"
	}
	out.Body = p
	return out, nil
}

// audienceFacts fills in who is in the audience and what uses it.
func (c *Console) audienceFacts(v visit, a activation.Audience, schema warehouse.Schema, p *audiencePage) error {
	ctx := v.Context()
	var err error
	if p.Members, err = c.Warehouse.Size(ctx, a.ID); err != nil {
		return err
	}
	people, err := c.Warehouse.Members(ctx, a.ID, 0, sampleSize)
	if err != nil {
		return err
	}
	p.Columns, p.Sample = table(schema, people)
	jobs, err := c.Store.Jobs(ctx, store.JobFilter{Audience: a.ID, Hidden: true})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		p.Jobs = append(p.Jobs, link{jobPath(j.ID), j.Name})
	}
	if p.Insight, err = c.audienceParts(v, a, schema); err != nil {
		return err
	}
	p.Kind, p.Kept = kindNames[kindOf(a)], keptWords[kindOf(a)]
	p.Sent, err = c.enabledFor(v, a.ID)
	p.Run = v.press(audiencePath(a.Slug)+"/run", "Run now", "bolt")
	if !slices.ContainsFunc(p.Sent, func(t targetLink) bool { return t.Job.Href != "" }) {
		p.Run.Withheld = orText(p.Run.Withheld, "No job sends it anywhere")
	}
	return err
}

// kindOf is who decides about the members.
func kindOf(a activation.Audience) activation.AudienceKind {
	if a.Kind == "" {
		return activation.KindRule
	}
	return a.Kind
}

// keptWords say who keeps an audience that people do not change.
var keptWords = map[activation.AudienceKind]string{
	activation.KindAction:     "Decisions put people in and take them out. Its action is part of the next-best-action hierarchy.",
	activation.KindNegative:   "Usher keeps it: everybody who is not eligible for an action of the next-best-action hierarchy.",
	activation.KindConversion: "Usher puts in whoever’s event a network accepted. Nobody leaves it.",
	activation.KindRetired:    "Its action was deleted. It has no members, and goes when no destination keeps anything of it.",
}

// runAudience sends an audience wherever it is enabled.
func (c *Console) runAudience(v visit) (view, error) {
	a, err := c.Catalog.Audience(v.Context(), v.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	runs, err := c.Delivery.RunAudience(v.Context(), a.ID)
	if err != nil {
		return refused(audiencePath(a.Slug), err)
	}
	said := flash{"ok", "Started " + many(int64(len(runs)), "run") + "."}
	if len(runs) == 0 {
		said = flash{"bad", "Nothing was started: no job sends it anywhere."}
	}
	return view{To: audiencePath(a.Slug), Said: said}, nil
}

func (c *Console) createAudience(v visit) (view, error) {
	a, err := c.Catalog.CreateAudience(v.Context(), activation.Audience{Slug: v.post("slug_name"), Name: v.post("name"), Rule: v.post("segment_ql"), Public: v.post("is_public") != ""}, v.who.Name)
	wrong, err := wrongRule(err)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.audienceForm(v, nil, wrong)
	}
	said := flash{"ok", "Saved “" + a.Name + "”. It is live."}
	if back := returning(v, "audience", a.Slug); back != "" {
		return view{To: back, Said: said}, nil
	}
	return view{To: audiencePath(a.Slug), Said: said}, nil
}

func (c *Console) updateAudience(v visit) (view, error) {
	a, err := c.Catalog.Audience(v.Context(), v.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	changed, err := c.Catalog.UpdateAudience(v.Context(), a.Slug, activation.Audience{Name: v.post("name"), Rule: v.post("segment_ql")}, v.who.Name)
	if err == nil {
		_, err = c.Catalog.SetPublic(v.Context(), a.Slug, v.post("is_public") != "", v.who.Name)
	}
	wrong, err := wrongRule(err)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.audienceForm(v, &a, wrong)
	}
	return view{To: audiencePath(changed.Slug), Said: flash{"ok", "Saved. Jobs that use it send the difference at their next run."}}, nil
}

// wrongRule is wrongFields for an audience: what names no field is about the rule.
func wrongRule(err error) (map[string]string, error) {
	wrong, err := wrongFields(err, "slug_name", "name", "segment_ql", "is_public")
	if text := wrong[""]; text != "" && wrong["segment_ql"] == "" {
		wrong["segment_ql"] = text
		delete(wrong, "")
	}
	return wrong, err
}

// table is people as rows of text, personal values masked, with the columns
// that have any.
func table(schema warehouse.Schema, people []warehouse.Profile) (columns []string, rows [][]string) {
	api.MaskProfiles(schema, people)
	for _, f := range schema.Fields {
		if slices.ContainsFunc(people, func(p warehouse.Profile) bool { return p.Values[f.Name] != nil }) {
			columns = append(columns, f.Name)
		}
	}
	for _, p := range people {
		row := []string{num(p.ID)}
		for _, name := range columns {
			row = append(row, cell(p.Values[name]))
		}
		rows = append(rows, row)
	}
	return append([]string{"profile"}, columns...), rows
}

func audiencePath(slug string) string { return "/audiences/" + url.PathEscape(slug) }
