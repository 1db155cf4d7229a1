package google

import (
	"regexp"
	"slices"
	"time"
)

// maxEvents is the most events of one request (data-manager/api/devguides/limits,
// read 2026-11-22).
const maxEvents = 2000

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// eventsRequest is a request for events, as canonical JSON has it.
type eventsRequest struct {
	Destinations []destination
	Events       []event
	Encoding     string
	ValidateOnly bool
}

type consent struct {
	AdUserData        string `json:"adUserData,omitempty"`
	AdPersonalization string `json:"adPersonalization,omitempty"`
}

type event struct {
	TransactionID   string    `json:"transactionId"`
	EventTimestamp  time.Time `json:"eventTimestamp"`
	EventSource     string    `json:"eventSource"`
	ConversionValue *float64  `json:"conversionValue"`
	Currency        string    `json:"currency"`
	AdIdentifiers   *struct {
		Gclid, Gbraid, Wbraid string
		MobileDeviceID        string `json:"mobileDeviceId"`
	} `json:"adIdentifiers"`
	UserData *userData `json:"userData"`
	Consent  *consent  `json:"consent"`
}

// Event is a conversion that took effect.
type Event struct {
	Action        string            `json:"action"`
	Account       string            `json:"account"`
	TransactionID string            `json:"transaction_id,omitempty"`
	At            time.Time         `json:"at"`
	Source        string            `json:"source,omitempty"`
	Value         *float64          `json:"value,omitempty"`
	Currency      string            `json:"currency,omitempty"`
	Identifiers   map[string]string `json:"identifiers"`
	Consent       *consent          `json:"consent,omitempty"`
	Request       string            `json:"request"`
}

// transaction is what tells one conversion of an action from another.
type transaction struct{ action, id string }

func (n *Network) ingestEvents(c *call) (any, *apiError) {
	var in eventsRequest
	if err := decode(c, "IngestEventsRequest", &in); err != nil {
		return nil, err
	}
	c.record.Rows = len(in.Events)
	if _, err := n.destinations(c, in.Destinations); err != nil {
		return nil, err
	}
	for i, d := range in.Destinations {
		if len(n.opts.ConversionActions) > 0 && !slices.Contains(n.opts.ConversionActions, d.ProductDestination) {
			return nil, refused(violation(at("destinations", i)+".product_destination_id", "INVALID_CONVERSION_ACTION_ID", "There is no such conversion action."))
		}
	}
	if len(in.Events) > maxEvents {
		return nil, refused(violation("events", "TOO_MANY_EVENTS", "The request has more than 2,000 events."))
	}
	j := judgment{encoding: in.Encoding}
	ids := make([][]identifier, len(in.Events))
	for i, e := range in.Events {
		ids[i] = n.judgeEvent(&j, at("events", i), e, c.at)
	}
	if len(j.wrong) > 0 {
		return nil, refused(j.wrong...)
	}
	return n.accept(c, &request{op: c.op, to: in.Destinations, events: in.Events, rows: ids, invalid: c.invalid}, in.ValidateOnly), nil
}

// judgeEvent checks one event and returns the identifiers of its person.
func (n *Network) judgeEvent(j *judgment, field string, e event, now time.Time) []identifier {
	if e.EventTimestamp.After(now.Add(24*time.Hour)) || e.EventTimestamp.Before(now.Add(-n.opts.OldestEvent)) {
		j.blame(field+".event_timestamp", "EVENT_TIME_INVALID", "The event is too old or still to come.")
	}
	if e.Currency != "" && !currency.MatchString(e.Currency) {
		j.blame(field+".currency", "INVALID_CURRENCY_CODE", "The currency is none.")
	}
	var ids []identifier
	if a := e.AdIdentifiers; a != nil {
		for _, id := range []identifier{{"gclid", a.Gclid}, {"gbraid", a.Gbraid}, {"wbraid", a.Wbraid}, {"mobileDeviceId", a.MobileDeviceID}} {
			if id.text != "" {
				ids = append(ids, id)
			}
		}
	}
	if e.UserData != nil {
		if j.encoding == "" {
			j.blame("encoding", "REQUIRED_FIELD_MISSING", "The field is needed.")
		}
		ids = append(ids, j.userData(field+".user_data", e.UserData)...)
	}
	if len(ids) == 0 {
		j.blame(field, "NO_IDENTIFIERS_PROVIDED", "The event has nothing that finds a person or a click.")
	}
	return ids
}

// convert lets an event of a request take effect, unless its transaction has
// already. The caller holds the lock.
func (n *Network) convert(r *request, i int) (duplicate bool) {
	e := r.events[i]
	for _, d := range r.to {
		id := transaction{d.ProductDestination, e.TransactionID}
		if e.TransactionID != "" && n.seen[id] {
			duplicate = true
			continue
		}
		n.seen[id] = true
		done := Event{
			Action: d.ProductDestination, Account: d.OperatingAccount.AccountID, TransactionID: e.TransactionID, At: e.EventTimestamp,
			Source: e.EventSource, Value: e.ConversionValue, Currency: e.Currency, Consent: e.Consent, Request: r.id, Identifiers: map[string]string{},
		}
		for _, id := range r.rows[i] {
			done.Identifiers[id.kind] = id.text
		}
		n.events = append(n.events, done)
	}
	return duplicate
}
