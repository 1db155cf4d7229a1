package meta

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The workflows, and the settings of conversions.
const (
	audienceWorkflow   = "meta_custom_audience"
	conversionWorkflow = "meta_offline_conversion"
	datasetField       = "dataset_id"
	actionField        = "action_source"
	storeDaysField     = "store_days"
	testField          = "test_event_code"
)

// The keys of one conversion, and the settings that feed them.
const (
	keyEventName = "event_name"
	keyEventTime = "event_time"
	keyEventID   = "event_id"
	keyValue     = "value"
	keyCurrency  = "currency"
	keyOrder     = "order_id"
	keySourceURL = "event_source_url"
	keyClick     = "fbc"
	keyBrowser   = "fbp"
	keyAddress   = "client_ip_address"
	keyAgent     = "client_user_agent"
	keyLead      = "lead_id"
	keyCustom    = "custom_data"
)

const (
	// maxEvents is the most events of one call (conversions-api/using-the-api).
	maxEvents = 1000
	// eventDays is how old an event may be; one that is older has the whole call
	// refused (conversions-api/using-the-api).
	eventDays = 7
	// storeDays is that of physical_store, which pages do not agree on: hence a
	// setting (conversions-api/offline-events).
	storeDays = 62
	// eventMemory is how long Meta drops another event of the same name and id
	// (conversions-api, "deduplicate").
	eventMemory = 48 * time.Hour
	// purchase is the event that has to have a value and a currency.
	purchase = "Purchase"
)

const physicalStore = "physical_store"

// actionSources are where conversions happen (conversions-api/parameters/server-event).
var actionSources = []string{physicalStore, "website", "app", "phone_call", "chat", "email", "system_generated", "business_messaging", "other"}

// conversionRules are those of the people of conversions: the same keys, so that
// one mapping serves both. A birth date is one key there, and no first letter.
func conversionRules() matchkey.RuleSet {
	rs := RuleSet()
	rs.Name = "meta/conversion/1"
	for i := range rs.Keys {
		switch k := &rs.Keys[i]; k.Name {
		case "DOBY":
			k.Normalize = birthDate
			k.Help = "Date of birth of the three keys, or of a date written year-month-day; sent whole or not at all."
		case "DOBM", "DOBD":
			k.Normalize, k.Help = nothing, "Sent as part of the date of birth."
		case "FI", keyValued:
			k.Normalize, k.Help = nothing, "Not sent with conversions."
		}
	}
	return rs
}

func nothing(string, matchkey.Row) string { return "" }

// birthDate is eight digits: year, month, day.
func birthDate(value string, row matchkey.Row) string {
	if t := strings.TrimSpace(value); len(t) == 8 {
		if _, err := time.Parse("20060102", t); err == nil {
			return t
		}
	}
	part := func(key string, of func(string, matchkey.Row) string) string {
		if row != nil {
			if v := of(row.Value(key), row); v != "" {
				return v
			}
		}
		return of(value, row)
	}
	all := matchkey.BirthYear(value, row) + part("DOBM", matchkey.BirthMonth) + part("DOBD", matchkey.BirthDay)
	if _, err := time.Parse("20060102", all); err != nil {
		return ""
	}
	return all
}

