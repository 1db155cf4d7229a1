package delivery

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Store is what delivery needs of the control store. Every method is one
// transaction. A write that names an attempt matches it, and returns
// activation.ErrFenced when another attempt owns the run or item now.
type Store interface {
	// Target returns one target.
	Target(ctx context.Context, id activation.TargetID) (activation.Target, error)
	// DueTargets lists up to limit targets without an open run that want one
	// now: due_now, or dirty_seq > done_seq where their job is real time, or the
	// job's own time has come; only where the job is runnable or its sleep is
	// over, the destination is enabled and its authorization not unhealthy.
	DueTargets(ctx context.Context, limit int) ([]activation.Target, error)
	// RaiseDirty raises dirty_seq of the targets of these audiences; never lowers.
	RaiseDirty(ctx context.Context, seq map[activation.AudienceID]int64) error
	// OpenRun opens r for its target: sets open_run where it is empty (else
	// ErrConflict), withdraws older Pending runs of the same key, clears
	// due_now, numbers and inserts the run as Pending, and wakes delivery.
	OpenRun(ctx context.Context, r activation.Run) (activation.Run, error)

	// Run returns one run. OpenRuns lists the runs that are open and whose
	// lease is over or nobody's (to be worked on now, wait_until passed).
	Run(ctx context.Context, id activation.RunID) (activation.Run, error)
	OpenRuns(ctx context.Context, limit int) ([]activation.Run, error)
	// TakeRun makes node the owner of an open run whose lease is over or nobody's:
	// attempt + 1, Running, lease from the database's clock. Items that were
	// sending become unknown (what was in flight is unknown, never queued) and
	// are returned. ErrConflict when another node holds it.
	TakeRun(ctx context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error)
	// RenewRuns renews the leases of all runs this node holds.
	RenewRuns(ctx context.Context, node string, lease time.Duration) error
	// ReleaseRun gives the lease of a run back without ending it; with waitUntil
	// set nobody works on it before then.
	ReleaseRun(ctx context.Context, r activation.Run, waitUntil time.Time) error
	// SaveRun stores stage, seq, now, counts, timings, staged_at, guarded by attempt.
	SaveRun(ctx context.Context, r activation.Run) error

	// QueueItems inserts all items of a run at once and stores the run's counts
	// and stage; it replaces items of the run only when none was ever claimed.
	QueueItems(ctx context.Context, r activation.Run, items []activation.Item) error
	Items(ctx context.Context, run activation.RunID) ([]activation.Item, error)
	// AwaitingRanges lists the awaiting items of a target's generation.
	AwaitingItems(ctx context.Context, target activation.TargetID, generation int) ([]activation.Item, error)
	// ClaimItem moves queued -> sending, attempt + 1, where the run's attempt is
	// r's and its lease is not over by the database's clock; else ErrFenced.
	ClaimItem(ctx context.Context, r activation.Run, id activation.ItemID) (activation.Item, error)
	// UnclaimItem moves sending -> queued when nothing was applied.
	UnclaimItem(ctx context.Context, r activation.Run, it activation.Item) error
	// SaveReceipt inserts the receipt of the item's attempt and moves the item
	// sending|awaiting -> state, where run and item attempts match; else ErrFenced.
	SaveReceipt(ctx context.Context, r activation.Run, it activation.Item, state activation.ItemState, rc activation.Receipt, code, message string) error
	// SplitItem replaces a sending item by children over the same ordinals.
	SplitItem(ctx context.Context, r activation.Run, it activation.Item, children []activation.Item) error
	// EndItems moves all queued items of the run to state (withdrawn or
	// superseded) or back; used when a run ends early.
	EndItems(ctx context.Context, r activation.Run, state activation.ItemState) error
	// ReplayItem moves unknown -> queued where the provider declares it harmless.
	ReplayItem(ctx context.Context, r activation.Run, id activation.ItemID) error
	// MarkFolded records that the warehouse has folded these items.
	MarkFolded(ctx context.Context, run activation.RunID, items []activation.ItemID) error
	// Receipts returns the receipts of a run, newest attempt of each item last.
	Receipts(ctx context.Context, run activation.RunID) (map[activation.ItemID][]activation.Receipt, error)

	// SetRemote stores the first remote id of a target's generation.
	SetRemote(ctx context.Context, target activation.TargetID, generation int, remote string) error
	// NewGeneration: the remote audience is gone or another one. Generation + 1,
	// remote id cleared, queued items withdrawn, awaiting ones unknown, the run
	// ends as status with code REMOTE-GONE, the target is due now.
	NewGeneration(ctx context.Context, r activation.Run, status activation.RunStatus) error
	// FinishRun ends the run (or moves it to Awaiting) with its counts, clears
	// open_run and raises done_seq to the run's seq when done. due makes the
	// target due again (rows left maybe or superseded).
	FinishRun(ctx context.Context, r activation.Run, done, due bool) error
	// TargetSlept records the outcome of a run on the target and its job: nil
	// error resets the error count, a retryable one doubles the sleep,
	// Unauthorized parks the authorization, Invalid fails the job.
	RunSucceeded(ctx context.Context, r activation.Run) error
	RunErred(ctx context.Context, r activation.Run, kind activation.Kind, until time.Time) error

	// AwaitApproval makes the run Pending with reason approval and gives
	// open_run back.
	AwaitApproval(ctx context.Context, r activation.Run) error
	// Approve takes open_run again (else ErrConflict with the open run's id) and
	// marks the run approved; Decline the same, without its plain removals.
	Approve(ctx context.Context, id activation.RunID, user string) error
	Decline(ctx context.Context, id activation.RunID, user string) error
	// Verdict returns what was decided about a run: "", "approved", "declined".
	Verdict(ctx context.Context, id activation.RunID) (string, error)
	// Withdraw ends a Pending run nothing of which was sent.
	Withdraw(ctx context.Context, id activation.RunID, user string) error
	// Retry moves Failed -> Running, attempt + 1, failed items -> queued, and
	// takes open_run; ErrConflict (with the reason as text) where it is withheld.
	Retry(ctx context.Context, id activation.RunID, user string) error

	// RemovedWithin sums accepted plain removals of the target since, for the guard.
	RemovedWithin(ctx context.Context, target activation.TargetID, since time.Time) (int64, error)
	// LastDecline returns how many plain removals the last declined run of the
	// target had (0 = none or superseded by an approval).
	LastDecline(ctx context.Context, target activation.TargetID) (int64, error)
	// LastApproval returns how many plain removals an approved but withdrawn
	// predecessor had, which also covers a successor with at most 1 % more.
	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
}
