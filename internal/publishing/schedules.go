package publishing

import (
	"context"
	"errors"
	"slices"
	"time"

	"usher/internal/activation"
)

// Schedules lists the scheduled operations of an account.
func (d *Desk) Schedules(ctx context.Context, id activation.PublisherID) ([]activation.ScheduledOperation, error) {
	if _, err := d.cfg.Store.Publisher(ctx, id); err != nil {
		return nil, err
	}
	return d.cfg.Store.Schedules(ctx, id)
}

// PutSchedule stores a scheduled operation, a new one where it has no id. One with
// days is done at its hour on each of them; one without is done once, at a time on the
// hour of the account's zone.
func (d *Desk) PutSchedule(ctx context.Context, s activation.ScheduledOperation, user string) (activation.ScheduledOperation, error) {
	account, err := d.cfg.Store.Publisher(ctx, s.Publisher)
	if err != nil {
		return s, err
	}
	if s.Action != activation.ActionPause && s.Action != activation.ActionResume {
		return s, badRequest("action", "must be pause or resume")
	}
	if err := d.checkOperated(ctx, account, s.Object); err != nil {
		return s, err
	}
	if s, err = d.plan(s, location(account)); err != nil {
		return s, err
	}
	s, err = d.cfg.Store.PutSchedule(ctx, s, user)
	d.cfg.Changed()
	return s, err
}

// checkOperated refuses objects that have no status which can be changed.
func (d *Desk) checkOperated(ctx context.Context, account activation.PublisherAccount, ref activation.ObjectRef) error {
	o, err := d.cfg.Store.Object(ctx, account.ID, ref)
	switch {
	case errors.Is(err, activation.ErrNotFound):
		return badRequest("object", "the account has no such object; give its kind and the publisher's id")
	case err != nil:
		return err
	case o.Removed:
		return badRequest("object", "the publisher does not have it any more")
	case o.Confirmed == nil:
		return badRequest("object", "waits to be created; schedule it when the publisher has it")
	}
	p, ok := d.publishing(account.Provider)
	if !ok {
		return badRequest("publisher", "its provider edits no campaigns")
	}
	t, _ := p.Object(o.Type)
	if f, ok := t.Field(activation.FieldStatus); !ok || f.Fixed || f.Shown {
		return badRequest("object", "has no status that can be changed")
	}
	return nil
}

// plan checks when the operation is to be done, and finds the first time.
func (d *Desk) plan(s activation.ScheduledOperation, loc *time.Location) (activation.ScheduledOperation, error) {
	now := d.cfg.Now()
	if len(s.Days) == 0 {
		at := s.At.In(loc)
		switch {
		case s.At.IsZero():
			return s, badRequest("at", "must be a time, or give days and an hour")
		case at.Minute() != 0 || at.Second() != 0 || at.Nanosecond() != 0:
			return s, badRequest("at", "must be on the hour in "+loc.String())
		case !at.After(now):
			return s, badRequest("at", "must be in the future")
		}
		s.Hour = at.Hour()
		return s, nil
	}
	if s.Hour < 0 || s.Hour > 23 {
		return s, badRequest("hour", "must be from 0 to 23")
	}
	s.Days = slices.Compact(slices.Sorted(slices.Values(s.Days)))
	if s.Days[0] < 1 || s.Days[len(s.Days)-1] > 7 {
		return s, badRequest("days", "must be from 1 (Monday) to 7 (Sunday)")
	}
	after := now
	if s.At.After(after) { // from then on
		after = s.At.Add(-time.Second)
	}
	s.At = following(s, loc, after)
	return s, nil
}

// DeleteSchedule deletes a scheduled operation; entries that it has written stay.
func (d *Desk) DeleteSchedule(ctx context.Context, id activation.PublisherID, schedule, user string) error {
	defer d.cfg.Changed()
	return d.cfg.Store.DeleteSchedule(ctx, id, schedule, user)
}

func badRequest(field, message string) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: message}
}
