package client

import (
	"time"

	"usher/internal/activation"
)

// Authorization is an authorization as the API shows it: never its secrets.
type Authorization struct {
	ID             activation.AuthorizationID `json:"id"`
	Label          string                     `json:"label"`
	Description    string                     `json:"description"`
	Type           string                     `json:"type" doc:"how the credentials were given: config"`
	ProviderID     string                     `json:"provider_id"`
	ProviderSlug   string                     `json:"provider_slug"`
	ProviderName   string                     `json:"provider_name"`
	UserID         string                     `json:"user_id" doc:"who stored it"`
	Status         activation.AuthStatus      `json:"status" enum:"healthy,unhealthy,unknown"`
	StatusReason   string                     `json:"status_reason,omitempty" doc:"why it does not work"`
	Settings       map[string]string          `json:"settings" doc:"the values of its configuration that are not secret"`
	UsedBy         UsedBy                     `json:"used_by"`
	LastAccessedAt time.Time                  `json:"last_accessed_at,omitzero" doc:"when it was last tried at the network"`
	ExpiresAt      time.Time                  `json:"expires_at,omitzero" doc:"when what it has ends and it must be connected again, where that is known"`
	CreatedAt      time.Time                  `json:"created"`
	UpdatedAt      time.Time                  `json:"updated"`
}

// UsedBy counts what uses an authorization.
type UsedBy struct {
	Destinations int `json:"destinations"`
	Jobs         int `json:"jobs" doc:"living jobs, those of its destinations too"`
}

// Workflow is one thing a provider can do, with every setting of its jobs.
type Workflow struct {
	Name        string     `json:"name" doc:"as in bodies; paths and queries take it in kebab case too"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Type        string     `json:"type" doc:"export, import, enrichment or alert"`
	Subject     string     `json:"subject" doc:"profiles, raw events or system events"`
	Starts      []string   `json:"starts" doc:"how its jobs may start and end: realtime, schedule, once"`
	Provider    string     `json:"provider_slug"`
	Fields      []Field    `json:"fields" doc:"settings of a job"`
	Destination []Field    `json:"destination_fields" doc:"settings of the destination it needs, if it needs one"`
	MatchKeys   []MatchKey `json:"match_keys" doc:"what a destination's mapping can name"`
	OpenColumns bool       `json:"open_columns" doc:"a destination's mapping names columns of its own"`
	Kind        string     `json:"kind,omitempty" doc:"of an export: state (keeps audiences in step) or event (sends each event once)"`
	Feed        string     `json:"feed,omitempty" doc:"where its events come from: stream or audience"`
	Events      []MatchKey `json:"event_keys,omitempty" doc:"what an event carries beside the person's match keys; each is fed by the setting of its name"`
}

// Field is one configuration value.
type Field struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Help     string   `json:"help"`
	Type     string   `json:"type" doc:"string, text, bool, int, duration, select, url, list, column, agreement or template"`
	Default  string   `json:"default,omitempty"`
	Required bool     `json:"required"`
	Secret   bool     `json:"secret"`
	Example  string   `json:"example,omitempty"`
	Options  []string `json:"options,omitempty"`
}

// MatchKey is an identifier that a network finds people by.
type MatchKey struct {
	Name       string `json:"name"`
	Help       string `json:"help"`
	Hashed     bool   `json:"hashed"`
	Identifies bool   `json:"identifies" doc:"finds a person alone"`
	Required   bool   `json:"required,omitempty" doc:"an event without it is left out"`
}

// Provider is an outside system, as its definition declares it.
type Provider struct {
	ID          string     `json:"id"`
	Slug        string     `json:"slug"`
	Name        string     `json:"name"`
	Hidden      bool       `json:"hidden"`
	Description string     `json:"description"`
	Categories  []string   `json:"categories" doc:"what its workflows are: export, import, enrichment, alert"`
	AuthMethod  string     `json:"auth_method" doc:"config, or none"`
	NoAuth      bool       `json:"no_auth" doc:"its jobs need no authorization"`
	AuthFields  []Field    `json:"auth_fields" doc:"settings of an authorization"`
	Workflows   []Workflow `json:"workflows"`
}

// Keys says which keys seal the stored credentials.
type Keys struct {
	KeyID string   `json:"key_id" doc:"the key that seals now"`
	Given bool     `json:"given" doc:"the key comes from the environment and not from a file"`
	Keys  []KeyUse `json:"keys"`
}

// KeyUse is one key, and how many authorizations need it.
type KeyUse struct {
	ID             string `json:"key_id"`
	Known          bool   `json:"known" doc:"the server has it"`
	Authorizations int    `json:"authorizations"`
}
