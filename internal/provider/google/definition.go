package google

import (
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The addresses of Google.
const (
	defaultBaseURL      = "https://datamanager.googleapis.com"
	defaultAuthorizeURL = "https://accounts.google.com/o/oauth2/v2/auth"
	defaultTokenURL     = "https://oauth2.googleapis.com/token"
	// scope is that of the Data Manager API.
	scope = "https://www.googleapis.com/auth/datamanager"
)

const (
	// maxMembers and maxEvents are the most of one call (devguides/limits).
	maxMembers = 10_000
	maxEvents  = 2000
	// requestsPerMinute is what a Cloud project may make (devguides/limits).
	requestsPerMinute = 300
	// concurrency is how many calls Google takes at once, for one destination as
	// well (devguides/concepts/best-practices).
	concurrency = 10
	// longestMembership is how many days a member is kept at most
	// (developers.google.com/ads/blog/posts/2025/02/update-to-customer-match-membership).
	longestMembership = 540
	// replayWindow is for how long a transaction that is sent again counts as the
	// same. Google names no end; the oldest conversion it takes bounds it.
	replayWindow = 90 * 24 * time.Hour
)

// The workflows.
const (
	workflowMembers     = "google_customer_match"
	workflowConversions = "google_offline_conversion"
)

// The settings of a destination.
const (
	accountTypeField    = "account_type"
	loginAccountField   = "login_account"
	loginTypeField      = "login_account_type"
	linkedAccountField  = "linked_account"
	linkedTypeField     = "linked_account_type"
	userDataField       = "ad_user_data"
	personalizedField   = "ad_personalization"
	firstLookField      = "first_status_check"
	baseURLField        = "base_url"
	consentNotSpecified = "unspecified"
)

// The settings of a job.
const (
	keyTypeField    = "upload_key_type"
	dataSourceField = "data_source"
	appIDField      = "app_id"
	keySpaceField   = "key_space"
	termsField      = "customer_match_terms"
	actionField     = "conversion_action"
	maxAgeField     = "max_age_days"
)

// The key types of a list.
const (
	contactID = "CONTACT_ID"
	mobileID  = "MOBILE_ID"
	userID    = "USER_ID"
)

var accountTypes = []string{"GOOGLE_ADS", "DISPLAY_VIDEO_ADVERTISER", "DISPLAY_VIDEO_PARTNER"}

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	return provider.Definition{
		Name:            "google",
		Title:           "Google (Ads, Display & Video 360)",
		Icon:            "brand-google",
		DestinationType: "Google Ads",
		Description:     "Keeps Customer Match lists in step and sends offline conversions, by the Data Manager API, and edits the campaigns of Google Ads accounts, by the Google Ads API.",
		Workflows:       []provider.Workflow{membersWorkflow(), conversionsWorkflow(), syncWorkflow(), postWorkflow()},
		AuthFields: append([]provider.Field{
			{
				Name: provider.ClientIDField, Label: "Client id", Type: "string", Example: "1234.apps.googleusercontent.com",
				Help: "The id of the OAuth client of your own Cloud project, in which the Data Manager API is switched on. Needed to connect, not with a service account.",
			},
			{
				Name: provider.ClientSecretField, Label: "Client secret", Type: "string", Secret: true,
				Help: "The secret of that client.",
			},
			{
				Name: provider.RefreshTokenField, Label: "Refresh token", Type: "string", Secret: true,
				Help: "Filled by connecting.",
			},
			{
				Name: provider.ServiceAccountField, Label: "Service account", Type: "text", Secret: true,
				Help: "The JSON key of a service account instead of connecting: a user of the Google Ads account by its address.",
			},
			{
				Name: provider.AccessTokenField, Label: "Access token", Type: "string", Secret: true,
				Help: "A token that is used as it is while there is neither a refresh token nor a service account. It ends within the hour; for trying things out.",
			},
			{
				Name: provider.PaceField, Label: "Calls a minute", Type: "int", Example: strconv.Itoa(requestsPerMinute),
				Help: "The most calls a minute on these credentials. Empty = 300, which is what Google gives a Cloud project; lower it where other programs use the project too.",
			},
			{
				Name: baseURLField, Label: "API address", Type: "url", Default: defaultBaseURL, Example: defaultBaseURL,
				Help: "Where the Data Manager API is. Change it only for a sandbox.",
			},
			{
				Name: provider.AuthorizeURLField, Label: "Consent address", Type: "url", Default: defaultAuthorizeURL, Example: defaultAuthorizeURL,
				Help: "Where people consent. Change it only for a sandbox.",
			},
			{
				Name: provider.TokenURLField, Label: "Token address", Type: "url", Default: defaultTokenURL, Example: defaultTokenURL,
				Help: "Where tokens are minted. Change it only for a sandbox.",
			},
		}, adsAuthFields()...),
		DestinationFields: destinationFields(),
		AccountHelp:       "The customer id of the account that owns the list or the conversion action: ten digits, with or without hyphens, at the top right of Google Ads.",
		RuleSet:           RuleSet(),
		OAuth: &provider.OAuth{
			AuthorizeURL: defaultAuthorizeURL, TokenURL: defaultTokenURL, Scopes: []string{scope, adsScope}, PKCE: true,
			Params: map[string]string{"access_type": "offline", "prompt": "consent"},
		},
		RequestsPerMinute: requestsPerMinute, // devguides/limits: a Cloud project, reads and writes apart
		MaxRows:           maxMembers,
		// Adds and removes are by value, so twice is once.
		Replay: provider.ReplayHarmless,
		// People are sent again before they would lapse (see Configured).
		Refresh:        provider.RefreshOf(longestMembership),
		Concurrency:    concurrency,
		Async:          true,
		Deletes:        true,
		Opens:          true,
		Sizes:          true,
		NewDestination: NewLists,
		Publishing:     publishing(),
	}
}

