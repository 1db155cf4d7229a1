package meta

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types of nodes in the tree of an ad account, by the edges that list them.
const (
	campaignEdge = "campaigns"
	setEdge      = "adsets"
	adEdge       = "ads"
	creativeEdge = "adcreatives"
)

// edges are all types, parents before what is in them.
var edges = []string{campaignEdge, creativeEdge, setEdge, adEdge}

// kind is what a parameter must be.
type kind int

const (
	kindText kind = iota
	kindID
	kindMoney // units of the currency, unsigned; told as text
	kindBid   // the same, told as a number
	kindEnum
	kindWords // a list of words of an enum
	kindTime
	kindBool
	kindList   // any list
	kindObject // any object
	kindTargeting
	kindStory
	kindCreative
	kindWeek    // adset_schedule
	kindWindows // attribution_spec
	kindPacing
	kindConstraints // bid_constraints
)

// param is one parameter of a type.
type param struct {
	kind    kind
	options []string
	// required: a create needs it. fixed: it is for a create only. later: it is for an
	// update only.
	required, fixed, later bool
	// optionsLater are what an update may take beside the options.
	optionsLater []string
}

var (
	statusParam = param{kind: kindEnum, options: []string{"ACTIVE", "PAUSED"}, optionsLater: []string{"ARCHIVED", "DELETED"}}
	strategies  = []string{"LOWEST_COST_WITHOUT_CAP", "LOWEST_COST_WITH_BID_CAP", "COST_CAP", "LOWEST_COST_WITH_MIN_ROAS"}
)

// specs are the parameters that are known of each type (references Campaign, AdSet,
// Ad and AdCreative, and the account's edges, developers.facebook.com, read
// 2026-11-21). All others are refused.
var specs = map[string]map[string]param{
	campaignEdge: {
		"name":   {required: true},
		"status": statusParam,
		"objective": {kind: kindEnum, required: true, fixed: true, options: []string{
			"OUTCOME_APP_PROMOTION", "OUTCOME_AWARENESS", "OUTCOME_ENGAGEMENT", "OUTCOME_LEADS", "OUTCOME_SALES", "OUTCOME_TRAFFIC",
		}},
		"special_ad_categories": {kind: kindWords, required: true, options: []string{
			"CREDIT", "EMPLOYMENT", "FINANCIAL_PRODUCTS_SERVICES", "HOUSING", "ISSUES_ELECTIONS_POLITICS", "NONE", "ONLINE_GAMBLING_AND_GAMING",
		}},
		"buying_type":                     {kind: kindEnum, fixed: true, options: []string{"AUCTION", "RESERVED"}},
		"daily_budget":                    {kind: kindMoney},
		"lifetime_budget":                 {kind: kindMoney},
		"spend_cap":                       {kind: kindMoney},
		"bid_strategy":                    {kind: kindEnum, options: strategies},
		"start_time":                      {kind: kindTime},
		"stop_time":                       {kind: kindTime},
		"pacing_type":                     {kind: kindList},
		"budget_schedule_specs":           {kind: kindList},
		"is_adset_budget_sharing_enabled": {kind: kindBool},
		"adlabels":                        {kind: kindList},
	},
	setEdge: {
		"name":                      {required: true},
		"status":                    statusParam,
		"campaign_id":               {kind: kindID, required: true, fixed: true},
		"daily_budget":              {kind: kindMoney},
		"lifetime_budget":           {kind: kindMoney},
		"daily_min_spend_target":    {kind: kindMoney},
		"daily_spend_cap":           {kind: kindMoney},
		"lifetime_min_spend_target": {kind: kindMoney},
		"lifetime_spend_cap":        {kind: kindMoney},
		"bid_amount":                {kind: kindBid},
		"bid_strategy":              {kind: kindEnum, options: strategies},
		"bid_constraints":           {kind: kindConstraints},
		"start_time":                {kind: kindTime},
		"end_time":                  {kind: kindTime},
		"targeting":                 {kind: kindTargeting, required: true},
		"optimization_goal": {kind: kindEnum, required: true, options: []string{
			"APP_INSTALLS", "ENGAGED_USERS", "IMPRESSIONS", "LANDING_PAGE_VIEWS", "LEAD_GENERATION", "LINK_CLICKS", "OFFSITE_CONVERSIONS",
			"PAGE_LIKES", "POST_ENGAGEMENT", "QUALITY_LEAD", "REACH", "THRUPLAY", "VALUE",
		}},
		"billing_event": {kind: kindEnum, required: true, fixed: true, options: []string{
			"APP_INSTALLS", "CLICKS", "IMPRESSIONS", "LINK_CLICKS", "PAGE_LIKES", "POST_ENGAGEMENT", "THRUPLAY",
		}},
		"promoted_object":  {kind: kindObject, fixed: true},
		"attribution_spec": {kind: kindWindows},
		"adset_schedule":   {kind: kindWeek},
		"pacing_type":      {kind: kindPacing},
		"adlabels":         {kind: kindList},
	},
	adEdge: {
		"name":                   {required: true},
		"status":                 statusParam,
		"adset_id":               {kind: kindID, required: true, fixed: true},
		"creative":               {kind: kindCreative, required: true},
		"bid_amount":             {kind: kindBid},
		"tracking_specs":         {kind: kindList},
		"ad_schedule_start_time": {kind: kindTime},
		"ad_schedule_end_time":   {kind: kindTime},
		"adlabels":               {kind: kindList},
	},
	creativeEdge: {
		"name":              {required: true},
		"object_story_spec": {kind: kindStory, required: true, fixed: true},
		"status":            {kind: kindEnum, later: true, optionsLater: []string{"ACTIVE", "DELETED"}},
		"adlabels":          {kind: kindList},
	},
}

