package providertest

import (
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	caseDeleted    = "an audience is deleted"
	caseNotDeleted = "a bad token deletes nothing"
	caseOpens      = "an audience opens"
)

// audienceChecks are about Check and EnsureAudience.
func audienceChecks() []check {
	return []check{
		{"check writes nothing", never, checkWritesNothing},
		{"check finds a bad token", local, checkFindsBadToken},
		{"an audience is made once", never, ensureOnce},
		{"the audience is gone", notHTTP, gone},
		{"a bad token is not a gone audience", notHTTP, notGone},
		{caseDeleted, notHTTP, deleted},
		{caseNotDeleted, notHTTP, notDeleted},
		{caseOpens, notHTTP, opens},
	}
}

func checkWritesNothing(w *world) error {
	err := w.dest.Check(w.ctx)
	w.said.hear(err)
	if err != nil {
		return err
	}
	if w.transport == HTTP && w.net.Calls() == 0 {
		return errors.New("nothing was asked")
	}
	if n := w.net.Writes(); n != 0 || w.net.Audiences() != 0 {
		return fmt.Errorf("%d calls that change something", n)
	}
	return nil
}

func checkFindsBadToken(w *world) error {
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	err := w.dest.Check(w.ctx)
	w.said.hear(err)
	_, err = wantError(err, activation.Unauthorized, false)
	return err
}

func ensureOnce(w *world) error {
	first, err := w.audience()
	if err != nil {
		return err
	}
	again, err := w.audience()
	if err != nil {
		return err
	}
	made := 1
	if w.h.Unmade || w.transport == Files {
		made = w.net.Audiences() // names, of which none is made before it is used
	}
	if w.h.Unmade && made != 0 {
		return fmt.Errorf("%d audiences before a first person", made)
	}
	if again != first || w.net.Audiences() != made {
		return fmt.Errorf("made twice: %q and %q, %d audiences", first, again, w.net.Audiences())
	}
	known, err := w.ensure(provider.Audience{Marker: "target-1.g1", Name: "Conformance", Remote: first})
	if err != nil {
		return fmt.Errorf("known by its id: %w", err)
	}
	if known != first {
		return fmt.Errorf("known by its id: %q instead of %q", known, first)
	}
	// A marker that begins like another one, and the same name.
	other, err := w.ensure(provider.Audience{Marker: "target-1.g10", Name: "Conformance"})
	if err != nil {
		return err
	}
	if other == first {
		return errors.New("two markers, one audience")
	}
	beside, err := w.audience()
	if err != nil {
		return fmt.Errorf("beside another one: %w", err)
	}
	if beside != first {
		return fmt.Errorf("beside another one: %q instead of %q", beside, first)
	}
	if !w.h.Unmade {
		return nil
	}
	if _, err := w.deliver(w.batch(activation.OpAdd, first, w.people(0, 1)...)); err != nil {
		return fmt.Errorf("deliver to it: %w", err)
	}
	if n := w.net.Audiences(); n != 1 {
		return fmt.Errorf("%d audiences after a first person", n)
	}
	return nil
}

func gone(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	if w.h.Unmade {
		return w.madeAgain(id)
	}
	w.net.Delete(id)
	_, err = w.deliver(w.batch(activation.OpAdd, id, w.people(0, 1)...))
	if _, err := wantError(err, activation.Gone, false); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	_, err = w.ensure(provider.Audience{Marker: "target-1.g1", Name: "Conformance", Remote: id})
	if _, err := wantError(err, activation.Gone, false); err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	next, err := w.ensure(provider.Audience{Marker: "target-1.g2", Name: "Conformance"})
	if err != nil {
		return fmt.Errorf("make another: %w", err)
	}
	if next == id {
		return errors.New("the new audience has the id of the one that is gone")
	}
	return nil
}

