package api

import (
	"context"
	"fmt"
	"slices"
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

// WorkflowJobPath is the job in a path, with its workflow in kebab or snake case.
type WorkflowJobPath struct {
	Workflow string `path:"workflow" doc:"workflow of the job, such as meta-custom-audience"`
	ID       string `path:"id" doc:"id of the job"`
}

// stateCommands are the commands that change a job's state.
var stateCommands = []activation.JobCommand{activation.CommandPause, activation.CommandResume, activation.CommandBounce, activation.CommandKill}

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
	type filter struct {
		Status   string `query:"status" doc:"comma-separated states"`
		Workflow string `query:"workflow"`
		All      bool   `query:"show_all" doc:"completed and killed ones too"`
	}
	huma.Register(h, route("GET /v2/job", Viewer, "list-jobs", "List jobs", "jobs"), func(ctx context.Context, in *filter) (*reply[[]activation.Job], error) {
		f := store.JobFilter{Workflow: snake(in.Workflow)}
		var err error
		if f.State, err = words("status", in.Status, activation.JobStates); err != nil {
			return nil, a.fail(ctx, err)
		}
		if len(f.State) == 0 && !in.All {
			f.State = shownStates
		}
		jobs, err := a.Jobs.Jobs(ctx, f)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, jobs)
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

	a.jobByID(h)
	a.jobByWorkflow(h)
}

// jobByID registers what can be asked and told of one job.
func (a *API) jobByID(h huma.API) {
	huma.Register(h, route("GET /v2/job/{id}", Viewer, "show-job", "Show a job", "jobs"), func(ctx context.Context, in *JobPath) (*reply[activation.Job], error) {
		return a.job(ctx, in.ID)
	})
	huma.Register(h, route("GET /v2/job/{id}/logs", Viewer, "job-logs", "Log of a job, oldest first", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]activation.LogEntry], error) {
		return a.jobLogs(ctx, in.ID)
	})
	for _, c := range stateCommands {
		huma.Register(h, route("POST /v2/job/{id}/"+string(c), Operator, string(c)+"-job", "Tell a job to "+string(c), "jobs"), func(ctx context.Context, in *JobPath) (*reply[activation.Job], error) {
			return a.tell(ctx, in.ID, c)
		})
	}
	huma.Register(h, route("POST /v2/job/{id}/plan", Viewer, "plan-job", "Dry run: what a run would do now; nothing is written", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]delivery.Preview], error) {
		return a.planJob(ctx, in.ID)
	})
	huma.Register(h, route("POST /v2/job/{id}/run", Operator, "run-job", "Open a run for each target of the job now; 409 while all have one", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]activation.Run], error) {
		return a.runJob(ctx, in.ID)
	})
}

// jobByWorkflow registers the same with the workflow in the path, as clients of
// the older generation ask. A job of another workflow is not there.
func (a *API) jobByWorkflow(h huma.API) {
	const root = "/v2/job/{workflow}/{id}"
	huma.Register(h, route("GET "+root, Viewer, "show-workflow-job", "Show a job", "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[activation.Job], error) {
		return within(ctx, a, in, a.job)
	})
	huma.Register(h, route("GET "+root+"/logs", Viewer, "workflow-job-logs", "Log of a job, oldest first", "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[[]activation.LogEntry], error) {
		return within(ctx, a, in, a.jobLogs)
	})
	for _, c := range stateCommands {
		huma.Register(h, route("POST "+root+"/"+string(c), Operator, string(c)+"-workflow-job", "Tell a job to "+string(c), "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[activation.Job], error) {
			return within(ctx, a, in, func(ctx context.Context, id string) (*reply[activation.Job], error) { return a.tell(ctx, id, c) })
		})
	}
	huma.Register(h, route("POST "+root+"/plan", Viewer, "plan-workflow-job", "Dry run: what a run would do now; nothing is written", "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[[]delivery.Preview], error) {
		return within(ctx, a, in, a.planJob)
	})
	huma.Register(h, route("POST "+root+"/run", Operator, "run-workflow-job", "Open a run for each target of the job now; 409 while all have one", "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[[]activation.Run], error) {
		return within(ctx, a, in, a.runJob)
	})
}

// within does what is asked of a job of the workflow in the path.
func within[T any](ctx context.Context, a *API, in *WorkflowJobPath, do func(context.Context, string) (*reply[T], error)) (*reply[T], error) {
	workflow, _, err := a.Catalog.Workflow(in.Workflow)
	if err != nil {
		return nil, a.fail(ctx, fmt.Errorf("%w: %w", activation.ErrNotFound, err))
	}
	job, err := a.Jobs.Job(ctx, activation.JobID(in.ID))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	if job.Workflow != workflow.Name {
		return nil, a.fail(ctx, activation.ErrNotFound)
	}
	return do(ctx, in.ID)
}

func (a *API) job(ctx context.Context, id string) (*reply[activation.Job], error) {
	job, err := a.Jobs.Job(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, job)
}

func (a *API) jobLogs(ctx context.Context, id string) (*reply[[]activation.LogEntry], error) {
	if _, err := a.Jobs.Job(ctx, activation.JobID(id)); err != nil {
		return nil, a.fail(ctx, err)
	}
	logs, err := a.Jobs.JobLogs(ctx, activation.JobID(id), time.Time{}, 1000)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return list(ctx, logs)
}

func (a *API) tell(ctx context.Context, id string, c activation.JobCommand) (*reply[activation.Job], error) {
	job, err := a.Catalog.Command(ctx, activation.JobID(id), c, CallerOf(ctx).Name)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, job)
}

func (a *API) planJob(ctx context.Context, id string) (*reply[[]delivery.Preview], error) {
	out, err := a.Delivery.PlanJob(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return list(ctx, out)
}

func (a *API) runJob(ctx context.Context, id string) (*reply[[]activation.Run], error) {
	out, err := a.Delivery.RunJob(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return list(ctx, out)
}

// snake turns kebab-case workflow names into ours.
func snake(s string) string { return strings.ReplaceAll(s, "-", "_") }

// words reads a comma list whose every word must be one of those there are.
func words[T ~string](name, list string, there []T) (out []T, err error) {
	if list == "" {
		return nil, nil
	}
	for w := range strings.SplitSeq(list, ",") {
		if !slices.Contains(there, T(w)) {
			return nil, invalid(name, fmt.Sprintf("%s: must be one of %v", name, there))
		}
		out = append(out, T(w))
	}
	return out, nil
}
