package publishing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The classes of what is wrong with edits; each has a page in docs/troubleshooting.
const (
	// CodeFile: a file, or a row of it, can't be read.
	CodeFile = "PUB-FILE"
	// CodeObject: what an edit is about is not there, not clear, or can't be edited.
	CodeObject = "PUB-OBJECT"
	// CodeField: an object has no such field, or it can't be changed.
	CodeField = "PUB-FIELD"
	// CodeValue: a value does not fit its field.
	CodeValue = "PUB-VALUE"
)

const (
	// maxProblems is how many problems an answer holds.
	maxProblems = 1000
	// maxSample is how many changes a preview holds.
	maxSample = 100
	// maxEntries is how many entries an answer holds.
	maxEntries = 100
)

// errStale is told within a writing when objects are not any more what they were when
// the edits were planned.
var errStale = errors.New("objects changed while edits were planned")

// planned is one entry to be written.
type planned struct {
	row        int
	client     string
	operation  activation.Operation
	object     activation.ObjectRef
	typ        *provider.ObjectType
	name       string
	parent     activation.ObjectRef
	parentName string
	changes    []activation.Change
	refers     []activation.EntryID
}

// planner makes entries of edits, one after the other, against objects as they are.
type planner struct {
	account activation.PublisherAccount
	pub     *provider.Publishing
	find    *finder
	// file: the edits come from a file, in which nothing stands twice by name.
	file bool

	count  int // of edits
	plans  []planned
	made   map[int]int                     // where in plans the create of an edit is
	edited map[activation.ObjectRef]touch  // what has an edit already
	named  map[madeName]touch              // which edit creates an object of that name, also where it is wrong
	names  map[activation.ObjectRef]string // new names, of renames
	sample []UploadChange
	result EditResult
	wrong  bool // of the edit in hand
}

// touch is which edit an object has.
type touch struct {
	index, row int
	deletes    bool
}

// madeName is what a create of the same call is found by.
type madeName struct {
	typ    string
	parent activation.ObjectRef
	name   string
}

func (d *Desk) newPlanner(account activation.PublisherAccount, file bool) (*planner, error) {
	pub, ok := d.publishing(account.Provider)
	if !ok {
		return nil, &activation.Error{Kind: activation.Internal, Message: fmt.Sprintf("this server does not know the publisher %q", account.Provider)}
	}
	return &planner{
		account: account, pub: pub, find: newFinder(d.cfg.Store, account.ID), file: file,
		made: map[int]int{}, edited: map[activation.ObjectRef]touch{}, named: map[madeName]touch{}, names: map[activation.ObjectRef]string{},
	}, nil
}

// subject is the edit in hand.
type subject struct {
	EditSpec
	index int
	// column is the header of a field in the file it comes from.
	column func(field string) string
}

// bad notes that something is wrong with an edit.
func (p *planner) bad(s subject, code, field, format string, args ...any) {
	if !p.wrong {
		p.wrong = true
		p.result.Errors++
	}
	one := Problem{Index: s.index, Row: s.Row, Field: field, Code: code, Message: fmt.Sprintf(format, args...)}
	if s.column != nil {
		one.Column = s.column(field)
	}
	p.tell(one)
}

func (p *planner) tell(one Problem) {
	if len(p.result.Problems) < maxProblems {
		p.result.Problems = append(p.result.Problems, one)
	}
}

