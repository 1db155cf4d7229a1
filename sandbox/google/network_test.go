package google_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/sandbox/fault"
	"usher/sandbox/google"
)

// rows makes a body with one member for each list of e-mail digests.
func rows(list string, people ...[]string) string {
	var members []string
	for _, mails := range people {
		var ids []string
		for _, m := range mails {
			ids = append(ids, fmt.Sprintf(`{"emailAddress":"%x"}`, sha256.Sum256([]byte(m))))
		}
		members = append(members, `{"userData":{"userIdentifiers":[`+strings.Join(ids, ",")+`]}}`)
	}
	return `{"destinations":[{"operatingAccount":{"accountType":"GOOGLE_ADS","accountId":"1234567890"},"productDestinationId":"` + list + `"}],"encoding":"HEX",
"audienceMembers":[` + strings.Join(members, ",") + `]%s}`
}

const accepted = `,"termsOfService":{"customerMatchTermsOfServiceStatus":"ACCEPTED"}`

func (p *peer) ingest(list string, people ...[]string) string {
	p.t.Helper()
	s := p.call("POST", "/v1/audienceMembers:ingest", fmt.Sprintf(rows(list, people...), accepted))
	p.wants(s, 200, "")
	return s.body["requestId"].(string)
}

func (p *peer) remove(list string, people ...[]string) string {
	p.t.Helper()
	s := p.call("POST", "/v1/audienceMembers:remove", fmt.Sprintf(rows(list, people...), ""))
	p.wants(s, 200, "")
	return s.body["requestId"].(string)
}

func (p *peer) holds(list, mail string) bool {
	return p.net.Holds(list, "emailAddress", fmt.Sprintf("%x", sha256.Sum256([]byte(mail))))
}

func TestRequestsTakeEffectLater(t *testing.T) {
	p := newPeer(t, google.Options{Processing: time.Hour, Lag: 3 * time.Hour})
	list := p.list("L", "CONTACT_ID")
	request := p.ingest(list, []string{"a"}, []string{"b"})
	if state := p.status(request)["requestStatus"]; state != "PROCESSING" || p.holds(list, "a") {
		t.Fatalf("%v at once", state)
	}
	p.clock.pass(2 * time.Hour)
	s := p.status(request)
	rate := s["audienceMembersIngestionStatus"].(map[string]any)["userDataIngestionStatus"].(map[string]any)["uploadMatchRateRange"]
	if s["requestStatus"] != "SUCCESS" || rate != "MATCH_RATE_RANGE_51_TO_60" || p.holds(list, "a") {
		t.Fatalf("after two hours: %v", s)
	}
	p.clock.pass(3 * time.Hour)
	if members, _ := p.net.Members(list); len(members) != 2 || !p.holds(list, "a") {
		t.Fatalf("after the lag: %v", members)
	}
	p.wants(p.call("GET", "/v1/requestStatus:retrieve?requestId=nope", ""), 400, "INVALID_REQUEST_ID")
}

// TestRequestsOvertake: what was sent first need not take effect first.
func TestRequestsOvertake(t *testing.T) {
	p := newPeer(t, google.Options{Processing: time.Hour})
	list := p.list("L", "CONTACT_ID")
	for i := range 100 {
		mail := fmt.Sprint("a", i)
		p.ingest(list, []string{mail})
		p.remove(list, []string{mail})
		p.clock.pass(2 * time.Hour)
		if p.holds(list, mail) {
			return
		}
	}
	t.Error("a hundred removals came after their adding")
}

func TestCountsWithoutRows(t *testing.T) {
	p := newPeer(t, google.Options{})
	list := p.list("L", "CONTACT_ID")
	for rows, want := range map[int]string{1: "PARTIAL_SUCCESS", 3: "FAILED"} {
		if _, err := p.faults.Add(fault.Fault{Network: "google", Op: "ingest", Kind: fault.Invalid, Rows: rows}); err != nil {
			t.Fatal(err)
		}
		s := p.status(p.ingest(list, []string{"a"}, []string{"b"}, []string{"c"}))
		counts := fmt.Sprint(s["errorInfo"])
		if s["requestStatus"] != want || !strings.Contains(counts, fmt.Sprint("recordCount:", rows)) || !strings.Contains(counts, "INVALID_FORMAT") {
			t.Errorf("%d rows wrong: %v", rows, s)
		}
	}
	if !p.holds(list, "b") || p.holds(list, "a") {
		t.Error("the first row took effect, or the second did not")
	}
}

