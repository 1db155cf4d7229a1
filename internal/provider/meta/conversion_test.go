package meta

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

const testDataset = "900000000000001"

// conversionRow is a batch of one event with these raw values, normalised as
// they would be, sent at a fixed time.
func conversionRow(t *testing.T, job, raw map[string]string) provider.Batch {
	t.Helper()
	keys := append(eventKeys(), conversionRules().Keys...)
	b := provider.Batch{Op: activation.OpAdd, Remote: testDataset, Audience: provider.Audience{Config: map[string]string{datasetField: testDataset}}}
	for k, v := range job {
		b.Audience.Config[k] = v
	}
	set := matchkey.Set{}
	var values []string
	for _, k := range keys {
		if v, ok := raw[k.Name]; ok {
			set.Keys, set.Fields = append(set.Keys, k), append(set.Fields, k.Name)
			values = append(values, v)
		}
	}
	out := make([][]byte, len(values))
	set.Compute(values, out, nil)
	b.Keys, b.Values = set.Keys, out
	return b
}

var eventAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func example() map[string]string {
	return map[string]string{
		"event_name": "Purchase", "event_time": eventAt.Add(-time.Hour).Format(time.RFC3339), "event_id": "o-1", "value": "12.50", "currency": "usd", "order_id": "o-1",
		"fbc": "fb.1.1.x", "client_ip_address": "::ffff:203.0.113.9", "client_user_agent": `Mozilla "5"`, "lead_id": "l:525645896321548",
		"custom_data": `{"contents": [{"id": "s", "quantity": 1}], "value": 99, "order_id": "other"}`,
		"EMAIL":       "Ana@Example.com", "EXTERN_ID": "u-1", "DOBY": "1990-1-2", "DOBM": "", "FI": "a", "ZIP": "94105-1234", "COUNTRY": "US", "MADID": "EA7583CD-A667-48BC-B806-42ECB2B48606",
	}
}

func conversionsOf(t *testing.T, answers ...answer) (*conversions, *network) {
	t.Helper()
	m, n := open(t, answers...)
	m.now = func() time.Time { return eventAt }
	return &conversions{m}, n
}

