package linkedin

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// segment is a DMP segment as LinkedIn shows it (segments).
type segment struct {
	ID           id          `json:"id"`
	Account      string      `json:"account"`
	Type         string      `json:"type"`
	Source       string      `json:"sourceSegmentId"`
	Platform     string      `json:"sourcePlatform"`
	Created      int64       `json:"created"` // milliseconds; no page promises it
	Destinations []placement `json:"destinations"`
}

// placement is how a segment stands where it is used.
type placement struct {
	Status  string `json:"status"`
	Created int64  `json:"created"`
	Size    *int64 `json:"audienceSize"`
}

// id is a number of LinkedIn's, which may come as text.
type id string

// UnmarshalJSON reads 7 and "7". Anything else is no id.
func (i *id) UnmarshalJSON(text []byte) error {
	*i = ""
	if v := strings.Trim(string(text), `"`); isNumber(v) {
		*i = id(v)
	}
	return nil
}

// createdAt is when it was made, by LinkedIn's clock; zero where it does not say.
func (s segment) createdAt() time.Time {
	ms := s.Created
	for _, d := range s.Destinations {
		if ms == 0 {
			ms = d.Created
		}
	}
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// building reports whether it may be new: it has never been READY.
func (s segment) building() bool {
	return !slices.ContainsFunc(s.Destinations, func(p placement) bool { return p.Status != "" && p.Status != "BUILDING" })
}

// usable says why campaigns cannot use it any more, if so: it is EXPIRED, FAILED
// or ERROR, or ARCHIVED without anybody in it, which does not come back
// (marketing/matched-audiences/matched-audiences-faq).
func (s segment) usable() error {
	for _, d := range s.Destinations {
		dead := d.Status == "ARCHIVED" && d.Size != nil && *d.Size == 0
		if dead || slices.Contains([]string{"EXPIRED", "FAILED", "ERROR"}, d.Status) {
			e := classSegment.New()
			e.Message += " (status " + d.Status + ")"
			return e
		}
	}
	return nil
}

// Check reads the ad account: that proves the token and its role.
func (c *client) Check(ctx context.Context) error {
	var account struct {
		ID id `json:"id"`
	}
	_, err := c.call(ctx, request{method: restGet, path: "adAccounts/" + c.account}, &account)
	switch {
	case codeIs(err, classGone), codeIs(err, classData):
		return as(err, classAccount)
	case err != nil:
		return err
	case string(account.ID) != c.account:
		return classAnswer.New()
	}
	return nil
}

// EnsureAudience looks the segment up by its id, else by our marker, which is its
// sourceSegmentId, else makes it: making it twice would make two. The id of a new
// one is returned at once, so that it is never lost; people wait in Deliver.
func (s *segments) EnsureAudience(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	if a.Marker == "" || a.Name == "" {
		return "", invalid("name", "the audience has no name or marker")
	}
	if a.Remote != "" {
		return a.Remote, s.OpenAudience(ctx, a.Remote)
	}
	if s.platform == "" {
		return "", invalid(platformField, "matched audiences need the source platform that LinkedIn assigned to you")
	}
	id, err := s.find(ctx, a.Marker)
	if err != nil || id != "" {
		return id, err
	}
	if before, ok := s.memory.before(a.Marker, s.now()); ok {
		if before.id != "" {
			return before.id, nil
		}
		return "", pending(s.now().Add(lookAgain)) // the answer was lost; it may still be listed
	}
	return s.create(ctx, a)
}

// OpenAudience reads the segment: that proves that the token may see it.
func (s *segments) OpenAudience(ctx context.Context, id provider.RemoteID) error {
	if !isNumber(string(id)) {
		return invalid("remote", "the id of the segment is not one of linkedin's")
	}
	got, _, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	return got.usable()
}

// get reads a segment and notes its age. Where it is not there, the error says
// whether it is gone or only new.
func (s *segments) get(ctx context.Context, id provider.RemoteID) (segment, time.Time, error) {
	var got segment
	a, err := s.call(ctx, request{method: restGet, path: "dmpSegments/" + string(id)}, &got)
	if codeIs(err, classGone) {
		return got, time.Time{}, s.missing(ctx, id, a, err)
	}
	if err != nil {
		return got, time.Time{}, notABatch(err)
	}
	if string(got.ID) != string(id) {
		return got, time.Time{}, classAnswer.New()
	}
	now := s.networkNow(a)
	s.memory.learn(id, func(n *note) {
		n.missing = time.Time{}
		if at := got.createdAt(); !at.IsZero() {
			n.created = at
		}
	})
	return got, now, nil
}

// missing settles a 404: a new segment may not be found yet, and one whose age is
// not known may be new. Only what has been there for long, in an account that
// is there for this token, is Gone.
func (s *segments) missing(ctx context.Context, id provider.RemoteID, a outbound.Answer, err error) error {
	now := s.networkNow(a)
	n := s.memory.learn(id, func(n *note) {
		n.ready = false
		if n.created.IsZero() && n.missing.IsZero() {
			n.missing = now
		}
	})
	since := n.created
	if since.IsZero() {
		since = n.missing
	}
	if now.Sub(since) < young {
		return pending(s.now().Add(lookAgain))
	}
	if e := s.Check(ctx); e != nil {
		return e
	}
	return as(err, classGone)
}

// find returns the segment with the marker, "" when there is none. Were there
// two, it is always the one with the lowest id.
func (s *segments) find(ctx context.Context, marker string) (provider.RemoteID, error) {
	var page struct {
		Elements []segment `json:"elements"`
	}
	// Without start and count all are shown (segments, "pagination").
	query := url.Values{"q": {"account"}, "account": {s.accountURN()}, "sourceSegmentId": {marker}, "sourcePlatform": {s.platform}}
	if _, err := s.call(ctx, request{method: restFinder, path: "dmpSegments", query: query}, &page); err != nil {
		if codeIs(err, classGone) {
			return "", as(err, classAccount)
		}
		return "", notABatch(err)
	}
	var found segment
	for _, e := range page.Elements {
		if e.Source == marker && e.Account == s.accountURN() && e.Type == "USER" && e.ID != "" && (found.ID == "" || lower(e.ID, found.ID)) {
			found = e
		}
	}
	if found.ID == "" {
		return "", nil
	}
	return provider.RemoteID(found.ID), found.usable()
}

func lower(a, b id) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

// create makes the segment. In conflict with another change it looks again, and
// tries a second time.
func (s *segments) create(ctx context.Context, a provider.Audience) (provider.RemoteID, error) {
	body, err := s.writeJSON(map[string]any{
		"name": a.Name, "description": "Kept in step by Usher, which finds it by its sourceSegmentId.",
		"account": s.accountURN(), "accessPolicy": "PRIVATE", "type": "USER",
		"sourcePlatform": s.platform, "sourceSegmentId": a.Marker,
		"destinations": []map[string]string{{"destination": "LINKEDIN"}},
	})
	if err != nil {
		return "", err
	}
	defer body.Release()
	r := request{method: restCreate, path: "dmpSegments", body: body}
	s.memory.asked(a.Marker, attempt{at: s.now()})
	answer, err := s.call(ctx, r, nil)
	if codeIs(err, classConflict) {
		if id, e := s.find(ctx, a.Marker); e != nil || id != "" {
			return id, e
		}
		answer, err = s.call(ctx, r, nil)
	}
	if err != nil {
		if !mayHaveApplied(err) {
			s.memory.forget(a.Marker)
		}
		if codeIs(err, classGone) {
			return "", as(err, classAccount)
		}
		return "", notABatch(err)
	}
	id := createdID(answer)
	if id == "" { // it is made, and the next look-up finds it
		e := failure(classAnswer, answer.Status, envelope{})
		e.RequestID, e.MayHaveApplied = requestID(answer.Header), true
		return "", e
	}
	s.memory.asked(a.Marker, attempt{at: s.now(), id: id})
	s.memory.learn(id, func(n *note) { n.created = s.networkNow(answer) })
	s.log.InfoContext(ctx, "linkedin segment made", "remote_id", id, "request_id", requestID(answer.Header))
	return id, nil
}

// createdID is the id of what was made: in x-restli-id, in older versions in
// x-linkedin-id.
func createdID(a outbound.Answer) provider.RemoteID {
	for _, name := range []string{"X-Restli-Id", "X-Linkedin-Id"} {
		if v := a.Header.Get(name); isNumber(v) {
			return provider.RemoteID(v)
		}
	}
	var body segment
	if json.Unmarshal(a.Body, &body) == nil {
		return provider.RemoteID(body.ID)
	}
	return ""
}

// ready says when a segment takes people, if not yet: it must be found, and some
// seconds old.
func (s *segments) ready(ctx context.Context, id provider.RemoteID) error {
	if s.memory.note(id).ready {
		return nil
	}
	got, now, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	n := s.memory.learn(id, func(n *note) {
		if n.created.IsZero() && got.building() {
			n.created = now // its age is not told: it counts from here
		}
	})
	if age := now.Sub(n.created); !n.created.IsZero() && age < settle {
		return pending(s.now().Add(settle - age))
	}
	s.memory.learn(id, func(n *note) { n.ready = true })
	return nil
}

func mayHaveApplied(err error) bool {
	var e *activation.Error
	return errors.As(err, &e) && e.MayHaveApplied
}