func TestATransactionCountsOnce(t *testing.T) {
	p := newPeer(t, google.Options{})
	for i, want := range []string{"SUCCESS", "FAILED"} {
		s := p.call("POST", "/v1/events:ingest", strings.Replace(eventsBody, "49.9", "0", 1))
		p.wants(s, 200, "")
		status := p.status(s.body["requestId"].(string))
		if status["requestStatus"] != want || i == 1 && !strings.Contains(fmt.Sprint(status), "DUPLICATE_TRANSACTION_ID") {
			t.Errorf("call %d: %v", i, status)
		}
	}
	events := p.net.Events()
	if len(events) != 1 || events[0].Value == nil || *events[0].Value != 0 || events[0].Identifiers["gclid"] != "EAIa" {
		t.Errorf("%+v", events)
	}
}

func TestRemoveAllKeepsTheNewer(t *testing.T) {
	p := newPeer(t, google.Options{})
	list := p.list("L", "CONTACT_ID")
	p.ingest(list, []string{"old"})
	p.clock.pass(time.Hour)
	cut := p.clock.Now().Format(time.RFC3339)
	p.clock.pass(time.Hour)
	p.ingest(list, []string{"new"})
	body := `{"destinations":[{"operatingAccount":{"accountType":"GOOGLE_ADS","accountId":"1234567890"},"productDestinationId":"` + list + `"}],"removeAsOfTime":"` + cut + `"%s}`
	p.wants(p.call("POST", "/v1/audienceMembers:removeAll", fmt.Sprintf(body, "")), 200, "")
	if p.holds(list, "old") || !p.holds(list, "new") {
		t.Error("the older one is in, or the newer one is out")
	}
	for _, wrong := range []string{`,"encoding":"HEX"`, `,"validateOnly":"yes"`} {
		p.wants(p.call("POST", "/v1/audienceMembers:removeAll", fmt.Sprintf(body, wrong)), 400, "INVALID_ARGUMENT")
	}
}

func TestListsAreKept(t *testing.T) {
	p := newPeer(t, google.Options{SmallestShown: 2})
	first := p.list("A", "CONTACT_ID")
	for i := range 4 {
		p.list(fmt.Sprint("B", i), "USER_ID")
	}
	var names []string
	for token, pages := "", 0; pages == 0 || token != ""; pages++ {
		s := p.call("GET", lists+"?pageSize=2&pageToken="+url.QueryEscape(token), "")
		p.wants(s, 200, "")
		if _, _, err := google.Judge("ListUserListsResponse", []byte(s.text)); err != nil {
			t.Fatal(err)
		}
		for _, l := range s.body["userLists"].([]any) {
			names = append(names, l.(map[string]any)["displayName"].(string))
		}
		token, _ = s.body["nextPageToken"].(string)
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if !slices.Equal(names, []string{"A", "B0", "B1", "B2", "B3"}) {
		t.Errorf("%v", names)
	}
	filtered := p.call("GET", lists+"?filter="+url.QueryEscape(`integration_code = "aud-42" AND displayName = "B1"`), "")
	if n := len(filtered.body["userLists"].([]any)); n != 1 {
		t.Errorf("%d lists by the filter", n)
	}
	p.wants(p.call("GET", lists+"?filter="+url.QueryEscape(`size > 1`), ""), 400, "INVALID_FILTER")
	p.wants(p.call("GET", lists+"?pageSize=2&pageToken=x", ""), 400, "INVALID_PAGE_TOKEN")
	p.wants(p.call("GET", lists+"?limit=2", ""), 400, "INVALID_ARGUMENT")

	p.ingest(first, []string{"a"}, []string{"b"})
	got := p.call("GET", lists+"/"+first, "")
	if size := got.body["sizeInfo"].(map[string]any)["searchNetworkMembersCount"]; size != "2" {
		t.Errorf("size %v", size)
	}
	p.remove(first, []string{"a"})
	if size := p.call("GET", lists+"/"+first, "").body["sizeInfo"].(map[string]any)["searchNetworkMembersCount"]; size != "0" {
		t.Errorf("a small list shows %v", size)
	}
	p.wants(p.call("PATCH", lists+"/"+first+"?updateMask=membershipDuration", `{"membershipDuration":"864000s"}`), 200, "")
	p.wants(p.call("PATCH", lists+"/"+first+"?updateMask=ingestedUserListInfo", `{}`), 400, "IMMUTABLE_FIELD_FOR_UPDATE")
	p.wants(p.call("DELETE", lists+"/"+first, ""), 200, "")
	p.wants(p.call("GET", lists+"/"+first, ""), 404, "NOT_FOUND")
	p.wants(p.call("GET", strings.Replace(lists, "1234567890", "5", 1)+"/"+first, ""), 404, "NOT_FOUND")
}

// TestMembersAreIdentifiers compares the list with a plain model: groups of
// identifiers that were sent together.
func TestMembersAreIdentifiers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPeer(t, google.Options{PerMinute: 1_000_000})
		list := p.list("L", "CONTACT_ID")
		groups := []map[string]bool{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			ids := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 1, 3, rapid.ID[string]).Draw(rt, "ids")
			if rapid.Bool().Draw(rt, "add") {
				p.ingest(list, ids)
				into, rest := map[string]bool{}, []map[string]bool{}
				for _, g := range groups {
					if slices.ContainsFunc(ids, func(id string) bool { return g[id] }) {
						for id := range g {
							into[id] = true
						}
					} else {
						rest = append(rest, g)
					}
				}
				for _, id := range ids {
					into[id] = true
				}
				groups = append(rest, into)
				continue
			}
			p.remove(list, ids)
			for _, g := range groups {
				for _, id := range ids {
					delete(g, id)
				}
			}
			groups = slices.DeleteFunc(groups, func(g map[string]bool) bool { return len(g) == 0 })
		}
		members, _ := p.net.Members(list)
		if len(members) != len(groups) {
			rt.Fatalf("%d members, the model has %d", len(members), len(groups))
		}
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			in := slices.ContainsFunc(groups, func(g map[string]bool) bool { return g[id] })
			if p.holds(list, id) != in {
				rt.Fatalf("%s in: %t, the model says %t", id, !in, in)
			}
		}
	})
}

