package server

import (
	"context"

	"usher/internal/activation"
	"usher/internal/provider"
)

// publisher returns the client of a publisher account, credentials opened. All
// accounts of one authorization share its HTTP client, and with it its pace.
func (c *connections) publisher(ctx context.Context, a activation.PublisherAccount) (provider.Publisher, provider.Definition, error) {
	def, deps, err := c.standalone(ctx, activation.Job{ID: a.PostJob, Provider: a.Provider, Authorizations: []activation.AuthorizationID{a.Authorization}, Config: a.Config})
	if err == nil && def.Publishing == nil {
		err = unknownPart()
	}
	if err != nil {
		return nil, def, err
	}
	deps.Account, deps.Workflow = a.Account, def.Publishing.Post
	client, err := def.Publishing.New(deps)
	return client, def, err
}
