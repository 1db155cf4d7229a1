package api

import (
	"context"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
)

// PassQuery is which passes of a job.
type PassQuery struct {
	Start int64 `query:"start" minimum:"0" doc:"_next of the page before: the number the page begins below"`
	Limit int   `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

func (a *API) passes(h huma.API) {
	type ofJob struct {
		JobPath
		PassQuery
	}
	type ofWorkflowJob struct {
		WorkflowJobPath
		PassQuery
	}
	huma.Register(h, route("GET /v2/job/{id}/passes", Viewer, "job-passes", "Passes of a job without targets (import, enrichment, alert), newest first", "jobs"), func(ctx context.Context, in *ofJob) (*reply[[]activation.Pass], error) {
		return a.jobPasses(ctx, in.ID, &in.PassQuery)
	})
	huma.Register(h, route("GET /v2/job/{workflow}/{id}/passes", Viewer, "workflow-job-passes", "Passes of a job without targets, newest first", "jobs"), func(ctx context.Context, in *ofWorkflowJob) (*reply[[]activation.Pass], error) {
		return within(ctx, a, &in.WorkflowJobPath, func(ctx context.Context, id string) (*reply[[]activation.Pass], error) {
			return a.jobPasses(ctx, id, &in.PassQuery)
		})
	})
}

func (a *API) jobPasses(ctx context.Context, id string, in *PassQuery) (*reply[[]activation.Pass], error) {
	if _, err := a.Jobs.Job(ctx, activation.JobID(id)); err != nil {
		return nil, a.fail(ctx, err)
	}
	passes, err := a.Jobs.Passes(ctx, activation.JobID(id), in.Start, in.Limit+1)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	next := ""
	if len(passes) > in.Limit {
		passes = passes[:in.Limit]
		next = strconv.FormatInt(passes[in.Limit-1].Number, 10)
	}
	return page(ctx, passes, next)
}
