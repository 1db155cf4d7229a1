package google_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"usher/sandbox/google"
)

// TestExamplesAreAccepted: those of the API's guides.
func TestExamplesAreAccepted(t *testing.T) {
	p := newPeer(t, google.Options{})
	made := p.call("POST", lists, listBody)
	p.wants(made, 200, "")
	if _, _, err := google.Judge("UserList", []byte(made.text)); err != nil {
		t.Errorf("the list is not as Google defines it: %v", err)
	}
	id := made.body["id"].(string)
	for path, body := range map[string]string{
		"/v1/audienceMembers:ingest": membersBody(id), "/v1/events:ingest": eventsBody,
		"/v1/audienceMembers:remove": strings.Replace(strings.Replace(membersBody(id), `"consent":{"adUserData":"CONSENT_GRANTED","adPersonalization":"CONSENT_GRANTED"},`, "", 1), `,
 "termsOfService":{"customerMatchTermsOfServiceStatus":"ACCEPTED"}`, "", 1),
		"/v1/audienceMembers:removeAll": `{"destinations":[{"operatingAccount":{"accountType":"GOOGLE_ADS","accountId":"1234567890"},"productDestinationId":"` + id + `"}],"removeAsOfTime":"2026-11-22T11:00:00Z"}`,
	} {
		s := p.call("POST", path, body)
		p.wants(s, 200, "")
		if id, _ := s.body["requestId"].(string); id == "" {
			t.Errorf("%s: no request id", path)
		} else if state := p.status(id)["requestStatus"]; state != "SUCCESS" {
			t.Errorf("%s: %v", path, state)
		}
	}
	if got := p.call("POST", "/v1/events:ingest", strings.Replace(eventsBody, `"encoding":"HEX"`, `"encoding":"HEX","validateOnly":true`, 1)); got.status != 200 || got.body["requestId"] != nil {
		t.Errorf("a validation has a request id: %s", got.text)
	}
}

// TestEveryCorruptionIsRefused changes one thing of a valid body at a time: each
// name, each type, and each value that has a form.
func TestEveryCorruptionIsRefused(t *testing.T) {
	p := newPeer(t, google.Options{PerMinute: 1_000_000})
	id := p.list("L", "CONTACT_ID")
	for path, text := range map[string]string{"/v1/audienceMembers:ingest": membersBody(id), "/v1/events:ingest": strings.Replace(eventsBody, `"consent"`, `"userData":{"userIdentifiers":[{"emailAddress":"`+alex+`"}]},"consent"`, 1), lists: strings.Replace(listBody, "Lapsed VIPs", "Another", 1)} {
		var body any
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		count := 0
		corrupt(body, "", func(what string) {
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if s := p.call("POST", path, string(raw)); s.status == 200 {
				t.Errorf("%s: %s is accepted", path, what)
			}
			count++
		})
		p.wants(p.call("POST", path, text), 200, "") // whole again
		if count < 15 {
			t.Errorf("%s: only %d corruptions were tried", path, count)
		}
	}
}

// broken are values that a field does not take.
var broken = map[string][]any{
	"emailAddress": {"alex@example.com", alex[:62], "zz" + alex[2:], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""}, "phoneNumber": {"+18005550100", ""},
	"givenName": {"alex", ""}, "familyName": {"quinn", ""}, "regionCode": {"us", "USA", ""}, "postalCode": {"9404", " 94045", ""},
	"accountId": {"123-456-7890", "", "x"}, "productDestinationId": {"customers/1/userLists/2", "", "x"}, "encoding": {"HEXADECIMAL", "BASE64", "ENCODING_UNSPECIFIED"},
	"accountType": {"GOOGLE", "ACCOUNT_TYPE_UNSPECIFIED"}, "adUserData": {"GRANTED"}, "adPersonalization": {"YES"}, "customerMatchTermsOfServiceStatus": {"REJECTED", "YES"},
	"eventTimestamp": {"yesterday", "2026-11-20", "2020-01-01T00:00:00Z", "2026-12-24T00:00:00Z"}, "eventSource": {"SHOP"}, "currency": {"eur", "EURO", "€"},
	"conversionValue": {"many", true},
	"displayName":     {"", "L"}, "membershipDuration": {"540d", "1s", "86401s", "46742400s", "-86400s"}, "uploadKeyTypes": {[]any{}, []any{"EMAIL"}, []any{"CONTACT_ID", "MOBILE_ID"}},
	"dataSourceType": {"FIRST_PARTY"},
}

// corrupt calls try with the tree changed in one place, each place in turn.
func corrupt(node any, path string, try func(what string)) {
	switch n := node.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(n)) {
			old, at := n[name], path+"."+name
			delete(n, name)
			n[name+"s"] = old
			try(at + " renamed")
			delete(n, name+"s")
			for _, v := range append([]any{map[string]any{"x": "y"}}, broken[name]...) {
				n[name] = v
				try(fmt.Sprintf("%s = %v", at, v))
			}
			n[name] = old
			corrupt(old, at, try)
		}
	case []any:
		for i, v := range n {
			corrupt(v, fmt.Sprintf("%s[%d]", path, i), try)
		}
	}
}

