package google_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/google"
)

const adsAccount = "1"

// adsSaid is an answer of the Google Ads API.
type adsSaid struct {
	status int
	text   string
}

// codes are those that the answer names, each with its operation and the last
// field of its path.
func (s adsSaid) codes() []string {
	type failure struct {
		Errors []struct {
			Code     map[string]string `json:"errorCode"`
			Location struct {
				Path []struct {
					Name  string `json:"fieldName"`
					Index *int   `json:"index"`
				} `json:"fieldPathElements"`
			} `json:"location"`
		} `json:"errors"`
		Reason string `json:"reason"`
	}
	type holder struct {
		Error   *struct{ Details []failure } `json:"error"`
		Partial *struct{ Details []failure } `json:"partialFailureError"`
	}
	all := []holder{{}}
	if strings.HasPrefix(s.text, "[") {
		_ = json.Unmarshal([]byte(s.text), &all)
	} else {
		_ = json.Unmarshal([]byte(s.text), &all[0])
	}
	var out []string
	for _, h := range all {
		for _, e := range []*struct{ Details []failure }{h.Error, h.Partial} {
			if e == nil {
				continue
			}
			for _, d := range e.Details {
				for _, one := range d.Errors {
					for family, word := range one.Code {
						text := family + "." + word
						if p := one.Location.Path; len(p) > 0 && p[0].Index != nil {
							text = fmt.Sprintf("%d %s", *p[0].Index, text)
							if len(p) > 1 {
								text += " " + p[len(p)-1].Name
							}
						}
						out = append(out, text)
					}
				}
				if d.Reason != "" {
					out = append(out, d.Reason)
				}
			}
		}
	}
	return out
}

// ads calls the Google Ads API. Every good answer and every failure must be one that
// Google's definitions have.
func (p *peer) ads(method, body string, headers ...string) adsSaid {
	p.t.Helper()
	h := http.Header{"Authorization": {"Bearer " + p.token}, "Content-Type": {"application/json"}}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, "/v25/customers/"+adsAccount+"/googleAds:"+method, strings.NewReader(body))
	req.Header = h
	rec := httptest.NewRecorder()
	p.net.ServeHTTP(rec, req)
	s := adsSaid{rec.Code, rec.Body.String()}
	message := "services.MutateGoogleAdsResponse"
	chunks := []json.RawMessage{json.RawMessage(s.text)}
	if method == "searchStream" {
		message, chunks = "services.SearchGoogleAdsStreamResponse", nil
		if err := json.Unmarshal([]byte(s.text), &chunks); err != nil {
			p.t.Fatalf("the answer is no list: %s", s.text)
		}
	}
	for _, c := range chunks {
		text := string(c)
		if rec.Code != 200 || strings.Contains(text, "partialFailureError") { // an Any is judged by its own type
			for _, part := range strings.Split(text, `"@type":"type.googleapis.com/google.ads.googleads.v25.errors.GoogleAdsFailure",`)[1:] {
				dec := json.NewDecoder(strings.NewReader("{" + part))
				var failure json.RawMessage
				if err := dec.Decode(&failure); err != nil {
					p.t.Fatal(err)
				}
				if _, err := google.JudgeAds("errors.GoogleAdsFailure", failure); err != nil {
					p.t.Errorf("the failure is none of Google's: %v\n%s", err, failure)
				}
			}
			continue
		}
		if _, err := google.JudgeAds(message, c); err != nil {
			p.t.Errorf("the answer is none of Google's: %v\n%s", err, c)
		}
	}
	return s
}

// mutate carries operations out, all or none.
func (p *peer) mutate(ops ...string) adsSaid {
	p.t.Helper()
	return p.ads("mutate", `{"mutateOperations":[`+strings.Join(ops, ",")+`]}`)
}

func (p *peer) query(query string) adsSaid {
	p.t.Helper()
	text, _ := json.Marshal(map[string]string{"query": query})
	return p.ads("searchStream", string(text))
}

