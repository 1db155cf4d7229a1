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
	// tokens gives the access tokens of an authorization whose provider has them.
	tokens func(a activation.Authorization, o provider.OAuth, client *http.Client) provider.Tokens
	// site is the local table of the web destination.
	site provider.Site
	// dial replaces reaching the network in tests.
	dial func(ctx context.Context, network, hostport string) (net.Conn, error)

	mu           sync.Mutex
	http         map[activation.AuthorizationID]paced
	destinations map[use]connection
}

// use is a destination as one workflow uses it.
type use struct {
	destination activation.DestinationID
	workflow    string
}

// paced is the client of an authorization and the pace it keeps.
type paced struct {
	http      *http.Client
	perSecond float64
}

// limits are those of every client.
func (c *connections) limits() outbound.Config {
	return outbound.Config{AllowedHosts: c.cfg.AllowHosts, Log: c.log, Now: c.now, Dial: c.dial}
}

// client returns the one HTTP client of an authorization, made anew when its
// pace was changed. Where there is no authorization everybody has their own.
func (c *connections) client(auth activation.AuthorizationID, def provider.Definition, secrets map[string]provider.Secret) *http.Client {
	limits := c.limits()
	limits.RequestsPerSecond, limits.Burst = def.Pace(secrets)
	have := c.http[auth]
	if auth == "" || have.http == nil || have.perSecond != limits.RequestsPerSecond {
		have = paced{http: outbound.New(limits), perSecond: limits.RequestsPerSecond}
	}
	if auth != "" {
		c.http[auth] = have
	}
	return have.http
}

// consents asks people for their consent at networks.
func (c *connections) consents() *vault.Consents {
	return &vault.Consents{
		Store: c.store, Vault: c.box, PublicURL: c.cfg.PublicURL, Log: c.log, Now: c.now,
		Client: func() *http.Client { return outbound.New(c.limits()) },
	}
}

// template returns the text of a stored payload template.
func (c *connections) template(ctx context.Context, id string) (string, error) {
	t, err := c.store.Template(ctx, id)
	return t.Text, err
}

// connection is a client and what it was made from.
type connection struct {
	client               provider.Destination
	account, credentials time.Time // when they last changed
}

func newConnections(st *store.Store, box *vault.Vault, defs []provider.Definition, cfg config.Config, log *slog.Logger, now func() time.Time) *connections {
	c := &connections{
		store: st, box: box, defs: make(map[string]provider.Definition, len(defs)), cfg: cfg, log: log, now: now,
		tokens: (&vault.Tokens{Store: st, Vault: box, Log: log, Now: now}).Of,
		http:   map[activation.AuthorizationID]paced{}, destinations: map[use]connection{},
	}
	for _, d := range defs {
		c.defs[d.Name] = d
	}
	return c
}

// connect returns the client of a destination for a workflow of its provider,
// credentials opened. Without a workflow it is the one that keeps audiences, or
// where there is none the one of the first export.
func (c *connections) connect(ctx context.Context, d activation.Destination, workflow string) (provider.Destination, provider.Definition, error) {
	def, ok := c.defs[d.Provider]
	def = def.For(workflow)
	if !ok || def.NewDestination == nil {
		return nil, def, &activation.Error{Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Field: "provider", Message: "this server does not know the destination's provider"}
	}
	def = def.Configured(d.Config)
	made := connection{account: d.UpdatedAt}
	var auth activation.Authorization
	if d.Authorization != "" {
		var err error
		if auth, err = c.store.Authorization(ctx, d.Authorization); err != nil {
			return nil, def, err
		}
		made.credentials = auth.UpdatedAt
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.destinations[use{d.ID, workflow}]; ok && have.account.Equal(made.account) && have.credentials.Equal(made.credentials) {
		return have.client, def, nil
	}
	secrets, err := c.box.Fields(ctx, c.store, d)
	if err != nil {
		return nil, def, err
	}
	client := c.client(d.Authorization, def, secrets)
	deps := provider.Deps{
		Auth: secrets, Account: d.Account, Config: d.Config, HTTP: client, Dial: outbound.Dialer(c.limits()), Site: c.site, Template: c.template,
		Log: c.log.With(slog.String("provider", def.Name), slog.String("destination_id", string(d.ID))), Now: c.now,
	}
	if def.OAuth != nil && c.tokens != nil {
		deps.Tokens = c.tokens(auth, *def.OAuth, client)
	}
	made.client, err = def.NewDestination(deps)
	if err == nil && d.ID != "" { // one without an id is tried only
		c.destinations[use{d.ID, workflow}] = made
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
			client, _, err := connect(ctx, d, "")
			if err != nil {
				return err
			}
			return client.Check(ctx)
		}
		return vault.ErrNothingToProbe
	}
}
