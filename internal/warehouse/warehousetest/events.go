package warehousetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// Events judges how a warehouse stages events: the messages of a stream, and the
// people who enter and leave an audience.
func Events(t *testing.T, open Open) {
	for _, c := range slices.Concat(eventCases, waitCases, periodCases) {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(newHerald(t, t.TempDir(), w))
		})
	}
	t.Run("each event once", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "8")
		rapid.Check(t, func(rt *rapid.T) { eachOnce(rt, dir, open) })
	})
	t.Run("each waiting event once", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "8")
		rapid.Check(t, func(rt *rapid.T) { eachAwaited(rt, dir, open) })
	})
}

// herald is a shop that tells a network what happens.
type herald struct {
	*shop
	keys   [][2]string // of the event: name, source
	person [][2]string // of its person: name, field
	with   func(*warehouse.EventRequest)
	queued map[activation.RunID]bool // what Again is told
	again  map[activation.RunID][]warehouse.Range
	more   map[activation.RunID]bool
}

const heraldTarget activation.TargetID = "herald"

func newHerald(t T, dir string, w warehouse.Warehouse) *herald {
	t.Helper()
	h := &herald{
		shop: newShop(t, dir, w), keys: [][2]string{{"ID", "$id"}, {"AMOUNT", "amount"}}, person: [][2]string{{"EMAIL", "email"}},
		queued: map[activation.RunID]bool{}, again: map[activation.RunID][]warehouse.Range{}, more: map[activation.RunID]bool{},
	}
	h.loader.Apply(t, warehouse.Schema{
		Streams: []warehouse.Stream{{Name: "orders", MessageID: []string{"order"}}, {Name: "lines", MessageID: []string{"order", "line"}}, {Name: "clicks"}},
		Mappings: []warehouse.Mapping{
			{Stream: "orders", Field: "customer", Expression: "customer"},
			{Stream: "clicks", Field: "customer", Expression: "customer"},
			{Stream: "orders", Field: "email", Expression: "email"},
		},
	})
	return h
}

// happen loads messages, each written "column=value column=value"; at= is the
// time in microseconds.
func (h *herald) happen(stream string, lines ...string) {
	h.t.Helper()
	var rows []Row
	for _, line := range lines {
		h.clock++
		row := Row{Time: h.clock, Values: map[string]string{}}
		for _, pair := range strings.Fields(line) {
			name, value, _ := strings.Cut(pair, "=")
			if name == "at" {
				_, err := fmt.Sscan(value, &row.Time)
				h.must(err)
				continue
			}
			row.Values[name] = value
		}
		rows = append(rows, row)
	}
	h.loads++
	h.loader.Load(h.t, fmt.Sprintf("events-%d", h.loads), stream, rows...)
}

func (h *herald) request(run, stream string) warehouse.EventRequest {
	r := warehouse.EventRequest{
		Run: activation.RunID(run), Target: heraldTarget, Job: "job", Stream: stream, Columns: len(h.keys), Backfill: true, Enters: true, Exits: true,
		Again: func(_ context.Context, run activation.RunID) (warehouse.Again, error) {
			return warehouse.Again{All: !h.queued[run], Rows: h.again[run], More: h.more[run]}, nil
		},
	}
	for i, k := range slices.Concat(h.keys, h.person) {
		r.Keys.Keys = append(r.Keys.Keys, matchkey.Key{Name: k[0], Exact: true, Identifies: k[0] == "ID" || k[0] == "EMAIL", Required: k[0] == "NEEDED", Normalize: matchkey.Plain, Hash: k[0] == "HASHED"})
		r.Keys.Fields = append(r.Keys.Fields, k[1])
		r.Keys.ID += fmt.Sprint(i, k)
	}
	if h.with != nil {
		h.with(&r)
	}
	return r
}

// tell stages a run, queues it and returns its rows: "ID=1 AMOUNT=3". It checks
// the laws, and that the rows can be looked at.
func (h *herald) tell(run, stream string) (warehouse.Plan, []string) {
	h.t.Helper()
	plan, rows := h.stage(run, stream)
	h.queued[activation.RunID(run)] = true
	return plan, rows
}