const (
	budgetOp   = `{"campaignBudgetOperation":{"create":{"resourceName":"customers/1/campaignBudgets/-1","amountMicros":"5000000","explicitlyShared":false}}}`
	campaignOp = `{"campaignOperation":{"create":{"resourceName":"customers/1/campaigns/-2","name":"Nov","advertisingChannelType":"SEARCH","campaignBudget":"customers/1/campaignBudgets/-1","manualCpc":{},"containsEuPoliticalAdvertising":"DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING"}}}`
	groupOp    = `{"adGroupOperation":{"create":{"resourceName":"customers/1/adGroups/-3","name":"Shoes","campaign":"customers/1/campaigns/-2","cpcBidMicros":"1000000"}}}`
	keywordOp  = `{"adGroupCriterionOperation":{"create":{"adGroup":"customers/1/adGroups/-3","keyword":{"text":"red shoes","matchType":"EXACT"}}}}`
	adOp       = `{"adGroupAdOperation":{"create":{"adGroup":"customers/1/adGroups/-3","ad":{"finalUrls":["https://example.com"],"responsiveSearchAd":{"headlines":[{"text":"a"},{"text":"b"},{"text":"c"}],"descriptions":[{"text":"d"},{"text":"e"}]}}}}}`
	placeOp    = `{"campaignCriterionOperation":{"create":{"campaign":"customers/1/campaigns/-2","location":{"geoTargetConstant":"geoTargetConstants/2840"}}}}`
)

// seeded is an account with one of each: budget 1001, campaign 1002, ad group 1003,
// keyword 1003~1004, ad 1003~1005, location 1002~2840.
func seeded(t *testing.T, o google.Options) *peer {
	t.Helper()
	p := newPeer(t, o)
	if s := p.mutate(budgetOp, campaignOp, groupOp, keywordOp, adOp, placeOp); s.status != 200 {
		t.Fatal(s.text)
	}
	return p
}

