package publishing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/pass"
	"usher/internal/schedule"
)

const (
	// clockEvery is how often scheduled operations are looked at.
	clockEvery = 10 * time.Second
	// dueAtOnce is how many of them are asked for first; there are seldom more.
	dueAtOnce = 100
)

// Run writes the entries of scheduled operations when their hour has come, until ctx is
// done. It may run on several nodes: each operation is written once.
func (d *Desk) Run(ctx context.Context) error {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		if err := d.runSchedules(ctx); err != nil && ctx.Err() == nil {
			d.cfg.Log.ErrorContext(ctx, "looking for scheduled operations", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// runSchedules writes the entries of all operations whose hour has come. One that
// can't be written does not hold up the others. Where several of an object were missed,
// the one whose hour came last has the last word.
func (d *Desk) runSchedules(ctx context.Context) error {
	due, err := d.due(ctx)
	if err != nil {
		return err
	}
	for _, s := range due {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := d.operate(ctx, s.ScheduledOperation); {
		case err == nil, errors.Is(err, activation.ErrConflict): // another node was first
		default:
			d.cfg.Log.ErrorContext(ctx, "writing a scheduled operation", "publisher_id", s.Publisher, "schedule_id", s.ID, "error", err)
		}
	}
	return nil
}

// dueOperation is a scheduled operation with the last of its hours that have come.
type dueOperation struct {
	activation.ScheduledOperation
	last time.Time
}

// due are all operations whose hour has come, in the order of the last of those hours.
func (d *Desk) due(ctx context.Context) ([]dueOperation, error) {
	now := d.cfg.Now()
	var all []activation.ScheduledOperation
	for limit := dueAtOnce; ; limit *= 2 {
		var err error
		if all, err = d.cfg.Store.DueSchedules(ctx, now, limit); err != nil {
			return nil, err
		}
		if len(all) < limit {
			break
		}
	}
	zones := map[activation.PublisherID]*time.Location{}
	out := make([]dueOperation, len(all))
	for i, s := range all {
		if zones[s.Publisher] == nil {
			account, err := d.cfg.Store.Publisher(ctx, s.Publisher)
			if err != nil && !errors.Is(err, activation.ErrNotFound) {
				return nil, err
			}
			zones[s.Publisher] = location(account)
		}
		out[i] = dueOperation{s, s.At}
		for next := s.At; !next.IsZero() && !next.After(now); next = following(s, zones[s.Publisher], next) {
			out[i].last = next
		}
	}
	slices.SortStableFunc(out, func(a, b dueOperation) int { return a.last.Compare(b.last) })
	return out, nil
}

// operate writes the entry of a scheduled operation and moves the operation on, in one
// transaction. Whatever it missed is made up for once.
func (d *Desk) operate(ctx context.Context, s activation.ScheduledOperation) error {
	account, err := d.cfg.Store.Publisher(ctx, s.Publisher)
	if err != nil {
		return err
	}
	o, err := d.cfg.Store.Object(ctx, s.Publisher, s.Object)
	gone := errors.Is(err, activation.ErrNotFound) || err == nil && o.Removed
	if err != nil && !gone {
		return err
	}
	moved := s
	moved.At = following(s, location(account), d.cfg.Now())
	var entries []activation.Entry
	switch {
	case gone:
		moved.At = time.Time{} // there is nothing to operate any more
		d.cfg.Log.WarnContext(ctx, "the object of a scheduled operation is gone; the operation ends", "publisher_id", s.Publisher, "schedule_id", s.ID)
	case o.Waiting == 0 && o.Confirmed[activation.FieldStatus] == wantedStatus(s.Action): // it is so already
	default:
		group, err := newFinder(d.cfg.Store, account.ID).groupOf(ctx, o.Kind, o.Parent)
		if err != nil {
			return err
		}
		entries = []activation.Entry{d.operation(account, s, o, group)}
	}
	if _, err := d.cfg.Store.WriteEntries(ctx, s.Publisher, nil, entries, activation.EntryWrite{Schedule: &moved}); err != nil {
		return err
	}
	if len(entries) > 0 {
		d.cfg.Wake(pass.Kind, string(account.PostJob))
	}
	d.cfg.Changed()
	return nil
}

// operation is the entry of a scheduled operation whose hour has come; group is the name
// of that in which a keyword lies.
func (d *Desk) operation(account activation.PublisherAccount, s activation.ScheduledOperation, o activation.PublisherObject, group string) activation.Entry {
	changes := []activation.Change{{Field: activation.FieldStatus, Before: o.Confirmed[activation.FieldStatus], After: wantedStatus(s.Action)}}
	e := activation.Entry{
		Publisher: s.Publisher, Status: activation.EntryQueued, Origin: activation.OriginScheduled, By: s.CreatedBy, Source: "schedule",
		Operation: activation.OpStatus, Object: o.ObjectRef, Type: o.Type, ObjectName: o.Name(), ObjectParent: o.Parent, Changes: changes,
		Detail: map[string]string{"schedule": s.ID, "planned": s.At.In(location(account)).Format("2006-01-02 15:04 MST")},
	}
	if p, ok := d.publishing(account.Provider); ok {
		t, _ := p.Object(o.Type)
		e.Text = inWords(e.Operation, t, e.ObjectName, group, changes)
	}
	return e
}

func wantedStatus(action string) string {
	if action == activation.ActionPause {
		return activation.StatusPaused
	}
	return activation.StatusEnabled
}

// following is when an operation is done after now: at its hour on the next of its
// days, in the account's zone; zero = never again. In the night in which the clocks go
// forward, an hour that there is not is the first moment after it; in the one in which
// they go back, the first of the two is meant.
func following(s activation.ScheduledOperation, loc *time.Location, now time.Time) time.Time {
	if len(s.Days) == 0 {
		return time.Time{}
	}
	days := make([]string, len(s.Days))
	for i, day := range s.Days {
		days[i] = fmt.Sprint(day % 7) // Sunday is 0 there
	}
	return schedule.Next(activation.Schedule{
		Continuous: true, Timezone: loc.String(),
		Frequency: fmt.Sprintf("0 %d * * %s", s.Hour, strings.Join(days, ",")),
	}, now)
}
