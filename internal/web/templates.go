package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"

	"usher/internal/activation"
	"usher/internal/catalog"
)

func (c *Console) registerTemplates(mux *http.ServeMux) {
	c.page(mux, "/templates", "", c.templateList)
	c.page(mux, "/templates/new", "", func(v visit) (view, error) {
		return c.templatePage(v, activation.Template{Text: starter}, nil, nil)
	})
	c.page(mux, "/templates/{id}", "", func(v visit) (view, error) {
		t, err := c.Store.Template(v.Context(), v.PathValue("id"))
		if err != nil {
			return view{}, err
		}
		return c.templatePage(v, t, nil, nil)
	})
	c.action(mux, "/templates", activation.RoleOperator, c.saveTemplate)
	c.action(mux, "/templates/{id}", activation.RoleOperator, c.saveTemplate)
	c.action(mux, "/templates/{id}/delete", activation.RoleOperator, c.deleteTemplate)
}

// starter is the text that a new template begins with.
const starter = `function(event) {
  id: event.id,
  email: std.get(event.data, "email"),
  what: [e.event + " " + e.slug for e in event.data.segment_events],
}
`

type templateList struct {
	Rows []activation.Template
}

type templatePage struct {
	activation.Template
	CSRF, Wrong, Action string
	Fields              []field
	Event, Send         field
	// Made is what the text made of the event just now; Answer what a receiver
	// replied to it.
	Made, Answer string
	Delete       button
}

func templatePath(id string) string { return "/templates/" + url.PathEscape(id) }

func (c *Console) templateList(v visit) (view, error) {
	all, err := c.Store.Templates(v.Context())
	return view{Template: "payloads", Title: "Payload templates", Section: "/templates", Body: templateList{all}}, err
}

// templatePage is the editor, with what a trial made.
func (c *Console) templatePage(v visit, t activation.Template, made *catalog.Trial, wrong map[string]string) (view, error) {
	p := templatePage{Template: t, CSRF: v.who.CSRF, Wrong: wrong[""], Action: "/templates"}
	title := "New payload template"
	if t.ID != "" {
		p.Action, title = templatePath(t.ID), t.Name
		p.Delete = v.press(p.Action+"/delete", "Delete", "ban").as("btn-bad")
	}
	p.Fields = []field{
		{Name: "name", Label: "Name", Type: "text", Required: true, Value: t.Name, Error: wrong["name"]},
		{Name: "description", Label: "Description", Type: "text", Value: t.Description},
		{Name: "text", Label: "Template", Type: "textarea", Rows: 16, Required: true, Value: t.Text, Error: wrong["text"], Help: "Jsonnet. The event is the argument of a function, or std.extVar('event')."},
	}
	p.Event = field{Name: "event", Label: "Event to try it with", Type: "textarea", Rows: 10, Value: orText(v.post("event"), catalog.SampleEvent), Error: wrong["event"]}
	p.Send = field{Name: "destination_id", Label: "Post the payload to", Type: "select", Options: []option{{"", "Nobody: show it only", false}}, Error: wrong["destination_id"]}
	destinations, err := c.Store.Destinations(v.Context())
	if err != nil {
		return view{}, err
	}
	for _, d := range destinations {
		if d.Provider == "webhook" {
			p.Send.Options = append(p.Send.Options, option{string(d.ID), d.Name, false})
		}
	}
	p.Send.Options = choose(p.Send.Options, v.post("destination_id"))
	if made != nil {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, made.Payload, "", "  "); err != nil {
			return view{}, err
		}
		p.Made, p.Answer = pretty.String(), made.Answer
	}
	out := view{Template: "payload", Title: title, Section: "/templates", Crumbs: []link{{"/templates", "Payload templates"}}, Body: p}
	if wrong != nil {
		out.Status = http.StatusBadRequest
	}
	return out, nil
}

// saveTemplate stores what the form has, or only tries it.
func (c *Console) saveTemplate(v visit) (view, error) {
	t := activation.Template{}
	if id := v.PathValue("id"); id != "" {
		var err error
		if t, err = c.Store.Template(v.Context(), id); err != nil {
			return view{}, err
		}
	}
	t.Name, t.Description, t.Text = v.post("name"), v.post("description"), v.PostFormValue("text")
	names := []string{"name", "text", "event", "destination_id"}
	if v.post("do") == "try" {
		made, err := c.Catalog.TestTemplate(v.Context(), t.Text, []byte(v.post("event")), activation.DestinationID(v.post("destination_id")))
		if wrong, err := wrongFields(err, names...); err != nil || wrong != nil {
			if err != nil {
				return view{}, err
			}
			return c.templatePage(v, t, nil, wrong)
		}
		return c.templatePage(v, t, &made, nil)
	}
	var err error
	if t.ID == "" {
		t, err = c.Catalog.CreateTemplate(v.Context(), t, v.who.Name)
	} else {
		t, err = c.Catalog.UpdateTemplate(v.Context(), t, v.who.Name)
	}
	wrong, err := wrongFields(err, names...)
	if err != nil {
		return view{}, err
	}
	if wrong != nil {
		t.Name, t.Description, t.Text, t.ID = v.post("name"), v.post("description"), v.PostFormValue("text"), v.PathValue("id")
		return c.templatePage(v, t, nil, wrong)
	}
	return view{To: templatePath(t.ID), Said: flash{"ok", "The template is saved. Jobs use it from their next batch on."}}, nil
}

func (c *Console) deleteTemplate(v visit) (view, error) {
	if err := c.Store.DeleteTemplate(v.Context(), v.PathValue("id"), v.who.Name); err != nil {
		return view{}, err
	}
	return view{To: "/templates", Said: flash{"ok", "The template is deleted."}}, nil
}
