package decision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// MaxCustomers is the most customers of one call.
const MaxCustomers = 1000

// maxIDBytes is the longest id of a customer.
const maxIDBytes = 1000

// Customer asks for a decision for one person.
type Customer struct {
	// ID is the person's value of the customer field.
	ID    string           `json:"id"`
	Level activation.Level `json:"level"`
	// Action is what was decided elsewhere: the id of an action at the level, its
	// name, or Issue/Group/Action where several have that name. "" = Usher decides.
	Action string `json:"action,omitempty"`
}

// Status is what became of one customer.
type Status string

const (
	// Decided: the customer was moved.
	Decided Status = "decided"
	// Unchanged: the customer is where the decision would move them.
	Unchanged Status = "unchanged"
	// Nothing: no action is eligible; the customer is in no audience of the level.
	Nothing Status = "nothing"
	// NotEligible: the customer is not eligible for the action that was asked for,
	// and stays.
	NotEligible Status = "not_eligible"
	// UnknownCustomer: nobody has the id.
	UnknownCustomer Status = "unknown_customer"
	// UnknownLevel, UnknownAction: there is none of that name.
	UnknownLevel  Status = "unknown_level"
	UnknownAction Status = "unknown_action"
	// AmbiguousAction: several actions at the level have the name.
	AmbiguousAction Status = "ambiguous_action"
	// DisabledAction: the action takes no part in decisions.
	DisabledAction Status = "disabled_action"
)

// Statuses lists them in the order the docs use.
var Statuses = []Status{Decided, Unchanged, Nothing, NotEligible, UnknownCustomer, UnknownLevel, UnknownAction, AmbiguousAction, DisabledAction}

// Outcome is what was decided for one customer. An action is written
// Issue/Group/Action.
type Outcome struct {
	ID    string           `json:"id"`
	Level activation.Level `json:"level"`
	// Action is that which the customer is decided for now; "" = none, or nothing
	// was decided.
	Action string `json:"action,omitempty"`
	Status Status `json:"status"`
	// Left are the actions whose audiences the customer left by it.
	Left []string `json:"left,omitempty"`
}

