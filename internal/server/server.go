// Package server wires everything together: New(cfg) → Run(ctx) → Close. serve,
// demo and the end-to-end tests start the same thing, serve by Open, which
// takes turns with other processes where the control plane is in PostgreSQL.
//
// It owns the order of starting and stopping and which part knows which. It
// holds no logic of its own: whatever is decided here belongs in a room of its
// own. It is built for the stop in mid-work: listeners close first, the engine
// lets go within 10 s, and databases close last.
package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/alerting"
	"usher/internal/api"
	"usher/internal/catalog"
	"usher/internal/config"
	"usher/internal/decision"
	"usher/internal/delivery"
	"usher/internal/disk"
	"usher/internal/engine"
	"usher/internal/enrich"
	"usher/internal/explain"
	"usher/internal/forget"
	"usher/internal/imports"
	"usher/internal/ingest"
	"usher/internal/insight"
	"usher/internal/manifest"
	"usher/internal/paid"
	"usher/internal/pass"
	"usher/internal/provider"
	"usher/internal/provider/all"
	"usher/internal/publishing"
	"usher/internal/queue"
	"usher/internal/rebuild"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/vault"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/inbox"
	"usher/internal/warehouse/site"
	"usher/internal/web"
)

// Options are what a test or the demo may set beside the configuration.
type Options struct {
	Version string
	// Providers replaces the list of the binary.
	Providers []provider.Definition
	// Faults is called at every named point of a delivery.
	Faults delivery.Faults
	// Listener replaces listening at Config.Listen.
	Listener net.Listener
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Room replaces asking the system how full the disk is.
	Room func(dir string) (free, total uint64, err error)
	// ImportRows is how many rows of an import become one load; 0 = the default.
	ImportRows int64
	// LeaseTTL, Renew, Sweep and StopWithin shorten the engine's times in tests.
	LeaseTTL, Renew, Sweep, StopWithin time.Duration
	// Announce is told of the server when a Process begins to work, which one
	// that stands by may do again and again.
	Announce func(*Server)
}

// Server is one Usher process.
type Server struct {
	cfg  config.Config
	log  *slog.Logger
	http *http.Server
	ln   net.Listener

	store     *store.Store
	queue     *queue.Queue // nil without PostgreSQL
	warehouse *duckdb.DB
	inbox     *inbox.Inbox
	site      *site.Site
	merger    *ingest.Merger
	engine    *engine.Engine
	console   *web.Console
	access    *access.Access
	announcer *announcer
	insight   *insight.Insight
	rebuilder *rebuild.Rebuilder
	forgetter *forget.Forgetter
	desk      *publishing.Desk
	signIn    string
}

