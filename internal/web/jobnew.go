package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/catalog"
)

type newJobPage struct {
	Wrong                   string
	Workflow, WorkflowTitle string
	Workflows               []link
	Name, Destination       field
	Audiences               []option
	AudiencesWrong          string
	Settings                []field
	When                    field
	Continuous              bool
	CSRF                    string
	Missing                 []link
}

func (c *Console) newJob(v visit) (view, error) {
	return c.jobForm(v, v.get("workflow"), nil)
}

// jobForm is the form of a new job with what was given and what is wrong.
func (c *Console) jobForm(v visit, workflow string, wrong map[string]string) (view, error) {
	out := view{Template: "job-new", Title: "New job", Section: "/jobs", Crumbs: []link{{"/jobs", "Jobs"}}}
	p := newJobPage{Wrong: wrong[""], CSRF: v.who.CSRF, Continuous: v.Method != http.MethodPost || v.post("continuous") != ""}
	if workflow == "" && len(c.Providers) == 1 {
		workflow = c.Providers[0].Workflows[0].Name
	}
	for _, d := range c.Providers {
		for _, w := range d.Workflows {
			p.Workflows = append(p.Workflows, link{"/jobs/new?workflow=" + url.QueryEscape(w.Name), d.Title + ": " + w.Title})
		}
	}
	if workflow == "" {
		out.Body = p
		return out, nil
	}
	declaration, def, err := c.Catalog.Workflow(workflow)
	if err != nil {
		return view{}, err
	}
	p.Workflow, p.WorkflowTitle = declaration.Name, def.Title+": "+declaration.Title
	p.Name = field{Name: "name", Label: "Name", Type: "text", Required: true, Value: v.post("name"), Error: wrong["name"]}
	p.Destination = field{Name: "destination_id", Label: "Destination", Type: "select", Required: true, Error: wrong["destination_id"]}
	destinations, err := c.Store.Destinations(v.Context())
	if err != nil {
		return view{}, err
	}
	for _, d := range destinations {
		if d.Provider == def.Name {
			p.Destination.Options = append(p.Destination.Options, option{string(d.ID), d.Name + ", account " + d.Account, string(d.ID) == v.post("destination_id")})
		}
	}
	rows, err := c.audienceRows(v.Context())
	if err != nil {
		return view{}, err
	}
	for _, a := range rows {
		p.Audiences = append(p.Audiences, option{a.Slug, a.Name + " (" + many(a.Size, "person") + ")", slices.Contains(v.PostForm["segment_ids"], a.Slug)})
	}
	if len(p.Destination.Options) == 0 {
		p.Missing = append(p.Missing, link{"/destinations/new?provider=" + url.QueryEscape(def.Name), "Name a destination first"})
	}
	if len(p.Audiences) == 0 {
		p.Missing = append(p.Missing, link{"/audiences/new", "Make an audience first"})
	}
	p.AudiencesWrong = wrong["segment_ids"]
	p.Settings = declared(v, "config.", declaration.Fields, wrong)
	p.When = field{Name: "run_frequency", Label: "When", Type: "select", Error: wrong["run_frequency"], Options: choose([]option{
		{"realtime", "In real time, as changes come", false}, {"hourly", "Hourly", false}, {"daily", "Daily", false}, {"weekly", "Weekly", false},
	}, orText(v.post("run_frequency"), "realtime"))}
	out.Body = p
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

func (c *Console) createJob(v visit) (view, error) {
	workflow := v.post("workflow")
	declaration, _, err := c.Catalog.Workflow(workflow)
	if err != nil {
		return refused("/jobs/new", err)
	}
	j, err := c.Catalog.CreateJob(v.Context(), catalog.JobSpec{
		Workflow: workflow, Name: v.post("name"), Destination: activation.DestinationID(v.post("destination_id")), Audiences: v.PostForm["segment_ids"],
		Config: values(v, "config.", declaration.Fields), Schedule: activation.Schedule{Frequency: v.post("run_frequency"), Continuous: v.post("continuous") != ""},
	}, v.who.Name)
	names := []string{"name", "destination_id", "segment_ids", "run_frequency"}
	for _, f := range declaration.Fields {
		names = append(names, "config."+f.Name)
	}
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		return c.jobForm(v, workflow, wrong)
	}
	return view{To: jobPath(j.ID), Said: flash{"ok", "Created “" + j.Name + "”. It is due now."}}, nil
}

// within reports whether text contains part; an empty part is in every text.
func within(text, part string) bool { return strings.Contains(text, part) }

// fits reports whether a value is the wanted one; an empty wish fits all.
func fits(value, wanted string) bool { return wanted == "" || value == wanted }
