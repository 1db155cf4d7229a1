package google

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// mutation is one operation of a call.
type mutation struct {
	// kind is Google's word for operations on such a resource.
	kind string
	// One of these three is set; an update has a mask.
	create, update map[string]any
	mask           []string
	remove         string
}

// MarshalJSON writes it as Google takes it.
func (m mutation) MarshalJSON() ([]byte, error) {
	op := map[string]any{}
	switch {
	case m.create != nil:
		op["create"] = m.create
	case m.update != nil:
		op["update"], op["updateMask"] = m.update, strings.Join(m.mask, ",")
	default:
		op["remove"] = m.remove
	}
	return json.Marshal(map[string]any{m.kind: op})
}

// The kinds of operations.
const (
	opCampaign  = "campaignOperation"
	opBudget    = "campaignBudgetOperation"
	opAdGroup   = "adGroupOperation"
	opAd        = "adGroupAdOperation"
	opKeyword   = "adGroupCriterionOperation"
	opCriterion = "campaignCriterionOperation"
)

// kindsOf are collection and kind of operation, by type of object.
var kindsOf = map[string]struct{ collection, kind string }{
	typeCampaign: {inCampaigns, opCampaign}, typeBudget: {inBudgets, opBudget}, typeAdGroup: {inAdGroups, opAdGroup},
	typeAd: {inAds, opAd}, typeKeyword: {inKeywords, opKeyword}, typeLocation: {inCriteria, opCriterion}, typeNegative: {inCriteria, opCriterion},
}

// collections are those of the kinds.
var collections = func() map[string]string {
	all := map[string]string{}
	for _, k := range kindsOf {
		all[k.kind] = k.collection
	}
	return all
}()

// refusal is an edit that is not sent, since Google would refuse it or it is not
// clear what to send.
type refusal struct {
	class       adsClass
	field, text string
}

func (r *refusal) outcome() provider.EditOutcome {
	return provider.EditOutcome{State: provider.EditRefused, Code: r.class.Code, Text: first(r.text, r.class.Message), Field: r.field}
}

// writer makes the operations of one edit.
type writer struct {
	c *campaigns
	e provider.Edit
	// ids has the temporary ids of what the same call creates; next is the last that
	// was given.
	ids  map[string]string
	next *int
	unit int64

	body   map[string]any
	mask   []string
	values map[string]string // that are not as asked
	ops    []mutation
	bad    *refusal
}

// id is the id that a reference has in this call.
func (w *writer) id(of string) string {
	if temporary, ok := w.ids[of]; ok {
		return temporary
	}
	if _, pending := activation.CreatedBy(of); pending || of == "" {
		w.refuse(adsNeeds, "", "what it needs has not been created")
	}
	return of
}

func (w *writer) refuse(class adsClass, field, text string) {
	if w.bad == nil {
		w.bad = &refusal{class, field, text}
	}
}

// temporary gives the next temporary id.
func (w *writer) temporary() string {
	*w.next--
	return strconv.Itoa(*w.next)
}

// write makes the operations, or says why not.
func (w *writer) write() ([]mutation, *refusal) {
	kind, ok := kindsOf[w.e.Type]
	if !ok {
		return nil, &refusal{adsEdit, "", "there is no such type of object"}
	}
	w.body, w.values = map[string]any{}, map[string]string{}
	switch w.e.Operation {
	case activation.OpDelete:
		w.ops = []mutation{{kind: kind.kind, remove: w.c.name(kind.collection, w.id(w.e.Object.ID))}}
	case activation.OpCreate:
		w.create(kind.collection)
		w.ops = append(w.ops, mutation{kind: kind.kind, create: w.body})
	default:
		w.body["resourceName"] = w.c.name(kind.collection, w.id(w.e.Object.ID))
		w.change()
		if len(w.mask) > 0 {
			w.ops = append(w.ops, mutation{kind: kind.kind, update: w.body, mask: w.mask})
		}
		if len(w.ops) == 0 {
			w.refuse(adsEdit, "", "it changes nothing that can be changed")
		}
	}
	if w.bad != nil {
		return nil, w.bad
	}
	return w.ops, nil
}

// create fills the body of a new object.
func (w *writer) create(collection string) {
	e := w.e
	switch e.Type {
	case typeCampaign, typeBudget, typeAdGroup: // others are never referred to in the call that makes them
		id := w.temporary()
		w.body["resourceName"] = w.c.name(collection, id)
		w.ids[e.Object.ID] = id
	}
	switch e.Type {
	case typeAdGroup:
		w.body["campaign"] = w.c.name(inCampaigns, w.id(e.Parent.ID))
	case typeAd, typeKeyword:
		w.body["adGroup"] = w.c.name(inAdGroups, w.id(e.Parent.ID))
	case typeLocation, typeNegative:
		w.body["campaign"] = w.c.name(inCampaigns, w.id(e.Parent.ID))
	}
	switch e.Type {
	case typeCampaign:
		w.newCampaign()
	case typeBudget:
		w.body["deliveryMethod"], w.body["explicitlyShared"] = "STANDARD", true
	case typeAd:
		w.newAd()
	case typeNegative:
		w.body["negative"] = true
	}
	set := map[string]string{}
	for name, v := range e.Set {
		set[name] = v
	}
	if negative := set[fieldNegative]; (e.Type == typeKeyword || e.Type == typeLocation) && negative == "" {
		w.values[fieldNegative] = "false"
	}
	t, _ := declared().Object(e.Type)
	if _, has := t.Field(activation.FieldStatus); has && set[activation.FieldStatus] == "" {
		set[activation.FieldStatus] = activation.StatusEnabled
		w.values[activation.FieldStatus] = activation.StatusEnabled
	}
	for _, f := range t.Fields {
		if v := set[f.Name]; v != "" {
			w.set(f.Name, v)
		}
	}
	w.mask = nil
}

