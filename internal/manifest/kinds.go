package manifest

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
	kindJob           = "job"
	kindPriorityList  = "priority_list"
)

var kinds = []string{kindAuthorization, kindField, kindStream, kindIdentity, kindIssue, kindGroup, kindAudience, kindAction, kindTemplate, kindDestination, kindJob, kindPriorityList}

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
}
