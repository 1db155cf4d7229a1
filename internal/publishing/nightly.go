package publishing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// The five steps of the nightly sync.
const (
	stepRead    = 1 // costs, and what was changed at the publisher
	stepDecide  = 2 // conflicts are flagged, bids are calculated
	stepRelease = 3
	stepPost    = 4
	stepConfirm = 5 // what was posted is read back
)

const (
	// nightlyFor is how long a nightly sync that was cut is gone on with; after it, the
	// next one begins anew.
	nightlyFor = 24 * time.Hour
	// sourceReport is how the entry of the nightly reading came.
	sourceReport = "report"
	// codeConfirm is noted when objects are not as they were posted.
	codeConfirm = "PUB-CONFIRM"
)

// nightly goes through the five steps, on from where it was cut.
func (w *worker) nightly(ctx context.Context) error {
	if err := w.readBack(ctx); err != nil {
		return err
	}
	n, err := w.beginNightly(ctx)
	if err != nil {
		return err
	}
	steps := map[int]func(context.Context, *activation.Nightly) error{
		stepRead: w.stepRead, stepDecide: w.stepDecide, stepRelease: w.stepRelease, stepPost: w.stepPost, stepConfirm: w.stepConfirm,
	}
	for n.Step >= stepRead && n.Step <= stepConfirm {
		if err := steps[n.Step](ctx, &n); err != nil {
			return fmt.Errorf("nightly step %d: %w", n.Step, err)
		}
		if n.Step++; n.Step > stepConfirm {
			n.Step = 0
		}
		if err := w.cfg.Store.SaveNightly(ctx, w.p.Pass(), w.account.ID, n); err != nil {
			return err
		}
		w.p.Moved()
		w.cfg.Changed()
	}
	return nil
}

// beginNightly returns the nightly sync to go on with, or a new one.
func (w *worker) beginNightly(ctx context.Context) (activation.Nightly, error) {
	n, err := w.cfg.Store.Nightly(ctx, w.account.ID)
	if err != nil {
		return n, err
	}
	pass, now := w.p.Pass().ID, w.cfg.Now()
	switch {
	case n.Pass == pass: // this pass again, after a stop
		return n, nil
	case n.Step != 0 && now.Sub(n.Begun) < nightlyFor:
		n.Pass = pass
	default:
		n = activation.Nightly{Pass: pass, Step: stepRead, Begun: now, Changes: n.Changes}
	}
	return n, w.cfg.Store.SaveNightly(ctx, w.p.Pass(), w.account.ID, n)
}

// stepRead reads the cost report and what was changed at the publisher, as an entry of
// the log: it goes in its turn, behind what is released already.
func (w *worker) stepRead(ctx context.Context, n *activation.Nightly) error {
	waiting, _, err := w.cfg.Store.Entries(ctx, activation.EntryQuery{
		Publisher: w.account.ID, Statuses: []activation.EntryStatus{activation.EntryQueued, activation.EntryProcessing},
		Origins: []activation.Origin{activation.OriginSystem}, Ops: []activation.Operation{activation.OpSync}, Limit: 1,
	})
	if err != nil {
		return err
	}
	if read := !n.Changes.Before(n.Begun.Add(-changesOverlap)); read && len(waiting) == 0 {
		return nil // it was cut after the reading
	}
	if len(waiting) == 0 {
		entry := activation.Entry{
			Publisher: w.account.ID, Status: activation.EntryQueued, Origin: activation.OriginSystem, By: systemUser, Source: sourceReport,
			Operation: activation.OpSync, ObjectName: w.account.Name, Text: "Read the costs and what was changed at the publisher",
			Detail: map[string]string{DetailWhat: ReadReport},
		}
		if _, err := w.cfg.Store.WriteEntries(ctx, w.account.ID, nil, []activation.Entry{entry}, activation.EntryWrite{}); err != nil {
			return err
		}
	}
	if err := w.drain(ctx); err != nil {
		return err
	}
	now, err := w.cfg.Store.Nightly(ctx, w.account.ID)
	n.Changes = now.Changes // the reading has moved it
	return err
}

