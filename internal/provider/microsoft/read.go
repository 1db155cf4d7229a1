package microsoft

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// listed are the objects that a query answers, of which asked were named; 0 = all. It
// is an error where their list is not in the answer, has not a place for each that was
// named, or one could not be read for another reason than that it is not there: what
// is not told must not pass for what is gone.
func (s spec) listed(answer map[string]json.RawMessage, asked int) ([]*remote, error) {
	var all []*remote
	raw, there := answer[s.list]
	if !there || json.Unmarshal(raw, &all) != nil || asked > 0 && len(all) != asked {
		return nil, unreadable("the list of " + s.limitName)
	}
	if _, told := answer["PartialErrors"]; !told {
		return all, nil
	}
	errs, ok := rowErrors(answer)
	if !ok {
		return nil, unreadable("the errors of " + s.limitName)
	}
	for _, e := range errs {
		if !e.missing() {
			class, _ := classify(http.StatusInternalServerError, fault{BatchErrors: []rowError{e}}, true)
			return nil, answered(class, http.StatusOK, e)
		}
	}
	return all, nil
}

func unreadable(what string) error {
	e := classAnswer.New()
	e.Message += " (" + what + ")"
	return e
}

// state is an object as it is told, ok = false for one that is not shown or gone.
func (s spec) state(parent string, o *remote) (provider.ObjectState, bool) {
	if o == nil || o.ID == "" || o.Status == "Deleted" {
		return provider.ObjectState{}, false
	}
	f, ok := s.fields(*o)
	return provider.ObjectState{ObjectRef: s.ref(parent, string(o.ID)), Type: s.typ, Parent: s.parentRef(parent), Fields: f}, ok
}

// body is what a query of s within parent begins with.
func (p *publisher) body(s spec, parent string) map[string]any {
	b := map[string]any{}
	switch s.within {
	case keyAccount:
		b[keyAccount] = p.account
	case keyCampaign, keyGroup:
		b[s.within] = own(parent)
	}
	switch s.typ {
	case typeCampaign:
		b["CampaignType"] = p.campaignTypes
	case typeAd:
		b["AdTypes"] = []string{adForm}
	case typeLocation:
		b["CriterionType"] = "Location"
	}
	return b
}

// children are all objects of s within parent.
func (p *publisher) children(ctx context.Context, s spec, parent string) ([]provider.ObjectState, error) {
	path, b := campaignPath+s.list+"/QueryBy"+s.within, p.body(s, parent)
	if s.typ == typeBudget || s.typ == typeLocation { // these are all told where no id is named
		path, b[s.ids] = campaignPath+s.list+"/QueryByIds", nil
	}
	return p.states(ctx, s, parent, path, b, 0)
}

// states are the objects that a query answers; asked is how many it names, 0 = all.
func (p *publisher) states(ctx context.Context, s spec, parent, path string, body map[string]any, asked int) ([]provider.ObjectState, error) {
	var answer map[string]json.RawMessage
	if err := p.query(ctx, path, body, &answer); err != nil {
		return nil, err
	}
	list, err := s.listed(answer, asked)
	if err != nil {
		return nil, err
	}
	var all []provider.ObjectState
	for _, o := range list {
		if state, ok := s.state(parent, o); ok {
			all = append(all, state)
		}
	}
	return all, nil
}

// Read reads objects back, as many of one place in one call as it takes.
func (p *publisher) Read(ctx context.Context, refs []activation.ObjectRef) ([]provider.ObjectState, error) {
	type place struct {
		typ, parent string
	}
	var order []place
	ids := map[place][]string{}
	for _, ref := range refs {
		s, ok := specOfRef(ref)
		if !ok {
			continue // no such object can be there
		}
		parent, id := split(ref.ID)
		at := place{s.typ, parent}
		if ids[at] == nil {
			order = append(order, at)
		}
		ids[at] = append(ids[at], id)
	}
	var all []provider.ObjectState
	for _, at := range order {
		s, _ := specOf(at.typ)
		for chunk := range slices.Chunk(ids[at], min(p.limits[at.typ], s.reads)) {
			b := p.body(s, at.parent)
			b[s.ids] = chunk
			some, err := p.states(ctx, s, at.parent, campaignPath+s.list+"/QueryByIds", b, len(chunk))
			if gone(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, slices.DeleteFunc(some, func(o provider.ObjectState) bool { return !slices.Contains(chunk, own(o.ID)) })...)
		}
	}
	return all, nil
}

