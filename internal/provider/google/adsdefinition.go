package google

import (
	"strconv"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	defaultAdsURL = "https://googleads.googleapis.com"
	// adsScope is what editing campaigns needs. It is asked for beside the other one,
	// so that one consent is enough.
	adsScope = "https://www.googleapis.com/auth/adwords"
)

// The workflows of a publisher account.
const (
	workflowSync = "google_sync"
	workflowPost = "google_post"
)

// The settings of a publisher account and of its credentials.
const (
	loginCustomerField  = "login_customer_id"
	apiVersionField     = "api_version"
	developerTokenField = "developer_token"
	adsBaseURLField     = "ads_base_url"
)

// apiVersions are those whose fields are the ones used here (docs/release-notes).
var apiVersions = []string{"v25", "v26"}

// maxEdits is the most edits of one call. Google takes 10,000 operations
// (docs/best-practices/quotas), but works on them for so long that a cut of the
// connection would leave as many unknown.
const maxEdits = 2000

// The types of objects.
const (
	typeCampaign = "campaign"
	typeAdGroup  = "ad group"
	typeAd       = "ad"
	typeKeyword  = "keyword"
	typeBudget   = "budget"
	typeLocation = "location"
	typeNegative = "campaign negative keyword"
)

// The fields of objects, beside those that all publishers have.
const (
	fieldChannel     = "channel_type"
	fieldShared      = "shared_budget"
	fieldBudgetID    = "budget_id"
	fieldBidding     = "bidding"
	fieldTargetCPA   = "target_cpa"
	fieldTargetROAS  = "target_roas"
	fieldStart       = "start_time"
	fieldEnd         = "end_time"
	fieldPolitical   = "eu_political_advertising"
	fieldTracking    = "tracking_template"
	fieldKind        = "ad_type"
	fieldHeadline    = "headline_"
	fieldDescription = "description_"
	fieldPath        = "path_"
	fieldFinalURL    = "final_url"
	fieldKeyword     = "keyword"
	fieldMatchType   = "match_type"
	fieldNegative    = "negative"
	fieldLocation    = "location_id"
	fieldModifier    = "bid_modifier"
)

// maxHeadlines and maxDescriptions are those of a responsive search ad
// (docs/responsive-search-ads).
const (
	maxHeadlines    = 15
	maxDescriptions = 4
)

// bidding strategies, as the field has them. other is what is set up elsewhere.
const (
	biddingManual      = "manual_cpc"
	biddingClicks      = "maximize_clicks"
	biddingConversions = "maximize_conversions"
	biddingValue       = "maximize_conversion_value"
	biddingOther       = "other"
)

const (
	politicalYes = "yes"
	politicalNo  = "no"
)

func syncWorkflow() provider.Workflow {
	return provider.Workflow{
		Name: workflowSync, Title: "Google Ads sync", Direction: provider.Editing, Subject: provider.Campaigns,
		Description: "Reads the campaigns and costs of a Google Ads account every night, and finds what was changed there by others.",
		Scheduled:   true, Once: true,
	}
}

func postWorkflow() provider.Workflow {
	return provider.Workflow{
		Name: workflowPost, Title: "Google Ads edits", Direction: provider.Editing, Subject: provider.Campaigns,
		Description: "Posts the edits of the Activity Log to a Google Ads account, in their order.",
		RealTime:    true,
	}
}

// declared is publishing, made once for those who ask for each edit and row.
var declared = sync.OnceValue(publishing)

// publishing is what can be edited at Google Ads.
func publishing() *provider.Publishing {
	return &provider.Publishing{
		Sync: workflowSync, Post: workflowPost,
		AccountHelp: "The customer id of the Google Ads account: ten digits, with or without hyphens, at the top right of Google Ads. Not that of a manager account.",
		Fields:      accountFields(),
		Objects:     []provider.ObjectType{campaignType(), adGroupType(), adType(), keywordType(), budgetType(), locationType(), negativeType()},
		MaxEdits:    maxEdits,
		// Google names no time; what it accepted shows in queries within seconds.
		Settles: 2 * time.Minute,
		// Clicks found to be invalid are credited for days (support.google.com/google-ads/answer/2549122),
		// conversions come late.
		CostDays: 30,
		New:      NewCampaigns,
	}
}

func accountFields() []provider.Field {
	return []provider.Field{
		{
			Name: loginCustomerField, Label: "Manager account", Type: "string", Example: "111-222-3333",
			Help: "The customer id of the manager account through which the user reaches the account. Empty = the user is one of the account itself.",
		},
		{
			Name: apiVersionField, Label: "API version", Type: "select", Default: apiVersions[0], Options: apiVersions,
			Help: "The version of the Google Ads API that is spoken.",
		},
	}
}

