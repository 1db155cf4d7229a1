package publishing

import (
	"context"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// finder looks objects of one account up, by id and by name, and keeps what it found
// until it is forgotten: for as long as some edits are planned.
type finder struct {
	store     Store
	publisher activation.PublisherID
	ids       map[activation.ObjectRef]*activation.PublisherObject // nil = it is not there
	names     map[nameKey][]*activation.PublisherObject
}

// nameKey is a name in small letters within a parent.
type nameKey struct {
	kind   activation.ObjectKind
	parent activation.ObjectRef
	name   string
}

func newFinder(s Store, id activation.PublisherID) *finder {
	f := &finder{store: s, publisher: id}
	f.forget()
	return f
}

// forget makes room, and what is found next is new.
func (f *finder) forget() {
	f.ids, f.names = map[activation.ObjectRef]*activation.PublisherObject{}, map[nameKey][]*activation.PublisherObject{}
}

// load finds many objects at once.
func (f *finder) load(ctx context.Context, refs []activation.ObjectRef) error {
	var missing []activation.ObjectRef
	for _, r := range refs {
		if _, known := f.ids[r]; !known && r.ID != "" {
			f.ids[r] = nil
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := f.store.ObjectsOf(ctx, f.publisher, missing)
	if err != nil {
		return err
	}
	for r, o := range found {
		f.ids[r] = &o
	}
	return nil
}

// loadGroups finds what the keywords lie in that were found, for their entries name it.
func (f *finder) loadGroups(ctx context.Context) error {
	var groups []activation.ObjectRef
	note := func(o *activation.PublisherObject) {
		if o != nil && o.Kind == activation.KindKeyword {
			groups = append(groups, o.Parent)
		}
	}
	for _, o := range f.ids {
		note(o)
	}
	for _, found := range f.names {
		for _, o := range found {
			note(o)
		}
	}
	return f.load(ctx, groups)
}

// groupOf is the name of the group in which a keyword lies, "" for what is no keyword.
func (f *finder) groupOf(ctx context.Context, kind activation.ObjectKind, parent activation.ObjectRef) (string, error) {
	if kind != activation.KindKeyword {
		return "", nil
	}
	o, err := f.object(ctx, parent)
	if err != nil || o == nil {
		return "", err
	}
	return o.Name(), nil
}

// object returns an object by its id, nil where there is none.
func (f *finder) object(ctx context.Context, ref activation.ObjectRef) (*activation.PublisherObject, error) {
	if ref.ID == "" {
		return nil, nil
	}
	if err := f.load(ctx, []activation.ObjectRef{ref}); err != nil {
		return nil, err
	}
	return f.ids[ref], nil
}

// loadNames finds what has one of these names in a parent.
func (f *finder) loadNames(ctx context.Context, kind activation.ObjectKind, parent activation.ObjectRef, names []string) error {
	var missing []string
	for _, n := range names {
		k := nameKey{kind, parent, strings.ToLower(n)}
		if _, known := f.names[k]; !known {
			f.names[k] = nil
			missing = append(missing, k.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := f.store.FindObjects(ctx, f.publisher, kind, parent, missing)
	if err != nil {
		return err
	}
	for _, o := range found {
		if o.Removed || o.Deleted {
			continue
		}
		k := nameKey{kind, parent, strings.ToLower(o.Name())}
		f.names[k] = append(f.names[k], &o)
		f.ids[o.ObjectRef] = &o
	}
	return nil
}

// named returns the objects of a type that have a name in a parent.
func (f *finder) named(ctx context.Context, t provider.ObjectType, parent activation.ObjectRef, name string) ([]*activation.PublisherObject, error) {
	if _, pending := activation.PendingIndex(parent.ID); pending {
		return nil, nil
	}
	if err := f.loadNames(ctx, t.Kind, parent, []string{name}); err != nil {
		return nil, err
	}
	var out []*activation.PublisherObject
	for _, o := range f.names[nameKey{t.Kind, parent, strings.ToLower(name)}] {
		if o.Type == t.Name {
			out = append(out, o)
		}
	}
	return out, nil
}
