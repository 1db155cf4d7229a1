package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

const (
	caseListed      = "members are listed as they were sent"
	caseListedEmpty = "an empty audience lists nobody"
	caseListedGone  = "members of an audience that is gone"
	caseListedStops = "a listing stops"
	caseListedMany  = "many members are listed once each"
	caseSized       = "a size is told"
	caseSizedGone   = "the size of an audience that is gone"
)

// readChecks are about what a network tells of its members.
func readChecks() []check {
	return []check{
		{caseListed, never, listed},
		{caseListedEmpty, never, listedEmpty},
		{caseListedGone, never, listedGone},
		{caseListedStops, never, listedStops},
		{caseListedMany, never, listedMany},
		{caseSized, never, sized},
		{caseSizedGone, never, sizedGone},
	}
}

// Meddled is a Network in which somebody changes audiences behind the provider's
// back. One that lists or sizes is it.
type Meddled interface {
	// Put brings people in, Drop takes them out. values are as in Batch, row after
	// row.
	Put(id provider.RemoteID, keys []key, values ...[]byte)
	Drop(id provider.RemoteID, keys []key, values ...[]byte)
}

// Patient is a Network that counts its members only after a while.
type Patient interface {
	// Wait lets that while pass.
	Wait()
}

// meddled is the network as one in which somebody meddles.
func (w *world) meddled() (Meddled, error) {
	net, ok := w.net.(Meddled)
	if !ok {
		return nil, errors.New("the network tells of its members: give it Put and Drop")
	}
	return net, nil
}

// values are the people's, row after row.
func values(people ...person) [][]byte { return slices.Concat(people...) }

// lister is the destination as a Lister, or the reason why the case does not fit
// one that rightly says it is none.
func (w *world) lister() (provider.Lister, error) {
	l, is := w.dest.(provider.Lister)
	if is != w.def.Lists {
		return nil, fmt.Errorf("the definition says lists: %t, the destination is a lister: %t", w.def.Lists, is)
	}
	if !is {
		return nil, unfit("the network names no members")
	}
	return l, nil
}

// remote is the audience as a listing is asked for it.
func (w *world) remote(id provider.RemoteID) provider.Audience {
	return provider.Audience{Marker: "target-1.g1", Name: "Conformance", Slug: "conformance", Remote: id, Config: w.settings, Keys: w.set.Keys}
}

// text is a person in which no value is mistaken for none or for another.
func (p person) text() string {
	var b strings.Builder
	for _, v := range p {
		fmt.Fprintf(&b, "%t %d %s|", v != nil, len(v), v)
	}
	return b.String()
}

// lists says how the members that are listed differ from these people.
func (w *world) lists(l provider.Lister, id provider.RemoteID, people ...person) error {
	want := map[string]int{}
	for _, p := range people {
		want[p.text()]++
	}
	got := map[string]int{}
	err := l.Members(w.ctx, w.remote(id), func(values [][]byte) error {
		if len(values) != len(w.set.Keys) {
			return fmt.Errorf("%d values of %d keys", len(values), len(w.set.Keys))
		}
		got[person(values).text()]++
		return nil
	})
	w.said.hear(err)
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%d members are listed, of %d; or not with the values that were sent", len(got), len(want))
	}
	return nil
}

func listed(w *world) error {
	l, err := w.lister()
	if err != nil {
		return err
	}
	net, err := w.meddled()
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
	all := w.people(0, 8)
	for j, k := range w.set.Keys {
		if !k.Identifies {
			all[1][j] = nil // somebody of whom less is known
		}
	}
	if err := errors.Join(w.accepted(w.batch(activation.OpAdd, id, all[:6]...)), w.accepted(w.pack(activation.OpAdd, beside, provider.Audience{Marker: "target-1.g10", Remote: beside}, all[7]))); err != nil {
		return err
	}
	if err := w.lists(l, id, all[:6]...); err != nil {
		return fmt.Errorf("after they were added: %w", err)
	}
	if err := w.accepted(w.batch(activation.OpRemove, id, all[0])); err != nil {
		return err
	}
	if err := w.lists(l, id, all[1:6]...); err != nil {
		return fmt.Errorf("after one was removed: %w", err)
	}
	net.Drop(id, w.set.Keys, values(all[1:3]...)...)
	if err := w.lists(l, id, all[3:6]...); err != nil {
		return fmt.Errorf("after two were taken out by somebody else: %w", err)
	}
	net.Put(id, w.set.Keys, values(all[6])...)
	if err := w.lists(l, id, all[3:7]...); err != nil {
		return fmt.Errorf("after one was put in by somebody else: %w", err)
	}
	return w.lists(l, beside, all[7])
}

func listedEmpty(w *world) error {
	l, err := w.lister()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	writes := w.net.Writes()
	if err := w.lists(l, id); err != nil {
		return err
	}
	one := w.people(0, 1)
	if err := errors.Join(w.accepted(w.batch(activation.OpAdd, id, one...)), w.accepted(w.batch(activation.OpRemove, id, one...)), w.lists(l, id)); err != nil {
		return fmt.Errorf("empty again: %w", err)
	}
	if n := w.net.Writes() - writes; n != 2 {
		return fmt.Errorf("two batches and two listings made %d changes", n)
	}
	return nil
}

