package meta

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// TestErrorTable has one case for each row of Meta's error reference.
func TestErrorTable(t *testing.T) {
	for _, tc := range []struct {
		status, code, sub int
		transient         bool
		want              string
		kind              activation.Kind
		applied           bool
	}{
		{500, 1, 0, false, "META-UNAVAILABLE", activation.Unavailable, true},
		{400, 1, 99, false, "META-UNAVAILABLE", activation.Unavailable, true},
		{503, 2, 0, true, "META-UNAVAILABLE", activation.Unavailable, true},
		{500, 5000, 0, false, "META-UNAVAILABLE", activation.Unavailable, true},
		{400, 21009, 0, false, "META-UNAVAILABLE", activation.Unavailable, true},
		{400, 2650, 0, false, "META-UNAVAILABLE", activation.Unavailable, true},
		{400, 100, 0, true, "META-UNAVAILABLE", activation.Unavailable, true},
		{401, 190, 463, true, "META-UNAVAILABLE", activation.Unavailable, true},

		{400, 4, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 4, 1504022, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 4, 1504039, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 17, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 17, 2446079, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 32, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 341, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 613, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 613, 1487742, true, "META-THROTTLE", activation.WaitUntil, false},
		{400, 613, 1996, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 80000, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{429, 80003, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{200, 80003, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 80004, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 80005, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 80014, 0, false, "META-THROTTLE", activation.WaitUntil, false},
		{400, 368, 0, false, "META-BLOCKED", activation.WaitUntil, false},

		{400, 190, 0, false, "META-AUTH", activation.Unauthorized, false},
		{401, 190, 458, false, "META-AUTH", activation.Unauthorized, false},
		{401, 190, 459, false, "META-AUTH", activation.Unauthorized, false},
		{401, 190, 460, false, "META-AUTH", activation.Unauthorized, false},
		{400, 190, 463, false, "META-AUTH", activation.Unauthorized, false},
		{401, 190, 464, false, "META-AUTH", activation.Unauthorized, false},
		{401, 190, 467, false, "META-AUTH", activation.Unauthorized, false},
		{401, 102, 0, false, "META-AUTH", activation.Unauthorized, false},
		{400, 104, 0, false, "META-AUTH", activation.Unauthorized, false},

		{400, 3, 0, false, "META-PERMISSION", activation.Invalid, false},
		{403, 10, 0, false, "META-PERMISSION", activation.Invalid, false},
		{403, 200, 0, false, "META-PERMISSION", activation.Invalid, false},
		{403, 294, 0, false, "META-PERMISSION", activation.Invalid, false},
		{403, 299, 0, false, "META-PERMISSION", activation.Invalid, false},
		{403, 200, 1870034, false, "META-TERMS", activation.Invalid, false},
		{400, 2655, 0, false, "META-TERMS", activation.Invalid, false},
		{400, 100, 1713230, false, "META-FLAGGED", activation.Invalid, false},
		{400, 1487301, 0, false, "META-SHARE", activation.Invalid, false},
		{400, 100, 1487301, false, "META-SHARE", activation.Invalid, false},

		{400, 100, 0, false, "META-DATA", activation.RefusedWhole, false},
		{400, 100, 2804003, false, "META-DATA", activation.RefusedWhole, false},
		{413, 100, 0, false, "META-DATA", activation.RefusedWhole, false},
		{403, 200, 1870047, false, "META-TOOSMALL", activation.RefusedWhole, false},

		{400, 105, 0, false, "META-REQUEST", activation.Invalid, false},
		{400, 194, 0, false, "META-REQUEST", activation.Invalid, false},
		{400, 2500, 0, false, "META-REQUEST", activation.Invalid, false},
		{400, 506, 0, false, "META-REQUEST", activation.Invalid, false},
		{400, 424242, 0, false, "META-REQUEST", activation.Invalid, false},
	} {
		name := fmt.Sprintf("%d-%d-%d-%v", tc.status, tc.code, tc.sub, tc.transient)
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"error":{"message":"ana@example.com","code":%d,"error_subcode":%d,"is_transient":%v,"fbtrace_id":"Abc_-1"}}`, tc.code, tc.sub, tc.transient)
			m, _ := open(t, answer{status: tc.status, body: body})
			_, err := m.Deliver(context.Background(), batch(1)) // an add: 1870047 is an error here
			e := asError(t, err)
			if e.Code != tc.want || e.Kind != tc.kind || e.MayHaveApplied != tc.applied || e.RequestID != "Abc_-1" {
				t.Errorf("got code %s kind %s applied %v request %q", e.Code, e.Kind, e.MayHaveApplied, e.RequestID)
			}
			if !strings.Contains(e.Message, fmt.Sprintf("code %d", tc.code)) || strings.Contains(e.Error(), "ana@") {
				t.Errorf("message %q", e.Error())
			}
			if (e.Kind == activation.WaitUntil) != e.Until.After(time.Now()) {
				t.Errorf("until %v", e.Until)
			}
		})
	}
}

func TestAudienceGoneByCode(t *testing.T) {
	for _, body := range []string{`{"error":{"code":"1487366"}}`, `{"error":{"code":100,"error_subcode":1487366}}`} {
		m, _ := open(t, answer{status: 400, body: body}, answer{body: `{"account_id":"1234567890"}`})
		_, err := m.Deliver(context.Background(), batch(1))
		wantError(t, err, activation.Gone, "META-GONE")
	}
}

func asError(t *testing.T, err error) *activation.Error {
	t.Helper()
	e, ok := err.(*activation.Error)
	if !ok {
		t.Fatalf("got %T %v", err, err)
	}
	return e
}

func TestAnswersWithoutEnvelope(t *testing.T) {
	for _, tc := range []struct {
		status  int
		body    string
		code    string
		applied bool
	}{
		{200, `<html>`, "META-ANSWER", true},
		{200, ``, "META-ANSWER", true},
		{200, `[]`, "META-ANSWER", true},
		{200, `{}`, "META-ANSWER", true},
		{200, `{"num_received":2,"num_invalid_entries":0}`, "META-ANSWER", true},
		{200, `{"num_received":1,"num_invalid_entries":2}`, "META-ANSWER", true},
		{200, `{"num_received":1,"num_invalid_entries":-1}`, "META-ANSWER", true},
		{200, `{"num_received":{}}`, "META-ANSWER", true},
		{200, `{"error":{}}`, "META-ANSWER", true},
		{200, `{"error":"oops"}`, "META-ANSWER", true},
		{400, `<html>`, "META-UNAVAILABLE", true},
		{401, `<html>`, "META-UNAVAILABLE", true},
		{502, `<html>`, "META-UNAVAILABLE", true},
		{500, `{}`, "META-UNAVAILABLE", true},
		{429, `<html>`, "META-THROTTLE", false},
		{401, `{}`, "META-AUTH", false},
		{403, `{}`, "META-PERMISSION", false},
		{413, `{}`, "META-SIZE", false},
		{404, `{}`, "META-REQUEST", false},
		{302, ``, "META-SETTINGS", false},
	} {
		m, _ := open(t, answer{status: tc.status, body: tc.body, header: map[string]string{"Location": "https://elsewhere.example/?access_token=x"}})
		_, err := m.Deliver(context.Background(), batch(1))
		if e := asError(t, err); e.Code != tc.code || e.MayHaveApplied != tc.applied {
			t.Errorf("%d %q: got %v, applied %v", tc.status, tc.body, e, e.MayHaveApplied)
		}
	}
	m, _ := open(t, answer{status: 500, body: `{}`})
	if e := asError(t, m.Check(context.Background())); e.MayHaveApplied {
		t.Error("a read may not have been applied")
	}
}

func TestHowLongToWait(t *testing.T) {
	const throttled = `{"error":{"code":80003}}`
	for _, tc := range []struct {
		name   string
		header map[string]string
		body   string
		want   time.Duration
	}{
		{"nothing said", nil, throttled, throttleWait},
		{"policy", nil, `{"error":{"code":368}}`, blockedWait},
		{"retry-after", map[string]string{"Retry-After": "17"}, throttled, 17 * time.Second},
		{"business use case, minutes", map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"type":"custom_audience","call_count":100,"estimated_time_to_regain_access":7}]}`}, throttled, 7 * time.Minute},
		{"account", map[string]string{"X-Ad-Account-Usage": `{"acc_id_util_pct":100,"reset_time_duration":90}`}, throttled, 90 * time.Second},
		{"absurd", map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"estimated_time_to_regain_access":1e300}]}`}, throttled, maxRegain},
		{"not readable", map[string]string{"X-Business-Use-Case-Usage": `[`, "X-App-Usage": "x"}, throttled, throttleWait},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, n := open(t, answer{status: 400, header: tc.header, body: tc.body})
			now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			m.now = func() time.Time { return now }
			_, err := m.Deliver(context.Background(), batch(1))
			if e := asError(t, err); e.Until.Sub(now) != tc.want {
				t.Errorf("waits %v, want %v", e.Until.Sub(now), tc.want)
			}
			_, err = m.Deliver(context.Background(), batch(1))
			if e := asError(t, err); e.Kind != activation.WaitUntil || len(n.calls) != 1 {
				t.Errorf("called again before the time: %v", err)
			}
		})
	}
}

func TestUsageStopsAtHundred(t *testing.T) {
	full := received(1, 0)
	full.header["X-Business-Use-Case-Usage"] = `{"1":[{"type":"custom_audience","call_count":100,"estimated_time_to_regain_access":3}]}`
	m, _ := open(t, full)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m.now = func() time.Time { return now }
	if _, err := m.Deliver(context.Background(), batch(1)); err != nil {
		t.Fatal(err)
	}
	e := asError(t, m.Check(context.Background()))
	if e.Kind != activation.WaitUntil || e.Until.Sub(now) != 3*time.Minute || e.MayHaveApplied {
		t.Errorf("got %v until %v", e, e.Until)
	}
}

func TestGateSpreadsCalls(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var g gate
	g.note(usage{percent: 60}, now)
	if wait, err := g.turn(now); wait != 0 || err != nil {
		t.Errorf("60 %%: %v %v", wait, err)
	}
	g.note(usage{percent: 99}, now)
	wait, err := g.turn(now)
	if err != nil || wait < 900*time.Millisecond || wait > time.Second {
		t.Errorf("99 %%: %v %v", wait, err)
	}
	if _, err := g.turn(now); activation.KindOf(err) != activation.WaitUntil {
		t.Errorf("a second call at once: %v", err)
	}
	g.note(usage{percent: 75}, now)
	if wait, err := g.turn(now); err != nil || wait <= 0 || wait > 100*time.Millisecond {
		t.Errorf("75 %%: %v %v", wait, err)
	}
}

func TestEveryCodeHasItsPage(t *testing.T) {
	for _, code := range Codes() {
		path := filepath.Join("..", "..", "..", "docs", "troubleshooting", strings.ToLower(code)+".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{"# " + code, "## Cause", "## Check", "## Fix"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s has no %q", path, part)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, body := range []string{`{"num_received":1,"num_invalid_entries":0}`, `{"error":{"code":190,"error_subcode":463}}`, `<html>`, `{"error":null}`, `[`} {
		f.Add(200, body, "5", `{"call_count":99}`)
		f.Add(400, body, "", "")
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter, usageText string) {
		m := &destination{now: time.Now, unit: time.Minute}
		h := http.Header{"Retry-After": {retryAfter}, "X-App-Usage": {usageText}, "X-Business-Use-Case-Usage": {usageText}, "X-Ad-Account-Usage": {usageText}}
		var got users
		err := m.read(http.MethodPost, outbound.Answer{Status: status, Header: h, Body: []byte(body)}, &got)
		if err == nil {
			if status/100 != 2 {
				t.Errorf("status %d is no success", status)
			}
			return
		}
		e := asError(t, err)
		if e.Code == "" || e.Kind == "" || (e.Kind == activation.WaitUntil && e.Until.IsZero()) {
			t.Errorf("error %+v", e)
		}
		if e.Kind == activation.Gone && (status == 401 || status == 403) {
			t.Error("gone by 401 or 403")
		}
	})
}
