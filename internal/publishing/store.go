package publishing

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Store is what publishing needs of the control plane. store.Store has it.
type Store interface {
	Accounts
	Structure
	Entries
	Posting
	Plans
	Costs
}

// Accounts keeps publisher accounts. Each method that changes one writes the audit log.
type Accounts interface {
	// CreatePublisher stores an account and makes its two jobs of these workflows, the
	// sync job daily at NightlyAt in its zone, the post job in real time. The name or
	// account that another has is ErrConflict.
	CreatePublisher(ctx context.Context, a activation.PublisherAccount, syncWorkflow, postWorkflow, user string) (activation.PublisherAccount, error)
	// UpdatePublisher stores name, authorization, config and NightlyAt, and brings its
	// jobs in step.
	UpdatePublisher(ctx context.Context, a activation.PublisherAccount, user string) (activation.PublisherAccount, error)
	// DeletePublisher deletes it with structure, log and jobs; ErrConflict while one of
	// its entries is processing.
	DeletePublisher(ctx context.Context, id activation.PublisherID, user string) error
	Publisher(ctx context.Context, id activation.PublisherID) (activation.PublisherAccount, error)
	Publishers(ctx context.Context) ([]activation.PublisherAccount, error)
	// PublisherOfJob returns the account that owns a job.
	PublisherOfJob(ctx context.Context, job activation.JobID) (activation.PublisherAccount, error)
	// SavePublisherInfo stores what the publisher says of currency and zone.
	SavePublisherInfo(ctx context.Context, id activation.PublisherID, currency, timezone string) error
}

// Structure keeps objects.
type Structure interface {
	// Objects returns a page, and the cursor of the next one or "".
	Objects(ctx context.Context, q activation.ObjectQuery) (page []activation.PublisherObject, next string, err error)
	Object(ctx context.Context, id activation.PublisherID, ref activation.ObjectRef) (activation.PublisherObject, error)
	// ObjectsOf returns those of refs that there are.
	ObjectsOf(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]activation.PublisherObject, error)
	// FindObjects returns the objects of a kind below parent whose name is one of these,
	// in small letters; for files that name what they mean.
	FindObjects(ctx context.Context, id activation.PublisherID, kind activation.ObjectKind, parent activation.ObjectRef, names []string) ([]activation.PublisherObject, error)
	// BeginStructure begins a reading of the whole structure and returns its number;
	// SaveStructure stores some of what it saw; EndStructure marks what it did not see
	// as removed and notes when. Each of them recomputes what is local of what changed,
	// and flags conflicts (see Conflicts in docs/publishers.md).
	BeginStructure(ctx context.Context, p activation.Pass, id activation.PublisherID) (reading int64, err error)
	SaveStructure(ctx context.Context, p activation.Pass, id activation.PublisherID, reading int64, seen []activation.PublisherObject) (activation.StructureRead, error)
	EndStructure(ctx context.Context, p activation.Pass, id activation.PublisherID, reading int64, at time.Time) (activation.StructureRead, error)
	// SaveObjects stores objects as they were read back on their own; gone names those
	// that were asked for and are not there.
	SaveObjects(ctx context.Context, p activation.Pass, id activation.PublisherID, seen []activation.PublisherObject, gone []activation.ObjectRef) (activation.StructureRead, error)
}

// Entries keeps the Activity Log.
type Entries interface {
	// WriteEntries gives ids to entries, in their order, stores them and brings the
	// local values of their objects up to date, all in one transaction. The object of a
	// create is PendingObjectID of its index in the call and becomes NewObjectID of its
	// entry; so does such an id in Object, ObjectParent and the changes that say Object,
	// and PendingRefer in Refers. parent, where it is not nil, is stored before them as
	// their parent. It returns the first entries as they are stored, the parent not
	// among them but in Entry.Parent of each.
	WriteEntries(ctx context.Context, id activation.PublisherID, parent *activation.Entry, entries []activation.Entry, w activation.EntryWrite) ([]activation.Entry, error)
	Entry(ctx context.Context, id activation.EntryID) (activation.Entry, error)
	// Entries returns a page, and the cursor of the next one or "".
	Entries(ctx context.Context, q activation.EntryQuery) (page []activation.Entry, next string, err error)
	// EachEntry calls yield with every entry of q, by id, without holding them all.
	EachEntry(ctx context.Context, q activation.EntryQuery, yield func(activation.Entry) error) error
	// EntryCounts counts entries by status, of one account or of all (""). Parents are
	// not counted.
	EntryCounts(ctx context.Context, id activation.PublisherID) (map[activation.EntryStatus]int64, error)
	// EntriesAhead says what is posted before an entry: in groups by key and parent, in order.
	// Of an entry that is not queued it is what would be if it were released now.
	EntriesAhead(ctx context.Context, id activation.EntryID) ([]activation.AheadGroup, error)
	// EntryBefore returns the waiting entry that goes directly before it, if there is one.
	EntryBefore(ctx context.Context, id activation.EntryID) (*activation.Entry, error)
	// MoveEntries does a command on entries: all of sel, or with dryRun none.
	MoveEntries(ctx context.Context, c activation.EntryCommand, sel activation.EntryQuery, user string, dryRun bool) (activation.EntriesMoved, error)
}

