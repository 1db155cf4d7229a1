package linkedin

import (
	"cmp"
	"net/http"
	"strconv"

	"usher/sandbox/fault"
)

const htmlPage = "<!DOCTYPE html>\n<html><head><title>LinkedIn</title></head><body><h1>Something went wrong</h1></body></html>\n"

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, c *call, f fault.Fault) {
	fault.Met{
		Writer: w, Request: c.request, Closing: n.closing, Page: htmlPage,
		Usual: func() {
			if f.Kind == fault.Invalid {
				c.spoil = f
			}
			n.write(w, c, n.answer(c))
		},
		Apply: func() (int, any) {
			good := n.answer(c)
			return good.status, good.body
		},
		Log: func(status int) {
			if status != 0 {
				n.head(w, c)
			}
			n.finish(c, status)
		},
		Refuse: func() {
			if f.Kind == fault.Throttle && f.Minutes > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(f.Minutes*60))
			}
			n.write(w, c, refusal(envelopeOf(f)))
		},
	}.Serve(f)
}

// envelopeOf is the error that a fault answers with.
func envelopeOf(f fault.Fault) *apiError {
	switch f.Kind {
	case fault.Throttle:
		e := throttled("MEMBER MINUTE")
		e.status = cmp.Or(f.Status, e.status)
		return e
	case fault.Token:
		return badToken(cmp.Or(f.Subcode, serviceInvalidToken))
	case fault.Gone:
		return notFound("The entity")
	case fault.Flagged:
		return denied("the segment while it is under review")
	case fault.Error:
		return &apiError{status: cmp.Or(f.Status, http.StatusBadRequest), service: f.Code, message: cmp.Or(f.Message, "Scripted error")}
	default:
		return internalError(f.Status)
	}
}

// spoiled is the status that a fault gives element i, 0 = none.
func (c *call) spoiled(i int) int {
	if c.spoil.Kind != fault.Invalid || i < c.spoil.Row || i >= c.spoil.Row+c.spoil.Rows {
		return 0
	}
	return cmp.Or(c.spoil.Status, http.StatusBadRequest)
}