func TestAdsOperationsAreJudged(t *testing.T) {
	replace := func(op string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(op) }
	real := strings.NewReplacer("campaigns/-2", "campaigns/1002", "adGroups/-3\",\"keyword", "adGroups/1003\",\"keyword", "adGroups/-3\",\"ad\"", "adGroups/1003\",\"ad\"")
	update := func(kind, body, mask string) string {
		return `{"` + kind + `":{"update":{` + body + `},"updateMask":"` + mask + `"}}`
	}
	campaign := `"resourceName":"customers/1/campaigns/1002"`
	keyword := `"resourceName":"customers/1/adGroupCriteria/1003~1004"`
	for name, tc := range map[string]struct {
		op   string
		want string // "" = it is done
	}{
		"a status":                         {update("campaignOperation", campaign+`,"status":"PAUSED"`, "status"), ""},
		"a field that is cleared":          {update("adGroupOperation", `"resourceName":"customers/1/adGroups/1003"`, "cpcBidMicros"), ""},
		"a strategy":                       {update("campaignOperation", campaign+`,"maximizeConversions":{}`, "maximizeConversions.targetCpaMicros"), ""},
		"a removal":                        {`{"adGroupAdOperation":{"remove":"customers/1/adGroupAds/1003~1005"}}`, ""},
		"no mask":                          {`{"campaignOperation":{"update":{` + campaign + `,"name":"x"}}}`, "0 fieldMaskError.FIELD_MASK_MISSING update_mask"},
		"a mask on a create":               {replace(budgetOp, `}}}`, `},"updateMask":"name"}}`), "0 fieldMaskError.FIELD_MASK_NOT_ALLOWED update_mask"},
		"a mask of another thing":          {update("campaignOperation", campaign, "startDate"), "0 fieldMaskError.FIELD_NOT_FOUND update_mask"},
		"a mask of a whole message":        {update("campaignOperation", campaign+`,"manualCpc":{}`, "manualCpc"), "0 fieldMaskError.FIELD_HAS_SUBFIELDS update_mask"},
		"what can't be changed":            {update("adGroupCriterionOperation", keyword+`,"keyword":{"text":"x"}`, "keyword.text"), "0 fieldError.IMMUTABLE_FIELD keyword"},
		"a fixed field":                    {update("campaignOperation", campaign+`,"advertisingChannelType":"DISPLAY"`, "advertisingChannelType"), "0 fieldError.IMMUTABLE_FIELD advertising_channel_type"},
		"a field of Google's":              {update("campaignOperation", campaign+`,"id":"5"`, "id"), "0 fieldError.VALUE_MUST_BE_UNSET id"},
		"a name that is taken":             {real.Replace(replace(groupOp, "adGroups/-3", "adGroups/-9")), "0 adGroupError.DUPLICATE_ADGROUP_NAME name"},
		"a name that is taken, other case": {real.Replace(replace(groupOp, "adGroups/-3", "adGroups/-9", "Shoes", "SHOES")), "0 adGroupError.DUPLICATE_ADGROUP_NAME name"},
		"a name cleared":                   {update("campaignOperation", campaign, "name"), "0 fieldError.REQUIRED name"},
		"removed by a status":              {update("campaignOperation", campaign+`,"status":"REMOVED"`, "status"), "0 enumError.ENUM_VALUE_NOT_PERMITTED status"},
		"created as removed":               {replace(groupOp, "campaigns/-2", "campaigns/1002", "Shoes", "x", `"cpc`, `"status":"REMOVED","cpc`), "0 operationAccessDeniedError.CREATE_AS_REMOVED_NOT_PERMITTED status"},
		"a resource that is not there":     {update("campaignOperation", `"resourceName":"customers/1/campaigns/77","status":"PAUSED"`, "status"), "0 mutateError.RESOURCE_NOT_FOUND"},
		"a name of another account":        {update("campaignOperation", `"resourceName":"customers/2/campaigns/1002","status":"PAUSED"`, "status"), "0 requestError.RESOURCE_NAME_MALFORMED"},
		"no resource name":                 {update("campaignOperation", `"status":"PAUSED"`, "status"), "0 requestError.RESOURCE_NAME_MISSING"},
		"a number of one's own":            {replace(budgetOp, "/-1", "/99"), "0 newResourceCreationError.CANNOT_SET_ID_FOR_CREATE resource_name"},
		"a fine amount":                    {replace(budgetOp, "5000000", "5001234"), "0 campaignBudgetError.NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT amount_micros"},
		"a fine bid":                       {update("adGroupCriterionOperation", keyword+`,"cpcBidMicros":"1234567"`, "cpcBidMicros"), "0 biddingError.BID_TOO_MANY_FRACTIONAL_DIGITS cpc_bid_micros"},
		"no amount":                        {replace(budgetOp, `"amountMicros":"5000000",`, ""), "0 fieldError.REQUIRED amount_micros"},
		"a shared budget without a name":   {replace(budgetOp, "false", "true"), "0 fieldError.REQUIRED name"},
		"a budget in use":                  {`{"campaignBudgetOperation":{"remove":"customers/1/campaignBudgets/1001"}}`, "0 campaignBudgetError.CAMPAIGN_BUDGET_IN_USE"},
		"another's own budget":             {replace(campaignOp, "Budgets/-1", "Budgets/1001", "Nov", "Dec"), "0 campaignBudgetError.CANNOT_USE_IMPLICITLY_SHARED_CAMPAIGN_BUDGET_WITH_MULTIPLE_CAMPAIGNS campaign_budget"},
		"a campaign undeclared":            {replace(campaignOp, `,"containsEuPoliticalAdvertising":"DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING"`, "", "Budgets/-1", "Budgets/1001"), "0 fieldError.REQUIRED contains_eu_political_advertising"},
		"a campaign without bidding":       {replace(campaignOp, `"manualCpc":{},`, "", "Budgets/-1", "Budgets/1001"), "0 fieldError.REQUIRED campaign_bidding_strategy"},
		"an end before the start":          {update("campaignOperation", campaign+`,"endDateTime":"2026-01-01 23:59:59"`, "endDateTime"), "0 dateRangeError.START_DATE_AFTER_END_DATE end_date_time"},
		"a date alone":                     {update("campaignOperation", campaign+`,"endDateTime":"2027-01-01"`, "endDateTime"), "0 dateError.INVALID_STRING_DATE_TIME_SECONDS end_date_time"},
		"a keyword that is there":          {real.Replace(keywordOp), "0 mutateError.RESOURCE_ALREADY_EXISTS keyword"},
		"a keyword that is excluded too":   {replace(real.Replace(keywordOp), `"keyword":`, `"negative":true,"keyword":`), "0 adGroupCriterionError.CANNOT_TARGET_AND_EXCLUDE create"},
		"a keyword with a sign":            {real.Replace(replace(keywordOp, "red shoes", "red! shoes")), "0 criterionError.KEYWORD_HAS_INVALID_CHARS text"},
		"a long keyword":                   {real.Replace(replace(keywordOp, "red shoes", strings.Repeat("x", 81))), "0 criterionError.KEYWORD_TEXT_TOO_LONG text"},
		"two headlines":                    {real.Replace(replace(adOp, `,{"text":"c"}`, "")), "0 adError.INVALID_NUMBER_OF_ELEMENTS headlines"},
		"a headline twice":                 {real.Replace(replace(adOp, `"text":"c"`, `"text":"a"`)), "0 distinctError.DUPLICATE_ELEMENT text"},
		"a wide headline":                  {real.Replace(replace(adOp, `"text":"c"`, `"text":"`+strings.Repeat("x", 31)+`"`)), "0 adError.LINE_TOO_WIDE text"},
		"an address without a scheme":      {real.Replace(replace(adOp, "https://example.com", "example.com")), "0 urlFieldError.MALFORMED_FINAL_URL final_urls"},
		"a place that is there":            {real.Replace(placeOp), "0 campaignCriterionError.CANNOT_ADD_EXISTING_FIELD create"},
		"a place that is none":             {real.Replace(replace(placeOp, "/2840", "/US")), "0 criterionError.INVALID_CRITERION_ID geo_target_constant"},
		"a large modifier":                 {update("campaignCriterionOperation", `"resourceName":"customers/1/campaignCriteria/1002~2840","bidModifier":11`, "bidModifier"), "0 rangeError.TOO_HIGH bid_modifier"},
		"a parent that is not there":       {replace(groupOp, "campaigns/-2", "campaigns/77"), "0 mutateError.RESOURCE_NOT_FOUND campaign"},
		"an empty operation":               {`{}`, "0 requestError.OPERATION_REQUIRED"},
	} {
		p := seeded(t, google.Options{})
		before := len(p.net.AdsJournal(adsAccount))
		s := p.mutate(tc.op)
		got := strings.Join(s.codes(), ", ")
		if got != tc.want || (s.status == 200) != (tc.want == "") {
			t.Errorf("%s: %d %q, want %q", name, s.status, got, tc.want)
		}
		if did := len(p.net.AdsJournal(adsAccount)) - before; (did == 1) != (tc.want == "") {
			t.Errorf("%s: %d effects", name, did)
		}
	}
}

