package warehousetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// patient makes the herald wait for the people of events, which nothing but
// their person identifies.
func (h *herald) patient() {
	h.keys = [][2]string{{"AMOUNT", "amount"}}
	h.with = func(r *warehouse.EventRequest) { r.Wait = true }
}

// ready checks whether events of the target need not wait any longer.
func (h *herald) ready(want bool) {
	h.t.Helper()
	for range 2 {
		got, err := h.ReadyEvents(context.Background())
		h.must(err)
		if slices.Contains(got, heraldTarget) != want {
			h.t.Fatalf("events are ready at %v, want at the herald's: %t", got, want)
		}
	}
}

// stages stages a run without queueing it.
func (h *herald) stages(run, stream string, want ...string) warehouse.Plan {
	h.t.Helper()
	plan, got := h.stage(run, stream)
	if !slices.Equal(got, want) {
		h.t.Errorf("%s stages %q, want %q", run, got, want)
	}
	return plan
}

var waitCases = []eventCase{
	{"an event waits until its person has keys", func(h *herald) {
		h.patient()
		h.customers("ann email=ann@x")
		h.happen("clicks", "customer=bob amount=1", "customer=ann amount=2", "amount=3")
		if c := h.tells("r1", "clicks", "AMOUNT=2 EMAIL=ann@x").Counts; c.Selected != 3 || c.Deferred != 2 || c.Omitted != 0 {
			h.t.Errorf("counts %+v", c)
		}
		h.ready(false)
		h.customers("bob country=DK") // changed, and still without keys
		h.ready(true)
		if c := h.tells("r2", "clicks").Counts; c.Selected != 1 || c.Deferred != 1 {
			h.t.Errorf("counts %+v", c)
		}
		h.ready(false)
		h.happen("clicks", "customer=ann amount=4")
		h.customers("bob email=bob@x")
		h.ready(true)
		h.tells("r3", "clicks", "AMOUNT=1 EMAIL=bob@x", "AMOUNT=4 EMAIL=ann@x")
		h.ready(false)
		h.customers("bob phone=1")
		h.ready(false)
		h.tells("r4", "clicks")
	}},
	{"without patience nothing waits", func(h *herald) {
		h.patient()
		h.with = nil
		h.happen("clicks", "customer=bob amount=1")
		if c := h.tells("r1", "clicks").Counts; c.Omitted != 1 || c.Deferred != 0 {
			h.t.Errorf("counts %+v", c)
		}
		h.customers("bob email=bob@x")
		h.ready(false)
		h.tells("r2", "clicks")
	}},
	{"an event that lacks a column of its own does not wait", func(h *herald) {
		h.patient()
		h.keys = append(h.keys, [2]string{"NEEDED", "currency"})
		h.happen("clicks", "customer=bob amount=1", "customer=bob amount=2 currency=EUR")
		if c := h.tells("r1", "clicks").Counts; c.Omitted != 1 || c.Deferred != 1 {
			h.t.Errorf("counts %+v", c)
		}
		h.customers("bob email=bob@x")
		h.tells("r2", "clicks", "AMOUNT=2 NEEDED=EUR EMAIL=bob@x")
	}},
	{"what waits is given back by a run that never queued", func(h *herald) {
		h.patient()
		h.happen("clicks", "customer=bob amount=1")
		h.stages("r1", "clicks")
		h.happen("clicks", "customer=eve amount=2")
		h.stages("r1", "clicks") // the same run, again
		h.stages("r2", "clicks") // r1 was never queued
		h.tells("r3", "clicks")
		h.customers("eve email=eve@x", "bob email=bob@x")
		h.happen("clicks", "customer=eve amount=3")
		want := []string{"AMOUNT=1 EMAIL=bob@x", "AMOUNT=2 EMAIL=eve@x", "AMOUNT=3 EMAIL=eve@x"}
		h.stages("r4", "clicks", want...)
		h.stages("r4", "clicks", want...)
		h.tells("r5", "clicks", want...) // r4 was never queued
		h.tells("r6", "clicks")
		h.ready(false)
	}},
	{"what waited and was lost is sent again", func(h *herald) {
		h.patient()
		h.happen("clicks", "customer=bob amount=1", "customer=eve amount=2")
		h.tells("r1", "clicks")
		h.customers("bob email=bob@x")
		h.tells("r2", "clicks", "AMOUNT=1 EMAIL=bob@x")
		h.again["r2"] = []warehouse.Range{{First: 1, Last: 1}}
		h.tells("r3", "clicks", "AMOUNT=1 EMAIL=bob@x")
		h.again["r3"] = []warehouse.Range{{First: 1, Last: 1}}
		h.must(h.Unstage(context.Background(), []activation.RunID{"r3"}))
		h.tells("r4", "clicks") // nobody knows what r3 took from whom
		h.customers("eve email=eve@x")
		h.tells("r5", "clicks", "AMOUNT=2 EMAIL=eve@x")
		h.more["r5"] = true
		h.tells("r6", "clicks")
		h.again["r5"] = []warehouse.Range{{First: 1, Last: 1}}
		h.must(h.Unstage(context.Background(), []activation.RunID{"r5"}))
		h.tells("r7", "clicks", "AMOUNT=2 EMAIL=eve@x")
	}},
	{"what waits too long is omitted", func(h *herald) {
		h.patient()
		since := int64(1000)
		h.with = func(r *warehouse.EventRequest) { r.Wait, r.Since = true, time.UnixMicro(since) }
		h.happen("clicks", "customer=bob amount=1 at=999", "customer=bob amount=2 at=1000", "customer=bob amount=3 at=2000")
		if c := h.tells("r1", "clicks").Counts; c.Omitted != 1 || c.Deferred != 2 {
			h.t.Errorf("counts %+v", c)
		}
		since = 1001
		if c := h.tells("r2", "clicks").Counts; c.Omitted != 1 || c.Selected != 1 {
			h.t.Errorf("counts %+v", c)
		}
		h.customers("bob email=bob@x")
		h.tells("r3", "clicks", "AMOUNT=3 EMAIL=bob@x")
	}},
	{"who is known by the events alone is nobody yet", func(h *herald) {
		h.patient()
		h.happen("orders", "order=1 customer=bob amount=1 email=bob@x")
		if c := h.tells("r1", "orders").Counts; c.Deferred != 1 || c.Omitted != 0 {
			h.t.Errorf("counts %+v", c)
		}
		h.ready(false)
		h.customers("bob country=DK")
		h.ready(true)
		h.tells("r2", "orders", "AMOUNT=1 EMAIL=bob@x")
		h.ready(false)
	}},
	{"a corrected message waits as it is now", func(h *herald) {
		h.patient()
		h.customers("bob country=DK")
		h.happen("orders", "order=1 customer=bob amount=1")
		h.tells("r1", "orders")
		h.happen("orders", "order=1 customer=bob amount=2 email=bob@x")
		h.tells("r2", "orders", "AMOUNT=2 EMAIL=bob@x")
		h.tells("r3", "orders")
		h.ready(false)
	}},
	{"who becomes known by a merge", func(h *herald) {
		h.patient()
		h.loader.Apply(h.t, warehouse.Schema{
			Fields:   []warehouse.Field{{Name: "card", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2}},
			Streams:  []warehouse.Stream{{Name: "cards"}},
			Mappings: []warehouse.Mapping{{Stream: "cards", Field: "card", Expression: "card"}, {Stream: "cards", Field: "customer", Expression: "customer"}},
		})
		h.customers("ann email=ann@x")
		h.happen("cards", "card=7 amount=1")
		h.tells("r1", "cards")
		h.ready(false)
		h.happen("clicks", "amount=1")
		h.happen("cards", "card=7 customer=ann amount=2")
		h.ready(true)
		h.tells("r2", "cards", "AMOUNT=1 EMAIL=ann@x", "AMOUNT=2 EMAIL=ann@x")
		h.ready(false)
	}},
	{"another column is another key", func(h *herald) {
		h.patient()
		h.happen("clicks", "customer=bob amount=1")
		h.customers("bob phone=1")
		h.tells("r1", "clicks")
		h.person = [][2]string{{"EMAIL", "phone"}}
		h.ready(false) // whoever changes the columns makes the target due
		h.tells("r2", "clicks", "AMOUNT=1 EMAIL=1")
	}},
	{"a limit and an allowance hold for what waited too", func(h *herald) {
		h.patient()
		limit, most := int64(3), int64(9)
		h.with = func(r *warehouse.EventRequest) { r.Wait, r.Limit, r.Allowance = true, limit, &most }
		h.happen("clicks", "customer=bob amount=1", "customer=bob amount=2", "customer=bob amount=3")
		h.tells("r1", "clicks")
		h.customers("bob email=bob@x", "eve email=eve@x")
		h.happen("clicks", "customer=eve amount=4", "customer=eve amount=5")
		limit = 2
		if c := h.tells("r2", "clicks", "AMOUNT=1 EMAIL=bob@x", "AMOUNT=2 EMAIL=bob@x").Counts; c.Left != 3 {
			h.t.Errorf("counts %+v", c)
		}
		h.again["r2"] = []warehouse.Range{{First: 2, Last: 2}}
		limit, most = 9, 0
		if c := h.tells("r3", "clicks", "AMOUNT=2 EMAIL=bob@x").Counts; c.Capped != 3 {
			h.t.Errorf("counts %+v", c)
		}
		h.ready(false) // the next period comes by itself
		most = 1
		if c := h.tells("r4", "clicks", "AMOUNT=3 EMAIL=bob@x").Counts; c.Capped != 2 {
			h.t.Errorf("counts %+v", c)
		}
		most = 9
		h.tells("r5", "clicks", "AMOUNT=4 EMAIL=eve@x", "AMOUNT=5 EMAIL=eve@x")
		h.tells("r6", "clicks")
	}},
	{"a target that is forgotten, and another job", func(h *herald) {
		h.patient()
		h.happen("clicks", "customer=bob amount=1")
		h.tells("r1", "clicks")
		h.must(h.ForgetEvents(context.Background(), heraldTarget))
		h.customers("bob email=bob@x")
		h.ready(false)
		h.with = func(r *warehouse.EventRequest) { r.Wait, r.Backfill = true, false }
		h.tells("r2", "clicks")
		h.happen("clicks", "customer=eve amount=2")
		h.tells("r3", "clicks")
		h.with = func(r *warehouse.EventRequest) { r.Wait, r.Backfill, r.Job = true, false, "next" }
		h.tells("r4", "clicks")
		h.customers("eve email=eve@x")
		h.ready(false)
		h.tells("r5", "clicks")
	}},
	{"people of an audience wait too", func(h *herald) {
		h.keys = [][2]string{{"WHAT", "$event"}}
		h.with = func(r *warehouse.EventRequest) { r.Wait, r.Audience = true, idOf("danes") }
		h.must(h.declare(`danes: FILTER country = "DK"`))
		h.customers("ann country=DK")
		h.tells("r1", "")
		h.ready(false)
		h.customers("ann email=ann@x")
		h.ready(true)
		h.tells("r2", "", "WHAT=enter EMAIL=ann@x")
		h.ready(false)
	}},
	{"targets wait beside each other", func(h *herald) {
		h.patient()
		h.happen("clicks", "customer=ann amount=1", "customer=bob amount=2")
		targets := []activation.TargetID{"t1", "t2", "t3"}
		staged := make([]int64, len(targets))
		stage := func(round string) {
			var work sync.WaitGroup
			for i, id := range targets {
				r := h.request(round+string(id), "clicks")
				r.Target = id
				r.Again = nil
				work.Go(func() {
					plan, err := h.StageEvents(context.Background(), r, nil)
					if err != nil {
						h.t.Errorf("%s beside others: %v", id, err)
					}
					staged[i] += plan.Counts.Staged
				})
			}
			h.customers(round+" country=DK", "bob phone="+round)
			work.Wait()
		}
		for n := range 3 {
			stage(fmt.Sprint("r", n))
		}
		h.customers("ann email=ann@x", "bob email=bob@x")
		stage("s")
		stage("t")
		if !slices.Equal(staged, []int64{2, 2, 2}) {
			h.t.Errorf("%v rows were staged, want 2 for each target", staged)
		}
	}},
	{"trying it lets nothing wait", func(h *herald) {
		h.patient()
		h.happen("clicks", "customer=bob amount=1")
		h.tells("r1", "clicks")
		h.customers("bob email=bob@x")
		h.happen("clicks", "customer=eve amount=2")
		for range 2 {
			plan, err := h.DryRunEvents(context.Background(), h.request("try", "clicks"))
			h.must(err)
			if c := plan.Counts; c.Staged != 1 || c.Deferred != 1 {
				h.t.Errorf("counts %+v", c)
			}
		}
		h.ready(true)
		h.tells("r2", "clicks", "AMOUNT=1 EMAIL=bob@x")
	}},
}

