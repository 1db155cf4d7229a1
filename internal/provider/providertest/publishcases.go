package providertest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/provider"
)

// mayNotFitPublisher are cases that a declaration may make senseless.
var mayNotFitPublisher = []string{casePublishTogether, casePublishChanged, casePublishMoney, casePublishRefusedParent}

const (
	casePublishTogether      = "edits of several objects travel together"
	casePublishChanged       = "what others changed is named"
	casePublishMoney         = "an amount is rounded as it is told"
	casePublishRefusedParent = "what lies in a refused parent is not made"
)

// publishEditChecks are about each type and field.
func publishEditChecks() []publishCheck {
	return []publishCheck{
		{"every type is created as asked", never, createsTypes},
		{"every field is edited", never, editsFields},
		{"every field is cleared, or its clearing refused", never, clearsFields},
		{"paused and enabled again", never, pauses},
		{"every type that may be is deleted", never, deletes},
		{"names are kept as they are", never, keepsNames},
		{casePublishMoney, never, roundsMoney},
		{"an edit of what is gone is refused", never, editsGone},
	}
}

// createsTypes makes two objects of every type and looks for them on both sides.
func createsTypes(w *publisherWorld) error {
	made := 0
	for _, typ := range w.p.Objects {
		for i := 1; typ.Creates && i <= 2; i++ {
			t := w.trial(typ.Name)
			t.create(typ, i, nil)
			ref := activation.ObjectRef{Kind: typ.Kind, ID: t.do()[0].ID}
			t.judge(1, ref)
			t.check(func() error { return w.finds(t.edits, []string{ref.ID}) })
			if t.err != nil {
				return t.err
			}
			made++
		}
	}
	if made == 0 {
		return errors.New("no type can be created")
	}
	return nil
}

// editable calls do with every field that can be set after the creation, and an
// object of its own that has it.
func (w *publisherWorld) editable(with bool, do func(t provider.ObjectType, f provider.ObjectField, sample FieldSample, have provider.ObjectState) error) error {
	for _, t := range w.p.Objects {
		for i, f := range t.Fields {
			if f.Fixed || f.Shown {
				continue
			}
			sample := w.h.Fields[t.Name+"."+f.Name]
			change := maps.Clone(sample.With)
			if change == nil {
				change = map[string]string{}
			}
			if _, there := w.h.wanted(t, 100+i, change)[f.Name]; with && !there {
				change[f.Name] = cmp.Or(sample.Value, value(t, f, i))
			}
			ref, err := w.object(t, 100+i, change)
			if err != nil {
				return fmt.Errorf("to edit %s: %w", f.Name, err)
			}
			all, err := w.tree()
			if err != nil {
				return err
			}
			if err := do(t, f, sample, all[ref]); err != nil {
				return fmt.Errorf("%s.%s: %w", t.Name, f.Name, err)
			}
		}
	}
	return nil
}

func editsFields(w *publisherWorld) error {
	return w.editable(false, func(t provider.ObjectType, f provider.ObjectField, sample FieldSample, have provider.ObjectState) error {
		after := sample.Value
		for i := 1; after == "" || after == have.Fields[f.Name]; i++ {
			if after = value(t, f, 200+i); i > 3 {
				return errors.New("the harness gives no other value")
			}
		}
		if typ, ok := strings.CutPrefix(after, "@"); ok {
			other, ok := w.p.Object(typ)
			if !ok {
				return fmt.Errorf("type %q is not declared", typ)
			}
			ref, err := w.object(other, 500+len(w.base), nil)
			if err != nil {
				return err
			}
			after = ref.ID
		}
		tr := w.trial("")
		tr.editOf(have, map[string]string{f.Name: after})
		out := tr.do()
		tr.judge(2, have.ObjectRef)
		tr.check(func() error { return w.others(have, tr.edits[0], out[0]) })
		return tr.err
	})
}

// others says which field beside those of an edit is not as it was. Fields that can
// only be read may follow, and so may those that the publisher told of.
func (w *publisherWorld) others(before provider.ObjectState, e provider.Edit, o provider.EditOutcome) error {
	all, err := w.tree()
	if err != nil {
		return err
	}
	after := all[before.ObjectRef]
	t, _ := w.p.Object(before.Type)
	for _, f := range t.Fields {
		_, set := e.Set[f.Name]
		_, told := o.Values[f.Name]
		if !set && !told && !f.Shown && !slices.Contains(e.Clear, f.Name) && before.Fields[f.Name] != after.Fields[f.Name] {
			return fmt.Errorf("%s went from %q to %q and nobody asked for it", f.Name, before.Fields[f.Name], after.Fields[f.Name])
		}
	}
	return nil
}