func adsAuthFields() []provider.Field {
	return []provider.Field{
		{
			Name: developerTokenField, Label: "Developer token", Type: "string", Secret: true,
			Help: "For editing campaigns only, and only where your project still uses one: Google now goes by the access level of the Cloud project that the client belongs to. Empty = none is sent.",
		},
		{
			Name: adsBaseURLField, Label: "Google Ads API address", Type: "url", Default: defaultAdsURL, Example: defaultAdsURL,
			Help: "Where the Google Ads API is, for editing campaigns. Change it only for a sandbox.",
		},
	}
}

func statusField() provider.ObjectField {
	return provider.ObjectField{
		Name: activation.FieldStatus, Label: "Status", Type: "select", Options: []string{activation.StatusEnabled, activation.StatusPaused},
		Operation: activation.OpStatus, Help: "Whether it runs. A new one without a status is enabled.", Example: activation.StatusPaused,
	}
}

func bidField(help string) provider.ObjectField {
	return provider.ObjectField{
		Name: activation.FieldBid, Label: "Max CPC", Type: "amount", Operation: activation.OpBid, Help: help,
		Aliases: []string{"Bid", "Max. CPC", "CPC bid"}, Example: "1.25",
	}
}

func campaignType() provider.ObjectType {
	return provider.ObjectType{
		Name: typeCampaign, Title: "Campaigns", Kind: activation.KindCampaign, Creates: true, Deletes: true,
		Fields: []provider.ObjectField{
			{Name: activation.FieldName, Label: "Campaign", Type: "text", Required: true, Max: 255, Aliases: []string{"Campaign name"}, Example: "Search, brand", Help: "Its name; the account has no other campaign of that name."},
			statusField(),
			{
				Name: fieldChannel, Label: "Campaign type", Type: "select", Required: true, Fixed: true, Aliases: []string{"Channel", "Channel type"},
				Options: []string{"search", "display", "shopping", "video", "performance_max", "demand_gen", "multi_channel", "hotel", "local_services", "smart", "travel", "other"},
				Help:    "Where its ads are shown. It can't be changed, and of those that are not search only some can be created without more than is edited here.", Example: "search",
			},
			{Name: activation.FieldBudget, Label: "Daily budget", Type: "amount", Aliases: []string{"Budget", "Campaign budget"}, Help: "Its own budget, a day. A campaign has either this or a shared budget.", Example: "50"},
			{Name: fieldShared, Label: "Shared budget", Type: "object", Object: typeBudget, Aliases: []string{"Shared budget ID"}, Help: "The id of a budget that several campaigns share. To leave it, clear this and give a daily budget.", Example: "7001"},
			{Name: fieldBudgetID, Label: "Budget ID", Type: "text", Shown: true, Help: "Google's id of the campaign's own budget."},
			{
				Name: fieldBidding, Label: "Bid strategy", Type: "select", Aliases: []string{"Bid strategy type", "Bidding"}, Example: biddingManual,
				Options: []string{biddingManual, biddingClicks, biddingConversions, biddingValue, biddingOther},
				Help:    "How bids are made. A new campaign without one has manual_cpc; other is one that was set up at Google, and can't be set here.",
			},
			{Name: fieldTargetCPA, Label: "Target CPA", Type: "amount", Help: "What a conversion may cost, with maximize_conversions only.", Example: "12"},
			{Name: fieldTargetROAS, Label: "Target ROAS", Type: "number", Help: "Value per cost (4 = 400 %), with maximize_conversion_value only.", Example: "4"},
			{Name: fieldStart, Label: "Start time", Type: "time", Aliases: []string{"Start date"}, Help: "When it begins, in the account's zone. Most campaigns begin at 00:00 of a day.", Example: "2026-12-01 00:00"},
			{Name: fieldEnd, Label: "End time", Type: "time", Aliases: []string{"End date"}, Help: "When it ends, in the account's zone. Most campaigns end at 23:59 of a day.", Example: "2026-12-31 23:59"},
			{
				Name: fieldPolitical, Label: "EU political ads", Type: "select", Required: true, Options: []string{politicalNo, politicalYes}, Aliases: []string{"EU political advertising"},
				Help: "Whether it has political advertising in the European Union. Google wants it said of every new campaign.", Example: politicalNo,
			},
			{Name: fieldTracking, Label: "Tracking template", Type: "text", Max: 2048, Help: "The address through which clicks go, with {lpurl} for the final URL.", Example: "https://track.example.com/?to={lpurl}"},
		},
	}
}

func adGroupType() provider.ObjectType {
	return provider.ObjectType{
		Name: typeAdGroup, Title: "Ad groups", Kind: activation.KindGroup, Parent: typeCampaign, Creates: true, Deletes: true,
		Fields: []provider.ObjectField{
			{Name: activation.FieldName, Label: "Ad group", Type: "text", Required: true, Max: 255, Aliases: []string{"Ad group name"}, Example: "Shoes", Help: "Its name; the campaign has no other ad group of that name."},
			statusField(),
			bidField("The most a click may cost, for its keywords without a bid of their own."),
		},
	}
}

