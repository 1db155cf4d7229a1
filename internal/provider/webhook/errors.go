package webhook

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider/hook"
)

// The classes of error of events, beside those of settings and credentials; each
// has a page in docs/troubleshooting.
const (
	// codeGone: the address takes nothing any more.
	codeGone = "WEBHOOK-GONE"
	// codeLimit: the receiver takes no more for now.
	codeLimit = "WEBHOOK-LIMIT"
	// codeUnavailable: the receiver is out of order.
	codeUnavailable = "WEBHOOK-UNAVAILABLE"
	// codeRefused: the receiver refuses an event; the status is put behind it.
	codeRefused = "WEBHOOK-REFUSED"
	// codeEvent: an event lacks what every event needs.
	codeEvent = "WEBHOOK-EVENT"
	// codeSize: a batch is larger than one may be.
	codeSize = "WEBHOOK-SIZE"
	// codeTemplate: a template cannot be read, or fails on an event.
	codeTemplate = "TEMPLATE"
)

// limitWait is how long a limit is waited for that names no time.
const limitWait = time.Minute

// fault is the error of an answer that is no success and refuses no event.
//
// What may have been applied: 5xx, because the receiver may have broken after its
// work. A status below was answered before any. A 503 that says when to come
// again has not taken the event either.
func (d *destination) fault(a outbound.Answer) *activation.Error {
	status := fmt.Sprintf(" (HTTP status %d)", a.Status)
	until, timed := outbound.RetryAfter(a.Header, d.now())
	switch s := a.Status; {
	case s/100 == 3, s == http.StatusGone:
		return &activation.Error{Kind: activation.Invalid, Code: codeGone, Field: hook.URLField, Message: hook.URLField + " takes nothing any more: the endpoint was closed or moved" + status}
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusProxyAuthRequired:
		return &activation.Error{Kind: activation.Unauthorized, Code: codeAuth, Message: "the receiver refuses the credentials" + status}
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && timed:
		if !timed {
			until = d.now().Add(limitWait)
		}
		return &activation.Error{Kind: activation.WaitUntil, Code: codeLimit, Message: "the receiver takes no more for now" + status, Until: until}
	case s/100 == 4:
		return &activation.Error{Kind: activation.Unavailable, Code: codeUnavailable, Message: "the receiver does not take the event now" + status}
	}
	return &activation.Error{Kind: activation.Unavailable, Code: codeUnavailable, MayHaveApplied: true, Message: "the receiver is out of order" + status}
}

// cancelled is the error of a call that was given up before it was made.
func cancelled(ctx context.Context) error {
	return &activation.Error{Kind: activation.Unavailable, Code: outbound.CodeUnreachable, Message: "the call was given up before it was made", Err: context.Cause(ctx)}
}
