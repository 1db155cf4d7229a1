package activation

import "time"

// ObjectQuery selects objects of one account, by name.
type ObjectQuery struct {
	Publisher PublisherID
	Kind      ObjectKind
	// Type, Parent, Status (of the local value) and Text (within the name or the id)
	// narrow it where they are set.
	Type   string
	Parent ObjectRef
	Status string
	Text   string
	// Waiting: only those with waiting entries. Removed: those that are gone, too.
	Waiting, Removed bool
	After            string // a cursor of the last page, "" = the first
	Limit            int
}

// StructureRead counts what a reading changed.
type StructureRead struct {
	New, Changed, Removed, Conflicts int64
}

// EntryQuery selects entries.
type EntryQuery struct {
	Publisher PublisherID // "" = of all accounts
	IDs       []EntryID
	Statuses  []EntryStatus
	Origins   []Origin
	Kinds     []ObjectKind
	Ops       []Operation
	Parent    EntryID
	// Top: only uploads, and entries that belong to none.
	Top    bool
	Object ObjectRef
	// Text is within the text, the name or the id of the object, or is the entry's id.
	Text         string
	Since, Until time.Time // created in
	// EndedSince: only those that ended then or later.
	EndedSince time.Time
	// Posting orders what waits of one account as it would be posted if all of it were
	// released; without it the newest are first.
	Posting bool
	After   string
	Limit   int
	// Most is how many entries are looked at for one page by what has no index (text,
	// origin, kind, operation, time), 0 = all. A page that ended so has a cursor to go on
	// from, however few it found.
	Most int
}

// EntryWrite is more about one writing of entries.
type EntryWrite struct {
	// Check is called in the transaction, once the account's lock is had and before they
	// are stored, with some of the entries as they were given and the objects of them and
	// their parents as they are now (what is not there is not in it). Its error ends the
	// writing with nothing stored.
	Check func(entries []Entry, now map[ObjectRef]PublisherObject) error
	// More is called when the entries before are stored, for those that follow; none =
	// that was all. Indexes go on counting, and Check is called again with the objects of
	// what follows. nil = there are no more.
	More func() ([]Entry, error)
	// DropJob and DropState are how far a drop folder was read.
	DropJob   JobID
	DropState []byte
	// Schedule is moved on in the same transaction (publishing.Plans).
	Schedule *ScheduledOperation
	// Audit is the verb of the line in the audit log, "" = none (the system's).
	Audit string
}

// AheadGroup is some entries that are posted before another.
type AheadGroup struct {
	Origin    Origin
	Kind      ObjectKind
	Operation Operation
	Parent    EntryID // 0 = of no upload
	First     EntryID
	Status    EntryStatus
	Count     int64
}

// EntriesMoved is what a command did, or with a dry run would do.
type EntriesMoved struct {
	// Done counts what was selected and moved, Also what had to move along (creates
	// that a released entry needs; entries that can't be without a cancelled create).
	Done int64 `json:"done"`
	Also int64 `json:"also"`
	// Refused are selected entries that were not moved, by reason.
	Refused []EntryRefusal `json:"refused"`
	// Publishers are the accounts whose post job has something to do now.
	Publishers []PublisherID `json:"publisher_ids"`
}

// EntryRefusal is why some entries were not moved.
type EntryRefusal struct {
	Code    string  `json:"code"`
	Reason  string  `json:"reason"`
	Count   int64   `json:"count"`
	Example EntryID `json:"example"`
}

// EntryOutcome is what became of one processing entry.
type EntryOutcome struct {
	Entry EntryID
	// Status is done, failed, queued (it goes again, in its place) or held (conflict).
	Status EntryStatus
	Reason string
	// ID is the publisher's id of what it created.
	ID string
	// Confirmed are the values of the object now; nil = as they were. Gone: there is no
	// such object any more.
	Confirmed                                           map[string]string
	Gone                                                bool
	Theirs                                              map[string]string // by field, of a conflict
	Answer, ErrorCode, ErrorText, ErrorField, RequestID string
}

// Nightly is how far the nightly sync of an account is.
type Nightly struct {
	// Pass is the pass it belongs to; Step is the next of its five steps, 1 to 5.
	Pass PassID `json:"pass"`
	Step int    `json:"step"`
	// Released counts what it released, ReleasedAt is when: step 5 confirms what was
	// posted since then.
	Released   int64     `json:"released"`
	ReleasedAt time.Time `json:"released_at,omitzero"`
	Begun      time.Time `json:"begun"`
	// Changes is from when on changes at the publisher are asked for next time.
	Changes time.Time `json:"changes"`
}

// CostQuery selects costs of one account.
type CostQuery struct {
	Publisher   PublisherID
	From, Until string
	// Kind is the level that rows are of; Object one object, zero = all.
	Kind   ObjectKind
	Object ObjectRef
	// Objects narrows it to some objects of Kind, by their ids; none = all.
	Objects []string
	// By is date, object or both ("").
	By string
	// Currency narrows it to rows in one; "" = all.
	Currency string
	Limit    int
}

// CostRow is a sum of costs in one currency.
type CostRow struct {
	Cost
	Name string `json:"name,omitempty"`
}

// EntryCommand is what people do to entries.
type EntryCommand string

const (
	CommandPost    EntryCommand = "post"     // release what is selected, held ones too
	CommandPostAll EntryCommand = "post_all" // release what is to be sent, never held ones
	CommandHold    EntryCommand = "hold"
	CommandRelease EntryCommand = "release" // held → to_be_sent
	CommandCancel  EntryCommand = "cancel"
	CommandRetry   EntryCommand = "retry" // failed → queued
)
