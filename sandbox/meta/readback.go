package meta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Audience is an audience as the read-back shows it.
type Audience struct {
	ID          string `json:"id"`
	Account     string `json:"account"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	ValueBased  bool   `json:"value_based"`
	// RetentionDays, OptOutLink, Dataset and Labels are as they were asked for.
	RetentionDays int       `json:"retention_days,omitempty"`
	OptOutLink    string    `json:"opt_out_link,omitempty"`
	Dataset       string    `json:"dataset_id,omitempty"`
	Labels        []string  `json:"audience_labels,omitempty"`
	Flagged       bool      `json:"flagged"`
	CreatedAt     time.Time `json:"created_at"`
	Members       int       `json:"members"`
	// Waiting is how many uploads are not matched yet.
	Waiting int `json:"waiting"`
	// Replacing: a replacement has begun and has not got its last batch.
	Replacing bool  `json:"replacing,omitempty"`
	Books     Books `json:"books"`
}

// Member is one person in an audience with all values the network has of them,
// identifying or not, by key.
type Member struct {
	ExternID string              `json:"extern_id,omitempty"`
	Keys     map[string][]string `json:"keys"`
}

// Audiences returns all audiences of all accounts, oldest id first.
func (n *Network) Audiences() []Audience {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]Audience, 0, len(n.audiences))
	for _, a := range n.audiences {
		a.settle(n.deps.Now())
		a.lapse(n.deps.Now(), n.opts.SessionWindow)
		list = append(list, a.readBack())
	}
	slices.SortFunc(list, func(x, y Audience) int { return strings.Compare(x.ID, y.ID) })
	return list
}

// Audience returns one audience, or false if there is none of that id.
func (n *Network) Audience(id string) (Audience, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.audiences[id]
	if a == nil {
		return Audience{}, false
	}
	a.settle(n.deps.Now())
	a.lapse(n.deps.Now(), n.opts.SessionWindow)
	return a.readBack(), true
}

func (a *audience) readBack() Audience {
	return Audience{
		ID: a.id, Account: a.account, Name: a.settings.Name, Description: a.settings.Description,
		RetentionDays: a.settings.RetentionDays, OptOutLink: a.settings.OptOutLink, Dataset: a.settings.Dataset, Labels: slices.Clone(a.settings.Labels),
		Replacing: a.replace != nil, ValueBased: a.settings.ValueBased, Flagged: a.flagged, CreatedAt: a.created,
		Members: len(a.roster.members), Waiting: len(a.waiting), Books: a.books.clone(),
	}
}

// Members returns the present members of an audience in a fixed order, or
// false if there is no such audience. Rows still waiting for the lag are not in.
func (n *Network) Members(audienceID string) ([]Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.audiences[audienceID]
	if a == nil {
		return nil, false
	}
	a.settle(n.deps.Now())
	list := make([]Member, 0, len(a.roster.members))
	for _, id := range a.roster.ordered() {
		list = append(list, a.roster.members[id].readBack())
	}
	return list, true
}

// ordered are the ids of the members in a fixed order: by name, then by values.
func (r *roster) ordered() []int {
	shown := make(map[int]Member, len(r.members))
	for id, m := range r.members {
		shown[id] = m.readBack()
	}
	return slices.SortedFunc(maps.Keys(shown), func(x, y int) int {
		if c := strings.Compare(shown[x].ExternID, shown[y].ExternID); c != 0 {
			return c
		}
		return strings.Compare(fmt.Sprint(shown[x].Keys), fmt.Sprint(shown[y].Keys))
	})
}

func (m *member) readBack() Member {
	keys := map[string][]string{}
	for _, v := range m.values {
		keys[v.key] = append(keys[v.key], v.text)
	}
	for _, texts := range keys {
		slices.Sort(texts)
	}
	return Member{ExternID: m.name, Keys: keys}
}

// Calls returns the latest calls, oldest first.
func (n *Network) Calls() []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log.calls)
}

// Counters returns the sums over all calls.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.counters.clone()
}

// ForgetCalls empties the log and its counters; audiences and books stay.
func (n *Network) ForgetCalls() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = callLog{}
}

// SetToken makes a token known, or changes it.
func (n *Network) SetToken(t Token) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tokens[t.Value] = t
}

// DropToken makes a token unknown.
func (n *Network) DropToken(token string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.tokens, token)
}

// SetFlagged holds an audience back for its integrity (status 471), or lets it
// go. It reports whether there is such an audience.
func (n *Network) SetFlagged(audienceID string, isFlagged bool) bool {
	return n.change(event{Kind: eventFlag, Audience: audienceID, Flagged: isFlagged})
}

// DeleteAudience takes an audience away behind the caller's back. It reports
// whether there was one.
func (n *Network) DeleteAudience(audienceID string) bool {
	return n.change(event{Kind: eventDelete, Audience: audienceID})
}

func (n *Network) change(e event) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.audiences[e.Audience] == nil {
		return false
	}
	e.At = n.deps.Now()
	return n.commit(e) == nil
}

func (n *Network) accountOf(audienceID string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.audiences[audienceID]; a != nil {
		return a.account
	}
	return ""
}

// noteUsage counts the call for its account.
func (n *Network) noteUsage(c *call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	owner := n.account(c.account)
	c.percent, c.regain = owner.usage.note(c.at, n.opts.HourlyCalls)
}
