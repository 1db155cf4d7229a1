package google_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/sandbox/fault"
	sandbox "usher/sandbox/google"
)

// post posts edits in as few calls as they travel in and wants these states.
func post(t *testing.T, pub provider.Publisher, edits []provider.Edit, states ...provider.EditState) []provider.EditOutcome {
	t.Helper()
	var all []provider.EditOutcome
	for len(edits) > 0 {
		n := pub.Together(edits)
		out, err := pub.Post(t.Context(), edits[:n])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out...)
		edits = edits[n:]
	}
	for i, o := range all {
		want := provider.EditDone
		if len(states) > 0 {
			want = states[i]
		}
		if o.State != want {
			t.Fatalf("edit %d is %s: %s %s %s, want %s", i, o.State, o.Code, o.Field, o.Text, want)
		}
	}
	return all
}

// TestEditsOnTheWire is the golden file of every kind of edit and question.
func TestEditsOnTheWire(t *testing.T) {
	pub, w := openAds(t, sandbox.AdsCustomer{Name: "Shop"}, map[string]string{"login_customer_id": "111-222-3333"})
	ctx := context.Background()
	if is, err := pub.Check(ctx); err != nil || is != (provider.PublisherInfo{Name: "Shop", Currency: "EUR", Timezone: "Europe/Paris"}) {
		t.Fatal(is, err)
	}
	var n entries
	budget := n.create("budget", activation.ObjectRef{}, map[string]string{"name": "Autumn", "budget": "200"})
	shared := n.create("campaign", activation.ObjectRef{}, newCampaign("Shared", "budget", "", "shared_budget", budget.Object.ID, "bidding", "maximize_conversions", "target_cpa", "12.5"))
	own := n.create("campaign", activation.ObjectRef{}, newCampaign("Nov", "status", "paused", "start_time", "2026-12-01 00:00", "end_time", "2026-12-31 23:59", "tracking_template", "https://t.example.com/?{lpurl}"))
	group := n.create("ad group", own.Object, map[string]string{"name": "Shoes", "bid": "1.25"})
	ad := n.create("ad", group.Object, newAd("Red shoes"))
	keyword := n.create("keyword", group.Object, map[string]string{"keyword": "red shoes", "match_type": "phrase", "bid": "0.999", "final_url": "https://www.example.com/red"})
	negative := n.create("keyword", group.Object, map[string]string{"keyword": "free", "match_type": "broad", "negative": "true"})
	location := n.create("location", own.Object, map[string]string{"location_id": "2840", "bid_modifier": "1.2"})
	out := post(t, pub, []provider.Edit{budget, shared})
	made := post(t, pub, []provider.Edit{own, group, ad, keyword, negative, location})
	if calls := len(w.bodies); calls != 2 {
		t.Errorf("%d calls, want a tree each", calls)
	}
	if v := made[3].Values["bid"]; v != "1" {
		t.Errorf("the bid became %q", v)
	}
	id := func(i int) string { return made[i].ID }
	post(t, pub, []provider.Edit{
		n.set("campaign", id(0), map[string]string{"budget_id": made[0].Values["budget_id"]}, map[string]string{"budget": "7"}),
		n.set("ad group", id(1), nil, map[string]string{"status": "paused"}, "bid"),
		n.set("ad", id(2), nil, map[string]string{"status": "paused"}),
		n.set("keyword", id(3), nil, map[string]string{"bid": "2.5", "status": "paused"}, "final_url"),
		n.set("location", id(5), nil, map[string]string{"bid_modifier": "0.8"}),
		n.set("budget", out[0].ID, nil, map[string]string{"budget": "300", "name": "Winter"}),
		n.create("campaign negative keyword", activation.ObjectRef{Kind: activation.KindCampaign, ID: id(0)}, map[string]string{"keyword": "cheap", "match_type": "exact"}),
	})
	post(t, pub, []provider.Edit{n.set("campaign", out[1].ID, map[string]string{"shared_budget": out[0].ID, "bidding": "maximize_conversions"}, map[string]string{"budget": "9", "bidding": "maximize_conversion_value", "target_roas": "4"}, "shared_budget", "end_time")})
	post(t, pub, []provider.Edit{n.set("campaign", id(0), map[string]string{"budget": "7", "budget_id": "1"}, map[string]string{"shared_budget": out[0].ID, "name": "December"})})
	post(t, pub, []provider.Edit{n.remove("keyword", id(4)), n.remove("ad", id(2)), n.remove("location", id(5)), n.remove("ad group", id(1))})
	if calls := len(w.bodies); calls != 7 {
		t.Errorf("%d calls", calls)
	}
	refs := []activation.ObjectRef{{Kind: "campaign", ID: id(0)}, {Kind: "keyword", ID: id(3)}, {Kind: "other", ID: out[0].ID}, {Kind: "other", ID: id(5)}, {Kind: "creative", ID: "x"}, {Kind: "group", ID: "1~2"}}
	if got, err := pub.Read(ctx, refs); err != nil || len(got) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	if found, err := pub.Find(ctx, []provider.Edit{{Type: "campaign", Set: newCampaign(`Sh'ared \`)}, shared}); err != nil || found[0] != "" || found[1] != out[1].ID {
		t.Errorf("%q %v", found, err)
	}
	if err := pub.Costs(ctx, "2026-11-14", "2026-11-20", func(activation.Cost) error { return nil }); err != nil {
		t.Error(err)
	}
	if _, ok, err := pub.(provider.ChangeTeller).Changed(ctx, now.Add(-24*time.Hour)); err != nil || !ok {
		t.Error(ok, err)
	}
	golden(t, "campaigns.txt", w.text.Bytes())
	if strings.Contains(w.text.String(), "Developer-Token") {
		t.Error("a developer token was sent that there is not")
	}
}

// TestWhatTravelsTogether is the table of Together.
func TestWhatTravelsTogether(t *testing.T) {
	pub, _ := openAds(t, sandbox.AdsCustomer{}, nil)
	var n entries
	at := func(kind activation.ObjectKind, id string) activation.ObjectRef {
		return activation.ObjectRef{Kind: kind, ID: id}
	}
	pause := map[string]string{"status": "paused"}
	named := func(have, set string) provider.Edit {
		return n.set("campaign", fmt.Sprint(100+n), map[string]string{"name": have}, map[string]string{"name": set})
	}
	camp := n.create("campaign", activation.ObjectRef{}, newCampaign("a"))
	group := n.create("ad group", camp.Object, map[string]string{"name": "g"})
	budget := n.create("budget", activation.ObjectRef{}, map[string]string{"name": "b", "budget": "1"})
	keyword := func(parent activation.ObjectRef, text string) provider.Edit {
		return n.create("keyword", parent, map[string]string{"keyword": text, "match_type": "exact"})
	}
	gone := n.remove("keyword", "5~9")
	gone.Parent, gone.Have = at("group", "5"), map[string]string{"keyword": "a", "match_type": "exact"}
	for name, tc := range map[string]struct {
		edits []provider.Edit
		want  int
	}{
		"independent edits":                         {[]provider.Edit{n.set("campaign", "1", nil, pause), n.set("ad group", "5", nil, pause), n.set("keyword", "5~9", nil, pause)}, 3},
		"creates below what is there":               {[]provider.Edit{keyword(at("group", "5"), "a"), keyword(at("group", "5"), "b"), keyword(at("group", "6"), "a")}, 3},
		"a tree":                                    {[]provider.Edit{camp, group, keyword(group.Object, "a"), keyword(group.Object, "b")}, 4},
		"a tree, then another campaign":             {[]provider.Edit{camp, group, n.create("campaign", activation.ObjectRef{}, newCampaign("b"))}, 2},
		"a tree, then an edit":                      {[]provider.Edit{camp, group, n.set("campaign", "1", nil, pause)}, 2},
		"two campaigns":                             {[]provider.Edit{camp, n.create("campaign", activation.ObjectRef{}, newCampaign("b"))}, 1},
		"a campaign with a new shared budget":       {[]provider.Edit{budget, n.create("campaign", activation.ObjectRef{}, newCampaign("b", "budget", "", "shared_budget", budget.Object.ID))}, 2},
		"an edit, a group, and what is in it":       {[]provider.Edit{n.set("campaign", "1", nil, pause), n.create("ad group", at("campaign", "1"), map[string]string{"name": "x"}), keyword(activation.ObjectRef{Kind: "group", ID: activation.NewObjectID(activation.EntryID(n))}, "a")}, 2},
		"budget and name of a campaign, first":      {[]provider.Edit{n.set("campaign", "1", nil, map[string]string{"name": "x", "budget": "1"}), n.set("campaign", "2", nil, pause)}, 1},
		"budget and name of a campaign, second":     {[]provider.Edit{n.set("campaign", "2", nil, pause), n.set("campaign", "1", nil, map[string]string{"name": "x", "budget": "1"})}, 1},
		"the budget of a campaign alone":            {[]provider.Edit{n.set("campaign", "1", nil, map[string]string{"budget": "1"}), n.set("campaign", "2", nil, map[string]string{"budget": "1"})}, 2},
		"deletes of one level":                      {[]provider.Edit{n.remove("campaign", "1"), n.remove("campaign", "2"), n.set("ad group", "5", nil, pause)}, 2},
		"an edit below a campaign, then its delete": {[]provider.Edit{n.set("keyword", "5~9", nil, pause), n.remove("campaign", "1")}, 1},
		"deletes of ads":                            {[]provider.Edit{n.remove("ad", "5~1"), n.remove("ad", "5~2"), n.remove("keyword", "5~2")}, 3},
		"a name that another gives up":              {[]provider.Edit{named("a", "b"), named("c", "A"), named("d", "e")}, 1},
		"a name that was given up is taken":         {[]provider.Edit{named("a", "b"), named("c", "d"), n.create("campaign", activation.ObjectRef{}, newCampaign("a", "budget", "", "shared_budget", "7"))}, 2},
		"a keyword that is deleted and made again":  {[]provider.Edit{gone, keyword(at("group", "5"), "A")}, 1},
		"a budget that is deleted, and who had it":  {[]provider.Edit{n.set("campaign", "1", map[string]string{"shared_budget": "7"}, map[string]string{"shared_budget": "8"}), n.remove("budget", "7")}, 1},
		"the same object twice":                     {[]provider.Edit{n.set("ad", "5~1", nil, pause), n.set("ad", "5~1", nil, pause)}, 1},
		"one":                                       {[]provider.Edit{camp}, 1},
		"none":                                      {nil, 0},
	} {
		if got := pub.Together(tc.edits); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	many := make([]provider.Edit, 2500)
	for i := range many {
		many[i] = n.remove("ad", fmt.Sprintf("5~%d", i))
	}
	if got := pub.Together(many); got != google.Definition().Publishing.MaxEdits {
		t.Errorf("%d deletes travel together", got)
	}
}

// TestOneBadCreateDoesNotFailOthers: of a tree that is all or none, what is at fault
// is refused, what needs it too, and the rest goes out with the next call.
func TestOneBadCreateDoesNotFailOthers(t *testing.T) {
	pub, w := openAds(t, sandbox.AdsCustomer{}, nil)
	var n entries
	camp := n.create("campaign", activation.ObjectRef{}, newCampaign("a"))
	bad := n.create("ad group", camp.Object, map[string]string{"name": strings.Repeat("x", 256)})
	lost := n.create("keyword", bad.Object, map[string]string{"keyword": "a", "match_type": "exact"})
	good := n.create("ad group", camp.Object, map[string]string{"name": "good"})
	wrongWord := n.create("keyword", good.Object, map[string]string{"keyword": "what!?", "match_type": "exact"})
	fine := n.create("keyword", good.Object, map[string]string{"keyword": "fine", "match_type": "exact"})
	out := post(t, pub, []provider.Edit{camp, bad, lost, good, wrongWord, fine},
		provider.EditLater, provider.EditRefused, provider.EditRefused, provider.EditLater, provider.EditRefused, provider.EditLater)
	for i, want := range []string{"GADS-TOGETHER", "GADS-EDIT", "GADS-NEEDS", "GADS-TOGETHER", "GADS-EDIT", "GADS-TOGETHER"} {
		if out[i].Code != want || out[i].Text == "" || out[i].RequestID == "" {
			t.Errorf("edit %d: %+v", i, out[i])
		}
	}
	if out[1].Field != "name" || out[4].Field != "keyword" || !strings.HasPrefix(out[4].Text, "criterionError.KEYWORD_HAS_INVALID_CHARS: ") {
		t.Errorf("%+v %+v", out[1], out[4])
	}
	if left := w.far.AdsJournal(customer); len(left) != 0 {
		t.Errorf("something was done: %v", left)
	}
	post(t, pub, []provider.Edit{camp, good, fine})
	if did := len(w.far.AdsJournal(customer)); did != 4 { // and the budget
		t.Errorf("%d effects", did)
	}

	// What can't be sent at all takes along what needs it, and nothing else.
	unsent := n.create("campaign", activation.ObjectRef{}, newCampaign("b", "budget", ""))
	under := n.create("ad group", unsent.Object, map[string]string{"name": "g"})
	out = post(t, pub, []provider.Edit{unsent, under}, provider.EditRefused, provider.EditRefused)
	if out[0].Code != "GADS-BUDGET" || out[0].Field != "budget" || out[1].Code != "GADS-NEEDS" || len(w.bodies) != 2 {
		t.Errorf("%+v, %d calls", out, len(w.bodies))
	}
}

// TestEditsThatAreNotSent: what Usher knows to be wrong costs no call.
func TestEditsThatAreNotSent(t *testing.T) {
	pub, w := openAds(t, sandbox.AdsCustomer{}, nil)
	var n entries
	at := activation.ObjectRef{Kind: activation.KindCampaign, ID: "1"}
	for name, tc := range map[string]struct {
		edit        provider.Edit
		code, field string
	}{
		"both budgets":              {n.create("campaign", activation.ObjectRef{}, newCampaign("a", "shared_budget", "7")), "GADS-BUDGET", "shared_budget"},
		"the budget of a shared":    {n.set("campaign", "1", map[string]string{"shared_budget": "7"}, map[string]string{"budget": "1"}), "GADS-BUDGET", "budget"},
		"a budget not known":        {n.set("campaign", "1", nil, map[string]string{"budget": "1"}), "GADS-BUDGET", "budget"},
		"no budget afterwards":      {n.set("campaign", "1", nil, nil, "shared_budget"), "GADS-BUDGET", "shared_budget"},
		"a budget cleared":          {n.set("campaign", "1", nil, nil, "budget"), "GADS-EDIT", "budget"},
		"no amount":                 {n.set("ad group", "5", nil, map[string]string{"bid": "1,5"}), "GADS-AMOUNT", "bid"},
		"an amount of nothing":      {n.set("ad group", "5", nil, map[string]string{"bid": "0.001"}), "GADS-AMOUNT", "bid"},
		"a target of another way":   {n.set("campaign", "1", map[string]string{"bidding": "manual_cpc"}, map[string]string{"target_cpa": "1"}), "GADS-EDIT", "target_cpa"},
		"a way that can't be set":   {n.set("campaign", "1", nil, map[string]string{"bidding": "other"}), "GADS-EDIT", "bidding"},
		"a type that can't be made": {n.create("campaign", activation.ObjectRef{}, newCampaign("a", "channel_type", "other")), "GADS-EDIT", "channel_type"},
		"what is fixed":             {n.set("keyword", "5~9", nil, map[string]string{"match_type": "exact"}), "GADS-EDIT", "match_type"},
		"a place that is none":      {n.create("location", at, map[string]string{"location_id": "Paris"}), "GADS-EDIT", "location_id"},
		"a large modifier":          {n.set("location", "1~2840", nil, map[string]string{"bid_modifier": "11"}), "GADS-EDIT", "bid_modifier"},
		"in what is not there":      {n.create("ad group", activation.ObjectRef{Kind: "campaign", ID: "new-77"}, map[string]string{"name": "g"}), "GADS-NEEDS", ""},
		"nothing":                   {n.set("ad group", "5", nil, nil), "GADS-EDIT", ""},
	} {
		out := post(t, pub, []provider.Edit{tc.edit}, provider.EditRefused)
		if out[0].Code != tc.code || out[0].Field != tc.field || out[0].Text == "" {
			t.Errorf("%s: %+v", name, out[0])
		}
	}
	if len(w.bodies) > 0 {
		t.Errorf("sent: %s", w.bodies)
	}
	many := []provider.Edit{n.remove("campaign", "1"), n.remove("ad", "5~1")}
	if _, err := pub.Post(t.Context(), many); wrong(t, err).Kind != activation.Invalid || wrong(t, err).MayHaveApplied {
		t.Errorf("edits that do not travel together: %v", err)
	}
}

// TestAmountsAreRoundedByCurrency: to what Google says is the smallest unit.
func TestAmountsAreRoundedByCurrency(t *testing.T) {
	for _, tc := range []struct{ currency, asked, sent, told string }{
		{"EUR", "1.25", "1250000", ""},
		{"EUR", "1.254", "1250000", "1.25"},
		{"EUR", "1.255", "1260000", "1.26"},
		{"EUR", "1.50", "1500000", "1.5"},
		{"USD", "0.005", "10000", "0.01"},
		{"JPY", "120", "120000000", ""},
		{"JPY", "120.5", "121000000", "121"},
		{"JPY", "0.5", "1000000", "1"},
		{"EUR", "999999", "999999000000", ""},
	} {
		pub, w := openAds(t, sandbox.AdsCustomer{Currency: tc.currency}, nil)
		var n entries
		out := post(t, pub, []provider.Edit{n.create("budget", activation.ObjectRef{}, map[string]string{"name": "b", "budget": tc.asked})})
		if !strings.Contains(w.bodies[0], `"amountMicros":"`+tc.sent+`"`) || out[0].Values["budget"] != tc.told {
			t.Errorf("%s %s: told %q, sent %s", tc.currency, tc.asked, out[0].Values["budget"], w.bodies[0])
		}
	}
}

// TestChangesOfOthers: by somebody in Google's own console, with what went along.
func TestChangesOfOthers(t *testing.T) {
	pub, w := openAds(t, sandbox.AdsCustomer{TimeZone: "America/New_York"}, nil)
	if err := w.far.MakeAdsExample(customer, sandbox.AdsExample{Seed: 3, Campaigns: 2, Groups: 1, Ads: 1, Keywords: 1, Days: 2}); err != nil {
		t.Fatal(err)
	}
	var all []provider.ObjectState
	if err := pub.Structure(t.Context(), func(o provider.ObjectState) error {
		all = append(all, o)
		return nil
	}); err != nil || len(all) != 10 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	first := all[0]
	body := fmt.Sprintf(`{"mutateOperations":[{"campaignBudgetOperation":{"update":{"resourceName":"customers/%s/campaignBudgets/%s","amountMicros":"77000000"},"updateMask":"amountMicros"}},{"campaignOperation":{"remove":"customers/%s/campaigns/%s"}}]}`,
		customer, first.Fields["budget_id"], customer, all[1].ID)
	if _, err := w.far.ChangeAds(customer, []byte(body)); err != nil {
		t.Fatal(err)
	}
	teller := pub.(provider.ChangeTeller)
	refs, ok, err := teller.Changed(t.Context(), now.Add(-time.Minute))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for _, o := range all { // made and changed within the hour
		if !slices.Contains(refs, o.ObjectRef) {
			t.Errorf("%s %s is not among what was changed", o.Type, o.ID)
		}
	}
	if got, err := pub.Read(t.Context(), []activation.ObjectRef{first.ObjectRef, all[1].ObjectRef}); err != nil || len(got) != 1 || got[0].Fields["budget"] != "77" {
		t.Errorf("%+v %v", got, err)
	}
	for _, since := range []time.Duration{30 * 24 * time.Hour, 400 * 24 * time.Hour} {
		if _, ok, err := teller.Changed(t.Context(), now.Add(-since)); ok || err != nil {
			t.Errorf("it remembers %v: %v", since, err)
		}
	}
	costs := map[activation.ObjectKind]int64{}
	if err := pub.Costs(t.Context(), "2026-11-20", "2026-11-21", func(c activation.Cost) error {
		if c.Currency != "EUR" || c.Date < "2026-11-20" || c.Date > "2026-11-21" {
			t.Errorf("%+v", c)
		}
		costs[c.Object.Kind] += c.Micros
		return nil
	}); err != nil || costs["campaign"] == 0 || costs["campaign"] != costs["group"] || costs["group"] != costs["keyword"] {
		t.Errorf("%v %v", costs, err)
	}
	if err := pub.Costs(t.Context(), "yesterday", "2026-11-21", nil); wrong(t, err).Kind != activation.Invalid {
		t.Error(err)
	}
}

// TestSettingsOfCampaigns: a wrong one names its field.
func TestSettingsOfCampaigns(t *testing.T) {
	for name, tc := range map[string]struct {
		field  string
		change func(*provider.Deps)
	}{
		"no credentials": {"refresh_token", func(d *provider.Deps) { d.Tokens = nil }},
		"an account":     {"account", func(d *provider.Deps) { d.Account = "customers/1" }},
		"a manager":      {"login_customer_id", func(d *provider.Deps) { d.Config["login_customer_id"] = "me" }},
		"a version":      {"api_version", func(d *provider.Deps) { d.Config["api_version"] = "v19" }},
		"an address": {"ads_base_url", func(d *provider.Deps) {
			d.Auth = map[string]provider.Secret{"ads_base_url": "https://me:secret@example.com"}
		}},
	} {
		d := deps(always(200, "[]"), map[string]string{})
		tc.change(&d)
		if _, err := google.NewCampaigns(d); wrong(t, err).Field != tc.field || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := always(200, `[{"results":[{"customer":{"currencyCode":"EUR","timeZone":"Europe/Paris","manager":true}}]}]`)
	d := deps(f, nil)
	d.Auth = map[string]provider.Secret{"developer_token": "dev-secret"}
	pub, err := google.NewCampaigns(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pub.Check(t.Context()); wrong(t, err).Field != "account" {
		t.Errorf("a manager account: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v", pub, pub, pub); strings.Contains(s, "secret") {
		t.Errorf("printed: %s", s)
	}
}

// TestFaultsAreNeverSentAgain: whatever fails, one call goes out for one Post, but for
// a token that was refused.
func TestFaultsAreNeverSentAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fault.Fault
		kind  activation.Kind
		code  string
		may   bool
		until time.Duration
	}{
		"busy":              {fault.Fault{Kind: fault.Error, Code: 400, Message: "databaseError.CONCURRENT_MODIFICATION"}, activation.Unavailable, "GADS-BUSY", false, 0},
		"internal":          {fault.Fault{Kind: fault.Error, Code: 500, Message: "internalError.INTERNAL_ERROR"}, activation.Unavailable, "GADS-UNAVAILABLE", true, 0},
		"transient":         {fault.Fault{Kind: fault.Error, Code: 503, Message: "internalError.TRANSIENT_ERROR"}, activation.Unavailable, "GADS-UNAVAILABLE", true, 0},
		"quota for a while": {fault.Fault{Kind: fault.Throttle, Minutes: 3}, activation.WaitUntil, "GADS-QUOTA", false, 3 * time.Minute},
		"quota of a day":    {fault.Fault{Kind: fault.Throttle, Message: "RESOURCE_EXHAUSTED"}, activation.WaitUntil, "GADS-QUOTA", false, time.Hour},
		"no permission":     {fault.Fault{Kind: fault.Error, Code: 403, Message: "authorizationError.USER_PERMISSION_DENIED"}, activation.Invalid, "GADS-PERMISSION", false, 0},
		"not enabled":       {fault.Fault{Kind: fault.Flagged}, activation.Invalid, "GADS-ACCOUNT", false, 0},
		"undeclared":        {fault.Fault{Kind: fault.Error, Code: 400, Message: "mutateError.EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED"}, activation.Invalid, "GADS-POLITICAL", false, 0},
		"a page":            {fault.Fault{Kind: fault.HTML}, activation.Unavailable, "GADS-UNAVAILABLE", true, 0},
		"out of order":      {fault.Fault{Kind: fault.Status, Status: 502, Applied: true}, activation.Unavailable, "GADS-UNAVAILABLE", true, 0},
		"the same twice":    {fault.Fault{Kind: fault.Error, Code: 400, Subcode: 1, Message: "mutateError.ID_EXISTS_IN_MULTIPLE_MUTATES"}, activation.Invalid, "GADS-REQUEST", false, 0},
		"all busy":          {fault.Fault{Kind: fault.Invalid, Rows: 2, Message: "databaseError.CONCURRENT_MODIFICATION"}, activation.Unavailable, "GADS-BUSY", false, 0},
	} {
		pub, w := openAds(t, sandbox.AdsCustomer{}, nil)
		tc.fault.Op = "mutate"
		if _, err := w.faults.Add(tc.fault); err != nil {
			t.Fatal(err)
		}
		var n entries
		out, err := pub.Post(t.Context(), []provider.Edit{
			n.create("budget", activation.ObjectRef{}, map[string]string{"name": "a", "budget": "1"}), n.create("budget", activation.ObjectRef{}, map[string]string{"name": "b", "budget": "1"}),
		})
		var e *activation.Error
		if !errors.As(err, &e) || out != nil {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		if e.Kind != tc.kind || e.Code != tc.code || e.MayHaveApplied != tc.may || tc.until > 0 && !e.Until.Equal(now.Add(tc.until)) || len(w.bodies) != 1 {
			t.Errorf("%s: %+v, %d calls", name, e, len(w.bodies))
		}
	}
}
