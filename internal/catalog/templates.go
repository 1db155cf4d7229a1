package catalog

import (
	"context"
	"encoding/json"
	"errors"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/template"
)

// codeTemplate is the code of a template that cannot be read, or fails.
const codeTemplate = "TEMPLATE"

// SampleEvent is what a template is tried with when nobody gives another event:
// somebody who enters an audience.
const SampleEvent = `{
  "id": "msg_00000000000000000000000000000000",
  "data": {
    "customer_id": "c-1001",
    "email": "sample@example.com",
    "segment_events": [
      {"id": "6f0c1b9e6f0c1b9e6f0c1b9e6f0c1b9e", "slug": "vips", "event": "enter", "enter": "2026-01-02T15:04:05Z"}
    ],
    "segments": ["vips", "everybody"]
  },
  "meta": {"object": "user", "event_id": "sample", "timestamp": "2026-01-02T15:04:05Z", "run": 1}
}`

// CreateTemplate checks and stores a payload template.
func (c *Catalog) CreateTemplate(ctx context.Context, v activation.Template, user string) (activation.Template, error) {
	if err := checkTemplate(ctx, v); err != nil {
		return activation.Template{}, err
	}
	v.CreatedBy = user
	return c.Store.CreateTemplate(ctx, v)
}

// UpdateTemplate checks and stores another name, description or text.
func (c *Catalog) UpdateTemplate(ctx context.Context, v activation.Template, user string) (activation.Template, error) {
	if err := checkTemplate(ctx, v); err != nil {
		return activation.Template{}, err
	}
	return c.Store.UpdateTemplate(ctx, v, user)
}

// checkTemplate refuses a template without a name, or whose text cannot be read.
func checkTemplate(ctx context.Context, v activation.Template) error {
	var p problems
	p.name("name", v.Name)
	if v.Text == "" {
		p.add("text", "is needed: Jsonnet that makes the payload of an event")
	} else if err := template.Check(ctx, v.Text); err != nil {
		var wrong *template.Error
		if !errors.As(err, &wrong) {
			return err
		}
		p.add("text", "%s", wrong.Error())
	}
	return p.err(codeTemplate)
}

// Trial is what became of trying a template.
type Trial struct {
	// Payload is what the template made of the event.
	Payload json.RawMessage `json:"payload"`
	// Sent is true when it was posted as well, and taken.
	Sent bool `json:"sent"`
	// Answer is what the receiver replied, short.
	Answer string `json:"answer,omitempty"`
}

// TestTemplate makes the payload of one event, nil = SampleEvent, and posts it to
// the endpoint of a destination where one is named. What is wrong with text or
// event is an Invalid error.
func (c *Catalog) TestTemplate(ctx context.Context, text string, event []byte, to activation.DestinationID) (Trial, error) {
	if len(event) == 0 {
		event = []byte(SampleEvent)
	}
	s, err := template.Open(ctx, text)
	if err != nil {
		return Trial{}, wrongTemplate("text", err)
	}
	defer s.Close()
	var t Trial
	if t.Payload, err = s.Render(ctx, event); err != nil {
		return Trial{}, wrongTemplate("text", err)
	}
	if to == "" {
		return t, nil
	}
	d, err := c.Store.Destination(ctx, to)
	if err != nil {
		return Trial{}, err
	}
	client, _, err := c.Connect(ctx, d, "")
	if err != nil {
		return Trial{}, err
	}
	poster, ok := client.(provider.Poster)
	if !ok {
		return Trial{}, &activation.Error{Kind: activation.Invalid, Code: codeTemplate, Field: "destination_id", Message: "destination_id: payloads are posted to webhooks only"}
	}
	if t.Answer, err = poster.Post(ctx, t.Payload); err != nil {
		return Trial{}, err
	}
	t.Sent = true
	return t, nil
}

func wrongTemplate(field string, err error) error {
	var wrong *template.Error
	if !errors.As(err, &wrong) {
		return err
	}
	return &activation.Error{Kind: activation.Invalid, Code: codeTemplate, Field: field, Message: field + ": " + wrong.Error()}
}
