package google

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The rules of each kind of resource, as far as the stand-in has them. What Google
// does with a keyword that is there already is not published; it is refused here.

// required refuses a message that lacks one of these fields.
func required(m protoreflect.Message, fields ...string) *adsError {
	for _, name := range fields {
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil || !m.Has(f) {
			return wrong("fieldError.REQUIRED", "The field is needed.").at("create", name)
		}
	}
	return nil
}

// refers resolves a field that names another resource, in this call or in the
// account.
func (t *txn) refers(m protoreflect.Message, field, row string) (*adsResource, *adsError) {
	name := textAt(m, field)
	k, _ := kindOfRow(row)
	if known, temporary := t.temp[name]; temporary {
		if known == "" {
			return nil, wrong("newResourceCreationError.TEMP_ID_RESOURCE_HAD_ERRORS", "What it refers to had errors.").at("create", field)
		}
		name = known
		put(m, field, name)
	}
	r, bad := t.find(k, name)
	if bad != nil {
		return nil, bad.at("create", field)
	}
	if r.removed {
		return nil, wrong("operationAccessDeniedError.OPERATION_NOT_PERMITTED_FOR_REMOVED_RESOURCE", "What it refers to is removed.").at("create", field)
	}
	return r, nil
}

// orElse sets a field that has no value.
func orElse(m protoreflect.Message, field, text string) {
	if f := m.Descriptor().Fields().ByName(protoreflect.Name(field)); !m.Has(f) {
		put(m, field, text)
	}
}

// born checks a new resource, fills what Google fills and gives it its numbers.
func (t *txn) born(r *adsResource) *adsError {
	m := r.message
	if textAt(m, "status") == "REMOVED" {
		return wrong("operationAccessDeniedError.CREATE_AS_REMOVED_NOT_PERMITTED", "A new resource is not removed.").at("create", "status")
	}
	switch r.kind.row {
	case "campaign_budget":
		return t.newBudget(r)
	case "campaign":
		return t.newCampaign(r)
	case "ad_group":
		return t.newAdGroup(r)
	case "ad_group_ad":
		return t.newAd(r)
	case "ad_group_criterion":
		return t.newKeyword(r)
	}
	return t.newCampaignCriterion(r)
}

// changed checks a resource after an update of these fields.
func (t *txn) changed(next, before *adsResource, mask []string) *adsError {
	m := next.message
	if status := textAt(m, "status"); status == "REMOVED" || slices.Contains(mask, "status") && status != "ENABLED" && status != "PAUSED" {
		return wrong("enumError.ENUM_VALUE_NOT_PERMITTED", "A resource is removed by a removal.").at("update", "status")
	}
	switch next.kind.row {
	case "campaign_budget":
		if boolAt(m, "explicitly_shared") != boolAt(before.message, "explicitly_shared") {
			return wrong("campaignBudgetError.CANNOT_UPDATE_CAMPAIGN_BUDGET_TO_IMPLICITLY_SHARED", "Whether a budget is shared stays.").at("update", "explicitly_shared")
		}
		return t.checkBudget(next)
	case "campaign":
		return t.checkCampaign(next)
	case "ad_group":
		return t.checkAdGroup(next)
	case "ad_group_criterion":
		if boolAt(m, "negative") {
			return wrong("adGroupCriterionError.CANT_UPDATE_NEGATIVE", "A negative criterion can't be changed.")
		}
		return t.checkKeyword(next)
	case "campaign_criterion":
		if boolAt(m, "negative") {
			return wrong("campaignCriterionError.CANNOT_UPDATE_NEGATIVE_CRITERION", "A negative criterion can't be changed.")
		}
		return checkModifier(m)
	}
	return nil
}

func (t *txn) newBudget(r *adsResource) *adsError {
	m := r.message
	if bad := required(m, "amount_micros"); bad != nil {
		return bad
	}
	orElse(m, "explicitly_shared", "true")
	if boolAt(m, "explicitly_shared") {
		if bad := required(m, "name"); bad != nil {
			return bad
		}
	}
	r.own = t.a.next()
	put(m, "id", strconv.FormatInt(r.own, 10))
	put(m, "status", "ENABLED")
	orElse(m, "delivery_method", "STANDARD")
	orElse(m, "period", "DAILY")
	return t.checkBudget(r)
}