func TestQuota(t *testing.T) {
	p := newPeer(t, google.Options{PerMinute: 2, OthersPerDay: 3})
	p.clock.pass(20 * time.Second)
	get := func() said { return p.call("GET", lists, "") }
	p.wants(get(), 200, "")
	p.wants(get(), 200, "")
	s := get()
	p.wants(s, 429, "RESOURCE_EXHAUSTED")
	if !strings.Contains(s.text, `"retryDelay":"40s"`) || !strings.Contains(s.text, "PerMinute") {
		t.Errorf("no time to come back: %s", s.text)
	}
	p.list("writes are counted apart", "USER_ID")
	p.clock.pass(time.Minute)
	p.wants(get(), 200, "")
	if s := get(); s.status != 429 || !strings.Contains(s.text, "PerDay") || strings.Contains(s.text, "retryDelay") {
		t.Errorf("the day's quota: %s", s.text)
	}
}

func (p *peer) mint(form url.Values) said {
	p.t.Helper()
	req := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(req)
}

// TestListsHaveTheirOwnQuota: calls for lists are bounded apart from uploads.
func TestListsHaveTheirOwnQuota(t *testing.T) {
	p := newPeer(t, google.Options{PerDay: 3, OthersPerDay: 1})
	p.wants(p.call("GET", lists, ""), 200, "")
	if s := p.call("GET", lists, ""); s.status != 429 || !strings.Contains(s.text, "OtherServicesReadRequestsPerDay") {
		t.Errorf("a second call for lists: %d %s", s.status, s.text)
	}
	for range 3 {
		p.wants(p.call("GET", "/v1/requestStatus:retrieve?requestId=none", ""), 400, "INVALID_REQUEST_ID")
	}
}

