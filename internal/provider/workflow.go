package provider

import (
	"context"
	"slices"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
)

// Direction is which way data goes in a workflow.
type Direction string

const (
	// Export keeps audiences in step at the provider, or sends it events.
	Export Direction = "export"
	// Import brings data in.
	Import Direction = "import"
	// Enrichment sends people out and stores what comes back.
	Enrichment Direction = "enrichment"
	// Alerting tells somebody what happens in Usher.
	Alerting Direction = "alert"
	// Deciding moves people among the audiences of Usher itself.
	Deciding Direction = "decision"
	// Editing keeps an ad publisher's campaigns as people want them. Its jobs come and
	// go with their publisher account.
	Editing Direction = "publishing"
)

// Directions lists them in the order the docs use.
var Directions = []Direction{Export, Import, Enrichment, Alerting, Deciding, Editing}

// Subject is what a workflow moves.
type Subject string

const (
	// Profiles are people.
	Profiles Subject = "profiles"
	// RawEvents are messages as they were received.
	RawEvents Subject = "raw events"
	// SystemEvents are what happens in Usher itself.
	SystemEvents Subject = "system events"
	// Campaigns are an ad publisher's campaigns and what is in them.
	Campaigns Subject = "campaigns"
)

// Workflow is one thing a provider can do. Form, CLI flags, API validation,
// docs and redaction of its jobs come from this declaration alone.
type Workflow struct {
	// Name is unique in the program, in snake case: "meta_custom_audience".
	Name        string
	Title       string
	Description string
	Direction   Direction
	Subject     Subject
	// Kind says what an export keeps.
	Kind Kind
	// SyncType is that of its runs in Sync Tracking. "" = segment for what keeps
	// audiences, events for what takes events.
	SyncType activation.SyncType
	// Feed says where an export of kind Event has its events from.
	Feed Feed
	// Events are the keys of one event, before those of its person. Each is fed by
	// the setting of the same name and type "column". An event that lacks a
	// Required one, or that has no identifying one at all, is left out.
	Events []matchkey.Key
	// Window is the age from which the network takes no event any more, by the
	// settings of destination and job; 0 = it takes all. nil = no limit. Its
	// comment names the page.
	Window func(destination, job map[string]string) time.Duration
	// RealTime, Scheduled and Once say how its jobs may start and end.
	RealTime, Scheduled, Once bool
	// Fields are the settings of one job.
	Fields []Field
	// Fits says which setting of a job is wrong, by itself or beside the mapping of
	// its destination, as an Invalid error that names it. nil = all that the
	// fields allow fits.
	Fits func(job, mapping map[string]string) error
	// Converted is the audience that each run of conversions brings everybody
	// into whose event the network accepted. nil = the provider has none.
	Converted *Converted
	// Adjust makes the provider's definition that of this workflow, where limits,
	// repetition, keys or the client differ. nil = they do not.
	Adjust func(*Definition)
}

// Converted says how the audience of a conversions job is kept.
type Converted struct {
	// Workflow of the same provider keeps it.
	Workflow string
	// Event names what people did, by the settings of the job: the audience is
	// Conversion-<event>. "" = the settings name no single one.
	Event func(job map[string]string) string
	// Settings are those of Workflow; ok = false where the job wants none.
	Settings func(job map[string]string) (settings map[string]string, ok bool)
}

// ConversionAudienceField is the setting of a job of conversions that says whether
// it keeps the audience of whom they were accepted.
const ConversionAudienceField = "conversion_audience"

// ConversionAudience is that setting. on is its default: true where the network
// asks for nothing beyond what conversions need; more is what it asks for, and
// what the audience is called where no event names it.
func ConversionAudience(on bool, more string) Field {
	return Field{
		Name: ConversionAudienceField, Label: "Conversion audience", Type: "bool", Default: strconv.FormatBool(on),
		Help: "Each run brings everybody whose event was accepted into the audience Conversion-<event> and adds them at this destination too. " + more,
	}
}

// WantsConversionAudience reads it; anything but true is no.
func WantsConversionAudience(fields []Field, job map[string]string) bool {
	wants, err := strconv.ParseBool(Setting(fields, job, ConversionAudienceField))
	return err == nil && wants
}

// Feed is where events come from.
type Feed string

const (
	// FeedStream: the messages of one stream, each once.
	FeedStream Feed = "stream"
	// FeedAudience: people entering and leaving audiences.
	FeedAudience Feed = "audience"
)

// AudienceEventsField is the setting that says which events of an audience a job
// sends: EntersOnly, ExitsOnly, or both where it is empty.
const (
	AudienceEventsField = "audience_events"
	EntersOnly          = "enters_only"
	ExitsOnly           = "exits_only"
)

// For returns the definition as it is for one of its workflows.
func (d Definition) For(workflow string) Definition {
	if w, ok := d.Workflow(workflow); ok && w.Adjust != nil {
		w.Adjust(&d)
	}
	return d
}

// Workflow returns the provider's workflow of that name.
func (d Definition) Workflow(name string) (Workflow, bool) {
	i := slices.IndexFunc(d.Workflows, func(w Workflow) bool { return w.Name == name })
	if i < 0 {
		return Workflow{}, false
	}
	return d.Workflows[i], true
}

// NoAuth reports whether the provider needs no credentials.
func (d Definition) NoAuth() bool { return len(d.AuthFields) == 0 }

// Alert tells somebody what happened. Its methods may be called in parallel;
// their errors are those of Destination.
type Alert interface {
	// Check proves credentials and settings as far as that is possible without
	// telling anybody anything.
	Check(ctx context.Context) error
	// Notify sends one notice. It is called again with the same notice when its
	// outcome is not known, so whatever the far side can use to drop a
	// repetition carries Notice.ID. answer is what it replied, short and safe
	// to keep.
	Notify(ctx context.Context, n Notice) (answer string, err error)
}

// Notice is what an alert tells.
type Notice struct {
	// ID is the same however often the notice is sent.
	ID string
	At time.Time
	activation.Event
	// Recovery is true when the subject works again after a notice that it did
	// not.
	Recovery bool
	// Job is the name of the alert job; Link leads to the subject in the
	// console, "" where the server does not know its own address.
	Job  string
	Link string
}

// EventSources are what settings of type "column" may name beside the columns of
// the stream, with what each is.
var EventSources = []EventSource{
	{"$id", "what names the event and stays the same however often it is sent"},
	{"$time", "when it happened, RFC 3339"},
	{"$received", "when Usher received it, RFC 3339"},
	{"$stream", "the name of the stream, of raw events"},
	{"$message", "the whole message as a JSON object, of raw events"},
	{"$event", "enter or exit, of people entering and leaving audiences"},
	{"$audience", "the short name of the audience, of people entering and leaving it"},
	{"$audience_id", "the id of the audience, of people entering and leaving it"},
	{"$audiences", "the short names of all audiences the person is in now, as a JSON list"},
	{"$profile", "Usher's number of the person"},
}

// EventSource is one of them.
type EventSource struct{ Name, Help string }
