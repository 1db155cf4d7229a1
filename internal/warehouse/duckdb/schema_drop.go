package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// DropField takes away a field that nothing makes values of, with its columns. It
// is ErrConflict while a mapping names it, also one that goes only at the next
// Rebuild, and ErrNotFound where it is not declared.
func (d *DB) DropField(ctx context.Context, name string) error {
	if err := d.lockIngest(ctx); err != nil {
		return err
	}
	defer d.unlockIngest()
	old := d.state.snapshot()
	f, declared := findField(old.Declared.Fields, name)
	if !declared {
		return &activation.Error{Kind: activation.Invalid, Code: "NOTFOUND-003", Field: "name", Message: "there is no such field", Err: activation.ErrNotFound}
	}
	if d.rebuilding.Load() {
		return errRebuilding("delete fields")
	}
	if err := notMapped(old, name); err != nil {
		return err
	}
	active, made := findField(old.Active.Fields, name)
	next := old.clone()
	is := func(o warehouse.Field) bool { return o.Name == f.Name }
	next.Declared.Fields = slices.DeleteFunc(next.Declared.Fields, is)
	next.Active.Fields = slices.DeleteFunc(next.Active.Fields, is)
	err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, c := range fieldColumns(active) {
			if !made {
				break
			}
			if _, err := exec(ctx, tx, fmt.Sprintf("drop field %q", name), `ALTER TABLE profiles DROP COLUMN `+quote(c.name)); err != nil {
				return err
			}
		}
		return saveDocument(ctx, tx, next)
	})
	if err != nil {
		return err
	}
	d.state.setSchema(next)
	return nil
}

// notMapped refuses a field that messages make values of.
func notMapped(sc *schema, name string) error {
	of := func(m warehouse.Mapping) bool { return m.Field == name }
	message := ""
	if i := slices.IndexFunc(sc.Declared.Mappings, of); i >= 0 {
		message = fmt.Sprintf("the stream %q has a mapping of the field; take that away first", sc.Declared.Mappings[i].Stream)
	} else if i := slices.IndexFunc(sc.Active.Mappings, of); i >= 0 {
		message = fmt.Sprintf("people have values of the field by a mapping of the stream %q that goes at the next rebuild; rebuild first", sc.Active.Mappings[i].Stream)
	}
	if message == "" {
		return nil
	}
	return &activation.Error{Kind: activation.Invalid, Code: "CONFLICT", Field: "name", Message: message, Err: activation.ErrConflict}
}
