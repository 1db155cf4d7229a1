package server

import (
	"context"
	"errors"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/vault"
)

// alert returns what sends the notices of an alert job, credentials opened. It
// is made anew each time: it keeps nothing but the HTTP client, which is shared
// with all that uses the authorization.
func (c *connections) alert(ctx context.Context, job activation.Job) (provider.Alert, error) {
	def, deps, err := c.standalone(ctx, job)
	if err == nil && def.NewAlert == nil {
		err = unknownPart()
	}
	if err != nil {
		return nil, err
	}
	return def.NewAlert(deps)
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
