package linkedin

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// segment is one DMP segment.
type segment struct {
	id      string
	account string
	in      segmentBody
	created time.Time
	changed time.Time
	roster  roster
	status  string // forced by the control, "" = follows from age and size
	books   Books
}

// segmentBody is what makes a segment (matched-audiences/create-and-manage-segments).
type segmentBody struct {
	Name            string `json:"name"`
	Description     string `json:"description,omitempty"`
	Account         string `json:"account"`
	AccessPolicy    string `json:"accessPolicy"`
	Type            string `json:"type"`
	SourcePlatform  string `json:"sourcePlatform"`
	SourceSegmentID string `json:"sourceSegmentId,omitempty"`
	Destinations    []struct {
		Destination string `json:"destination"`
	} `json:"destinations"`
}

func (n *Network) createSegment(c *call) *apiError {
	var in segmentBody
	if e := decode(c.body, &in); e != nil {
		return e
	}
	account, e := n.reach(c, in.Account, true)
	if e != nil {
		return e
	}
	streams := in.Type == "USER" || in.Type == "COMPANY"
	lists := in.Type == "USER_LIST_UPLOAD" || in.Type == "COMPANY_LIST_UPLOAD"
	switch {
	case strings.TrimSpace(in.Name) == "":
		return missingField("name")
	case in.AccessPolicy != "PRIVATE":
		return badRequest("accessPolicy must be PRIVATE")
	case !streams && !lists:
		return badRequest("type is not a segment type")
	case lists != (in.SourcePlatform == "LIST_UPLOAD"):
		return badRequest("sourcePlatform does not fit the type")
	case streams && !slices.Contains(n.opts.Platforms, in.SourcePlatform):
		return badRequest("sourcePlatform is not one that this application may use")
	case len(in.Destinations) != 1 || in.Destinations[0].Destination != "LINKEDIN":
		return badRequest("destinations must be LINKEDIN")
	case slices.Contains(n.opts.TestAccounts, account):
		return denied("segments of a test account")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &segment{id: n.nextID(), account: account, in: in, created: c.at, changed: c.at, roster: newRoster(), books: newBooks()}
	n.segments[s.id] = s
	c.made, c.record.Object, c.record.Applied = s.id, s.id, true
	return nil
}

// findSegments is the finder by account, with the fields of its query.
func (n *Network) findSegments(c *call) (any, *apiError) {
	q, e := query(c, "q", "account", "sourceSegmentId", "sourcePlatform", "start", "count")
	if e != nil {
		return nil, e
	}
	if q.Get("q") != "account" {
		return nil, badRequest("q must be account")
	}
	account, e := n.reach(c, q.Get("account"), false)
	if e != nil {
		return nil, e
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []any
	for _, s := range n.sorted() {
		fits := func(name, value string) bool { return !q.Has(name) || q.Get(name) == value }
		if s.account == account && fits("sourceSegmentId", s.in.SourceSegmentID) && fits("sourcePlatform", s.in.SourcePlatform) && !n.hidden(s, c.at) {
			found = append(found, n.show(s, c.at))
		}
	}
	return page(q, found)
}

// page cuts the elements as start and count ask; without them all are shown.
func page(q url.Values, all []any) (any, *apiError) {
	start, count := 0, len(all)
	for name, into := range map[string]*int{"start": &start, "count": &count} {
		if !q.Has(name) {
			continue
		}
		v, err := strconv.Atoi(q.Get(name))
		if err != nil || v < 0 || v > 1000 {
			return nil, badRequest("%s must be a number from 0 to 1000", name)
		}
		*into = v
	}
	from := min(start, len(all))
	part := all[from:min(from+count, len(all))]
	if part == nil {
		part = []any{}
	}
	return map[string]any{"paging": map[string]any{"start": start, "count": count, "total": len(all), "links": []any{}}, "elements": part}, nil
}

func (n *Network) readSegment(c *call) (any, *apiError) {
	if _, e := query(c); e != nil {
		return nil, e
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s, e := n.live(c, false)
	if e != nil {
		return nil, e
	}
	return n.show(s, c.at), nil
}

// live finds the segment of the path. The caller holds the lock.
func (n *Network) live(c *call, changes bool) (*segment, *apiError) {
	s := n.segments[c.id]
	if s == nil || n.hidden(s, c.at) {
		return nil, notFound("The DMP segment")
	}
	if _, e := n.reach(c, accountPrefix+s.account, changes); e != nil {
		return nil, e
	}
	return s, nil
}

// hidden reports whether a segment is too new to be found.
func (n *Network) hidden(s *segment, now time.Time) bool { return now.Sub(s.created) < n.opts.Hidden }

// show is the segment as LinkedIn shows it.
func (n *Network) show(s *segment, now time.Time) map[string]any {
	size := 0
	if n.built(s, now) {
		size = len(s.roster.members)
	}
	to := map[string]any{"destination": "LINKEDIN", "status": n.statusOf(s, now), "audienceSize": size, "matchedCount": size}
	out := map[string]any{
		"id": jsonNumber(s.id), "name": s.in.Name, "account": s.in.Account, "accessPolicy": s.in.AccessPolicy, "type": s.in.Type,
		"sourcePlatform": s.in.SourcePlatform, "destinations": []any{to},
	}
	if s.in.Description != "" {
		out["description"] = s.in.Description
	}
	if s.in.SourceSegmentID != "" {
		out["sourceSegmentId"] = s.in.SourceSegmentID
	}
	if !n.opts.Undated {
		out["created"], out["lastModified"] = s.created.UnixMilli(), s.changed.UnixMilli()
		to["created"], to["lastModified"] = s.created.UnixMilli(), s.changed.UnixMilli()
	}
	return out
}

func (n *Network) built(s *segment, now time.Time) bool {
	return now.Sub(s.created) >= n.opts.BuildTime
}

// The statuses of a segment (matched-audiences/matched-audiences-faq).
var statuses = []string{"BUILDING", "UPDATING", "READY", "ARCHIVED", "EXPIRED", "FAILED", "ERROR"}

func (n *Network) statusOf(s *segment, now time.Time) string {
	switch {
	case s.status != "":
		return s.status
	case !n.built(s, now) || len(s.roster.members) < n.opts.MinMembers:
		return "BUILDING"
	}
	return "READY"
}

func (n *Network) sorted() []*segment {
	list := make([]*segment, 0, len(n.segments))
	for _, s := range n.segments {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *segment) int {
		if len(a.id) != len(b.id) {
			return len(a.id) - len(b.id)
		}
		return strings.Compare(a.id, b.id)
	})
	return list
}

// query reads the query and refuses parameters that are not among the names.
func query(c *call, names ...string) (url.Values, *apiError) {
	q, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil {
		return nil, badRequest("Invalid query parameters")
	}
	for name, values := range q {
		if !slices.Contains(names, name) || len(values) != 1 {
			return nil, badRequest("Invalid query parameters: %s", name)
		}
	}
	return q, nil
}

func jsonNumber(id string) json.Number { return json.Number(id) }
