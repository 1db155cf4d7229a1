// Package imports runs import jobs: it takes what sources read, piece by piece, to
// the collector and keeps where each job stands.
//
// It owns the settings that every import has, the order of pieces, what is passed
// over, and the counts of a pass. It knows no network and no file format: sources
// are providers', rows are package ingest's. It is built for the crash between any
// two statements: rows and the state behind them are one commit of the inbox, and
// the counts of a pass are made from what is in there, so that a pass that is done
// again neither takes nor counts anything twice.
package imports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/pass"
	"usher/internal/provider"
	"usher/internal/warehouse/inbox"
)

// The classes of error; each has a page in docs/troubleshooting.
const (
	// CodeFile: what is in a file can't be taken.
	CodeFile = "IMPORT-FILE"
	// CodeWaiting: too much waits to be merged.
	CodeWaiting = "IMPORT-WAITING"
	// codeSettings: a setting of the job is wrong.
	codeSettings = "IMPORT-SETTINGS"
)

// What a pass counts beside what package ingest does.
const (
	countSkipped     = "skipped_files"
	countNewProfiles = activation.MetricNewProfiles
	countDuplicates  = "duplicates"
	countCorrected   = "corrected"
	countFailedLoads = "failed_loads"
)

// Config is what Imports is made of.
type Config struct {
	// Connect makes the source of a job, credentials opened.
	Connect func(ctx context.Context, job activation.Job) (provider.Source, provider.Definition, error)
	// Providers are those whose workflows of direction import are run, but for files of
	// campaigns: those are no messages.
	Providers []provider.Definition
	Collector *ingest.Collector
	Inbox     *inbox.Inbox
	// MaxWaiting is how many rows may wait to be merged before imports wait too.
	// Default 2,000,000.
	MaxWaiting int64
	// WaitMerged is how long a pass waits for its rows to be merged before it ends;
	// what is merged later counts in the next pass. Default 1 minute.
	WaitMerged time.Duration
	Log        *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// waitForRoom is how long an import waits while too much is to be merged.
const waitForRoom = 30 * time.Second

// Imports runs import jobs.
type Imports struct {
	cfg       Config
	workflows map[string]provider.Workflow
	names     []string
}

// New returns it; its Runner makes it work.
func New(cfg Config) *Imports {
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 2_000_000
	}
	if cfg.WaitMerged <= 0 {
		cfg.WaitMerged = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	i := &Imports{cfg: cfg, workflows: map[string]provider.Workflow{}}
	for _, d := range cfg.Providers {
		for _, w := range d.Workflows {
			if w.Direction == provider.Import && w.Subject != provider.Campaigns {
				i.workflows[w.Name] = w
				i.names = append(i.names, w.Name)
			}
		}
	}
	return i
}

// Runner does the passes of import jobs.
func (i *Imports) Runner() pass.Runner { return runner{i} }

type runner struct{ *Imports }

// Workflows names those of direction import.
func (r runner) Workflows() []string { return r.names }

// Due is for jobs in real time, of which imports have none.
func (r runner) Due(context.Context, activation.Job) (bool, error) { return false, nil }

// Pass reads everything that is there now.
func (r runner) Pass(ctx context.Context, job activation.Job, p pass.Progress) error {
	s, err := r.settings(job)
	if err != nil {
		return err
	}
	src, _, err := r.cfg.Connect(ctx, job)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // whatever it read is in
	w := &work{Imports: r.Imports, job: job, settings: s, source: src, progress: p, pass: string(p.Pass().ID)}
	if err := w.settle(ctx); err != nil {
		return err
	}
	err = w.all(ctx)
	if counting := w.settle(ctx); err == nil {
		err = counting
	}
	if err != nil {
		return err
	}
	return w.merged(ctx)
}

// work is one attempt at a pass.
type work struct {
	*Imports
	job      activation.Job
	settings settings
	source   provider.Source
	progress pass.Progress
	pass     string
	waiting  int64 // loads of the job that are not merged
}

// all takes in one piece after the other.
func (w *work) all(ctx context.Context) error {
	for {
		if err := w.room(ctx); err != nil {
			return err
		}
		at, err := w.cfg.Inbox.Import(ctx, string(w.job.ID))
		if err != nil {
			return err
		}
		piece, ok, err := w.source.Next(ctx, at.State)
		if err != nil {
			return err
		}
		if !ok {
			return w.remind(ctx, at.State)
		}
		w.progress.Moved()
		if err := w.take(ctx, piece); err != nil {
			return err
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
	}
}

// room says to wait while too much is to be merged. What is in already stays in.
func (w *work) room(ctx context.Context) error {
	_, rows, err := w.cfg.Inbox.Backlog(ctx)
	if err != nil || rows < w.cfg.MaxWaiting {
		return err
	}
	return &activation.Error{
		Kind: activation.WaitUntil, Code: CodeWaiting, Until: w.cfg.Now().Add(waitForRoom),
		Message: fmt.Sprintf("%d rows wait to be merged; the import goes on when there are fewer than %d", rows, w.cfg.MaxWaiting),
	}
}

// remind says in the log of the job what should have come and has not.
func (w *work) remind(ctx context.Context, state []byte) error {
	r, ok := w.source.(provider.Reminder)
	if !ok {
		return nil
	}
	if text := r.Overdue(state); text != "" {
		return w.progress.Note(ctx, "warn", "", text)
	}
	return nil
}

// take takes in one piece.
func (w *work) take(ctx context.Context, p provider.Piece) error {
	im := w.settings.of(p)
	im.Job, im.Pass, im.Between, im.Moved = string(w.job.ID), w.pass, w.between, w.progress.Moved
	got, err := w.cfg.Collector.Import(ctx, im)
	switch {
	case errors.Is(err, activation.ErrFenced):
		return context.Cause(ctx) // the job was reset: it begins anew
	case errors.Is(err, ingest.ErrBadFile) && w.settings.skipFiles:
		if err := w.progress.Note(ctx, "warn", CodeFile, fmt.Sprintf("passed over %q: %s", p.Name, activation.SafeMessage(err))); err != nil {
			return err
		}
		return w.cfg.Collector.PassOver(ctx, im, countSkipped)
	case errors.Is(err, ingest.ErrBadFile):
		// It may be mended there, so the job tries it again.
		return &activation.Error{Kind: activation.Unavailable, Code: CodeFile, Message: fmt.Sprintf("the file %q can't be taken: %s", p.Name, activation.SafeMessage(err)), Err: err}
	case err != nil:
		return err
	}
	if err := w.progress.Note(ctx, "info", "", took(p.Name, im.Stream, got)); err != nil {
		return err
	}
	if p.Settled != nil {
		return p.Settled(ctx)
	}
	return nil
}

// took says what became of a piece.
func took(name, stream string, got ingest.Imported) string {
	text := fmt.Sprintf("read %q into the stream %s: %d rows", name, stream, got.Rows)
	for _, part := range []struct {
		n    int64
		what string
	}{{got.Rejected, "rejected"}, {got.Unchanged, "unchanged"}, {got.Deleted, "deleted at the source"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if got.Resumed {
		text += "; what was read of it before is not counted here"
	}
	return text
}

// between is done when a part of a long file is in.
func (w *work) between(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	return w.room(ctx)
}

// settle brings the counts of the pass in step with those of the inbox.
func (w *work) settle(ctx context.Context) error {
	counts, waiting, failed, err := w.cfg.Inbox.SettleImport(ctx, string(w.job.ID), w.pass, countLoad)
	if err != nil {
		return err
	}
	w.waiting = waiting
	has := w.progress.Pass().Counts
	for name, n := range counts {
		if n > has[name] {
			w.progress.Count(name, n-has[name])
		}
	}
	for _, l := range failed {
		if err := w.progress.Note(ctx, "error", l.ErrorCode, fmt.Sprintf("%d rows of %q were not merged: %s; the load %s can be tried again", l.Rows, l.Filename, l.Error, l.ID)); err != nil {
			return err
		}
	}
	return nil
}

// countLoad is what a pass counts of a load that is merged or given up.
func countLoad(l inbox.Load) map[string]int64 {
	if l.Status == inbox.Failed {
		return map[string]int64{countFailedLoads: 1}
	}
	r := l.Result
	return map[string]int64{countNewProfiles: r.NewProfile, countDuplicates: r.Duplicates, countCorrected: r.Corrected}
}

// merged waits until what the pass has brought is merged, but not for long: a pass
// holds up the other jobs of its authorization.
func (w *work) merged(ctx context.Context) error {
	limit := time.NewTimer(w.cfg.WaitMerged)
	defer limit.Stop()
	for {
		changed := w.cfg.Inbox.Changed()
		if err := w.settle(ctx); err != nil || w.waiting == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return nil
		case <-changed:
			w.progress.Moved()
		}
	}
}
