package publishing

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// cut returns how many of these entries, counted from the head of the queue, may be
// offered to the publisher as one call: none is a sync, no object is in it twice, what
// is to be created there can be told apart, and what an entry needs is there or in
// front of it. 0 means that the first of them needs what is not there.
func cut(entries []activation.Entry) int {
	objects, made, twins := map[activation.ObjectRef]bool{}, map[string]bool{}, map[string]bool{}
	for i, e := range entries {
		if e.Operation == activation.OpSync || objects[e.Object] || !hasNeeds(e, made) {
			return i
		}
		if e.Operation == activation.OpCreate {
			likeness := likenessOf(e)
			if twins[likeness] {
				return i
			}
			twins[likeness], made[e.Object.ID] = true, true
		}
		objects[e.Object] = true
	}
	return len(entries)
}

// idsOf are the ids of the objects that an edit refers to, its own among them.
func idsOf(e activation.Entry) []string {
	ids := []string{e.ObjectParent.ID, e.Object.ID}
	for _, c := range e.Changes {
		if c.Object {
			ids = append(ids, c.After)
		}
	}
	return ids
}

// hasNeeds reports whether every object that the entry refers to is there or is among
// those that are made in front of it.
func hasNeeds(e activation.Entry, made map[string]bool) bool {
	for _, id := range idsOf(e) {
		create, waits := activation.CreatedBy(id)
		if waits && create != e.ID && !made[id] {
			return false
		}
	}
	return true
}

// likenessOf is equal for two creates that could be taken for each other when one is
// looked for: of the same name, or keyword and match, below the same parent; or without
// a name and the same.
func likenessOf(e activation.Entry) string {
	parts := []string{string(e.Object.Kind), e.Type, string(e.ObjectParent.Kind), e.ObjectParent.ID}
	if name := nameOf(e); name != "" {
		parts = append(parts, strings.ToLower(name), valueOf(e, "match_type"))
	} else {
		for _, c := range e.Changes {
			parts = append(parts, c.Field, c.After)
		}
	}
	return strings.Join(parts, "\x00")
}

// nameOf is what an object that is to be created is called, "" = it has no name.
func nameOf(e activation.Entry) string {
	return cmp.Or(valueOf(e, activation.FieldName), valueOf(e, "keyword"))
}

// valueOf is what an entry sets a field to.
func valueOf(e activation.Entry, field string) string {
	for _, c := range e.Changes {
		if c.Field == field {
			return c.After
		}
	}
	return ""
}

// editOf is what the publisher is told of an entry. have are the confirmed values of
// its object.
func editOf(e activation.Entry, have map[string]string) provider.Edit {
	out := provider.Edit{Entry: e.ID, Operation: e.Operation, Object: e.Object, Type: e.Type, Parent: e.ObjectParent}
	if e.Operation != activation.OpCreate {
		out.Have = maps.Clone(have)
	}
	if e.Operation == activation.OpDelete {
		return out
	}
	out.Set = map[string]string{}
	for _, c := range e.Changes {
		switch {
		case c.After != "":
			out.Set[c.Field] = c.After
		case e.Operation != activation.OpCreate:
			out.Clear = append(out.Clear, c.Field)
		}
	}
	return out
}

// after are the values of an object once an edit took effect. values are what the
// publisher made of it beside what was asked.
func after(e provider.Edit, values map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, e.Have)
	maps.Copy(out, e.Set)
	for _, f := range e.Clear {
		delete(out, f)
	}
	for f, v := range values {
		if v == "" {
			delete(out, f)
			continue
		}
		out[f] = v
	}
	return out
}

// codeRefused is the code of a refusal for which the publisher gave none.
const codeRefused = "PUB-REFUSED"

// outcomesOf are what the log keeps of the outcomes of a call, as far as they are known.
// What refers to a create of the same call that did not take effect fares as that did,
// whatever the publisher says of it: its own words are about an object that is not there.
func outcomesOf(entries []activation.Entry, edits []provider.Edit, answers []provider.EditOutcome) (known []activation.EntryOutcome) {
	missing := map[string]activation.EntryStatus{} // of creates by the id they had; "" = not known
	made := map[string]string{}                    // the ids of what was created, by those they had
	for i, edit := range edits {
		out, ok := outcomeOf(edit, answers[i])
		for _, id := range idsOf(entries[i]) {
			status, lacks := missing[id]
			switch {
			case !lacks || ok && out.Status == activation.EntryDone:
			case status == activation.EntryFailed:
				create, _ := activation.CreatedBy(id)
				out = activation.EntryOutcome{Entry: edit.Entry, Status: activation.EntryFailed, ErrorCode: codeNeeds, ErrorText: fmt.Sprintf("it needs what #%d was to create, and that failed", create), RequestID: answers[i].RequestID}
				ok = true
			case status == activation.EntryQueued:
				out, ok = activation.EntryOutcome{Entry: edit.Entry, Status: activation.EntryQueued}, true
			default:
				ok = false
			}
		}
		if !ok {
			out.Status = ""
		}
		switch {
		case edit.Operation == activation.OpCreate && out.Status == activation.EntryDone:
			made[edit.Object.ID] = out.ID
		case edit.Operation == activation.OpCreate:
			missing[edit.Object.ID] = out.Status
		}
		if ok {
			realIDs(entries[i], edit, out.Confirmed, made)
			known = append(known, out)
		}
	}
	return known
}

// realIDs calls what was created in the same call by its id at the publisher, in the
// values of an object that refers to it. Where that id is not known, the value stays
// what it was until it is read.
func realIDs(e activation.Entry, edit provider.Edit, confirmed, made map[string]string) {
	for _, c := range e.Changes {
		if _, waits := activation.CreatedBy(confirmed[c.Field]); !c.Object || !waits {
			continue
		}
		if id := cmp.Or(made[confirmed[c.Field]], edit.Have[c.Field]); id != "" {
			confirmed[c.Field] = id
		} else {
			delete(confirmed, c.Field)
		}
	}
}

// outcomeOf is what the log keeps of an edit's outcome; ok is false when that is not
// known yet.
func outcomeOf(e provider.Edit, o provider.EditOutcome) (out activation.EntryOutcome, ok bool) {
	out = activation.EntryOutcome{Entry: e.Entry, Answer: o.Answer, RequestID: o.RequestID}
	switch o.State {
	case provider.EditDone:
		out.Status = activation.EntryDone
		switch e.Operation {
		case activation.OpDelete:
			out.Gone = true
		case activation.OpCreate:
			if o.ID == "" {
				return out, false // it is looked for
			}
			out.ID, out.Confirmed = o.ID, after(e, o.Values)
		default:
			out.Confirmed = after(e, o.Values)
		}
	case provider.EditRefused:
		out.Status, out.ErrorCode, out.ErrorText = activation.EntryFailed, cmp.Or(o.Code, codeRefused), o.Text
		out.ErrorField = o.Field
	case provider.EditLater:
		out.Status, out.ErrorCode, out.ErrorText = activation.EntryQueued, cmp.Or(o.Code, codeLater), o.Text
	case provider.EditUnknown:
		return out, false
	default:
		return out, false // an outcome that nobody knows is unknown
	}
	return out, true
}
