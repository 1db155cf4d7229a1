package google

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// maxMembers is the most members of one request, maxDestinations the most
// destinations (data-manager/api/devguides/limits, read 2026-11-22).
const (
	maxMembers      = 10_000
	maxDestinations = 10
)

// membersRequest is a request to ingest or remove, as canonical JSON has it.
type membersRequest struct {
	Destinations    []destination
	AudienceMembers []member
	Encoding        string
	TermsOfService  struct{ CustomerMatchTermsOfServiceStatus string }
	ValidateOnly    bool
}

func (n *Network) ingest(c *call) (any, *apiError) {
	return n.change(c, "IngestAudienceMembersRequest")
}

func (n *Network) remove(c *call) (any, *apiError) {
	return n.change(c, "RemoveAudienceMembersRequest")
}

// decode judges a body by Google's definitions and reads it.
func decode(c *call, message string, into any) *apiError {
	if err := only(c); err != nil {
		return err
	}
	canonical, wrong, err := Judge(message, c.body)
	if err != nil {
		return unreadable(err)
	}
	if len(wrong) > 0 {
		return refused(wrong...)
	}
	if err := json.Unmarshal(canonical, into); err != nil {
		return unreadable(err)
	}
	return nil
}

func (n *Network) change(c *call, message string) (any, *apiError) {
	var in membersRequest
	if err := decode(c, message, &in); err != nil {
		return nil, err
	}
	c.record.Rows = len(in.AudienceMembers)
	lists, refusal := n.destinations(c, in.Destinations)
	if refusal != nil {
		return nil, refusal
	}
	if len(in.AudienceMembers) > maxMembers {
		return nil, refused(violation("audience_members", "TOO_MANY_AUDIENCE_MEMBERS", "The request has more than 10,000 members."))
	}
	kind := in.AudienceMembers[0].kind()
	if slices.ContainsFunc(in.AudienceMembers, func(m member) bool { return m.kind() != kind }) {
		return nil, refused(violation("audience_members", "MULTIPLE_DATA_TYPES_NOT_ALLOWED", "All members of a request must have the same kind of data."))
	}
	if kind == "CONTACT_ID" && in.Encoding == "" {
		return nil, refused(violation("encoding", "REQUIRED_FIELD_MISSING", "The field is needed."))
	}
	if c.op == opIngest && (kind == "CONTACT_ID" || kind == "MOBILE_ID") && in.TermsOfService.CustomerMatchTermsOfServiceStatus != "ACCEPTED" {
		return nil, refused(violation("terms_of_service.customer_match_terms_of_service_status", "TERMS_AND_CONDITIONS_NOT_SIGNED", "The terms have not been accepted."))
	}
	j := judgment{encoding: in.Encoding}
	rows := make([][]identifier, len(in.AudienceMembers))
	count := 0
	for i, m := range in.AudienceMembers {
		rows[i] = j.member(at("audience_members", i), m)
		count += len(rows[i])
	}
	if len(j.wrong) > 0 {
		return nil, refused(j.wrong...)
	}
	r := &request{op: c.op, kind: kind, rows: rows, identifiers: count, invalid: c.invalid}
	for i, l := range lists {
		if l == nil {
			return nil, refused(violation(at("destinations", i)+".product_destination_id", "INVALID_USER_LIST_ID", "There is no such list."))
		}
		if !slices.Contains(l.kinds(), kind) {
			return nil, refused(violation(at("destinations", i)+".product_destination_id", "INVALID_USER_LIST_TYPE", "The list does not take this kind of data."))
		}
		r.to = append(r.to, in.Destinations[i])
	}
	return n.accept(c, r, in.ValidateOnly), nil
}

// destinations checks where a request goes, and returns the list of each, nil
// where there is none.
func (n *Network) destinations(c *call, to []destination) ([]*list, *apiError) {
	if len(to) > maxDestinations {
		return nil, refused(violation("destinations", "TOO_MANY_DESTINATIONS", "The request has more than 10 destinations."))
	}
	lists := make([]*list, len(to))
	references := map[string]bool{}
	for i, d := range to {
		here := at("destinations", i)
		if references[d.Reference] && d.Reference != "" {
			return nil, refused(violation(here+".reference", "DUPLICATE_DESTINATION_REFERENCE", "Destinations share a reference."))
		}
		references[d.Reference] = true
		for name, a := range map[string]*account{"operating_account": &d.OperatingAccount, "login_account": d.LoginAccount, "linked_account": d.LinkedAccount} {
			if a != nil && (!digits.MatchString(a.AccountID) || a.AccountType == "") {
				return nil, refused(violation(here+"."+name+".account_id", "INVALID_DESTINATION", "The destination is none."))
			}
		}
		if d.LinkedAccount != nil && (d.LoginAccount == nil || d.LoginAccount.AccountType != "DATA_PARTNER") {
			return nil, refused(violation(here+".linked_account", "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT", "A linked account goes with a login account of a data partner."))
		}
		if !digits.MatchString(d.ProductDestination) {
			return nil, refused(violation(here+".product_destination_id", "INVALID_DESTINATION", "The destination is none."))
		}
		if err := n.reach(c, d.OperatingAccount.AccountID); err != nil {
			return nil, err
		}
		l := n.lists[d.ProductDestination]
		if l != nil && l.account == fmt.Sprintf("accountTypes/%s/accounts/%s", d.OperatingAccount.AccountType, d.OperatingAccount.AccountID) {
			lists[i] = l
		}
	}
	return lists, nil
}

// removeAll takes away all members that were added before a time. The protos at
// hand do not know the call yet, so its body is judged by its own reference page
// (data-manager/api/reference/rest/v1/audienceMembers/removeAll).
func (n *Network) removeAll(c *call) (any, *apiError) {
	if err := only(c); err != nil {
		return nil, err
	}
	var in struct {
		Destinations   []json.RawMessage `json:"destinations"`
		RemoveAsOfTime time.Time         `json:"removeAsOfTime"`
		ValidateOnly   bool              `json:"validateOnly"`
	}
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, unreadable(err)
	}
	if len(in.Destinations) == 0 {
		return nil, refused(violation("destinations", "REQUIRED_FIELD_MISSING", "The field is needed."))
	}
	var to []destination
	for i, raw := range in.Destinations {
		canonical, wrong, err := Judge("Destination", raw)
		if err != nil {
			return nil, unreadable(err)
		}
		for j := range wrong {
			wrong[j].Field = at("destinations", i) + "." + wrong[j].Field
		}
		if len(wrong) > 0 {
			return nil, refused(wrong...)
		}
		var d destination
		if err := json.Unmarshal(canonical, &d); err != nil {
			return nil, unreadable(err)
		}
		to = append(to, d)
	}
	lists, refusal := n.destinations(c, to)
	if refusal != nil {
		return nil, refusal
	}
	if i := slices.Index(lists, nil); i >= 0 {
		return nil, refused(violation(at("destinations", i)+".product_destination_id", "INVALID_USER_LIST_ID", "There is no such list."))
	}
	if in.RemoveAsOfTime.After(c.at) {
		return nil, refused(violation("remove_as_of_time", "INVALID_ARGUMENT", "The time must not be in the future."))
	}
	before := in.RemoveAsOfTime
	if before.IsZero() {
		before = c.at
	}
	return n.accept(c, &request{op: c.op, to: to, before: before}, in.ValidateOnly), nil
}
