package microsoft

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// words are the values of select fields by Microsoft's names of them.
type words map[string]string

var (
	statusWords   = words{"Active": activation.StatusEnabled, "Paused": activation.StatusPaused}
	deliveryWords = words{"DailyBudgetStandard": "standard", "DailyBudgetAccelerated": "accelerated"}
	networkWords  = words{"OwnedAndOperatedAndSyndicatedSearch": "all", "OwnedAndOperatedOnly": "owned", "SyndicatedSearchOnly": "partners"}
	matchWords    = words{"Exact": "exact", "Phrase": "phrase", "Broad": "broad"}
)

// theirs is Microsoft's name of a value.
func (w words) theirs(value string) string {
	for name, v := range w {
		if v == value {
			return name
		}
	}
	return ""
}

// ours is the value of Microsoft's name. A campaign that is paused for its budget is
// paused.
func (w words) ours(name string) string {
	if v, ok := w[name]; ok {
		return v
	}
	if strings.HasSuffix(name, "Paused") || name == "Suspended" {
		return w["Paused"]
	}
	return ""
}

// remote is an object as Microsoft has it, of any type: the fields that are looked at.
type remote struct {
	ID                  text `json:"Id"`
	Name                string
	Status              string
	Amount              json.Number
	BudgetType          string
	DailyBudget         json.Number
	BudgetID            text `json:"BudgetId"`
	Languages           []string
	TrackingURLTemplate string `json:"TrackingUrlTemplate"`
	FinalURLSuffix      string `json:"FinalUrlSuffix"`
	CpcBid, Bid         *struct{ Amount json.Number }
	StartDate, EndDate  *date
	Network             string
	Type                string
	FinalURLs           []string `json:"FinalUrls"`
	Headlines           []link
	Descriptions        []link
	Path1, Path2        string
	Text                string
	MatchType           string
	CampaignID          text `json:"CampaignId"`
	Criterion           *struct {
		LocationID text `json:"LocationId"`
	}
	CriterionBid *struct{ Multiplier json.Number }
}

// text is an id: a number, which some answers have in quotes.
type text string

// UnmarshalJSON takes both forms.
func (t *text) UnmarshalJSON(raw []byte) error {
	s := strings.Trim(string(raw), `"`)
	if s != "null" && s != "" && !digits(s) {
		return fmt.Errorf("an id of %d characters that is no number", len(s))
	}
	if s == "null" {
		s = ""
	}
	*t = text(s)
	return nil
}

type date struct{ Day, Month, Year int }

