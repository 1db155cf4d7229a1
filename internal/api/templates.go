package api

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/catalog"
)

// templateBody is a change of a template; what is left out stays.
type templateBody struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	Text        *string `json:"text,omitempty" doc:"Jsonnet; the event is its argument, or std.extVar('event')"`
}

// templates are the routes of payload templates of webhooks.
func (a *API) templates(h huma.API) {
	type id struct {
		ID string `path:"id" doc:"id or name of the template"`
	}
	huma.Register(h, route("GET /v2/template", Viewer, "list-templates", "List payload templates", "templates"), func(ctx context.Context, _ *struct{}) (*reply[[]activation.Template], error) {
		all, err := a.Config.Templates(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/template/{id}", Viewer, "show-template", "Show a payload template", "templates"), func(ctx context.Context, in *id) (*reply[activation.Template], error) {
		t, err := a.Config.Template(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, t)
	})
	huma.Register(h, route("POST /v2/template", Operator, "create-template", "Make a payload template; its text is read first", "templates"), func(ctx context.Context, in *struct {
		Body struct {
			Name        string `json:"name"`
			Description string `json:"description,omitempty"`
			Text        string `json:"text" doc:"Jsonnet; the event is its argument, or std.extVar('event')"`
		}
	},
	) (*reply[activation.Template], error) {
		t, err := a.Catalog.CreateTemplate(ctx, activation.Template{Name: in.Body.Name, Description: in.Body.Description, Text: in.Body.Text}, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, t)
	})
	huma.Register(h, route("PUT /v2/template/{id}", Operator, "edit-template", "Change a payload template; what is left out stays. Jobs use it from their next batch on", "templates"), func(ctx context.Context, in *struct {
		ID   string `path:"id" doc:"id or name of the template"`
		Body templateBody
	},
	) (*reply[activation.Template], error) {
		t, err := a.Config.Template(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		for _, change := range []struct{ from, to *string }{{in.Body.Name, &t.Name}, {in.Body.Description, &t.Description}, {in.Body.Text, &t.Text}} {
			if change.from != nil {
				*change.to = *change.from
			}
		}
		if t, err = a.Catalog.UpdateTemplate(ctx, t, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, t)
	})
	huma.Register(h, route("DELETE /v2/template/{id}", Operator, "delete-template", "Delete a payload template that no job uses", "templates"), func(ctx context.Context, in *id) (*reply[any], error) {
		if err := a.Config.DeleteTemplate(ctx, in.ID, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return deleted(ctx)
	})
	huma.Register(h, asking(route("POST /v2/template/{id}/test", Operator, "test-template", "Make the payload of one event, and post it to a webhook destination where one is named", "templates")), func(ctx context.Context, in *struct {
		ID   string `path:"id" doc:"id or name of the template"`
		Body struct {
			Event       any    `json:"event,omitempty" doc:"an event as a job sends it; without it one of Usher's own"`
			Destination string `json:"destination_id,omitempty" doc:"the webhook destination to post the payload to; without it nothing is sent"`
		}
	},
	) (*reply[catalog.Trial], error) {
		t, err := a.Config.Template(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		var event []byte
		if in.Body.Event != nil {
			if event, err = json.Marshal(in.Body.Event); err != nil {
				return nil, a.fail(ctx, err)
			}
		}
		got, err := a.Catalog.TestTemplate(ctx, t.Text, event, activation.DestinationID(in.Body.Destination))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, got)
	})
}
