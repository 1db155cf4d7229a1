package google_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/google"
)

// TestOnlyTheNamedRowsAreRejected plays a Google that refuses a request for the
// rows it does not like, a few at a time. Whatever it does not like, the receipt
// names it, and nothing else.
func TestOnlyTheNamedRowsAreRejected(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "rows")
		bad := map[int]bool{}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 8).Draw(rt, "bad") {
			bad[i] = true
		}
		atOnce := rapid.IntRange(1, 4).Draw(rt, "named at once")
		b := people(t, n)
		digest := map[string]int{}
		for i := range n {
			digest[fmt.Sprintf("%x", b.Row(i)[0])] = i
		}
		f := &far{answer: func(_ int, _ *http.Request, body []byte) (int, string) {
			var in struct {
				AudienceMembers []struct {
					UserData struct {
						UserIdentifiers []struct{ EmailAddress string }
					}
				}
			}
			if err := json.Unmarshal(body, &in); err != nil {
				rt.Fatal(err)
			}
			var named []string
			for i, m := range in.AudienceMembers {
				if bad[digest[m.UserData.UserIdentifiers[0].EmailAddress]] && len(named) < 2*atOnce {
					named = append(named, fmt.Sprintf("audience_members[%d].user_data.user_identifiers[0].email_address", i), "INVALID_SHA256_FORMAT")
				}
			}
			if len(named) > 0 {
				return 400, failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violations(named...))
			}
			return 200, `{"requestId":"r1"}`
		}}
		d := open(t, f)
		rc, err := d.Deliver(context.Background(), b)
		if rounds := (len(bad) + atOnce - 1) / atOnce; rounds >= 8 && len(bad) < n {
			if activation.KindOf(err) != activation.RefusedWhole {
				rt.Fatalf("after %d rounds: %v", rounds, err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if rc.PollToken != "" {
			if rc.Accepted+rc.Rejected+rc.Unsent+rc.Unknown != 0 || !rc.PollAfter.Equal(now.Add(30*time.Minute)) || rc.RequestID != "r1" {
				rt.Fatalf("waiting: %+v", rc)
			}
			f.answer = func(int, *http.Request, []byte) (int, string) {
				return 200, `{"requestStatusPerDestination":[{"requestStatus":"SUCCESS"}]}`
			}
			if rc, err = d.Poll(context.Background(), rc.PollToken, int64(n)); err != nil {
				rt.Fatal(err)
			}
		}
		var named []int
		for _, x := range rc.Exceptions {
			if x.Outcome != activation.Rejected || x.Code != "GOOGLE-FORMAT" {
				rt.Fatalf("%+v", x)
			}
			named = append(named, int(x.Ordinal))
		}
		if want := slices.Sorted(maps.Keys(bad)); !slices.Equal(named, want) || rc.Rejected != int64(len(bad)) || rc.Accepted != int64(n-len(bad)) {
			rt.Fatalf("named %v, want %v: %+v", named, want, rc)
		}
	})
}

// row makes one row of these keys.
func row(t *testing.T, op activation.Op, config map[string]string, values map[string][]byte) provider.Batch {
	t.Helper()
	b := provider.Batch{Op: op, Remote: "1", Audience: provider.Audience{Config: config}}
	for _, k := range google.RuleSet().Keys {
		if v, ok := values[k.Name]; ok {
			b.Keys = append(b.Keys, k)
			b.Values = append(b.Values, v)
		}
	}
	return b
}

