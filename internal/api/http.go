package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// traced is a ServeMux whose every request has an id and whose answers tell
// browsers to guess nothing and keep nothing.
type traced struct{ *http.ServeMux }

// formType is what curl calls every body that is given with -d. No route takes
// forms: there it means JSON.
const formType = "application/x-www-form-urlencoded"

// HandleFunc registers fn for a pattern.
func (t traced) HandleFunc(pattern string, fn func(http.ResponseWriter, *http.Request)) {
	t.ServeMux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		id := newRequestID()
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		r = r.WithContext(context.WithValue(r.Context(), requestKey, id))
		if strings.HasPrefix(r.URL.Path, "/v2/") && r.Header.Get("Content-Type") == formType {
			r.Header.Set("Content-Type", "application/json")
		}
		fn(w, r)
	})
}

// methods are all that a route can have, and that refuseTheRest answers.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// roots are the paths that belong to the API alone.
var roots = []string{"/v2/", "/api/", "/collect/", "/docs/", "/web/"}

// refuseTheRest answers what no route takes in our envelope: 405 with Allow
// where other methods of the path exist, else 404. One pattern per method,
// because the console owns "GET /".
func (t traced) refuseTheRest() {
	refused := map[string]bool{}
	for _, root := range roots {
		for _, method := range methods {
			refused[method+" "+root] = true
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/openapi.yaml"} {
		for _, method := range methods[1:] {
			refused[method+" "+path] = true
		}
	}
	for pattern := range refused {
		t.HandleFunc(pattern, t.refuse(refused))
	}
}

func (t traced) refuse(refused map[string]bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if allowed := t.allowed(r, refused); len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeFailure(w, r, newFailure(http.StatusMethodNotAllowed, "this route takes "+strings.Join(allowed, " or ")))
			return
		}
		writeFailure(w, r, newFailure(http.StatusNotFound, "there is no such route; all of them are in /openapi.json"))
	}
}

// allowed returns the methods that a route takes at the path of r.
func (t traced) allowed(r *http.Request, refused map[string]bool) (out []string) {
	for _, method := range methods {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := t.Handler(other); pattern != "" && !refused[pattern] {
			out = append(out, method)
		}
	}
	slices.Sort(out)
	return out
}

func requestID(ctx context.Context) string {
	s, _ := ctx.Value(requestKey).(string)
	return s
}

// newRequestID returns an id that support can look for in the log.
func newRequestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// writeFailure answers with f and its headers.
func writeFailure(w http.ResponseWriter, r *http.Request, f *failure) {
	f.RequestID = requestID(r.Context())
	f.old(r.URL.Path)
	for name, values := range f.header {
		w.Header()[name] = values
	}
	writeJSON(w, f.Code, f)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone: nobody to tell
}
