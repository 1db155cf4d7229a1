package googletest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/internal/provider/providertest"
	"usher/sandbox/fault"
	sandbox "usher/sandbox/google"
)

// PublisherHarness returns what the suite needs to judge edits of campaigns.
func PublisherHarness() providertest.PublisherHarness {
	set := func(values ...string) func(int) map[string]string {
		return func(int) map[string]string { return pairs(values) }
	}
	return providertest.PublisherHarness{
		Definition: google.Definition(),
		Open:       func() (providertest.PublisherNetwork, error) { return OpenCampaigns() },
		Sample: map[string]func(int) map[string]string{
			"campaign": set("channel_type", "search", "budget", "10"),
			"location": func(i int) map[string]string { return map[string]string{"location_id": strconv.Itoa(1000 + i)} },
		},
		Fields: map[string]providertest.FieldSample{
			"campaign.budget":            {Kept: "a campaign has a budget"},
			"campaign.shared_budget":     {With: map[string]string{"budget": "", "shared_budget": "@budget"}, Value: "@budget", Also: map[string]string{"budget": "12"}},
			"campaign.bidding":           {Value: "maximize_clicks", Kept: "a campaign has a way of bidding"},
			"campaign.target_cpa":        {With: map[string]string{"bidding": "maximize_conversions"}},
			"campaign.target_roas":       {With: map[string]string{"bidding": "maximize_conversion_value"}, Value: "4.5"},
			"campaign.start_time":        {Kept: "a campaign has a start"},
			"campaign.end_time":          {Value: "2037-12-31 23:59"},
			"location.bid_modifier":      {Value: "1.2"},
			"keyword.final_url":          {Value: "https://www.example.com/a?b=c"},
			"campaign.channel_type":      {},
			"campaign.tracking_template": {Value: "https://track.example.com/?to={lpurl}"},
		},
	}
}

func pairs(values []string) map[string]string {
	out := map[string]string{}
	for i := 0; i+1 < len(values); i += 2 {
		out[values[i]] = values[i+1]
	}
	return out
}

// Campaigns is the stand-in with one empty Google Ads account, behind a server of its
// own.
type Campaigns struct{ *Network }

// OpenCampaigns starts one.
func OpenCampaigns() (*Campaigns, error) {
	plan := fault.NewPlan(1)
	far, err := sandbox.New(sandbox.Options{
		Accounts:  []string{account, manager},
		Customers: map[string]sandbox.AdsCustomer{account: {Name: "Shop, \"north\"", Currency: "EUR", TimeZone: "Europe/Berlin"}},
	}, sandbox.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: plan})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/google/", http.StripPrefix("/google", far))
	n := &Network{faults: plan, google: far, server: httptest.NewServer(mux)}
	n.Minter = &providertest.Minter{
		Address: n.server.URL + "/google/token", Client: sandbox.DefaultClientID, Secret: sandbox.DefaultClientSecret, Refresh: sandbox.DefaultRefreshToken, Code: google.Codes()[0],
	}
	return &Campaigns{n}, nil
}

// Deps are those of the account, reached through a manager.
func (n *Campaigns) Deps() provider.Deps {
	d := n.Network.Deps()
	d.Auth["ads_base_url"] = d.Auth["base_url"]
	d.Config = map[string]string{"login_customer_id": "111-222-3333"}
	return d
}

// Info is what the account is.
func (n *Campaigns) Info() provider.PublisherInfo {
	is := n.google.AdsAccount(account)
	return provider.PublisherInfo{Name: is.Name, Currency: is.Currency, Timezone: is.TimeZone}
}

// resource is a resource of the stand-in as JSON has it.
type resource map[string]any

func (r resource) text(path ...string) string {
	at := map[string]any(r)
	for i, name := range path {
		if i == len(path)-1 {
			switch v := at[name].(type) {
			case string:
				return v
			case float64:
				return strconv.FormatFloat(v, 'f', -1, 64)
			case bool:
				return strconv.FormatBool(v)
			}
			return ""
		}
		at, _ = at[name].(map[string]any)
	}
	return ""
}

func (r resource) list(path ...string) []any {
	at := map[string]any(r)
	for _, name := range path[:len(path)-1] {
		at, _ = at[name].(map[string]any)
	}
	all, _ := at[path[len(path)-1]].([]any)
	return all
}

// money is the text of micros.
func money(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n == 0 {
		return ""
	}
	return strconv.FormatFloat(n/1e6, 'f', -1, 64)
}