func membersWorkflow() provider.Workflow {
	return provider.Workflow{
		Name: workflowMembers, Title: "Customer Match list", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
		Description: "Adds people to a Customer Match list when they enter an audience here, and removes them when they leave it.",
		RealTime:    true, Scheduled: true, Once: true,
		Fields: []provider.Field{
			{
				Name: termsField, Label: "Customer Match terms", Type: "agreement", Required: true,
				Help: "I accept Google's Customer Match policies (https://support.google.com/adspolicy/answer/6299717) for the people of this audience. Google wants it said with every upload.",
			},
			{
				Name: keyTypeField, Label: "Kind of list", Type: "select", Default: contactID, Options: []string{contactID, mobileID, userID},
				Help: "By what people are matched: e-mail, phone and address (CONTACT_ID), advertising ids of phones (MOBILE_ID) or ids of your own (USER_ID). A list keeps its kind for good.",
			},
			{
				Name: dataSourceField, Label: "Where the data comes from", Type: "select", Default: "DATA_SOURCE_TYPE_FIRST_PARTY",
				Options: []string{"DATA_SOURCE_TYPE_FIRST_PARTY", "DATA_SOURCE_TYPE_THIRD_PARTY_CREDIT_BUREAU", "DATA_SOURCE_TYPE_THIRD_PARTY_VOTER_FILE"},
				Help:    "Who gave you these people's data. Google may ask you to prove it.",
			},
			{
				Name: appIDField, Label: "App id", Type: "string", Example: "com.example.app",
				Help: "The app that the advertising ids come from. Needed for lists of kind MOBILE_ID.",
			},
			{
				Name: keySpaceField, Label: "System of the app", Type: "select", Default: "ANDROID", Options: []string{"ANDROID", "IOS"},
				Help: "Which system's advertising ids they are, for lists of kind MOBILE_ID.",
			},
		},
	}
}

