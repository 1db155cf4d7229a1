package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

const jobColumns = `j.id, j.name, j.description, j.workflow, j.provider, j.type, j.config, j.destination_id, j.audiences, j.state, j.sleep_reason, j.sleep_until,
	j.consecutive_errors, j.failing_since, j.fail_after, j.stall_after, j.schedule, j.reach, j.auth_ids, j.on_end, j.tag, j.hidden, j.verbose_logging, j.deleted_at IS NOT NULL,
	j.created_by, j.created_at, j.updated_at, j.state_since, j.resume_at, j.last_run_at,
	CASE WHEN j.state IN ('runnable', 'sleeping') THEN coalesce((SELECT min(n.next_at) FROM targets n WHERE n.job_id = j.id), j.next_at) END,
	(SELECT min(s.stalled_at) FROM runs s WHERE s.job_id = j.id AND s.stalled_at IS NOT NULL AND s.status = 'running'), j.quiet_from, j.quiet_until, j.stream, j.exclude, j.level`

func scanJob(r scanner) (activation.Job, error) {
	var j activation.Job
	err := r.Scan(&j.ID, &j.Name, &j.Description, &j.Workflow, &j.Provider, &j.Type, object{&j.Config}, word[activation.DestinationID]{&j.Destination}, object{&j.Audiences}, &j.State, word[activation.SleepReason]{&j.SleepReason}, stamp{&j.SleepUntil},
		&j.ConsecutiveErrors, stamp{&j.FailingSince}, span{&j.FailAfter}, span{&j.StallAfter}, object{&j.Schedule}, object{&j.Reach}, object{&j.Authorizations}, &j.OnEnd, &j.Tag, &j.Hidden, &j.VerboseLogging, &j.Deleted,
		&j.CreatedBy, stamp{&j.CreatedAt}, stamp{&j.UpdatedAt}, stamp{&j.StateSince}, stamp{&j.ResumeAt}, stamp{&j.LastRunAt}, stamp{&j.NextRunAt}, stamp{&j.StalledAt}, stamp{&j.QuietFrom}, stamp{&j.QuietUntil}, &j.Stream, object{&j.Exclude}, &j.Level)
	return j, err
}

// Job returns one job, or ErrNotFound; a deleted one is not found.
func (s *Store) Job(ctx context.Context, id activation.JobID) (activation.Job, error) {
	j, err := scanJob(s.read.QueryRowContext(ctx, `SELECT `+jobColumns+` FROM jobs j WHERE j.id = $1 AND j.deleted_at IS NULL`, id))
	return found(j, err, "job", id)
}

func (t *tx) job(id activation.JobID) (activation.Job, error) {
	j, err := scanJob(t.row(`SELECT `+jobColumns+` FROM jobs j WHERE j.id = $1`+t.d.ForUpdate, id))
	return found(j, err, "job", id)
}

// jobState returns the state of a job and whether it is gone. A target without
// a job has a gone one.
func (t *tx) jobState(id activation.JobID) (state activation.JobState, gone bool, err error) {
	if id == "" {
		return activation.JobKilled, true, nil
	}
	err = t.row(`SELECT state, deleted_at IS NOT NULL FROM jobs WHERE id = $1`, id).Scan(&state, &gone)
	if err != nil {
		err = fmt.Errorf("read job %q: %w", id, err)
	}
	return state, gone, err
}

func (t *tx) ownerName(id activation.JobID) (string, error) {
	if id == "" {
		return "", nil
	}
	var name string
	err := t.row(`SELECT name FROM jobs WHERE id = $1`, id).Scan(&name)
	return name, err
}

// ConfigRemoteID is the key of a job's configuration that names an existing
// remote audience for the one audience of the job.
const ConfigRemoteID = "remote_id"

// CreateJob stores a job, runnable and due now, with one target per audience
// at its destination. A name taken in the workflow is ErrConflict. A target
// (or named remote audience) that a living job owns is Invalid naming the
// owner; one whose owner was killed or completed is adopted, ledger included.
func (s *Store) CreateJob(ctx context.Context, j activation.Job) (activation.Job, error) {
	return s.CreateJobOnce(ctx, j, activation.Once{})
}

