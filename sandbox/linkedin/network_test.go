package linkedin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
)

const (
	mail   = "55502f40dc8b7c769880b10874abc9d0f2b8c9e7c0f0b5d0b1a2c3d4e5f60718"
	device = "cdda802e-fb9c-47ad-9866-0794d394c912"
)

// TestVendorExamples: what the pages show is taken.
func TestVendorExamples(t *testing.T) {
	w := open(t, Options{})
	id := w.segment()
	w.want(w.call("GET", find(accountURN, "our-42"), "FINDER", ""), 200, `"id":`+id)
	w.want(w.call("GET", "/rest/dmpSegments/"+id, "GET", ""), 200, `"status":"BUILDING"`)
	users := `{"elements":[{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"},{"idType":"GOOGLE_AID","idValue":"` + device + `"}],
		"firstName":"Ana","lastName":"Ng","title":"CTO","company":"Acme","country":"US"},{"action":"REMOVE","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"}]}]}`
	w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", users), 200, `{"elements":[{"status":201},{"status":201}]}`)
	single := `{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"}]}`
	w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "", single), 201, "")
	w.want(w.call("POST", "/rest/conversionEvents", "BATCH_CREATE", `{"elements":[`+goodEvent+`]}`), 200, `{"elements":[{"status":201}]}`)
	w.want(w.call("POST", "/rest/conversionEvents", "", goodEvent), 201, "")
	rule := w.call("POST", "/rest/conversions", "CREATE", goodRule)
	w.want(rule, 201, "")
	made := rule.header.Get("X-Restli-Id")
	w.want(w.call("GET", "/rest/conversions/"+made+"?account=urn%3Ali%3AsponsoredAccount%3A123", "GET", ""), 200, `"conversionMethod":"CONVERSIONS_API"`)
	w.want(w.call("GET", "/rest/conversions?q=account&account=urn%3Ali%3AsponsoredAccount%3A123", "FINDER", ""), 200, `"total":2`)
	w.want(w.call("GET", "/rest/adAccounts/123", "GET", ""), 200, `"id":123`)
	if e := w.Events(); len(e) != 2 || e[0].EventID != "o-1" || e[0].Amount != "50.0" || e[0].External != "u-1" || !e[0].HappenedAt.Equal(noon) {
		t.Errorf("events %+v", e)
	}
	if s, _ := w.Segment(id); s.Members != 1 || s.Books.Added != 2 || s.Books.Removed != 1 || s.Books.Rows != 3 {
		t.Errorf("segment %+v", s)
	}
}

const goodRule = `{"name":"Orders","account":"` + accountURN + `","conversionMethod":"CONVERSIONS_API","type":"PURCHASE",
	"attributionType":"LAST_TOUCH_BY_CAMPAIGN","postClickAttributionWindowSize":365,"viewThroughAttributionWindowSize":7}`

var goodEvent = fmt.Sprintf(`{"conversion":"urn:lla:llaPartnerConversion:104","conversionHappenedAt":%d,"eventId":"o-1",
	"conversionValue":{"currencyCode":"USD","amount":"50.0"},
	"user":{"userIds":[{"idType":"SHA256_EMAIL","idValue":"%s"}],"userInfo":{"firstName":"Ana","lastName":"Ng","countryCode":"US"},"externalIds":["u-1"]}}`,
	noon.UnixMilli(), mail)

