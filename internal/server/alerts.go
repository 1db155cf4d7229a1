package server

import (
	"context"

	"usher/internal/activation"
	"usher/internal/provider"
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
