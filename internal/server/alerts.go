package server

import (
	"context"
	"errors"
	"log/slog"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/vault"
)

// alert returns what sends the notices of an alert job, credentials opened. It
// is made anew each time: it keeps nothing but the HTTP client, which is shared
// with all that uses the authorization.
func (c *connections) alert(ctx context.Context, job activation.Job) (provider.Alert, error) {
	def, ok := c.defs[job.Provider]
	if !ok || def.NewAlert == nil {
		return nil, &activation.Error{Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Field: "provider", Message: "this server does not know the job's provider"}
	}
	var auth activation.AuthorizationID
	if len(job.Authorizations) > 0 {
		auth = job.Authorizations[0]
	}
	secrets, err := c.box.Fields(ctx, c.store, activation.Destination{Authorization: auth})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	client := c.client(auth, def, secrets)
	c.mu.Unlock()
	return def.NewAlert(provider.Deps{
		Auth: secrets, Config: job.Config, HTTP: client, Dial: outbound.Dialer(c.limits()),
		Log: c.log.With(slog.String("provider", def.Name), slog.String("job_id", string(job.ID))), Now: c.now,
	})
}

// probe proves credentials through a destination that uses them, else through an
// alert job that does.
func (c *connections) probe(ctx context.Context, a activation.Authorization) error {
	if err := probe(c.store, c.connect)(ctx, a); !errors.Is(err, vault.ErrNothingToProbe) {
		return err
	}
	jobs, err := c.store.Jobs(ctx, store.JobFilter{Type: string(provider.Alerting), Authorizations: []activation.AuthorizationID{a.ID}, Hidden: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return vault.ErrNothingToProbe
	}
	client, err := c.alert(ctx, jobs[0])
	if err != nil {
		return err
	}
	return client.Check(ctx)
}
