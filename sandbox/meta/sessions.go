package meta

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sessionParam is what a batch says of its session; id is 0 when it says nothing.
type sessionParam struct {
	id    int64
	seq   int
	last  bool
	total int64
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
	total := int64(0)
	if len(in.Total) > 0 {
		if total, ok = wholeNumber(in.Total); !ok || total < 0 {
			return sessionParam{}, invalidParam("session.estimated_num_total must be a number of at least 0")
		}
	}
	return sessionParam{id: id, seq: int(seq), last: *in.Last, total: total}, nil
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
		if err != nil || id < 1 {
			return nil, invalidParam("session_id must be a positive 64-bit number")
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
		matched := s.received - s.invalid
		if busy || s.replace && s.last == 0 { // a replacement is matched as a whole
			matched = 0
		}
		data = append(data, s.fields(matched, busy, c.at, n.opts.SessionWindow))
	}
	return map[string]any{"data": data}, nil
}

// fields are what is told of a session: all of it is text (reference
// custom-audience/sessions).
func (s *session) fields(matched int, busy bool, now time.Time, window time.Duration) map[string]any {
	out := map[string]any{
		"session_id": strconv.FormatInt(s.id, 10), "num_received": strconv.Itoa(s.received),
		"num_invalid_entries": strconv.Itoa(s.invalid), "num_matched": strconv.Itoa(matched),
		"progress": "0", "stage": "uploading", "start_time": strconv.FormatInt(s.started.Unix(), 10),
	}
	switch over := s.started.Add(window); {
	case s.last > 0 && !busy:
		out["stage"], out["progress"], out["end_time"] = "finished", "100", strconv.FormatInt(s.updated.Unix(), 10)
	case s.last > 0:
		out["stage"], out["progress"] = "matching", "99"
	case now.After(over):
		out["stage"], out["end_time"] = "expired", strconv.FormatInt(over.Unix(), 10)
	case s.total > 0:
		out["progress"] = strconv.FormatInt(min(99, int64(s.received)*100/s.total), 10)
	}
	return out
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
