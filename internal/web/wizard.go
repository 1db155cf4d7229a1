package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The steps of making a job. Each has an address of its own, so that the back
// button, a reload and a detour to new credentials find the answers again: they
// are kept as a draft of the person who gives them.
const (
	stepProvider      = "provider"
	stepType          = "type"
	stepAuthorization = "authorization"
	stepConfigure     = "configure"
)

var wizardSteps = []link{{stepProvider, "Provider"}, {stepType, "Job type"}, {stepAuthorization, "Authorization"}, {stepConfigure, "Configure"}}

// A wizardPage is one step.
type wizardPage struct {
	Step       string
	Steps      []wizardStep
	To, Back   string
	Title, Sub string
	CSRF       string
	Tiles      []tile
	Search     string
	Categories []segment
	Wrong      string
	Form       *jobForm
	NewAuth    bool
	Connect    string // the network that a new authorization is connected with, "" = none
	Estimate   *estimate
	Checked    bool
	// Previews: the first rows can be looked at; Preview are they.
	Previews      bool
	Preview       *importPreview
	Authorization *authorizationRow
}

type wizardStep struct {
	Number        int
	Text, Href    string
	Done, Current bool
}

// tile is one choice of a step.
type tile struct {
	Name, Value       string
	Logo, Title, Text string
	Tag               string
	Chip              *chip
	Chosen            bool
}

// estimate is what the first run of a job would be, as far as that is known.
type estimate struct {
	People, Calls int64
	Seconds       int64
	Rows          int
}

func (c *Console) registerWizard(mux *http.ServeMux) {
	c.page(mux, "/jobs/new", "", func(v visit) (view, error) { return c.wizard(v, activation.Draft{}, stepProvider, nil) })
	c.action(mux, "/jobs/new", activation.RoleOperator, func(v visit) (view, error) { return c.answered(v, activation.Draft{}, stepProvider) })
	c.page(mux, "/jobs/new/{draft}/{step}", "", func(v visit) (view, error) {
		d, err := c.draft(v)
		if err != nil {
			return view{}, err
		}
		if auth := v.get("auth"); auth != "" { // back from new credentials
			d.Answers["auth"] = []string{auth}
		}
		if made := v.get("destination"); made != "" { // back from a new destination
			d.Answers["destination_id"] = []string{made}
		}
		if made := v.get("audience"); made != "" { // back from a new audience
			d.Answers["segment_ids"] = append(d.Answers["segment_ids"], made)
		}
		return c.wizard(v, d, v.PathValue("step"), nil)
	})
	c.action(mux, "/jobs/new/{draft}/{step}", activation.RoleOperator, func(v visit) (view, error) {
		d, err := c.draft(v)
		if err != nil {
			return view{}, err
		}
		return c.answered(v, d, v.PathValue("step"))
	})
	c.page(mux, "/jobs/{id}/edit", "", func(v visit) (view, error) { return c.editForm(v, nil, nil) })
	c.action(mux, "/jobs/{id}/edit", activation.RoleOperator, c.editJob)
}

func (c *Console) draft(v visit) (activation.Draft, error) {
	return c.Store.Draft(v.Context(), activation.DraftID(v.PathValue("draft")), v.who.Name)
}

// wizardPath is the address of a step.
func wizardPath(id activation.DraftID, step string) string {
	if id == "" {
		return "/jobs/new"
	}
	return "/jobs/new/" + url.PathEscape(string(id)) + "/" + step
}

// stepFor is the step a person may be at: never past one that is not answered.
func (c *Console) stepFor(a answers, asked string) (step string, w provider.Workflow, def provider.Definition) {
	i := slices.IndexFunc(wizardSteps, func(l link) bool { return l.Href == asked })
	def, known := c.only(a.get("provider"))
	w, typed := def.Workflow(a.get("type"))
	switch {
	case i <= 0 || !known:
		return stepProvider, w, def
	case asked == stepType || !typed:
		return stepType, w, def
	case asked == stepAuthorization && !def.NoAuth():
		return stepAuthorization, w, def
	case asked == stepConfigure && !def.NoAuth() && a.get("auth") == "":
		return stepAuthorization, w, def
	}
	return stepConfigure, w, def
}

