package delivery

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Store is what delivery needs of the control store. Every method is one
// transaction. A write that takes a run matches its attempt and returns
// activation.ErrFenced, changing nothing, when another attempt owns the run
// or item now.
type Store interface {
	TargetStore
	RunStore
	ItemStore
	VerdictStore

	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
}

// TargetStore finds targets and says which of them want a run.
type TargetStore interface {
	// Target returns one target.
	Target(ctx context.Context, id activation.TargetID) (activation.Target, error)
	// TargetsOf lists the targets of a job, an audience or both ("" = any).
	TargetsOf(ctx context.Context, job activation.JobID, audience activation.AudienceID) ([]activation.Target, error)
	// DueTargets lists up to limit targets without an open run that want one
	// now: due_now, or dirty_seq > done_seq where their job is real time, or the
	// job's own time has come; only where the job is runnable or its sleep is
	// over, the destination is enabled and its authorization not unhealthy, and
	// where the last run was opened at least 60 s ago (setting). While a run of
	// the target waits for approval, only changes above that run's seq count.
	DueTargets(ctx context.Context, limit int) ([]activation.Target, error)
	// RaiseDirty raises dirty_seq of the targets of these audiences; never lowers.
	RaiseDirty(ctx context.Context, seq map[activation.AudienceID]int64) error
	// SetRemote stores the first remote id of a target's generation.
	SetRemote(ctx context.Context, target activation.TargetID, generation int, remote string) error
	// RemovedWithin sums the accepted plain removals of the target since, for
	// the guard: rows of items with Plain set.
	RemovedWithin(ctx context.Context, target activation.TargetID, since time.Time) (int64, error)
}

// RunStore opens, owns and ends runs.
type RunStore interface {
	// OpenRun opens r for its target: sets open_run where it is empty (else
	// ErrConflict naming the open run's id), withdraws older Pending runs of the
	// same key, clears due_now, numbers and inserts the run as Pending, and
	// wakes delivery.
	OpenRun(ctx context.Context, r activation.Run) (activation.Run, error)
	// Run returns one run.
	Run(ctx context.Context, id activation.RunID) (activation.Run, error)
	// OpenRuns lists runs that are open and to be worked on now: wait_until has
	// passed and the lease is over or nobody's. It leaves out those whose job is
	// paused or whose authorization is unhealthy, but lists those whose job was
	// killed or has failed, so that they are ended.
	OpenRuns(ctx context.Context, limit int) ([]activation.Run, error)
	// AwaitingRuns lists the runs in status awaiting with an item whose
	// poll_after has passed, or whose job was killed or has failed.
	AwaitingRuns(ctx context.Context, limit int) ([]activation.Run, error)
	// TakeRun makes node the owner of an open run whose lease is over or nobody's:
	// attempt + 1, Running, lease from the database's clock, wait_until cleared.
	// Items that were sending become unknown (what was in flight is unknown,
	// never queued) and are returned. ErrConflict when another attempt holds it
	// or the run is not open any more.
	TakeRun(ctx context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error)
	// RenewRun extends the lease of a run this attempt holds.
	RenewRun(ctx context.Context, r activation.Run, lease time.Duration) error
	// ReleaseRun gives the lease of a run back without ending it; with waitUntil
	// set nobody works on it before then.
	ReleaseRun(ctx context.Context, r activation.Run, waitUntil time.Time) error
	// SaveRun stores stage, seq, now, key set, counts, timings and staged_at.
	SaveRun(ctx context.Context, r activation.Run) error
	// FinishRun ends the run as r.Status says, with r's counts, timings, error
	// and ended_at, and clears open_run where this run holds it. With end.Done
	// it raises done_seq to the run's seq; with end.Due the target is due again.
	// Completed resets the error count of the target and its job. Failed counts
	// an error on both by r.ErrorKind: a retryable one doubles the sleep,
	// WaitUntil sleeps until end.Until and is not counted, Unauthorized parks the
	// authorization, Invalid fails the job. Awaiting is no outcome yet: the run
	// stays, only open_run is given back.
	FinishRun(ctx context.Context, r activation.Run, end End) error
	// NewGeneration: the remote audience is gone or another one. Generation + 1,
	// remote id cleared, queued items withdrawn, awaiting ones unknown (of every
	// run of the old generation), the run ends as r says, the target is due now.
	NewGeneration(ctx context.Context, r activation.Run) error
}

