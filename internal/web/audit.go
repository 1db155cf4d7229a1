package web

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"usher/internal/activation"
	"usher/internal/store"
)

// auditPerPage is how many entries a page of the audit log shows.
const auditPerPage = 50

type auditPage struct {
	Verb, Subject, Actor string
	Verbs, Subjects      []option
	Rows                 []auditRow
	Clear                bool
	Older, Newest        string
}

// auditRow is one entry: who did what to which thing, and which of its fields
// became others.
type auditRow struct {
	activation.AuditEntry
	Did     string
	Thing   string
	Href    string
	Changes string
}

// auditVerbs are the verbs of the audit log as people read them.
var auditVerbs = map[string]string{
	"create": "Created", "update": "Changed", "delete": "Deleted", "replace": "Replaced", "rotate": "Changed the key", "release": "Released", "retry": "Retried", "withdraw": "Withdrew",
	"approve": "Approved", "decline": "Declined", "test": "Tested", "purge": "Purged", "pause": "Paused", "resume": "Resumed", "bounce": "Started again", "kill": "Terminated", "run": "Ran now",
	"sign_in": "Signed in", "sign_out": "Signed out", "lock_out": "Was locked out", "set_password": "Set a password", "acknowledge": "Acknowledged", "silence": "Silenced", "unsilence": "Unsilenced",
	"lookup": "Looked up", "discard": "Discarded", "accept": "Accepted", "reset": "Read from the beginning", "forget": "Forgot", "declare": "Declared", "set mappings": "Set the mappings",
}

// auditSubjects are the kinds of things of the audit log.
var auditSubjects = []string{
	"action", "alert", "audience", "authorization", "data", "destination", "field", "forget", "group", "identity", "issue", "job", "load", "priority_list", "profile",
	"publisher", "publisher_schedule", "publisher_strategy", "rebuild", "run", "setting", "stream", "target", "template", "token", "user", "vault",
}

func auditOptions(all []string, words map[string]string, chosen string) []option {
	var out []option
	for _, one := range all {
		out = append(out, option{one, orText(words[one], sentenceWord(strings.ReplaceAll(one, "_", " "))), one == chosen})
	}
	slices.SortFunc(out, func(a, b option) int { return strings.Compare(a.Text, b.Text) })
	return out
}

func (c *Console) audit(v visit) (view, error) {
	p := auditPage{Verb: v.get("verb"), Subject: v.get("subject"), Actor: v.get("person"), Clear: len(filters(v)) > 0}
	f := store.AuditFilter{Verb: p.Verb, SubjectType: p.Subject, SubjectID: v.get("id"), Actor: p.Actor, Limit: auditPerPage + 1}
	f.Before, _ = strconv.ParseInt(v.get("before"), 10, 64) // anything else begins at the newest
	entries, err := c.Store.Audit(v.Context(), f)
	if err != nil {
		return view{}, err
	}
	if f.Before > 0 {
		p.Newest = filtered(v, "before", "")
	}
	if len(entries) > auditPerPage {
		entries = entries[:auditPerPage]
		p.Older = filtered(v, "before", strconv.FormatInt(entries[auditPerPage-1].ID, 10))
	}
	for _, e := range entries {
		p.Rows = append(p.Rows, auditRowOf(e))
	}
	p.Verbs = auditOptions(slices.Collect(maps.Keys(auditVerbs)), auditVerbs, p.Verb)
	p.Subjects = auditOptions(auditSubjects, nil, p.Subject)
	return view{Template: "audit", Title: "Audit log", Section: "/settings", Crumbs: []link{{"/settings", "Settings"}}, Body: p}, nil
}

// historyOfSubject is what was done to one thing, newest first.
func (c *Console) historyOfSubject(v visit, kind, id string) ([]auditRow, error) {
	entries, err := c.Store.Audit(v.Context(), store.AuditFilter{SubjectType: kind, SubjectID: id, Limit: 20})
	if err != nil {
		return nil, err
	}
	var out []auditRow
	for _, e := range entries {
		out = append(out, auditRowOf(e))
	}
	return out, nil
}

// hexID is what the id of a thing with a page looks like; who signs in by the
// one-time link has none.
var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func auditRowOf(e activation.AuditEntry) auditRow {
	row := auditRow{AuditEntry: e, Did: orText(auditVerbs[e.Verb], sentenceWord(strings.ReplaceAll(e.Verb, "_", " "))), Thing: e.SubjectType, Changes: changedFields(e.Before, e.After)}
	paths := map[string]string{"job": "/jobs/", "run": "/runs/", "destination": "/destinations/", "authorization": "/authorizations/", "user": "/people/", "publisher": "/publishers/"}
	if root, ok := paths[e.SubjectType]; ok && e.Verb != "delete" && hexID.MatchString(e.SubjectID) {
		row.Href = root + e.SubjectID
	}
	return row
}

// changedFields names what differs between two objects as JSON; never a value.
func changedFields(before, after string) string {
	var was, is map[string]any
	if json.Unmarshal([]byte(before), &was) != nil || json.Unmarshal([]byte(after), &is) != nil {
		return ""
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if old, ok := was[name]; !ok || !reflect.DeepEqual(old, is[name]) {
			out = append(out, strings.ReplaceAll(name, "_", " "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[name]; !ok {
			out = append(out, strings.ReplaceAll(name, "_", " "))
		}
	}
	return joinComma(out)
}