func last(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// resources are those of the account that are not removed, nor in something that is.
func (n *Campaigns) resources() map[string]resource {
	all := map[string]resource{}
	for _, r := range n.google.AdsTree(account) {
		fields := resource{}
		if err := json.Unmarshal(r.Fields, &fields); err != nil {
			panic(err) // the stand-in wrote it
		}
		if !r.Removed {
			all[r.Resource] = fields
		}
	}
	for range 2 { // levels
		for name, r := range all {
			for _, up := range []string{"campaign", "adGroup"} {
				if of := r.text(up); of != "" && all[of] == nil {
					delete(all, name)
				}
			}
		}
	}
	return all
}

// Tree is what is there, by the stand-in alone.
func (n *Campaigns) Tree() []provider.ObjectState {
	all := n.resources()
	var out []provider.ObjectState
	for name, r := range all {
		o := provider.ObjectState{ObjectRef: activation.ObjectRef{ID: last(name)}, Fields: map[string]string{}}
		var parent string
		switch strings.Split(name, "/")[2] {
		case "campaigns":
			o.Kind, o.Type, o.Fields = activation.KindCampaign, "campaign", campaignFields(r, all[r.text("campaignBudget")])
		case "campaignBudgets":
			if r.text("explicitlyShared") != "true" {
				continue
			}
			o.Kind, o.Type = activation.KindOther, "budget"
			o.Fields = map[string]string{"name": r.text("name"), "budget": money(r.text("amountMicros"))}
		case "adGroups":
			o.Kind, o.Type, parent = activation.KindGroup, "ad group", "campaign"
			o.Fields = map[string]string{"name": r.text("name"), "status": status(r), "bid": money(r.text("cpcBidMicros"))}
		case "adGroupAds":
			o.Kind, o.Type, parent, o.Fields = activation.KindCreative, "ad", "adGroup", adFields(r)
		case "adGroupCriteria":
			o.Kind, o.Type, parent = activation.KindKeyword, "keyword", "adGroup"
			o.Fields = keywordFields(r)
			o.Fields["status"], o.Fields["bid"], o.Fields["negative"] = status(r), money(r.text("cpcBidMicros")), r.text("negative")
			for _, u := range r.list("finalUrls") {
				o.Fields["final_url"], _ = u.(string)
			}
		case "campaignCriteria":
			o.Kind, o.Type, parent = activation.KindOther, "campaign negative keyword", "campaign"
			o.Fields = keywordFields(r)
			if r.text("type") == "LOCATION" {
				o.Type = "location"
				o.Fields = map[string]string{"location_id": last(r.text("location", "geoTargetConstant")), "negative": r.text("negative"), "bid_modifier": r.text("bidModifier")}
			}
		}
		if parent != "" {
			kind := map[string]activation.ObjectKind{"campaign": activation.KindCampaign, "adGroup": activation.KindGroup}[parent]
			o.Parent = activation.ObjectRef{Kind: kind, ID: last(r.text(parent))}
		}
		for field, v := range o.Fields {
			if v == "" {
				delete(o.Fields, field)
			}
		}
		out = append(out, o)
	}
	return out
}

func status(r resource) string { return strings.ToLower(r.text("status")) }

func keywordFields(r resource) map[string]string {
	return map[string]string{"keyword": r.text("keyword", "text"), "match_type": strings.ToLower(r.text("keyword", "matchType"))}
}

func campaignFields(r, budget resource) map[string]string {
	f := map[string]string{
		"name": r.text("name"), "status": status(r), "channel_type": strings.ToLower(r.text("advertisingChannelType")), "tracking_template": r.text("trackingUrlTemplate"),
		"bidding": map[string]string{
			"MANUAL_CPC": "manual_cpc", "TARGET_SPEND": "maximize_clicks", "MAXIMIZE_CONVERSIONS": "maximize_conversions", "MAXIMIZE_CONVERSION_VALUE": "maximize_conversion_value",
		}[r.text("biddingStrategyType")],
		"target_cpa": money(r.text("maximizeConversions", "targetCpaMicros")), "target_roas": r.text("maximizeConversionValue", "targetRoas"),
		"eu_political_advertising": map[string]string{"CONTAINS_EU_POLITICAL_ADVERTISING": "yes", "DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING": "no"}[r.text("containsEuPoliticalAdvertising")],
	}
	if budget.text("explicitlyShared") == "true" {
		f["shared_budget"] = budget.text("id")
	} else {
		f["budget"], f["budget_id"] = money(budget.text("amountMicros")), budget.text("id")
	}
	for field, name := range map[string]string{"start_time": "startDateTime", "end_time": "endDateTime"} {
		if text := r.text(name); text != "" {
			f[field] = text[:16]
		}
	}
	return f
}

func adFields(r resource) map[string]string {
	f := map[string]string{
		"status": status(r), "ad_type": strings.ToLower(r.text("ad", "type")),
		"path_1": r.text("ad", "responsiveSearchAd", "path1"), "path_2": r.text("ad", "responsiveSearchAd", "path2"),
	}
	for name, prefix := range map[string]string{"headlines": "headline_", "descriptions": "description_"} {
		for i, v := range r.list("ad", "responsiveSearchAd", name) {
			one, _ := v.(map[string]any)
			f[prefix+strconv.Itoa(i+1)] = resource(one).text("text")
		}
	}
	for _, u := range r.list("ad", "finalUrls") {
		f["final_url"], _ = u.(string)
	}
	f["name"] = cmp.Or(r.text("ad", "name"), f["headline_1"])
	return f
}

// names are where objects are, and the operations on them, by the collection.
var operations = map[string]string{
	"campaigns": "campaignOperation", "campaignBudgets": "campaignBudgetOperation", "adGroups": "adGroupOperation",
	"adGroupAds": "adGroupAdOperation", "adGroupCriteria": "adGroupCriterionOperation", "campaignCriteria": "campaignCriterionOperation",
}

func collection(ref activation.ObjectRef) string {
	switch ref.Kind {
	case activation.KindCampaign:
		return "campaigns"
	case activation.KindGroup:
		return "adGroups"
	case activation.KindCreative:
		return "adGroupAds"
	case activation.KindKeyword:
		return "adGroupCriteria"
	case activation.KindOther:
	}
	if strings.Contains(ref.ID, "~") {
		return "campaignCriteria"
	}
	return "campaignBudgets"
}

func name(ref activation.ObjectRef) string {
	return "customers/" + account + "/" + collection(ref) + "/" + ref.ID
}

// Effects counts the calls that changed an object. A campaign's own budget is part of
// it.
func (n *Campaigns) Effects(ref activation.ObjectRef) int {
	about := []string{name(ref)}
	if all := n.resources(); ref.Kind == activation.KindCampaign && all[name(ref)] != nil {
		if of := all[name(ref)].text("campaignBudget"); all[of].text("explicitlyShared") != "true" {
			about = append(about, of)
		}
	}
	calls := map[int]bool{}
	for _, e := range n.google.AdsJournal(account) {
		if e.Call > 0 && slices.Contains(about, e.Resource) {
			calls[e.Call] = true
		}
	}
	return len(calls)
}

func (n *Campaigns) behind(ref activation.ObjectRef, op map[string]any) error {
	body, err := json.Marshal(map[string]any{"mutateOperations": []any{map[string]any{operations[collection(ref)]: op}}})
	if err != nil {
		return err
	}
	_, err = n.google.ChangeAds(account, body)
	return err
}

// Change sets a field behind the provider's back.
func (n *Campaigns) Change(ref activation.ObjectRef, field, value string) error {
	own, ok := map[string]string{"name": "name", "status": "status", "bid": "cpcBidMicros", "budget": "amountMicros"}[field]
	if !ok {
		return fmt.Errorf("the harness changes no %s", field)
	}
	switch field {
	case "status":
		value = strings.ToUpper(value)
	case "bid", "budget":
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return err
		}
		value = strconv.FormatInt(int64(v*1e6), 10)
	}
	if field == "budget" && ref.Kind == activation.KindCampaign {
		ref = activation.ObjectRef{Kind: activation.KindOther, ID: last(n.resources()[name(ref)].text("campaignBudget"))}
	}
	return n.behind(ref, map[string]any{"update": map[string]any{"resourceName": name(ref), own: value}, "updateMask": own})
}

