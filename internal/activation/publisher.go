package activation

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// PublisherID names a publisher account in Usher.
type PublisherID string

// PublisherAccount is one account at an ad publisher that Usher edits.
type PublisherAccount struct {
	ID       PublisherID `json:"id"`
	Name     string      `json:"name"`
	Provider string      `json:"provider"`
	// Authorization holds the credentials that edits are posted with.
	Authorization AuthorizationID `json:"auth_id"`
	// Account is the publisher's own id of it.
	Account string            `json:"account"`
	Config  map[string]string `json:"config"`
	// Currency (ISO 4217) and Timezone (IANA) are as the publisher tells them.
	Currency string `json:"currency"`
	Timezone string `json:"timezone"`
	// NightlyAt is the time of day, in the account's zone, at which what waits is
	// posted: "20:00".
	NightlyAt string `json:"nightly_at"`
	// SyncJob and PostJob are the two jobs that it owns.
	SyncJob JobID `json:"sync_job"`
	PostJob JobID `json:"post_job"`
	// Waiting counts its entries by status, of those that have not ended.
	Waiting map[EntryStatus]int64 `json:"waiting"`

	CreatedAt time.Time `json:"created"`
	UpdatedAt time.Time `json:"updated"`
	// SyncedAt is when its structure was last read whole, CostAt when its costs were.
	SyncedAt time.Time `json:"synced,omitzero"`
	CostAt   time.Time `json:"cost_read,omitzero"`
}

// DefaultNightlyAt is when an account posts where nobody says otherwise.
const DefaultNightlyAt = "20:00"

// ObjectKind is the level of a publisher object, the second key of the order.
type ObjectKind string

const (
	KindCampaign ObjectKind = "campaign"
	KindGroup    ObjectKind = "group"
	KindCreative ObjectKind = "creative"
	KindKeyword  ObjectKind = "keyword"
	// KindOther is everything else: shared budgets, locations, remarketing lists.
	KindOther ObjectKind = "other"
)

// ObjectKinds lists them in the order in which they are posted.
var ObjectKinds = []ObjectKind{KindCampaign, KindGroup, KindCreative, KindKeyword, KindOther}

// ObjectRef names an object within its account. The zero value is the account.
type ObjectRef struct {
	Kind ObjectKind `json:"kind"`
	// ID is the publisher's, or NewObjectID of the entry that is to create it.
	ID string `json:"id"`
}

const newPrefix = "new-"

// NewObjectID is the id of an object until the publisher has created it.
func NewObjectID(create EntryID) string { return newPrefix + strconv.FormatInt(int64(create), 10) }

