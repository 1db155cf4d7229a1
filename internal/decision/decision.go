// Package decision is next-best-action: a hierarchy of issues, groups and
// actions, and the decisions that move people among the audiences of the actions.
//
// It owns what a hierarchy may look like, the audiences that belong to it, and
// how a decision is asked for: for everybody at a level, or for single customers.
// Who is eligible, and the moving itself, is the warehouse's; what is then sent
// belongs to export jobs. It must not put a customer's id into an error, a log
// line or the control store.
//
// It is built for these failures: a crash between the two databases (Settle makes
// good whatever of a change was not done), a decision that is asked for again (it
// moves nobody a second time), and a hierarchy that is changed while decisions are
// made (either comes first, whole).
package decision

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// codeBad is the code of what is wrong with a request.
const codeBad = "BADREQ-001"

// Store is what decisions need of the control store. user is who does it, for
// the audit log.
type Store interface {
	Hierarchy(ctx context.Context) (activation.Hierarchy, error)
	CreateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error)
	UpdateIssue(ctx context.Context, i activation.Issue, user string) (activation.Issue, error)
	DeleteIssue(ctx context.Context, id activation.IssueID, user string) error
	CreateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error)
	UpdateGroup(ctx context.Context, g activation.Group, user string) (activation.Group, error)
	DeleteGroup(ctx context.Context, id activation.GroupID, user string) error
	CreateAction(ctx context.Context, a activation.Action, positive, negative activation.Audience, user string) (activation.Action, error)
	UpdateAction(ctx context.Context, a activation.Action, positive, negative activation.Audience, user string) (activation.Action, error)
	DeleteAction(ctx context.Context, id activation.ActionID, user string) error

	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	Audiences(ctx context.Context) ([]activation.Audience, error)
	Targets(ctx context.Context, f store.TargetFilter) ([]activation.Target, error)
	MakeDue(ctx context.Context, targets []activation.TargetID, cause activation.Cause) error
	Jobs(ctx context.Context, f store.JobFilter) ([]activation.Job, error)
	UpdateJob(ctx context.Context, j activation.Job, user string) error
}

// Warehouse is what decisions need of the data plane.
type Warehouse interface {
	Decide(ctx context.Context, r warehouse.DecideRequest, fn func(warehouse.Decision)) (warehouse.Decided, error)
	Find(ctx context.Context, field, value string) (warehouse.Profile, error)
	Try(ctx context.Context, text string, now time.Time) (int64, error)
	Size(ctx context.Context, id activation.AudienceID) (int64, error)
	Schema(ctx context.Context) (warehouse.Schema, error)
}

// Catalog hears of the hierarchy's changes.
type Catalog interface {
	// SyncAudiences tells the warehouse which audiences there are.
	SyncAudiences(ctx context.Context) error
}

// Follower keeps the jobs that send a level.
type Follower interface {
	// FollowHierarchy gives each job that sends a level the audiences of the
	// level's actions. It leaves jobs alone whose level does not exist.
	FollowHierarchy(ctx context.Context, user string) error
}

// Releaser gives up what networks hold. delivery.Delivery is one.
type Releaser interface {
	ReleaseTarget(ctx context.Context, id activation.TargetID, how activation.OnEnd, user string) (activation.Target, error)
}

// Config is what Decisions are made of.
type Config struct {
	Store     Store
	Warehouse Warehouse
	Catalog   Catalog
	Jobs      Follower
	Delivery  Releaser
	// CustomerField is the identifier that customers are found by; "" = the
	// strongest one that is declared.
	CustomerField string
	// Moved is called after a decision has moved somebody, and is to see that
	// targets learn of it. nil = nothing; they learn of it at the next sweep.
	Moved func(ctx context.Context)
	Log   *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Decisions are the use cases of next-best-action. Their methods may be called
// from any goroutine.
type Decisions struct {
	Config
	// turns are taken one by each decision, all by each change of the hierarchy.
	turns *semaphore.Weighted
}

const allTurns = 1 << 30

// New returns the use cases.
func New(cfg Config) *Decisions {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Moved == nil {
		cfg.Moved = func(context.Context) {}
	}
	return &Decisions{Config: cfg, turns: semaphore.NewWeighted(allTurns)}
}

// alone runs fn while nothing is decided and nothing else changes.
func (d *Decisions) alone(ctx context.Context, fn func() error) error {
	return d.take(ctx, allTurns, fn)
}

// beside runs fn while the hierarchy does not change.
func (d *Decisions) beside(ctx context.Context, fn func() error) error { return d.take(ctx, 1, fn) }

func (d *Decisions) take(ctx context.Context, turns int64, fn func() error) error {
	if err := d.turns.Acquire(ctx, turns); err != nil {
		return context.Cause(ctx)
	}
	defer d.turns.Release(turns)
	return fn()
}

// Hierarchy returns all issues, groups and actions.
func (d *Decisions) Hierarchy(ctx context.Context) (activation.Hierarchy, error) {
	return d.Store.Hierarchy(ctx)
}

// CheckLevel is nil for a level that there is, and otherwise an Invalid error
// that says what levels look like.
func (d *Decisions) CheckLevel(ctx context.Context, l activation.Level) error {
	h, err := d.Store.Hierarchy(ctx)
	if err != nil {
		return err
	}
	return checkLevel(h, l)
}

func checkLevel(h activation.Hierarchy, l activation.Level) error {
	if h.Exists(l) {
		return nil
	}
	return &activation.Error{
		Kind: activation.Invalid, Code: codeBad, Field: "level",
		Message: "level: there is no such level; write the name of an issue, an issue and a group as Issue/Group, or all",
	}
}
