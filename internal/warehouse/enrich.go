package warehouse

import (
	"context"
	"time"

	"usher/internal/activation"
)

// Enrichment is one person to be asked about.
type Enrichment struct {
	Profile int64
	// Values are the fields asked for, by name; missing ones are absent.
	Values map[string]any
	// Identifiers are the person's identifier values, strongest first; a reply is
	// stored with the first of each field.
	Identifiers []FieldValue
}

// FieldValue is a value of a field.
type FieldValue struct{ Field, Value string }

// EnrichmentRequest says who is asked about.
type EnrichmentRequest struct {
	Job activation.JobID
	// Audiences whose members are asked about, each once; empty = everybody.
	Audiences []activation.AudienceID
	Fields    []string
	// Before: who was asked about later than this is left out; zero = whoever was
	// ever asked about.
	Before time.Time
	// FailedBefore is the same for those of whom asking failed; zero = they are left
	// out.
	FailedBefore time.Time
	Limit        int
}

// Enriched is what asking about one person came to.
type Enriched struct {
	Profile int64
	// Outcome is reply, none (the far side knows nothing) or failed (asked again
	// at the next pass).
	Outcome string
}

// Enrichments remembers who was asked about.
type Enrichments interface {
	// ToEnrich returns the next people to ask about, by profile id.
	ToEnrich(ctx context.Context, r EnrichmentRequest) ([]Enrichment, error)
	// Enriched remembers outcomes of a job.
	Enriched(ctx context.Context, job activation.JobID, at time.Time, outcomes []Enriched) error
	// WaitsEnrichment reports whether ToEnrich would return anybody.
	WaitsEnrichment(ctx context.Context, r EnrichmentRequest) (bool, error)
	// ForgetEnrichment forgets whom a job has asked about.
	ForgetEnrichment(ctx context.Context, job activation.JobID) error
}
