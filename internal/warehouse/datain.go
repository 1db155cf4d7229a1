package warehouse

import (
	"context"
	"time"
)

// Identity says how people are told apart.
type Identity struct {
	// MaxIdentifiers is how many identifier values one profile may have; a value
	// that would link more is left unlinked (see docs/identity.md). 0 = 50.
	MaxIdentifiers int `json:"max_identifiers,omitempty"`
	// StopList are values, in lower case, that identify nobody, beside those that
	// are known to be placeholders (Placeholders).
	StopList []string `json:"stop_list,omitempty"`
}

// IsZero reports whether nothing is said. Who applies a schema that says nothing
// leaves what is declared.
func (i Identity) IsZero() bool { return i.MaxIdentifiers == 0 && len(i.StopList) == 0 }

// DefaultMaxIdentifiers is how many identifier values one profile may have where
// nothing else is said.
const DefaultMaxIdentifiers = 50

// Placeholders are values people type where they have no identifier. They identify
// nobody: one profile would swallow all who carry them.
var Placeholders = []string{"test@test.com", "none", "null", "nil", "nan", "n/a", "na", "undefined", "unknown", "-"}

// MergeEvent is two profiles found to be one, or one found to be two. It names
// fields, never values.
type MergeEvent struct {
	At time.Time `json:"at"`
	// Survivor has what Gone had, or was parted From another.
	Survivor int64 `json:"profile_id"`
	Gone     int64 `json:"merged_profile_id,omitempty"`
	From     int64 `json:"parted_from_profile_id,omitempty"`
	// Fields are the identifiers whose values linked them; of a part, those whose
	// values Survivor took along; of a value that was capped, its field.
	Fields []string `json:"fields"`
	// Stream and Load name what linked them; empty for a rebuild.
	Stream string `json:"stream,omitempty"`
	Load   string `json:"load_id,omitempty"`
	// Kind is merge, part (a correction or a rebuild) or capped (a value that
	// would have linked too many was left unlinked).
	Kind string `json:"kind"`
}

// Identities tells how people were told apart.
type Identities interface {
	// Merges returns the merge history, newest first: of one profile, those merged
	// into it and their own history included, or of all with profile 0. before, not
	// zero, asks for older ones.
	Merges(ctx context.Context, profile int64, before time.Time, limit int) ([]MergeEvent, error)
}

// RebuildResult is what a rebuild changed.
type RebuildResult struct {
	Messages int64 `json:"messages"`
	Profiles int64 `json:"profiles"`
	// Changed profiles have other values or audiences than before; New and Gone
	// ones came and went.
	Changed int64 `json:"changed_profiles"`
	New     int64 `json:"new_profiles"`
	Gone    int64 `json:"gone_profiles"`
	// Moved messages belong to another profile than before.
	Moved int64 `json:"moved_messages"`
}

// RebuildCost is what a rebuild would have to do.
type RebuildCost struct {
	Messages int64 `json:"messages"`
	// Bytes of raw messages, as they lie on disk.
	Bytes int64 `json:"bytes"`
}

// MappingPreview is what mappings would make of recent messages.
type MappingPreview struct {
	// Fields are the mapped fields, in the order of Values of each row.
	Fields []string            `json:"fields"`
	Rows   []MappingPreviewRow `json:"rows"`
	// Parsed and Unparsed count, per field, over all messages looked at, what
	// became a value and what was there and could not.
	Looked   int64            `json:"messages_looked_at"`
	Parsed   map[string]int64 `json:"parsed"`
	Unparsed map[string]int64 `json:"unparsed"`
	// Rebuild are the fields that need a rebuild to reach messages received before.
	Rebuild []string `json:"rebuild"`
	// Cost is that of a rebuild, whether one is needed or not.
	Cost RebuildCost `json:"cost"`
}

// MappingPreviewRow is one message and what is made of it.
type MappingPreviewRow struct {
	Message
	// Results are the values by field; a missing one is absent.
	Results map[string]any `json:"results"`
	// Failed are the fields whose value was there and could not become the type.
	Failed []string `json:"failed,omitempty"`
}

// Drifting is a change in what a stream brings that nobody declared.
type Drifting struct {
	// Kind is new_column, missing_column or unparsed.
	Kind string `json:"kind"`
	// Column for columns, Field for unparsed values.
	Column string `json:"column,omitempty"`
	Field  string `json:"field,omitempty"`
	// Since is when the first load had it so; Load is its id.
	Since time.Time `json:"since"`
	Load  string    `json:"load_id"`
	// Count of values (unparsed), of all those that were there.
	Count int64 `json:"count,omitempty"`
	Of    int64 `json:"of,omitempty"`
}

// Retention lets raw messages go whose time is over.
type Retention interface {
	// Expire deletes the messages received longer ago than their stream keeps
	// them, look-up rows excepted, and returns how many. Profiles stay as they are.
	Expire(ctx context.Context, now time.Time) (int64, error)
}

// Mappings is what the editor of fields and mappings needs.
type Mappings interface {
	// PreviewMappings evaluates what would be mapped after Apply of s, for one
	// stream, on up to looked of its newest messages, of which up to limit come
	// back. It changes nothing; errors are those of Apply.
	PreviewMappings(ctx context.Context, s Schema, stream string, looked, limit int) (MappingPreview, error)
	// StreamDrift returns what changed in what a stream brings, newest first.
	StreamDrift(ctx context.Context, stream string) ([]Drifting, error)
	// SettleDrift accepts what a stream brings now: StreamDrift is empty until
	// something changes again.
	SettleDrift(ctx context.Context, stream string) error
	// Cost is what a rebuild would have to do.
	Cost(ctx context.Context) (RebuildCost, error)
}
