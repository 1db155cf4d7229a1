package publishing

import (
	"cmp"
	"context"
	"time"

	"usher/internal/activation"
	"usher/internal/pass"
	"usher/internal/provider"
)

// ConfigPublisher is the setting of an account's two jobs that names the account.
const ConfigPublisher = "publisher"

// runner does the passes of the two jobs of every account.
type runner struct{ desk *Desk }

// Runner returns what does the passes of sync and post jobs.
func (d *Desk) Runner() pass.Runner { return runner{d} }

// Workflows names the two workflows of each publisher.
func (r runner) Workflows() []string {
	var out []string
	for _, def := range r.desk.cfg.Providers {
		if p := def.Publishing; p != nil {
			out = append(out, p.Sync, p.Post)
		}
	}
	return out
}

// Lease is the same for both jobs of an account, so that one of them works at a time.
func (r runner) Lease(job activation.Job) string { return "account:" + job.Config[ConfigPublisher] }

// Due reports whether something of the account is released or of unknown outcome.
func (r runner) Due(ctx context.Context, job activation.Job) (bool, error) {
	return r.desk.cfg.Store.HasQueued(ctx, activation.PublisherID(job.Config[ConfigPublisher]))
}

// Pass posts what is released; of the sync job it goes through the nightly steps.
func (r runner) Pass(ctx context.Context, job activation.Job, p pass.Progress) error {
	account, err := r.desk.cfg.Store.PublisherOfJob(ctx, job.ID)
	if err != nil {
		return err
	}
	w := &worker{Desk: r.desk, account: account, p: p}
	if job.ID == account.SyncJob {
		err = w.nightly(ctx)
	} else {
		err = w.drain(ctx)
	}
	if w.failed > 0 && ctx.Err() == nil {
		if noteErr := w.noteFailed(ctx); err == nil {
			err = noteErr
		}
	}
	return err
}

// A worker is one attempt at a pass over one account.
type worker struct {
	*Desk
	account activation.PublisherAccount
	p       pass.Progress
	// client and declared are set by connect.
	client   provider.Publisher
	declared *provider.Publishing
	// most is how many edits the next call may have: fewer than declared once the
	// publisher refused a whole call.
	most int
	// failed counts the entries that it saw refused.
	failed int64
}

// connect builds the client, once.
func (w *worker) connect(ctx context.Context) error {
	if w.client != nil {
		return nil
	}
	client, def, err := w.cfg.Connect(ctx, w.account)
	if err != nil {
		return err
	}
	if def.Publishing == nil {
		return &activation.Error{Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Message: "the provider of the account edits no campaigns", Field: "provider"}
	}
	w.client, w.declared = client, def.Publishing
	w.most = w.maxEdits()
	return nil
}

func (w *worker) maxEdits() int { return max(1, w.declared.MaxEdits) }

// location is the zone of the account.
func location(a activation.PublisherAccount) *time.Location {
	loc, err := time.LoadLocation(cmp.Or(a.Timezone, "UTC"))
	if err != nil {
		return time.UTC
	}
	return loc
}
