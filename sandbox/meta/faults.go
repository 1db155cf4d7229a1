package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"usher/sandbox/fault"
)

const htmlPage = "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>\n"

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, c *call, f fault.Fault) {
	switch f.Kind {
	case fault.Slow:
		n.hold(c.request.Context(), time.Duration(f.Delay))
		n.write(w, c, n.answer(c))
		return
	case fault.Invalid:
		c.invalid = f.Rows
		n.write(w, c, n.answer(c))
		return
	}
	var good answer
	if f.Applied {
		good = n.answer(c)
	}
	switch f.Kind {
	case fault.HTML:
		status := cmp.Or(f.Status, http.StatusBadGateway)
		n.finish(c, status)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, htmlPage)
	case fault.Timeout:
		n.finish(c, 0)
		n.hold(c.request.Context(), time.Duration(f.Delay))
		panic(http.ErrAbortHandler)
	case fault.Cut:
		n.finish(c, 0)
		if f.Applied {
			half(w, good)
		}
		panic(http.ErrAbortHandler)
	default:
		c.regain = time.Duration(max(1, f.Minutes)) * time.Minute
		e := envelopeOf(c, f)
		n.write(w, c, answer{status: cmp.Or(f.Status, e.status), err: e})
	}
}

// envelopeOf is the error that a fault answers with.
func envelopeOf(c *call, f fault.Fault) *apiError {
	switch f.Kind {
	case fault.Throttle:
		return throttled(f.Status)
	case fault.Token:
		return badToken(cmp.Or(f.Subcode, 463))
	case fault.Gone:
		return noSuchObject(cmp.Or(c.audience, "act_"+c.account))
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

// hold waits until the caller gives up, the network closes, or, when it is
// positive, the delay is over.
func (n *Network) hold(ctx context.Context, delay time.Duration) {
	var over <-chan time.Time
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
	case <-n.closing:
	case <-over:
	}
}

// half writes the beginning of an answer, promising more.
func half(w http.ResponseWriter, a answer) {
	text, _ := json.Marshal(a.body)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)+1))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text[:len(text)/2])
	_ = http.NewResponseController(w).Flush()
}
