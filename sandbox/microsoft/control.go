package microsoft

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
)

// maxControlBytes bounds the body of a request to the read-back.
const maxControlBytes = 1 << 20

// Objects is the whole tree, in the order in which objects came.
func (n *Network) Objects() []Object {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := []Object{}
	for _, id := range n.tree.order {
		if o, ok := n.tree.objects[id]; ok {
			shown := *o
			shown.Fields, shown.Effects = maps.Clone(o.Fields), n.tree.effects[id]
			all = append(all, shown)
		}
	}
	return all
}

// Effects is how many calls have taken effect on an object, deleted or not.
func (n *Network) Effects(id string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tree.effects[id]
}

// Change sets fields of an object behind the caller's back, as a person at Microsoft
// could. ok is false where there is no such object or they do not fit.
func (n *Network) Change(id string, fields map[string]any) (ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.tree.objects[id]
	if o == nil || kinds[o.Kind].look(maps.Clone(fields), false) != nil {
		return false
	}
	o.put(fields)
	return true
}

// Remove takes an object away behind the caller's back, with all that lies in it.
func (n *Network) Remove(id string) (ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tree.objects[id] == nil {
		return false
	}
	n.tree.drop(id)
	return true
}

// Control serves the read-back:
//
//	GET    /objects       the tree, with how many calls took effect on each object
//	POST   /objects/{id}  {"Name": "…"}: change one behind the caller's back
//	DELETE /objects/{id}  take one away behind the caller's back
//	POST   /costs         {"kind": "Campaigns", "id": "…", "date": "2026-11-20", …}: what a report tells
//	GET    /calls         the latest calls
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /objects", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, n.Objects()) })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, n.Log()) })
	mux.HandleFunc("POST /objects/{id}", func(w http.ResponseWriter, r *http.Request) {
		fields := map[string]any{}
		if err := readControl(w, r, &fields); err != nil || !n.Change(r.PathValue("id"), fields) {
			refuse(w, http.StatusBadRequest, "there is no such object, or the fields do not fit")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /objects/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !n.Remove(r.PathValue("id")) {
			refuse(w, http.StatusNotFound, "there is no such object")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /costs", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Kind        string  `json:"kind"`
			ID          string  `json:"id"`
			Date        string  `json:"date"`
			Impressions int64   `json:"impressions"`
			Clicks      int64   `json:"clicks"`
			Micros      int64   `json:"cost_micros"`
			Conversions float64 `json:"conversions"`
			Revenue     float64 `json:"revenue"`
		}
		if err := readControl(w, r, &in); err != nil || kinds[in.Kind].name == "" {
			refuse(w, http.StatusBadRequest, "the body is not what is needed here")
			return
		}
		n.Spend(Cost(in))
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// readControl decodes a body, which is JSON whatever its type says.
func readControl(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBytes))
	if err != nil {
		return err
	}
	if e := decode(body, into); e != nil {
		return errors.New(e.text)
	}
	return nil
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

func refuse(w http.ResponseWriter, status int, why string) {
	reply(w, status, map[string]string{"error": why})
}
