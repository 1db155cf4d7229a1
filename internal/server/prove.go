package server

import (
	"context"
	"errors"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/vault"
)

// prove proves that the credentials of a job without a destination open what it
// works with.
func (c *connections) prove(ctx context.Context, job activation.Job) error {
	switch provider.Direction(job.Type) {
	case provider.Import:
		source, _, err := c.source(ctx, job)
		if err != nil {
			return err
		}
		return errors.Join(source.Check(ctx), source.Close())
	case provider.Enrichment:
		enricher, _, err := c.enricher(ctx, job)
		if err != nil {
			return err
		}
		return enricher.Check(ctx)
	case provider.Editing:
		account, err := c.store.PublisherOfJob(ctx, job.ID)
		if err != nil {
			return err
		}
		account.Authorization = job.Authorizations[0]
		client, _, err := c.publisher(ctx, account)
		if err != nil {
			return err
		}
		_, err = client.Check(ctx)
		return err
	case provider.Alerting, provider.Deciding, provider.Export:
	}
	client, err := c.alert(ctx, job)
	if err != nil {
		return err
	}
	return client.Check(ctx)
}

// probe proves credentials through a destination that uses them, else through a job
// that does.
func (c *connections) probe(ctx context.Context, a activation.Authorization) error {
	if err := probe(c.store, c.connect)(ctx, a); !errors.Is(err, vault.ErrNothingToProbe) {
		return err
	}
	jobs, err := c.store.Jobs(ctx, store.JobFilter{Authorizations: []activation.AuthorizationID{a.ID}, Hidden: true})
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if job.Destination == "" && job.State != activation.JobKilled {
			return c.prove(ctx, job)
		}
	}
	return vault.ErrNothingToProbe
}
