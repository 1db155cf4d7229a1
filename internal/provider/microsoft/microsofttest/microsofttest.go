// Package microsofttest connects the conformance suite of publishers to the sandbox's
// stand-in of Microsoft Advertising. It is imported by tests only.
package microsofttest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/microsoft"
	"usher/internal/provider/providertest"
	"usher/sandbox/fault"
	sandbox "usher/sandbox/microsoft"
)

// Harness returns what the suite needs to judge Microsoft.
func Harness() providertest.PublisherHarness {
	keeps := "microsoft keeps a value there"
	return providertest.PublisherHarness{
		Definition: microsoft.Definition(),
		Open:       func() (providertest.PublisherNetwork, error) { return Open() },
		Sample: map[string]func(i int) map[string]string{
			"campaign": func(i int) map[string]string { return map[string]string{"budget": strconv.Itoa(10 + i%50)} },
			"keyword":  func(i int) map[string]string { return map[string]string{"keyword": "red shoes " + strconv.Itoa(i)} },
			"location": func(i int) map[string]string { return map[string]string{"location": strconv.Itoa(1000 + i)} },
			"ad": func(i int) map[string]string {
				return map[string]string{"headline_1": fmt.Sprintf("Shoes %d", i), "headline_2": "Half price, today", "headline_3": "Free returns"}
			},
		},
		Fields: map[string]providertest.FieldSample{
			"budget.delivery":         {Kept: keeps},
			"campaign.budget":         {Kept: keeps},
			"campaign.delivery":       {Kept: keeps},
			"campaign.languages":      {Kept: keeps, Value: "English,French"},
			"campaign.shared_budget":  {Kept: keeps, With: map[string]string{"shared_budget": "@budget", "budget": ""}},
			"ad group.bid":            {Kept: keeps},
			"ad group.start_date":     {Kept: keeps},
			"ad group.end_date":       {Kept: keeps},
			"ad group.network":        {Kept: keeps},
			"keyword.bid":             {Kept: keeps},
			"keyword.final_url":       {Kept: keeps},
			"location.bid_adjustment": {Value: "-15"},
		},
	}
}

// Network is the stand-in behind a server of its own.
type Network struct {
	*providertest.Minter
	faults    *fault.Plan
	microsoft *sandbox.Network
	server    *httptest.Server
}

// Open starts one with an empty account. Close ends it.
func Open() (*Network, error) {
	plan := fault.NewPlan(1)
	far, err := sandbox.New(sandbox.Options{}, sandbox.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: plan})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/microsoft/", http.StripPrefix("/microsoft", far))
	n := &Network{faults: plan, microsoft: far, server: httptest.NewServer(mux)}
	n.Minter = &providertest.Minter{
		Address: n.server.URL + "/microsoft/token", Client: sandbox.DefaultClientID, Secret: sandbox.DefaultClientSecret, Refresh: sandbox.DefaultRefreshToken, Code: microsoft.Codes()[0],
	}
	return n, nil
}

// Microsoft is the stand-in.
func (n *Network) Microsoft() *sandbox.Network { return n.microsoft }

// Deps are those of the account.
func (n *Network) Deps() provider.Deps {
	root := provider.Secret(n.server.URL + "/microsoft")
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"developer_token": sandbox.DefaultDeveloperToken, provider.ClientIDField: sandbox.DefaultClientID,
			provider.ClientSecretField: sandbox.DefaultClientSecret, provider.RefreshTokenField: sandbox.DefaultRefreshToken,
			"campaign_url": root, "reporting_url": root, "customer_url": root,
		},
		Account: sandbox.DefaultAccount,
		Config:  map[string]string{"customer_id": sandbox.DefaultCustomer, "report_poll": "5ms"},
		Tokens:  n.Minter,
	}
}

// Hosts is the server's address.
func (n *Network) Hosts() []string {
	u, err := url.Parse(n.server.URL)
	if err != nil {
		panic(err) // httptest made it
	}
	return []string{u.Host}
}

// Info is what the account is.
func (n *Network) Info() provider.PublisherInfo {
	return provider.PublisherInfo{Name: "Sandbox account", Currency: "EUR", Timezone: "Europe/Paris"}
}

// types are the declared types and kinds of the stand-in's resources.
var types = map[string]struct {
	typ  string
	kind activation.ObjectKind
}{
	"Budgets": {"budget", activation.KindOther}, "Campaigns": {"campaign", activation.KindCampaign}, "AdGroups": {"ad group", activation.KindGroup},
	"Ads": {"ad", activation.KindCreative}, "Keywords": {"keyword", activation.KindKeyword}, "CampaignCriterions": {"location", activation.KindOther},
}

// Tree is what the stand-in holds, in declared fields.
func (n *Network) Tree() []provider.ObjectState {
	refs := map[string]activation.ObjectRef{}
	var all []provider.ObjectState
	for _, o := range n.microsoft.Objects() {
		t := types[o.Kind]
		ref := activation.ObjectRef{Kind: t.kind, ID: o.ID}
		if o.Parent != "" {
			ref.ID = refs[o.Parent].ID + "~" + o.ID
		}
		refs[o.ID] = ref
		all = append(all, provider.ObjectState{ObjectRef: ref, Type: t.typ, Parent: refs[o.Parent], Fields: fields(o)})
	}
	return all
}

// plainFields are ours by the stand-in's names, of values that are texts.
var plainFields = map[string]string{
	"Name": "name", "BudgetId": "shared_budget", "TrackingUrlTemplate": "tracking_template", "FinalUrlSuffix": "final_url_suffix",
	"Text": "keyword", "Path1": "path_1", "Path2": "path_2",
}