// TestBadRowsStayHere: one of them would refuse all others.
func TestBadRowsStayHere(t *testing.T) {
	sum := sha256.Sum256([]byte("alexz@example.com"))
	empty := sha256.Sum256(nil)
	whole := fmt.Sprintf("%x %x US 94045", sum, sum)
	with := func(more ...string) map[string]string {
		out := maps.Clone(accepted)
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	for _, tc := range []struct {
		name   string
		config map[string]string
		values map[string][]byte
		code   string // "" = sent
	}{
		{"an e-mail", with(), map[string][]byte{"email_address": sum[:]}, ""},
		{"an address", with(), map[string][]byte{"postal_code": []byte(whole)}, ""},
		{"nothing", with(), map[string][]byte{"email_address": nil}, "GOOGLE-NOKEY"},
		{"parts of an address", with(), map[string][]byte{"given_name": sum[:], "region_code": []byte("US")}, "GOOGLE-NOKEY"},
		{"the hash of nothing", with(), map[string][]byte{"email_address": empty[:]}, "GOOGLE-FORMAT"},
		{"half a hash", with(), map[string][]byte{"phone_number": sum[:16]}, "GOOGLE-FORMAT"},
		{"an address that is a code only", with(), map[string][]byte{"email_address": sum[:], "postal_code": []byte("94045")}, "GOOGLE-FORMAT"},
		{"an address of nobody", with(), map[string][]byte{"postal_code": fmt.Appendf(nil, "%x %x US 94045", sum, empty)}, "GOOGLE-FORMAT"},
		{"an e-mail for a list of devices", with("upload_key_type", "MOBILE_ID"), map[string][]byte{"email_address": sum[:]}, "GOOGLE-NOKEY"},
		{"a device", with("upload_key_type", "MOBILE_ID"), map[string][]byte{"mobile_id": []byte("ea7583cd-a667-48bc-b806-42ecb2b48606")}, ""},
		{"a device for a list of contacts", with(), map[string][]byte{"mobile_id": []byte("ea7583cd-a667-48bc-b806-42ecb2b48606")}, "GOOGLE-NOKEY"},
		{"an id of our own", with("upload_key_type", "USER_ID"), map[string][]byte{"user_id": []byte("c-1")}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := always(200, `{"requestId":"r1"}`)
			rc, err := open(t, f).Deliver(context.Background(), row(t, activation.OpAdd, tc.config, tc.values))
			switch {
			case err != nil:
				t.Fatal(err)
			case tc.code == "" && (rc.PollToken == "" || len(f.calls) != 1):
				t.Errorf("%+v", rc)
			case tc.code != "" && (len(f.calls) != 0 || rc.Rejected != 1 || rc.Exceptions[0].Code != tc.code):
				t.Errorf("%d calls, %+v", len(f.calls), rc)
			}
		})
	}
}

// TestTermsComeFirst: nobody is sent before somebody accepted them; taking
// people out needs none.
func TestTermsComeFirst(t *testing.T) {
	f := always(200, `{"requestId":"r1"}`)
	d := open(t, f)
	b := people(t, 1)
	b.Audience.Config = nil
	_, err := d.Deliver(context.Background(), b)
	if e := wrong(t, err); e.Kind != activation.Invalid || e.Field != "customer_match_terms" || len(f.calls) != 0 {
		t.Error(e)
	}
	if _, err := d.EnsureAudience(context.Background(), b.Audience); wrong(t, err).Field != "customer_match_terms" {
		t.Error(err)
	}
	b.Op = activation.OpRemove
	if _, err := d.Deliver(context.Background(), b); err != nil {
		t.Error(err)
	}
	if body := string(f.bodies[0]); strings.Contains(body, "terms") || strings.Contains(body, "consent") {
		t.Errorf("a removal says %s", body)
	}
}

func poll(t *testing.T, answer, token string, rows int64) (activation.Receipt, error) {
	t.Helper()
	return open(t, always(200, answer)).Poll(context.Background(), token, rows)
}

func told(status string, errors string) string {
	return `{"requestStatusPerDestination":[{"destination":{"productDestinationId":"998877"},"requestStatus":"` + status + `","errorInfo":{"errorCounts":[` + errors + `]},
	"audienceMembersIngestionStatus":{"userDataIngestionStatus":{"recordCount":"9000","userIdentifierCount":"15000","uploadMatchRateRange":"MATCH_RATE_RANGE_51_TO_60"}}}]}`
}

func count(reason string, n int) string {
	return fmt.Sprintf(`{"recordCount":"%d","reason":"PROCESSING_ERROR_REASON_%s"}`, n, reason)
}