var periodCases = []eventCase{
	{"a period before the job began", func(h *herald) {
		var period activation.Period
		h.with = func(r *warehouse.EventRequest) { r.Backfill, r.Period, r.Since = false, period, time.UnixMicro(1000) }
		h.happen("orders", "order=0 amount=0 at=500", "order=1 amount=1 at=2000", "order=2 amount=2 at=3000", "order=3 amount=3 at=4000")
		h.tells("r1", "orders")
		h.happen("orders", "order=4 amount=4 at=2500") // came later
		period = activation.Period{From: time.UnixMicro(100), Until: time.UnixMicro(4000)}
		for range 2 {
			plan := h.stages("h1", "orders", "ID=1 AMOUNT=1", "ID=2 AMOUNT=2")
			if c := plan.Counts; c.Selected != 3 || c.Omitted != 1 || c.Left != 0 || plan.Seq != 0 {
				h.t.Errorf("message %d, counts %+v", plan.Seq, c)
			}
			dry, err := h.DryRunEvents(context.Background(), h.request("try", "orders"))
			h.must(err)
			if dry.Counts != plan.Counts {
				h.t.Errorf("the dry run counts %+v, the run %+v", dry.Counts, plan.Counts)
			}
		}
		period = activation.Period{}
		h.tells("r2", "orders", "ID=4 AMOUNT=4")
		h.tells("r3", "orders")
		period = activation.Period{From: time.UnixMicro(1000), Until: time.UnixMicro(9000)}
		h.stages("h2", "orders", "ID=1 AMOUNT=1", "ID=2 AMOUNT=2", "ID=3 AMOUNT=3")
	}},
	{"nothing is before a job that began with all there was", func(h *herald) {
		period := activation.Period{}
		h.with = func(r *warehouse.EventRequest) { r.Period = period }
		h.happen("orders", "order=1 amount=1 at=2000")
		h.tells("r1", "orders", "ID=1 AMOUNT=1")
		period = activation.Period{From: time.UnixMicro(1000), Until: time.UnixMicro(9000)}
		h.stages("h1", "orders")
		h.must(h.ForgetEvents(context.Background(), heraldTarget))
		h.stages("h2", "orders")
		h.with = func(r *warehouse.EventRequest) { r.Backfill, r.Period = false, period }
		h.stages("h3", "orders", "ID=1 AMOUNT=1") // not begun: it would begin now
	}},
	{"a period of an audience is refused, and of a period nothing waits", func(h *herald) {
		h.patient()
		period := activation.Period{From: time.UnixMicro(1), Until: time.UnixMicro(9000)}
		h.with = func(r *warehouse.EventRequest) { r.Wait, r.Backfill, r.Period = true, false, period }
		h.happen("clicks", "customer=bob amount=1 at=2000")
		if c := h.stages("h1", "clicks").Counts; c.Omitted != 1 || c.Deferred != 0 {
			h.t.Errorf("counts %+v", c)
		}
		h.customers("bob email=bob@x")
		h.ready(false)
		h.must(h.declare(`danes: FILTER country = "DK"`))
		r := h.request("h2", "")
		r.Audience, r.Columns = idOf("danes"), 0
		r.Keys.Keys, r.Keys.Fields = r.Keys.Keys[1:], r.Keys.Fields[1:]
		if _, err := h.DryRunEvents(context.Background(), r); activation.KindOf(err) != activation.Invalid {
			h.t.Errorf("%v", err)
		}
	}},
}