// stepDecide calculates bids; conflicts were flagged by the reading. Bids that can't be
// calculated keep nobody's edits back. Without tonight's costs there are none.
func (w *worker) stepDecide(ctx context.Context, n *activation.Nightly) error {
	account, err := w.cfg.Store.Publisher(ctx, w.account.ID)
	if err != nil || account.CostAt.Before(n.Begun.Truncate(time.Microsecond)) {
		return err
	}
	err = w.runTraffic(ctx, account)
	var e *activation.Error
	if err == nil || ctx.Err() != nil || !errors.As(err, &e) {
		return err
	}
	w.cfg.Log.WarnContext(ctx, "calculating bids", "publisher_id", w.account.ID, "error", err)
	return w.p.Note(ctx, "warn", activation.CodeOf(err), "bids were not calculated: "+activation.SafeMessage(err))
}

// stepRelease queues what is to be sent.
func (w *worker) stepRelease(ctx context.Context, n *activation.Nightly) error {
	if n.ReleasedAt.IsZero() {
		n.ReleasedAt = w.cfg.Now()
		if err := w.cfg.Store.SaveNightly(ctx, w.p.Pass(), w.account.ID, *n); err != nil {
			return err
		}
	}
	released, err := w.cfg.Store.ReleaseWaiting(ctx, w.p.Pass(), w.account.ID)
	n.Released += released
	w.p.Count("released", released)
	return err
}

func (w *worker) stepPost(ctx context.Context, _ *activation.Nightly) error { return w.drain(ctx) }

// stepConfirm reads back what was posted since the release, and tells where it is not
// as it was posted.
func (w *worker) stepConfirm(ctx context.Context, n *activation.Nightly) error {
	q := activation.EntryQuery{
		Publisher: w.account.ID, Statuses: []activation.EntryStatus{activation.EntryDone}, EndedSince: n.ReleasedAt, Limit: readAtOnce,
		Ops: []activation.Operation{activation.OpCreate, activation.OpEdit, activation.OpBid, activation.OpGeo, activation.OpStatus, activation.OpDelete},
	}
	var confirmed, other int64
	for {
		posted, next, err := w.cfg.Store.Entries(ctx, q)
		if err != nil {
			return err
		}
		differ, err := w.confirm(ctx, posted)
		if err != nil {
			return err
		}
		confirmed, other = confirmed+int64(len(posted)), other+differ
		if q.After = next; next == "" {
			break
		}
	}
	w.p.Count("confirmed", confirmed)
	if other == 0 {
		return nil
	}
	return w.p.Note(ctx, "warn", codeConfirm, isAre(other, "entry", "entries")+" not at the publisher as posted; the structure shows what is there now")
}

// confirm reads the objects of posted entries back and returns how many of the entries
// the publisher does not have as they were posted.
func (w *worker) confirm(ctx context.Context, posted []activation.Entry) (differ int64, err error) {
	if len(posted) == 0 {
		return 0, nil
	}
	if err := w.connect(ctx); err != nil {
		return 0, err
	}
	of := map[activation.ObjectRef][]activation.Entry{}
	var refs []activation.ObjectRef
	for _, e := range posted {
		if of[e.Object] == nil {
			refs = append(refs, e.Object)
		}
		of[e.Object] = append(of[e.Object], e)
	}
	ours, err := w.cfg.Store.ObjectsOf(ctx, w.account.ID, refs)
	if err != nil {
		return 0, err
	}
	_, err = w.readAgain(ctx, refs, func(now map[activation.ObjectRef]provider.ObjectState) error {
		for ref, entries := range of {
			state, there := now[ref]
			for _, e := range entries {
				if !w.asPosted(e, ours[ref], state, there) {
					differ++
				}
			}
		}
		return nil
	})
	return differ, err
}

// asPosted reports whether the publisher has what an entry posted, or what was posted
// over it since.
func (w *worker) asPosted(e activation.Entry, ours activation.PublisherObject, now provider.ObjectState, there bool) bool {
	if e.Operation == activation.OpDelete || ours.Removed {
		return !there
	}
	if !there {
		return false
	}
	declared, _ := w.declared.Object(ours.Type)
	for _, c := range e.Changes {
		field, _ := declared.Field(c.Field)
		if !readAs(field, now.Fields[c.Field], ours.Confirmed[c.Field]) {
			return false
		}
	}
	return true
}
