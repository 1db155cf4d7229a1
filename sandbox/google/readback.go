package google

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher/sandbox/behind"
)

// List is a user list as the read-back shows it.
type List struct {
	ID              string    `json:"id"`
	Account         string    `json:"account"`
	DisplayName     string    `json:"display_name"`
	IntegrationCode string    `json:"integration_code,omitempty"`
	Description     string    `json:"description,omitempty"`
	Duration        string    `json:"membership_duration"`
	KeyTypes        []string  `json:"key_types"`
	CreatedAt       time.Time `json:"created_at"`
	Members         int       `json:"members"`
}

// Member is one member by all identifiers the network has, by kind.
type Member struct {
	Identifiers map[string][]string `json:"identifiers"`
	AddedAt     time.Time           `json:"added_at"`
}

// Request is a request as the read-back shows it.
type Request struct {
	ID         string         `json:"id"`
	Op         string         `json:"op"`
	To         []string       `json:"to"`
	Rows       int            `json:"rows"`
	AcceptedAt time.Time      `json:"accepted_at"`
	Status     string         `json:"status"`
	Errors     map[string]int `json:"errors,omitempty"`
}

// Lists returns all lists, oldest id first.
func (n *Network) Lists() []List {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(n.deps.Now())
	out := make([]List, 0, len(n.lists))
	for _, l := range n.lists {
		out = append(out, List{
			ID: l.id, Account: l.account, DisplayName: l.text("displayName"), IntegrationCode: l.text("integrationCode"), Description: l.text("description"),
			Duration: l.text("membershipDuration"), KeyTypes: l.kinds(), CreatedAt: l.created, Members: l.roster.size(),
		})
	}
	slices.SortFunc(out, func(a, b List) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Members returns the members of a list in a fixed order, or false if there is
// no such list. What is not processed yet is not in.
func (n *Network) Members(id string) ([]Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(n.deps.Now())
	l := n.lists[id]
	if l == nil {
		return nil, false
	}
	out := make([]Member, 0, l.roster.size())
	for p := range l.roster.people {
		out = append(out, p.show())
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(fmt.Sprint(a.Identifiers), fmt.Sprint(b.Identifiers)) })
	return out, true
}

// show is the person as the read-back shows them.
func (p *person) show() Member {
	m := Member{Identifiers: map[string][]string{}, AddedAt: p.added}
	for id := range p.ids {
		m.Identifiers[id.kind] = append(m.Identifiers[id.kind], id.text)
	}
	for _, texts := range m.Identifiers {
		slices.Sort(texts)
	}
	return m
}

// Holds reports whether a list has a member by this identifier.
func (n *Network) Holds(id, kind, text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(n.deps.Now())
	l := n.lists[id]
	if l == nil {
		return false
	}
	return l.roster.by[identifier{kind, text}] != nil
}

// Events returns the conversions that took effect, oldest first.
func (n *Network) Events() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(n.deps.Now())
	return slices.Clone(n.events)
}

// Requests returns all accepted requests, oldest first.
func (n *Network) Requests() []Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.deps.Now()
	n.settle(now)
	out := make([]Request, len(n.requests))
	for i, r := range n.requests {
		out[i] = Request{ID: r.id, Op: r.op, Rows: len(r.rows), AcceptedAt: r.accepted, Status: r.state(now), Errors: maps.Clone(r.errors)}
		for _, d := range r.to {
			out[i].To = append(out[i].To, d.ProductDestination)
		}
	}
	return out
}

// Finish processes what is waiting, in any order.
func (n *Network) Finish() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.finishAll(n.deps.Now())
}

// ExpireTokens ends all access tokens.
func (n *Network) ExpireTokens() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.deps.Now()
	for value, t := range n.tokens {
		t.ExpiresAt = now
		n.tokens[value] = t
	}
}

// SetToken makes a token known, or changes it.
func (n *Network) SetToken(t Token) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tokens[t.Value] = t
}

// DeleteList takes a list away behind the caller's back. It reports whether there
// was one.
func (n *Network) DeleteList(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.lists[id]
	delete(n.lists, id)
	return ok
}

// Calls returns the latest calls, oldest first.
func (n *Network) Calls() []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log.calls)
}

// ForgetCalls empties the log; lists and events stay.
func (n *Network) ForgetCalls() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = callLog{}
}

// Overview is what there is, in numbers.
func (n *Network) Overview() map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return map[string]any{"lists": len(n.lists), "events": len(n.events), "requests": len(n.requests), "calls": n.log.count, "resources": n.adsOverview()}
}

// Control serves the read-back (see the package comment).
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	show := func(path, name string, what func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{name: what()}) })
	}
	act := func(path string, do func()) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			do()
			w.WriteHeader(http.StatusNoContent)
		})
	}
	show("/lists", "lists", func() any { return n.Lists() })
	show("/events", "events", func() any { return n.Events() })
	show("/requests", "requests", func() any { return n.Requests() })
	show("/calls", "calls", func() any { return n.Calls() })
	act("POST /requests/finish", n.Finish)
	act("POST /tokens/expire", n.ExpireTokens)
	act("DELETE /calls", n.ForgetCalls)
	mux.HandleFunc("GET /lists/{id}/members", func(w http.ResponseWriter, r *http.Request) {
		members, ok := n.Members(r.PathValue("id"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		reply(w, map[string]any{"members": members})
	})
	n.adsControl(mux)
	behind.Serve(mux, "/lists", n)
	mux.HandleFunc("DELETE /lists/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !n.DeleteList(r.PathValue("id")) {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
