package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"usher/internal/activation"
	"usher/internal/api/client"
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

// shownStates are the states a list shows unless asked for others.
var shownStates = []activation.JobState{activation.JobRunnable, activation.JobSleeping, activation.JobPaused, activation.JobFailed}

// JobFilter narrows a list of jobs.
type JobFilter struct {
	Status        string `query:"status" doc:"comma-separated states; fault = sleeping because of an error"`
	Workflow      string `query:"workflow" doc:"kebab or snake case"`
	Provider      string `query:"provider"`
	Type          string `query:"type" doc:"export, import, enrichment or alert"`
	Auths         string `query:"auth_ids" doc:"comma-separated ids of authorizations; jobs that use any of them"`
	Destination   string `query:"destination_id"`
	Audience      string `query:"segment_id"`
	Tag           string `query:"tag"`
	Text          string `query:"q" doc:"part of the name"`
	ShowCompleted bool   `query:"show_completed" doc:"completed ones too"`
	ShowDeleted   bool   `query:"show_deleted" doc:"deleted ones too"`
	ShowHidden    bool   `query:"show_hidden" doc:"hidden ones too"`
	ShowAll       bool   `query:"show_all" doc:"completed, killed and hidden ones too"`
	ShowState     bool   `query:"show_state" doc:"with the runtime detail of each"`
	Start         string `query:"start" doc:"_next of the page before"`
	Limit         int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
}

func (in *JobFilter) filter() (store.JobFilter, error) {
	f := store.JobFilter{
		Workflow: snake(in.Workflow), Provider: in.Provider, Type: in.Type, Tag: in.Tag, Text: in.Text, Destination: activation.DestinationID(in.Destination), Audience: activation.AudienceID(in.Audience),
		Hidden: in.ShowHidden || in.ShowAll || in.Tag != "", Deleted: in.ShowDeleted, After: activation.JobID(in.Start), Limit: in.Limit + 1,
	}
	if in.Auths != "" {
		f.Authorizations = ids[activation.AuthorizationID](strings.Split(in.Auths, ","))
	}
	const fault = activation.JobState("fault")
	states, err := words("status", in.Status, append(slices.Clone(activation.JobStates), fault))
	if err != nil {
		return f, err
	}
	f.Fault = slices.Contains(states, fault)
	f.State = slices.DeleteFunc(states, func(s activation.JobState) bool { return s == fault })
	if in.Status == "" && !in.ShowAll {
		f.State = slices.Clone(shownStates)
		if in.ShowCompleted {
			f.State = append(f.State, activation.JobCompleted)
		}
		if in.ShowDeleted {
			f.State = append(f.State, activation.JobKilled)
		}
	}
	return f, nil
}

// listJobs is one page of jobs, and where the next begins.
func (a *API) listJobs(ctx context.Context, in *JobFilter) ([]client.Job, string, error) {
	f, err := in.filter()
	if err != nil {
		return nil, "", err
	}
	jobs, err := a.Jobs.Jobs(ctx, f)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(jobs) > in.Limit {
		jobs = jobs[:in.Limit]
		next = string(jobs[in.Limit-1].ID)
	}
	views, err := a.jobViews(ctx, jobs, in.ShowState)
	return views, next, err
}

