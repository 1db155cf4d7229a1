package enrich

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// What became of asking about one person; "" = nobody asked.
const (
	outcomeReply  = "reply"
	outcomeNone   = "none"
	outcomeFailed = "failed"
)

// answer is what became of one person; the zero value is nobody asked about.
type answer struct {
	outcome string
	reply   provider.Reply
}

// round asks about one page of people. mu holds everything below it.
type round struct {
	asker    provider.Enricher
	settings settings

	mu      sync.Mutex
	answers []answer // of each of the people
	stop    error    // ends the round: nothing more is begun
	inARow  int      // calls that failed one after another
}

// ask asks about all of them, some calls at a time, and returns what ended it
// early.
func (r *round) ask(ctx context.Context, people []warehouse.Enrichment) error {
	r.answers = make([]answer, len(people))
	type part struct{ from, until int }
	parts := make(chan part)
	var workers sync.WaitGroup
	for range r.settings.workers {
		workers.Go(func() {
			for p := range parts {
				if !r.stopped() {
					r.call(ctx, people, p.from, p.until)
				}
			}
		})
	}
	for i := 0; i < len(people) && !r.stopped(); i += r.settings.batch {
		parts <- part{i, min(i+r.settings.batch, len(people))}
	}
	close(parts)
	workers.Wait()
	return r.stop
}

func (r *round) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stop != nil
}

// call asks about people[from:until] in one call. What is refused as a whole is
// halved, until whoever it is about is alone.
func (r *round) call(ctx context.Context, people []warehouse.Enrichment, from, until int) {
	asked := make([]provider.AskedPerson, 0, until-from)
	for _, p := range people[from:until] {
		asked = append(asked, provider.AskedPerson{ID: p.Profile, Values: p.Values})
	}
	replies, err := r.asker.Ask(ctx, asked)
	if err == nil && len(replies) != len(asked) {
		err = &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: fmt.Sprintf("%d replies came for %d people", len(replies), len(asked))}
	}
	if activation.KindOf(err) == activation.RefusedWhole && until-from > 1 {
		half := from + (until-from)/2
		r.call(ctx, people, from, half)
		if !r.stopped() {
			r.call(ctx, people, half, until)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.inARow = 0
		for i, reply := range replies {
			r.answers[from+i] = answer{outcome: outcomeNone}
			if reply.Known {
				r.answers[from+i] = answer{outcomeReply, reply}
			}
		}
		return
	}
	switch kind := activation.KindOf(err); {
	case ctx.Err() != nil:
		r.end(context.Cause(ctx)) // nothing is known of them
		return
	case kind == activation.RefusedWhole:
		r.inARow = 0 // it answers, and knows whom it refuses
	case kind != activation.Unavailable || slices.Contains(away, activation.CodeOf(err)):
		r.end(err)
		return
	default:
		if r.inARow++; r.inARow >= manyFailures {
			r.end(err)
			return
		}
	}
	for i := from; i < until; i++ {
		r.answers[i] = answer{outcome: outcomeFailed}
	}
}

// away are the codes by which the far side can't be reached at all.
var away = []string{"OUTBOUND-UNREACHABLE", "OUTBOUND-PAUSED", "OUTBOUND-PACED"}

// end ends the round with its first reason; mu is held.
func (r *round) end(err error) {
	if r.stop == nil {
		r.stop = err
	}
	if r.stop == nil {
		r.stop = errors.New("the round ended")
	}
}