// choices are ours by the stand-in's values, of fields that have some.
var choices = map[string]map[string]string{
	"Status":     {"Active": "enabled", "Paused": "paused"},
	"BudgetType": {"DailyBudgetStandard": "standard", "DailyBudgetAccelerated": "accelerated"},
	"MatchType":  {"Exact": "exact", "Phrase": "phrase", "Broad": "broad"},
	"Network":    {"OwnedAndOperatedAndSyndicatedSearch": "all", "OwnedAndOperatedOnly": "owned", "SyndicatedSearchOnly": "partners"},
}

var choiceNames = map[string]string{"Status": "status", "BudgetType": "delivery", "MatchType": "match_type", "Network": "network"}

func fields(o sandbox.Object) map[string]string {
	f := map[string]string{}
	for name, v := range o.Fields {
		switch name {
		case "Status", "BudgetType", "MatchType", "Network":
			f[choiceNames[name]] = choices[name][v.(string)]
		case "Amount", "DailyBudget":
			f["budget"] = plain(v)
		case "CpcBid", "Bid":
			f["bid"] = plain(v.(map[string]any)["Amount"])
		case "StartDate", "EndDate":
			d := v.(map[string]any)
			day, _ := strconv.Atoi(fmt.Sprint(d["Day"]))
			month, _ := strconv.Atoi(fmt.Sprint(d["Month"]))
			f[map[string]string{"StartDate": "start_date", "EndDate": "end_date"}[name]] = fmt.Sprintf("%v-%02d-%02d", d["Year"], month, day)
		case "Languages":
			var list []string
			for _, l := range v.([]any) {
				list = append(list, l.(string))
			}
			f["languages"] = strings.Join(list, ",")
		case "FinalUrls":
			f["final_url"] = v.([]any)[0].(string)
		case "Headlines", "Descriptions":
			for i, l := range v.([]any) {
				text := l.(map[string]any)["Asset"].(map[string]any)["Text"].(string)
				f[map[string]string{"Headlines": "headline_", "Descriptions": "description_"}[name]+strconv.Itoa(i+1)] = text
			}
		case "Criterion":
			f["location"] = v.(map[string]any)["LocationId"].(string)
			f["negative"] = strconv.FormatBool(o.Fields["Type"] == "NegativeCampaignCriterion")
		case "CriterionBid":
			if m := plain(v.(map[string]any)["Multiplier"]); m != "0" {
				f["bid_adjustment"] = m
			}
		default:
			if own := plainFields[name]; own != "" {
				f[own] = v.(string)
			}
		}
	}
	if o.Kind == "Ads" {
		f["name"] = f["headline_1"]
	}
	return f
}

// plain is a number without zeros that say nothing.
func plain(v any) string {
	text := v.(json.Number).String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func last(ref activation.ObjectRef) string { return ref.ID[strings.LastIndexByte(ref.ID, '~')+1:] }

// Effects counts the calls that took effect on an object.
func (n *Network) Effects(ref activation.ObjectRef) int { return n.microsoft.Effects(last(ref)) }

// Change sets a name or a status behind the provider's back.
func (n *Network) Change(ref activation.ObjectRef, field, value string) error {
	key := map[string]string{"name": "Name", "status": "Status"}[field]
	if field == "status" {
		value = map[string]string{"enabled": "Active", "paused": "Paused"}[value]
	}
	if key == "" || !n.microsoft.Change(last(ref), map[string]any{key: value}) {
		return fmt.Errorf("the stand-in does not change %s", field)
	}
	return nil
}

// Remove takes an object away behind the provider's back.
func (n *Network) Remove(ref activation.ObjectRef) error {
	if !n.microsoft.Remove(last(ref)) {
		return fmt.Errorf("there is no %s", ref.ID)
	}
	return nil
}

// Spend says what an object cost.
func (n *Network) Spend(c activation.Cost) {
	kind := map[activation.ObjectKind]string{activation.KindCampaign: "Campaigns", activation.KindGroup: "AdGroups", activation.KindKeyword: "Keywords"}[c.Object.Kind]
	n.microsoft.Spend(sandbox.Cost{Kind: kind, ID: last(c.Object), Date: c.Date, Impressions: c.Impressions, Clicks: c.Clicks, Micros: c.Micros, Conversions: c.Conversions, Revenue: c.Value})
}

var scripts = providertest.Scripts{
	Calls: fault.Fault{Network: "microsoft", Op: "edit"},
	Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
		providertest.RefuseWhole: providertest.Errors(1001, "CampaignServiceInvalidRequest"),
		providertest.RefuseEdit:  providertest.Rows(1300, "CampaignServiceInvalidName"),
		providertest.LaterEdit:   providertest.Rows(117, "CallRateExceeded"),
		providertest.UnknownEdit: providertest.Rows(0, "InternalError"),
	},
}

// Fail scripts the fault.
func (n *Network) Fail(f providertest.Fault) error {
	script, err := scripts.Of(f)
	if err == nil {
		_, err = n.faults.Add(script)
	}
	return err
}

// Heal removes all faults.
func (n *Network) Heal() { n.faults.Reset() }

// Writes are the calls that change campaigns.
func (n *Network) Writes() int { return n.microsoft.Writes() }

// Calls are all calls.
func (n *Network) Calls() int { return n.microsoft.Calls() }

// Close ends the network.
func (n *Network) Close() {
	n.microsoft.Release()
	n.server.Close()
	_ = n.microsoft.Close() // it returns nil
}
