package google

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The keys of a conversion.
const (
	eventTime       = "event_timestamp"
	transactionID   = "transaction_id"
	eventSource     = "event_source"
	conversionValue = "conversion_value"
	currencyCode    = "currency"
	gclid           = "gclid"
	gbraid          = "gbraid"
	wbraid          = "wbraid"
)

// eventKeys are the columns of a conversion (reference/rest/v1/Event). Values
// travel as they are and are read where they are sent, so that one that cannot be
// read refuses its conversion instead of being left out of it.
func eventKeys() []matchkey.Key {
	plain := func(name, help string) matchkey.Key {
		return matchkey.Key{Name: name, Help: help, Exact: true, Normalize: matchkey.Plain}
	}
	required := func(k matchkey.Key) matchkey.Key { k.Required = true; return k }
	click := func(k matchkey.Key) matchkey.Key { k.Identifies = true; return k }
	return []matchkey.Key{
		required(plain(eventTime, "When it happened.")),
		required(plain(transactionID, "What names the conversion.")),
		plain(eventSource, "Where it happened."),
		plain(conversionValue, "What it is worth."),
		plain(currencyCode, "The currency of the value."),
		click(plain(gclid, "Google's click id.")),
		click(plain(gbraid, "Google's click id of clicks in iOS apps.")),
		click(plain(wbraid, "Google's click id of clicks on the web on iOS.")),
		plain(userDataField, "Consent to send user data."),
		plain(personalizedField, "Consent to personalised ads."),
	}
}

// The body of a request for conversions.
type (
	eventsRequest struct {
		Destinations []target `json:"destinations"`
		Events       []event  `json:"events"`
		Consent      *consent `json:"consent,omitempty"`
		Encoding     string   `json:"encoding"`
	}
	event struct {
		Transaction string `json:"transactionId"`
		Timestamp   string `json:"eventTimestamp"`
		Source      string `json:"eventSource,omitempty"`
		// Value is a pointer because 0 is a value and no value is none.
		Value    *float64       `json:"conversionValue,omitempty"`
		Currency string         `json:"currency,omitempty"`
		Click    *adIdentifiers `json:"adIdentifiers,omitempty"`
		Contact  *contact       `json:"userData,omitempty"`
		Consent  *consent       `json:"consent,omitempty"`
	}
	adIdentifiers struct {
		Gclid  string `json:"gclid,omitempty"`
		Gbraid string `json:"gbraid,omitempty"`
		Wbraid string `json:"wbraid,omitempty"`
		Mobile string `json:"mobileDeviceId,omitempty"`
	}
)

// conversions sends conversions to an account.
type conversions struct{ account *account }

// NewConversions makes the client of an account that takes conversions.
func NewConversions(d provider.Deps) (provider.Destination, error) {
	g, err := newAccount(d)
	if err != nil {
		return nil, err
	}
	return &conversions{g}, nil
}

// String names the account only.
func (c *conversions) String() string { return c.account.String() }

// Check proves token and account.
func (c *conversions) Check(ctx context.Context) error { return c.account.Check(ctx) }

// EnsureAudience returns the conversion action of the job's settings. The API
// does not show conversion actions, so whether there is one is told with the first
// conversion.
func (c *conversions) EnsureAudience(_ context.Context, a provider.Audience) (provider.RemoteID, error) {
	action, err := actionOf(a)
	return provider.RemoteID(action), err
}

func actionOf(a provider.Audience) (string, error) {
	action := strings.TrimSpace(a.Config[actionField])
	if !numberPattern.MatchString(action) {
		return "", invalid(actionField, "the conversion action must be its id: the digits after ctId= in the address of its page")
	}
	return action, nil
}

