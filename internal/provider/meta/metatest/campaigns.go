package metatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/provider/providertest"
	"usher/sandbox"
	"usher/sandbox/fault"
	sandboxmeta "usher/sandbox/meta"
)

// The audiences that ad sets may be targeted by.
const (
	audienceOne = "23850000000000901"
	audienceTwo = "23850000000000902"
)

// PublisherHarness returns what the suite needs to judge how campaigns are edited.
func PublisherHarness() providertest.PublisherHarness {
	kept := func(why string) providertest.FieldSample { return providertest.FieldSample{Kept: why} }
	budget := kept("a budget is changed, never taken away")
	life := func(end string) providertest.FieldSample {
		return providertest.FieldSample{With: map[string]string{activation.FieldBudget: "", "lifetime_budget": "900", end: day(200)}, Value: "950", Kept: budget.Kept}
	}
	spec := providertest.FieldSample{Value: "23850000000000901", With: map[string]string{"countries": "DE"}}
	return providertest.PublisherHarness{
		Definition: meta.Definition(),
		Open:       func() (providertest.PublisherNetwork, error) { return OpenCampaigns(), nil },
		Sample: map[string]func(i int) map[string]string{
			"campaign": func(int) map[string]string { return map[string]string{"objective": "OUTCOME_TRAFFIC"} },
			"creative": func(i int) map[string]string {
				return map[string]string{"page": "104567890123456", "message": fmt.Sprintf("Text %d", i), "call_to_action": "SHOP_NOW"}
			},
			"ad set": func(int) map[string]string {
				return map[string]string{"budget": "20", "countries": "DE,AT", "optimization_goal": "LINK_CLICKS", "billing_event": "IMPRESSIONS"}
			},
		},
		Fields: map[string]providertest.FieldSample{
			"campaign.budget":                budget,
			"campaign.lifetime_budget":       {With: map[string]string{"stop_time": day(200), "lifetime_budget": "900"}, Value: "950", Kept: budget.Kept},
			"campaign.bid_strategy":          kept("a campaign has one"),
			"campaign.start_time":            kept("a campaign begins at some time"),
			"campaign.stop_time":             kept("no page says how it is taken away"),
			"campaign.special_ad_categories": {Value: "HOUSING,EMPLOYMENT"},
			"campaign.share_budgets":         kept("it is true or false"),
			"ad set.budget":                  budget,
			"ad set.lifetime_budget":         life("end_time"),
			"ad set.daily_min_spend":         kept("no page says how it is taken away"),
			"ad set.daily_spend_cap":         kept("no page says how it is taken away"),
			"ad set.lifetime_min_spend":      kept("no page says how it is taken away"),
			"ad set.lifetime_spend_cap":      kept("no page says how it is taken away"),
			"ad set.bid":                     kept("another bid strategy takes it away"),
			"ad set.bid_strategy":            {With: map[string]string{"bid": "2"}, Kept: "an ad set has one"},
			"ad set.roas_floor": {
				With: map[string]string{"bid_strategy": "LOWEST_COST_WITH_MIN_ROAS", "roas_floor": "2", "optimization_goal": "VALUE"}, Value: "1.5", Kept: "another bid strategy takes it away",
			},
			"ad set.schedule": {
				With:  map[string]string{activation.FieldBudget: "", "lifetime_budget": "900", "end_time": day(200)},
				Value: "sun 06:00-08:00,mon-wed fri 09:00-17:00,sat 09:00-17:00 account",
			},
			"ad set.attribution":        {Value: "7d_click,1d_view,1d_ev", Kept: "an ad set has a setting"},
			"ad set.optimization_goal":  {Value: "REACH", Kept: "an ad set has one"},
			"ad set.start_time":         kept("an ad set begins at some time"),
			"ad set.countries":          {Value: "CH", Kept: "targeting needs a place"},
			"ad set.audiences":          spec,
			"ad set.excluded_audiences": {Value: audienceTwo + "," + audienceOne},
			"ad.bid":                    kept("another bid strategy takes it away"),
			"ad.start_time":             kept("no page says how it is taken away"),
			"ad.end_time":               kept("no page says how it is taken away"),
		},
		Many: 205,
	}
}

// day is eight in the evening in so many days.
func day(n int) string { return time.Now().AddDate(0, 0, n).Format(time.DateOnly) + " 20:00" }

// Campaigns is the sandbox's ad account.
type Campaigns struct {
	*Network
	zone *time.Location
}

// OpenCampaigns starts one with an empty account. Close ends it.
func OpenCampaigns() *Campaigns {
	const zone = "Europe/Berlin"
	at, err := time.LoadLocation(zone)
	if err != nil {
		panic(err) // it is in every list of zones
	}
	box := sandbox.New(sandbox.Options{Seed: 1, Networks: []string{"meta"}, Meta: sandboxmeta.Options{
		Tokens: []sandboxmeta.Token{{Value: token}}, AppSecret: secret, Accounts: []string{account},
		SharedAudiences: []string{audienceOne, audienceTwo}, Currency: "EUR", Timezone: zone,
	}})
	return &Campaigns{Network: &Network{box: box, server: httptest.NewServer(box.Handler())}, zone: at}
}

