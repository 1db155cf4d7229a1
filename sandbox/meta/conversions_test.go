package meta_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"usher/sandbox/meta"
)

const (
	eventsPath = "/v26.0/" + meta.DefaultDataset + "/events"
	someHash   = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
)

// purchase is the example of the contract, and what else Meta documents.
func purchase(p *peer) object {
	return object{
		"event_name": "Purchase", "event_time": p.clock.Now().Add(-time.Hour).Unix(), "action_source": "physical_store", "event_id": "o-1",
		"user_data": object{
			"em": []string{someHash}, "ph": []string{someHash}, "zp": []string{someHash}, "external_id": []string{"u-1"}, "lead_id": 525645896321548,
			"fbc": "fb.1.1554763741205.AbCdEfGhIjKlMnOpQrStUvWxYz1234567890", "client_ip_address": "2001:db8::1", "madid": "ea7583cd-a667-48bc-b806-42ecb2b48606",
		},
		"custom_data":             object{"currency": "USD", "value": 12.5, "order_id": "o-1", "contents": []object{{"id": "sku-1", "quantity": 1}}},
		"data_processing_options": []string{"LDU"}, "data_processing_options_country": 0, "data_processing_options_state": 0,
	}
}

func (p *peer) events(list ...object) reply {
	p.t.Helper()
	return p.call(http.MethodPost, eventsPath, object{"data": list, "test_event_code": "TEST1"})
}

func (p *peer) took() []meta.Conversion {
	p.t.Helper()
	list, ok := p.net.Conversions(meta.DefaultDataset)
	if !ok {
		p.t.Fatal("no such data set")
	}
	return list
}

func TestConversionsAreTaken(t *testing.T) {
	p := newPeer(t, meta.Options{})
	r := p.events(purchase(p))
	if r.status != http.StatusOK || r.body["events_received"] != 1.0 || r.body["fbtrace_id"] == nil || r.body["messages"] == nil {
		t.Fatalf("%d %s", r.status, r.text)
	}
	got := p.took()
	if len(got) != 1 || got[0].ID != "o-1" || got[0].Test != "TEST1" || got[0].Custom["value"] != json.Number("12.5") || len(got[0].Options) != 1 {
		t.Fatalf("%+v", got)
	}
	form := p.call(http.MethodGet, "/v26.0/"+meta.DefaultDataset+"?fields=id", nil)
	if form.body["id"] != meta.DefaultDataset {
		t.Fatalf("%s", form.text)
	}
}

func TestConversionsAreDeduplicated(t *testing.T) {
	p := newPeer(t, meta.Options{})
	first := purchase(p)
	p.events(first)
	p.events(first) // the same name and id
	other := purchase(p)
	other["event_id"] = "o-2"
	p.events(other) // another id, the same order in a shop
	lead := purchase(p)
	lead["event_name"], lead["custom_data"] = "Lead", object{}
	p.events(lead)
	p.events(lead, lead)
	if n := len(p.took()); n != 2 {
		t.Fatalf("%d events", n)
	}
	p.clock.pass(48*time.Hour + time.Second)
	p.events(first)
	if n := len(p.took()); n != 3 {
		t.Fatalf("%d events after two days", n)
	}
}

// TestConversionsOneWrongField refuses every single corruption, and then all of
// the call.
func TestConversionsOneWrongField(t *testing.T) {
	p := newPeer(t, meta.Options{})
	now := p.clock.Now()
	set := func(path string, v any) func(object) {
		return func(e object) {
			name, inner, deep := strings.Cut(path, ".")
			if deep {
				in, _ := e[name].(object)
				if v == nil {
					delete(in, inner)
					return
				}
				in[inner] = v
				return
			}
			if v == nil {
				delete(e, name)
				return
			}
			e[name] = v
		}
	}
	for _, tc := range []struct {
		name   string
		change func(object)
		want   string
	}{
		{"an unknown field", set("colour", "red"), "100"},
		{"no name", set("event_name", nil), "100"},
		{"no time", set("event_time", nil), "100/2804003"},
		{"milliseconds", set("event_time", now.UnixMilli()), "100/2804003"},
		{"a text for a time", set("event_time", now.Format(time.RFC3339)), "100"},
		{"too old for a shop", set("event_time", now.Add(-62*24*time.Hour-time.Minute).Unix()), "100/2804003"},
		{"to come", set("event_time", now.Add(2*time.Hour).Unix()), "100/2804003"},
		{"no source", set("action_source", nil), "100"},
		{"another source", set("action_source", "shop"), "100"},
		{"nobody", set("user_data", object{"fn": someHash, "client_user_agent": "x"}), "100/2804050"},
		{"an unknown user key", set("user_data.email", someHash), "100"},
		{"a bare address", set("user_data.em", []string{"ana@example.com"}), "100"},
		{"capital digits", set("user_data.em", []string{strings.ToUpper(someHash)}), "100"},
		{"the hash of nothing", set("user_data.em", []string{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}), "100"},
		{"an empty value", set("user_data.external_id", []string{""}), "100"},
		{"an empty list", set("user_data.ph", []string{}), "100"},
		{"a list of click ids", set("user_data.fbc", []string{"fb.1.1.x"}), "100"},
		{"no address", set("user_data.client_ip_address", "127.0.0"), "100"},
		{"no lead", set("user_data.lead_id", "l-1"), "100"},
		{"no device", set("user_data.madid", "EA7583CD-A667-48BC-B806-42ECB2B48606"), "100"},
		{"a price as text", set("custom_data.value", "12.5"), "100"},
		{"no price", set("custom_data.value", nil), "100"},
		{"no currency", set("custom_data.currency", nil), "100"},
		{"a small currency", set("custom_data.currency", "usd"), "100"},
		{"an order as a number", set("custom_data.order_id", 7), "100"},
		{"another option", set("data_processing_options", []string{"GDPR"}), "100"},
		{"options without their list", set("data_processing_options", []string{}), "100"},
	} {
		bad := purchase(p)
		tc.change(bad)
		if r := p.events(purchase(p), bad); r.fault() != tc.want {
			t.Errorf("%s: %d %s", tc.name, r.status, r.text)
		}
	}
	website := purchase(p)
	website["action_source"], website["event_time"] = "website", now.Add(-8*24*time.Hour).Unix()
	if r := p.events(website); r.fault() != "100/2804003" {
		t.Errorf("old event of a page: %s", r.text)
	}
	many := make([]object, 1001)
	for i := range many {
		many[i] = purchase(p)
	}
	if r := p.events(many...); r.fault() != "100" {
		t.Errorf("1,001 events: %s", r.text)
	}
	for _, path := range []string{"/v26.0/900000000000002/events", "/v26.0/" + meta.DefaultDataset + "/event"} {
		if r := p.call(http.MethodPost, path, object{"data": []object{purchase(p)}}); r.fault() != "100/33" {
			t.Errorf("%s: %s", path, r.text)
		}
	}
	if r := p.call(http.MethodPost, eventsPath, object{"data": []object{purchase(p)}, "dry_run": true}); r.fault() != "100" {
		t.Errorf("an unknown parameter: %s", r.text)
	}
	if r := p.call(http.MethodPost, eventsPath, object{"data": []object{}}); r.fault() != "100" {
		t.Errorf("no event: %s", r.text)
	}
	if n := len(p.took()); n != 0 {
		t.Fatal(fmt.Sprint(n) + " events of refused calls took effect")
	}
}
