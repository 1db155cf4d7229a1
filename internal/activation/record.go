package activation

import "time"

// AuthStatus is the health of an authorization.
type AuthStatus string

const (
	AuthHealthy   AuthStatus = "healthy"
	AuthUnhealthy AuthStatus = "unhealthy"
	// AuthUnknown: not checked since it was stored.
	AuthUnknown AuthStatus = "unknown"
)

// Authorization is stored credentials for a provider. The secrets themselves
// are only in Sealed, which never leaves the server.
type Authorization struct {
	ID          AuthorizationID `json:"id"`
	Label       string          `json:"label"`
	Description string          `json:"description"`
	Provider    string          `json:"provider_slug"`
	Status      AuthStatus      `json:"status"`
	// Reason says why it is unhealthy; safe to show.
	Reason string `json:"status_reason,omitempty"`
	// KeyID names the key that Sealed is sealed with.
	KeyID         string    `json:"-"`
	Sealed        []byte    `json:"-"`
	CreatedBy     string    `json:"user_id"`
	LastCheckedAt time.Time `json:"last_checked_at,omitzero"`
	// ExpiresAt is when what it has ends and somebody must connect again; zero
	// where that is not known, or never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	CreatedAt time.Time `json:"created"`
	UpdatedAt time.Time `json:"updated"`
}

// ExpiryNotice is how long before the end of an authorization somebody is told.
const ExpiryNotice = 30 * 24 * time.Hour

// LogEvent is what happened to a job, as its log names it.
type LogEvent string

const (
	LogCreated   LogEvent = "created"
	LogUpdated   LogEvent = "updated"
	LogStarted   LogEvent = "started" // its first run ever
	LogSynced    LogEvent = "synced"  // a unit of work done, it goes on
	LogError     LogEvent = "error"   // will retry by itself
	LogSleeping  LogEvent = "sleeping"
	LogFailed    LogEvent = "failed"
	LogCompleted LogEvent = "completed"
	LogPaused    LogEvent = "paused"
	LogResumed   LogEvent = "resumed"
	LogBounced   LogEvent = "bounced"
	LogKilled    LogEvent = "killed"
	LogPurgeDue  LogEvent = "purge_due" // it will be purged in a week
	// LogItem is what became of one queue item, for jobs with verbose_logging.
	LogItem LogEvent = "item"
)

// LogEvents lists every event, in the order the docs use.
var LogEvents = []LogEvent{LogStarted, LogSynced, LogError, LogSleeping, LogFailed, LogCompleted, LogCreated, LogUpdated, LogPaused, LogResumed, LogBounced, LogKilled, LogPurgeDue, LogItem}

// LogLevels lists the levels of log entries.
var LogLevels = []string{"debug", "info", "warn", "error"}

// LogEntry is one line of a job's log.
type LogEntry struct {
	// ID grows from line to line.
	ID      int64      `json:"id"`
	Job     JobID      `json:"job_id"`
	At      time.Time  `json:"timestamp"`
	Event   LogEvent   `json:"event"`
	Level   string     `json:"level"` // debug, info, warn, error
	Code    string     `json:"code,omitempty"`
	Message string     `json:"message"`
	Context LogContext `json:"context"`
	// Detail is there where it was asked for and the run is still known.
	Detail *LogDetail `json:"detail,omitempty"`
}

// LogDetail is what is known of the run or pass that an entry speaks of.
type LogDetail struct {
	Run       int64     `json:"run"`
	Status    RunStatus `json:"status"`
	Stage     Stage     `json:"stage,omitempty"`
	ErrorKind Kind      `json:"error_kind,omitempty"`
	ErrorCode string    `json:"error_code,omitempty"`
	// Error is what the provider said, scrubbed.
	Error string `json:"error,omitempty"`
	// Items are the queue items with a code, by state and code.
	Items []LogItems `json:"items,omitempty"`
}

// LogItems counts the queue items of a run that ended alike.
type LogItems struct {
	State   ItemState `json:"status"`
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Items   int64     `json:"items"`
	Rows    int64     `json:"rows"`
}

// LogContext is what a log entry counts and whom it names.
type LogContext struct {
	Run     int64  `json:"run,omitempty"` // run number
	Added   int64  `json:"added,omitempty"`
	Removed int64  `json:"removed,omitempty"`
	Omitted int64  `json:"omitted,omitempty"`
	User    string `json:"user,omitempty"`
	// Counts are those of a pass, by name.
	Counts map[string]int64 `json:"counts,omitempty"`
}

// AuditEntry is one line of the audit log: who did what to which thing. Before
// and After are JSON without secrets and personal data.
type AuditEntry struct {
	ID          int64     `json:"id"`
	At          time.Time `json:"ts"`
	Actor       string    `json:"user_id"`
	Verb        string    `json:"verb"`
	SubjectType string    `json:"subject_type"`
	SubjectID   string    `json:"subject_id"`
	Before      string    `json:"before,omitempty"`
	After       string    `json:"after,omitempty"`
}

// Role is what a person or a token may do.
type Role string

const (
	// RoleViewer reads, masked.
	RoleViewer Role = "viewer"
	// RoleOperator runs, retries, posts, edits jobs and audiences.
	RoleOperator Role = "operator"
	// RoleAdmin manages authorizations, people, tokens, forget and settings.
	RoleAdmin Role = "admin"
	// RoleSite is that of a token that stands in the source of web pages: it asks
	// for the public audiences of a public id (web:read) and does nothing else. It
	// is no person's, includes no role and is included by none.
	RoleSite Role = "site"
)

// Roles lists the roles, each including the ones before it.
var Roles = []Role{RoleViewer, RoleOperator, RoleAdmin}

// Includes reports whether r allows everything other allows. An unknown role
// includes nothing and is included by nothing.
func (r Role) Includes(other Role) bool {
	rank := func(x Role) int {
		for i, known := range Roles {
			if x == known {
				return i
			}
		}
		return -1
	}
	return rank(other) >= 0 && rank(r) >= rank(other)
}

// Token is an API token. Only the SHA-256 of its text is kept.
type Token struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Hash []byte `json:"-"`
	Role Role   `json:"scope"`
	// User is whose token it is; "" for one of the server's own.
	User        UserID    `json:"user_id,omitempty"`
	Description string    `json:"description,omitempty"`
	CreatedBy   string    `json:"created_by"`
	CreatedAt   time.Time `json:"created"`
	// ExpiresAt is zero for a token that does not expire.
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// Session is a signed-in browser. Only the SHA-256 of its cookie is kept.
type Session struct {
	Hash []byte
	User string
	// UserID is "" for the machine's one-time sign-in.
	UserID    UserID
	Role      Role
	CSRF      string
	CreatedAt time.Time
	ExpiresAt time.Time
}
