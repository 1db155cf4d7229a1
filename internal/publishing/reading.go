package publishing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// DetailWhat is the detail of a sync entry that says what is read.
const DetailWhat = "what"

// What a sync entry reads.
const (
	// ReadStructure is the whole structure: the hard sync.
	ReadStructure = "structure"
	// ReadCosts is the cost report.
	ReadCosts = "costs"
	// ReadReport is the cost report, and what was changed at the publisher: the sync
	// from the report, once a night.
	ReadReport = "report"
)

const (
	// saveAtOnce is how many objects or rows of costs are stored in one transaction.
	saveAtOnce = 500
	// firstCostDays is how far back costs are read the first time.
	firstCostDays = 90
	// changesOverlap is how much of the time before is asked for again, since a
	// publisher tells of a change some minutes after it.
	changesOverlap = time.Hour
	// costPatience is how long the nightly sync waits for a cost report that can't be had.
	costPatience = time.Hour
)

// read does one reading and says in words what it brought.
func (w *worker) read(ctx context.Context, what string) (answer string, err error) {
	if err := w.connect(ctx); err != nil {
		return "", err
	}
	switch what {
	case ReadCosts:
		return w.readCosts(ctx)
	case ReadReport:
		costs, err := w.nightlyCosts(ctx)
		if err != nil {
			return "", err
		}
		read, err := w.readChanges(ctx)
		if err != nil {
			return "", err
		}
		return costs + "; " + readWords(read), nil
	}
	read, err := w.readStructure(ctx)
	if err != nil {
		return "", err
	}
	return readWords(read), nil
}

// nightlyCosts reads the cost report. One that can't be had keeps nobody's edits back for
// longer than costPatience: the next night reads the days that were missed.
func (w *worker) nightlyCosts(ctx context.Context) (answer string, err error) {
	answer, err = w.readCosts(ctx)
	if err == nil || !fromPublisher(ctx, err) {
		return answer, err
	}
	n, nightlyErr := w.cfg.Store.Nightly(ctx, w.account.ID)
	if nightlyErr != nil {
		return "", nightlyErr
	}
	again := w.cfg.Now()
	var e *activation.Error
	if errors.As(err, &e) && e.Until.After(again) {
		again = e.Until
	}
	if activation.KindOf(err).Retryable() && again.Sub(n.Begun) < costPatience {
		return "", err
	}
	answer = "no costs: " + activation.SafeMessage(err)
	return answer, w.p.Note(ctx, "warn", activation.CodeOf(err), "the costs can't be read; the sync goes on without them, bids are not calculated, and the next one reads what is missing: "+activation.SafeMessage(err))
}

// fromPublisher reports whether an error is what the publisher says, and not about our
// own store, the credentials or a pass that ends.
func fromPublisher(ctx context.Context, err error) bool {
	var e *activation.Error
	return ctx.Err() == nil && errors.As(err, &e) && e.Kind != activation.Unauthorized && !errors.Is(err, activation.ErrFenced) && !errors.Is(err, activation.ErrNotFound)
}

// readWords says what a reading of the structure found.
func readWords(r activation.StructureRead) string {
	return fmt.Sprintf("%s new, %s changed, %s removed at the publisher, %s", number(r.New), number(r.Changed), number(r.Removed), count(r.Conflicts, "conflict"))
}

func plus(a, b activation.StructureRead) activation.StructureRead {
	return activation.StructureRead{New: a.New + b.New, Changed: a.Changed + b.Changed, Removed: a.Removed + b.Removed, Conflicts: a.Conflicts + b.Conflicts}
}

// readStructure reads the whole structure. Cut in the middle, it marks nothing as
// removed, and begins anew.
func (w *worker) readStructure(ctx context.Context) (sum activation.StructureRead, err error) {
	at := w.cfg.Now()
	reading, err := w.cfg.Store.BeginStructure(ctx, w.p.Pass(), w.account.ID)
	if err != nil {
		return sum, err
	}
	var part []activation.PublisherObject
	save := func() error {
		read, err := w.cfg.Store.SaveStructure(ctx, w.p.Pass(), w.account.ID, reading, part)
		sum, part = plus(sum, read), part[:0]
		w.p.Moved()
		return err
	}
	err = w.guarded(ctx, func() error {
		return w.client.Structure(ctx, func(s provider.ObjectState) error {
			part = append(part, w.objectOf(s, at))
			if len(part) < saveAtOnce {
				return nil
			}
			return save()
		})
	})
	if err != nil {
		return sum, err
	}
	if err := save(); err != nil {
		return sum, err
	}
	read, err := w.cfg.Store.EndStructure(ctx, w.p.Pass(), w.account.ID, reading, at)
	w.cfg.Changed()
	return plus(sum, read), err
}

