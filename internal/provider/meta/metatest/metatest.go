// Package metatest connects the conformance suite to the sandbox's stand-in of
// Meta. It is imported by tests only.
package metatest

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"time"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/provider/providertest"
	"usher/sandbox"
	"usher/sandbox/behind"
	"usher/sandbox/fault"
	sandboxmeta "usher/sandbox/meta"
)

const (
	token   = "EAAconformanceToken0123"
	secret  = "conformance-app-secret"
	account = "1000000001"
)

// Harness returns what the suite needs to judge Meta.
func Harness() providertest.Harness {
	return providertest.Harness{
		Definition: meta.Definition(),
		Open:       func() (providertest.Network, error) { return Open(), nil },
		Person:     person,
		Shared:     "EMAIL",
		Shown:      1001,
		Skip: map[string]string{
			"one row is rejected at its index":   "meta counts invalid rows and names none",
			"an answer that comes late":          "meta answers at once",
			"a late answer that rejects one row": "meta answers at once",
		},
	}
}

// ValueHarness returns what the suite needs to judge value-based audiences with
// every setting.
func ValueHarness() providertest.Harness {
	h := Harness()
	h.Needed = "LOOKALIKE_VALUE"
	h.Irreplaceable = "meta does not replace the members of value-based audiences"
	h.Settings = map[string]string{
		"is_value_based": "true", "retention_days": "180", "opt_out_link": "https://example.com/opt-out", "dataset_id": sandboxmeta.DefaultDataset,
		"audience_labels": "HIGH_VALUE_CUSTOMERS", "data_processing_options": "LDU", "data_processing_options_country": "1", "data_processing_options_state": "1000",
	}
	h.Person = func(i int) map[string]string {
		p := person(i)
		p["LOOKALIKE_VALUE"] = fmt.Sprintf("%d.25", i)
		return p
	}
	return h
}

// EventHarness returns what the suite needs to judge Meta's conversions.
func EventHarness() providertest.EventHarness {
	return providertest.EventHarness{
		Definition: meta.Definition(), Workflow: "meta_offline_conversion",
		Settings: map[string]string{"dataset_id": sandboxmeta.DefaultDataset, "test_event_code": "TEST1"},
		Open: func() (providertest.EventNetwork, error) {
			n := Open()
			n.path = "*/events"
			return n, nil
		},
		Event: event, ID: "event_id", Zero: "value",
		Skip: map[string]string{
			"one event is rejected at its index":            "meta refuses the whole call and names no event",
			"one event is counted invalid without an index": "meta refuses the whole call for one event",
			"an answer about events that comes late":        "meta answers at once",
			"a late answer that rejects one event":          "meta answers at once",
		},
	}
}

func event(i int) map[string]string {
	e := person(i)
	for name, v := range map[string]string{
		"event_name":        "Lead",
		"event_time":        time.Now().Add(-time.Duration(i) * time.Second).UTC().Format(time.RFC3339),
		"event_id":          fmt.Sprintf("event-%05d", i),
		"value":             fmt.Sprintf("%d.50", i+1),
		"currency":          "eur",
		"order_id":          fmt.Sprintf("order-%05d", i),
		"fbc":               fmt.Sprintf("fb.1.1554763741205.AbCdEf%05d", i),
		"fbp":               fmt.Sprintf("fb.1.1558571054389.10981152%05d", i),
		"client_ip_address": fmt.Sprintf("203.0.113.%d", i%256),
		"client_user_agent": "Mozilla/5.0",
		"lead_id":           fmt.Sprintf("5256458963%05d", i),
		"custom_data":       `{"content_type": "product"}`,
		"DOBY":              "1990-01-02",
	} {
		e[name] = v
	}
	return e
}

func person(i int) map[string]string {
	return map[string]string{
		"EXTERN_ID": fmt.Sprintf("customer-%05d", i),
		"EMAIL":     fmt.Sprintf("Person.%d@Example.com", i),
		"PHONE":     fmt.Sprintf("+1 415 555 %04d", i),
		"FN":        fmt.Sprintf("Firstname%c", 'a'+rune(i%26)),
		"LN":        "O'Lastname",
		"CT":        "San Francisco",
		"ST":        "California",
		"ZIP":       "94105-1234",
		"COUNTRY":   "United States",
		"MADID":     fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i),
	}
}

