// Package googletest connects the conformance suites to the sandbox's stand-in of
// Google's Data Manager API. It is imported by tests only.
package googletest

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"time"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/google"
	"usher/internal/provider/providertest"
	"usher/sandbox/behind"
	"usher/sandbox/fault"
	sandbox "usher/sandbox/google"
)

const (
	account = "1234567890"
	manager = "1112223333"
	action  = "4455667788"
	// termsField is the setting that says that the terms are accepted.
	termsField = "customer_match_terms"
)

// Harness returns what the suite needs to judge lists of contacts.
func Harness() providertest.Harness {
	return providertest.Harness{
		Definition: google.Definition(), Workflow: "google_customer_match",
		Settings: map[string]string{termsField: "accepted by ana at 2026-11-22T08:00:00Z"},
		Open:     func() (providertest.Network, error) { return Open() },
		Person:   person,
		Shared:   "email_address",
		Shown:    100,
		Skip: map[string]string{
			"a poll of a network that answers at once": "google answers later",
		},
	}
}

// MobileHarness returns what the suite needs to judge lists of advertising ids.
func MobileHarness() providertest.Harness {
	h := Harness()
	h.Settings = map[string]string{termsField: "accepted", "upload_key_type": "MOBILE_ID", "app_id": "com.example.app"}
	h.Person = func(i int) map[string]string {
		return map[string]string{"mobile_id": fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i)}
	}
	h.Shared = ""
	return h
}

func person(i int) map[string]string {
	return map[string]string{
		"email_address": fmt.Sprintf("Person.%d+news@Gmail.com", i),
		"phone_number":  fmt.Sprintf("+1 415 555 %04d", i),
		"given_name":    fmt.Sprintf("Dr. Firstname%c", 'a'+rune(i%26)),
		"family_name":   fmt.Sprintf("Lastname-%d, Jr.", i),
		"region_code":   "United States",
		"postal_code":   fmt.Sprintf("%05d", 10000+i),
	}
}

// EventHarness returns what the suite needs to judge conversions.
func EventHarness() providertest.EventHarness {
	return providertest.EventHarness{
		Definition: google.Definition(), Workflow: "google_offline_conversion",
		Settings: map[string]string{"conversion_action": action},
		Open:     func() (providertest.EventNetwork, error) { return Open() },
		Event:    conversion, ID: "transaction_id", Zero: "conversion_value",
		Skip: map[string]string{
			"a poll about events of a network that answers at once": "google answers later",
			"events keep their order":                               "google promises no order, and a conversion carries its own time",
		},
	}
}

func conversion(i int) map[string]string {
	return map[string]string{
		"event_timestamp": time.Now().Add(-time.Duration(i) * time.Minute).Format(time.RFC3339),
		"transaction_id":  fmt.Sprintf("order-%05d", i), "event_source": "web",
		"conversion_value": fmt.Sprintf("%d.50", i+1), "currency": "eur",
		"gclid": fmt.Sprintf("EAIaIQobChMI%08dx", i), "ad_user_data": "granted",
		"email_address": fmt.Sprintf("buyer%d@example.com", i), "phone_number": fmt.Sprintf("+49 171 234 %04d", i),
	}
}

// Network is the stand-in behind a server of its own.
type Network struct {
	*providertest.Minter
	faults *fault.Plan
	google *sandbox.Network
	server *httptest.Server
}

// Open starts one with an empty account. What is accepted is processed when it is
// healed, and not before.
func Open() (*Network, error) {
	plan := fault.NewPlan(1)
	far, err := sandbox.New(sandbox.Options{
		Accounts: []string{account, manager}, ConversionActions: []string{action}, Processing: 24 * time.Hour,
		PerMinute: 10_000,
	}, sandbox.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: plan})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/google/", http.StripPrefix("/google", far))
	n := &Network{faults: plan, google: far, server: httptest.NewServer(mux)}
	n.Minter = &providertest.Minter{
		Address: n.server.URL + "/google/token", Client: sandbox.DefaultClientID, Secret: sandbox.DefaultClientSecret, Refresh: sandbox.DefaultRefreshToken, Code: google.Codes()[0],
	}
	return n, nil
}

// Google is the stand-in.
func (n *Network) Google() *sandbox.Network { return n.google }

// Faults are its fault scripts.
func (n *Network) Faults() *fault.Plan { return n.faults }

