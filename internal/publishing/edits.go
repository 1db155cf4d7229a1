package publishing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/pass"
)

const (
	// MaxEdits is how many edits one call may bring; a file may bring more.
	MaxEdits = 10_000
	// planChunk is how many edits are planned with what was looked up at once.
	planChunk = 1000
	// writeChunk is how many entries are handed to the store at once.
	writeChunk = 1000
	// maxTries is how often edits are planned anew when objects changed meanwhile.
	maxTries = 5
)

// The audit's verbs.
const (
	auditEdit   = "edit"
	auditUpload = "upload"
)

// detailClient is the key of Entry.Detail that holds the caller's own id.
const detailClient = "client_id"

// Objects returns a page of an account's objects by name, and the cursor of the next
// one or "".
func (d *Desk) Objects(ctx context.Context, q activation.ObjectQuery) ([]activation.PublisherObject, string, error) {
	if _, err := d.cfg.Store.Publisher(ctx, q.Publisher); err != nil {
		return nil, "", err
	}
	return d.cfg.Store.Objects(ctx, q)
}

// historyLimit is how many ended entries an object is shown with.
const historyLimit = 100

// ObjectsOf returns those of some objects that there are.
func (d *Desk) ObjectsOf(ctx context.Context, id activation.PublisherID, refs []activation.ObjectRef) (map[activation.ObjectRef]activation.PublisherObject, error) {
	return d.cfg.Store.ObjectsOf(ctx, id, refs)
}

// Object returns one object with what waits for it, in the order of posting, and its
// history, the newest first.
func (d *Desk) Object(ctx context.Context, id activation.PublisherID, ref activation.ObjectRef) (ObjectView, error) {
	o, err := d.cfg.Store.Object(ctx, id, ref)
	if create, ok := activation.CreatedBy(ref.ID); ok && errors.Is(err, activation.ErrNotFound) {
		born, lookErr := d.born(ctx, id, []activation.EntryID{create})
		if lookErr != nil || born[ref.ID] == "" {
			return ObjectView{}, errors.Join(err, lookErr)
		}
		ref.ID = born[ref.ID]
		o, err = d.cfg.Store.Object(ctx, id, ref)
	}
	if err != nil {
		return ObjectView{}, err
	}
	v := ObjectView{PublisherObject: o}
	q := activation.EntryQuery{Publisher: id, Object: ref, Posting: true, Limit: historyLimit}
	for _, s := range activation.EntryStatuses {
		if s.Waits() {
			q.Statuses = append(q.Statuses, s)
		}
	}
	if v.Waits, _, err = d.cfg.Store.Entries(ctx, q); err != nil {
		return v, err
	}
	q.Posting, q.Statuses = false, []activation.EntryStatus{activation.EntryDone, activation.EntryFailed, activation.EntryCancelled}
	v.History, _, err = d.cfg.Store.Entries(ctx, q)
	return v, err
}

// Edit writes entries for edits: all of them or, where one is wrong, none. source says
// the way they came.
func (d *Desk) Edit(ctx context.Context, id activation.PublisherID, edits []EditSpec, send activation.Send, source, user string) (EditResult, error) {
	if len(edits) > MaxEdits {
		return EditResult{}, &activation.Error{Kind: activation.Invalid, Code: CodeField, Field: "edits", Message: fmt.Sprintf("edits: there are %d; one call takes %d, a file takes more", len(edits), MaxEdits)}
	}
	result, err := d.edit(ctx, id, edits, writing{send: send, origin: activation.OriginUser, source: source, user: user, audit: auditEdit})
	result.Entries = result.Entries[:min(len(result.Entries), maxEntries)]
	return result, err
}

// writing is how planned entries are written.
type writing struct {
	send         activation.Send
	origin       activation.Origin
	source, user string
	audit        string
	// parent is that of all of them, nil = they have none.
	parent *activation.Entry
	// detail is more about the entry of an object.
	detail map[activation.ObjectRef]map[string]string
	// dropJob and dropState are how far a drop folder is read with this.
	dropJob   activation.JobID
	dropState []byte
	// check is called in the transaction; its error ends the writing. nil = nothing.
	check func() error
}

