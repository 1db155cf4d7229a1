// Package hook posts notices to webhooks, for the providers whose far side is
// one: the call, the errors that all of them have, and nothing of their formats.
//
// The address of a webhook is a secret: whoever knows it may post. It must never
// be in an error or a log line. The package is built for the answer that does not
// come (the notice may have arrived and is sent again under its id), for the page
// of some machine in between, and for an address that is no longer one.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// URLField is the name of the setting that holds the address.
const URLField = "webhook_url"

// The classes of error of a notice; each has a page in docs/troubleshooting.
const (
	// CodeAddress: the address takes no notices (any more).
	CodeAddress = "NOTICE-ADDRESS"
	// CodeAuth: the far side refuses the credentials.
	CodeAuth = "NOTICE-AUTH"
	// CodeLimit: the far side takes no more for now.
	CodeLimit = "NOTICE-LIMIT"
	// CodeRefused: the far side refuses this one notice.
	CodeRefused = "NOTICE-REFUSED"
	// CodeUnavailable: the far side is out of order, or something that is not it
	// answers.
	CodeUnavailable = "NOTICE-UNAVAILABLE"
)

// limitWait is how long a limit is waited for that names no time.
const limitWait = time.Minute

// Hook is the address of one webhook.
type Hook struct {
	http *http.Client
	url  string
	now  func() time.Time
}

// URLOf returns the declaration of the address, for AuthFields.
func URLOf(help string) provider.Field {
	return provider.Field{Name: URLField, Label: "Webhook address", Type: "url", Required: true, Secret: true, Help: help}
}

// New returns the webhook that the authorization in deps names.
func New(d provider.Deps) (*Hook, error) {
	text := strings.TrimSpace(d.Auth[URLField].Reveal())
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, Address("is needed, and must be an address that begins with https://")
	}
	return &Hook{http: d.HTTP, url: text, now: d.Now}, nil
}

// Post makes one call and returns the whole answer, whatever its status.
func (h *Hook) Post(ctx context.Context, header http.Header, body []byte) (outbound.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return outbound.Answer{}, Address("cannot be called")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Usher")
	answer, err := outbound.Do(h.http, req)
	return answer, named(err)
}

// named says which setting an address that may not be called comes from.
func named(err error) error {
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != "" {
		return err
	}
	at := *e
	at.Field = URLField
	return &at
}

// Fault is the error of an answer that is no success, by its status alone. A
// provider looks first at what only its far side says.
func (h *Hook) Fault(a outbound.Answer) *activation.Error {
	status := fmt.Sprintf(" (HTTP status %d)", a.Status)
	switch s := a.Status; {
	case s/100 == 3, s == http.StatusNotFound, s == http.StatusMethodNotAllowed, s == http.StatusGone:
		e := Address("takes no notices: the webhook was deleted, moved or switched off")
		e.Message += status
		return e
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusProxyAuthRequired:
		return &activation.Error{Kind: activation.Unauthorized, Code: CodeAuth, Message: "the webhook refuses the call" + status}
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		return h.Limit(a.Header)
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s/100 == 5:
		return &activation.Error{Kind: activation.Unavailable, Code: CodeUnavailable, Message: "the webhook is out of order" + status, MayHaveApplied: s/100 == 5}
	case s/100 == 4:
		return &activation.Error{Kind: activation.RefusedWhole, Code: CodeRefused, Message: "the webhook refuses this notice" + status}
	}
	return Strange(a.Status)
}

// Limit is the error of a far side that takes no more for now.
func (h *Hook) Limit(header http.Header) *activation.Error {
	until, ok := outbound.RetryAfter(header, h.now())
	if !ok {
		until = h.now().Add(limitWait)
	}
	return &activation.Error{Kind: activation.WaitUntil, Code: CodeLimit, Message: "the webhook takes no more notices for now", Until: until}
}

// Address is the error of an address that is wrong and will be wrong again.
func Address(what string) *activation.Error {
	return &activation.Error{Kind: activation.Invalid, Code: CodeAddress, Field: URLField, Message: URLField + " " + what}
}

// Strange is the error of a good status with an answer that is not the far
// side's own: a page of some machine in between. Whether the notice arrived is
// not known.
func Strange(status int) *activation.Error {
	return &activation.Error{
		Kind: activation.Unavailable, Code: CodeUnavailable, MayHaveApplied: true,
		Message: fmt.Sprintf("something that is not the webhook answered (HTTP status %d)", status),
	}
}
