package api

import (
	"context"
	"log/slog"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/delivery"
	"usher/internal/ingest"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/tracking"
	"usher/internal/vault"
	"usher/internal/warehouse"
)

// Deps is what the API stands on.
type Deps struct {
	Version string
	Log     *slog.Logger
	Now     func() time.Time
	// Authenticate finds out who makes a request.
	Authenticate Authenticate
	// Access keeps people and API tokens.
	Access *access.Access
	// Ready returns nil when the server can do its work.
	Ready func(ctx context.Context) error

	Jobs         Jobs
	Catalog      *catalog.Catalog
	Tracking     *tracking.Tracking
	Delivery     Delivery
	Decision     Decision
	Paid         Paid
	Explainer    Explainer
	Insight      Insight
	Rebuilding   Rebuilding
	Forgetting   Forgetting
	RejectedRows RejectedRows
	Imports      Imports
	Mapping      warehouse.Mappings
	Publishing   Publishing
	Manifest     Manifest
	Collector    *ingest.Collector
	Loads        Loads
	Warehouse    warehouse.Warehouse
	Config       catalog.Store
	Audit        Audit
	Alerts       Alerts
	Notifier     Notifier
	Vault        Vault
	Sealed       vault.Sealed
	Providers    []provider.Definition
	Site         Site
}

// Jobs is what the API reads of the control store about jobs.
type Jobs interface {
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	Jobs(ctx context.Context, f store.JobFilter) ([]activation.Job, error)
	TargetsOf(ctx context.Context, job activation.JobID, audience activation.AudienceID) ([]activation.Target, error)
	Logs(ctx context.Context, f store.LogFilter) ([]activation.LogEntry, error)
	Reconciliations(ctx context.Context, t activation.TargetID, limit int) ([]activation.Reconciliation, error)
	Passes(ctx context.Context, job activation.JobID, before int64, limit int) ([]activation.Pass, error)
	Metrics(ctx context.Context, f store.MetricFilter) (map[string][]activation.MetricPoint, error)
	Series(ctx context.Context, kind, subject string, from, until time.Time, width time.Duration) (map[string][]activation.MetricPoint, error)
}

// Delivery is what the API needs of delivery.
type Delivery interface {
	RunJob(ctx context.Context, id activation.JobID) ([]activation.Run, error)
	RunAudience(ctx context.Context, id activation.AudienceID) ([]activation.Run, error)
	PlanJob(ctx context.Context, id activation.JobID) ([]delivery.Preview, error)
	Approve(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	Decline(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	Withdraw(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	Retry(ctx context.Context, id activation.RunID, user string) (activation.Run, error)
	RunTarget(ctx context.Context, id activation.TargetID) (activation.Run, error)
	Reconcile(ctx context.Context, id activation.TargetID, user string) (activation.Reconciliation, error)
	Repair(ctx context.Context, id activation.TargetID, user string) (activation.Run, error)
	RepairPlan(ctx context.Context, id activation.TargetID) (delivery.Preview, error)
	DriftRows(ctx context.Context, id activation.TargetID, after int64, limit int) ([]warehouse.DriftRow, error)
	ReplaceTarget(ctx context.Context, id activation.TargetID, user string) (activation.Run, error)
	ReleaseTarget(ctx context.Context, id activation.TargetID, how activation.OnEnd, user string) (activation.Target, error)
}

// Vault keeps the keys of stored credentials.
type Vault interface {
	KeyID() string
	KeyIDs() []string
	Given() bool
	Rotate(ctx context.Context, s vault.Sealed) (vault.Rotation, error)
}

// rotation is what a change of keys did.
type rotation = vault.Rotation

// Audit is the append-only log of who did what.
type Audit interface {
	AddAudit(ctx context.Context, e activation.AuditEntry) error
	Audit(ctx context.Context, f store.AuditFilter) ([]activation.AuditEntry, error)
}

// Loads tells what became of uploads.
type Loads interface {
	Load(ctx context.Context, id string) (ingest.LoadStatus, error)
	Recent(ctx context.Context, stream string, limit int) ([]ingest.LoadStatus, error)
	Retry(ctx context.Context, id string) error
	Discard(ctx context.Context, id string) error
}