// Deps are those of the account, reached through a manager.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{
		Auth: map[string]provider.Secret{
			provider.ClientIDField: sandbox.DefaultClientID, provider.ClientSecretField: sandbox.DefaultClientSecret,
			provider.RefreshTokenField: sandbox.DefaultRefreshToken, "base_url": provider.Secret(n.server.URL + "/google"),
		},
		Account: "123-456-7890",
		Config:  map[string]string{"login_account": manager, "ad_user_data": "CONSENT_GRANTED"},
		Tokens:  n.Minter,
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

// Fail scripts the fault. Google names bad rows before it takes a request and
// counts them without a position afterwards: row 0 is of the second sort.
func (n *Network) Fail(f providertest.Fault) error {
	if f.Kind == providertest.Late {
		return nil // it always is
	}
	script, err := scripts.Of(f)
	if err == nil {
		_, err = n.faults.Add(script)
	}
	return err
}

var scripts = providertest.Scripts{
	Calls: fault.Fault{Network: "google", Method: "POST", Path: "/v1/*:*"},
	Token: fault.Fault{Path: "/v1/*"},
	Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
		providertest.RefuseWhole: providertest.Errors(400, ""),
		providertest.BadRow: func(f providertest.Fault, s *fault.Fault) {
			s.Kind, s.Code, s.Subcode, s.Message = fault.Error, 400, f.Row+1, "INVALID_SHA256_FORMAT"
			if f.Row == 0 {
				s.Kind, s.Rows = fault.Invalid, 1
			}
		},
	},
}

// Heal removes all faults and processes what was accepted.
func (n *Network) Heal() {
	n.faults.Reset()
	n.google.Finish()
}

// kinds are Google's names of the identifiers, by key.
var kinds = map[string]string{
	"email_address": "emailAddress", "phone_number": "phoneNumber", "postal_code": "address", "mobile_id": "mobileId", "user_id": "userId",
}

// Holds looks for the value among all members.
func (n *Network) Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool {
	text := string(value)
	if key.Hash {
		text = fmt.Sprintf("%x", value)
	}
	return n.google.Holds(string(id), kinds[key.Name], text)
}

// Size counts the members.
func (n *Network) Size(id provider.RemoteID) int {
	members, _ := n.google.Members(string(id))
	return len(members)
}

// Audiences counts the lists.
func (n *Network) Audiences() int { return len(n.google.Lists()) }

// Delete takes the list away.
func (n *Network) Delete(id provider.RemoteID) { n.google.DeleteList(string(id)) }

// Put brings people in behind the provider's back.
func (n *Network) Put(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	n.google.PutMembers(string(id), members(keys, values))
}

// Drop takes people out behind the provider's back.
func (n *Network) Drop(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	n.google.DropMembers(string(id), members(keys, values))
}

// members are people as the network has them.
func members(keys []matchkey.Key, values [][]byte) []behind.Member {
	return providertest.People[behind.Member](keys, values, func(key string) string { return kinds[key] })
}

// Got counts the conversions with the transaction.
func (n *Network) Got(id string) int {
	got := 0
	for _, e := range n.google.Events() {
		if e.TransactionID == id {
			got++
		}
	}
	return got
}

// Count counts all conversions.
func (n *Network) Count() int { return len(n.google.Events()) }

// Value is what a conversion brought.
func (n *Network) Value(id, _ string) (value string, there bool) {
	all := n.google.Events()
	i := slices.IndexFunc(all, func(e sandbox.Event) bool { return e.TransactionID == id })
	if i < 0 || all[i].Value == nil {
		return "", false
	}
	return strconv.FormatFloat(*all[i].Value, 'g', -1, 64), true
}

// Writes counts the calls that are not reads.
func (n *Network) Writes() int {
	writes := 0
	for _, c := range n.google.Calls() {
		if c.Method != "GET" && c.Op != "token" {
			writes++
		}
	}
	return writes
}

// Calls counts all calls of the API.
func (n *Network) Calls() int {
	calls := 0
	for _, c := range n.google.Calls() {
		if c.Op != "token" {
			calls++
		}
	}
	return calls
}

// Close ends server and stand-in.
func (n *Network) Close() {
	n.google.Release()
	n.server.CloseClientConnections()
	n.server.Close()
	if err := n.google.Close(); err != nil {
		panic(err) // it keeps no file
	}
}
