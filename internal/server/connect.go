package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/config"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/vault"
)

// connector builds the client of a destination: credentials opened, one
// outbound HTTP client per authorization so that pace and breaker are shared.
func connector(st *store.Store, box *vault.Vault, defs []provider.Definition, cfg config.Config, log *slog.Logger, now func() time.Time) catalog.Connector {
	clients := &clients{cfg: cfg, log: log, now: now, by: map[activation.AuthorizationID]*http.Client{}}
	byName := make(map[string]provider.Definition, len(defs))
	for _, d := range defs {
		byName[d.Name] = d
	}
	return func(ctx context.Context, d activation.Destination) (provider.Destination, provider.Definition, error) {
		def, ok := byName[d.Provider]
		if !ok || def.NewDestination == nil {
			return nil, def, &activation.Error{Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Field: "provider", Message: "this server does not know the destination's provider"}
		}
		secrets, err := box.Fields(ctx, st, d)
		if err != nil {
			return nil, def, err
		}
		dest, err := def.NewDestination(provider.Deps{
			Auth: secrets, Account: d.Account, Config: d.Config, HTTP: clients.of(d.Authorization),
			Log: log.With(slog.String("provider", def.Name), slog.String("destination_id", string(d.ID))), Now: now,
		})
		return dest, def.Configured(d.Config), err
	}
}

// clients keeps one outbound client per authorization.
type clients struct {
	cfg config.Config
	log *slog.Logger
	now func() time.Time

	mu sync.Mutex
	by map[activation.AuthorizationID]*http.Client
}

func (c *clients) of(id activation.AuthorizationID) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[id] == nil {
		c.by[id] = outbound.New(outbound.Config{AllowedHosts: c.cfg.AllowHosts, Log: c.log, Now: c.now})
	}
	return c.by[id]
}

// probe proves credentials through any destination that uses them.
func probe(st *store.Store, connect catalog.Connector) func(context.Context, activation.Authorization) error {
	return func(ctx context.Context, a activation.Authorization) error {
		all, err := st.Destinations(ctx)
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.Authorization != a.ID {
				continue
			}
			client, _, err := connect(ctx, d)
			if err != nil {
				return err
			}
			return client.Check(ctx)
		}
		return vault.ErrNothingToProbe
	}
}