func (d date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

type link struct {
	Asset asset
}

type asset struct {
	Type string
	Text string
}

// fields are the declared fields of an object as Microsoft has it, ok = false for one
// that is not shown: an ad of another form, a criterion that is no place.
func (s spec) fields(o remote) (f map[string]string, ok bool) {
	f = map[string]string{}
	put := func(name, value string) {
		if value != "" {
			f[name] = value
		}
	}
	if s.typ != typeBudget && s.typ != typeLocation {
		put(activation.FieldStatus, statusWords.ours(o.Status))
	}
	switch s.typ {
	case typeBudget:
		put(activation.FieldName, o.Name)
		put(activation.FieldBudget, plainNumber(o.Amount.String()))
		put(fieldDelivery, deliveryWords.ours(o.BudgetType))
	case typeCampaign:
		put(activation.FieldName, o.Name)
		if o.BudgetID != "" {
			put(fieldShared, string(o.BudgetID))
		} else {
			put(activation.FieldBudget, plainNumber(o.DailyBudget.String()))
			put(fieldDelivery, deliveryWords.ours(o.BudgetType))
		}
		put(fieldLanguages, strings.Join(o.Languages, ","))
		put(fieldTracking, o.TrackingURLTemplate)
		put(fieldSuffix, o.FinalURLSuffix)
	case typeGroup:
		put(activation.FieldName, o.Name)
		if o.CpcBid != nil {
			put(activation.FieldBid, plainNumber(o.CpcBid.Amount.String()))
		}
		if o.StartDate != nil {
			put(fieldStart, o.StartDate.String())
		}
		if o.EndDate != nil {
			put(fieldEnd, o.EndDate.String())
		}
		put(fieldNetwork, networkWords.ours(o.Network))
		put(fieldTracking, o.TrackingURLTemplate)
	case typeAd:
		if o.Type != adForm {
			return nil, false
		}
		putLinks(put, fieldHeadline, o.Headlines, maxHeadlines)
		putLinks(put, fieldText, o.Descriptions, maxTexts)
		put(activation.FieldName, f[fieldHeadline+"1"])
		put(fieldPath+"1", o.Path1)
		put(fieldPath+"2", o.Path2)
		put(fieldFinalURL, first(o.FinalURLs))
	case typeKeyword:
		put(fieldKeyword, o.Text)
		put(fieldMatch, matchWords.ours(o.MatchType))
		if o.Bid != nil {
			put(activation.FieldBid, plainNumber(o.Bid.Amount.String()))
		}
		put(fieldFinalURL, first(o.FinalURLs))
	case typeLocation:
		if o.Criterion == nil || o.Criterion.LocationID == "" {
			return nil, false
		}
		put(fieldLocation, string(o.Criterion.LocationID))
		put(fieldNegative, strconv.FormatBool(o.Type == excluded))
		if o.CriterionBid != nil && o.Type != excluded {
			if n := plainNumber(o.CriterionBid.Multiplier.String()); n != "0" {
				put(fieldAdjustment, n)
			}
		}
	}
	return f, true
}

func putLinks(put func(name, value string), field string, links []link, most int) {
	for i, l := range links[:min(len(links), most)] {
		put(field+strconv.Itoa(i+1), l.Asset.Text)
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// The forms of objects that have more than one.
const (
	adForm   = "ResponsiveSearch"
	biddable = "BiddableCampaignCriterion"
	excluded = "NegativeCampaignCriterion"
)

// refusal is why an edit is not sent: Microsoft could only refuse it.
type refusal struct{ field, text string }

func (r *refusal) Error() string { return r.text }

// clearable are the fields that an empty text takes away (page Campaign, AdGroup).
var clearable = []string{fieldTracking, fieldSuffix}

// object is what a create or an update sends. told are the values that will be other
// than they are asked for.
func (s spec) object(e provider.Edit, currency, zone string) (object map[string]any, told map[string]string, wrong *refusal) {
	object, told = map[string]any{}, map[string]string{}
	create := e.Operation == activation.OpCreate
	for _, name := range e.Clear {
		switch key := keys[s.typ][name]; {
		case slices.Contains(clearable, name):
			object[key] = ""
		case name == fieldAdjustment:
			object["CriterionBid"] = multiplier("0")
		default:
			return nil, nil, &refusal{name, "microsoft keeps a value here: it can be changed and not be taken away"}
		}
	}
	for _, name := range sortedKeys(e.Set) {
		v := e.Set[name]
		key := keys[s.typ][name]
		switch name {
		case activation.FieldStatus:
			object[key] = statusWords.theirs(v)
		case fieldDelivery:
			object[key] = deliveryWords.theirs(v)
		case fieldNetwork:
			object[key] = networkWords.theirs(v)
		case fieldMatch:
			object[key] = matchWords.theirs(v)
		case activation.FieldBudget, activation.FieldBid:
			rounded, err := amount(v, currency)
			if err != nil {
				return nil, nil, &refusal{name, err.Error()}
			}
			if rounded != v {
				told[name] = rounded
			}
			object[key] = json.Number(rounded)
			if name == activation.FieldBid {
				object[key] = map[string]any{"Amount": json.Number(rounded)}
			}
		case fieldShared:
			if !digits(v) {
				return nil, nil, &refusal{name, "the shared budget is not there yet"}
			}
			object[key] = v
			if !create {
				told[activation.FieldBudget], told[fieldDelivery] = "", ""
			}
		case fieldLanguages:
			object[key] = strings.Split(v, ",")
		case fieldStart, fieldEnd:
			day, err := time.Parse(time.DateOnly, v)
			if err != nil {
				return nil, nil, &refusal{name, "a date is written such as 2026-11-20"}
			}
			object[key] = date{day.Day(), int(day.Month()), day.Year()}
		case fieldFinalURL:
			object[key] = []string{v}
		case fieldAdjustment:
			n := plainNumber(v)
			if n == "" {
				return nil, nil, &refusal{name, "it is a number of per cent, such as 10 or -20"}
			}
			if n == "0" { // is none
				told[name] = ""
			} else if n != v {
				told[name] = n
			}
			object["CriterionBid"] = multiplier(n)
		default:
			if key != "" {
				object[key] = v
			}
		}
	}
	return object, told, s.complete(object, e, create, zone)
}

// keys are Microsoft's names of fields that are sent as they are, or nearly.
var keys = map[string]map[string]string{
	typeBudget:   {activation.FieldName: "Name", activation.FieldBudget: "Amount", fieldDelivery: "BudgetType"},
	typeCampaign: {activation.FieldName: "Name", activation.FieldStatus: "Status", activation.FieldBudget: "DailyBudget", fieldDelivery: "BudgetType", fieldShared: "BudgetId", fieldLanguages: "Languages", fieldTracking: "TrackingUrlTemplate", fieldSuffix: "FinalUrlSuffix"},
	typeGroup:    {activation.FieldName: "Name", activation.FieldStatus: "Status", activation.FieldBid: "CpcBid", fieldStart: "StartDate", fieldEnd: "EndDate", fieldNetwork: "Network", fieldTracking: "TrackingUrlTemplate"},
	typeAd:       {activation.FieldStatus: "Status", fieldFinalURL: "FinalUrls", fieldPath + "1": "Path1", fieldPath + "2": "Path2"},
	typeKeyword:  {fieldKeyword: "Text", fieldMatch: "MatchType", activation.FieldStatus: "Status", activation.FieldBid: "Bid", fieldFinalURL: "FinalUrls"},
	typeLocation: {},
}

// complete adds what an object of this type cannot go without.
func (s spec) complete(object map[string]any, e provider.Edit, create bool, zone string) *refusal {
	if !create {
		object["Id"] = own(e.Object.ID)
	}
	switch s.typ {
	case typeBudget:
		if create && object["BudgetType"] == nil {
			object["BudgetType"] = "DailyBudgetStandard"
		}
	case typeCampaign:
		return completeCampaign(object, e, create, zone)
	case typeAd:
		object["Type"] = adForm
		if create {
			object["Headlines"], object["Descriptions"] = links(e.Set, fieldHeadline, maxHeadlines), links(e.Set, fieldText, maxTexts)
		}
	case typeLocation:
		return completeLocation(object, e, create)
	}
	return nil
}

func completeCampaign(object map[string]any, e provider.Edit, create bool, zone string) *refusal {
	_, sharing := object["BudgetId"]
	owns := object["DailyBudget"] != nil || object["BudgetType"] != nil
	switch {
	case owns && (sharing || e.Have[fieldShared] != ""):
		return &refusal{activation.FieldBudget, "the campaign shares a budget: change the amount of that, or give the campaign another one"}
	case create && !sharing && object["DailyBudget"] == nil:
		return &refusal{activation.FieldBudget, "a campaign needs a budget, or a shared one"}
	case !create:
		return nil
	}
	object["CampaignType"] = "Search"
	object["TimeZone"] = zone
	if object["Languages"] == nil {
		object["Languages"] = []string{"All"}
	}
	if !sharing && object["BudgetType"] == nil {
		object["BudgetType"] = "DailyBudgetStandard"
	}
	return nil
}

func completeLocation(object map[string]any, e provider.Edit, create bool) *refusal {
	parent := own(e.Parent.ID)
	place, without := e.Set[fieldLocation], e.Set[fieldNegative] == "true"
	if !create {
		parent, _ = split(e.Object.ID)
		place, without = e.Have[fieldLocation], e.Have[fieldNegative] == "true"
	}
	object["CampaignId"] = parent
	object["Type"] = biddable
	if without {
		if object["CriterionBid"] != nil {
			return &refusal{fieldAdjustment, "an excluded place has no bid"}
		}
		object["Type"] = excluded
	}
	if create && !without && object["CriterionBid"] == nil {
		object["CriterionBid"] = multiplier("0")
	}
	if !digits(place) {
		return &refusal{fieldLocation, "the location is a number, such as 190"}
	}
	object["Criterion"] = map[string]any{"Type": "LocationCriterion", "LocationId": place}
	return nil
}

// multiplier is a bid adjustment as it is sent.
func multiplier(percent string) map[string]any {
	return map[string]any{"Type": "BidMultiplier", "Multiplier": json.Number(percent)}
}

// links are the texts of an ad that are given.
func links(set map[string]string, field string, most int) []link {
	var list []link
	for i := range most {
		if v := set[field+strconv.Itoa(i+1)]; v != "" {
			list = append(list, link{asset{Type: "TextAsset", Text: v}})
		}
	}
	return list
}
