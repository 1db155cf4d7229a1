package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/provider"
)

// maxAnswer is the most characters of a text that is kept of an outcome.
const maxAnswer = 4000

type forest map[activation.ObjectRef]provider.ObjectState

// tree is the account as the far side has it. What it holds is looked at first:
// a harness that tells of undeclared fields can't judge anybody.
func (w *publisherWorld) tree() (forest, error) {
	all := forest{}
	for _, o := range w.net.Tree() {
		if err := w.declared(o); err != nil {
			return nil, fmt.Errorf("the harness: %w", err)
		}
		all[o.ObjectRef] = o
	}
	return all, nil
}

// declared says what of an object is not as declared.
func (w *publisherWorld) declared(o provider.ObjectState) error {
	t, ok := w.p.Object(o.Type)
	switch {
	case !ok:
		return fmt.Errorf("an object of type %q, which is not declared", o.Type)
	case o.Kind != t.Kind || o.ID == "":
		return fmt.Errorf("a %s of kind %q with id %q", t.Name, o.Kind, o.ID)
	case (t.Parent == "") != (o.Parent == activation.ObjectRef{}):
		return fmt.Errorf("a %s lies in %+v", t.Name, o.Parent)
	}
	if parent, ok := w.p.Object(t.Parent); ok && o.Parent.Kind != parent.Kind {
		return fmt.Errorf("a %s lies in a %s", t.Name, o.Parent.Kind)
	}
	for name, v := range o.Fields {
		f, ok := t.Field(name)
		switch {
		case !ok:
			return fmt.Errorf("a %s has the field %q, which is not declared", t.Name, name)
		case v == "":
			return fmt.Errorf("the field %s of a %s is there without a value", name, t.Name)
		case f.Type == typeSelect && !slices.Contains(f.Options, v):
			return fmt.Errorf("the field %s of a %s is %q, which is no option", name, t.Name, v)
		case name == activation.FieldStatus && v != activation.StatusEnabled && v != activation.StatusPaused:
			return fmt.Errorf("the status of a %s is %q", t.Name, v)
		}
	}
	return nil
}

// same says how an object that was told differs from that of the far side.
func same(got, want provider.ObjectState) error {
	switch {
	case got.Type != want.Type || got.Parent != want.Parent:
		return fmt.Errorf("%s %s is a %s in %+v, want a %s in %+v", want.Kind, want.ID, got.Type, got.Parent, want.Type, want.Parent)
	case !maps.Equal(got.Fields, want.Fields):
		return fmt.Errorf("%s %s is told as %v, the far side has %v", want.Type, want.ID, got.Fields, want.Fields)
	}
	return nil
}

// together asks how many edits may travel in one call, and checks the answer: it
// is the same when it is asked again, asks nobody, and does not depend on what
// comes after.
func (w *publisherWorld) together(edits []provider.Edit) (int, error) {
	calls := w.net.Calls()
	n := w.pub.Together(edits)
	switch {
	case n < 1 || n > len(edits):
		return 0, fmt.Errorf("%d of %d edits may travel together", n, len(edits))
	case n > w.p.MaxEdits:
		return 0, fmt.Errorf("%d edits may travel together, the limit is %d", n, w.p.MaxEdits)
	case w.pub.Together(edits) != n:
		return 0, errors.New("asked again, another number of edits may travel together")
	}
	for _, k := range []int{1, n / 2, n - 1, n, n + 1, len(edits) - 1} {
		if k < 1 || k > len(edits) {
			continue
		}
		if got := w.pub.Together(edits[:k]); got != min(k, n) {
			return 0, fmt.Errorf("%d of %d edits may travel together, but %d of the first %d", n, len(edits), got, k)
		}
	}
	if w.net.Calls() != calls {
		return 0, errors.New("it made a call to say how many edits may travel together")
	}
	return n, nil
}

// send posts edits in one call and checks that the answer keeps the contract.
func (w *publisherWorld) send(ctx context.Context, pub provider.Publisher, edits []provider.Edit) ([]provider.EditOutcome, error) {
	out, err := pub.Post(ctx, edits)
	w.said.hear(err)
	for _, o := range out {
		w.said.hear(fmt.Errorf("%+v", o))
	}
	if err != nil {
		if len(out) > 0 {
			return nil, fmt.Errorf("outcomes and an error at once: %v", err) //nolint:errorlint // what is wrong must not pass for what it wraps
		}
		return nil, checkError(activation.Receipt{}, err)
	}
	if len(out) != len(edits) {
		return nil, fmt.Errorf("%d outcomes of %d edits", len(out), len(edits))
	}
	for i, o := range out {
		if err := w.checkOutcome(edits[i], o); err != nil {
			return nil, fmt.Errorf("outcome %d: %w", i, err)
		}
	}
	return out, nil
}

