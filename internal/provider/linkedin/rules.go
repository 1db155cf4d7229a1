package linkedin

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The keys of people. The ids are LinkedIn's idTypes, the others its field names.
const (
	keyEmail     = "SHA256_EMAIL"
	keyGoogle    = "GOOGLE_AID"
	keyApple     = "APPLE_IDFA"
	keyFirstName = "firstName"
	keyLastName  = "lastName"
	keyTitle     = "title"
	keyCompany   = "company"
	keyCountry   = "country"
)

// The longest names, and the longest titles and companies, in characters, as
// other senders keep them; LinkedIn publishes none.
const (
	maxName  = 35
	maxLabel = 50
)

// RuleSet is linkedin/1: the ids and fields of a streamed user (users).
func RuleSet() matchkey.RuleSet {
	return matchkey.RuleSet{Name: "linkedin/1", Keys: []matchkey.Key{
		{
			Name: keyEmail, Hash: true, Identifies: true, Normalize: email,
			Help: "E-mail address in lower case without any spaces; no dots or tags are removed.",
		},
		{
			Name: keyGoogle, Identifies: true, Normalize: matchkey.DeviceID,
			Help: "Android advertising id in lower case with its hyphens; the zero id is left out. Not sent with conversions.",
		},
		{
			Name: keyApple, Identifies: true, Normalize: matchkey.DeviceID,
			Help: "Apple advertising id in lower case with its hyphens, only where the destination sends them. Not sent with conversions.",
		},
		{
			Name: keyFirstName, Normalize: label(maxName),
			Help: "First name as it is, at most 35 characters; a longer one is left out. Sent with the last name only.",
		},
		{
			Name: keyLastName, Normalize: label(maxName),
			Help: "Last name, like the first name.",
		},
		{
			Name: keyTitle, Normalize: label(maxLabel),
			Help: "Job title as it is, at most 50 characters.",
		},
		{
			Name: keyCompany, Normalize: label(maxLabel),
			Help: "Employer as it is, at most 50 characters.",
		},
		{
			Name: keyCountry, Normalize: country,
			Help: "Country as a two-letter code, a three-letter code or a name; sent as two capital letters.",
		},
	}}
}

// conversionRules are those of the people of conversions: the same keys, so that
// one mapping serves both. Device ids find nobody there; both names together do,
// which is said by a last name that is there only beside a first one.
func conversionRules() matchkey.RuleSet {
	rs := RuleSet()
	rs.Name = "linkedin/conversion/1"
	for i := range rs.Keys {
		k := &rs.Keys[i]
		k.Identifies = k.Name == keyEmail || k.Name == keyLastName
		if k.Name == keyLastName {
			k.Normalize = lastName
			k.Help = "Last name; with the first name it finds a person where there is no id."
		}
	}
	return rs
}

func lastName(value string, row matchkey.Row) string {
	name := label(maxName)
	if row == nil || name(row.Value(keyFirstName), row) == "" {
		return ""
	}
	return name(value, row)
}

// The keys of one conversion, and the settings that feed them.
const (
	keyEventID    = "event_id"
	keyHappenedAt = "happened_at"
	keyValue      = "value"
	keyCurrency   = "currency"
	keyTracking   = "li_fat_id"
	keyAcxiom     = "acxiom_id"
	keyMoat       = "oracle_moat_id"
	keyExternal   = "external_id"
)

// eventIDs are the ids of a person that belong to the event, with LinkedIn's
// names of them.
var eventIDs = map[string]string{
	keyTracking: "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", keyAcxiom: "ACXIOM_ID", keyMoat: "ORACLE_MOAT_ID",
}

// eventKeys are the keys of one conversion (conversions).
func eventKeys() []matchkey.Key {
	return []matchkey.Key{
		{
			Name: keyEventID, Exact: true, Required: true, Normalize: matchkey.Plain,
			Help: "What names the event. Where the Insight Tag sends the same id, LinkedIn counts the two once.",
		},
		{
			Name: keyHappenedAt, Exact: true, Required: true, Normalize: millis,
			Help: "When it happened; sent in milliseconds. Events older than 90 days are not sent.",
		},
		{
			Name: keyValue, Exact: true, Normalize: decimal,
			Help: "What it is worth, as a number with a decimal point; sent as text. What is no such number is left out.",
		},
		{
			Name: keyCurrency, Exact: true, Normalize: currency,
			Help: "The currency of the value as three letters.",
		},
		{
			Name: keyTracking, Exact: true, Identifies: true, Normalize: matchkey.Plain,
			Help: "LinkedIn's click id, which its ads add to the address of your page as li_fat_id.",
		},
		{
			Name: keyAcxiom, Exact: true, Identifies: true, Normalize: matchkey.Plain,
			Help: "The person's Acxiom id.",
		},
		{
			Name: keyMoat, Exact: true, Identifies: true, Normalize: matchkey.Plain,
			Help: "The person's Oracle MOAT id.",
		},
		{
			Name: keyExternal, Exact: true, Normalize: matchkey.Plain,
			Help: "Your own id of the person. It does not find them alone.",
		},
	}
}

