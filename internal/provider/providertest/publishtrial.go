package providertest

import (
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
)

// trial is what a case prepares, posts and finds. The first step that goes wrong ends
// it: those behind it do nothing, and return what can be passed on.
type trial struct {
	w     *publisherWorld
	about string
	edits []provider.Edit
	out   []provider.EditOutcome
	err   error
}

// trial begins one. about stands before its error.
func (w *publisherWorld) trial(about string) *trial { return &trial{w: w, about: about} }

// check is a step of its own.
func (t *trial) check(do func() error) {
	if t.err != nil {
		return
	}
	if t.err = do(); t.err != nil && t.about != "" {
		t.err = fmt.Errorf("%s: %w", t.about, t.err)
	}
}

// made is a step that returns something.
func made[T any](t *trial, do func() (T, error)) (got T) {
	t.check(func() (err error) {
		got, err = do()
		return err
	})
	return got
}

func (t *trial) top() provider.ObjectType { return made(t, t.w.top) }

// object makes one, as publisherWorld.object does.
func (t *trial) object(typ provider.ObjectType, i int, change map[string]string) activation.ObjectRef {
	return made(t, func() (activation.ObjectRef, error) { return t.w.object(typ, i, change) })
}

// objects makes n of them, numbered from first.
func (t *trial) objects(typ provider.ObjectType, first, n int) []activation.ObjectRef {
	refs := made(t, func() ([]activation.ObjectRef, error) { return t.w.objects(typ, first, n) })
	if len(refs) != n {
		refs = make([]activation.ObjectRef, n)
	}
	return refs
}

// add takes one more edit into the next post.
func (t *trial) add(make func() (provider.Edit, error)) {
	t.edits = append(t.edits, made(t, make))
}

func (t *trial) create(typ provider.ObjectType, i int, change map[string]string) {
	t.add(func() (provider.Edit, error) { return t.w.create(typ, i, change) })
}

func (t *trial) edit(ref activation.ObjectRef, change map[string]string) {
	t.add(func() (provider.Edit, error) { return t.w.edit(ref, change) })
}

func (t *trial) rename(ref activation.ObjectRef, name string) {
	t.edit(ref, map[string]string{activation.FieldName: name})
}

func (t *trial) editOf(o provider.ObjectState, change map[string]string) {
	t.edits = append(t.edits, t.w.editOf(o, change))
}

func (t *trial) remove(ref activation.ObjectRef) {
	t.add(func() (provider.Edit, error) {
		all, err := t.w.tree()
		return t.w.remove(all[ref]), err
	})
}

// post sends all edits, in as many calls as it takes.
func (t *trial) post() []provider.EditOutcome { return t.sent(t.w.post) }

// do is post of edits that must all be done.
func (t *trial) do() []provider.EditOutcome { return t.sent(t.w.do) }

func (t *trial) sent(by func(...provider.Edit) ([]provider.EditOutcome, error)) []provider.EditOutcome {
	t.out = made(t, func() ([]provider.EditOutcome, error) { return by(t.edits...) })
	if len(t.out) != len(t.edits) {
		t.out = make([]provider.EditOutcome, len(t.edits))
	}
	return t.out
}

// want compares the outcomes with what they should be.
func (t *trial) want(states ...provider.EditState) {
	t.check(func() error {
		for i, want := range states {
			if o := t.out[i]; o.State != want {
				return fmt.Errorf("edit %d is %s (%s %s), want %s", i, o.State, o.Code, o.Text, want)
			}
		}
		return nil
	})
}

// judge is the verdict on what was posted last: the account is as the outcomes say, it
// is read back so, and calls took effect on each of these objects, 0 = it does not
// matter how many.
func (t *trial) judge(calls int, refs ...activation.ObjectRef) {
	t.check(func() error {
		err := errors.Join(t.w.truth(t.edits, t.out), t.w.readsTrue(refs...))
		if calls > 0 {
			err = errors.Join(err, t.w.once(calls, refs...))
		}
		return err
	})
}
