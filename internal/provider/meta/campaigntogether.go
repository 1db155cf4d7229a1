package meta

import (
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
)

// Together says how many edits travel in one batch. Meta promises no order among
// the operations of a batch, so an edit goes alone where it has to do with one in
// front of it: they are about the same object, one lies in the other, one refers to
// the other, or both are about ad sets of one campaign, which Meta forbids.
func (p *publisher) Together(edits []provider.Edit) int {
	size := 0
	for i, e := range edits {
		size += weight(e)
		if i == maxTogether || i > 0 && size > p.m.maxBytes {
			return i
		}
		if slices.ContainsFunc(edits[:i], func(before provider.Edit) bool { return depends(before, e) }) {
			return i
		}
	}
	return max(1, len(edits))
}

// weight is about how many bytes an edit is in a batch, which has it encoded twice.
func weight(e provider.Edit) int {
	n := 200
	for k, v := range e.Set {
		n += len(k) + 4*len(v)
	}
	if targets(e) {
		n += 4 * len(e.Have[fieldTargeting])
	}
	return n
}

// depends reports whether it may matter which of two edits takes effect first. What
// is not known counts as yes.
func depends(a, b provider.Edit) bool {
	switch {
	case a.Object == b.Object, refers(a, b.Object), refers(b, a.Object):
		return true
	case a.Operation == activation.OpCreate && b.Operation == activation.OpCreate && a.Type == b.Type && a.Parent == b.Parent && a.Set[activation.FieldName] == b.Set[activation.FieldName]:
		return true // were the outcome unknown, nobody could tell them apart
	case a.Type == typeSet && b.Type == typeSet:
		return campaignOf(a) == campaignOf(b) || campaignOf(a) == "" || campaignOf(b) == ""
	case a.Type == typeCampaign:
		return within(b, a.Object.ID)
	case b.Type == typeCampaign:
		return within(a, b.Object.ID)
	case a.Type == typeAd && b.Type == typeSet:
		return a.Parent.ID == ""
	case b.Type == typeAd && a.Type == typeSet:
		return b.Parent.ID == ""
	}
	return false
}

// refers reports whether e lies directly in an object or has it as a value, now or
// from then on.
func refers(e provider.Edit, to activation.ObjectRef) bool {
	if to.ID == "" {
		return false
	}
	if e.Parent == to {
		return true
	}
	l, _ := levelOf(e.Type)
	for _, m := range l.members {
		other, _ := levelOf(m.Object)
		if m.Type == "object" && other.kind == to.Kind && (e.Set[m.Name] == to.ID || e.Have[m.Name] == to.ID) {
			return true
		}
	}
	return false
}

// campaignOf is the campaign that the object of an edit is or lies in, "" = it is
// not known.
func campaignOf(e provider.Edit) string {
	switch e.Type {
	case typeCampaign:
		return e.Object.ID
	case typeSet:
		return e.Parent.ID
	}
	return e.Have[fieldCampaign]
}

// within reports whether an edit is of something in that campaign.
func within(e provider.Edit, campaign string) bool {
	if e.Type != typeSet && e.Type != typeAd {
		return false
	}
	of := campaignOf(e)
	return of == "" || of == campaign
}