func (w *publisherWorld) checkOutcome(e provider.Edit, o provider.EditOutcome) error {
	_, notYet := activation.CreatedBy(o.ID)
	t, _ := w.p.Object(e.Type)
	made := e.Operation == activation.OpCreate && o.State == provider.EditDone
	switch {
	case !slices.Contains([]provider.EditState{provider.EditDone, provider.EditRefused, provider.EditLater, provider.EditUnknown}, o.State):
		return fmt.Errorf("the state is %q", o.State)
	case made && (o.ID == "" || notYet):
		return fmt.Errorf("a create is done and its id is %q", o.ID)
	case !made && o.ID != "":
		return fmt.Errorf("it has an id, %q, and made nothing", o.ID)
	case (o.State == provider.EditDone) != (o.Code == ""):
		return fmt.Errorf("it is %s with the code %q", o.State, o.Code)
	case o.State == provider.EditRefused && o.Text == "":
		return errors.New("it is refused without a text")
	case o.State != provider.EditLater && !o.Until.IsZero():
		return fmt.Errorf("it is %s until %v", o.State, o.Until)
	case o.State != provider.EditDone && len(o.Values) > 0:
		return fmt.Errorf("it is %s and tells of values", o.State)
	case utf8.RuneCountInString(o.Answer) > maxAnswer || utf8.RuneCountInString(o.Text) > maxAnswer:
		return errors.New("more is kept of the answer than can be shown")
	}
	for name := range o.Values {
		if _, ok := t.Field(name); !ok {
			return fmt.Errorf("it tells of the field %q, which is not declared", name)
		}
	}
	if _, ok := t.Field(o.Field); o.Field != "" && !ok {
		return fmt.Errorf("the field at fault is %q, which is not declared", o.Field)
	}
	return nil
}

// known puts the ids of what was created in the place of those it had before.
func known(e provider.Edit, ids map[string]string) provider.Edit {
	put := func(id string) string {
		if real, ok := ids[id]; ok {
			return real
		}
		return id
	}
	e.Parent.ID, e.Object.ID = put(e.Parent.ID), put(e.Object.ID)
	e.Set = maps.Clone(e.Set)
	for name, v := range e.Set {
		e.Set[name] = put(v)
	}
	return e
}

// post sends edits in order, in as few calls as may be, as a desk does: no object
// twice in a call.
func (w *publisherWorld) post(edits ...provider.Edit) (all []provider.EditOutcome, err error) {
	ids := map[string]string{}
	for at := 0; at < len(edits); {
		var list []provider.Edit
		seen := map[activation.ObjectRef]bool{}
		for _, e := range edits[at:] {
			e = known(e, ids)
			if seen[e.Object] {
				break
			}
			seen[e.Object] = true
			list = append(list, e)
		}
		n, err := w.together(list)
		if err != nil {
			return all, err
		}
		writes := w.net.Writes()
		out, err := w.send(w.ctx, w.pub, list[:n])
		if err != nil {
			return all, err
		}
		if got := w.net.Writes() - writes; got > 1 {
			return all, fmt.Errorf("%d edits went out in %d calls", n, got)
		}
		for i, o := range out {
			if list[i].Operation == activation.OpCreate && o.State == provider.EditDone {
				ids[list[i].Object.ID] = o.ID
			}
		}
		at += n
		all = append(all, out...)
	}
	return all, nil
}

// do posts edits and wants all of them done, and the far side as they say.
func (w *publisherWorld) do(edits ...provider.Edit) ([]provider.EditOutcome, error) {
	out, err := w.post(edits...)
	if err != nil {
		return nil, err
	}
	for i, o := range out {
		if o.State != provider.EditDone {
			return nil, fmt.Errorf("%s %s with %v is %s: %s: %s %s", edits[i].Operation, edits[i].Type, edits[i].Set, o.State, o.Code, o.Field, o.Text)
		}
	}
	return out, nil
}