// Network is the sandbox behind a server of its own.
type Network struct {
	box    *sandbox.Sandbox
	server *httptest.Server
	path   string // of the calls that a fault is for
}

// Open starts one with an empty account. Close ends it.
func Open() *Network {
	box := sandbox.New(sandbox.Options{Seed: 1, Meta: sandboxmeta.Options{
		Tokens: []sandboxmeta.Token{{Value: token}}, AppSecret: secret, Accounts: []string{account},
	}})
	return &Network{box: box, server: httptest.NewServer(box.Handler()), path: "*/users*"}
}

// Deps are those of the account.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"access_token": token, "app_secret": secret, "base_url": provider.Secret(n.server.URL + "/meta"),
		},
		Account: "act_" + account,
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
	script, err := scripts(n.path).Of(f)
	if err == nil {
		_, err = n.box.Fault(script)
	}
	return err
}

// throttle is the account's call limit where no time is named.
func throttle(f providertest.Fault, s *fault.Fault) {
	if f.Wait == 0 {
		s.Kind, s.Code = fault.Error, 17
	}
}

func scripts(path string) providertest.Scripts {
	return providertest.Scripts{
		Calls: fault.Fault{Network: "meta", Path: path},
		Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
			providertest.Throttle:    throttle,
			providertest.RefuseWhole: providertest.Errors(100, ""),
			providertest.BadRow:      func(_ providertest.Fault, s *fault.Fault) { s.Kind, s.Rows = fault.Invalid, 1 },
		},
	}
}

// Heal removes all faults.
func (n *Network) Heal() { n.box.ResetFaults() }

// Holds looks for the value among all members.
func (n *Network) Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool {
	text := string(value)
	if key.Hash {
		text = fmt.Sprintf("%x", value)
	}
	members, _ := n.box.Meta().Members(string(id))
	return slices.ContainsFunc(members, func(m sandboxmeta.Member) bool { return slices.Contains(m.Keys[key.Name], text) })
}

// Size counts the members.
func (n *Network) Size(id provider.RemoteID) int {
	members, _ := n.box.Meta().Members(string(id))
	return len(members)
}

// Audiences counts them.
func (n *Network) Audiences() int { return len(n.box.Meta().Audiences()) }

// Delete takes the audience away.
func (n *Network) Delete(id provider.RemoteID) { n.box.Meta().DeleteAudience(string(id)) }

// Put brings people in behind the provider's back.
func (n *Network) Put(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	n.box.Meta().PutMembers(string(id), members(keys, values))
}

// Drop takes people out behind the provider's back.
func (n *Network) Drop(id provider.RemoteID, keys []matchkey.Key, values ...[]byte) {
	n.box.Meta().DropMembers(string(id), members(keys, values))
}

// members are people as the network has them.
func members(keys []matchkey.Key, values [][]byte) []behind.Member {
	return providertest.People[behind.Member](keys, values, func(key string) string { return key })
}

// Order is the events that took effect, by their ids.
func (n *Network) Order() []string {
	list, _ := n.box.Meta().Conversions(sandboxmeta.DefaultDataset)
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	return ids
}

// Value is a value of an event that took effect.
func (n *Network) Value(id, key string) (value string, there bool) {
	list, _ := n.box.Meta().Conversions(sandboxmeta.DefaultDataset)
	for _, c := range list {
		if c.ID == id {
			v, there := c.Custom[key]
			return fmt.Sprint(v), there
		}
	}
	return "", false
}

// Got counts how often an event took effect.
func (n *Network) Got(id string) int {
	count := 0
	for _, got := range n.Order() {
		if got == id {
			count++
		}
	}
	return count
}

// Count counts all events that took effect.
func (n *Network) Count() int { return len(n.Order()) }

// Writes counts the calls that are not reads.
func (n *Network) Writes() int {
	writes := 0
	for _, c := range n.box.Meta().Calls() {
		if c.Method != "GET" {
			writes++
		}
	}
	return writes
}

// Calls counts all calls.
func (n *Network) Calls() int { return n.box.Meta().Counters().Calls }

// Close ends server and sandbox.
func (n *Network) Close() {
	n.box.Meta().Release()
	n.server.CloseClientConnections()
	n.server.Close()
	if err := n.box.Close(); err != nil {
		panic(err) // it keeps no file
	}
}
