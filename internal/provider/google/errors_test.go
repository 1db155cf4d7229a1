package google_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider/google"
)

// failure is an error as Google writes it.
func failure(status int, state, reason string, more ...string) string {
	details := ""
	if reason != "" {
		details = fmt.Sprintf(`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":%q,"domain":"datamanager.googleapis.com","metadata":{"requestId":"req-1"}}`, reason)
	}
	for _, m := range more {
		if details != "" {
			details += ","
		}
		details += m
	}
	return fmt.Sprintf(`{"error":{"code":%d,"message":"alex@example.com is wrong","status":%q,"details":[%s]}}`, status, state, details)
}

func violations(list ...string) string {
	out := ""
	for i := 0; i < len(list); i += 2 {
		if i > 0 {
			out += ","
		}
		out += fmt.Sprintf(`{"field":%q,"description":"alex@example.com","reason":%q}`, list[i], list[i+1])
	}
	return `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[` + out + `]}`
}

// TestErrorsAreClassified is the table of the provider's page.
func TestErrorsAreClassified(t *testing.T) {
	retry := `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}`
	perDay := `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RESOURCE_EXHAUSTED","metadata":{"quota_limit":"IngestionServiceMutateRequestsPerDayPerProject"}}`
	for _, tc := range []struct {
		name   string
		status int
		body   string
		code   string
		kind   activation.Kind
		may    bool
		until  time.Duration
	}{
		{"a token that ended", 401, failure(401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"), "GOOGLE-AUTH", activation.Unauthorized, false, 0},
		{"401 without a word", 401, `{}`, "GOOGLE-AUTH", activation.Unauthorized, false, 0},
		{"a consent that is too narrow", 403, failure(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), "GOOGLE-AUTH", activation.Unauthorized, false, 0},
		{"an api that is off", 403, failure(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), "GOOGLE-PROJECT", activation.Unauthorized, false, 0},
		{"no role", 403, failure(403, "PERMISSION_DENIED", "PERMISSION_DENIED"), "GOOGLE-PERMISSION", activation.Invalid, false, 0},
		{"403 never says gone", 403, failure(403, "NOT_FOUND", "NOT_FOUND"), "GOOGLE-PERMISSION", activation.Invalid, false, 0},
		{"terms", 400, failure(400, "INVALID_ARGUMENT", "TERMS_AND_CONDITIONS_NOT_SIGNED"), "GOOGLE-TERMS", activation.Invalid, false, 0},
		{"enhanced terms", 403, failure(403, "PERMISSION_DENIED", "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"), "GOOGLE-TERMS", activation.Invalid, false, 0},
		{"allowlist", 403, failure(403, "PERMISSION_DENIED", "NOT_ALLOWLISTED"), "GOOGLE-POLICY", activation.Invalid, false, 0},
		{"political ads", 400, failure(400, "INVALID_ARGUMENT", "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED"), "GOOGLE-POLICY", activation.Invalid, false, 0},
		{"destination", 400, failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violations("destinations[0].product_destination_id", "INVALID_DESTINATION")), "GOOGLE-DESTINATION", activation.Invalid, false, 0},
		{"list type", 400, failure(400, "INVALID_ARGUMENT", "INVALID_USER_LIST_TYPE"), "GOOGLE-DESTINATION", activation.Invalid, false, 0},
		{"quota of the minute", 429, failure(429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"), "GOOGLE-QUOTA", activation.WaitUntil, false, time.Minute},
		{"quota with a time", 429, failure(429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", retry), "GOOGLE-QUOTA", activation.WaitUntil, false, 30 * time.Second},
		{"quota of the day", 429, failure(429, "RESOURCE_EXHAUSTED", "", perDay), "GOOGLE-QUOTA", activation.WaitUntil, false, time.Hour},
		{"quota without a word", 429, `{}`, "GOOGLE-QUOTA", activation.WaitUntil, false, time.Minute},
		{"unavailable", 503, failure(503, "UNAVAILABLE", ""), "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"internal", 500, failure(500, "INTERNAL", "INTERNAL_ERROR"), "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"deadline", 504, failure(504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"), "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"aborted", 409, failure(409, "ABORTED", ""), "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"a web page", 502, `<html>502</html>`, "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"a web page with 404", 404, `<html>404</html>`, "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"a list of errors", 503, `[{"error":{"code":503}}]`, "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"a good status without an id", 200, `{}`, "GOOGLE-ANSWER", activation.Unavailable, true, 0},
		{"a good status that is no JSON", 200, `ok`, "GOOGLE-ANSWER", activation.Unavailable, true, 0},
		{"an id that is none", 200, `{"requestId":"a b"}`, "GOOGLE-ANSWER", activation.Unavailable, true, 0},
		{"an error inside 200", 200, failure(503, "UNAVAILABLE", ""), "GOOGLE-UNAVAILABLE", activation.Unavailable, true, 0},
		{"refused without a row", 400, failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), "GOOGLE-DATA", activation.RefusedWhole, false, 0},
		{"a row that was not sent", 400, failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violations("audience_members[7].user_data", "INVALID_FORMAT")), "GOOGLE-DATA", activation.RefusedWhole, false, 0},
		{"a reason that nobody knows", 400, failure(400, "INVALID_ARGUMENT", "BRAND_NEW"), "GOOGLE-DATA", activation.RefusedWhole, false, 0},
		{"too many", 400, failure(400, "INVALID_ARGUMENT", "TOO_MANY_AUDIENCE_MEMBERS"), "GOOGLE-SIZE", activation.RefusedWhole, false, 0},
		{"413", 413, `{}`, "GOOGLE-SIZE", activation.RefusedWhole, false, 0},
		{"enum", 400, failure(400, "INVALID_ARGUMENT", "INVALID_ENUM_VALUE"), "GOOGLE-REQUEST", activation.Invalid, false, 0},
		{"405", 405, `{}`, "GOOGLE-REQUEST", activation.Invalid, false, 0},
		{"a redirect", 302, ``, "GOOGLE-SETTINGS", activation.Invalid, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := always(tc.status, tc.body)
			_, err := open(t, f).Deliver(context.Background(), people(t, 3))
			e := wrong(t, err)
			if e.Code != tc.code || e.Kind != tc.kind || e.MayHaveApplied != tc.may {
				t.Errorf("%s %s, may have applied %t: %v", e.Code, e.Kind, e.MayHaveApplied, e)
			}
			if tc.until > 0 && !e.Until.Equal(now.Add(tc.until)) {
				t.Errorf("until %v, want in %v", e.Until, tc.until)
			}
			if strings.Contains(err.Error(), "alex@example.com") {
				t.Error("the error repeats what google said")
			}
		})
	}
}

// TestATokenIsReplacedOnce: nothing was done on 401, so the call is made again
// with another token, and no third time.
func TestATokenIsReplacedOnce(t *testing.T) {
	bad := failure(401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED")
	f := &far{answer: func(n int, _ *http.Request, _ []byte) (int, string) {
		if n == 1 {
			return 401, bad
		}
		return 200, `{"requestId":"r1"}`
	}}
	d := deps(f, nil)
	p := d.Tokens.(*pool)
	dest, err := google.NewLists(d)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := dest.Deliver(context.Background(), people(t, 2))
	if err != nil || rc.PollToken == "" {
		t.Fatal(rc, err)
	}
	if got := strings.Join(f.calls, "\n"); got != "POST /v1/audienceMembers:ingest Bearer t1\nPOST /v1/audienceMembers:ingest Bearer t2" {
		t.Errorf("calls:\n%s", got)
	}
	if string(f.bodies[0]) != string(f.bodies[1]) || len(f.bodies[0]) == 0 {
		t.Error("the second call has another body")
	}
	if len(p.refused) != 1 || p.refused[0] != "t1" {
		t.Errorf("refused %v", p.refused)
	}

	f = always(401, bad)
	if _, err = open(t, f).Deliver(context.Background(), people(t, 2)); wrong(t, err).Kind != activation.Unauthorized || len(f.calls) != 2 {
		t.Errorf("%d calls: %v", len(f.calls), err)
	}

	one := deps(always(401, bad), nil)
	one.Tokens = &pool{tokens: []string{"only"}}
	dest, err = google.NewLists(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := dest.Check(context.Background()); wrong(t, err).Kind != activation.Unauthorized {
		t.Error(err)
	}
}

func TestNoTokenNoCall(t *testing.T) {
	for name, given := range map[string]error{
		"connect again": &activation.Error{Kind: activation.Unauthorized, Code: "OAUTH-CONNECT", Message: "connect again"},
		"cancelled":     context.Canceled, "anything": errors.New("secret detail"),
	} {
		f := always(200, `{}`)
		d := deps(f, nil)
		d.Tokens = &pool{err: given}
		dest, err := google.NewLists(d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = dest.Deliver(context.Background(), people(t, 1))
		e := wrong(t, err)
		if len(f.calls) != 0 || e.MayHaveApplied || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "cancelled" && !errors.Is(err, context.Canceled) || name == "connect again" && e.Kind != activation.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCodesAreThereOnce: each is a class of its own.
func TestCodesAreThereOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range google.Codes() {
		if seen[c] || !strings.HasPrefix(c, "GOOGLE-") {
			t.Errorf("%s", c)
		}
		seen[c] = true
	}
}
