package delivery

import (
	"math/rand/v2"
	"testing"

	"usher/internal/activation"
)

// simulation is a run whose items end as chance has it. It does what the
// executor does for each step, with dice for network, crashes and people.
type simulation struct {
	t       *testing.T
	r       *rand.Rand
	p       progress
	sent    map[int]bool // phases of which an item was sent
	resends int
}

// TestProgress walks a million random steps and checks after each what must
// hold whatever happens.
func TestProgress(t *testing.T) {
	t.Parallel()
	steps := 1_000_000
	if testing.Short() || RaceEnabled {
		steps = 100_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for done := 0; done < steps; {
		s := &simulation{t: t, r: r, sent: map[int]bool{}, p: progress{replays: r.IntN(2) == 0}}
		done += s.run()
	}
}

// run walks one run to its end and returns how many steps it took.
func (s *simulation) run() int {
	for n := 1; ; n++ {
		if n > 2000 {
			s.t.Fatalf("a run never ends: %+v", s.p)
		}
		next := s.p.next()
		s.invariants(next)
		if next == stepFinish && s.finish() {
			return n
		}
		s.apply(next)
		s.mischief()
	}
}

// finish reports whether the run is over; one that awaits answers goes on later.
func (s *simulation) finish() bool {
	for _, it := range s.p.items {
		if it.State == activation.ItemQueued || it.State == activation.ItemSending {
			s.t.Fatalf("a run finishes with an item %s: %+v", it.State, s.p)
		}
	}
	if !s.p.unfoldable && len(s.p.unfolded()) > 0 {
		s.t.Fatalf("a run finishes with unfolded items: %+v", s.p)
	}
	if s.p.any(activation.ItemAwaiting) && s.p.cut {
		s.p.awaiting, s.p.pollDue = true, true
		return s.p.halt == haltEnded
	}
	return true
}

func (s *simulation) invariants(next step) {
	p := s.p
	switch next {
	case stepSend:
		for _, it := range p.sendable() {
			for _, other := range p.items {
				behind := other.Phase < it.Phase
				if behind && (!other.State.Final() || !other.Folded && (other.State == activation.ItemDelivered || other.State == activation.ItemUnknown)) {
					s.t.Fatalf("phase %d is sent while an item of phase %d is %s, folded %t", it.Phase, other.Phase, other.State, other.Folded)
				}
			}
		}
		if p.halt != haltNone || !p.remote || p.rekeyed || len(p.sendable()) == 0 {
			s.t.Fatalf("nothing may be sent now: %+v", p)
		}
	case stepReplay:
		if !p.replays || p.halt != haltNone || len(p.unfolded()) > 0 {
			s.t.Fatalf("nothing may be sent again now: %+v", p)
		}
	case stepPlan:
		if p.cut {
			s.t.Fatal("a run is planned although its items are in the store")
		}
	}
}

// apply does a step.
func (s *simulation) apply(next step) {
	p := &s.p
	switch next {
	case stepPlan:
		p.cut = true
		for n := range s.r.IntN(6) {
			p.items = append(p.items, activation.Item{Number: n, Phase: 1 + n/4, State: activation.ItemQueued, First: int64(10 * n), Last: int64(10*n + 9)})
		}
	case stepSupersede:
		s.move(activation.ItemQueued, activation.ItemSuperseded)
	case stepGiveUp:
		s.move(activation.ItemQueued, activation.ItemFailed)
	case stepWithdraw:
		s.move(activation.ItemQueued, activation.ItemWithdrawn)
	case stepForsake:
		s.move(activation.ItemAwaiting, activation.ItemUnknown)
	case stepFold:
		if s.r.IntN(50) == 0 {
			p.unfoldable, p.halt = true, haltFailed
			return
		}
		for i := range p.items {
			if st := p.items[i].State; st == activation.ItemDelivered || st == activation.ItemUnknown {
				p.items[i].Folded = true
			}
		}
	case stepReplay:
		if s.resends++; s.resends > 5 {
			p.halt = haltFailed // patience is over
			return
		}
		for i := range p.items {
			if p.items[i].State == activation.ItemUnknown {
				p.items[i].State, p.items[i].Folded = activation.ItemQueued, false
			}
		}
	case stepReopen:
		s.t.Fatal("rows of an awaiting run are to be sent again")
	case stepRemote:
		p.remote = s.r.IntN(3) > 0
	case stepSend:
		s.send()
	case stepPoll:
		p.pollDue = false
		for i := range p.items {
			if p.items[i].State == activation.ItemAwaiting && s.r.IntN(2) == 0 {
				p.items[i].State = []activation.ItemState{activation.ItemDelivered, activation.ItemUnknown}[s.r.IntN(2)]
			}
		}
	case stepFinish:
	}
}

// send rolls what becomes of the items of the present phase.
func (s *simulation) send() {
	ends := []activation.ItemState{activation.ItemDelivered, activation.ItemDelivered, activation.ItemDelivered, activation.ItemAwaiting, activation.ItemUnknown, activation.ItemQueued, activation.ItemSuperseded, activation.ItemSplit}
	for _, it := range s.p.sendable() {
		i := it.Number
		end := ends[s.r.IntN(len(ends))]
		if end == activation.ItemSplit {
			if it.Rows() == 1 {
				end = activation.ItemDelivered
			} else {
				for _, c := range halves(it) {
					c.Number = len(s.p.items)
					s.p.items = append(s.p.items, c)
				}
			}
		}
		s.p.items[i].State, s.p.items[i].Folded = end, false
	}
}

func (s *simulation) move(from, to activation.ItemState) {
	for i := range s.p.items {
		if s.p.items[i].State == from {
			s.p.items[i].State = to
		}
	}
}

// mischief is what happens between steps: takeovers, ends, new mappings.
func (s *simulation) mischief() {
	switch s.r.IntN(60) {
	case 0: // a takeover: what was in hand is forgotten, an error too
		s.p.remote, s.p.unfoldable = false, false
		if s.p.halt == haltFailed {
			s.p.halt = haltNone
		}
	case 1:
		s.p.halt = haltEnded
	case 2:
		if s.p.halt == haltNone {
			s.p.halt = haltFailed
		}
	case 3:
		s.p.rekeyed = s.p.halt == haltNone
	}
}