// change fills body and mask of an update.
func (w *writer) change() {
	t, _ := declared().Object(w.e.Type)
	if w.e.Type == typeCampaign {
		w.changeBudget()
		w.changeBidding()
	}
	for _, f := range t.Fields {
		v, sets := w.e.Set[f.Name]
		clears := slices.Contains(w.e.Clear, f.Name)
		switch {
		case !sets && !clears:
		case f.Fixed, f.Shown:
			w.refuse(adsEdit, f.Name, "it can't be changed")
		case sets:
			w.set(f.Name, v)
		default:
			w.clear(f.Name)
		}
	}
}

// plain are the fields that are one of Google's, as they are.
var plain = map[string]string{
	activation.FieldName: "name", fieldTracking: "trackingUrlTemplate",
}

// set puts one field into the body.
func (w *writer) set(name, v string) {
	put := func(field string, value any) {
		w.body[field] = value
		w.mask = append(w.mask, field)
	}
	switch name {
	case activation.FieldName, fieldTracking:
		put(plain[name], v)
	case activation.FieldStatus:
		put("status", strings.ToUpper(v))
	case fieldChannel:
		if v == "other" {
			w.refuse(adsEdit, name, "a campaign of a type that is not named here can't be created here")
		}
		put("advertisingChannelType", strings.ToUpper(v))
	case activation.FieldBid:
		put("cpcBidMicros", w.money(name, v))
	case activation.FieldBudget:
		if w.e.Type == typeBudget { // that of a campaign is set beside it
			put("amountMicros", w.money(name, v))
		}
	case fieldStart:
		put("startDateTime", v+":00")
	case fieldEnd:
		seconds := ":00"
		if strings.HasSuffix(v, ":59") { // the last minute of a day is meant to its end
			seconds = ":59"
		}
		put("endDateTime", v+seconds)
	case fieldPolitical:
		said := "DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING"
		if v == politicalYes {
			said = "CONTAINS_EU_POLITICAL_ADVERTISING"
		}
		put("containsEuPoliticalAdvertising", said)
	case fieldFinalURL:
		if w.e.Type == typeKeyword {
			put("finalUrls", []string{v})
		}
	case fieldKeyword, fieldMatchType:
		w.body["keyword"] = map[string]any{"text": w.e.Set[fieldKeyword], "matchType": strings.ToUpper(w.e.Set[fieldMatchType])}
	case fieldNegative:
		w.body["negative"] = v == "true"
	case fieldLocation:
		if !customerPattern.MatchString(v) {
			w.refuse(adsEdit, name, "the location must be the number of a geo target, such as 2840")
		}
		w.body["location"] = map[string]any{"geoTargetConstant": geoConstants + v}
	case fieldModifier:
		n, err := strconv.ParseFloat(v, 32)
		if err != nil || n < 0.1 || n > 10 {
			w.refuse(adsEdit, name, "the bid adjustment must be a number from 0.1 to 10")
		}
		put("bidModifier", json.Number(decimal(n, 32)))
		if text := decimal(n, 32); text != v {
			w.values[name] = text
		}
	}
}

// clear takes a field's value away: it is in the mask and not in the body.
func (w *writer) clear(name string) {
	field := map[string]string{
		fieldTracking: "trackingUrlTemplate", activation.FieldBid: "cpcBidMicros", fieldEnd: "endDateTime", fieldModifier: "bidModifier", fieldFinalURL: "finalUrls",
	}[name]
	switch {
	case field != "":
		w.mask = append(w.mask, field)
	case name == fieldShared, name == fieldTargetCPA, name == fieldTargetROAS: // are set beside it
	default:
		w.refuse(adsEdit, name, "it can't be without a value")
	}
}

// money is an amount as Google takes it. What is rounded is told.
func (w *writer) money(field, v string) string {
	n, ok := micros(v, w.unit)
	if !ok {
		w.refuse(adsAmount, field, "the amount must be a number above 0, of "+amount(max(w.unit, 1))+" at least")
	}
	if text := amount(n); text != v {
		w.values[field] = text
	}
	return strconv.FormatInt(n, 10)
}

// newAd fills the ad of a new ad in a group.
func (w *writer) newAd() {
	texts := func(prefix string, most int) []map[string]string {
		var out []map[string]string
		for i := range most {
			if v := w.e.Set[prefix+strconv.Itoa(i+1)]; v != "" {
				out = append(out, map[string]string{"text": v})
			}
		}
		return out
	}
	form := map[string]any{"headlines": texts(fieldHeadline, maxHeadlines), "descriptions": texts(fieldDescription, maxDescriptions)}
	for _, n := range []string{"1", "2"} {
		if v := w.e.Set[fieldPath+n]; v != "" {
			form["path"+n] = v
		}
	}
	w.body["ad"] = map[string]any{"finalUrls": []string{w.e.Set[fieldFinalURL]}, "responsiveSearchAd": form}
}