func (d *Desk) edit(ctx context.Context, id activation.PublisherID, edits []EditSpec, w writing) (EditResult, error) {
	if err := checkSend(w.send); err != nil {
		return EditResult{}, err
	}
	account, err := d.cfg.Store.Publisher(ctx, id)
	if err != nil {
		return EditResult{}, err
	}
	var result EditResult
	err = d.again(func() error {
		p, err := d.newPlanner(account, false)
		if err != nil {
			return err
		}
		edits, err := d.bornEdits(ctx, id, edits)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(edits, planChunk) {
			p.find.forget()
			refs := make([]activation.ObjectRef, 0, 2*len(chunk))
			for _, e := range chunk {
				refs = append(refs, activation.ObjectRef{Kind: e.Kind, ID: e.ID}, e.Parent)
			}
			if err := p.find.load(ctx, refs); err != nil {
				return err
			}
			if err := p.find.loadGroups(ctx); err != nil {
				return err
			}
			for _, e := range chunk {
				if err := p.add(ctx, e, nil); err != nil {
					return err
				}
			}
		}
		result = p.result
		if result.Errors > 0 {
			return nil
		}
		result.Entries, err = d.write(ctx, account, p.plans, w)
		return err
	})
	return result, err
}

func checkSend(s activation.Send) error {
	if slices.Contains([]activation.Send{activation.SendHold, activation.SendNightly, activation.SendNow}, s) {
		return nil
	}
	return &activation.Error{Kind: activation.Invalid, Code: CodeField, Field: "send", Message: "send: must be hold, nightly or now"}
}

// again tries something until the objects stay what they were when it was planned.
func (d *Desk) again(try func() error) error {
	for range maxTries {
		if err := try(); !errors.Is(err, errStale) && !errors.Is(err, activation.ErrOutdated) {
			return err
		}
	}
	return fmt.Errorf("the objects are changed all the time: %w", activation.ErrConflict)
}

// write stores planned entries in one transaction, and returns the first of them, up to
// writeChunk.
func (d *Desk) write(ctx context.Context, account activation.PublisherAccount, plans []planned, w writing) ([]activation.Entry, error) {
	if len(plans) == 0 && w.dropJob == "" {
		return nil, nil
	}
	at := 0
	next := func() []activation.Entry {
		part := plans[at:min(at+writeChunk, len(plans))]
		at += len(part)
		out := make([]activation.Entry, 0, len(part))
		for _, p := range part {
			out = append(out, p.entry(account, w, d.cfg.Now()))
		}
		return out
	}
	written, err := d.cfg.Store.WriteEntries(ctx, account.ID, w.parent, next(), activation.EntryWrite{
		Check: func(entries []activation.Entry, now map[activation.ObjectRef]activation.PublisherObject) error {
			if w.check != nil {
				if err := w.check(); err != nil {
					return err
				}
			}
			return unchanged(entries, now)
		},
		More:    func() ([]activation.Entry, error) { return next(), ctx.Err() },
		DropJob: w.dropJob, DropState: w.dropState, Audit: w.audit,
	})
	if err != nil {
		return nil, err
	}
	if w.send == activation.SendNow {
		d.cfg.Wake(pass.Kind, string(account.PostJob))
	}
	if len(plans) > 0 {
		d.cfg.Changed()
	}
	return written, nil
}

// unchanged reports by errStale that something is not what it was when entries were
// planned.
func unchanged(entries []activation.Entry, now map[activation.ObjectRef]activation.PublisherObject) error {
	for _, e := range entries {
		ref := e.Object
		if e.Operation == activation.OpCreate {
			ref = e.ObjectParent
		}
		if _, pending := activation.PendingIndex(ref.ID); pending || ref.ID == "" {
			continue
		}
		o, ok := now[ref]
		if !ok || o.Removed || o.Deleted {
			return errStale
		}
		if e.Operation == activation.OpCreate {
			continue
		}
		for _, c := range e.Changes {
			if o.Local[c.Field] != c.Before {
				return errStale
			}
		}
	}
	return nil
}

// entry is a planned entry as it is stored.
func (p planned) entry(account activation.PublisherAccount, w writing, now time.Time) activation.Entry {
	e := activation.Entry{
		Publisher: account.ID, Row: p.row, Status: activation.EntryToBeSent, Origin: w.origin, By: w.user, Source: w.source,
		Operation: p.operation, Object: p.object, Type: p.typ.Name, ObjectName: p.name, ObjectParent: p.parent,
		Changes: p.changes, Refers: p.refers, Text: inWords(p.operation, *p.typ, p.name, p.parentName, p.changes),
	}
	switch w.send {
	case activation.SendHold:
		e.Status, e.Reason = activation.EntryHeld, activation.ReasonUser
	case activation.SendNow:
		e.Status, e.ReleasedAt = activation.EntryQueued, now
	case activation.SendNightly:
	}
	e.Detail = w.detail[p.object]
	if p.client != "" {
		e.Detail = map[string]string{detailClient: p.client}
	}
	return e
}
