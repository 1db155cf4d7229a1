// Package catalog is everything that people declare: authorizations,
// destinations, audiences, jobs, fields, streams and mappings. It checks each
// against what the provider's Definition or the warehouse says, stores it, and
// tells whoever must know.
//
// It owns validation: a wrong declaration answers with every wrong field named
// and is not stored. It runs nothing, sends nothing but the check of a
// destination, and never shows a secret. It is built for half-done changes: an
// audience that the warehouse refuses is not left in the store.
package catalog

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Store is what the catalog needs of the control store. user is who does it,
// for the audit log.
type Store interface {
	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	AddAudit(ctx context.Context, e activation.AuditEntry) error

	Audiences(ctx context.Context) ([]activation.Audience, error)
	CreateAudience(ctx context.Context, a activation.Audience, user string) (activation.Audience, error)
	UpdateAudience(ctx context.Context, a activation.Audience, user string) (activation.Audience, error)
	DeleteAudience(ctx context.Context, id activation.AudienceID, user string) error

	Hierarchy(ctx context.Context) (activation.Hierarchy, error)
	PriorityList(ctx context.Context, id activation.PriorityListID) (activation.PriorityList, error)
	PriorityLists(ctx context.Context, d activation.DestinationID) ([]activation.PriorityList, error)
	CreatePriorityList(ctx context.Context, l activation.PriorityList, user string) (activation.PriorityList, error)
	UpdatePriorityList(ctx context.Context, l activation.PriorityList, user string) (activation.PriorityList, error)
	DeletePriorityList(ctx context.Context, id activation.PriorityListID, user string) error

	Authorization(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error)
	Authorizations(ctx context.Context) ([]activation.Authorization, error)
	CreateAuthorization(ctx context.Context, a activation.Authorization, user string) (activation.Authorization, error)
	UpdateAuthorization(ctx context.Context, a activation.Authorization, user string) error
	ReplaceAuthorization(ctx context.Context, from, to activation.AuthorizationID, anew []activation.TargetID, user string) error
	DeleteAuthorization(ctx context.Context, id activation.AuthorizationID, user string) error

	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
	Destinations(ctx context.Context) ([]activation.Destination, error)
	CreateDestination(ctx context.Context, d activation.Destination, user string) (activation.Destination, error)
	UpdateDestination(ctx context.Context, d activation.Destination, user string) (activation.Destination, error)
	DeleteDestination(ctx context.Context, id activation.DestinationID, user string) error
	Targets(ctx context.Context, f store.TargetFilter) ([]activation.Target, error)

	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	Jobs(ctx context.Context, f store.JobFilter) ([]activation.Job, error)
	CreateJobOnce(ctx context.Context, j activation.Job, once activation.Once) (activation.Job, error)
	UpdateJob(ctx context.Context, j activation.Job, user string) error
	DeleteJob(ctx context.Context, id activation.JobID, user string) error
	Template(ctx context.Context, id string) (activation.Template, error)
	Templates(ctx context.Context) ([]activation.Template, error)
	CreateTemplate(ctx context.Context, v activation.Template) (activation.Template, error)
	UpdateTemplate(ctx context.Context, v activation.Template, user string) (activation.Template, error)
	DeleteTemplate(ctx context.Context, id, user string) error
	RunNow(ctx context.Context, id activation.JobID, user string) error
	Pause(ctx context.Context, id activation.JobID, d time.Duration, user string) error
	Resume(ctx context.Context, id activation.JobID, user string) error
	Bounce(ctx context.Context, id activation.JobID, user string) error
	Kill(ctx context.Context, id activation.JobID, user string) error
}

// Warehouse is what the catalog needs of the data plane.
type Warehouse interface {
	Apply(ctx context.Context, s warehouse.Schema) ([]string, error)
	DropField(ctx context.Context, name string) error
	Schema(ctx context.Context) (warehouse.Schema, error)
	Streams(ctx context.Context) ([]warehouse.StreamStat, error)
	SetAudiences(ctx context.Context, rules []warehouse.Rule, now time.Time) error
	Try(ctx context.Context, text string, now time.Time) (int64, error)
	Size(ctx context.Context, id activation.AudienceID) (int64, error)
}

// Sealer seals and opens secrets.
type Sealer interface {
	Seal(secrets map[string]provider.Secret) (sealed []byte, keyID string, err error)
	Open(sealed []byte, keyID string) (map[string]provider.Secret, error)
}

// Connector builds the client of a destination, with its credentials opened, for
// one of its provider's workflows or "" for none in particular. A destination
// without an id is tried only: nothing of it is kept.
type Connector func(ctx context.Context, d activation.Destination, workflow string) (provider.Destination, provider.Definition, error)

// Prover proves that the credentials of a job without a destination open what it
// works with. It changes nothing at the far side.
type Prover func(ctx context.Context, j activation.Job) error

// Health keeps whether credentials work.
type Health interface {
	// Report tells what a check of them found: nil means that they work.
	Report(ctx context.Context, id activation.AuthorizationID, found error) error
	// Test checks them now, reports and returns what it found.
	Test(ctx context.Context, id activation.AuthorizationID) error
}

// Config is what a Catalog is made of.
type Config struct {
	Store     Store
	Warehouse Warehouse
	Sealer    Sealer
	Providers []provider.Definition
	Connect   Connector
	// Prove tries jobs without a destination with other credentials.
	Prove    Prover
	Health   Health
	Consents Consents
	// Forget takes away what the data plane keeps of a job; nil = nothing is kept.
	// It is done again before a job is purged, so what is lost here is not lost.
	Forget func(ctx context.Context, id activation.JobID) error
	Log    *slog.Logger
	Now    func() time.Time
}

// Catalog is the use cases of declared things.
type Catalog struct {
	Config
	one chan struct{} // held while audiences or the schema change: one change at a time
}

// New returns a catalog.
func New(cfg Config) *Catalog { return &Catalog{Config: cfg, one: make(chan struct{}, 1)} }

// alone runs fn while no other change of audiences or schema is under way.
func (c *Catalog) alone(ctx context.Context, fn func() error) error {
	select {
	case c.one <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.one }()
	return fn()
}

// Definition returns the provider's definition, or an Invalid error that names
// the providers there are.
func (c *Catalog) Definition(name string) (provider.Definition, error) {
	i := slices.IndexFunc(c.Providers, func(d provider.Definition) bool { return d.Name == name })
	if i < 0 {
		names := make([]string, len(c.Providers))
		for i, d := range c.Providers {
			names[i] = d.Name
		}
		return provider.Definition{}, &activation.Error{
			Kind: activation.Invalid, Code: "PROVIDER-NOTFOUND-016", Field: "provider",
			Message: "no such provider; there are " + strings.Join(names, ", "),
		}
	}
	return c.Providers[i], nil
}

// Workflow returns the named workflow, in kebab or snake case, and the provider
// it belongs to.
func (c *Catalog) Workflow(name string) (provider.Workflow, provider.Definition, error) {
	name = strings.ReplaceAll(name, "-", "_")
	var names []string
	for _, d := range c.Providers {
		if w, ok := d.Workflow(name); ok {
			return w, d, nil
		}
		for _, w := range d.Workflows {
			names = append(names, w.Name)
		}
	}
	return provider.Workflow{}, provider.Definition{}, &activation.Error{
		Kind: activation.Invalid, Code: "WF-NOTFOUND-005", Field: "workflow",
		Message: "no such workflow; there are " + strings.Join(names, ", "),
	}
}

// word is what a slug looks like.
var word = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
