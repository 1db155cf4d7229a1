package linkedin

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"
)

// userID is an id as elements and events carry it.
type userID struct {
	Type  string `json:"idType"`
	Value string `json:"idValue"`
}

// userElement is one person to be added or removed
// (matched-audiences/create-and-manage-segment-users).
type userElement struct {
	Action    string   `json:"action"`
	UserIDs   []userID `json:"userIds"`
	FirstName string   `json:"firstName"`
	LastName  string   `json:"lastName"`
	Title     string   `json:"title"`
	Company   string   `json:"company"`
	Country   string   `json:"country"`
}

// streamUsers adds and removes people. A body that is not well formed is refused
// whole; anything else is answered element by element.
func (n *Network) streamUsers(c *call) (any, *apiError) {
	list, batch, e := elements[userElement](c)
	if e != nil {
		return nil, e
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s, e := n.live(c, true)
	if e != nil {
		return nil, e
	}
	if s.in.Type != "USER" {
		return nil, badRequest("The segment does not take users")
	}
	s.changed = c.at
	s.books.Calls++
	c.record.Applied = true
	out := make([]any, len(list))
	for i, el := range list {
		status, message := n.takeUser(c, s, i, el)
		if status == http.StatusCreated {
			out[i] = map[string]any{"status": status}
			continue
		}
		c.record.Refused++
		out[i] = map[string]any{"status": status, "error": map[string]any{"status": status, "message": message}}
		if !batch {
			return nil, &apiError{status: status, code: "ILLEGAL_ARGUMENT", message: message}
		}
	}
	if !batch {
		return nil, nil
	}
	return map[string]any{"elements": out}, nil
}

// takeUser carries one element out.
func (n *Network) takeUser(c *call, s *segment, i int, el userElement) (int, string) {
	s.books.Rows++
	if status := c.spoiled(i); status != 0 {
		s.books.Refused++
		return status, "Scripted refusal"
	}
	ids, wrong := n.readUser(el)
	if wrong != "" {
		s.books.Refused++
		return http.StatusBadRequest, wrong
	}
	if c.at.Sub(s.created) < n.opts.Settle {
		s.books.Lost++ // taken, and never seen again
		return http.StatusCreated, ""
	}
	if el.Action == "REMOVE" {
		removed := s.roster.remove(ids)
		s.books.Removed += removed
		if removed == 0 {
			s.books.NobodyRemoved++
		}
		return http.StatusCreated, ""
	}
	info := map[string]string{}
	for k, v := range map[string]string{"firstName": el.FirstName, "lastName": el.LastName, "title": el.Title, "company": el.Company, "country": el.Country} {
		if v != "" {
			info[k] = v
		}
	}
	if s.roster.add(ids, info) {
		s.books.Added++
	} else {
		s.books.Known++
	}
	return http.StatusCreated, ""
}

// hashOfNothing is the SHA-256 of the empty text. It matches nobody.
const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// readUser returns the ids of an element, or what is wrong with it.
func (n *Network) readUser(el userElement) ([]identity, string) {
	if el.Action != "ADD" && el.Action != "REMOVE" {
		return nil, "action must be ADD or REMOVE"
	}
	var ids []identity
	for _, u := range el.UserIDs {
		if wrong := n.checkID(u); wrong != "" {
			return nil, wrong
		}
		ids = append(ids, identity{u.Type, u.Value})
	}
	named := el.FirstName != "" && el.LastName != ""
	if len(ids) == 0 && !(named && el.Action == "ADD") {
		return nil, "userIds or both firstName and lastName are required"
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"firstName", el.FirstName, 35},
		{"lastName", el.LastName, 35},
		{"title", el.Title, 50},
		{"company", el.Company, 50},
	} {
		if utf8.RuneCountInString(f.value) > f.most {
			return nil, f.name + " is too long"
		}
	}
	if el.Country != "" && !isCountry(el.Country) {
		return nil, "country must be an ISO 3166-1 alpha-2 code"
	}
	return ids, ""
}

func (n *Network) checkID(u userID) string {
	ok := false
	switch u.Type {
	case "SHA256_EMAIL":
		ok = isHex(u.Value, 64) && u.Value != hashOfNothing
	case "SHA512_EMAIL":
		ok = isHex(u.Value, 128)
	case "GOOGLE_AID":
		ok = isDevice(u.Value)
	case "APPLE_IDFA":
		ok = n.opts.AppleIDs && isDevice(strings.ToLower(u.Value))
	case "BIZO_ID":
		ok = isDevice(u.Value)
	default:
		return "idType is not known"
	}
	if !ok {
		return "idValue " + u.Value + " does not fit the idType " + u.Type // it repeats what was sent, as messages do
	}
	return ""
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
}

// isDevice reports whether s is a UUID in lower case with its hyphens.
func isDevice(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 5 || strings.Trim(s, "-") == "00000000-0000-0000-0000-000000000000" {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if !isHex(parts[i], length) {
			return false
		}
	}
	return true
}

func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// elements reads the elements of a batch, or the single one of another call.
// The fields of elements are checked, their values are not.
func elements[T any](c *call) (list []T, batch bool, e *apiError) {
	if _, e := query(c); e != nil {
		return nil, false, e
	}
	if c.request.Header.Get("X-Restli-Method") != batchCreate {
		var one T
		if e := decode(c.body, &one); e != nil {
			return nil, false, e
		}
		c.record.Rows = 1
		return []T{one}, false, nil
	}
	var in struct {
		Elements *[]json.RawMessage `json:"elements"`
	}
	if e := decode(c.body, &in); e != nil {
		return nil, true, e
	}
	switch {
	case in.Elements == nil || len(*in.Elements) == 0:
		return nil, true, missingField("elements")
	case len(*in.Elements) > maxElements:
		return nil, true, badRequest("The batch has more than %d elements", maxElements)
	}
	list = make([]T, len(*in.Elements))
	for i, raw := range *in.Elements {
		if e := decode(raw, &list[i]); e != nil {
			return nil, true, e
		}
	}
	c.record.Rows = len(list)
	return list, true, nil
}
