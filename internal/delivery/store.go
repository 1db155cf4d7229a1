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
	TrackStore

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
	// job's own time has come, or identifiers of its members have changed and it was
	// not looked after within the last 15 minutes; only where the job is runnable or its sleep is
	// over, the destination is enabled and its authorization not unhealthy.
	// due_now and changes wait until the last run was opened 60 s ago. While a
	// run of the target waits for approval, only changes above its seq count.
	DueTargets(ctx context.Context, limit int) ([]activation.Target, error)
	// RaiseDirty raises dirty_seq of the targets of these audiences, and of those
	// where they decide beside the target's own who is wanted; never lowers.
	RaiseDirty(ctx context.Context, seq map[activation.AudienceID]int64) error
	// RaiseKeys raises keys_seq of the targets of these audiences; never lowers.
	RaiseKeys(ctx context.Context, seq map[activation.AudienceID]int64) error
	// Outranking lists the audiences that come before the target's in a priority
	// list of its destination and that a living job sends there.
	Outranking(ctx context.Context, target activation.TargetID) ([]activation.AudienceID, error)
	// RaiseStreams is RaiseDirty for the targets that streams feed.
	RaiseStreams(ctx context.Context, seq map[string]int64) error
	// SetRemote stores the first remote id of a target's generation.
	SetRemote(ctx context.Context, target activation.TargetID, generation int, remote string) error
	// RemovedWithin sums the accepted plain removals of the target since, for
	// the guard: rows of items with Plain set.
	RemovedWithin(ctx context.Context, target activation.TargetID, since time.Time) (int64, error)
	// Allowance is how many people may still be newly added to the target in the
	// present period of its job's user_limit; nil = any number.
	Allowance(ctx context.Context, target activation.TargetID) (*int64, error)
	// ReleaseTarget gives up the remote audience of a target that no living job
	// owns: keep begins a new generation at once, empty and delete make a run due
	// that gives it up, whatever its job's state. ErrConflict names the owner.
	ReleaseTarget(ctx context.Context, target activation.TargetID, how activation.OnEnd, user string) (activation.Target, error)
}

// RunStore opens, owns and ends runs.
type RunStore interface {
	// OpenRun opens r for its target: sets open_run where it is empty (else
	// ErrConflict naming the open run's id), withdraws older Pending runs of the
	// same key, clears due_now, numbers and inserts the run as Pending, and
	// wakes delivery. An empty cause is what made the target due. A run of mode
	// keys or history leaves the next scheduled time and what else is due alone.
	OpenRun(ctx context.Context, r activation.Run) (activation.Run, error)
	// Run returns one run.
	Run(ctx context.Context, id activation.RunID) (activation.Run, error)
	// OpenRuns lists runs to be worked on now: open or awaiting, wait_until has
	// passed and the lease is over or nobody's. It leaves out those whose job is
	// paused, but lists those whose job was killed or has failed, whatever their
	// wait, so that they are ended.
	OpenRuns(ctx context.Context, limit int) ([]activation.Run, error)
	// TakeRun makes node the owner of a run as OpenRuns lists it: attempt + 1,
	// Running (an awaiting run stays Awaiting), lease from the database's clock,
	// wait_until cleared. Items that were sending become unknown (what was in
	// flight is unknown, never queued) and are returned. ErrConflict when it is
	// not to be had.
	TakeRun(ctx context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error)
	// RenewRuns extends the leases of runs that these attempts hold, and returns
	// those that they hold no more: a lease that is over is not revived. A run that
	// waits in line behind others does not stall, however long that lasts.
	RenewRuns(ctx context.Context, runs []activation.HeldRun, lease time.Duration) (fenced []activation.RunID, err error)
	// RestlessJobs lists the jobs whose runs in node's hands may have to stop: they
	// are over, paused or in their quiet window. It may list others too.
	RestlessJobs(ctx context.Context, node string) ([]activation.JobID, error)
	// ReleaseRun gives the lease of a run back without ending it; with waitUntil
	// set nobody works on it before then.
	ReleaseRun(ctx context.Context, r activation.Run, waitUntil time.Time) error
	// RestRun gives a run back that met an error, r's, and goes on once its target
	// has slept, as long as after any error. With anew the network has answered
	// since the last one, so they count from one. It returns when that is; zero,
	// and nothing is changed, where the errors have lasted as long as the job
	// allows.
	RestRun(ctx context.Context, r activation.Run, anew bool) (time.Time, error)
	// ReopenRun makes an awaiting run its target's open run again. ErrConflict
	// while another one is open.
	ReopenRun(ctx context.Context, r activation.Run) error
	// SaveRun stores stage, seq, now, key set, counts, timings and staged_at.
	SaveRun(ctx context.Context, r activation.Run) error
	// FinishRun ends the run as r.Status says, with r's counts, timings and
	// error, clears open_run where this run holds it and gives the lease back.
	// With end.Done it raises done_seq and keys_done to the run's seq, or where its
	// mode is keys the latter alone; with end.Due the target is due again. Completed resets the error count of target and job. Failed
	// counts an error on both by r.ErrorKind (activation.NextSleep) unless the
	// run failed because its job ended. Awaiting is no outcome yet: the run
	// stays and is worked on again at end.Until. An error it carries then counts
	// at once, and not again when the run fails in the end. With end.Released the
	// target is given up no longer, with end.Gone also its generation grows and
	// its remote id is cleared; a run with r.Release that ends otherwise leaves
	// the target due.
	FinishRun(ctx context.Context, r activation.Run, end End) error
	// UnstageableRuns lists ended runs whose staged rows are still kept and
	// needed no more: ended before the given time, and not a failed run that may
	// be retried. MarkUnstaged notes that they are dropped.
	UnstageableRuns(ctx context.Context, before time.Time, limit int) ([]activation.RunID, error)
	MarkUnstaged(ctx context.Context, runs []activation.RunID) error
	// NewGeneration: the remote audience is gone or another one. Generation + 1,
	// remote id cleared, queued items withdrawn, awaiting ones unknown (of every
	// run of the old generation), r ends as status with code REMOTE-GONE and r's
	// counts, the target is due now. ErrConflict while another run than r is open:
	// it finds the same by itself.
	NewGeneration(ctx context.Context, r activation.Run, status activation.RunStatus) error
}

