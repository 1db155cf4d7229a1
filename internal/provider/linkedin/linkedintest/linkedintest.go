// Package linkedintest connects the conformance suite to the sandbox's stand-in
// of LinkedIn. It is imported by tests only.
package linkedintest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/linkedin"
	"usher/internal/provider/providertest"
	"usher/sandbox/behind"
	"usher/sandbox/fault"
	sandboxlinkedin "usher/sandbox/linkedin"
)

const (
	clientID     = "conformance-client"
	clientSecret = "conformance-client-secret"
	refreshToken = "AQXconformanceRefreshToken0123"
	account      = "500000001"
	rule         = "104"
)

// Harness returns what the suite needs to judge LinkedIn's segments.
func Harness() providertest.Harness {
	return providertest.Harness{
		Definition: linkedin.Definition(),
		Open:       func() (providertest.Network, error) { return Open() },
		Person:     person,
		Shared:     "SHA256_EMAIL",
		Shown:      300,
		Skip: map[string]string{
			"one row is counted invalid without an index": "linkedin answers for each row",
			"an answer that comes late":                   "linkedin answers at once",
			"a late answer that rejects one row":          "linkedin answers at once",
		},
	}
}

// EventHarness returns what the suite needs to judge LinkedIn's conversions. Its
// events have no names: two of them find a person, one alone does not, which the
// suite cannot say.
func EventHarness() providertest.EventHarness {
	return providertest.EventHarness{
		Definition: linkedin.Definition(), Workflow: "linkedin_conversion",
		Settings: map[string]string{"conversion": "urn:lla:llaPartnerConversion:" + rule},
		Open: func() (providertest.EventNetwork, error) {
			n, err := Open()
			if n != nil {
				n.events = true
			}
			return n, err
		},
		Event: event, ID: "event_id", Zero: "value",
		Skip: map[string]string{
			"one event is counted invalid without an index": "linkedin names the event",
			"an answer about events that comes late":        "linkedin answers at once",
			"a late answer that rejects one event":          "linkedin answers at once",
		},
	}
}

func event(i int) map[string]string {
	return map[string]string{
		"event_id":       fmt.Sprintf("order-%05d", i),
		"happened_at":    time.Now().Add(-time.Duration(i) * time.Second).UTC().Format(time.RFC3339),
		"value":          fmt.Sprintf("%d.50", i+1),
		"currency":       "eur",
		"li_fat_id":      fmt.Sprintf("df5gf5-gh6t7-ph4j7h-%05d", i),
		"acxiom_id":      fmt.Sprintf("acxiom-%05d", i),
		"oracle_moat_id": fmt.Sprintf("moat-%07d", i),
		"external_id":    fmt.Sprintf("customer-%05d", i),
		"SHA256_EMAIL":   fmt.Sprintf("Person.%d @Example.com", i),
		"GOOGLE_AID":     fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i),
		"country":        "United States",
	}
}

func person(i int) map[string]string {
	return map[string]string{
		"SHA256_EMAIL": fmt.Sprintf("Person.%d @Example.com", i),
		"GOOGLE_AID":   fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i),
		"firstName":    fmt.Sprintf("Firstname%c", 'a'+rune(i%26)),
		"lastName":     "O'Lastname",
		"title":        "Head of <Sales> & \"more\"",
		"company":      "Acme GmbH",
		"country":      "United States",
	}
}

// Network is the sandbox behind a server of its own. At LinkedIn eleven minutes
// pass whenever a segment is made, so that the suite need not wait for it.
type Network struct {
	far    *sandboxlinkedin.Network
	faults *fault.Plan
	server *httptest.Server
	passed atomic.Int64
	tokens tokens
	// events has faults meet conversions instead of people.
	events bool
}

// Open starts one with an empty account. Close ends it.
func Open() (*Network, error) {
	n := &Network{faults: fault.NewPlan(1)}
	var err error
	n.far, err = sandboxlinkedin.New(sandboxlinkedin.Options{
		ClientID: clientID, ClientSecret: clientSecret, Accounts: []string{account},
		Grants: []sandboxlinkedin.Grant{{RefreshToken: refreshToken}},
	}, sandboxlinkedin.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: n.now, Faults: n.faults})
	if err != nil {
		return nil, err
	}
	n.tokens.far = n.far
	n.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := len(n.far.Segments())
		n.far.ServeHTTP(w, r)
		if len(n.far.Segments()) > before {
			n.passed.Add(int64(11 * time.Minute))
		}
	}))
	return n, nil
}

