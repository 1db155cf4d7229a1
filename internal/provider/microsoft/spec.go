package microsoft

import (
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The types, as they are declared.
const (
	typeBudget   = "budget"
	typeCampaign = "campaign"
	typeGroup    = "ad group"
	typeAd       = "ad"
	typeKeyword  = "keyword"
	typeLocation = "location"
)

// The names that requests have for what objects lie in.
const (
	keyAccount  = "AccountId"
	keyCampaign = "CampaignId"
	keyGroup    = "AdGroupId"
)

// spec is how one type is called at Microsoft.
type spec struct {
	typ  string
	kind activation.ObjectKind
	// list is the resource and the name of the list in a request; ids is the list of
	// ids in requests and answers; within is the key of what they lie in, "" = none.
	list, ids, within string
	// limitName and limit say how many a call takes that edits, reads how many one takes
	// that reads by ids (pages "limits": AddCampaigns, GetAdsByIds and their like).
	limitName string
	limit     int
	reads     int
}

var specs = []spec{
	{typeBudget, activation.KindOther, "Budgets", "BudgetIds", "", "budgets", 100, 100},
	{typeCampaign, activation.KindCampaign, "Campaigns", "CampaignIds", keyAccount, "campaigns", 100, 100},
	{typeGroup, activation.KindGroup, "AdGroups", "AdGroupIds", keyCampaign, "ad_groups", 1000, 1000},
	{typeAd, activation.KindCreative, "Ads", "AdIds", keyGroup, "ads", 50, 20},
	{typeKeyword, activation.KindKeyword, "Keywords", "KeywordIds", keyGroup, "keywords", 1000, 1000},
	{typeLocation, activation.KindOther, "CampaignCriterions", "CampaignCriterionIds", keyCampaign, "locations", 100, 100},
}

// limitField is the setting that says how many a call takes.
func (s spec) limitField() string { return maxField + s.limitName }

func specOf(typ string) (spec, bool) {
	for _, s := range specs {
		if s.typ == typ {
			return s, true
		}
	}
	return spec{}, false
}

// specOfRef is that of an object of which only the reference is known.
func specOfRef(ref activation.ObjectRef) (spec, bool) {
	for _, s := range specs {
		if s.kind == ref.Kind && (ref.Kind != activation.KindOther || (s.typ == typeLocation) == strings.Contains(ref.ID, "~")) {
			return s, safePath(ref.ID)
		}
	}
	return spec{}, false
}

// join makes the id of what lies in parent.
func join(parent, id string) string {
	if parent == "" {
		return id
	}
	return parent + "~" + id
}

// split takes an id apart: that of what it lies in, and Microsoft's own.
func split(id string) (parent, own string) {
	i := strings.LastIndexByte(id, '~')
	if i < 0 {
		return "", id
	}
	return id[:i], id[i+1:]
}

// own is Microsoft's own id at the end of one.
func own(id string) string {
	_, id = split(id)
	return id
}

// ref makes the reference of an object of s.
func (s spec) ref(parent, id string) activation.ObjectRef {
	return activation.ObjectRef{Kind: s.kind, ID: join(parent, id)}
}

// parentRef is what an object of s lies in, by the id of that.
func (s spec) parentRef(parent string) activation.ObjectRef {
	switch s.within {
	case keyCampaign:
		return activation.ObjectRef{Kind: activation.KindCampaign, ID: parent}
	case keyGroup:
		return activation.ObjectRef{Kind: activation.KindGroup, ID: parent}
	}
	return activation.ObjectRef{}
}

// safePath reports whether id can be nothing but one of ours.
func safePath(id string) bool {
	for _, part := range strings.Split(id, "~") {
		if !digits(part) {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}

// action is what an edit does, as far as calls differ.
type action int

const (
	doCreate action = iota
	doUpdate
	doDelete
)

func actionOf(e provider.Edit) action {
	switch e.Operation {
	case activation.OpCreate:
		return doCreate
	case activation.OpDelete:
		return doDelete
	default:
		return doUpdate
	}
}