// objectOf is Usher's copy of an object as the publisher has it.
func (w *worker) objectOf(s provider.ObjectState, at time.Time) activation.PublisherObject {
	return activation.PublisherObject{Publisher: w.account.ID, ObjectRef: s.ObjectRef, Type: s.Type, Parent: s.Parent, Confirmed: s.Fields, ConfirmedAt: at}
}

// readChanges reads what was changed at the publisher since the last time, or the
// whole structure where the publisher can't tell.
func (w *worker) readChanges(ctx context.Context) (activation.StructureRead, error) {
	n, err := w.cfg.Store.Nightly(ctx, w.account.ID)
	if err != nil {
		return activation.StructureRead{}, err
	}
	at := w.cfg.Now()
	read, err := w.readSince(ctx, n.Changes)
	if err != nil {
		return read, err
	}
	n.Changes = at.Add(-changesOverlap)
	return read, w.cfg.Store.SaveNightly(ctx, w.p.Pass(), w.account.ID, n)
}

func (w *worker) readSince(ctx context.Context, since time.Time) (activation.StructureRead, error) {
	teller, ok := w.client.(provider.ChangeTeller)
	if !ok || since.IsZero() || w.account.SyncedAt.IsZero() {
		return w.readStructure(ctx)
	}
	var refs []activation.ObjectRef
	err := w.guarded(ctx, func() (err error) {
		refs, ok, err = teller.Changed(ctx, since)
		return err
	})
	if err != nil {
		return activation.StructureRead{}, err
	}
	if !ok {
		return w.readStructure(ctx)
	}
	return w.readAgain(ctx, refs, nil)
}

// readAgain reads objects back and stores them as they are, which flags conflicts.
// look, where it is not nil, is called with each of them as it was read, before.
func (w *worker) readAgain(ctx context.Context, refs []activation.ObjectRef, look func(now map[activation.ObjectRef]provider.ObjectState) error) (sum activation.StructureRead, err error) {
	err = inParts(refs, readAtOnce, func(part []activation.ObjectRef) error {
		at := w.cfg.Now()
		var now map[activation.ObjectRef]provider.ObjectState
		if err := w.guarded(ctx, func() (err error) { now, err = w.readObjects(ctx, part); return err }); err != nil {
			return err
		}
		if look != nil {
			if err := look(now); err != nil {
				return err
			}
		}
		var seen []activation.PublisherObject
		var gone []activation.ObjectRef
		for _, ref := range part {
			if s, ok := now[ref]; ok {
				seen = append(seen, w.objectOf(s, at))
			} else {
				gone = append(gone, ref)
			}
		}
		read, err := w.cfg.Store.SaveObjects(ctx, w.p.Pass(), w.account.ID, seen, gone)
		sum = plus(sum, read)
		return err
	})
	w.cfg.Changed()
	return sum, err
}

// readCosts reads the cost report: the days whose costs still change, and those that
// were missed since the last reading.
func (w *worker) readCosts(ctx context.Context) (answer string, err error) {
	at := w.cfg.Now()
	from, until := reportDays(w.account, w.declared.CostDays, at)
	reading, err := w.cfg.Store.BeginCosts(ctx, w.account.ID)
	if err != nil {
		return "", err
	}
	var part []activation.Cost
	var rows int64
	save := func() error {
		if len(part) == 0 {
			return nil
		}
		rows += int64(len(part))
		err := w.cfg.Store.SaveCosts(ctx, w.account.ID, reading, part)
		part = part[:0]
		w.p.Moved()
		return err
	}
	err = w.guarded(ctx, func() error {
		return w.client.Costs(ctx, from, until, func(c activation.Cost) error {
			part = append(part, c)
			if len(part) < saveAtOnce {
				return nil
			}
			return save()
		})
	})
	if err != nil {
		return "", err
	}
	if err := save(); err != nil {
		return "", err
	}
	w.p.Count("cost_rows", rows)
	if err := w.cfg.Store.EndCosts(ctx, w.account.ID, reading, from, until, at); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s of costs from %s to %s", count(rows, "row"), from, until), nil
}

// reportDays are the first and the last day of the next cost report, in the account's
// zone.
func reportDays(a activation.PublisherAccount, back int, now time.Time) (from, until string) {
	today := now.In(location(a))
	days := max(back, 1)
	if a.CostAt.IsZero() {
		days = max(days, firstCostDays)
	} else if missed := int(today.Sub(a.CostAt).Hours() / 24); missed > 0 {
		days += missed
	}
	return today.AddDate(0, 0, -days).Format(time.DateOnly), today.Format(time.DateOnly)
}

// guarded calls fn, which calls the client. A panic there is an error of this pass.
func (w *worker) guarded(ctx context.Context, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = w.brokeDown(ctx, p, false)
		}
	}()
	return fn()
}