func TestConversionBody(t *testing.T) {
	raw := example()
	raw["DOBY"], raw["DOBM"], raw["DOBD"] = "1990", "1", "02"
	c, n := conversionsOf(t, answer{body: `{"events_received":1,"messages":["x"],"fbtrace_id":"AbC_1"}`})
	rc, err := c.Deliver(context.Background(), conversionRow(t, map[string]string{testField: "TEST1", optionsField: "LDU", optionsCountry: "1", optionsState: "1000"}, raw))
	if err != nil || rc.Accepted != 1 || rc.RequestID != "AbC_1" || rc.HTTPStatus != 200 {
		t.Fatalf("%+v %v", rc, err)
	}
	_, sent, _ := strings.Cut(n.calls[0], "\n\n")
	var got, want any
	if err := json.Unmarshal([]byte(sent), &got); err != nil {
		t.Fatalf("%v in %s", err, sent)
	}
	expected := `{"data":[{"action_source":"physical_store","event_name":"Purchase","event_time":` + strconv.FormatInt(eventAt.Add(-time.Hour).Unix(), 10) + `,"event_id":"o-1",
		"user_data":{"fbc":"fb.1.1.x","lead_id":525645896321548,"client_ip_address":"203.0.113.9","client_user_agent":"Mozilla \"5\"",
		"external_id":["u-1"],"em":["` + sum("ana@example.com") + `"],"db":["` + sum("19900102") + `"],"zp":["` + sum("94105") + `"],"country":["` + sum("us") + `"],"madid":"ea7583cd-a667-48bc-b806-42ecb2b48606"},
		"custom_data":{"contents":[{"id":"s","quantity":1}],"currency":"USD","order_id":"o-1","value":12.50},
		"data_processing_options":["LDU"],"data_processing_options_country":1,"data_processing_options_state":1000}],"test_event_code":"TEST1"}`
	if err := json.Unmarshal([]byte(expected), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.MarshalIndent(got, "", " ")
	b, _ := json.MarshalIndent(want, "", " ")
	if string(a) != string(b) {
		t.Errorf("sent %s\nwant %s", a, b)
	}
	if !strings.HasPrefix(n.calls[0], "POST /v26.0/"+testDataset+"/events\n") {
		t.Errorf("called %s", n.calls[0])
	}
}

// TestConversionsAreJudgedBefore rejects what would have the whole call refused.
func TestConversionsAreJudgedBefore(t *testing.T) {
	for _, tc := range []struct {
		name   string
		job    map[string]string
		change map[string]string
		sent   bool
	}{
		{"as it is", nil, nil, true},
		{"a purchase without a value", nil, map[string]string{"value": "", "custom_data": ""}, false},
		{"a value that is none", nil, map[string]string{"value": "12,50", "custom_data": ""}, false},
		{"a value in the further data", nil, map[string]string{"value": ""}, true},
		{"a purchase without a currency", nil, map[string]string{"currency": "dollars"}, false},
		{"a lead without a value", nil, map[string]string{"event_name": "Lead", "value": "", "currency": "", "custom_data": ""}, true},
		{"a shop, 61 days", nil, map[string]string{"event_time": eventAt.Add(-61 * 24 * time.Hour).Format(time.RFC3339)}, true},
		{"a shop, 62 days", nil, map[string]string{"event_time": eventAt.Add(-62 * 24 * time.Hour).Format(time.RFC3339)}, false},
		{"a shop, 8 of 7 days", map[string]string{storeDaysField: "7"}, map[string]string{"event_time": eventAt.Add(-8 * 24 * time.Hour).Format(time.RFC3339)}, false},
		{"a page, 8 days", map[string]string{actionField: "website"}, map[string]string{"event_time": eventAt.Add(-8 * 24 * time.Hour).Format(time.RFC3339)}, false},
		{"milliseconds", nil, map[string]string{"event_time": strconv.FormatInt(eventAt.UnixMilli(), 10)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw := example()
			for k, v := range tc.change {
				raw[k] = v
			}
			var answers []answer
			if tc.sent {
				answers = append(answers, answer{body: `{"events_received":1}`})
			}
			c, n := conversionsOf(t, answers...)
			rc, err := c.Deliver(context.Background(), conversionRow(t, tc.job, raw))
			if err != nil || (rc.Accepted == 1) != tc.sent || len(n.calls) == 1 != tc.sent {
				t.Fatalf("%+v %v, %d calls", rc, err, len(n.calls))
			}
			if !tc.sent && (rc.Rejected != 1 || rc.Exceptions[0].Code != "META-EVENT" || rc.Exceptions[0].Outcome != activation.Rejected) {
				t.Fatalf("%+v", rc)
			}
		})
	}
}

func TestConversionSettings(t *testing.T) {
	for name, value := range map[string]string{
		datasetField: "pixel", actionField: "shop", storeDaysField: "63", optionsField: "yes", optionsCountry: "x", optionsState: "-1",
	} {
		c, _ := conversionsOf(t)
		_, err := c.Deliver(context.Background(), conversionRow(t, map[string]string{name: value}, example()))
		if e := asError(t, err); e.Kind != activation.Invalid || e.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := eventWindow(nil, map[string]string{actionField: "website", storeDaysField: "30"}); got != 7*24*time.Hour {
		t.Errorf("a page: %v", got)
	}
	if got := eventWindow(nil, map[string]string{storeDaysField: "30"}); got != 30*24*time.Hour {
		t.Errorf("a shop: %v", got)
	}
}

func TestConversionAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  answer
		kind    activation.Kind
		code    string
		applied bool
	}{
		{"too old", answer{status: 400, body: `{"error":{"code":100,"error_subcode":2804003}}`}, activation.RefusedWhole, "META-DATA", false},
		{"no data set", answer{status: 400, body: `{"error":{"code":100,"error_subcode":33}}`}, activation.Invalid, "META-DATASET", false},
		{"another count", answer{body: `{"events_received":2}`}, activation.Unavailable, "META-ANSWER", true},
		{"no count", answer{body: `{}`}, activation.Unavailable, "META-ANSWER", true},
		{"out of order", answer{status: 500, body: `{"error":{"code":2}}`}, activation.Unavailable, "META-UNAVAILABLE", true},
	} {
		c, _ := conversionsOf(t, tc.answer)
		_, err := c.Deliver(context.Background(), conversionRow(t, nil, example()))
		if e := asError(t, err); e.Kind != tc.kind || e.Code != tc.code || e.MayHaveApplied != tc.applied {
			t.Errorf("%s: %v, applied %v", tc.name, err, e.MayHaveApplied)
		}
	}
	audience := provider.Audience{Marker: "m", Name: "n", Config: map[string]string{datasetField: testDataset}}
	for _, tc := range []struct {
		answer answer
		code   string
	}{
		{answer{body: `{"id":"` + testDataset + `"}`}, ""},
		{answer{status: 403, body: `{"error":{"code":200}}`}, ""}, // may send and not look
		{answer{status: 400, body: `{"error":{"code":100,"error_subcode":33}}`}, "META-DATASET"},
		{answer{body: `{"id":"1"}`}, "META-ANSWER"},
		{answer{status: 401, body: `{"error":{"code":190}}`}, "META-AUTH"},
	} {
		c, n := conversionsOf(t, tc.answer)
		id, err := c.EnsureAudience(context.Background(), audience)
		if tc.code == "" && (err != nil || id != testDataset || !strings.HasPrefix(n.calls[0], "GET ")) || tc.code != "" && asError(t, err).Code != tc.code {
			t.Errorf("%s: %q %v", tc.answer.body, id, err)
		}
	}
}

