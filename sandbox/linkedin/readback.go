package linkedin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxCalls is how many of the latest calls the log keeps.
const maxCalls = 10_000

// Call is one request as the log keeps it: never a token, a query or a row.
type Call struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Op     string    `json:"op,omitempty"`
	Object string    `json:"object,omitempty"`
	// Status is what was answered; 0 means the connection ended without an answer.
	Status int `json:"status"`
	Bytes  int `json:"bytes"`
	Rows   int `json:"rows,omitempty"`
	// Refused are the rows that were refused. Applied is true when the call took
	// effect, whatever was answered.
	Refused int    `json:"refused,omitempty"`
	Applied bool   `json:"applied,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

// Counters sum up all calls since the start, also those the log has dropped.
type Counters struct {
	Calls int `json:"calls"`
	// Writes are the calls that are not reads, those for tokens left out.
	Writes   int            `json:"writes"`
	ByOp     map[string]int `json:"by_op"`
	ByStatus map[int]int    `json:"by_status"`
	Faults   map[string]int `json:"faults"`
}

type callLog struct {
	calls    []Call
	counters Counters
}

// finish writes the call into the log.
func (n *Network) finish(c *call, status int) {
	c.record.Status = status
	n.mu.Lock()
	l := &n.log
	l.counters.Calls++
	c.record.Number = l.counters.Calls
	if len(l.calls) >= maxCalls {
		l.calls = slices.Delete(l.calls, 0, maxCalls/10)
	}
	l.calls = append(l.calls, c.record)
	if l.counters.ByOp == nil {
		l.counters.ByOp, l.counters.ByStatus, l.counters.Faults = map[string]int{}, map[int]int{}, map[string]int{}
	}
	if c.request.Method != "GET" && c.op != opToken {
		l.counters.Writes++
	}
	l.counters.ByOp[c.op]++
	l.counters.ByStatus[status]++
	if c.record.Fault != "" {
		l.counters.Faults[c.record.Fault]++
	}
	n.mu.Unlock()
	n.deps.Log.Debug("sandbox call", "network", "linkedin", "method", c.record.Method, "path", c.record.Path,
		"op", c.op, "status", status, "rows", c.record.Rows, "fault", c.record.Fault)
}

// Books are the exact counts of one segment since it was made.
type Books struct {
	Calls int `json:"calls"`
	// Rows came, Refused of them had a status of their own, Lost came before the
	// segment was ready.
	Rows    int `json:"rows"`
	Refused int `json:"refused"`
	Lost    int `json:"lost"`
	// Added and Known divide the rows to be added by whether their member was new.
	Added         int `json:"added"`
	Known         int `json:"known"`
	Removed       int `json:"removed"`
	NobodyRemoved int `json:"nobody_removed"`
}

func newBooks() Books { return Books{} }

// Segment is a segment as the read-back shows it.
type Segment struct {
	ID              string    `json:"id"`
	Account         string    `json:"account"`
	Name            string    `json:"name"`
	SourceSegmentID string    `json:"source_segment_id,omitempty"`
	Status          string    `json:"status"`
	CreatedAt       time.Time `json:"created_at"`
	Members         int       `json:"members"`
	Books           Books     `json:"books"`
}

// Member is one person in a segment with all values the network has of them.
type Member struct {
	// IDs are by type.
	IDs  map[string][]string `json:"ids"`
	Info map[string]string   `json:"info,omitempty"`
}

// Event is one conversion that was taken.
type Event struct {
	ReceivedAt time.Time `json:"received_at"`
	Rule       string    `json:"rule"`
	EventID    string    `json:"event_id,omitempty"`
	HappenedAt time.Time `json:"happened_at"`
	Currency   string    `json:"currency,omitempty"`
	Amount     string    `json:"amount,omitempty"`
	IDs        []string  `json:"ids,omitempty"` // type:value
	FirstName  string    `json:"first_name,omitempty"`
	LastName   string    `json:"last_name,omitempty"`
	External   string    `json:"external,omitempty"`
}

func (el eventElement) event(at time.Time) Event {
	ms, _ := el.At.Int64()
	e := Event{ReceivedAt: at, Rule: strings.TrimPrefix(el.Conversion, rulePrefix), EventID: el.EventID, HappenedAt: time.UnixMilli(ms).UTC()}
	if v := el.Value; v != nil {
		e.Currency, e.Amount = *v.Currency, *v.Amount
	}
	for _, u := range el.User.IDs {
		e.IDs = append(e.IDs, u.Type+":"+u.Value)
	}
	if i := el.User.Info; i != nil {
		e.FirstName, e.LastName = *i.FirstName, *i.LastName
	}
	if len(el.User.External) > 0 {
		e.External = el.User.External[0]
	}
	return e
}

// Segments returns all segments of all accounts, oldest id first.
func (n *Network) Segments() []Segment {
	now := n.deps.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []Segment{}
	for _, s := range n.sorted() {
		list = append(list, n.readBack(s, now))
	}
	return list
}

// Segment returns one segment, or false if there is none of that id.
func (n *Network) Segment(id string) (Segment, bool) {
	now := n.deps.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segments[id]
	if s == nil {
		return Segment{}, false
	}
	return n.readBack(s, now), true
}

func (n *Network) readBack(s *segment, now time.Time) Segment {
	return Segment{
		ID: s.id, Account: s.account, Name: s.in.Name, SourceSegmentID: s.in.SourceSegmentID,
		Status: n.statusOf(s, now), CreatedAt: s.created, Members: len(s.roster.members), Books: s.books,
	}
}

// Members returns the members of a segment in a fixed order, or false if there
// is no such segment.
func (n *Network) Members(id string) ([]Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segments[id]
	if s == nil {
		return nil, false
	}
	list := []Member{}
	for m := range s.roster.members {
		list = append(list, m.show())
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.text(), b.text()) })
	return list, true
}

// show is the member as the read-back shows it.
func (m *member) show() Member {
	out := Member{IDs: map[string][]string{}, Info: maps.Clone(m.info)}
	for _, v := range m.ids {
		out.IDs[v.kind] = append(out.IDs[v.kind], v.value)
	}
	for _, values := range out.IDs {
		slices.Sort(values)
	}
	return out
}

// text is what members are ordered by.
func (m Member) text() string { return fmt.Sprint(m.IDs, m.Info) }

// Holds reports whether a segment has a member with this id.
func (n *Network) Holds(id, kind, value string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segments[id]
	return s != nil && len(s.roster.byID[identity{kind, value}]) > 0
}

// Rules returns the conversion rules by id.
func (n *Network) Rules() []Rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.SortedFunc(maps.Values(n.rules), func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
}

// Events returns the conversions that were taken, in the order they came.
func (n *Network) Events() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
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
	c := n.log.counters
	c.ByOp, c.ByStatus, c.Faults = maps.Clone(c.ByOp), maps.Clone(c.ByStatus), maps.Clone(c.Faults)
	return c
}

// ForgetCalls empties the log and its counters; all else stays.
func (n *Network) ForgetCalls() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = callLog{}
}

// SetToken makes an access token known, or changes it.
func (n *Network) SetToken(t Token) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tokens[t.Value] = t
}

// Withdraw ends a consent: its refresh token and all access tokens.
func (n *Network) Withdraw(refreshToken string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.grants, refreshToken)
	for value, t := range n.tokens {
		t.Revoked = true
		n.tokens[value] = t
	}
}

// SetRule makes a conversion rule, or changes it.
func (n *Network) SetRule(r Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules[r.ID] = r
}

// SetStatus gives a segment a status, "" lets it follow from age and size again.
// It reports whether there are such a segment and status.
func (n *Network) SetStatus(id, status string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segments[id]
	if s == nil || status != "" && !slices.Contains(statuses, status) {
		return false
	}
	s.status = status
	return true
}

// DeleteSegment takes a segment away behind the caller's back. It reports
// whether there was one.
func (n *Network) DeleteSegment(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.segments[id]
	delete(n.segments, id)
	return ok
}
