package providertest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// publishOrderChecks are about edits that travel together.
func publishOrderChecks() []publishCheck {
	return []publishCheck{
		{"a tree is made in order", never, makesTree},
		{casePublishTogether, never, travels},
		{"edits in order give the tree that was wanted", never, givesTree},
		{"no edits are no call", never, noEdits},
		{"more edits than the limit", never, tooMany},
	}
}

// treeEdits are creates of one object of every type, each in the one before, by ids
// that none of them has yet.
func (w *publisherWorld) treeEdits(i int) ([]provider.Edit, error) {
	var edits []provider.Edit
	made := map[string]activation.ObjectRef{}
	var add func(typ string) error
	add = func(typ string) error {
		t, _ := w.p.Object(typ)
		if _, ok := made[typ]; ok || !t.Creates {
			return nil
		}
		set := w.h.wanted(t, i, nil)
		needs := []string{}
		if t.Parent != "" {
			needs = append(needs, t.Parent)
		}
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if other, ok := strings.CutPrefix(set[name], "@"); ok {
				needs = append(needs, other)
			}
		}
		for _, other := range needs {
			if err := add(other); err != nil {
				return err
			}
		}
		for name, v := range set {
			if other, ok := strings.CutPrefix(v, "@"); ok {
				if ref, ok := made[other]; ok {
					set[name] = ref.ID
				}
			}
		}
		if err := w.resolve(set); err != nil {
			return err
		}
		e, err := w.createIn(t, made[t.Parent], i, set)
		if err != nil {
			return err
		}
		made[typ] = e.Object
		edits = append(edits, e)
		return nil
	}
	for _, t := range w.p.Objects {
		if err := add(t.Name); err != nil {
			return nil, err
		}
	}
	return edits, nil
}

// withIDs are the edits as they are once the creates among them are done.
func withIDs(edits []provider.Edit, out []provider.EditOutcome) []provider.Edit {
	ids := map[string]string{}
	list := make([]provider.Edit, len(edits))
	for i, e := range edits {
		e = known(e, ids)
		list[i] = e
		if e.Operation == activation.OpCreate && out[i].State == provider.EditDone {
			ids[e.Object.ID] = out[i].ID
		}
	}
	return list
}

func makesTree(w *publisherWorld) error {
	edits, err := w.treeEdits(1)
	if err != nil {
		return err
	}
	out, err := w.post(edits...)
	if err != nil {
		return err
	}
	list := withIDs(edits, out)
	for i, o := range out {
		ref := activation.ObjectRef{Kind: edits[i].Object.Kind, ID: o.ID}
		if o.State != provider.EditDone {
			return fmt.Errorf("the %s is %s: %s %s", edits[i].Type, o.State, o.Code, o.Text)
		}
		if err := errors.Join(w.once(1, ref), w.readsTrue(ref)); err != nil {
			return err
		}
		all, err := w.tree()
		if err != nil {
			return err
		}
		if all[ref].Parent != list[i].Parent {
			return fmt.Errorf("the %s lies in %+v, want %+v", edits[i].Type, all[ref].Parent, list[i].Parent)
		}
	}
	if err := w.truth(list, out); err != nil {
		return err
	}
	all, err := w.tree()
	if err == nil && len(all) != len(edits) {
		err = fmt.Errorf("the account has %d objects, %d were made", len(all), len(edits))
	}
	return err
}

// travels renames several objects: they go out in one call where more than one edit
// may travel at all.
func travels(w *publisherWorld) error {
	if w.p.MaxEdits == 1 {
		return unfit("the publisher takes one edit a call")
	}
	t := w.trial("")
	refs := t.objects(t.top(), 1, 3)
	for i, ref := range refs {
		t.rename(ref, fmt.Sprintf("renamed %d", i))
	}
	if t.err != nil {
		return t.err
	}
	if n, err := w.together(t.edits[:min(3, w.p.MaxEdits)]); err != nil || n < 2 {
		return errors.Join(err, fmt.Errorf("%d renames of several objects travel together", n))
	}
	many := make([]provider.Edit, w.p.MaxEdits+5)
	for i := range many {
		many[i] = t.edits[0]
		many[i].Object.ID = fmt.Sprintf("%d", 1_000_000+i)
	}
	if n, err := w.together(many); err != nil || n < 2 {
		return errors.Join(err, fmt.Errorf("%d of %d renames travel together", n, len(many)))
	}
	t.do()
	t.judge(2, refs...)
	return t.err
}

