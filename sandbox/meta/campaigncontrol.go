package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// CampaignNode is a campaign, an ad set, an ad or a creative as the read-back shows
// it.
type CampaignNode struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	// Edge is its type: campaigns, adsets, ads or adcreatives.
	Edge   string `json:"edge"`
	Parent string `json:"parent,omitempty"`
	// Values are what was set, as the network tells it.
	Values map[string]json.RawMessage `json:"values"`
	// Effective is the status that the network makes of it; Gone: it is deleted or
	// archived, by itself or with what it lies in.
	Effective string    `json:"effective_status"`
	Gone      bool      `json:"gone"`
	CreatedAt time.Time `json:"created_at"`
	// Effects is how many operations have taken effect on it, its creation included.
	Effects int `json:"effects"`
}

// Tree returns all nodes of an account, deleted ones too, oldest first. "" is all
// accounts.
func (n *Network) Tree(account string) []CampaignNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := map[string]int{}
	for _, e := range n.tree.effects {
		if e.Op != "outside" {
			counts[e.ID]++
		}
	}
	var out []CampaignNode
	for _, id := range n.tree.order {
		d := n.tree.nodes[id]
		if account != "" && d.account != account {
			continue
		}
		out = append(out, CampaignNode{
			ID: d.id, Account: d.account, Edge: d.edge, Parent: d.parent, Values: maps.Clone(d.values),
			Effective: n.tree.effective(d), Gone: n.tree.gone(d), CreatedAt: d.created, Effects: counts[id],
		})
	}
	return out
}

// Effects returns every operation on campaigns that took effect, oldest first.
func (n *Network) Effects() []Effect {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.tree.effects)
}

// CampaignSins counts what callers of batches should not have done.
func (n *Network) CampaignSins() map[CampaignSin]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.tree.sins)
}

// MakeNode creates a node behind the caller's back, by the rules of the network.
func (n *Network) MakeNode(account, edge string, set map[string]json.RawMessage) (id string, err error) {
	if !slices.Contains(edges, edge) {
		return "", fmt.Errorf("there is no edge %q", edge)
	}
	values, refused := readNode(edge, params(set), true)
	if refused != nil {
		return "", errors.New(refused.message)
	}
	return n.outside(account, edge, "", values)
}

// ChangeNode changes a node behind the caller's back, by the rules of the network.
func (n *Network) ChangeNode(id string, set map[string]json.RawMessage) error {
	n.mu.Lock()
	d := n.tree.nodes[id]
	n.mu.Unlock()
	if d == nil {
		return fmt.Errorf("there is no node %q", id)
	}
	values, refused := readNode(d.edge, params(set), false)
	if refused != nil {
		return errors.New(refused.message)
	}
	_, err := n.outside(d.account, d.edge, id, values)
	return err
}

func (n *Network) outside(account, edge, id string, values map[string]json.RawMessage) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	next, refused := n.put(account, edge, n.tree.nodes[id], values, n.deps.Now())
	if refused != nil {
		return "", errors.New(refused.message)
	}
	n.keep(next, values, 0, true, n.deps.Now())
	return next.id, nil
}

// controlCampaigns serves the read-back of campaigns:
//
//	GET    tree                     all nodes; ?account= narrows it
//	POST   tree                     {"account", "edge", "set"}: make one
//	POST   tree/{id}                {"set": {"status": "PAUSED"}}: change one
//	GET    effects                  every operation that took effect
//	GET    campaign_sins            what callers should not have done
func (n *Network) controlCampaigns(mux *http.ServeMux) {
	mux.HandleFunc("GET /tree", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"nodes": n.Tree(r.URL.Query().Get("account"))})
	})
	mux.HandleFunc("POST /tree", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Account string                     `json:"account"`
			Edge    string                     `json:"edge"`
			Set     map[string]json.RawMessage `json:"set"`
		}
		if read(w, r, &in) != nil || !objectPattern.MatchString(in.Account) {
			refuse(w, http.StatusBadRequest, errors.New(`the body must be {"account": "…", "edge": "campaigns", "set": {…}}`))
			return
		}
		id, err := n.MakeNode(in.Account, in.Edge, in.Set)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		reply(w, map[string]any{"id": id})
	})
	mux.HandleFunc("POST /tree/{id}", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Set map[string]json.RawMessage `json:"set"`
		}
		err := read(w, r, &in)
		if err == nil {
			err = n.ChangeNode(r.PathValue("id"), in.Set)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /effects", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"effects": n.Effects()}) })
	mux.HandleFunc("GET /campaign_sins", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"sins": n.CampaignSins()}) })
}