func (n *Network) now() time.Time { return time.Now().Add(time.Duration(n.passed.Load())) }

// Deps are those of the account.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{
		Auth: map[string]provider.Secret{
			provider.ClientIDField: clientID, provider.ClientSecretField: clientSecret,
			provider.RefreshTokenField: refreshToken, "base_url": provider.Secret(n.server.URL + "/rest"),
		},
		Account: account,
		Config:  map[string]string{"source_platform": sandboxlinkedin.DefaultPlatform},
		Tokens:  &n.tokens,
	}
}

// Hosts is the server's address.
func (n *Network) Hosts() []string {
	u, err := url.Parse(n.server.URL)
	if err != nil {
		panic(err) // httptest made it
	}
	return []string{u.Host}
}

// Fail scripts the fault.
func (n *Network) Fail(f providertest.Fault) error {
	s := providertest.Scripts{
		Calls: fault.Fault{Network: "linkedin", Op: "users"},
		Token: fault.Fault{Path: "/rest/*"},
		Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
			providertest.RefuseWhole: func(_ providertest.Fault, s *fault.Fault) { s.Kind, s.Status, s.Code = fault.Error, 400, 100 },
			providertest.BadRow:      providertest.Rows(0, ""),
		},
	}
	if n.events {
		s.Calls.Op = "events"
	}
	script, err := s.Of(f)
	if err == nil {
		_, err = n.faults.Add(script)
	}
	return err
}

// Heal removes all faults.
func (n *Network) Heal() { n.faults.Reset() }

// Holds looks for the value among all members.
func (n *Network) Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool {
	text := string(value)
	if key.Hash {
		text = fmt.Sprintf("%x", value)
	}
	return n.far.Holds(string(id), key.Name, text)
}

// Size counts the members.
func (n *Network) Size(id provider.RemoteID) int {
	s, _ := n.far.Segment(string(id))
	return s.Members
}

// Put brings people in behind the provider's back.
func (n *Network) Put(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	n.far.PutMembers(string(id), members(keys, values))
}

// Drop takes people out behind the provider's back.
func (n *Network) Drop(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	n.far.DropMembers(string(id), members(keys, values))
}

// members are people as the network has them.
func members(keys []matchkey.Key, values [][]byte) []behind.Member {
	return providertest.People[behind.Member](keys, values, func(key string) string { return key })
}

// Wait lets two days pass, in which a segment is built.
func (n *Network) Wait() { n.passed.Add(int64(48 * time.Hour)) }

// Audiences counts the segments.
func (n *Network) Audiences() int { return len(n.far.Segments()) }

// Delete takes the segment away.
func (n *Network) Delete(id provider.RemoteID) { n.far.DeleteSegment(string(id)) }

// Writes counts the calls that are not reads.
func (n *Network) Writes() int { return n.far.Counters().Writes }

// Calls counts all calls but those for tokens.
func (n *Network) Calls() int {
	c := n.far.Counters()
	return c.Calls - c.ByOp["token"]
}

// Got counts the conversions with this event id.
func (n *Network) Got(id string) int {
	times := 0
	for _, e := range n.far.Events() {
		if e.EventID == id {
			times++
		}
	}
	return times
}

// Count counts the conversions.
func (n *Network) Count() int { return len(n.far.Events()) }

// Order are the event ids in the order in which they came.
func (n *Network) Order() []string {
	var ids []string
	for _, e := range n.far.Events() {
		ids = append(ids, e.EventID)
	}
	return ids
}

// Value is what a conversion brought.
func (n *Network) Value(id, key string) (string, bool) {
	for _, e := range n.far.Events() {
		if e.EventID == id && key == "value" {
			return e.Amount, e.Amount != ""
		}
	}
	return "", false
}

// Close ends server and sandbox.
func (n *Network) Close() {
	n.far.Release()
	n.server.CloseClientConnections()
	n.server.Close()
}

// tokens refreshes access tokens at the sandbox.
type tokens struct {
	far *sandboxlinkedin.Network

	mu    sync.Mutex
	token string
}

func (t *tokens) Token(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" {
		return t.token, nil
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "client_id": {clientID}, "client_secret": {clientSecret}}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/oauth/v2/accessToken", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	t.far.ServeHTTP(w, r)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		return "", &activation.Error{Kind: activation.Unauthorized, Code: "connect", Message: "connect again"}
	}
	t.token = got.AccessToken
	return t.token, nil
}

func (t *tokens) Refused(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = ""
	}
}
