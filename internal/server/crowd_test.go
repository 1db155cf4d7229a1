package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// crowd is a data plane of audiences of one person each, for tests about when
// runs happen and not about who is in them.
type crowd struct {
	mu        sync.Mutex
	audiences map[activation.AudienceID]int64 // to their change number
	in        map[activation.TargetID]bool
	staged    map[activation.RunID]activation.TargetID
	folded    map[string]warehouse.FoldResult
}

func newCrowd() *crowd {
	return &crowd{
		audiences: map[activation.AudienceID]int64{}, in: map[activation.TargetID]bool{},
		staged: map[activation.RunID]activation.TargetID{}, folded: map[string]warehouse.FoldResult{},
	}
}

func (c *crowd) lock() func() { c.mu.Lock(); return c.mu.Unlock }

func (c *crowd) add(id activation.AudienceID) {
	defer c.lock()()
	c.audiences[id] = 1
}

func (c *crowd) Seq(context.Context) (map[activation.AudienceID]int64, error) {
	defer c.lock()()
	out := make(map[activation.AudienceID]int64, len(c.audiences))
	for id, n := range c.audiences {
		out[id] = n
	}
	return out, nil
}

// Nobody's identifiers change in a crowd.
func (c *crowd) KeySeq(context.Context) (map[activation.AudienceID]int64, error) { return nil, nil }

func (c *crowd) Waits(context.Context, []activation.AudienceID, int64) (warehouse.Waiting, error) {
	return warehouse.Waiting{}, nil
}

func (c *crowd) Accept(context.Context, activation.AudienceID, []warehouse.FoldItem) (int64, error) {
	return 0, nil
}

func (c *crowd) Replaced(context.Context, activation.RunID, activation.TargetID, int) (int64, error) {
	return 0, nil
}

func (c *crowd) Doubt(context.Context, activation.TargetID, int) error { return nil }

func (c *crowd) TimeDependent(context.Context, activation.AudienceID) (bool, error) {
	return false, nil
}

func (c *crowd) Evaluate(context.Context, activation.AudienceID, time.Time) error { return nil }

func (c *crowd) Reset(context.Context, activation.TargetID, int) error { return nil }

func (c *crowd) Forget(context.Context, activation.TargetID, int, string) error { return nil }

func (c *crowd) Holdings(_ context.Context, t activation.TargetID, _ int) (warehouse.Holdings, error) {
	defer c.lock()()
	if c.in[t] {
		return warehouse.Holdings{In: 1}, nil
	}
	return warehouse.Holdings{}, nil
}

func (c *crowd) Unstage(context.Context, []activation.RunID) error { return nil }

func (c *crowd) Stage(_ context.Context, r warehouse.PlanRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	for _, s := range []activation.Stage{activation.StagePayload, activation.StageAudiences, activation.StageStaging} {
		stage(s)
	}
	p := c.plan(r)
	defer c.lock()()
	c.staged[r.Run] = r.Target
	return p, nil
}

func (c *crowd) DryRun(_ context.Context, r warehouse.PlanRequest) (warehouse.Plan, error) {
	return c.plan(r), nil
}

// plan adds the one person that the network does not hold yet. One whose add
// has an outcome that nobody knows is held perhaps, and is added again.
func (c *crowd) plan(r warehouse.PlanRequest) warehouse.Plan {
	defer c.lock()()
	p := warehouse.Plan{Seq: c.audiences[r.Audience], Counts: activation.Counts{Selected: 1, Eligible: 1}}
	if c.in[r.Target] {
		p.Counts.Unchanged, p.Counts.InBefore, p.Holding = 1, 1, 1
		return p
	}
	p.Counts.Add, p.Counts.Staged = 1, 1
	p.Segments = []warehouse.Segment{{Phase: 1, Op: activation.OpAdd, Plain: true}}
	return p
}

func (c *crowd) Rows(_ context.Context, r warehouse.Range, _ bool, fn func(warehouse.KeyRow) error) error {
	for n := r.First; n <= r.Last; n++ {
		if err := fn(warehouse.KeyRow{Ordinal: n, Profile: 1, Values: [][]byte{[]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")}}); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) Fold(_ context.Context, items []warehouse.FoldItem) ([]warehouse.FoldResult, error) {
	defer c.lock()()
	var out []warehouse.FoldResult
	for _, it := range items {
		key := fmt.Sprint(it.Item, "/", it.Attempt)
		r, done := c.folded[key]
		if !done {
			r = warehouse.FoldResult{Item: it.Item}
			if it.Outcome == activation.Accepted && len(it.Exceptions) == 0 && !c.in[it.Target] {
				c.in[it.Target], r.BecameIn = true, 1
			}
			c.folded[key] = r
		}
		r.Skipped = done
		out = append(out, r)
	}
	return out, nil
}

func (c *crowd) InRows(_ context.Context, run activation.RunID, _ activation.TargetID, _ int) (int64, error) {
	defer c.lock()()
	if c.in[c.staged[run]] {
		return 1, nil
	}
	return 0, nil
}
