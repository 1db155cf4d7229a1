package linkedin

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// maxRounds is how often one batch of events is sent without those that LinkedIn
// named as bad. What is left then is sent again by the engine.
const maxRounds = 10

// event is one element of a batch of conversions (conversions).
type event struct {
	Conversion string      `json:"conversion"`
	HappenedAt int64       `json:"conversionHappenedAt"` // milliseconds
	EventID    string      `json:"eventId"`
	Value      *eventValue `json:"conversionValue,omitempty"`
	User       eventUser   `json:"user"`
}

// eventValue is what an event is worth; the amount is a text.
type eventValue struct {
	Currency string `json:"currencyCode"`
	Amount   string `json:"amount"`
}

// eventUser is whose event it is. There is one external id at most.
type eventUser struct {
	UserIDs  []userID   `json:"userIds"`
	Info     *eventInfo `json:"userInfo,omitempty"`
	External []string   `json:"externalIds,omitempty"`
}

// eventInfo needs both names.
type eventInfo struct {
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Title     string `json:"title,omitempty"`
	Company   string `json:"companyName,omitempty"`
	Country   string `json:"countryCode,omitempty"`
}

// EnsureAudience proves the conversion rule of the job and returns its id.
func (c *conversions) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	rule, err := ruleOf(a)
	if err != nil {
		return "", err
	}
	return provider.RemoteID(rule), c.prove(ctx, rule)
}

// ruleOf is the id of the job's conversion rule.
func ruleOf(a provider.Audience) (string, error) {
	rule := strings.TrimPrefix(strings.TrimSpace(a.Config[ruleField]), rulePrefix)
	if !isNumber(rule) {
		return "", invalid(ruleField, "the conversion rule must be its id in digits, or its URN "+rulePrefix+"…")
	}
	return rule, nil
}

// prove reads the conversion rule: it must take events by the API, or every
// batch is refused.
func (c *conversions) prove(ctx context.Context, rule string) error {
	var got struct {
		ID      id     `json:"id"`
		Method  string `json:"conversionMethod"`
		Enabled *bool  `json:"enabled"`
	}
	query := url.Values{"account": {c.accountURN()}}
	_, err := c.call(ctx, request{method: restGet, path: "conversions/" + rule, query: query}, &got)
	switch {
	case codeIs(err, classGone):
		if e := c.Check(ctx); e != nil {
			return e
		}
		return ruleError()
	case err != nil:
		return notABatch(err)
	case string(got.ID) != rule:
		return classAnswer.New()
	case got.Method != "CONVERSIONS_API", got.Enabled != nil && !*got.Enabled:
		return ruleError()
	}
	return nil
}

func ruleError() error {
	e := classRule.New()
	e.Field = ruleField
	return e
}

// Deliver sends one batch of events. One bad event refuses the whole batch and
// names itself in the message: those are rejected and the others sent again,
// within this call. Where no index can be read the batch is refused whole.
func (c *conversions) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	rule, err := ruleOf(b.Audience)
	if err != nil {
		return activation.Receipt{}, err
	}
	if rows > maxRows {
		return activation.Receipt{}, tooMany(rows)
	}
	sheet := newSheet(rows)
	elements, worthless := make([]event, 0, rows), 0
	for i := range rows {
		e, priced, ok := eventOf(b, rule, i)
		if !priced {
			worthless++
		}
		if !ok {
			sheet.reject(i)
			continue
		}
		elements = append(elements, e)
		sheet.send(i)
	}
	if worthless > 0 {
		c.log.WarnContext(ctx, "linkedin conversions without a currency are sent without their value", "run_id", b.Run, "item_id", b.Item, "rows", worthless)
	}
	a, err := c.send(ctx, rule, sheet, elements)
	if err != nil {
		return activation.Receipt{}, err
	}
	rc := sheet.receipt(a)
	c.log.DebugContext(ctx, "linkedin conversions delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt,
		"conversion", rule, "rows", rows, "rejected", rc.Rejected, "unknown", rc.Unknown, "unsent", rc.Unsent, "request_id", rc.RequestID)
	return rc, nil
}