func TestAdsBodiesAreJudged(t *testing.T) {
	for name, body := range map[string]string{
		"a field that is not there any more": `{"mutateOperations":[{"campaignOperation":{"create":{"startDate":"20261101"}}}]}`,
		"a word that is none":                `{"mutateOperations":[{"campaignOperation":{"create":{"status":"RUNNING"}}}]}`,
		"two of a oneof":                     `{"mutateOperations":[{"campaignOperation":{"create":{"manualCpc":{},"targetSpend":{}}}}]}`,
		"a create and a removal":             `{"mutateOperations":[{"campaignOperation":{"create":{},"remove":"x"}}]}`,
		"an amount with a point":             `{"mutateOperations":[{"adGroupOperation":{"create":{"cpcBidMicros":"1.5"}}}]}`,
		"no JSON":                            `{"mutateOperations":`,
	} {
		p := seeded(t, google.Options{})
		if s := p.ads("mutate", body); s.status != 400 || !strings.Contains(s.text, "Invalid JSON payload") || len(s.codes()) > 0 {
			t.Errorf("%s: %d %s", name, s.status, s.text)
		}
	}
	p := seeded(t, google.Options{Customers: map[string]google.AdsCustomer{}})
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprintf(`{"adGroupAdOperation":{"remove":"customers/1/adGroupAds/5~%d"}}`, i)
	}
	pause := `{"campaignOperation":{"update":{"resourceName":"customers/1/campaigns/1002","status":"PAUSED"},"updateMask":"status"}}`
	for name, tc := range map[string]struct {
		said adsSaid
		want string
	}{
		"too many":          {p.mutate(many...), "requestError.TOO_MANY_MUTATE_OPERATIONS"},
		"none":              {p.mutate(), "requestError.REQUIRED_FIELD_MISSING"},
		"one twice":         {p.mutate(pause, pause), "1 mutateError.ID_EXISTS_IN_MULTIPLE_MUTATES"},
		"a number twice":    {p.mutate(budgetOp, strings.Replace(campaignOp, "campaigns/-2", "campaigns/-1", 1)), "1 newResourceCreationError.DUPLICATE_TEMP_IDS"},
		"a wrong token":     {p.ads("mutate", "{}", "Authorization", "Bearer x"), "authenticationError.OAUTH_TOKEN_INVALID"},
		"a wrong manager":   {p.ads("mutate", "{}", "Login-Customer-Id", "111-222"), "headerError.INVALID_LOGIN_CUSTOMER_ID"},
		"another's account": {newPeer(t, google.Options{Accounts: []string{"2"}}).ads("mutate", "{}"), "authorizationError.USER_PERMISSION_DENIED"},
		"a closed account":  {newPeer(t, google.Options{Customers: map[string]google.AdsCustomer{"1": {Disabled: true}}}).ads("mutate", "{}"), "authorizationError.CUSTOMER_NOT_ENABLED"},
		"undeclared":        {newPeer(t, google.Options{Customers: map[string]google.AdsCustomer{"1": {Undeclared: true}}}).mutate(budgetOp), "mutateError.EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED"},
		"a manager":         {newPeer(t, google.Options{Customers: map[string]google.AdsCustomer{"1": {Manager: true}}}).mutate(budgetOp), "requestError.CANNOT_BE_EXECUTED_BY_MANAGER_ACCOUNT"},
		"a narrow consent":  {newPeer(t, google.Options{Tokens: []google.Token{{Value: google.DefaultToken, Scope: google.Scope}}}).mutate(budgetOp), "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
		"over the quota":    {newPeer(t, google.Options{AdsPerDay: 1}).mutate(budgetOp, campaignOp), "quotaError.RESOURCE_EXHAUSTED"},
	} {
		if got := strings.Join(tc.said.codes(), ", "); got != tc.want || tc.said.status == 200 {
			t.Errorf("%s: %d %q, want %q", name, tc.said.status, got, tc.want)
		}
	}
}

