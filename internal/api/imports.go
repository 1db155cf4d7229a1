package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/imports"
	"usher/internal/provider"
)

// Imports shows what import jobs read.
type Imports interface {
	// Preview masks values, PreviewPlain does not.
	Preview(ctx context.Context, job activation.Job) (imports.FirstRows, error)
	PreviewPlain(ctx context.Context, job activation.Job) (imports.FirstRows, error)
	State(ctx context.Context, job activation.Job) (imports.Position, error)
	Reset(ctx context.Context, job activation.Job) error
}

func (a *API) imports(h huma.API) {
	huma.Register(h, route("POST /v2/job/{workflow}/preview", Operator, "preview-import", "The first rows that an import job would read, with what could be its times and identifiers; values masked for all but administrators. Nothing is stored", "jobs"), func(ctx context.Context, in *struct {
		Workflow string `path:"workflow" doc:"an import workflow, such as sftp_import"`
		Body     jobBody
	},
	) (*reply[imports.FirstRows], error) {
		spec, wrong := in.Body.spec(catalog.JobSpec{Schedule: activation.Schedule{Continuous: true}})
		if len(wrong) > 0 {
			return nil, a.fail(ctx, badForm{wrong, nil})
		}
		spec.Workflow, spec.Name = in.Workflow, "preview"
		out, err := a.previewImport(ctx, spec)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("GET /v2/job/{id}/position", Viewer, "import-position", "How far an import job has read: what was taken and what is next", "jobs"), func(ctx context.Context, in *JobPath) (*reply[imports.Position], error) {
		job, err := a.importJob(ctx, in.ID)
		var out imports.Position
		if err == nil {
			out, err = a.position(ctx, job)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("POST /v2/job/{id}/reset", Operator, "reset-import", "Have an import job read everything again from the beginning; what names its messages keeps them from counting twice", "jobs"), func(ctx context.Context, in *JobPath) (*reply[imports.Position], error) {
		job, err := a.importJob(ctx, in.ID)
		if err == nil {
			err = a.Imports.Reset(ctx, job)
		}
		if err == nil {
			err = a.note(ctx, "reset", "job", in.ID)
		}
		var out imports.Position
		if err == nil {
			out, err = a.position(ctx, job)
		}
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
}

// position is where a job stands. What its source keeps may hold values of a cursor
// column, which are for whoever may see people.
func (a *API) position(ctx context.Context, job activation.Job) (imports.Position, error) {
	out, err := a.Imports.State(ctx, job)
	if !CallerOf(ctx).Role.Includes(Admin) {
		out.Position = ""
	}
	return out, err
}

func (a *API) importJob(ctx context.Context, id string) (activation.Job, error) {
	job, err := a.Jobs.Job(ctx, activation.JobID(id))
	if err == nil && job.Type != string(provider.Import) {
		err = invalid("id", "id: only import jobs read anything; this one is of the type "+job.Type)
	}
	return job, err
}

func (a *API) previewImport(ctx context.Context, spec catalog.JobSpec) (imports.FirstRows, error) {
	w, _, err := a.Catalog.Workflow(spec.Workflow)
	if err == nil && w.Direction != provider.Import {
		err = invalid("workflow", "workflow: "+w.Name+" reads nothing; only imports can be previewed")
	}
	var job activation.Job
	if err == nil {
		job, err = a.Catalog.CheckJob(ctx, spec)
	}
	if err != nil {
		return imports.FirstRows{}, err
	}
	if !CallerOf(ctx).Role.Includes(Admin) {
		return a.Imports.Preview(ctx, job)
	}
	if err := a.note(ctx, "preview import", "workflow", w.Name); err != nil {
		return imports.FirstRows{}, err
	}
	return a.Imports.PreviewPlain(ctx, job)
}
