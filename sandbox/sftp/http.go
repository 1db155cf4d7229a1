package sftp

import (
	"encoding/json"
	"net/http"
)

// ServeHTTP says where the network is and how it shows itself.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	reply(w, map[string]any{
		"address": n.addressNow(), "username": n.opts.User, "host_key": Fingerprint,
		"folders": n.opts.Folders, "read_only": n.opts.ReadOnly,
	})
}

// Control is the read-back.
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /files", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"files": n.Files()}) })
	mux.HandleFunc("GET /files/{path...}", func(w http.ResponseWriter, r *http.Request) {
		body, ok := n.File(r.PathValue("path"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(body) // the caller may be gone
	})
	mux.HandleFunc("DELETE /files/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if !n.Delete(r.PathValue("path")) {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"calls": n.Calls(), "counters": n.Counters()})
	})
	return mux
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