// common are parameters of every call.
var common = []string{"access_token", "appsecret_proof", "appsecret_time", "execution_options"}

// timeForm is how the network writes times.
const timeForm = "2006-01-02T15:04:05-0700"

// neverCapped is the spend cap that takes a cap away.
const neverCapped = 922337203685478

// readNode reads what a call sets of a node; create says that it makes one.
func readNode(edge string, p params, create bool) (map[string]json.RawMessage, *apiError) {
	out := map[string]json.RawMessage{}
	spec := specs[edge]
	for name := range p {
		if slices.Contains(common, name) {
			continue
		}
		one, known := spec[name]
		switch {
		case !known, one.later && create:
			return nil, invalidParam("Unexpected parameter: " + name)
		case one.fixed && !create:
			return nil, blame(name, "The parameter "+name+" cannot be changed after the creation")
		}
		v, err := one.read(name, p, create)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	for name, one := range spec {
		if create && one.required && out[name] == nil {
			return nil, blame(name, "The parameter "+name+" is required")
		}
	}
	return out, nil
}

// blame is an invalid parameter that the answer names.
func blame(name, message string) *apiError {
	e := invalidParam(message)
	e.blamed = name
	return e
}

// read checks one value and returns it as it is told later.
func (o param) read(name string, p params, create bool) (json.RawMessage, *apiError) {
	text := p.text(name)
	switch o.kind {
	case kindText:
		if strings.TrimSpace(text) == "" {
			return nil, blame(name, "The parameter "+name+" must not be empty")
		}
	case kindID:
		if !objectPattern.MatchString(text) {
			return nil, blame(name, "The parameter "+name+" must be an id")
		}
	case kindMoney, kindBid:
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || strconv.FormatUint(n, 10) != text {
			return nil, blame(name, "The parameter "+name+" must be an unsigned integer of the currency's smallest unit")
		}
		if o.kind == kindBid {
			return json.RawMessage(text), nil
		}
	case kindEnum:
		if !slices.Contains(o.options, text) && (create || !slices.Contains(o.optionsLater, text)) {
			return nil, blame(name, "The parameter "+name+" must be one of "+strings.Join(o.options, ", "))
		}
	case kindTime:
		if text == "0" && name == "end_time" {
			break
		}
		if _, err := time.Parse(timeForm, text); err != nil {
			return nil, blame(name, "The parameter "+name+" must be a time such as 2026-11-20T20:00:00-0800")
		}
	case kindBool:
		on, err := p.boolean(name)
		if err != nil || text == "" {
			return nil, blame(name, "The parameter "+name+" must be a boolean")
		}
		return json.RawMessage(strconv.FormatBool(on)), nil
	default:
		return o.readStructure(name, p)
	}
	raw, err := json.Marshal(text)
	if err != nil {
		return nil, blame(name, "The parameter "+name+" cannot be read")
	}
	return raw, nil
}

// readStructure checks a value that is JSON.
func (o param) readStructure(name string, p params) (json.RawMessage, *apiError) {
	raw := p.structure(name)
	bad := blame(name, "The parameter "+name+" has the wrong structure")
	switch o.kind {
	case kindWords:
		var words []string
		if json.Unmarshal(raw, &words) != nil || words == nil || slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(o.options, w) }) {
			return nil, bad
		}
	case kindList:
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || list == nil {
			return nil, bad
		}
	case kindCreative:
		var in map[string]string
		if json.Unmarshal(raw, &in) != nil || len(in) != 1 || !objectPattern.MatchString(in["creative_id"]) {
			return nil, bad
		}
		return json.RawMessage(`{"id":"` + in["creative_id"] + `"}`), nil
	case kindTargeting:
		return readTargeting(raw)
	case kindWeek:
		return raw, readWeek(raw)
	case kindWindows:
		return raw, readWindows(raw)
	case kindPacing:
		var words []string
		if json.Unmarshal(raw, &words) != nil || len(words) != 1 || !slices.Contains([]string{"standard", "no_pacing", "day_parting"}, words[0]) {
			return nil, bad
		}
	case kindConstraints:
		return raw, readConstraints(raw)
	case kindStory:
		return readStory(raw)
	default:
		var in map[string]json.RawMessage
		if json.Unmarshal(raw, &in) != nil || in == nil {
			return nil, bad
		}
	}
	return raw, nil
}

