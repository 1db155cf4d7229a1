package google_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/google"
	sandbox "usher/sandbox/google"
)

// adsFailure is a refusal as the Google Ads API writes it.
func adsFailure(status int, state string, codes ...string) string {
	var errs []string
	for _, c := range codes {
		family, word, _ := strings.Cut(c, ".")
		errs = append(errs, fmt.Sprintf(`{"errorCode":{%q:%q},"message":"alex@example.com may not"}`, family, word))
	}
	return fmt.Sprintf(`{"error":{"code":%d,"message":"alex@example.com may not","status":%q,"details":[{"@type":"type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure","errors":[%s],"requestId":"req-1"}]}}`,
		status, state, strings.Join(errs, ","))
}

func campaigns(t testing.TB, f http.RoundTripper) provider.Publisher {
	t.Helper()
	pub, err := google.NewCampaigns(deps(f, nil))
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// TestAdsErrorsAreClassified is the table of what a whole call is refused with. Codes
// decide, never texts, and where there are none the canonical code.
func TestAdsErrorsAreClassified(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		code   string
		kind   activation.Kind
		may    bool // of edits
	}{
		{401, adsFailure(401, "UNAUTHENTICATED", "authenticationError.OAUTH_TOKEN_EXPIRED"), "GADS-AUTH", activation.Unauthorized, false},
		{401, adsFailure(401, "UNAUTHENTICATED", "authenticationError.OAUTH_TOKEN_REVOKED"), "GADS-AUTH", activation.Unauthorized, false},
		{401, adsFailure(401, "UNAUTHENTICATED", "authenticationError.TWO_STEP_VERIFICATION_NOT_ENROLLED"), "GADS-AUTH", activation.Unauthorized, false},
		{401, adsFailure(401, "UNAUTHENTICATED", "authenticationError.NOT_ADS_USER"), "GADS-PERMISSION", activation.Invalid, false},
		{401, adsFailure(401, "UNAUTHENTICATED", "authenticationError.CUSTOMER_NOT_FOUND"), "GADS-PERMISSION", activation.Invalid, false},
		{401, `{}`, "GADS-AUTH", activation.Unauthorized, false},
		{403, adsFailure(403, "PERMISSION_DENIED", "authorizationError.USER_PERMISSION_DENIED"), "GADS-PERMISSION", activation.Invalid, false},
		{403, adsFailure(403, "PERMISSION_DENIED", "authorizationError.CUSTOMER_NOT_ENABLED"), "GADS-ACCOUNT", activation.Invalid, false},
		{403, adsFailure(403, "PERMISSION_DENIED", "authorizationError.PROJECT_DISABLED"), "GADS-PROJECT", activation.Invalid, false},
		{403, adsFailure(403, "PERMISSION_DENIED", "authorizationError.CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION"), "GADS-PROJECT", activation.Invalid, false},
		{403, adsFailure(403, "PERMISSION_DENIED", "authorizationError.INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION"), "GADS-PERMISSION", activation.Invalid, false},
		{403, failure(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), "GADS-SCOPE", activation.Invalid, false},
		{403, failure(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), "GADS-PROJECT", activation.Invalid, false},
		{403, `{}`, "GADS-PERMISSION", activation.Invalid, false},
		{400, adsFailure(400, "INVALID_ARGUMENT", "headerError.INVALID_LOGIN_CUSTOMER_ID"), "GADS-PERMISSION", activation.Invalid, false},
		{400, adsFailure(400, "INVALID_ARGUMENT", "mutateError.EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED"), "GADS-POLITICAL", activation.Invalid, false},
		{400, adsFailure(400, "INVALID_ARGUMENT", "databaseError.CONCURRENT_MODIFICATION"), "GADS-BUSY", activation.Unavailable, false},
		{400, adsFailure(400, "INVALID_ARGUMENT", "requestError.UNSUPPORTED_VERSION"), "GADS-REQUEST", activation.Invalid, false},
		{400, adsFailure(400, "INVALID_ARGUMENT", "queryError.UNRECOGNIZED_FIELD"), "GADS-REQUEST", activation.Invalid, false},
		{400, adsFailure(400, "INVALID_ARGUMENT", "queryError.REQUESTED_METRICS_FOR_MANAGER"), "GADS-ACCOUNT", activation.Invalid, false},
		{400, `{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT"}}`, "GADS-REQUEST", activation.Invalid, false},
		{404, `{"error":{"code":404,"status":"NOT_FOUND"}}`, "GADS-REQUEST", activation.Invalid, false},
		{404, `<html>404</html>`, "GADS-UNAVAILABLE", activation.Unavailable, true},
		{429, adsFailure(429, "RESOURCE_EXHAUSTED", "quotaError.RESOURCE_TEMPORARILY_EXHAUSTED"), "GADS-QUOTA", activation.WaitUntil, false},
		{429, adsFailure(429, "RESOURCE_EXHAUSTED", "quotaError.EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION"), "GADS-QUOTA", activation.WaitUntil, false},
		{429, `{}`, "GADS-QUOTA", activation.WaitUntil, false},
		{500, adsFailure(500, "INTERNAL", "internalError.INTERNAL_ERROR"), "GADS-UNAVAILABLE", activation.Unavailable, true},
		{503, adsFailure(503, "UNAVAILABLE", "internalError.TRANSIENT_ERROR"), "GADS-UNAVAILABLE", activation.Unavailable, true},
		{504, `{"error":{"code":504,"status":"DEADLINE_EXCEEDED"}}`, "GADS-UNAVAILABLE", activation.Unavailable, true},
		{502, `<html>502</html>`, "GADS-UNAVAILABLE", activation.Unavailable, true},
		{301, ``, "GADS-SETTINGS", activation.Invalid, false},
		{200, `[`, "GADS-ANSWER", activation.Unavailable, true},
		{200, `"ok"`, "GADS-ANSWER", activation.Unavailable, true},
	} {
		about := `[{"results":[{"customer":{"currencyCode":"EUR","timeZone":"Europe/Paris"},"currencyConstant":{"billableUnitMicros":"10000"}}]}]`
		for _, edits := range []bool{false, true} {
			f := &far{answer: func(_ int, req *http.Request, body []byte) (int, string) {
				if edits && strings.HasSuffix(req.URL.Path, "searchStream") {
					return 200, about
				}
				if !edits && tc.status != 200 && tc.status != 301 && strings.HasPrefix(tc.body, `{"error`) {
					return tc.status, "[" + tc.body + "]"
				}
				return tc.status, tc.body
			}}
			pub := campaigns(t, f)
			var err error
			if edits {
				var n entries
				_, err = pub.Post(t.Context(), []provider.Edit{n.remove("ad", "5~1"), n.remove("ad", "5~2")})
			} else {
				_, err = pub.Check(t.Context())
			}
			e := wrong(t, err)
			kind := tc.kind
			if edits && tc.kind == activation.Invalid && strings.Contains(tc.body, "Unknown name") { // one of them is at fault
				kind = activation.RefusedWhole
			}
			if e.Code != tc.code || e.Kind != kind || e.MayHaveApplied != (edits && tc.may) || strings.Contains(e.Error(), "alex") {
				t.Errorf("%d %s (edits %v): %+v", tc.status, tc.body, edits, e)
			}
			if e.Kind == activation.WaitUntil && !e.Until.Equal(now.Add(time.Minute)) {
				t.Errorf("until %v", e.Until)
			}
			refused := 0
			for _, c := range f.calls {
				if strings.HasSuffix(c, "Bearer t2") {
					refused++
				}
			}
			if (refused > 0) != (tc.status == 401) || refused > 1 {
				t.Errorf("%d: %d calls with another token", tc.status, refused)
			}
		}
	}
}

