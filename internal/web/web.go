// Package web is the console: pages rendered on the server, alive over server-
// sent events, usable without JavaScript.
//
// It owns pages, forms and what a browser may do (session, CSRF, content
// security policy). It decides nothing: every button calls the same use case
// as the API and the command line. It shows personal values masked, and never a
// secret. It is built for the failure of a page that lies: what is shown is
// read from the tables each time, and a stream that stops says so.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/delivery"
	"usher/internal/ingest"
	"usher/internal/provider"
	"usher/internal/rebuild"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/warehouse"
)

// Config is what a Console is made of.
type Config struct {
	Version   string
	Log       *slog.Logger
	Now       func() time.Time
	Access    *access.Access
	Store     *store.Store
	Catalog   *catalog.Catalog
	Tracking  *tracking.Tracking
	Delivery  Delivery
	Warehouse warehouse.Warehouse
	Loads     Loads
	Providers []provider.Definition
	Notifier  Notifier
	Manifest  Manifest
	Vault     Vault
	Facts     Facts
	// Reconciling, Comparisons, Differences, Explain, Decisions and Insight may be
	// nil: their pages, and parts of pages, are not there then.
	Reconciling Reconciling
	Comparisons Comparisons
	Differences Differences
	Explain     Explains
	Decisions   Decisions
	Past        Past
	Insight     Insight
	// Publishing may be nil too: nothing of publishers is there then.
	Publishing Publishing
	DataIn
}

// Delivery is what the console needs of delivery.
type Delivery interface {
	RunJob(ctx context.Context, id activation.JobID) ([]activation.Run, error)
	RunAudience(ctx context.Context, id activation.AudienceID) ([]activation.Run, error)
	RunTarget(ctx context.Context, id activation.TargetID) (activation.Run, error)
	PlanTarget(ctx context.Context, id activation.TargetID) (delivery.Preview, error)
	PlanJob(ctx context.Context, id activation.JobID) ([]delivery.Preview, error)
	Approve(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	Decline(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	Withdraw(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	Retry(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	ReleaseTarget(ctx context.Context, id activation.TargetID, how activation.OnEnd, user string) (activation.Target, error)
}

// Loads tells what became of uploads, and does what can be done about them.
type Loads interface {
	Recent(ctx context.Context, stream string, limit int) ([]ingest.LoadStatus, error)
	// Retry merges a failed upload again, Discard forgets it and its rows.
	Retry(ctx context.Context, id string) error
	Discard(ctx context.Context, id string) error
}

// Console serves the pages. Its methods may be called by any goroutine.
type Console struct {
	Config
	templates templates
	live      map[string]loader // by page name, for the event streams
	hub       *hub
	day       day
	// What open pages ask for again and again, by stream.
	rates  brief[*rate]
	drifts brief[[]warehouse.Drifting]
	costs  brief[rebuild.Cost]
	waits  brief[int64]
	kept   keptFiles
}

// New returns a console.
func New(cfg Config) *Console {
	return &Console{Config: cfg, templates: parseTemplates(), live: map[string]loader{}, hub: newHub()}
}

// Register adds the console's routes to mux.
func (c *Console) Register(mux *http.ServeMux) {
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", assetHandler()))
	c.registerSession(mux)
	c.registerOverview(mux)
	c.registerSync(mux)
	c.registerRuns(mux)
	c.registerTarget(mux)
	c.registerHistory(mux)
	c.registerPlan(mux)
	c.registerWho(mux)
	c.registerDecisions(mux)
	c.registerPriorities(mux)
	c.registerJobs(mux)
	c.registerAudiences(mux)
	c.registerDestinations(mux)
	c.registerAuthorizations(mux)
	c.registerConfiguration(mux)
	c.registerSettings(mux)
	c.registerSearch(mux)
	c.registerAlerts(mux)
	c.registerData(mux)
	c.registerImport(mux)
	c.registerPeople(mux)
	c.registerTokens(mux)
	c.registerTemplates(mux)
	c.registerPublishing(mux)
	c.page(mux, "/help/{page}", "", c.help)
	mux.HandleFunc("GET /events", c.events)
	mux.HandleFunc("GET /", c.nothingHere)
}

// Changed tells that something changed; open pages look again soon.
func (c *Console) Changed() { c.hub.changed() }

// Close ends the event streams of all open pages and forgets files that wait for a
// confirmation.
func (c *Console) Close() {
	c.hub.close()
	c.kept.close()
}
