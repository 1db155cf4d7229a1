package providertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// publishReadChecks are about what is read.
func publishReadChecks() []publishCheck {
	return []publishCheck{
		{"the structure is that of the far side, parents first", never, structure},
		{"the structure of an empty account", never, structureEmpty},
		{"the structure of many pages", never, structureMany},
		{"the structure stops when it is told to", never, structureStops},
		{"the structure with a bad token", never, structureBadToken},
		{"what was changed by others is read", never, readsOthers},
		{casePublishChanged, never, namesChanged},
		{"many objects are read back, and none that is not there", never, readsMany},
		{"what was not created is not found", never, findsNothing},
	}
}

// publishCostChecks are about costs.
func publishCostChecks() []publishCheck {
	return []publishCheck{
		{"costs are those of the far side", never, costs},
		{"no costs are no error", never, noCosts},
		{"costs stop when they are told to", never, costsStop},
		{"costs with a bad token", never, costsBadToken},
	}
}

// listed is the structure as the provider tells it.
func (w *publisherWorld) listed() ([]provider.ObjectState, error) {
	var all []provider.ObjectState
	err := w.pub.Structure(w.ctx, func(o provider.ObjectState) error {
		all = append(all, o)
		return nil
	})
	w.said.hear(err)
	return all, err
}

// structureTrue compares the structure with the far side.
func (w *publisherWorld) structureTrue() error {
	writes := w.net.Writes()
	list, err := w.listed()
	if err != nil {
		return err
	}
	want, err := w.tree()
	if err != nil {
		return err
	}
	seen := forest{}
	for _, o := range list {
		if err := w.declared(o); err != nil {
			return err
		}
		if _, twice := seen[o.ObjectRef]; twice {
			return fmt.Errorf("%s %s is there twice", o.Type, o.ID)
		}
		if _, there := seen[o.Parent]; !there && (o.Parent != activation.ObjectRef{}) {
			return fmt.Errorf("%s %s comes before what it lies in", o.Type, o.ID)
		}
		seen[o.ObjectRef] = o
		have, ok := want[o.ObjectRef]
		if !ok {
			return fmt.Errorf("%s %s is told of and not there", o.Type, o.ID)
		}
		if err := same(o, have); err != nil {
			return err
		}
	}
	if len(seen) != len(want) {
		return fmt.Errorf("%d objects are told of, %d are there", len(seen), len(want))
	}
	if w.net.Writes() != writes {
		return errors.New("it wrote something")
	}
	return nil
}

func structure(w *publisherWorld) error {
	for i := 1; i <= 3; i++ {
		edits, err := w.treeEdits(i)
		if err != nil {
			return err
		}
		if _, err := w.do(edits...); err != nil {
			return err
		}
	}
	for _, t := range w.p.Objects {
		if _, err := w.object(t, 20, nil); err != nil {
			return err
		}
	}
	return w.structureTrue()
}

func structureEmpty(w *publisherWorld) error { return w.structureTrue() }

// lowest is the last type in the declaration that can be created, of which there
// are many.
func (w *publisherWorld) lowest() (provider.ObjectType, int, error) {
	for _, t := range slices.Backward(w.p.Objects) {
		if t.Creates && t.Parent != "" {
			return t, cmp.Or(w.h.Many, 120), nil
		}
	}
	t, err := w.top()
	return t, cmp.Or(w.h.Many, 120), err
}

func structureMany(w *publisherWorld) error {
	t, n, err := w.lowest()
	if err != nil {
		return err
	}
	if _, err := w.objects(t, 1, n); err != nil {
		return err
	}
	top, err := w.top()
	if err != nil {
		return err
	}
	if _, err := w.objects(top, 1, 15); err != nil {
		return err
	}
	return w.structureTrue()
}

