package tradedesk

import (
	"encoding/json"
	"net/http"
)

// Control serves the read-back:
//
//	GET    advertisers/{id}/elements                  names of data elements
//	GET    advertisers/{id}/elements/{name}           the ids in one, and until when
//	DELETE advertisers/{id}/elements/{name}           take it away behind the sender's back
//	GET    calls                                      the latest calls
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /advertisers/{id}/elements", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"elements": n.Elements(r.PathValue("id"))})
	})
	mux.HandleFunc("GET /advertisers/{id}/elements/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"members": n.Members(r.PathValue("id"), r.PathValue("name"))})
	})
	mux.HandleFunc("DELETE /advertisers/{id}/elements/{name}", func(w http.ResponseWriter, r *http.Request) {
		n.Drop(r.PathValue("id"), r.PathValue("name"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"calls": n.Calls()})
	})
	return mux
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
