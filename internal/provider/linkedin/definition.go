package linkedin

import (
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// defaultBaseURL is where the Marketing API is.
	defaultBaseURL = "https://api.linkedin.com/rest"
	// defaultVersion is the newest version that LinkedIn lists with an end, which
	// is 15 July 2027 (marketing/versioning and marketing/integrations/migrations).
	// A version lives for a year at least and then answers 426.
	defaultVersion = "202607"
	// maxRows is the most elements of one batch, of people (users) and of events
	// (conversions) alike.
	maxRows = 5000
	// requestsPerMinute is the most calls a minute on the token of one member
	// (users; conversions). Older pages say 500.
	requestsPerMinute = 600
	// refreshLife is how long a refresh token lives from the consent on; using it
	// does not extend it (shared/authentication/programmatic-refresh-tokens).
	refreshLife = 365 * 24 * time.Hour
	// eventAge is the age from which a conversion is refused (conversions).
	eventAge = 90 * 24 * time.Hour
)

// segmentWorkflow keeps audiences.
const segmentWorkflow = "linkedin_dmp_segment"

// The names of settings.
const (
	versionField  = "api_version"
	platformField = "source_platform"
	appleField    = "send_apple_idfa"
	ruleField     = "conversion"
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "linkedin",
		Title:           "LinkedIn Ads",
		Icon:            "brand-linkedin",
		DestinationType: "LinkedIn Ads",
		Description:     "Keeps matched audiences (DMP segments) of an ad account in step, and sends conversions to it, for ads on LinkedIn.",
		Workflows: []provider.Workflow{
			{
				Name: segmentWorkflow, Title: "Matched audience", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
				Description: "Adds people to a DMP segment when they enter an audience here, and removes them when they leave it.",
				RealTime:    true, Scheduled: true, Once: true,
			},
			{
				Name: "linkedin_conversion", Title: "Conversions", Direction: provider.Export, Subject: provider.RawEvents, Kind: provider.Event,
				Description: "Sends each message of a stream as a conversion, so that LinkedIn can tell which ads led to it.",
				SyncType:    activation.SyncOfflineConversion, Feed: provider.FeedStream,
				RealTime: true, Scheduled: true, Once: true,
				Events: eventKeys(), Fields: eventFields(),
				// Events older than 90 days are refused (conversions).
				Window: func(_, _ map[string]string) time.Duration { return eventAge },
				Adjust: adjustForConversions, Converted: converted(),
			},
		},
		AuthFields:        authFields(),
		DestinationFields: destinationFields(),
		AccountHelp:       "The id of the ad account: the digits after accounts/ in the address of Campaign Manager.",
		RuleSet:           RuleSet(),
		OAuth: &provider.OAuth{
			AuthorizeURL: "https://www.linkedin.com/oauth/v2/authorization",
			TokenURL:     "https://www.linkedin.com/oauth/v2/accessToken",
			// Segments need rw_dmp_segments and rw_ads (segments), conversions
			// rw_conversions and r_ads (conversions).
			Scopes:      []string{"rw_dmp_segments", "rw_ads", "r_ads", "rw_conversions"},
			RefreshLife: refreshLife,
		},
		RequestsPerMinute: requestsPerMinute, // see its comment for the page
		MaxRows:           maxRows,
		// Adding somebody who is in and removing somebody who is not are answered
		// by 201 as well (users): twice is once.
		Replay:         provider.ReplayHarmless,
		Concurrency:    4,
		Opens:          true,
		Sizes:          true,
		NewDestination: New,
	}
}

// adjustForConversions makes the definition that of conversions. LinkedIn drops
// a repeated eventId only where one came from the Insight Tag and the other by
// the API (marketing/conversions/deduplication), so a repetition counts twice.
func adjustForConversions(d *provider.Definition) {
	d.RuleSet = conversionRules()
	d.Replay, d.ReplayWindow = provider.ReplayNever, 0
	d.Opens, d.Sizes = false, false
	d.NewDestination = NewConversions
}

func authFields() []provider.Field {
	return []provider.Field{
		{
			Name: provider.ClientIDField, Label: "Client id", Type: "string",
			Help: "The client id of your LinkedIn app, which needs the products Advertising API, Audiences and Conversions API as far as you use them.",
		},
		{
			Name: provider.ClientSecretField, Label: "Client secret", Type: "string", Secret: true,
			Help: "The client secret of the same app.",
		},
		{
			Name: provider.RefreshTokenField, Label: "Refresh token", Type: "string", Secret: true,
			Help: "Filled by connecting. It ends a year after the consent, however often it is used; LinkedIn gives one to approved partners only.",
		},
		{
			Name: provider.AccessTokenField, Label: "Access token", Type: "string", Secret: true,
			Help: "A token to be used as it is where the app gets no refresh token. It ends after 60 days.",
		},
		{
			Name: provider.PaceField, Label: "Calls a minute", Type: "int", Example: "500",
			Help: "The most calls a minute on this authorization. Empty = 600, which is LinkedIn's limit for one member; older pages say 500.",
		},
		{
			Name: "base_url", Label: "API address", Type: "url", Default: defaultBaseURL, Example: defaultBaseURL,
			Help: "Where the Marketing API is. Change it only for a sandbox.",
		},
		{
			Name: provider.AuthorizeURLField, Label: "Consent address", Type: "url",
			Help: "Where consent is asked for. Only for a sandbox.",
		},
		{
			Name: provider.TokenURLField, Label: "Token address", Type: "url",
			Help: "Where tokens are had. Only for a sandbox.",
		},
	}
}

func destinationFields() []provider.Field {
	return []provider.Field{
		{
			Name: platformField, Label: "Source platform", Type: "string", Example: "ACME_DMP",
			Help: "The name of your platform, which LinkedIn assigns with the access to the Audiences API. Needed for matched audiences, not for conversions.",
		},
		{
			Name: versionField, Label: "API version", Type: "string", Default: defaultVersion, Example: defaultVersion,
			Help: "The version of the Marketing API to call: year and month. LinkedIn ends a version about a year after it came out, and then refuses every call with it.",
		},
		{
			Name: appleField, Label: "Send APPLE_IDFA", Type: "bool", Default: "false",
			Help: "Stream Apple's advertising ids as well. LinkedIn names them for uploaded lists only: without your contact's word leave this off.",
		},
	}
}