// wizard is the page of a step.
func (c *Console) wizard(v visit, d activation.Draft, asked string, wrong map[string]string) (view, error) {
	given := answers(d.Answers)
	if given == nil {
		given = answers{}
	}
	if q := v.get("provider"); q != "" && d.ID == "" {
		given["provider"] = []string{q}
	}
	step, w, def := c.stepFor(given, asked)
	if step != asked && d.ID != "" && v.Method == http.MethodGet {
		return view{To: wizardPath(d.ID, step)}, nil
	}
	out := view{Template: "wizard", Title: "New job", Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}}}
	p := wizardPage{Step: step, To: wizardPath(d.ID, step), CSRF: v.who.CSRF, Wrong: wrong[""], NewAuth: v.who.May(activation.RoleAdmin)}
	p.Steps, p.Back = steps(d.ID, step, def)
	var err error
	switch step {
	case stepProvider:
		c.providerStep(v, &p, given)
	case stepType:
		typeStep(&p, given, def)
	case stepAuthorization:
		err = c.authorizationStep(v, &p, given, def)
	case stepConfigure:
		err = c.configureStep(v, &p, given, wrong, w, def)
	}
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	out.Body = p
	return out, nil
}

// steps are the four steps, those behind with their addresses, and the address
// of the one before.
func steps(id activation.DraftID, current string, def provider.Definition) (out []wizardStep, back string) {
	at := slices.IndexFunc(wizardSteps, func(l link) bool { return l.Href == current })
	back = "/jobs"
	for i, s := range wizardSteps {
		one := wizardStep{Number: i + 1, Text: s.Text, Current: i == at, Done: i < at}
		if skipped := s.Href == stepAuthorization && def.Name != "" && def.NoAuth(); skipped {
			one.Text = "Authorization: not needed"
		} else if i < at {
			one.Href = wizardPath(id, s.Href)
			back = one.Href
		}
		out = append(out, one)
	}
	return out, back
}

func (c *Console) providerStep(v visit, p *wizardPage, given answers) {
	p.Title, p.Sub = "Where should this job connect?", "Pick a provider. You choose what the job does next."
	p.Search = v.get("q")
	category := v.get("category")
	counts := map[string]int64{}
	for _, d := range c.Providers {
		categories := slices.DeleteFunc(categoriesOf(d), func(one string) bool { return one == string(provider.Editing) })
		if len(categories) == 0 {
			continue // its jobs are made by linking an account
		}
		for _, one := range categories {
			counts[one]++
		}
		counts[""]++
		if !strings.Contains(lower(d.Title+" "+d.Name), lower(p.Search)) || (category != "" && !slices.Contains(categories, category)) {
			continue
		}
		p.Tiles = append(p.Tiles, tile{Name: "provider", Value: d.Name, Logo: c.logo(d.Name), Title: d.Title, Text: d.Description, Chosen: given.get("provider") == d.Name})
	}
	for _, one := range []link{{"", "All"}, {string(provider.Export), "Exports"}, {string(provider.Import), "Imports"}, {string(provider.Enrichment), "Enrichment"}, {string(provider.Alerting), "Alerts"}, {string(provider.Deciding), "Decisions"}} {
		if counts[one.Href] > 0 {
			p.Categories = append(p.Categories, segment{link{filtered(v, "category", one.Href), one.Text}, counts[one.Href], category == one.Href})
		}
	}
}

// categoriesOf are the directions of a provider's workflows, each once.
func categoriesOf(d provider.Definition) (out []string) {
	for _, w := range d.Workflows {
		if !slices.Contains(out, string(w.Direction)) {
			out = append(out, string(w.Direction))
		}
	}
	return out
}

func typeStep(p *wizardPage, given answers, def provider.Definition) {
	p.Title, p.Sub = "What should it do with "+def.Title+"?", "Each type has its own settings and limits."
	offered := slices.DeleteFunc(slices.Clone(def.Workflows), func(w provider.Workflow) bool { return w.Direction == provider.Editing })
	for _, w := range offered {
		how := []string{}
		for _, one := range []struct {
			may  bool
			word string
		}{{w.RealTime, "real time"}, {w.Scheduled, "on a schedule"}, {w.Once, "once"}} {
			if one.may {
				how = append(how, one.word)
			}
		}
		p.Tiles = append(p.Tiles, tile{
			Name: "type", Value: w.Name, Title: w.Title, Text: w.Description, Tag: sentenceWord(string(w.Direction)) + " · " + strings.Join(how, ", "),
			Chosen: given.get("type") == w.Name || len(offered) == 1,
		})
	}
}

func (c *Console) authorizationStep(v visit, p *wizardPage, given answers, def provider.Definition) error {
	p.Title, p.Sub = "Which credentials of "+def.Title+" should it use?", "Authorizations are kept sealed in the vault and can be shared by jobs."
	if def.OAuth != nil {
		p.Connect = def.Title
	}
	all, err := c.Store.Authorizations(v.Context())
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Provider != def.Name {
			continue
		}
		state := authChip(a.Status)
		p.Tiles = append(p.Tiles, tile{Name: "auth", Value: string(a.ID), Logo: c.logo(a.Provider), Title: a.Label, Text: orText(a.Reason, "Stored on "+a.CreatedAt.UTC().Format("2 Jan 2006")), Chip: &state, Chosen: given.get("auth") == string(a.ID)})
	}
	if len(p.Tiles) == 1 {
		p.Tiles[0].Chosen = true
	}
	return nil
}