func TestStatusOfARequest(t *testing.T) {
	const token = `{"request":"r1","op":"add","rejected":{"1":"GOOGLE-FORMAT"}}` // row 1 of 10 was rejected before
	for _, tc := range []struct {
		name, answer                         string
		accepted, rejected, unsent, unplaced int64
		code                                 string // of the rows but number 1
		waits                                bool
		errors                               string
	}{
		{"success", told("SUCCESS", ""), 9, 1, 0, 0, "", false, ""},
		{"processing", told("PROCESSING", ""), 0, 0, 0, 0, "", true, ""},
		{"unknown to google", told("REQUEST_STATUS_UNKNOWN", ""), 0, 0, 0, 0, "", true, ""},
		{"a word of tomorrow", told("PAUSED", ""), 0, 0, 0, 0, "", true, ""},
		{"nothing said", `{}`, 0, 0, 0, 0, "", true, ""},
		{"partly", told("PARTIAL_SUCCESS", count("INVALID_FORMAT", 2)+","+count("DENIED_CONSENT", 1)), 9, 1, 0, 3, "", false, "DENIED_CONSENT=1, INVALID_FORMAT=2"},
		{"partly, more than there are", told("PARTIAL_SUCCESS", count("INVALID_FORMAT", 99)), 9, 1, 0, 9, "", false, "INVALID_FORMAT=99"},
		{"partly there already", told("PARTIAL_SUCCESS", count("DUPLICATE_TRANSACTION_ID", 4)), 9, 1, 0, 0, "", false, "DUPLICATE_TRANSACTION_ID=4"},
		{"all there already", told("FAILED", count("DUPLICATE_TRANSACTION_ID", 8)+","+count("DUPLICATE_GCLID", 1)), 9, 1, 0, 0, "", false, "DUPLICATE_GCLID=1, DUPLICATE_TRANSACTION_ID=8"},
		{"failed", told("FAILED", count("INVALID_FORMAT", 9)), 0, 10, 0, 0, "GOOGLE-FORMAT", false, "INVALID_FORMAT=9"},
		{"failed, the most of it by consent", told("FAILED", count("INVALID_FORMAT", 2)+","+count("NO_CONSENT", 7)), 0, 10, 0, 0, "GOOGLE-CONSENT", false, "INVALID_FORMAT=2, NO_CONSENT=7"},
		{"failed for terms", told("FAILED", count("DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED", 9)), 0, 10, 0, 0, "GOOGLE-TERMS", false, "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED=9"},
		{"failed by the click", told("FAILED", count("INVALID_GCLID", 9)), 0, 10, 0, 0, "GOOGLE-CLICK", false, "INVALID_GCLID=9"},
		{"failed by age", told("FAILED", count("EVENT_TOO_OLD", 9)), 0, 10, 0, 0, "GOOGLE-TIME", false, "EVENT_TOO_OLD=9"},
		{"failed without a reason", told("FAILED", ""), 0, 10, 0, 0, "GOOGLE-PROCESSING", false, ""},
		{"failed for a reason of tomorrow", told("FAILED", count("SOLAR_WIND", 9)), 0, 10, 0, 0, "GOOGLE-PROCESSING", false, "SOLAR_WIND=9"},
		{"failed and will pass", told("FAILED", count("DESTINATION_TOO_RECENTLY_CREATED", 9)), 0, 1, 9, 0, "GOOGLE-RECENT", false, "DESTINATION_TOO_RECENTLY_CREATED=9"},
		{"failed by google's own fault", told("FAILED", count("INTERNAL_ERROR", 9)), 0, 1, 9, 0, "GOOGLE-UNAVAILABLE", false, "INTERNAL_ERROR=9"},
		{"failed, with less counted than was sent", told("FAILED", count("INVALID_FORMAT", 2)), 0, 10, 0, 0, "GOOGLE-FORMAT", false, "INVALID_FORMAT=2"},
		{"failed, more there already than is told of the rest", told("FAILED", count("DUPLICATE_GCLID", 5)+","+count("INVALID_GCLID", 2)), 9, 1, 0, 4, "", false, "DUPLICATE_GCLID=5, INVALID_GCLID=2"},
		{"failed, some there already", told("FAILED", count("DUPLICATE_GCLID", 5)+","+count("INVALID_GCLID", 4)), 9, 1, 0, 4, "", false, "DUPLICATE_GCLID=5, INVALID_GCLID=4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rc, err := poll(t, tc.answer, token, 10)
			if err != nil {
				t.Fatal(err)
			}
			if (rc.PollToken != "") != tc.waits || tc.waits && !rc.PollAfter.After(now) {
				t.Fatalf("waits: %+v", rc)
			}
			if rc.Accepted != tc.accepted || rc.Rejected != tc.rejected || rc.Unsent != tc.unsent || rc.Unplaced != tc.unplaced {
				t.Errorf("%+v", rc)
			}
			if !tc.waits && rc.Accepted+rc.Rejected+rc.Unsent != 10 || int64(len(rc.Exceptions)) != tc.rejected+tc.unsent {
				t.Errorf("it does not cover its rows: %+v", rc)
			}
			for _, x := range rc.Exceptions {
				if x.Ordinal == 1 && x.Code != "GOOGLE-FORMAT" || x.Ordinal != 1 && x.Code != tc.code {
					t.Errorf("%+v", x)
				}
			}
			if rc.Headers["google-errors"] != tc.errors || rc.RequestID != "r1" {
				t.Errorf("headers %v", rc.Headers)
			}
			if tc.answer != `{}` && (rc.Headers["google-match-rate"] != "51_TO_60" || rc.Headers["google-records"] != "9000" || rc.Headers["google-request-status"] == "") {
				t.Errorf("headers %v", rc.Headers)
			}
		})
	}
}

