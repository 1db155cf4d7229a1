package meta

import (
	"slices"
	"strconv"
	"time"
)

// eventKind says what changed.
type eventKind string

const (
	eventCreate eventKind = "create"
	eventUpdate eventKind = "update"
	eventDelete eventKind = "delete"
	eventFlag   eventKind = "flag"
	eventTerms  eventKind = "terms"
	eventUsers  eventKind = "users"
	eventMeddle eventKind = "meddle" // somebody else changed who is in
)

// event is one change of the network's state. All changes are events, applied
// by apply alone, live or from the journal.
type event struct {
	Kind     eventKind `json:"kind"`
	At       time.Time `json:"at"`
	Account  string    `json:"account,omitempty"`
	Audience string    `json:"audience,omitempty"`
	// Settings are those of a created or updated audience.
	Settings *settings `json:"settings,omitempty"`
	Flagged  bool      `json:"flagged,omitempty"`
	Upload   *upload   `json:"upload,omitempty"`
}

// upload is one accepted users call.
type upload struct {
	Op       string          `json:"op"` // opAdd, opRemove or opReplace
	Session  int64           `json:"session"`
	Seq      int             `json:"seq,omitempty"`
	Last     bool            `json:"last,omitempty"`
	Total    int64           `json:"total,omitempty"`
	Received int             `json:"received"`
	Invalid  map[verdict]int `json:"invalid,omitempty"`
	// Digest identifies operation, schema and data, whatever the session.
	Digest string     `json:"digest"`
	Keys   []string   `json:"keys"`
	Rows   [][]string `json:"rows"` // the valid ones
}

func (u *upload) invalidRows() int {
	total := 0
	for _, count := range u.Invalid {
		total += count
	}
	return total
}

func (n *Network) apply(e event) {
	switch e.Kind {
	case eventCreate:
		a := newAudience(e.Audience, e.Account, e.At)
		a.settings = *e.Settings
		n.audiences[a.id] = a
		n.account(e.Account).audiences = append(n.account(e.Account).audiences, a.id)
		if id, err := strconv.ParseUint(a.id, 10, 64); err == nil {
			n.lastID = max(n.lastID, id)
		}
	case eventTerms:
		n.account(e.Account).termsPending = false
	default:
		if a := n.audiences[e.Audience]; a != nil {
			n.applyTo(a, e)
		}
	}
}

func (n *Network) applyTo(a *audience, e event) {
	a.updated = e.At
	switch e.Kind {
	case eventUpdate:
		a.settings = *e.Settings
	case eventFlag:
		a.flagged = e.Flagged
	case eventDelete:
		delete(n.audiences, a.id)
		owner := n.account(a.account)
		owner.audiences = slices.DeleteFunc(owner.audiences, func(id string) bool { return id == a.id })
	case eventUsers:
		a.books.note(e.Upload)
		n.account(a.account).noteSession(a.id, e.At, e.Upload)
		a.lapse(e.At, n.opts.SessionWindow)
		if e.Upload.Op == opReplace {
			a.collect(e.At, e.Upload, n.opts.Lag)
			return
		}
		a.waiting = append(a.waiting, matching{due: e.At.Add(n.opts.Lag), upload: e.Upload})
	case eventMeddle:
		a.meddled(e.At, e.Upload)
	case eventCreate, eventTerms: // handled by apply
	}
}

// settle carries out the matching that is due. The caller holds the lock.
func (a *audience) settle(now time.Time) {
	for len(a.waiting) > 0 && !a.waiting[0].due.After(now) {
		if m := a.waiting[0]; m.swap != nil {
			a.swap(m.swap)
		} else {
			a.match(m.upload)
		}
		a.waiting = a.waiting[1:]
	}
}

func (a *audience) match(u *upload) {
	for _, cells := range u.Rows {
		row := u.values(cells)
		if u.Op != opRemove {
			a.books.noteAdd(a.roster.add(row))
		} else {
			a.books.noteRemoval(a.roster.remove(row))
		}
	}
}