func clearsFields(w *publisherWorld) error {
	return w.editable(true, func(_ provider.ObjectType, f provider.ObjectField, sample FieldSample, have provider.ObjectState) error {
		if f.Required || f.Name == activation.FieldStatus || f.Name == activation.FieldName {
			return nil
		}
		if have.Fields[f.Name] == "" {
			return errors.New("it was created with a value and has none")
		}
		change := map[string]string{f.Name: ""}
		also := maps.Clone(sample.Also)
		if err := w.resolve(also); err != nil {
			return err
		}
		maps.Copy(change, also)
		tr := w.trial("its clearing")
		tr.editOf(have, change)
		tr.post()
		if sample.Kept != "" {
			tr.want(provider.EditRefused)
		} else {
			tr.want(provider.EditDone)
		}
		tr.judge(0, have.ObjectRef)
		return tr.err
	})
}

func pauses(w *publisherWorld) error {
	paused := 0
	for _, typ := range w.p.Objects {
		f, ok := typ.Field(activation.FieldStatus)
		if !ok || f.Shown || f.Fixed {
			continue
		}
		t := w.trial(typ.Name)
		ref := t.object(typ, 1, nil)
		for i, status := range []string{activation.StatusPaused, activation.StatusEnabled} {
			t.edit(ref, map[string]string{activation.FieldStatus: status})
			t.do()
			t.judge(2+i, ref)
			t.edits = nil
		}
		if t.err != nil {
			return t.err
		}
		paused++
	}
	if paused == 0 {
		return errors.New("nothing can be paused")
	}
	return nil
}

func deletes(w *publisherWorld) error {
	for _, typ := range w.p.Objects {
		if !typ.Deletes {
			continue
		}
		t := w.trial(typ.Name)
		ref, stays := t.object(typ, 1, nil), t.object(typ, 2, nil)
		t.remove(ref)
		t.do()
		t.judge(2, ref)
		t.judge(1, stays)
		t.check(func() error {
			if all, err := w.tree(); err != nil || all[stays].ID == "" {
				return errors.Join(err, errors.New("another one went with it"))
			}
			return nil
		})
		if again := t.post(); t.err == nil && again[0].State != provider.EditRefused && again[0].State != provider.EditDone {
			return fmt.Errorf("%s: deleting it again has the outcome %+v", typ.Name, again)
		}
		if t.err != nil {
			return t.err
		}
	}
	return nil
}

// keepsNames names objects in ways that bring programs into trouble. A publisher
// may refuse those that are marked.
func keepsNames(w *publisherWorld) error {
	typ, err := w.top()
	if err != nil {
		return err
	}
	f, _ := typ.Field(activation.FieldName)
	long := strings.Repeat("a long name ", 30)
	if most := cmp.Or(f.Max, 100); utf8.RuneCountInString(long) > most {
		long = strings.TrimSpace(string([]rune(long)[:most-1])) + "."
	}
	for i, tc := range []struct {
		name      string
		mayRefuse bool
	}{
		{`O'Brien & "Söhne"`, false},
		{`back\slash %s 100% a/b`, false},
		{"Winter in 東京", false},
		{"Ürünler İstanbul ß", false},
		{long, false},
		{"sale 🎉🛒", true},
		{"<b>bold</b> {json: []}", true},
	} {
		t := w.trial(fmt.Sprintf("%q", tc.name))
		t.create(typ, 10+i, map[string]string{activation.FieldName: tc.name})
		out := t.post()[0]
		t.judge(0)
		if t.err == nil && tc.mayRefuse && out.State == provider.EditRefused {
			continue
		}
		t.want(provider.EditDone)
		ref := activation.ObjectRef{Kind: typ.Kind, ID: out.ID}
		t.create(typ, 10+i, map[string]string{activation.FieldName: tc.name + "x"})
		t.check(func() error {
			return errors.Join(w.readsTrue(ref), w.finds(t.edits, []string{ref.ID, ""}))
		})
		if t.err != nil {
			return t.err
		}
	}
	return nil
}

// roundsMoney asks for amounts finer than any currency.
func roundsMoney(w *publisherWorld) error {
	tried := 0
	for _, typ := range w.p.Objects {
		for i, f := range typ.Fields {
			if f.Type != typeAmount || f.Fixed || f.Shown {
				continue
			}
			name := typ.Name + "." + f.Name
			t := w.trial(name)
			ref := t.object(typ, 100+i, w.h.Fields[name].With)
			t.edit(ref, map[string]string{f.Name: "7.123456"})
			out := t.post()[0]
			t.judge(0, ref)
			if t.err != nil {
				return t.err
			}
			if v := out.Values[f.Name]; out.State == provider.EditDone && v != "7" && v != "7.1" && v != "7.12" {
				return fmt.Errorf("%s: 7.123456 became %q", name, v)
			}
			tried++
		}
	}
	if tried == 0 {
		return unfit("there are no amounts to be edited")
	}
	return nil
}

func editsGone(w *publisherWorld) error {
	t := w.trial("the edit of what is gone, and its neighbour")
	refs := t.objects(t.top(), 1, 2)
	t.rename(refs[0], "after the end")
	t.rename(refs[1], "still here")
	t.check(func() error { return w.net.Remove(refs[0]) })
	t.post()
	t.want(provider.EditRefused, provider.EditDone)
	t.judge(0, refs...)
	return t.err
}
