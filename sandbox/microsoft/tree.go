package microsoft

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// id is a number that requests write as a text of digits.
type id string

var idPattern = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// UnmarshalJSON takes nothing else.
func (i *id) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil || !idPattern.MatchString(s) {
		return errors.New("an id is a number of type long, as a string")
	}
	*i = id(s)
	return nil
}

// Object is one of the tree, as the read-back tells it. Fields are by the names of the
// API, a nested one by its path.
type Object struct {
	// Kind is the resource: Budgets, Campaigns, AdGroups, Ads, Keywords or
	// CampaignCriterions.
	Kind string `json:"kind"`
	ID   string `json:"id"`
	// Parent is the id of the campaign or ad group that it lies in.
	Parent string         `json:"parent,omitempty"`
	Fields map[string]any `json:"fields"`
	// Effects is how many calls have taken effect on it.
	Effects int `json:"effects"`
}

type tree struct {
	objects map[string]*Object
	order   []string
	effects map[string]int // of those that were deleted too
}

func newTree() tree { return tree{objects: map[string]*Object{}, effects: map[string]int{}} }

// kind says what one resource is like.
type kind struct {
	name string
	// ids is the list of ids; within is the key of what they lie in, parent its
	// resource.
	ids, within, parent string
	// reads is the most ids of a query, where it is less than of an edit (GetAdsByIds).
	reads int
	// fields are those that rows may have, with what is wrong with a value.
	fields map[string]check
	// required are those of an add.
	required []string
	// fixed are those of an add alone.
	fixed []string
	// unique is the field that no two of one place have alike, capitals or not.
	unique string
}

// check says what is wrong with a value, "" = nothing.
type check func(v any) string

func oneOf(values ...string) check {
	return func(v any) string {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			return "InvalidValue"
		}
		return ""
	}
}

func textTo(most int) check {
	return func(v any) string {
		s, ok := v.(string)
		switch {
		case !ok:
			return "InvalidType"
		case utf8.RuneCountInString(s) > most:
			return "StringTooLong"
		}
		return ""
	}
}

func nameTo(most int) check {
	return func(v any) string {
		if s, ok := v.(string); ok && strings.TrimSpace(s) == "" {
			return "NameMissing"
		}
		return textTo(most)(v)
	}
}

// money is an amount of at most two decimals: the network refuses finer ones instead
// of rounding, so that nobody relies on it.
func money(v any) string {
	n, ok := v.(json.Number)
	if !ok {
		return "InvalidType"
	}
	f, err := n.Float64()
	_, decimals, _ := strings.Cut(n.String(), ".")
	if err != nil || f <= 0 || f > 1_000_000 || len(decimals) > 2 || strings.ContainsAny(n.String(), "eE") {
		return "InvalidAmount"
	}
	return ""
}

func bid(v any) string {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return "InvalidBid"
	}
	return money(m["Amount"])
}

func day(v any) string {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 3 {
		return "InvalidDate"
	}
	for name, most := range map[string]int{"Day": 31, "Month": 12, "Year": 2100} {
		n, ok := m[name].(json.Number)
		if i, err := strconv.Atoi(n.String()); !ok || err != nil || i < 1 || i > most {
			return "InvalidDate"
		}
	}
	return ""
}

func isID(v any) string {
	if s, ok := v.(string); !ok || !idPattern.MatchString(s) {
		return "InvalidId"
	}
	return ""
}

func urls(v any) string {
	list, ok := v.([]any)
	if !ok || len(list) != 1 {
		return "InvalidUrl"
	}
	if s, ok := list[0].(string); !ok || !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
		return "InvalidUrl"
	}
	return ""
}

func assets(least, most, length int) check {
	return func(v any) string {
		list, ok := v.([]any)
		if !ok || len(list) < least || len(list) > most {
			return "InvalidAssetCount"
		}
		for _, l := range list {
			m, _ := l.(map[string]any)
			a, _ := m["Asset"].(map[string]any)
			if len(m) != 1 || len(a) != 2 || a["Type"] != "TextAsset" || textTo(length)(a["Text"]) != "" {
				return "InvalidAsset"
			}
		}
		return ""
	}
}

