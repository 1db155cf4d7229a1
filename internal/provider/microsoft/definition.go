package microsoft

import (
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The addresses of Microsoft (page "rest").
const (
	defaultCampaignURL  = "https://campaign.api.bingads.microsoft.com"
	defaultReportingURL = "https://reporting.api.bingads.microsoft.com"
	defaultCustomerURL  = "https://clientcenter.api.bingads.microsoft.com"
	defaultAuthorizeURL = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
	defaultTokenURL     = "https://login.microsoftonline.com/common/oauth2/v2.0/token"
)

// scopes are those of a consent: managing accounts, and going on without the person.
var scopes = []string{"https://ads.microsoft.com/msads.manage", "offline_access"}

// The credentials.
const (
	developerTokenField = "developer_token"
	campaignURLField    = "campaign_url"
	reportingURLField   = "reporting_url"
	customerURLField    = "customer_url"
)

// The settings of a publisher account.
const (
	customerIDField    = "customer_id"
	timezoneField      = "timezone"
	campaignTypesField = "campaign_types"
	reportPollField    = "report_poll"
	maxField           = "max_"
)

// maxEdits is the most objects of any call (pages "limits": keywords and ad groups).
const maxEdits = 1000

// settles is how long after a call without an answer its effect is looked for. No page
// names a time; Microsoft's reads follow its writes within seconds.
const settles = time.Minute

// costDays is how many days back Microsoft changes what was spent and converted. Its
// longest conversion window is 90 days, most come within 30.
const costDays = 30

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:        "microsoft",
		Title:       "Microsoft Advertising",
		Icon:        "brand-windows",
		Description: "Edits the campaigns of Microsoft Advertising accounts and reads their costs, by the REST API of version 13.",
		Workflows: []provider.Workflow{
			{
				Name: "microsoft_sync", Title: "Campaigns read", Direction: provider.Editing, Subject: provider.Campaigns,
				RealTime: true, Scheduled: true,
				Description: "Reads the structure and the costs of a publisher account, each night and when somebody asks for it.",
			},
			{
				Name: "microsoft_post", Title: "Campaign edits", Direction: provider.Editing, Subject: provider.Campaigns,
				RealTime: true, Scheduled: true,
				Description: "Posts the released entries of a publisher account's Activity Log, in their order.",
			},
		},
		AuthFields: authFields(),
		OAuth: &provider.OAuth{
			AuthorizeURL: defaultAuthorizeURL, TokenURL: defaultTokenURL, Scopes: scopes, PKCE: true,
			Params: map[string]string{"prompt": "select_account"},
			// A refresh token of somebody's consent lives for 90 days from its last use;
			// each use gives another one, so it is good until it is revoked.
		},
		Concurrency: 5, // of bulk uploads a customer may have 5 under way; other calls are paced by their answers
		Publishing:  publishing(),
	}
}

func authFields() []provider.Field {
	return []provider.Field{
		{
			Name: developerTokenField, Label: "Developer token", Type: "string", Required: true, Secret: true,
			Help: "The developer token of your company, from the developer portal of Microsoft Advertising.",
		},
		{
			Name: provider.ClientIDField, Label: "Client id", Type: "string", Example: "6731de76-14a6-49ae-97bc-6eba6914391e",
			Help: "The application id of your own app registration in Microsoft Entra. Needed to connect.",
		},
		{
			Name: provider.ClientSecretField, Label: "Client secret", Type: "string", Secret: true,
			Help: "A secret of that app registration.",
		},
		{
			Name: provider.RefreshTokenField, Label: "Refresh token", Type: "string", Secret: true,
			Help: "Filled by connecting.",
		},
		{
			Name: provider.AccessTokenField, Label: "Access token", Type: "string", Secret: true,
			Help: "A token that is used as it is while there is no refresh token. It ends within the hour; for trying things out.",
		},
		{
			Name: campaignURLField, Label: "Campaign address", Type: "url", Default: defaultCampaignURL, Example: defaultCampaignURL,
			Help: "Where campaigns are edited. Change it only for a sandbox.",
		},
		{
			Name: reportingURLField, Label: "Reporting address", Type: "url", Default: defaultReportingURL, Example: defaultReportingURL,
			Help: "Where costs are read. Change it only for a sandbox.",
		},
		{
			Name: customerURLField, Label: "Account address", Type: "url", Default: defaultCustomerURL, Example: defaultCustomerURL,
			Help: "Where currency and zone of an account are read. Change it only for a sandbox.",
		},
		{
			Name: provider.AuthorizeURLField, Label: "Consent address", Type: "url", Default: defaultAuthorizeURL, Example: defaultAuthorizeURL,
			Help: "Where people consent. Change it only for a sandbox.",
		},
		{
			Name: provider.TokenURLField, Label: "Token address", Type: "url", Default: defaultTokenURL, Example: defaultTokenURL,
			Help: "Where tokens are minted. Change it only for a sandbox.",
		},
	}
}