// Posting moves entries to the publisher. Every method matches the pass and its
// attempt: ErrFenced when it is another's by now.
type Posting interface {
	// HasQueued reports whether something of an account is queued or processing.
	HasQueued(ctx context.Context, id activation.PublisherID) (bool, error)
	// TakeOverEntries makes everything of the account that is processing this attempt's, and
	// returns it in the order of its call: its outcome is unknown.
	TakeOverEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, limit int) ([]activation.Entry, error)
	// QueueHead returns up to limit queued entries from the head of the order, with the
	// objects they are about, without their local values; it changes nothing.
	QueueHead(ctx context.Context, id activation.PublisherID, limit int) ([]activation.Entry, map[activation.ObjectRef]activation.PublisherObject, error)
	// ClaimEntries makes these entries processing, as one call: they must be the first of the
	// order still, or it is ErrConflict and nothing is claimed. It returns them as they
	// are now.
	ClaimEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, entries []activation.EntryID) ([]activation.Entry, error)
	// SettleEntries stores what became of processing entries in one transaction: status,
	// answer and error; confirmed values of objects; real ids of what was created,
	// wherever the old one stands; dependants of failed creates fail with PUB-NEEDS-001.
	// EditLater puts an entry back to queued, in its place.
	SettleEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, outcomes []activation.EntryOutcome) error
	// ReleaseWaiting queues what is to be sent, for the nightly sync.
	ReleaseWaiting(ctx context.Context, p activation.Pass, id activation.PublisherID) (int64, error)
	// SaveNightly and Nightly keep how far the nightly sync is.
	SaveNightly(ctx context.Context, p activation.Pass, id activation.PublisherID, n activation.Nightly) error
	Nightly(ctx context.Context, id activation.PublisherID) (activation.Nightly, error)
}

// Plans keeps scheduled operations and bidding strategies.
type Plans interface {
	Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error)
	PutSchedule(ctx context.Context, s activation.ScheduledOperation, user string) (activation.ScheduledOperation, error)
	DeleteSchedule(ctx context.Context, id activation.PublisherID, schedule, user string) error
	DueSchedules(ctx context.Context, now time.Time, limit int) ([]activation.ScheduledOperation, error)
	Strategies(ctx context.Context, id activation.PublisherID) ([]activation.Strategy, error)
	Strategy(ctx context.Context, id activation.PublisherID, strategy string) (activation.Strategy, error)
	PutStrategy(ctx context.Context, s activation.Strategy, user string) (activation.Strategy, error)
	DeleteStrategy(ctx context.Context, id activation.PublisherID, strategy, user string) error
	SaveProposals(ctx context.Context, id activation.PublisherID, strategy string, at time.Time, made []activation.BidProposal) error
	Proposals(ctx context.Context, id activation.PublisherID, strategy string) ([]activation.BidProposal, error)
	DropState(ctx context.Context, job activation.JobID) ([]byte, error)
	SaveDropState(ctx context.Context, job activation.JobID, state []byte) error
}

// Costs keeps cost reports.
type Costs interface {
	// BeginCosts begins a reading of costs and returns its number. Of two readings only
	// the one that began last may store anything: the other's calls are ErrFenced.
	BeginCosts(ctx context.Context, id activation.PublisherID) (reading int64, err error)
	// SaveCosts stores rows, in place of what is there of their date and object.
	SaveCosts(ctx context.Context, id activation.PublisherID, reading int64, rows []activation.Cost) error
	// EndCosts notes that costs were read whole, and deletes rows of these days that the
	// reading did not bring (their object has none any more).
	EndCosts(ctx context.Context, id activation.PublisherID, reading int64, from, until string, at time.Time) error
	Costs(ctx context.Context, q activation.CostQuery) ([]activation.CostRow, error)
}