// CreateJobOnce is CreateJob; a repetition of once returns the job that the
// first request made, and its key with another digest is Invalid.
func (s *Store) CreateJobOnce(ctx context.Context, j activation.Job, once activation.Once) (activation.Job, error) {
	given := j
	err := s.do(ctx, func(t *tx) error {
		made, err := t.earlier(once)
		if err != nil {
			return err
		}
		if made != "" {
			j, err = t.job(activation.JobID(made))
			return err
		}
		if j, err = t.createJob(given); err != nil {
			return err
		}
		return t.remember(once, string(j.ID))
	})
	if err != nil {
		return activation.Job{}, fmt.Errorf("create job: %w", err)
	}
	return j, nil
}

func (t *tx) createJob(given activation.Job) (activation.Job, error) {
	j := t.newJob(given)
	if err := t.insertJob(j); err != nil {
		if isConflict(err) {
			return j, conflict("a job named %q of workflow %q exists already", j.Name, j.Workflow)
		}
		return j, err
	}
	if err := t.createTargets(j); err != nil {
		return j, err
	}
	if err := t.log(activation.LogEntry{Job: j.ID, Event: activation.LogCreated, Message: "created", Context: activation.LogContext{User: j.CreatedBy}}); err != nil {
		return j, err
	}
	if err := t.createdEvent(j); err != nil {
		return j, err
	}
	return j, t.audit(activation.AuditEntry{Actor: j.CreatedBy, Verb: "create", SubjectType: "job", SubjectID: string(j.ID), After: encode(jobFace(j))})
}

func (t *tx) newJob(j activation.Job) activation.Job {
	if j.ID == "" {
		j.ID = activation.NewID[activation.JobID]()
	}
	if j.FailAfter <= 0 {
		j.FailAfter = activation.DefaultFailAfter
	}
	if j.StallAfter <= 0 {
		j.StallAfter = activation.DefaultStallAfter
	}
	if j.OnEnd == "" {
		j.OnEnd = activation.EndKeep
	}
	j.QuietFrom, j.QuietUntil = schedule.Quiet(j.Schedule, t.now)
	as := j.Hushed(activation.Created(t.now, schedule.First(j.Schedule, t.now)), t.now)
	j.State, j.SleepReason, j.SleepUntil, j.ResumeAt = as.State, as.Reason, as.Until, as.ResumeAt
	j.ConsecutiveErrors, j.FailingSince, j.LastRunAt = 0, time.Time{}, time.Time{}
	j.CreatedAt, j.UpdatedAt, j.StateSince = t.now, t.now, t.now
	return j
}

func (t *tx) insertJob(j activation.Job) error {
	_, err := t.exec(`INSERT INTO jobs (id, name, description, workflow, provider, type, config, destination_id, audiences, state, state_since, consecutive_errors, fail_after,
		stall_after, schedule, realtime, once, reach, auth_ids, on_end, tag, hidden, verbose_logging, expires_at, created_by, created_at, updated_at, sleep_reason, sleep_until, quiet_from, quiet_until, stream, exclude, level)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $24, $10, 0, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $10, $10, $25, $26, $27, $28, $29, $30, $31)`,
		j.ID, j.Name, j.Description, j.Workflow, j.Provider, j.Type, encode(j.Config), text(j.Destination), encode(j.Audiences), t.micros(), j.FailAfter.Microseconds(),
		j.StallAfter.Microseconds(), encode(j.Schedule), j.RealTime(), j.Once(), encode(j.Reach), encode(j.Authorizations), j.OnEnd, j.Tag, j.Hidden, j.VerboseLogging, at(j.ExpiresAt), j.CreatedBy,
		j.State, text(j.SleepReason), at(j.SleepUntil), at(j.QuietFrom), at(j.QuietUntil), j.Stream, list(j.Exclude), j.Level)
	return err
}

