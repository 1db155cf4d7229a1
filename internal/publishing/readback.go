package publishing

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// readAtOnce is how many objects are read back in one call.
	readAtOnce = 500
	// theirsRemoved is what a conflict shows of an object that is gone.
	theirsRemoved = "removed"
)

// readBack finds out what became of everything whose outcome is unknown: entries that
// were processing when an attempt ended. Nothing else of the account is read or sent
// before that.
func (w *worker) readBack(ctx context.Context) error {
	for {
		limit := 1
		if w.declared != nil {
			limit = w.maxEdits()
		}
		taken, err := w.cfg.Store.TakeOverEntries(ctx, w.p.Pass(), w.account.ID, limit)
		if err != nil || len(taken) == 0 {
			return err
		}
		if w.declared == nil {
			if err := w.connect(ctx); err != nil {
				return err
			}
			continue // now with the whole call at once
		}
		if err := w.settled(ctx, taken); err != nil {
			return err
		}
		outcomes, err := w.judge(ctx, taken)
		if err != nil {
			return err
		}
		if err := w.settle(ctx, outcomes); err != nil {
			return err
		}
		w.p.Count("read_back", int64(len(taken)))
	}
}

// settled waits until no effect of the call can appear any more: Settles after it was
// cut. It was cut before now, and no later than callLimit after it began.
func (w *worker) settled(ctx context.Context, taken []activation.Entry) error {
	now := w.cfg.Now()
	var began time.Time
	for _, e := range taken {
		if e.Operation != activation.OpSync && e.PostedAt.After(began) {
			began = e.PostedAt
		}
	}
	if began.IsZero() {
		return nil
	}
	cutAt := began.Add(callLimit)
	if cutAt.After(now) {
		cutAt = now
	}
	wait := cutAt.Add(w.declared.Settles).Sub(now)
	if wait <= 0 {
		return nil
	}
	w.p.Moved()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// judge asks the publisher what became of these entries of one call.
func (w *worker) judge(ctx context.Context, taken []activation.Entry) (out []activation.EntryOutcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, w.brokeDown(ctx, p, false)
		}
	}()
	var edits, creates []activation.Entry
	for _, e := range taken {
		switch e.Operation {
		case activation.OpSync: // a reading bears repetition
			out = append(out, activation.EntryOutcome{Entry: e.ID, Status: activation.EntryQueued})
		case activation.OpCreate:
			creates = append(creates, e)
		default:
			edits = append(edits, e)
		}
	}
	made, err := w.judgeCreates(ctx, creates)
	if err != nil {
		return nil, err
	}
	changed, err := w.judgeEdits(ctx, edits, made)
	return slices.Concat(out, made, changed), err
}

// judgeEdits reads the objects of edits back and compares. made is what became of the
// creates of the same call, which the edits may refer to.
func (w *worker) judgeEdits(ctx context.Context, edits []activation.Entry, made []activation.EntryOutcome) (out []activation.EntryOutcome, err error) {
	ids := map[string]string{}
	for _, o := range made {
		ids[activation.NewObjectID(o.Entry)] = o.ID
	}
	err = inParts(edits, readAtOnce, func(part []activation.Entry) error {
		var refs []activation.ObjectRef
		for _, e := range part {
			if _, waits := activation.CreatedBy(e.Object.ID); !waits {
				refs = append(refs, e.Object)
			}
		}
		found, err := w.readObjects(ctx, refs)
		if err != nil {
			return err
		}
		had, err := w.cfg.Store.ObjectsOf(ctx, w.account.ID, refs)
		if err != nil {
			return err
		}
		for _, e := range part {
			var now *provider.ObjectState
			if o, ok := found[e.Object]; ok {
				now = &o
			}
			e.Changes = slices.Clone(e.Changes)
			for i, c := range e.Changes {
				if id := ids[c.After]; c.Object && id != "" {
					e.Changes[i].After = id
				}
			}
			declared, _ := w.declared.Object(cmp.Or(had[e.Object].Type, e.Type))
			out = append(out, judgeEdit(e, declared, w.account.Currency, had[e.Object].Confirmed, now))
		}
		return nil
	})
	return out, err
}

// readObjects reads objects back, by what they are.
func (w *worker) readObjects(ctx context.Context, refs []activation.ObjectRef) (map[activation.ObjectRef]provider.ObjectState, error) {
	found := map[activation.ObjectRef]provider.ObjectState{}
	err := inParts(refs, readAtOnce, func(part []activation.ObjectRef) error {
		states, err := w.client.Read(ctx, part)
		for _, s := range states {
			found[s.ObjectRef] = s
		}
		w.p.Moved()
		return err
	})
	return found, err
}

