package google

import (
	"cmp"
	"net/http"
	"time"

	"usher/sandbox/fault"
)

const htmlPage = "<!DOCTYPE html>\n<html lang=en><title>502</title><p>Out of order</html>\n"

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, c *call, f fault.Fault) {
	fault.Met{
		Writer: w, Request: c.request, Closing: n.closing, Page: htmlPage,
		Usual: func() {
			if f.Kind == fault.Invalid {
				c.invalid, c.fault = f.Rows, f
			}
			n.write(w, c, n.answer(c))
		},
		Apply: func() (int, any) { return http.StatusOK, n.answer(c).body },
		Log:   func(status int) { n.finish(c, status) },
		Refuse: func() {
			if c.op == opMutate || c.op == opSearch {
				n.write(w, c, n.adsFault(c, f))
				return
			}
			e := envelopeOf(c, f)
			n.write(w, c, answer{status: e.status, err: e})
		},
	}.Serve(f)
}

// envelopeOf is the error that a fault answers with.
func envelopeOf(c *call, f fault.Fault) *apiError {
	switch f.Kind {
	case fault.Throttle:
		return exhausted("", time.Duration(f.Minutes)*time.Minute)
	case fault.Token:
		return unauthenticated("ACCESS_TOKEN_EXPIRED")
	case fault.Gone:
		return notFound()
	case fault.Flagged:
		return refused(violation("destinations[0].product_destination_id", "SENSITIVE_USER_LIST_IMMUTABLE", "The list is flagged and does not change."))
	case fault.Error:
		e := failure(cmp.Or(f.Status, f.Code), cmp.Or(f.Message, "INVALID_ARGUMENT"), "The request is refused whole.")
		if f.Subcode > 0 {
			rows := "audience_members"
			if c.op == opEvents {
				rows = "events"
			}
			e.violations = []Violation{violation(at(rows, f.Subcode-1), e.reason, "Scripted.")}
		}
		return e
	default:
		return failure(cmp.Or(f.Status, http.StatusServiceUnavailable), "INTERNAL_ERROR", "The service is out of order.")
	}
}

// adsFault is the error that a fault answers calls of the Google Ads API with. Message
// is an error code, such as campaignError.DUPLICATE_CAMPAIGN_NAME, and Subcode names the operation,
// counted from 1.
func (n *Network) adsFault(c *call, f fault.Fault) answer {
	n.mu.Lock()
	request := n.random(22)
	n.mu.Unlock()
	var failed *adsFailure
	switch f.Kind {
	case fault.Throttle:
		failed = adsExhausted(cmp.Or(f.Message, "RESOURCE_TEMPORARILY_EXHAUSTED"), time.Duration(f.Minutes)*time.Minute)
	case fault.Token:
		failed = adsUnauthenticated("authenticationError.OAUTH_TOKEN_EXPIRED")
	case fault.Gone:
		failed = adsRefusal("mutateError.RESOURCE_NOT_FOUND", "Scripted.")
	case fault.Flagged:
		failed = adsForbidden("authorizationError.CUSTOMER_NOT_ENABLED", "Scripted.")
	case fault.Error:
		failed = adsRefusal(cmp.Or(f.Message, "requestError.REQUIRED_FIELD_MISSING"), "Scripted.")
		failed.errors[0].operation = f.Subcode - 1
		failed.status = cmp.Or(f.Status, f.Code)
	default:
		failed = &adsFailure{status: cmp.Or(f.Status, http.StatusServiceUnavailable), message: "The service is out of order."}
	}
	c.record.Reason = failed.code()
	body := any(failed.envelope(request))
	if c.op == opSearch {
		body = []any{body}
	}
	return answer{status: failed.status, body: body, request: request}
}
