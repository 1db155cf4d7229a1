package google

import (
	"encoding/hex"
	"regexp"
	"strings"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

// The bodies of requests about people.
type (
	membersRequest struct {
		Destinations []target `json:"destinations"`
		Members      []member `json:"audienceMembers"`
		Consent      *consent `json:"consent,omitempty"`
		Encoding     string   `json:"encoding,omitempty"`
		Terms        *terms   `json:"termsOfService,omitempty"`
	}
	terms struct {
		Status string `json:"customerMatchTermsOfServiceStatus"`
	}
	// member has one of the three.
	member struct {
		Contact *contact    `json:"userData,omitempty"`
		Mobile  *mobileData `json:"mobileData,omitempty"`
		User    *userIDData `json:"userIdData,omitempty"`
	}
	contact struct {
		Identifiers []identifier `json:"userIdentifiers"`
	}
	// identifier has one of the three.
	identifier struct {
		Email   string   `json:"emailAddress,omitempty"`
		Phone   string   `json:"phoneNumber,omitempty"`
		Address *address `json:"address,omitempty"`
	}
	address struct {
		Given  string `json:"givenName"`
		Family string `json:"familyName"`
		Region string `json:"regionCode"`
		Postal string `json:"postalCode"`
	}
	mobileData struct {
		IDs []string `json:"mobileIds"`
	}
	userIDData struct {
		ID string `json:"userId"`
	}
)

// emptyDigest is the SHA-256 of nothing, which stands for nobody.
const emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// columns finds values by the name of their key, -1 where a batch has none.
type columns map[string]int

func columnsOf(keys []matchkey.Key) columns {
	c := columns{}
	for i, k := range keys {
		c[k.Name] = i
	}
	return c
}

// value returns the value of a key in a row, nil for none.
func (c columns) value(row [][]byte, key string) []byte {
	i, ok := c[key]
	if !ok {
		return nil
	}
	return row[i]
}

// contact makes the identifiers of a row. ok is false where a value is none that
// Google takes: one bad value refuses the whole request, so it is not sent.
func (c columns) contact(row [][]byte) (ids []identifier, ok bool) {
	if v := c.value(row, "email_address"); v != nil {
		ids = append(ids, identifier{Email: hex.EncodeToString(v)})
	}
	if v := c.value(row, "phone_number"); v != nil {
		ids = append(ids, identifier{Phone: hex.EncodeToString(v)})
	}
	for _, id := range ids {
		if sum := id.Email + id.Phone; len(sum) != 64 || sum == emptyDigest {
			return nil, false
		}
	}
	if v := c.value(row, postalCode); v != nil {
		a := readAddress(string(v))
		if a == nil {
			return nil, false
		}
		ids = append(ids, identifier{Address: a})
	}
	return ids, true
}

var addressPattern = regexp.MustCompile(`^[0-9a-f]{64} [0-9a-f]{64} [A-Z]{2} \S`)

// readAddress reads what matchkey.Address wrote, nil where it is not that.
func readAddress(text string) *address {
	if !addressPattern.MatchString(text) || strings.Contains(text, emptyDigest) {
		return nil
	}
	part := strings.SplitN(text, " ", 4)
	return &address{Given: part[0], Family: part[1], Region: part[2], Postal: part[3]}
}

// members makes the members of a batch.
type members struct {
	batch   provider.Batch
	columns columns
	kind    string
}

func newMembers(b provider.Batch) members {
	return members{batch: b, columns: columnsOf(b.Keys), kind: provider.Setting(membersWorkflow().Fields, b.Audience.Config, keyTypeField)}
}

// member makes one, nil with what is wrong where the row cannot be sent.
func (m members) member(i int) (*member, class) {
	row := m.batch.Row(i)
	switch m.kind {
	case mobileID:
		if v := m.columns.value(row, "mobile_id"); v != nil {
			return &member{Mobile: &mobileData{IDs: []string{string(v)}}}, class{}
		}
	case userID:
		if v := m.columns.value(row, "user_id"); v != nil {
			return &member{User: &userIDData{ID: string(v)}}, class{}
		}
	default:
		ids, ok := m.columns.contact(row)
		if !ok {
			return nil, classFormat
		}
		if len(ids) > 0 {
			return &member{Contact: &contact{Identifiers: ids}}, class{}
		}
	}
	return nil, classNoKey
}

// bad says what is wrong with a row, nothing for one that can be sent.
func (m members) bad(i int) class {
	_, c := m.member(i)
	return c
}

// of makes the members of these rows.
func (m members) of(rows []int) []member {
	out := make([]member, 0, len(rows))
	for _, i := range rows {
		if one, _ := m.member(i); one != nil {
			out = append(out, *one)
		}
	}
	return out
}