// judgeEdit says what became of an edit or a delete whose outcome was unknown. had are
// the values that the object had when it was sent, now is the object as it is.
func judgeEdit(e activation.Entry, declared provider.ObjectType, currency string, had map[string]string, now *provider.ObjectState) activation.EntryOutcome {
	out := activation.EntryOutcome{Entry: e.ID, Answer: "read back"}
	if e.Operation == activation.OpDelete {
		if now == nil {
			out.Status, out.Gone = activation.EntryDone, true
			return out
		}
		out.Status = activation.EntryQueued
		return out
	}
	if now == nil {
		out.Status, out.Reason, out.Gone, out.Theirs = activation.EntryHeld, activation.ReasonConflict, true, map[string]string{}
		for _, c := range e.Changes {
			out.Theirs[c.Field] = theirsRemoved
		}
		return out
	}
	isNew, theirs := 0, map[string]string{}
	for _, c := range e.Changes {
		field, _ := declared.Field(c.Field)
		switch got := now.Fields[c.Field]; {
		case readAs(field, got, c.After):
			isNew++
		case readAs(field, got, had[c.Field]):
		case rounded(field, currency, got, c.After):
			isNew++
		default:
			theirs[c.Field] = got
		}
	}
	out.Confirmed = readInto(had, e.Changes, declared, now.Fields)
	switch {
	case len(theirs) > 0:
		out.Status, out.Reason, out.Theirs = activation.EntryHeld, activation.ReasonConflict, theirs
	case isNew == len(e.Changes):
		out.Status = activation.EntryDone
	default: // nothing took effect, or some of it: the whole may be sent again
		out.Status = activation.EntryQueued
	}
	return out
}

// readInto are the values that we had, with those read back of the fields that an
// entry changes and of those that can only be read. What else changed there is found
// by the next reading, which flags conflicts.
func readInto(had map[string]string, changes []activation.Change, declared provider.ObjectType, now map[string]string) map[string]string {
	out := maps.Clone(had)
	if out == nil {
		out = map[string]string{}
	}
	take := func(field string) {
		delete(out, field)
		if v, ok := now[field]; ok {
			out[field] = v
		}
	}
	for _, c := range changes {
		take(c.Field)
	}
	for _, f := range declared.Fields {
		if f.Shown {
			take(f.Name)
		}
	}
	return out
}

// readAs reports whether what was read of a field is what was meant. The publisher may
// list what is in a list in another order.
func readAs(field provider.ObjectField, got, meant string) bool {
	return sameValue(field, got, meant) || field.Type == "list" && slices.Equal(listOf(got), listOf(meant))
}

func listOf(v string) []string {
	var out []string
	for word := range strings.SplitSeq(v, ",") {
		out = append(out, strings.TrimSpace(word))
	}
	slices.Sort(out)
	return out
}

// roughly are the currencies that some publisher counts in whole units although they
// have smaller ones.
var roughly = []string{"COP", "CRC", "HUF", "IDR", "TWD"}

