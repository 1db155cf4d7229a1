package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
)

// RunFilter narrows Runs and RunCounts; empty fields match all.
type RunFilter struct {
	Status      []activation.RunStatus
	SyncType    []activation.SyncType
	Providers   []string // the provider of the destination (its type)
	Destination activation.DestinationID
	Job         activation.JobID
	Audience    activation.AudienceID
	Target      activation.TargetID
	TriggeredBy string
	Cause       []activation.Cause
	// Since and Until bound the start: since included, until not. Lists are in the
	// order of numbers, so no index is chosen for it (hence the + before it).
	Since, Until time.Time
	// Before is the number to page on from: only older runs; 0 = the newest.
	Before int64
	// Limit is the most runs; 0 = 50.
	Limit int
}

func (f RunFilter) where() *where {
	w := &where{}
	in(w, "r.status", f.Status)
	in(w, "r.sync_type", f.SyncType)
	equal(w, "r.destination_id", f.Destination)
	equal(w, "r.job_id", f.Job)
	equal(w, "r.audience_id", f.Audience)
	equal(w, "r.target_id", f.Target)
	equal(w, "r.triggered_by", f.TriggeredBy)
	in(w, "r.cause", f.Cause)
	w.compare("+r.started_at", ">=", f.Since)
	w.compare("+r.started_at", "<", f.Until)
	if len(f.Providers) > 0 {
		inner := &where{args: w.args}
		in(inner, "d.provider", f.Providers)
		w.args = inner.args
		w.conditions = append(w.conditions, "r.destination_id IN (SELECT d.id FROM destinations d"+inner.sql()+")")
	}
	return w
}

// Runs lists runs, newest first. Page on with Before = the last one's number.
// Which runs fit is found in indexes alone; then so many runs are read as are
// listed.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]activation.Run, error) {
	w := f.where()
	if f.Before > 0 {
		w.add("r.number < $%d", f.Before)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+runColumns+` FROM runs r WHERE r.number IN (
			SELECT r.number FROM runs r`+w.sql()+` ORDER BY r.number DESC LIMIT `+w.next(orDefault(f.Limit, 50))+`)
		ORDER BY r.number DESC`, w.args...)
	out, err := collect(rows, err, scanRun)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return out, nil
}

// RunCounts counts the runs of a filter by status; page and limit do not count.
func (s *Store) RunCounts(ctx context.Context, f RunFilter) (map[activation.RunStatus]int64, error) {
	w := f.where()
	rows, err := s.read.QueryContext(ctx, `SELECT r.status, count(*) FROM runs r`+w.sql()+` GROUP BY r.status`, w.args...)
	out, err := counts[activation.RunStatus](rows, err)
	if err != nil {
		return nil, fmt.Errorf("count runs: %w", err)
	}
	return out, nil
}

// JobFilter narrows Jobs; empty fields match all that are neither hidden nor
// deleted.
type JobFilter struct {
	// State lists the states to show. Fault shows those that sleep because of an
	// error, beside them.
	State []activation.JobState
	Fault bool
	// Hidden and Deleted show such jobs too.
	Hidden, Deleted bool
	Workflow        string
	Provider        string
	Type            string
	Tag             string
	Destination     activation.DestinationID
	Audience        activation.AudienceID
	// Authorizations are those that the job or its destination uses, any of them.
	Authorizations []activation.AuthorizationID
	Name           string
	// Text is part of the name, in any case.
	Text string
	// After is the id of the job to page on from: only those listed after it.
	After activation.JobID
	// Limit is the most jobs; 0 = 1000.
	Limit int
}

func (f JobFilter) where() *where {
	w := &where{}
	if !f.Deleted {
		w.add("j.deleted_at IS NULL")
	}
	if !f.Hidden {
		w.add("NOT j.hidden")
	}
	f.states(w)
	equal(w, "j.workflow", f.Workflow)
	equal(w, "j.provider", f.Provider)
	equal(w, "j.type", f.Type)
	equal(w, "j.tag", f.Tag)
	equal(w, "j.destination_id", f.Destination)
	equal(w, "j.name", f.Name)
	if f.Audience != "" {
		w.add("EXISTS (SELECT 1 FROM targets t WHERE t.job_id = j.id AND t.audience_id = $%d)", string(f.Audience))
	}
	if f.Text != "" {
		w.add("lower(j.name) LIKE lower($%d) ESCAPE '!'", "%"+likeLiteral(f.Text)+"%")
	}
	if len(f.Authorizations) > 0 {
		f.users(w)
	}
	return w
}

// states narrows to the states, or to those that sleep because of an error.
func (f JobFilter) states(w *where) {
	inner := &where{args: w.args}
	in(inner, "j.state", f.State)
	w.args = inner.args
	switch states := strings.Join(inner.conditions, " AND "); {
	case f.Fault && states != "":
		w.conditions = append(w.conditions, "("+states+" OR j.sleep_reason IN ('error', 'authorization'))")
	case f.Fault:
		w.conditions = append(w.conditions, "j.sleep_reason IN ('error', 'authorization')")
	case states != "":
		w.conditions = append(w.conditions, states)
	}
}

// users narrows to the jobs that use any of the authorizations.
func (f JobFilter) users(w *where) {
	var uses []string
	for _, id := range f.Authorizations {
		uses = append(uses, "j.auth_ids LIKE "+w.next(`%"`+likeLiteral(string(id))+`"%`)+" ESCAPE '!'")
	}
	inner := &where{args: w.args}
	in(inner, "d.authorization_id", f.Authorizations)
	w.args = inner.args
	uses = append(uses, "EXISTS (SELECT 1 FROM destinations d"+inner.sql()+" AND d.id = j.destination_id)")
	w.conditions = append(w.conditions, "("+strings.Join(uses, " OR ")+")")
}

// likeLiteral makes LIKE with ESCAPE '!' take a text as it is.
func likeLiteral(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}

// Jobs lists jobs, newest first. Page on with After = the last one's id.
func (s *Store) Jobs(ctx context.Context, f JobFilter) ([]activation.Job, error) {
	w := f.where()
	if f.After != "" {
		w.add("(j.created_at, j.id) < (SELECT p.created_at, p.id FROM jobs p WHERE p.id = $%d)", string(f.After))
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+jobColumns+` FROM jobs j`+w.sql()+` ORDER BY j.created_at DESC, j.id DESC LIMIT `+w.next(orDefault(f.Limit, 1000)), w.args...)
	out, err := collect(rows, err, scanJob)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return out, nil
}

// JobCounts counts the jobs of a filter by state.
func (s *Store) JobCounts(ctx context.Context, f JobFilter) (map[activation.JobState]int64, error) {
	w := f.where()
	rows, err := s.read.QueryContext(ctx, `SELECT j.state, count(*) FROM jobs j`+w.sql()+` GROUP BY j.state`, w.args...)
	out, err := counts[activation.JobState](rows, err)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return out, nil
}
