package server

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"usher/internal/store"
	"usher/internal/warehouse"
)

// announceEvery is how often what came in real time is announced at most.
const announceEvery = 250 * time.Millisecond

// announcer tells the control plane what came into the profiles: a bulk load at
// once, what comes in real time together with whatever came beside it. What it has
// not told when the server stops, the next start announces to targets anew.
type announcer struct {
	store   *store.Store
	log     *slog.Logger
	changed func(ctx context.Context)

	mu     sync.Mutex
	counts map[string]map[string]int64 // by stream
	wake   chan struct{}
}

func newAnnouncer(st *store.Store, log *slog.Logger, changed func(ctx context.Context)) *announcer {
	return &announcer{store: st, log: log, changed: changed, counts: map[string]map[string]int64{}, wake: make(chan struct{}, 1)}
}

// merged is told of each load that is in the profiles.
func (a *announcer) merged(ctx context.Context, l warehouse.Load, r warehouse.LoadResult) {
	a.mu.Lock()
	c := a.counts[l.Stream]
	if c == nil {
		c = map[string]int64{}
		a.counts[l.Stream] = c
	}
	for name, n := range map[string]int64{
		"messages": r.Rows, "duplicates": r.Duplicates, "corrected": r.Corrected, "new_profiles": r.NewProfile,
		"unidentified": r.Unidentified, "suppressed": r.Suppressed,
	} {
		c[name] += n
	}
	a.mu.Unlock()
	if len(r.Drift) > 0 {
		if err := a.store.StreamDrifted(ctx, l.Stream, driftMessage(l.ID, r.Drift)); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "nobody is told what a stream brings", slog.String("stream", l.Stream), slog.Any("error", err))
		}
	}
	if !l.Urgent {
		a.tell(ctx)
		return
	}
	select {
	case a.wake <- struct{}{}:
	default: // it will be told with what is there already
	}
}

// toldDrift is how many changes of a stream one event names.
const toldDrift = 10

// driftMessage says what a load changed in what its stream brings. It names columns
// and fields, never values.
func driftMessage(load string, drift []warehouse.Drifting) string {
	var parts []string
	for _, d := range drift[:min(len(drift), toldDrift)] {
		switch d.Kind {
		case "new_column":
			parts = append(parts, fmt.Sprintf("column %q is new", d.Column))
		case "missing_column":
			parts = append(parts, fmt.Sprintf("column %q is missing", d.Column))
		default:
			parts = append(parts, fmt.Sprintf("%d of %d values of %s cannot be read", d.Count, d.Of, d.Field))
		}
	}
	if more := len(drift) - toldDrift; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return "load " + load + ": " + strings.Join(parts, ", ")
}

// settling tells as well that what a stream brings was accepted.
type settling struct {
	warehouse.Mappings
	store *store.Store
}

// SettleDrift accepts what a stream brings now.
func (s settling) SettleDrift(ctx context.Context, stream string) error {
	if err := s.Mappings.SettleDrift(ctx, stream); err != nil {
		return err
	}
	return s.store.StreamSettled(ctx, stream)
}

// run tells what came in real time until ctx ends.
func (a *announcer) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			a.tell(context.WithoutCancel(ctx))
			return nil
		case <-a.wake:
		}
		a.tell(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(announceEvery):
		}
	}
}

func (a *announcer) tell(ctx context.Context) {
	a.mu.Lock()
	counts := a.counts
	a.counts = map[string]map[string]int64{}
	a.mu.Unlock()
	a.changed(ctx)
	for _, stream := range slices.Sorted(maps.Keys(counts)) {
		if err := a.store.AddSeries(ctx, store.SeriesStream, stream, counts[stream]); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "what a stream brought is not counted", slog.String("stream", stream), slog.Any("error", err))
		}
	}
}
