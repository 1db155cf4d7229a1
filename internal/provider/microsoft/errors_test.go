package microsoft

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// TestErrors says what an answer that is no success asks for, of a call that writes.
func TestErrors(t *testing.T) {
	fault := func(code, word string) string {
		return `{"TrackingId":"abc-1","OperationErrors":[{"Code":` + code + `,"ErrorCode":"` + word + `","Message":"secret@example.com"}]}`
	}
	for name, tc := range map[string]struct {
		status  int
		body    string
		header  http.Header
		code    string
		kind    activation.Kind
		applied bool
		wait    time.Duration
	}{
		"a token that is over":             {401, fault("109", "AuthenticationTokenExpired"), nil, "MSADS-AUTH", activation.Unauthorized, false, 0},
		"credentials, with another status": {500, fault("105", "InvalidCredentials"), nil, "MSADS-AUTH", activation.Unauthorized, false, 0},
		"401 without a body":               {401, ``, nil, "MSADS-AUTH", activation.Unauthorized, false, 0},
		"no right":                         {400, fault("106", "UserIsNotAuthorized"), nil, "MSADS-PERMISSION", activation.Invalid, false, 0},
		"403":                              {403, `{}`, nil, "MSADS-PERMISSION", activation.Invalid, false, 0},
		"another identity":                 {400, fault("123", "WorkIdentityNotAvailable"), nil, "MSADS-AUTH", activation.Unauthorized, false, 0},
		"another account":                  {400, fault("1102", "CampaignServiceInvalidAccountId"), nil, "MSADS-PERMISSION", activation.Invalid, false, 0},
		"a date that is none":              {400, fault("113", "InvalidDateObject"), nil, "MSADS-REQUEST", activation.Invalid, false, 0},
		"no header":                        {400, fault("116", "RequestMissingHeaders"), nil, "MSADS-REQUEST", activation.Invalid, false, 0},
		"only reading works":               {400, fault("1010", "CampaignServiceSystemInReadOnlyMode"), nil, "MSADS-THROTTLE", activation.WaitUntil, false, 15 * time.Minute},
		"too many calls":                   {400, fault(`"117"`, "CallRateExceeded"), nil, "MSADS-THROTTLE", activation.WaitUntil, false, time.Minute},
		"too many reports":                 {400, fault("207", "ConcurrentRequestOverLimit"), nil, "MSADS-THROTTLE", activation.WaitUntil, false, time.Minute},
		"too many bulk calls":              {400, fault("4204", "BulkServiceNoMoreCalls"), nil, "MSADS-THROTTLE", activation.WaitUntil, false, 15 * time.Minute},
		"429 with a time":                  {429, ``, http.Header{"Retry-After": {"420"}}, "MSADS-THROTTLE", activation.WaitUntil, false, 7 * time.Minute},
		"within":                           {400, fault("0", "InternalError"), nil, "MSADS-UNAVAILABLE", activation.Unavailable, true, 0},
		"500":                              {500, `{}`, nil, "MSADS-UNAVAILABLE", activation.Unavailable, true, 0},
		"a page":                           {404, `<html>`, nil, "MSADS-UNAVAILABLE", activation.Unavailable, true, 0},
		"a good page":                      {200, `<html>`, nil, "MSADS-ANSWER", activation.Unavailable, true, 0},
		"a request":                        {400, fault("1001", "NullRequest"), nil, "MSADS-REQUEST", activation.Invalid, false, 0},
		"elsewhere":                        {302, ``, nil, "MSADS-SETTINGS", activation.Invalid, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, &far{status: tc.status, answer: tc.body, header: tc.header}, nil)
			_, err := p.Post(context.Background(), []provider.Edit{remove("campaign", "8")})
			e := asError(t, err)
			if e.Code != tc.code || e.Kind != tc.kind || e.MayHaveApplied != tc.applied || tc.wait > 0 && !e.Until.Equal(noon.Add(tc.wait)) {
				t.Errorf("%+v", e)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes what came: %v", err)
			}
			_, err = p.Read(context.Background(), []activation.ObjectRef{{Kind: activation.KindCampaign, ID: "8"}})
			if e := asError(t, err); e.Code != tc.code || e.MayHaveApplied {
				t.Errorf("of a call that reads: %+v", e)
			}
		})
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

// TestSettings: a wrong one is named.
func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		breaks func(d *provider.Deps)
		field  string
	}{
		"an account with letters": {func(d *provider.Deps) { d.Account = "F123ABCD" }, "account"},
		"no customer":             {func(d *provider.Deps) { d.Config[customerIDField] = "" }, customerIDField},
		"no developer token":      {func(d *provider.Deps) { d.Auth = nil }, developerTokenField},
		"a zone of no place":      {func(d *provider.Deps) { d.Config[timezoneField] = "Paris" }, timezoneField},
		"no time":                 {func(d *provider.Deps) { d.Config[reportPollField] = "soon" }, reportPollField},
		"more than a call takes":  {func(d *provider.Deps) { d.Config["max_ads"] = "1001" }, "max_ads"},
		"nothing in a call":       {func(d *provider.Deps) { d.Config["max_ads"] = "0" }, "max_ads"},
	} {
		d := deps(&far{}, nil)
		tc.breaks(&d)
		_, err := NewPublisher(d)
		if e := asError(t, err); e.Kind != activation.Invalid || e.Code != "MSADS-SETTINGS" || e.Field != tc.field {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestZones: each of Microsoft's names leads to a zone there is, and an unknown one
// asks for the setting.
func TestZones(t *testing.T) {
	for name, zone := range zones {
		if _, err := time.LoadLocation(zone); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for config, want := range map[string]string{"": "Europe/Paris", "Asia/Tokyo": "Asia/Tokyo"} {
		p := open(t, &far{}, map[string]string{timezoneField: config})
		if info, err := p.Check(context.Background()); err != nil || info.Timezone != want {
			t.Errorf("%q: %+v %v", config, info, err)
		}
	}
	p := open(t, &far{}, nil)
	p.customerURL = "https://elsewhere.example" // where the account is another
	p.http = &http.Client{Transport: elsewhere(`{"Account":{"Name":"A","CurrencyCode":"EUR","TimeZone":"TheMoon"}}`)}
	if _, err := p.Check(context.Background()); asError(t, err).Field != timezoneField {
		t.Errorf("an unknown zone: %v", err)
	}
}

// FuzzRead: whatever an answer is, it is an error that says what to do, and a call
// that may have taken effect says so.
func FuzzRead(f *testing.F) {
	for _, body := range []string{`{"PartialErrors":[{"Index":0,"Code":117}]}`, `{"OperationErrors":[{"Code":"0"}]}`, `<html>`, `{"Errors":null}`, `[`, ``} {
		f.Add(200, body, "5")
		f.Add(400, body, "")
		f.Add(503, body, "")
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		p := &publisher{now: func() time.Time { return noon }}
		var out map[string]json.RawMessage
		err := p.read(request{writes: true}, outbound.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: []byte(body)}, &out)
		if err == nil {
			if status/100 != 2 {
				t.Errorf("status %d is no success", status)
			}
			return
		}
		e := asError(t, err)
		if e.Code == "" || e.Kind == "" || e.Kind == activation.WaitUntil && !e.Until.After(noon.Add(-time.Minute)) {
			t.Errorf("%+v", e)
		}
		if e.Kind == activation.Unavailable && !e.MayHaveApplied {
			t.Errorf("surely had no effect: %+v", e)
		}
	})
}
