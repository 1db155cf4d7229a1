package activation

import (
	"cmp"
	"slices"
	"time"
)

// EntryID names an entry of the Activity Log. Ids are given under the lock of the
// account, so their order is the order in which entries came to be.
type EntryID int64

// EntryStatus is where an entry stands.
type EntryStatus string

const (
	// EntryHeld: a person keeps it back, or a conflict does (Entry.Reason).
	EntryHeld EntryStatus = "held"
	// EntryToBeSent: it goes out with the nightly sync, or when somebody posts it.
	EntryToBeSent EntryStatus = "to_be_sent"
	// EntryQueued: it is released and goes out in its turn.
	EntryQueued EntryStatus = "queued"
	// EntryProcessing: it is under way to the publisher, or its outcome is not known yet.
	EntryProcessing EntryStatus = "processing"
	EntryDone       EntryStatus = "done"
	EntryFailed     EntryStatus = "failed"
	EntryCancelled  EntryStatus = "cancelled"
	// EntryPartial is for parents: some of its children are done and some are not.
	EntryPartial EntryStatus = "partial"
)

// EntryStatuses lists them in the order in which an entry passes through them.
var EntryStatuses = []EntryStatus{EntryHeld, EntryToBeSent, EntryQueued, EntryProcessing, EntryDone, EntryPartial, EntryFailed, EntryCancelled}

// Waits reports whether an entry of this status is still to take effect.
func (s EntryStatus) Waits() bool {
	return s == EntryHeld || s == EntryToBeSent || s == EntryQueued || s == EntryProcessing
}

// Origin is where an entry comes from, the first key of the order.
type Origin string

const (
	// OriginScheduled is a scheduled operation.
	OriginScheduled Origin = "scheduled"
	// OriginUser is a person, a token or a file of theirs.
	OriginUser Origin = "user"
	// OriginSystem is bidding and the nightly report.
	OriginSystem Origin = "system"
)

// Origins lists them in the order in which they are posted.
var Origins = []Origin{OriginScheduled, OriginUser, OriginSystem}

// Operation is what an entry does, the third key of the order.
type Operation string

const (
	// OpSync reads from the publisher: a hard sync, or the sync from a report.
	OpSync   Operation = "sync"
	OpCreate Operation = "create"
	OpEdit   Operation = "edit"
	OpBid    Operation = "bid"
	OpGeo    Operation = "geo"
	OpStatus Operation = "status"
	OpDelete Operation = "delete"
	// OpUpload is the operation of a parent; it is never posted itself.
	OpUpload Operation = "upload"
)

// Operations lists those that are posted.
var Operations = []Operation{OpSync, OpCreate, OpEdit, OpBid, OpGeo, OpStatus, OpDelete}

// rank is the place in the order: sync, create, and all others as equals.
func (o Operation) rank() int {
	switch o {
	case OpSync:
		return 0
	case OpCreate:
		return 1
	case OpEdit, OpBid, OpGeo, OpStatus, OpDelete, OpUpload:
	}
	return 2
}

// Send says when edits go out.
type Send string

const (
	// SendHold keeps them back until somebody posts them.
	SendHold Send = "hold"
	// SendNightly posts them with the nightly sync.
	SendNightly Send = "nightly"
	// SendNow posts them at once, in their turn.
	SendNow Send = "now"
)

// Change is what an entry does to one field. "" stands for no value.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
	// Theirs is what the publisher has instead of Before, of a conflict.
	Theirs string `json:"theirs,omitempty"`
	// Object: After is the id of an object, which may be NewObjectID, or within one
	// writing PendingObjectID.
	Object bool `json:"object,omitempty"`
}

