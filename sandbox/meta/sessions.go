package meta

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// sessionParam is what a batch says of its session; id is 0 when it says nothing.
type sessionParam struct {
	id   int64
	seq  int
	last bool
}

// readSession reads the parameter session. Without one the network makes an id.
func readSession(p params) (sessionParam, *apiError) {
	raw := p.structure("session")
	if len(raw) == 0 {
		return sessionParam{}, nil
	}
	var in struct {
		ID    json.RawMessage `json:"session_id"`
		Seq   json.RawMessage `json:"batch_seq"`
		Last  *bool           `json:"last_batch_flag"`
		Total json.RawMessage `json:"estimated_num_total"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return sessionParam{}, invalidParam("session is not a valid structure")
	}
	id, ok := wholeNumber(in.ID)
	if !ok || id < 1 {
		return sessionParam{}, invalidParam("session.session_id must be a positive 64-bit number")
	}
	seq, ok := wholeNumber(in.Seq)
	if !ok || seq < 1 || seq > 1<<31 {
		return sessionParam{}, invalidParam("session.batch_seq must be a number from 1")
	}
	if in.Last == nil {
		return sessionParam{}, invalidParam("session.last_batch_flag must be a boolean")
	}
	if len(in.Total) > 0 {
		if total, ok := wholeNumber(in.Total); !ok || total < 0 {
			return sessionParam{}, invalidParam("session.estimated_num_total must be a number of at least 0")
		}
	}
	return sessionParam{id: id, seq: int(seq), last: *in.Last}, nil
}

// wholeNumber reads a JSON number, or a text that holds one.
func wholeNumber(raw json.RawMessage) (int64, bool) {
	text := strings.Trim(string(raw), `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// readSessions tells how far the sessions of an audience are.
func (n *Network) readSessions(c *call) (any, *apiError) {
	var only int64
	if text := c.params.text("session_id"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, invalidParam("session_id must be a number")
		}
		only = id
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.live(c)
	if err != nil {
		return nil, err
	}
	data := []any{}
	for _, s := range n.account(a.account).sessionsOf(a.id) {
		if only != 0 && s.id != only {
			continue
		}
		busy := slices.ContainsFunc(a.waiting, func(m matching) bool { return m.upload.Session == s.id })
		matched := 0
		if !busy {
			matched = s.received - s.invalid
		}
		data = append(data, s.fields(matched, s.last > 0 && !busy))
	}
	return map[string]any{"data": data}, nil
}

// sessionsOf returns the sessions of an audience, oldest first.
func (a *account) sessionsOf(audienceID string) []*session {
	var list []*session
	for _, s := range a.sessions {
		if s.audience == audienceID {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(x, y *session) int {
		if c := x.started.Compare(y.started); c != 0 {
			return c
		}
		return strings.Compare(strconv.FormatInt(x.id, 10), strconv.FormatInt(y.id, 10))
	})
	return list
}