func structureStops(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	if _, err := w.objects(t, 1, 4); err != nil {
		return err
	}
	enough := errors.New("enough")
	seen := 0
	err = w.pub.Structure(w.ctx, func(provider.ObjectState) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 2 {
		return fmt.Errorf("it went on for %d objects and returned %v", seen, err) //nolint:errorlint // what is wrong must not pass for what it wraps
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	err = w.pub.Structure(ctx, func(provider.ObjectState) error { return nil })
	w.said.hear(err)
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("cancelled, it returned %v", err) //nolint:errorlint // as above
	}
	return nil
}

func structureBadToken(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	ref, err := w.object(t, 1, nil)
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	_, listErr := w.listed()
	_, readErr := w.pub.Read(w.ctx, []activation.ObjectRef{ref})
	e, err := w.create(t, 2, nil)
	if err != nil {
		return err
	}
	_, findErr := w.pub.Find(w.ctx, []provider.Edit{e})
	for _, err := range []error{listErr, readErr, findErr} {
		w.said.hear(err)
		if _, err := wantError(err, activation.Unauthorized, false); err != nil {
			return err
		}
	}
	return nil
}

func readsOthers(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	refs, err := w.objects(t, 1, 3)
	if err != nil {
		return err
	}
	if err := w.net.Change(refs[0], activation.FieldName, "named by somebody else"); err != nil {
		return err
	}
	if err := w.net.Remove(refs[1]); err != nil {
		return err
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	if all[refs[0]].Fields[activation.FieldName] != "named by somebody else" || all[refs[1]].ID != "" {
		return errors.New("the harness changed nothing")
	}
	return errors.Join(w.readsTrue(refs...), w.structureTrue())
}

func namesChanged(w *publisherWorld) error {
	teller, ok := w.pub.(provider.ChangeTeller)
	if !ok {
		return unfit("the publisher can't tell what was changed")
	}
	t, err := w.top()
	if err != nil {
		return err
	}
	refs, err := w.objects(t, 1, 3)
	if err != nil {
		return err
	}
	since := time.Now().Add(-time.Minute)
	if err := w.net.Change(refs[0], activation.FieldName, "named by somebody else"); err != nil {
		return err
	}
	if err := w.net.Remove(refs[1]); err != nil {
		return err
	}
	got, ok, err := teller.Changed(w.ctx, since)
	w.said.hear(err)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("it remembers a minute: %v", ok))
	}
	for _, ref := range refs[:2] {
		if !slices.Contains(got, ref) {
			return fmt.Errorf("%s %s was changed and is not among %v", ref.Kind, ref.ID, got)
		}
	}
	got, ok, err = teller.Changed(w.ctx, time.Now().Add(time.Hour))
	w.said.hear(err)
	if err != nil || ok && len(got) > 0 {
		return errors.Join(err, fmt.Errorf("%d objects were changed in an hour from now", len(got)))
	}
	return nil
}