// Entry is one operation on a publisher object in the Activity Log, or the parent of
// those that one upload made.
type Entry struct {
	ID        EntryID     `json:"id"`
	Publisher PublisherID `json:"publisher_id"`
	// Parent is the upload it belongs to, 0 = none; Row is its row there.
	Parent EntryID     `json:"parent_id,omitempty"`
	Row    int         `json:"row,omitempty"`
	Status EntryStatus `json:"status"`
	// Reason says why it is held: ReasonUser or ReasonConflict; or what ended it
	// without being sent.
	Reason string `json:"reason,omitempty"`
	Origin Origin `json:"origin"`
	// By is who wants it; Source is the way it came: console, api, upload, drop,
	// bidding, schedule, report.
	By        string    `json:"by"`
	Source    string    `json:"source"`
	Operation Operation `json:"operation"`
	// Object is what it is about; of a create it is NewObjectID of the entry until it
	// is done. Type, ObjectName and ObjectParent are as they were.
	Object       ObjectRef `json:"object"`
	Type         string    `json:"type,omitempty"`
	ObjectName   string    `json:"object_name"`
	ObjectParent ObjectRef `json:"object_parent"`
	Changes      []Change  `json:"changes"`
	// Refers are the waiting creates that it cannot go without.
	Refers []EntryID `json:"refers,omitempty"`
	// For is the waiting entry in whose place it goes, directly in front of it, because
	// that one needs it; 0 = it goes in its own.
	For EntryID `json:"for,omitempty"`
	// Text says in words what it does; Detail is what it was made from, such as the
	// inputs of a bid.
	Text   string            `json:"text"`
	Detail map[string]string `json:"detail,omitempty"`
	// Attempt counts how often it was posted, Batch is the number of the call.
	Attempt int   `json:"attempt"`
	Batch   int64 `json:"batch,omitempty"`
	// Answer is what the publisher said; ErrorCode and ErrorText are why it failed, the
	// text in the publisher's own words. ErrorField is the field at fault where it
	// tells. RequestID is the publisher's, for its support.
	Answer     string `json:"answer,omitempty"`
	ErrorCode  string `json:"error_code,omitempty"`
	ErrorText  string `json:"error,omitempty"`
	ErrorField string `json:"error_field,omitempty"`
	RequestID  string `json:"request_id,omitempty"`
	// Children counts those of a parent by status.
	Children map[EntryStatus]int64 `json:"children,omitempty"`

	CreatedAt  time.Time `json:"created"`
	ReleasedAt time.Time `json:"released,omitzero"`
	PostedAt   time.Time `json:"posted,omitzero"`
	EndedAt    time.Time `json:"ended,omitzero"`
}

const (
	// ReasonUser: a person holds it.
	ReasonUser = "user"
	// ReasonConflict: the object was changed at the publisher since.
	ReasonConflict = "conflict"
)

// IsParent reports whether e stands for the rows of one upload.
func (e Entry) IsParent() bool { return e.Operation == OpUpload }

// EntryKey is the place of an entry in the order of its account. Compare it with
// Compare.
type EntryKey struct {
	Origin, Object, Operation int
	ID                        EntryID
}

// Key is the entry's own place: origin, object, operation, lowest id. A create that a
// waiting entry refers to goes in the place of that entry instead, in front of it
// .
func (e Entry) Key() EntryKey {
	return EntryKey{
		Origin: slices.Index(Origins, e.Origin), Object: slices.Index(ObjectKinds, e.Object.Kind),
		Operation: e.Operation.rank(), ID: e.ID,
	}
}

// Compare is negative when k is posted before l.
func (k EntryKey) Compare(l EntryKey) int {
	return cmp.Or(cmp.Compare(k.Origin, l.Origin), cmp.Compare(k.Object, l.Object), cmp.Compare(k.Operation, l.Operation), cmp.Compare(k.ID, l.ID))
}

// ParentStatus is the status of a parent whose children stand as counted.
func ParentStatus(children map[EntryStatus]int64) EntryStatus {
	for _, s := range []EntryStatus{EntryProcessing, EntryQueued, EntryToBeSent, EntryHeld} {
		if children[s] > 0 {
			return s
		}
	}
	switch done, failed, cancelled := children[EntryDone], children[EntryFailed], children[EntryCancelled]; {
	case failed == 0 && cancelled == 0:
		return EntryDone
	case done > 0:
		return EntryPartial
	case failed > 0:
		return EntryFailed
	}
	return EntryCancelled
}