// New opens everything under cfg.Data and listens. Nothing runs before Run.
func New(ctx context.Context, cfg config.Config, log *slog.Logger, opt Options) (_ *Server, err error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Providers == nil {
		opt.Providers = all.Definitions()
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	s := &Server{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()

	if s.warehouse, err = duckdb.Open(ctx, duckdb.Config{
		Path: filepath.Join(cfg.Data, "warehouse.duckdb"), MemoryLimitBytes: int64(cfg.MemoryMB) << 20, Threads: cfg.Threads, Log: log, Now: opt.Now,
	}); err != nil {
		return nil, inUse(err, cfg.Data)
	}
	if err := emptyScratch(cfg.Data); err != nil {
		return nil, err
	}
	node := nodeName()
	if err := s.openControl(ctx, node, opt.Now); err != nil {
		return nil, err
	}
	if s.inbox, err = inbox.Open(ctx, inbox.Config{Dir: filepath.Join(cfg.Data, "inbox"), Log: log, Now: opt.Now}); err != nil {
		return nil, err
	}
	if s.site, err = site.Open(ctx, cfg.Data, log); err != nil {
		return nil, err
	}
	box, err := openVault(cfg.Data)
	if err != nil {
		return nil, err
	}

	clients := newConnections(s.store, box, opt.Providers, cfg, log, opt.Now)
	clients.site = siteTable{s.site}
	connect := clients.connect
	health := &vault.Health{Store: s.store, Probe: clients.probe, Log: log, Now: opt.Now}
	declared := catalog.New(catalog.Config{
		Store: s.store, Warehouse: s.warehouse, Sealer: box, Providers: opt.Providers, Connect: connect, Prove: clients.prove, Health: health, Consents: clients.consents(), Forget: s.forgetJob, Log: log, Now: opt.Now,
	})
	room := s.watchDisk(opt)
	night, err := cfg.Night()
	if err != nil {
		return nil, err
	}
	deliver := delivery.New(delivery.Config{
		Node: node, Store: s.store, Ledger: s.warehouse, Audiences: s.warehouse, Events: s.warehouse, Drifts: s.warehouse, Providers: delivery.Providers(connect), Wake: s.wake,
		Declare: declared.SyncAudiences, Room: room.Check, Log: log, Now: opt.Now, Faults: opt.Faults,
		Settings: delivery.Settings{GuardPercent: int64(cfg.GuardPercent), ItemRows: cfg.MaxBatch, ReconcileAt: night, Lease: opt.LeaseTTL, Renew: opt.Renew, StopWithin: opt.StopWithin},
	})
	decisions := decision.New(decision.Config{
		Store: s.store, Warehouse: s.warehouse, Catalog: declared, Jobs: declared, Delivery: deliver, CustomerField: cfg.CustomerField, Log: log, Now: opt.Now,
		Moved: func(ctx context.Context) { s.raiseDirty(ctx) },
	})
	if err := decisions.Settle(ctx); err != nil {
		return nil, fmt.Errorf("bring audiences in step: %w", err)
	}
	changed := func(ctx context.Context) {
		s.raiseDirty(ctx)
		s.console.Changed()
	}
	s.announcer = newAnnouncer(s.store, log, changed)
	s.merger = ingest.NewMerger(ingest.MergerConfig{Inbox: s.inbox, Warehouse: s.warehouse, Log: log, Now: opt.Now, OnMerged: s.announcer.merged})
	s.insight = insight.New(insight.Config{Store: s.store, Warehouse: s.warehouse, Providers: opt.Providers, Log: log, Now: opt.Now})
	compaction, err := cfg.Compaction()
	if err != nil {
		return nil, err
	}
	s.forgetter = forget.New(forget.Config{Store: s.store, Warehouse: s.warehouse, Inbox: s.inbox, Site: s.site, CompactAt: compaction, Log: log, Now: opt.Now, Changed: changed})
	s.rebuilder = rebuild.New(rebuild.Config{Store: s.store, Warehouse: s.warehouse, Log: log, Now: opt.Now, Changed: changed})
	collector := ingest.NewCollector(ingest.CollectorConfig{Inbox: s.inbox, Schema: s.warehouse, Limits: s.limits(opt), Log: log, Now: opt.Now, Room: room.Check})
	reads := imports.New(imports.Config{Connect: clients.source, Providers: opt.Providers, Collector: collector, Inbox: s.inbox, Log: log, Now: opt.Now})
	asks := enrich.New(enrich.Config{
		Warehouse: s.warehouse, Collector: collector, Connect: clients.enricher, Audience: s.audienceID, Workflows: workflowsOf(opt.Providers, provider.Enrichment), Log: log, Now: opt.Now,
	})
	publishers := publishing.Config{
		Store: s.store, Jobs: s.store, Providers: opt.Providers, Connect: clients.publisher, Authorization: s.store.Authorization, Source: clients.source,
		Wake: s.wake, Changed: func() { s.console.Changed() }, Log: log, Now: opt.Now,
	}
	s.desk = publishing.New(publishers)
	tell := alerting.New(alerting.Config{Store: s.store, Connect: clients.alert, Providers: opt.Providers, URL: strings.TrimSuffix(cfg.PublicURL, "/"), Log: log, Now: opt.Now})
	passes, err := pass.New(pass.Config{
		Node: node, Store: s.store, Runners: []pass.Runner{tell, decisions.Runner(), reads.Runner(), asks.Runner(), s.desk.Runner(), s.desk.Drops()}, Log: log, Now: opt.Now, Lease: opt.LeaseTTL, Renew: opt.Renew, StopWithin: opt.StopWithin,
	})
	if err != nil {
		return nil, err
	}
	s.engine = engine.New(engine.Config{
		Node: node, Leases: s.store, Log: log, Now: opt.Now, LeaseTTL: opt.LeaseTTL, Renew: opt.Renew, Sweep: opt.Sweep, StopWithin: opt.StopWithin,
	}, workers(deliver, health, passes, &store.Sweeper{Store: s.store}, &store.Purger{Store: s.store, Retention: cfg.JobRetention, Forget: s.forgetJob})...)

	proxies, err := cfg.Proxies()
	if err != nil {
		return nil, err
	}
	s.access = access.New(access.Config{Store: s.store, Now: opt.Now, Log: log, Proxies: proxies})
	watch := &tracking.Tracking{Store: s.store, Ledger: s.warehouse, Providers: opt.Providers}
	media := paid.New(paid.Config{Collector: collector, Loads: s.merger, Schema: s.warehouse, Catalog: declared, Store: s.store, Delivery: deliver, CustomerField: cfg.CustomerField, Log: log, Now: opt.Now})

	why := &explain.Explainer{Store: s.store, Warehouse: s.warehouse, Planner: deliver, Providers: opt.Providers, Page: tracking.Page}

	code := &manifest.Manifest{Catalog: declared, Decisions: decisions, Jobs: s.store, Plane: s.warehouse, Desk: s.desk, Publishing: publishers}
	mux := http.NewServeMux()
	api.New(mux, api.Deps{
		Version: opt.Version, Log: log, Now: opt.Now, Authenticate: s.access.Caller, Access: s.access, Ready: s.ready,
		Jobs: s.store, Catalog: declared, Tracking: watch, Delivery: deliver, Decision: decisions, Paid: media, Explainer: why, Insight: s.insight, Manifest: code,
		Rebuilding: s.rebuilder, Forgetting: s.forgetter, RejectedRows: s.merger, Imports: reads, Mapping: settling{s.warehouse, s.store}, Publishing: s.desk,
		Collector: collector, Loads: s.merger,
		Warehouse: s.warehouse, Config: s.store, Audit: s.store, Vault: box, Sealed: s.store, Providers: opt.Providers,
		Alerts: s.store, Notifier: tell,
		Site: api.Site{Table: s.site, Origins: cfg.SiteOrigins, PerMinute: cfg.SitePerMinute},
	})
	s.console = web.New(web.Config{
		Version: opt.Version, Log: log, Now: opt.Now, Access: s.access, Store: s.store, Catalog: declared, Tracking: watch,
		Delivery: deliver, Warehouse: s.warehouse, Loads: s.merger, Providers: opt.Providers, Notifier: tell,
		Manifest: code, Vault: box, Facts: s.facts(node, opt.Now()),
		Reconciling: deliver, Comparisons: s.store, Differences: deliver, Explain: why, Decisions: decisions, Past: media, Insight: s.insight, Publishing: s.desk,
		DataIn: web.DataIn{
			Rebuilds: s.rebuilder, Forgets: s.forgetter, Imports: reads, Mapping: settling{s.warehouse, s.store}, Merges: s.warehouse, Rejected: s.merger, Series: s.store, Suppressed: s.warehouse.Suppressed,
		},
	})
	s.console.Register(mux)

	if s.ln = opt.Listener; s.ln == nil {
		var lc net.ListenConfig
		if s.ln, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	if err := s.offerSignIn(ctx); err != nil {
		return nil, err
	}
	if err := s.leaveToken(ctx); err != nil {
		return nil, err
	}
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	return s, nil
}

// watchDisk says whether there is room to begin anything new, and has it told
// once when there no longer is.
func (s *Server) watchDisk(opt Options) *disk.Guard {
	return disk.New(disk.Config{Dir: s.cfg.Data, Room: opt.Room, Now: opt.Now, Changed: func(ctx context.Context, err error) error {
		if err == nil {
			s.log.InfoContext(ctx, "there is room on the disk again")
			return s.store.ServerWorks(ctx)
		}
		s.log.ErrorContext(ctx, "the disk is nearly full; nothing new is begun", slog.Any("error", err))
		return s.store.ServerErred(ctx, activation.CodeOf(err), activation.SafeMessage(err))
	}})
}

// URL is the address of the API and the console.
func (s *Server) URL() string { return "http://" + s.ln.Addr().String() }

// offerSignIn makes the one-time sign-in while nobody has an account.
func (s *Server) offerSignIn(ctx context.Context) error {
	people, err := s.access.HasUsers(ctx)
	if err != nil || people {
		return err
	}
	s.signIn, err = s.access.OneTimeToken(ctx)
	return err
}

// SignInURL signs one browser in, once, until somebody has an account; "" when
// somebody had one at the start.
func (s *Server) SignInURL() string { return s.oneTime("/login") }

// SetUpURL leads to the form of the first account, and is used up with the
// sign-in; "" when somebody had one at the start.
func (s *Server) SetUpURL() string { return s.oneTime("/setup") }

func (s *Server) oneTime(path string) string {
	if s.signIn == "" {
		return ""
	}
	return s.URL() + path + "?token=" + s.signIn
}

// Run serves until ctx is done, then stops: no new requests, works let go
// within 10 s, the rest written down.
func (s *Server) Run(ctx context.Context) error {
	s.raiseDirty(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.engine.Run(ctx) })
	g.Go(func() error { return s.merger.Run(ctx) })
	g.Go(func() error { return s.announcer.run(ctx) })
	g.Go(func() error { return s.insight.Run(ctx) })
	g.Go(func() error { return s.rebuilder.Run(ctx) })
	g.Go(func() error { return s.forgetter.Run(ctx) })
	g.Go(func() error { return s.desk.Run(ctx) })
	g.Go(func() error { return s.runQueue(ctx) })
	g.Go(func() error { return s.watchWarehouse(ctx) })
	g.Go(func() error {
		if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		s.console.Close()
		return s.stopServing(context.WithoutCancel(ctx))
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// aliveEvery is how often the warehouse is asked for a sign of life.
const aliveEvery = 2 * time.Second

// watchWarehouse ends the server when the warehouse has given itself up. Whoever
// starts it again finds everything that was committed, and goes on with the runs
// that were under way; going on without would answer nothing but errors.
func (s *Server) watchWarehouse(ctx context.Context) error {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.warehouse.Alive(ctx); errors.Is(err, duckdb.ErrBroken) {
			s.log.ErrorContext(ctx, "the server ends; start it again", slog.Any("error", err))
			return fmt.Errorf("watch the warehouse: %w", err)
		}
	}
}

// finishRequests is how long requests may go on after a stop was asked for.
const finishRequests = 5 * time.Second

// stopServing lets requests finish and then cuts those that did not: nothing of
// an upload that is cut is accepted, and its sender is not told so.
func (s *Server) stopServing(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, finishRequests)
	defer cancel()
	err := s.http.Shutdown(within)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.WarnContext(ctx, "requests were cut at the stop", slog.Duration("waited", finishRequests))
		err = s.http.Close()
	}
	if err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// Close closes what New opened. It may be called twice, and after a failed New.
func (s *Server) Close() error {
	var errs []error
	if s.ln != nil {
		if err := s.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.inbox != nil {
		errs = append(errs, s.inbox.Close())
	}
	if s.site != nil {
		errs = append(errs, s.site.Close())
	}
	if s.warehouse != nil { // closed before what may wait for a database that is away
		errs = append(errs, s.warehouse.Close())
	}
	if s.queue != nil {
		s.queue.Close()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// ready returns nil when the databases answer.
func (s *Server) ready(ctx context.Context) error {
	_, err := s.warehouse.CountProfiles(ctx)
	return err
}

// raiseDirty copies the data plane's change numbers to the targets. What is
// lost here is found by the next sweep.
func (s *Server) raiseDirty(ctx context.Context) {
	seq, err := s.warehouse.Seq(ctx)
	if err == nil {
		err = s.store.RaiseDirty(ctx, seq)
	}
	if err == nil {
		var streams map[string]int64
		if streams, err = s.warehouse.StreamSeq(ctx); err == nil {
			err = s.store.RaiseStreams(ctx, streams)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "changes not announced to targets", slog.Any("err", err))
	}
}

// facts are what the console says about this process.
func (s *Server) facts(node string, now time.Time) web.Facts {
	f := web.Facts{Node: node, Database: "SQLite, in the data directory", Data: s.cfg.Data, StartedAt: now, JobRetention: s.cfg.JobRetention, GuardPercent: s.cfg.GuardPercent, AllowHosts: s.cfg.AllowHosts}
	if s.cfg.DatabaseURL != "" {
		f.Database, f.WarehouseLease = "PostgreSQL", warehouseLease
	}
	return f
}

// openVault opens the vault with the key of the environment, else with the key
// file in the data directory, which it makes at the first start.
func openVault(data string) (*vault.Vault, error) {
	key, path := os.Getenv(vault.EnvKey), filepath.Join(data, "secret.key")
	if key == "" {
		return vault.Open(path)
	}
	return vault.Given(key, os.Getenv(vault.EnvOldKeys), path)
}

// tokenFile holds the token of the command line on this machine.
const tokenFile = "cli.token"

// leaveToken makes sure that the command line on this machine has a token: a
// file that only the server's user can read.
func (s *Server) leaveToken(ctx context.Context) error {
	path := filepath.Join(s.cfg.Data, tokenFile)
	if raw, err := os.ReadFile(path); err == nil {
		if s.access.ValidToken(ctx, string(raw)) {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read command line token: %w", err)
	}
	token, err := s.access.NewToken(ctx, "command line on this machine", activation.RoleAdmin, time.Time{})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		return fmt.Errorf("write command line token: %w", err)
	}
	return nil
}

// workers are all that the engine does.
func workers(d *delivery.Delivery, others ...engine.Worker) []engine.Worker {
	out := others
	for _, w := range d.Workers() {
		out = append(out, w)
	}
	return out
}

func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	var b [4]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}