func (h *herald) stage(run, stream string) (warehouse.Plan, []string) {
	h.t.Helper()
	r := h.request(run, stream)
	plan, err := h.StageEvents(context.Background(), r, nil)
	h.must(err)
	c := plan.Counts
	c.Unsent = c.Staged
	h.must(c.CheckLaws())
	if want := min(1, c.Staged); int64(len(plan.Segments)) != want {
		h.t.Fatalf("%d rows in segments %+v", c.Staged, plan.Segments)
	}
	if c.Staged == 0 {
		return plan, nil
	}
	s := plan.Segments[0]
	if s != (warehouse.Segment{Phase: 1, Op: activation.OpAdd, Plain: true, First: 1, Last: c.Staged}) {
		h.t.Errorf("segment %+v of %d rows", s, c.Staged)
	}
	var rows []string
	h.must(h.Rows(context.Background(), warehouse.Range{Run: r.Run, First: s.First, Last: s.Last}, false, func(row warehouse.KeyRow) error {
		var line []string
		for i, v := range row.Values {
			if v != nil {
				line = append(line, fmt.Sprintf("%s=%s", r.Keys.Keys[i].Name, v))
			}
		}
		rows = append(rows, strings.Join(line, " "))
		return nil
	}))
	view, err := h.StagedView(context.Background(), r.Run, s.First, s.Last, 1000)
	h.must(err)
	if len(view) != len(rows) {
		h.t.Errorf("%d of %d rows can be looked at", len(view), len(rows))
	}
	return plan, rows
}

func (h *herald) tells(run, stream string, want ...string) warehouse.Plan {
	h.t.Helper()
	plan, got := h.tell(run, stream)
	if !slices.Equal(got, want) {
		h.t.Errorf("%s tells %q, want %q", run, got, want)
	}
	return plan
}

type eventCase struct {
	name string
	run  func(h *herald)
}