// madeAgain wants an audience that is a name to be as good after it was taken
// away as before.
func (w *world) madeAgain(id provider.RemoteID) error {
	all := w.people(0, 2)
	if _, err := w.deliver(w.batch(activation.OpAdd, id, all[0])); err != nil {
		return err
	}
	w.net.Delete(id)
	again, err := w.ensure(provider.Audience{Marker: "target-1.g1", Name: "Conformance", Remote: id})
	if err != nil || again != id {
		return errors.Join(fmt.Errorf("it was %q and is %q now", id, again), err)
	}
	if _, err := w.deliver(w.batch(activation.OpAdd, id, all[1])); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	return errors.Join(w.noneIn(id, all[0]), w.allIn(id, all[1]), w.only(id, all[1]))
}

func notGone(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	w.net.Delete(id)
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	_, err = w.deliver(w.batch(activation.OpAdd, id, w.people(0, 1)...))
	if _, err := wantError(err, activation.Unauthorized, false); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if w.h.Unmade {
		return nil // there is nothing to ask for
	}
	_, err = w.ensure(provider.Audience{Marker: "target-1.g1", Name: "Conformance", Remote: id})
	_, err = wantError(err, activation.Unauthorized, false)
	return err
}

// deleter is the destination as a Deleter, or the reason why the case does not
// fit one that rightly says it is none.
func (w *world) deleter() (provider.Deleter, error) {
	d, is := w.dest.(provider.Deleter)
	if is != w.def.Deletes {
		return nil, fmt.Errorf("the definition says deletes: %t, the destination is a deleter: %t", w.def.Deletes, is)
	}
	if !is {
		return nil, unfit("the network has no call that deletes")
	}
	return d, nil
}

func deleted(w *world) error {
	d, err := w.deleter()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	beside, err := w.ensure(provider.Audience{Marker: "target-1.g10", Name: "Conformance"})
	if err != nil {
		return err
	}
	err = d.DeleteAudience(w.ctx, id)
	w.said.hear(err)
	if err != nil {
		return err
	}
	if n := w.net.Audiences(); n != 1 {
		return fmt.Errorf("%d audiences are left of two", n)
	}
	err = d.DeleteAudience(w.ctx, id)
	w.said.hear(err)
	if _, err := wantError(err, activation.Gone, false); err != nil {
		return fmt.Errorf("delete again: %w", err)
	}
	again, err := w.ensure(provider.Audience{Marker: "target-1.g10", Name: "Conformance", Remote: beside})
	if err != nil {
		return fmt.Errorf("the audience beside it: %w", err)
	}
	if again != beside {
		return fmt.Errorf("the audience beside it is %q now, was %q", again, beside)
	}
	return nil
}

func notDeleted(w *world) error {
	d, err := w.deleter()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	err = d.DeleteAudience(w.ctx, id)
	w.said.hear(err)
	if _, err := wantError(err, activation.Unauthorized, false); err != nil {
		return err
	}
	if n := w.net.Audiences(); n != 1 {
		return fmt.Errorf("%d audiences are left of one", n)
	}
	return nil
}

// opens asks whether audiences open, and whether asking leaves them as they are.
func opens(w *world) error {
	d, is := w.dest.(provider.Opener)
	if is != w.def.Opens {
		return fmt.Errorf("the definition says opens: %t, the destination is an opener: %t", w.def.Opens, is)
	}
	if !is {
		return unfit("the network has no call that opens an audience")
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	if err := d.OpenAudience(w.ctx, id); err != nil {
		return err
	}
	w.net.Delete(id)
	err = d.OpenAudience(w.ctx, id)
	w.said.hear(err)
	if _, err := wantError(err, activation.Gone, false); err != nil {
		return fmt.Errorf("one that is not there: %w", err)
	}
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	err = d.OpenAudience(w.ctx, id)
	w.said.hear(err)
	if _, err := wantError(err, activation.Unauthorized, false); err != nil {
		return fmt.Errorf("with a bad token: %w", err)
	}
	return nil
}
