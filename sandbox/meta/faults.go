package meta

import (
	"cmp"
	"net/http"
	"time"

	"usher/sandbox/fault"
)

const htmlPage = "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>\n"

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, c *call, f fault.Fault) {
	fault.Met{
		Writer: w, Request: c.request, Closing: n.closing, Page: htmlPage,
		Usual: func() {
			if f.Kind == fault.Invalid {
				c.invalid = f.Rows
			}
			n.write(w, c, n.answer(c))
		},
		Apply: func() (int, any) { return http.StatusOK, n.answer(c).body },
		Log:   func(status int) { n.finish(c, status) },
		Refuse: func() {
			c.regain = minutesOf(f)
			e := envelopeOf(c, f)
			n.write(w, c, answer{status: cmp.Or(f.Status, e.status), err: e})
		},
	}.Serve(f)
}

// minutesOf is how long a throttle lasts.
func minutesOf(f fault.Fault) time.Duration { return time.Duration(max(1, f.Minutes)) * time.Minute }

// envelopeOf is the error that a fault answers with.
func envelopeOf(c *call, f fault.Fault) *apiError {
	switch f.Kind {
	case fault.Throttle:
		return throttled(f.Status, c.op)
	case fault.Token:
		return badToken(cmp.Or(f.Subcode, 463))
	case fault.Gone:
		return noSuchObject(cmp.Or(c.node, c.audience, "act_"+c.account))
	case fault.Flagged:
		return flagged()
	case fault.Error:
		return &apiError{
			status: cmp.Or(f.Status, http.StatusBadRequest), typ: "OAuthException", code: f.Code,
			subcode: f.Subcode, transient: f.Transient, message: cmp.Or(f.Message, "Scripted error"),
		}
	default:
		return unknownError(f.Status)
	}
}
