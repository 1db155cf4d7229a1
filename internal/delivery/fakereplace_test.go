package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// What the fakes do about full replaces.

var errNobody = errors.New("there is nobody to bring in")

// replacing is a session at the network.
type replacing struct {
	id       int64
	of, last int // last is the number of the last batch that took effect
	rows     int64
	sent     map[string]bool
	over     bool
}

// follow finds what must never be in a session: batches out of order, a session
// that another attempt continues, numbers that contradict each other. n.mu is held.
func (n *network) follow(b provider.Batch) {
	r, remote := b.Replace, string(b.Remote)
	s := n.session[remote]
	if s == nil || s.id != r.Session {
		if r.Number != 1 {
			n.odd = fmt.Sprintf("batch %d of a session that the network never saw begin", r.Number)
		}
		s = &replacing{id: r.Session, of: r.Of, sent: map[string]bool{}}
		n.session[remote] = s
	}
	if s.last == 0 {
		s.of = r.Of // a first batch that was refused may be cut smaller
	}
	switch {
	case r.Session <= 0 || r.Of < 1 || r.Number > r.Of:
		n.odd = fmt.Sprintf("batch %d of %d in session %d", r.Number, r.Of, r.Session)
	case s.over:
		n.odd = "a batch came after the end of its session"
	case r.Of != s.of || r.Number != s.last+1:
		n.odd = fmt.Sprintf("batch %d of %d came after %d of %d", r.Number, r.Of, s.last, s.of)
	case b.Op != activation.OpAdd:
		n.odd = "a session removes somebody"
	}
}

// replace makes a batch of a session so. As soon as one has begun, some of those
// who were in the audience before are gone; at its end everybody is who was in
// none of its batches. n.mu is held.
func (n *network) replace(remote string, b provider.Batch, but int64) {
	s, audience := n.session[remote], n.audiences[remote]
	if audience == nil {
		return
	}
	s.last = b.Replace.Number
	s.rows += int64(b.Rows())
	for i := range b.Rows() {
		for _, v := range b.Row(i) {
			if v != nil && int64(i) != but {
				audience[string(v)], s.sent[string(v)] = true, true
			}
		}
	}
	for _, v := range slices.Sorted(maps.Keys(audience)) {
		if !s.sent[v] && (s.last == s.of || n.rand.IntN(2) == 0) {
			delete(audience, v)
		}
	}
	if s.over = s.last == s.of; s.over && s.rows != b.Replace.Rows {
		n.odd = fmt.Sprintf("a session of %d rows had %d", b.Replace.Rows, s.rows)
	}
}

// replaceAll plans that everybody wanted is sent. p.mu is held.
func (p *plane) replaceAll(r warehouse.PlanRequest, member map[int64]bool, plan *warehouse.Plan) (rows []change) {
	c := &plan.Counts
	staged, held := map[int64]bool{}, map[int64]bool{}
	for _, id := range slices.Sorted(maps.Keys(member)) {
		c.Selected++
		c.Eligible++
		v := version{id, p.people[id].keys}
		if v.keys == [2]string{} {
			c.Omitted++
			continue
		}
		c.Add++
		staged[id] = true
		rows = append(rows, change{op: activation.OpAdd, phase: 1, plain: true, of: v, values: v.keys})
		if row := p.ledger[r.Generation][v]; row != nil && row.state == "in" {
			c.InBefore++
		}
	}
	for v, row := range p.ledger[r.Generation] {
		if row.state == "in" || row.state == "maybe" {
			held[v.person] = true
		}
	}
	for id := range held {
		if !staged[id] {
			c.Remove++
		}
	}
	plan.Holding, c.Staged = int64(len(held)), int64(len(rows))
	if len(rows) > 0 {
		plan.Segments = []warehouse.Segment{{Phase: 1, Op: activation.OpAdd, Plain: true, First: 0, Last: c.Staged - 1}}
	}
	return rows
}

var _ warehouse.Replaces = (*plane)(nil)

func (p *plane) Replaced(_ context.Context, run activation.RunID, _ activation.TargetID, generation int) (int64, error) {
	defer p.lock()()
	key := "replaced/" + string(run)
	if r, done := p.folded[key]; done {
		return r.LeftIn, nil
	}
	before := p.holders(generation)
	maps.DeleteFunc(p.ledger[generation], func(v version, row *holding) bool { return row.state != "refused" && !p.took[run][v] })
	left := before - p.holders(generation)
	p.folded[key] = warehouse.FoldResult{LeftIn: left}
	return left, nil
}

// holders is how many people the network may hold. p.mu is held.
func (p *plane) holders(generation int) int64 {
	held := map[int64]bool{}
	for v, row := range p.ledger[generation] {
		if row.state == "in" || row.state == "maybe" {
			held[v.person] = true
		}
	}
	return int64(len(held))
}

func (p *plane) Doubt(_ context.Context, _ activation.TargetID, generation int) error {
	defer p.lock()()
	for _, row := range p.ledger[generation] {
		if row.state == "in" {
			row.state = "maybe"
		}
	}
	return nil
}

func (g *gatedPlane) Replaced(ctx context.Context, run activation.RunID, t activation.TargetID, generation int) (int64, error) {
	return gate1(g.p, func() (int64, error) {
		return g.worldPlane.Replaced(ctx, run, t, generation)
	})
}

func (g *gatedPlane) Doubt(ctx context.Context, t activation.TargetID, generation int) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldPlane.Doubt(ctx, t, generation)
}

// Accept is for the journal: nobody's events are accepted where there are none.
func (p *plane) Accept(context.Context, activation.AudienceID, []warehouse.FoldItem) (int64, error) {
	return 0, errNobody
}
