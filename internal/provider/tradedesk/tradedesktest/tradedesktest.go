// Package tradedesktest connects the conformance suite to the sandbox's stand-in
// of The Trade Desk. It is imported by tests only.
package tradedesktest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/url"

	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/providertest"
	"usher/internal/provider/tradedesk"
	"usher/sandbox"
	"usher/sandbox/fault"
	far "usher/sandbox/tradedesk"
)

// Harness returns what the suite needs to judge The Trade Desk.
func Harness() providertest.Harness {
	return providertest.Harness{
		Definition: tradedesk.Definition(),
		Open:       func() (providertest.Network, error) { return Open(), nil },
		Person:     person,
		Shared:     "DAID",
		Unmade:     true,
		Skip: map[string]string{
			"one row is counted invalid without an index": "the trade desk names the items that it does not take",
			"an answer that comes late":                   "the trade desk answers at once",
			"a late answer that rejects one row":          "the trade desk answers at once",
		},
	}
}

func person(i int) map[string]string {
	raw := sha256.Sum256(fmt.Append(nil, i))
	return map[string]string{
		"UID2": base64.StdEncoding.EncodeToString(raw[:]),
		"DAID": fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i+1),
		"TDID": fmt.Sprintf("11111111-2222-4333-8444-%012x", i+1),
	}
}

// Network is the sandbox behind a server of its own.
type Network struct {
	box    *sandbox.Sandbox
	net    *far.Network
	server *httptest.Server
}

// Open starts one with an empty account. Close ends it.
func Open() *Network {
	box := sandbox.New(sandbox.Options{Seed: 1, Networks: []string{"tradedesk"}})
	net, _ := box.Network("tradedesk").(*far.Network)
	return &Network{box: box, net: net, server: httptest.NewServer(box.Handler())}
}

// Deps are those of the advertiser.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{
		Auth:    map[string]provider.Secret{"advertiser_secret": far.DefaultSecret, "base_url": provider.Secret(n.server.URL + "/tradedesk")},
		Account: far.DefaultAdvertiser,
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
	script, err := scripts.Of(f)
	if err == nil {
		_, err = n.box.Fault(script)
	}
	return err
}

var scripts = providertest.Scripts{
	Calls: fault.Fault{Network: "tradedesk"},
	Own: map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){
		providertest.RefuseWhole: providertest.Errors(1, ""),
		// A person has three ids, and so three items.
		providertest.BadRow: func(f providertest.Fault, s *fault.Fault) { s.Kind, s.Row, s.Rows = fault.Invalid, 3*f.Row, 3 },
	},
}

// Heal removes all faults.
func (n *Network) Heal() { n.box.ResetFaults() }

// Holds looks for the id among all members.
func (n *Network) Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool {
	for _, m := range n.net.Members(far.DefaultAdvertiser, string(id)) {
		if m.Kind == key.Name && m.Value == string(value) {
			return true
		}
	}
	return false
}

// Size is not known: the network has ids, not people.
func (n *Network) Size(provider.RemoteID) int { return 0 }

// Values counts the ids.
func (n *Network) Values(id provider.RemoteID) int {
	return len(n.net.Members(far.DefaultAdvertiser, string(id)))
}

// Audiences counts the elements.
func (n *Network) Audiences() int { return len(n.net.Elements(far.DefaultAdvertiser)) }

// Delete takes the element away.
func (n *Network) Delete(id provider.RemoteID) { n.net.Drop(far.DefaultAdvertiser, string(id)) }

// Writes counts the calls with items.
func (n *Network) Writes() int {
	writes := 0
	for _, c := range n.net.Calls() {
		if c.Items > 0 {
			writes++
		}
	}
	return writes
}

// Calls counts all calls.
func (n *Network) Calls() int { return len(n.net.Calls()) }

// Close ends server and sandbox.
func (n *Network) Close() {
	n.net.Release()
	n.server.CloseClientConnections()
	n.server.Close()
	if err := n.box.Close(); err != nil {
		panic(err) // it keeps no file
	}
}
