package meta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// conversions sends events to a data set. Its methods may be called in parallel.
type conversions struct{ *destination }

// adjustConversions makes the provider's definition that of conversions.
func adjustConversions(d *provider.Definition) {
	d.RuleSet = conversionRules()
	d.MaxRows = maxEvents
	// The network drops an event that has the name and id of one before.
	d.Replay, d.ReplayWindow = provider.ReplayDeduplicated, eventMemory
	d.Deletes, d.Opens, d.Sizes, d.Replaces = false, false, false, false
	d.NewDestination = func(deps provider.Deps) (provider.Destination, error) {
		m, err := openAccount(deps)
		if err != nil {
			return nil, err
		}
		return &conversions{m}, nil
	}
}

// job is the settings of one job, checked.
type job struct {
	dataset, action, test string
	window                time.Duration
	limits                limits
}

func jobOf(config map[string]string) (job, error) {
	fields := conversionFields()
	set := func(name string) string { return provider.Setting(fields, config, name) }
	j := job{dataset: set(datasetField), action: set(actionField), test: set(testField), window: eventWindow(nil, config)}
	if !numberPattern.MatchString(j.dataset) {
		return j, invalid(datasetField, "the id of the data set must be digits, as Events Manager shows it")
	}
	if !slices.Contains(actionSources, j.action) {
		return j, invalid(actionField, "where conversions happen must be one of those that meta knows")
	}
	if n, err := strconv.Atoi(set(storeDaysField)); err != nil || n < eventDays || n > storeDays {
		return j, invalid(storeDaysField, "the oldest event of a shop must be from 7 to 62 days")
	}
	var err error
	j.limits, err = limitsOf(set)
	return j, err
}

// EnsureAudience proves that the data set is there for the token. A token that
// may send events and not read the data set passes: only sending will tell.
func (c *conversions) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	j, err := jobOf(a.Config)
	if err != nil {
		return "", err
	}
	var got struct {
		ID string `json:"id"`
	}
	_, err = c.call(ctx, http.MethodGet, j.dataset, url.Values{"fields": {"id"}}, nil, &got)
	switch {
	case codeIs(err, classPermission):
		return provider.RemoteID(j.dataset), nil
	case codeIs(err, classGone), codeIs(err, classData):
		return "", as(err, classDataset)
	case err != nil:
		return "", err
	case got.ID != j.dataset:
		return "", failure(classAnswer, envelope{})
	}
	return provider.RemoteID(j.dataset), nil
}

// Deliver sends events in one call. What Meta would refuse the whole call for is
// rejected here and not sent: an event too old, a purchase without a price.
func (c *conversions) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	j, err := jobOf(b.Audience.Config)
	if err != nil || b.Rows() == 0 {
		return activation.Receipt{}, err
	}
	if b.Rows() > maxEvents {
		return activation.Receipt{}, tooLarge(fmt.Sprintf("%d events, at most %d", b.Rows(), maxEvents))
	}
	if b.Op != activation.OpAdd {
		return activation.Receipt{}, invalid("op", "conversions are sent and not taken back")
	}
	body := c.bodies.Take()
	defer body.Release()
	body.B = append(body.B, `{"data":[`...)
	rc, sent := activation.Receipt{}, int64(0)
	for i := range b.Rows() {
		if !c.takes(j, b.Keys, b.Row(i)) {
			rc.Rejected++
			rc.Exceptions = append(rc.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: activation.Rejected, Code: classEvent.Code})
			continue
		}
		if sent++; sent > 1 {
			body.B = append(body.B, ',')
		}
		body.B = appendEvent(body.B, j, b.Keys, b.Row(i))
	}
	body.B = append(body.B, ']')
	if j.test != "" {
		body.B = appendText(append(body.B, `,"test_event_code":`...), []byte(j.test))
	}
	body.B = append(body.B, '}')
	if sent == 0 {
		return rc, nil
	}
	if len(body.B) > c.maxBytes {
		return activation.Receipt{}, tooLarge(fmt.Sprintf("%d bytes, at most %d", len(body.B), c.maxBytes))
	}
	var got struct {
		Received *number           `json:"events_received"`
		Messages []json.RawMessage `json:"messages"`
		Trace    string            `json:"fbtrace_id"`
	}
	a, err := c.call(ctx, http.MethodPost, j.dataset+"/events", nil, body, &got)
	switch {
	case codeIs(err, classGone):
		return activation.Receipt{}, as(err, classDataset)
	case err != nil:
		return activation.Receipt{}, err
	}
	id := safeID(got.Trace)
	if id == "" {
		id = requestID(a.Header)
	}
	if got.Received == nil || int64(*got.Received) != sent {
		e := failure(classAnswer, envelope{})
		e.Message = "meta's count of the events it received is not the number that was sent"
		e.RequestID, e.MayHaveApplied = id, true
		return activation.Receipt{}, e
	}
	rc.Accepted, rc.RequestID, rc.HTTPStatus, rc.Headers = sent, id, a.Status, keptHeaders(a.Header)
	c.log.DebugContext(ctx, "meta conversions delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt,
		"data_set", j.dataset, "events", sent, "rejected", rc.Rejected, "messages", len(got.Messages), "request_id", id)
	return rc, nil
}