// End says what the end of a run means for its target.
type End = activation.End

// ItemStore moves queue items and keeps their receipts.
type ItemStore interface {
	// QueueItems inserts all items of a run at once and stores the run as
	// SaveRun does. ErrConflict when an item of the run was ever claimed.
	QueueItems(ctx context.Context, r activation.Run, items []activation.Item) error
	// Items lists the items of a run by number, split ones included.
	Items(ctx context.Context, run activation.RunID) ([]activation.Item, error)
	// AwaitingItems lists the items of a target's generation that the network
	// owes an answer, and those of awaiting runs that have theirs but are not
	// folded yet: the ledger does not know about either.
	AwaitingItems(ctx context.Context, target activation.TargetID, generation int) ([]activation.Item, error)
	// ClaimItem moves queued -> sending, attempt + 1, where the run's attempt is
	// r's and its lease is not over by the database's clock; else ErrFenced
	// (ErrPaused when the job was paused meanwhile).
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
	// SaveRest stores the receipt of a delivered item as SaveReceipt does, and
	// queues what of its rows is to be sent again as its children, numbered after
	// the run's last item.
	SaveRest(ctx context.Context, r activation.Run, it activation.Item, rc activation.Receipt, children []activation.Item) error
	// EndItems moves all queued items of the run to state: withdrawn,
	// superseded, or failed with code NOT-ATTEMPTED.
	EndItems(ctx context.Context, r activation.Run, state activation.ItemState) error
	// ReplayItem moves unknown -> queued where the provider declares it harmless.
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
	// counts and gives open_run and the lease back. After seven days without an
	// answer the run counts as declined.
	AwaitApproval(ctx context.Context, r activation.Run) error
	// Approve takes open_run again (else ErrConflict with the open run's id),
	// records the verdict with the run's plain removals (counts.remove), and
	// wakes delivery, which plans again. Decline does the same; the run goes on
	// without its plain removals. ErrConflict when the run waits for no approval.
	Approve(ctx context.Context, id activation.RunID, user string) error
	Decline(ctx context.Context, id activation.RunID, user string) error
	// LastVerdict returns the newest answer about any run of the target; the
	// zero value when there is none.
	LastVerdict(ctx context.Context, target activation.TargetID) (activation.GuardVerdict, error)
	// Withdraw ends a Pending run nothing of which was sent.
	Withdraw(ctx context.Context, id activation.RunID, user string) error
	// Retry moves Failed -> Running, attempt + 1, failed and unknown items ->
	// queued (folded cleared), takes open_run and makes a failed or sleeping job
	// runnable; ErrConflict (with the reason as text) where it is withheld.
	Retry(ctx context.Context, id activation.RunID, user string) error
}
