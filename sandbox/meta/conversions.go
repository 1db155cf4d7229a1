package meta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultDataset is the data set that exists when Options names none.
const DefaultDataset = "900000000000001"

// Rules of the Conversions API (developers.facebook.com,
// marketing-api/conversions-api, read 2026-11-21).
const (
	// maxConversions is the most events of one call.
	maxConversions = 1000
	// conversionAge is how old an event may be, or the whole call is refused.
	conversionAge = 7 * 24 * time.Hour
	// repeatAge is how long an event with the name and id of one before is dropped.
	repeatAge = 48 * time.Hour
	// codeTooOld is the subcode of an event time that is refused.
	codeTooOld = 2804003
)

// Conversion is an event that took effect, as the read-back shows it.
type Conversion struct {
	Dataset      string         `json:"dataset"`
	Name         string         `json:"event_name"`
	ID           string         `json:"event_id,omitempty"`
	Time         time.Time      `json:"event_time"`
	ActionSource string         `json:"action_source"`
	User         map[string]any `json:"user_data"`
	Custom       map[string]any `json:"custom_data,omitempty"`
	Options      []string       `json:"data_processing_options,omitempty"`
	Test         string         `json:"test_event_code,omitempty"`
	At           time.Time      `json:"received_at"`
}

// sentEvent is an event as it is sent; other fields are refused.
type sentEvent struct {
	Name         string          `json:"event_name"`
	Time         json.Number     `json:"event_time"`
	ID           string          `json:"event_id"`
	ActionSource string          `json:"action_source"`
	SourceURL    string          `json:"event_source_url"`
	ReferrerURL  string          `json:"referrer_url"`
	OptOut       bool            `json:"opt_out"`
	User         map[string]any  `json:"user_data"`
	Custom       map[string]any  `json:"custom_data"`
	App          map[string]any  `json:"app_data"`
	Options      []string        `json:"data_processing_options"`
	Country      json.Number     `json:"data_processing_options_country"`
	State        json.Number     `json:"data_processing_options_state"`
	Segmentation json.RawMessage `json:"customer_segmentation"`
}

var (
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
	leadPattern     = regexp.MustCompile(`^[1-9]\d{0,17}$`)
)

// hashedUser are the keys of user_data that are hashed, plainUser the others;
// those that find a person are true.
var (
	hashedUser = map[string]bool{"em": true, "ph": true, "ge": false, "db": false, "ln": false, "fn": false, "ct": false, "st": false, "zp": false, "country": false}
	plainUser  = map[string]bool{"external_id": true, "madid": true, "lead_id": true, "fbc": true, "fbp": true, "client_ip_address": false, "client_user_agent": false}
	sources    = []string{"physical_store", "website", "app", "phone_call", "chat", "email", "system_generated", "business_messaging", "other"}
)

// readDataset shows a data set.
func (n *Network) readDataset(c *call) (any, *apiError) {
	return n.selectFields(c, "AdsPixel", map[string]any{"id": c.dataset, "name": "Sandbox data set"}, "id", "name")
}

// sendEvents takes all events of a call, or none.
func (n *Network) sendEvents(c *call) (any, *apiError) {
	known := []string{"data", "test_event_code", "partner_agent", "upload_tag", "upload_id", "upload_source", "namespace_id", "trace", "progress", "access_token", "appsecret_proof", "appsecret_time"}
	for name := range c.params {
		if !slices.Contains(known, name) {
			return nil, invalidParam("The parameter " + name + " is not known")
		}
	}
	raw := c.params.structure("data")
	if len(raw) == 0 {
		return nil, missingParam("data")
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, invalidParam("data must be a list of events, and not empty")
	}
	if len(list) > maxConversions {
		return nil, invalidParam(fmt.Sprintf("data has more than %d events", maxConversions))
	}
	events := make([]Conversion, len(list))
	for i, one := range list {
		var err *apiError
		if events[i], err = n.readConversion(c, one); err != nil {
			return nil, err
		}
	}
	c.record.Rows = len(events)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, unknownError(0)
	}
	for _, e := range events {
		if !n.repeats(e) {
			n.conversions = append(n.conversions, e)
		}
	}
	c.record.Applied = true
	return map[string]any{"events_received": len(events), "messages": []string{}, "fbtrace_id": "A" + strconv.FormatUint(n.rand.Uint64(), 36)}, nil
}

