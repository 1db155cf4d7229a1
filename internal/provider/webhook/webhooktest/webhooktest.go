// Package webhooktest connects the conformance suite to the sandbox's receiver of
// webhooks. It is imported by tests only.
package webhooktest

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"time"

	"usher/internal/provider"
	"usher/internal/provider/providertest"
	"usher/internal/provider/webhook"
	sandboxwebhook "usher/sandbox/webhook"

	"usher/sandbox/fault"
)

const (
	secret = "whsec_Y29uZm9ybWFuY2Utc2VjcmV0LTAxMjM0NTY3ODk="
	legacy = "conformance-legacy-secret"
	header = "conformance-header-value"
	param  = "conformance-parameter"
)

// common are the cases that no webhook has.
var common = map[string]string{
	"one event is counted invalid without an index": "a receiver answers for a request, never with a count",
	"a zero is a value":                             "an event of a webhook has no key that is a number",
	"a check for events finds a bad token":          "a receiver can be asked nothing that is not an event",
	"an answer about events that comes late":        "a receiver answers at once",
	"a late answer that rejects one event":          "a receiver answers at once",
}

func skips(more map[string]string) map[string]string {
	out := map[string]string{}
	for _, from := range []map[string]string{common, more} {
		for name, reason := range from {
			out[name] = reason
		}
	}
	return out
}

// Triggers returns what the suite needs to judge people who enter and leave, sent
// several in a request.
func Triggers() providertest.EventHarness {
	return providertest.EventHarness{
		Definition: webhook.Definition(), Workflow: "webhook_triggers", ID: "event_id",
		Settings: map[string]string{"batch_requests": "true", "worker_count": "1", "include_segs": "true"},
		Open:     func() (providertest.EventNetwork, error) { return Open() },
		Event: func(i int) map[string]string {
			return map[string]string{
				"event_id": fmt.Sprintf("t-%05d", i), "event_time": "2026-11-22T12:00:00Z", "person": fmt.Sprint(1000 + i), "event": []string{"enter", "exit"}[i%2],
				"audience": "vip", "audience_id": "6f0c1b9e", "audiences": `["vip","all"]`,
				"a_customer": fmt.Sprintf("customer-%05d", i), "email": fmt.Sprintf("Person.%d@Example.com", i),
			}
		},
		Skip: skips(map[string]string{"one event is rejected at its index": "a request of several events is refused whole and halved"}),
	}
}

// Stream returns what the suite needs to judge messages of a stream, sent one in
// a request.
func Stream() providertest.EventHarness {
	return providertest.EventHarness{
		Definition: webhook.Definition(), Workflow: "webhook_events", ID: "event_id", Settings: map[string]string{"worker_count": "1"},
		Open: func() (providertest.EventNetwork, error) { return Open() },
		Event: func(i int) map[string]string {
			return map[string]string{
				"event_id": fmt.Sprintf("s-%05d", i), "event_time": "2026-11-22T12:00:00Z", "person": fmt.Sprint(1000 + i), "stream_name": "orders",
				"message": fmt.Sprintf(`{"order":%d,"note":"<&>"}`, i), "email": fmt.Sprintf("person.%d@example.com", i),
			}
		},
		Skip: skips(map[string]string{"events are refused whole": "a request of one event refuses that one"}),
	}
}

// Network is the receiver behind a server of its own.
type Network struct {
	Far    *sandboxwebhook.Network
	faults *fault.Plan
	server *httptest.Server
}

// Open starts one that asks for everything a receiver may ask for but tokens.
func Open() (*Network, error) {
	return OpenWith(sandboxwebhook.Options{
		Secrets: []string{secret}, Legacy: legacy, Headers: map[string]string{"X-Api-Key": header}, Params: map[string]string{"key": param},
	})
}

// OpenWith starts one with these options.
func OpenWith(o sandboxwebhook.Options) (*Network, error) {
	n := &Network{faults: fault.NewPlan(1)}
	far, err := sandboxwebhook.New(o, sandboxwebhook.Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now, Faults: n.faults})
	if err != nil {
		return nil, err
	}
	n.Far, n.server = far, httptest.NewServer(far)
	return n, nil
}

// Deps are those of the receiver.
func (n *Network) Deps() provider.Deps {
	return provider.Deps{
		Auth: map[string]provider.Secret{
			"webhook_url": provider.Secret(n.server.URL + "/hooks/conformance-path"), "signing_secret": secret, "legacy_secret": legacy,
			"headers": "X-Api-Key: " + header, "url_parameters": "key=" + param,
		},
		Config: map[string]string{"hash_columns": "email"},
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
		_, err = n.faults.Add(script)
	}
	return err
}

// refuse is a message that the receiver does not take.
func refuse(f providertest.Fault, s *fault.Fault) { s.Kind, s.Rows, s.Skip = fault.Invalid, 1, f.Row }

var scripts = providertest.Scripts{
	Calls: fault.Fault{Network: "webhook", Op: "event"},
	Own:   map[providertest.FaultKind]func(providertest.Fault, *fault.Fault){providertest.BadRow: refuse, providertest.RefuseWhole: refuse},
}

// Heal removes all faults.
func (n *Network) Heal() { n.faults.Reset() }

// eventID is the id that a sender's event carries in its payload.
func eventID(e sandboxwebhook.Event) string {
	body, _ := e.Body.(map[string]any)
	meta, _ := body["meta"].(map[string]any)
	id, _ := meta["event_id"].(string)
	return id
}

// Order are the events in the order they took effect.
func (n *Network) Order() []string {
	var out []string
	for _, e := range n.Far.Events() {
		out = append(out, eventID(e))
	}
	return out
}

// Got is how often an event took effect.
func (n *Network) Got(id string) int {
	got := 0
	for _, one := range n.Order() {
		if one == id {
			got++
		}
	}
	return got
}

// Count is how many events took effect.
func (n *Network) Count() int { return len(n.Far.Events()) }

// Writes counts the calls that are not reads.
func (n *Network) Writes() int { return n.Far.Counters().Writes }

// Calls counts all calls.
func (n *Network) Calls() int { return n.Far.Counters().Calls }

// Close ends server and receiver.
func (n *Network) Close() {
	n.Far.Release()
	n.server.CloseClientConnections()
	n.server.Close()
}