func languages(v any) string {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return "InvalidLanguage"
	}
	for _, l := range list {
		if s, ok := l.(string); !ok || s == "" || strings.TrimSpace(s) != s {
			return "InvalidLanguage"
		}
	}
	return ""
}

func criterion(v any) string {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 2 || m["Type"] != "LocationCriterion" {
		return "InvalidCriterion"
	}
	return isID(m["LocationId"])
}

func multiplier(v any) string {
	m, ok := v.(map[string]any)
	n, isNumber := m["Multiplier"].(json.Number)
	if !ok || len(m) != 2 || m["Type"] != "BidMultiplier" || !isNumber {
		return "InvalidBidMultiplier"
	}
	if f, err := n.Float64(); err != nil || f < -90 || f > 900 {
		return "InvalidBidMultiplier"
	}
	return ""
}

var (
	status  = oneOf("Active", "Paused")
	pacing  = oneOf("DailyBudgetStandard", "DailyBudgetAccelerated")
	already = func(any) string { return "" }
)

// kinds are the resources.
var kinds = named(map[string]kind{
	"Budgets": {
		ids: "BudgetIds", unique: "Name", required: []string{"Name", "Amount", "BudgetType"},
		fields: map[string]check{"Name": nameTo(255), "Amount": money, "BudgetType": pacing},
	},
	"Campaigns": {
		ids: "CampaignIds", within: "AccountId", unique: "Name", required: []string{"Name", "CampaignType", "TimeZone", "Languages"}, fixed: []string{"CampaignType"},
		fields: map[string]check{
			"Name": nameTo(128), "Status": status, "DailyBudget": money, "BudgetType": pacing, "BudgetId": isID, "Languages": languages,
			"TrackingUrlTemplate": textTo(2048), "FinalUrlSuffix": textTo(2048), "CampaignType": oneOf("Search"), "TimeZone": nameTo(100),
		},
	},
	"AdGroups": {
		ids: "AdGroupIds", within: "CampaignId", parent: "Campaigns", unique: "Name", required: []string{"Name"},
		fields: map[string]check{
			"Name": nameTo(256), "Status": status, "CpcBid": bid, "StartDate": day, "EndDate": day, "TrackingUrlTemplate": textTo(2048),
			"Network": oneOf("OwnedAndOperatedAndSyndicatedSearch", "OwnedAndOperatedOnly", "SyndicatedSearchOnly"),
		},
	},
	"Ads": {
		ids: "AdIds", reads: 20, within: "AdGroupId", parent: "AdGroups", required: []string{"Type", "Headlines", "Descriptions", "FinalUrls"}, fixed: []string{},
		fields: map[string]check{
			"Type": oneOf("ResponsiveSearch"), "Status": status, "Headlines": assets(3, 15, 30), "Descriptions": assets(2, 4, 90), "FinalUrls": urls,
			"Path1": textTo(15), "Path2": textTo(15),
		},
	},
	"Keywords": {
		ids: "KeywordIds", within: "AdGroupId", parent: "AdGroups", required: []string{"Text", "MatchType"}, fixed: []string{"Text", "MatchType"},
		fields: map[string]check{"Text": nameTo(100), "MatchType": oneOf("Exact", "Phrase", "Broad"), "Status": status, "Bid": bid, "FinalUrls": urls},
	},
	"CampaignCriterions": {
		ids: "CampaignCriterionIds", within: "CampaignId", parent: "Campaigns", required: []string{"Type", "CampaignId", "Criterion"},
		fields: map[string]check{
			"Type": oneOf("BiddableCampaignCriterion", "NegativeCampaignCriterion"), "CampaignId": isID, "Criterion": criterion, "CriterionBid": multiplier,
		},
	},
})

// named gives each its name, and the id that rows of all may have.
func named(all map[string]kind) map[string]kind {
	for name, k := range all {
		k.name = name
		k.fields["Id"] = already
		all[name] = k
	}
	return all
}

// rowError is what is wrong with one row.
type rowError struct {
	code       int
	word, path string
	text       string
}

// wrong is the error of a value, with a number that stands for no other error.
func wrong(word, path string) *rowError {
	return &rowError{code: 9000 + len(word), word: word, path: path, text: "The value is not valid."}
}