// readConversion checks one event.
func (n *Network) readConversion(c *call, raw json.RawMessage) (Conversion, *apiError) {
	var in sentEvent
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		return Conversion{}, invalidParam("an event of data is not a valid structure")
	}
	seconds, err := strconv.ParseInt(in.Time.String(), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1e11 {
		return Conversion{}, badTime("event_time must be a Unix timestamp in seconds")
	}
	at := time.Unix(seconds, 0).UTC()
	oldest := conversionAge
	if in.ActionSource == "physical_store" {
		oldest = n.opts.StoreWindow
	}
	switch {
	case in.Name == "":
		return Conversion{}, missingParam("event_name")
	case !slices.Contains(sources, in.ActionSource):
		return Conversion{}, invalidParam("action_source is not one of those that are known")
	case c.at.Sub(at) > oldest || at.Sub(c.at) > time.Hour:
		return Conversion{}, badTime("event_time is too old, or still to come")
	case len(in.Options) > 1 || len(in.Options) == 1 && in.Options[0] != "LDU":
		return Conversion{}, invalidParam("data_processing_options is [] or [\"LDU\"]")
	case len(in.Options) == 0 && (in.Country != "" || in.State != ""):
		return Conversion{}, invalidParam("data_processing_options is missing")
	}
	if err := checkUser(in.User); err != nil {
		return Conversion{}, err
	}
	if err := checkCustom(in.Name, in.Custom); err != nil {
		return Conversion{}, err
	}
	return Conversion{
		Dataset: c.dataset, Name: in.Name, ID: in.ID, Time: at, ActionSource: in.ActionSource, User: in.User, Custom: in.Custom,
		Options: in.Options, Test: c.params.text("test_event_code"), At: c.at,
	}, nil
}

func badTime(message string) *apiError {
	e := invalidParam(message)
	e.subcode, e.title = codeTooOld, "Event timestamp refused"
	return e
}

// checkUser refuses user_data that finds nobody or has a value of another form.
func checkUser(user map[string]any) *apiError {
	finds := false
	for name, v := range user {
		hashedFinds, hashed := hashedUser[name]
		plainFinds, plain := plainUser[name]
		if !hashed && !plain {
			return invalidParam("user_data has a key that is not known")
		}
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		if len(list) == 0 || isList && (name == "fbc" || name == "fbp" || name == "madid" || strings.HasPrefix(name, "client_")) {
			return invalidParam("user_data." + name + " is not a value")
		}
		for _, one := range list {
			text := fmt.Sprint(one)
			_, isText := one.(string)
			switch {
			case text == "", !isText && name != "lead_id":
				return invalidParam("user_data." + name + " is not a value")
			case hashed && (!isHash(text) || text == hashOfNothing):
				return invalidParam("user_data." + name + " must be a SHA-256 in lower-case hexadecimal digits")
			case name == "lead_id" && !leadPattern.MatchString(text):
				return invalidParam("user_data.lead_id is not an id")
			case name == "client_ip_address" && !isAddress(text):
				return invalidParam("user_data.client_ip_address is not an address")
			case name == "madid" && !isDevice(text):
				return invalidParam("user_data.madid is not an advertising id")
			}
		}
		finds = finds || hashedFinds || plainFinds
	}
	if !finds {
		e := invalidParam("user_data has nothing that finds a person")
		e.subcode = 2804050
		return e
	}
	return nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// checkCustom refuses a price that is none.
func checkCustom(name string, custom map[string]any) *apiError {
	if v, ok := custom["value"]; ok {
		n, isNumber := v.(json.Number)
		f, err := strconv.ParseFloat(string(n), 64)
		if !isNumber || err != nil || math.IsInf(f, 0) || f < 0 {
			return invalidParam("custom_data.value must be a number")
		}
	}
	if v, ok := custom["currency"]; ok {
		if text, isText := v.(string); !isText || !currencyPattern.MatchString(text) {
			return invalidParam("custom_data.currency must be three capital letters")
		}
	}
	if v, ok := custom["order_id"]; ok {
		if text, isText := v.(string); !isText || text == "" {
			return invalidParam("custom_data.order_id must be a text")
		}
	}
	if name == "Purchase" && (custom["value"] == nil || custom["currency"] == nil) {
		return invalidParam("a Purchase needs custom_data.value and custom_data.currency")
	}
	return nil
}

// repeats reports whether an event is one that came before: by name and id, or
// in a shop by name and order. The caller holds the lock.
func (n *Network) repeats(e Conversion) bool {
	order := func(c Conversion) string {
		text, _ := c.Custom["order_id"].(string)
		if c.ActionSource != "physical_store" {
			return ""
		}
		return text
	}
	return slices.ContainsFunc(n.conversions, func(have Conversion) bool {
		if have.Dataset != e.Dataset || have.Name != e.Name || e.At.Sub(have.At) > repeatAge {
			return false
		}
		return e.ID != "" && have.ID == e.ID || order(e) != "" && order(have) == order(e)
	})
}

// Conversions returns the events of a data set that took effect, in the order in
// which they came, and whether there is such a data set.
func (n *Network) Conversions(dataset string) ([]Conversion, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Contains(n.opts.Datasets, dataset) {
		return nil, false
	}
	list := []Conversion{}
	for _, c := range n.conversions {
		if c.Dataset == dataset {
			list = append(list, c)
		}
	}
	return list, true
}