// TestAdsAllOrEachForItself: a bad operation takes all along, or those alone that
// refer to it.
func TestAdsAllOrEachForItself(t *testing.T) {
	bad := strings.Replace(groupOp, `"name":"Shoes",`, "", 1)
	p := newPeer(t, google.Options{})
	s := p.mutate(budgetOp, campaignOp, bad, keywordOp, placeOp)
	if got := fmt.Sprint(s.codes()); s.status != 400 || got != "[2 fieldError.REQUIRED name 3 newResourceCreationError.TEMP_ID_RESOURCE_HAD_ERRORS ad_group]" {
		t.Errorf("%d %s", s.status, got)
	}
	if left := p.net.AdsTree(adsAccount); len(left) > 0 {
		t.Errorf("something was made: %v", left)
	}
	s = p.ads("mutate", `{"partialFailure":true,"mutateOperations":[`+strings.Join([]string{budgetOp, campaignOp, bad, keywordOp, placeOp}, ",")+`]}`)
	if len(s.codes()) != 2 || s.status != 200 || strings.Count(s.text, `{}`) != 2 || len(p.net.AdsTree(adsAccount)) != 3 {
		t.Errorf("%d %s", s.status, s.text)
	}
	if s := p.ads("mutate", `{"validateOnly":true,"mutateOperations":[{"campaignOperation":{"remove":"customers/1/campaigns/1004"}}]}`); s.status != 200 || len(p.net.AdsJournal(adsAccount)) != 3 {
		t.Errorf("%s", s.text)
	}
}

