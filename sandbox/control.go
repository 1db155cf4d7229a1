package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"

	"usher/sandbox/fault"
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
	for _, e := range s.networks {
		prefix := "/_sandbox/" + e.name
		mux.Handle(prefix+"/", http.StripPrefix(prefix, e.network.Control()))
	}
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
	networks := map[string]any{}
	for _, e := range s.networks {
		shown := map[string]any{}
		if o, ok := e.network.(interface{ Overview() map[string]any }); ok {
			shown = o.Overview()
		}
		shown["path"] = "/" + e.name
		if e.ln != nil {
			shown["address"] = e.ln.Addr().String()
		}
		networks[e.name] = shown
	}
	reply(w, map[string]any{"networks": networks, "faults": len(s.faults.Scripts())})
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