// took says whether an edit has taken effect at the far side: all of it, or
// nothing. What is between the two is an error.
func took(all forest, e provider.Edit, o provider.EditOutcome) (bool, error) {
	if e.Operation == activation.OpCreate {
		var found []activation.ObjectRef
		for ref, have := range all {
			if have.Type == e.Type && (have.Parent == e.Parent || isNew(e.Parent)) && sets(have, e.Set, o.Values) == nil {
				found = append(found, ref)
			}
		}
		switch {
		case len(found) > 1:
			return false, fmt.Errorf("the %s is there %d times", e.Type, len(found))
		case o.State == provider.EditDone:
			have, ok := all[activation.ObjectRef{Kind: e.Object.Kind, ID: o.ID}]
			if !ok {
				return false, fmt.Errorf("the %s that was made has the id %q, which is not there", e.Type, o.ID)
			}
			return true, sets(have, e.Set, o.Values)
		}
		return len(found) == 1, nil
	}
	have, there := all[e.Object]
	if e.Operation == activation.OpDelete {
		return !there, nil
	}
	if !there {
		return false, nil
	}
	wrong := sets(have, e.Set, o.Values)
	for _, name := range e.Clear {
		if have.Fields[name] != "" {
			wrong = errors.Join(wrong, fmt.Errorf("%s is still %q", name, have.Fields[name]))
		}
	}
	if wrong == nil {
		return true, nil
	}
	for name := range e.Set {
		if have.Fields[name] != e.Have[name] {
			return false, fmt.Errorf("the %s was changed in part: %w", e.Type, wrong)
		}
	}
	return false, nil
}

func isNew(ref activation.ObjectRef) bool {
	_, ok := activation.CreatedBy(ref.ID)
	return ok
}

// sets says which value an object has not. told are those that the publisher set
// otherwise.
func sets(have provider.ObjectState, want, told map[string]string) error {
	for name, v := range want {
		if other, ok := told[name]; ok {
			v = other
		}
		if _, open := activation.CreatedBy(v); have.Fields[name] != v && !open {
			return fmt.Errorf("the %s of a %s is %q, want %q", name, have.Type, have.Fields[name], v)
		}
	}
	return nil
}

// truth compares outcomes with the far side: what is done is there, what is
// refused or sent later is not.
func (w *publisherWorld) truth(edits []provider.Edit, out []provider.EditOutcome) error {
	all, err := w.tree()
	if err != nil {
		return err
	}
	for i, o := range out {
		did, err := took(all, edits[i], o)
		switch {
		case err != nil:
			return fmt.Errorf("edit %d: %w", i, err)
		case o.State == provider.EditDone && !did:
			return fmt.Errorf("edit %d (%s %s %v) is said to be done and is not", i, edits[i].Operation, edits[i].Type, edits[i].Set)
		case (o.State == provider.EditRefused || o.State == provider.EditLater) && did:
			return fmt.Errorf("edit %d is said to be %s and took effect", i, o.State)
		}
	}
	return nil
}

// readsTrue reads objects back and compares them with the far side.
func (w *publisherWorld) readsTrue(refs ...activation.ObjectRef) error {
	got, err := w.pub.Read(w.ctx, refs)
	w.said.hear(err)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	told := forest{}
	for _, o := range got {
		if _, twice := told[o.ObjectRef]; twice || !slices.Contains(refs, o.ObjectRef) {
			return fmt.Errorf("%s %s is told twice, or was not asked for", o.Kind, o.ID)
		}
		if err := w.declared(o); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		told[o.ObjectRef] = o
	}
	for _, ref := range refs {
		want, there := all[ref]
		have, ok := told[ref]
		switch {
		case there != ok:
			return fmt.Errorf("%s %s is read back: %v, it is there: %v", ref.Kind, ref.ID, ok, there)
		case there:
			if err := same(have, want); err != nil {
				return fmt.Errorf("read: %w", err)
			}
		}
	}
	return nil
}

// once says which object was not changed by just so many calls.
func (w *publisherWorld) once(want int, refs ...activation.ObjectRef) error {
	for _, ref := range refs {
		if got := w.net.Effects(ref); got != want {
			return fmt.Errorf("%d calls took effect on %s %s, want %d", got, ref.Kind, ref.ID, want)
		}
	}
	return nil
}

// finds asks for creates and wants those ids.
func (w *publisherWorld) finds(creates []provider.Edit, want []string) error {
	got, err := w.pub.Find(w.ctx, creates)
	w.said.hear(err)
	switch {
	case err != nil:
		return fmt.Errorf("find: %w", err)
	case !slices.Equal(got, want):
		return fmt.Errorf("creates of %s are found as %q, want %q", kindsOf(creates), got, want)
	}
	return nil
}

func kindsOf(edits []provider.Edit) string {
	names := make([]string, len(edits))
	for i, e := range edits {
		names[i] = e.Type
	}
	return strings.Join(names, ", ")
}
