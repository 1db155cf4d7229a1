package tradedesk

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the network signs with it
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
)

const (
	uid2   = "BxZHBSkFmGGc9IVP9mRwBU3hTwfJRM3/g4Z/Ix3rWGU="
	device = "ea7583cd-a667-48bc-b806-42ecb2b48606"
)

// answering makes a destination whose network gives one answer, and keeps what
// was sent.
func answering(t *testing.T, status int, header map[string]string, body string, change func(*provider.Deps)) (provider.Destination, *http.Request, *[]byte) {
	t.Helper()
	var got http.Request
	var sent []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ = io.ReadAll(r.Body)
		got = *r
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	client := outbound.New(outbound.Config{AllowedHosts: []string{u.Host}, Log: log, Now: time.Now})
	t.Cleanup(client.CloseIdleConnections)
	d := provider.Deps{
		HTTP: client, Log: log, Now: time.Now, Account: "adv1", Config: map[string]string{},
		Auth: map[string]provider.Secret{"advertiser_secret": "s3cret", "base_url": provider.Secret(server.URL)},
	}
	if change != nil {
		change(&d)
	}
	dest, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return dest, &got, &sent
}

// two people: one with two ids, one with one.
func twoPeople(op activation.Op) provider.Batch {
	rs := RuleSet()
	uid, _ := rs.Key("UID2")
	daid, _ := rs.Key("DAID")
	return provider.Batch{
		Item: "1", Attempt: 1, Remote: "vips_usher-1-1", Op: op, Keys: []matchkey.Key{uid, daid},
		Values: [][]byte{[]byte(uid2), []byte(device), nil, []byte("11111111-2222-4333-8444-555555555555")},
	}
}