// jobFace is what the audit log keeps of a job: no configuration values.
func jobFace(j activation.Job) any {
	return struct {
		Name      string                   `json:"name"`
		Workflow  string                   `json:"workflow"`
		State     activation.JobState      `json:"status"`
		Dest      activation.DestinationID `json:"destination_id,omitempty"`
		Audiences []activation.AudienceID  `json:"segment_ids,omitempty"`
		Stream    string                   `json:"stream,omitempty"`
		Config    []string                 `json:"config_keys,omitempty"`
	}{j.Name, j.Workflow, j.State, j.Destination, j.Audiences, j.Stream, keysOf(j.Config)}
}

func keysOf(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// createTargets makes or adopts a target for each audience of the job, or makes
// the one of its stream: a cursor over events belongs to one job and is never
// adopted.
func (t *tx) createTargets(j activation.Job) error {
	if j.Destination == "" {
		return t.beginPasses(j)
	}
	remote := j.Config[ConfigRemoteID]
	if remote != "" && len(j.Audiences) != 1 {
		return invalid(ConfigRemoteID, "a remote audience belongs to exactly one audience; the job has %d", len(j.Audiences))
	}
	if j.Stream != "" {
		id, err := t.insertTarget(j, "")
		if err != nil {
			return err
		}
		t.Enqueue(WakeTarget, string(id))
		return nil
	}
	for _, audience := range j.Audiences {
		id, err := t.createTarget(j, audience)
		if err != nil {
			return err
		}
		if remote != "" {
			if err := t.nameRemote(id, remote); err != nil {
				return err
			}
		}
		t.Enqueue(WakeTarget, string(id))
	}
	return t.sent(j.Destination, j.Audiences)
}

func (t *tx) createTarget(j activation.Job, audience activation.AudienceID) (activation.TargetID, error) {
	have, err := collectOne(t, scanTarget, `SELECT `+targetColumns+` FROM targets t WHERE t.destination_id = $1 AND t.audience_id = $2`+t.d.ForUpdate, j.Destination, audience)
	if err != nil {
		return "", err
	}
	if have != nil {
		return have.ID, t.adopt(*have, j)
	}
	var known bool
	if err := t.row(`SELECT EXISTS (SELECT 1 FROM destinations WHERE id = $1) AND EXISTS (SELECT 1 FROM audiences WHERE id = $2)`, j.Destination, audience).Scan(&known); err != nil {
		return "", err
	}
	if !known {
		return "", invalid("segment_ids", "destination %q or audience %q does not exist", j.Destination, audience)
	}
	return t.insertTarget(j, audience)
}

// insertTarget makes a target of the job: that of an audience, or where that is
// empty that of its stream.
func (t *tx) insertTarget(j activation.Job, audience activation.AudienceID) (activation.TargetID, error) {
	stream := j.Stream
	if audience != "" {
		stream = ""
	}
	id := activation.NewID[activation.TargetID]()
	if _, err := t.exec(`INSERT INTO targets (id, destination_id, audience_id, job_id, remote_id, remote_name, generation, dirty_seq, done_seq, state, consecutive_errors, created_at, stream, workflow)
		VALUES ($1, $2, $3, $4, '', '', 1, 0, 0, 'runnable', 0, $5, $6, $7)`, id, j.Destination, text(audience), j.ID, t.micros(), stream, j.Workflow); err != nil {
		return "", err
	}
	target, err := t.target(id)
	if err != nil {
		return "", err
	}
	return id, t.beginTarget(target, j)
}

// beginTarget makes a target of a new job due: now, or at the job's time of day.
func (t *tx) beginTarget(target activation.Target, j activation.Job) error {
	begin := starts(j, t.now)
	if err := t.setRest(target, begin.rest); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE targets SET due_at = NULL, due_cause = NULL, next_at = $1 WHERE id = $2`, at(begin.next), target.ID); err != nil || begin.due.IsZero() {
		return err
	}
	return t.setDue(target.ID, begin.due.UnixMicro(), byTarget)
}

// adopt gives a target whose owner has ended to another job, with its remote
// audience and ledger but without its errors. Was it to be given up, it is not.
func (t *tx) adopt(target activation.Target, j activation.Job) error {
	state, gone, err := t.jobState(target.Job)
	if err != nil {
		return err
	}
	if !gone && state != activation.JobKilled && state != activation.JobCompleted {
		owner, err := t.ownerName(target.Job)
		if err != nil {
			return err
		}
		return taken("the audience at this destination", owner)
	}
	if target.Workflow != "" && target.Workflow != j.Workflow {
		return invalid("segment_ids", "what this destination holds of the audience was sent by the workflow %q; release it first", target.Workflow)
	}
	if _, err := t.exec(`UPDATE targets SET job_id = $1, release_mode = NULL, workflow = $2 WHERE id = $3`, j.ID, j.Workflow, target.ID); err != nil {
		return err
	}
	return t.beginTarget(target, j)
}

// nameRemote gives a target the remote audience that the job names.
func (t *tx) nameRemote(id activation.TargetID, remote string) error {
	target, err := t.target(id)
	if err != nil || target.RemoteID == remote {
		return err
	}
	if err := t.freeRemote(target, remote); err != nil {
		return err
	}
	return t.must(invalid(ConfigRemoteID, "the target has another remote audience already"),
		`UPDATE targets SET remote_id = $1 WHERE id = $2 AND remote_id = ''`, remote, id)
}

// retarget gives a job the targets of its audiences: new ones are made or
// adopted, those of audiences it no longer names are free to be adopted. A run
// of theirs that is under way ends by itself.
func (t *tx) retarget(before, after activation.Job) error {
	if slices.Equal(before.Audiences, after.Audiences) {
		return nil
	}
	if _, err := t.exec(`UPDATE jobs SET audiences = $1 WHERE id = $2`, encode(after.Audiences), after.ID); err != nil {
		return err
	}
	for _, audience := range before.Audiences {
		if slices.Contains(after.Audiences, audience) {
			continue
		}
		if _, err := t.exec(`UPDATE targets SET job_id = NULL, due_at = NULL, due_cause = NULL, next_at = NULL WHERE job_id = $1 AND audience_id = $2`, after.ID, audience); err != nil {
			return err
		}
		if err := t.sent(before.Destination, []activation.AudienceID{audience}); err != nil {
			return err
		}
	}
	fresh := after
	fresh.Destination = before.Destination
	fresh.Audiences = slices.DeleteFunc(slices.Clone(after.Audiences), func(a activation.AudienceID) bool { return slices.Contains(before.Audiences, a) })
	if len(fresh.Audiences) == 0 {
		return nil
	}
	return t.createTargets(fresh)
}

// settleJob derives what a job shows from its targets, and does what follows
// when that completes or fails the job. A job without targets keeps its rest
// itself.
func (t *tx) settleJob(id activation.JobID) error {
	if id == "" {
		return nil
	}
	targets, err := t.targetsOf(id)
	if err != nil || len(targets) == 0 {
		return err
	}
	job, err := t.job(id)
	if err != nil {
		return err
	}
	rests := make([]activation.Rest, len(targets))
	for i, target := range targets {
		rests[i] = restOf(target)
	}
	next := job.Hushed(activation.Settled(job.Standing(), rests, t.now), t.now)
	if err := t.setStanding(job, next); err != nil || next.State == job.State {
		return err
	}
	return t.settled(job, next.State)
}

// settled does what follows when a job has completed or failed by itself.
func (t *tx) settled(job activation.Job, state activation.JobState) error {
	switch state {
	case activation.JobCompleted:
		if err := t.releaseTargets(job); err != nil {
			return err
		}
		if err := t.sent(job.Destination, job.Audiences); err != nil {
			return err
		}
		if err := t.eventOfJob(job, activation.EventCompleted, "all its work is done"); err != nil {
			return err
		}
		return t.log(activation.LogEntry{Job: job.ID, Event: activation.LogCompleted, Message: "all its work is done"})
	case activation.JobFailed:
		if err := t.endPending(job.ID); err != nil {
			return err
		}
		if err := t.jobGaveUp(job); err != nil {
			return err
		}
		code, _, run, err := t.lastError(job.ID)
		if err != nil {
			return err
		}
		return t.log(activation.LogEntry{Job: job.ID, Event: activation.LogFailed, Level: "error", Code: code, Context: activation.LogContext{Run: run}, Message: "no target of the job goes on; it will not run again by itself"})
	case activation.JobRunnable, activation.JobSleeping, activation.JobPaused, activation.JobKilled:
	}
	return nil
}