func (c *Console) configureStep(v visit, p *wizardPage, given answers, wrong map[string]string, w provider.Workflow, def provider.Definition) error {
	p.Title, p.Sub = "Set up: "+w.Title, "Everything is checked before anything is stored."
	f, err := c.form(v, w, def, given, wrong)
	if err != nil {
		return err
	}
	p.Form = &f
	if a, err := c.Store.Authorization(v.Context(), activation.AuthorizationID(given.get("auth"))); err == nil {
		p.Authorization = &authorizationRow{Authorization: a, Chip: authChip(a.Status)}
	}
	p.Previews = c.isImport(w.Name)
	if w.Direction == provider.Export {
		p.Estimate = estimateOf(f.Audiences, def.For(w.Name), c.sizes(v))
	}
	return nil
}

// sizes are the sizes of the audiences by slug.
func (c *Console) sizes(v visit) map[string]int64 {
	out := map[string]int64{}
	rows, err := c.audienceRows(v.Context())
	if err != nil {
		return out
	}
	for _, a := range rows {
		out[a.Slug] = a.Size
	}
	return out
}

// estimateOf is the first run of the chosen audiences.
func estimateOf(chosen []option, def provider.Definition, sizes map[string]int64) *estimate {
	e := estimate{Rows: def.MaxRows}
	for _, o := range chosen {
		if !o.Chosen {
			continue
		}
		e.People += sizes[o.Value]
		e.Calls += (sizes[o.Value] + int64(max(1, def.MaxRows)) - 1) / int64(max(1, def.MaxRows))
	}
	if e.People == 0 {
		return nil
	}
	e.Seconds = 2 * ((e.Calls + int64(max(1, def.Concurrency)) - 1) / int64(max(1, def.Concurrency)))
	return &e
}

// answered takes the answers of a step and goes where the pressed button says:
// on, to new credentials and back, or to the finished job.
func (c *Console) answered(v visit, d activation.Draft, step string) (view, error) {
	given := answers(d.Answers)
	if given == nil {
		given = answers{}
	}
	_, w, _ := c.stepFor(given, step)
	taken := kept(v.PostForm, w)
	if step == stepConfigure { // what is unticked or emptied is gone
		for _, name := range []string{"segment_ids", "exclude", "once", "hidden", "verbose", "drop_quiet"} {
			delete(given, name)
		}
		for _, f := range w.Fields {
			if f.Type == "agreement" {
				delete(given, "config."+f.Name)
			}
		}
	}
	if step == stepProvider && taken.get("provider") != given.get("provider") {
		delete(given, "type")
		delete(given, "auth")
		delete(given, "destination_id")
	}
	for name, values := range taken {
		given[name] = values
	}
	if column := timestampOf(v.post("go")); column != "" {
		given["config."+provider.TimestampsField] = []string{column}
	}
	d.Answers, d.Person = given, v.who.Name
	d, err := c.Store.SaveDraft(v.Context(), d)
	if err != nil {
		return view{}, err
	}
	back := url.QueryEscape(wizardPath(d.ID, step))
	switch v.post("go") {
	case "begin": // with answers given elsewhere: at the first step that lacks one
		return view{To: wizardPath(d.ID, stepConfigure)}, nil
	case "authorization":
		return view{To: "/authorizations/new?provider=" + url.QueryEscape(given.get("provider")) + "&return=" + back}, nil
	case "destination":
		return view{To: "/destinations/new?provider=" + url.QueryEscape(given.get("provider")) + "&return=" + back}, nil
	case "audience":
		return view{To: "/audiences/new?return=" + back}, nil
	}
	switch step {
	case stepProvider:
		return c.onward(v, d, stepProvider, stepType, "Choose a provider.")
	case stepType:
		return c.onward(v, d, stepType, stepAuthorization, "Choose what it should do.")
	case stepAuthorization:
		return c.onward(v, d, stepAuthorization, stepConfigure, "Choose an authorization, or store a new one.")
	}
	return c.finishDraft(v, d)
}

// onward goes to the next step, or stays with a sentence where nothing was
// chosen.
func (c *Console) onward(v visit, d activation.Draft, step, next, missing string) (view, error) {
	if reached, _, _ := c.stepFor(d.Answers, next); reached == step {
		return c.wizard(v, d, step, map[string]string{"": missing})
	}
	return view{To: wizardPath(d.ID, next)}, nil
}