func TestAdsQueries(t *testing.T) {
	p := seeded(t, google.Options{})
	if err := p.net.PutAdsCosts(adsAccount,
		google.AdsCost{Resource: "customers/1/campaigns/1002", Date: "2026-11-20", Clicks: 3, CostMicros: 1_500_000, Conversions: 0.5},
		google.AdsCost{Resource: "customers/1/campaigns/1002", Date: "2026-11-21", Clicks: 4},
	); err != nil {
		t.Fatal(err)
	}
	rows := func(s adsSaid) string {
		var chunks []struct{ Results []json.RawMessage }
		if err := json.Unmarshal([]byte(s.text), &chunks); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range chunks {
			for _, r := range c.Results {
				out = append(out, strings.ReplaceAll(string(r), " ", ""))
			}
		}
		return strings.Join(out, " ")
	}
	for query, want := range map[string]string{
		"SELECT campaign.id FROM campaign":                                  `{"campaign":{"resourceName":"customers/1/campaigns/1002","id":"1002"}}`,
		"select campaign.id from campaign where campaign.status = 'PAUSED'": ``,
		"SELECT ad_group_criterion.keyword.text, campaign.name FROM ad_group_criterion WHERE ad_group_criterion.resource_name IN ('customers/1/adGroupCriteria/1003~1004', 'x') AND campaign.status != REMOVED": `{"adGroupCriterion":{"resourceName":"customers/1/adGroupCriteria/1003~1004","keyword":{"text":"redshoes"}},"campaign":{"resourceName":"customers/1/campaigns/1002","name":"Nov"}}`,
		"SELECT segments.date, metrics.clicks FROM campaign WHERE segments.date BETWEEN '2026-11-20' AND '2026-11-20'":                                                                                          `{"metrics":{"clicks":"3"},"segments":{"date":"2026-11-20"}}`,
		"SELECT segments.date FROM campaign ORDER BY segments.date DESC LIMIT 1":                                                                                                                                `{"segments":{"date":"2026-11-21"}}`,
		"SELECT campaign_budget.amount_micros FROM campaign WHERE campaign_budget.explicitly_shared = FALSE":                                                                                                    `{"campaignBudget":{"resourceName":"customers/1/campaignBudgets/1001","amountMicros":"5000000"}}`,
		"SELECT campaign.name FROM campaign WHERE campaign.name = 'No\\'v'":                                                                                                                                     ``,
		"SELECT currency_constant.billable_unit_micros FROM currency_constant":                                                                                                                                  `{"currencyConstant":{"resourceName":"currencyConstants/EUR","billableUnitMicros":"10000"}}`,
	} {
		if s := p.query(query); s.status != 200 || rows(s) != want {
			t.Errorf("%s: %d %s", query, s.status, s.text)
		}
	}
	for query, want := range map[string]string{
		"":                                     "UNEXPECTED_INPUT",
		"SELECT campaign.colour FROM campaign": "UNRECOGNIZED_FIELD",
		"SELECT campaign FROM campaign":        "UNRECOGNIZED_FIELD",
		"SELECT campaign.manual_cpc FROM campaign":                                              "PROHIBITED_FIELD_IN_SELECT_CLAUSE",
		"SELECT ad_group.id FROM campaign":                                                      "PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE",
		"SELECT campaign.id FROM campaigns":                                                     "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE",
		"SELECT campaign.id":                                                                    "EXPECTED_FROM",
		"SELECT campaign.id FROM campaign WHERE":                                                "UNEXPECTED_END_OF_QUERY",
		"SELECT campaign.id FROM campaign WHERE ad_group.id = 5":                                "PROHIBITED_RESOURCE_TYPE_IN_WHERE_CLAUSE",
		"SELECT campaign.id FROM campaign WHERE campaign.status = 'RUNNING'":                    "BAD_ENUM_CONSTANT",
		"SELECT campaign.id FROM campaign WHERE campaign.status > 'PAUSED'":                     "OPERATOR_FIELD_MISMATCH",
		"SELECT campaign.id FROM campaign WHERE campaign.id = 'x'":                              "BAD_NUMBER",
		"SELECT campaign.id FROM campaign WHERE campaign.id IN ()":                              "PROHIBITED_EMPTY_LIST_IN_CONDITION",
		"SELECT campaign.id FROM campaign WHERE campaign.name = Nov":                            "INVALID_STRING_VALUE",
		"SELECT campaign.id FROM campaign WHERE campaign.name = 'Nov":                           "STRING_NOT_TERMINATED",
		"SELECT campaign.id FROM campaign WHERE campaign.id = 1 OR campaign.id = 2":             "UNEXPECTED_INPUT",
		"SELECT campaign.id FROM campaign; DROP":                                                "BAD_SYMBOL",
		"SELECT campaign.id FROM campaign LIMIT 0":                                              "LIMIT_VALUE_TOO_LOW",
		"SELECT metrics.clicks, segments.date FROM campaign WHERE segments.date = '20.11.2026'": "INVALID_DATE_FORMAT",
		"SELECT metrics.clicks FROM ad_group_ad":                                                "PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE",
		"SELECT change_event.change_resource_name FROM change_event LIMIT 5":                    "CHANGE_DATE_RANGE_INFINITE",
		"SELECT change_event.change_resource_name FROM change_event WHERE change_event.change_date_time BETWEEN '2026-11-20' AND '2026-11-23'":             "LIMIT_NOT_SPECIFIED",
		"SELECT change_event.change_resource_name FROM change_event WHERE change_event.change_date_time BETWEEN '2026-09-20' AND '2026-11-23' LIMIT 5":     "START_DATE_TOO_OLD",
		"SELECT change_event.change_resource_name FROM change_event WHERE change_event.change_date_time BETWEEN '2026-11-20' AND '2026-11-23' LIMIT 10001": "INVALID_LIMIT_CLAUSE",
	} {
		s := p.query(query)
		got := strings.Join(s.codes(), ", ")
		if query == "" {
			want = got // whatever it is, it is refused
		}
		if s.status != 400 || !strings.HasSuffix(got, want) || got == "" {
			t.Errorf("%s: %d %q, want %s", query, s.status, got, want)
		}
	}
	manager := newPeer(t, google.Options{Customers: map[string]google.AdsCustomer{"1": {Manager: true}}})
	if s := manager.query("SELECT metrics.clicks, segments.date FROM campaign"); !slices.Equal(s.codes(), []string{"queryError.REQUESTED_METRICS_FOR_MANAGER"}) {
		t.Error(s.text)
	}
}

