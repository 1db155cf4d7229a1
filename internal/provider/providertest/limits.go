package providertest

import (
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
)

// limitChecks are about the size of batches.
func limitChecks() []check {
	return []check{
		{"an empty batch", never, emptyBatch},
		{"a batch over the limit", never, overLimit},
		{"a batch without an audience", notHTTP, noAudience},
	}
}

func emptyBatch(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	writes := w.net.Writes()
	if _, err := w.deliver(w.batch(activation.OpAdd, id)); err != nil {
		return err
	}
	if w.net.Writes() != writes {
		return errors.New("an empty batch was sent")
	}
	return nil
}

func overLimit(w *world) error {
	id, err := w.audience()
	if err != nil {
		return err
	}
	writes := w.net.Writes()
	one := w.people(0, 1)[0]
	many := make([]person, w.def.MaxRows+1)
	for i := range many {
		many[i] = one
	}
	_, err = w.deliver(w.batch(activation.OpAdd, id, many...))
	_, err = wantError(err, activation.RefusedWhole, false)
	if w.net.Writes() != writes {
		err = errors.Join(err, fmt.Errorf("%d rows were sent", len(many)))
	}
	return errors.Join(err, w.only(id))
}

func noAudience(w *world) error {
	for _, id := range []provider.RemoteID{"", "../1", "1?x=y"} {
		_, err := w.deliver(w.batch(activation.OpAdd, id, w.people(0, 1)...))
		if _, err := wantError(err, activation.Invalid, false); err != nil {
			return fmt.Errorf("audience %q: %w", id, err)
		}
	}
	if w.net.Writes() != 0 {
		return errors.New("it was sent")
	}
	return nil
}
