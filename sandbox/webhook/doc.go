// Package webhook stands in for a receiver of webhooks by Standard Webhooks
// (standardwebhooks.com, specification 1.0): it verifies signatures and the time
// they were made, knows what it had by its id, keeps what it took in the order it
// came, gives access tokens by OAuth 2 client credentials, and misbehaves by
// script.
//
// It owns what it took and imports nothing of the product: signatures are checked
// here by code of its own. It is built for the failure of a sender that is
// believed because its own library verifies its own signature.
//
//	POST|PUT|PATCH /<any path>     take one event, or a list of them
//	POST|PUT|PATCH /enrich/…       tell what is known of one person, or of a list
//	POST           /oauth/token    an access token
//
// Its read-back, below /_sandbox/webhook/:
//
//	GET    /events     what took effect, in order, with bodies
//	DELETE /events     forget them
//	GET    /counters   calls, events, repetitions that were dropped, refusals
//	DELETE /tokens     make every access token useless
package webhook

import "time"

const (
	// DefaultSecret signs for a network without options.
	DefaultSecret = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0wMTIzNDU2Nzg5"
	// tolerance is how old or new a timestamp may be (specification, "Verifying
	// webhook authenticity": five minutes by the libraries).
	tolerance = 5 * time.Minute
	// maxBodyBytes is the most of one request. The specification asks for less
	// than 20 kB an event; lists of a thousand are allowed for.
	maxBodyBytes = 4 << 20
	// maxList is the most events of one request.
	maxList = 1000
	// tokenLife is how long an access token lives.
	tokenLife = time.Hour
)

// Options set up the receiver. The zero value verifies DefaultSecret and asks for
// nothing else.
type Options struct {
	// Secrets are the signing secrets, whsec_ and base64; any of them will do.
	Secrets []string
	// Unsigned takes requests without a signature.
	Unsigned bool
	// Legacy, when set, must have signed the body by HMAC-SHA1 in X-Signature.
	Legacy string
	// Headers and Params must be in every request.
	Headers, Params map[string]string
	// ClientID and ClientSecret, when set, get access tokens, and every request
	// needs one.
	ClientID, ClientSecret string
}

// Event is one that took effect.
type Event struct {
	// ID is what repetitions are known by: the webhook-id of a request with one
	// event, the event's own id in a list.
	ID string `json:"id"`
	// WebhookID is that of the request; Path and Method are the request's.
	WebhookID string `json:"webhook_id"`
	Path      string `json:"path"`
	Method    string `json:"method"`
	Body      any    `json:"body"`
	// Repeated is how often it came again and was dropped.
	Repeated int `json:"repeated"`
}

// Counters are sums over all calls.
type Counters struct {
	Calls    int `json:"calls"`
	Writes   int `json:"writes"`
	Tokens   int `json:"tokens"`
	Events   int `json:"events"`
	Repeated int `json:"repeated"`
	Refused  int `json:"refused"`
	// Asked are the people who were asked about, Known those of whom something was
	// told.
	Asked int `json:"asked"`
	Known int `json:"known"`
}
