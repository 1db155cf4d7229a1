package publishing

import (
	"context"
	"log/slog"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// Jobs is what the desk asks about the two jobs of an account, to say why its queue
// stands still. store.Store has it.
type Jobs interface {
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	Passes(ctx context.Context, job activation.JobID, before int64, limit int) ([]activation.Pass, error)
}

// Config is what a Desk is made of. Functions that are nil do nothing.
type Config struct {
	Store Store
	Jobs  Jobs
	// Providers are all there are; those with Publishing are publishers.
	Providers []provider.Definition
	// Connect builds the client of an account, credentials opened.
	Connect func(ctx context.Context, a activation.PublisherAccount) (provider.Publisher, provider.Definition, error)
	// Authorization returns what is known of an authorization, without its secrets.
	Authorization func(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error)
	// Source opens what a drop folder's job reads.
	Source func(ctx context.Context, job activation.Job) (provider.Source, provider.Definition, error)
	// Wake tells the engine that a job may have something to do.
	Wake func(kind, id string)
	// Changed tells that something people look at is different now.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time
}

// Desk is where edits come in and go out. Its methods may be called by any goroutine.
type Desk struct {
	cfg Config
}

// New returns a desk.
func New(cfg Config) *Desk {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Wake == nil {
		cfg.Wake = func(string, string) {}
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	return &Desk{cfg: cfg}
}

// publishing returns the declaration of a publisher by its provider's name; ok is
// false for a provider that is none.
func (d *Desk) publishing(name string) (_ *provider.Publishing, ok bool) {
	for _, def := range d.cfg.Providers {
		if def.Name == name && def.Publishing != nil {
			return def.Publishing, true
		}
	}
	return nil, false
}
