package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// What the journal does about periods, people who are not known yet and people
// whose events were accepted.

var _ warehouse.Patience = (*journal)(nil)

// stagePast stages what came in a period before the job began.
func (j *journal) stagePast(r warehouse.EventRequest) warehouse.Plan {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Again != nil || r.Wait || r.Limit != 0 || r.Allowance != nil {
		j.wrong = "what of a period is left out is left out for good"
	}
	var p warehouse.Plan
	j.rows[r.Run] = nil
	for n, e := range j.events {
		if e.past.Before(r.Period.From) || !e.past.Before(r.Period.Until) {
			continue
		}
		p.Counts.Selected, p.Counts.Eligible = p.Counts.Selected+1, p.Counts.Eligible+1
		if !e.usable || e.past.Before(r.Since) {
			p.Counts.Omitted++
			continue
		}
		j.rows[r.Run] = append(j.rows[r.Run], n)
	}
	p.Seq = 1 << 40 // which is no part of what waits
	p.Counts.Add = int64(len(j.rows[r.Run]))
	if p.Counts.Staged = p.Counts.Add; p.Counts.Add > 0 {
		p.Segments = []warehouse.Segment{{Phase: 1, Op: activation.OpAdd, Plain: true, First: 1, Last: p.Counts.Add}}
	}
	return p
}

// meet makes everybody known.
func (j *journal) meet() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := range j.events {
		j.events[n].stranger = false
	}
}

func (j *journal) ReadyEvents(context.Context) ([]activation.TargetID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := range j.waited {
		if !j.events[n].stranger {
			delete(j.waited, n)
			return []activation.TargetID{"target"}, nil
		}
	}
	return nil, nil
}

func (g *gatedEvents) ReadyEvents(ctx context.Context) ([]activation.TargetID, error) {
	return gate1(g.p, func() ([]activation.TargetID, error) { return g.Events.ReadyEvents(ctx) })
}

func (j *journal) Accept(_ context.Context, audience activation.AudienceID, items []warehouse.FoldItem) (entered int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.given[audience] == nil {
		j.given[audience] = map[string]bool{}
	}
	for _, it := range items {
		for n := it.First; n <= it.Last; n++ {
			if slices.ContainsFunc(it.Exceptions, func(x activation.Exception) bool { return it.First+x.Ordinal == n }) {
				continue
			}
			who := j.events[j.rows[it.Run][n-1]].who
			if !j.given[audience][who] {
				j.given[audience][who] = true
				entered++
			}
		}
	}
	return entered, nil
}

// thanking is a world of events whose job keeps an audience of those whose events
// were accepted.
func thanking(seed uint64, replay provider.Replay) *world {
	w := hearing(seed, replay, false)
	w.def.Workflows[0].Converted = &provider.Converted{
		Workflow: "keep",
		Event:    func(job map[string]string) string { return job["event"] },
		Settings: func(job map[string]string) (map[string]string, bool) {
			return map[string]string{"keeps": job["event"]}, job["audience"] != "off"
		},
	}
	w.def.Workflows[0].SyncType = activation.SyncOfflineConversion
	w.def.Workflows = append(w.def.Workflows, provider.Workflow{Name: "keep", Kind: provider.State})
	w.store.change(w.job, func(j *activation.Job) {
		j.Workflow, j.Stream, j.Config = "tell", "orders", map[string]string{"event": "Repeat Purchase"}
	})
	w.boot()
	return w
}

// thanked says what is wrong with the audience of conversions, in the end.
func (w *world) thanked() string {
	if w.def.Workflows[0].Converted == nil {
		return ""
	}
	heard := map[string]bool{}
	for _, n := range w.net.ear.heard {
		heard[n.who] = true
	}
	members := w.heard.given["conversion-repeat-purchase"]
	unknown := slices.ContainsFunc(w.store.all(), func(r activation.Run) bool { return r.Counts.Unknown > 0 })
	for who := range members {
		if !heard[who] {
			return fmt.Sprintf("%s is in the audience of conversions, and nothing of them was heard", who)
		}
	}
	if !unknown && len(members) != len(heard) {
		return fmt.Sprintf("those whose events were heard are %v, in the audience of conversions are %v",
			strings.Join(slices.Sorted(maps.Keys(heard)), " "), strings.Join(slices.Sorted(maps.Keys(members)), " "))
	}
	return ""
}