// givesTree posts edits as chance has them, and compares the far side with what they
// come to when one is done after the other.
func givesTree(w *publisherWorld) error {
	const seed = 7
	chance := rand.New(rand.NewPCG(seed, 0))
	want := forest{}
	edits, err := w.treeEdits(1)
	if err != nil {
		return err
	}
	open := map[activation.ObjectRef]activation.ObjectRef{} // by the id that it has at first
	for _, e := range edits {
		want[e.Object] = provider.ObjectState{ObjectRef: e.Object, Type: e.Type, Parent: e.Parent, Fields: e.Set}
	}
	creates := slices.DeleteFunc(slices.Clone(w.p.Objects), func(t provider.ObjectType) bool { return !t.Creates })
	for i := range 40 {
		refs := slices.SortedFunc(maps.Keys(want), func(a, b activation.ObjectRef) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
		})
		pick := func(typ string) (o provider.ObjectState, ok bool) {
			fits := slices.DeleteFunc(slices.Clone(refs), func(ref activation.ObjectRef) bool { return want[ref].Type != typ })
			if len(fits) == 0 {
				return o, false
			}
			return want[fits[chance.IntN(len(fits))]], true
		}
		t := creates[chance.IntN(len(creates))]
		o, there := pick(t.Name)
		switch what := chance.IntN(10); {
		case what < 5 || !there:
			var parent provider.ObjectState
			if t.Parent != "" {
				if parent, there = pick(t.Parent); !there {
					continue
				}
			}
			set := w.h.wanted(t, 10+i, nil)
			fits := true
			for name, v := range set {
				if typ, ok := strings.CutPrefix(v, "@"); ok {
					other, there := pick(typ)
					set[name], fits = other.ID, fits && there
				}
			}
			if !fits {
				continue
			}
			e, err := w.createIn(t, parent.ObjectRef, 10+i, set)
			if err != nil {
				return err
			}
			want[e.Object] = provider.ObjectState{ObjectRef: e.Object, Type: t.Name, Parent: parent.ObjectRef, Fields: maps.Clone(e.Set)}
			edits = append(edits, e)
		case what < 6 && t.Deletes && !usedBy(w.p, want, o):
			edits = append(edits, w.remove(o))
			drop(want, o.ObjectRef)
		default:
			f, ok := t.Field([]string{activation.FieldName, activation.FieldStatus}[chance.IntN(2)])
			if !ok || f.Fixed || f.Shown {
				continue
			}
			e := w.editOf(o, map[string]string{f.Name: value(t, f, 1000+i)})
			edits = append(edits, e)
			maps.Copy(want[o.ObjectRef].Fields, e.Set)
		}
	}
	out, err := w.post(edits...)
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	told := map[activation.ObjectRef]map[string]string{}
	for i, e := range edits {
		if out[i].State != provider.EditDone {
			return fmt.Errorf("seed %d: edit %d, %s %s %v, is %s: %s %s", seed, i, e.Operation, e.Type, e.Set, out[i].State, out[i].Code, out[i].Text)
		}
		if e.Operation == activation.OpCreate {
			open[e.Object] = activation.ObjectRef{Kind: e.Object.Kind, ID: out[i].ID}
		}
		if told[e.Object] == nil {
			told[e.Object] = map[string]string{}
		}
		maps.Copy(told[e.Object], out[i].Values)
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	if len(all) != len(want) {
		return fmt.Errorf("seed %d: the account has %d objects, want %d", seed, len(all), len(want))
	}
	ids := map[string]string{}
	for from, to := range open {
		ids[from.ID] = to.ID
	}
	for ref, o := range want {
		have := all[open[ref]]
		if have.Type != o.Type || have.Parent != open[o.Parent] {
			return fmt.Errorf("seed %d: %s is a %s in %+v, want one in %+v", seed, o.Type, have.Type, have.Parent, open[o.Parent])
		}
		if err := sets(have, known(provider.Edit{Set: o.Fields}, ids).Set, told[ref]); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// usedBy reports whether a field of another object refers to it.
func usedBy(p *provider.Publishing, all forest, o provider.ObjectState) bool {
	for _, other := range all {
		t, _ := p.Object(other.Type)
		for _, f := range t.Fields {
			if f.Type == typeObject && other.Fields[f.Name] == o.ID {
				return true
			}
		}
	}
	return false
}

// drop takes an object away with all that lies in it.
func drop(all forest, ref activation.ObjectRef) {
	delete(all, ref)
	for _, o := range maps.Clone(all) {
		if o.Parent == ref {
			drop(all, o.ObjectRef)
		}
	}
}

func noEdits(w *publisherWorld) error {
	out, err := w.pub.Post(w.ctx, nil)
	w.said.hear(err)
	if err != nil || len(out) > 0 {
		return errors.Join(err, fmt.Errorf("%d outcomes of no edits", len(out)))
	}
	read, err := w.pub.Read(w.ctx, nil)
	found, findErr := w.pub.Find(w.ctx, nil)
	if err = errors.Join(err, findErr); err != nil || len(read)+len(found) > 0 {
		return errors.Join(err, fmt.Errorf("%d objects and %d ids of nothing", len(read), len(found)))
	}
	if w.net.Writes() != 0 {
		return errors.New("a call was made")
	}
	return nil
}

func tooMany(w *publisherWorld) error {
	t := w.trial("")
	ref := t.object(t.top(), 1, nil)
	t.rename(ref, "too many")
	if t.err != nil {
		return t.err
	}
	edits := make([]provider.Edit, w.p.MaxEdits+1)
	for i := range edits {
		edits[i] = t.edits[0]
		edits[i].Object.ID = ref.ID + strings.Repeat("0", 1+i%5) + fmt.Sprint(i)
	}
	writes := w.net.Writes()
	_, err := w.send(w.ctx, w.pub, edits)
	var e *activation.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("%d edits in a call: %v", len(edits), err) //nolint:errorlint // what is wrong must not pass for what it wraps
	case e.Kind != activation.Invalid && e.Kind != activation.RefusedWhole || e.MayHaveApplied:
		return fmt.Errorf("%d edits in a call: %w", len(edits), err)
	case w.net.Writes() != writes:
		return fmt.Errorf("%d edits were sent", len(edits))
	}
	return nil
}