// FuzzConversionKeys: what comes out of a rule goes through it unchanged, and a
// body of such values is JSON.
func FuzzConversionKeys(f *testing.F) {
	for _, v := range []string{"2026-11-22T12:00:00Z", "1780000000", "1780000000000", "00012.50", "usd", "l:12", "::ffff:1.2.3.4", `{"a":[1, 2]}`, "https://x/", "1990-01-02", "19900102", "a\xffb", "\u2028"} {
		f.Add(v, "7", "3")
	}
	f.Fuzz(func(t *testing.T, value, month, day string) {
		row := fuzzRow{"DOBM": month, "DOBD": day, "COUNTRY": "us"}
		birth, _ := conversionRules().Key("DOBY") // the others have fuzz tests of their own
		for _, k := range append(eventKeys(), birth) {
			once := k.Normalize(value, row)
			if again := k.Normalize(once, row); once != "" && again != once {
				t.Errorf("%s: %q, then %q", k.Name, once, again)
			}
		}
		raw := example()
		for _, name := range []string{"event_name", "event_id", "value", "order_id", "fbc", "lead_id", "custom_data", "client_user_agent", "client_ip_address"} {
			raw[name] = value
		}
		b := conversionRow(t, nil, raw)
		if body := appendEvent(nil, job{action: physicalStore}, b.Keys, b.Values); !json.Valid(body) {
			t.Errorf("no JSON: %s", body)
		}
	})
}

type fuzzRow map[string]string

func (r fuzzRow) Value(key string) string { return r[key] }
func (fuzzRow) DefaultCountry() string    { return "" }

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// TestAPriceIsOne: null in the further data is no price, for which Meta would
// refuse the whole call.
func TestAPriceIsOne(t *testing.T) {
	for custom, want := range map[string]bool{
		`{"value":1,"currency":"EUR"}`: true, `{"value":null,"currency":"EUR"}`: false, `{"value":1,"currency":null}`: false, `{}`: false,
	} {
		if got := priced(nil, nil, []byte(custom)); got != want {
			t.Errorf("%s: %t", custom, got)
		}
	}
}
