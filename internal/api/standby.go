package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CodeStandby is the code of every answer of a process that stands by.
const CodeStandby = "STANDBY"

// standbyMessage says no more than that: who works, and where, is nobody's
// business who has not signed in.
const standbyMessage = "this process stands by: another one does the work, and this one takes over when that one stops; ask again soon"

// Standby answers for a process that stands by while another one works: it is
// alive, it is not ready, and everything else is refused for now, with page
// where a browser asks. Callers are told to come back after a while.
func Standby(version string, after time.Duration, page http.Handler) http.Handler {
	mux := traced{http.NewServeMux()}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, envelope[map[string]string]{
			Data: map[string]string{"version": version}, Status: http.StatusOK, Message: "success", RequestID: requestID(r.Context()),
		})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(after.Seconds()))))
		if !ours(r.URL.Path) {
			page.ServeHTTP(w, r)
			return
		}
		writeFailure(w, r, &failure{
			Code: http.StatusServiceUnavailable, Message: standbyMessage,
			Errors: []failureItem{{CodeStandby, "error", standbyMessage, time.Now().UTC()}},
		})
	})
	return mux
}

// ours reports whether a path is the API's and not the console's.
func ours(path string) bool {
	return slices.ContainsFunc(append(roots, "/healthz", "/readyz", "/openapi."), func(root string) bool { return strings.HasPrefix(path, root) })
}
