package delivery_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/warehouse"
)

// journal is an event log in memory that keeps the promises of warehouse.Events
// by its own, simplest means: it notes for each event which run has it.
type journal struct {
	*plane
	mu     sync.Mutex
	events []note
	has    map[int]activation.RunID // by event: the run that staged it
	rows   map[activation.RunID][]int
	runs   []activation.RunID // in the order of their first staging
	wrong  string             // what must never be
	given  map[activation.AudienceID]map[string]bool
	asked  []warehouse.PlanRequest // about audiences of people who are given
	waited map[int]bool            // events that were passed over because their person was not known
}

// note is something that happened to somebody.
type note struct {
	id, who string
	usable  bool
	// stranger: the person is not known yet.
	stranger bool
	// past is the time of what came before the job began; zero for what came since.
	past time.Time
}

func newJournal(p *plane) *journal {
	return &journal{plane: p, has: map[int]activation.RunID{}, rows: map[activation.RunID][]int{}, given: map[activation.AudienceID]map[string]bool{}, waited: map[int]bool{}}
}

var _ delivery.Events = (*journal)(nil)

// happen notes an event.
func (j *journal) happen(who string, usable bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, note{id: fmt.Sprint("event", len(j.events)), who: who, usable: usable})
}

func (j *journal) StageEvents(ctx context.Context, r warehouse.EventRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	for _, s := range []activation.Stage{activation.StagePayload, activation.StageAudiences, activation.StageStaging} {
		stage(s)
	}
	if r.Period != (activation.Period{}) {
		return j.stagePast(r), nil
	}
	if !slices.Contains(j.runs, r.Run) {
		j.runs = append(j.runs, r.Run)
	}
	if err := j.free(ctx, r); err != nil {
		return warehouse.Plan{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var p warehouse.Plan
	j.rows[r.Run] = nil
	for n, e := range j.events {
		if _, taken := j.has[n]; taken || !e.past.IsZero() {
			continue
		}
		if e.stranger && r.Wait {
			j.waited[n] = true
			continue
		}
		if r.Limit > 0 && p.Counts.Selected >= 5 { // a small limit shows more
			p.Counts.Left++
			continue
		}
		j.has[n] = r.Run
		p.Counts.Selected, p.Counts.Eligible = p.Counts.Selected+1, p.Counts.Eligible+1
		if !e.usable || e.stranger {
			p.Counts.Omitted++
			continue
		}
		j.rows[r.Run] = append(j.rows[r.Run], n)
	}
	p.Seq = int64(len(j.events))
	p.Counts.Add = int64(len(j.rows[r.Run]))
	if p.Counts.Staged = p.Counts.Add; p.Counts.Add > 0 {
		p.Segments = []warehouse.Segment{{Phase: 1, Op: activation.OpAdd, Plain: true, First: 1, Last: p.Counts.Add}}
	}
	return p, nil
}

// free gives back the events of runs that will not send them: this one's, which
// stages anew, and those that say so.
func (j *journal) free(ctx context.Context, r warehouse.EventRequest) error {
	for _, run := range j.runs {
		again := warehouse.Again{All: run == r.Run}
		if run != r.Run {
			var err error
			if again, err = r.Again(ctx, run); err != nil {
				return err
			}
		}
		j.mu.Lock()
		for n, has := range j.has {
			at := int64(slices.Index(j.rows[run], n) + 1)
			lost := again.All || slices.ContainsFunc(again.Rows, func(o warehouse.Range) bool { return at >= o.First && at <= o.Last && at > 0 })
			if has == run && lost {
				delete(j.has, n)
			}
		}
		j.mu.Unlock()
	}
	return nil
}

func (j *journal) DryRunEvents(ctx context.Context, r warehouse.EventRequest) (warehouse.Plan, error) {
	other := &journal{plane: j.plane, events: slices.Clone(j.events), has: map[int]activation.RunID{}, rows: map[activation.RunID][]int{}}
	for n, run := range j.has {
		other.has[n] = run
	}
	return other.StageEvents(ctx, r, func(activation.Stage) {})
}

func (j *journal) StreamSeq(context.Context) (map[string]int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return map[string]int64{"orders": int64(len(j.events))}, nil
}

func (j *journal) ForgetEvents(context.Context, activation.TargetID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.has = map[int]activation.RunID{}
	return nil
}

func (j *journal) Rows(_ context.Context, r warehouse.Range, recheck bool, fn func(warehouse.KeyRow) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if recheck {
		j.wrong = "events are checked again"
	}
	for n := r.First; n <= r.Last; n++ {
		e := j.events[j.rows[r.Run][n-1]]
		if err := fn(warehouse.KeyRow{Ordinal: n, Values: [][]byte{[]byte(e.id), []byte(e.who)}}); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) Stage(_ context.Context, r warehouse.PlanRequest, _ func(activation.Stage)) (warehouse.Plan, error) {
	if j.given[r.Audience] != nil { // only what is asked for is looked at
		j.asked = append(j.asked, r)
		return warehouse.Plan{}, nil
	}
	j.wrong = "events are planned as members"
	return warehouse.Plan{}, nil
}

func (j *journal) Fold(context.Context, []warehouse.FoldItem) ([]warehouse.FoldResult, error) {
	j.wrong = "events are folded"
	return nil, nil
}

func (j *journal) Unstage(_ context.Context, runs []activation.RunID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range runs {
		j.runs = slices.DeleteFunc(j.runs, func(r activation.RunID) bool { return r == id })
		delete(j.rows, id)
	}
	return nil
}

// ear is the far side of events: what took effect, in order.
type ear struct {
	// drops: the network drops an event that it has had already.
	drops bool
	heard []note
	times map[string]int
}

func (e *ear) hear(row [][]byte) {
	n := note{id: string(row[0]), who: string(row[1])}
	if e.times[n.id]++; e.drops && e.times[n.id] > 1 {
		return
	}
	e.heard = append(e.heard, n)
}

// verdict compares what was heard with what happened. sure: nothing may be
// missing; once: nothing may be there twice; inOrder: each person's in order.
func (j *journal) verdict(e *ear, sure, once, inOrder bool) string {
	if j.wrong != "" {
		return j.wrong
	}
	last := map[string]int{}
	count := map[string]int{}
	for _, h := range e.heard {
		n := slices.IndexFunc(j.events, func(o note) bool { return o.id == h.id })
		if n < 0 || j.events[n].who != h.who || !j.events[n].usable {
			return fmt.Sprintf("heard what never was: %+v", h)
		}
		count[h.id]++
		if first := count[h.id] == 1; first && inOrder && n+1 < last[h.who] {
			return fmt.Sprintf("%s of %s was heard after %s", h.id, h.who, j.events[last[h.who]-1].id)
		}
		last[h.who] = max(last[h.who], n+1)
	}
	for _, o := range j.events {
		switch n := count[o.id]; {
		case !o.past.IsZero() || o.stranger:
		case o.usable && n == 0 && sure:
			return o.id + " was lost"
		case n > 1 && once:
			return fmt.Sprintf("%s was heard %d times", o.id, n)
		}
	}
	return ""
}

// gatedEvents stop answering when their process is dead.
type gatedEvents struct {
	delivery.Events
	p *process
}

func (g *gatedEvents) StageEvents(ctx context.Context, r warehouse.EventRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	return gate1(g.p, func() (warehouse.Plan, error) { return g.Events.StageEvents(ctx, r, stage) })
}

func (g *gatedEvents) ForgetEvents(ctx context.Context, t activation.TargetID) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.Events.ForgetEvents(ctx, t)
}

// orders is the real data plane whose stream of orders is what the world's
// journal says.
type orders struct {
	*lake
	w    *world
	sent int
}

// StreamSeq brings in what has happened before it tells the message numbers.
func (o *orders) StreamSeq(ctx context.Context) (map[string]int64, error) {
	j := o.w.heard
	for o.sent < len(j.events) {
		e := j.events[o.sent]
		who := e.who
		if !e.usable {
			who = ""
		}
		if err := o.message(ctx, o.sent, e.id, who, e.usable); err != nil {
			return nil, err
		}
		o.sent++
	}
	return o.DB.StreamSeq(ctx)
}

// message loads one order. One that is not usable has happened too early.
func (o *orders) message(ctx context.Context, n int, id, who string, usable bool) error {
	path := filepath.Join(o.dir, fmt.Sprint("order", n, ".csv"))
	if err := os.WriteFile(path, fmt.Appendf(nil, "1,%d,%s,%s,%t\n", time.Now().UnixMicro(), id, who, usable), 0o600); err != nil {
		return err
	}
	if n == 0 {
		text := warehouse.Schema{Streams: []warehouse.Stream{{Name: "orders", MessageID: []string{"id"}}}, Mappings: []warehouse.Mapping{{Stream: "orders", Field: "uid", Expression: "who"}}}
		if _, err := o.Apply(ctx, text); err != nil {
			return err
		}
	}
	_, err := o.Merge(ctx, warehouse.Load{ID: fmt.Sprint("order", n), Stream: "orders", Path: path, Columns: []string{"id", "who", "usable"}, Rows: 1, ReceivedAt: time.Now()}, nil)
	return err
}
