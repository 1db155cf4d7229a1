package server

import (
	"context"
	"log/slog"
	"net"
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

// connections keeps the client of each destination as long as neither the
// destination nor its credentials change, so that what a client learns (how
// much of its quota is used, when to come back) is known to the next run; and
// one outbound HTTP client per authorization, so that pace and breaker are
// shared.
type connections struct {
	store *store.Store
	box   *vault.Vault
	defs  map[string]provider.Definition
	cfg   config.Config
	log   *slog.Logger
	now   func() time.Time
	// dial replaces reaching the network in tests.
	dial func(ctx context.Context, network, hostport string) (net.Conn, error)

	mu           sync.Mutex
	http         map[activation.AuthorizationID]*http.Client
	destinations map[activation.DestinationID]connection
}

// connection is a client and what it was made from.
type connection struct {
	client               provider.Destination
	account, credentials time.Time // when they last changed
}

func newConnections(st *store.Store, box *vault.Vault, defs []provider.Definition, cfg config.Config, log *slog.Logger, now func() time.Time) *connections {
	c := &connections{
		store: st, box: box, defs: make(map[string]provider.Definition, len(defs)), cfg: cfg, log: log, now: now,
		http: map[activation.AuthorizationID]*http.Client{}, destinations: map[activation.DestinationID]connection{},
	}
	for _, d := range defs {
		c.defs[d.Name] = d
	}
	return c
}

// connect returns the client of a destination, credentials opened.
func (c *connections) connect(ctx context.Context, d activation.Destination) (provider.Destination, provider.Definition, error) {
	def, ok := c.defs[d.Provider]
	if !ok || def.NewDestination == nil {
		return nil, def, &activation.Error{Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Field: "provider", Message: "this server does not know the destination's provider"}
	}
	def = def.Configured(d.Config)
	made := connection{account: d.UpdatedAt}
	if d.Authorization != "" {
		auth, err := c.store.Authorization(ctx, d.Authorization)
		if err != nil {
			return nil, def, err
		}
		made.credentials = auth.UpdatedAt
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.destinations[d.ID]; ok && have.account.Equal(made.account) && have.credentials.Equal(made.credentials) {
		return have.client, def, nil
	}
	secrets, err := c.box.Fields(ctx, c.store, d)
	if err != nil {
		return nil, def, err
	}
	if c.http[d.Authorization] == nil {
		c.http[d.Authorization] = outbound.New(outbound.Config{AllowedHosts: c.cfg.AllowHosts, Log: c.log, Now: c.now, Dial: c.dial})
	}
	made.client, err = def.NewDestination(provider.Deps{
		Auth: secrets, Account: d.Account, Config: d.Config, HTTP: c.http[d.Authorization],
		Log: c.log.With(slog.String("provider", def.Name), slog.String("destination_id", string(d.ID))), Now: c.now,
	})
	if err == nil && d.ID != "" { // one without an id is tried only
		c.destinations[d.ID] = made
	}
	return made.client, def, err
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
