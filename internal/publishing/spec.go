package publishing

import (
	"usher/internal/activation"
)

// AccountSpec is what somebody says of a publisher account.
type AccountSpec struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	// Authorization is its id.
	Authorization activation.AuthorizationID `json:"auth_id"`
	Account       string                     `json:"account"`
	Config        map[string]string          `json:"config"`
	NightlyAt     string                     `json:"nightly_at"`
}

// EditSpec is one edit as somebody asks for it.
type EditSpec struct {
	// Action is set, create or delete.
	Action string `json:"action"`
	// Kind and ID name the object; a create has no id.
	Kind activation.ObjectKind `json:"kind"`
	ID   string                `json:"id,omitempty"`
	// Type is needed where the publisher has several types of the kind.
	Type string `json:"type,omitempty"`
	// Parent is what a create lies in; its id may be activation.PendingObjectID(i), the create at index i
	// of the same call.
	Parent activation.ObjectRef `json:"parent,omitzero"`
	// Fields are the new values. Clear names the fields that are to have none.
	Fields map[string]string `json:"fields,omitempty"`
	Clear  []string          `json:"clear,omitempty"`
	// Row is its row in a file, 0 = it comes from none; Client is an id of the caller's
	// own that results carry.
	Row    int    `json:"row,omitempty"`
	Client string `json:"client_id,omitempty"`
}

const (
	ActionSet    = "set"
	ActionCreate = "create"
	ActionDelete = "delete"
)

// Problem is what is wrong with one edit.
type Problem struct {
	// Index is that of the edit, Row and Column those of a file.
	Index  int    `json:"index"`
	Row    int    `json:"row,omitempty"`
	Column string `json:"column,omitempty"`
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	// Message says what would be right.
	Message string `json:"message"`
}

// EditResult is what became of some edits: all of them are written, or, where there
// are problems, none.
type EditResult struct {
	Adds    int64 `json:"adds"`
	Edits   int64 `json:"edits"`
	Deletes int64 `json:"deletes"`
	// Same counts edits that change nothing; they make no entry.
	Same     int64     `json:"same"`
	Errors   int64     `json:"errors"`
	Problems []Problem `json:"problems,omitempty"` // the first of them
	// Parent is the upload, where there is one.
	Parent  activation.EntryID `json:"parent_id,omitempty"`
	Entries []activation.Entry `json:"entries,omitempty"` // the first of them
}

// UploadPreview is what a file would do, and nothing of it is done.
type UploadPreview struct {
	EditResult
	// Columns says how each column of the header was read, "" = it is passed over.
	Columns []UploadColumn `json:"columns"`
	Rows    int64          `json:"rows"`
	// Sample are the first changes, in words.
	Sample []UploadChange `json:"sample"`
	// Format says what the file is: CSV or TSV, and its encoding.
	Format string `json:"format"`
}

// UploadColumn is one column of a file.
type UploadColumn struct {
	Header string `json:"header"`
	Field  string `json:"field"`
}

// UploadChange is what one row does.
type UploadChange struct {
	Row       int                  `json:"row"`
	Operation activation.Operation `json:"operation"`
	Type      string               `json:"type"`
	Object    string               `json:"object"`
	Changes   []activation.Change  `json:"changes"`
}

// EntryView is an entry with what there is to say of it.
type EntryView struct {
	activation.Entry
	// Place is where it waits, nil once it has ended.
	Place *Position `json:"place,omitempty"`
}

// Position is the place of an entry in the order of its account, and why.
type Position struct {
	// Place counts from 1; Released is false when it is the place it would have if it
	// were released now.
	Place    int64 `json:"place"`
	Released bool  `json:"released"`
	// Behind are the entries in front of it, in groups, in the order of posting.
	Behind []Behind `json:"behind"`
	// DecidedBy is the key that puts it behind the one directly in front of it: origin,
	// object, operation, id, or need (it was pulled, or waits for what it needs).
	DecidedBy string            `json:"decided_by,omitempty"`
	Before    *activation.Entry `json:"before,omitempty"`
	// Why says it in a sentence: "behind #1041: 100,000 deletes by upload".
	Why string `json:"why"`
	// Seconds is about how long until it is posted, -1 = not known.
	Seconds int64 `json:"seconds"`
	// Blocked says what keeps the head of the account from going, "" = nothing.
	Blocked string `json:"blocked,omitempty"`
}

// Behind is a group in front of an entry.
type Behind struct {
	Text  string             `json:"text"`
	Count int64              `json:"count"`
	First activation.EntryID `json:"first"`
}

// ObjectView is an object with its history.
type ObjectView struct {
	activation.PublisherObject
	Waits   []activation.Entry `json:"waits"`
	History []activation.Entry `json:"history"`
}

// NextEntry is one of the entries that are sent next, and what puts it there.
type NextEntry struct {
	activation.Entry
	// DecidedBy is the key that puts it behind the one in front of it: origin, object,
	// operation, id or need; "" of the first.
	DecidedBy string `json:"decided_by,omitempty"`
	Why       string `json:"why"`
}

// GivenBid is a bid that somebody else calculated.
type GivenBid struct {
	Object activation.ObjectRef `json:"object"`
	Bid    float64              `json:"bid"`
}

// CostReport is what was spent, in one currency.
type CostReport struct {
	Currency string `json:"currency"`
	// Currencies are all that the rows of the account are in, of these days.
	Currencies []string             `json:"currencies"`
	Rows       []activation.CostRow `json:"rows"`
}