func publishing() *provider.Publishing {
	p := &provider.Publishing{
		Sync: "microsoft_sync", Post: "microsoft_post",
		AccountHelp: "The id of the ad account: the number after aid= in the address of Microsoft Advertising, not the account number with letters.",
		MaxEdits:    maxEdits,
		Settles:     settles,
		CostDays:    costDays,
		Objects:     objectTypes(),
		New:         NewPublisher,
		Fields: []provider.Field{
			{
				Name: customerIDField, Label: "Customer id", Type: "string", Required: true, Example: "252231699",
				Help: "The id of the manager account through which the account is reached: the number after cid= in the address of Microsoft Advertising.",
			},
			{
				Name: timezoneField, Label: "Time zone", Type: "string", Example: "Europe/Paris",
				Help: "The account's zone as the IANA database names it. Empty = as Microsoft tells it; needed only where Usher does not know Microsoft's name of it.",
			},
			{
				Name: campaignTypesField, Label: "Campaign types", Type: "string", Default: "Search",
				Help: "Which types of campaigns are read, as the API's CampaignType takes them. Those that are created are of type Search.",
			},
			{
				Name: reportPollField, Label: "Time between looks for a report", Type: "duration", Default: "5s",
				Help: "How long Usher waits before it asks again whether the report of costs is ready.",
			},
		},
	}
	for _, s := range specs {
		p.Fields = append(p.Fields, provider.Field{
			Name: s.limitField(), Label: "Most " + strings.ReplaceAll(s.limitName, "_", " ") + " of a call", Type: "int", Default: strconv.Itoa(s.limit),
			Help: "How many of them are edited in one call, and no more are read by their ids in one, at most " + strconv.Itoa(maxEdits) + ". Lower it where Microsoft refuses calls for their size.",
		})
	}
	return p
}

// The fields that are not called alike with all publishers.
const (
	fieldDelivery   = "delivery"
	fieldShared     = "shared_budget"
	fieldLanguages  = "languages"
	fieldTracking   = "tracking_template"
	fieldSuffix     = "final_url_suffix"
	fieldStart      = "start_date"
	fieldEnd        = "end_date"
	fieldNetwork    = "network"
	fieldFinalURL   = "final_url"
	fieldPath       = "path_"
	fieldHeadline   = "headline_"
	fieldText       = "description_"
	fieldKeyword    = "keyword"
	fieldMatch      = "match_type"
	fieldLocation   = "location"
	fieldNegative   = "negative"
	fieldAdjustment = "bid_adjustment"
)

// How many texts an ad has at most (page ResponsiveSearchAd).
const (
	maxHeadlines = 15
	maxTexts     = 4
	maxPaths     = 2
)

