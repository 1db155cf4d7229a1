// Package explain answers one question: is this person at that destination, and
// if not, why not? It follows one person from the messages that told of them to
// what the network answered, in the order in which a run is made, and marks the
// first place where they stopped.
//
// It reads and never changes anything; whoever calls it audits who asked. It must
// not know how an answer is shown, and the value that was asked for is in none of
// its words. It is built for the failure of an explanation that is made up: every
// step says what a table says, a person who is where they should be has no cause,
// and what is not kept any more is said to be so.
package explain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// Store is what is read of the control store.
type Store interface {
	Target(ctx context.Context, id activation.TargetID) (activation.Target, error)
	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	Authorization(ctx context.Context, id activation.AuthorizationID) (activation.Authorization, error)
	Runs(ctx context.Context, f store.RunFilter) ([]activation.Run, error)
	Items(ctx context.Context, run activation.RunID) ([]activation.Item, error)
	Receipts(ctx context.Context, run activation.RunID) (map[activation.ItemID][]activation.Receipt, error)
	RetryVerdict(ctx context.Context, id activation.RunID) (ok bool, reason string, err error)
	LastVerdict(ctx context.Context, target activation.TargetID) (activation.GuardVerdict, error)
}

// Warehouse is what is read of the data plane.
type Warehouse interface {
	Find(ctx context.Context, field, value string) (warehouse.Profile, error)
	Explain(ctx context.Context, r warehouse.PlanRequest, profile int64, runs []activation.RunID) (warehouse.Person, error)
}

// Planner tells what the next run of a target would be planned from.
type Planner interface {
	AsPlanned(ctx context.Context, t activation.Target) (req warehouse.PlanRequest, events bool, err error)
}

// Explainer answers questions about people.
type Explainer struct {
	Store     Store
	Warehouse Warehouse
	Planner   Planner
	Providers []provider.Definition
	// Page returns the page of the documentation for an error code.
	Page func(code string) string
}

// Question names a person by the value of an identifier field, and a target.
type Question struct {
	Field  string
	Value  string
	Target activation.TargetID
}

// Answer is what became of the person at the target.
type Answer struct {
	Target activation.TargetID `json:"target_id"`
	// Profile is the person's id; 0 = nobody is known by that value.
	Profile int64 `json:"profile_id,omitempty"`
	// Synced: the destination has the person, by the keys they have now. Of a
	// target that takes events: it took the newest one.
	Synced  bool   `json:"synced"`
	Summary string `json:"summary"`
	Steps   []Step `json:"steps"`
}

// Status is how far a person came.
type Status string

const (
	// OK: the person passed this step.
	OK Status = "ok"
	// Stop: here they stopped.
	Stop Status = "stop"
	// Info says something that decided nothing.
	Info Status = "info"
)

// Step is one step of a person's way, in a sentence.
type Step struct {
	Name   string `json:"name"`
	Text   string `json:"text"`
	Status Status `json:"status"`
	// Cause marks the first stop of somebody who is not synced.
	Cause bool `json:"cause"`
	// Run and Item are numbers, where the step is about one.
	Run  *int64    `json:"run,omitempty"`
	Item *int      `json:"item,omitempty"`
	At   time.Time `json:"at,omitzero"`
	// Code is an error code, and Page the page of the documentation about it.
	Code string `json:"code,omitempty"`
	Page string `json:"page,omitempty"`
}

// lastRuns is how many runs of a target are looked at, the newest ones.
const lastRuns = 30

// Explain follows one person. A value that names nobody is an answer, a field
// that finds nobody ever is an Invalid error.
func (e *Explainer) Explain(ctx context.Context, q Question) (Answer, error) {
	c, err := e.gather(ctx, q)
	if err != nil {
		return Answer{}, fmt.Errorf("explain: %w", err)
	}
	return c.answer(), nil
}

// gather reads all that the answer needs.
func (e *Explainer) gather(ctx context.Context, q Question) (*inquiry, error) {
	c := &inquiry{ctx: ctx, e: e, hide: hider(q.Value), field: q.Field, audiences: map[activation.AudienceID]string{}}
	var err error
	if c.target, err = e.Store.Target(ctx, q.Target); err != nil {
		return nil, err
	}
	profile, err := e.Warehouse.Find(ctx, q.Field, q.Value)
	if errors.Is(err, activation.ErrNotFound) {
		return c, c.place()
	}
	if err != nil {
		return nil, err
	}
	c.known = true
	if c.req, c.events, c.unfit = e.Planner.AsPlanned(ctx, c.target); c.unfit != nil && activation.KindOf(c.unfit) != activation.Invalid {
		return nil, c.unfit
	}
	if c.runs, err = e.Store.Runs(ctx, store.RunFilter{Target: c.target.ID, Limit: lastRuns}); err != nil {
		return nil, err
	}
	ids := make([]activation.RunID, len(c.runs))
	for i, r := range c.runs {
		ids[i] = r.ID
	}
	if c.person, err = e.Warehouse.Explain(ctx, c.req, profile.ID, ids); err != nil {
		return nil, err
	}
	if c.verdict, err = e.Store.LastVerdict(ctx, c.target.ID); err != nil {
		return nil, err
	}
	if err := c.place(); err != nil {
		return nil, err
	}
	if err := c.name(); err != nil {
		return nil, err
	}
	return c, c.follow()
}