func (t *txn) checkBudget(r *adsResource) *adsError {
	m := r.message
	amount, name := intAt(m, "amount_micros"), textAt(m, "name")
	switch {
	case amount < 0:
		return wrong("campaignBudgetError.NEGATIVE_MONEY_AMOUNT", "The amount is negative.").at("create", "amount_micros")
	case amount == 0:
		return wrong("campaignBudgetError.BUDGET_BELOW_PER_DAY_MINIMUM", "The amount is too small.").at("create", "amount_micros")
	case amount > 1_000_000_000_000_000:
		return wrong("campaignBudgetError.MONEY_AMOUNT_TOO_LARGE", "The amount is too large.").at("create", "amount_micros")
	case amount%t.a.is.unit() != 0:
		return wrong("campaignBudgetError.NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT", "The amount is no multiple of the currency's unit.").at("create", "amount_micros")
	case boolAt(m, "explicitly_shared") && t.any("campaign_budget", func(o *adsResource) bool {
		return o.own != r.own && boolAt(o.message, "explicitly_shared") && strings.EqualFold(textAt(o.message, "name"), name)
	}):
		return wrong("campaignBudgetError.DUPLICATE_NAME", "Another budget has the name.").at("create", "name")
	}
	return named(m)
}

// named checks the length of a name that is there.
func named(m protoreflect.Message) *adsError {
	f := m.Descriptor().Fields().ByName("name")
	if !m.Has(f) {
		return nil
	}
	switch n := utf8.RuneCountInString(m.Get(f).String()); {
	case n == 0:
		return wrong("stringLengthError.EMPTY", "The name is empty.").at("create", "name")
	case n > 255:
		return wrong("stringLengthError.TOO_LONG", "The name is too long.").at("create", "name")
	}
	return nil
}

// strategies are the ways of bidding by the name of their message.
var strategies = map[protoreflect.Name]string{
	"manual_cpc": "MANUAL_CPC", "maximize_conversions": "MAXIMIZE_CONVERSIONS", "maximize_conversion_value": "MAXIMIZE_CONVERSION_VALUE",
	"target_spend": "TARGET_SPEND", "target_cpa": "TARGET_CPA", "target_roas": "TARGET_ROAS",
}

func (t *txn) newCampaign(r *adsResource) *adsError {
	m := r.message
	if bad := required(m, "name", "advertising_channel_type", "campaign_budget", "contains_eu_political_advertising"); bad != nil {
		return bad
	}
	if m.WhichOneof(m.Descriptor().Oneofs().ByName("campaign_bidding_strategy")) == nil {
		return wrong("fieldError.REQUIRED", "A campaign needs a bidding strategy.").at("create", "campaign_bidding_strategy")
	}
	r.own = t.a.next()
	put(m, "id", strconv.FormatInt(r.own, 10))
	orElse(m, "status", "ENABLED")
	orElse(m, "start_date_time", t.at.In(t.a.zone()).Format("2006-01-02")+" 00:00:00")
	if start := textAt(m, "start_date_time"); start < t.at.In(t.a.zone()).Format("2006-01-02") {
		return wrong("campaignError.CANNOT_SET_DATE_TO_PAST", "The start is in the past.").at("create", "start_date_time")
	}
	return t.checkCampaign(r)
}

const adsTime = "2006-01-02 15:04:05"

func (t *txn) checkCampaign(r *adsResource) *adsError {
	m := r.message
	if bad := required(m, "name", "campaign_budget"); bad != nil {
		return bad
	}
	if bad := named(m); bad != nil {
		return bad
	}
	budget, bad := t.refers(m, "campaign_budget", "campaign_budget")
	if bad != nil {
		return bad
	}
	name := textAt(m, "name")
	switch {
	case t.any("campaign", func(o *adsResource) bool {
		return o.own != r.own && strings.EqualFold(textAt(o.message, "name"), name)
	}):
		return wrong("campaignError.DUPLICATE_CAMPAIGN_NAME", "Another campaign has the name.").at("create", "name")
	case !boolAt(budget.message, "explicitly_shared") && t.any("campaign", func(o *adsResource) bool {
		return o.own != r.own && textAt(o.message, "campaign_budget") == budget.name
	}):
		return wrong("campaignBudgetError.CANNOT_USE_IMPLICITLY_SHARED_CAMPAIGN_BUDGET_WITH_MULTIPLE_CAMPAIGNS", "Another campaign has the budget.").at("create", "campaign_budget")
	}
	start, end := textAt(m, "start_date_time"), textAt(m, "end_date_time")
	for field, text := range map[string]string{"start_date_time": start, "end_date_time": end} {
		if _, err := time.Parse(adsTime, text); text != "" && err != nil {
			return wrong("dateError.INVALID_STRING_DATE_TIME_SECONDS", "The time must be yyyy-MM-dd HH:mm:ss.").at("create", field)
		}
	}
	if end != "" && start > end {
		return wrong("dateRangeError.START_DATE_AFTER_END_DATE", "The end is before the start.").at("create", "end_date_time")
	}
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("campaign_bidding_strategy")); f != nil && strategies[f.Name()] != "" {
		put(m, "bidding_strategy_type", strategies[f.Name()])
	}
	for _, path := range []string{"maximize_conversions.target_cpa_micros", "target_cpa.target_cpa_micros"} {
		if bad := t.bid(m, path); bad != nil {
			return bad
		}
	}
	return nil
}