// objectTypes are what can be edited. Lengths are those of the objects' pages.
func objectTypes() []provider.ObjectType {
	status := provider.ObjectField{Name: activation.FieldStatus, Label: "Status", Type: "select", Options: []string{activation.StatusEnabled, activation.StatusPaused}, Operation: activation.OpStatus, Help: "Whether it runs. Empty in a new one = enabled."}
	name := func(most int) provider.ObjectField {
		return provider.ObjectField{Name: activation.FieldName, Label: "Name", Type: "text", Required: true, Max: most, Help: "What people call it. No two of the same place may have the same name, capitals or not."}
	}
	bid := provider.ObjectField{Name: activation.FieldBid, Label: "Bid", Type: "amount", Operation: activation.OpBid, Aliases: []string{"Max CPC", "Cpc Bid"}, Example: "0.75", Help: "The most a click may cost. It can be changed and not be taken away."}
	delivery := provider.ObjectField{Name: fieldDelivery, Label: "Delivery", Type: "select", Options: []string{"standard", "accelerated"}, Help: "Whether the budget is spread over the day."}
	return []provider.ObjectType{
		{
			Name: typeBudget, Title: "Shared budgets", Kind: activation.KindOther, Creates: true, Deletes: true,
			Fields: []provider.ObjectField{
				name(255),
				{Name: activation.FieldBudget, Label: "Budget", Type: "amount", Required: true, Aliases: []string{"Daily budget"}, Example: "50", Help: "What the campaigns that share it may spend a day."},
				delivery,
			},
		},
		{
			Name: typeCampaign, Title: "Campaigns", Kind: activation.KindCampaign, Creates: true, Deletes: true,
			Fields: []provider.ObjectField{
				name(128),
				status,
				{Name: activation.FieldBudget, Label: "Budget", Type: "amount", Aliases: []string{"Daily budget", "Campaign budget"}, Example: "50", Help: "What it may spend a day. A new one needs it, or a shared budget."},
				{Name: fieldShared, Label: "Shared budget", Type: "object", Object: typeBudget, Aliases: []string{"Budget id"}, Help: "The budget that it shares with others. A campaign cannot be taken off a shared budget here, only be given another one."},
				delivery,
				{Name: fieldLanguages, Label: "Languages", Type: "list", Example: "English,French", Help: "The languages of its ads. Empty in a new one = All."},
				{Name: fieldTracking, Label: "Tracking template", Type: "text", Help: "The address by which clicks are tracked, with {lpurl} for the final one."},
				{Name: fieldSuffix, Label: "Final URL suffix", Type: "text", Example: "utm_source=bing", Help: "What is put behind the final address."},
			},
		},
		{
			Name: typeGroup, Title: "Ad groups", Kind: activation.KindGroup, Parent: typeCampaign, Creates: true, Deletes: true,
			Fields: []provider.ObjectField{
				name(256),
				status,
				bid,
				{Name: fieldStart, Label: "Start date", Type: "date", Help: "The first day on which it runs."},
				{Name: fieldEnd, Label: "End date", Type: "date", Help: "The last day. It can be moved and not be taken away."},
				{Name: fieldNetwork, Label: "Network", Type: "select", Options: []string{"all", "owned", "partners"}, Help: "Where its ads show: everywhere, on Microsoft's own sites, or on those of partners."},
				{Name: fieldTracking, Label: "Tracking template", Type: "text", Help: "The address by which clicks are tracked, with {lpurl} for the final one."},
			},
		},
		adType(status),
		{
			Name: typeKeyword, Title: "Keywords", Kind: activation.KindKeyword, Parent: typeGroup, Creates: true, Deletes: true,
			Fields: []provider.ObjectField{
				{Name: fieldKeyword, Label: "Keyword", Type: "text", Required: true, Fixed: true, Max: 100, Help: "The words."},
				{Name: fieldMatch, Label: "Match type", Type: "select", Options: []string{"exact", "phrase", "broad"}, Required: true, Fixed: true, Help: "How close a search must be to the words."},
				status,
				bid,
				{Name: fieldFinalURL, Label: "Final URL", Type: "url", Help: "Where a click leads instead of the ad's address. It can be changed and not be taken away."},
			},
		},
		{
			Name: typeLocation, Title: "Locations", Kind: activation.KindOther, Parent: typeCampaign, Creates: true, Deletes: true,
			Fields: []provider.ObjectField{
				{Name: fieldLocation, Label: "Location", Type: "number", Required: true, Fixed: true, Aliases: []string{"Location id", "Target"}, Example: "190", Help: "Microsoft's number of the place."},
				{Name: fieldNegative, Label: "Excluded", Type: "bool", Fixed: true, Help: "The campaign does not show there. Empty in a new one = it does."},
				{Name: fieldAdjustment, Label: "Bid adjustment", Type: "number", Operation: activation.OpGeo, Example: "10", Help: "By how many per cent bids are higher (or lower, with -) for people there; not for an excluded place."},
			},
		},
	}
}

func adType(status provider.ObjectField) provider.ObjectType {
	t := provider.ObjectType{
		Name: typeAd, Title: "Ads", Kind: activation.KindCreative, Parent: typeGroup, Creates: true, Deletes: true,
		Fields: []provider.ObjectField{
			{Name: activation.FieldName, Label: "Ad", Type: "text", Shown: true, Help: "Its first headline."},
			status,
			{Name: fieldFinalURL, Label: "Final URL", Type: "url", Required: true, Fixed: true, Example: "https://www.example.com/shoes", Help: "Where a click leads."},
		},
	}
	for i := range maxHeadlines {
		n := strconv.Itoa(i + 1)
		t.Fields = append(t.Fields, provider.ObjectField{Name: fieldHeadline + n, Label: "Headline " + n, Type: "text", Required: i < 3, Fixed: true, Max: 30, Help: "A headline of a responsive search ad. Three are needed."})
	}
	for i := range maxTexts {
		n := strconv.Itoa(i + 1)
		t.Fields = append(t.Fields, provider.ObjectField{Name: fieldText + n, Label: "Description " + n, Type: "text", Required: i < 2, Fixed: true, Max: 90, Help: "A description of a responsive search ad. Two are needed."})
	}
	for i := range maxPaths {
		n := strconv.Itoa(i + 1)
		t.Fields = append(t.Fields, provider.ObjectField{Name: fieldPath + n, Label: "Path " + n, Type: "text", Fixed: true, Max: 15, Help: "What is shown behind the domain."})
	}
	return t
}