func TestTokens(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, google.Options{
		TokenLife: 10 * time.Minute, ServiceAccounts: []google.ServiceAccount{{Email: "robot@example.iam.gserviceaccount.com", Key: &key.PublicKey, Accounts: []string{"5"}}},
		Tokens: []google.Token{{Value: "narrow", Scope: "https://www.googleapis.com/auth/adwords"}},
	})
	p.token = "nobody"
	p.wants(p.call("GET", lists, ""), 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
	p.token = "narrow"
	p.wants(p.call("GET", lists, ""), 403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")

	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {google.DefaultClientID}, "client_secret": {google.DefaultClientSecret}, "refresh_token": {google.DefaultRefreshToken}}
	s := p.mint(form)
	p.wants(s, 200, "")
	p.token = s.body["access_token"].(string)
	p.wants(p.call("GET", lists, ""), 200, "")
	p.clock.pass(10 * time.Minute)
	p.wants(p.call("GET", lists, ""), 401, "ACCESS_TOKEN_EXPIRED")
	for name, want := range map[string]string{"refresh_token": "invalid_grant", "client_secret": "invalid_client", "grant_type": "unsupported_grant_type"} {
		wrong := url.Values{}
		for k, v := range form {
			wrong[k] = v
		}
		wrong.Set(name, "wrong")
		if s := p.mint(wrong); s.status == 200 || s.body["error"] != want {
			t.Errorf("%s wrong: %s", name, s.text)
		}
	}

	sign := func(change func(map[string]any)) string {
		claims := map[string]any{"iss": "robot@example.iam.gserviceaccount.com", "scope": google.Scope, "aud": "https://oauth2.googleapis.com/token", "iat": p.clock.Now().Unix(), "exp": p.clock.Now().Unix() + 3600}
		change(claims)
		raw, _ := json.Marshal(claims)
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(raw)
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	grant := func(assertion string) said {
		return p.mint(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
	}
	s = grant(sign(func(map[string]any) {}))
	p.wants(s, 200, "")
	p.token = s.body["access_token"].(string)
	p.wants(p.call("GET", strings.Replace(lists, "1234567890", "5", 1), ""), 200, "")
	p.wants(p.call("GET", lists, ""), 403, "PERMISSION_DENIED")
	for name, change := range map[string]func(map[string]any){
		"another issuer": func(c map[string]any) { c["iss"] = "x" }, "another scope": func(c map[string]any) { c["scope"] = "x" },
		"another audience": func(c map[string]any) { c["aud"] = "https://example.com" }, "ended": func(c map[string]any) { c["iat"], c["exp"] = 1, 2 },
		"two hours": func(c map[string]any) { c["exp"] = p.clock.Now().Unix() + 7200 },
	} {
		if s := grant(sign(change)); s.body["error"] != "invalid_grant" {
			t.Errorf("%s: %s", name, s.text)
		}
	}
	good := sign(func(map[string]any) {})
	if s := grant(good[:len(good)-6] + "AAAAAA"); s.body["error"] != "invalid_grant" {
		t.Errorf("another signature: %s", s.text)
	}
	p.net.ExpireTokens()
	p.wants(p.call("GET", lists, ""), 401, "ACCESS_TOKEN_EXPIRED")
}

func TestHeadersAreJudged(t *testing.T) {
	p := newPeer(t, google.Options{})
	for name, value := range map[string]string{"Login-Account": "1112223333", "Linked-Account": "customers/1", "Login-Customer-Id": "1", "Developer-Token": "x"} {
		req := httptest.NewRequest("GET", lists, nil)
		req.Header.Set("Authorization", "Bearer "+google.DefaultToken)
		req.Header.Set(name, value)
		p.wants(p.do(req), 400, "")
	}
	req := httptest.NewRequest("GET", lists, nil)
	req.Header.Set("Authorization", "Bearer "+google.DefaultToken)
	req.Header.Set("Login-Account", "accountTypes/GOOGLE_ADS/accounts/1112223333")
	p.wants(p.do(req), 200, "")
}

func TestReadBack(t *testing.T) {
	p := newPeer(t, google.Options{Processing: time.Hour})
	list := p.list("L", "CONTACT_ID")
	p.ingest(list, []string{"a"})
	control := p.net.Control()
	ask := func(method, path string, want int) string {
		t.Helper()
		w := httptest.NewRecorder()
		control.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want {
			t.Fatalf("%s %s: %d", method, path, w.Code)
		}
		return w.Body.String()
	}
	ask("POST", "/requests/finish", 204)
	if s := ask("GET", "/lists/"+list+"/members", 200); !strings.Contains(s, fmt.Sprintf("%x", sha256.Sum256([]byte("a")))) {
		t.Errorf("members: %s", s)
	}
	for path, want := range map[string]string{"/lists": "aud-42", "/requests": "SUCCESS", "/events": "null", "/calls": "audienceMembers:ingest"} {
		if s := ask("GET", path, 200); !strings.Contains(s, want) {
			t.Errorf("%s: %s", path, s)
		}
	}
	if s := ask("GET", "/calls", 200); strings.Contains(s, google.DefaultToken) {
		t.Error("the log of calls shows a token")
	}
	ask("DELETE", "/calls", 204)
	ask("DELETE", "/lists/"+list, 204)
	ask("DELETE", "/lists/"+list, 404)
	ask("GET", "/lists/"+list+"/members", 404)
	ask("POST", "/tokens/expire", 204)
}
