package catalog

import (
	"context"
	"slices"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Declare adds or replaces fields, streams and mappings, and leaves all others
// as they are. It returns the fields that need a rebuild to reach messages
// received before.
func (c *Catalog) Declare(ctx context.Context, add warehouse.Schema, user string) ([]string, error) {
	var rebuild []string
	err := c.alone(ctx, func() error {
		s, err := c.Warehouse.Schema(ctx)
		if err != nil {
			return err
		}
		if !add.Identity.IsZero() {
			s.Identity = add.Identity
		}
		for _, f := range add.Fields {
			if err := c.staysPublic(ctx, f); err != nil {
				return err
			}
			s.Fields = put(s.Fields, f, func(o warehouse.Field) bool { return o.Name == f.Name })
		}
		for _, st := range add.Streams {
			s.Streams = put(s.Streams, st, func(o warehouse.Stream) bool { return o.Name == st.Name })
		}
		if s.Streams, err = c.withStreamsOf(ctx, s.Streams, add.Mappings); err != nil {
			return err
		}
		for _, m := range add.Mappings {
			s.Mappings = put(s.Mappings, m, func(o warehouse.Mapping) bool { return o.Stream == m.Stream && o.Field == m.Field })
		}
		if rebuild, err = c.Warehouse.Apply(ctx, s); err != nil {
			return err
		}
		return c.noteSchema(ctx, add, user)
	})
	return rebuild, err
}

// noteSchema writes into the audit log what was declared: names, never rules or values.
func (c *Catalog) noteSchema(ctx context.Context, s warehouse.Schema, user string) error {
	if !s.Identity.IsZero() {
		if err := c.note(ctx, user, "update", "identity", "identity"); err != nil {
			return err
		}
	}
	for _, f := range s.Fields {
		if err := c.note(ctx, user, "declare", "field", f.Name); err != nil {
			return err
		}
	}
	for _, st := range s.Streams {
		if err := c.note(ctx, user, "declare", "stream", st.Name); err != nil {
			return err
		}
	}
	var told []string // streams
	for _, m := range s.Mappings {
		if slices.Contains(told, m.Stream) {
			continue
		}
		if err := c.note(ctx, user, "set mappings", "stream", m.Stream); err != nil {
			return err
		}
		told = append(told, m.Stream)
	}
	return nil
}

// note writes into the audit log who did what to a part of the schema, which is in no
// table of the control plane.
func (c *Catalog) note(ctx context.Context, user, verb, subject, id string) error {
	return c.Store.AddAudit(ctx, activation.AuditEntry{Actor: user, Verb: verb, SubjectType: subject, SubjectID: id})
}

// withStreamsOf adds the streams that mappings name and that messages made, without
// anybody declaring them.
func (c *Catalog) withStreamsOf(ctx context.Context, declared []warehouse.Stream, mappings []warehouse.Mapping) ([]warehouse.Stream, error) {
	for _, m := range mappings {
		if slices.ContainsFunc(declared, func(o warehouse.Stream) bool { return o.Name == m.Stream }) {
			continue
		}
		there, err := c.Warehouse.Streams(ctx)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(there, func(o warehouse.StreamStat) bool { return o.Name == m.Stream }); i >= 0 {
			declared = append(slices.Clone(declared), there[i].Stream)
		}
	}
	return declared, nil
}

// DeclareStream declares a stream with exactly these mappings, as Declare does.
func (c *Catalog) DeclareStream(ctx context.Context, st warehouse.Stream, mappings []warehouse.Mapping, user string) ([]string, error) {
	var rebuild []string
	err := c.alone(ctx, func() error {
		s, err := c.Warehouse.Schema(ctx)
		if err != nil {
			return err
		}
		s.Streams = put(s.Streams, st, func(o warehouse.Stream) bool { return o.Name == st.Name })
		s.Mappings = slices.DeleteFunc(slices.Clone(s.Mappings), func(m warehouse.Mapping) bool { return m.Stream == st.Name })
		s.Mappings = append(s.Mappings, mappings...)
		if rebuild, err = c.Warehouse.Apply(ctx, s); err != nil {
			return err
		}
		return c.noteSchema(ctx, warehouse.Schema{Streams: []warehouse.Stream{st}, Mappings: mappings}, user)
	})
	return rebuild, err
}

// DeleteMapping takes one mapping of a stream away, or returns ErrNotFound.
func (c *Catalog) DeleteMapping(ctx context.Context, stream, field, user string) ([]string, error) {
	var rebuild []string
	err := c.alone(ctx, func() error {
		s, err := c.Warehouse.Schema(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Streams, func(o warehouse.Stream) bool { return o.Name == stream })
		before := len(s.Mappings)
		s.Mappings = slices.DeleteFunc(slices.Clone(s.Mappings), func(m warehouse.Mapping) bool { return m.Stream == stream && m.Field == field })
		if i < 0 || len(s.Mappings) == before {
			return &activation.Error{Kind: activation.Invalid, Code: "NOTFOUND-003", Field: "field", Message: "the stream has no mapping of that field", Err: activation.ErrNotFound}
		}
		if rebuild, err = c.Warehouse.Apply(ctx, s); err != nil {
			return err
		}
		return c.note(ctx, user, "delete mapping of "+field, "stream", stream)
	})
	return rebuild, err
}

// SetIdentity says how people are told apart, as Declare does.
func (c *Catalog) SetIdentity(ctx context.Context, i warehouse.Identity, user string) ([]string, error) {
	if i.MaxIdentifiers == 0 {
		i.MaxIdentifiers = warehouse.DefaultMaxIdentifiers
	}
	return c.Declare(ctx, warehouse.Schema{Identity: i}, user)
}

func put[T any](list []T, v T, same func(T) bool) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		out := slices.Clone(list)
		out[i] = v
		return out
	}
	return append(slices.Clone(list), v)
}
