package explain

import (
	"context"
	"errors"
	"slices"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// inquiry is what was read for one question, and the steps made of it.
type inquiry struct {
	ctx   context.Context //nolint:containedctx // lives no longer than the call that made it
	e     *Explainer
	hide  func(string) string
	field string

	target activation.Target
	dest   activation.Destination
	job    activation.Job
	ended  bool // the job is not there any more
	auth   activation.Authorization
	title  string // of the provider

	known   bool
	person  warehouse.Person
	req     warehouse.PlanRequest
	events  bool
	unfit   error // why no run can be planned
	runs    []activation.Run
	verdict activation.GuardVerdict
	// staged are the person's rows of the newest run that has any, and run is it.
	run      activation.Run
	staged   []warehouse.PersonStaged
	items    []activation.Item
	receipts map[activation.ItemID][]activation.Receipt
	// retry is why a failed run offers no Retry; "" = it does.
	retry map[activation.RunID]string

	audiences map[activation.AudienceID]string
	steps     []Step
}

// place reads where the person should be.
func (c *inquiry) place() (err error) {
	if c.dest, err = c.e.Store.Destination(c.ctx, c.target.Destination); err != nil {
		return err
	}
	c.title = c.dest.Name
	for _, def := range c.e.Providers {
		if def.Name == c.dest.Provider && def.Title != "" {
			c.title = def.Title
		}
	}
	if c.dest.Authorization != "" {
		if c.auth, err = c.e.Store.Authorization(c.ctx, c.dest.Authorization); err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
	}
	if c.target.Job == "" {
		c.ended = true
		return c.nameOf(c.target.Audience)
	}
	c.job, err = c.e.Store.Job(c.ctx, c.target.Job)
	if errors.Is(err, activation.ErrNotFound) {
		c.ended, err = true, nil
	}
	if err != nil {
		return err
	}
	return c.nameOf(c.target.Audience)
}

// name reads the names of the audiences that the answer speaks of.
func (c *inquiry) name() error {
	for _, id := range slices.Concat(c.person.ExcludedBy, c.person.OutrankedBy) {
		if err := c.nameOf(id); err != nil {
			return err
		}
	}
	return nil
}

func (c *inquiry) nameOf(id activation.AudienceID) error {
	if id == "" {
		return nil
	}
	a, err := c.e.Store.Audience(c.ctx, id)
	if errors.Is(err, activation.ErrNotFound) {
		c.audiences[id] = "an audience that was deleted"
		return nil
	}
	c.audiences[id] = quoted(a.Name)
	return err
}

// follow reads what became of the person's newest rows.
func (c *inquiry) follow() (err error) {
	c.retry = map[activation.RunID]string{}
	for _, r := range c.runs {
		rows := slices.DeleteFunc(slices.Clone(c.person.Staged), func(s warehouse.PersonStaged) bool { return s.Run != r.ID })
		if len(rows) == 0 {
			continue
		}
		c.run, c.staged = r, rows
		if c.items, err = c.e.Store.Items(c.ctx, r.ID); err != nil {
			return err
		}
		if c.receipts, err = c.e.Store.Receipts(c.ctx, r.ID); err != nil {
			return err
		}
		break
	}
	for _, r := range c.runs {
		if r.Status != activation.RunFailed || r.ID != c.run.ID && r.ID != c.runs[0].ID {
			continue
		}
		ok, reason, err := c.e.Store.RetryVerdict(c.ctx, r.ID)
		if err != nil {
			return err
		}
		if ok {
			reason = ""
		}
		c.retry[r.ID] = reason
	}
	return nil
}

// wanted reports whether the next run would want the person at the network.
func (c *inquiry) wanted() bool {
	p := c.person
	return c.known && p.Member && !p.HeldOut && !p.Begun && len(p.ExcludedBy) == 0 && len(p.OutrankedBy) == 0 && !c.req.Nobody && c.unfit == nil && p.Usable
}

// current is the ledger's row of the keys the person has now.
func (c *inquiry) current() (row warehouse.PersonLedger, ok bool) {
	for _, l := range c.person.Ledger {
		if l.Current {
			return l, true
		}
	}
	return row, false
}

// held reports whether the network may hold the person by any keys.
func (c *inquiry) held() bool {
	return slices.ContainsFunc(c.person.Ledger, func(l warehouse.PersonLedger) bool { return l.State == inLedger || l.State == maybeInLedger })
}

// The states of the ledger's rows.
const (
	inLedger      = "in"
	maybeInLedger = "maybe"
	refusedInIt   = "refused"
	sharedInIt    = "shared"
)
