package publishing

import (
	"context"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// clearMark is what a cell says that is to have no value.
const clearMark = "[]"

// The words of the column Action.
var actionWords = map[string]string{
	"add": ActionCreate, "create": ActionCreate, "new": ActionCreate,
	"set": ActionSet, "edit": ActionSet, "update": ActionSet, "change": ActionSet,
	"remove": ActionDelete, "removed": ActionDelete, "delete": ActionDelete, "deleted": ActionDelete,
}

// place is one level of what a row names: an object by id, by name, or both.
type place struct {
	typ      *provider.ObjectType
	id, name string
	// idColumn and nameColumn are the headers they are from.
	idColumn, nameColumn string
}

func (l place) empty() bool { return l.id == "" && l.name == "" }

// fileRow is one row as it was read, before anything was looked up.
type fileRow struct {
	number  int
	action  string
	typ     *provider.ObjectType
	places  []place // the outermost first; the last is the object itself
	fields  map[string]string
	clear   []string
	client  string
	headers map[string]string // of fields and of words such as action
}

// own is the object itself.
func (r *fileRow) own() *place { return &r.places[len(r.places)-1] }

// column is the header of what a problem names.
func (r *fileRow) column(field string) string {
	switch h := r.headers[field]; {
	case h != "":
		return h
	case field == "id" && len(r.places) > 0:
		return first(r.own().idColumn, r.own().nameColumn)
	case field == "parent" && len(r.places) > 1:
		up := r.places[len(r.places)-2]
		return first(up.idColumn, up.nameColumn)
	}
	return ""
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// rowReader makes edits of the rows of a file.
type rowReader struct {
	*planner
	layout layout
}

// subject is a row in hand, for its problems.
func (r *rowReader) subject(row *fileRow) subject {
	return subject{EditSpec: EditSpec{Row: row.number}, index: r.count, column: row.column}
}

// parse reads the cells of a row; what is wrong is noted, and the row is nil.
func (r *rowReader) parse(number int, cells []string) *fileRow {
	row := &fileRow{number: number, fields: map[string]string{}, headers: map[string]string{}}
	r.wrong = false
	s := r.subject(row)
	var typ, account, id, parent, parentID string
	for i, c := range r.layout.columns {
		v := cells[i]
		if v == "" || c.use == "" {
			continue
		}
		row.headers[c.use] = c.header
		switch c.use {
		case useAction:
			action, ok := actionWords[headerKey(v)]
			if row.action = action; !ok {
				r.bad(s, CodeField, useAction, "must be add, set or remove; empty = set what is there, else add")
			}
		case useType:
			typ = v
		case useAccount:
			account = v
		case useClient:
			row.client = short(v, maxShown)
		case useID:
			id = v
		case useParent:
			parent = v
		case useParentID:
			parentID = v
		}
	}
	if account != "" && !r.isAccount(account) {
		r.bad(s, CodeObject, useAccount, "is not the account of this upload, which is %s", quoted(r.account.Name))
	}
	if row.typ = r.typeOfRow(s, typ, cells); row.typ == nil {
		r.count++
		return nil
	}
	for _, t := range r.layout.chain(row.typ) {
		row.places = append(row.places, place{typ: t})
	}
	r.values(s, row, cells)
	own := row.own()
	if id != "" {
		if own.id != "" && own.id != id {
			r.bad(s, CodeObject, useID, "two columns name different ids")
		}
		own.id, own.idColumn = id, row.headers[useID]
	}
	if up := len(row.places) - 2; parent != "" || parentID != "" {
		if up < 0 {
			r.bad(s, CodeObject, useParent, "a %s lies in none", row.typ.Name)
		} else {
			in := &row.places[up]
			if in.id != "" && parentID != "" && in.id != parentID || in.name != "" && parent != "" && !strings.EqualFold(in.name, parent) {
				r.bad(s, CodeObject, useParent, "two columns name different parents")
			}
			if parentID != "" {
				in.id, in.idColumn = parentID, row.headers[useParentID]
			}
			if parent != "" {
				in.name, in.nameColumn = parent, row.headers[useParent]
			}
		}
	}
	if r.wrong {
		r.count++
		return nil
	}
	return row
}

// isAccount reports whether a cell means the account of the upload, by id or name.
func (r *rowReader) isAccount(v string) bool {
	digits := func(s string) string { return strings.NewReplacer("-", "", " ", "").Replace(s) }
	return strings.EqualFold(v, r.account.Name) || digits(v) == digits(r.account.Account) || v == string(r.account.ID)
}

// typeOfRow is the type a row says it is of, or the innermost that it names.
func (r *rowReader) typeOfRow(s subject, said string, cells []string) *provider.ObjectType {
	if said != "" {
		t := r.layout.typeNamed(said)
		if t == nil {
			r.bad(s, CodeObject, useType, "must be one of %s", r.layout.typeNames())
		}
		return t
	}
	var found []*provider.ObjectType
	for i, c := range r.layout.columns {
		for _, t := range []*provider.ObjectType{c.idOf, c.nameOf} {
			if cells[i] == "" || t == nil || slices.Contains(found, t) {
				continue
			}
			if len(found) > 0 && r.layout.depth[t.Name] > r.layout.depth[found[0].Name] {
				found = found[:0]
			}
			if len(found) == 0 || r.layout.depth[t.Name] == r.layout.depth[found[0].Name] {
				found = append(found, t)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0]
	case 0:
		r.bad(s, CodeObject, useType, "the row names no object: fill in the columns of its id or name, or the type, one of %s", r.layout.typeNames())
	default:
		r.bad(s, CodeObject, useType, "the row names a %s and a %s: say in the column Type which of them it is about", found[0].Name, found[1].Name)
	}
	return nil
}

// values reads names, ids and fields of a row whose type is known.
func (r *rowReader) values(s subject, row *fileRow, cells []string) {
	for i, c := range r.layout.columns {
		v := cells[i]
		if v == "" || c.use != "" || !c.known() {
			continue
		}
		at := slices.IndexFunc(row.places, func(p place) bool { return p.typ == c.idOf || p.typ == c.nameOf })
		switch {
		case at >= 0 && c.idOf != nil:
			row.places[at].id, row.places[at].idColumn = v, c.header
			continue
		case at >= 0 && at < len(row.places)-1:
			row.places[at].name, row.places[at].nameColumn = v, c.header
			continue
		case at >= 0:
			row.places[at].nameColumn = c.header
			r.value(s, row, identityOf(row.typ), v, c.header)
			continue
		}
		if field, ok := c.fields[row.typ.Name]; ok {
			r.value(s, row, field, v, c.header)
			continue
		}
		row.headers[c.header] = c.header
		if t := eitherType(c.idOf, c.nameOf); t != nil {
			r.bad(s, CodeField, c.header, "the row is about a %s, which lies in no %s", row.typ.Name, t.Name)
		} else {
			r.bad(s, CodeField, c.header, "objects of the type %s have no such field", row.typ.Name)
		}
	}
	if identity := identityOf(row.typ); identity != "" {
		row.own().name = row.fields[identity]
		if row.own().nameColumn == "" {
			row.own().nameColumn = row.headers[identity]
		}
	}
}

func eitherType(a, b *provider.ObjectType) *provider.ObjectType {
	if a != nil {
		return a
	}
	return b
}

// value notes the value of one field.
func (r *rowReader) value(s subject, row *fileRow, field, v, header string) {
	if field == "" {
		r.bad(s, CodeField, "", "objects of the type %s have no name", row.typ.Name)
		return
	}
	before, twice := row.fields[field]
	if twice && before != v {
		other := row.headers[field]
		row.headers[field] = header
		r.bad(s, CodeValue, field, "two columns of the row say different things: %s and %s", quoted(other), quoted(header))
		return
	}
	row.headers[field] = header
	if v == clearMark {
		row.clear = append(row.clear, field)
		return
	}
	row.fields[field] = v
}

// prefetch looks up at once what many rows name.
func (r *rowReader) prefetch(ctx context.Context, rows []*fileRow) error {
	r.find.forget()
	var refs []activation.ObjectRef
	deepest := 0
	for _, row := range rows {
		for _, p := range row.places {
			refs = append(refs, activation.ObjectRef{Kind: p.typ.Kind, ID: p.id})
		}
		deepest = max(deepest, len(row.places))
	}
	if err := r.find.load(ctx, refs); err != nil {
		return err
	}
	type within struct {
		kind   activation.ObjectKind
		parent activation.ObjectRef
	}
	for range deepest {
		names := map[within][]string{}
		for _, row := range rows {
			parent := activation.ObjectRef{}
			for _, p := range row.places {
				if p.id != "" {
					parent = activation.ObjectRef{Kind: p.typ.Kind, ID: p.id}
					continue
				}
				if p.name == "" {
					continue
				}
				found, known := r.find.names[nameKey{p.typ.Kind, parent, strings.ToLower(p.name)}]
				if !known {
					w := within{p.typ.Kind, parent}
					names[w] = append(names[w], p.name)
				}
				if len(found) != 1 {
					break
				}
				parent = found[0].ObjectRef
			}
		}
		for w, list := range names {
			if err := r.find.loadNames(ctx, w.kind, w.parent, list); err != nil {
				return err
			}
		}
	}
	return r.find.loadGroups(ctx)
}

// plan makes an edit of a row, and plans it.
func (r *rowReader) plan(ctx context.Context, row *fileRow) error {
	r.wrong = false
	s := r.subject(row)
	spec := EditSpec{Action: row.action, Kind: row.typ.Kind, Type: row.typ.Name, Fields: row.fields, Clear: row.clear, Row: row.number, Client: row.client}
	parent, err := r.within(ctx, s, row)
	if err != nil {
		return err
	}
	if !r.wrong {
		if err := r.own(ctx, s, row, parent, &spec); err != nil {
			return err
		}
	}
	if r.wrong {
		r.count++
		return nil
	}
	return r.add(ctx, spec, row.column)
}

// found is an object that a row names: one that is there, or that an earlier row of the
// file creates.
type found struct {
	object *activation.PublisherObject
	create int // the index of its edit, -1 = none
}

func (f found) there() bool { return f.object != nil || f.create >= 0 }

// ref is what an edit names it by; planned is what it is in the plans.
func (f found) ref(kind activation.ObjectKind) activation.ObjectRef {
	if f.object != nil {
		return f.object.ObjectRef
	}
	return activation.ObjectRef{Kind: kind, ID: activation.PendingObjectID(f.create)}
}

func (r *rowReader) planned(f found) activation.ObjectRef {
	switch {
	case f.object != nil:
		return f.object.ObjectRef
	case f.create >= 0:
		if at, ok := r.made[f.create]; ok {
			return r.plans[at].object
		}
	}
	return activation.ObjectRef{}
}

// within finds what the object of a row lies in.
func (r *rowReader) within(ctx context.Context, s subject, row *fileRow) (found, error) {
	at := found{create: -1}
	for _, p := range row.places[:len(row.places)-1] {
		if p.empty() {
			continue
		}
		in, err := r.lookup(ctx, s, p, at)
		if err != nil || r.wrong {
			return in, err
		}
		at = in
	}
	if n := len(row.places) - 2; n >= 0 && row.places[n].empty() {
		at = found{create: -1} // what lies further out does not say where
	}
	return at, nil
}

// lookup finds one object that a row says its own lies in.
func (r *rowReader) lookup(ctx context.Context, s subject, p place, in found) (found, error) {
	none := found{create: -1}
	at := subject{EditSpec: s.EditSpec, index: s.index, column: func(string) string { return first(p.nameColumn, p.idColumn) }}
	if p.id != "" {
		o, err := r.find.object(ctx, activation.ObjectRef{Kind: p.typ.Kind, ID: p.id})
		switch {
		case err != nil:
			return none, err
		case o == nil || o.Type != p.typ.Name:
			at.column = func(string) string { return p.idColumn }
			r.bad(at, CodeObject, useParent, "there is no %s %s in this account", p.typ.Name, quoted(p.id))
		case p.name != "" && !sameName(p.name, o.Name()) && !sameName(p.name, r.names[o.ObjectRef]):
			r.bad(at, CodeObject, useParent, "the %s of this id is called %s: id and name must agree", p.typ.Name, quoted(o.Name()))
		case in.there() && o.Parent != r.planned(in):
			at.column = func(string) string { return p.idColumn }
			r.bad(at, CodeObject, useParent, "the %s of this id lies in another %s than the row says", p.typ.Name, p.typ.Parent)
		default:
			return found{o, -1}, nil
		}
		return none, nil
	}
	if create, ok := r.named[madeName{p.typ.Name, r.planned(in), strings.ToLower(p.name)}]; ok {
		if _, right := r.made[create.index]; !right {
			r.bad(at, CodeObject, useParent, "the %s %s of row %d has an error", p.typ.Name, quoted(p.name), create.row)
			return none, nil
		}
		return found{nil, create.index}, nil
	}
	list, err := r.find.named(ctx, *p.typ, r.planned(in), p.name)
	switch {
	case err != nil:
		return none, err
	case len(list) == 0:
		r.bad(at, CodeObject, useParent, "there is no %s %s; one that an upload creates stands in an earlier row", p.typ.Name, quoted(p.name))
	case len(list) > 1:
		r.bad(at, CodeObject, useParent, "there are %d of the type %s with the name %s: give the id", len(list), p.typ.Name, quoted(p.name))
	default:
		return found{list[0], -1}, nil
	}
	return none, nil
}

// sameName compares names as files have them: without space around.
func sameName(a, b string) bool { return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) }

// own finds the object that a row is about, and says what is done with it.
func (r *rowReader) own(ctx context.Context, s subject, row *fileRow, in found, spec *EditSpec) error {
	p := row.own()
	if in.there() {
		spec.Parent = in.ref(row.places[len(row.places)-2].typ.Kind)
	}
	if p.id != "" {
		spec.ID = p.id
		if spec.Action == "" {
			spec.Action = ActionSet
		}
		if spec.Action != ActionCreate {
			o, err := r.find.object(ctx, activation.ObjectRef{Kind: p.typ.Kind, ID: p.id})
			if err != nil {
				return err
			}
			if o != nil && in.there() && o.Parent != r.planned(in) {
				r.bad(s, CodeObject, "id", "the %s of this id lies in another %s than the row says", p.typ.Name, p.typ.Parent)
			}
			spec.Parent = activation.ObjectRef{}
		}
		return nil
	}
	if p.name == "" {
		switch spec.Action {
		case "":
			spec.Action = ActionCreate
		case ActionSet, ActionDelete:
			r.bad(s, CodeObject, "id", "which %s is meant is not said: fill in its id or its name", p.typ.Name)
		}
		return nil
	}
	key := madeName{p.typ.Name, r.planned(in), r.identity(row)}
	if create, twice := r.named[key]; twice {
		r.bad(s, CodeObject, identityOf(p.typ), "%s %s is here twice, %s", p.typ.Name, quoted(p.name), create.place())
		return nil
	}
	var list []*activation.PublisherObject
	if in.create < 0 {
		var err error
		if list, err = r.find.named(ctx, *p.typ, r.planned(in), p.name); err != nil {
			return err
		}
	}
	if identityOf(p.typ) != activation.FieldName {
		list = slices.DeleteFunc(slices.Clone(list), func(o *activation.PublisherObject) bool { return !r.fits(row, o) })
	}
	switch {
	case len(list) > 1:
		r.bad(s, CodeObject, "id", "there are %d of the type %s with the name %s: give the id", len(list), p.typ.Name, quoted(p.name))
	case len(list) == 1 && spec.Action == ActionCreate:
		r.bad(s, CodeObject, "action", "the %s %s is there already, its id is %s: write set to change it", p.typ.Name, quoted(p.name), list[0].ID)
	case len(list) == 1:
		if spec.Action == "" {
			spec.Action = ActionSet
		}
		spec.ID, spec.Parent = list[0].ID, activation.ObjectRef{}
		delete(spec.Fields, identityOf(p.typ))
	case spec.Action == ActionSet || spec.Action == ActionDelete:
		r.bad(s, CodeObject, "id", "there is no %s %s", p.typ.Name, quoted(p.name))
	default:
		spec.Action = ActionCreate
	}
	return nil
}

// fits reports whether an object has the values of a row that can't be changed.
func (r *rowReader) fits(row *fileRow, o *activation.PublisherObject) bool {
	for _, f := range row.typ.Fields {
		if v := row.fields[f.Name]; f.Fixed && v != "" && f.Name != identityOf(row.typ) {
			text, _ := canonical(f, r.account.Currency, v)
			if !sameValue(f, o.Local[f.Name], text) {
				return false
			}
		}
	}
	return true
}

// identity is what a create of this row would be found by.
func (r *rowReader) identity(row *fileRow) string {
	var changes []activation.Change
	for _, f := range row.typ.Fields {
		if v := row.fields[f.Name]; v != "" {
			text, _ := canonical(f, r.account.Currency, v)
			changes = append(changes, activation.Change{Field: f.Name, After: text})
		}
	}
	return madeIdentity(row.typ, changes)
}
