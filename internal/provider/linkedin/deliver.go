package linkedin

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// userID is an id with its type.
type userID struct {
	Type  string `json:"idType"`
	Value string `json:"idValue"`
}

// user is one element of a batch of people (users).
type user struct {
	Action    string   `json:"action"`
	UserIDs   []userID `json:"userIds"`
	FirstName string   `json:"firstName,omitempty"`
	LastName  string   `json:"lastName,omitempty"`
	Title     string   `json:"title,omitempty"`
	Company   string   `json:"company,omitempty"`
	Country   string   `json:"country,omitempty"`
}

// statuses is the answer to a batch: one status per element, in their order. The
// errors beside them are not read: they repeat people's values.
type statuses struct {
	Elements []struct {
		Status int `json:"status"`
	} `json:"elements"`
}

// Deliver streams one batch, in one call. LinkedIn answers 200 and a status for
// each person: those it refused are rejected at their place, those it failed at
// are unknown. While the segment is too new the error says when to come back,
// and nothing was sent.
func (s *segments) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	rows := b.Rows()
	if rows == 0 {
		return activation.Receipt{}, nil
	}
	if !isNumber(string(b.Remote)) {
		return activation.Receipt{}, invalid("remote", "the id of the segment is not one of linkedin's")
	}
	if rows > maxRows {
		return activation.Receipt{}, tooMany(rows)
	}
	if !s.apple && hasKey(b, keyApple) {
		return activation.Receipt{}, invalid(appleField, "the mapping has APPLE_IDFA, which this destination does not send: switch it on or map it no more")
	}
	sheet := newSheet(rows)
	elements := make([]user, 0, rows)
	for i := range rows {
		u := userOf(b, i)
		if len(u.UserIDs) == 0 {
			sheet.reject(i)
			continue
		}
		elements = append(elements, u)
		sheet.send(i)
	}
	if len(elements) == 0 {
		return sheet.receipt(outbound.Answer{}), nil
	}
	if err := s.ready(ctx, b.Remote); err != nil {
		return activation.Receipt{}, err
	}
	body, err := s.writeJSON(map[string]any{"elements": elements})
	if err != nil {
		return activation.Receipt{}, err
	}
	defer body.Release()
	r := request{method: restBatch, path: "dmpSegments/" + string(b.Remote) + "/users", body: body}
	var got statuses
	a, err := s.call(ctx, r, &got)
	if codeIs(err, classConflict) {
		if err := s.OpenAudience(ctx, b.Remote); err != nil {
			return activation.Receipt{}, err
		}
		got = statuses{}
		a, err = s.call(ctx, r, &got)
	}
	switch {
	case codeIs(err, classGone):
		return activation.Receipt{}, s.lost(ctx, b.Remote)
	case err != nil:
		return activation.Receipt{}, err
	}
	if err := sheet.answer(got, a); err != nil {
		return activation.Receipt{}, err
	}
	rc := sheet.receipt(a)
	s.log.DebugContext(ctx, "linkedin batch delivered", "run_id", b.Run, "item_id", b.Item, "attempt", b.Attempt,
		"remote_id", b.Remote, "op", b.Op, "rows", rows, "rejected", rc.Rejected, "unknown", rc.Unknown, "request_id", rc.RequestID)
	return rc, nil
}

// lost settles a 404 of a call for people: the segment is gone, or new, or there
// although its people are not found.
func (s *segments) lost(ctx context.Context, id provider.RemoteID) error {
	s.memory.learn(id, func(n *note) { n.ready = false })
	_, now, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	if n := s.memory.note(id); n.created.IsZero() || now.Sub(n.created) < young {
		return pending(s.now().Add(lookAgain))
	}
	e := failure(classUnavailable, http.StatusNotFound, envelope{})
	return e
}

// Poll is not for LinkedIn: it answers at once.
func (c *client) Poll(context.Context, string, int64) (activation.Receipt, error) {
	e := classRequest.New()
	e.Message = "linkedin answers a batch at once; there is nothing to ask for later"
	return activation.Receipt{}, e
}

// userOf is row i as an element. Removals carry ids only.
func userOf(b provider.Batch, i int) user {
	u := user{Action: "ADD", UserIDs: []userID{}}
	if b.Op == activation.OpRemove {
		u.Action = "REMOVE"
	}
	info := map[string]string{}
	for j, v := range b.Row(i) {
		switch k := b.Keys[j]; {
		case len(v) == 0:
		case k.Name == keyEmail:
			u.UserIDs = append(u.UserIDs, userID{k.Name, hex.EncodeToString(v)})
		case k.Name == keyGoogle, k.Name == keyApple:
			u.UserIDs = append(u.UserIDs, userID{k.Name, string(v)})
		default:
			info[k.Name] = string(v)
		}
	}
	if b.Op == activation.OpRemove {
		return u
	}
	if info[keyFirstName] != "" && info[keyLastName] != "" {
		u.FirstName, u.LastName = info[keyFirstName], info[keyLastName]
	}
	u.Title, u.Company, u.Country = info[keyTitle], info[keyCompany], info[keyCountry]
	return u
}

func hasKey(b provider.Batch, name string) bool {
	for _, k := range b.Keys {
		if k.Name == name {
			return true
		}
	}
	return false
}

func tooMany(rows int) error {
	e := classSize.New()
	e.Message += fmt.Sprintf(": %d rows, at most %d", rows, maxRows)
	return e
}