// TestOutcomesByCode is the table of what becomes of one edit while its neighbour is
// done.
func TestOutcomesByCode(t *testing.T) {
	for code, want := range map[string]struct {
		state provider.EditState
		code  string
	}{
		"databaseError.CONCURRENT_MODIFICATION":                     {provider.EditLater, "GADS-BUSY"},
		"quotaError.RESOURCE_TEMPORARILY_EXHAUSTED":                 {provider.EditLater, "GADS-QUOTA"},
		"internalError.TRANSIENT_ERROR":                             {provider.EditLater, "GADS-UNAVAILABLE"},
		"internalError.INTERNAL_ERROR":                              {provider.EditUnknown, "GADS-UNAVAILABLE"},
		"internalError.DEADLINE_EXCEEDED":                           {provider.EditUnknown, "GADS-UNAVAILABLE"},
		"authorizationError.USER_PERMISSION_DENIED":                 {provider.EditLater, "GADS-PERMISSION"},
		"campaignBudgetError.DUPLICATE_NAME":                        {provider.EditRefused, "GADS-NAME"},
		"campaignBudgetError.NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT": {provider.EditRefused, "GADS-AMOUNT"},
		"campaignBudgetError.CAMPAIGN_BUDGET_IN_USE":                {provider.EditRefused, "GADS-BUDGET"},
		"mutateError.RESOURCE_NOT_FOUND":                            {provider.EditRefused, "GADS-GONE"},
		"policyFindingError.POLICY_FINDING":                         {provider.EditRefused, "GADS-POLICY"},
		"resourceCountLimitExceededError.ACCOUNT_LIMIT":             {provider.EditRefused, "GADS-LIMIT"},
		"newResourceCreationError.TEMP_ID_RESOURCE_HAD_ERRORS":      {provider.EditRefused, "GADS-NEEDS"},
		"stringLengthError.TOO_LONG":                                {provider.EditRefused, "GADS-EDIT"},
		"someNewError.NEVER_SEEN":                                   {provider.EditRefused, "GADS-EDIT"},
	} {
		family, word, _ := strings.Cut(code, ".")
		body := fmt.Sprintf(`{"mutateOperationResponses":[{},{"campaignBudgetResult":{"resourceName":"customers/1234567890/campaignBudgets/8"}},{}],"partialFailureError":{"code":3,"details":[{"@type":"x.errors.GoogleAdsFailure",
			"errors":[{"errorCode":{%q:%q},"message":"no\nway\u0000","location":{"fieldPathElements":[{"fieldName":"mutate_operations","index":0},{"fieldName":"campaign_budget_operation"},{"fieldName":"update"},{"fieldName":"amount_micros"}]},"details":{"quotaErrorDetails":{"retryDelay":"90s"}}}],"requestId":"req-7"}]}}`, family, word)
		f := &far{answer: func(_ int, req *http.Request, _ []byte) (int, string) {
			if strings.HasSuffix(req.URL.Path, "searchStream") {
				return 200, `[{"results":[{"customer":{"currencyCode":"EUR","timeZone":"Europe/Paris"},"currencyConstant":{"billableUnitMicros":"10000"}}]}]`
			}
			return 200, body
		}}
		var n entries
		out, err := campaigns(t, f).Post(t.Context(), []provider.Edit{
			n.set("budget", "7", nil, map[string]string{"budget": "1"}), n.set("budget", "8", nil, map[string]string{"budget": "1"}), n.set("budget", "9", nil, map[string]string{"budget": "1"}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if o := out[0]; o.State != want.state || o.Code != want.code || o.Text != code+": no way" || o.RequestID != "req-7" || o.Field != "budget" {
			t.Errorf("%s: %+v", code, o)
		}
		if want.code == "GADS-QUOTA" && !out[0].Until.Equal(now.Add(90*time.Second)) {
			t.Errorf("until %v", out[0].Until)
		}
		if out[1].State != provider.EditDone || out[2].State != provider.EditUnknown || out[2].Code != "GADS-ANSWER" {
			t.Errorf("%s: the neighbours are %+v", code, out[1:])
		}
	}
	// What is to be deleted and is gone, is done.
	pub, _ := openAds(t, sandbox.AdsCustomer{}, nil)
	var n entries
	if out := post(t, pub, []provider.Edit{n.remove("ad", "5~1")}); out[0].Answer == "" || out[0].Code != "" {
		t.Errorf("%+v", out[0])
	}
}

// TestAdsCodesHavePages: whoever meets a code finds what to do.
func TestAdsCodesHavePages(t *testing.T) {
	codes := google.AdsCodes()
	for _, code := range codes {
		if _, err := os.Stat(filepath.Join("..", "..", "..", "docs", "troubleshooting", strings.ToLower(code)+".md")); err != nil {
			t.Error(err)
		}
	}
	if slices.Sort(codes); len(slices.Compact(codes)) != len(google.AdsCodes()) {
		t.Error("a code is there twice")
	}
}

// TestAnswersAreReadAsTheyCome: rows are given out before the answer is whole, and an
// error in the middle of it is one.
func TestAnswersAreReadAsTheyCome(t *testing.T) {
	row := `{"campaignBudget":{"id":"7","name":"a","amountMicros":"1000000","explicitlyShared":true}}`
	for name, tc := range map[string]struct {
		body string
		rows int
		code string
	}{
		"nothing":                      {`[]`, 0, ""},
		"chunks":                       {`[{"results":[` + row + `,` + row + `],"fieldMask":"a,b","requestId":"r"},{"results":[` + row + `],"queryResourceConsumption":"12"}]`, 3, ""},
		"a chunk without rows":         {`[{"fieldMask":"","requestId":"r"}]`, 0, ""},
		"an error after rows":          {`[{"results":[` + row + `]},` + adsFailure(503, "UNAVAILABLE", "internalError.TRANSIENT_ERROR") + `]`, 1, "GADS-UNAVAILABLE"},
		"cut after a row":              {`[{"results":[` + row + `,`, 1, "GADS-ANSWER"},
		"cut after a chunk":            {`[{"results":[` + row + `]}`, 1, "GADS-ANSWER"},
		"rows that are no list":        {`[{"results":{"a":1}}]`, 0, "GADS-ANSWER"},
		"a chunk that is a list":       {`[[` + row + `]]`, 0, "GADS-ANSWER"},
		"a row without an end":         {`[{"results":[{"campaign":{"name":"` + strings.Repeat("x", 9<<20), 0, "GADS-ANSWER"},
		"a number where a text should": {`[{"results":[{"campaignBudget":{"id":7}}]}]`, 0, "GADS-ANSWER"},
		"a row of nothing":             {`[{"results":[null]}]`, 0, "GADS-ANSWER"},
		"a row without an id":          {`[{"results":[` + row + `,{"campaignBudget":{"name":"b"}}]}]`, 1, "GADS-ANSWER"},
		"something else":               {`{"status":"ok"}`, 0, "GADS-ANSWER"},
		"an empty object":              {`{}`, 0, "GADS-ANSWER"},
	} {
		calls := 0
		f := &far{answer: func(int, *http.Request, []byte) (int, string) {
			if calls++; calls > 1 {
				return 200, `[]`
			}
			return 200, tc.body
		}}
		rows := 0
		err := campaigns(t, f).Structure(t.Context(), func(provider.ObjectState) error {
			rows++
			return nil
		})
		code := ""
		if err != nil {
			code = wrong(t, err).Code
		}
		if rows != tc.rows || code != tc.code {
			t.Errorf("%s: %d rows, %v", name, rows, err)
		}
	}
}

// FuzzAdsAnswer: whatever Google answers, nothing breaks, an error is one that can be
// told, and outcomes are as many as edits.
func FuzzAdsAnswer(f *testing.F) {
	f.Add(200, `[{"results":[{"campaign":{"id":"1","name":"a","status":"ENABLED"},"metrics":{"costMicros":"1234000","conversions":1.5},"segments":{"date":"2026-11-20"}}],"requestId":"r"}]`)
	f.Add(200, `{"mutateOperationResponses":[{"adGroupAdResult":{"resourceName":"customers/1234567890/adGroupAds/5~1"}},{}],"partialFailureError":{"code":3,"details":[{"@type":"a.errors.GoogleAdsFailure","errors":[{"errorCode":{"a":"B"},"location":{"fieldPathElements":[{"fieldName":"mutate_operations","index":1}]}}]}]}}`)
	f.Add(400, `[{"error":{"code":400,"details":[{"@type":"a.errors.GoogleAdsFailure","errors":[{"errorCode":{"a":"B"}}]}]}}]`)
	f.Add(200, `[{"results":[`)
	f.Add(500, `<html>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		pub := campaigns(t, always(status, body))
		check := func(err error) {
			if err != nil && wrong(t, err).Code == "" {
				t.Errorf("an error without a code: %v", err)
			}
		}
		check(pub.Structure(t.Context(), func(provider.ObjectState) error { return nil }))
		check(pub.Costs(t.Context(), "2026-11-20", "2026-11-20", func(activation.Cost) error { return nil }))
		var n entries
		edits := []provider.Edit{n.remove("ad", "5~1"), n.remove("ad", "5~2")}
		known := &far{answer: func(_ int, req *http.Request, _ []byte) (int, string) {
			if strings.HasSuffix(req.URL.Path, "searchStream") {
				return 200, `[{"results":[{"customer":{"currencyCode":"EUR","timeZone":"Europe/Paris"},"currencyConstant":{"billableUnitMicros":"10000"}}]}]`
			}
			return status, body
		}}
		out, err := campaigns(t, known).Post(t.Context(), edits)
		check(err)
		if err == nil && len(out) != len(edits) {
			t.Errorf("%d outcomes", len(out))
		}
		for _, o := range out {
			if o.State == "" || (o.State == provider.EditDone) != (o.Code == "") {
				t.Errorf("%+v", o)
			}
		}
	})
}

// TestAnErrorThatNamesNobody: of several edits it halves, of one it is that one's, and
// of a question it is the request's.
func TestAnErrorThatNamesNobody(t *testing.T) {
	body := adsFailure(400, "INVALID_ARGUMENT", "someNewError.NEVER_SEEN")
	f := &far{answer: func(_ int, req *http.Request, _ []byte) (int, string) {
		if strings.HasSuffix(req.URL.Path, "searchStream") {
			return 200, `[{"results":[{"customer":{"currencyCode":"EUR","timeZone":"Europe/Paris"},"currencyConstant":{"billableUnitMicros":"10000"}}]}]`
		}
		return 400, body
	}}
	var n entries
	edits := []provider.Edit{n.remove("ad", "5~1"), n.remove("ad", "5~2")}
	pub := campaigns(t, f)
	if _, err := pub.Post(t.Context(), edits); wrong(t, err).Kind != activation.RefusedWhole || wrong(t, err).MayHaveApplied {
		t.Error(err)
	}
	if out, err := pub.Post(t.Context(), edits[:1]); err != nil || out[0].State != provider.EditRefused || out[0].Code != "GADS-EDIT" {
		t.Error(out, err)
	}
	if _, err := campaigns(t, always(400, "["+body+"]")).Check(t.Context()); wrong(t, err).Kind != activation.Invalid {
		t.Error(err)
	}
}
