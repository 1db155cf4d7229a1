package storetest

import (
	"cmp"
	"maps"
	"slices"

	"usher/internal/activation"
)

// activityLog is the Activity Log of one account as product section 6 tells it, in plain
// maps and without any index, place or count: those are what the store is asked for.
type activityLog struct {
	entries map[activation.EntryID]*activation.Entry
	objects map[activation.ObjectRef]*theirObject // as the publisher has them
}

type theirObject struct {
	values  map[string]string
	removed bool
}

// keys are the four keys of the order, as section 6 lists them.
func keys(e *activation.Entry) []int {
	origin := map[activation.Origin]int{activation.OriginScheduled: 1, activation.OriginUser: 2, activation.OriginSystem: 3}
	object := map[activation.ObjectKind]int{activation.KindCampaign: 1, activation.KindGroup: 2, activation.KindCreative: 3, activation.KindKeyword: 4, activation.KindOther: 5}
	operation := 3
	switch e.Operation {
	case activation.OpSync:
		operation = 1
	case activation.OpCreate:
		operation = 2
	case activation.OpEdit, activation.OpBid, activation.OpGeo, activation.OpStatus, activation.OpDelete, activation.OpUpload:
	}
	return []int{origin[e.Origin], object[e.Object.Kind], operation, int(e.ID)}
}

