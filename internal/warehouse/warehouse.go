// Package warehouse is the data plane as the rest of Usher sees it: streams
// with their raw messages, profiles, audience membership, match keys, staged
// changes and ledgers. Everything personal is in here and nowhere else.
//
// It owns the types and the interfaces; duckdb implements them, and
// warehousetest is the suite every implementation passes. It knows nothing of
// jobs, schedules, networks or HTTP. It is built for the crash between two
// databases: every method that is told of something done may be told again.
package warehouse

import (
	"context"
	"maps"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
)

// FieldType is the type of a profile field.
type FieldType string

const (
	Text    FieldType = "text"
	Integer FieldType = "integer" // 64 bit
	Number  FieldType = "number"  // double
	Boolean FieldType = "boolean"
	Time    FieldType = "time" // UTC, microseconds
	TextSet FieldType = "set"  // set of text, at most 1,000 values
)

// MergeRule says how several messages become one value.
type MergeRule string

const (
	Latest MergeRule = "latest" // newest message time wins, ties by later receipt
	First  MergeRule = "first"  // oldest message time wins, ties by earlier receipt
	Sum    MergeRule = "sum"
	Count  MergeRule = "count"
	Min    MergeRule = "min"
	Max    MergeRule = "max"
	Set    MergeRule = "set"
)

// Field is a typed profile attribute.
type Field struct {
	Name string    `json:"name"` // [a-z][a-z0-9_]{0,62}
	Type FieldType `json:"type"`
	// Merge is how messages combine; identifiers are always Latest.
	Merge MergeRule `json:"merge"`
	// Identifier fields find the profile; Rank 1 is the strongest, 0 = not one.
	Rank   int    `json:"identifier_rank,omitempty"`
	PII    bool   `json:"pii"`
	Public bool   `json:"public"`
	Help   string `json:"description,omitempty"`
}

// Mapping makes one field out of a stream's messages.
type Mapping struct {
	Stream string `json:"stream"`
	Field  string `json:"field"`
	// Expression is in the mapping language (package expression).
	Expression string `json:"expression"`
}

// Stream is a named flow of raw incoming records.
type Stream struct {
	Name string `json:"name"` // [a-z][a-z0-9_]{0,62}
	// Reference streams hold look-up rows (prices, territories), not people;
	// ReferenceKey is the column that lookup() finds by, last write wins.
	ReferenceKey string `json:"reference_key,omitempty"`
	// MessageID are the columns that together name a message. Empty: every
	// message is its own.
	MessageID []string `json:"message_id_fields,omitempty"`
	// TimestampField and DateOrder ("mdy", "dmy", "ymd") read the message time;
	// empty: the time of receipt.
	TimestampField string `json:"timestamp_field,omitempty"`
	DateOrder      string `json:"date_order,omitempty"`
	// PhoneCountry is the ISO 3166 code of the country whose phone numbers are
	// written without a country code, such as US; the function phone() reads it.
	PhoneCountry string `json:"phone_country,omitempty"`
	// RetentionDays is how long raw messages are kept; 0 = for ever. A rebuild
	// knows only what is kept.
	RetentionDays int `json:"raw_retention_days,omitempty"`
}

// Schema is everything declared about the data. Applying it again changes nothing.
type Schema struct {
	Fields   []Field   `json:"fields"`
	Streams  []Stream  `json:"streams"`
	Mappings []Mapping `json:"mappings"`
	Identity Identity  `json:"identity,omitzero"`
}

// Load is one accepted upload, ready to be merged: a spool file of canonical
// rows. Format: CSV, comma, double quotes, LF, no header; the first two
// columns are the line number in the source (rising from row to row; where
// several objects share a line, the next free number) and the message time in
// Unix microseconds, then Columns. An empty field is a missing value.
type Load struct {
	// ID is unique; a load merges exactly once however often it is offered.
	ID         string
	Stream     string
	Path       string // "" with Rows 0
	Columns    []string
	Rows       int64
	ReceivedAt time.Time
	// Urgent loads came in real time: they are merged ahead of those that are not.
	Urgent bool
	// Settled is the id of an earlier load that will never be offered again, whose
	// record may go; "" = none.
	Settled string
}