// look checks the fields of a row.
func (k kind) look(row map[string]any, add bool) *rowError {
	for _, name := range slices.Sorted(maps.Keys(row)) {
		check, ok := k.fields[name]
		switch {
		case !ok:
			return wrong("UnknownField", name)
		case row[name] == nil:
			delete(row, name) // is as good as not there
		case !add && slices.Contains(k.fixed, name):
			return wrong("CannotBeChanged", name)
		default:
			if word := check(row[name]); word != "" {
				return wrong(word, name)
			}
		}
	}
	if !add {
		return nil
	}
	for _, name := range k.required {
		if row[name] == nil {
			return wrong("Required", name)
		}
	}
	if row["Id"] != nil {
		return wrong("IdShouldBeNullOnAdd", "Id")
	}
	return nil
}

// siblings are the objects of a kind in one place, in the order in which they came.
func (t *tree) siblings(k kind, parent string) []*Object {
	var all []*Object
	for _, id := range t.order {
		if o, ok := t.objects[id]; ok && o.Kind == k.name && o.Parent == parent {
			all = append(all, o)
		}
	}
	return all
}

// taken reports whether another object of the place is the same.
func (t *tree) taken(k kind, parent, self string, row map[string]any) bool {
	same := func(o *Object) bool {
		switch k.name {
		case "Keywords":
			return row["Text"] != nil && strings.EqualFold(fmt.Sprint(o.Fields["Text"]), fmt.Sprint(row["Text"])) && o.Fields["MatchType"] == row["MatchType"]
		case "CampaignCriterions":
			return self == "" && fmt.Sprint(o.Fields["Criterion"]) == fmt.Sprint(row["Criterion"])
		case "Ads":
			return false
		}
		return row[k.unique] != nil && strings.EqualFold(fmt.Sprint(o.Fields[k.unique]), fmt.Sprint(row[k.unique]))
	}
	return slices.ContainsFunc(t.siblings(k, parent), func(o *Object) bool { return o.ID != self && same(o) })
}

// budget checks the two ways in which a campaign has its money.
func (t *tree) budget(row, had map[string]any) *rowError {
	shared, sharing := row["BudgetId"].(string)
	owns := row["DailyBudget"] != nil || row["BudgetType"] != nil
	if sharing {
		if o, ok := t.objects[shared]; !ok || o.Kind != "Budgets" {
			return wrong("InvalidBudgetId", "BudgetId")
		}
	}
	switch {
	case owns && (sharing || had["BudgetId"] != nil):
		return wrong("CannotUpdateSharedBudget", "DailyBudget")
	case had == nil && !sharing && (row["DailyBudget"] == nil || row["BudgetType"] == nil):
		return wrong("BudgetMissing", "DailyBudget")
	}
	return nil
}

// defaults are the values that an add has without saying so.
func (k kind) defaults(row map[string]any) {
	put := func(name string, v any) {
		if row[name] == nil {
			row[name] = v
		}
	}
	switch k.name {
	case "Campaigns", "AdGroups", "Ads", "Keywords":
		put("Status", "Active")
	}
	if k.name == "AdGroups" {
		put("Network", "OwnedAndOperatedAndSyndicatedSearch")
	}
}

// drop takes an object away with all that lies in it, or is told by its id.
func (t *tree) drop(id string) {
	delete(t.objects, id)
	for _, o := range t.objects {
		if o.Parent == id {
			t.drop(o.ID)
		}
	}
}

// used reports whether a campaign has its money from a budget.
func (t *tree) used(budget string) bool {
	for _, o := range t.objects {
		if o.Kind == "Campaigns" && o.Fields["BudgetId"] == budget {
			return true
		}
	}
	return false
}

// put stores what an update sets. An empty text takes a value away.
func (o *Object) put(row map[string]any) {
	for name, v := range row {
		switch {
		case name == "Id":
		case v == "":
			delete(o.Fields, name)
		default:
			o.Fields[name] = v
		}
	}
	if o.Kind == "Campaigns" && row["BudgetId"] != nil {
		delete(o.Fields, "DailyBudget")
		delete(o.Fields, "BudgetType")
	}
}