func destinationFields() []provider.Field {
	consents := []string{consentNotSpecified, "CONSENT_GRANTED", "CONSENT_DENIED"}
	return []provider.Field{
		{
			Name: accountTypeField, Label: "Kind of account", Type: "select", Default: accountTypes[0], Options: accountTypes,
			Help: "The product that the account belongs to.",
		},
		{
			Name: loginAccountField, Label: "Manager account", Type: "string", Example: "1112223333",
			Help: "The id of the manager account through which the user reaches the account. Empty = the user is one of the account itself.",
		},
		{
			Name: loginTypeField, Label: "Kind of manager account", Type: "select", Default: accountTypes[0], Options: append([]string{"DATA_PARTNER"}, accountTypes...),
			Help: "The kind of the manager account.",
		},
		{
			Name: linkedAccountField, Label: "Linked account", Type: "string",
			Help: "The id of the account with a link to a data partner. Only together with a manager account of kind DATA_PARTNER.",
		},
		{
			Name: linkedTypeField, Label: "Kind of linked account", Type: "select", Default: accountTypes[0], Options: accountTypes,
			Help: "The kind of the linked account.",
		},
		{
			Name: userDataField, Label: "Consent to send user data", Type: "select", Default: consentNotSpecified, Options: consents,
			Help: "What the people agreed to about sending their data to Google for ads (Digital Markets Act). Without a grant Google does not use the data of people in the European Economic Area.",
		},
		{
			Name: personalizedField, Label: "Consent to personalised ads", Type: "select", Default: consentNotSpecified, Options: consents,
			Help: "What the people agreed to about personalised ads.",
		},
		{
			Name: provider.MembershipDaysField, Label: "Membership, days", Type: "int", Default: strconv.Itoa(longestMembership), Example: "90",
			Help: "How long Google keeps a member that is not sent again, 1 to 540 days. Usher sends everybody again before nine tenths of it are over.",
		},
		{
			Name: firstLookField, Label: "First look at a request", Type: "duration", Default: "30m", Example: "30m",
			Help: "How long after an upload Google is asked what became of it; later looks are further apart. Google advises half an hour.",
		},
		{
			Name: provider.CountryField, Label: "Default country", Type: "string", Example: "DE",
			Help: "The country, as a two-letter code, of phone numbers without a country code where the person's own country is not known.",
		},
	}
}

// The keys that make an address.
const (
	givenName  = "given_name"
	familyName = "family_name"
	regionCode = "region_code"
	postalCode = "postal_code"
)

// RuleSet is google/1: devguides/concepts/formatting and the formatters of
// googleads/data-manager-java and -node.
func RuleSet() matchkey.RuleSet {
	return matchkey.RuleSet{Name: "google/1", Keys: []matchkey.Key{
		{
			Name: "email_address", Hash: true, Identifies: true, Normalize: matchkey.EmailGmail,
			Help: "E-mail address, trimmed and in lower case; at gmail.com and googlemail.com without dots and +tags.",
		},
		{
			Name: "phone_number", Hash: true, Identifies: true, Normalize: matchkey.PhoneE164(regionCode),
			Help: "Phone number as +, country code and digits. A number without a code takes the person's region, else the destination's default country.",
		},
		{
			Name: givenName, Hash: true, Normalize: matchkey.GivenName,
			Help: "First name in lower case without Mr., Mrs., Ms. or Dr. before it. A part of the address.",
		},
		{
			Name: familyName, Hash: true, Normalize: matchkey.FamilyName,
			Help: "Last name in lower case without Jr., III, PhD and the like behind it. A part of the address.",
		},
		{
			Name: regionCode, Normalize: matchkey.Region,
			Help: "Country as a two-letter code, a three-letter code or a name. A part of the address.",
		},
		{
			Name: postalCode, Identifies: true, Normalize: matchkey.Address(givenName, familyName, regionCode),
			Help: "Postal code. It makes an address together with first name, last name and country; Google matches by all four, so without one of them the address is left out.",
		},
		{
			Name: "mobile_id", Identifies: true, Normalize: matchkey.DeviceID,
			Help: "Mobile advertising id in lower case with its hyphens; the zero id is left out. For lists of kind MOBILE_ID, and beside the click id of a conversion.",
		},
		{
			Name: "user_id", Identifies: true, Normalize: matchkey.ExternalID,
			Help: "Your own id of the person, as it is. For lists of kind USER_ID only.",
		},
	}}
}

// converted keeps the Customer Match list of whom conversions of one action were
// accepted, if the terms of such lists are.
func converted() *provider.Converted {
	return &provider.Converted{
		Workflow: workflowMembers,
		Event:    func(job map[string]string) string { return strings.TrimSpace(job[actionField]) },
		Settings: func(job map[string]string) (map[string]string, bool) {
			agreed := job[termsField]
			return map[string]string{termsField: agreed}, agreed != "" && wantsAudience(job)
		},
	}
}