func TestRefusalsNameTheirReason(t *testing.T) {
	p := newPeer(t, google.Options{Accounts: []string{"1234567890", "1112223333"}, ConversionActions: []string{"4455"}})
	contacts, mobiles := p.list("C", "CONTACT_ID"), p.list("M", "MOBILE_ID")
	members := membersBody(contacts)
	one := `{"userData":{"userIdentifiers":[{"emailAddress":"` + alex + `"}]}}`
	destination := `{"operatingAccount":{"accountType":"GOOGLE_ADS","accountId":"1234567890"},"productDestinationId":"` + contacts + `"}`
	simple := func(members string) string {
		return `{"destinations":[` + destination + `],"audienceMembers":[` + members + `],"encoding":"HEX","termsOfService":{"customerMatchTermsOfServiceStatus":"ACCEPTED"}}`
	}
	event := eventsBody[strings.Index(eventsBody, `{"transactionId"`):strings.Index(eventsBody, `],"encoding"`)]
	ingest, remove, events := "/v1/audienceMembers:ingest", "/v1/audienceMembers:remove", "/v1/events:ingest"
	for _, tc := range []struct {
		name, path, body string
		status           int
		reason           string
	}{
		{"one after ten thousand", ingest, simple(strings.Repeat(one+",", 10_000) + one), 400, "TOO_MANY_AUDIENCE_MEMBERS"},
		{"eleven identifiers", ingest, simple(`{"userData":{"userIdentifiers":[` + strings.Repeat(`{"emailAddress":"`+alex+`"},`, 10) + `{"emailAddress":"` + alex + `"}]}}`), 400, "TOO_MANY_USER_IDENTIFIERS"},
		{"no identifiers", ingest, simple(`{"userData":{"userIdentifiers":[]}}`), 400, "REQUIRED_FIELD_MISSING"},
		{"no data", ingest, simple(`{}`), 400, "INVALID_AUDIENCE_MEMBER"},
		{"two of a oneof", ingest, simple(`{"userData":{"userIdentifiers":[{"emailAddress":"` + alex + `","phoneNumber":"` + phone + `"}]}}`), 400, "INVALID_ARGUMENT"},
		{"two kinds of data", ingest, simple(one + `,{"mobileData":{"mobileIds":["EA7583CD-A667-48BC-B806-42ECB2B48606"]}}`), 400, "MULTIPLE_DATA_TYPES_NOT_ALLOWED"},
		{"two kinds in one member", ingest, simple(strings.Replace(one, "{", `{"userIdData":{"userId":"1"},`, 1)), 400, "INVALID_ARGUMENT"},
		{"a mobile id that is none", ingest, strings.Replace(simple(`{"mobileData":{"mobileIds":["EA7583CD"]}}`), contacts, mobiles, 1), 400, "INVALID_MOBILE_ID_FORMAT"},
		{"a list of another kind", ingest, strings.Replace(simple(one), contacts, mobiles, 1), 400, "INVALID_USER_LIST_TYPE"},
		{"no such list", ingest, strings.Replace(simple(one), contacts, "77", 1), 400, "INVALID_USER_LIST_ID"},
		{"no terms", ingest, strings.Replace(members, "ACCEPTED", "TERMS_OF_SERVICE_STATUS_UNSPECIFIED", 1), 400, "TERMS_AND_CONDITIONS_NOT_SIGNED"},
		{"consent on a removal", remove, members, 400, "INVALID_ARGUMENT"},
		{"eleven destinations", ingest, strings.Replace(simple(one), destination, strings.Repeat(destination+",", 10)+destination, 1), 400, "TOO_MANY_DESTINATIONS"},
		{"one reference twice", ingest, strings.Replace(simple(one), destination, strings.Repeat(strings.Replace(destination, "{", `{"reference":"a",`, 1)+",", 1)+strings.Replace(destination, "{", `{"reference":"a",`, 1), 1), 400, "DUPLICATE_DESTINATION_REFERENCE"},
		{"a linked account without a partner", ingest, strings.Replace(simple(one), `"operatingAccount"`, `"linkedAccount":{"accountType":"GOOGLE_ADS","accountId":"1"},"operatingAccount"`, 1), 400, "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT"},
		{"another account", ingest, strings.Replace(simple(one), "1234567890", "5", 1), 403, "PERMISSION_DENIED"},
		{"one event after two thousand", events, strings.Replace(eventsBody, event, strings.Repeat(event+",", 2000)+event, 1), 400, "TOO_MANY_EVENTS"},
		{"no such action", events, strings.Replace(eventsBody, "4455", "4456", 1), 400, "INVALID_CONVERSION_ACTION_ID"},
		{"nothing to match by", events, strings.Replace(eventsBody, `"adIdentifiers":{"gclid":"EAIa"},`, "", 1), 400, "NO_IDENTIFIERS_PROVIDED"},
		{"an old event", events, strings.Replace(eventsBody, "2026-11-20", "2026-08-01", 1), 400, "EVENT_TIME_INVALID"},
		{"a currency that is none", events, strings.Replace(eventsBody, `"EUR"`, `"eur"`, 1), 400, "INVALID_CURRENCY_CODE"},
		{"a name that is taken", lists, strings.Replace(listBody, "Lapsed VIPs", "C", 1), 400, "DISPLAY_NAME_ALREADY_USED"},
		{"not JSON", ingest, "{", 400, "INVALID_ARGUMENT"},
		{"no such method", "/v1/audienceMembers:purge", "{}", 404, "NOT_FOUND"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.t = t
			p.wants(p.call("POST", tc.path, tc.body), tc.status, tc.reason)
		})
	}
	p.t = t
	if n := len(p.net.Requests()); n != 0 {
		t.Errorf("%d refused requests were accepted", n)
	}
}

// FuzzJudge: no body breaks it, and what it takes it takes again.
func FuzzJudge(f *testing.F) {
	f.Add("IngestAudienceMembersRequest", []byte(membersBody("1")))
	f.Add("IngestEventsRequest", []byte(eventsBody))
	f.Add("UserList", []byte(listBody))
	f.Fuzz(func(t *testing.T, message string, body []byte) {
		canonical, _, err := google.Judge(message, body)
		if err != nil {
			return
		}
		if _, _, err := google.Judge(message, canonical); err != nil {
			t.Errorf("what was taken is refused: %v", err)
		}
	})
}