// rounded reports whether an amount is what another one is when it is rounded to what
// publishers bill in the currency: whole units, or hundredths.
func rounded(field provider.ObjectField, currency, got, asked string) bool {
	if field.Type != "amount" {
		return false
	}
	half := 0.005
	if slices.Contains(whole, currency) || slices.Contains(roughly, currency) {
		half = 0.5
	}
	x, errX := strconv.ParseFloat(got, 64)
	y, errY := strconv.ParseFloat(asked, 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= half+1e-9
}

// judgeCreates looks for what creates made, parents first. One that is found is done;
// one that is not, and what lies in it, goes again.
func (w *worker) judgeCreates(ctx context.Context, creates []activation.Entry) (out []activation.EntryOutcome, err error) {
	ids := map[string]string{} // of those found, by the id they had
	resolve := func(id string) (string, bool) {
		if real, ok := ids[id]; ok {
			return real, true
		}
		_, waits := activation.CreatedBy(id)
		return id, !waits
	}
	for left := creates; len(left) > 0; {
		var edits []provider.Edit
		var rest []activation.Entry
		for _, e := range left {
			if edit, ok := withIDs(e, resolve); ok {
				edits = append(edits, edit)
			} else {
				rest = append(rest, e)
			}
		}
		found, err := w.look(ctx, edits)
		if err != nil {
			return nil, err
		}
		for i, edit := range edits {
			if found[i].ID != "" {
				ids[edit.Object.ID] = found[i].ID
			}
		}
		out = append(out, found...)
		if len(edits) == 0 { // what they lie in was not created, nor were they
			for _, e := range rest {
				out = append(out, activation.EntryOutcome{Entry: e.ID, Status: activation.EntryQueued})
			}
			rest = nil
		}
		left = rest
	}
	return out, nil
}

// withIDs is the edit of a create with the publisher's ids in it; ok is false where
// one of them is not known.
func withIDs(e activation.Entry, resolve func(id string) (string, bool)) (edit provider.Edit, ok bool) {
	edit = editOf(e, nil)
	if edit.Parent.ID, ok = resolve(edit.Parent.ID); !ok {
		return edit, false
	}
	for _, c := range e.Changes {
		if c.Object && c.After != "" {
			if edit.Set[c.Field], ok = resolve(c.After); !ok {
				return edit, false
			}
		}
	}
	return edit, true
}

// look asks the publisher for what these creates made, whose parents are there.
func (w *worker) look(ctx context.Context, edits []provider.Edit) ([]activation.EntryOutcome, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	for i := range edits {
		known, err := w.known(ctx, edits[i])
		if err != nil {
			return nil, err
		}
		edits[i].Known = known
	}
	ids, err := w.client.Find(ctx, edits)
	w.p.Moved()
	if err != nil {
		return nil, err
	}
	if len(ids) != len(edits) {
		return nil, &activation.Error{Kind: activation.Unavailable, Code: codeAnswer, Message: fmt.Sprintf("the client of the publisher looked for %d objects and told of %d", len(edits), len(ids))}
	}
	var refs []activation.ObjectRef
	for i, id := range ids {
		if id != "" {
			refs = append(refs, activation.ObjectRef{Kind: edits[i].Object.Kind, ID: id})
		}
	}
	states, err := w.readObjects(ctx, refs)
	if err != nil {
		return nil, err
	}
	ours, err := w.cfg.Store.ObjectsOf(ctx, w.account.ID, refs)
	if err != nil {
		return nil, err
	}
	out := make([]activation.EntryOutcome, len(edits))
	given := map[activation.ObjectRef]bool{}
	for i, edit := range edits {
		ref := activation.ObjectRef{Kind: edit.Object.Kind, ID: ids[i]}
		earlier, known := ours[ref]
		out[i] = activation.EntryOutcome{Entry: edit.Entry, Status: activation.EntryQueued, Answer: "read back: not there"}
		switch {
		case ids[i] == "":
		case known && !earlier.Removed || given[ref]:
			out[i].Status, out[i].ErrorCode, out[i].Answer = activation.EntryFailed, codeUnknown, ""
			out[i].ErrorText = "whether it was created can't be told from an object of that name that was there before; look at the publisher, then retry or leave it"
		default:
			given[ref] = true
			out[i].Status, out[i].ID, out[i].Answer = activation.EntryDone, ids[i], "read back: found by its name"
			out[i].Confirmed = edit.Set
			if s, ok := states[ref]; ok {
				out[i].Confirmed = s.Fields
			}
		}
	}
	return out, nil
}

// known are the ids of the objects that could be taken for what a create made, of
// those that were there before.
func (w *worker) known(ctx context.Context, e provider.Edit) (ids []string, err error) {
	add := func(all []activation.PublisherObject) {
		for _, o := range all {
			if _, waits := activation.CreatedBy(o.ID); !waits {
				ids = append(ids, o.ID)
			}
		}
	}
	if name := cmp.Or(e.Set[activation.FieldName], e.Set["keyword"]); name != "" {
		all, err := w.cfg.Store.FindObjects(ctx, w.account.ID, e.Object.Kind, e.Parent, []string{strings.ToLower(name)})
		add(all)
		return ids, err
	}
	q := activation.ObjectQuery{Publisher: w.account.ID, Kind: e.Object.Kind, Type: e.Type, Parent: e.Parent, Limit: readAtOnce}
	for {
		all, next, err := w.cfg.Store.Objects(ctx, q)
		if err != nil {
			return nil, err
		}
		add(all)
		if q.After = next; next == "" {
			return ids, nil
		}
	}
}