// eventKeys are the keys of one conversion (conversions-api/parameters).
func eventKeys() []matchkey.Key {
	return []matchkey.Key{
		{
			Name: keyEventName, Exact: true, Required: true, Normalize: matchkey.Plain,
			Help: "What happened, as Meta or you name it: Purchase, Lead and the like.",
		},
		{
			Name: keyEventTime, Exact: true, Required: true, Normalize: seconds,
			Help: "When it happened; sent in seconds. Older events than Meta takes are not sent.",
		},
		{
			Name: keyEventID, Exact: true, Required: true, Normalize: matchkey.Plain,
			Help: "What names the event. Where the pixel or an app sends the same name and id within 48 hours, Meta counts them once.",
		},
		{
			Name: keyValue, Exact: true, Normalize: decimal,
			Help: "What it is worth, as a number with a decimal point. A Purchase needs one.",
		},
		{
			Name: keyCurrency, Exact: true, Normalize: currency,
			Help: "The currency of the value as three letters. A Purchase needs one.",
		},
		{
			Name: keyOrder, Exact: true, Normalize: matchkey.Plain,
			Help: "The id of the order, by which Meta tells purchases in shops apart as well.",
		},
		{
			Name: keySourceURL, Exact: true, Normalize: webAddress,
			Help: "The address of the page where it happened, for action_source website.",
		},
		{
			Name: keyClick, Exact: true, Identifies: true, Normalize: matchkey.Plain,
			Help: "Meta's click id, as the cookie _fbc has it.",
		},
		{
			Name: keyBrowser, Exact: true, Identifies: true, Normalize: matchkey.Plain,
			Help: "Meta's browser id, as the cookie _fbp has it.",
		},
		{
			Name: keyLead, Exact: true, Identifies: true, Normalize: leadID,
			Help: "The id of the lead, of Meta's lead ads: digits.",
		},
		{
			Name: keyAddress, Exact: true, Normalize: ipAddress,
			Help: "The person's IP address. It does not find them alone.",
		},
		{
			Name: keyAgent, Exact: true, Normalize: matchkey.Plain,
			Help: "The person's browser, as it names itself. It does not find them alone.",
		},
		{
			Name: keyCustom, Exact: true, Normalize: jsonObject,
			Help: "Further custom_data as a JSON object, such as contents and content_type. value, currency and order_id above win over it.",
		},
	}
}

// conversionFields are the settings of a job that sends conversions: what they
// are, and what feeds each key of an event.
func conversionFields() []provider.Field {
	fields := []provider.Field{
		{
			Name: datasetField, Label: "Data set", Type: "string", Required: true, Example: "123456789012345",
			Help: "The id of the data set (pixel) that takes the events: the digits in Events Manager, under Settings.",
		},
		{
			Name: actionField, Label: "Where they happen", Type: "select", Default: physicalStore, Options: actionSources,
			Help: "Where the conversions of this job happen. Events older than 7 days are not sent, of physical_store older than the setting below.",
		},
		{
			Name: storeDaysField, Label: "Oldest event of a shop, days", Type: "int", Default: strconv.Itoa(storeDays), Example: "7",
			Help: "How old events of physical_store may be, from 7 to 62. Meta's page says 62; set 7 where Meta refuses older ones.",
		},
		{
			Name: testField, Label: "Test code", Type: "string", Example: "TEST12345",
			Help: "The code of Test Events in Events Manager: events show there. Take it away afterwards.",
		},
	}
	fields = append(fields, limitFields("the people of these events")...)
	fields = append(fields, provider.ConversionAudience(true, "The event must be named by a text in double quotes; one that a column names is in no audience of its own. The ad account must have accepted the terms for customer lists."))
	labels := map[string]string{
		keyEventName: "Event", keyEventTime: "Time", keyEventID: "Event id", keyValue: "Value", keyCurrency: "Currency", keyOrder: "Order id",
		keySourceURL: "Page", keyClick: "Click id", keyBrowser: "Browser id", keyLead: "Lead id", keyAddress: "IP address", keyAgent: "Browser", keyCustom: "Further data",
	}
	defaults := map[string]string{keyEventName: `"` + purchase + `"`, keyEventTime: "$time", keyEventID: "$id"}
	for _, k := range eventKeys() {
		fields = append(fields, provider.Field{Name: k.Name, Label: labels[k.Name], Type: "column", Default: defaults[k.Name], Help: k.Help})
	}
	return fields
}