// FuzzAdsQuery: a query is answered or refused, whatever it is.
func FuzzAdsQuery(f *testing.F) {
	for _, q := range []string{
		"SELECT campaign.id, campaign.name FROM campaign WHERE campaign.status IN ('ENABLED', \"PAUSED\") AND campaign.id BETWEEN 1 AND 5 ORDER BY campaign.id DESC LIMIT 3",
		"SELECT metrics.clicks, segments.date FROM keyword_view WHERE segments.date >= '2026-11-20'", "SELECT 'a\\'b'", "", "SELECT a FROM b WHERE c NOT IN (1,)",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		p := seeded(t, google.Options{})
		if s := p.query(query); s.status != 200 && (s.status != 400 || len(s.codes()) == 0) && strings.ToValidUTF8(query, "") == query {
			t.Errorf("%q: %d %s", query, s.status, s.text)
		}
	})
}

// TestAdsBehindAndFaults: others change things, single operations are refused, and
// what took effect is in the journal once.
func TestAdsBehindAndFaults(t *testing.T) {
	p := seeded(t, google.Options{})
	bid := `{"mutateOperations":[{"adGroupCriterionOperation":{"update":{"resourceName":"customers/1/adGroupCriteria/1003~1004","cpcBidMicros":"700000"},"updateMask":"cpcBidMicros"}}]}`
	if names, err := p.net.ChangeAds(adsAccount, []byte(bid)); err != nil || !slices.Equal(names, []string{"customers/1/adGroupCriteria/1003~1004"}) {
		t.Fatal(names, err)
	}
	p.clock.pass(time.Second)
	s := p.query("SELECT change_event.client_type, change_event.change_resource_name FROM change_event WHERE change_event.change_date_time >= '2026-11-22' AND change_event.change_date_time <= '2026-11-23' ORDER BY change_event.change_date_time LIMIT 100")
	if strings.Count(s.text, "GOOGLE_ADS_WEB_CLIENT") != 1 || strings.Count(s.text, "GOOGLE_ADS_API") != 6 {
		t.Error(s.text)
	}
	for _, f := range []struct {
		fault  fault.Fault
		errs   string
		effect bool
	}{
		{fault.Fault{Kind: fault.Invalid, Row: 1, Rows: 1, Message: "campaignError.INVALID_CAMPAIGN_NAME"}, "[1 campaignError.INVALID_CAMPAIGN_NAME]", false},
		{fault.Fault{Kind: fault.Invalid, Row: 1, Rows: 1, Message: "internalError.INTERNAL_ERROR", Applied: true}, "[1 internalError.INTERNAL_ERROR]", true},
		{fault.Fault{Kind: fault.Error, Code: 400, Subcode: 2, Message: "databaseError.CONCURRENT_MODIFICATION"}, "[1 databaseError.CONCURRENT_MODIFICATION]", false},
		{fault.Fault{Kind: fault.Throttle, Minutes: 2}, "[quotaError.RESOURCE_TEMPORARILY_EXHAUSTED]", false},
		{fault.Fault{Kind: fault.Status, Status: 500, Applied: true}, "[]", true},
	} {
		p := seeded(t, google.Options{})
		f.fault.Op = "mutate"
		if _, err := p.faults.Add(f.fault); err != nil {
			t.Fatal(err)
		}
		s := p.ads("mutate", `{"partialFailure":true,"mutateOperations":[`+budgetOp+`,{"campaignOperation":{"update":{"resourceName":"customers/1/campaigns/1002","name":"x"},"updateMask":"name"}}]}`)
		if got := fmt.Sprint(s.codes()); got != f.errs {
			t.Errorf("%+v: %s", f.fault, got)
		}
		did := slices.ContainsFunc(p.net.AdsJournal(adsAccount), func(e google.AdsEffect) bool {
			return e.Call == 2 && e.Operation == "update" && slices.Equal(e.Mask, []string{"name"})
		})
		if did != f.effect {
			t.Errorf("%+v: it took effect: %v", f.fault, did)
		}
	}
	if err := p.net.MakeAdsExample("9", google.AdsExample{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	if tree, costs := p.net.AdsTree("9"), p.net.AdsCosts("9"); len(tree) != 3*(3+3*(1+2+5)) || len(costs) != 30*(3+9+45) {
		t.Errorf("%d resources, %d rows of costs", len(tree), len(costs))
	}
}
