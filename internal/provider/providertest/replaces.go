package providertest

import (
	"errors"
	"fmt"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	caseReplaced      = "a replacement drops who is in no batch"
	caseReplacedAgain = "batches of a replacement are sent twice"
	caseReplacedLost  = "no answer in a replacement"
	caseReplacedCut   = "a replacement that is cut drops nobody"
	caseReplacedWhole = "a batch of a replacement is not halved"
)

// replaceChecks are about taking the place of all members.
func replaceChecks() []check {
	return []check{
		{caseReplaced, never, replaced},
		{caseReplacedAgain, never, replacedAgain},
		{caseReplacedLost, local, replacedLost},
		{caseReplacedCut, never, replacedCut},
		{caseReplacedWhole, local, replacedWhole},
	}
}

// parts are batches that replace all members by these people.
func (w *world) parts(id provider.RemoteID, session int64, size int, people ...person) []batch {
	var out []batch
	for part := range slices.Chunk(people, size) {
		out = append(out, w.batch(activation.OpAdd, id, part...))
	}
	for i := range out {
		out[i].Number = i + 1
		out[i].Replace = &provider.Replace{Session: session, Number: i + 1, Of: len(out), Rows: int64(len(people))}
	}
	return out
}

// replacing makes an audience of five people, of whom three are in the batches
// that replace all, and says why the case does not fit a network that rightly
// replaces nobody.
func (w *world) replacing() (id provider.RemoteID, all []person, batches []batch, err error) {
	if !w.def.Replaces {
		return "", nil, nil, unfit("the network does not replace all members in one go")
	}
	if id, err = w.audience(); err != nil {
		return "", nil, nil, err
	}
	all = w.people(0, 9)
	if _, err := w.deliver(w.batch(activation.OpAdd, id, all[:5]...)); err != nil {
		return "", nil, nil, err
	}
	batches = w.parts(id, 4_229_000_000_000_000_001, 3, all[2:]...)
	if w.h.Irreplaceable == "" {
		return id, all, batches, nil
	}
	writes := w.net.Writes()
	_, err = w.deliver(batches[0])
	if _, err := wantError(err, activation.Invalid, false); err != nil {
		return "", nil, nil, err
	}
	if w.net.Writes() != writes {
		return "", nil, nil, errors.New("what cannot be replaced was sent")
	}
	return "", nil, nil, unfit(w.h.Irreplaceable)
}

// accepted wants a receipt in which the whole batch was accepted.
func (w *world) accepted(b batch) error {
	rc, err := w.deliver(b)
	if err == nil && rc.Accepted != int64(b.Rows()) {
		err = fmt.Errorf("accepted %d of %d", rc.Accepted, b.Rows())
	}
	return err
}

// became wants the audience to have those of all who were not dropped.
func (w *world) became(id provider.RemoteID, all []person) error {
	return errors.Join(w.allIn(id, all[2:]...), w.noneIn(id, all[:2]...), w.only(id, all[2:]...))
}

func replaced(w *world) error {
	id, all, batches, err := w.replacing()
	if err != nil {
		return err
	}
	for i, b := range batches {
		if err := w.allIn(id, all[:2]...); err != nil {
			return fmt.Errorf("before batch %d of %d: %w", i+1, len(batches), err)
		}
		if err := w.accepted(b); err != nil {
			return fmt.Errorf("batch %d of %d: %w", i+1, len(batches), err)
		}
	}
	if err := w.became(id, all); err != nil {
		return err
	}
	// Ordinary batches go on after it, and so does another replacement.
	if err := errors.Join(w.accepted(w.batch(activation.OpAdd, id, all[0])), w.accepted(w.batch(activation.OpRemove, id, all[8]))); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	if err := errors.Join(w.allIn(id, all[0]), w.noneIn(id, all[8])); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	// The second one drops who is in by the first one alone as well.
	for _, b := range w.parts(id, 4_229_000_000_000_000_002, 9, all[3:]...) {
		if err := w.accepted(b); err != nil {
			return fmt.Errorf("a second replacement: %w", err)
		}
	}
	if err := errors.Join(w.allIn(id, all[3:]...), w.noneIn(id, all[:3]...), w.only(id, all[3:]...)); err != nil {
		return fmt.Errorf("a second replacement: %w", err)
	}
	return nil
}

func replacedAgain(w *world) error {
	id, all, batches, err := w.replacing()
	if err != nil {
		return err
	}
	for i, b := range batches {
		for b.Attempt = 1; b.Attempt <= 2; b.Attempt++ {
			if err := w.accepted(b); err != nil {
				return fmt.Errorf("batch %d of %d, attempt %d: %w", i+1, len(batches), b.Attempt, err)
			}
		}
	}
	return w.became(id, all)
}

// replacedLost loses the answer to each batch in turn: it is unknown, and sending
// it again goes on where the session stood. Of the last one a network may tell
// that it is in.
func replacedLost(w *world) error {
	id, all, batches, err := w.replacing()
	if err != nil {
		return err
	}
	for i, b := range batches {
		if err := w.net.Fail(Fault{Kind: Cut}); err != nil {
			return err
		}
		rc, err := w.deliver(b)
		if told := err == nil && i+1 == len(batches) && rc.Accepted == int64(b.Rows()); !told {
			if _, err := wantError(err, activation.Unavailable, true); err != nil {
				return fmt.Errorf("batch %d of %d: %w", i+1, len(batches), err)
			}
		}
		w.net.Heal()
		b.Attempt++
		if err := w.accepted(b); err != nil {
			return fmt.Errorf("batch %d of %d, again: %w", i+1, len(batches), err)
		}
	}
	return w.became(id, all)
}

func replacedCut(w *world) error {
	id, all, batches, err := w.replacing()
	if err != nil {
		return err
	}
	for _, b := range batches[:len(batches)-1] {
		if err := w.accepted(b); err != nil {
			return err
		}
	}
	return w.allIn(id, all[:5]...)
}

// replacedWhole wants a refusal of a batch to be one for good: its session has no
// place for halves.
func replacedWhole(w *world) error {
	_, _, batches, err := w.replacing()
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: RefuseWhole}); err != nil {
		return err
	}
	_, err = w.deliver(batches[0])
	_, err = wantError(err, activation.Invalid, false)
	return err
}