// bid checks an amount that may be missing.
func (t *txn) bid(m protoreflect.Message, path string) *adsError {
	v, _, ok := valueAt(m, path)
	field := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case !ok || v.Int() == 0:
		return nil
	case v.Int() < 0:
		return wrong("biddingError.BID_TOO_SMALL", "The bid is too small.").at("create", field)
	case v.Int() > 10_000_000_000:
		return wrong("biddingError.BID_TOO_BIG", "The bid is too big.").at("create", field)
	case v.Int()%t.a.is.unit() != 0:
		return wrong("biddingError.BID_TOO_MANY_FRACTIONAL_DIGITS", "The bid is no multiple of the currency's unit.").at("create", field)
	}
	return nil
}

func (t *txn) newAdGroup(r *adsResource) *adsError {
	m := r.message
	if bad := required(m, "name", "campaign"); bad != nil {
		return bad
	}
	if _, bad := t.refers(m, "campaign", "campaign"); bad != nil {
		return bad
	}
	r.own = t.a.next()
	put(m, "id", strconv.FormatInt(r.own, 10))
	orElse(m, "status", "ENABLED")
	orElse(m, "type", "SEARCH_STANDARD")
	return t.checkAdGroup(r)
}

func (t *txn) checkAdGroup(r *adsResource) *adsError {
	m := r.message
	if bad := required(m, "name"); bad != nil {
		return wrong("adGroupError.MISSING_ADGROUP_NAME", "The name is needed.").at("update", "name")
	}
	if bad := named(m); bad != nil {
		return bad
	}
	if bad := t.alive(textAt(m, "campaign")); bad != nil {
		return bad
	}
	if t.any("ad_group", func(o *adsResource) bool {
		return o.own != r.own && textAt(o.message, "campaign") == textAt(m, "campaign") && strings.EqualFold(textAt(o.message, "name"), textAt(m, "name"))
	}) {
		return wrong("adGroupError.DUPLICATE_ADGROUP_NAME", "Another ad group of the campaign has the name.").at("create", "name")
	}
	return t.bid(m, "cpc_bid_micros")
}

// alive refuses what lies in something that is removed.
func (t *txn) alive(name string) *adsError {
	r := t.get(name)
	if r == nil || r.removed {
		return wrong("operationAccessDeniedError.OPERATION_NOT_PERMITTED_FOR_REMOVED_RESOURCE", "What it is in is removed.")
	}
	if r.kind.row == "ad_group" {
		return t.alive(textAt(r.message, "campaign"))
	}
	return nil
}

// in resolves what a new resource lies in.
func (t *txn) in(r *adsResource, row string) *adsError {
	if bad := required(r.message, row); bad != nil {
		return bad
	}
	parent, bad := t.refers(r.message, row, row)
	if bad != nil {
		return bad
	}
	if bad := t.alive(parent.name); bad != nil {
		return bad
	}
	r.parent = parent.own
	return nil
}

