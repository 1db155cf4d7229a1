package linkedin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"usher/sandbox/behind"
)

// maxControlBytes bounds the body of a request to the read-back.
const maxControlBytes = 1 << 20

var errNoSegment = errors.New("there is no such segment")

// Control serves the read-back:
//
//	GET    /segments               segments with their books
//	GET    /segments/{id}          one segment
//	DELETE /segments/{id}          take it away behind the caller's back
//	GET    /segments/{id}/members  its members with all values
//	POST   /segments/{id}/members  {"members": [{"SHA256_EMAIL": "…"}]}: bring people in
//	POST   /segments/{id}/members/remove  {"members": […]} or {"count": 3}: take people out
//	POST   /segments/{id}/status   {"status": "EXPIRED"}; "" = by age and size again
//	GET    /rules                  conversion rules
//	POST   /rules                  make one or change it
//	GET    /events                 conversions that were taken
//	GET    /calls                  the latest calls
//	DELETE /calls                  forget them and their counters
//	GET    /counters               sums over all calls
//	POST   /tokens                 make an access token known or change it
//	POST   /withdraw               {"refresh_token": "…"}: end a consent and all tokens
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	list := func(path, name string, all func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{name: all()}) })
	}
	list("/segments", "segments", func() any { return n.Segments() })
	list("/rules", "rules", func() any { return n.Rules() })
	list("/events", "events", func() any { return n.Events() })
	list("/calls", "calls", func() any { return n.Calls() })
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.Counters()) })
	mux.HandleFunc("DELETE /calls", func(w http.ResponseWriter, _ *http.Request) {
		n.ForgetCalls()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /segments/{id}", func(w http.ResponseWriter, r *http.Request) {
		s, ok := n.Segment(r.PathValue("id"))
		found(w, ok, s)
	})
	mux.HandleFunc("GET /segments/{id}/members", func(w http.ResponseWriter, r *http.Request) {
		members, ok := n.Members(r.PathValue("id"))
		found(w, ok, map[string]any{"members": members})
	})
	behind.Serve(mux, "/segments", n)
	mux.HandleFunc("DELETE /segments/{id}", func(w http.ResponseWriter, r *http.Request) {
		found(w, n.DeleteSegment(r.PathValue("id")), nil)
	})
	mux.HandleFunc("POST /segments/{id}/status", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Status *string `json:"status"`
		}
		if !read(w, r, &in, func() bool { return in.Status != nil }) {
			return
		}
		found(w, n.SetStatus(r.PathValue("id"), *in.Status), nil)
	})
	mux.HandleFunc("POST /rules", func(w http.ResponseWriter, r *http.Request) {
		var in Rule
		if read(w, r, &in, func() bool { return isNumber(in.ID) }) {
			n.SetRule(in)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var in Token
		if read(w, r, &in, func() bool { return in.Value != "" }) {
			n.SetToken(in)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("POST /withdraw", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			RefreshToken string `json:"refresh_token"`
		}
		if read(w, r, &in, func() bool { return in.RefreshToken != "" }) {
			n.Withdraw(in.RefreshToken)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	return mux
}

// Overview is what the sandbox's front page says of the network.
func (n *Network) Overview() map[string]any {
	return map[string]any{"segments": len(n.Segments()), "events": len(n.Events())}
}

func found(w http.ResponseWriter, ok bool, body any) {
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, errNoSegment)
	case body == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		reply(w, body)
	}
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// read decodes a body, which is JSON whatever its type says, and refuses it when
// it is not what is needed.
func read(w http.ResponseWriter, r *http.Request, in any, ok func() bool) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBytes))
	if err != nil || json.Unmarshal(body, in) != nil || !ok() {
		refuse(w, http.StatusBadRequest, errors.New("the body is not what is needed here"))
		return false
	}
	return true
}
