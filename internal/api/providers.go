package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// SlugPath is the provider in a path.
type SlugPath struct {
	Slug string `path:"slug" doc:"slug of the provider, such as meta"`
}

func (a *API) providers(h huma.API) {
	huma.Register(h, route("GET /v2/provider", Viewer, "list-providers", "Providers, their workflows and every configuration field", "authorizations"), func(ctx context.Context, in *struct {
		Category string `query:"category" enum:"export,import,enrichment,alert" doc:"only those with such a workflow"`
	},
	) (*reply[[]client.Provider], error) {
		all := a.listProviders()
		if in.Category != "" {
			all = slices.DeleteFunc(all, func(p client.Provider) bool { return !slices.Contains(p.Categories, in.Category) })
		}
		return list(ctx, all)
	})
	huma.Register(h, route("GET /v2/provider/{slug}", Viewer, "show-provider", "One provider, its workflows and every configuration field", "authorizations"), func(ctx context.Context, in *SlugPath) (*reply[client.Provider], error) {
		p, err := a.oneProvider(in.Slug)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, p)
	})
	huma.Register(h, route("GET /v2/workflow", Viewer, "list-workflows", "Every workflow of every provider", "authorizations"), func(ctx context.Context, in *struct {
		Provider string `query:"provider" doc:"only those of a provider"`
		Type     string `query:"type" enum:"export,import,enrichment,alert" doc:"only those of a type"`
	},
	) (*reply[[]client.Workflow], error) {
		var out []client.Workflow
		for _, p := range a.listProviders() {
			for _, w := range p.Workflows {
				if (in.Provider == "" || p.Slug == in.Provider) && (in.Type == "" || w.Type == in.Type) {
					out = append(out, w)
				}
			}
		}
		return list(ctx, out)
	})
	huma.Register(h, route("GET /v2/workflow/{workflow}", Viewer, "show-workflow", "One workflow, with every setting of its jobs", "authorizations"), func(ctx context.Context, in *struct {
		Workflow string `path:"workflow" doc:"kebab or snake case, such as meta-custom-audience"`
	},
	) (*reply[client.Workflow], error) {
		w, def, err := a.Catalog.Workflow(in.Workflow)
		if err != nil {
			return nil, a.fail(ctx, fmt.Errorf("%w: %w", activation.ErrNotFound, err))
		}
		return ok(ctx, workflowView(def, w))
	})
}

func (a *API) listProviders() []client.Provider {
	out := make([]client.Provider, len(a.Providers))
	for i, d := range a.Providers {
		out[i] = providerView(d)
	}
	return out
}

func (a *API) oneProvider(slug string) (client.Provider, error) {
	def, err := a.Catalog.Definition(slug)
	if err != nil {
		return client.Provider{}, fmt.Errorf("%w: %w", activation.ErrNotFound, err)
	}
	return providerView(def), nil
}

func providerView(d provider.Definition) client.Provider {
	out := client.Provider{
		ID: d.Name, Slug: d.Name, Name: d.Title, Description: d.Description, Categories: []string{}, AuthMethod: authMethod(d.NoAuth()), NoAuth: d.NoAuth(),
		AuthFields: fieldViews(d.AuthFields), Workflows: []client.Workflow{},
	}
	for _, w := range d.Workflows {
		if c := string(w.Direction); !slices.Contains(out.Categories, c) {
			out.Categories = append(out.Categories, c)
		}
		out.Workflows = append(out.Workflows, workflowView(d, w))
	}
	return out
}

func workflowView(d provider.Definition, w provider.Workflow) client.Workflow {
	out := client.Workflow{
		Name: w.Name, Title: w.Title, Description: w.Description, Type: string(w.Direction), Subject: string(w.Subject), Starts: []string{}, Provider: d.Name,
		Fields: fieldViews(w.Fields), Destination: []client.Field{}, MatchKeys: []client.MatchKey{},
	}
	for _, s := range []struct {
		can  bool
		word string
	}{{w.RealTime, "realtime"}, {w.Scheduled, "schedule"}, {w.Once, "once"}} {
		if s.can {
			out.Starts = append(out.Starts, s.word)
		}
	}
	if w.Direction != provider.Export {
		return out
	}
	out.Destination = fieldViews(d.DestinationFields)
	out.Kind, out.Feed, out.OpenColumns = string(w.Kind), string(w.Feed), d.OpenColumns != nil
	out.MatchKeys = append(out.MatchKeys, matchKeys(d.RuleSet.Keys)...)
	out.Events = matchKeys(w.Events)
	return out
}

func matchKeys(keys []matchkey.Key) []client.MatchKey {
	var out []client.MatchKey
	for _, k := range keys {
		out = append(out, client.MatchKey{Name: k.Name, Help: k.Help, Hashed: k.Hash, Identifies: k.Identifies, Required: k.Required})
	}
	return out
}
