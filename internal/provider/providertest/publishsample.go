package providertest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The types of a field, as provider.ObjectField declares them.
const (
	typeText   = "text"
	typeAmount = "amount"
	typeNumber = "number"
	typeSelect = "select"
	typeDate   = "date"
	typeTime   = "time"
	typeURL    = "url"
	typeBool   = "bool"
	typeList   = "list"
	typeObject = "object"
)

var fieldTypes = []string{typeText, typeAmount, typeNumber, typeSelect, typeDate, typeTime, typeURL, typeBool, typeList, typeObject}

// value is one of a field, another for each i. It is "@type" for a reference.
func value(t provider.ObjectType, f provider.ObjectField, i int) string {
	switch f.Type {
	case typeAmount:
		return strconv.Itoa(i%50 + 1)
	case typeNumber:
		return strconv.Itoa(i%50 + 1)
	case typeSelect:
		return f.Options[i%len(f.Options)]
	case typeDate:
		return time.Now().AddDate(0, 0, 30+i%100).Format(time.DateOnly)
	case typeTime:
		return time.Now().AddDate(0, 0, 30+i%100).Format(time.DateOnly) + " 20:00"
	case typeURL:
		return fmt.Sprintf("https://example.com/%s/%d", f.Name, i)
	case typeBool:
		return strconv.FormatBool(i%2 == 0)
	case typeList:
		return fmt.Sprintf("first%d,second%d", i, i)
	case typeObject:
		return "@" + f.Object
	}
	text := fmt.Sprintf("%s %s %d", t.Name, f.Label, i)
	if f.Max > 0 && len(text) > f.Max {
		text = fmt.Sprintf("%s %d", f.Name, i)
	}
	return text
}

// wanted are the values with which object i of a type is created, references as
// "@type". change is put over them, "" takes one away.
func (h PublisherHarness) wanted(t provider.ObjectType, i int, change map[string]string) map[string]string {
	set := map[string]string{}
	for _, f := range t.Fields {
		switch {
		case f.Shown:
		case f.Name == activation.FieldStatus:
			set[f.Name] = activation.StatusEnabled
		case f.Required || f.Name == activation.FieldName:
			set[f.Name] = value(t, f, i)
		}
	}
	if sample := h.Sample[t.Name]; sample != nil {
		maps.Copy(set, sample(i))
	}
	maps.Copy(set, change)
	maps.DeleteFunc(set, func(_, v string) bool { return v == "" })
	return set
}

// create makes the edit that creates object i of a type. Parent and what it refers
// to are made first, where they are not there.
func (w *publisherWorld) create(t provider.ObjectType, i int, change map[string]string) (provider.Edit, error) {
	var parent activation.ObjectRef
	if t.Parent != "" {
		var err error
		if parent, err = w.first(t.Parent); err != nil {
			return provider.Edit{}, err
		}
	}
	return w.createIn(t, parent, i, change)
}

// createIn is create below a parent.
func (w *publisherWorld) createIn(t provider.ObjectType, parent activation.ObjectRef, i int, change map[string]string) (provider.Edit, error) {
	set := w.h.wanted(t, i, change)
	if err := w.resolve(set); err != nil {
		return provider.Edit{}, err
	}
	w.entries++
	return provider.Edit{
		Entry: w.entries, Operation: activation.OpCreate, Type: t.Name, Parent: parent, Set: set,
		Object: activation.ObjectRef{Kind: t.Kind, ID: activation.NewObjectID(w.entries)},
	}, nil
}

// resolve puts ids in the place of "@type".
func (w *publisherWorld) resolve(set map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		typ, ok := strings.CutPrefix(set[name], "@")
		if !ok {
			continue
		}
		ref, err := w.first(typ)
		if err != nil {
			return err
		}
		set[name] = ref.ID
	}
	return nil
}

// first is an object of a type that others may lie in, made when it is asked for.
func (w *publisherWorld) first(typ string) (activation.ObjectRef, error) {
	if ref, ok := w.base[typ]; ok {
		return ref, nil
	}
	t, ok := w.p.Object(typ)
	if !ok {
		return activation.ObjectRef{}, fmt.Errorf("type %q is not declared", typ)
	}
	ref, err := w.object(t, 0, nil)
	if err == nil {
		w.base[typ] = ref
	}
	return ref, err
}

