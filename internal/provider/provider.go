// Package provider is the contract between Usher and the outside systems it
// talks to. A provider reports, it does not decide: it never sees the store,
// the warehouse or the engine, keeps no state between calls but tokens and
// connections, and never retries by itself.
//
// Adding a provider = one folder, one line in provider/all, one sandbox. If a
// form, the CLI, a docs page, a retry rule or a metric needs an edit for it,
// this contract is wrong. It is built for the call whose outcome nobody knows:
// every row is accepted, rejected, unsent or unknown, and every error tells
// whether the call may have taken effect.
package provider

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
)

// Destination keeps remote audiences in step, or takes events. Its methods may
// be called in parallel and by any goroutine. They return *activation.Error
// (possibly wrapped) and put no secret, e-mail or hash into any error.
type Destination interface {
	// Check proves credentials and account. It writes nothing.
	Check(ctx context.Context) error
	// EnsureAudience finds the remote audience by our marker or creates it.
	// It may be called again and then finds the same one. For a workflow of kind
	// Event it makes sure of what takes the events (a table, a data set) and
	// returns an id of it that stays the same.
	EnsureAudience(ctx context.Context, a Audience) (RemoteID, error)
	// Deliver sends one batch. Either the receipt covers every row of the
	// batch, or err is set and tells by MayHaveApplied whether the whole batch
	// is unknown (true) or unsent (false). Never both.
	Deliver(ctx context.Context, b Batch) (activation.Receipt, error)
	// Poll asks what became of an awaiting batch. Only for networks that
	// answer later (Definition.Async); others return Invalid. A receipt with
	// PollToken still set means: ask again after PollAfter.
	Poll(ctx context.Context, token string, rows int64) (activation.Receipt, error)
}

// Deleter is a Destination that can delete a remote audience. Whether a
// provider's is one, its Definition says.
type Deleter interface {
	// DeleteAudience deletes a remote audience. For one that is not there any
	// more the error is of kind Gone.
	DeleteAudience(ctx context.Context, id RemoteID) error
}

// Opener is a Destination that can tell whether a remote audience opens. Whether
// a provider's is one, its Definition says.
type Opener interface {
	// OpenAudience proves that the credentials reach a remote audience. It
	// writes nothing. For one that is not there the error is of kind Gone, or
	// Unauthorized where it may not be seen.
	OpenAudience(ctx context.Context, id RemoteID) error
}

// Poster is a Destination that takes a payload as it is, to try a template.
type Poster interface {
	// Post sends one payload as an event of its own. answer is what the far side
	// replied, short and safe to keep.
	Post(ctx context.Context, payload []byte) (answer string, err error)
}

// Lister is a Destination that names the members of an audience. Whether a
// provider's is one, its Definition says.
type Lister interface {
	// Members calls yield with each member of a.Remote: one value per key of a.Keys,
	// as they were sent, nil where it has none. The values are valid during the call
	// of yield only, and no more than some of them are in memory. It stops at yield's
	// error and returns it. For an audience that is not there the error is of kind
	// Gone.
	Members(ctx context.Context, a Audience, yield func(values [][]byte) error) error
}

// Sizer is a Destination that tells how many members an audience has. Whether a
// provider's is one, its Definition says.
type Sizer interface {
	// Size is how many people or records the network counts in a.Remote. For an
	// audience that is not there the error is of kind Gone.
	Size(ctx context.Context, a Audience) (Size, error)
}

// Size is how many members a network says an audience has. Low and High are equal
// where it is exact, and -1 where it does not tell (yet).
type Size struct {
	Low, High int64
	// Matched: only those are counted whom the network knows as its own users, so
	// that fewer than were sent is no difference.
	Matched bool
}

// Replace marks the batches of one run that sends everybody. The network drops
// whoever is in none of them when the last one is in.
type Replace struct {
	// Session is the same for all batches of one attempt at a run, and another one
	// for each. Number counts from 1 to Of; Rows is how many people there are in all.
	Session    int64
	Number, Of int
	Rows       int64
}

