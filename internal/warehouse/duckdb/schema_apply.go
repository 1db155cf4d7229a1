package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"

	"usher/internal/warehouse"
)

// Apply declares fields, streams and mappings. What s does not name stays as it
// is; a stream that s names has exactly the mappings that s lists for it. A
// change that would make profiles half by an old and half by a new rule waits
// for the next Rebuild; the names of all fields that wait come back.
func (d *DB) Apply(ctx context.Context, s warehouse.Schema) ([]string, error) {
	if err := d.lockIngest(ctx); err != nil {
		return nil, err
	}
	defer d.unlockIngest()
	old := d.state.snapshot()
	next, err := d.applied(ctx, old, s)
	if err != nil {
		return nil, err
	}
	if d.rebuilding.Load() && !reflect.DeepEqual(old.schemaDocument, next.schemaDocument) {
		return nil, errRebuilding("change fields and mappings")
	}
	if err := d.applyTables(ctx, old, next); err != nil {
		return nil, err
	}
	d.state.setSchema(next)
	return waiting(next), nil
}

// Preview returns what would be declared after Apply, and the fields that would
// wait for a Rebuild, or the error that Apply would return. It changes nothing.
func (d *DB) Preview(ctx context.Context, s warehouse.Schema) (warehouse.Schema, []string, error) {
	next, err := d.applied(ctx, d.state.snapshot(), s)
	if err != nil {
		return warehouse.Schema{}, nil, err
	}
	return cloneSchema(next.Declared), waiting(next), nil
}

// applied returns the schema after s is applied over old.
func (d *DB) applied(ctx context.Context, old *schema, s warehouse.Schema) (*schema, error) {
	next := old.clone()
	next.Declared = overlay(old.Declared, s)
	if err := refuseTwice(s); err != nil {
		return nil, err
	}
	if err := validate(next.Declared); err != nil {
		return nil, err
	}
	used, err := d.streamsWithMessages(ctx, old)
	if err != nil {
		return nil, err
	}
	if err := refuseStreamChanges(old, next.Declared, used); err != nil {
		return nil, err
	}
	activate(&next.Active, next.Declared, used)
	return next, nil
}

// overlay returns what is declared after s is applied over old.
func overlay(old, s warehouse.Schema) warehouse.Schema {
	out := cloneSchema(old)
	for _, f := range s.Fields {
		if i := slices.IndexFunc(out.Fields, func(o warehouse.Field) bool { return o.Name == f.Name }); i >= 0 {
			out.Fields[i] = f
		} else {
			out.Fields = append(out.Fields, f)
		}
	}
	for _, st := range s.Streams {
		if i := slices.IndexFunc(out.Streams, func(o warehouse.Stream) bool { return o.Name == st.Name }); i >= 0 {
			out.Streams[i] = st
		} else {
			out.Streams = append(out.Streams, st)
		}
	}
	out.Mappings = slices.DeleteFunc(out.Mappings, func(m warehouse.Mapping) bool {
		_, named := findStream(s.Streams, m.Stream)
		_, replaced := findMapping(s.Mappings, m.Stream, m.Field)
		return named || replaced
	})
	out.Mappings = append(out.Mappings, s.Mappings...)
	out.Identity = declaredIdentity(old.Identity, s.Identity)
	return out
}

// refuseStreamChanges refuses what can't be changed once a stream has messages:
// how they are told apart and whether they are about people.
func refuseStreamChanges(old *schema, declared warehouse.Schema, used map[string]bool) error {
	for _, st := range declared.Streams {
		was, ok := old.streams[st.Name]
		if !ok || !used[st.Name] {
			continue
		}
		if was.ReferenceKey != st.ReferenceKey {
			return refuse(st.Name, "stream %q has messages: its reference key can't change any more", st.Name)
		}
		if !slices.Equal(was.MessageID, st.MessageID) {
			return refuse(st.Name, "stream %q has messages: its message id fields can't change any more", st.Name)
		}
	}
	return nil
}