// LoadResult is what a load did.
type LoadResult struct {
	Rows       int64 `json:"rows"`       // messages read from the spool
	Duplicates int64 `json:"duplicates"` // same id, same content: counted once
	Corrected  int64 `json:"corrected"`  // same id, other content: old value taken back
	NewProfile int64 `json:"new_profiles"`
	Touched    int64 `json:"touched_profiles"`
	// Unidentified messages carry no identifier; kept raw, no profile.
	Unidentified int64 `json:"unidentified"`
	// Suppressed messages carried an identifier of somebody who was forgotten;
	// nothing of them is kept.
	Suppressed int64 `json:"suppressed,omitempty"`
	// Unparsed counts, per field, values the mapping could not turn into the
	// field's type ("birth_date": 3). The field is then missing, the message kept.
	Unparsed map[string]int64 `json:"unparsed,omitempty"`
	// Drift is what this load was the first to bring, or not to bring.
	Drift []Drifting `json:"drift,omitempty"`
}

// Plus returns what two loads, or two parts of one, did together.
func (r LoadResult) Plus(more LoadResult) LoadResult {
	r.Rows += more.Rows
	r.Duplicates += more.Duplicates
	r.Corrected += more.Corrected
	r.NewProfile += more.NewProfile
	r.Touched += more.Touched
	r.Unidentified += more.Unidentified
	r.Suppressed += more.Suppressed
	r.Drift = slices.Concat(r.Drift, more.Drift)
	if len(more.Unparsed) == 0 {
		return r
	}
	unparsed := make(map[string]int64, len(r.Unparsed)+len(more.Unparsed))
	maps.Copy(unparsed, r.Unparsed)
	for f, n := range more.Unparsed {
		unparsed[f] += n
	}
	r.Unparsed = unparsed
	return r
}

// Ingest takes data in.
type Ingest interface {
	// Apply makes the schema so: creates streams, adds fields, changes mappings.
	// It refuses a contradiction with an Invalid error naming the field. Changed
	// expressions or merge rules take effect at the next Rebuild; the names of
	// the fields that need one come back.
	Apply(ctx context.Context, s Schema) (rebuild []string, err error)
	// DropField takes away a field that nothing makes values of: no mapping names
	// it, and none waits for a Rebuild to go. Else it is refused with ErrConflict;
	// a field that is not declared is ErrNotFound.
	DropField(ctx context.Context, name string) error
	// Preview returns what would be declared after Apply and what would wait for
	// a Rebuild, or the error that Apply would return. It changes nothing.
	Preview(ctx context.Context, s Schema) (declared Schema, rebuild []string, err error)
	// Schema returns what is declared.
	Schema(ctx context.Context) (Schema, error)
	// Merge brings one load into streams and profiles, exactly once, in slices;
	// progress is called with rows merged so far (may be nil). A crash between
	// slices continues where it stopped when the same load is offered again.
	Merge(ctx context.Context, l Load, progress func(rows int64)) (LoadResult, error)
	// Rebuild replays every raw message into fresh profiles under the present
	// schema and swaps them in; people keep their profile ids. Merges go on
	// meanwhile; Apply of another schema and another Rebuild are refused with
	// ErrConflict. Ending ctx cancels it and leaves nothing behind.
	Rebuild(ctx context.Context, progress func(done, total int64)) (RebuildResult, error)
	// Streams tells what streams there are.
	Streams(ctx context.Context) ([]StreamStat, error)
	// Messages returns up to limit of the newest raw messages of a stream.
	Messages(ctx context.Context, stream string, limit int) ([]Message, error)
}

// NoStream is the error of who asks for a stream that nobody declared and nothing was
// received in.
func NoStream() error {
	return &activation.Error{Kind: activation.Invalid, Code: "STREAM-NOTFOUND-014", Field: "name", Message: "there is no such stream", Err: activation.ErrNotFound}
}

// StreamStat describes a stream.
type StreamStat struct {
	Stream
	Columns     []string  `json:"columns"`
	Unmapped    []string  `json:"unmapped_columns"`
	Messages    int64     `json:"ct"`
	LastMessage time.Time `json:"last_msg_ts,omitzero"`
	LastReceipt time.Time `json:"last_received,omitzero"`
}

// Message is one raw record as received.
type Message struct {
	MessageTime time.Time         `json:"message_time"`
	ReceivedAt  time.Time         `json:"received_at"`
	Values      map[string]string `json:"values"`
}

// Profile is one person: identifiers and attributes.
type Profile struct {
	ID        int64          `json:"id"`
	Values    map[string]any `json:"values"` // by field; missing fields are absent
	Audiences []string       `json:"segments,omitempty"`
}

