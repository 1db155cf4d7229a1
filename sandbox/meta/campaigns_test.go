package meta_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

func campaign() object {
	return object{"name": "C", "objective": "OUTCOME_TRAFFIC", "status": "PAUSED", "special_ad_categories": []string{}}
}

func adSet(in string) object {
	return object{
		"name": "S", "campaign_id": in, "daily_budget": 1000, "optimization_goal": "LINK_CLICKS", "billing_event": "IMPRESSIONS",
		"targeting": object{"geo_locations": object{"countries": []string{"DE"}}},
	}
}

func creative() object {
	return object{"name": "R", "object_story_spec": object{"page_id": "5", "link_data": object{"link": "https://example.com"}}}
}

func ad(set, creative string) object {
	return object{"name": "A", "adset_id": set, "creative": object{"creative_id": creative}}
}

// make creates something in account 7 and returns its id.
func (p *peer) make(edge string, set object) string {
	p.t.Helper()
	r := p.call("POST", "/v26.0/act_7/"+edge, set)
	id, _ := r.body["id"].(string)
	if r.status != 200 || id == "" {
		p.t.Fatalf("create in %s: %d %s", edge, r.status, r.text)
	}
	return id
}

// account makes one of each.
func (p *peer) account() (c, s, r, a string) {
	p.t.Helper()
	c = p.make("campaigns", campaign())
	s = p.make("adsets", adSet(c))
	r = p.make("adcreatives", creative())
	return c, s, r, p.make("ads", ad(s, r))
}

// part is what a batch answered to one operation; nil = nothing.
type part struct {
	Code    int    `json:"code"`
	Body    string `json:"body"`
	Headers []struct{ Name, Value string }
}