// Decide decides for customers one by one, in order: the outcome of a customer who
// is there twice is that of the last time. Each has an outcome of their own; what
// is wrong with one keeps nobody else from being decided for.
func (d *Decisions) Decide(ctx context.Context, customers []Customer, user string) (out []Outcome, err error) {
	if err := checkCustomers(customers); err != nil {
		return nil, err
	}
	err = d.beside(ctx, func() error {
		r, err := d.request(ctx, customers)
		if err != nil {
			return err
		}
		out = r.outcomes
		for _, b := range r.batches {
			if err := d.decideBatch(ctx, r, b); err != nil {
				return fmt.Errorf("decide: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := map[Status]int{}
	for _, o := range out {
		counts[o.Status]++
	}
	d.Log.InfoContext(ctx, "decided for customers", "user", user, "customers", len(customers), "moved", counts[Decided])
	return out, nil
}

func checkCustomers(customers []Customer) error {
	var p problems
	switch {
	case len(customers) == 0:
		p.add("customers", "at least one customer is needed")
	case len(customers) > MaxCustomers:
		p.add("customers", "has %d customers; at most %d are taken at once", len(customers), MaxCustomers)
		return p.Err()
	}
	for i, c := range customers {
		if id := strings.TrimSpace(c.ID); id == "" || len(id) > maxIDBytes {
			p.add(fmt.Sprintf("customers[%d].id", i), "must have from 1 to %d bytes", maxIDBytes)
		}
		if c.Level == "" {
			p.add(fmt.Sprintf("customers[%d].level", i), "is needed: Issue, Issue/Group or all")
		}
	}
	return p.Err()
}

// request is a call on its way: what is known of each customer, and who is
// decided for together.
type request struct {
	h        activation.Hierarchy
	outcomes []Outcome
	batches  []batch
}

// batch is customers who are decided for in one transaction: at one level, for
// one action or for none, each of them once.
type batch struct {
	level     activation.Level
	action    *activation.Action // nil = Usher decides
	customers []int              // by their places in the call
	profiles  []int64            // theirs
}

// request finds the customers and divides them into batches. Whoever is there
// twice is in a later batch the second time.
func (d *Decisions) request(ctx context.Context, customers []Customer) (*request, error) {
	h, err := d.Store.Hierarchy(ctx)
	if err != nil {
		return nil, err
	}
	find, err := d.finder(ctx)
	if err != nil {
		return nil, err
	}
	r := &request{h: h, outcomes: make([]Outcome, len(customers))}
	last := map[int64]int{} // by profile: the first batch behind the one they are in
	for i, c := range customers {
		o := &r.outcomes[i]
		o.ID, o.Level = c.ID, c.Level
		if !h.Exists(c.Level) {
			o.Status = UnknownLevel
			continue
		}
		var action *activation.Action
		if c.Action != "" {
			if action, o.Status = named(h, c.Level, c.Action); action == nil {
				continue
			}
		}
		profile, err := find(strings.TrimSpace(c.ID))
		if errors.Is(err, activation.ErrNotFound) {
			o.Status = UnknownCustomer
			continue
		}
		if err != nil {
			return nil, err
		}
		last[profile] = r.put(last[profile], batch{c.Level, action, []int{i}, []int64{profile}})
	}
	return r, nil
}

// put puts one customer into a batch from the first possible one on, and returns
// the number of the one behind it.
func (r *request) put(from int, one batch) int {
	for n := from; n < len(r.batches); n++ {
		b := &r.batches[n]
		if b.level == one.level && (b.action == nil) == (one.action == nil) && (b.action == nil || b.action.ID == one.action.ID) {
			b.customers = append(b.customers, one.customers...)
			b.profiles = append(b.profiles, one.profiles...)
			return n + 1
		}
	}
	r.batches = append(r.batches, one)
	return len(r.batches)
}

// finder returns what finds the profile of a customer, and asks for each once.
func (d *Decisions) finder(ctx context.Context) (func(id string) (int64, error), error) {
	s, err := d.Warehouse.Schema(ctx)
	if err != nil {
		return nil, err
	}
	field, err := s.Customer(d.CustomerField)
	if err != nil {
		return nil, err
	}
	type answer struct {
		profile int64
		err     error
	}
	known := map[string]answer{}
	return func(id string) (int64, error) {
		a, ok := known[id]
		if !ok {
			p, err := d.Warehouse.Find(ctx, field.Name, id)
			a = answer{p.ID, err}
			known[id] = a
		}
		return a.profile, a.err
	}, nil
}

// named finds the action that a customer asks for, or says why there is none.
func named(h activation.Hierarchy, l activation.Level, name string) (*activation.Action, Status) {
	var found []activation.Action
	for _, a := range h.At(l) {
		switch name {
		case string(a.ID), pathOf(h, a):
			found = []activation.Action{a}
		case a.Name:
			found = append(found, a)
			continue
		default:
			continue
		}
		break
	}
	switch {
	case len(found) == 0:
		return nil, UnknownAction
	case len(found) > 1:
		return nil, AmbiguousAction
	case !found[0].Enabled:
		return nil, DisabledAction
	}
	return &found[0], ""
}

// pathOf writes an action as Issue/Group/Action.
func pathOf(h activation.Hierarchy, a activation.Action) string {
	return string(h.LevelOf(a)) + "/" + a.Name
}

// decideBatch decides for the customers of a batch, in one transaction. For an
// action that was asked for only those are decided for who are eligible.
func (d *Decisions) decideBatch(ctx context.Context, r *request, b batch) error {
	q := d.ask(r.h, b.level)
	at := map[int64]*Outcome{}
	for n, i := range b.customers {
		at[b.profiles[n]] = &r.outcomes[i]
	}
	if len(q.Level) == 0 {
		for _, o := range at {
			o.Status = Nothing
		}
		return nil
	}
	if b.action != nil {
		q.Choices = []warehouse.Choice{{Audience: b.action.Audience, Eligible: b.action.Eligibility}}
		q.Stay = true
	}
	q.Profiles = b.profiles
	names := map[activation.AudienceID]string{}
	for _, a := range r.h.Actions {
		names[a.Audience] = pathOf(r.h, a)
	}
	done, err := d.Warehouse.Decide(ctx, q, func(one warehouse.Decision) {
		o := at[one.Profile]
		if o == nil {
			return
		}
		o.Action, o.Left = names[one.Audience], nil
		for _, left := range one.Left {
			o.Left = append(o.Left, names[left])
		}
		o.Status = statusOf(one, b.action != nil)
	})
	if err != nil {
		return err
	}
	for _, o := range at { // merged away, or forgotten, since they were found
		if o.Status == "" {
			o.Status = UnknownCustomer
		}
	}
	if done.Entered+done.Left > 0 {
		d.Moved(ctx)
	}
	return nil
}

func statusOf(one warehouse.Decision, asked bool) Status {
	switch {
	case one.Audience == "" && asked:
		return NotEligible
	case one.Audience == "":
		return Nothing
	case one.Entered || len(one.Left) > 0:
		return Decided
	}
	return Unchanged
}

// ask is a decision at a level: among the audiences of all its actions, for those
// that are enabled, the strongest first.
func (d *Decisions) ask(h activation.Hierarchy, l activation.Level) warehouse.DecideRequest {
	q := warehouse.DecideRequest{Now: d.Now()}
	for _, a := range h.At(l) {
		q.Level = append(q.Level, a.Audience)
		if a.Enabled {
			q.Choices = append(q.Choices, warehouse.Choice{Audience: a.Audience, Eligible: a.Eligibility})
		}
	}
	return q
}