// NewJob is a request that creates a job. Exported, because only exported
// embedded fields are read from a request.
type NewJob struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"a repetition with the same key within 24 hours returns the job that was made"`
	Body jobBody
}

func (a *API) jobs(h huma.API) {
	huma.Register(h, route("GET /v2/job", Viewer, "list-jobs", "List jobs, newest first", "jobs"), func(ctx context.Context, in *JobFilter) (*reply[[]client.Job], error) {
		views, next, err := a.listJobs(ctx, in)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return page(ctx, views, next)
	})
	huma.Register(h, route("POST /v2/job", Operator, "create-job", "Create a job; it starts at once, or at its time of day", "jobs"), func(ctx context.Context, in *NewJob) (*reply[client.Job], error) {
		return a.createJob(ctx, in.Key, in.Body)
	})
	huma.Register(h, route("POST /v2/job/{workflow}", Operator, "create-workflow-job", "Create a job of a workflow; it starts at once, or at its time of day", "jobs"), func(ctx context.Context, in *struct {
		Workflow string `path:"workflow"`
		NewJob
	},
	) (*reply[client.Job], error) {
		in.Body.Workflow = &in.Workflow
		return a.createJob(ctx, in.Key, in.Body)
	})
	a.jobByID(h)
	a.jobByWorkflow(h)
}

// jobByID registers what can be asked and told of one job.
func (a *API) jobByID(h huma.API) {
	huma.Register(h, route("GET /v2/job/{id}", Viewer, "show-job", "Show a job", "jobs"), func(ctx context.Context, in *struct {
		JobPath
		ShowState bool `query:"show_state" doc:"with its runtime detail"`
	},
	) (*reply[client.Job], error) {
		return a.job(ctx, in.ID, in.ShowState)
	})
	huma.Register(h, route("PUT /v2/job/{id}", Operator, "edit-job", "Change a job; what is left out stays. It takes effect at the next run", "jobs"), func(ctx context.Context, in *struct {
		JobPath
		Body jobBody
	},
	) (*reply[client.Job], error) {
		return a.editJob(ctx, in.ID, in.Body)
	})
	huma.Register(h, route("DELETE /v2/job/{id}", Operator, "delete-job", "End a job for good and hide it; its name is free again", "jobs"), func(ctx context.Context, in *JobPath) (*reply[any], error) {
		return a.deleteJob(ctx, in.ID)
	})
	huma.Register(h, route("POST /v2/job/{id}/pause", Operator, "pause-job", "Tell a job to pause", "jobs"), func(ctx context.Context, in *struct {
		JobPath
		Pause
	},
	) (*reply[client.Job], error) {
		return a.pauseJob(ctx, in.ID, in.For)
	})
	for _, c := range stateCommands[1:] {
		huma.Register(h, route("POST /v2/job/{id}/"+string(c), Operator, string(c)+"-job", "Tell a job to "+string(c), "jobs"), func(ctx context.Context, in *JobPath) (*reply[client.Job], error) {
			return a.tell(ctx, in.ID, c, 0)
		})
	}
	a.imports(h)
	huma.Register(h, route("POST /v2/job/{id}/plan", Viewer, "plan-job", "Dry run: what a run would do now; nothing is written", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]delivery.Preview], error) {
		return a.planJob(ctx, in.ID)
	})
	huma.Register(h, route("POST /v2/job/{id}/run", Operator, "run-job", "Open a run for each target of the job now; 409 while all have one", "jobs"), func(ctx context.Context, in *JobPath) (*reply[[]activation.Run], error) {
		return a.runJob(ctx, in.ID)
	})
}

// Pause is how long a job is to pause.
type Pause struct {
	For string `query:"for" doc:"such as 1h; it resumes by itself then. Left out = until it is resumed"`
}

// jobByWorkflow registers the same with the workflow in the path, as clients of
// the older generation ask. A job of another workflow is not there.
func (a *API) jobByWorkflow(h huma.API) {
	const root = "/v2/job/{workflow}/{id}"
	huma.Register(h, route("GET "+root, Viewer, "show-workflow-job", "Show a job", "jobs"), func(ctx context.Context, in *struct {
		WorkflowJobPath
		ShowState bool `query:"show_state" doc:"with its runtime detail"`
	},
	) (*reply[client.Job], error) {
		return within(ctx, a, &in.WorkflowJobPath, func(ctx context.Context, id string) (*reply[client.Job], error) { return a.job(ctx, id, in.ShowState) })
	})
	huma.Register(h, route("PUT "+root, Operator, "edit-workflow-job", "Change a job; what is left out stays. It takes effect at the next run", "jobs"), func(ctx context.Context, in *struct {
		WorkflowJobPath
		Body jobBody
	},
	) (*reply[client.Job], error) {
		return within(ctx, a, &in.WorkflowJobPath, func(ctx context.Context, id string) (*reply[client.Job], error) {
			return a.editJob(ctx, id, in.Body)
		})
	})
	huma.Register(h, route("DELETE "+root, Operator, "delete-workflow-job", "End a job for good and hide it; its name is free again", "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[any], error) {
		return within(ctx, a, in, a.deleteJob)
	})
	huma.Register(h, route("POST "+root+"/pause", Operator, "pause-workflow-job", "Tell a job to pause", "jobs"), func(ctx context.Context, in *struct {
		WorkflowJobPath
		Pause
	},
	) (*reply[client.Job], error) {
		return within(ctx, a, &in.WorkflowJobPath, func(ctx context.Context, id string) (*reply[client.Job], error) {
			return a.pauseJob(ctx, id, in.For)
		})
	})
	for _, c := range stateCommands[1:] {
		huma.Register(h, route("POST "+root+"/"+string(c), Operator, string(c)+"-workflow-job", "Tell a job to "+string(c), "jobs"), func(ctx context.Context, in *WorkflowJobPath) (*reply[client.Job], error) {
			return within(ctx, a, in, func(ctx context.Context, id string) (*reply[client.Job], error) { return a.tell(ctx, id, c, 0) })
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

func (a *API) job(ctx context.Context, id string, runtime bool) (*reply[client.Job], error) {
	job, err := a.Jobs.Job(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	v, err := a.oneJob(ctx, job, runtime)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, v)
}

func (a *API) createJob(ctx context.Context, key string, b jobBody) (*reply[client.Job], error) {
	user := CallerOf(ctx).Name
	spec, wrong := b.spec(catalog.JobSpec{Schedule: activation.Schedule{Continuous: true}})
	if len(wrong) > 0 {
		_, also := a.Catalog.CheckJob(ctx, spec)
		return nil, a.fail(ctx, badForm{wrong, also})
	}
	watch, given, err := b.monitors()
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	if given {
		if err := a.checkMonitors(ctx, watch, client.Job{Name: spec.Name}); err != nil {
			return nil, a.fail(ctx, err)
		}
	}
	once := catalog.Once{}
	if key != "" {
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		sum := sha256.Sum256(raw)
		once = catalog.Once{Person: user, Key: key, Digest: sum[:]}
	}
	job, err := a.Catalog.CreateJobOnce(ctx, spec, user, once)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	v, err := a.watched(ctx, job, watch, given)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return created(ctx, v)
}

func (a *API) editJob(ctx context.Context, id string, b jobBody) (*reply[client.Job], error) {
	before, err := a.Jobs.Job(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	spec, wrong := b.spec(catalog.SpecOf(before))
	if len(wrong) > 0 {
		return nil, a.fail(ctx, badForm{wrong, nil})
	}
	watch, given, err := b.monitors()
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	if given {
		if err := a.checkMonitors(ctx, watch, client.Job{ID: before.ID, Name: spec.Name}); err != nil {
			return nil, a.fail(ctx, err)
		}
	}
	job, err := a.Catalog.UpdateJob(ctx, before.ID, spec, CallerOf(ctx).Name)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	v, err := a.watched(ctx, job, watch, given)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, v)
}

func (a *API) deleteJob(ctx context.Context, id string) (*reply[any], error) {
	if err := a.Catalog.DeleteJob(ctx, activation.JobID(id), CallerOf(ctx).Name); err != nil {
		return nil, a.fail(ctx, err)
	}
	return deleted(ctx)
}

func (a *API) checkMonitors(ctx context.Context, watch []client.Monitor, job client.Job) error {
	for n, m := range watch {
		spec, wrong := monitorSpec(m, job, n)
		_, err := a.Catalog.CheckJob(ctx, spec)
		if len(wrong) > 0 {
			err = badForm{wrong, err}
		}
		if err != nil {
			return &activation.Error{Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: "monitoring", Message: fmt.Sprintf("monitoring: number %d of the list: %s", n+1, activation.SafeMessage(err)), Err: err}
		}
	}
	return nil
}

// watched gives a job the alerts that were declared with it, and shows it.
func (a *API) watched(ctx context.Context, job activation.Job, watch []client.Monitor, given bool) (client.Job, error) {
	if given {
		if err := a.unwatch(ctx, job.ID); err != nil {
			return client.Job{}, err
		}
		for n, m := range watch {
			spec, _ := monitorSpec(m, client.Job{ID: job.ID, Name: job.Name}, n)
			if _, err := a.Catalog.CreateJob(ctx, spec, CallerOf(ctx).Name); err != nil {
				return client.Job{}, err
			}
		}
	}
	return a.oneJob(ctx, job, false)
}

// unwatch deletes the alerts that belong to a job alone.
func (a *API) unwatch(ctx context.Context, id activation.JobID) error {
	watching, err := a.Jobs.Jobs(ctx, store.JobFilter{Tag: activation.MonitorTag(id), Hidden: true})
	if err != nil {
		return err
	}
	for _, m := range watching {
		if err := a.Catalog.DeleteJob(ctx, m.ID, CallerOf(ctx).Name); err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (a *API) pauseJob(ctx context.Context, id, forText string) (*reply[client.Job], error) {
	var d time.Duration
	if forText != "" {
		var err error
		if d, err = time.ParseDuration(forText); err != nil || d <= 0 || d > 365*24*time.Hour {
			return nil, a.fail(ctx, invalid("for", "for: must be a duration such as 1h, at most 8760h"))
		}
	}
	return a.tell(ctx, id, activation.CommandPause, d)
}

func (a *API) tell(ctx context.Context, id string, c activation.JobCommand, d time.Duration) (*reply[client.Job], error) {
	job, err := a.Catalog.Command(ctx, activation.JobID(id), c, d, CallerOf(ctx).Name)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	v, err := a.oneJob(ctx, job, false)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return ok(ctx, v)
}

func (a *API) planJob(ctx context.Context, id string) (*reply[[]delivery.Preview], error) {
	out, err := a.Delivery.PlanJob(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return list(ctx, out)
}

func (a *API) runJob(ctx context.Context, id string) (*reply[[]activation.Run], error) {
	job, err := a.Jobs.Job(ctx, activation.JobID(id))
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	if job.Destination == "" { // a job without targets makes a pass, which has no run
		if _, err := a.Catalog.Command(ctx, job.ID, activation.CommandRun, 0, CallerOf(ctx).Name); err != nil {
			return nil, a.fail(ctx, err)
		}
		return list(ctx, []activation.Run{})
	}
	out, err := a.Delivery.RunJob(ctx, job.ID)
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