var eventCases = []eventCase{
	{"a stream from its beginning", func(h *herald) {
		h.customers("ann email=ann@x")
		h.happen("orders", "order=1 customer=ann amount=3", "order=2 customer=bob amount=4")
		h.tells("r1", "orders", "ID=1 AMOUNT=3 EMAIL=ann@x", "ID=2 AMOUNT=4")
		h.tells("r2", "orders")
		h.happen("orders", "order=3 customer=ann amount=5")
		plan := h.tells("r3", "orders", "ID=3 AMOUNT=5 EMAIL=ann@x")
		if c := plan.Counts; c.Selected != 1 || c.Eligible != 1 || c.Add != 1 || c.Staged != 1 || c.Left != 0 {
			h.t.Errorf("counts %+v", c)
		}
		seq, err := h.StreamSeq(context.Background())
		h.must(err)
		if plan.Seq != seq["orders"] || seq["customers"] == 0 || seq["customers"] >= seq["orders"] {
			h.t.Errorf("the plan saw message %d of %v", plan.Seq, seq)
		}
	}},
	{"a stream from now on", func(h *herald) {
		h.with = func(r *warehouse.EventRequest) { r.Backfill = false }
		h.happen("orders", "order=1 amount=3")
		h.tells("r1", "orders")
		h.happen("orders", "order=2 amount=4")
		h.tells("r2", "orders", "ID=2 AMOUNT=4")
	}},
	{"a stream nobody has sent to", func(h *herald) {
		h.tells("r1", "clicks")
		h.tells("r2", "nowhere")
		h.happen("clicks", "amount=1")
		if _, rows := h.tell("r3", "clicks"); len(rows) != 1 {
			h.t.Errorf("%q", rows)
		}
	}},
	{"what is staged again", func(h *herald) {
		h.happen("orders", "order=1 amount=1", "order=2 amount=2", "order=3 amount=3")
		if _, rows := h.stage("r1", "orders"); len(rows) != 3 {
			h.t.Errorf("%q", rows)
		}
		h.happen("orders", "order=4 amount=4")
		if _, rows := h.stage("r1", "orders"); len(rows) != 4 { // the same run, again
			h.t.Errorf("%q", rows)
		}
		h.tells("r2", "orders", "ID=1 AMOUNT=1", "ID=2 AMOUNT=2", "ID=3 AMOUNT=3", "ID=4 AMOUNT=4") // r1 was never queued
		h.again["r2"] = []warehouse.Range{{First: 1, Last: 1}, {First: 3, Last: 4}}                 // and r2 sent only its second
		h.happen("orders", "order=5 amount=5")
		most := int64(0) // does not hold back what was let through before
		h.with = func(r *warehouse.EventRequest) { r.Allowance = &most }
		want := []string{"ID=1 AMOUNT=1", "ID=3 AMOUNT=3", "ID=4 AMOUNT=4"}
		for range 2 {
			if _, rows := h.stage("r3", "orders"); !slices.Equal(rows, want) {
				h.t.Errorf("%q, want %q", rows, want)
			}
		}
		h.with = nil
		h.tells("r4", "orders", append(want, "ID=5 AMOUNT=5")...)
		h.again["r4"] = []warehouse.Range{{First: 4, Last: 4}}
		h.must(h.Unstage(context.Background(), []activation.RunID{"r4"}))
		h.tells("r5", "orders", "ID=5 AMOUNT=5") // its rows are gone: all of it
		h.tells("r6", "orders")
	}},
	{"what an old run loses", func(h *herald) {
		h.happen("orders", "order=1 amount=1", "order=2 amount=2", "order=3 amount=3")
		h.tells("r1", "orders", "ID=1 AMOUNT=1", "ID=2 AMOUNT=2", "ID=3 AMOUNT=3")
		h.more["r1"] = true // it failed, and may be retried
		h.happen("orders", "order=4 amount=4")
		h.tells("r2", "orders", "ID=4 AMOUNT=4")
		h.happen("orders", "order=5 amount=5")
		h.tells("r3", "orders", "ID=5 AMOUNT=5")
		h.again["r1"] = []warehouse.Range{{First: 2, Last: 2}} // it was retried
		h.happen("orders", "order=6 amount=6")
		if _, rows := h.stage("r4", "orders"); !slices.Equal(rows, []string{"ID=2 AMOUNT=2", "ID=6 AMOUNT=6"}) {
			h.t.Errorf("%q", rows)
		}
		h.tells("r5", "orders", "ID=2 AMOUNT=2", "ID=6 AMOUNT=6") // r4 was never queued
		h.more["r5"] = true
		h.tells("r6", "orders")
		h.more["r1"], h.more["r5"] = false, false
		h.again["r1"] = []warehouse.Range{{First: 1, Last: 1}, {First: 2, Last: 2}, {First: 3, Last: 3}}
		h.again["r5"] = []warehouse.Range{{First: 1, Last: 1}}
		h.with = func(r *warehouse.EventRequest) { r.Limit = 2 }
		p, rows := h.tell("r7", "orders")
		if !slices.Equal(rows, []string{"ID=1 AMOUNT=1", "ID=3 AMOUNT=3"}) || p.Counts.Left != 1 {
			h.t.Errorf("%q, %d left", rows, p.Counts.Left)
		}
		h.tells("r8", "orders", "ID=2 AMOUNT=2")
		h.tells("r9", "orders")
	}},
	{"what names an event", func(h *herald) {
		h.happen("orders", "order=a/b amount=1")
		h.happen("orders", "order=a/b amount=1") // the same again
		h.tells("r1", "orders", "ID=a/b AMOUNT=1")
		h.happen("orders", "order=a/b amount=2") // a correction
		h.tells("r2", "orders", "ID=a/b AMOUNT=2")
		h.happen("lines", "order=a line=1 amount=1", "order=a/1 amount=2", "order=a%2F1 line=1 amount=3", "amount=4")
		_, rows := h.tell("r3", "lines")
		seq, err := h.StreamSeq(context.Background())
		h.must(err)
		if want := []string{"ID=a/1 AMOUNT=1", "ID=a%2F1/ AMOUNT=2", "ID=a%252F1/1 AMOUNT=3", fmt.Sprintf("ID=lines-%d AMOUNT=4", seq["lines"])}; !slices.Equal(rows, want) {
			h.t.Errorf("%q, want %q", rows, want)
		}
		h.must(h.ForgetEvents(context.Background(), heraldTarget))
		h.loader.Rebuild(h.t)
		if _, after := h.tell("r4", "lines"); !slices.Equal(rows, after) {
			h.t.Errorf("after a rebuild %q, before %q", after, rows)
		}
	}},
	{"whose an event is", func(h *herald) {
		h.customers("ann email=ann@x", "eve email=eve@x")
		h.happen("clicks", "customer=ann amount=1", "customer=eve amount=2", "amount=3")
		h.keys = [][2]string{{"AMOUNT", "amount"}}
		plan := h.tells("r1", "clicks", "AMOUNT=1 EMAIL=ann@x", "AMOUNT=2 EMAIL=eve@x")
		if c := plan.Counts; c.Selected != 3 || c.Omitted != 1 || c.Add != 2 {
			h.t.Errorf("counts %+v", c)
		}
	}},
	{"events that are left out", func(h *herald) {
		h.keys = append(h.keys, [2]string{"NEEDED", "currency"})
		h.with = func(r *warehouse.EventRequest) { r.Since = time.UnixMicro(1000) }
		h.happen("orders", "order=1 amount=1 currency=EUR at=999", "order=2 at=2000", "order=3 currency=EUR at=1000")
		plan := h.tells("r1", "orders", "ID=3 NEEDED=EUR")
		if c := plan.Counts; c.Selected != 3 || c.Eligible != 3 || c.Omitted != 2 || c.Staged != 1 {
			h.t.Errorf("counts %+v", c)
		}
		h.tells("r2", "orders")
	}},
	{"events that arrive in a quiet window", func(h *herald) {
		h.with = func(r *warehouse.EventRequest) { r.Drop = func(time.Time) bool { return true } }
		h.happen("orders", "order=1 amount=1")
		if plan := h.tells("r1", "orders"); plan.Counts.Omitted != 1 {
			h.t.Errorf("counts %+v", plan.Counts)
		}
	}},
	{"a limit", func(h *herald) {
		h.with = func(r *warehouse.EventRequest) { r.Limit = 2 }
		h.happen("orders", "order=1 amount=1", "order=2 amount=2", "order=3 amount=3", "order=4 amount=4", "order=5 amount=5")
		if plan := h.tells("r1", "orders", "ID=1 AMOUNT=1", "ID=2 AMOUNT=2"); plan.Counts.Left != 3 || plan.Counts.Selected != 2 {
			h.t.Errorf("counts %+v", plan.Counts)
		}
		h.tells("r2", "orders", "ID=3 AMOUNT=3", "ID=4 AMOUNT=4")
		if plan := h.tells("r3", "orders", "ID=5 AMOUNT=5"); plan.Counts.Left != 0 {
			h.t.Errorf("counts %+v", plan.Counts)
		}
		h.tells("r4", "orders")
	}},
	{"an allowance", func(h *herald) {
		most := int64(1)
		h.with = func(r *warehouse.EventRequest) { r.Allowance = &most; r.Since = time.UnixMicro(1000) }
		h.happen("orders", "order=1 amount=1 at=1", "order=2 amount=2 at=2000", "order=3 amount=3 at=2", "order=4 amount=4 at=2000", "order=5 at=2000")
		if plan := h.tells("r1", "orders", "ID=2 AMOUNT=2"); plan.Counts.Capped != 2 || plan.Counts.Omitted != 2 || plan.Counts.Selected != 5 {
			h.t.Errorf("counts %+v", plan.Counts)
		}
		most = 0
		if plan := h.tells("r2", "orders"); plan.Counts.Capped != 2 {
			h.t.Errorf("counts %+v", plan.Counts)
		}
		most = 9
		h.tells("r3", "orders", "ID=4 AMOUNT=4", "ID=5")
	}},
	{"what feeds a column", func(h *herald) {
		h.customers(`ann email=ann@x country=DK seen=2026-03-04T05:06:07.250Z`)
		h.must(h.declare(`danes: FILTER country = "DK"`, `all: FILTER EXISTS customer`))
		h.keys = [][2]string{
			{"ID", "$id"},
			{"TIME", "$time"},
			{"GOT", "$received"},
			{"STREAM", "$stream"},
			{"NAME", `"Kauf 100% "o"k"`},
			{"ALL", "$message"},
			{"IN", "$audiences"},
			{"NOBODY", "customer"},
		}
		h.person = [][2]string{{"EMAIL", "email"}, {"SEEN", "seen"}}
		h.happen("orders", "order=1 customer=ann at=1700000000250000", "order=2 at=1700000000000000")
		h.tells("r1", "orders",
			`ID=1 TIME=2023-11-14T22:13:20.25Z GOT=2023-11-14T22:13:20Z STREAM=orders NAME=Kauf 100% "o"k ALL={"customer":"ann","order":"1"} IN=["all","danes"] NOBODY=ann EMAIL=ann@x SEEN=2026-03-04T05:06:07.25Z`,
			`ID=2 TIME=2023-11-14T22:13:20Z GOT=2023-11-14T22:13:20Z STREAM=orders NAME=Kauf 100% "o"k ALL={"order":"2"} IN=[]`)
	}},
	{"a column that is not there", func(h *herald) {
		for _, source := range []string{"nothing", "$event", "$nothing"} {
			h.keys[1][1] = source
			h.happen("orders", "order="+strings.Trim(source, "$"))
			_, err := h.StageEvents(context.Background(), h.request("r", "orders"), nil)
			var e *activation.Error
			if !asError(err, &e) || e.Kind != activation.Invalid || e.Field != "AMOUNT" || e.Code != "EVENT-COLUMN" {
				h.t.Errorf("%s: %v", source, err)
			}
		}
		h.keys[1][1] = "order"
		h.person = [][2]string{{"EMAIL", "nothing"}}
		_, err := h.StageEvents(context.Background(), h.request("r", "orders"), nil)
		if activation.KindOf(err) != activation.Invalid || activation.CodeOf(err) != "MAPPING-FIELD" {
			h.t.Errorf("%v", err)
		}
	}},
	{"people entering and leaving", func(h *herald) {
		h.keys = [][2]string{{"WHAT", "$event"}, {"WHERE", "$audience"}, {"WHEN", "$time"}, {"LAND", "country"}}
		h.with = func(r *warehouse.EventRequest) { r.Audience = idOf("danes") }
		h.customers("ann email=ann@x country=DK", "bob email=bob@x country=DK", "eve email=eve@x country=SE")
		h.must(h.declare(`danes: FILTER country = "DK"`))
		h.customers("bob country=SE") // left before anybody was told
		_, rows := h.tell("r1", "")
		if len(rows) != 1 || !strings.HasPrefix(rows[0], "WHAT=enter WHERE=danes WHEN=2026-11-01T12:00:00Z LAND=DK EMAIL=ann@x") {
			h.t.Errorf("%q", rows)
		}
		h.keys = h.keys[:1]
		h.customers("ann country=SE", "eve country=DK", "ann phone=1")
		h.customers("eve country=SE")
		_, rows = h.tell("r2", "")
		slices.Sort(rows[:2]) // of one load, in any order
		if want := []string{"WHAT=enter EMAIL=eve@x", "WHAT=exit EMAIL=ann@x", "WHAT=exit EMAIL=eve@x"}; !slices.Equal(rows, want) {
			h.t.Errorf("%q", rows)
		}
		h.customers("ann country=DK", "bob country=DK")
		h.with = func(r *warehouse.EventRequest) { r.Audience, r.Enters = idOf("danes"), false }
		h.tells("r3", "")
		h.customers("bob country=SE")
		h.tells("r4", "", "WHAT=exit EMAIL=bob@x")
		h.loader.Rebuild(h.t)
		h.tells("r5", "")
	}},
	{"people entering from now on", func(h *herald) {
		h.keys = [][2]string{{"WHAT", "$event"}}
		h.with = func(r *warehouse.EventRequest) { r.Audience, r.Backfill = idOf("danes"), false }
		h.customers("ann email=ann@x country=DK")
		h.must(h.declare(`danes: FILTER country = "DK"`))
		h.tells("r1", "")
		h.customers("ann country=SE")
		h.customers("bob email=bob@x country=DK")
		h.tells("r2", "", "WHAT=exit EMAIL=ann@x", "WHAT=enter EMAIL=bob@x")
	}},
	{"a backfill in parts", func(h *herald) {
		h.keys = [][2]string{{"WHAT", "$event"}}
		h.with = func(r *warehouse.EventRequest) { r.Audience, r.Limit = idOf("danes"), 1 }
		h.customers("ann email=ann@x country=DK", "bob email=bob@x country=DK")
		h.must(h.declare(`danes: FILTER country = "DK"`))
		_, first := h.tell("r1", "")
		h.customers("ann country=SE")
		h.customers("bob country=SE")
		_, second := h.tell("r2", "")
		both := append(slices.Clone(first), second...)
		slices.Sort(both)
		if want := []string{"WHAT=enter EMAIL=ann@x", "WHAT=enter EMAIL=bob@x"}; !slices.Equal(both, want) {
			h.t.Errorf("%q", both)
		}
		h.tells("r3", "", "WHAT=exit EMAIL=ann@x")
		h.tells("r4", "", "WHAT=exit EMAIL=bob@x")
	}},
	{"who is merged into a member does not leave", func(h *herald) {
		h.loader.Apply(h.t, warehouse.Schema{
			Fields:   []warehouse.Field{{Name: "card", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2}},
			Streams:  []warehouse.Stream{{Name: "cards"}},
			Mappings: []warehouse.Mapping{{Stream: "cards", Field: "card", Expression: "card"}, {Stream: "cards", Field: "customer", Expression: "customer"}, {Stream: "cards", Field: "country", Expression: "country"}, {Stream: "cards", Field: "email", Expression: "email"}},
		})
		h.keys = [][2]string{{"WHAT", "$event"}}
		h.with = func(r *warehouse.EventRequest) { r.Audience = idOf("danes") }
		h.must(h.declare(`danes: FILTER country = "DK"`))
		h.happen("cards", "customer=ann country=DK email=ann@x")
		h.happen("cards", "card=7 country=DK email=seven@x")
		h.tells("r1", "", "WHAT=enter EMAIL=ann@x", "WHAT=enter EMAIL=seven@x")
		h.happen("cards", "customer=ann card=7")
		h.tells("r2", "")
	}},
	{"another job begins anew", func(h *herald) {
		h.happen("orders", "order=1 amount=1")
		h.tells("r1", "orders", "ID=1 AMOUNT=1")
		h.with = func(r *warehouse.EventRequest) { r.Job = "next" }
		h.tells("r2", "orders", "ID=1 AMOUNT=1")
		h.tells("r3", "orders")
		h.must(h.ForgetEvents(context.Background(), heraldTarget))
		h.tells("r4", "orders", "ID=1 AMOUNT=1")
	}},
	{"trying it writes nothing", func(h *herald) {
		h.happen("orders", "order=1 amount=1", "order=2", "order=3")
		for range 2 {
			plan, err := h.DryRunEvents(context.Background(), h.request("try", "orders"))
			h.must(err)
			if plan.Counts.Staged != 3 || len(plan.Sample) != 3 || !slices.Equal(plan.Sample[0].Keys, []string{"ID", "AMOUNT"}) || plan.Sample[0].Op != activation.OpAdd {
				h.t.Errorf("%+v", plan)
			}
		}
		if err := h.Rows(context.Background(), warehouse.Range{Run: "try", First: 1, Last: 1}, false, nil); err == nil {
			h.t.Errorf("rows were staged")
		}
		if _, rows := h.tell("r1", "orders"); len(rows) != 3 {
			h.t.Errorf("%q", rows)
		}
	}},
}