// Profiles answers questions about people.
type Profiles interface {
	// Find returns the profile whose identifier field has this value, or ErrNotFound.
	Find(ctx context.Context, field, value string) (Profile, error)
	// CountProfiles returns how many people there are.
	CountProfiles(ctx context.Context) (int64, error)
	// Forget is brought by a later issue; see docs.
}

// Rule is an audience as the warehouse evaluates it.
type Rule struct {
	ID      activation.AudienceID
	Slug    string
	Text    string // FilterQL; "" where Given
	Version int
	// Given: members are put in and taken out one by one (Decide, Accept), and no
	// merge changes that but for people who are no more.
	Given bool
}

// Change is one person entering or leaving an audience, or changing keys in it.
type Change struct {
	Seq      int64                 `json:"seq"`
	Audience activation.AudienceID `json:"segment_id"`
	Profile  int64                 `json:"profile_id"`
	Event    string                `json:"event"` // enter, exit, keys
	At       time.Time             `json:"at"`
}

// Audiences decides who is in which audience.
type Audiences interface {
	// SetAudiences declares all live audiences. New and changed ones are
	// evaluated in full, dropped ones lose their members. Later merges keep
	// them in step for the profiles they touch. Errors are Invalid, with the
	// line and column in the rule.
	SetAudiences(ctx context.Context, rules []Rule, now time.Time) error
	// Evaluate brings one audience in step in full, with now as the time that
	// date math means. Needed for time-dependent rules only.
	Evaluate(ctx context.Context, id activation.AudienceID, now time.Time) error
	// TimeDependent reports whether the rule or one it includes uses date math.
	TimeDependent(ctx context.Context, id activation.AudienceID) (bool, error)
	// Size returns the present number of members.
	Size(ctx context.Context, id activation.AudienceID) (int64, error)
	// Try returns how many people a rule text would select, without storing it.
	Try(ctx context.Context, text string, now time.Time) (int64, error)
	// Scan pages, by profile id, through the people a rule text selects, without
	// storing it.
	Scan(ctx context.Context, text string, now time.Time, after int64, limit int) ([]Profile, error)
	// Members pages through the members by profile id.
	Members(ctx context.Context, id activation.AudienceID, after int64, limit int) ([]Profile, error)
	// Seq returns the highest membership change number per audience.
	Seq(ctx context.Context) (map[activation.AudienceID]int64, error)
}

// PlanRequest is what a plan is made from.
type PlanRequest struct {
	Run        activation.RunID
	Target     activation.TargetID
	Generation int
	Audience   activation.AudienceID
	Keys       matchkey.Set
	// Awaiting are the staged ranges of earlier runs whose outcome the network
	// still owes; their people are deferred.
	Awaiting []Range
	// RefreshBefore: members delivered before it are added again. Zero = never.
	RefreshBefore time.Time
	// Nobody is wanted: all that the network holds goes.
	Nobody bool
	// Keep: nobody is removed, and no old key.
	Keep bool
	// Begun names the beginning of a job; "" = none. Those who are members at
	// the first plan under this name are left out (Counts.Excluded) until they
	// have left and come back. Whom the ledger holds is never left out.
	Begun string
	// Limit is how many people may be newly added; nil = all. The others are
	// left to later runs (Counts.Capped), those with the highest profile ids.
	Limit *int64
	// Exclude are audiences whose members are not wanted, Above those that come
	// before this one in a priority list: who is in one of them goes there
	// (Counts.Excluded has both, Counts.Outranked the latter alone).
	Exclude, Above []activation.AudienceID
	// Holdout leaves out a share of the members; nil = nobody (Counts.HeldOut).
	Holdout *Holdout
	// KeysOnly moves the keys of those wanted whom the ledger holds. Nobody else is
	// added, nobody leaves: they count as deferred.
	KeysOnly bool
	// Forget removes those who were forgotten, and nobody else: all others count as
	// deferred. An audience that is gone has nobody in it.
	Forget bool
	// Replace stages everybody who is wanted, as plain adds, whatever the ledger
	// says; the network drops the others. Counts.Remove is how many those are.
	Replace bool
}

// Holdout is a share of people who are never sent. Who is one of them depends on
// profile and salt alone, and who is of 5 % is of 10 % too.
type Holdout struct {
	Percent float64
	Salt    string
}