func (t *txn) newAd(r *adsResource) *adsError {
	m := r.message
	if bad := t.in(r, "ad_group"); bad != nil {
		return bad
	}
	if _, _, ok := valueAt(m, "ad.responsive_search_ad"); !ok {
		return wrong("adError.INVALID_AD_TYPE", "The stand-in makes responsive search ads only.").at("create", "ad")
	}
	for _, rule := range []struct {
		field             string
		least, most, long int
	}{{"headlines", 3, 15, 30}, {"descriptions", 2, 4, 90}} {
		list, _, ok := valueAt(m, "ad.responsive_search_ad."+rule.field)
		if !ok || list.List().Len() < rule.least || list.List().Len() > rule.most {
			return wrong("adError.INVALID_NUMBER_OF_ELEMENTS", "The number of texts is wrong.").at("create", "ad", "responsive_search_ad", rule.field)
		}
		seen := map[string]bool{}
		for i := range list.List().Len() {
			text := textAt(list.List().Get(i).Message(), "text")
			at := []string{"create", "ad", "responsive_search_ad", rule.field + "#" + strconv.Itoa(i), "text"}
			switch {
			case text == "":
				return wrong("fieldError.REQUIRED", "The text is needed.").at(at...)
			case utf8.RuneCountInString(text) > rule.long:
				return wrong("adError.LINE_TOO_WIDE", "The text is too long.").at(at...)
			case seen[text]:
				return wrong("distinctError.DUPLICATE_ELEMENT", "The text is there twice.").at(at...)
			}
			seen[text] = true
		}
	}
	if textAt(m, "ad.responsive_search_ad.path2") != "" && textAt(m, "ad.responsive_search_ad.path1") == "" {
		return wrong("adError.CANNOT_SET_PATH2_WITHOUT_PATH1", "There is no first path.").at("create", "ad", "responsive_search_ad", "path2")
	}
	if bad := urls(m, "ad.final_urls", true); bad != nil {
		return bad
	}
	r.own = t.a.next()
	id := strconv.FormatInt(r.own, 10)
	put(m, "ad.id", id)
	put(m, "ad.type", "RESPONSIVE_SEARCH_AD")
	put(m, "ad.resource_name", "customers/"+t.a.id+"/ads/"+id)
	orElse(m, "status", "ENABLED")
	return nil
}

// urls checks a list of addresses.
func urls(m protoreflect.Message, path string, needed bool) *adsError {
	at := append([]string{"create"}, strings.Split(path, ".")...)
	v, _, ok := valueAt(m, path)
	if !ok || v.List().Len() == 0 {
		if needed {
			return wrong("fieldError.REQUIRED", "The address is needed.").at(at...)
		}
		return nil
	}
	for i := range v.List().Len() {
		u, err := url.Parse(v.List().Get(i).String())
		switch {
		case err != nil || u.Host == "":
			return wrong("urlFieldError.MALFORMED_FINAL_URL", "The address is none.").at(at...)
		case u.Scheme != "http" && u.Scheme != "https":
			return wrong("urlFieldError.INVALID_PROTOCOL_IN_FINAL_URL", "The address must begin with http or https.").at(at...)
		}
	}
	return nil
}

var keywordChars = regexp.MustCompile("[!@%,*(){}<>~`^=;|?\\\\]")

// keyword checks the words of a criterion and returns its number.
func (t *txn) keyword(m protoreflect.Message) (int64, *adsError) {
	text, match := textAt(m, "keyword.text"), textAt(m, "keyword.match_type")
	switch {
	case text == "":
		return 0, wrong("criterionError.INVALID_KEYWORD_TEXT", "The keyword is empty.").at("create", "keyword", "text")
	case utf8.RuneCountInString(text) > 80:
		return 0, wrong("criterionError.KEYWORD_TEXT_TOO_LONG", "The keyword is too long.").at("create", "keyword", "text")
	case len(strings.Fields(text)) > 10:
		return 0, wrong("criterionError.KEYWORD_HAS_TOO_MANY_WORDS", "The keyword has too many words.").at("create", "keyword", "text")
	case keywordChars.MatchString(text):
		return 0, wrong("criterionError.KEYWORD_HAS_INVALID_CHARS", "The keyword has a character that it may not have.").at("create", "keyword", "text")
	case !slices.Contains([]string{"EXACT", "PHRASE", "BROAD"}, match):
		return 0, wrong("fieldError.REQUIRED", "The match type is needed.").at("create", "keyword", "match_type")
	}
	key := match + " " + strings.ToLower(text)
	if t.a.keywords[key] == 0 {
		t.a.keywords[key] = t.a.next()
	}
	return t.a.keywords[key], nil
}

