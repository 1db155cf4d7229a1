package manifest

import (
	"context"
	"slices"
	"strings"
)

// The kinds of things, in the order in which they are applied.
const (
	kindAuthorization = "authorization"
	kindField         = "field"
	kindStream        = "stream"
	kindIdentity      = "identity"
	kindIssue         = "issue"
	kindGroup         = "group"
	kindAudience      = "audience"
	kindAction        = "action"
	kindTemplate      = "template"
	kindDestination   = "destination"
	kindPublisher     = "publisher"
	kindSchedule      = "publisher_schedule"
	kindStrategy      = "bidding_strategy"
	kindJob           = "job"
	kindPriorityList  = "priority_list"
)

// kinds are all of them, each with what it is found by and an empty document.
var kinds = []category{
	{kindAuthorization, "label is", func() document { return new(authorizationDoc) }},
	{kindField, "name is", func() document { return new(fieldDoc) }},
	{kindStream, "name is", func() document { return new(streamDoc) }},
	{kindIdentity, "", func() document { return new(identityDoc) }},
	{kindIssue, "name is", func() document { return new(issueDoc) }},
	{kindGroup, "issue and name are", func() document { return new(groupDoc) }},
	{kindAudience, "slug is", func() document { return new(audienceDoc) }},
	{kindAction, "issue, group and name are", func() document { return new(actionDoc) }},
	{kindTemplate, "name is", func() document { return new(templateDoc) }},
	{kindDestination, "name is", func() document { return new(destinationDoc) }},
	{kindPublisher, "name is", func() document { return new(publisherDoc) }},
	{kindSchedule, "publisher and object, with its kind and id, are", func() document { return new(scheduleDoc) }},
	{kindStrategy, "publisher and name are", func() document { return new(strategyDoc) }},
	{kindJob, "name and workflow are", func() document { return new(jobDoc) }},
	{kindPriorityList, "name is", func() document { return new(priorityListDoc) }},
}

type category struct {
	name, found string
	empty       func() document
}

// A document is one declared thing.
type document interface {
	// found is what it is found by, "" where a part of that is missing.
	found() string
	// apply makes what there is as it is declared, and notes in the step what it did.
	apply(ctx context.Context, w *world, s *Step, user string) error
}

func (d *authorizationDoc) found() string { return d.Label }
func (d *fieldDoc) found() string         { return d.Name }
func (d *streamDoc) found() string        { return d.Name }
func (d *identityDoc) found() string      { return kindIdentity }
func (d *issueDoc) found() string         { return d.Name }
func (d *groupDoc) found() string         { return path(d.Issue, d.Name) }
func (d *audienceDoc) found() string      { return d.Slug }
func (d *actionDoc) found() string        { return path(d.Issue, d.Group, d.Name) }
func (d *templateDoc) found() string      { return d.Name }
func (d *destinationDoc) found() string   { return d.Name }
func (d *publisherDoc) found() string     { return d.Name }
func (d *strategyDoc) found() string      { return path(d.Publisher, d.Name) }
func (d *priorityListDoc) found() string  { return d.Name }

func (d *scheduleDoc) found() string {
	if d.Object.Kind == "" || d.Object.ID == "" {
		return ""
	}
	return path(d.Publisher, d.Object.Kind+" "+d.Object.ID)
}

func (d *jobDoc) found() string {
	if d.Name == "" || d.Workflow == "" {
		return ""
	}
	return d.Name + " (" + strings.ReplaceAll(d.Workflow, "-", "_") + ")"
}

// path is what something is found by that lies in something else: the names down to it,
// or "" where one is missing.
func path(names ...string) string {
	if slices.Contains(names, "") {
		return ""
	}
	return strings.Join(names, "/")
}

// kindNames lists the kinds in the order in which they are applied.
func kindNames() []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = k.name
	}
	return out
}

// An authorizationDoc says that credentials of this label must be there.
type authorizationDoc struct {
	Kind     string `yaml:"kind"`
	Label    string `yaml:"label"`
	Provider string `yaml:"provider"`
}

