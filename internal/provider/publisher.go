package provider

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Publisher edits the campaigns of one account. Its methods are called for one
// account by one goroutine at a time, in the order that Usher keeps; it decides
// nothing about that order but how many edits may travel together. Errors are those
// of Destination.
type Publisher interface {
	// Check proves credentials and account. It writes nothing.
	Check(ctx context.Context) (PublisherInfo, error)
	// Together says how many of these edits, counted from the first, may travel in
	// one call such that they take effect as if they were sent one by one. It is at
	// least 1 and asks nobody. No object is in edits twice.
	Together(edits []Edit) int
	// Post sends edits in one call, no more than Together said. Either there is an
	// outcome for every edit, or err is set and tells by MayHaveApplied whether all
	// of them are unknown (true) or none was sent (false). Never both.
	Post(ctx context.Context, edits []Edit) ([]EditOutcome, error)
	// Read reads objects back. What is not there (any more) is not in the answer.
	Read(ctx context.Context, refs []activation.ObjectRef) ([]ObjectState, error)
	// Find looks for what creates of unknown outcome may have made, by parent and
	// name (or keyword): one id for each, "" where there is none. It passes over those
	// of Edit.Known, which were there before. The parent may be what a create before
	// it in the list is to make; where that is not found, or is no part of the list,
	// there is none.
	Find(ctx context.Context, creates []Edit) ([]string, error)
	// Structure calls yield with every object of the account that is not removed,
	// parents before what is in them. It stops at yield's error and returns it.
	Structure(ctx context.Context, yield func(ObjectState) error) error
	// Costs calls yield with what was spent from one day to another, both included,
	// as dates of the account's zone ("2026-11-20"), by campaign, group and keyword.
	Costs(ctx context.Context, from, until string, yield func(activation.Cost) error) error
}

// ChangeTeller is a Publisher that can tell what was changed there by others. Of one
// that can't, the structure is read whole every night.
type ChangeTeller interface {
	// Changed names the objects that were changed since then. ok is false when the
	// publisher does not remember as far back, and the structure must be read whole.
	Changed(ctx context.Context, since time.Time) (refs []activation.ObjectRef, ok bool, err error)
}

// PublisherInfo is what a publisher says of an account.
type PublisherInfo struct {
	// Name is what people call it there.
	Name string `json:"name"`
	// Currency is ISO 4217, Timezone IANA.
	Currency string `json:"currency"`
	Timezone string `json:"timezone"`
}

// Edit is one operation on one object, as it is posted.
type Edit struct {
	// Entry is recognisable in logs; it means nothing to the publisher.
	Entry activation.EntryID
	// Operation is create, delete, or one of those that change fields.
	Operation activation.Operation
	// Object is what it is about. The id of a create is NewObjectID; other edits of
	// the same call may refer to it by that id, as Parent or in a field of type
	// "object".
	Object activation.ObjectRef
	// Type is one of the declared types (ObjectType.Name).
	Type   string
	Parent activation.ObjectRef
	// Set are the new values; of a create all there are. Clear names the fields that
	// are to have none. Both hold declared fields only.
	Set   map[string]string
	Clear []string
	// Have are the values as the publisher has them, nil of a create. What one field
	// needs beside it (the id of a budget) is there.
	Have map[string]string
	// Known are, for Find alone, the ids of objects of that name that were there before
	// the create was sent.
	Known []string
}

// EditState is what became of one edit.
type EditState string

const (
	// EditDone: it took effect.
	EditDone EditState = "done"
	// EditRefused: it did not and will not; Code and Text say why.
	EditRefused EditState = "refused"
	// EditLater: it did not, but may when it is sent again.
	EditLater EditState = "later"
	// EditUnknown: it may have taken effect; it is read back before it is sent again.
	EditUnknown EditState = "unknown"
)

// EditOutcome is what became of one edit.
type EditOutcome struct {
	State EditState
	// ID is the publisher's id of what a create made.
	ID string
	// Values are fields that the publisher set otherwise than asked or beside what was
	// asked, such as a rounded amount or the id of a budget it made.
	Values map[string]string
	// Answer is what it said, short and safe to keep.
	Answer string
	// Code names the class of the error as activation.Error does, Text is in the
	// publisher's own words, Field the field at fault where it tells.
	Code, Text, Field string
	RequestID         string
	// Until is when it takes edits again, for EditLater; zero = it does not say.
	Until time.Time
}

// ObjectState is an object as the publisher has it.
type ObjectState struct {
	activation.ObjectRef
	Type   string
	Parent activation.ObjectRef
	// Fields are the declared fields that have a value.
	Fields map[string]string
}

// Publishing is what a provider declares of the campaigns it lets be edited. Grid,
// files, API validation and docs come from this declaration.
type Publishing struct {
	// Sync and Post name the two workflows that an account's jobs are of:
	// "google_sync" and "google_post".
	Sync, Post string
	// AccountHelp says what the account's id is and where to find it.
	AccountHelp string
	// Fields are the settings of one account.
	Fields []Field
	// Objects are what can be edited, parents before what is in them.
	Objects []ObjectType
	// MaxEdits is the most edits of one call; its comment in the provider names the
	// page.
	MaxEdits int
	// Settles is how long after a call that was cut its effect may still appear; what
	// is unknown is read back only then.
	Settles time.Duration
	// CostDays is how many days back costs still change: they are read again each
	// night.
	CostDays int
	// New builds the client. Deps.Account is the account, Deps.Config its settings.
	New func(Deps) (Publisher, error)
}

// ObjectType is one type of object.
type ObjectType struct {
	// Name is the publisher's word in plain small letters: "ad group". Title is its
	// plural for a heading: "Ad groups".
	Name, Title string
	Kind        activation.ObjectKind
	// Parent is the type it lies in, "" = the account.
	Parent string
	// Creates and Deletes: it can be created and deleted.
	Creates, Deletes bool
	Fields           []ObjectField
}

// ObjectField is one value of an object, kept as text.
type ObjectField struct {
	// Name is snake case; activation.FieldName, FieldStatus, FieldBid and FieldBudget
	// mean the same with all publishers.
	Name, Label, Help string
	// Type is text, amount (a decimal in the account's currency), number, select,
	// date (2026-11-20), time (2026-11-20 20:00, of the account's zone), url, bool,
	// list (divided by commas) or object (the id of another object of the account,
	// whose type is Object).
	Type    string
	Options []string
	Object  string
	// Required: a create needs it. Fixed: it can't be changed afterwards. Shown: it can
	// only be read.
	Required, Fixed, Shown bool
	// Max is the most characters, 0 = no limit.
	Max int
	// Operation is what a change of it is called; "" = edit.
	Operation activation.Operation
	// Aliases are other names that it may have in a file, beside Name and Label.
	Aliases []string
	Example string
}

// Object returns the declared type of that name.
func (p *Publishing) Object(name string) (ObjectType, bool) {
	for _, t := range p.Objects {
		if t.Name == name {
			return t, true
		}
	}
	return ObjectType{}, false
}

// Field returns the declared field of that name.
func (t ObjectType) Field(name string) (ObjectField, bool) {
	for _, f := range t.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return ObjectField{}, false
}