// End says what the end of a run means for its target.
type End struct {
	// Done: everything the plan saw is dealt with; done_seq moves.
	Done bool
	// Due: the target wants another run (rows left maybe or superseded).
	Due bool
	// Until is when the provider takes calls again, for WaitUntil.
	Until time.Time
}

// ItemStore moves queue items and keeps their receipts.
type ItemStore interface {
	// QueueItems inserts all items of a run at once and stores the run's counts,
	// timings and stage. ErrConflict when the run has items already.
	QueueItems(ctx context.Context, r activation.Run, items []activation.Item) error
	// Items lists the items of a run by number, split ones included.
	Items(ctx context.Context, run activation.RunID) ([]activation.Item, error)
	// AwaitingItems lists the awaiting items of a target's generation.
	AwaitingItems(ctx context.Context, target activation.TargetID, generation int) ([]activation.Item, error)
	// ClaimItem moves queued -> sending, attempt + 1, where the run's attempt is
	// r's and its lease is not over by the database's clock; else ErrFenced.
	ClaimItem(ctx context.Context, r activation.Run, id activation.ItemID) (activation.Item, error)
	// UnclaimItem moves sending -> queued when nothing was applied.
	UnclaimItem(ctx context.Context, r activation.Run, it activation.Item) error
	// SaveReceipt stores the receipt of the item's attempt (replacing an earlier
	// one of the same attempt: a poll) and moves the item sending|awaiting ->
	// state, where run and item attempts match; else ErrFenced.
	SaveReceipt(ctx context.Context, r activation.Run, it activation.Item, state activation.ItemState, rc activation.Receipt, code, message string) error
	// SplitItem replaces a sending item by queued children over the same
	// ordinals; it numbers them after the run's last item.
	SplitItem(ctx context.Context, r activation.Run, it activation.Item, children []activation.Item) error
	// EndItems moves all queued items of the run in this phase or a later one
	// to state: withdrawn, superseded, or failed with code NOT-ATTEMPTED.
	EndItems(ctx context.Context, r activation.Run, fromPhase int, state activation.ItemState) error
	// ReplayItem moves unknown -> queued where the provider declares it harmless,
	// clears folded and stores the run's counts.
	ReplayItem(ctx context.Context, r activation.Run, id activation.ItemID) error
	// MarkFolded records that the warehouse has folded these items and stores
	// the run's counts, in one transaction: that is what makes the counts of the
	// ledger exact across a crash.
	MarkFolded(ctx context.Context, r activation.Run, items []activation.ItemID) error
	// Receipts returns the receipts of a run, newest attempt of each item last.
	Receipts(ctx context.Context, run activation.RunID) (map[activation.ItemID][]activation.Receipt, error)
}

// VerdictStore keeps what people decided about runs.
type VerdictStore interface {
	// AwaitApproval makes the run Pending with reason approval, stores its
	// counts and gives open_run and the lease back.
	AwaitApproval(ctx context.Context, r activation.Run) error
	// Approve takes open_run again (else ErrConflict with the open run's id),
	// records the verdict with the run's plain removals (counts.remove), and
	// wakes delivery, which plans again. Decline does the same; the run goes on
	// without its plain removals. ErrConflict when the run waits for no approval.
	Approve(ctx context.Context, id activation.RunID, user string) error
	Decline(ctx context.Context, id activation.RunID, user string) error
	// LastVerdict returns the newest verdict about any run of the target; the
	// zero Verdict when there is none.
	LastVerdict(ctx context.Context, target activation.TargetID) (Verdict, error)
	// StaleApprovals lists runs that wait for approval since before the given
	// time, or whose job was killed or has failed, or whose destination is off.
	StaleApprovals(ctx context.Context, before time.Time, limit int) ([]activation.Run, error)
	// Withdraw ends a Pending run nothing of which was sent.
	Withdraw(ctx context.Context, id activation.RunID, user string) error
	// Retry moves Failed -> Running, attempt + 1, failed items -> queued (folded
	// cleared), takes open_run and makes a failed or sleeping job runnable;
	// ErrConflict (with the reason as text) where it is withheld.
	Retry(ctx context.Context, id activation.RunID, user string) error
}

// Verdict is what was decided about a run that waited for approval.
type Verdict struct {
	Run      activation.RunID
	Approved bool // false with Run set = declined
	// Removals is how many plain removals the run had planned.
	Removals int64
	At       time.Time
}