// add plans one edit. What is wrong with it is in the result.
func (p *planner) add(ctx context.Context, e EditSpec, column func(field string) string) error {
	s := subject{EditSpec: e, index: p.count, column: column}
	p.count++
	p.wrong = false
	var made *planned
	var err error
	switch e.Action {
	case ActionCreate:
		made, err = p.create(ctx, s)
	case ActionSet:
		made, err = p.set(ctx, s)
	case ActionDelete:
		made, err = p.delete(ctx, s)
	default:
		p.bad(s, CodeField, "action", "must be %s, %s or %s", ActionSet, ActionCreate, ActionDelete)
	}
	if err != nil || p.wrong {
		return err
	}
	if made == nil {
		p.result.Same++
		return nil
	}
	if made.operation != activation.OpCreate {
		if made.parentName, err = p.find.groupOf(ctx, made.object.Kind, made.parent); err != nil {
			return err
		}
	}
	made.row, made.client = e.Row, e.Client
	switch made.operation {
	case activation.OpCreate:
		p.result.Adds++
	case activation.OpDelete:
		p.result.Deletes++
	default:
		p.result.Edits++
	}
	p.plans = append(p.plans, *made)
	if len(p.sample) < maxSample {
		p.sample = append(p.sample, UploadChange{Row: e.Row, Operation: made.operation, Type: made.typ.Name, Object: made.name, Changes: made.changes})
	}
	return nil
}