func listedGone(w *world) error {
	l, err := w.lister()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	w.net.Delete(id)
	err = w.lists(l, id)
	if _, err := wantError(err, activation.Gone, false); err != nil {
		return err
	}
	for _, id := range []provider.RemoteID{"", "../1", "1?x=y"} {
		if _, err := wantError(w.lists(l, id), activation.Invalid, false); err != nil {
			return fmt.Errorf("audience %q: %w", id, err)
		}
	}
	return nil
}

// listedStops wants a listing to end at the error of who reads it, and with its
// context.
func listedStops(w *world) error {
	l, err := w.lister()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	if err := w.accepted(w.batch(activation.OpAdd, id, w.people(0, 5)...)); err != nil {
		return err
	}
	enough, seen := errors.New("enough"), 0
	err = l.Members(w.ctx, w.remote(id), func([][]byte) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 2 {
		return fmt.Errorf("it did not stop at the second of five: %d were read, the error is %w", seen, err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	err = l.Members(ctx, w.remote(id), func([][]byte) error { return errors.New("somebody was listed") })
	w.said.hear(err)
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a cancelled listing: %w", err)
	}
	return w.lists(l, id, w.people(0, 5)...)
}

// listedMany lists more people than fit into one call, so into one page.
func listedMany(w *world) error {
	l, err := w.lister()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	all := w.people(0, w.def.MaxRows+w.def.MaxRows/4+1)
	for part := range slices.Chunk(all, w.def.MaxRows) {
		if err := w.accepted(w.batch(activation.OpAdd, id, part...)); err != nil {
			return err
		}
	}
	return w.lists(l, id, all...)
}

// sizer is the destination as a Sizer, or the reason why the case does not fit
// one that rightly says it is none.
func (w *world) sizer() (provider.Sizer, error) {
	s, is := w.dest.(provider.Sizer)
	if is != w.def.Sizes {
		return nil, fmt.Errorf("the definition says sizes: %t, the destination is a sizer: %t", w.def.Sizes, is)
	}
	if !is {
		return nil, unfit("the network tells no size")
	}
	return s, nil
}

// size asks for a size and wants it to be that of n people, or of nobody knows how
// many where n is -1.
func (w *world) size(s provider.Sizer, id provider.RemoteID, n int) error {
	writes := w.net.Writes()
	got, err := s.Size(w.ctx, w.remote(id))
	w.said.hear(err)
	if err != nil {
		return err
	}
	if w.net.Writes() != writes {
		return errors.New("asking for it changed something")
	}
	wide := int64(max(n, 0) / 10)
	if got.Low > int64(n) || got.High < int64(n) || got.Low < int64(n)-wide || got.High > int64(n)+wide {
		return fmt.Errorf("the size is %d to %d, want %d", got.Low, got.High, n)
	}
	return nil
}

func sized(w *world) error {
	s, err := w.sizer()
	if err != nil {
		return err
	}
	net, err := w.meddled()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	least := w.h.Shown
	all := w.people(0, least+200)
	if err := w.accepted(w.batch(activation.OpAdd, id, all[:least-1]...)); err != nil {
		return err
	}
	w.wait()
	if err := w.size(s, id, -1); err != nil {
		return fmt.Errorf("of %d people, too few to be told: %w", least-1, err)
	}
	if err := w.accepted(w.batch(activation.OpAdd, id, all[least-1:]...)); err != nil {
		return err
	}
	w.wait()
	if err := w.size(s, id, len(all)); err != nil {
		return err
	}
	net.Drop(id, w.set.Keys, values(all[:100]...)...)
	if err := w.size(s, id, len(all)-100); err != nil {
		return fmt.Errorf("after somebody else took out 100: %w", err)
	}
	net.Put(id, w.set.Keys, values(w.people(len(all), 100)...)...)
	return w.size(s, id, len(all))
}

func (w *world) wait() {
	if p, ok := w.net.(Patient); ok {
		p.Wait()
	}
}

func sizedGone(w *world) error {
	s, err := w.sizer()
	if err != nil {
		return err
	}
	id, err := w.audience()
	if err != nil {
		return err
	}
	w.wait()
	if err := w.size(s, id, -1); err != nil {
		return fmt.Errorf("of nobody: %w", err)
	}
	w.net.Delete(id)
	if _, err := wantError(w.size(s, id, 0), activation.Gone, false); err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	_, err = wantError(w.size(s, id, 0), activation.Unauthorized, false)
	return err
}

// People are people by the names that a network has for their values: hashes in
// hexadecimal, keys without a name left out.
func People[M ~map[string]string](keys []matchkey.Key, values [][]byte, name func(key string) string) []M {
	var out []M
	for row := range slices.Chunk(values, len(keys)) {
		m := M{}
		for i, k := range keys {
			switch at := name(k.Name); {
			case row[i] == nil || at == "":
			case k.Hash:
				m[at] = fmt.Sprintf("%x", row[i])
			default:
				m[at] = string(row[i])
			}
		}
		out = append(out, m)
	}
	return out
}