type fieldDoc struct {
	Kind        string `yaml:"kind"`
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	Merge       string `yaml:"merge,omitempty"`
	Identifier  int    `yaml:"identifier_rank,omitempty"`
	PII         bool   `yaml:"pii,omitempty"`
	Public      bool   `yaml:"public,omitempty"`
	Description string `yaml:"description,omitempty"`
}

type streamDoc struct {
	Kind           string            `yaml:"kind"`
	Name           string            `yaml:"name"`
	ReferenceKey   string            `yaml:"reference_key,omitempty"`
	MessageID      []string          `yaml:"message_id_fields,omitempty"`
	TimestampField string            `yaml:"timestamp_field,omitempty"`
	DateOrder      string            `yaml:"date_order,omitempty"`
	PhoneCountry   string            `yaml:"phone_country,omitempty"`
	RetentionDays  int               `yaml:"raw_retention_days,omitempty"`
	Mappings       map[string]string `yaml:"mappings,omitempty"` // field -> expression
}

// An identityDoc says how people are told apart. There is one.
type identityDoc struct {
	Kind           string   `yaml:"kind"`
	MaxIdentifiers int      `yaml:"max_identifiers,omitempty"`
	StopList       []string `yaml:"stop_list,omitempty"`
}

type audienceDoc struct {
	Kind        string `yaml:"kind"`
	Slug        string `yaml:"slug"`
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
	Rule        string `yaml:"rule"`
	Public      bool   `yaml:"public,omitempty"`
}

type issueDoc struct {
	Kind        string `yaml:"kind"`
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
}

type groupDoc struct {
	Kind        string `yaml:"kind"`
	Issue       string `yaml:"issue"` // name
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
}

// An actionDoc is found by the names of its issue and group, and its own.
type actionDoc struct {
	Kind        string `yaml:"kind"`
	Issue       string `yaml:"issue"` // name
	Group       string `yaml:"group"` // name
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
	Eligibility string `yaml:"eligibility"`
	Priority    int64  `yaml:"priority,omitempty"`
	Enabled     *bool  `yaml:"enabled,omitempty"`
}

// A templateDoc is a payload template; the settings of jobs name it.
type templateDoc struct {
	Kind        string `yaml:"kind"`
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
	Text        string `yaml:"text"` // Jsonnet
}

type destinationDoc struct {
	Kind          string            `yaml:"kind"`
	Name          string            `yaml:"name"`
	Provider      string            `yaml:"provider"`
	Authorization string            `yaml:"authorization,omitempty"` // label
	Account       string            `yaml:"account,omitempty"`
	Enabled       *bool             `yaml:"enabled,omitempty"`
	Mapping       map[string]string `yaml:"mapping,omitempty"`
	Config        map[string]any    `yaml:"config,omitempty"`
}

type jobDoc struct {
	Kind           string         `yaml:"kind"`
	Name           string         `yaml:"name"`
	Workflow       string         `yaml:"workflow"`
	Description    string         `yaml:"description,omitempty"`
	Destination    string         `yaml:"destination,omitempty"`    // name
	Audiences      []string       `yaml:"audiences,omitempty"`      // slugs
	Level          string         `yaml:"level,omitempty"`          // of actions, instead of audiences
	Exclude        []string       `yaml:"exclude,omitempty"`        // slugs
	Stream         string         `yaml:"stream,omitempty"`         // of events, instead of audiences
	Authorizations []string       `yaml:"authorizations,omitempty"` // labels
	Config         map[string]any `yaml:"config,omitempty"`
	Continuous     *bool          `yaml:"continuous_update,omitempty"`
	Frequency      string         `yaml:"run_frequency,omitempty"`
	TimeOfDay      string         `yaml:"time_of_day,omitempty"`
	DayOfWeek      string         `yaml:"day_of_week,omitempty"`
	Timezone       string         `yaml:"timezone,omitempty"`
	ExpiresAt      string         `yaml:"expires_at,omitempty"`
	QuietTime      string         `yaml:"quiet_time_of_day,omitempty"`
	QuietPeriod    string         `yaml:"quiet_period,omitempty"` // a duration
	QuietTimezone  string         `yaml:"quiet_timezone,omitempty"`
	DropQuiet      bool           `yaml:"drop_events_during_quiet_window,omitempty"`
	WithBackfill   *bool          `yaml:"withbackfill,omitempty"`
	BackfillOnly   bool           `yaml:"backfill_only,omitempty"`
	UserLimit      int64          `yaml:"user_limit,omitempty"`
	LimitFrequency string         `yaml:"user_limit_frequency,omitempty"`
	HoldoutPercent float64        `yaml:"holdout_percent,omitempty"`
	FailAfter      string         `yaml:"fail_after,omitempty"`
	StallAfter     string         `yaml:"stall_after,omitempty"`
	OnEnd          string         `yaml:"on_end,omitempty"`
	Tag            string         `yaml:"tag,omitempty"`
	Hidden         bool           `yaml:"hidden,omitempty"`
	VerboseLogging bool           `yaml:"verbose_logging,omitempty"`
}