// send sends the elements in rounds, each without those the one before named.
// An error before anything is known is the error of the batch. Later, what is
// still under way is unsent, or unknown where it may have been taken: the engine
// sends the first again and meets the error anew.
func (c *conversions) send(ctx context.Context, rule string, s *sheet, elements []event) (outbound.Answer, error) {
	var last outbound.Answer
	for round := range maxRounds {
		if len(elements) == 0 {
			return last, nil
		}
		a, err := c.post(ctx, s, elements)
		if err == nil {
			return a, nil
		}
		bad := named(err, a, len(elements))
		if len(bad) == len(elements) { // it may be about the rule, which they share
			if ruleErr := c.prove(ctx, rule); ruleErr != nil {
				bad, err = nil, ruleErr
			}
		}
		switch {
		case len(bad) > 0:
			elements = s.without(elements, bad)
		case round == 0:
			return a, err
		case mayHaveApplied(err):
			s.rest(activation.Unknown, activation.CodeOf(err))
			return a, nil
		default:
			s.rest(activation.Unsent, activation.CodeOf(err))
			return a, nil
		}
		last = a
	}
	s.rest(activation.Unsent, classData.Code)
	return last, nil
}

// post sends the elements once; in conflict with another change once more.
func (c *conversions) post(ctx context.Context, s *sheet, elements []event) (outbound.Answer, error) {
	body, err := c.writeJSON(map[string]any{"elements": elements})
	if err != nil {
		return outbound.Answer{}, err
	}
	defer body.Release()
	r := request{method: restBatch, path: "conversionEvents", body: body}
	var got statuses
	a, err := c.call(ctx, r, &got)
	if codeIs(err, classConflict) {
		got = statuses{}
		a, err = c.call(ctx, r, &got)
	}
	if codeIs(err, classGone) {
		return a, as(err, classAccount)
	}
	if err != nil {
		return a, err
	}
	return a, s.answer(got, a)
}

// named are the elements that a refusal names; none where it names nothing that
// can be believed.
func named(err error, a outbound.Answer, n int) []int {
	if !codeIs(err, classData) || a.Status != http.StatusBadRequest && a.Status != http.StatusUnprocessableEntity {
		return nil
	}
	e, _ := envelopeOf(a.Body)
	bad, _ := badIndices(a.Status, e.Message, n)
	return bad
}

// without rejects the elements at these places and returns the others.
func (s *sheet) without(elements []event, bad []int) []event {
	var sent []int
	var left []event
	for j, i := range s.sent {
		if slices.Contains(bad, j) {
			s.reject(i)
			continue
		}
		sent, left = append(sent, i), append(left, elements[j])
	}
	s.sent = sent
	return left
}

// eventOf is row i as an element. priced is false for one with a value and no
// currency: it is sent without the value, since the conversion counts all the
// same. ok is false for what LinkedIn could only refuse: an event without id or
// time, or nobody's.
func eventOf(b provider.Batch, rule string, i int) (e event, priced, ok bool) {
	text := map[string]string{}
	e = event{Conversion: rulePrefix + rule, User: eventUser{UserIDs: []userID{}}}
	for j, v := range b.Row(i) {
		k := b.Keys[j]
		switch kind := eventIDs[k.Name]; {
		case len(v) == 0:
		case k.Name == keyEmail:
			e.User.UserIDs = append(e.User.UserIDs, userID{keyEmail, hex.EncodeToString(v)})
		case kind != "":
			e.User.UserIDs = append(e.User.UserIDs, userID{kind, string(v)})
		default:
			text[k.Name] = string(v)
		}
	}
	at, err := strconv.ParseInt(text[keyHappenedAt], 10, 64)
	e.HappenedAt, e.EventID = at, text[keyEventID]
	if text[keyValue] != "" && text[keyCurrency] != "" {
		e.Value = &eventValue{Currency: text[keyCurrency], Amount: text[keyValue]}
	}
	if text[keyFirstName] != "" && text[keyLastName] != "" {
		e.User.Info = &eventInfo{
			FirstName: text[keyFirstName], LastName: text[keyLastName], Title: text[keyTitle],
			Company: text[keyCompany], Country: text[keyCountry],
		}
	}
	if text[keyExternal] != "" {
		e.User.External = []string{text[keyExternal]}
	}
	priced = text[keyValue] == "" || e.Value != nil
	return e, priced, err == nil && e.EventID != "" && (len(e.User.UserIDs) > 0 || e.User.Info != nil)
}
