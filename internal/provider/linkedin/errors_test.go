package linkedin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
)

// TestErrorTable has the rows of LinkedIn's error reference, as a call for people
// meets them.
func TestErrorTable(t *testing.T) {
	for _, tc := range []struct {
		status, service int
		code            string
		want            string
		kind            activation.Kind
		applied         bool
	}{
		{401, 65600, "INVALID_ACCESS_TOKEN", "LINKEDIN-AUTH", activation.Unauthorized, false},
		{401, 65601, "REVOKED_ACCESS_TOKEN", "LINKEDIN-AUTH", activation.Unauthorized, false},
		{401, 65602, "EXPIRED_ACCESS_TOKEN", "LINKEDIN-AUTH", activation.Unauthorized, false},
		{401, 0, "", "LINKEDIN-AUTH", activation.Unauthorized, false},
		{400, 65602, "", "LINKEDIN-AUTH", activation.Unauthorized, false},

		{403, 100, "ACCESS_DENIED", "LINKEDIN-PERMISSION", activation.Invalid, false},
		{403, 0, "", "LINKEDIN-PERMISSION", activation.Invalid, false},
		{400, 0, "NO_PERMISSION_ON_ACCOUNT", "LINKEDIN-PERMISSION", activation.Invalid, false},
		{400, 0, "TEST_ACCOUNT_NOT_ALLOWED", "LINKEDIN-PERMISSION", activation.Invalid, false},

		{400, 0, "", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{422, 0, "", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{400, 0, "MISSING_FIELD", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{400, 0, "FIELD_VALUE_TOO_HIGH", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{400, 0, "FIELD_VALUE_TOO_LOW", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{403, 0, "STATUS_CHANGE_NOT_ALLOWED", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{400, 0, "MULTIPLE_VALIDATIONS_FAILED", "LINKEDIN-DATA", activation.RefusedWhole, false},
		{413, 0, "", "LINKEDIN-SIZE", activation.RefusedWhole, false},

		{405, 0, "METHOD_NOT_ALLOWED", "LINKEDIN-REQUEST", activation.Invalid, false},
		{411, 0, "", "LINKEDIN-REQUEST", activation.Invalid, false},
		{415, 0, "", "LINKEDIN-REQUEST", activation.Invalid, false},
		{426, 0, "NONEXISTENT_VERSION", "LINKEDIN-VERSION", activation.Invalid, false},
		{429, 101, "TOO_MANY_REQUESTS", "LINKEDIN-THROTTLE", activation.WaitUntil, false},

		{500, 0, "", "LINKEDIN-UNAVAILABLE", activation.Unavailable, true},
		{502, 0, "", "LINKEDIN-UNAVAILABLE", activation.Unavailable, true},
		{503, 0, "UNDER_MAINTENANCE", "LINKEDIN-UNAVAILABLE", activation.Unavailable, true},
		{504, 0, "TIMEOUT", "LINKEDIN-UNAVAILABLE", activation.Unavailable, true},
		{400, 0, "INTERNAL_ERROR", "LINKEDIN-UNAVAILABLE", activation.Unavailable, true},
		{408, 0, "", "LINKEDIN-UNAVAILABLE", activation.Unavailable, true},
	} {
		t.Run(fmt.Sprintf("%d-%d-%s", tc.status, tc.service, tc.code), func(t *testing.T) {
			body := fmt.Sprintf(`{"status":%d,"serviceErrorCode":%d,"code":%q,"message":"ana@example.com"}`, tc.status, tc.service, tc.code)
			s, _ := openReady(t, answer{status: tc.status, body: body, header: map[string]string{"X-Li-Uuid": "uuid=="}})
			_, err := s.Deliver(context.Background(), batch(1))
			e := asError(t, err)
			if e.Code != tc.want || e.Kind != tc.kind || e.MayHaveApplied != tc.applied || e.RequestID != "uuid==" {
				t.Errorf("got code %s kind %s applied %v request %q", e.Code, e.Kind, e.MayHaveApplied, e.RequestID)
			}
			if !strings.Contains(e.Message, fmt.Sprint(tc.status)) || !strings.Contains(e.Message, tc.code) || strings.Contains(e.Error(), "ana@") {
				t.Errorf("message %q", e.Error())
			}
			if (e.Code == "LINKEDIN-VERSION") != (e.Field == "api_version") {
				t.Errorf("field %q", e.Field)
			}
		})
	}
}

func TestAnswersWithoutEnvelope(t *testing.T) {
	for _, tc := range []struct {
		status  int
		body    string
		code    string
		applied bool
	}{
		{200, `<html>`, "LINKEDIN-ANSWER", true},
		{200, `[]`, "LINKEDIN-ANSWER", true},
		{201, ``, "LINKEDIN-ANSWER", true},
		{400, `<html>`, "LINKEDIN-UNAVAILABLE", true},
		{401, `<html>`, "LINKEDIN-UNAVAILABLE", true},
		{502, `<html>`, "LINKEDIN-UNAVAILABLE", true},
		{502, ``, "LINKEDIN-UNAVAILABLE", true},
		{429, `<html>`, "LINKEDIN-THROTTLE", false},
		{401, ``, "LINKEDIN-AUTH", false},
		{403, `{"code":5}`, "LINKEDIN-PERMISSION", false},
		{426, ``, "LINKEDIN-VERSION", false},
		{302, ``, "LINKEDIN-SETTINGS", false},
	} {
		s, _ := openReady(t, answer{status: tc.status, body: tc.body, header: map[string]string{"Location": "https://elsewhere.example/?token=x"}})
		_, err := s.Deliver(context.Background(), batch(1))
		if e := asError(t, err); e.Code != tc.code || e.MayHaveApplied != tc.applied {
			t.Errorf("%d %q: got %v, applied %v", tc.status, tc.body, e, e.MayHaveApplied)
		}
	}
	s, _ := open(t, answer{status: 500, body: `{}`})
	if e := asError(t, s.Check(context.Background())); e.MayHaveApplied {
		t.Error("a read may not have been applied")
	}
}

// TestTokens: a token that is refused is exchanged once, one that is revoked is
// not, and the call is not made a third time.
func TestTokens(t *testing.T) {
	stale := answer{status: 401, body: `{"serviceErrorCode":65602,"code":"EXPIRED_ACCESS_TOKEN"}`}
	unknown := answer{status: 401, body: `{"serviceErrorCode":65600}`}
	revoked := answer{status: 401, body: `{"serviceErrorCode":65601}`}
	over := &activation.Error{Kind: activation.Unauthorized, Code: "OAUTH-CONNECT", Message: "connect again"}
	for _, tc := range []struct {
		name    string
		tokens  *fakeTokens
		answers []answer
		code    string
		refused []string
	}{
		{"exchanged", &fakeTokens{list: []string{"a", "b"}}, []answer{stale, answered(201)}, "", []string{"a"}},
		{"exchanged for nothing", &fakeTokens{list: []string{"a", "b"}}, []answer{stale, unknown}, "LINKEDIN-AUTH", []string{"a"}},
		{"no other one", &fakeTokens{list: []string{"a"}}, []answer{unknown}, "LINKEDIN-AUTH", []string{"a"}},
		{"revoked", &fakeTokens{list: []string{"a", "b"}}, []answer{revoked}, "LINKEDIN-AUTH", nil},
		{"consent over", &fakeTokens{list: []string{"a"}, err: over}, []answer{stale}, "OAUTH-CONNECT", []string{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, n := openReady(t, tc.answers...)
			s.tokens = tc.tokens
			_, err := s.Deliver(context.Background(), batch(1))
			if tc.code == "" && err != nil || tc.code != "" && activation.CodeOf(err) != tc.code {
				t.Errorf("got %v", err)
			}
			var e *activation.Error
			if errors.As(err, &e) && (e.Kind != activation.Unauthorized || e.MayHaveApplied) {
				t.Errorf("got kind %s, applied %v", e.Kind, e.MayHaveApplied)
			}
			if !slices.Equal(tc.tokens.refused, tc.refused) || len(n.answers) > 0 {
				t.Errorf("refused %v, %d answers left", tc.tokens.refused, len(n.answers))
			}
		})
	}
}

// TestConflict: a change that is refused for another one is made once more, after
// a look at the segment.
func TestConflict(t *testing.T) {
	for _, status := range []int{409, 412} {
		refused := answer{status: status, body: `{"code":"CONFLICT"}`}
		s, n := openReady(t, refused, found(noon.Add(-time.Hour)), answered(201))
		if rc, err := s.Deliver(context.Background(), batch(1)); err != nil || rc.Accepted != 1 || len(n.calls) != 3 {
			t.Errorf("%d: %+v %v", status, rc, err)
		}
		s, n = openReady(t, refused, found(noon.Add(-time.Hour)), refused)
		_, err := s.Deliver(context.Background(), batch(1))
		if e := asError(t, err); e.Code != "LINKEDIN-CONFLICT" || e.Kind != activation.Unavailable || e.MayHaveApplied || len(n.calls) != 3 {
			t.Errorf("%d twice: %v", status, err)
		}
	}
	refused := answer{status: 409, body: `{}`}
	c, n := openConversions(t, refused, answered(201))
	if rc, err := c.Deliver(context.Background(), events(1)); err != nil || rc.Accepted != 1 || len(n.calls) != 2 {
		t.Errorf("conversions: %+v %v", rc, err)
	}
	s, n := open(t, nobody, refused, nobody, made(remoteID))
	if err := ensured(s, audience, remoteID); err != nil || len(n.answers) > 0 {
		t.Errorf("create: %v", err)
	}
}

func TestEveryCodeHasItsPage(t *testing.T) {
	codes := []string{codeRow}
	for _, c := range []class{
		classAuth, classPermission, classAccount, classVersion, classThrottle, classPending, classUnavailable, classAnswer,
		classConflict, classGone, classSegment, classRule, classData, classSize, classRequest, classSettings,
	} {
		codes = append(codes, c.Code)
	}
	for _, code := range codes {
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
	for _, body := range []string{`{"elements":[{"status":201}]}`, `{"serviceErrorCode":65600,"code":"X"}`, `<html>`, `{"code":null}`, `[`, ``} {
		f.Add(200, body, "5", "Sun, 22 Nov 2026 12:00:00 GMT")
		f.Add(404, body, "", "")
		f.Add(422, body, "", "")
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter, date string) {
		c := &client{now: time.Now}
		a := outbound.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}, "Date": {date}, "X-Li-Uuid": {body}}, Body: []byte(body)}
		var got statuses
		err := c.read(request{method: restBatch, body: c.bodies.Take()}, time.Now(), a, &got)
		if err == nil {
			if status/100 != 2 {
				t.Errorf("status %d is no success", status)
			}
			return
		}
		e := asError(t, err)
		if e.Code == "" || e.Kind == "" || (e.Kind == activation.WaitUntil && !e.Until.After(time.Now().Add(-time.Minute))) {
			t.Errorf("error %+v", e)
		}
		if e.Kind == activation.Gone && (status == 401 || status == 403) {
			t.Error("gone by 401 or 403")
		}
		if status >= 500 && !e.MayHaveApplied {
			t.Errorf("status %d surely had no effect", status)
		}
	})
}
