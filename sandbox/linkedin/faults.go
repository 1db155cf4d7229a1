package linkedin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"usher/sandbox/fault"
)

const htmlPage = "<!DOCTYPE html>\n<html><head><title>LinkedIn</title></head><body><h1>Something went wrong</h1></body></html>\n"

// serveFault answers a call that met a fault.
func (n *Network) serveFault(w http.ResponseWriter, c *call, f fault.Fault) {
	switch f.Kind {
	case fault.Slow:
		n.hold(c.request.Context(), time.Duration(f.Delay))
		n.write(w, c, n.answer(c))
		return
	case fault.Invalid:
		c.spoil = f
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
		n.head(w, c)
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
		if f.Kind == fault.Throttle && f.Minutes > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.Minutes*60))
		}
		n.write(w, c, refusal(envelopeOf(f)))
	}
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
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)+1))
	w.WriteHeader(a.status)
	_, _ = w.Write(text[:len(text)/2])
	_ = http.NewResponseController(w).Flush()
}