// TestARequestThatIsGoneIsNotTheList: what Google does not know of a request says
// nothing of the list, which would be made again.
func TestARequestThatIsGoneIsNotTheList(t *testing.T) {
	const token = `{"request":"r1","op":"add"}`
	for _, reason := range []string{"NOT_FOUND", "INVALID_REQUEST_ID"} {
		_, err := open(t, always(404, failure(404, "NOT_FOUND", reason))).Poll(context.Background(), token, 3)
		if e := wrong(t, err); e.Kind != activation.Invalid || e.Code != "GOOGLE-REQUEST" {
			t.Errorf("%s: %v", reason, e)
		}
	}
}

// TestLooksAreFurtherApart: half an hour, then twice as long each time, four hours
// at most.
func TestLooksAreFurtherApart(t *testing.T) {
	d := open(t, always(200, told("PROCESSING", "")))
	token := `{"request":"r1","op":"event"}`
	var waits []string
	for range 6 {
		rc, err := d.Poll(context.Background(), token, 1)
		if err != nil {
			t.Fatal(err)
		}
		token = rc.PollToken
		waits = append(waits, rc.PollAfter.Sub(now).String())
	}
	if got := strings.Join(waits, " "); got != "30m0s 1h0m0s 2h0m0s 4h0m0s 4h0m0s 4h0m0s" {
		t.Error(got)
	}
	f := always(200, `{"requestId":"r1"}`)
	own, err := google.NewLists(deps(f, map[string]string{"first_status_check": "5s"}))
	if err != nil {
		t.Fatal(err)
	}
	if rc, err := own.Deliver(context.Background(), people(t, 1)); err != nil || !rc.PollAfter.Equal(now.Add(5*time.Second)) {
		t.Error(rc, err)
	}
}