// Deliver sends the conversions of one batch.
func (c *conversions) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	action, err := actionOf(b.Audience)
	if err != nil {
		return activation.Receipt{}, err
	}
	if rows > maxEvents {
		return activation.Receipt{}, tooMany(rows, maxEvents)
	}
	events, wrong := make([]event, rows), make([]class, rows)
	cols := columnsOf(b.Keys)
	for i := range rows {
		events[i], wrong[i] = readEvent(cols, b.Row(i))
		events[i].Consent = c.account.consent.under(events[i].Consent)
	}
	u := &upload{account: c.account, path: "events:ingest", rows: rows, op: opEvent, batch: b}
	u.bad = func(row int) class { return wrong[row] }
	u.body = func(keep []int) any {
		request := eventsRequest{Destinations: c.account.target(action), Consent: c.account.consent, Encoding: "HEX", Events: make([]event, 0, len(keep))}
		for _, i := range keep {
			request.Events = append(request.Events, events[i])
		}
		return request
	}
	rc, err := u.send(ctx)
	if codeIs(err, classGone) { // there is no such conversion action: nothing that is made again
		err = as(err, classDestination)
	}
	return rc, err
}

// Poll asks what became of a request.
func (c *conversions) Poll(ctx context.Context, token string, rows int64) (activation.Receipt, error) {
	return c.account.poll(ctx, token, rows)
}

var (
	sources         = []string{"WEB", "APP", "IN_STORE", "PHONE", "MESSAGE", "OTHER"}
	amountPattern   = regexp.MustCompile(`^[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
)

// readEvent makes a conversion of a row, or says what is wrong with it.
func readEvent(cols columns, row [][]byte) (event, class) {
	text := func(key string) string { return string(cols.value(row, key)) }
	e := event{Transaction: text(transactionID), Source: strings.ToUpper(text(eventSource)), Currency: strings.ToUpper(text(currencyCode))}
	at, ok := readTime(text(eventTime))
	if !ok {
		return e, classTime
	}
	e.Timestamp = at.UTC().Format(time.RFC3339Nano)
	if e.Transaction == "" || e.Source != "" && !slices.Contains(sources, e.Source) {
		return e, classFormat
	}
	if e.Currency != "" && !currencyPattern.MatchString(e.Currency) {
		return e, classCurrency
	}
	if v := text(conversionValue); v != "" {
		amount, err := strconv.ParseFloat(v, 64)
		if err != nil || !amountPattern.MatchString(v) || math.IsInf(amount, 0) {
			return e, classFormat
		}
		e.Value = &amount
	}
	if e.Consent, ok = readEventConsent(text(userDataField), text(personalizedField)); !ok {
		return e, classFormat
	}
	click := adIdentifiers{Gclid: text(gclid), Gbraid: text(gbraid), Wbraid: text(wbraid), Mobile: text("mobile_id")}
	if click != (adIdentifiers{}) {
		e.Click = &click
	}
	ids, ok := cols.contact(row)
	if !ok {
		return e, classFormat
	}
	if len(ids) > 0 {
		e.Contact = &contact{Identifiers: ids}
	}
	if e.Click == nil && e.Contact == nil {
		return e, classNoKey
	}
	return e, class{}
}

// readTime reads a time with its time zone, written as RFC 3339 has it, with a
// space instead of the T as well.
func readTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05 -0700"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 1970 && t.Year() < 10000 {
			return t, true
		}
	}
	return time.Time{}, false
}

// under fills what one person's consent leaves open: Google takes that of an event
// instead of that of its request.
func (c *consent) under(own *consent) *consent {
	if c == nil || own == nil {
		return own
	}
	both := *own
	if both.UserData == "" {
		both.UserData = c.UserData
	}
	if both.Personalization == "" {
		both.Personalization = c.Personalization
	}
	return &both
}

// readEventConsent reads what one person agreed to, nil for nothing said. A word
// that says neither yes nor no refuses the conversion: consent is not guessed.
func readEventConsent(userData, personalized string) (*consent, bool) {
	var c consent
	for text, into := range map[*string]*string{&userData: &c.UserData, &personalized: &c.Personalization} {
		switch strings.ToLower(strings.TrimPrefix(strings.ToUpper(*text), "CONSENT_")) {
		case "":
		case "granted", "true", "yes", "1":
			*into = "CONSENT_GRANTED"
		case "denied", "false", "no", "0":
			*into = "CONSENT_DENIED"
		case "unspecified", "status_unspecified":
		default:
			return nil, false
		}
	}
	if c == (consent{}) {
		return nil, true
	}
	return &c, true
}