// batch posts operations "METHOD url body" and returns the parts of the answer.
func (p *peer) batch(operations ...string) ([]*part, reply) {
	p.t.Helper()
	var list []map[string]string
	for _, o := range operations {
		words := strings.SplitN(o, " ", 3)
		one := map[string]string{"method": words[0], "relative_url": words[1]}
		if len(words) > 2 {
			one["body"] = words[2]
		}
		list = append(list, one)
	}
	text, err := json.Marshal(list)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := p.try("POST", "/", url.Values{"batch": {string(text)}}.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/plain"})
	if err != nil {
		p.t.Fatal(err)
	}
	var parts []*part
	if strings.HasPrefix(r.text, "[") {
		if err := json.Unmarshal([]byte(r.text), &parts); err != nil {
			p.t.Fatal(err)
		}
	}
	return parts, r
}

func (p *peer) node(id string) meta.CampaignNode {
	p.t.Helper()
	list := p.net.Tree("7")
	i := slices.IndexFunc(list, func(n meta.CampaignNode) bool { return n.ID == id })
	if i < 0 {
		p.t.Fatalf("no node %s", id)
	}
	return list[i]
}

func TestCampaignParametersAreStrict(t *testing.T) {
	p := newPeer(t, meta.Options{})
	c, s, r, _ := p.account()
	owned := p.make("campaigns", with(with(campaign(), "daily_budget", 5000), "bid_strategy", "COST_CAP"))
	for _, tc := range []struct {
		name, edge string
		set        object
		want       string // within the message
	}{
		{"unknown parameter", "campaigns", with(campaign(), "colour", "red"), "Unexpected parameter: colour"},
		{"no name", "campaigns", with(campaign(), "name", nil), "name is required"},
		{"blank name", "campaigns", with(campaign(), "name", " "), "must not be empty"},
		{"no objective", "campaigns", with(campaign(), "objective", nil), "objective is required"},
		{"old objective", "campaigns", with(campaign(), "objective", "LINK_CLICKS"), "must be one of"},
		{"no categories", "campaigns", with(campaign(), "special_ad_categories", nil), "special_ad_categories is required"},
		{"wrong category", "campaigns", with(campaign(), "special_ad_categories", []string{"PETS"}), "wrong structure"},
		{"created deleted", "campaigns", with(campaign(), "status", "DELETED"), "must be one of"},
		{"a fraction", "campaigns", with(campaign(), "daily_budget", "10.5"), "unsigned integer"},
		{"a negative amount", "campaigns", with(campaign(), "daily_budget", -5), "unsigned integer"},
		{"too low", "campaigns", with(campaign(), "daily_budget", 99), "too low"},
		{"two budgets", "campaigns", with(with(campaign(), "daily_budget", 500), "lifetime_budget", 500), "not both"},
		{"lifetime without end", "campaigns", with(campaign(), "lifetime_budget", 500), "needs an end"},
		{"no time", "campaigns", with(campaign(), "start_time", "2026-11-20"), "must be a time"},
		{"end first", "campaigns", with(with(campaign(), "start_time", "2027-01-02T00:00:00+0000"), "stop_time", "2027-01-01T00:00:00+0000"), "after the start"},
		{"wrong options", "campaigns", with(campaign(), "execution_options", []string{"hurry"}), "execution_options"},
		{"no campaign", "adsets", with(adSet(c), "campaign_id", nil), "campaign_id is required"},
		{"another's campaign", "adsets", adSet("12345"), "no such campaign"},
		{"an ad set in an ad set", "adsets", adSet(s), "no such campaign"},
		{"no targeting", "adsets", with(adSet(c), "targeting", nil), "targeting is required"},
		{"no place", "adsets", with(adSet(c), "targeting", object{"age_min": 18}), "needs a location"},
		{"unknown targeting", "adsets", with(adSet(c), "targeting", object{"geo_locations": object{"countries": []string{"DE"}}, "shoe_size": 42}), "unknown key"},
		{"long country", "adsets", with(adSet(c), "targeting", object{"geo_locations": object{"countries": []string{"Germany"}}}), "two-letter"},
		{"unknown audience", "adsets", with(adSet(c), "targeting", object{"geo_locations": object{"countries": []string{"DE"}}, "custom_audiences": []object{{"id": "1"}}}), "not shared"},
		{"an audience without id", "adsets", with(adSet(c), "targeting", object{"geo_locations": object{"countries": []string{"DE"}}, "custom_audiences": []string{"1"}}), "list of ids"},
		{"no budget at all", "adsets", with(adSet(c), "daily_budget", nil), "needs a budget"},
		{"budget twice", "adsets", adSet(owned), "campaign has the budget"},
		{"no bid", "adsets", with(adSet(owned), "daily_budget", nil), "needs a bid_amount"},
		{"no goal", "adsets", with(adSet(c), "optimization_goal", nil), "optimization_goal is required"},
		{"no ad set", "ads", ad("12345", r), "no such ad set"},
		{"no creative", "ads", ad(s, "12345"), "no such creative"},
		{"creative by its id", "ads", with(ad(s, r), "creative", object{"id": r}), "wrong structure"},
		{"status of a creative", "adcreatives", with(creative(), "status", "PAUSED"), "Unexpected parameter: status"},
		{"no page", "adcreatives", with(creative(), "object_story_spec", object{"link_data": object{"link": "https://x"}}), "page_id"},
		{"no link", "adcreatives", with(creative(), "object_story_spec", object{"page_id": "5"}), "needs a link"},
		{"unknown content", "adcreatives", with(creative(), "object_story_spec", object{"page_id": "5", "link_data": object{"link": "https://x", "music": 1}}), "unknown key"},
	} {
		before := len(p.net.Tree("7"))
		r := p.call("POST", "/v26.0/act_7/"+tc.edge, tc.set)
		message, _ := r.body["error"].(object)["message"].(string)
		if r.status != 400 || !strings.Contains(message, tc.want) || len(p.net.Tree("7")) != before {
			t.Errorf("%s: %d %s", tc.name, r.status, r.text)
		}
	}
}

func TestCampaignChanges(t *testing.T) {
	p := newPeer(t, meta.Options{})
	c, s, r, a := p.account()
	for _, tc := range []struct {
		name, id string
		set      object
		want     string // within the message, "" = it is done
	}{
		{"rename", c, object{"name": "D"}, ""},
		{"activate", c, object{"status": "ACTIVE"}, ""},
		{"another objective", c, object{"objective": "OUTCOME_LEADS"}, "cannot be changed"},
		{"nothing", c, object{}, "nothing to change"},
		{"dry run", c, object{"name": "E", "execution_options": []string{"validate_only"}}, ""},
		{"dry run that fails", c, object{"daily_budget": 1, "execution_options": []string{"validate_only"}}, "too low"},
		{"budget above those below", c, object{"daily_budget": 5000}, "ad sets of the campaign have budgets"},
		{"to another campaign", s, object{"campaign_id": c}, "cannot be changed"},
		{"another charge", s, object{"billing_event": "CLICKS"}, "cannot be changed"},
		{"open end", s, object{"end_time": 0}, ""},
		{"content", r, object{"object_story_spec": object{}}, "cannot be changed"},
		{"pause of a creative", r, object{"status": "PAUSED"}, "must be one of"},
		{"a creative that is used", r, object{"status": "DELETED"}, "used by an ad"},
		{"an ad", a, object{"ad_schedule_end_time": "2027-01-01T00:00:00-0800"}, ""},
	} {
		r := p.call("POST", "/v26.0/"+tc.id, tc.set)
		if tc.want == "" && (r.status != 200 || r.body["success"] != true) || tc.want != "" && (r.status != 400 || !strings.Contains(r.text, tc.want)) {
			t.Errorf("%s: %d %s", tc.name, r.status, r.text)
		}
	}
	if n := p.node(c); string(n.Values["name"]) != `"D"` || n.Effects != 3 {
		t.Errorf("%s after %d effects", n.Values["name"], n.Effects)
	}
	// Deleted with what is in it, once.
	if r := p.call("POST", "/v26.0/"+c, object{"status": "DELETED"}); r.status != 200 {
		t.Fatal(r.text)
	}
	for _, id := range []string{c, s, a} {
		if r := p.call("POST", "/v26.0/"+id, object{"name": "F"}); !strings.Contains(r.text, "Deleted objects") || !p.node(id).Gone {
			t.Errorf("%s: %s", id, r.text)
		}
	}
	if r := p.call("DELETE", "/v26.0/"+c, nil); r.status != 400 {
		t.Errorf("deleted again: %s", r.text)
	}
	if r := p.call("DELETE", "/v26.0/"+r, nil); r.status != 200 { // its ad is gone
		t.Errorf("creative: %s", r.text)
	}
	if r := p.call("GET", "/v26.0/act_7/campaigns?fields=id", nil); len(r.body["data"].([]any)) != 0 {
		t.Errorf("listed: %s", r.text)
	}
	if r := p.call("GET", "/v26.0/act_7/campaigns?fields=status&effective_status=DELETED", nil); len(r.body["data"].([]any)) != 1 {
		t.Errorf("listed as deleted: %s", r.text)
	}
}

func TestCampaignStatusesFollow(t *testing.T) {
	p := newPeer(t, meta.Options{})
	c, s, _, a := p.account()
	check := func(want ...string) {
		t.Helper()
		for i, id := range []string{c, s, a} {
			if got := p.node(id).Effective; got != want[i] {
				t.Errorf("%d is %s, want %s", i, got, want[i])
			}
		}
	}
	check("PAUSED", "CAMPAIGN_PAUSED", "CAMPAIGN_PAUSED")
	p.call("POST", "/v26.0/"+c, object{"status": "ACTIVE"})
	check("ACTIVE", "ACTIVE", "ACTIVE")
	p.call("POST", "/v26.0/"+s, object{"status": "PAUSED"})
	check("ACTIVE", "PAUSED", "ADSET_PAUSED")
	p.call("POST", "/v26.0/"+s, object{"status": "ARCHIVED"})
	check("ACTIVE", "ARCHIVED", "ARCHIVED")
}

func TestCampaignReads(t *testing.T) {
	p := newPeer(t, meta.Options{Currency: "EUR", Timezone: "Europe/Berlin"})
	c := p.make("campaigns", with(with(campaign(), "daily_budget", 1250), "start_time", "2027-01-01T00:00:00+0000"))
	r := p.call("GET", "/v26.0/"+c+"?fields=name,daily_budget,lifetime_budget,start_time,effective_status,account_id,spend_cap", nil)
	want := object{"id": c, "name": "C", "daily_budget": "1250", "lifetime_budget": "0", "start_time": "2027-01-01T01:00:00+0100", "effective_status": "PAUSED", "account_id": "7"}
	if !maps.EqualFunc(r.body, want, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("%s", r.text)
	}
	if r := p.call("GET", "/v26.0/"+c+"?fields=targeting", nil); r.status != 400 || !strings.Contains(r.text, "nonexisting field") {
		t.Errorf("%d %s", r.status, r.text)
	}
	for i := range 7 {
		p.make("campaigns", with(campaign(), "name", fmt.Sprint(i)))
	}
	seen, after := 0, ""
	for range 4 {
		r := p.call("GET", "/v26.0/act_7/campaigns?fields=name&limit=3&after="+after, nil)
		seen += len(r.body["data"].([]any))
		paging, _ := r.body["paging"].(object)
		if paging["next"] == nil {
			break
		}
		after, _ = paging["cursors"].(object)["after"].(string)
	}
	if seen != 8 {
		t.Errorf("%d are listed", seen)
	}
	for _, bad := range []string{"limit=501", "limit=0x", "after=after-1", "colour=red"} {
		if r := p.call("GET", "/v26.0/act_7/campaigns?"+bad, nil); r.status != 400 {
			t.Errorf("%s: %d %s", bad, r.status, r.text)
		}
	}
	if r := p.call("GET", "/v26.0/"+c+"/adsets", nil); r.status != 200 {
		t.Errorf("edge: %d %s", r.status, r.text)
	}
	if r := p.call("GET", "/v26.0/"+c+"/adcreatives", nil); r.status != 400 {
		t.Errorf("no edge: %d %s", r.status, r.text)
	}
}

func TestBudgetsOfAdSetsChangeFourTimesAnHour(t *testing.T) {
	p := newPeer(t, meta.Options{})
	_, s, _, _ := p.account()
	for i := range 4 {
		if r := p.call("POST", "/v26.0/"+s, object{"daily_budget": 2000 + i}); r.status != 200 {
			t.Fatal(r.text)
		}
	}
	if r := p.call("POST", "/v26.0/"+s, object{"daily_budget": 3000}); r.fault() != "17/2446079" {
		t.Errorf("%s", r.text)
	}
	if r := p.call("POST", "/v26.0/"+s, object{"name": "T"}); r.status != 200 {
		t.Errorf("%s", r.text)
	}
	p.clock.pass(time.Hour)
	if r := p.call("POST", "/v26.0/"+s, object{"daily_budget": 3000}); r.status != 200 {
		t.Errorf("an hour later: %s", r.text)
	}
}

// TestBatchHasNoOrder: dependence shows, and answers stand in the order of their
// operations all the same.
func TestBatchHasNoOrder(t *testing.T) {
	p := newPeer(t, meta.Options{})
	var operations []string
	for i := range 20 {
		operations = append(operations, "POST v26.0/act_7/campaigns name=N"+strconv.Itoa(i)+"&objective=OUTCOME_SALES&special_ad_categories=[]")
	}
	parts, r := p.batch(operations...)
	if r.status != 200 || len(parts) != 20 {
		t.Fatalf("%d %s", r.status, r.text)
	}
	for i, one := range parts {
		var made struct{ ID string }
		if err := json.Unmarshal([]byte(one.Body), &made); err != nil || one.Code != 200 || string(p.node(made.ID).Values["name"]) != `"N`+strconv.Itoa(i)+`"` {
			t.Errorf("part %d: %+v", i, one)
		}
	}
	var order []string
	for _, e := range p.net.Effects() {
		order = append(order, e.Name)
	}
	if slices.IsSortedFunc(order, func(a, b string) int { return len(a)*100 - len(b)*100 + strings.Compare(a, b) }) {
		t.Errorf("the order is that of the batch: %v", order)
	}
	if calls := p.net.Effects(); calls[0].Call != calls[19].Call || calls[0].Call == 0 {
		t.Error("the operations of a batch are not one call")
	}
}

func TestBatchRules(t *testing.T) {
	p := newPeer(t, meta.Options{AppSecret: ""})
	c, s, _, a := p.account()
	other := p.make("adsets", adSet(c))
	if _, r := p.batch("POST v26.0/"+s+" name=X", "POST v26.0/"+other+" name=Y"); r.status != 400 || !strings.Contains(r.text, "two ad sets") {
		t.Errorf("siblings: %d %s", r.status, r.text)
	}
	if _, r := p.batch("POST v26.0/"+s+" name=X", "POST v26.0/act_7/adsets campaign_id="+c); r.status != 400 {
		t.Errorf("a sibling that is new: %d %s", r.status, r.text)
	}
	p.batch("POST v26.0/"+c+" name=X", "POST v26.0/"+a+" name=Y")
	p.batch("POST v26.0/"+c+" name=X", "POST v26.0/"+c+" name=Y")
	p.batch("GET v26.0/"+c, "GET v26.0/"+c)
	if got := p.net.CampaignSins(); !maps.Equal(got, map[meta.CampaignSin]int{meta.SinSiblings: 2, meta.SinRelated: 1, meta.SinTwice: 1}) {
		t.Errorf("sins %v", got)
	}
	var many []string
	for range 51 {
		many = append(many, "GET v26.0/"+c)
	}
	if _, r := p.batch(many...); r.status != 400 || !strings.Contains(r.text, "50") {
		t.Errorf("51: %d %s", r.status, r.text)
	}
	if parts, _ := p.batch("GET v26.0/"+c+"?fields=name", "GET v26.0/99", "PATCH v26.0/"+c); parts != nil {
		t.Error("a method that there is not")
	}
	parts, _ := p.batch("GET v26.0/"+c+"?fields=name", "GET v26.0/99", "POST v26.0/"+s+" colour=red")
	if len(parts) != 3 || parts[0].Code != 200 || parts[1].Code != 400 || !strings.Contains(parts[1].Body, `"error_subcode":33`) || !strings.Contains(parts[2].Body, "Unexpected parameter") {
		t.Errorf("%+v", parts)
	}
	if !slices.ContainsFunc(parts[0].Headers, func(h struct{ Name, Value string }) bool { return h.Name == "X-Fb-Trace-Id" && h.Value != "" }) {
		t.Errorf("headers %+v", parts[0].Headers)
	}
	p.token = "nobody"
	if parts, r := p.batch("GET v26.0/" + c); parts != nil || r.status != 401 {
		t.Errorf("no token: %d %s", r.status, r.text)
	}
}

// TestBatchFaults fails one operation of three, and leaves the others alone.
func TestBatchFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault fault.Fault
		code  int // 0 = the part is null
		body  string
	}{
		{"refused", fault.Fault{Kind: fault.Error, Code: 100}, 400, `"code":100`},
		{"throttled", fault.Fault{Kind: fault.Error, Code: 17}, 400, `"code":17`},
		{"token", fault.Fault{Kind: fault.Token}, 401, `"code":190`},
		{"broken", fault.Fault{Kind: fault.Status, Status: 500}, 500, `"code":2`},
		{"page", fault.Fault{Kind: fault.HTML}, 502, `<html>`},
		{"no answer", fault.Fault{Kind: fault.Timeout}, 0, ""},
		{"cut", fault.Fault{Kind: fault.Cut}, 0, ""},
	} {
		for _, applied := range []bool{false, true} {
			p := newPeer(t, meta.Options{})
			ids := []string{p.make("campaigns", campaign()), p.make("campaigns", campaign()), p.make("campaigns", campaign())}
			tc.fault.Path, tc.fault.Op, tc.fault.Skip, tc.fault.Applied = "/batch/*", "node.update", 1, applied
			p.script(tc.fault)
			parts, r := p.batch("POST v26.0/"+ids[0]+" name=X", "POST v26.0/"+ids[1]+" name=X", "POST v26.0/"+ids[2]+" name=X")
			if r.status != 200 || len(parts) != 3 || parts[0].Code != 200 || parts[2].Code != 200 {
				t.Fatalf("%s: %d %s", tc.name, r.status, r.text)
			}
			if tc.code == 0 && parts[1] != nil || tc.code != 0 && (parts[1] == nil || parts[1].Code != tc.code || !strings.Contains(parts[1].Body, tc.body)) {
				t.Errorf("%s: %+v", tc.name, parts[1])
			}
			for i, id := range ids {
				if got, want := string(p.node(id).Values["name"]) == `"X"`, i != 1 || applied; got != want {
					t.Errorf("%s, applied %v: operation %d took effect: %v", tc.name, applied, i, got)
				}
			}
		}
	}
}

