package paid

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher/internal/activation"
)

// Response is one response of a customer to a paid medium.
type Response struct {
	// CustomerID is the customer's value of the customer field.
	CustomerID string `json:"CustomerID"`
	// Exactly one of AdSet and ExternalAudience says what the customer responded to.
	AdSet            string `json:"Adset_id,omitempty"`
	ExternalAudience string `json:"ExternalAudienceId,omitempty"`
	// Time is RFC 3339; "" = now.
	Time string `json:"time,omitempty"`
	// Value and Currency (ISO 4217) go together.
	Value    Decimal `json:"value,omitempty"`
	Currency string  `json:"currency,omitempty"`
	// EventID names the response: twice the same is stored once. "" = Usher makes
	// one, and then a repetition can't be told.
	EventID string `json:"event_id,omitempty"`
	// EventName is what the customer did; "" = Purchase where there is a value, and
	// Lead where there is none.
	EventName string `json:"event_name,omitempty"`
}

// Decimal is a number as it was written, in JSON as a number or as a text.
type Decimal string

// UnmarshalJSON takes the text of a number or of a string.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	var n json.Number
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*d = Decimal(s)
		return nil
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("value is neither a number nor a text: %w", err)
	}
	*d = Decimal(n)
	return nil
}

// The names that events have by themselves.
const (
	purchase = "Purchase"
	lead     = "Lead"
)

// The bounds of what a response says.
const (
	maxIDBytes   = 1000           // of a customer's id
	maxCharacter = 200            // of every other text
	maxAhead     = 24 * time.Hour // of a time
	maxAgeYears  = 10             // of a time
	timeExample  = "2026-01-31T12:00:00Z"
)

// amount is a decimal number without a sign, and not so long that a network
// would round it.
var amount = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,6})?$`)

// row is a response as the stream has it: missing values are left out.
type row struct {
	Customer  string `json:"customer_id"`
	AdSet     string `json:"adset_id,omitempty"`
	Audience  string `json:"external_audience_id,omitempty"`
	EventID   string `json:"event_id"`
	EventName string `json:"event_name"`
	Value     string `json:"value,omitempty"`
	Currency  string `json:"currency,omitempty"`
	Time      string `json:"time,omitempty"`
}

// check makes a row of a response and reports every wrong field.
func (r Response) check(now time.Time, wrong func(field, format string, args ...any)) row {
	text := func(field, value string, most int, needed bool) string {
		value = strings.TrimSpace(value)
		switch {
		case value == "" && needed:
			wrong(field, "is needed")
		case utf8.RuneCountInString(value) > most || len(value) > maxIDBytes:
			wrong(field, "must have at most %d characters", most)
		case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
			wrong(field, "must be text without control characters")
		}
		return value
	}
	out := row{
		Customer:  text("CustomerID", r.CustomerID, maxIDBytes, true),
		AdSet:     text("Adset_id", r.AdSet, maxCharacter, false),
		Audience:  text("ExternalAudienceId", r.ExternalAudience, maxCharacter, false),
		EventID:   text("event_id", r.EventID, maxCharacter, false),
		EventName: text("event_name", r.EventName, maxCharacter, false),
		Value:     strings.TrimSpace(string(r.Value)),
		Currency:  strings.ToUpper(strings.TrimSpace(r.Currency)),
	}
	if (out.AdSet == "") == (out.Audience == "") {
		wrong("Adset_id", "exactly one of Adset_id and ExternalAudienceId is needed")
	}
	if out.EventID == "" {
		out.EventID = activation.NewID[string]()
	}
	if out.EventName == "" {
		out.EventName = lead
		if out.Value != "" {
			out.EventName = purchase
		}
	}
	out.price(wrong)
	out.Time = momentOf(r.Time, now, wrong)
	return out
}

// price checks value and currency.
func (r row) price(wrong func(field, format string, args ...any)) {
	switch {
	case r.Value == "" && r.Currency == "":
		return
	case r.Value == "":
		wrong("value", "goes with the currency; give both or neither")
	case !amount.MatchString(r.Value):
		wrong("value", "must be a decimal number of 0 or more such as 49.90, with at most 15 digits before the point and 6 after it")
	}
	switch {
	case r.Currency == "":
		wrong("currency", "goes with the value; give both or neither")
	case !isCurrency(r.Currency):
		wrong("currency", "must be a code of ISO 4217 such as EUR")
	}
}

// momentOf brings a time into one form, so that the same moment is the same text.
func momentOf(text string, now time.Time, wrong func(field, format string, args ...any)) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case err != nil:
		wrong("time", "must be written as RFC 3339 says, such as %s", timeExample)
	case at.After(now.Add(maxAhead)):
		wrong("time", "must not be more than 24 hours ahead")
	case at.Before(now.AddDate(-maxAgeYears, 0, 0)):
		wrong("time", "must not be older than %d years", maxAgeYears)
	}
	return at.UTC().Format(time.RFC3339Nano)
}