// targetingKeys are what a targeting may hold.
var targetingKeys = []string{
	"geo_locations", "excluded_geo_locations", "age_min", "age_max", "genders", "locales", "custom_audiences", "excluded_custom_audiences",
	"flexible_spec", "exclusions", "interests", "behaviors", "publisher_platforms", "facebook_positions", "instagram_positions", "device_platforms",
	"targeting_automation", "user_os", "brand_safety_content_filter_levels",
}

// readTargeting checks a whole targeting. It replaces what was there.
func readTargeting(raw json.RawMessage) (json.RawMessage, *apiError) {
	var in map[string]json.RawMessage
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return nil, blame("targeting", "The parameter targeting must be an object")
	}
	for key := range in {
		if !slices.Contains(targetingKeys, key) {
			return nil, blame("targeting", "The targeting has an unknown key: "+key)
		}
	}
	var places map[string]json.RawMessage
	if json.Unmarshal(in["geo_locations"], &places) != nil || len(places) == 0 {
		return nil, blame("targeting", "The targeting needs a location")
	}
	if raw, ok := places["countries"]; ok {
		var codes []string
		if json.Unmarshal(raw, &codes) != nil || len(codes) == 0 || slices.ContainsFunc(codes, func(c string) bool { return len(c) != 2 || strings.ToUpper(c) != c }) {
			return nil, blame("targeting", "The countries of a targeting are two-letter codes")
		}
	}
	for _, key := range []string{"custom_audiences", "excluded_custom_audiences"} {
		if _, ok := audiencesOf(in[key]); !ok {
			return nil, blame("targeting", "The "+key+" of a targeting are a list of ids")
		}
	}
	return raw, nil
}

// audiencesOf are the ids of a list of audiences.
func audiencesOf(raw json.RawMessage) ([]string, bool) {
	if len(raw) == 0 {
		return nil, true
	}
	var list []struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, false
	}
	var ids []string
	for _, a := range list {
		if !objectPattern.MatchString(a.ID) || slices.Contains(ids, a.ID) {
			return nil, false
		}
		ids = append(ids, a.ID)
	}
	return ids, true
}

// readStory checks the content of a creative with a link.
func readStory(raw json.RawMessage) (json.RawMessage, *apiError) {
	var in struct {
		Page string                     `json:"page_id"`
		Link map[string]json.RawMessage `json:"link_data"`
	}
	if json.Unmarshal(raw, &in) != nil || !objectPattern.MatchString(in.Page) {
		return nil, blame("object_story_spec", "The page_id of object_story_spec must be the id of a page")
	}
	known := []string{"link", "message", "name", "description", "image_hash", "call_to_action", "caption", "picture"}
	for key := range in.Link {
		if !slices.Contains(known, key) {
			return nil, blame("object_story_spec", "The link_data of object_story_spec has an unknown key: "+key)
		}
	}
	var link string
	if json.Unmarshal(in.Link["link"], &link) != nil || !strings.HasPrefix(link, "https://") && !strings.HasPrefix(link, "http://") {
		return nil, blame("object_story_spec", "The link_data of object_story_spec needs a link")
	}
	return raw, nil
}
