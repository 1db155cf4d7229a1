package fault

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Met is a call over HTTP that met a fault: what only its network knows of it.
type Met struct {
	Writer  http.ResponseWriter
	Request *http.Request
	// Closing is closed when the network lets go of the calls it holds.
	Closing <-chan struct{}
	// Usual carries the call out and answers it; a network that can call rows
	// invalid does so then.
	Usual func()
	// Apply carries the call out and returns its answer, which nobody gets whole.
	Apply func() (status int, body any)
	// Log notes the status that is answered, 0 for none, before it is.
	Log func(status int)
	// Refuse answers with the error of the network that the fault stands for.
	Refuse func()
	// Page is the web page of the network's machines.
	Page string
}

// Serve carries the fault out. Where the connection is to break it panics with
// http.ErrAbortHandler, as the server wants it.
func (m Met) Serve(f Fault) {
	switch f.Kind {
	case Slow:
		Hold(m.Request.Context(), m.Closing, time.Duration(f.Delay))
		m.Usual()
		return
	case Invalid:
		m.Usual()
		return
	}
	var status int
	var body any
	if f.Applied {
		status, body = m.Apply()
	}
	switch f.Kind {
	case HTML:
		status := cmp.Or(f.Status, http.StatusBadGateway)
		m.Log(status)
		m.Writer.Header().Set("Content-Type", "text/html; charset=utf-8")
		m.Writer.WriteHeader(status)
		_, _ = m.Writer.Write([]byte(m.Page)) // the caller may be gone
	case Timeout:
		m.Log(0)
		Hold(m.Request.Context(), m.Closing, time.Duration(f.Delay))
		panic(http.ErrAbortHandler)
	case Cut:
		m.Log(0)
		if f.Applied {
			half(m.Writer, status, body)
		}
		panic(http.ErrAbortHandler)
	default:
		m.Refuse()
	}
}

// Hold waits until the caller gives up, the network closes, or, when it is
// positive, the delay is over.
func Hold(ctx context.Context, closing <-chan struct{}, delay time.Duration) {
	var over <-chan time.Time
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
	case <-closing:
	case <-over:
	}
}

// half writes the beginning of an answer, promising more.
func half(w http.ResponseWriter, status int, body any) {
	text, _ := json.Marshal(body)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(text[:len(text)/2])
	_ = http.NewResponseController(w).Flush()
}