// takes reports whether Meta takes an event, as far as that can be told.
func (c *conversions) takes(j job, keys []matchkey.Key, row [][]byte) bool {
	of := func(name string) []byte {
		i := slices.IndexFunc(keys, func(k matchkey.Key) bool { return k.Name == name })
		if i < 0 {
			return nil
		}
		return row[i]
	}
	at, err := strconv.ParseInt(string(of(keyEventTime)), 10, 64)
	name := of(keyEventName)
	switch {
	case err != nil || len(name) == 0 || len(of(keyEventID)) == 0:
		return false
	case c.now().Sub(time.Unix(at, 0)) >= j.window:
		return false
	case string(name) == purchase && !priced(of(keyValue), of(keyCurrency), of(keyCustom)):
		return false
	}
	return true
}

// priced reports whether a purchase has what it has to have.
func priced(value, currency, custom []byte) bool {
	has := map[string]json.RawMessage{}
	if len(custom) > 0 && json.Unmarshal(custom, &has) != nil {
		return false
	}
	given := func(name string) bool { return has[name] != nil && string(has[name]) != "null" }
	return (len(value) > 0 || given(keyValue)) && (len(currency) > 0 || given(keyCurrency))
}

// userKeys are Meta's names of what is known of the person: of keys of the
// destination's mapping, which are sent as lists of one, and of columns of the
// event, which are sent as they are.
var userKeys = map[string]string{
	"EXTERN_ID": "external_id", "EMAIL": "em", "PHONE": "ph", "FN": "fn", "LN": "ln", "GEN": "ge", "DOBY": "db", "CT": "ct", "ST": "st",
	"ZIP": "zp", "COUNTRY": "country", "MADID": "madid",
	keyClick: keyClick, keyBrowser: keyBrowser, keyAddress: keyAddress, keyAgent: keyAgent, keyLead: keyLead,
}

// listed are the keys that are sent as a list.
var listed = map[string]bool{
	"external_id": true, "em": true, "ph": true, "fn": true, "ln": true, "ge": true, "db": true, "ct": true, "st": true, "zp": true, "country": true,
}

// appendEvent appends one event. Its values have been normalised, and numbers
// among them are numbers of JSON.
func appendEvent(dst []byte, j job, keys []matchkey.Key, row [][]byte) []byte {
	dst = append(dst, `{"action_source":`...)
	dst = appendText(dst, []byte(j.action))
	for i, k := range keys {
		if len(row[i]) == 0 {
			continue
		}
		switch k.Name {
		case keyEventName, keyEventID, keySourceURL:
			dst = appendText(appendName(dst, ',', k.Name), row[i])
		case keyEventTime:
			dst = append(appendName(dst, ',', k.Name), row[i]...)
		}
	}
	dst = append(dst, `,"user_data":`...)
	dst = appendUser(dst, keys, row)
	dst = appendCustom(dst, keys, row)
	if j.limits.limited {
		dst = append(dst, `,"data_processing_options":["LDU"],"data_processing_options_country":`...)
		dst = strconv.AppendInt(dst, int64(j.limits.country), 10)
		dst = append(dst, `,"data_processing_options_state":`...)
		dst = strconv.AppendInt(dst, int64(j.limits.state), 10)
	}
	return append(dst, '}')
}

func appendName(dst []byte, before byte, name string) []byte {
	dst = append(dst, before)
	return append(appendText(dst, []byte(name)), ':')
}

func appendUser(dst []byte, keys []matchkey.Key, row [][]byte) []byte {
	before := byte('{')
	for i, k := range keys {
		name := userKeys[k.Name]
		if name == "" || len(row[i]) == 0 {
			continue
		}
		dst = appendName(dst, before, name)
		before = ','
		if listed[name] {
			dst = append(dst, '[')
		}
		switch {
		case k.Hash:
			dst = appendHex(dst, row[i])
		case name == keyLead:
			dst = append(dst, row[i]...)
		default:
			dst = appendText(dst, row[i])
		}
		if listed[name] {
			dst = append(dst, ']')
		}
	}
	if before == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendCustom appends custom_data where there is any: the object that a column
// gives, and over it the columns of their own.
func appendCustom(dst []byte, keys []matchkey.Key, row [][]byte) []byte {
	members := map[string]json.RawMessage{}
	for i, k := range keys {
		if k.Name == keyCustom && len(row[i]) > 0 && json.Unmarshal(row[i], &members) != nil {
			members = map[string]json.RawMessage{}
		}
	}
	for i, k := range keys {
		if len(row[i]) == 0 {
			continue
		}
		switch k.Name {
		case keyValue:
			members[k.Name] = bytes.Clone(row[i])
		case keyCurrency, keyOrder:
			members[k.Name] = appendText(nil, row[i])
		}
	}
	if len(members) == 0 {
		return dst
	}
	dst = append(dst, `,"custom_data":`...)
	before := byte('{')
	for _, name := range slices.Sorted(maps.Keys(members)) {
		dst = append(appendName(dst, before, name), members[name]...)
		before = ','
	}
	return append(dst, '}')
}
