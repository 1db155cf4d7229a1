package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/store"
)

// MetricQuery is the period of metrics.
type MetricQuery struct {
	Range string `query:"range" doc:"from when until now, such as now-24h, now-7d or now-30d; default now-24h"`
	Since string `query:"since" doc:"instead of range: from this time on, RFC 3339 or such as now-2h"`
	Until string `query:"until" doc:"before this time; default now"`
	Fill  bool   `query:"fill" doc:"with the buckets in which nothing was counted, too"`
}

func (a *API) metrics(h huma.API) {
	type ofJob struct {
		JobPath
		MetricQuery
	}
	type ofWorkflowJob struct {
		WorkflowJobPath
		MetricQuery
	}
	huma.Register(h, route("GET /v2/metric", Viewer, "metrics", "What jobs have done over time: of one, or of all together", "metrics"), func(ctx context.Context, in *struct {
		Dimension string `query:"dimension" doc:"works = jobs, stream or segment; default works"`
		ID        string `query:"id" doc:"id of a job, left out = all jobs together; name of a stream; id or slug of an audience"`
		MetricQuery
	},
	) (*reply[[]client.Metric], error) {
		switch in.Dimension {
		case "", "works":
		case "stream", "segment":
			return a.series(ctx, in.Dimension, in.ID, &in.MetricQuery)
		default:
			return nil, a.fail(ctx, invalid("dimension", "dimension: must be works, stream or segment"))
		}
		if in.ID != "" {
			return a.jobMetrics(ctx, in.ID, &in.MetricQuery)
		}
		return a.metric(ctx, activation.Job{}, &in.MetricQuery)
	})
	huma.Register(h, route("GET /v2/job/{id}/metric", Viewer, "job-metrics", "What a job has done over time", "metrics"), func(ctx context.Context, in *ofJob) (*reply[[]client.Metric], error) {
		return a.jobMetrics(ctx, in.ID, &in.MetricQuery)
	})
	huma.Register(h, route("GET /v2/job/{workflow}/{id}/metric", Viewer, "workflow-job-metrics", "What a job has done over time", "metrics"), func(ctx context.Context, in *ofWorkflowJob) (*reply[[]client.Metric], error) {
		return within(ctx, a, &in.WorkflowJobPath, func(ctx context.Context, id string) (*reply[[]client.Metric], error) {
			return a.jobMetrics(ctx, id, &in.MetricQuery)
		})
	})
}

func (a *API) jobMetrics(ctx context.Context, id string, in *MetricQuery) (*reply[[]client.Metric], error) {
	job, err := a.Jobs.Job(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return a.metric(ctx, job, in)
}

// metric is one series for each thing that is counted.
func (a *API) metric(ctx context.Context, job activation.Job, in *MetricQuery) (*reply[[]client.Metric], error) {
	from, until, err := a.period(in)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	width, err := store.MetricWidth(from, until, a.Now())
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	from = from.Truncate(width)
	counted, err := a.Jobs.Metrics(ctx, store.MetricFilter{Job: job.ID, Width: width, From: from, Until: until})
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	f := frame{from: from, until: until, width: width, fill: in.Fill}
	return ok(ctx, f.metrics(job.ID, activation.MetricNames(job.Type), counted))
}

// series is what a stream has brought, or how large an audience was.
func (a *API) series(ctx context.Context, kind, subject string, in *MetricQuery) (*reply[[]client.Metric], error) {
	if subject == "" {
		return nil, a.fail(ctx, invalid("id", "id: say which "+kind))
	}
	from, until, err := a.period(in)
	if err == nil && kind == "segment" {
		var s activation.Audience
		s, err = a.Catalog.Audience(ctx, subject)
		subject = string(s.ID)
	}
	var width time.Duration
	if err == nil {
		width, err = store.MetricWidth(from, until, a.Now())
	}
	var counted map[string][]activation.MetricPoint
	if err == nil {
		from = from.Truncate(width)
		counted, err = a.Jobs.Series(ctx, kind, subject, from, until, width)
	}
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	// The size of an audience is no count: what is not there is not known, not zero.
	f := frame{from: from, until: until, width: width, fill: in.Fill && kind != "segment", last: kind == "segment"}
	return ok(ctx, f.metrics("", nil, counted))
}

// frame is how metrics are shown.
type frame struct {
	from, until time.Time
	width       time.Duration
	fill        bool
	// last: the total is the last value instead of the sum.
	last bool
}

// metrics are the series of these names, and of all others there are behind them.
func (f frame) metrics(job activation.JobID, names []string, counted map[string][]activation.MetricPoint) []client.Metric {
	var others []string
	for name := range counted {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	series := []client.Metric{}
	for _, name := range append(slices.Clone(names), others...) {
		m := client.Metric{Job: job, Name: name, From: f.from, Until: f.until, WidthSeconds: int64(f.width / time.Second), Points: counted[name]}
		for _, p := range m.Points {
			m.Total += p.Value
			if f.last {
				m.Total = p.Value
			}
		}
		if f.fill {
			m.Points = store.FillMetric(m.Points, f.width, f.from, f.until)
		}
		if m.Points == nil {
			m.Points = []activation.MetricPoint{}
		}
		series = append(series, m)
	}
	return series
}

// period is the time that metrics are asked of.
func (a *API) period(in *MetricQuery) (from, until time.Time, err error) {
	switch {
	case in.Range != "" && (in.Since != "" || in.Until != ""):
		return from, until, invalid("range", "range: give either range or since and until")
	case in.Range != "":
		if !strings.HasPrefix(in.Range, "now") {
			return from, until, invalid("range", "range: must count from now, such as now-24h or now-30d")
		}
		if from, err = a.moment("range", in.Range); err != nil {
			return from, until, err
		}
	default:
		if from, until, err = a.between(in.Since, in.Until); err != nil {
			return from, until, err
		}
	}
	now := a.Now().UTC()
	if until.IsZero() || until.After(now) {
		until = now.Add(time.Microsecond)
	}
	if from.IsZero() {
		from = until.Add(-24 * time.Hour)
	}
	if !from.Before(until) {
		return from, until, invalid("range", "range: must begin in the past")
	}
	return from.UTC(), until, nil
}
