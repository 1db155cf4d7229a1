package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/manifest"
)

// Manifest is configuration as code.
type Manifest interface {
	Plan(ctx context.Context, files map[string]string) ([]manifest.Step, error)
	Apply(ctx context.Context, files map[string]string, user string) ([]manifest.Step, error)
	Export(ctx context.Context) (map[string]string, error)
}

// applyLimit is the most bytes of one apply.
const applyLimit = 16 << 20

type applied struct {
	Applied bool            `json:"applied" doc:"false for a plan"`
	Steps   []manifest.Step `json:"steps"`
}

type exported struct {
	Files map[string]string `json:"files" doc:"text by path"`
}

func (a *API) manifests(h huma.API) {
	op := route("POST /v2/apply", Operator, "apply", "Make everything as the YAML files say: plan first; nothing where anything is wrong", "configuration")
	op.MaxBodyBytes = applyLimit
	huma.Register(h, op, func(ctx context.Context, in *struct {
		Body struct {
			Files  map[string]string `json:"files" doc:"text by path"`
			DryRun bool              `json:"dry_run,omitempty" doc:"only plan"`
		}
	},
	) (*reply[applied], error) {
		var out applied
		var err error
		if in.Body.DryRun {
			out.Steps, err = a.Manifest.Plan(ctx, in.Body.Files)
		} else {
			out.Applied = true
			out.Steps, err = a.Manifest.Apply(ctx, in.Body.Files, CallerOf(ctx).Name)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if out.Steps == nil {
			out.Steps = []manifest.Step{}
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/export", Operator, "export", "Everything declared as YAML files, without secrets", "configuration"), func(ctx context.Context, _ *struct{}) (*reply[exported], error) {
		files, err := a.Manifest.Export(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, exported{files})
	})
}
