package meta

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"usher/sandbox/behind"
)

// maxControlBytes bounds the body of a request to the read-back.
const maxControlBytes = 1 << 20

var errNoAudience = errors.New("there is no such audience")

// Control serves the read-back and what changes the network behind its
// caller's back, below the path that the sandbox gives it:
//
//	GET    audiences                audiences with their books
//	GET    audiences/{id}           one audience
//	GET    audiences/{id}/members   its members with all values
//	POST   audiences/{id}/members   {"members": [{"EMAIL": "…"}]}: bring people in
//	POST   audiences/{id}/members/remove  {"members": […]} or {"count": 3}: take people out
//	DELETE audiences/{id}           take it away behind the caller's back
//	POST   audiences/{id}/flag      {"flagged": true}: hold it back (471)
//	GET    datasets/{id}/events     conversions that took effect
//	GET    calls                    the latest calls
//	DELETE calls                    forget them and their counters
//	GET    counters                 sums over all calls
//	POST   tokens                   make a token known or change it
//
// and what controlCampaigns says
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /audiences", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"audiences": n.Audiences()})
	})
	mux.HandleFunc("GET /audiences/{id}", n.showAudience)
	mux.HandleFunc("DELETE /audiences/{id}", n.takeAudience)
	mux.HandleFunc("GET /audiences/{id}/members", n.showMembers)
	behind.Serve(mux, "/audiences", n)
	mux.HandleFunc("POST /audiences/{id}/flag", n.flag)
	mux.HandleFunc("GET /datasets/{id}/events", func(w http.ResponseWriter, r *http.Request) {
		list, ok := n.Conversions(r.PathValue("id"))
		if !ok {
			refuse(w, http.StatusNotFound, errors.New("there is no such data set"))
			return
		}
		reply(w, map[string]any{"events": list})
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"calls": n.Calls()})
	})
	mux.HandleFunc("DELETE /calls", func(w http.ResponseWriter, _ *http.Request) {
		n.ForgetCalls()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.Counters()) })
	mux.HandleFunc("POST /tokens", n.putToken)
	n.controlCampaigns(mux)
	return mux
}

// Overview is what the sandbox's front page says of the network.
func (n *Network) Overview() map[string]any {
	return map[string]any{"audiences": len(n.Audiences()), "campaigns": len(n.Tree(""))}
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

// read decodes the body of a request to the read-back, which is JSON whatever
// its type says.
func read(w http.ResponseWriter, r *http.Request, in any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBytes))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, in)
}

func (n *Network) showAudience(w http.ResponseWriter, r *http.Request) {
	a, ok := n.Audience(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	reply(w, a)
}

func (n *Network) showMembers(w http.ResponseWriter, r *http.Request) {
	list, ok := n.Members(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	reply(w, map[string]any{"members": list})
}

func (n *Network) takeAudience(w http.ResponseWriter, r *http.Request) {
	if !n.DeleteAudience(r.PathValue("id")) {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (n *Network) flag(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Flagged *bool `json:"flagged"`
	}
	if err := read(w, r, &in); err != nil || in.Flagged == nil {
		refuse(w, http.StatusBadRequest, errors.New(`the body must be {"flagged": true} or {"flagged": false}`))
		return
	}
	if !n.SetFlagged(r.PathValue("id"), *in.Flagged) {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (n *Network) putToken(w http.ResponseWriter, r *http.Request) {
	var token Token
	if err := read(w, r, &token); err != nil || token.Value == "" {
		refuse(w, http.StatusBadRequest, errors.New("the body must be a token with a value"))
		return
	}
	n.SetToken(token)
	w.WriteHeader(http.StatusNoContent)
}