// TestBodyAndSignature compares what is sent with what the page asks for: the
// signature is over the bytes that arrive.
func TestBodyAndSignature(t *testing.T) {
	sign := func(secret string, body []byte) string {
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write(body)
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	dest, got, sent := answering(t, 200, nil, `{}`, nil)
	if _, err := dest.Deliver(t.Context(), twoPeople(activation.OpAdd)); err != nil {
		t.Fatal(err)
	}
	want := `{"AdvertiserId":"adv1","Items":[{"UID2":"` + uid2 + `","Data":[{"Name":"vips_usher-1-1","TTLInMinutes":43200}]},` +
		`{"DAID":"` + device + `","Data":[{"Name":"vips_usher-1-1","TTLInMinutes":43200}]},` +
		`{"DAID":"11111111-2222-4333-8444-555555555555","Data":[{"Name":"vips_usher-1-1","TTLInMinutes":43200}]}]}`
	if string(*sent) != want {
		t.Errorf("sent %s\nwant %s", *sent, want)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/data/advertiser" || got.Header.Get("TtdSignature") != sign("s3cret", *sent) ||
		got.Header.Get("Content-Type") != "application/json" || got.Header.Get("TTD-Auth") != "" || got.Header.Get("TtdSignature-dp") != "" {
		t.Errorf("%s %s %v", got.Method, got.URL.Path, got.Header)
	}

	if _, err := dest.Deliver(t.Context(), twoPeople(activation.OpRemove)); err != nil || string(*sent) != strings.ReplaceAll(want, "43200", "0") {
		t.Errorf("a removal: %v, sent %s", err, *sent)
	}

	dest, _, sent = answering(t, 200, nil, `{}`, func(d *provider.Deps) { d.Config["membership_days"] = "7" })
	if _, err := dest.Deliver(t.Context(), twoPeople(activation.OpAdd)); err != nil || string(*sent) != strings.ReplaceAll(want, "43200", "10080") {
		t.Errorf("seven days: %v, sent %s", err, *sent)
	}
	if d := Definition().Configured(map[string]string{"membership_days": "10"}); d.Refresh != 9*24*time.Hour || Definition().Refresh != 27*24*time.Hour {
		t.Errorf("sent again after %s of ten days, %s by default", d.Refresh, Definition().Refresh)
	}

	dest, got, sent = answering(t, 200, nil, ``, func(d *provider.Deps) {
		d.Auth["access_token"], d.Auth["data_provider_secret"] = "tok", "dp-s3cret"
		d.Config["data_provider_id"] = "dp1"
	})
	if _, err := dest.Deliver(t.Context(), twoPeople(activation.OpAdd)); err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("TTD-Auth") != "tok" || got.Header.Get("TtdSignature") != "" || got.Header.Get("TtdSignature-dp") != sign("dp-s3cret", *sent) ||
		!strings.HasPrefix(string(*sent), `{"AdvertiserId":"adv1","DataProviderId":"dp1","Items":[`) {
		t.Errorf("for a data provider: %v %s", got.Header, *sent)
	}
}

// TestFailedLines places what a good answer calls failed: items are numbered
// from 1, and the first person of the batch has two of them.
func TestFailedLines(t *testing.T) {
	line := func(message string) string {
		return `{"FailedLines":[` + strings.ReplaceAll(message, "|", ",") + `]}`
	}
	one := func(text string) string { return `{"ErrorCode":"MissingUserId","Message":"` + text + `"}` }
	for name, tc := range map[string]struct {
		body     string
		rejected []int64
		unplaced int64
	}{
		"none":                          {`{}`, nil, 0},
		"no body":                       {``, nil, 0},
		"an empty list":                 {`{"FailedLines":[]}`, nil, 0},
		"first item of the first":       {line(one("Invalid UID2, item #1")), []int64{0}, 0},
		"second item of the first":      {line(one("Invalid DAID, item #2")), []int64{0}, 0},
		"both items of the first":       {line(one("Invalid UID2, item #1") + "|" + one("Invalid DAID, item #2")), []int64{0}, 0},
		"the item of the second":        {line(one("Invalid DAID, item #3")), []int64{1}, 0},
		"both, in no order":             {line(one("Invalid DAID, item #3") + "|" + one("Invalid UID2, item #1")), []int64{0, 1}, 0},
		"an item that was not sent":     {line(one("Invalid DAID, item #4")), nil, 1},
		"item zero":                     {line(one("Invalid DAID, item #0")), nil, 1},
		"no item":                       {line(one("Invalid DAID")), nil, 1},
		"more than there are":           {line(one("a") + "|" + one("b") + "|" + one("c")), nil, 2},
		"a number too long to be right": {line(one("item #99999999999")), nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dest, _, _ := answering(t, 200, nil, tc.body, nil)
			rc, err := dest.Deliver(t.Context(), twoPeople(activation.OpAdd))
			if err != nil {
				t.Fatal(err)
			}
			if rc.Rejected != int64(len(tc.rejected)) || rc.Accepted != 2-rc.Rejected || rc.Unplaced != tc.unplaced || len(rc.Exceptions) != len(tc.rejected) {
				t.Fatalf("%+v", rc)
			}
			for i, x := range rc.Exceptions {
				if x.Ordinal != tc.rejected[i] || x.Outcome != activation.Rejected || x.Code != "TTD-ITEM" {
					t.Errorf("%+v", x)
				}
			}
		})
	}
}

// TestErrorTable is the table of the page, and what comes from machines between.
func TestErrorTable(t *testing.T) {
	code := func(c string) string { return `{"ErrorCode":"` + c + `","Message":"` + uid2 + `"}` }
	for name, tc := range map[string]struct {
		status  int
		body    string
		code    string
		kind    activation.Kind
		applied bool
	}{
		"signature":        {401, code("AuthenticationFailed"), "TTD-AUTH", activation.Unauthorized, false},
		"token":            {401, code("InvalidToken"), "TTD-AUTH", activation.Unauthorized, false},
		"401 without body": {401, "", "TTD-AUTH", activation.Unauthorized, false},
		"misconfigured":    {403, code("AdvertiserMisconfigured"), "TTD-ACCOUNT", activation.Invalid, false},
		"too many":         {403, code("TargetingDataLimitReached"), "TTD-ACCOUNT", activation.Invalid, false},
		"not read":         {400, code("SerializationFailed"), "TTD-DATA", activation.RefusedWhole, false},
		"no data":          {400, code("MissingData"), "TTD-EMPTY", activation.RefusedWhole, false},
		"code in a line":   {400, `{"FailedLines":[` + code("MissingData") + `]}`, "TTD-EMPTY", activation.RefusedWhole, false},
		"another 400":      {400, code("Strange"), "TTD-DATA", activation.RefusedWhole, false},
		"too large":        {413, code("MaxRequestSizeExceeded"), "TTD-SIZE", activation.RefusedWhole, false},
		"413 of a proxy":   {413, "<html>", "TTD-SIZE", activation.RefusedWhole, false},
		"throttled":        {429, code(""), "TTD-THROTTLE", activation.WaitUntil, false},
		"throttled, page":  {429, "<html>", "TTD-THROTTLE", activation.WaitUntil, false},
		"broken":           {500, code("InternalError"), "TTD-UNAVAILABLE", activation.Unavailable, true},
		"out of order":     {503, "", "TTD-UNAVAILABLE", activation.Unavailable, true},
		"page":             {502, "<html>", "TTD-UNAVAILABLE", activation.Unavailable, true},
		"page as 400":      {400, "<html>", "TTD-UNAVAILABLE", activation.Unavailable, true},
		"page as 200":      {200, "<html>", "TTD-ANSWER", activation.Unavailable, true},
		"half an answer":   {200, `{"FailedLines":[`, "TTD-ANSWER", activation.Unavailable, true},
		"list":             {200, `[]`, "TTD-ANSWER", activation.Unavailable, true},
		"redirect":         {302, "", "TTD-SETTINGS", activation.Invalid, false},
		"no such path":     {404, code("NotFound"), "TTD-SETTINGS", activation.Invalid, false},
		"teapot":           {418, code(""), "TTD-UNAVAILABLE", activation.Unavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			dest, _, _ := answering(t, tc.status, map[string]string{"Location": "https://example.com", "X-Request-Id": "abc-1"}, tc.body, nil)
			_, err := dest.Deliver(t.Context(), twoPeople(activation.OpAdd))
			var e *activation.Error
			if !errors.As(err, &e) || e.Code != tc.code || e.Kind != tc.kind || e.MayHaveApplied != tc.applied || e.RequestID != "abc-1" {
				t.Fatalf("%#v", err)
			}
			if strings.Contains(err.Error(), uid2) {
				t.Error("an id is in the error")
			}
		})
	}
	dest, _, _ := answering(t, 429, map[string]string{"Retry-After": "90"}, `{}`, nil)
	_, err := dest.Deliver(t.Context(), twoPeople(activation.OpAdd))
	var e *activation.Error
	if !errors.As(err, &e) || time.Until(e.Until) < 80*time.Second || time.Until(e.Until) > 91*time.Second {
		t.Errorf("Retry-After: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		code   string
	}{
		"the empty request is refused": {400, `{"ErrorCode":"MissingData"}`, ""},
		"it is taken":                  {200, `{}`, ""},
		"not accepted":                 {401, `{"ErrorCode":"AuthenticationFailed"}`, "TTD-AUTH"},
		"may not":                      {403, `{"ErrorCode":"AdvertiserMisconfigured"}`, "TTD-ACCOUNT"},
		"broken":                       {500, ``, "TTD-UNAVAILABLE"},
	} {
		dest, _, sent := answering(t, tc.status, nil, tc.body, nil)
		err := dest.Check(t.Context())
		if got := ""; err != nil {
			got = activation.CodeOf(err)
			if got != tc.code {
				t.Errorf("%s: %v", name, err)
			}
		} else if tc.code != got {
			t.Errorf("%s: no error", name)
		}
		var e *activation.Error
		if errors.As(err, &e) && e.MayHaveApplied {
			t.Errorf("%s: a check may have applied something", name)
		}
		if string(*sent) != `{"AdvertiserId":"adv1","Items":[]}` {
			t.Errorf("%s: sent %s", name, *sent)
		}
	}
}

func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*provider.Deps)
		field  string
	}{
		"no credentials":          {func(d *provider.Deps) { d.Auth = nil }, "advertiser_secret"},
		"a token with a space":    {func(d *provider.Deps) { d.Auth["access_token"] = "a b" }, "access_token"},
		"no account":              {func(d *provider.Deps) { d.Account = "" }, "account"},
		"an account with a quote": {func(d *provider.Deps) { d.Account = `a"b` }, "account"},
		"provider without secret": {func(d *provider.Deps) { d.Config["data_provider_id"] = "dp" }, "data_provider_secret"},
		"a provider with a quote": {func(d *provider.Deps) { d.Config["data_provider_id"] = `"` }, "data_provider_id"},
		"no such region":          {func(d *provider.Deps) { d.Config["region"] = "moon" }, "region"},
		"an address with a query": {func(d *provider.Deps) { d.Auth["base_url"] = "https://x/?a" }, "base_url"},
		"no lifetime":             {func(d *provider.Deps) { d.Config["membership_days"] = "0" }, "membership_days"},
		"a lifetime too long":     {func(d *provider.Deps) { d.Config["membership_days"] = "181" }, "membership_days"},
		"a tiny request":          {func(d *provider.Deps) { d.Config["max_request_bytes"] = "9" }, "max_request_bytes"},
	} {
		d := provider.Deps{Auth: map[string]provider.Secret{"advertiser_secret": "s"}, Account: "adv1", Config: map[string]string{}}
		tc.change(&d)
		_, err := New(d)
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	for region, host := range hosts {
		d := provider.Deps{Auth: map[string]provider.Secret{"advertiser_secret": "s"}, Account: "adv1", Config: map[string]string{"region": region}}
		made, err := New(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := made.(*destination).address; got != host+"/data/advertiser" {
			t.Errorf("%s: %s", region, got)
		}
	}
}

func TestElementName(t *testing.T) {
	dest, _, _ := answering(t, 200, nil, `{}`, nil)
	for name, tc := range map[string]struct {
		a    provider.Audience
		want provider.RemoteID
	}{
		"by the audience":    {provider.Audience{Marker: "usher-1-1", Slug: "vips", Name: "Our VIPs"}, "vips_usher-1-1"},
		"by the job":         {provider.Audience{Marker: "usher-1-1", Slug: "vips", Config: map[string]string{"element_name": "gold"}}, "gold_usher-1-1"},
		"known":              {provider.Audience{Marker: "usher-1-1", Slug: "vips", Remote: "old_usher-1-1"}, "old_usher-1-1"},
		"without a slug":     {provider.Audience{Marker: "usher-1-1"}, "usher-1-1"},
		"what is no name":    {provider.Audience{Marker: "usher-1-1", Config: map[string]string{"element_name": `a","b`}}, ""},
		"what is too long":   {provider.Audience{Marker: "usher-1-1", Slug: strings.Repeat("a", 200)}, ""},
		"what leads upwards": {provider.Audience{Marker: "usher-1-1", Slug: "../x"}, ""},
	} {
		got, err := dest.EnsureAudience(context.Background(), tc.a)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestRules(t *testing.T) {
	for key, cases := range map[string]map[string]string{
		"UID2":      {uid2: uid2, " " + uid2 + " ": uid2, uid2[1:]: "", "person@example.com": "", `"` + uid2[1:]: ""},
		"EUID":      {uid2: uid2, "x": ""},
		"UID2Token": {"AgAAAAPFR0zA5ogv/yaAPiUsAdZPsfqS8QlDSGxAB+rr8": "AgAAAAPFR0zA5ogv/yaAPiUsAdZPsfqS8QlDSGxAB+rr8", "short": ""},
		"RampID":    {"XY1000bdfSAg-k6K9cEMq1gU8z7V1234": "XY1000bdfSAg-k6K9cEMq1gU8z7V1234", "XY 1000bdfSAg-k6K9cEMq": ""},
		"DAID":      {strings.ToUpper(device): device, "00000000-0000-0000-0000-000000000000": "", "x": ""},
		"TDID":      {strings.ToUpper(device): device},
	} {
		k, ok := RuleSet().Key(key)
		if !ok || !k.Identifies || k.Hash {
			t.Errorf("%s: %+v", key, k)
		}
		for in, want := range cases {
			got := k.Normalize(in, nil)
			if got != want {
				t.Errorf("%s of %q: %q, want %q", key, in, got, want)
			}
			if again := k.Normalize(got, nil); got != "" && again != got {
				t.Errorf("%s is not idempotent: %q, %q", key, got, again)
			}
		}
	}
}

// FuzzRead wants whatever a network answers to be a receipt or one error.
func FuzzRead(f *testing.F) {
	f.Add(200, `{"FailedLines":[{"ErrorCode":"MissingUserId","Message":"Invalid UID2, item #2"}]}`)
	f.Add(400, `{"ErrorCode":"MissingData"}`)
	f.Add(502, `<html>`)
	dest := &destination{now: time.Now}
	f.Fuzz(func(t *testing.T, status int, text string) {
		got, err := dest.read(outbound.Answer{Status: status, Header: http.Header{}, Body: []byte(text)}, true)
		if err != nil {
			var e *activation.Error
			if !errors.As(err, &e) || e.Code == "" || len(got.failed) > 0 {
				t.Fatalf("%v", err)
			}
			return
		}
		rc := receipt(3, []int{0, 0, 1, 2}, got.failed)
		if rc.Accepted+rc.Rejected != 3 || rc.Unplaced > rc.Accepted || int64(len(rc.Exceptions)) != rc.Rejected {
			t.Fatalf("%+v", rc)
		}
	})
}
