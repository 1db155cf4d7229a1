// Package behind lets somebody change who is in an audience at a stand-in behind
// its caller's back, as a person at the network could.
//
// It owns the two requests of the read-back that do so and nothing of any network:
// each says itself who its members are. It is built for the comparison that finds
// no difference because there never was one.
package behind

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// maxBytes bounds the body of a request.
const maxBytes = 1 << 20

// Member is somebody by the network's own names of their values.
type Member map[string]string

// Network is a stand-in whose audiences can be changed. ok is false where it has
// no such audience.
type Network interface {
	// PutMembers brings people in.
	PutMembers(audience string, members []Member) (ok bool)
	// DropMembers takes out whoever has any value of these people.
	DropMembers(audience string, members []Member) (dropped int, ok bool)
	// DropSome takes out the first n members, in the order of the read-back.
	DropSome(audience string, n int) (dropped int, ok bool)
}

// Serve adds the requests for the audiences below path, such as /lists:
//
//	POST {path}/{id}/members         {"members": [{…}]}: bring people in
//	POST {path}/{id}/members/remove  {"members": [{…}]} or {"count": 3}: take people out
//
// A member is an object of values by the names that the read-back uses.
func Serve(mux *http.ServeMux, path string, n Network) {
	mux.HandleFunc("POST "+path+"/{id}/members", func(w http.ResponseWriter, r *http.Request) {
		in, ok := read(w, r)
		if !ok {
			return
		}
		if len(in.Members) == 0 {
			refuse(w, http.StatusBadRequest, `the body must be {"members": [{"NAME": "value"}]}`)
			return
		}
		if !n.PutMembers(r.PathValue("id"), in.Members) {
			refuse(w, http.StatusNotFound, "there is no such audience")
			return
		}
		reply(w, http.StatusOK, map[string]any{"added": len(in.Members)})
	})
	mux.HandleFunc("POST "+path+"/{id}/members/remove", func(w http.ResponseWriter, r *http.Request) {
		in, ok := read(w, r)
		if !ok {
			return
		}
		if (len(in.Members) > 0) == (in.Count > 0) {
			refuse(w, http.StatusBadRequest, `the body must be {"members": [{"NAME": "value"}]} or {"count": 3}`)
			return
		}
		dropped := 0
		if in.Count > 0 {
			dropped, ok = n.DropSome(r.PathValue("id"), in.Count)
		} else {
			dropped, ok = n.DropMembers(r.PathValue("id"), in.Members)
		}
		if !ok {
			refuse(w, http.StatusNotFound, "there is no such audience")
			return
		}
		reply(w, http.StatusOK, map[string]any{"removed": dropped})
	})
}

// request is the body of both.
type request struct {
	Members []Member `json:"members"`
	Count   int      `json:"count"`
}

// read decodes a body, which is JSON whatever its type says.
func read(w http.ResponseWriter, r *http.Request) (in request, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	for _, m := range in.Members {
		if len(m) == 0 {
			err = errors.New("a member without any value")
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body is not what is needed here: members are objects of texts")
		return in, false
	}
	return in, true
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

func refuse(w http.ResponseWriter, status int, why string) {
	reply(w, status, map[string]string{"error": why})
}
