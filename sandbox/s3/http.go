package s3

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"usher/sandbox/fault"
)

// ServeHTTP answers one request of S3.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, n.opts.MaxBytes+1))
	c := Call{At: n.deps.Now(), Op: operation(r), Method: r.Method, Path: n.path(r), Bytes: len(body)}
	if err != nil {
		n.note(c)
		panic(http.ErrAbortHandler)
	}
	f, met := n.deps.Faults.Take(fault.Call{Network: "s3", Method: r.Method, Path: c.Path, Op: c.Op})
	if met {
		c.Fault = string(f.Kind)
		var done *httptest.ResponseRecorder
		if f.Applied {
			done = n.apply(r, body)
		}
		n.note(c)
		n.fail(w, r, body, f, done)
		return
	}
	done := n.apply(r, body)
	c.Code = done.Header().Get(codeHeader)
	n.note(c)
	copyAnswer(w, done)
}

// codeHeader carries the code of an error within the package; it never leaves.
const codeHeader = "X-Sandbox-Code"

// operation names what the request does.
func operation(r *http.Request) string {
	key := strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
	switch {
	case r.Method == http.MethodPut:
		return "put"
	case r.Method == http.MethodDelete:
		return "delete"
	case r.Method == http.MethodHead:
		return "head"
	case r.Method == http.MethodGet && key:
		return "get"
	case r.Method == http.MethodGet:
		return "list"
	}
	return "other"
}

// path is that of the request with the bucket in it.
func (n *Network) path(r *http.Request) string {
	if bucket, ok := bucketOf(r.Host, n.opts.Domain); n.opts.Domain != "" && ok {
		return "/" + bucket + r.URL.Path
	}
	return r.URL.Path
}

// apply checks the request and carries it out.
func (n *Network) apply(r *http.Request, body []byte) *httptest.ResponseRecorder {
	done := httptest.NewRecorder()
	refused := n.checkSignature(r, body)
	switch {
	case refused != nil:
	case int64(len(body)) > n.opts.MaxBytes:
		refused = &apiError{http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size."}
	case n.opts.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead:
		refused = &apiError{http.StatusForbidden, "AccessDenied", "Access Denied"}
	case r.Method == http.MethodPut && strings.Count(strings.Trim(n.path(r), "/"), "/") == 0, r.Method == http.MethodPost:
		// Buckets are given; nothing is made or deleted in bulk.
		refused = &apiError{http.StatusForbidden, "AccessDenied", "Access Denied"}
	}
	if refused != nil {
		writeError(done, r, refused)
		return done
	}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = n.path(r), ""
	inner.Body = io.NopCloser(bytes.NewReader(body))
	n.server.ServeHTTP(done, inner)
	return done
}

// fail carries out a fault. done is the true answer where the request took
// effect.
func (n *Network) fail(w http.ResponseWriter, r *http.Request, body []byte, f fault.Fault, done *httptest.ResponseRecorder) {
	switch f.Kind {
	case fault.Timeout:
		fault.Hold(r.Context(), n.closing, time.Duration(f.Delay))
		panic(http.ErrAbortHandler)
	case fault.Cut:
		if done != nil { // in the middle of the answer's first lines
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nETag: "))
				_ = conn.Close()
				return
			}
		}
		panic(http.ErrAbortHandler)
	case fault.Slow:
		fault.Hold(r.Context(), n.closing, time.Duration(f.Delay))
		if done == nil {
			done = n.apply(r, body)
		}
		copyAnswer(w, done)
	case fault.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(orDefault(f.Status, http.StatusBadGateway))
		_, _ = io.WriteString(w, "<html><body><h1>Sign in to the network</h1></body></html>")
	case fault.Throttle:
		if f.Minutes > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(60*f.Minutes))
		}
		writeError(w, r, &apiError{orDefault(f.Status, http.StatusServiceUnavailable), "SlowDown", "Please reduce your request rate."})
	case fault.Token:
		writeError(w, r, &apiError{http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."})
	case fault.Gone:
		writeError(w, r, &apiError{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"})
	case fault.Error:
		writeError(w, r, &apiError{orDefault(f.Status, http.StatusBadRequest), f.Message, "As the script says."})
	default:
		writeError(w, r, &apiError{orDefault(f.Status, http.StatusInternalServerError), "InternalError", "We encountered an internal error. Please try again."})
	}
}

func (n *Network) note(c Call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.total++
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		n.writes++
	}
	if n.calls = append(n.calls, c); len(n.calls) > keptCalls {
		n.calls = append([]Call(nil), n.calls[len(n.calls)-keptCalls:]...)
	}
}

func orDefault(v, fallback int) int {
	if v == 0 {
		return fallback
	}
	return v
}

func writeError(w http.ResponseWriter, r *http.Request, e *apiError) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "SANDBOX0000000001")
	if rec, ok := w.(*httptest.ResponseRecorder); ok {
		rec.Header().Set(codeHeader, e.code)
	}
	w.WriteHeader(e.status)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.code, Message: e.message, Resource: r.URL.Path, RequestID: "SANDBOX0000000001"})
}

func copyAnswer(w http.ResponseWriter, done *httptest.ResponseRecorder) {
	for name, values := range done.Header() {
		if name != codeHeader {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(done.Code)
	_, _ = w.Write(done.Body.Bytes()) // the caller may be gone
}

// Control is the read-back.
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /objects", func(w http.ResponseWriter, _ *http.Request) {
		list, err := n.Objects()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, map[string]any{"objects": list})
	})
	mux.HandleFunc("GET /objects/{bucket}/{key...}", func(w http.ResponseWriter, r *http.Request) {
		body, ok := n.Object(r.PathValue("bucket"), r.PathValue("key"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(body) // the caller may be gone
	})
	mux.HandleFunc("DELETE /objects/{bucket}/{key...}", func(w http.ResponseWriter, r *http.Request) {
		if !n.Delete(r.PathValue("bucket"), r.PathValue("key")) {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"calls": n.Calls()}) })
	return mux
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
