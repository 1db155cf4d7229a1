package microsoft

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/provider"
)

type fields = map[string]string

// TestRequests compares what is sent with the forms of the API, edit by edit.
func TestRequests(t *testing.T) {
	ad := fields{"final_url": "https://example.com/a", "headline_1": "Red shoes", "headline_2": "Half, price", "headline_3": "Today", "description_1": "All sizes", "description_2": "Free returns", "path_1": "shoes"}
	for name, tc := range map[string]struct {
		edits []provider.Edit
		want  string
	}{
		"a campaign with a budget of its own": {
			[]provider.Edit{create("campaign", "", fields{"name": "Winter", "budget": "12.345", "status": "paused"})},
			`POST /CampaignManagement/v13/Campaigns {"AccountId":"1","Campaigns":[{"BudgetType":"DailyBudgetStandard","CampaignType":"Search","DailyBudget":12.35,"Languages":["All"],"Name":"Winter","Status":"Paused","TimeZone":"BrusselsCopenhagenMadridParis"}]}`,
		},
		"a campaign with a shared budget": {
			[]provider.Edit{create("campaign", "", fields{"name": "Winter", "shared_budget": "44", "languages": "English,French"})},
			`POST /CampaignManagement/v13/Campaigns {"AccountId":"1","Campaigns":[{"BudgetId":"44","CampaignType":"Search","Languages":["English","French"],"Name":"Winter","TimeZone":"BrusselsCopenhagenMadridParis"}]}`,
		},
		"campaigns changed": {
			[]provider.Edit{change("campaign", "8", nil, fields{"status": "enabled"}), change("campaign", "9", nil, fields{"budget": "7"}, "tracking_template")},
			`PUT /CampaignManagement/v13/Campaigns {"AccountId":"1","Campaigns":[{"Id":"8","Status":"Active"},{"DailyBudget":7,"Id":"9","TrackingUrlTemplate":""}]}`,
		},
		"campaigns deleted": {
			[]provider.Edit{remove("campaign", "8"), remove("campaign", "9")},
			`DELETE /CampaignManagement/v13/Campaigns {"AccountId":"1","CampaignIds":["8","9"]}`,
		},
		"a shared budget": {
			[]provider.Edit{create("budget", "", fields{"name": "All", "budget": "100"})},
			`POST /CampaignManagement/v13/Budgets {"Budgets":[{"Amount":100,"BudgetType":"DailyBudgetStandard","Name":"All"}]}`,
		},
		"an ad group": {
			[]provider.Edit{create("ad group", "8", fields{"name": "Shoes", "bid": "0.5", "start_date": "2026-12-01", "network": "owned"})},
			`POST /CampaignManagement/v13/AdGroups {"AdGroups":[{"CpcBid":{"Amount":0.5},"Name":"Shoes","Network":"OwnedAndOperatedOnly","StartDate":{"Day":1,"Month":12,"Year":2026}}],"CampaignId":"8"}`,
		},
		"an ad": {
			[]provider.Edit{create("ad", "8~12", ad)},
			`POST /CampaignManagement/v13/Ads {"AdGroupId":"12","Ads":[{"Descriptions":[{"Asset":{"Type":"TextAsset","Text":"All sizes"}},{"Asset":{"Type":"TextAsset","Text":"Free returns"}}],"FinalUrls":["https://example.com/a"],"Headlines":[{"Asset":{"Type":"TextAsset","Text":"Red shoes"}},{"Asset":{"Type":"TextAsset","Text":"Half, price"}},{"Asset":{"Type":"TextAsset","Text":"Today"}}],"Path1":"shoes","Type":"ResponsiveSearch"}]}`,
		},
		"an ad paused": {
			[]provider.Edit{change("ad", "8~12~90", ad, fields{"status": "paused"})},
			`PUT /CampaignManagement/v13/Ads {"AdGroupId":"12","Ads":[{"Id":"90","Status":"Paused","Type":"ResponsiveSearch"}]}`,
		},
		"a keyword": {
			[]provider.Edit{create("keyword", "8~12", fields{"keyword": "red shoes", "match_type": "phrase", "bid": "1.10"})},
			`POST /CampaignManagement/v13/Keywords {"AdGroupId":"12","Keywords":[{"Bid":{"Amount":1.1},"MatchType":"Phrase","Text":"red shoes"}]}`,
		},
		"keywords deleted": {
			[]provider.Edit{remove("keyword", "8~12~70")},
			`DELETE /CampaignManagement/v13/Keywords {"AdGroupId":"12","KeywordIds":["70"]}`,
		},
		"a place": {
			[]provider.Edit{create("location", "8", fields{"location": "190"})},
			`POST /CampaignManagement/v13/CampaignCriterions {"CampaignCriterions":[{"CampaignId":"8","Criterion":{"LocationId":"190","Type":"LocationCriterion"},"CriterionBid":{"Multiplier":0,"Type":"BidMultiplier"},"Type":"BiddableCampaignCriterion"}],"CriterionType":"Targets"}`,
		},
		"a place left out": {
			[]provider.Edit{create("location", "8", fields{"location": "190", "negative": "true"})},
			`POST /CampaignManagement/v13/CampaignCriterions {"CampaignCriterions":[{"CampaignId":"8","Criterion":{"LocationId":"190","Type":"LocationCriterion"},"Type":"NegativeCampaignCriterion"}],"CriterionType":"Targets"}`,
		},
		"a place with another bid": {
			[]provider.Edit{change("location", "8~3", fields{"location": "190", "negative": "false"}, fields{"bid_adjustment": "-20"})},
			`PUT /CampaignManagement/v13/CampaignCriterions {"CampaignCriterions":[{"CampaignId":"8","Criterion":{"LocationId":"190","Type":"LocationCriterion"},"CriterionBid":{"Multiplier":-20,"Type":"BidMultiplier"},"Id":"3","Type":"BiddableCampaignCriterion"}],"CriterionType":"Targets"}`,
		},
		"a place deleted": {
			[]provider.Edit{remove("location", "8~3")},
			`DELETE /CampaignManagement/v13/CampaignCriterions {"CampaignCriterionIds":["3"],"CampaignId":"8","CriterionType":"Targets"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &far{status: http.StatusOK, answer: `{"PartialErrors":[],"CampaignIds":["1"],"BudgetIds":["1"],"AdGroupIds":["1"],"AdIds":["1"],"KeywordIds":["1"],"CampaignCriterionIds":["1"]}`}
			out, err := open(t, f, nil).Post(context.Background(), tc.edits)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range out {
				if o.State != provider.EditDone {
					t.Errorf("edit %d is %+v", i, o)
				}
			}
			if len(f.sent) != 1 || f.sent[0] != tc.want {
				t.Errorf("sent\n%s\nwant\n%s", strings.Join(f.sent, "\n"), tc.want)
			}
		})
	}
}

// TestNotSent are edits that Microsoft could only refuse.
func TestNotSent(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  provider.Edit
		field string
	}{
		"a bid taken away":                    {change("keyword", "8~12~70", nil, nil, "bid"), "bid"},
		"an end taken away":                   {change("ad group", "8~12", nil, nil, "end_date"), "end_date"},
		"a campaign off its shared budget":    {change("campaign", "8", fields{"shared_budget": "4"}, nil, "shared_budget"), "shared_budget"},
		"a budget beside a shared one":        {change("campaign", "8", fields{"shared_budget": "4"}, fields{"budget": "5"}), "budget"},
		"both budgets":                        {create("campaign", "", fields{"name": "A", "budget": "5", "shared_budget": "4"}), "budget"},
		"no budget":                           {create("campaign", "", fields{"name": "A"}), "budget"},
		"a shared budget that is not there":   {change("campaign", "8", nil, fields{"shared_budget": "new-4"}), "shared_budget"},
		"an amount that is none":              {change("campaign", "8", nil, fields{"budget": "-3"}), "budget"},
		"an amount in words":                  {change("campaign", "8", nil, fields{"budget": "1e3"}), "budget"},
		"a date that is none":                 {change("ad group", "8~12", nil, fields{"end_date": "31.12.2026"}), "end_date"},
		"a bid for a place that is left out":  {change("location", "8~3", fields{"location": "1", "negative": "true"}, fields{"bid_adjustment": "5"}), "bid_adjustment"},
		"a place that is no number":           {create("location", "8", fields{"location": "Paris"}), "location"},
		"a parent that is not made":           {create("keyword", "new-3", fields{"keyword": "a", "match_type": "exact"}), ""},
		"an object with a path into nowhere":  {remove("keyword", "8~12~../1"), ""},
		"an object that is not made":          {change("keyword", "new-3", nil, fields{"bid": "1"}), ""},
		"a bid adjustment that is no percent": {change("location", "8~3", fields{"location": "1"}, fields{"bid_adjustment": "a lot"}), "bid_adjustment"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &far{status: http.StatusOK, answer: `{"PartialErrors":[]}`}
			out, err := open(t, f, nil).Post(context.Background(), []provider.Edit{tc.edit})
			if err != nil || len(f.sent) > 0 {
				t.Fatalf("sent %v, error %v", f.sent, err)
			}
			if o := out[0]; o.State != provider.EditRefused || o.Code != "MSADS-FIELD" || o.Text == "" || o.Field != tc.field {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestAnswers says what the answer of two keyword creates, between which one was not
// sent, makes of each.
func TestAnswers(t *testing.T) {
	word := func(text string) provider.Edit {
		return create("keyword", "8~12", fields{"keyword": text, "match_type": "exact"})
	}
	bad := word("bad")
	bad.Set["bid"] = "x"
	done := func(id string) provider.EditOutcome {
		return provider.EditOutcome{State: provider.EditDone, ID: "8~12~" + id}
	}
	local := provider.EditOutcome{State: provider.EditRefused, Code: "MSADS-FIELD", Field: "bid", Text: `"x" is no amount such as 12.50`}
	for name, tc := range map[string]struct {
		answer string
		want   []provider.EditOutcome // nil = MSADS-ANSWER, unknown
	}{
		"both are made": {`{"KeywordIds":["1","2"],"PartialErrors":[]}`, []provider.EditOutcome{done("1"), local, done("2")}},
		"ids as numbers, errors null": {
			`{"KeywordIds":[1,2],"PartialErrors":null}`, []provider.EditOutcome{done("1"), local, done("2")},
		},
		"one is refused": {
			`{"KeywordIds":["1",null],"PartialErrors":[{"Index":1,"Code":4807,"ErrorCode":"Duplicate","Message":"It is there.","FieldPath":"Keywords[1].Bid"}]}`,
			[]provider.EditOutcome{done("1"), local, {State: provider.EditRefused, Code: "MSADS-REFUSED", Field: "bid", Text: "Duplicate: It is there."}},
		},
		"one waits": {
			`{"KeywordIds":[null,"2"],"PartialErrors":[{"Index":0,"Code":"4204","ErrorCode":"BulkServiceNoMoreCalls"}]}`,
			[]provider.EditOutcome{{State: provider.EditLater, Code: "MSADS-THROTTLE", Text: "BulkServiceNoMoreCalls", Until: noon.Add(15 * time.Minute)}, local, done("2")},
		},
		"one failed within": {
			`{"KeywordIds":[null,"2"],"PartialErrors":[{"Index":0,"Code":0,"ErrorCode":"InternalError"}]}`,
			[]provider.EditOutcome{{State: provider.EditUnknown, Code: "MSADS-UNAVAILABLE", Text: "InternalError"}, local, done("2")},
		},
		"an error without a word": {
			`{"KeywordIds":[null,"2"],"PartialErrors":[{"Index":0},null]}`,
			[]provider.EditOutcome{{State: provider.EditRefused, Code: "MSADS-REFUSED", Text: "error -1"}, local, done("2")},
		},
		"null stands for no error": {`{"KeywordIds":["1","2"],"PartialErrors":[null,null]}`, []provider.EditOutcome{done("1"), local, done("2")}},
		"one has an id and an error": {
			`{"KeywordIds":["1","2"],"PartialErrors":[{"Index":1,"Code":4807,"ErrorCode":"Duplicate"}]}`,
			[]provider.EditOutcome{done("1"), local, {State: provider.EditUnknown, Code: "MSADS-REFUSED", Text: "Duplicate"}},
		},
		"one was refused and failed within": {
			`{"KeywordIds":["1",null],"PartialErrors":[{"Index":1,"Code":0,"ErrorCode":"InternalError"},{"Index":1,"Code":4807,"ErrorCode":"Duplicate"}]}`,
			[]provider.EditOutcome{done("1"), local, {State: provider.EditUnknown, Code: "MSADS-UNAVAILABLE", Text: "InternalError"}},
		},
		"one was throttled and refused": {
			`{"KeywordIds":["1",null],"PartialErrors":[{"Index":1,"Code":117,"ErrorCode":"CallRateExceeded"},{"Index":1,"Code":4807,"ErrorCode":"Duplicate"}]}`,
			[]provider.EditOutcome{done("1"), local, {State: provider.EditRefused, Code: "MSADS-REFUSED", Text: "Duplicate"}},
		},
		"only reading works": {
			`{"KeywordIds":["1",null],"PartialErrors":[{"Index":1,"Code":1010,"ErrorCode":"CampaignServiceSystemInReadOnlyMode"}]}`,
			[]provider.EditOutcome{done("1"), local, {State: provider.EditLater, Code: "MSADS-THROTTLE", Text: "CampaignServiceSystemInReadOnlyMode", Until: noon.Add(15 * time.Minute)}},
		},
		"one has neither id nor error": {
			`{"KeywordIds":["1",null],"PartialErrors":[]}`,
			[]provider.EditOutcome{done("1"), local, {State: provider.EditUnknown, Code: "MSADS-ANSWER", Text: "microsoft gave no id and no error"}},
		},
		"an error of a row that was not sent": {`{"KeywordIds":["1","2"],"PartialErrors":[{"Index":2,"Code":1}]}`, nil},
		"an error of no row":                  {`{"KeywordIds":["1","2"],"PartialErrors":[{"Code":1}]}`, nil},
		"an id too few":                       {`{"KeywordIds":["2"],"PartialErrors":[]}`, nil},
		"an id too many":                      {`{"KeywordIds":["1","2","3"],"PartialErrors":[]}`, nil},
		"no place for errors":                 {`{"KeywordIds":["1","2"]}`, nil},
		"ids of another form":                 {`{"KeywordIds":"1","PartialErrors":[]}`, nil},
		"errors of another form":              {`{"KeywordIds":["1","2"],"PartialErrors":{}}`, nil},
		"no JSON":                             {`OK`, nil},
		"a list":                              {`[]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &far{status: http.StatusOK, answer: tc.answer}
			out, err := open(t, f, nil).Post(context.Background(), []provider.Edit{word("a"), bad, word("b")})
			if tc.want == nil {
				if e := asError(t, err); e.Code != "MSADS-ANSWER" || e.Kind != activation.Unavailable || !e.MayHaveApplied || len(out) > 0 {
					t.Errorf("%+v, %v", out, err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(out, tc.want) {
				t.Errorf("%v\n%+v\nwant\n%+v", err, out, tc.want)
			}
		})
	}
}

// TestNothingSaid: an answer to changes and deletes that has no place for errors says
// nothing of them, and one that holds a fault is no success, whatever its status.
func TestNothingSaid(t *testing.T) {
	for answer, code := range map[string]string{
		`{}`:                 "MSADS-ANSWER",
		`{"status":"ok"}`:    "MSADS-ANSWER",
		`{"CampaignIds":[]}`: "MSADS-ANSWER",
		`{"PartialErrors":[],"OperationErrors":[{"Code":117}]}`:                "MSADS-THROTTLE",
		`{"TrackingId":"1","Errors":[{"Code":0,"ErrorCode":"InternalError"}]}`: "MSADS-UNAVAILABLE",
	} {
		for _, e := range []provider.Edit{change("campaign", "8", nil, fields{"status": "paused"}), remove("campaign", "8")} {
			out, err := open(t, &far{status: http.StatusOK, answer: answer}, nil).Post(context.Background(), []provider.Edit{e})
			if err == nil {
				t.Errorf("%s: a %s is said to be %+v", answer, e.Operation, out)
				continue
			}
			if got := asError(t, err); got.Code != code || got.MayHaveApplied != (got.Kind == activation.Unavailable) {
				t.Errorf("%s: %+v", answer, got)
			}
		}
	}
}

// TestNestedErrors: those of criteria lie one level deeper.
func TestNestedErrors(t *testing.T) {
	f := &far{status: http.StatusOK, answer: `{"CampaignCriterionIds":[null,"5"],"NestedPartialErrors":[{"Index":0,"Code":null,"BatchErrors":[{"Index":3,"Code":1043,"ErrorCode":"LocationIsThere"}]}]}`}
	place := func(n string) provider.Edit { return create("location", "8", fields{"location": n}) }
	out, err := open(t, f, nil).Post(context.Background(), []provider.Edit{place("1"), place("2")})
	if err != nil || out[0].State != provider.EditRefused || out[0].Text != "LocationIsThere" || out[1].ID != "8~5" {
		t.Errorf("%+v %v", out, err)
	}
}

// TestTogether: what travels together is of one type and parent, does one thing, and
// is no more than the limit; and what does not fit begins the next call.
func TestTogether(t *testing.T) {
	p := open(t, &far{}, map[string]string{"max_keywords": "7"})
	rapid.Check(t, func(t *rapid.T) {
		var edits []provider.Edit
		for i := range rapid.IntRange(1, 30).Draw(t, "edits") {
			parent := "8~" + strconv.Itoa(rapid.IntRange(1, 2).Draw(t, "parent"))
			switch id := parent + "~" + strconv.Itoa(i); rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				edits = append(edits, create("keyword", parent, nil))
			case 1:
				edits = append(edits, remove("keyword", id))
			case 2:
				edits = append(edits, change("ad", id, nil, nil))
			default:
				edits = append(edits, change("keyword", id, nil, nil))
			}
		}
		n := p.Together(edits)
		same := func(a, b provider.Edit) bool {
			return a.Type == b.Type && actionOf(a) == actionOf(b) && a.Parent == b.Parent
		}
		want := 0
		for want < len(edits) && same(edits[0], edits[want]) && (edits[0].Type != "keyword" || want < 7) && want < 50 {
			want++
		}
		if n != want {
			t.Fatalf("%d of %d travel together, want %d", n, len(edits), want)
		}
	})
	had := fields{"name": "Spring"}
	renamed := change("campaign", "8", had, fields{"name": "Summer"})
	if n := p.Together([]provider.Edit{renamed, change("campaign", "9", nil, fields{"status": "paused"}), change("campaign", "10", nil, fields{"name": "spring"})}); n != 2 {
		t.Errorf("%d travel together where the third takes the name that the first gives up", n)
	}
	if n := p.Together(nil); n != 1 {
		t.Errorf("of none, %d", n)
	}
}

func TestAmounts(t *testing.T) {
	for _, tc := range []struct{ text, currency, want string }{
		{"12.50", "EUR", "12.5"}, {"12.345", "EUR", "12.35"}, {"12", "EUR", "12"}, {"0.004", "EUR", "0"}, {"1234.5", "JPY", "1235"}, {"1.23456", "KWD", "1.235"},
	} {
		if got, err := amount(tc.text, tc.currency); err != nil || got != tc.want {
			t.Errorf("%s %s: %q %v, want %q", tc.text, tc.currency, got, err, tc.want)
		}
	}
	for _, text := range []string{"", "-1", "1,5", "1e9", "0x1", "1/3", ".5", "12345678901234"} {
		if got, err := amount(text, "EUR"); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}