// TestHeaders changes one header of a good call at a time.
func TestHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(r *http.Request)
		status int
		part   string
	}{
		"no version":       {func(r *http.Request) { r.Header.Del("LinkedIn-Version") }, 400, "VERSION_MISSING"},
		"sunset":           {func(r *http.Request) { r.Header.Set("LinkedIn-Version", "202511") }, 426, "NONEXISTENT_VERSION"},
		"never was":        {func(r *http.Request) { r.Header.Set("LinkedIn-Version", "202512") }, 426, "NONEXISTENT_VERSION"},
		"no version at":    {func(r *http.Request) { r.Header.Set("LinkedIn-Version", "v26.0") }, 426, "NONEXISTENT_VERSION"},
		"no protocol":      {func(r *http.Request) { r.Header.Del("X-Restli-Protocol-Version") }, 400, "2.0.0"},
		"old protocol":     {func(r *http.Request) { r.Header.Set("X-Restli-Protocol-Version", "1.0.0") }, 400, "2.0.0"},
		"no token":         {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "65600"},
		"unknown token":    {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401, "65600"},
		"another scheme":   {func(r *http.Request) { r.Header.Set("Authorization", "Basic "+DefaultToken) }, 401, "65600"},
		"another method":   {func(r *http.Request) { r.Header.Set("X-Restli-Method", "PARTIAL_UPDATE") }, 405, "METHOD"},
		"no content type":  {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "content type"},
		"form":             {func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, "content type"},
		"length not known": {func(r *http.Request) { r.ContentLength = -1 }, 411, "Content-Length"},
		"another path":     {func(r *http.Request) { r.URL.Path = "/rest/dmpSegment" }, 404, "no such resource"},
		"delete":           {func(r *http.Request) { r.Method = "DELETE" }, 404, "no such resource"},
		"query":            {func(r *http.Request) { r.URL.RawQuery = "x=1" }, 201, ""},
	} {
		w := open(t, Options{})
		r := request("POST", "/rest/dmpSegments", "CREATE", goodSegment)
		tc.change(r)
		t.Run(name, func(t *testing.T) { w.t = t; w.want(w.do(r), tc.status, tc.part) })
		if tc.status != 201 && len(w.Segments()) != 0 {
			t.Errorf("%s: a segment was made", name)
		}
	}
	w := open(t, Options{})
	empty := request("POST", "/rest/dmpSegments", "CREATE", "")
	w.want(w.do(empty), 411, "Content-Length")
	empty.Header.Set("Content-Length", "0")
	w.want(w.do(empty), 400, "")
	w.want(w.call("GET", "/rest/dmpSegments?q=account&account="+accountURN, "FINDER", ""), 400, "percent-encoded")
}

