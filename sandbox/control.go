package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// maxControlBytes bounds the body of a request to the sandbox itself.
const maxControlBytes = 1 << 20

// control serves what is below /_sandbox/.
func (s *Sandbox) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sandbox/{$}", s.overview)
	mux.HandleFunc("GET /_sandbox/faults", s.listFaults)
	mux.HandleFunc("POST /_sandbox/faults", s.addFaults)
	mux.HandleFunc("DELETE /_sandbox/faults", s.dropFaults)
	mux.HandleFunc("GET /_sandbox/meta/audiences", s.audiences)
	mux.HandleFunc("GET /_sandbox/meta/audiences/{id}", s.audience)
	mux.HandleFunc("DELETE /_sandbox/meta/audiences/{id}", s.deleteAudience)
	mux.HandleFunc("GET /_sandbox/meta/audiences/{id}/members", s.members)
	mux.HandleFunc("POST /_sandbox/meta/audiences/{id}/flag", s.flag)
	mux.HandleFunc("GET /_sandbox/meta/calls", s.calls)
	mux.HandleFunc("DELETE /_sandbox/meta/calls", s.forgetCalls)
	mux.HandleFunc("GET /_sandbox/meta/counters", s.counters)
	mux.HandleFunc("POST /_sandbox/meta/tokens", s.setToken)
	return mux
}

// loopbackOnly refuses callers from other machines, and pages of other sites
// that a browser on this one has open.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLoopbackHost(r.Host) || r.Header.Get("Origin") != "" {
			refuse(w, http.StatusForbidden, errors.New("read-back is for callers on this machine"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
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

var errNoAudience = errors.New("there is no such audience")

// readBody returns the body of a request, which is JSON whatever its type says:
// curl -d works. Other sites' pages are kept out by their Origin.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, errors.New("the body is too large"))
		return nil, false
	}
	return body, true
}

func (s *Sandbox) overview(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{
		"networks": map[string]any{"meta": map[string]any{"path": "/meta", "audiences": len(s.meta.Audiences())}},
		"faults":   len(s.faults.Scripts()),
	})
}

func (s *Sandbox) listFaults(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"faults": s.faults.Scripts()})
}

func (s *Sandbox) addFaults(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	list, err := fault.Parse(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ids := make([]int, len(list))
	for i, f := range list {
		if ids[i], err = s.faults.Add(f); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
	}
	reply(w, map[string]any{"ids": ids})
}

func (s *Sandbox) dropFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.Reset()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) audiences(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"audiences": s.meta.Audiences()})
}

func (s *Sandbox) audience(w http.ResponseWriter, r *http.Request) {
	a, ok := s.meta.Audience(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	reply(w, a)
}

func (s *Sandbox) members(w http.ResponseWriter, r *http.Request) {
	list, ok := s.meta.Members(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	reply(w, map[string]any{"members": list})
}

func (s *Sandbox) deleteAudience(w http.ResponseWriter, r *http.Request) {
	if !s.meta.DeleteAudience(r.PathValue("id")) {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) flag(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	var in struct {
		Flagged *bool `json:"flagged"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Flagged == nil {
		refuse(w, http.StatusBadRequest, errors.New(`the body must be {"flagged": true} or {"flagged": false}`))
		return
	}
	if !s.meta.SetFlagged(r.PathValue("id"), *in.Flagged) {
		refuse(w, http.StatusNotFound, errNoAudience)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) calls(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"calls": s.meta.Calls()})
}

func (s *Sandbox) forgetCalls(w http.ResponseWriter, _ *http.Request) {
	s.meta.ForgetCalls()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) counters(w http.ResponseWriter, _ *http.Request) {
	reply(w, s.meta.Counters())
}

func (s *Sandbox) setToken(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	var token meta.Token
	if err := json.Unmarshal(body, &token); err != nil || token.Value == "" {
		refuse(w, http.StatusBadRequest, errors.New("the body must be a token with a value"))
		return
	}
	s.meta.SetToken(token)
	w.WriteHeader(http.StatusNoContent)
}