// Sandbox is the stand-in itself.
func (n *Campaigns) Sandbox() *sandboxmeta.Network { return n.box.Meta() }

// Box is what the stand-in is in; its faults are there.
func (n *Campaigns) Box() *sandbox.Sandbox { return n.box }

// Info is what the account is.
func (n *Campaigns) Info() provider.PublisherInfo {
	return provider.PublisherInfo{Name: "Sandbox account " + account, Currency: "EUR", Timezone: n.zone.String()}
}

// types are the types by edge.
var types = map[string]struct {
	name string
	kind activation.ObjectKind
	up   activation.ObjectKind
}{
	"campaigns":   {"campaign", activation.KindCampaign, ""},
	"adsets":      {"ad set", activation.KindGroup, activation.KindCampaign},
	"ads":         {"ad", activation.KindCreative, activation.KindGroup},
	"adcreatives": {"creative", activation.KindOther, ""},
}

// Tree is the account as the sandbox has it.
func (n *Campaigns) Tree() []provider.ObjectState {
	var out []provider.ObjectState
	nodes := n.Sandbox().Tree(account)
	for _, d := range nodes {
		if d.Gone {
			continue
		}
		t := types[d.Edge]
		s := provider.ObjectState{ObjectRef: activation.ObjectRef{Kind: t.kind, ID: d.ID}, Type: t.name, Fields: map[string]string{}}
		if t.up != "" {
			s.Parent = activation.ObjectRef{Kind: t.up, ID: d.Parent}
			s.Fields["effective_status"] = d.Effective
		}
		if d.Edge == "campaigns" {
			s.Fields["effective_status"] = d.Effective
		}
		if d.Edge == "ads" {
			i := slices.IndexFunc(nodes, func(up sandboxmeta.CampaignNode) bool { return up.ID == d.Parent })
			s.Fields["campaign"] = nodes[i].Parent
		}
		for name, raw := range d.Values {
			n.field(s.Fields, d.Edge, name, raw)
		}
		maps.DeleteFunc(s.Fields, func(_, v string) bool { return v == "" })
		out = append(out, s)
	}
	return out
}

// names are the fields that are called otherwise at Meta.
var names = map[string]string{
	"daily_budget": "budget", "bid_amount": "bid", "is_adset_budget_sharing_enabled": "share_budgets", "ad_schedule_start_time": "start_time",
	"ad_schedule_end_time": "end_time", "daily_min_spend_target": "daily_min_spend", "lifetime_min_spend_target": "lifetime_min_spend",
}

// field puts a value of the sandbox's into the form that the declaration has.
func (n *Campaigns) field(into map[string]string, edge, name string, raw json.RawMessage) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	field := name
	if other, ok := names[name]; ok {
		field = other
	}
	switch name {
	case "campaign_id", "adset_id":
		return
	case "status":
		if edge == "adcreatives" {
			return
		}
		text = map[string]string{"ACTIVE": activation.StatusEnabled, "PAUSED": activation.StatusPaused}[text]
	case "daily_budget", "lifetime_budget", "spend_cap", "bid_amount", "daily_min_spend_target", "daily_spend_cap", "lifetime_min_spend_target", "lifetime_spend_cap":
		cents, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		text = strconv.FormatFloat(float64(cents)/100, 'f', -1, 64)
	case "start_time", "stop_time", "end_time", "ad_schedule_start_time", "ad_schedule_end_time":
		at, err := time.Parse("2006-01-02T15:04:05-0700", text)
		if err != nil {
			panic(err)
		}
		text = at.In(n.zone).Format("2006-01-02 15:04")
	case "special_ad_categories":
		var words []string
		_ = json.Unmarshal(raw, &words)
		text = strings.Join(words, ",")
	case "creative":
		var of struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(raw, &of)
		text = of.ID
	case "pacing_type":
		return
	case "bid_constraints":
		field, text = "roas_floor", floor(raw)
	case "adset_schedule":
		field, text = "schedule", schedule(raw)
	case "attribution_spec":
		field, text = "attribution", attribution(raw)
	case "targeting":
		targeted(into, raw)
		text = inOrder(raw)
	case "object_story_spec":
		told(into, raw)
		field, text = "content", inOrder(raw)
	}
	into[field] = text
}

