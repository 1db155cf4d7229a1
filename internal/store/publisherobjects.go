package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"usher/internal/activation"
)

const objectColumns = `o.publisher_id, o.kind, o.id, o.type, o.parent_kind, o.parent_id, o.confirmed, o.local, o.waiting, o.removed, o.deleted, o.confirmed_at, o.seen, o.name`

// objectRow is an object as it is stored: seen is the reading that saw it last, name
// what it is sorted by.
type objectRow struct {
	activation.PublisherObject
	seen int64
	name string
	gone bool // it was removed when it was read
}

// localValues reads the local values of an object, which are never nil.
type localValues struct{ to *map[string]string }

func (v localValues) Scan(src any) error {
	err := sparse{v.to}.Scan(src)
	*v.to = settingsOf(*v.to)
	return err
}

func scanObjectRow(r scanner) (objectRow, error) {
	var o objectRow
	var confirmed sql.NullString
	err := r.Scan(&o.Publisher, &o.Kind, &o.ID, &o.Type, &o.Parent.Kind, &o.Parent.ID, &confirmed, localValues{&o.Local}, &o.Waiting, &o.Removed, &o.Deleted, stamp{&o.ConfirmedAt}, &o.seen, &o.name)
	if err == nil && confirmed.Valid {
		if !flat(confirmed.String, &o.Confirmed) {
			err = json.Unmarshal([]byte(confirmed.String), &o.Confirmed)
		}
	}
	o.gone = o.Removed
	return o, err
}