// ordered sorts entries by the keys and then, as long as one comes before a create that
// it needs, moves that create directly in front of it.
func (l *activityLog) ordered(which func(*activation.Entry) bool) []activation.EntryID {
	var list []*activation.Entry
	for _, e := range l.entries {
		if which(e) && e.Operation != activation.OpUpload {
			list = append(list, e)
		}
	}
	before := func(a, b *activation.Entry) int { return slices.Compare(keys(a), keys(b)) }
	slices.SortFunc(list, before)
	for i := 0; i < len(list); {
		next := -1
		for j := i + 1; j < len(list); j++ {
			if slices.Contains(list[i].Refers, list[j].ID) && (next < 0 || before(list[j], list[next]) < 0) {
				next = j
			}
		}
		if next < 0 {
			i++
			continue
		}
		create := list[next]
		list = slices.Insert(slices.Delete(list, next, next+1), i, create)
	}
	ids := make([]activation.EntryID, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	return ids
}

func of(statuses ...activation.EntryStatus) func(*activation.Entry) bool {
	return func(e *activation.Entry) bool { return slices.Contains(statuses, e.Status) }
}

// needs is all that an entry needs, directly or not.
func (l *activityLog) needs(e *activation.Entry) []*activation.Entry {
	found := map[activation.EntryID]bool{}
	var add func(e *activation.Entry)
	add = func(e *activation.Entry) {
		for _, id := range e.Refers {
			if !found[id] {
				found[id] = true
				add(l.entries[id])
			}
		}
	}
	add(e)
	var out []*activation.Entry
	for _, id := range slices.Sorted(maps.Keys(found)) {
		out = append(out, l.entries[id])
	}
	return out
}

// needing are all of these statuses that need e, directly or not, through such alone.
func (l *activityLog) needing(e *activation.Entry, which func(*activation.Entry) bool) []*activation.Entry {
	found := map[activation.EntryID]bool{}
	from := []activation.EntryID{e.ID}
	for len(from) > 0 {
		var next []activation.EntryID
		for _, d := range l.entries {
			if !found[d.ID] && which(d) && slices.ContainsFunc(from, func(id activation.EntryID) bool { return slices.Contains(d.Refers, id) }) {
				found[d.ID] = true
				next = append(next, d.ID)
			}
		}
		from = next
	}
	var out []*activation.Entry
	for _, id := range slices.Sorted(maps.Keys(found)) {
		out = append(out, l.entries[id])
	}
	return out
}

const (
	isHeld, toBeSent, isQueued, isProcessing = activation.EntryHeld, activation.EntryToBeSent, activation.EntryQueued, activation.EntryProcessing
	isDone, isFailed, isCancelled            = activation.EntryDone, activation.EntryFailed, activation.EntryCancelled
)

// written adds entries as the store has named them, in the statuses that were asked for.
func (l *activityLog) written(entries []activation.Entry) {
	for _, e := range entries {
		l.entries[e.ID] = &e
	}
	var lower, along []*activation.Entry
	for _, e := range entries {
		if e.Status != isQueued {
			continue
		}
		needs := l.needs(&e)
		if slices.ContainsFunc(needs, of(isHeld)) {
			lower = append(lower, l.entries[e.ID])
			continue
		}
		for _, n := range needs {
			if n.Status == toBeSent {
				along = append(along, n)
			}
		}
	}
	for _, e := range lower {
		e.Status = toBeSent
	}
	for _, e := range along {
		e.Status = isQueued
	}
}

// move does a command and returns how many entries it moved, and moved along.
func (l *activityLog) move(c activation.EntryCommand, selected []activation.EntryID) (done, also int64) {
	var can []*activation.Entry
	for _, id := range selected {
		e := l.entries[id]
		conflict := e.Status == isHeld && e.Reason == activation.ReasonConflict
		o := l.objects[e.Object]
		ok := false
		switch c {
		case activation.CommandPost:
			ok = (e.Status == isHeld || e.Status == toBeSent) && !(conflict && o != nil && o.removed)
		case activation.CommandPostAll:
			ok = e.Status == toBeSent
		case activation.CommandRetry:
			ok = e.Status == isFailed
		case activation.CommandHold:
			ok = e.Status == toBeSent
		case activation.CommandRelease:
			ok = e.Status == isHeld && !conflict
		case activation.CommandCancel:
			ok = e.Status == isHeld || e.Status == toBeSent
		}
		if ok {
			can = append(can, e)
		}
	}
	switch c {
	case activation.CommandHold, activation.CommandRelease:
		for _, e := range can {
			e.Status, e.Reason = isHeld, activation.ReasonUser
			if c == activation.CommandRelease {
				e.Status, e.Reason = toBeSent, ""
			}
		}
		return int64(len(can)), 0
	case activation.CommandCancel:
		for _, e := range can {
			e.Status, e.Reason = isCancelled, activation.ReasonUser
		}
		for _, e := range can {
			for _, d := range l.needing(e, func(e *activation.Entry) bool { return e.Status.Waits() || slices.Contains(can, e) }) {
				if d.Status.Waits() {
					d.Status, d.Reason = isCancelled, "what it needs was cancelled"
					also++
				}
			}
		}
		return int64(len(can)), also
	case activation.CommandPost, activation.CommandPostAll, activation.CommandRetry:
	}
	var ready []*activation.Entry
	along := map[*activation.Entry]bool{}
	for _, e := range can {
		needs := l.needs(e)
		if slices.ContainsFunc(needs, func(n *activation.Entry) bool {
			return of(isHeld, isFailed, isCancelled)(n) && !slices.Contains(can, n)
		}) {
			continue
		}
		ready = append(ready, e)
		for _, n := range needs {
			if n.Status == toBeSent && !slices.Contains(can, n) {
				along[n] = true
			}
		}
	}
	for _, e := range ready {
		if o := l.objects[e.Object]; e.Reason == activation.ReasonConflict {
			for i, change := range e.Changes {
				e.Changes[i].Before, e.Changes[i].Theirs = change.Before, ""
				if o != nil {
					e.Changes[i].Before = o.values[change.Field]
				} else if change.Theirs != "" {
					e.Changes[i].Before = change.Theirs
				}
			}
		}
		e.Status, e.Reason = isQueued, ""
	}
	for e := range along {
		e.Status = isQueued
	}
	return int64(len(ready)), int64(len(along))
}

// settle does what the outcomes of processing entries say.
func (l *activityLog) settle(outcomes []activation.EntryOutcome) {
	for _, o := range outcomes {
		e := l.entries[o.Entry]
		e.Status, e.Reason = o.Status, o.Reason
		switch {
		case o.Status == isDone && e.Operation == activation.OpCreate:
			l.created(e, o.ID)
		case o.Status == isHeld:
			for i, c := range e.Changes {
				e.Changes[i].Theirs = o.Theirs[c.Field]
			}
		}
		if their := l.objects[e.Object]; their != nil && (o.Confirmed != nil || o.Gone) {
			their.removed = o.Gone
			if o.Confirmed != nil {
				their.values = o.Confirmed
			}
		}
	}
	for _, o := range outcomes {
		if e := l.entries[o.Entry]; e.Operation == activation.OpCreate && o.Status == isFailed {
			for _, d := range l.needing(e, of(isHeld, toBeSent, isQueued)) {
				d.Status, d.Reason = isFailed, ""
			}
		}
	}
	for _, o := range outcomes {
		if e := l.entries[o.Entry]; e.Operation == activation.OpCreate && o.Status == isHeld {
			for _, d := range l.needing(e, of(isQueued)) {
				d.Status = toBeSent
			}
		}
	}
}

// created gives what was created its real id, wherever the old one stands.
func (l *activityLog) created(create *activation.Entry, id string) {
	old := create.Object.ID
	values := map[string]string{}
	for _, c := range create.Changes {
		if c.After != "" {
			values[c.Field] = c.After
		}
	}
	l.objects[activation.ObjectRef{Kind: create.Object.Kind, ID: id}] = &theirObject{values: values}
	for _, e := range l.entries {
		e.Refers = slices.DeleteFunc(e.Refers, func(need activation.EntryID) bool { return need == create.ID })
		if e.Object.ID == old {
			e.Object.ID = id
		}
		if e.ObjectParent.ID == old {
			e.ObjectParent.ID = id
		}
		for i, c := range e.Changes {
			if c.Object && c.After == old {
				e.Changes[i].After = id
			}
		}
	}
}

// read stores what the publisher has of one object now, nil = it is gone.
func (l *activityLog) read(ref activation.ObjectRef, now map[string]string) {
	their := l.objects[ref]
	waits := l.ordered(func(e *activation.Entry) bool { return e.Object == ref && e.Status.Waits() })
	if now == nil {
		if their.removed {
			return
		}
		their.removed = true
		for _, id := range waits {
			e := l.entries[id]
			if e.Operation == activation.OpDelete || e.Status == isProcessing {
				continue
			}
			e.Status, e.Reason = isHeld, activation.ReasonConflict
			for i := range e.Changes {
				e.Changes[i].Theirs = "removed"
			}
		}
		return
	}
	before := their.values
	their.values, their.removed = now, false
	for _, field := range []string{"bid", "label", "name", "status"} {
		if before[field] == now[field] {
			continue
		}
		var first *activation.Change
		var holder *activation.Entry
		wanted := false
		for _, id := range waits {
			e := l.entries[id]
			for i := range e.Changes {
				switch c := &e.Changes[i]; {
				case c.Field != field:
				case e.Status == isProcessing:
					wanted = wanted || c.After == now[field]
				case first == nil:
					first, holder = c, e
				}
			}
		}
		if first != nil && !wanted && first.After != now[field] {
			first.Theirs = now[field]
			holder.Status, holder.Reason = isHeld, activation.ReasonConflict
		}
	}
}

// local is what an object will be, how many entries wait of it, and whether one deletes it.
func (l *activityLog) local(ref activation.ObjectRef) (values map[string]string, waiting int64, deleted bool) {
	values = map[string]string{}
	if o := l.objects[ref]; o != nil {
		maps.Copy(values, o.values)
	}
	for _, id := range l.ordered(func(e *activation.Entry) bool { return e.Object == ref && e.Status.Waits() }) {
		e := l.entries[id]
		waiting++
		deleted = deleted || e.Operation == activation.OpDelete
		for _, c := range e.Changes {
			if values[c.Field] = c.After; c.After == "" {
				delete(values, c.Field)
			}
		}
	}
	return values, waiting, deleted
}

// refs are the objects that there are: the publisher's, and those whose create waits.
func (l *activityLog) refs() []activation.ObjectRef {
	found := map[activation.ObjectRef]bool{}
	for ref := range l.objects {
		found[ref] = true
	}
	for _, e := range l.entries {
		if e.Operation == activation.OpCreate && e.Status.Waits() {
			found[e.Object] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b activation.ObjectRef) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
}
