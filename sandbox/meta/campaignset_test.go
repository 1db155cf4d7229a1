package meta_test

import (
	"encoding/json"
	"strings"
	"testing"

	"usher/sandbox/meta"
)

// TestSchedulesOfSets is the table of what the network says to schedules, attribution
// settings and floors; "" = it takes them.
func TestSchedulesOfSets(t *testing.T) {
	p := newPeer(t, meta.Options{Currency: "EUR"})
	node := func(edge, set string) string {
		t.Helper()
		in := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(set), &in); err != nil {
			t.Fatal(err)
		}
		id, err := p.net.MakeNode("7", edge, in)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	campaign := node("campaigns", `{"name":"C","objective":"OUTCOME_SALES","special_ad_categories":[]}`)
	set := func(budget string) string {
		return node("adsets", `{"name":"S","campaign_id":"`+campaign+`","optimization_goal":"VALUE","billing_event":"IMPRESSIONS","targeting":{"geo_locations":{"countries":["DE"]}},`+budget+`}`)
	}
	daily, life := set(`"daily_budget":"1000"`), set(`"lifetime_budget":"90000","end_time":"2037-01-01T00:00:00+0000"`)
	part := `{"start_minute":540,"end_minute":600,"days":[1,2],"timezone_type":"USER"}`
	parted := `"pacing_type":["day_parting"],"adset_schedule":`
	for _, tc := range []struct{ id, set, wrong string }{
		{life, parted + `[` + part + `]`, ""},
		{life, `"pacing_type":["standard"]`, "day_parting"},
		{life, `"pacing_type":["standard"],"adset_schedule":[]`, ""},
		{life, `"adset_schedule":[` + part + `]`, "day_parting"},
		{daily, parted + `[` + part + `]`, "lifetime budget"},
		{life, parted + `[` + part + `,` + part + `]`, "an hour twice"},
		{life, parted + strings.ReplaceAll(`[`+part+`]`, "540", "555"), "whole hours"},
		{life, parted + strings.ReplaceAll(`[`+part+`]`, "600", "540"), "whole hours"},
		{life, parted + strings.ReplaceAll(`[`+part+`]`, "[1,2]", "[7]"), "a day that is none"},
		{life, parted + strings.ReplaceAll(`[`+part+`]`, "[1,2]", "[]"), "needs start_minute"},
		{life, parted + strings.ReplaceAll(`[`+part+`]`, "USER", "UTC"), "timezone_type"},
		{life, parted + strings.ReplaceAll(`[`+part+`]`, "days", "weekdays"), "a list of parts"},
		{life, `"pacing_type":["fast"]`, "wrong structure"},
		{life, `"attribution_spec":[{"event_type":"CLICK_THROUGH","window_days":7},{"event_type":"VIEW_THROUGH","window_days":1}]`, ""},
		{life, `"attribution_spec":[{"event_type":"CLICK_THROUGH","window_days":28}]`, "not supported"},
		{life, `"attribution_spec":[{"event_type":"CLICK_THROUGH","window_days":7},{"event_type":"CLICK_THROUGH","window_days":1}]`, "not supported"},
		{life, `"attribution_spec":[]`, "a list of windows"},
		{life, `"bid_constraints":{"roas_average_floor":15000}`, "goes with LOWEST_COST_WITH_MIN_ROAS"},
		{life, `"bid_strategy":"LOWEST_COST_WITH_MIN_ROAS"`, "needs a roas_average_floor"},
		{life, `"bid_strategy":"LOWEST_COST_WITH_MIN_ROAS","bid_constraints":{"roas_average_floor":99}`, "from 100"},
		{life, `"bid_strategy":"LOWEST_COST_WITH_MIN_ROAS","bid_constraints":{"roas_average_floor":15000}`, ""},
		{life, `"bid_strategy":"LOWEST_COST_WITHOUT_CAP"`, ""},
	} {
		in := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(`{`+tc.set+`}`), &in); err != nil {
			t.Fatal(err)
		}
		err := p.net.ChangeNode(tc.id, in)
		if (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s: %v, want %q", tc.set, err, tc.wrong)
		}
	}
	if values := p.node(life).Values; values["bid_constraints"] != nil {
		t.Error("the floor stays with another bid strategy")
	}
}