func TestInsights(t *testing.T) {
	p := newPeer(t, meta.Options{Currency: "EUR"})
	c, s, _, a := p.account()
	const days = `&time_range={"since":"2026-11-18","until":"2026-11-30"}`
	rows := func(level, more string) []any {
		t.Helper()
		r := p.call("GET", "/v26.0/act_7/insights?time_increment=1&limit=500&level="+level+"&fields="+level+"_id,impressions,spend,account_currency"+more+url.PathEscape(days), nil)
		list, ok := r.body["data"].([]any)
		if !ok {
			t.Fatalf("%d %s", r.status, r.text)
		}
		return list
	}
	for level, id := range map[string]string{"campaign": c, "adset": s, "ad": a} {
		list := rows(level, "")
		if len(list) != 5 { // up to today
			t.Fatalf("%s: %d rows", level, len(list))
		}
		if row := list[0].(object); row[level+"_id"] != id || row["date_start"] != "2026-11-18" || row["account_currency"] != "EUR" || fmt.Sprint(rows(level, "")) != fmt.Sprint(list) {
			t.Errorf("%s: %v", level, row)
		}
	}
	if fmt.Sprint(rows("ad", "")[2].(object)["spend"]) != fmt.Sprint(rows("campaign", "")[2].(object)["spend"]) {
		t.Error("a campaign does not cost what its ad does")
	}
	p.net.SetSpend(a, "2026-11-19", meta.Spend{Impressions: 5, Clicks: 2, Micros: 1_500_000, Purchases: 1.5, Value: 30})
	if list := rows("ad", ",actions,action_values"); len(list) != 1 || !strings.Contains(fmt.Sprint(list), "action_type:purchase value:1.5") || list[0].(object)["spend"] != "1.5" || len(rows("campaign", "")) != 0 {
		t.Errorf("%v", list)
	}
	for _, bad := range []string{"level=account&time_increment=1" + days, "level=ad" + days, "level=ad&time_increment=1", "level=ad&time_increment=1&fields=colour" + days, "level=ad&time_increment=1&colour=red" + days} {
		if r := p.call("GET", "/v26.0/act_7/insights?"+strings.ReplaceAll(url.PathEscape(bad), "%3F", "?"), nil); r.status != 400 {
			t.Errorf("%s: %d %s", bad, r.status, r.text)
		}
	}
}

func TestCampaignControl(t *testing.T) {
	p := newPeer(t, meta.Options{})
	id, err := p.net.MakeNode("7", "campaigns", map[string]json.RawMessage{"name": json.RawMessage(`"Outside"`), "objective": json.RawMessage(`"OUTCOME_SALES"`), "special_ad_categories": json.RawMessage(`[]`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.net.ChangeNode(id, map[string]json.RawMessage{"status": json.RawMessage(`"PAUSED"`)}); err != nil {
		t.Fatal(err)
	}
	if n := p.node(id); n.Effective != "PAUSED" || n.Effects != 0 || len(p.net.Effects()) != 2 || p.net.Effects()[1].Op != "outside" {
		t.Errorf("%+v %+v", n, p.net.Effects())
	}
	for _, err := range []error{
		p.net.ChangeNode("1", nil),
		p.net.ChangeNode(id, map[string]json.RawMessage{"objective": json.RawMessage(`"OUTCOME_LEADS"`)}),
		func() error { _, err := p.net.MakeNode("7", "billboards", nil); return err }(),
	} {
		if err == nil {
			t.Error("the rules of the network do not count")
		}
	}
}