// gone reports whether a query was refused because what its objects lie in is not
// there (any more).
func gone(err error) bool {
	return activation.CodeOf(err) == classRequest.Code && (strings.Contains(err.Error(), "InvalidCampaignId") || strings.Contains(err.Error(), "InvalidAdGroupId"))
}

// Find looks for what creates may have made, in what they were to lie in.
func (p *publisher) Find(ctx context.Context, creates []provider.Edit) ([]string, error) {
	type place struct {
		typ, parent string
	}
	read := map[place][]provider.ObjectState{}
	found := make([]string, len(creates))
	made := map[string]string{}
	for i, e := range creates {
		s, ok := specOf(e.Type)
		parent := e.Parent.ID
		if id, there := made[parent]; there {
			parent = id
		}
		if !ok || s.parentRef("x") != noRef && !safePath(parent) {
			continue
		}
		at := place{s.typ, parent}
		if _, there := read[at]; !there {
			all, err := p.children(ctx, s, parent)
			if err != nil && !gone(err) {
				return nil, err
			}
			read[at] = all
		}
		for _, o := range read[at] {
			if s.isOf(o, e) && !slices.Contains(e.Known, o.ID) {
				found[i], made[e.Object.ID] = o.ID, o.ID
			}
		}
	}
	return found, nil
}

// telling are the fields by which an object of a type is known from its neighbours.
func (s spec) telling() []string {
	switch s.typ {
	case typeKeyword:
		return []string{fieldKeyword, fieldMatch}
	case typeLocation:
		return []string{fieldLocation}
	case typeAd:
		return append(adFields(), fieldFinalURL)
	}
	return []string{activation.FieldName}
}

// adFields are those of an ad's texts.
func adFields() []string {
	var names []string
	for _, f := range adType(provider.ObjectField{}).Fields {
		if f.Fixed {
			names = append(names, f.Name)
		}
	}
	return names
}

func (s spec) isOf(o provider.ObjectState, e provider.Edit) bool {
	for _, name := range s.telling() {
		if o.Fields[name] != e.Set[name] {
			return false
		}
	}
	return s.typ != typeLocation || (o.Fields[fieldNegative] == "true") == (e.Set[fieldNegative] == "true")
}

// Structure tells of all objects, a campaign with all that is in it after the other.
func (p *publisher) Structure(ctx context.Context, yield func(provider.ObjectState) error) error {
	if err := p.tell(ctx, typeBudget, "", yield, nil); err != nil {
		return err
	}
	group := func(g provider.ObjectState) error {
		if err := p.tell(ctx, typeAd, g.ID, yield, nil); err != nil {
			return err
		}
		return p.tell(ctx, typeKeyword, g.ID, yield, nil)
	}
	return p.tell(ctx, typeCampaign, "", yield, func(c provider.ObjectState) error {
		if err := p.tell(ctx, typeLocation, c.ID, yield, nil); err != nil {
			return err
		}
		return p.tell(ctx, typeGroup, c.ID, yield, group)
	})
}

// tell yields the objects of a type within parent, each with what below makes of it.
// What is removed meanwhile has nothing in it.
func (p *publisher) tell(ctx context.Context, typ, parent string, yield, below func(provider.ObjectState) error) error {
	s, _ := specOf(typ)
	all, err := p.children(ctx, s, parent)
	if err != nil && (parent == "" || !gone(err)) {
		return err
	}
	for _, o := range all {
		if err := yield(o); err != nil {
			return err
		}
		if below != nil {
			if err := below(o); err != nil {
				return err
			}
		}
	}
	return nil
}