// eachAwaited: whoever becomes known whenever, and whichever runs are never
// queued, each event of somebody who has keys in the end is in the rows of one
// queued run.
func eachAwaited(rt *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		rt.Fatalf("%v", err)
	}
	defer closeStore(rt, w)
	h := newHerald(rt, dir, w)
	h.patient()
	limit := rapid.Int64Range(0, 4).Draw(rt, "limit")
	h.with = func(r *warehouse.EventRequest) { r.Wait, r.Limit = true, limit }
	people := []string{"ann", "bob", "eve", "kim"}
	known, told := map[string]bool{}, map[string]int{}
	var happened [][2]string // whose, amount
	queue := func(rows []string) {
		for _, row := range rows {
			told[row]++
		}
	}
	for n := range rapid.IntRange(1, 20).Draw(rt, "steps") {
		run := fmt.Sprint("r", n)
		switch rapid.SampledFrom([]string{"events", "events", "person", "queued", "staged"}).Draw(rt, "step") {
		case "events":
			var lines []string
			for range rapid.IntRange(1, 3).Draw(rt, "messages") {
				who := rapid.SampledFrom(people).Draw(rt, "who")
				amount := fmt.Sprint(len(happened))
				happened = append(happened, [2]string{who, amount})
				lines = append(lines, fmt.Sprintf("customer=%s amount=%s", who, amount))
			}
			h.happen("clicks", lines...)
		case "person":
			who := rapid.SampledFrom(people).Draw(rt, "who")
			known[who] = true
			h.customers(fmt.Sprintf("%s email=%s@x", who, who))
		case "queued":
			_, rows := h.tell(run, "clicks")
			queue(rows)
		case "staged":
			h.stage(run, "clicks")
		}
	}
	for n := 0; ; n++ {
		plan, rows := h.tell(fmt.Sprint("last", n), "clicks")
		queue(rows)
		ready, err := h.ReadyEvents(context.Background())
		h.must(err)
		if len(ready) == 0 && plan.Counts.Left == 0 && len(rows) == 0 {
			break
		}
		if n > 100 {
			rt.Fatalf("events are ready at %v and %d are left, for ever", ready, plan.Counts.Left)
		}
	}
	want := map[string]int{}
	for _, e := range happened {
		if known[e[0]] {
			want[fmt.Sprintf("AMOUNT=%s EMAIL=%s@x", e[1], e[0])] = 1
		}
	}
	if !maps.Equal(told, want) {
		rt.Fatalf("told %v of %v, known are %s", told, happened, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
}