// wantsAudience asks the settings alone: a workflow may not ask for itself.
func wantsAudience(job map[string]string) bool {
	return provider.WantsConversionAudience([]provider.Field{provider.ConversionAudience(false, "")}, job)
}

// fitsConversions refuses a conversion audience without its terms.
func fitsConversions(job, _ map[string]string) error {
	if wantsAudience(job) && job[termsField] == "" {
		return invalid(termsField, "a conversion audience needs google's Customer Match terms to be accepted: accept them, or switch conversion_audience off")
	}
	return nil
}

// conversionsWorkflow takes the messages of a stream.
func conversionsWorkflow() provider.Workflow {
	column := func(name, label, fallback, example, help string, required bool) provider.Field {
		return provider.Field{Name: name, Label: label, Type: "column", Default: fallback, Example: example, Help: help, Required: required}
	}
	return provider.Workflow{
		Name: workflowConversions, Title: "Offline conversions", Direction: provider.Export, Subject: provider.RawEvents, Kind: provider.Event,
		Description: "Sends each message of a stream as a conversion of one conversion action.",
		SyncType:    activation.SyncOfflineConversion, Feed: provider.FeedStream,
		RealTime: true, Scheduled: true, Once: true,
		Events: eventKeys(),
		// Window: Google imports nothing that is older than 90 days
		// (support.google.com/google-ads/answer/7014069), or 63 without a click id.
		Window: func(_, job map[string]string) time.Duration {
			n, err := strconv.Atoi(provider.Setting(conversionsWorkflow().Fields, job, maxAgeField))
			if err != nil {
				return 0
			}
			return time.Duration(max(0, n)) * 24 * time.Hour
		},
		Fields: []provider.Field{
			{
				Name: actionField, Label: "Conversion action", Type: "string", Required: true, Example: "4455667788",
				Help: "The id of the conversion action: the digits after ctId= in the address of its page in Google Ads. The destination's account must own it.",
			},
			column(eventTime, "Time", "$time", "$time", "When it happened, RFC 3339 with its time zone.", false),
			column(transactionID, "Transaction", "$id", "order_id", "What names the conversion, always the same. Google drops a second one of the same action.", false),
			column(eventSource, "Source", "", `"WEB"`, "Where it happened: WEB, APP, IN_STORE, PHONE, MESSAGE or OTHER.", false),
			column(conversionValue, "Value", "", "total", "What it is worth, with a point before the decimals. 0 is a value; nothing is none.", false),
			column(currencyCode, "Currency", "", `"EUR"`, "The currency of the value, as three letters.", false),
			column(gclid, "Click id (gclid)", "", "gclid", "The click id that Google added to the landing page.", false),
			column(gbraid, "Click id (gbraid)", "", "gbraid", "The click id of clicks in iOS apps.", false),
			column(wbraid, "Click id (wbraid)", "", "wbraid", "The click id of clicks on the web on iOS.", false),
			column(userDataField, "Consent to send user data", "", "consent", "Granted or denied, for this one conversion. Empty = as the destination has it.", false),
			column(personalizedField, "Consent to personalised ads", "", "consent", "Granted or denied, for this one conversion. Empty = as the destination has it.", false),
			{
				Name: maxAgeField, Label: "Oldest conversion, days", Type: "int", Default: "90", Example: "63",
				Help: "Conversions older than this are left out. Google takes none that are more than 90 days after the click, or 63 where it finds the click by e-mail or phone. 0 = send all.",
			},
			provider.ConversionAudience(false, "The event is the id of the conversion action. Google wants the Customer Match terms below accepted for it."),
			{
				Name: termsField, Label: "Customer Match terms", Type: "agreement",
				Help: "For the conversion audience: I accept Google's Customer Match policies (https://support.google.com/adspolicy/answer/6299717) for the people of these conversions.",
			},
		},
		Fits: fitsConversions, Converted: converted(),
		Adjust: func(d *provider.Definition) {
			d.MaxRows, d.Refresh = maxEvents, 0
			// A transaction of an action counts once, however often it is sent.
			d.Replay, d.ReplayWindow = provider.ReplayDeduplicated, replayWindow
			d.Deletes, d.Opens, d.Sizes = false, false, false
			d.NewDestination = NewConversions
		},
	}
}
