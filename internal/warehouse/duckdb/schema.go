package duckdb

import (
	"sync"

	"usher/internal/warehouse"
)

// state is what is declared, cached in memory. Snapshots are never changed in
// place: whoever changes the schema swaps in a new one, so a reader may keep
// the one it has for as long as it likes.
type state struct {
	mu       sync.RWMutex
	schema   *schema
	audience audienceState
}

// schema is one snapshot of what is declared about the data.
type schema struct {
	// declared is what Apply was given last, all calls together.
	declared warehouse.Schema
}

// snapshot returns the present schema.
func (s *state) snapshot() *schema {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.schema
}

// field returns the declaration of a profile field.
func (s *schema) field(name string) (warehouse.Field, bool) {
	for _, f := range s.declared.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return warehouse.Field{}, false
}