// objectRows returns those of refs that there are.
func (t *tx) objectRows(id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]objectRow, error) {
	out := make(map[activation.ObjectRef]objectRow, len(refs))
	for kind, ids := range byKind(refs) {
		err := inChunks(2, ids, func(marks string, args []any) error {
			rows, err := t.query(`SELECT `+objectColumns+` FROM publisher_objects o WHERE o.publisher_id = $1 AND o.kind = $2 AND o.id IN `+marks, append([]any{id, kind}, args...)...)
			some, err := collect(rows, err, scanObjectRow)
			for _, o := range some {
				out[o.ObjectRef] = o
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, t.current(id, refs, out)
}

// confirmedObjects returns those of refs that there are, as the publisher has them.
func (t *tx) confirmedObjects(id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]activation.PublisherObject, error) {
	out := make(map[activation.ObjectRef]activation.PublisherObject, len(refs))
	for kind, ids := range byKind(refs) {
		err := inChunks(2, ids, func(marks string, args []any) error {
			rows, err := t.query(`SELECT o.id, o.type, coalesce(o.confirmed, '{}'), o.removed FROM publisher_objects o WHERE o.publisher_id = $1 AND o.kind = $2 AND o.id IN `+marks, append([]any{id, kind}, args...)...)
			some, err := collect(rows, err, func(r scanner) (o activation.PublisherObject, err error) {
				o.Publisher, o.Kind = id, kind
				return o, r.Scan(&o.ID, &o.Type, sparse{&o.Confirmed}, &o.Removed)
			})
			for _, o := range some {
				out[o.ObjectRef] = o
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// byKind sorts ids by the kind of their object, each once. The account is none.
func byKind(refs []activation.ObjectRef) map[activation.ObjectKind][]string {
	ids := map[activation.ObjectKind][]string{}
	seen := make(map[activation.ObjectRef]bool, len(refs))
	for _, r := range refs {
		if r.Kind == "" || r.ID == "" || seen[r] {
			continue
		}
		seen[r] = true
		ids[r.Kind] = append(ids[r.Kind], r.ID)
	}
	return ids
}

// plain are the objects without what only the store knows.
func plain(rows map[activation.ObjectRef]objectRow) map[activation.ObjectRef]activation.PublisherObject {
	out := make(map[activation.ObjectRef]activation.PublisherObject, len(rows))
	for ref, o := range rows {
		out[ref] = o.PublisherObject
	}
	return out
}

const (
	insertObjects = `INSERT INTO publisher_objects (publisher_id, kind, id, type, parent_kind, parent_id, name, status, confirmed, local, waiting, removed, deleted, confirmed_at, seen)`
	// wholeObject stores all of an object, localObject what follows from what waits of
	// it; that leaves most indexes alone.
	wholeObject = ` ON CONFLICT (publisher_id, kind, id) DO UPDATE SET type = excluded.type, parent_kind = excluded.parent_kind, parent_id = excluded.parent_id, name = excluded.name, status = excluded.status,
			confirmed = excluded.confirmed, local = excluded.local, waiting = excluded.waiting, removed = excluded.removed, deleted = excluded.deleted, confirmed_at = excluded.confirmed_at, seen = excluded.seen`
	localObject = ` ON CONFLICT (publisher_id, kind, id) DO UPDATE SET status = excluded.status, local = excluded.local, waiting = excluded.waiting, deleted = excluded.deleted`
)

// saveObjectRows stores objects, of those that are there what the last part of the
// statement says.
func (t *tx) saveObjectRows(id activation.PublisherID, objects []objectRow, statement string) error {
	rows := make([][]any, 0, len(objects))
	for _, o := range objects {
		var confirmed any
		if o.Confirmed != nil {
			confirmed = encode(o.Confirmed)
		}
		rows = append(rows, []any{
			id, o.Kind, o.ID, o.Type, o.Parent.Kind, o.Parent.ID, strings.ToLower(o.Name()), o.Local[activation.FieldStatus], confirmed, encode(settingsOf(o.Local)),
			o.Waiting, o.Removed, o.Deleted, at(o.ConfirmedAt), o.seen,
		})
	}
	return t.insertAll(insertObjects, statement, rows)
}

// recompute brings the local values of objects, and how many entries of each wait, up
// to date. An object that was to be created, and is not any more, goes. fresh are
// entries that were just written, which of an object of which nothing waited are all.
func (t *tx) recompute(id activation.PublisherID, refs []activation.ObjectRef, fresh map[activation.ObjectRef][]activation.Entry) error {
	have, err := t.objectRows(id, refs)
	if err != nil {
		return err
	}
	return t.recomputeRows(id, refs, have, fresh, true)
}

// recomputeRows does it for objects as they were read, or as they are to be stored.
func (t *tx) recomputeRows(id activation.PublisherID, refs []activation.ObjectRef, have map[activation.ObjectRef]objectRow, fresh map[activation.ObjectRef][]activation.Entry, asRead bool) error {
	waiting := map[activation.ObjectRef][]activation.Entry{}
	var look []activation.ObjectRef
	for _, ref := range refs {
		if o, ok := have[ref]; len(fresh[ref]) > 0 && (!ok || o.Waiting == 0) {
			waiting[ref] = fresh[ref]
			continue
		}
		look = append(look, ref)
	}
	if err := t.waitingEntries(id, look, waiting); err != nil {
		return err
	}
	return t.saveLocal(id, refs, have, waiting, asRead)
}

// saveLocal stores objects with what is local of them, of which this waits. asRead:
// nothing else of them has changed.
func (t *tx) saveLocal(id activation.PublisherID, refs []activation.ObjectRef, have map[activation.ObjectRef]objectRow, waiting map[activation.ObjectRef][]activation.Entry, asRead bool) error {
	var save, whole []objectRow
	var changed []activation.ObjectRef
	gone := false
	done := make(map[activation.ObjectRef]bool, len(refs))
	for _, ref := range refs {
		if done[ref] || ref.Kind == "" {
			continue
		}
		done[ref] = true
		o, there := have[ref]
		create, creating := createAmong(waiting[ref])
		if !there {
			if !creating {
				continue
			}
			o.Publisher, o.ObjectRef = id, ref
		}
		if o.Confirmed == nil {
			if !creating {
				if _, err := t.exec(`DELETE FROM publisher_objects WHERE publisher_id = $1 AND kind = $2 AND id = $3`, id, ref.Kind, ref.ID); err != nil {
					return err
				}
				changed, gone = append(changed, ref), true
				continue
			}
			o.Type, o.Parent = create.Type, create.ObjectParent
		}
		was := o
		o.Local, o.Deleted = activation.LocalValues(o.Confirmed, waiting[ref])
		o.Waiting = int64(len(waiting[ref]))
		if o.Deleted != was.Deleted || o.Removed != was.gone || !maps.Equal(o.Local, was.Local) {
			changed = append(changed, ref)
			gone = gone || (o.Deleted || o.Removed) && !was.Deleted && !was.gone
		}
		if asRead && there && o.Confirmed != nil && o.name == strings.ToLower(o.Name()) {
			save = append(save, o)
		} else {
			whole = append(whole, o)
		}
	}
	if err := t.outdate(id, changed, gone); err != nil {
		return err
	}
	if err := t.saveObjectRows(id, whole, wholeObject); err != nil {
		return err
	}
	return t.saveObjectRows(id, save, localObject)
}

func createAmong(entries []activation.Entry) (activation.Entry, bool) {
	for _, e := range entries {
		if e.Operation == activation.OpCreate {
			return e, true
		}
	}
	return activation.Entry{}, false
}

// waitingEntries adds what waits of each object, as far as its local values, conflicts
// and the two orders need it.
func (t *tx) waitingEntries(id activation.PublisherID, refs []activation.ObjectRef, to map[activation.ObjectRef][]activation.Entry) error {
	hiding, err := t.hiding()
	if err != nil {
		return err
	}
	for kind, ids := range byKind(refs) {
		err := inChunks(2, ids, func(marks string, args []any) error {
			rows, err := t.query(`SELECT e.id, e.publisher_id, coalesce(e.parent_id, 0), e.status, e.reason, e.origin, e.operation, e.kind, e.object_id, e.type, e.parent_kind, e.parent_object, e.changes, e.refers
				FROM entries e WHERE e.publisher_id = $1 AND e.kind = $2 AND e.object_id IN `+marks+` AND e.status IN `+waitingStatuses+` AND e.operation <> 'upload'`+hiding,
				append([]any{id, kind}, args...)...)
			some, err := collect(rows, err, func(r scanner) (e activation.Entry, err error) {
				return e, r.Scan(&e.ID, &e.Publisher, &e.Parent, &e.Status, &e.Reason, &e.Origin, &e.Operation, &e.Object.Kind, &e.Object.ID, &e.Type, &e.ObjectParent.Kind, &e.ObjectParent.ID, sparse{&e.Changes}, sparse{&e.Refers})
			})
			for _, e := range some {
				to[e.Object] = append(to[e.Object], e)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Object returns one object, or ErrNotFound.
func (s *Store) Object(ctx context.Context, id activation.PublisherID, ref activation.ObjectRef) (activation.PublisherObject, error) {
	rows, err := s.ObjectsOf(ctx, id, []activation.ObjectRef{ref})
	o, there := rows[ref]
	if err == nil && !there {
		err = sql.ErrNoRows
	}
	return found(o, err, "object", string(ref.Kind)+" "+ref.ID)
}

// ObjectsOf returns those of refs that there are.
func (s *Store) ObjectsOf(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (out map[activation.ObjectRef]activation.PublisherObject, err error) {
	err = s.view(ctx, func(t *tx) error {
		rows, err := t.objectRows(id, refs)
		out = plain(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return out, nil
}

// FindObjects returns the objects of a kind below parent whose name is one of these, in
// small letters. The zero parent is any. What is gone is not found.
func (s *Store) FindObjects(ctx context.Context, id activation.PublisherID, kind activation.ObjectKind, parent activation.ObjectRef, names []string) (out []activation.PublisherObject, err error) {
	err = s.view(ctx, func(t *tx) error {
		out = nil
		return inChunks(4, names, func(marks string, args []any) error {
			w := []any{id, kind, parent.Kind, parent.ID}
			rows, err := t.query(`SELECT `+objectColumns+` FROM publisher_objects o WHERE o.publisher_id = $1 AND o.kind = $2 AND NOT o.removed
				AND ($4 = '' OR o.parent_kind = $3 AND o.parent_id = $4) AND o.name IN `+marks+` ORDER BY o.name, o.id`, append(w, args...)...)
			some, err := collect(rows, err, scanObjectRow)
			if err != nil {
				return err
			}
			now, err := t.asNow(id, some)
			out = append(out, now...)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("find objects: %w", err)
	}
	return out, nil
}

// objectCursor is where a page of objects ended.
type objectCursor struct {
	Name string                `json:"n"`
	Kind activation.ObjectKind `json:"k"`
	ID   string                `json:"i"`
}

// Objects returns a page, by name, and the cursor of the next one or "".
func (s *Store) Objects(ctx context.Context, q activation.ObjectQuery) (page []activation.PublisherObject, next string, err error) {
	var w where
	equal(&w, "o.publisher_id", q.Publisher)
	equal(&w, "o.kind", q.Kind)
	equal(&w, "o.type", q.Type)
	equal(&w, "o.status", q.Status)
	if q.Parent.ID != "" {
		w.add("o.parent_kind = $%d AND o.parent_id = $%d", string(q.Parent.Kind), q.Parent.ID)
	}
	if q.Text != "" {
		w.add(`(o.name LIKE $%d ESCAPE '!' OR o.id = $%d)`, "%"+likeLiteral(strings.ToLower(q.Text))+"%", q.Text)
	}
	if q.Waiting {
		w.add("o.waiting > 0")
	}
	if !q.Removed {
		w.add("NOT o.removed")
	}
	if q.After != "" {
		var c objectCursor
		if err := readCursor(q.After, &c); err != nil {
			return nil, "", err
		}
		w.add("(o.name, o.kind, o.id) > ($%d, $%d, $%d)", c.Name, string(c.Kind), c.ID)
	}
	limit := orDefault(q.Limit, 100)
	text := `SELECT ` + objectColumns + ` FROM publisher_objects o` + w.sql() + ` ORDER BY o.name, o.kind, o.id LIMIT ` + w.next(limit+1)
	err = s.view(ctx, func(t *tx) error {
		page, next = nil, ""
		rows, err := t.query(text, w.args...)
		all, err := collect(rows, err, scanObjectRow)
		if err != nil {
			return err
		}
		if len(all) > limit {
			all = all[:limit]
			last := all[limit-1]
			next = cursorOf(objectCursor{last.name, last.Kind, last.ID})
		}
		page, err = t.asNow(q.Publisher, all)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list objects: %w", err)
	}
	return page, next, nil
}

// asNow are objects of an account as they are now, in their order; see current.
func (t *tx) asNow(id activation.PublisherID, rows []objectRow) ([]activation.PublisherObject, error) {
	refs := make([]activation.ObjectRef, len(rows))
	have := make(map[activation.ObjectRef]objectRow, len(rows))
	for i, o := range rows {
		refs[i] = o.ObjectRef
		have[o.ObjectRef] = o
	}
	if err := t.current(id, refs, have); err != nil {
		return nil, err
	}
	var out []activation.PublisherObject
	for _, ref := range refs {
		out = append(out, have[ref].PublisherObject)
	}
	return out, nil
}

func cursorOf(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(encode(v))) }

func readCursor(text string, to any) error {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err = errors.Join(err, json.Unmarshal(b, to)); err != nil {
		return invalid("after", "it is not the cursor of a page; take the one that the page before gave")
	}
	return nil
}
