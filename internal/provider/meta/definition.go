package meta

import (
	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

const (
	// defaultBaseURL is where the Graph API is.
	defaultBaseURL = "https://graph.facebook.com"
	// defaultVersion is the newest version known (docs/graph-api/changelog/versions).
	// Meta serves an expired version by the next usable one without a word.
	defaultVersion = "v26.0"
	// maxRows is the most rows of one call (audiences guide).
	maxRows = 10_000
	// maxBytes is the most bytes of one request. Meta publishes no limit; other
	// senders keep to 1 MB, so that is where the setting starts.
	maxBytes = 1_000_000
)

// Definition is all the program knows of the provider.
func Definition() provider.Definition {
	d := provider.Definition{
		Name:            "meta",
		Title:           "Meta (Facebook Ads)",
		Icon:            "brand-meta",
		DestinationType: "Facebook Ads",
		Description:     "Keeps custom audiences of an ad account in step for ads on Facebook, Instagram and Messenger, sends conversions to a data set, and edits campaigns.",
		Workflows: []provider.Workflow{{
			Name: audienceWorkflow, Title: "Custom audience", Direction: provider.Export, Subject: provider.Profiles, Kind: provider.State,
			Description: "Adds people to a custom audience when they enter an audience here, and removes them when they leave it.",
			RealTime:    true, Scheduled: true, Once: true,
			Fields: listFields(), Fits: fitsMapping,
		}, {
			Name: conversionWorkflow, Title: "Conversions", Direction: provider.Export, Subject: provider.RawEvents, Kind: provider.Event,
			Description: "Sends conversions, in shops or elsewhere, to a data set from a stream (Conversions API).",
			SyncType:    activation.SyncOfflineConversion, Feed: provider.FeedStream, Events: eventKeys(), Window: eventWindow,
			RealTime: true, Scheduled: true, Once: true,
			Fields: conversionFields(), Adjust: adjustConversions, Converted: converted(),
		}},
		AuthFields: []provider.Field{
			{
				Name: "access_token", Label: "Access token", Type: "string", Required: true, Secret: true,
				Help: "The token of a system user with the permission ads_management and a role on the ad account.",
			},
			{
				Name: "app_secret", Label: "App secret", Type: "string", Secret: true,
				Help: "The secret of the app that the token belongs to. With it every call carries a proof (appsecret_proof); needed where the app requires one.",
			},
			{
				Name: "base_url", Label: "API address", Type: "url", Default: defaultBaseURL, Example: defaultBaseURL,
				Help: "Where the Graph API is. Change it only for a sandbox.",
			},
		},
		DestinationFields: []provider.Field{
			{
				Name: "api_version", Label: "API version", Type: "string", Default: defaultVersion, Example: defaultVersion,
				Help: "The version of the Graph API to call. Meta ends a version about two years after it came out.",
			},
			{
				Name: provider.MaxBytesField, Label: "Largest request", Type: "int", Default: "1000000", Example: "1000000",
				Help: "The most bytes of one request body; batches are cut so that they fit. Meta publishes no limit.",
			},
			{
				Name: provider.CountryField, Label: "Default country", Type: "string", Example: "DE",
				Help: "The country, as a two-letter code, of phone numbers without a country code where the person's own country is not known.",
			},
			{
				Name: "regain_unit", Label: "Unit of waiting times", Type: "select", Default: "minutes", Options: []string{"minutes", "seconds"},
				Help: "The unit of estimated_time_to_regain_access in Meta's usage headers, which no page names.",
			},
		},
		AccountHelp: "The id of the ad account: the digits after act= in the address of Ads Manager, with or without act_ before them.",
		RuleSet:     RuleSet(),
		MaxRows:     maxRows,
		MaxBytes:    maxBytes,
		// Adds and removes are by value, so twice is once (audiences guide).
		Replay: provider.ReplayHarmless,
		// Each call is an upload session of its own, so calls do not wait for each
		// other. Order across requests is not promised: what is removed and what
		// is added again must not be under way at once, which phases see to.
		Concurrency:    4,
		Deletes:        true,
		Opens:          true,
		Sizes:          true,
		Replaces:       true,
		NewDestination: New,
	}
	d.Workflows = append(d.Workflows, editing()...)
	d.Publishing = publishing(d.DestinationFields)
	return d
}

// RuleSet is meta/1: the keys of the audiences guide ("data normalization").
//
// A further key does not make it meta/2: a set is told by its mapping, so no
// mapping that was there before it gets other keys, and none of their values
// changes. A changed normaliser would.
func RuleSet() matchkey.RuleSet {
	const country = "COUNTRY"
	return matchkey.RuleSet{Name: "meta/1", Keys: []matchkey.Key{
		{
			Name: "EXTERN_ID", Identifies: true, Normalize: matchkey.ExternalID,
			Help: "Your own id of the person, as it is and always the same.",
		},
		{
			Name: "EMAIL", Hash: true, Identifies: true, Normalize: matchkey.Email,
			Help: "E-mail address, trimmed and in lower case; no dots or tags are removed.",
		},
		{
			Name: "PHONE", Hash: true, Identifies: true, Normalize: matchkey.PhoneDigits(country),
			Help: "Phone number with its country code, digits only. A number without a code takes the person's country, else the destination's.",
		},
		{
			Name: "FN", Hash: true, Normalize: matchkey.Name,
			Help: "First name in lower case without punctuation; letters of any script stay.",
		},
		{
			Name: "LN", Hash: true, Normalize: matchkey.Name,
			Help: "Last name, like the first name.",
		},
		{
			Name: "FI", Hash: true, Normalize: matchkey.Initial,
			Help: "First letter of the first name.",
		},
		{
			Name: "GEN", Hash: true, Normalize: matchkey.Gender,
			Help: "Gender: m, male, man, f, female or woman. Anything else is left out.",
		},
		{
			Name: "DOBY", Hash: true, Normalize: matchkey.BirthYear,
			Help: "Year of birth, four digits, or a date written year-month-day.",
		},
		{
			Name: "DOBM", Hash: true, Normalize: matchkey.BirthMonth,
			Help: "Month of birth, or a date written year-month-day.",
		},
		{
			Name: "DOBD", Hash: true, Normalize: matchkey.BirthDay,
			Help: "Day of birth, or a date written year-month-day.",
		},
		{
			Name: "CT", Hash: true, Normalize: matchkey.City,
			Help: "City: letters only, in lower case.",
		},
		{
			Name: "ST", Hash: true, Normalize: matchkey.State(country),
			Help: "State: the two-letter code in the United States, else letters only in lower case.",
		},
		{
			Name: "ZIP", Hash: true, Normalize: matchkey.Zip(country),
			Help: "Postal code in lower case without spaces; five digits in the United States.",
		},
		{
			Name: country, Hash: true, Normalize: matchkey.Country,
			Help: "Country as a two-letter code, a three-letter code or a name. Map it whenever you can.",
		},
		{
			Name: "MADID", Identifies: true, Normalize: matchkey.DeviceID,
			Help: "Mobile advertising id in lower case with its hyphens; the zero id is left out.",
		},
		{
			Name: keyValued, Normalize: amount,
			Help: "What the person is worth, a number of at least 0. For value-based audiences, which need it, and for no other; removals do not carry it.",
		},
	}}
}
