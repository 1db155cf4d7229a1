package providertest

import (
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
)

// world is all that one case of a state network has.
type world struct {
	stage
	h   Harness
	net Network
}

// run plays one case in a fresh world.
func (h Harness) run(c check) error {
	return play(func(ctx context.Context) (*stage, error) {
		w := &world{h: h, stage: stage{ctx: ctx, def: h.Definition.For(h.workflow()), transport: h.Transport, settings: h.Settings}}
		var err error
		if w.net, err = h.Open(); err != nil {
			return nil, fmt.Errorf("open the network: %w", err)
		}
		w.far = w.net
		if err := w.raise(nil, h.Person(0)); err != nil {
			return &w.stage, err
		}
		return &w.stage, c.run(w)
	})
}

// person is somebody with match keys: one value per key of the set.
type person [][]byte

// people makes n people, numbered from first.
func (w *world) people(first, n int) []person {
	list := make([]person, n)
	var buf []byte
	for i := range list {
		raw := w.h.Person(first + i)
		for _, k := range w.set.Keys {
			w.said.mustNotSay(raw[k.Name])
		}
		list[i], buf = w.row(raw, buf)
		w.hide(list[i])
	}
	return list
}

// hide keeps the hashes of a row secret.
func (s *stage) hide(r person) {
	for j, v := range r {
		if s.set.Keys[j].Hash && v != nil {
			s.said.mustNotSay(fmt.Sprintf("%x", v))
		}
	}
}

// audience makes sure of an audience and returns its id.
func (w *world) audience() (provider.RemoteID, error) {
	return w.ensure(provider.Audience{Marker: "target-1.g1", Name: "Conformance", Slug: "conformance"})
}

// batch makes a batch of these people.
func (w *world) batch(op activation.Op, id provider.RemoteID, people ...person) provider.Batch {
	return w.pack(op, id, provider.Audience{Marker: "target-1.g1", Name: "Conformance", Slug: "conformance", Remote: id}, people...)
}

// deliver sends a batch.
func (w *world) deliver(b provider.Batch) (activation.Receipt, error) {
	return w.send(w.ctx, w.dest, b)
}

// checkError looks at the error itself; it is returned as it is if it is right.
func checkError(rc activation.Receipt, err error) error {
	var e *activation.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("the error is a %T, not an *activation.Error", err)
	case e.Kind == "" || e.Code == "" || e.Message == "":
		return fmt.Errorf("the error lacks kind, code or message: %v", err) //nolint:errorlint // what is wrong must not pass for what it wraps
	case rc.Accepted+rc.Rejected+rc.Unknown+rc.Unsent+rc.Superseded != 0 || len(rc.Exceptions) > 0:
		return fmt.Errorf("a receipt and an error at once: %v", err) //nolint:errorlint // as above
	}
	return err
}

// checkReceipt says where a receipt does not cover its rows.
func checkReceipt(rc activation.Receipt, rows int64) error {
	if sum := rc.Accepted + rc.Rejected + rc.Unknown + rc.Unsent + rc.Superseded; sum != rows {
		return fmt.Errorf("the receipt covers %d rows of %d", sum, rows)
	}
	if rc.Unplaced < 0 || rc.Unplaced > rc.Accepted {
		return fmt.Errorf("%d rows unplaced of %d accepted", rc.Unplaced, rc.Accepted)
	}
	last, told := int64(-1), map[activation.Outcome]int64{}
	for _, x := range rc.Exceptions {
		if x.Ordinal <= last || x.Ordinal >= rows {
			return fmt.Errorf("exception at %d after %d, of %d rows", x.Ordinal, last, rows)
		}
		last = x.Ordinal
		told[x.Outcome]++
	}
	if told[activation.Rejected] != rc.Rejected || told[activation.Unknown] != rc.Unknown || told[activation.Unsent] != rc.Unsent || told[activation.Accepted] != 0 {
		return errors.New("the exceptions are not the rows that were not accepted")
	}
	return nil
}

// allIn says who of the people is not in the audience by one of their
// identifying keys.
func (w *world) allIn(id provider.RemoteID, people ...person) error {
	for i, p := range people {
		for j, k := range w.set.Keys {
			if k.Identifies && p[j] != nil && !w.net.Holds(id, k, p[j]) {
				return fmt.Errorf("the network does not hold person %d by %s", i, k.Name)
			}
		}
	}
	return nil
}

// noneIn says who of the people is in the audience by one of their keys.
func (w *world) noneIn(id provider.RemoteID, people ...person) error {
	for i, p := range people {
		for j, k := range w.set.Keys {
			if k.Identifies && p[j] != nil && w.net.Holds(id, k, p[j]) {
				return fmt.Errorf("the network holds person %d by %s", i, k.Name)
			}
		}
	}
	return nil
}

// only says whether there is anybody in the audience but these people.
func (w *world) only(id provider.RemoteID, people ...person) error {
	want, got, what := len(people), 0, "people"
	if net, ok := w.net.(Counted); ok {
		values := map[string]bool{}
		for _, p := range people {
			for j, k := range w.set.Keys {
				if k.Identifies && p[j] != nil {
					values[k.Name+"="+string(p[j])] = true
				}
			}
		}
		want, got, what = len(values), net.Values(id), "values"
	} else {
		got = w.net.Size(id)
	}
	if got != want {
		return fmt.Errorf("the audience has %d %s, want %d", got, what, want)
	}
	return nil
}

// wantError checks kind and MayHaveApplied of an error.
func wantError(err error, kind activation.Kind, applied bool) (*activation.Error, error) {
	var e *activation.Error
	if !errors.As(err, &e) {
		return &activation.Error{}, fmt.Errorf("want an error of kind %s, got %q", kind, fmt.Sprint(err))
	}
	if e.Kind != kind {
		return e, fmt.Errorf("got kind %s, want %s: %w", e.Kind, kind, err)
	}
	if e.MayHaveApplied != applied {
		return e, fmt.Errorf("may have applied is %v, want %v: %w", e.MayHaveApplied, applied, err)
	}
	return e, nil
}