func readsMany(w *publisherWorld) error {
	t, n, err := w.lowest()
	if err != nil {
		return err
	}
	refs, err := w.objects(t, 1, n)
	if err != nil {
		return err
	}
	if err := w.net.Remove(refs[n/2]); err != nil {
		return err
	}
	writes := w.net.Writes()
	if err := w.readsTrue(refs...); err != nil {
		return err
	}
	if w.net.Writes() != writes {
		return errors.New("it wrote something")
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	var mixed []activation.ObjectRef // of every type that is there
	for ref := range all {
		if !slices.Contains(refs, ref) {
			mixed = append(mixed, ref)
		}
	}
	return w.readsTrue(append(mixed, refs[0])...)
}

// findsNothing looks for what is there, in another place, by another name, and what
// was removed.
func findsNothing(w *publisherWorld) error {
	for i, t := range w.p.Objects {
		if !t.Creates {
			continue
		}
		made, err := w.create(t, 1, nil)
		if err != nil {
			return err
		}
		out, err := w.do(made)
		if err != nil {
			return err
		}
		other, err := w.create(t, 2, nil)
		if err != nil {
			return err
		}
		if err := w.finds([]provider.Edit{other, made}, []string{"", out[0].ID}); err != nil {
			return err
		}
		old := made
		old.Known = []string{out[0].ID}
		if err := w.finds([]provider.Edit{old}, []string{""}); err != nil {
			return fmt.Errorf("known before: %w", err)
		}
		if parent, ok := w.p.Object(t.Parent); ok {
			ref, err := w.object(parent, 300+i, nil)
			if err != nil {
				return err
			}
			elsewhere := made
			elsewhere.Parent = ref
			if err := w.finds([]provider.Edit{elsewhere}, []string{""}); err != nil {
				return fmt.Errorf("in another %s: %w", parent.Name, err)
			}
			elsewhere.Parent = activation.ObjectRef{Kind: parent.Kind, ID: activation.NewObjectID(9999)}
			if err := w.finds([]provider.Edit{elsewhere}, []string{""}); err != nil {
				return fmt.Errorf("in a %s that is not made: %w", parent.Name, err)
			}
		}
		if err := w.net.Remove(activation.ObjectRef{Kind: t.Kind, ID: out[0].ID}); err != nil {
			return err
		}
		if err := w.finds([]provider.Edit{made}, []string{""}); err != nil {
			return fmt.Errorf("removed: %w", err)
		}
	}
	return nil
}

// costKinds are what costs are told by.
var costKinds = []activation.ObjectKind{activation.KindCampaign, activation.KindGroup, activation.KindKeyword}

// spend makes objects that cost something on four days, of which three are asked
// for, and returns what is to be told.
func (w *publisherWorld) spend() (from, until string, want map[string]activation.Cost, err error) {
	zone, err := time.LoadLocation(w.net.Info().Timezone)
	if err != nil {
		return "", "", nil, err
	}
	today := time.Now().In(zone)
	day := func(i int) string { return today.AddDate(0, 0, -i).Format(time.DateOnly) }
	edits, err := w.treeEdits(1)
	if err != nil {
		return "", "", nil, err
	}
	if _, err := w.do(edits...); err != nil {
		return "", "", nil, err
	}
	all, err := w.tree()
	if err != nil {
		return "", "", nil, err
	}
	want = map[string]activation.Cost{}
	n := int64(0)
	for _, kind := range costKinds {
		for ref := range all {
			if ref.Kind != kind {
				continue
			}
			for i := 1; i <= 4; i++ {
				n++
				c := activation.Cost{
					Date: day(i), Object: ref, Currency: w.net.Info().Currency, Impressions: 1000 * n, Clicks: 10 * n,
					Micros: 1_230_000 * n, Conversions: float64(n) + 0.5, Value: 12.25 * float64(n),
				}
				w.net.Spend(c)
				if i < 4 {
					want[costKey(c)] = c
				}
			}
		}
	}
	return day(3), day(1), want, nil
}

func costKey(c activation.Cost) string {
	return c.Date + " " + string(c.Object.Kind) + " " + c.Object.ID
}

func costs(w *publisherWorld) error {
	from, until, want, err := w.spend()
	if err != nil {
		return err
	}
	if len(want) == 0 {
		return errors.New("nothing costs anything: there is no campaign")
	}
	writes := w.net.Writes()
	got := map[string]activation.Cost{}
	err = w.pub.Costs(w.ctx, from, until, func(c activation.Cost) error {
		if _, twice := got[costKey(c)]; twice {
			return fmt.Errorf("%s is told twice", costKey(c))
		}
		got[costKey(c)] = c
		return nil
	})
	w.said.hear(err)
	if err != nil {
		return err
	}
	if w.net.Writes() != writes {
		return errors.New("it changed something")
	}
	for k, c := range want {
		have, ok := got[k]
		switch {
		case !ok:
			return fmt.Errorf("%s is missing among %d rows", k, len(got))
		case math.Abs(have.Conversions-c.Conversions) > 1e-6 || math.Abs(have.Value-c.Value) > 1e-6:
			return fmt.Errorf("%s is %+v, want %+v", k, have, c)
		}
		have.Conversions, have.Value = c.Conversions, c.Value
		if have != c {
			return fmt.Errorf("%s is %+v, want %+v", k, have, c)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d rows, want %d", len(got), len(want))
	}
	return nil
}

func noCosts(w *publisherWorld) error {
	t, err := w.top()
	if err != nil {
		return err
	}
	if _, err := w.object(t, 1, nil); err != nil {
		return err
	}
	day := time.Now().AddDate(0, 0, -2).Format(time.DateOnly)
	err = w.pub.Costs(w.ctx, day, day, func(c activation.Cost) error {
		if c.Micros != 0 || c.Impressions != 0 {
			return fmt.Errorf("%+v was spent by nobody", c)
		}
		return nil
	})
	w.said.hear(err)
	return err
}

func costsStop(w *publisherWorld) error {
	from, until, _, err := w.spend()
	if err != nil {
		return err
	}
	enough := errors.New("enough")
	seen := 0
	err = w.pub.Costs(w.ctx, from, until, func(activation.Cost) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 2 {
		return fmt.Errorf("it went on for %d rows and returned %v", seen, err) //nolint:errorlint // what is wrong must not pass for what it wraps
	}
	return nil
}

func costsBadToken(w *publisherWorld) error {
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	day := time.Now().AddDate(0, 0, -2).Format(time.DateOnly)
	err := w.pub.Costs(w.ctx, day, day, func(activation.Cost) error { return nil })
	w.said.hear(err)
	_, err = wantError(err, activation.Unauthorized, false)
	return err
}
