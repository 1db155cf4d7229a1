package store

import (
	"context"
	"fmt"
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
	// Since and Until bound the start: since included, until not.
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
	w.compare("r.started_at", ">=", f.Since)
	w.compare("r.started_at", "<", f.Until)
	if len(f.Providers) > 0 {
		inner := &where{args: w.args}
		in(inner, "d.provider", f.Providers)
		w.args = inner.args
		w.conditions = append(w.conditions, "r.destination_id IN (SELECT d.id FROM destinations d"+inner.sql()+")")
	}
	return w
}

// Runs lists runs, newest first. Page on with Before = the last one's number.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]activation.Run, error) {
	w := f.where()
	if f.Before > 0 {
		w.add("r.number < $%d", f.Before)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+runColumns+` FROM runs r`+w.sql()+` ORDER BY r.number DESC LIMIT `+w.next(orDefault(f.Limit, 50)), w.args...)
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

// JobFilter narrows Jobs; empty fields match all.
type JobFilter struct {
	State       []activation.JobState
	Workflow    string
	Destination activation.DestinationID
	Audience    activation.AudienceID
	Name        string
	// Limit is the most jobs; 0 = 1000.
	Limit int
}

func (f JobFilter) where() *where {
	w := &where{}
	w.add("j.deleted_at IS NULL")
	in(w, "j.state", f.State)
	equal(w, "j.workflow", f.Workflow)
	equal(w, "j.destination_id", f.Destination)
	equal(w, "j.name", f.Name)
	if f.Audience != "" {
		w.add("EXISTS (SELECT 1 FROM targets t WHERE t.job_id = j.id AND t.audience_id = $%d)", string(f.Audience))
	}
	return w
}

// Jobs lists the jobs that are not deleted, newest first.
func (s *Store) Jobs(ctx context.Context, f JobFilter) ([]activation.Job, error) {
	w := f.where()
	rows, err := s.read.QueryContext(ctx, `SELECT `+jobColumns+` FROM jobs j`+w.sql()+` ORDER BY j.created_at DESC, j.id LIMIT `+w.next(orDefault(f.Limit, 1000)), w.args...)
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