// converted keeps the audience of whom conversions were accepted, with the same
// limits of data use.
func converted() *provider.Converted {
	set := func(job map[string]string, name string) string {
		return provider.Setting(conversionFields(), job, name)
	}
	return &provider.Converted{
		Workflow: audienceWorkflow,
		Event: func(job map[string]string) string {
			name, _ := provider.Constant(set(job, keyEventName))
			return matchkey.Plain(name, nil)
		},
		Settings: func(job map[string]string) (map[string]string, bool) {
			settings := map[string]string{}
			for _, name := range []string{optionsField, optionsCountry, optionsState} {
				settings[name] = set(job, name)
			}
			// Test events are of nobody who did anything.
			return settings, provider.WantsConversionAudience(conversionFields(), job) && set(job, testField) == ""
		},
	}
}

// eventWindow is how old an event of a job may be.
func eventWindow(_, job map[string]string) time.Duration {
	fields := conversionFields()
	days := eventDays
	if provider.Setting(fields, job, actionField) == physicalStore {
		if n, err := strconv.Atoi(provider.Setting(fields, job, storeDaysField)); err == nil && n >= eventDays && n <= storeDays {
			days = n
		}
	}
	return time.Duration(days) * 24 * time.Hour
}

// timeLayouts are how times are written beside numbers.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02"}

// seconds is a moment in seconds since 1970: 10 digits. It takes them,
// milliseconds as 13 digits, and dates and times year first; without a zone they
// are UTC.
func seconds(value string, row matchkey.Row) string {
	v := matchkey.Plain(value, row)
	if digits(v) {
		switch {
		case len(v) == 10 && v[0] != '0':
			return v
		case len(v) == 13 && v[0] != '0':
			return v[:10]
		}
		return ""
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, v); err == nil && t.Year() > 2001 && t.Year() < 2286 { // 10 digits
			return strconv.FormatInt(t.Unix(), 10)
		}
	}
	return ""
}

// decimal is an amount: digits, and a point with digits, as JSON has it.
func decimal(value string, row matchkey.Row) string {
	whole, part, has := strings.Cut(matchkey.Plain(value, row), ".")
	if !digits(whole) || len(whole) > 18 || has && (!digits(part) || len(part) > 6) {
		return ""
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if has {
		return whole + "." + part
	}
	return whole
}

// maxAmount is more than anybody is worth.
const maxAmount = 1e15

// amount is a number of at least 0 as JSON has it, with at most 6 digits after
// the point. It takes what databases write of numbers: 12, 12.50, 1.5e+03.
func amount(value string, row matchkey.Row) string {
	v := matchkey.Plain(value, row)
	if v == "" || strings.Trim(v, "0123456789.eE+-") != "" {
		return "" // neither a hexadecimal number nor the name of one
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n < 0 || n > maxAmount {
		return ""
	}
	v = strings.TrimRight(strings.TrimRight(strconv.FormatFloat(n, 'f', 6, 64), "0"), ".")
	if v == "-0" {
		return "0"
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

func leadID(value string, row matchkey.Row) string {
	v := strings.TrimPrefix(matchkey.Plain(value, row), "l:")
	if !digits(v) || len(v) > 18 || v[0] == '0' {
		return ""
	}
	return v
}

func ipAddress(value string, row matchkey.Row) string {
	a, err := netip.ParseAddr(matchkey.Plain(value, row))
	if err != nil || a.Zone() != "" {
		return ""
	}
	return a.Unmap().String()
}

func webAddress(value string, row matchkey.Row) string {
	v := matchkey.Plain(value, row)
	if !strings.HasPrefix(v, "https://") && !strings.HasPrefix(v, "http://") {
		return ""
	}
	return v
}

// jsonObject is an object as short as it can be written; what is no object is
// left out.
func jsonObject(value string, row matchkey.Row) string {
	v := matchkey.Plain(value, row)
	var members map[string]json.RawMessage
	if !strings.HasPrefix(v, "{") || json.Unmarshal([]byte(v), &members) != nil || len(members) == 0 {
		return ""
	}
	var out bytes.Buffer
	if json.Compact(&out, []byte(v)) != nil {
		return ""
	}
	return out.String()
}

func digits(v string) bool { return v != "" && strings.Trim(v, "0123456789") == "" }