// clashes refuses a criterion that is there.
func (t *txn) clashes(r *adsResource) *adsError {
	known := t.get("customers/" + t.a.id + "/" + r.kind.collection + "/" + strconv.FormatInt(r.parent, 10) + "~" + strconv.FormatInt(r.own, 10))
	switch {
	case known == nil || known.removed:
		return nil
	case boolAt(known.message, "negative") != boolAt(r.message, "negative"):
		code := "adGroupCriterionError.CANNOT_TARGET_AND_EXCLUDE"
		if r.kind.row == "campaign_criterion" {
			code = "campaignCriterionError.CANNOT_TARGET_AND_EXCLUDE"
		}
		return wrong(code, "It is targeted and excluded.").at("create")
	case r.kind.row == "campaign_criterion":
		return wrong("campaignCriterionError.CANNOT_ADD_EXISTING_FIELD", "It is there already.").at("create")
	}
	return wrong("mutateError.RESOURCE_ALREADY_EXISTS", "It is there already.").at("create", "keyword")
}

func (t *txn) newKeyword(r *adsResource) *adsError {
	m := r.message
	if bad := t.in(r, "ad_group"); bad != nil {
		return bad
	}
	if _, _, ok := valueAt(m, "keyword"); !ok {
		return wrong("adGroupCriterionError.CONCRETE_TYPE_REQUIRED", "The stand-in makes keywords only.").at("create")
	}
	var bad *adsError
	if r.own, bad = t.keyword(m); bad != nil {
		return bad
	}
	if boolAt(m, "negative") {
		for _, f := range []protoreflect.Name{"cpc_bid_micros", "final_urls"} {
			if m.Has(m.Descriptor().Fields().ByName(f)) {
				return wrong("fieldError.VALUE_MUST_BE_UNSET", "A negative keyword has no such value.").at("create", string(f))
			}
		}
	}
	put(m, "criterion_id", strconv.FormatInt(r.own, 10))
	put(m, "type", "KEYWORD")
	orElse(m, "status", "ENABLED")
	orElse(m, "negative", "false")
	if bad := t.clashes(r); bad != nil {
		return bad
	}
	return t.checkKeyword(r)
}

func (t *txn) checkKeyword(r *adsResource) *adsError {
	if bad := t.alive(textAt(r.message, "ad_group")); bad != nil {
		return bad
	}
	if bad := urls(r.message, "final_urls", false); bad != nil {
		return bad
	}
	return t.bid(r.message, "cpc_bid_micros")
}

var geoTarget = regexp.MustCompile(`^geoTargetConstants/([0-9]{1,18})$`)

func (t *txn) newCampaignCriterion(r *adsResource) *adsError {
	m := r.message
	if bad := t.in(r, "campaign"); bad != nil {
		return bad
	}
	orElse(m, "negative", "false")
	switch f := m.WhichOneof(m.Descriptor().Oneofs().ByName("criterion")); {
	case f == nil:
		return wrong("campaignCriterionError.CONCRETE_TYPE_REQUIRED", "The criterion is missing.").at("create")
	case f.Name() == "location":
		id := geoTarget.FindStringSubmatch(textAt(m, "location.geo_target_constant"))
		if id == nil {
			return wrong("criterionError.INVALID_CRITERION_ID", "The geo target is none.").at("create", "location", "geo_target_constant")
		}
		r.own, _ = strconv.ParseInt(id[1], 10, 64)
		put(m, "type", "LOCATION")
	case f.Name() == "keyword":
		if !boolAt(m, "negative") {
			return wrong("criterionError.CANNOT_ADD_CRITERIA_TYPE", "A campaign has negative keywords only.").at("create", "keyword")
		}
		var bad *adsError
		if r.own, bad = t.keyword(m); bad != nil {
			return bad
		}
		put(m, "type", "KEYWORD")
	default:
		return wrong("criterionError.CANNOT_ADD_CRITERIA_TYPE", "The stand-in keeps locations and negative keywords only.").at("create", string(f.Name()))
	}
	put(m, "criterion_id", strconv.FormatInt(r.own, 10))
	orElse(m, "status", "ENABLED")
	if bad := t.clashes(r); bad != nil {
		return bad
	}
	return checkModifier(m)
}

func checkModifier(m protoreflect.Message) *adsError {
	v, _, ok := valueAt(m, "bid_modifier")
	switch {
	case !ok:
		return nil
	case boolAt(m, "negative"):
		return wrong("criterionError.CANNOT_BID_MODIFY_NEGATIVE_CRITERION", "What is excluded has no bids.").at("create", "bid_modifier")
	case v.Float() < 0.0999 || v.Float() > 10:
		return wrong("rangeError.TOO_HIGH", "The modifier is not from 0.1 to 10.").at("create", "bid_modifier")
	}
	return nil
}
