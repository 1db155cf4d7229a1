package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
)

// apply makes the operations of one object those of the list. What is done or past is
// neither made again nor taken away.
func (d *scheduleDoc) apply(ctx context.Context, w *world, s *Step, user string) error {
	account, err := w.accountNamed(ctx, "publisher", d.Publisher)
	if err != nil {
		return err
	}
	waits := account.SyncedAt.IsZero()
	if waits && !w.shadow {
		s.pend(unread)
		return nil
	}
	all, err := w.desk.Schedules(ctx, account.ID)
	if err != nil {
		return err
	}
	have := slices.DeleteFunc(all, func(o activation.ScheduledOperation) bool { return o.Object != d.Object.ref() || o.At.IsZero() })
	there, now := len(have), w.cat.Now()
	want, err := d.wanted(ctx, w, account.ID, now)
	if gone := refusal(err); gone != nil && gone.Field == "object" && there > 0 {
		s.Action, s.Note = Unchanged, "the object can't be paused or resumed any more: "+strings.TrimPrefix(gone.Message, "object: ")
		return nil
	}
	if err != nil {
		return err
	}
	if len(want) < len(d.Operations) {
		s.Note = "what is in the past is not done again"
	}
	s.Action = Unchanged
	var changed []activation.ScheduledOperation
	left := have
	for _, o := range want {
		if i := slices.IndexFunc(left, func(h activation.ScheduledOperation) bool { return sameOperation(h, o, now) }); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			changed = append(changed, o)
		}
	}
	if len(changed)+len(left) > 0 {
		if s.Action = Update; there == 0 {
			s.Action = Create
		} else {
			s.Changes = []string{"operations"}
		}
	}
	if n := len(left) - len(changed); n > 0 {
		s.Note = fmt.Sprintf("%d of the object's operations are taken away", n)
	}
	for _, o := range changed {
		if len(left) > 0 {
			o.ID, left = left[0].ID, left[1:]
		}
		if _, err := w.desk.PutSchedule(ctx, o, user); err != nil {
			return err
		}
	}
	for _, o := range left {
		if err := w.desk.DeleteSchedule(ctx, account.ID, o.ID, user); err != nil {
			return err
		}
	}
	if waits && s.Action != Unchanged {
		s.pend(unread)
	}
	return nil
}

// wanted are the operations of the list with the time at which each is done next, or
// everything that is wrong with them.
func (d *scheduleDoc) wanted(ctx context.Context, w *world, id activation.PublisherID, now time.Time) ([]activation.ScheduledOperation, error) {
	var wrong refusals
	var out []activation.ScheduledOperation
	for i, o := range d.Operations {
		at := fmt.Sprintf("operations.%d.", i)
		op := activation.ScheduledOperation{Publisher: id, Object: d.Object.ref(), Action: o.Action, Days: o.Days}
		once := len(o.Days) == 0
		switch {
		case once && (o.Hour != nil || o.From != "" || o.At == ""):
			wrong.add(strings.TrimSuffix(at, "."), "needs days and hour, or at for once")
			continue
		case !once && (o.Hour == nil || o.At != ""):
			wrong.add(strings.TrimSuffix(at, "."), "needs an hour beside its days, and no at")
			continue
		case !once:
			op.Hour = *o.Hour
		}
		key, text := "at", o.At
		if !once {
			key, text = "from", o.From
		}
		if text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				wrong.add(at+key, "must be a time such as 2026-12-31T18:00:00+01:00")
				continue
			}
			if op.At = t; once && !t.After(now) {
				continue
			}
		}
		op, err := w.trial.PutSchedule(ctx, op, "")
		refused := refusal(err)
		switch {
		case err == nil:
			out = append(out, op)
		case refused == nil:
			return nil, err
		case refused.Field == "object":
			return nil, refused
		default:
			wrong.add(at+refused.Field, strings.TrimPrefix(refused.Message, refused.Field+": "))
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return out, nil
}

// sameOperation reports whether what is there is what is wanted. One that is overdue is
// done any moment, and then next when the wanted one is.
func sameOperation(have, want activation.ScheduledOperation, now time.Time) bool {
	overdue := len(have.Days) > 0 && !have.At.After(now)
	return have.Action == want.Action && slices.Equal(have.Days, want.Days) && have.Hour == want.Hour && (have.At.Equal(want.At) || overdue)
}

// exportSchedules writes what is still to be done, object by object.
func (m *Manifest) exportSchedules(ctx context.Context, e *exporter, file string, a activation.PublisherAccount) error {
	all, err := m.Desk.Schedules(ctx, a.ID)
	if err != nil {
		return err
	}
	loc, err := time.LoadLocation(a.Timezone)
	if err != nil {
		return fmt.Errorf("time zone of %q: %w", a.Name, err)
	}
	trial := m.trial()
	docs := map[activation.ObjectRef]*scheduleDoc{}
	var order []activation.ObjectRef
	slices.SortFunc(all, func(x, y activation.ScheduledOperation) int {
		return cmp.Or(cmp.Compare(x.Object.Kind, y.Object.Kind), cmp.Compare(x.Object.ID, y.Object.ID), slices.Compare(x.Days, y.Days), cmp.Compare(x.Hour, y.Hour), x.At.Compare(y.At), cmp.Compare(x.Action, y.Action))
	})
	for _, o := range all {
		if o.At.IsZero() {
			continue // it is done
		}
		doc := docs[o.Object]
		if doc == nil {
			doc = &scheduleDoc{Kind: kindSchedule, Publisher: a.Name, Object: objectDoc{string(o.Object.Kind), o.Object.ID}}
			docs[o.Object], order = doc, append(order, o.Object)
		}
		one := operationDoc{Action: o.Action, Days: o.Days}
		if len(o.Days) == 0 {
			one.At = o.At.In(loc).Format(time.RFC3339)
		} else {
			one.Hour = &o.Hour
			soon := o
			soon.At = time.Time{}
			switch soon, err = trial.PutSchedule(ctx, soon, ""); {
			case err == nil && o.At.After(soon.At):
				one.From = o.At.In(loc).Format(time.RFC3339)
			case err != nil && refusal(err) == nil:
				return err
			}
		}
		doc.Operations = append(doc.Operations, one)
	}
	for _, ref := range order {
		e.add(file, *docs[ref])
	}
	return nil
}

// refusal is the error of a use case as far as it is about a field; nil of others.
func refusal(err error) *activation.Error {
	var e *activation.Error
	if errors.As(err, &e) && e.Kind == activation.Invalid {
		return e
	}
	return nil
}
