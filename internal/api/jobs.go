package api

import (
	"context"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/delivery"
	"usher/internal/store"
)

// JobPath is the job in a path.
type JobPath struct {
	ID string `path:"id" doc:"id of the job"`
}

type newJobBody struct {
	Name        string            `json:"name" doc:"name for people, unique per workflow"`
	Description string            `json:"description,omitempty"`
	Workflow    string            `json:"workflow,omitempty" doc:"when it is not in the path"`
	Destination string            `json:"destination_id" doc:"where the audiences go"`
	Audiences   []string          `json:"segment_ids" doc:"ids or slugs of audiences"`
	Config      map[string]string `json:"config,omitempty"`
	Continuous  *bool             `json:"continuous_update,omitempty" doc:"false = run once, then complete; default true"`
	Every       string            `json:"run_frequency,omitempty" doc:"realtime, hourly, daily, weekly or a duration; default realtime"`
	_           struct{}          `json:"-" additionalProperties:"true"`
}

// shownStates are the states a list shows unless asked for others.
var shownStates = []activation.JobState{activation.JobRunnable, activation.JobSleeping, activation.JobPaused, activation.JobFailed}

func (a *API) jobs(h huma.API) {
	type list struct {
		Status   string `query:"status" doc:"comma-separated states"`
		Workflow string `query:"workflow"`
		All      bool   `query:"show_all" doc:"completed and killed ones too"`
	}
	huma.Register(h, route("GET /v2/job", Viewer, "list-jobs", "List jobs", "jobs"), func(ctx context.Context, in *list) (*reply[[]activation.Job], error) {
		f := store.JobFilter{Workflow: snake(in.Workflow)}
		for _, s := range split(in.Status) {
			f.State = append(f.State, activation.JobState(s))
		}
		if len(f.State) == 0 && !in.All {
			f.State = shownStates
		}
		jobs, err := a.Jobs.Jobs(ctx, f)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, jobs)
	})

	create := func(ctx context.Context, workflow string, b newJobBody) (*reply[activation.Job], error) {
		job, err := a.Catalog.CreateJob(ctx, catalog.NewJob{
			Workflow: workflow, Name: b.Name, Description: b.Description, Destination: activation.DestinationID(b.Destination),
			Audiences: b.Audiences, Config: b.Config, Every: b.Every, Continuous: b.Continuous == nil || *b.Continuous,
		}, CallerOf(ctx).Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return created(ctx, job)
	}
	huma.Register(h, route("POST /v2/job", Operator, "create-job", "Create a job; it starts at once", "jobs"), func(ctx context.Context, in *struct{ Body newJobBody }) (*reply[activation.Job], error) {
		return create(ctx, in.Body.Workflow, in.Body)
	})
	huma.Register(h, route("POST /v2/job/{workflow}", Operator, "create-workflow-job", "Create a job of a workflow; it starts at once", "jobs"), func(ctx context.Context, in *struct {
		Workflow string `path:"workflow"`
		Body     newJobBody
	},
	) (*reply[activation.Job], error) {
		return create(ctx, in.Workflow, in.Body)
	})

	huma.Register(h, route("GET /v2/job/{id}", Viewer, "show-job", "Show a job", "jobs"), func(ctx context.Context, in *JobPath) (*reply[activation.Job], error) {
		job, err := a.Jobs.Job(ctx, activation.JobID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, job)
	})
	huma.Register(h, route("GET /v2/job/{id}/logs", Viewer, "job-logs", "Log of a job, oldest first", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]activation.LogEntry], error) {
		if _, err := a.Jobs.Job(ctx, activation.JobID(in.ID)); err != nil {
			return nil, a.fail(ctx, err)
		}
		logs, err := a.Jobs.JobLogs(ctx, activation.JobID(in.ID), time.Time{}, 1000)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, logs)
	})
	for _, c := range []activation.JobCommand{activation.CommandPause, activation.CommandResume, activation.CommandBounce, activation.CommandKill} {
		huma.Register(h, route("POST /v2/job/{id}/"+string(c), Operator, string(c)+"-job", "Tell a job to "+string(c), "jobs"), func(ctx context.Context, in *JobPath) (*reply[activation.Job], error) {
			job, err := a.Catalog.Command(ctx, activation.JobID(in.ID), c, CallerOf(ctx).Name)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return ok(ctx, job)
		})
	}
	a.plan(h)
}

func (a *API) plan(h huma.API) {
	huma.Register(h, route("POST /v2/job/{id}/plan", Viewer, "plan-job", "Dry run: what a run would do now; nothing is written", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]delivery.Preview], error) {
		out, err := a.Delivery.PlanJob(ctx, activation.JobID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
	huma.Register(h, route("POST /v2/job/{id}/run", Operator, "run-job", "Open a run for each target of the job now; 409 while all have one", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]activation.Run], error) {
		out, err := a.Delivery.RunJob(ctx, activation.JobID(in.ID))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return ok(ctx, out)
	})
}

// snake turns kebab-case workflow names into ours.
func snake(s string) string { return strings.ReplaceAll(s, "-", "_") }

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