// Remove removes an object behind the provider's back.
func (n *Campaigns) Remove(ref activation.ObjectRef) error {
	return n.behind(ref, map[string]any{"remove": name(ref)})
}

// Spend adds to what an object cost.
func (n *Campaigns) Spend(c activation.Cost) {
	err := n.google.PutAdsCosts(account, sandbox.AdsCost{
		Resource: name(c.Object), Date: c.Date, Impressions: c.Impressions, Clicks: c.Clicks, CostMicros: c.Micros, Conversions: c.Conversions, Value: c.Value,
	})
	if err != nil {
		panic(err) // the suite spends on what is there
	}
}

var campaignScripts = providertest.Scripts{
	Calls: fault.Fault{Network: "google", Op: "mutate"},
	Token: fault.Fault{Path: "/v*"},
	Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
		providertest.RefuseWhole: providertest.Errors(400, ""),
		providertest.RefuseEdit:  providertest.Rows(0, "campaignError.INVALID_CAMPAIGN_NAME"),
		providertest.LaterEdit:   providertest.Rows(0, "databaseError.CONCURRENT_MODIFICATION"),
		providertest.UnknownEdit: providertest.Rows(0, "internalError.INTERNAL_ERROR"),
	},
}

// Fail scripts the fault.
func (n *Campaigns) Fail(f providertest.Fault) error {
	script, err := campaignScripts.Of(f)
	if err == nil {
		_, err = n.faults.Add(script)
	}
	return err
}

// Writes counts the calls that change campaigns.
func (n *Campaigns) Writes() int {
	writes := 0
	for _, c := range n.google.Calls() {
		if c.Op == "mutate" {
			writes++
		}
	}
	return writes
}