// target returns the object that an edit is about, and its type; nil where something is
// wrong with that.
func (p *planner) target(ctx context.Context, s subject) (*activation.PublisherObject, *provider.ObjectType, error) {
	ref := activation.ObjectRef{Kind: s.Kind, ID: s.ID}
	if !p.kind(s) {
		return nil, nil, nil
	}
	if s.ID == "" {
		p.bad(s, CodeObject, "id", "is needed: which %s is meant", s.Kind)
		return nil, nil, nil
	}
	if _, pending := activation.PendingIndex(s.ID); pending {
		p.bad(s, CodeObject, "id", "an object that this call creates has all its values in its create")
		return nil, nil, nil
	}
	o, err := p.find.object(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	if o == nil {
		p.bad(s, CodeObject, "id", "there is no %s %s in this account; what is new at the publisher is known after the next sync", s.Kind, quoted(s.ID))
		return nil, nil, nil
	}
	t := p.typeOf(o.Type)
	if t == nil {
		return nil, nil, &activation.Error{Kind: activation.Internal, Message: fmt.Sprintf("the publisher declares no object of type %q", o.Type)}
	}
	switch before, twice := p.edited[ref]; {
	case s.Type != "" && s.Type != o.Type:
		p.bad(s, CodeObject, "type", "%s %s is of the type %s", s.Kind, quoted(o.Name()), o.Type)
	case o.Removed:
		p.bad(s, CodeObject, "id", "%s %s is not there any more", o.Type, quoted(o.Name()))
	case o.Deleted:
		p.bad(s, CodeObject, "id", "a waiting entry deletes %s %s; cancel that entry first", o.Type, quoted(o.Name()))
	case twice && before.deletes != (s.Action == ActionDelete):
		p.bad(s, CodeObject, "id", "%s %s is deleted and edited, %s: do one of them", o.Type, quoted(o.Name()), before.place())
	case twice:
		p.bad(s, CodeObject, "id", "%s %s is here twice, %s: put all its changes into one", o.Type, quoted(o.Name()), before.place())
	}
	if _, twice := p.edited[ref]; !twice {
		p.edited[ref] = touch{s.index, s.Row, s.Action == ActionDelete}
	}
	if p.wrong {
		return nil, nil, nil
	}
	return o, t, nil
}

// place says where an earlier edit is.
func (t touch) place() string {
	if t.row > 0 {
		return fmt.Sprintf("in row %d too", t.row)
	}
	return fmt.Sprintf("at index %d too", t.index)
}

func (p *planner) kind(s subject) bool {
	if slices.Contains(activation.ObjectKinds, s.Kind) {
		return true
	}
	kinds := make([]string, len(activation.ObjectKinds))
	for i, k := range activation.ObjectKinds {
		kinds[i] = string(k)
	}
	p.bad(s, CodeObject, "kind", "must be one of %s", strings.Join(kinds, ", "))
	return false
}

func (p *planner) typeOf(name string) *provider.ObjectType {
	for i := range p.pub.Objects {
		if p.pub.Objects[i].Name == name {
			return &p.pub.Objects[i]
		}
	}
	return nil
}

// set plans a change of fields; nil where it changes nothing.
func (p *planner) set(ctx context.Context, s subject) (*planned, error) {
	o, t, err := p.target(ctx, s)
	if err != nil || o == nil {
		return nil, err
	}
	made := &planned{object: o.ObjectRef, typ: t, name: o.Name(), parent: o.Parent}
	if create, ok := activation.CreatedBy(o.ID); ok {
		made.refers = append(made.refers, create)
	}
	p.unknown(s, t)
	for _, f := range t.Fields {
		value, given := s.Fields[f.Name]
		clears := slices.Contains(s.Clear, f.Name)
		if given && value != "" && clears {
			p.bad(s, CodeValue, f.Name, "is given a value and cleared")
			continue
		}
		before := o.Local[f.Name]
		if !given && !clears || sameValue(f, before, value) {
			continue
		}
		if c, ok, err := p.change(ctx, s, f, before, value, made); err != nil {
			return nil, err
		} else if ok {
			made.changes = append(made.changes, c)
		}
	}
	if len(made.changes) == 0 || p.wrong {
		return nil, nil
	}
	made.operation = operationOf(t, made.changes)
	if i := slices.IndexFunc(made.changes, func(c activation.Change) bool { return c.Field == activation.FieldName }); i >= 0 {
		p.names[o.ObjectRef] = made.changes[i].After
	}
	return made, nil
}

// unknown tells of fields that a type does not have.
func (p *planner) unknown(s subject, t *provider.ObjectType) {
	given := slices.AppendSeq(slices.Clone(s.Clear), maps.Keys(s.Fields))
	slices.Sort(given)
	for _, name := range slices.Compact(given) {
		if _, ok := t.Field(name); !ok {
			fields := make([]string, 0, len(t.Fields))
			for _, f := range t.Fields {
				if !f.Shown {
					fields = append(fields, f.Name)
				}
			}
			p.bad(s, CodeField, name, "objects of the type %s have no such field; they have %s", t.Name, strings.Join(fields, ", "))
		}
	}
}

// change plans a new value of one field; ok is false where the value is the same or
// wrong.
func (p *planner) change(ctx context.Context, s subject, f provider.ObjectField, before, value string, of *planned) (c activation.Change, ok bool, err error) {
	c = activation.Change{Field: f.Name, Before: before}
	if f.Name == identityOf(of.typ) {
		value = strings.TrimSpace(value) // publishers do not keep it, and what is looked for by name would not be found
	}
	if value != "" {
		text, wrong := canonical(f, p.account.Currency, value)
		if wrong == "" && sameValue(f, before, text) {
			return c, false, nil
		}
		if wrong != "" && !f.Shown && (!f.Fixed || s.Action == ActionCreate) {
			p.bad(s, CodeValue, f.Name, "%s", wrong)
			return c, false, nil
		}
		c.After = text
	}
	switch {
	case f.Shown:
		p.bad(s, CodeField, f.Name, "can only be read")
	case f.Fixed && s.Action != ActionCreate:
		p.bad(s, CodeField, f.Name, "can't be changed once the %s is there; it is %s", of.typ.Name, quoted(shown(before)))
	case value == "" && (f.Required || f.Name == activation.FieldStatus):
		p.bad(s, CodeValue, f.Name, "is needed and can't be cleared")
	case f.Type == "object" && value != "":
		c.Object = true
		c.After, err = p.reference(ctx, s, f, c.After, of)
	}
	return c, err == nil && !p.wrong, err
}

// reference looks at the object that a field refers to, by its id or its name.
func (p *planner) reference(ctx context.Context, s subject, f provider.ObjectField, value string, of *planned) (string, error) {
	t := p.typeOf(f.Object)
	if t == nil {
		return "", &activation.Error{Kind: activation.Internal, Message: fmt.Sprintf("the field %q refers to a type that is not declared", f.Name)}
	}
	if i, ok := activation.PendingIndex(value); ok {
		at, ok := p.made[i]
		if !ok || p.plans[at].typ != t {
			p.bad(s, CodeObject, f.Name, "the edit at index %d, which must come before, creates no %s", i, t.Name)
			return "", nil
		}
		of.refers = append(of.refers, activation.PendingRefer(at))
		return activation.PendingObjectID(at), nil
	}
	o, err := p.find.object(ctx, activation.ObjectRef{Kind: t.Kind, ID: value})
	if err != nil {
		return "", err
	}
	if o == nil && t.Parent == "" {
		if create, ok := p.named[madeName{t.Name, activation.ObjectRef{}, strings.ToLower(value)}]; ok {
			return p.reference(ctx, s, f, activation.PendingObjectID(create.index), of)
		}
		found, err := p.find.named(ctx, *t, activation.ObjectRef{}, value)
		if err != nil {
			return "", err
		}
		if len(found) > 1 {
			p.bad(s, CodeObject, f.Name, "there are %d of the type %s of that name: give the id", len(found), t.Name)
			return "", nil
		}
		if len(found) == 1 {
			o = found[0]
		}
	}
	switch {
	case o == nil || o.Removed || o.Type != t.Name:
		p.bad(s, CodeObject, f.Name, "there is no %s of this id in the account", t.Name)
	case o.Deleted:
		p.bad(s, CodeObject, f.Name, "a waiting entry deletes %s %s", t.Name, quoted(o.Name()))
	default:
		if create, ok := activation.CreatedBy(o.ID); ok && !slices.Contains(of.refers, create) {
			of.refers = append(of.refers, create)
		}
		return o.ID, nil
	}
	return "", nil
}

// operationOf is what a change of these fields is called: their own word if it is one
// for all, else edit.
func operationOf(t *provider.ObjectType, changes []activation.Change) activation.Operation {
	var op activation.Operation
	for _, c := range changes {
		f, _ := t.Field(c.Field)
		own := cmp.Or(f.Operation, activation.OpEdit)
		if op != "" && own != op {
			return activation.OpEdit
		}
		op = own
	}
	return op
}

// delete plans the end of an object.
func (p *planner) delete(ctx context.Context, s subject) (*planned, error) {
	o, t, err := p.target(ctx, s)
	if err != nil || o == nil {
		return nil, err
	}
	if create, waits := activation.CreatedBy(o.ID); waits {
		p.bad(s, CodeObject, "id", "%s %s waits to be created: cancel entry #%d instead", t.Name, quoted(o.Name()), create)
		return nil, nil
	}
	if !t.Deletes {
		p.bad(s, CodeObject, "action", "objects of the type %s can't be deleted", t.Name)
		return nil, nil
	}
	return &planned{operation: activation.OpDelete, object: o.ObjectRef, typ: t, name: o.Name(), parent: o.Parent}, nil
}

// create plans a new object.
func (p *planner) create(ctx context.Context, s subject) (*planned, error) {
	t := p.typeToCreate(s)
	if t == nil {
		return nil, nil
	}
	at := len(p.plans)
	made := &planned{operation: activation.OpCreate, object: activation.ObjectRef{Kind: t.Kind, ID: activation.PendingObjectID(at)}, typ: t}
	if s.ID != "" {
		p.bad(s, CodeObject, "id", "an object that is to be created has no id yet: leave it away, or set the one that is there")
		return nil, nil
	}
	if err := p.placed(ctx, s, made); err != nil || p.wrong {
		return nil, err
	}
	p.unknown(s, t)
	for _, f := range t.Fields {
		value := s.Fields[f.Name]
		if value == "" {
			if f.Required {
				p.bad(s, CodeValue, f.Name, "%s is needed to create: %s", cmp.Or(f.Label, f.Name), needed(f))
			}
			continue
		}
		if c, ok, err := p.change(ctx, s, f, "", value, made); err != nil {
			return nil, err
		} else if ok {
			made.changes = append(made.changes, c)
		}
	}
	identity := ""
	for _, c := range made.changes {
		if c.Field == identityOf(t) {
			identity = c.After
		}
	}
	made.name = cmp.Or(identity, "a new "+t.Name)
	if key := (madeName{t.Name, made.parent, madeIdentity(t, made.changes)}); identity != "" {
		if before, twice := p.named[key]; twice && p.file {
			p.bad(s, CodeObject, identityOf(t), "%s %s is here twice, %s", t.Name, quoted(made.name), before.place())
		} else {
			p.named[key] = touch{index: s.index, row: s.Row}
		}
	}
	if p.wrong {
		return nil, nil
	}
	p.made[s.index] = at
	return made, nil
}

func needed(f provider.ObjectField) string {
	text := cmp.Or(strings.TrimSuffix(f.Help, "."), f.Label)
	if f.Example != "" {
		text += ", such as " + f.Example
	}
	return text
}

// typeToCreate is the declared type of a create, nil where something is wrong.
func (p *planner) typeToCreate(s subject) *provider.ObjectType {
	if !p.kind(s) {
		return nil
	}
	var names []string
	var found *provider.ObjectType
	for i := range p.pub.Objects {
		if t := &p.pub.Objects[i]; t.Kind == s.Kind && (s.Type == "" || s.Type == t.Name) {
			names, found = append(names, t.Name), t
		}
	}
	switch {
	case len(names) == 0:
		p.bad(s, CodeObject, "type", "the publisher has no such object")
	case len(names) > 1:
		p.bad(s, CodeObject, "type", "is needed: one of %s", strings.Join(names, ", "))
	case !found.Creates:
		p.bad(s, CodeObject, "action", "objects of the type %s can't be created", found.Name)
	default:
		return found
	}
	return nil
}

// placed looks at what a new object is to lie in.
func (p *planner) placed(ctx context.Context, s subject, made *planned) error {
	t := made.typ
	if t.Parent == "" {
		if s.Parent.ID != "" {
			p.bad(s, CodeObject, "parent", "objects of the type %s lie in none", t.Name)
		}
		return nil
	}
	in := p.typeOf(t.Parent)
	if in == nil {
		return &activation.Error{Kind: activation.Internal, Message: fmt.Sprintf("the type %q lies in one that is not declared", t.Name)}
	}
	if s.Parent.ID == "" || s.Parent.Kind != in.Kind {
		p.bad(s, CodeObject, "parent", "is needed: the %s it lies in", t.Parent)
		return nil
	}
	if i, ok := activation.PendingIndex(s.Parent.ID); ok {
		at, ok := p.made[i]
		if !ok || p.plans[at].typ != in {
			p.bad(s, CodeObject, "parent", "the edit at index %d, which must come before, creates no %s", i, in.Name)
			return nil
		}
		made.parent = activation.ObjectRef{Kind: in.Kind, ID: activation.PendingObjectID(at)}
		made.parentName = p.plans[at].name
		made.refers = append(made.refers, activation.PendingRefer(at))
		return nil
	}
	o, err := p.find.object(ctx, s.Parent)
	if err != nil {
		return err
	}
	switch {
	case o == nil || o.Removed || o.Type != in.Name:
		p.bad(s, CodeObject, "parent", "there is no %s of this id in the account", in.Name)
	case o.Deleted || p.edited[s.Parent].deletes:
		p.bad(s, CodeObject, "parent", "%s %s is to be deleted", in.Name, quoted(o.Name()))
	default:
		made.parent, made.parentName = s.Parent, o.Name()
		if create, ok := activation.CreatedBy(o.ID); ok {
			made.refers = append(made.refers, create)
		}
	}
	return nil
}

// identityOf is the field that people call an object by, "" where its type has none.
func identityOf(t *provider.ObjectType) string {
	for _, name := range []string{activation.FieldName, fieldKeyword} {
		if _, ok := t.Field(name); ok {
			return name
		}
	}
	return ""
}

const fieldKeyword = "keyword"

// madeIdentity is what two new objects in one place may not both be: the name or, of
// what has none, all that can't be changed afterwards.
func madeIdentity(t *provider.ObjectType, changes []activation.Change) string {
	parts := make([]string, 0, 2)
	for _, c := range changes {
		if f, _ := t.Field(c.Field); c.Field == activation.FieldName || identityOf(t) != activation.FieldName && f.Fixed || c.Field == identityOf(t) {
			parts = append(parts, strings.ToLower(c.After))
		}
	}
	return strings.Join(parts, "\x00")
}