// Range is a range of staged ordinals of a run, both ends included.
type Range struct {
	Run         activation.RunID
	First, Last int64
}

// Segment is a run of staged ordinals with the same phase, operation and
// nature; items are cut from segments.
type Segment struct {
	Phase int
	Op    activation.Op
	// Plain removals are people who leave (they are what the removal guard
	// counts); a removal that is not plain takes an old key away. Plain adds are
	// people who newly come; one that is not plain is of somebody the network
	// may hold already.
	Plain       bool
	First, Last int64
}

// Plan is what a run will do.
type Plan struct {
	// Seq is the highest membership change the plan has seen.
	Seq int64
	// Counts has selected … deferred, remove, staged and in_before filled.
	Counts   activation.Counts
	Segments []Segment
	// Holding is how many people the ledger says the target holds (in or maybe).
	Holding int64
	// Sample shows the first few rows of each segment, masked; DryRun only.
	Sample []StagedRow
}

// FoldItem is one final item to bring into the ledger.
type FoldItem struct {
	Item       activation.ItemID
	Attempt    int
	Run        activation.RunID
	Target     activation.TargetID
	Generation int
	Op         activation.Op
	First      int64
	Last       int64
	// Outcome is that of every row not named in Exceptions, whose ordinals
	// count from First (0 = First).
	Outcome    activation.Outcome
	Exceptions []activation.Exception
	At         time.Time
}

// FoldResult is what folding one item did to the ledger, counted in the ledger.
type FoldResult struct {
	Item activation.ItemID
	// Skipped: this item and attempt was folded before; the numbers are what
	// it did then.
	Skipped  bool
	BecameIn int64
	LeftIn   int64
}

// Holdings is what the ledger says a network holds of a target.
type Holdings struct {
	In      int64 `json:"in"`
	Maybe   int64 `json:"maybe"`
	Refused int64 `json:"refused"`
	Shared  int64 `json:"shared"`
}

// KeyRow is the keys of one staged row.
type KeyRow struct {
	Ordinal int64
	Profile int64
	// Values has one entry per key of the set; nil = none or held back.
	Values [][]byte
	// Stale rows are no longer wanted (only filled when asked for).
	Stale bool
}

// StagedRow is one staged row as people may see it: which keys it carries,
// never their values.
type StagedRow struct {
	Ordinal int64         `json:"n"`
	Op      activation.Op `json:"op"`
	Profile int64         `json:"profile_id"`
	// Keys are the names of the match keys that are present.
	Keys []string `json:"keys"`
	// Held are the keys left out because another member still holds the value.
	Held []string `json:"held_back,omitempty"`
}

// Ledger keeps what networks hold and stages what must change (delivery.md).
type Ledger interface {
	// Stage refreshes the match keys of the people concerned, plans the run and
	// writes its staged rows, replacing earlier ones of the same run. stage is
	// called as each of payload, audiences and staging begins (may be nil).
	Stage(ctx context.Context, r PlanRequest, stage func(activation.Stage)) (Plan, error)
	// DryRun is Stage without writing anything that lasts.
	DryRun(ctx context.Context, r PlanRequest) (Plan, error)
	// Rows reads staged rows in order. With recheck, rows that are no longer
	// wanted come back Stale. values of each row are valid until the next call
	// of fn.
	Rows(ctx context.Context, r Range, recheck bool, fn func(KeyRow) error) error
	// StagedView shows up to limit staged rows of a range of ordinals, masked.
	StagedView(ctx context.Context, run activation.RunID, first, last int64, limit int) ([]StagedRow, error)
	// Fold brings final items into the ledger, all in one transaction; items
	// folded before are skipped. It checks in after = in before + became - left
	// per item from the receipt and from the ledger, and folds nothing when
	// they differ (code COUNTS).
	Fold(ctx context.Context, items []FoldItem) ([]FoldResult, error)
	// Holdings counts the ledger of a target's generation.
	Holdings(ctx context.Context, t activation.TargetID, generation int) (Holdings, error)
	// InRows counts how many people of the run's staged rows the ledger holds as in.
	InRows(ctx context.Context, run activation.RunID, t activation.TargetID, generation int) (int64, error)
	// Reset forgets the ledger of generations older than this one.
	Reset(ctx context.Context, t activation.TargetID, generation int) error
	// Forget drops the ledger of generations older than this one and the
	// beginning that has this name. Where nothing was ever staged it does nothing.
	Forget(ctx context.Context, t activation.TargetID, generation int, begun string) error
	// Baseline is how many people are left of the beginning that has this name.
	Baseline(ctx context.Context, t activation.TargetID, begun string) (int64, error)
	// Unstage drops the staged rows of runs that can no longer be retried.
	Unstage(ctx context.Context, runs []activation.RunID) error
}