// RemoteID is the network's id of an audience.
type RemoteID string

// Audience is what a remote audience should be.
type Audience struct {
	// Marker is ours and unique per target and generation; the provider stores
	// it at the network (in a name or description) and finds by it.
	Marker string
	// Name is what people at the network see.
	Name string
	// Slug is the audience's short name; "" for a target that is fed by a stream.
	Slug string
	// Remote is the id known so far, "" before the first time.
	Remote RemoteID
	// Config holds the settings of the job.
	Config map[string]string
	// Keys are those of the rows that will come, as in Batch.
	Keys []matchkey.Key
}

// Batch is the rows of one queue item, all with the same operation.
type Batch struct {
	// Run, Item and Attempt make the call recognisable in logs and sessions.
	Run     activation.RunID
	Item    activation.ItemID
	Attempt int
	// RunNumber, Number (of the item in its run, from 1) and At (when the run was
	// staged) are the same however often the batch is sent: what is named after
	// them, such as a file, is named once.
	RunNumber int64
	Number    int
	At        time.Time
	Remote    RemoteID
	// Audience is what EnsureAudience was called with, settings of the job included.
	Audience Audience
	// Replace is set on the batches of a run that replaces all members
	// (Definition.Replaces).
	Replace *Replace
	// Op is OpAdd or OpRemove (a readd arrives as OpAdd). Events are added.
	Op activation.Op
	// Keys are the columns; Values holds len(Keys) values for each row, row
	// after row: raw SHA-256 for hashed keys, UTF-8 for plain, nil for none. Rows
	// of events have the workflow's Events first and then the person's keys, and
	// stand in the order in which the events came.
	Keys   []matchkey.Key
	Values [][]byte
}

// Rows is how many people the batch holds.
func (b Batch) Rows() int { return len(b.Values) / max(1, len(b.Keys)) }

// Row returns the values of row i, one per key.
func (b Batch) Row(i int) [][]byte { return b.Values[i*len(b.Keys) : (i+1)*len(b.Keys)] }

// Kind says what a workflow's destination keeps.
type Kind string

const (
	// State destinations hold a set of members that is kept in step by diff.
	State Kind = "state"
	// Event destinations take each event once.
	Event Kind = "event"
)

// Replay says whether a batch with unknown outcome may be sent again.
type Replay string

const (
	// ReplayHarmless: sending twice has the effect of once.
	ReplayHarmless Replay = "harmless"
	// ReplayDeduplicated: the network drops a repetition within Definition.ReplayWindow.
	ReplayDeduplicated Replay = "deduplicated"
	// ReplayNever: only a person may send it again.
	ReplayNever Replay = "never"
)

// Field is one configuration value. The form, CLI flags, API validation, docs
// and redaction all come from this one declaration.
type Field struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Help  string `json:"help"`
	// Type is string, text, bool, int, duration, select, url, list (words divided
	// by commas), column (what of an event feeds a key: a column of its stream,
	// one of EventSources, or a text in double quotes), agreement (terms somebody
	// accepts: kept with who did and when) or template (of a payload).
	Type     string   `json:"type"`
	Default  string   `json:"default,omitempty"`
	Required bool     `json:"required"`
	Secret   bool     `json:"secret"`
	Example  string   `json:"example,omitempty"`
	Options  []string `json:"options,omitempty"`
}

