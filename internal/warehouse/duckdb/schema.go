package duckdb

import (
	"cmp"
	"fmt"
	"slices"
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
	// streamSeq is what StreamSeq has seen, and what the next message's number
	// was then.
	streamSeq struct {
		mu   sync.Mutex
		next int64
		all  map[string]int64
	}
	// ready is what ReadyEvents has seen.
	ready readyEvents
}

// schema is one snapshot of what is declared about the data.
type schema struct {
	schemaDocument
	streams map[string]stream
}

// schemaDocument is the part of a schema that is stored as one JSON text.
type schemaDocument struct {
	// Declared is what Apply was given, all calls together.
	Declared warehouse.Schema `json:"declared"`
	// Active is what profiles are made by now. It differs from Declared where a
	// change waits for a rebuild, so that profiles are never made half by an
	// old and half by a new rule.
	Active warehouse.Schema `json:"active"`
}

// stream is a declared stream and its tables.
type stream struct {
	warehouse.Stream
	n       int      // of stream_<n>
	columns []string // source names; columns[i] is c<i+1>
}

// table returns the name of the raw table.
func (s stream) table() string { return fmt.Sprintf("stream_%d", s.n) }

// reference returns the name of the look-up table of a reference stream.
func (s stream) reference() string { return fmt.Sprintf("reference_%d", s.n) }

// column returns the column that holds a source column, or "" while no load
// has brought one of that name.
func (s stream) column(name string) string {
	if i := slices.Index(s.columns, name); i >= 0 {
		return fmt.Sprintf("c%d", i+1)
	}
	return ""
}

// snapshot returns the present schema.
func (s *state) snapshot() *schema {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.schema
}

func (s *state) setSchema(sc *schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schema = sc
}

// clone returns a schema that may be changed without changing s.
func (s *schema) clone() *schema {
	c := &schema{streams: make(map[string]stream, len(s.streams))}
	c.Declared = cloneSchema(s.Declared)
	c.Active = cloneSchema(s.Active)
	for name, st := range s.streams {
		st.columns = slices.Clone(st.columns)
		c.streams[name] = st
	}
	return c
}

func cloneSchema(s warehouse.Schema) warehouse.Schema {
	return warehouse.Schema{
		Fields:   slices.Clone(s.Fields),
		Streams:  slices.Clone(s.Streams),
		Mappings: slices.Clone(s.Mappings),
		Identity: warehouse.Identity{MaxIdentifiers: s.Identity.MaxIdentifiers, StopList: slices.Clone(s.Identity.StopList)},
	}
}

// fields returns the profile fields as the profiles table has them now.
func (s *schema) fields() []warehouse.Field { return s.Active.Fields }

// field returns a profile field as the profiles table has it now.
func (s *schema) field(name string) (warehouse.Field, bool) {
	return findField(s.Active.Fields, name)
}

// sortedStreams returns all streams by table number.
func (s *schema) sortedStreams() []stream {
	out := make([]stream, 0, len(s.streams))
	for _, st := range s.streams {
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b stream) int { return cmp.Compare(a.n, b.n) })
	return out
}

func findField(fields []warehouse.Field, name string) (warehouse.Field, bool) {
	i := slices.IndexFunc(fields, func(f warehouse.Field) bool { return f.Name == name })
	if i < 0 {
		return warehouse.Field{}, false
	}
	return fields[i], true
}

func findMapping(mappings []warehouse.Mapping, stream, field string) (warehouse.Mapping, bool) {
	i := slices.IndexFunc(mappings, func(m warehouse.Mapping) bool { return m.Stream == stream && m.Field == field })
	if i < 0 {
		return warehouse.Mapping{}, false
	}
	return mappings[i], true
}
