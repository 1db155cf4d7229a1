package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

// NewJob is what a person gives to create a job.
type NewJob struct {
	Workflow    string
	Name        string
	Description string
	Destination activation.DestinationID
	// Audiences are ids or slugs.
	Audiences []string
	Config    map[string]string
	// Every is realtime, hourly, daily, weekly or a duration; "" = realtime.
	Every string
	// Continuous jobs go on; others complete after one run.
	Continuous bool
}

// CreateJob checks and stores a job; it is due at once.
func (c *Catalog) CreateJob(ctx context.Context, n NewJob, user string) (activation.Job, error) {
	workflow, def, err := c.Workflow(n.Workflow)
	if err != nil {
		return activation.Job{}, err
	}
	var p problems
	p.name("name", n.Name)
	config := p.check("config.", workflow.Fields, n.Config)
	every, err := Frequency(n.Every)
	if err != nil {
		p.add("run_frequency", "%s", err.Error())
	}
	d, err := c.Store.Destination(ctx, n.Destination)
	switch {
	case errors.Is(err, activation.ErrNotFound):
		p.add("destination_id", "no such destination")
	case err != nil:
		return activation.Job{}, err
	case d.Provider != def.Name:
		p.add("destination_id", "is a destination of %s, and this workflow needs one of %s", d.Provider, def.Name)
	}
	if len(n.Audiences) == 0 {
		p.add("segment_ids", "at least one audience is needed")
	}
	var audiences []activation.AudienceID
	for i, s := range n.Audiences {
		a, err := c.Audience(ctx, s)
		if errors.Is(err, activation.ErrNotFound) {
			p.add("segment_ids", "number %d of the list is no audience", i+1)
			continue
		}
		if err != nil {
			return activation.Job{}, err
		}
		audiences = append(audiences, a.ID)
	}
	if err := p.err("JOB-BADREQ-002"); err != nil {
		return activation.Job{}, err
	}
	return c.Store.CreateJob(ctx, activation.Job{
		Name: n.Name, Description: n.Description, Workflow: workflow.Name, Provider: def.Name, Type: string(workflow.Direction),
		Config: config, Destination: d.ID, Audiences: audiences, Schedule: activation.Schedule{Continuous: n.Continuous, Frequency: every}, CreatedBy: user,
	})
}

// Frequency reads realtime, hourly, daily, weekly or a duration of at least a
// minute. 0 = in real time.
func Frequency(s string) (string, error) {
	switch s {
	case "", activation.Realtime:
		return activation.Realtime, nil
	case "hourly", "daily", "weekly":
		return s, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d >= time.Minute {
		return s, nil
	}
	return "", fmt.Errorf("must be realtime, hourly, daily, weekly or a duration of at least 1m, such as 6h")
}

// Command tells a job to pause, resume, bounce or end, and returns it as
// it is then.
func (c *Catalog) Command(ctx context.Context, id activation.JobID, command activation.JobCommand, user string) (activation.Job, error) {
	var err error
	switch command {
	case activation.CommandPause:
		err = c.Store.Pause(ctx, id, 0, user)
	case activation.CommandResume:
		err = c.Store.Resume(ctx, id, user)
	case activation.CommandBounce:
		err = c.Store.Bounce(ctx, id, user)
	case activation.CommandKill:
		err = c.Store.Kill(ctx, id, user)
	case activation.CommandRun:
		return activation.Job{}, fmt.Errorf("%w: running is a matter of delivery", activation.ErrConflict)
	}
	if err != nil {
		return activation.Job{}, err
	}
	return c.Store.Job(ctx, id)
}
