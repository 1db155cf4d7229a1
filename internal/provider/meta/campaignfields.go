package meta

import (
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The types of objects, as people call them.
const (
	typeCampaign = "campaign"
	typeSet      = "ad set"
	typeCreative = "creative"
	typeAd       = "ad"
)

// Fields of Meta's alone that code asks for by name.
const (
	fieldStrategy   = "bid_strategy"
	fieldBudgetLife = "lifetime_budget"
	fieldCountries  = "countries"
	fieldAudiences  = "audiences"
	fieldExcluded   = "excluded_audiences"
	fieldTargeting  = "targeting"
	fieldCategories = "special_ad_categories"
	fieldSharing    = "share_budgets"
	fieldCreative   = "creative"
	fieldCampaign   = "campaign"
	fieldContent    = "content"
	fieldPage       = "page"
	fieldLink       = "link"
	fieldFloor      = "roas_floor"
	fieldSchedule   = "schedule"
	fieldWindows    = "attribution"
)

// form is how a value is written at Meta.
type form int

const (
	asText form = iota
	asStatus
	asMoney
	asTime
	asWords     // a JSON list of words
	asJSON      // a JSON object, as it is
	asBool      // true or false
	asReference // {"creative_id": …}
	asTargeting // a part of targeting
	asContent   // a part of object_story_spec
	asFloor     // {"roas_average_floor": …}
	asSchedule  // a list of parts of the week, and pacing_type beside it
	asWindows   // a list of {"event_type": …, "window_days": …}
)

// member is a field and how Meta has it.
type member struct {
	provider.ObjectField
	// param is Meta's name of it, "" where it is a part of something else.
	param string
	form  form
	// empty is the value that takes it away, "" = it can't be taken away.
	empty string
}

// level is a type of object and where it is found.
type level struct {
	name, title string
	kind        activation.ObjectKind
	parent      string // type
	// edge is what lists it below the account, or below its parent.
	edge string
	// up is the parameter that names its parent, "" = the account.
	up string
	// dated: it tells when it was created.
	dated   bool
	members []member
}

func (l level) object() provider.ObjectType {
	t := provider.ObjectType{Name: l.name, Title: l.title, Kind: l.kind, Parent: l.parent, Creates: true, Deletes: true}
	for _, m := range l.members {
		t.Fields = append(t.Fields, m.ObjectField)
	}
	return t
}

// member returns that of a field.
func (l level) member(field string) (member, bool) {
	for _, m := range l.members {
		if m.Name == field {
			return m, true
		}
	}
	return member{}, false
}

// fields is what is asked for of an object of the level.
func (l level) fields() string {
	asked := []string{"id", "account_id"}
	if l.up != "" {
		asked = append(asked, l.up)
	}
	seen := map[string]bool{"": true}
	for _, m := range l.members {
		if !seen[m.param] {
			asked, seen[m.param] = append(asked, m.param), true
		}
	}
	if !seen["status"] {
		asked = append(asked, "status")
	}
	return strings.Join(asked, ",")
}

func levelOf(name string) (level, bool) {
	for _, l := range levels {
		if l.name == name {
			return l, true
		}
	}
	return level{}, false
}

// levelOfKind is the level of a kind: there is one for each that Meta has.
func levelOfKind(k activation.ObjectKind) (level, bool) {
	for _, l := range levels {
		if l.kind == k {
			return l, true
		}
	}
	return level{}, false
}

// neverCapped is the spend cap that stands for none (reference ad-campaign-group).
const neverCapped = "922337203685478"

// levels are the types of objects, parents before what is in them. What can be
// edited is from the references of Campaign, AdSet, Ad and AdCreative; what a
// create needs from those of the account's edges.
var levels = []level{
	{
		name: typeCampaign, title: "Campaigns", kind: activation.KindCampaign, edge: "campaigns", dated: true,
		members: []member{
			name("Spring sale"), status(),
			{
				ObjectField: provider.ObjectField{
					Name: "objective", Label: "Objective", Type: "select", Required: true, Fixed: true, Example: "OUTCOME_SALES",
					Options: []string{"OUTCOME_APP_PROMOTION", "OUTCOME_AWARENESS", "OUTCOME_ENGAGEMENT", "OUTCOME_LEADS", "OUTCOME_SALES", "OUTCOME_TRAFFIC"},
					Help:    "What the campaign is for.",
				}, param: "objective",
			},
			money(activation.FieldBudget, "Daily budget", "daily_budget", "What the campaign may cost on a day on average. A budget is at the campaign or at its ad sets, and for a day or for its whole time."),
			money(fieldBudgetLife, "Lifetime budget", "lifetime_budget", "What the campaign may cost in all. It needs an end."),
			emptied(money("spend_cap", "Spend cap", "spend_cap", "What the campaign may cost in all, whatever its budgets are."), neverCapped),
			strategy("How the ad sets bid, where the campaign has the budget."),
			moment("start_time", "Start", "start_time", "When it begins."),
			moment("stop_time", "End", "stop_time", "When it ends."),
			{
				ObjectField: provider.ObjectField{
					Name: fieldCategories, Label: "Special ad categories", Type: "list", Example: "HOUSING",
					Help: "What the law has Meta treat apart, divided by commas: CREDIT, EMPLOYMENT, HOUSING, ISSUES_ELECTIONS_POLITICS, ONLINE_GAMBLING_AND_GAMING or FINANCIAL_PRODUCTS_SERVICES. Empty = none.",
				}, param: fieldCategories, form: asWords, empty: "[]",
			},
			{
				ObjectField: provider.ObjectField{
					Name: fieldSharing, Label: "Ad sets share budgets", Type: "bool", Example: "false",
					Help: "Ad sets with budgets of their own may give some of it to each other.",
				}, param: "is_adset_budget_sharing_enabled", form: asBool,
			},
			effective(),
		},
	}, {
		// A creative lies in the account, and ads refer to it. Its status is no field:
		// Meta knows no pause of it, only that it is deleted.
		name: typeCreative, title: "Creatives", kind: activation.KindOther, edge: "adcreatives",
		members: []member{
			name("Spring sale, green"),
			content(provider.ObjectField{Name: fieldPage, Label: "Page", Type: "text", Required: true, Example: "104567890123456", Help: "The id of the Facebook page that the ad is by."}),
			content(provider.ObjectField{Name: fieldLink, Label: "Link", Type: "url", Required: true, Example: "https://example.com/sale", Help: "Where a click leads."}),
			content(provider.ObjectField{Name: "message", Label: "Text", Type: "text", Example: "Everything must go.", Help: "The text above the picture."}),
			content(provider.ObjectField{Name: "headline", Label: "Headline", Type: "text", Example: "Half price", Help: "The line below the picture."}),
			content(provider.ObjectField{Name: "description", Label: "Description", Type: "text", Help: "The small line below the headline."}),
			content(provider.ObjectField{Name: "image", Label: "Image", Type: "text", Example: "02bee5277ec507b6fd0f9b9ff2f22d9c", Help: "The hash of an image in the account's library. Without one Meta takes a picture of the page that the link leads to."}),
			content(provider.ObjectField{Name: "call_to_action", Label: "Button", Type: "text", Example: "SHOP_NOW", Help: "What the button says, as Meta names it."}),
			{ObjectField: provider.ObjectField{
				Name: fieldContent, Label: "Content", Type: "text", Shown: true,
				Help: "All that the creative shows, as Meta keeps it (object_story_spec).",
			}, param: "object_story_spec", form: asContent},
		},
	}, {
		name: typeSet, title: "Ad sets", kind: activation.KindGroup, parent: typeCampaign, edge: "adsets", up: "campaign_id", dated: true,
		members: []member{
			name("Women, 30 to 45"), status(),
			money(activation.FieldBudget, "Daily budget", "daily_budget", "What the ad set may cost on a day on average, where its campaign has no budget. Meta takes four changes of it in an hour."),
			money(fieldBudgetLife, "Lifetime budget", "lifetime_budget", "What the ad set may cost in all, where its campaign has no budget. It needs an end."),
			money("daily_min_spend", "Least per day", "daily_min_spend_target", "What the ad set should cost on a day at least, where its campaign has the budget."),
			money("daily_spend_cap", "Most per day", "daily_spend_cap", "What the ad set may cost on a day, where its campaign has the budget."),
			money("lifetime_min_spend", "Least in all", "lifetime_min_spend_target", "What the ad set should cost in all at least, where its campaign has the budget."),
			money("lifetime_spend_cap", "Most in all", "lifetime_spend_cap", "What the ad set may cost in all, where its campaign has the budget."),
			bid("The most, or the aim, of what one result may cost, by the bid strategy."),
			strategy("How it bids, where the ad set has the budget."),
			{ObjectField: provider.ObjectField{
				Name: fieldFloor, Label: "ROAS floor", Type: "number", Example: "1.5", Operation: activation.OpBid,
				Help: "The least value per cost that is aimed at on average (1.5 = 150 %), with LOWEST_COST_WITH_MIN_ROAS only, from 0.01 to 1000. It goes with another bid strategy.",
			}, param: "bid_constraints", form: asFloor},
			moment("start_time", "Start", "start_time", "When it begins."),
			emptied(moment("end_time", "End", "end_time", "When it ends. Empty = it goes on; a lifetime budget needs an end."), "0"),
			{ObjectField: provider.ObjectField{
				Name: fieldSchedule, Label: "Schedule", Type: "list", Example: "mon-fri 09:00-17:00,sat 10:00-14:00", Aliases: []string{"adset_schedule", "day parting"},
				Help: "The hours of the week in which it runs, divided by commas: days (mon tue wed thu fri sat sun, or from-to), then the time by whole hours up to 24:00, in the time zone of who sees the ads, or with account behind it in that of the account. Empty = always. It needs a lifetime budget.",
			}, param: "adset_schedule", form: asSchedule, empty: "[]"},
			{ObjectField: provider.ObjectField{
				Name: fieldWindows, Label: "Attribution", Type: "list", Example: "7d_click,1d_view", Aliases: []string{"attribution_spec", "attribution setting"},
				Help: "How long after a click (7d_click or 1d_click), a view (1d_view) or an engaged view of a video (1d_ev) a conversion counts for it, divided by commas. Which go together depends on the goal; Meta says where they do not.",
			}, param: "attribution_spec", form: asWindows},
			{ObjectField: provider.ObjectField{
				Name: "optimization_goal", Label: "Optimised for", Type: "text", Required: true, Example: "OFFSITE_CONVERSIONS",
				Help: "What Meta looks for, as Meta names it: LINK_CLICKS, LANDING_PAGE_VIEWS, OFFSITE_CONVERSIONS, REACH and the like.",
			}, param: "optimization_goal"},
			{ObjectField: provider.ObjectField{
				Name: "billing_event", Label: "Charged by", Type: "text", Required: true, Fixed: true, Example: "IMPRESSIONS",
				Help: "What is paid for, as Meta names it: IMPRESSIONS, LINK_CLICKS and the like.",
			}, param: "billing_event"},
			{ObjectField: provider.ObjectField{
				Name: "promoted_object", Label: "Promoted", Type: "text", Fixed: true, Example: `{"pixel_id":"123456789","custom_event_type":"PURCHASE"}`,
				Help: "What is promoted or counted, a JSON object as Meta describes it. Some objectives need it.",
			}, param: "promoted_object", form: asJSON},
			target(provider.ObjectField{
				Name: fieldCountries, Label: "Countries", Type: "list", Example: "DE,AT", Operation: activation.OpGeo, Aliases: []string{"country", "locations"},
				Help: "Where people are, as two-letter codes divided by commas. Regions and cities that were chosen at Meta stay as they are.",
			}),
			target(provider.ObjectField{
				Name: fieldAudiences, Label: "Audiences", Type: "list", Example: "23850000000000001", Aliases: []string{"custom_audiences"},
				Help: "The ids of the custom audiences whose people see the ads, divided by commas. All other targeting stays as it is.",
			}),
			target(provider.ObjectField{
				Name: fieldExcluded, Label: "Excluded audiences", Type: "list", Example: "23850000000000002", Aliases: []string{"excluded_custom_audiences"},
				Help: "The ids of the custom audiences whose people do not see the ads, divided by commas.",
			}),
			{ObjectField: provider.ObjectField{
				Name: fieldTargeting, Label: "Targeting", Type: "text", Shown: true,
				Help: "All of the targeting as Meta keeps it. Edits of countries and audiences leave the rest of it alone.",
			}, param: "targeting", form: asTargeting},
			effective(),
		},
	}, {
		name: typeAd, title: "Ads", kind: activation.KindCreative, parent: typeSet, edge: "ads", up: "adset_id", dated: true,
		members: []member{
			name("Green, with price"), status(),
			{ObjectField: provider.ObjectField{
				Name: fieldCreative, Label: "Creative", Type: "object", Object: typeCreative, Required: true,
				Help: "The creative that the ad shows. What a creative shows never changes at Meta: make a new one and name it here.",
			}, param: "creative", form: asReference},
			bid("What a result of this ad may cost, where Meta lets ads differ from their ad set."),
			moment("start_time", "Start", "ad_schedule_start_time", "When the ad begins, within the time of its ad set."),
			moment("end_time", "End", "ad_schedule_end_time", "When the ad ends."),
			{ObjectField: provider.ObjectField{
				Name: fieldCampaign, Label: "Campaign", Type: "object", Object: typeCampaign, Shown: true, Help: "The campaign that its ad set lies in.",
			}, param: "campaign_id"},
			effective(),
		},
	},
}

var (
	statuses   = []string{activation.StatusEnabled, activation.StatusPaused}
	strategies = []string{"LOWEST_COST_WITHOUT_CAP", "LOWEST_COST_WITH_BID_CAP", "COST_CAP", "LOWEST_COST_WITH_MIN_ROAS"}
)

func name(example string) member {
	return member{ObjectField: provider.ObjectField{
		Name: activation.FieldName, Label: "Name", Type: "text", Required: true, Example: example, Help: "What people call it.",
	}, param: "name"}
}

func status() member {
	return member{ObjectField: provider.ObjectField{
		Name: activation.FieldStatus, Label: "Status", Type: "select", Options: statuses, Operation: activation.OpStatus,
		Help: "Enabled or paused. What is created without it is paused.",
	}, param: "status", form: asStatus}
}

func effective() member {
	return member{ObjectField: provider.ObjectField{
		Name: "effective_status", Label: "Delivery", Type: "text", Shown: true, Help: "What Meta makes of its own status and that of what it lies in.",
	}, param: "effective_status"}
}

func strategy(help string) member {
	return member{ObjectField: provider.ObjectField{
		Name: fieldStrategy, Label: "Bid strategy", Type: "select", Options: strategies, Help: help,
	}, param: "bid_strategy"}
}

func money(field, label, param, help string) member {
	return member{ObjectField: provider.ObjectField{Name: field, Label: label, Type: "amount", Example: "25.00", Help: help}, param: param, form: asMoney}
}

func bid(help string) member {
	m := money(activation.FieldBid, "Bid", "bid_amount", help)
	m.Operation = activation.OpBid
	return m
}

func moment(field, label, param, help string) member {
	return member{ObjectField: provider.ObjectField{
		Name: field, Label: label, Type: "time", Example: "2026-11-20 20:00", Help: help,
	}, param: param, form: asTime}
}

func target(f provider.ObjectField) member { return member{ObjectField: f, form: asTargeting} }

func content(f provider.ObjectField) member {
	f.Fixed = true
	f.Help += " It is fixed: to change it, create another creative and have the ad refer to that."
	return member{ObjectField: f, form: asContent}
}

func emptied(m member, value string) member {
	m.empty = value
	return m
}