// CreatedBy returns the entry that is to create the object of this id; ok is false
// for an id of the publisher's own.
func CreatedBy(id string) (create EntryID, ok bool) {
	digits, ok := strings.CutPrefix(id, newPrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	return EntryID(n), ok && err == nil
}

const pendingPrefix = "row-"

// PendingObjectID is the id, within one writing of entries, of the object that the
// create at index i makes.
func PendingObjectID(i int) string { return pendingPrefix + strconv.Itoa(i) }

// PendingIndex is the index that PendingObjectID was made of; ok is false for another id.
func PendingIndex(id string) (i int, ok bool) {
	digits, ok := strings.CutPrefix(id, pendingPrefix)
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil
}

// PendingRefer stands in Entry.Refers, within one writing of entries, for the create at
// index i.
func PendingRefer(i int) EntryID { return EntryID(-1 - i) }

// PublisherObject is one campaign, group, creative, keyword or other of an account,
// in Usher's copy.
type PublisherObject struct {
	Publisher PublisherID `json:"publisher_id"`
	ObjectRef
	// Type is the publisher's word for it, one of its declared types: "ad group".
	Type   string    `json:"type"`
	Parent ObjectRef `json:"parent"`
	// Confirmed are the values as the publisher has them, nil for an object that
	// waits to be created. A field without a value is not in it.
	Confirmed map[string]string `json:"confirmed"`
	// Local is Confirmed and the waiting entries, applied in the order of posting.
	Local map[string]string `json:"local"`
	// Waiting is how many entries of it have not ended.
	Waiting int64 `json:"waiting"`
	// Removed: the publisher does not have it any more. Deleted: a waiting entry
	// deletes it.
	Removed     bool      `json:"removed"`
	Deleted     bool      `json:"deleted"`
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
}

// The fields that every publisher calls by the same name.
const (
	// FieldName is what people call an object.
	FieldName = "name"
	// FieldStatus is StatusEnabled or StatusPaused.
	FieldStatus = "status"
	// FieldBid is the most a click may cost, an amount in the account's currency.
	FieldBid = "bid"
	// FieldBudget is an amount per day in the account's currency.
	FieldBudget = "budget"
)

const (
	StatusEnabled = "enabled"
	StatusPaused  = "paused"
)

// Name is what people call the object: its own name, or its keyword or id.
func (o PublisherObject) Name() string {
	return cmp.Or(o.Local[FieldName], o.Confirmed[FieldName], o.Local["keyword"], o.Confirmed["keyword"], o.ID)
}

// Cost is what one object cost on one day.
type Cost struct {
	// Date is the day in the account's zone, "2026-11-20".
	Date   string    `json:"date"`
	Object ObjectRef `json:"object"`
	// Currency is that of Micros and Value.
	Currency    string `json:"currency"`
	Impressions int64  `json:"impressions"`
	Clicks      int64  `json:"clicks"`
	// Micros are millionths of the currency's unit.
	Micros      int64   `json:"cost_micros"`
	Conversions float64 `json:"conversions"`
	Value       float64 `json:"conversions_value"`
}

// ScheduledOperation pauses or resumes an object on the hour.
type ScheduledOperation struct {
	ID        string      `json:"id"`
	Publisher PublisherID `json:"publisher_id"`
	Object    ObjectRef   `json:"object"`
	// Action is pause or resume.
	Action string `json:"action"`
	// At is when it is done next, on the hour of the account's zone; zero = it is done.
	At time.Time `json:"at,omitzero"`
	// Days are the days of the week on which it is done again at the same hour, Monday
	// = 1 to Sunday = 7; none = once.
	Days      []int     `json:"days"`
	Hour      int       `json:"hour"`
	LastEntry EntryID   `json:"last_entry,omitempty"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created"`
}

const (
	ActionPause  = "pause"
	ActionResume = "resume"
)

// Strategy is how bids of some objects are found.
type Strategy struct {
	ID        string      `json:"id"`
	Publisher PublisherID `json:"publisher_id"`
	Name      string      `json:"name"`
	// Goal is cpa (cost per conversion), roas (value per cost) or given (bids come
	// through the API).
	Goal string `json:"goal"`
	// Target is the cost per conversion in the account's currency, or the value per
	// cost as a ratio (4 = 400 %).
	Target float64 `json:"target,omitempty"`
	// Kind is whose bids they are, group or keyword; Within are the campaigns and
	// groups they belong to, none = all.
	Kind   ObjectKind  `json:"kind"`
	Within []ObjectRef `json:"within"`
	// Floor and Ceiling are the least and the highest bid, in the account's currency.
	Floor   float64 `json:"floor"`
	Ceiling float64 `json:"ceiling"`
	// Mode is off, preview (calculate only) or traffic (post).
	Mode      string        `json:"mode"`
	Overrides []BidOverride `json:"overrides"`
	CreatedBy string        `json:"created_by"`
	CreatedAt time.Time     `json:"created"`
	UpdatedAt time.Time     `json:"updated"`
	RunAt     time.Time     `json:"run,omitzero"`
}

// BidOverride keeps one object's bid as it is given, until a date.
type BidOverride struct {
	Object ObjectRef `json:"object"`
	Bid    float64   `json:"bid"`
	// Until is the last day, in the account's zone: "2026-12-31".
	Until string `json:"until"`
}

// BidProposal is what a strategy made of one object.
type BidProposal struct {
	Object ObjectRef `json:"object"`
	Name   string    `json:"name"`
	Old    float64   `json:"old"`
	New    float64   `json:"new"`
	// Why says what kept it from changing, or which bound it met; "" = the formula.
	Why string `json:"why,omitempty"`
	// Inputs are what it was calculated from: cost, conversions, value, actual, target, days.
	Inputs map[string]float64 `json:"inputs"`
	Entry  EntryID            `json:"entry,omitempty"`
}