// corrupt puts one field of a good body wrong at a time.
func corrupt(t *testing.T, good string, wrong map[string][2]string, send func(body string) result, status int) {
	t.Helper()
	for name, change := range wrong {
		body := strings.Replace(good, change[0], change[1], 1)
		if body == good {
			t.Fatalf("%s changes nothing", name)
		}
		if got := send(body); got.status != status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestCorruptSegments(t *testing.T) {
	w := open(t, Options{TestAccounts: []string{"7"}})
	send := func(body string) result { return w.call("POST", "/rest/dmpSegments", "CREATE", body) }
	corrupt(t, goodSegment, map[string][2]string{
		"no name":               {`"VIPs"`, `" "`},
		"unknown field":         {`"name"`, `"nickname":"x","name"`},
		"account no URN":        {accountURN, "123"},
		"account of letters":    {accountURN, accountURN + "x"},
		"public":                {"PRIVATE", "PUBLIC"},
		"no policy":             {`"accessPolicy":"PRIVATE",`, ""},
		"unknown type":          {`"USER"`, `"USERS"`},
		"list of a platform":    {`"USER"`, `"USER_LIST_UPLOAD"`},
		"platform of others":    {`"USHER"`, `"SEGMENT"`},
		"platform of lists":     {`"USHER"`, `"LIST_UPLOAD"`},
		"no destination":        {`[{"destination":"LINKEDIN"}]`, "[]"},
		"another destination":   {`"LINKEDIN"`, `"FACEBOOK"`},
		"no JSON":               {"{", "["},
		"two objects":           {"]}", "]}{}"},
		"field of a wrong form": {`"our-42"`, "42"},
	}, send, 400)
	w.want(send(strings.Replace(goodSegment, accountURN, "urn:li:sponsoredAccount:7", 1)), 403, "test account")
	if len(w.Segments()) > 0 {
		t.Error("a segment was made")
	}
}

func TestCorruptUsers(t *testing.T) {
	w := open(t, Options{})
	id := w.segment()
	good := `{"elements":[{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"},{"idType":"GOOGLE_AID","idValue":"` + device + `"}],"firstName":"Ana","lastName":"Ng","title":"CTO","company":"Acme","country":"US"}]}`
	whole := func(body string) result {
		return w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", body)
	}
	corrupt(t, good, map[string][2]string{
		"unknown field":       {`"title"`, `"email":"ana@example.com","title"`},
		"unknown id field":    {`"idType"`, `"type":"x","idType"`},
		"no elements":         {"elements", "element"},
		"empty":               {good, `{"elements":[]}`},
		"ids of a wrong form": {`"US"`, "1"},
	}, whole, 400)
	single := func(body string) result { // the status of the one element
		got := whole(body)
		if got.status == 200 && strings.Contains(got.body, `"status":400`) && strings.Contains(got.body, `"error"`) {
			got.status = 400
		}
		return got
	}
	corrupt(t, good, map[string][2]string{
		"action":            {`"ADD"`, `"add"`},
		"id type":           {"GOOGLE_AID", "GAID"},
		"upper-case hash":   {mail, strings.ToUpper(mail)},
		"short hash":        {mail, mail[1:]},
		"hash of nothing":   {mail, hashOfNothing},
		"no hash":           {mail, "ana@example.com"},
		"upper-case device": {device, strings.ToUpper(device)},
		"zero device":       {device, "00000000-0000-0000-0000-000000000000"},
		"apple":             {"GOOGLE_AID", "APPLE_IDFA"},
		"long first name":   {`"Ana"`, `"` + strings.Repeat("x", 36) + `"`},
		"long last name":    {`"Ng"`, `"` + strings.Repeat("x", 36) + `"`},
		"long title":        {`"CTO"`, `"` + strings.Repeat("x", 51) + `"`},
		"long company":      {`"Acme"`, `"` + strings.Repeat("x", 51) + `"`},
		"country":           {`"US"`, `"usa"`},
	}, single, 400)
	noID := `{"elements":[{"action":"ADD","userIds":[],"firstName":"Ana"}]}`
	w.want(whole(noID), 200, `"status":400`)
	many := `{"elements":[` + strings.TrimSuffix(strings.Repeat(`{"action":"ADD"},`, maxElements+1), ",") + `]}`
	w.want(whole(many), 400, "5000")
	if s, _ := w.Segment(id); s.Members != 0 {
		t.Errorf("segment %+v", s)
	}
	apple := open(t, Options{AppleIDs: true})
	id = apple.segment()
	apple.want(apple.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", strings.Replace(good, "GOOGLE_AID", "APPLE_IDFA", 1)), 200, `{"status":201}`)
}

func TestCorruptEvents(t *testing.T) {
	w := open(t, Options{Rules: []Rule{{ID: "104", Method: methodAPI}, {ID: "105", Method: "INSIGHT_TAG"}, {ID: "106", Method: methodAPI, Disabled: true}}})
	good := `{"elements":[` + goodEvent + `,` + goodEvent + `]}`
	send := func(body string) result {
		got := w.call("POST", "/rest/conversionEvents", "BATCH_CREATE", body)
		if got.status == 422 && !strings.HasPrefix(got.fields["message"].(string), "Index: 0, ERROR :: /") {
			t.Errorf("message %q", got.body)
		}
		if got.status == 400 && !strings.Contains(got.body, "indices [0] (0-indexed)") && !strings.Contains(got.body, "unknown field") {
			t.Errorf("message %q", got.body)
		}
		return got
	}
	corrupt(t, good, map[string][2]string{
		"no rule":           {`"conversion":"urn:lla:llaPartnerConversion:104",`, ""},
		"rule of digits":    {"urn:lla:llaPartnerConversion:104", "104"},
		"seconds":           {fmt.Sprint(noon.UnixMilli()), fmt.Sprint(noon.Unix())},
		"no time":           {fmt.Sprintf(`"conversionHappenedAt":%d,`, noon.UnixMilli()), ""},
		"no amount":         {`,"amount":"50.0"`, ""},
		"no currency":       {`"currencyCode":"USD",`, ""},
		"lower currency":    {"USD", "usd"},
		"amount with comma": {"50.0", "50,0"},
		"one name":          {`,"lastName":"Ng"`, ""},
		"device id":         {"SHA256_EMAIL", "GOOGLE_AID"},
		"no hash":           {mail, "ana@example.com"},
		"two external ids":  {`["u-1"]`, `["u-1","u-2"]`},
		"country":           {`"US"`, `"us"`},
	}, send, 422)
	corrupt(t, good, map[string][2]string{
		"unknown rule":   {":104", ":999"},
		"another method": {":104", ":105"},
		"disabled":       {":104", ":106"},
		"90 days":        {fmt.Sprint(noon.UnixMilli()), fmt.Sprint(noon.Add(-eventAge - time.Second).UnixMilli())},
		"to come":        {fmt.Sprint(noon.UnixMilli()), fmt.Sprint(noon.Add(time.Hour).UnixMilli())},
		"unknown field":  {`"eventId"`, `"id":"x","eventId"`},
	}, send, 400)
	amount := w.call("POST", "/rest/conversionEvents", "BATCH_CREATE", `{"elements":[`+goodEvent+`,`+strings.Replace(goodEvent, `"50.0"`, `5`, 1)+`]}`)
	w.want(amount, 400, "") // an amount that is a number is not of the schema at all
	noUser := goodEvent[:strings.Index(goodEvent, ",\n\t\"user\"")] + "}"
	w.want(w.call("POST", "/rest/conversionEvents", "BATCH_CREATE", `{"elements":[`+goodEvent+`,`+noUser+`]}`), 422, "Index: 1, ERROR :: /user :: ")
	if len(w.Events()) > 0 {
		t.Error("a batch with a bad event was taken in part")
	}
}

func TestCorruptRules(t *testing.T) {
	w := open(t, Options{})
	corrupt(t, goodRule, map[string][2]string{
		"no name":       {`"Orders"`, `""`},
		"no type":       {`"PURCHASE"`, `""`},
		"method":        {"CONVERSIONS_API", "API"},
		"attribution":   {"LAST_TOUCH_BY_CAMPAIGN", "FIRST"},
		"window":        {"365", "14"},
		"long window":   {"PURCHASE", "SIGN_UP"},
		"view-through":  {`"viewThroughAttributionWindowSize":7`, `"viewThroughAttributionWindowSize":8`},
		"account":       {accountURN, "123"},
		"unknown field": {`"name"`, `"title":"x","name"`},
	}, func(body string) result { return w.call("POST", "/rest/conversions", "CREATE", body) }, 400)
	if len(w.Rules()) != 1 {
		t.Errorf("rules %+v", w.Rules())
	}
}

// TestNewSegment: hidden for a minute, and then still losing rows where that is
// set, with an answer that says all is well.
func TestNewSegment(t *testing.T) {
	add := `{"elements":[{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"` + mail + `"}]}]}`
	w := open(t, Options{OldHeader: true, Undated: true})
	got := w.call("POST", "/rest/dmpSegments", "", goodSegment)
	id := got.header.Get("X-Linkedin-Id")
	if got.header.Get("X-Restli-Id") != "" || id == "" {
		t.Errorf("headers %v", got.header)
	}
	for range 2 {
		w.want(w.call("GET", "/rest/dmpSegments/"+id, "", ""), 404, "")
		w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", add), 404, "")
		w.want(w.call("GET", find(accountURN, "our-42"), "", ""), 200, `"elements":[]`)
		w.now = w.now.Add(59 * time.Second)
	}
	w.now = w.now.Add(2 * time.Second)
	w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", add), 200, "201")
	shown := w.call("GET", "/rest/dmpSegments/"+id, "", "")
	w.want(shown, 200, "")
	if strings.Contains(shown.body, "created") {
		t.Errorf("its age is told: %s", shown.body)
	}
	if s, _ := w.Segment(id); s.Members != 1 || s.Books.Lost != 0 {
		t.Errorf("segment %+v", s)
	}
	w = open(t, Options{Hidden: -1})
	id = w.call("POST", "/rest/dmpSegments", "", goodSegment).header.Get("X-Restli-Id")
	w.now = w.now.Add(4 * time.Second)
	w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", add), 200, "201")
	if s, _ := w.Segment(id); s.Members != 0 || s.Books.Lost != 1 {
		t.Errorf("segment %+v", s)
	}
	w.want(w.call("POST", "/rest/dmpSegments", "", goodSegment), 201, "")
	w.want(w.call("GET", find(accountURN, "our-42"), "", ""), 200, `"total":2`) // made twice
}

func TestStatusFollowsAgeAndSize(t *testing.T) {
	w := open(t, Options{MinMembers: 2})
	id := w.segment()
	add := func(i int) {
		body := fmt.Sprintf(`{"elements":[{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"%064x"}]}]}`, i)
		w.want(w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", body), 200, "201")
	}
	status := func(want string, size int) {
		t.Helper()
		w.want(w.call("GET", "/rest/dmpSegments/"+id, "", ""), 200, fmt.Sprintf(`"status":%q`, want))
		w.want(w.call("GET", "/rest/dmpSegments/"+id, "", ""), 200, fmt.Sprintf(`"audienceSize":%d`, size))
	}
	add(1)
	add(2)
	status("BUILDING", 0)
	w.now = w.now.Add(24 * time.Hour)
	status("READY", 2)
	if !w.SetStatus(id, "EXPIRED") || w.SetStatus(id, "GONE") || w.SetStatus("1", "READY") {
		t.Error("statuses are not checked")
	}
	status("EXPIRED", 2)
}

func TestQuotas(t *testing.T) {
	w := open(t, Options{CallsPerMinute: 2, CallsPerDay: 4})
	check := func(status int, part string) {
		t.Helper()
		got := w.call("GET", "/rest/adAccounts/123", "", "")
		w.want(got, status, part)
		if got.header.Get("Retry-After") != "" {
			t.Error("LinkedIn never says when")
		}
	}
	check(200, "")
	check(200, "")
	check(429, "MINUTE")
	w.now = w.now.Add(time.Minute)
	check(200, "")
	check(200, "")
	check(429, "DAY")
	w.now = w.now.Add(time.Hour)
	check(429, "DAY")
	w.now = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	check(200, "")
}

func TestAccounts(t *testing.T) {
	w := open(t, Options{
		Accounts: []string{"123", "124"},
		Tokens:   []Token{{Value: DefaultToken}, {Value: "viewer", ReadOnly: true}, {Value: "narrow", Accounts: []string{"124"}}, {Value: "revoked", Revoked: true}, {Value: "old", ExpiresAt: noon}},
	})
	id := w.segment()
	as := func(token, method, path, body string) result {
		r := request(method, path, "", body)
		r.Header.Set("Authorization", "Bearer "+token)
		return w.do(r)
	}
	w.want(as(DefaultToken, "GET", "/rest/adAccounts/125", ""), 404, "")
	w.want(as("narrow", "GET", "/rest/adAccounts/123", ""), 403, "ACCESS_DENIED")
	w.want(as("narrow", "GET", "/rest/dmpSegments/"+id, ""), 403, "ACCESS_DENIED")
	w.want(as("viewer", "GET", "/rest/dmpSegments/"+id, ""), 200, "")
	w.want(as("viewer", "POST", "/rest/dmpSegments", goodSegment), 403, "VIEWER")
	w.want(as("revoked", "GET", "/rest/adAccounts/123", ""), 401, "65601")
	w.want(as("old", "GET", "/rest/adAccounts/123", ""), 401, "65602")
}

func form(w *world, values url.Values) result {
	r := httptest.NewRequest("POST", "/oauth/v2/accessToken", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r)
}

func TestTokens(t *testing.T) {
	w := open(t, Options{})
	client := url.Values{"client_id": {DefaultClientID}, "client_secret": {DefaultClientSecret}}
	with := func(pairs ...string) url.Values {
		v := url.Values{}
		for name, list := range client {
			v[name] = list
		}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	refresh := with("grant_type", "refresh_token", "refresh_token", DefaultRefreshToken)
	got := form(w, refresh)
	w.want(got, 200, `"refresh_token":"`+DefaultRefreshToken+`"`)
	if got.fields["expires_in"].(float64) != accessLife.Seconds() || got.fields["refresh_token_expires_in"].(float64) != refreshLife.Seconds() {
		t.Errorf("lives %v", got.fields)
	}
	use := func(token any, status int) {
		t.Helper()
		r := request("GET", "/rest/adAccounts/123", "", "")
		r.Header.Set("Authorization", fmt.Sprintf("Bearer %v", token))
		w.want(w.do(r), status, "")
	}
	use(got.fields["access_token"], 200)
	w.now = w.now.Add(360 * 24 * time.Hour) // the last tokens end with the consent
	use(got.fields["access_token"], 426)
	w.opts.Versions["202607"] = w.now.AddDate(1, 0, 0)
	use(got.fields["access_token"], 401)
	last := form(w, refresh)
	if last.fields["expires_in"].(float64) != (5*24*time.Hour).Seconds() || last.fields["refresh_token_expires_in"].(float64) != (5*24*time.Hour).Seconds() {
		t.Errorf("lives %v", last.fields)
	}
	use(last.fields["access_token"], 200)
	w.now = w.now.Add(5 * 24 * time.Hour)
	w.want(form(w, refresh), 400, "invalid_grant")
	use(last.fields["access_token"], 401)
	for name, bad := range map[string]url.Values{
		"unknown":             with("grant_type", "refresh_token", "refresh_token", "x"),
		"another secret":      with("grant_type", "refresh_token", "refresh_token", DefaultRefreshToken, "client_secret", "x"),
		"another grant":       with("grant_type", "password"),
		"another field":       with("grant_type", "refresh_token", "refresh_token", DefaultRefreshToken, "scope", "x"),
		"a code from nowhere": with("grant_type", "authorization_code", "code", "x", "redirect_uri", "https://a.example/"),
	} {
		if got := form(w, bad); got.status/100 != 4 || got.fields["error"] == nil {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	r := httptest.NewRequest("POST", "/oauth/v2/accessToken", strings.NewReader(refresh.Encode()))
	w.want(w.do(r), 400, "form")
}

func TestConsent(t *testing.T) {
	w := open(t, Options{})
	ask := "/oauth/v2/authorization?response_type=code&client_id=" + DefaultClientID + "&redirect_uri=https%3A%2F%2Fusher.example%2Fback&state=s1&scope=rw_ads"
	got := w.do(httptest.NewRequest("GET", ask, nil))
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.status != 302 || to.Host != "usher.example" || to.Query().Get("state") != "s1" || to.Query().Get("code") == "" {
		t.Fatalf("%d %v", got.status, got.header)
	}
	exchange := url.Values{
		"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"https://usher.example/back"},
		"client_id": {DefaultClientID}, "client_secret": {DefaultClientSecret},
	}
	tokens := form(w, exchange)
	w.want(tokens, 200, "refresh_token_expires_in")
	w.want(form(w, exchange), 400, "") // a code is good once
	again := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(tokens.fields["refresh_token"])},
		"client_id": {DefaultClientID}, "client_secret": {DefaultClientSecret},
	}
	w.want(form(w, again), 200, "access_token")
	w.Withdraw(fmt.Sprint(tokens.fields["refresh_token"]))
	w.want(form(w, again), 400, "invalid_grant")
	w.want(w.call("GET", "/rest/adAccounts/123", "", ""), 401, "65601")
	for _, wrong := range []string{"response_type=code", "client_id=" + DefaultClientID, "scope=rw_ads", "https%3A%2F%2Fusher.example%2Fback"} {
		w.want(w.do(httptest.NewRequest("GET", strings.Replace(ask, wrong, "", 1), nil)), 400, "")
	}
}

func TestFaults(t *testing.T) {
	w := open(t, Options{})
	id := w.segment()
	add := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"action":"ADD","userIds":[{"idType":"SHA256_EMAIL","idValue":"%064x"}]}`, i+1))
		}
		return `{"elements":[` + strings.Join(list, ",") + `]}`
	}
	users := func(n int) result {
		return w.call("POST", "/rest/dmpSegments/"+id+"/users", "BATCH_CREATE", add(n))
	}
	script := func(f fault.Fault) {
		t.Helper()
		if _, err := w.faults.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	script(fault.Fault{Kind: fault.Invalid, Op: "users", Row: 1, Rows: 2, Status: 503})
	got := users(4)
	w.want(got, 200, `[{"status":201},{"error"`)
	if strings.Count(got.body, `"status":503`) != 4 || strings.Count(got.body, `{"status":201}`) != 2 { // each has its error
		t.Errorf("body %s", got.body)
	}
	if s, _ := w.Segment(id); s.Members != 2 || s.Books.Refused != 2 {
		t.Errorf("segment %+v", s)
	}
	for _, tc := range []struct {
		f      fault.Fault
		status int
		part   string
	}{
		{fault.Fault{Kind: fault.Status, Applied: true}, 503, "INTERNAL_ERROR"},
		{fault.Fault{Kind: fault.HTML}, 502, "<html>"},
		{fault.Fault{Kind: fault.Throttle, Minutes: 7}, 429, "TOO_MANY"},
		{fault.Fault{Kind: fault.Token, Subcode: 65601}, 401, "65601"},
		{fault.Fault{Kind: fault.Gone}, 404, ""},
		{fault.Fault{Kind: fault.Flagged}, 403, ""},
		{fault.Fault{Kind: fault.Error, Status: 409, Code: 1, Message: "conflict"}, 409, "conflict"},
		{fault.Fault{Kind: fault.Slow, Delay: 1}, 200, "201"},
	} {
		script(tc.f)
		w.want(users(1), tc.status, tc.part)
	}
	script(fault.Fault{Kind: fault.Invalid, Op: "events", Row: 1, Rows: 1})
	w.want(w.call("POST", "/rest/conversionEvents", "BATCH_CREATE", `{"elements":[`+goodEvent+`,`+goodEvent+`]}`), 422, "Index: 1, ERROR :: /")
	if c := w.Counters(); c.Faults["html"] != 1 || c.ByOp["users"] != 9 || c.Writes != 11 {
		t.Errorf("counters %+v", c)
	}
	w.ForgetCalls()
	if len(w.Calls()) != 0 || w.Counters().Calls != 0 {
		t.Error("the calls are not forgotten")
	}
	for _, f := range []fault.Fault{{Kind: fault.Cut, Applied: true}, {Kind: fault.Timeout, Delay: 1}} {
		script(f)
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					t.Errorf("%s: the connection did not end", f.Kind)
				}
			}()
			users(1)
		}()
	}
}
