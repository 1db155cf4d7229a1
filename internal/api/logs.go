package api

import (
	"context"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/store"
)

// LogQuery narrows a log.
type LogQuery struct {
	Since         string `query:"since" doc:"from this time on: RFC 3339, or such as now-24h"`
	Until         string `query:"until" doc:"before this time"`
	Event         string `query:"event" doc:"comma-separated events, such as error,failed"`
	Level         string `query:"level" doc:"comma-separated: debug, info, warn, error"`
	IncludeErrors bool   `query:"include_errors" doc:"with what is known of the runs that warnings and errors speak of: the provider's text, queue items by code"`
	Start         int64  `query:"start" minimum:"0" doc:"_next of the page before, or the id of the last line you have"`
	Limit         int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
}

func (a *API) logs(h huma.API) {
	type jobLog struct {
		JobPath
		LogQuery
	}
	type workflowLog struct {
		WorkflowJobPath
		LogQuery
	}
	huma.Register(h, route("GET /v2/job/logs", Viewer, "jobs-logs", "Logs of all jobs that are not killed, oldest first; of the last 24 hours unless asked otherwise", "jobs"), func(ctx context.Context, in *LogQuery) (*reply[[]activation.LogEntry], error) {
		if in.Since == "" {
			in.Since = a.Now().Add(-24 * time.Hour).Format(time.RFC3339)
		}
		return a.log(ctx, "", in)
	})
	huma.Register(h, route("GET /v2/job/{id}/logs", Viewer, "job-logs", "Log of a job, oldest first", "jobs"), func(ctx context.Context, in *jobLog) (*reply[[]activation.LogEntry], error) {
		return a.jobLog(ctx, in.ID, &in.LogQuery)
	})
	huma.Register(h, route("GET /v2/job/{workflow}/{id}/logs", Viewer, "workflow-job-logs", "Log of a job, oldest first", "jobs"), func(ctx context.Context, in *workflowLog) (*reply[[]activation.LogEntry], error) {
		return within(ctx, a, &in.WorkflowJobPath, func(ctx context.Context, id string) (*reply[[]activation.LogEntry], error) {
			return a.jobLog(ctx, id, &in.LogQuery)
		})
	})
}

func (a *API) jobLog(ctx context.Context, id string, in *LogQuery) (*reply[[]activation.LogEntry], error) {
	if _, err := a.Jobs.Job(ctx, activation.JobID(id)); err != nil {
		return nil, a.fail(ctx, err)
	}
	return a.log(ctx, activation.JobID(id), in)
}

// log is one page of the log of a job, or of all.
func (a *API) log(ctx context.Context, job activation.JobID, in *LogQuery) (*reply[[]activation.LogEntry], error) {
	f := store.LogFilter{Job: job, After: in.Start, Limit: in.Limit + 1, Detail: in.IncludeErrors}
	var err error
	if f.Since, f.Until, err = a.between(in.Since, in.Until); err != nil {
		return nil, a.fail(ctx, err)
	}
	if f.Events, err = words("event", in.Event, activation.LogEvents); err != nil {
		return nil, a.fail(ctx, err)
	}
	if f.Levels, err = words("level", in.Level, activation.LogLevels); err != nil {
		return nil, a.fail(ctx, err)
	}
	lines, err := a.Jobs.Logs(ctx, f)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	next := ""
	if len(lines) > in.Limit {
		lines = lines[:in.Limit]
		next = strconv.FormatInt(lines[in.Limit-1].ID, 10)
	}
	return page(ctx, lines, next)
}
