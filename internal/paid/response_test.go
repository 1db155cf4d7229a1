package paid

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/currency"
)

var testNow = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// checked returns the row of a response in JSON, and the fields that are wrong.
func checked(t *testing.T, body string) (row, []string) {
	t.Helper()
	var r Response
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var wrong []string
	out := r.check(testNow, func(field, _ string, _ ...any) { wrong = append(wrong, field) })
	return out, wrong
}

func TestResponseIsChecked(t *testing.T) {
	ok := `"CustomerID":"c","Adset_id":"1"`
	for _, c := range []struct{ body, wrong string }{
		{`{` + ok + `}`, ""},
		{`{}`, "CustomerID Adset_id"},
		{`{"CustomerID":" ","ExternalAudienceId":"1"}`, "CustomerID"},
		{`{"CustomerID":"c","ExternalAudienceId":"1"}`, ""},
		{`{"CustomerID":"c","ExternalAudienceId":"1","Adset_id":"2"}`, "Adset_id"},
		{`{"CustomerID":"c\u0007","Adset_id":"1"}`, "CustomerID"},
		{`{` + ok + `,"time":"2026-11-02T09:00:00+01:00"}`, ""},
		{`{` + ok + `,"time":"2026-11-03T09:00:00Z"}`, ""},
		{`{` + ok + `,"time":"2026-11-03T09:00:01Z"}`, "time"},
		{`{` + ok + `,"time":"2016-11-02T09:00:00Z"}`, ""},
		{`{` + ok + `,"time":"2016-11-02T08:59:59Z"}`, "time"},
		{`{` + ok + `,"time":"2026-11-02 09:00"}`, "time"},
		{`{` + ok + `,"value":0,"currency":"eur"}`, ""},
		{`{` + ok + `,"value":"49.90","currency":"EUR"}`, ""},
		{`{` + ok + `,"value":49.9}`, "currency"},
		{`{` + ok + `,"currency":"EUR"}`, "value"},
		{`{` + ok + `,"value":-1,"currency":"EUR"}`, "value"},
		{`{` + ok + `,"value":1e3,"currency":"EUR"}`, "value"},
		{`{` + ok + `,"value":"1,5","currency":"EUR"}`, "value"},
		{`{` + ok + `,"value":"NaN","currency":"XXX"}`, "value currency"},
		{`{` + ok + `,"value":1,"currency":"EURO"}`, "currency"},
		{`{` + ok + `,"value":1,"currency":"U D"}`, "currency"},
		{`{` + ok + `,"event_id":"` + strings.Repeat("ü", 200) + `"}`, ""},
		{`{` + ok + `,"event_id":"` + strings.Repeat("ü", 201) + `","event_name":"` + strings.Repeat("x", 201) + `"}`, "event_id event_name"},
	} {
		if _, wrong := checked(t, c.body); strings.Join(wrong, " ") != c.wrong {
			t.Errorf("%s: wrong are %q, want %q", c.body, wrong, c.wrong)
		}
	}
}

func TestResponseAsTheStreamHasIt(t *testing.T) {
	got, _ := checked(t, `{"CustomerID":" c ","Adset_id":"1","value":49.90,"currency":"eur","event_id":"e","time":"2026-11-02T09:00:00.50+01:00"}`)
	want := row{Customer: "c", AdSet: "1", EventID: "e", EventName: "Purchase", Value: "49.90", Currency: "EUR", Time: "2026-11-02T08:00:00.5Z"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	bare, _ := checked(t, `{"CustomerID":"c","ExternalAudienceId":"a"}`)
	if bare.EventName != "Lead" || len(bare.EventID) != 32 || bare.Time != "" || bare.Audience != "a" {
		t.Errorf("what is left out becomes %+v", bare)
	}
	if other, _ := checked(t, `{"CustomerID":"c","ExternalAudienceId":"a"}`); other.EventID == bare.EventID {
		t.Error("two responses got one id")
	}
	if named, _ := checked(t, `{"CustomerID":"c","Adset_id":"a","event_name":"Subscribe","value":1,"currency":"USD"}`); named.EventName != "Subscribe" {
		t.Errorf("the event is called %q", named.EventName)
	}
	var r Response
	if err := json.Unmarshal([]byte(`{"value":[1]}`), &r); err == nil {
		t.Error("a list is taken for a number")
	}
}

// TestCurrencies: the list has the shape of one and everything that is tender
// somewhere by another list.
func TestCurrencies(t *testing.T) {
	all := strings.Fields(currencies)
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("the list is not in order, or has a code twice")
	}
	for _, c := range all {
		if !regexp.MustCompile(`^[A-Z]{3}$`).MatchString(c) || !isCurrency(c) {
			t.Errorf("%q is no code, or not found", c)
		}
	}
	for q := currency.Query(currency.Date(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))); q.Next(); {
		if c := q.Unit().String(); q.IsTender() && !isCurrency(c) {
			t.Errorf("%s, which is tender in %s, is missing", c, q.Region())
		}
	}
	for _, c := range []string{"XXX", "XAU", "XTS", "EU", "eur", "", " ", "UR ", "R\nU"} {
		if isCurrency(c) {
			t.Errorf("%q is taken for a currency", c)
		}
	}
}

// FuzzResponse: whatever comes, a row that is let through can be read by whoever
// reads rows: a time in one form, an amount in digits, texts without controls.
func FuzzResponse(f *testing.F) {
	f.Add(`{"CustomerID":"c","Adset_id":"1","value":49.90,"currency":"EUR","time":"2026-11-02T09:00:00+01:00"}`)
	f.Add(`{"CustomerID":"c\u0000","ExternalAudienceId":"é","value":"00.10"}`)
	f.Add(`{"time":"0001-01-01T00:00:00-23:59","value":1e400}`)
	f.Fuzz(func(t *testing.T, body string) {
		var r Response
		if json.Unmarshal([]byte(body), &r) != nil {
			return
		}
		wrong := 0
		got := r.check(testNow, func(string, string, ...any) { wrong++ })
		if wrong > 0 {
			return
		}
		again := Response{CustomerID: got.Customer, AdSet: got.AdSet, ExternalAudience: got.Audience, Time: got.Time, Value: Decimal(got.Value), Currency: got.Currency, EventID: got.EventID, EventName: got.EventName}
		if same := again.check(testNow, func(field, _ string, _ ...any) { t.Errorf("%s is wrong the second time", field) }); same != got {
			t.Errorf("checked again %+v is %+v", got, same)
		}
		if got.Time != "" {
			if at, err := time.Parse(time.RFC3339Nano, got.Time); err != nil || at.After(testNow.Add(24*time.Hour)) {
				t.Errorf("the time is %q", got.Time)
			}
		}
		if strings.ContainsAny(got.Value, "-+eE,") || (got.Value == "") != (got.Currency == "") || strings.ContainsRune(got.Customer, 0) {
			t.Errorf("the row is %+v", got)
		}
	})
}