func floor(raw json.RawMessage) string {
	var in struct {
		Floor float64 `json:"roas_average_floor"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		panic(err)
	}
	return strconv.FormatFloat(in.Floor/10_000, 'f', -1, 64)
}

// schedule writes the hours out part by part, as the suite's sample has them: parts
// come in the order of their hours.
func schedule(raw json.RawMessage) string {
	var list []struct {
		From int    `json:"start_minute"`
		To   int    `json:"end_minute"`
		Days []int  `json:"days"`
		Zone string `json:"timezone_type"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		panic(err)
	}
	days := map[string]string{"[0]": "sun", "[1 2 3 5]": "mon-wed fri", "[6]": "sat"}
	var parts []string
	for _, p := range list {
		text := fmt.Sprintf("%s %02d:00-%02d:00", days[fmt.Sprint(p.Days)], p.From/60, p.To/60)
		if p.Zone == "ADVERTISER" {
			text += " account"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

func attribution(raw json.RawMessage) string {
	var list []struct {
		Event string `json:"event_type"`
		Days  int    `json:"window_days"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		panic(err)
	}
	var words []string
	for _, w := range list {
		words = append(words, fmt.Sprintf("%dd_%s", w.Days, map[string]string{"CLICK_THROUGH": "click", "VIEW_THROUGH": "view", "ENGAGED_VIDEO_VIEW": "ev"}[w.Event]))
	}
	return strings.Join(words, ",")
}

func targeted(into map[string]string, raw json.RawMessage) {
	type ids []struct {
		ID string `json:"id"`
	}
	var in struct {
		Places struct {
			Countries []string `json:"countries"`
		} `json:"geo_locations"`
		In  ids `json:"custom_audiences"`
		Out ids `json:"excluded_custom_audiences"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		panic(err)
	}
	list := func(all ids) string {
		var out []string
		for _, a := range all {
			out = append(out, a.ID)
		}
		return strings.Join(out, ",")
	}
	into["countries"], into["audiences"], into["excluded_audiences"] = strings.Join(in.Places.Countries, ","), list(in.In), list(in.Out)
}

func told(into map[string]string, raw json.RawMessage) {
	var in struct {
		Page string `json:"page_id"`
		Link struct {
			Link        string `json:"link"`
			Message     string `json:"message"`
			Name        string `json:"name"`
			Description string `json:"description"`
			Image       string `json:"image_hash"`
			Button      struct {
				Type string `json:"type"`
			} `json:"call_to_action"`
		} `json:"link_data"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		panic(err)
	}
	l := in.Link
	into["page"], into["link"], into["message"], into["headline"], into["description"] = in.Page, l.Link, l.Message, l.Name, l.Description
	into["image"], into["call_to_action"] = l.Image, l.Button.Type
}

// inOrder is a JSON object with its keys in order and no spaces.
func inOrder(raw json.RawMessage) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		panic(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

// Effects counts the calls that took effect on an object.
func (n *Campaigns) Effects(ref activation.ObjectRef) int {
	calls := map[int]bool{}
	for _, e := range n.Sandbox().Effects() {
		if e.ID == ref.ID && e.Op != "outside" {
			calls[e.Call] = true
		}
	}
	return len(calls)
}

// Change sets a field behind the provider's back.
func (n *Campaigns) Change(ref activation.ObjectRef, field, value string) error {
	switch {
	case field == activation.FieldName:
	case field == activation.FieldStatus && value == activation.StatusPaused:
		value = "PAUSED"
	case field == activation.FieldStatus:
		value = "ACTIVE"
	default:
		return fmt.Errorf("%s is not changed here", field)
	}
	return n.Sandbox().ChangeNode(ref.ID, map[string]json.RawMessage{field: json.RawMessage(strconv.Quote(value))})
}

// Remove removes an object.
func (n *Campaigns) Remove(ref activation.ObjectRef) error {
	return n.Sandbox().ChangeNode(ref.ID, map[string]json.RawMessage{"status": json.RawMessage(`"DELETED"`)})
}

// Spend says what an object cost on a day.
func (n *Campaigns) Spend(c activation.Cost) {
	n.Sandbox().SetSpend(c.Object.ID, c.Date, sandboxmeta.Spend{
		Impressions: c.Impressions, Clicks: c.Clicks, Micros: c.Micros, Purchases: c.Conversions, Value: c.Value,
	})
}

// part makes scripts of what becomes of one operation of a batch, which have paths of
// their own.
func part(kind fault.Kind, code int) func(providertest.Fault, *fault.Fault) {
	return func(f providertest.Fault, s *fault.Fault) {
		s.Kind, s.Code, s.Applied, s.Path, s.Skip = kind, code, f.Applied, "/batch/*", f.Row
	}
}

// campaignScripts: only batches that change something and single edits are posted.
var campaignScripts = providertest.Scripts{
	Calls: fault.Fault{Network: "meta", Method: "POST"},
	Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
		providertest.Throttle:    throttle,
		providertest.RefuseWhole: providertest.Errors(100, ""),
		providertest.RefuseEdit:  part(fault.Error, 100),
		providertest.LaterEdit:   part(fault.Error, 17),
		providertest.UnknownEdit: part(fault.Timeout, 0),
	},
}

// Fail scripts the fault.
func (n *Campaigns) Fail(f providertest.Fault) error {
	script, err := campaignScripts.Of(f)
	if err == nil {
		_, err = n.box.Fault(script)
	}
	return err
}

// Heal ends all faults.
func (n *Campaigns) Heal() { n.box.ResetFaults() }

// Writes counts the calls that change campaigns.
func (n *Campaigns) Writes() int {
	writes := 0
	for _, c := range n.Sandbox().Calls() {
		if c.Op == "batch" || c.Op == "node.update" || c.Op == "node.delete" || strings.HasSuffix(c.Op, ".create") {
			writes++
		}
	}
	return writes
}