// eventFields are the settings of a job that sends conversions: the rule, and
// what feeds each key of an event.
func eventFields() []provider.Field {
	fields := []provider.Field{{
		Name: ruleField, Label: "Conversion rule", Type: "string", Required: true, Example: "104",
		Help: "The id of the conversion rule, whose method must be Conversions API: the digits in its address in Campaign Manager, or its URN.",
	}}
	labels := map[string]string{
		keyEventID: "Event id", keyHappenedAt: "Time", keyValue: "Value", keyCurrency: "Currency", keyTracking: "LinkedIn click id",
		keyAcxiom: "Acxiom id", keyMoat: "Oracle MOAT id", keyExternal: "Your id of the person",
	}
	defaults := map[string]string{keyEventID: "$id", keyHappenedAt: "$time"}
	for _, k := range eventKeys() {
		fields = append(fields, provider.Field{Name: k.Name, Label: labels[k.Name], Type: "column", Default: defaults[k.Name], Help: k.Help})
	}
	// Segments need LinkedIn's Audiences programme, conversions do not (segments).
	return append(fields, provider.ConversionAudience(false, "The event is the id of the conversion rule. It needs what matched audiences need: LinkedIn's approval and the destination's source platform."))
}

// converted keeps the segment of whom conversions of one rule were accepted.
func converted() *provider.Converted {
	return &provider.Converted{
		Workflow: segmentWorkflow,
		Event: func(job map[string]string) string {
			return strings.TrimPrefix(strings.TrimSpace(job[ruleField]), rulePrefix)
		},
		Settings: func(job map[string]string) (map[string]string, bool) {
			return map[string]string{}, provider.WantsConversionAudience(eventFields(), job)
		},
	}
}

// email removes all white space ("remove spaces", users) and is an e-mail
// address then.
func email(value string, row matchkey.Row) string {
	return matchkey.Email(strings.Join(strings.Fields(value), ""), row)
}

// label is a text that people wrote, as it is but for its white space. One that
// is too long is left out: half a name is somebody else's.
func label(most int) func(string, matchkey.Row) string {
	return func(value string, row matchkey.Row) string {
		v := strings.Join(strings.Fields(matchkey.Plain(value, row)), " ")
		if utf8.RuneCountInString(v) > most {
			return ""
		}
		return v
	}
}

// country is an ISO 3166-1 alpha-2 code in capitals.
func country(value string, row matchkey.Row) string {
	code := matchkey.Country(value, row)
	if len(code) != 2 {
		return "" // a digest passes there
	}
	return strings.ToUpper(code)
}

// timeLayouts are how times are written beside numbers.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02"}

// millis is a moment in milliseconds since 1970: 13 digits. It takes them, seconds
// as 10 digits, and dates and times year first; without a zone they are UTC.
func millis(value string, row matchkey.Row) string {
	v := matchkey.Plain(value, row)
	if digits(v) {
		switch {
		case len(v) == 13 && v[0] != '0':
			return v
		case len(v) == 10 && v[0] != '0':
			return v + "000"
		}
		return ""
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, v); err == nil && t.Year() > 2001 && t.Year() < 2286 { // 13 digits
			return strconv.FormatInt(t.UnixMilli(), 10)
		}
	}
	return ""
}

// decimal is an amount: digits, and a point with digits. A leading zero too many
// and zeros at its end are left as they are.
func decimal(value string, row matchkey.Row) string {
	v := matchkey.Plain(value, row)
	whole, part, has := strings.Cut(v, ".")
	if !digits(whole) || len(whole) > 18 || has && (!digits(part) || len(part) > 6) {
		return ""
	}
	return v
}

// currency is an ISO 4217 code in capitals.
func currency(value string, row matchkey.Row) string {
	v := strings.ToUpper(matchkey.Plain(value, row))
	if len(v) != 3 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return v
}

func digits(v string) bool { return v != "" && strings.Trim(v, "0123456789") == "" }
