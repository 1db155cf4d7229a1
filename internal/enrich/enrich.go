package enrich

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/pass"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// The counts of a pass.
const (
	CountReplies = "replies"
	CountNone    = "no_reply"
	CountFailed  = "failed"
)

const (
	// pagePeople is how many people are asked about between two notes of it.
	pagePeople = 2000
	// failedWait is how long a job in real time leaves those alone of whom asking
	// failed.
	failedWait = 15 * time.Minute
	// idleWait is how long a job in real time that had nothing to do is not looked
	// at again.
	idleWait = 5 * time.Second
	// manyFailures is how many calls may fail one after another before the far side
	// is taken for out of order.
	manyFailures = 3
)

// Collector takes messages in. *ingest.Collector is one.
type Collector interface {
	Bulk(ctx context.Context, r ingest.Request) (ingest.Summary, error)
}

// Config is what enrichments are made of.
type Config struct {
	Warehouse warehouse.Enrichments
	Collector Collector
	// Connect builds what asks, for a job.
	Connect func(ctx context.Context, job activation.Job) (provider.Enricher, provider.Definition, error)
	// Audience finds an audience by its id or short name; ErrNotFound where there is
	// none.
	Audience func(ctx context.Context, ref string) (activation.AudienceID, error)
	// Workflows are those that are enrichments.
	Workflows []string
	Log       *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Enrich does enrichments. Its methods may be called by any goroutine.
type Enrich struct {
	cfg Config

	mu   sync.Mutex
	idle map[activation.JobID]time.Time // until when nothing is expected
}

// New returns one.
func New(cfg Config) *Enrich {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Enrich{cfg: cfg, idle: map[activation.JobID]time.Time{}}
}

// Runner is the runner of enrichment jobs for package pass.
func (e *Enrich) Runner() pass.Runner { return runner{e} }

type runner struct{ *Enrich }

// Workflows names the workflows.
func (r runner) Workflows() []string { return r.cfg.Workflows }

// settings are those of a job, read.
type settings struct {
	stream  string
	refs    []string
	fields  []string
	batch   int
	workers int
	refresh time.Duration // 0 = never asked again
}

// read reads the settings of a job. Their defaults are those of the workflow.
func read(job activation.Job) (s settings, err error) {
	value := func(name string) string { return provider.Setting(provider.EnrichmentFields(), job.Config, name) }
	s = settings{stream: value(provider.StreamField), refs: provider.List(value(provider.SegmentsField)), fields: provider.List(value(provider.UserFieldsField)), batch: 1}
	number := func(name string, least, most int) (n int) {
		if err != nil {
			return 0
		}
		if n, err = strconv.Atoi(value(name)); err != nil || n < least || n > most {
			err = invalid(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
		}
		return n
	}
	size := number(provider.BatchSizeField, 1, provider.MaxAsked)
	s.workers = number(provider.WorkersField, 1, provider.MaxAskers)
	s.refresh = time.Duration(number(provider.RefreshDaysField, 0, 3650)) * 24 * time.Hour
	if err != nil {
		return s, err
	}
	several, perr := strconv.ParseBool(value(provider.BatchRequestsField))
	switch {
	case perr != nil:
		return s, invalid(provider.BatchRequestsField, "must be true or false")
	case !ingest.ValidName(s.stream):
		return s, invalid(provider.StreamField, "must be up to 63 lower-case letters, digits and underscores and begin with a letter")
	case several:
		s.batch = size
	}
	return s, nil
}

func invalid(field, message string) *activation.Error {
	return &activation.Error{Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: field, Message: field + ": " + message}
}

// request says who is asked about now. Of whom asking failed since failedBefore is
// left out.
func (e *Enrich) request(ctx context.Context, job activation.Job, s settings, failedBefore time.Time) (warehouse.EnrichmentRequest, error) {
	r := warehouse.EnrichmentRequest{Job: job.ID, Fields: s.fields, FailedBefore: failedBefore, Limit: pagePeople}
	if s.refresh > 0 {
		r.Before = e.cfg.Now().Add(-s.refresh)
	}
	for _, ref := range s.refs {
		id, err := e.cfg.Audience(ctx, ref)
		if errors.Is(err, activation.ErrNotFound) {
			return r, invalid(provider.SegmentsField, fmt.Sprintf("there is no audience %q", ref))
		}
		if err != nil {
			return r, fmt.Errorf("find an audience: %w", err)
		}
		r.Audiences = append(r.Audiences, id)
	}
	return r, nil
}

// Due reports whether a job in real time has somebody to ask about.
func (r runner) Due(ctx context.Context, job activation.Job) (bool, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	quiet := now.Before(r.idle[job.ID])
	r.mu.Unlock()
	if quiet {
		return false, nil
	}
	s, err := read(job)
	if err != nil {
		return true, nil //nolint:nilerr // the pass tells it
	}
	q, err := r.request(ctx, job, s, now.Add(-failedWait))
	if activation.KindOf(err) == activation.Invalid {
		return true, nil // the pass tells it
	}
	if err != nil {
		return false, err
	}
	waits, err := r.cfg.Warehouse.WaitsEnrichment(ctx, q)
	if err == nil && !waits {
		r.mu.Lock()
		r.idle[job.ID] = now.Add(idleWait)
		r.mu.Unlock()
	}
	return waits, err
}

// Pass asks about everybody who waits, page by page. Those of whom asking fails
// are left to the next pass.
func (r runner) Pass(ctx context.Context, job activation.Job, p pass.Progress) error {
	s, err := read(job)
	if err != nil {
		return err
	}
	asker, _, err := r.cfg.Connect(ctx, job)
	if err != nil {
		return err
	}
	failedBefore := p.Pass().StartedAt
	if job.Schedule.RealTime() {
		failedBefore = r.cfg.Now().Add(-failedWait)
	}
	for {
		q, err := r.request(ctx, job, s, failedBefore)
		if err != nil {
			return err
		}
		people, err := r.cfg.Warehouse.ToEnrich(ctx, q)
		if err != nil {
			return fmt.Errorf("find people to ask about: %w", err)
		}
		if len(people) == 0 {
			return nil
		}
		round := &round{asker: asker, settings: s}
		stop := round.ask(ctx, people)
		if err := r.keep(ctx, job, s, p, people, round.answers); err != nil {
			return errors.Join(err, stop)
		}
		if err := p.Save(ctx); err != nil {
			return err
		}
		if stop != nil {
			return stop
		}
	}
}
