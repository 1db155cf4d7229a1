package web

import (
	"context"
	"io"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/imports"
	"usher/internal/rebuild"
	"usher/internal/warehouse"
)

// DataIn is what the console needs to show how data comes in. Each part may be
// nil: its pages and buttons are not there then.
type DataIn struct {
	Rebuilds Rebuilds
	Forgets  Forgets
	Imports  Imports
	Mapping  Mappings
	Merges   Merges
	Rejected Rejected
	Series   Series
	// Suppressed counts the identifier values that are kept away.
	Suppressed func(ctx context.Context) (int64, error)
}

// Rebuilds replays every message into fresh profiles, in the background.
type Rebuilds interface {
	Start(ctx context.Context, reason, user string) (activation.Rebuild, error)
	Rebuilds(ctx context.Context, limit int) ([]activation.Rebuild, error)
	Cancel(ctx context.Context, id activation.RebuildID, user string) (activation.Rebuild, error)
	Cost(ctx context.Context) (rebuild.Cost, error)
}

// Forgets erases people for good.
type Forgets interface {
	Ask(ctx context.Context, field, value, user string) (activation.Forget, error)
	Forget(ctx context.Context, id activation.ForgetID) (activation.Forget, error)
	Forgets(ctx context.Context, limit int) ([]activation.Forget, error)
}

// Imports looks into the sources of import jobs. A job that is looked at need not
// be stored.
type Imports interface {
	// Preview reads the first rows of what the job would read, masked; PreviewPlain
	// as they are.
	Preview(ctx context.Context, j activation.Job) (imports.FirstRows, error)
	PreviewPlain(ctx context.Context, j activation.Job) (imports.FirstRows, error)
	State(ctx context.Context, j activation.Job) (imports.Position, error)
	// Reset forgets how far the job has read.
	Reset(ctx context.Context, j activation.Job) error
}

// Mappings is what the editor of mappings needs of the data plane.
type Mappings interface {
	PreviewMappings(ctx context.Context, s warehouse.Schema, stream string, looked, limit int) (warehouse.MappingPreview, error)
	StreamDrift(ctx context.Context, stream string) ([]warehouse.Drifting, error)
	SettleDrift(ctx context.Context, stream string) error
}

// Merges tells which profiles were found to be one.
type Merges interface {
	Merges(ctx context.Context, profile int64, before time.Time, limit int) ([]warehouse.MergeEvent, error)
}

// Rejected gives the rows of an upload that were not taken, as NDJSON.
type Rejected interface {
	Rejected(ctx context.Context, loadID string) (io.ReadCloser, error)
}

// Series gives what was counted of a stream.
type Series interface {
	Series(ctx context.Context, kind, subject string, from, until time.Time, width time.Duration) (map[string][]activation.MetricPoint, error)
}

// briefAge is how long an answer of a brief is good for.
const briefAge = 5 * time.Second

// brief keeps answers for a moment, by name, since every open page asks for them
// again and again.
type brief[T any] struct {
	mu   sync.Mutex
	have map[string]briefly[T]
}

type briefly[T any] struct {
	at    time.Time
	value T
}

func (b *brief[T]) get(name string, now time.Time, ask func() (T, error)) (T, error) {
	b.mu.Lock()
	one, ok := b.have[name]
	b.mu.Unlock()
	if age := now.Sub(one.at); ok && age >= 0 && age < briefAge {
		return one.value, nil
	}
	value, err := ask()
	if err != nil {
		return value, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.have == nil {
		b.have = map[string]briefly[T]{}
	}
	b.have[name] = briefly[T]{now, value}
	return value, nil
}

// drop has the next one ask again.
func (b *brief[T]) drop(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.have, name)
}