func adType() provider.ObjectType {
	t := provider.ObjectType{
		Name: typeAd, Title: "Ads", Kind: activation.KindCreative, Parent: typeAdGroup, Creates: true, Deletes: true,
		Fields: []provider.ObjectField{
			{Name: activation.FieldName, Label: "Ad", Type: "text", Shown: true, Help: "Its first headline, or the name Google has for it."},
			statusField(),
			{Name: fieldKind, Label: "Ad type", Type: "text", Shown: true, Help: "Google's word for its form; what is created here is responsive_search_ad."},
			{Name: fieldFinalURL, Label: "Final URL", Type: "url", Required: true, Fixed: true, Max: 2048, Help: "Where a click leads.", Example: "https://www.example.com/shoes"},
		},
	}
	for i := range maxHeadlines {
		n := strconv.Itoa(i + 1)
		t.Fields = append(t.Fields, provider.ObjectField{Name: fieldHeadline + n, Label: "Headline " + n, Type: "text", Required: i < 3, Fixed: true, Max: 30, Help: "A headline of a responsive search ad. Three are needed."})
	}
	for i := range maxDescriptions {
		n := strconv.Itoa(i + 1)
		t.Fields = append(t.Fields, provider.ObjectField{Name: fieldDescription + n, Label: "Description " + n, Type: "text", Required: i < 2, Fixed: true, Max: 90, Help: "A description of a responsive search ad. Two are needed."})
	}
	for _, n := range []string{"1", "2"} {
		t.Fields = append(t.Fields, provider.ObjectField{Name: fieldPath + n, Label: "Path " + n, Type: "text", Fixed: true, Max: 15, Help: "A part of the address that is shown."})
	}
	return t
}

func keywordFields() []provider.ObjectField {
	return []provider.ObjectField{
		{Name: fieldKeyword, Label: "Keyword", Type: "text", Required: true, Fixed: true, Max: 80, Help: "The words, ten at most.", Example: "red shoes"},
		{Name: fieldMatchType, Label: "Match type", Type: "select", Required: true, Fixed: true, Options: []string{"exact", "phrase", "broad"}, Help: "How close a search must be.", Example: "phrase"},
	}
}

func keywordType() provider.ObjectType {
	return provider.ObjectType{
		Name: typeKeyword, Title: "Keywords", Kind: activation.KindKeyword, Parent: typeAdGroup, Creates: true, Deletes: true,
		Fields: append(
			keywordFields(),
			statusField(),
			bidField("The most a click may cost. Empty = that of the ad group."),
			provider.ObjectField{Name: fieldFinalURL, Label: "Final URL", Type: "url", Max: 2048, Help: "Where a click leads instead of the ad's own address.", Example: "https://www.example.com/shoes"},
			provider.ObjectField{Name: fieldNegative, Label: "Negative", Type: "bool", Fixed: true, Help: "true = searches with it do not show the group's ads. It has no bid and no address then.", Example: "false"},
		),
	}
}

func budgetType() provider.ObjectType {
	return provider.ObjectType{
		Name: typeBudget, Title: "Shared budgets", Kind: activation.KindOther, Creates: true, Deletes: true,
		Fields: []provider.ObjectField{
			{Name: activation.FieldName, Label: "Budget name", Type: "text", Required: true, Max: 255, Help: "Its name; the account has no other budget of that name.", Example: "Autumn"},
			{Name: activation.FieldBudget, Label: "Daily budget", Type: "amount", Required: true, Aliases: []string{"Budget", "Amount"}, Help: "What its campaigns may spend a day, together.", Example: "200"},
		},
	}
}

func locationType() provider.ObjectType {
	return provider.ObjectType{
		Name: typeLocation, Title: "Locations", Kind: activation.KindOther, Parent: typeCampaign, Creates: true, Deletes: true,
		Fields: []provider.ObjectField{
			{Name: fieldLocation, Label: "Location ID", Type: "text", Required: true, Fixed: true, Max: 19, Operation: activation.OpGeo, Aliases: []string{"Location", "Geo target"}, Help: "The number of Google's geo target: 2840 is the United States.", Example: "2840"},
			{Name: fieldNegative, Label: "Excluded", Type: "bool", Fixed: true, Operation: activation.OpGeo, Aliases: []string{"Negative"}, Help: "true = the campaign is not shown there.", Example: "false"},
			{Name: fieldModifier, Label: "Bid adjustment", Type: "number", Operation: activation.OpGeo, Aliases: []string{"Bid modifier"}, Help: "What bids are multiplied by there, 0.1 to 10.", Example: "1.2"},
		},
	}
}

func negativeType() provider.ObjectType {
	return provider.ObjectType{
		Name: typeNegative, Title: "Campaign negative keywords", Kind: activation.KindOther, Parent: typeCampaign, Creates: true, Deletes: true,
		Fields: keywordFields(),
	}
}