// EventRequest is what the events of a run are staged from: the messages of a
// stream, or the people entering and leaving an audience.
type EventRequest struct {
	Run    activation.RunID
	Target activation.TargetID
	// Job names the beginning at the target: another job begins anew.
	Job string
	// Stream feeds the target, or where it is empty Audience.
	Stream   string
	Audience activation.AudienceID
	// Keys are the columns of a row, the event's before the person's. Fields holds
	// for the first Columns of them what of the event feeds them (a column of the
	// stream, an EventSource, or a text in double quotes; of an audience's events
	// a profile field too), for the others a profile field.
	Keys    matchkey.Set
	Columns int
	// Enters and Exits say which events of an audience are wanted.
	Enters, Exits bool
	// Backfill: the job begins with what is there, all messages, or each present
	// member as one who enters. Otherwise with what comes after the first staging.
	Backfill bool
	// Since leaves out older events; zero = none is too old.
	Since time.Time
	// Drop leaves out the events that Usher received at such a time; nil = none.
	Drop func(received time.Time) bool
	// Limit is the most events looked at; 0 = all that wait.
	Limit int64
	// Allowance is how many may be staged beside those that are staged again; nil
	// = all. The others are left to later runs (Counts.Capped).
	Allowance *int64
	// Wait keeps the events whose person is not known yet (no other stream has told
	// of them), or has no keys, until they are (ReadyEvents) or Since leaves them out; only then are they omitted.
	Wait bool
	// Period, where it is not zero, stages the messages of a stream whose time is
	// in it and which came before the beginning of the job, and moves no cursor.
	// Nothing of it waits, nor is left to a later run but by Limit and Allowance.
	Period activation.Period
	// Again tells what of the run that staged before this one is to be staged
	// again, because it will never be sent. nil = it sends all of it.
	Again func(ctx context.Context, run activation.RunID) (Again, error)
}

// Again is what of a run's events is to be staged again.
type Again struct {
	// All: the run has never queued its rows.
	All bool
	// Rows are ranges of its ordinals. What was among them once stays among them.
	Rows []Range
	// More: there may be more of them one day.
	More bool
}

// What of an event may feed a column, beside the columns of its stream. Package
// provider tells people what each is.
const (
	SourceID         = "$id"
	SourceTime       = "$time"
	SourceReceived   = "$received"
	SourceStream     = "$stream"
	SourceMessage    = "$message"
	SourceEvent      = "$event"
	SourceAudience   = "$audience"
	SourceAudienceID = "$audience_id"
	SourceAudiences  = "$audiences"
	SourceProfile    = "$profile"
)

// Events stages what targets take that keep no members but take each event
// once. A target's cursor says how far its events were staged; it advances in
// the transaction that writes the rows, which Ledger.Rows, StagedView and Unstage
// serve like any others.
type Events interface {
	// StageEvents writes the rows of the events that wait, in the order in which
	// they came, replacing earlier ones of the same run. Staging the same run
	// again begins where it began; another run begins behind the last one, with
	// what Again says before that. Events that are too old, or lack a required key or any
	// that identifies, are counted as omitted. stage is called as each of payload,
	// audiences and staging begins (may be nil).
	StageEvents(ctx context.Context, r EventRequest, stage func(activation.Stage)) (Plan, error)
	// DryRunEvents is StageEvents without writing anything that lasts.
	DryRunEvents(ctx context.Context, r EventRequest) (Plan, error)
	// StreamSeq returns the highest message number per stream.
	StreamSeq(ctx context.Context) (map[string]int64, error)
	// ForgetEvents forgets how far the events of a target were staged.
	ForgetEvents(ctx context.Context, t activation.TargetID) error
}

// Warehouse is all of it, for the server and the suite.
type Warehouse interface {
	Ingest
	Profiles
	Audiences
	Ledger
	Events
	Given
	Patience
	Drifts
	Explains
	Mappings
	Retention
	Replaces
	Identities
	Forgets
	Enrichments
	Insights
	Close() error
}