// A publisherDoc is an account at a publisher whose campaigns are edited. Its two jobs
// come with it.
type publisherDoc struct {
	Kind          string         `yaml:"kind"`
	Name          string         `yaml:"name"`
	Provider      string         `yaml:"provider"`
	Authorization string         `yaml:"authorization"` // label
	Account       string         `yaml:"account"`
	NightlyAt     string         `yaml:"nightly_at,omitempty"`
	Config        map[string]any `yaml:"config,omitempty"`
}

// A scheduleDoc is everything that is planned for one object: what it does not list is
// taken away.
type scheduleDoc struct {
	Kind       string         `yaml:"kind"`
	Publisher  string         `yaml:"publisher"` // name
	Object     objectDoc      `yaml:"object"`
	Operations []operationDoc `yaml:"operations"`
}

// An objectDoc names an object of a publisher account by the publisher's own id, since
// names change with every edit and are given twice.
type objectDoc struct {
	Kind string `yaml:"kind"`
	ID   string `yaml:"id"`
}

// An operationDoc is done at an hour of days of the week, or once at a time.
type operationDoc struct {
	Action string `yaml:"action"`
	Days   []int  `yaml:"days,omitempty,flow"`
	Hour   *int   `yaml:"hour,omitempty"`
	From   string `yaml:"from,omitempty"` // a time, with days: not before
	At     string `yaml:"at,omitempty"`   // a time, without days
}

type strategyDoc struct {
	Kind      string        `yaml:"kind"`
	Publisher string        `yaml:"publisher"` // name
	Name      string        `yaml:"name"`
	Goal      string        `yaml:"goal,omitempty"`
	Target    float64       `yaml:"target,omitempty"`
	BidsOf    string        `yaml:"bids_of"`
	Within    []objectDoc   `yaml:"within,omitempty"`
	Floor     float64       `yaml:"floor"`
	Ceiling   float64       `yaml:"ceiling"`
	Mode      string        `yaml:"mode,omitempty"`
	Overrides []overrideDoc `yaml:"overrides,omitempty"`
}

// An overrideDoc keeps the bid of one of a strategy's objects until the end of a day.
type overrideDoc struct {
	ID    string  `yaml:"id"`
	Bid   float64 `yaml:"bid"`
	Until string  `yaml:"until"`
}

// A priorityListDoc orders audiences of a destination.
type priorityListDoc struct {
	Kind        string   `yaml:"kind"`
	Name        string   `yaml:"name"`
	Destination string   `yaml:"destination"` // name
	Audiences   []string `yaml:"audiences"`   // slugs, the strongest first
}

// fieldNames are the keys of a file for the fields that the catalog names
// otherwise.
var fieldNames = map[string]string{
	"slug_name": "slug", "segment_ql": "rule", "segment_ids": "audiences", "is_public": "public", "auth_id": "authorization", "auth_ids": "authorizations", "destination_id": "destination", "issue_id": "issue", "group_id": "group",
	"kind": "bids_of", "until": "overrides", "bid": "overrides",
}