func TestPollTokensAreChecked(t *testing.T) {
	for _, token := range []string{"", "token", "{}", `{"request":"","op":"add"}`, `{"request":"a b","op":"add"}`, `{"request":"r","op":"purge"}`, `{"request":"r","op":"add","looks":-1}`, `{"request":"r","op":"add","rejected":{"3":"X"}}`, `{"request":"r","op":"add","rejected":{"-1":"X"}}`, `{"request":"r","op":"add","rejected":{"0":""}}`} {
		f := always(200, told("SUCCESS", ""))
		_, err := open(t, f).Poll(context.Background(), token, 3)
		if wrong(t, err).Kind != activation.Invalid || len(f.calls) != 0 {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// FuzzStatus: no answer breaks it, and a final receipt covers its rows.
func FuzzStatus(f *testing.F) {
	f.Add(`{"request":"r1","op":"add","rejected":{"1":"GOOGLE-FORMAT"}}`, told("PARTIAL_SUCCESS", count("INVALID_FORMAT", 2)), uint8(10))
	f.Add(`{"request":"r1","op":"event"}`, told("FAILED", count("X", -5)), uint8(0))
	f.Fuzz(func(t *testing.T, token, answer string, rows uint8) {
		rc, err := poll(t, answer, token, int64(rows))
		if err != nil || rc.PollToken != "" {
			return
		}
		if rc.Accepted+rc.Rejected+rc.Unsent != int64(rows) || rc.Unplaced < 0 || rc.Unplaced > rc.Accepted || int64(len(rc.Exceptions)) != rc.Rejected+rc.Unsent {
			t.Errorf("%+v", rc)
		}
	})
}

// conversion makes a batch of one conversion.
func conversion(t *testing.T, raw map[string]string) provider.Batch {
	t.Helper()
	w, _ := google.Definition().Workflow("google_offline_conversion")
	rules := matchkey.RuleSet{Name: "x", Keys: append(slices.Clone(w.Events), google.RuleSet().Keys...)}
	mapping, values := map[string]string{}, []string{}
	for _, k := range rules.Keys {
		mapping[k.Name] = k.Name
	}
	set, err := matchkey.NewSet(rules, mapping, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		values = append(values, raw[k.Name])
	}
	b := provider.Batch{Op: activation.OpAdd, Keys: set.Keys, Values: make([][]byte, len(set.Keys)), Audience: provider.Audience{Config: map[string]string{"conversion_action": "4455"}}}
	set.Compute(values, b.Values, nil)
	return b
}

func TestConversionsAreRead(t *testing.T) {
	good := map[string]string{"event_timestamp": "2026-11-20T10:15:00+01:00", "transaction_id": "ord-77", "gclid": "EAIa"}
	for _, tc := range []struct {
		name  string
		set   []string
		code  string
		wants string // part of the body
	}{
		{"as it is", nil, "", `"eventTimestamp":"2026-11-20T09:15:00Z"`},
		{"a space instead of the T", []string{"event_timestamp", "2026-11-20 09:15:00.25Z"}, "", `"eventTimestamp":"2026-11-20T09:15:00.25Z"`},
		{"a real zero", []string{"conversion_value", "0", "currency", "eur"}, "", `"conversionValue":0,"currency":"EUR"`},
		{"a value", []string{"conversion_value", "49.90"}, "", `"conversionValue":49.9`},
		{"a source", []string{"event_source", "in_store"}, "", `"eventSource":"IN_STORE"`},
		{"consent", []string{"ad_user_data", "Granted", "ad_personalization", "no"}, "", `"consent":{"adUserData":"CONSENT_GRANTED","adPersonalization":"CONSENT_DENIED"}`},
		{"a person instead of a click", []string{"gclid", "", "email_address", "alexz@example.com"}, "", `"userData":{"userIdentifiers":[{"emailAddress":"509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"}]}`},
		{"other clicks", []string{"gclid", "", "wbraid", "W", "gbraid", "G"}, "", `"adIdentifiers":{"gbraid":"G","wbraid":"W"}`},
		{"no time zone", []string{"event_timestamp", "2026-11-20T10:15:00"}, "GOOGLE-TIME", ""},
		{"no time", []string{"event_timestamp", "yesterday"}, "GOOGLE-TIME", ""},
		{"no transaction", []string{"transaction_id", ""}, "GOOGLE-FORMAT", ""},
		{"a comma", []string{"conversion_value", "49,90"}, "GOOGLE-FORMAT", ""},
		{"thousands", []string{"conversion_value", "1 000"}, "GOOGLE-FORMAT", ""},
		{"no number", []string{"conversion_value", "NaN"}, "GOOGLE-FORMAT", ""},
		{"hexadecimal", []string{"conversion_value", "0x10"}, "GOOGLE-FORMAT", ""},
		{"a sign", []string{"currency", "€"}, "GOOGLE-CURRENCY", ""},
		{"a shop", []string{"event_source", "shop"}, "GOOGLE-FORMAT", ""},
		{"perhaps", []string{"ad_user_data", "perhaps"}, "GOOGLE-FORMAT", ""},
		{"nobody", []string{"gclid", ""}, "GOOGLE-TIME", ""}, // no key identifies: nothing comes out at all
		{"an id of our own only", []string{"gclid", "", "user_id", "c-1"}, "GOOGLE-NOKEY", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw := maps.Clone(good)
			for i := 0; i < len(tc.set); i += 2 {
				raw[tc.set[i]] = tc.set[i+1]
			}
			f := always(200, `{"requestId":"r1"}`)
			rc, err := openConversions(t, f).Deliver(context.Background(), conversion(t, raw))
			switch {
			case err != nil:
				t.Fatal(err)
			case tc.code == "" && (rc.PollToken == "" || len(f.bodies) != 1 || !strings.Contains(string(f.bodies[0]), tc.wants)):
				t.Errorf("%+v %s", rc, f.bodies)
			case tc.code != "" && (len(f.calls) != 0 || rc.Rejected != 1 || rc.Exceptions[0].Code != tc.code):
				t.Errorf("%d calls, %+v", len(f.calls), rc)
			}
		})
	}
}

// TestAnActionIsNeverMadeAgain: what says that a list is gone says of a conversion
// action that it is the wrong one.
func TestAnActionIsNeverMadeAgain(t *testing.T) {
	d := openConversions(t, always(404, failure(404, "NOT_FOUND", "NOT_FOUND")))
	_, err := d.Deliver(context.Background(), conversion(t, map[string]string{"event_timestamp": "2026-11-20T09:15:00Z", "transaction_id": "1", "gclid": "g"}))
	if e := wrong(t, err); e.Kind != activation.Invalid || e.Code != "GOOGLE-DESTINATION" {
		t.Error(e)
	}
	for _, action := range []string{"", "customers/1/conversionActions/2", "12x"} {
		_, err := d.EnsureAudience(context.Background(), provider.Audience{Config: map[string]string{"conversion_action": action}})
		if e := wrong(t, err); e.Kind != activation.Invalid || e.Field != "conversion_action" {
			t.Error(e)
		}
	}
}