// activate brings active as near to declared as it can be without a rebuild.
func activate(active *warehouse.Schema, declared warehouse.Schema, used map[string]bool) {
	var fields []warehouse.Field
	var mappings []warehouse.Mapping
	for _, f := range declared.Fields {
		was, known := findField(active.Fields, f.Name)
		inUse := slices.ContainsFunc(active.Mappings, func(m warehouse.Mapping) bool { return m.Field == f.Name && used[m.Stream] })
		waits := known && inUse && !sameCore(was, f)
		if waits {
			f.Type, f.Merge, f.Rank = was.Type, was.Merge, was.Rank
		}
		fields = append(fields, f)
		for _, st := range declared.Streams {
			m, ok := findMapping(declared.Mappings, st.Name, f.Name)
			if used[st.Name] || waits {
				m, ok = findMapping(active.Mappings, st.Name, f.Name)
			}
			if ok {
				mappings = append(mappings, m)
			}
		}
	}
	*active = warehouse.Schema{Fields: fields, Streams: declared.Streams, Mappings: mappings, Identity: activeIdentity(*active, declared.Identity, used)}
}

// sameCore reports whether two declarations of a field make equal values.
func sameCore(a, b warehouse.Field) bool {
	return a.Type == b.Type && a.Merge == b.Merge && a.Rank == b.Rank
}

// waiting returns what takes effect at the next rebuild: the fields, and
// "identity" for how people are told apart.
func waiting(s *schema) []string {
	var names []string
	for _, f := range s.Declared.Fields {
		a, _ := findField(s.Active.Fields, f.Name)
		wait := !sameCore(a, f)
		for _, st := range s.Declared.Streams {
			have, _ := findMapping(s.Active.Mappings, st.Name, f.Name)
			want, _ := findMapping(s.Declared.Mappings, st.Name, f.Name)
			wait = wait || have != want
		}
		if wait {
			names = append(names, f.Name)
		}
	}
	if !sameIdentity(s.Active.Identity, s.Declared.Identity) {
		names = append(names, nameIdentity)
	}
	return names
}

// applyTables makes the tables of next and stores it; next.streams is filled.
func (d *DB) applyTables(ctx context.Context, old, next *schema) error {
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, decl := range next.Declared.Streams {
			st, ok := next.streams[decl.Name]
			if !ok {
				n, err := take(ctx, tx, "stream", 1)
				if err != nil {
					return err
				}
				st.n = int(n)
				if err := createStream(ctx, tx, decl.Name, st); err != nil {
					return err
				}
			}
			st.Stream = decl
			next.streams[decl.Name] = st
		}
		if _, err := compileAll(next, next.Declared); err != nil {
			return err
		}
		if reflect.DeepEqual(old.schemaDocument, next.schemaDocument) {
			return nil
		}
		if err := alterProfiles(ctx, tx, old.fields(), next.fields()); err != nil {
			return err
		}
		return saveDocument(ctx, tx, next)
	})
}

// alterProfiles gives the profiles table the columns of the new fields. A field
// whose type changes has no value yet, so its columns are made anew.
func alterProfiles(ctx context.Context, tx *sql.Tx, old, next []warehouse.Field) error {
	for _, f := range next {
		was, known := findField(old, f.Name)
		if known && was.Type == f.Type {
			continue
		}
		for _, c := range fieldColumns(f) {
			if known {
				if _, err := exec(ctx, tx, fmt.Sprintf("change field %q", f.Name), `ALTER TABLE profiles DROP COLUMN `+quote(c.name)); err != nil {
					return err
				}
			}
			if _, err := exec(ctx, tx, fmt.Sprintf("add field %q", f.Name), `ALTER TABLE profiles ADD COLUMN `+quote(c.name)+` `+c.sqlType); err != nil {
				return err
			}
		}
	}
	return nil
}

// Schema returns what is declared.
func (d *DB) Schema(context.Context) (warehouse.Schema, error) {
	return cloneSchema(d.state.snapshot().Declared), nil
}