// Definition is all the program knows of a provider's workflow.
type Definition struct {
	// Name is the provider: folder = package = config key = docs page.
	Name string
	// Title is how people know it: "Meta (Facebook Ads)".
	Title string
	// Icon is its icon in the console, one of the names in web/assets/icons.svg; ""
	// = a globe.
	Icon string
	// DestinationType is its group in Sync Tracking: "Facebook Ads".
	DestinationType string
	Description     string
	// Workflows are what it can do.
	Workflows []Workflow
	// AuthFields are the credentials; DestinationFields the account settings.
	AuthFields        []Field
	DestinationFields []Field
	// AccountHelp says what the destination's account id is and where to find it.
	// "" = the provider has no accounts, and its destinations need none.
	AccountHelp string
	// RuleSet is the person's match keys. With OpenColumns it is empty: people name
	// the columns in the destination's mapping (see Rules).
	RuleSet matchkey.RuleSet
	// OpenColumns: the far side takes any columns. nil = the keys of RuleSet only.
	OpenColumns *OpenColumns
	// PublicOnly: what goes there may be read by anybody on a site. Only public
	// audiences and public fields do.
	PublicOnly bool
	// OAuth says how access tokens are had (Deps.Tokens). nil = the provider has
	// none, or sends credentials as they are stored.
	OAuth *OAuth
	// RequestsPerMinute paces the calls of one authorization, where its setting
	// PaceField names no other number. 0 = no pace. Its comment names the page.
	RequestsPerMinute int
	// MaxRows is the most rows per call; its comment in the provider names the page.
	MaxRows int
	// MaxBytes is the most bytes per request body; 0 = no limit.
	MaxBytes     int64
	Replay       Replay
	ReplayWindow time.Duration
	// Refresh is how long the network keeps a member that is not sent again;
	// 0 = until removed.
	Refresh time.Duration
	// Deletes: the destination is a Deleter.
	Deletes bool
	// Opens: the destination is an Opener. Where it is not, an account that
	// opens is taken for its audiences too.
	Opens bool
	// Lists: the destination is a Lister. Sizes: it is a Sizer.
	Lists, Sizes bool
	// Replaces: Deliver takes batches with Replace, one after the other. It refuses
	// none as RefusedWhole, since a batch of a session cannot be halved, and one that
	// is sent again, the last one too, has the effect of once.
	Replaces bool
	// Async networks answer a batch later (Poll).
	Async bool
	// MinInterval is the least time between two runs of a target.
	MinInterval time.Duration
	// Concurrency is how many requests one authorization may have under way.
	Concurrency int
	// NewDestination builds the client. nil = the provider does not play this part.
	NewDestination func(Deps) (Destination, error)
	// NewAlert builds what sends notices. nil = the provider does not play this
	// part.
	NewAlert func(Deps) (Alert, error)
	// NewSource builds what reads for an import, NewEnricher what asks about people.
	// nil = the provider does not play this part.
	NewSource   func(Deps) (Source, error)
	NewEnricher func(Deps) (Enricher, error)
	// Publishing is how its campaigns are edited. nil = the provider does not play this
	// part.
	Publishing *Publishing
}

// Deps is what a provider is built with.
type Deps struct {
	// Auth are the opened credentials by field name. Account and Config are the
	// destination's; for what has no destination, Config is the job's.
	Auth    map[string]Secret
	Account string
	Config  map[string]string
	// Dial opens connections that are not HTTP, with the same guard.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// HTTP is the outbound client: timeouts, pacing, guard against internal
	// addresses. The provider sets paths and headers, nothing else.
	HTTP *http.Client
	// Tokens gives access tokens, where the definition has OAuth.
	Tokens Tokens
	// Template returns the text of a stored payload template.
	Template func(ctx context.Context, id string) (string, error)
	// Site is the local table of the web destination.
	Site Site
	// Workflow is the one that it is built for, "" for none in particular.
	Workflow string
	// Programs is the folder that holds the programs a source may start; "" = none
	// may be started. Scratch is a folder for files of one attempt, which the server
	// empties at its start.
	Programs, Scratch string
	Log               *slog.Logger
	Now               func() time.Time
}

// Secret is a text that never shows itself in logs or formatted output.
type Secret string

// Reveal returns the text. Use it only where it is sent.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (s Secret) String() string { return "redacted" }

// GoString hides the text.
func (s Secret) GoString() string { return "redacted" }

// LogValue hides the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue("redacted") }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte("redacted"), nil }