// finishDraft creates the job, or only checks it, and says what is wrong.
func (c *Console) finishDraft(v visit, d activation.Draft) (view, error) {
	step, w, _ := c.stepFor(d.Answers, stepConfigure)
	if step != stepConfigure {
		return view{To: wizardPath(d.ID, step)}, nil
	}
	// Secrets are not in the draft: what was typed counts for this request.
	given := answers{}
	for name, values := range d.Answers {
		given[name] = values
	}
	for name, values := range v.PostForm {
		given[name] = values
	}
	if column := timestampOf(v.post("go")); column != "" {
		given["config."+provider.TimestampsField] = []string{column}
	}
	spec, wrong := specOf(w, given)
	var checked activation.Job
	if len(wrong) == 0 {
		var err error
		checked, err = c.Catalog.CheckJob(v.Context(), spec)
		if wrong, err = wrongFields(err, fieldNamesOf(w)...); err != nil {
			return view{}, err
		}
	}
	if len(wrong) > 0 {
		return c.wizard(v, d, stepConfigure, wrong)
	}
	if pressed := v.post("go"); c.isImport(w.Name) && (pressed == "preview" || timestampOf(pressed) != "") {
		return c.previewDraft(v, d, checked)
	}
	if v.post("go") == "validate" {
		out, err := c.wizard(v, d, stepConfigure, nil)
		if p, ok := out.Body.(wizardPage); ok {
			p.Checked = true
			out.Body = p
		}
		return out, err
	}
	j, err := c.Catalog.CreateJob(v.Context(), spec, v.who.Name)
	if wrong, err = wrongFields(err, fieldNamesOf(w)...); err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.wizard(v, d, stepConfigure, wrong)
	}
	if err := c.Store.DeleteDraft(v.Context(), d.ID, v.who.Name); err != nil {
		return view{}, err
	}
	return view{To: jobPath(j.ID), Said: flash{"ok", "Created “" + j.Name + "”. " + sentence(every(j))}}, nil
}

// fieldNamesOf are the names of the form's fields of a workflow.
func fieldNamesOf(w provider.Workflow) []string {
	names := slices.Clone(jobFields)
	for _, f := range w.Fields {
		names = append(names, "config."+f.Name)
	}
	return names
}

type editPage struct {
	Job  activation.Job
	To   string
	CSRF string
	Form jobForm
}

// editForm is the form of a job that is there.
func (c *Console) editForm(v visit, given answers, wrong map[string]string) (view, error) {
	j, err := c.Store.Job(v.Context(), activation.JobID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	w, def, err := c.Catalog.Workflow(j.Workflow)
	if err != nil {
		return view{}, err
	}
	if given == nil {
		all, err := c.Store.Audiences(v.Context())
		if err != nil {
			return view{}, err
		}
		slugs := map[activation.AudienceID]string{}
		for _, a := range all {
			slugs[a.ID] = a.Slug
		}
		given = answersOf(j, slugs)
	}
	f, err := c.form(v, w, def, given, wrong)
	if err != nil {
		return view{}, err
	}
	f.ShowMore = true
	out := view{
		Template: "job-edit", Title: "Edit " + j.Name, Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}, {jobPath(j.ID), j.Name}},
		Body: editPage{Job: j, To: jobPath(j.ID) + "/edit", CSRF: v.who.CSRF, Form: f},
	}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) editJob(v visit) (view, error) {
	j, err := c.Store.Job(v.Context(), activation.JobID(v.PathValue("id")))
	if err != nil {
		return view{}, err
	}
	w, _, err := c.Catalog.Workflow(j.Workflow)
	if err != nil {
		return view{}, err
	}
	given := kept(v.PostForm, w)
	spec, wrong := specOf(w, answers(v.PostForm))
	for _, f := range w.Fields { // a secret that was not typed again stays
		if f.Secret && spec.Config[f.Name] == "" {
			spec.Config[f.Name] = j.Config[f.Name]
		}
	}
	if spec.Destination = j.Destination; j.Destination == "" {
		spec.Authorizations = j.Authorizations
	}
	if len(wrong) == 0 {
		_, err = c.Catalog.UpdateJob(v.Context(), j.ID, spec, v.who.Name)
		if wrong, err = wrongFields(err, fieldNamesOf(w)...); err != nil {
			return view{}, err
		}
	}
	if wrong != nil {
		return c.editForm(v, given, wrong)
	}
	return view{To: jobPath(j.ID), Said: flash{"ok", "Saved. Settings take effect at the next run."}}, nil
}
