package tradedesk

import (
	"regexp"
	"strconv"
	"strings"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

const (
	// maxRows is ours: no page names a most of items. The bytes decide first.
	maxRows = 10_000
	// maxBytes is the most bytes of one request, as public connectors have it;
	// above it the endpoint answers MaxRequestSizeExceeded.
	maxBytes = 2_500_000
	// lifetime is how many days an id stays in an element unless the destination
	// says otherwise: 30, the page's example. longestLifetime is the most, as
	// public connectors have it.
	lifetime        = 30
	longestLifetime = 180
	// nameField is the job's setting of how the element is called.
	nameField = "element_name"
	// The settings of who sends.
	secretField         = "advertiser_secret"
	tokenField          = "access_token"
	providerField       = "data_provider_id"
	providerSecretField = "data_provider_secret"
	regionField         = "region"
	baseField           = "base_url"
)

// hosts are the data centres of the endpoint.
var hosts = map[string]string{
	"use": "https://use-data.adsrvr.org",
	"usw": "https://usw-data.adsrvr.org",
	"euw": "https://euw-data.adsrvr.org",
	"sin": "https://sin-data.adsrvr.org",
	"tok": "https://tok-data.adsrvr.org",
	"cn2": "https://data-cn2.adsrvr.cn",
}

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "tradedesk",
		Title:           "The Trade Desk",
		Icon:            "target",
		DestinationType: "The Trade Desk",
		Description:     "Keeps first-party data elements of an advertiser in step, by UID2, EUID, RampID, device and cookie ids.",
		Workflows: []provider.Workflow{{
			Name: "tradedesk_first_party_data", Title: "First-party data", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
			Description: "Puts people's ids into a data element when they enter an audience here, takes them out when they leave it, and sends them again before they end.",
			RealTime:    true, Scheduled: true, Once: true,
			Fields: []provider.Field{{
				Name: nameField, Label: "Name of the data element", Type: "string", Example: "vips",
				Help: "What its name begins with at The Trade Desk: letters, digits, - and _. Usher's mark of the job follows. Empty = the short name of the audience.",
			}},
		}},
		AuthFields: []provider.Field{
			{
				Name: secretField, Label: "Advertiser secret", Type: "string", Secret: true,
				Help: "The secret key of the advertiser, by which every request is signed. Either this or a token is needed.",
			},
			{
				Name: tokenField, Label: "Data token", Type: "string", Secret: true,
				Help: "A token for data requests (TTD-Auth), instead of the advertiser's secret.",
			},
			{
				Name: providerSecretField, Label: "Data provider secret", Type: "string", Secret: true,
				Help: "The secret key of the data provider, by which requests are signed as well where the destination names one.",
			},
			{
				Name: baseField, Label: "API address", Type: "url", Example: hosts["use"],
				Help: "Where the endpoint is, instead of the destination's region. Set it only for a sandbox.",
			},
		},
		DestinationFields: []provider.Field{
			{
				Name: regionField, Label: "Region", Type: "select", Default: "use", Options: []string{"use", "usw", "euw", "sin", "tok", "cn2"},
				Help: "The data centre to send to: eastern or western United States, Europe, Singapore, Tokyo, China. Take the one that is nearest to where the ads run.",
			},
			{
				Name: providerField, Label: "Data provider id", Type: "string",
				Help: "The id of the data provider on whose behalf the data is sent; empty = the advertiser's own.",
			},
			{
				Name: provider.MembershipDaysField, Label: "Lifetime, days", Type: "int", Default: strconv.Itoa(lifetime), Example: "30",
				Help: "How long The Trade Desk keeps an id that is not sent again, 1 to 180 days. Usher sends everybody again before nine tenths of it are over.",
			},
			{
				Name: provider.MaxBytesField, Label: "Largest request", Type: "int", Default: "2500000", Example: "2500000",
				Help: "The most bytes of one request body; batches are cut so that they fit.",
			},
		},
		AccountHelp: "The id of the advertiser, as the address of its page in the platform has it.",
		RuleSet:     RuleSet(),
		MaxRows:     maxRows,
		MaxBytes:    maxBytes,
		// An id is in an element until a time; sent again it only stays longer.
		Replay:  provider.ReplayHarmless,
		Refresh: provider.RefreshOf(lifetime),
		// No page names a limit of calls at once.
		Concurrency:    4,
		NewDestination: New,
	}
}

// Forms of ids.
var (
	rawForm   = regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`)
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9+/_=-]{16,1000}$`)
	rampForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{16,256}$`)
)

// RuleSet is tradedesk/1: the ids of the page. Nothing is hashed: the ids are
// opaque already.
func RuleSet() matchkey.RuleSet {
	return matchkey.RuleSet{Name: "tradedesk/1", Keys: []matchkey.Key{
		{
			Name: "UID2", Identifies: true, Normalize: opaque(rawForm),
			Help: "Raw UID2 as the operator gave it: 44 characters of base64. Capitals count; anything else is left out.",
		},
		{
			Name: "EUID", Identifies: true, Normalize: opaque(rawForm),
			Help: "Raw EUID, like a UID2.",
		},
		{
			Name: "UID2Token", Identifies: true, Normalize: opaque(tokenForm),
			Help: "UID2 token, as it is. Tokens end soon: a raw UID2 is better wherever there is one.",
		},
		{
			Name: "RampID", Identifies: true, Normalize: opaque(rampForm),
			Help: "LiveRamp's RampID for The Trade Desk, as it is.",
		},
		{
			Name: "DAID", Identifies: true, Normalize: matchkey.DeviceID,
			Help: "Mobile advertising id in lower case with its hyphens; the zero id is left out.",
		},
		{
			Name: "TDID", Identifies: true, Normalize: matchkey.DeviceID,
			Help: "The Trade Desk's own cookie id, in lower case with its hyphens.",
		},
	}}
}

// opaque keeps a value of the form as it is, and nothing else.
func opaque(form *regexp.Regexp) func(string, matchkey.Row) string {
	return func(value string, _ matchkey.Row) string {
		if v := strings.TrimSpace(value); form.MatchString(v) {
			return v
		}
		return ""
	}
}
