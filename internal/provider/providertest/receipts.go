package providertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	caseBadRowPlaced  = "one row is rejected at its index"
	caseBadRowCounted = "one row is counted invalid without an index"
	caseReplay        = "replay of the same item"
	caseSharedKey     = "a shared key keeps its other owner"
)

// receiptChecks are about good calls: what is reported is what happened.
func receiptChecks() []check {
	return []check{
		{"all are accepted", never, acceptAll},
		{caseBadRowPlaced, ability, rejectOne},
		{caseBadRowCounted, ability, countOne},
		{"add then remove", never, addThenRemove},
		{caseReplay, never, replay},
		{caseSharedKey, never, sharedKey},
		{"an empty key is sent as none", never, emptyKey},
		{"batches in parallel", never, parallel},
	}
}

func acceptAll(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	all := w.people(0, 5)
	rc, err := w.deliver(w.batch(activation.OpAdd, id, all...))
	if err != nil {
		return err
	}
	if rc.Accepted != 5 || rc.Unplaced != 0 {
		return fmt.Errorf("accepted %d, unplaced %d of 5", rc.Accepted, rc.Unplaced)
	}
	return errors.Join(w.allIn(id, all...), w.only(id, all...))
}

func rejectOne(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadRow, Row: 2}); err != nil {
		return err
	}
	all := w.people(0, 5)
	rc, err := w.deliver(w.batch(activation.OpAdd, id, all...))
	if err != nil {
		return err
	}
	if rc.Accepted != 4 || rc.Rejected != 1 || rc.Exceptions[0].Ordinal != 2 || rc.Exceptions[0].Code == "" {
		return fmt.Errorf("row 2 is bad, the receipt is %+v", rc)
	}
	return errors.Join(w.noneIn(id, all[2]), w.only(id, slices.Delete(slices.Clone(all), 2, 3)...))
}

func countOne(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadRow, Row: 0}); err != nil {
		return err
	}
	all := w.people(0, 5)
	rc, err := w.deliver(w.batch(activation.OpAdd, id, all...))
	if err != nil {
		return err
	}
	if rc.Accepted != 5 || rc.Unplaced != 1 || len(rc.Exceptions) != 0 {
		return fmt.Errorf("one row is bad and not named, the receipt is %+v", rc)
	}
	return w.only(id, all[:4]...) // whichever four they are
}

func addThenRemove(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	all := w.people(0, 4)
	if _, err := w.deliver(w.batch(activation.OpAdd, id, all...)); err != nil {
		return err
	}
	rc, err := w.deliver(w.batch(activation.OpRemove, id, all[1:]...))
	if err != nil {
		return err
	}
	if rc.Accepted != 3 {
		return fmt.Errorf("accepted %d removals of 3", rc.Accepted)
	}
	return errors.Join(w.allIn(id, all[0]), w.noneIn(id, all[1:]...), w.only(id, all[0]))
}

// replay sends one item twice, as a takeover does where that is harmless.
func replay(w *world) error {
	if w.def.Replay == provider.ReplayNever {
		return unfit("a batch is never sent again by itself")
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	all := w.people(0, 3)
	b := w.batch(activation.OpAdd, id, all...)
	for attempt := 1; attempt <= 2; attempt++ {
		b.Attempt = attempt
		if _, err := w.deliver(b); err != nil {
			return fmt.Errorf("attempt %d: %w", attempt, err)
		}
	}
	if _, err := w.deliver(b); err != nil {
		return fmt.Errorf("attempt 2 again: %w", err)
	}
	return errors.Join(w.allIn(id, all...), w.only(id, all...))
}

// sharedKey removes one of two people who have a value in common, by the other
// values only: nothing but those may be sent.
func sharedKey(w *world) error {
	if n := len(identifying(w.set.Keys)); n < 2 {
		return unfit("people have one key that identifies, so nobody shares it")
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	j := slices.IndexFunc(w.set.Keys, func(k key) bool { return k.Name == w.h.Shared && k.Identifies })
	if j < 0 {
		return fmt.Errorf("shared key %q is no identifying key", w.h.Shared)
	}
	two := w.people(0, 2)
	two[1][j] = two[0][j]
	if _, err := w.deliver(w.batch(activation.OpAdd, id, two...)); err != nil {
		return err
	}
	leaver := make(person, len(two[0]))
	for i, k := range w.set.Keys {
		if k.Identifies && i != j {
			leaver[i] = two[0][i]
		}
	}
	if _, err := w.deliver(w.batch(activation.OpRemove, id, leaver)); err != nil {
		return err
	}
	return errors.Join(w.allIn(id, two[1]), w.noneIn(id, leaver), w.only(id, two[1]))
}

// emptyKey sends people without some of their keys.
func emptyKey(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	all := w.people(0, len(w.set.Keys))
	var sent []person
	for i, p := range all {
		if w.set.Keys[i].Name == w.h.Needed {
			continue
		}
		p[i] = nil
		if slices.ContainsFunc(w.set.Keys, func(k key) bool { return k.Identifies && k.Name != w.set.Keys[i].Name }) {
			sent = append(sent, p)
		}
	}
	rc, err := w.deliver(w.batch(activation.OpAdd, id, sent...))
	if err != nil {
		return err
	}
	if rc.Accepted != int64(len(sent)) || rc.Unplaced != 0 {
		return fmt.Errorf("accepted %d, unplaced %d of %d", rc.Accepted, rc.Unplaced, len(sent))
	}
	nothing := sha256.Sum256(nil)
	for _, k := range w.set.Keys {
		if w.net.Holds(id, k, nothing[:]) || w.net.Holds(id, k, []byte{}) {
			return fmt.Errorf("the network holds an empty %s", k.Name)
		}
	}
	return errors.Join(w.allIn(id, sent...), w.only(id, sent...))
}

func parallel(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	const workers, each = 4, 6
	all := w.people(0, workers*each)
	batches := make([]batch, workers)
	for i := range batches {
		batches[i] = w.batch(activation.OpAdd, id, all[i*each:(i+1)*each]...)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { _, errs[i] = w.deliver(batches[i]) })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), w.allIn(id, all...), w.only(id, all...))
}

// identifying are the keys that find a person alone.
func identifying(keys []key) []key {
	return slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return !k.Identifies })
}
