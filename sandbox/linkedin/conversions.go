package linkedin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	methodAPI  = "CONVERSIONS_API"
	rulePrefix = "urn:lla:llaPartnerConversion:"
	// eventAge is the age from which an event is refused
	// (integrations/ads-reporting/conversions-api).
	eventAge = 90 * 24 * time.Hour
)

// ruleBody is what makes a conversion rule
// (integrations/ads-reporting/conversions-api-schema).
type ruleBody struct {
	Name        string `json:"name"`
	Account     string `json:"account"`
	Method      string `json:"conversionMethod"`
	Type        string `json:"type"`
	Attribution string `json:"attributionType"`
	PostClick   int    `json:"postClickAttributionWindowSize"`
	ViewThrough int    `json:"viewThroughAttributionWindowSize"`
	Enabled     *bool  `json:"enabled"`
}

func (n *Network) createRule(c *call) *apiError {
	var in ruleBody
	if e := decode(c.body, &in); e != nil {
		return e
	}
	account, e := n.reach(c, in.Account, true)
	if e != nil {
		return e
	}
	long := slices.Contains([]string{"SUBMIT_APPLICATION", "PURCHASE", "ADD_TO_CART", "QUALIFIED_LEAD", "LEAD"}, in.Type)
	window := func(days int) bool {
		return slices.Contains([]int{0, 1, 7, 30, 90}, days) || days == 365 && long
	}
	switch {
	case strings.TrimSpace(in.Name) == "":
		return missingField("name")
	case in.Type == "":
		return missingField("type")
	case in.Method != methodAPI && in.Method != "INSIGHT_TAG":
		return badRequest("conversionMethod is not one")
	case !slices.Contains([]string{"", "LAST_TOUCH_BY_CAMPAIGN", "LAST_TOUCH_BY_CONVERSION"}, in.Attribution):
		return badRequest("attributionType is not one")
	case !window(in.PostClick) || !window(in.ViewThrough):
		return badRequest("the attribution window must be 1, 7, 30 or 90 days")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := Rule{ID: n.nextID(), Account: account, Name: in.Name, Method: in.Method, Type: in.Type, Disabled: in.Enabled != nil && !*in.Enabled}
	n.rules[r.ID] = r
	c.made, c.record.Object, c.record.Applied = r.ID, r.ID, true
	return nil
}

func (n *Network) readRule(c *call) (any, *apiError) {
	q, e := query(c, "account")
	if e != nil {
		return nil, e
	}
	account, e := n.reach(c, q.Get("account"), false)
	if e != nil {
		return nil, e
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.rules[c.id]
	if !ok || r.Account != "" && r.Account != account {
		return nil, notFound("The conversion")
	}
	return showRule(r, account), nil
}

func (n *Network) listRules(c *call) (any, *apiError) {
	q, e := query(c, "q", "account", "start", "count")
	if e != nil {
		return nil, e
	}
	account, e := n.reach(c, q.Get("account"), false)
	if e != nil || q.Get("q") != "account" {
		return nil, orBad(e, "q must be account")
	}
	var list []any
	for _, r := range n.Rules() {
		if r.Account == "" || r.Account == account {
			list = append(list, showRule(r, account))
		}
	}
	return page(q, list)
}

func orBad(e *apiError, message string) *apiError {
	if e != nil {
		return e
	}
	return badRequest("%s", message)
}

func showRule(r Rule, account string) map[string]any {
	return map[string]any{
		"id": jsonNumber(r.ID), "name": r.Name, "account": accountPrefix + account, "conversionMethod": r.Method, "type": r.Type,
		"enabled": !r.Disabled, "attributionType": "LAST_TOUCH_BY_CAMPAIGN",
		"postClickAttributionWindowSize": 30, "viewThroughAttributionWindowSize": 7,
	}
}

// eventElement is one conversion event.
type eventElement struct {
	Conversion string      `json:"conversion"`
	At         json.Number `json:"conversionHappenedAt"`
	EventID    string      `json:"eventId"`
	Value      *struct {
		Currency *string `json:"currencyCode"`
		Amount   *string `json:"amount"`
	} `json:"conversionValue"`
	User *struct {
		IDs  []userID `json:"userIds"`
		Info *struct {
			FirstName *string `json:"firstName"`
			LastName  *string `json:"lastName"`
			Title     string  `json:"title"`
			Company   string  `json:"companyName"`
			Country   string  `json:"countryCode"`
		} `json:"userInfo"`
		External []string `json:"externalIds"`
	} `json:"user"`
}

const absent = "the field is needed"

var (
	amountPattern   = regexp.MustCompile(`^\d{1,18}(\.\d{1,6})?$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
)

// streamEvents takes events, all of them or none.
func (n *Network) streamEvents(c *call) (any, *apiError) {
	list, batch, e := elements[eventElement](c)
	if e != nil {
		return nil, e
	}
	var wrong strings.Builder
	for i, el := range list {
		texts := checkEvent(el)
		if c.spoiled(i) != 0 {
			texts = append(texts, "/conversionValue/amount :: "+absent)
		}
		for j, text := range texts {
			if j == 0 {
				fmt.Fprintf(&wrong, "Index: %d, ", i)
			}
			fmt.Fprintf(&wrong, "ERROR :: %s\n", text)
		}
	}
	if wrong.Len() > 0 {
		c.record.Refused = len(list)
		return nil, unprocessable(wrong.String())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var misruled, misdated []string
	for i, el := range list {
		r, ok := n.rules[strings.TrimPrefix(el.Conversion, rulePrefix)]
		if !ok || r.Method != methodAPI || r.Disabled {
			misruled = append(misruled, fmt.Sprint(i))
		}
		ms, _ := el.At.Int64()
		if at := time.UnixMilli(ms); c.at.Sub(at) > eventAge || at.Sub(c.at) > time.Minute {
			misdated = append(misdated, fmt.Sprint(i))
		}
	}
	switch {
	case len(misruled) > 0:
		return nil, indexed("The conversion rule takes no events by the API", misruled)
	case len(misdated) > 0:
		return nil, indexed("conversionHappenedAt is older than 90 days or still to come", misdated)
	}
	out := make([]any, len(list))
	for i, el := range list {
		n.events = append(n.events, el.event(c.at))
		out[i] = map[string]any{"status": 201}
	}
	c.record.Applied = true
	if !batch {
		return nil, nil
	}
	return map[string]any{"elements": out}, nil
}

func indexed(what string, indices []string) *apiError {
	return &apiError{status: 400, message: what + ", indices [" + strings.Join(indices, ", ") + "] (0-indexed)"}
}

// checkEvent says what the schema refuses of an event.
func checkEvent(el eventElement) []string {
	var texts []string
	say := func(bad bool, text string) {
		if bad {
			texts = append(texts, text)
		}
	}
	id, isRule := strings.CutPrefix(el.Conversion, rulePrefix)
	say(el.Conversion == "", "/conversion :: "+absent)
	say(el.Conversion != "" && (!isRule || !isNumber(id)), "/conversion :: is not a conversion URN")
	_, err := el.At.Int64()
	say(el.At == "", "/conversionHappenedAt :: "+absent)
	say(el.At != "" && (err != nil || len(el.At) != 13), "/conversionHappenedAt :: is not a time in milliseconds")
	if v := el.Value; v != nil {
		say(v.Currency == nil, "/conversionValue/currencyCode :: "+absent)
		say(v.Currency != nil && !currencyPattern.MatchString(*v.Currency), "/conversionValue/currencyCode :: is not a currency")
		say(v.Amount == nil, "/conversionValue/amount :: "+absent)
		say(v.Amount != nil && !amountPattern.MatchString(*v.Amount), "/conversionValue/amount :: is not a decimal")
	}
	if el.User == nil {
		return append(texts, "/user :: "+absent)
	}
	for i, u := range el.User.IDs {
		ok := u.Value != ""
		switch u.Type {
		case "SHA256_EMAIL":
			ok = isHex(u.Value, 64) && u.Value != hashOfNothing
		case "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "ACXIOM_ID", "ORACLE_MOAT_ID":
		default:
			ok = false
		}
		say(!ok, fmt.Sprintf("/user/userIds/%d :: is not an id of its type", i))
	}
	if info := el.User.Info; info != nil {
		say(info.FirstName == nil || *info.FirstName == "", "/user/userInfo/firstName :: "+absent)
		say(info.LastName == nil || *info.LastName == "", "/user/userInfo/lastName :: "+absent)
		say(info.Country != "" && !isCountry(info.Country), "/user/userInfo/countryCode :: is not a country")
	}
	say(len(el.User.IDs) == 0 && el.User.Info == nil, "/user/userIds :: "+absent)
	say(len(el.User.External) > 1, "/user/externalIds :: has more than one value")
	return texts
}
