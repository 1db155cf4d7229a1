package google_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/google"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// peer is a network under test and a caller of it.
type peer struct {
	t      *testing.T
	net    *google.Network
	faults *fault.Plan
	clock  *clock
	token  string
}

func newPeer(t *testing.T, o google.Options) *peer {
	t.Helper()
	p := &peer{t: t, faults: fault.NewPlan(1), token: google.DefaultToken, clock: &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}
	n, err := google.New(o, google.Deps{Seed: 1, Now: p.clock.Now, Faults: p.faults, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p.net = n
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// said is an answer.
type said struct {
	status int
	body   map[string]any
	text   string
}

// reasons are those that the answer names, violations first.
func (s said) reasons() []string {
	var e struct {
		Error struct {
			Details []struct {
				Reason     string
				Violations []struct{ Reason, Field string } `json:"fieldViolations"`
			}
		}
	}
	_ = json.Unmarshal([]byte(s.text), &e)
	var out []string
	for _, d := range e.Error.Details {
		for _, v := range d.Violations {
			out = append(out, v.Reason)
		}
	}
	for _, d := range e.Error.Details {
		if d.Reason != "" {
			out = append(out, d.Reason)
		}
	}
	return append(out, "")
}

func (p *peer) call(method, path, body string) said {
	p.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+p.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return p.do(req)
}

func (p *peer) do(req *http.Request) said {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.net.ServeHTTP(w, req)
	s := said{status: w.Code, text: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &s.body); err != nil {
		p.t.Fatalf("%s %s: the answer is no JSON object: %v", req.Method, req.URL.Path, err)
	}
	return s
}

// wants fails the test unless the answer has this status and, when it is given,
// names this reason first.
func (p *peer) wants(s said, status int, reason string) {
	p.t.Helper()
	if s.status != status || reason != "" && s.reasons()[0] != reason {
		p.t.Fatalf("got %d %v, want %d %s: %s", s.status, s.reasons(), status, reason, s.text)
	}
}

const lists = "/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists"

// list makes a list and returns its id.
func (p *peer) list(name, kind string) string {
	p.t.Helper()
	info := map[string]string{
		"CONTACT_ID": `"contactIdInfo":{"dataSourceType":"DATA_SOURCE_TYPE_FIRST_PARTY"}`,
		"MOBILE_ID":  `"mobileIdInfo":{"keySpace":"IOS","appId":"com.example.app"}`,
		"USER_ID":    `"userIdInfo":{}`,
	}[kind]
	s := p.call("POST", lists, fmt.Sprintf(`{"displayName":%q,"membershipDuration":"46656000s","integrationCode":"aud-42","ingestedUserListInfo":{"uploadKeyTypes":[%q],%s}}`, name, kind, info))
	p.wants(s, 200, "")
	return s.body["id"].(string)
}

var (
	alex  = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"
	phone = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"
	given = "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814"
	last  = "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574"
)

// membersBody is the example of the API's own guide.
func membersBody(list string) string {
	return `{"destinations":[{"reference":"aud","operatingAccount":{"accountType":"GOOGLE_ADS","accountId":"1234567890"},
  "loginAccount":{"accountType":"GOOGLE_ADS","accountId":"1112223333"},"productDestinationId":"` + list + `"}],
 "audienceMembers":[{"userData":{"userIdentifiers":[{"emailAddress":"` + alex + `"},{"phoneNumber":"` + phone + `"},
   {"address":{"givenName":"` + given + `","familyName":"` + last + `","regionCode":"US","postalCode":"94045"}}]}}],
 "consent":{"adUserData":"CONSENT_GRANTED","adPersonalization":"CONSENT_GRANTED"},"encoding":"HEX",
 "termsOfService":{"customerMatchTermsOfServiceStatus":"ACCEPTED"}}`
}

const eventsBody = `{"destinations":[{"operatingAccount":{"accountType":"GOOGLE_ADS","accountId":"1234567890"},"productDestinationId":"4455"}],
 "events":[{"transactionId":"ord-77","eventTimestamp":"2026-11-20T09:15:00Z","eventSource":"WEB","conversionValue":49.9,
   "currency":"EUR","adIdentifiers":{"gclid":"EAIa"},"consent":{"adUserData":"CONSENT_GRANTED"}}],"encoding":"HEX"}`

const listBody = `{"displayName":"Lapsed VIPs","membershipDuration":"46656000s","integrationCode":"aud-42",
 "ingestedUserListInfo":{"uploadKeyTypes":["CONTACT_ID"],"contactIdInfo":{"dataSourceType":"DATA_SOURCE_TYPE_FIRST_PARTY"}}}`

// status asks what became of a request, and judges the answer by Google's own
// definition.
func (p *peer) status(request string) map[string]any {
	p.t.Helper()
	s := p.call("GET", "/v1/requestStatus:retrieve?requestId="+request, "")
	p.wants(s, 200, "")
	if _, wrong, err := google.Judge("RetrieveRequestStatusResponse", []byte(s.text)); err != nil || len(wrong) > 0 {
		p.t.Fatalf("the status is not as Google defines it: %v %v", wrong, err)
	}
	return s.body["requestStatusPerDestination"].([]any)[0].(map[string]any)
}