// object makes object i of a type.
func (w *publisherWorld) object(t provider.ObjectType, i int, change map[string]string) (activation.ObjectRef, error) {
	if !t.Creates {
		seeder, ok := w.net.(Seeder)
		if !ok {
			return activation.ObjectRef{}, fmt.Errorf("the harness can't make a %s, and the provider does not create them", t.Name)
		}
		var parent activation.ObjectRef
		if t.Parent != "" {
			var err error
			if parent, err = w.first(t.Parent); err != nil {
				return parent, err
			}
		}
		return seeder.Seed(t.Name, parent, i)
	}
	e, err := w.create(t, i, change)
	if err != nil {
		return activation.ObjectRef{}, err
	}
	out, err := w.do(e)
	if err != nil {
		return activation.ObjectRef{}, fmt.Errorf("create a %s: %w", t.Name, err)
	}
	return activation.ObjectRef{Kind: t.Kind, ID: out[0].ID}, nil
}

// objects makes n of them, numbered from first.
func (w *publisherWorld) objects(t provider.ObjectType, first, n int) ([]activation.ObjectRef, error) {
	var edits []provider.Edit
	for i := range n {
		e, err := w.create(t, first+i, nil)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	out, err := w.do(edits...)
	refs := make([]activation.ObjectRef, len(out))
	for i, o := range out {
		refs[i] = activation.ObjectRef{Kind: t.Kind, ID: o.ID}
	}
	return refs, err
}

// top is the type whose objects the cases about calls are made with: campaigns, or
// else the first that can be created and renamed.
func (w *publisherWorld) top() (top provider.ObjectType, err error) {
	for _, t := range w.p.Objects {
		f, ok := t.Field(activation.FieldName)
		switch {
		case !ok || !t.Creates || f.Fixed || f.Shown:
		case t.Kind == activation.KindCampaign:
			return t, nil
		case top.Name == "":
			top = t
		}
	}
	if top.Name == "" {
		err = errors.New("no type can be created and renamed")
	}
	return top, err
}

// rename makes the edit that gives an object another name.
func (w *publisherWorld) rename(ref activation.ObjectRef, name string) (provider.Edit, error) {
	return w.edit(ref, map[string]string{activation.FieldName: name})
}

// edit makes the edit that sets fields of an object, and clears those without a
// value.
func (w *publisherWorld) edit(ref activation.ObjectRef, change map[string]string) (provider.Edit, error) {
	tree, err := w.tree()
	if err != nil {
		return provider.Edit{}, err
	}
	o, ok := tree[ref]
	if !ok {
		return provider.Edit{}, fmt.Errorf("%s %s is not there", ref.Kind, ref.ID)
	}
	return w.editOf(o, change), nil
}

// editOf is edit of an object of which it is known how it stands.
func (w *publisherWorld) editOf(o provider.ObjectState, change map[string]string) provider.Edit {
	w.entries++
	e := provider.Edit{Entry: w.entries, Object: o.ObjectRef, Type: o.Type, Parent: o.Parent, Have: maps.Clone(o.Fields), Set: map[string]string{}}
	t, _ := w.p.Object(o.Type)
	for _, name := range slices.Sorted(maps.Keys(change)) {
		if f, ok := t.Field(name); ok {
			e.Operation = cmp.Or(f.Operation, activation.OpEdit)
		}
		if change[name] == "" {
			e.Clear = append(e.Clear, name)
		} else {
			e.Set[name] = change[name]
		}
	}
	return e
}

// remove makes the edit that deletes an object.
func (w *publisherWorld) remove(o provider.ObjectState) provider.Edit {
	w.entries++
	return provider.Edit{Entry: w.entries, Operation: activation.OpDelete, Object: o.ObjectRef, Type: o.Type, Parent: o.Parent, Have: maps.Clone(o.Fields)}
}