func asError(err error, to **activation.Error) bool {
	return errors.As(err, to)
}

// eachOnce: whatever is loaded, corrected and limited, and whichever runs are
// never queued, each event ends in the rows of one queued run, in order.
func eachOnce(rt *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		rt.Fatalf("%v", err)
	}
	defer closeStore(rt, w)
	h := newHerald(rt, dir, w)
	h.keys = [][2]string{{"ID", "$id"}, {"ALL", "$message"}}
	limit := rapid.Int64Range(0, 4).Draw(rt, "limit")
	h.with = func(r *warehouse.EventRequest) { r.Limit = limit }
	var happened, told []string
	texts := map[string]string{}
	queue := func(rows []string) {
		told = append(told, rows...)
	}
	steps := rapid.IntRange(1, 14).Draw(rt, "steps")
	for n := range steps {
		if rapid.Bool().Draw(rt, "load") {
			for range rapid.IntRange(1, 3).Draw(rt, "messages") {
				order, amount := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "order"), rapid.IntRange(0, 3).Draw(rt, "amount")
				text := fmt.Sprintf("order=%s amount=%d", order, amount)
				if texts[order] != text {
					_, all := text, map[string]string{"order": order, "amount": fmt.Sprint(amount)}
					b, _ := json.Marshal(all)
					happened = append(happened, fmt.Sprintf("ID=%s ALL=%s", order, b))
					texts[order] = text
				}
				h.happen("orders", text)
			}
			continue
		}
		run := fmt.Sprint("r", n)
		if rapid.Bool().Draw(rt, "queued") {
			_, rows := h.tell(run, "orders")
			queue(rows)
		} else {
			h.stage(run, "orders")
		}
	}
	for n := range 40 {
		_, rows := h.tell(fmt.Sprint("last", n), "orders")
		queue(rows)
		if len(rows) == 0 {
			break
		}
	}
	// What was corrected before it was staged is not told; the rest is, once and in order.
	last := map[string]string{}
	next := 0
	for _, row := range told {
		at := slices.Index(happened[next:], row)
		if at < 0 {
			rt.Fatalf("told %q of %q", told, happened)
		}
		next += at + 1
		id, _, _ := strings.Cut(row, " ")
		last[id] = row
	}
	want := map[string]string{}
	for _, row := range happened {
		id, _, _ := strings.Cut(row, " ")
		want[id] = row
	}
	if !maps.Equal(last, want) {
		rt.Fatalf("told %q of %q", told, happened)
	}
}
