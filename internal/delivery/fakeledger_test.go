package delivery_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/warehouse"
)

// plane is a data plane in memory: one audience of people with an e-mail and a
// phone, and a ledger that keeps the promises of warehouse.Ledger by its own,
// simplest means. A ledger row is one version of a person's keys; values are
// what the network may still hold on its account.
type plane struct {
	mu       sync.Mutex
	now      func() time.Time
	people   map[int64]*human
	seq      int64
	ledger   map[int]map[version]*holding // by generation
	staged   map[activation.RunID][]change
	folded   map[string]warehouse.FoldResult
	wrong    bool                      // makes the next fold find counts that don't add up
	late     int                       // how many plans are overtaken by the people they are for
	begun    map[string]map[int64]bool // who is left of a job's beginning
	gives    map[activation.RunID]bool // runs that want nobody
	audience activation.AudienceID
	job      string // whose beginning counts in the end
	// others are the members of audiences beside the one; seqs their change numbers.
	others map[activation.AudienceID]map[int64]bool
	log    []changed
	apart  func(id int64) bool // whom the job leaves out, as the test knows
	timed  map[activation.AudienceID]bool
	asked  map[activation.RunID]warehouse.PlanRequest // what runs were staged for
	fresh  []activation.AudienceID                    // what was evaluated, in order
	ready  []activation.AudienceID                    // what of it before the last staging
	sick   error                                      // of the next staging
	// took are the versions that the network took of runs that replace everybody.
	took  map[activation.RunID]map[version]bool
	drift drifting
}

// changed is one line of the log of changes.
type changed struct {
	seq      int64
	audience activation.AudienceID
	what     string // enter, exit, keys
}

type human struct {
	keys   [2]string // e-mail, phone; "" = none
	member bool
}

// version is one person with one set of keys.
type version struct {
	person int64
	keys   [2]string
}

type holding struct {
	state  string // in, maybe, refused, shared
	values [2]string
	// doubted: a plan saw it in and not wanted, so that others' removals may
	// have carried its values.
	doubted bool
}

type change struct {
	op     activation.Op
	phase  int
	plain  bool
	of     version
	values [2]string // what is sent
}

func newPlane(now func() time.Time) *plane {
	return &plane{now: now, people: map[int64]*human{}, ledger: map[int]map[version]*holding{}, staged: map[activation.RunID][]change{}, folded: map[string]warehouse.FoldResult{}, begun: map[string]map[int64]bool{}, gives: map[activation.RunID]bool{}, others: map[activation.AudienceID]map[int64]bool{}, timed: map[activation.AudienceID]bool{}, asked: map[activation.RunID]warehouse.PlanRequest{}, took: map[activation.RunID]map[version]bool{}}
}

var (
	_ delivery.Ledger    = (*plane)(nil)
	_ delivery.Audiences = (*plane)(nil)
)

func (p *plane) lock() func() { p.mu.Lock(); return p.mu.Unlock }

// set makes a person so.
func (p *plane) set(id int64, keys [2]string, member bool) {
	defer p.lock()()
	switch was := p.people[id]; {
	case was == nil && !member:
	case was == nil || member && !was.member:
		p.note(p.audience, "enter")
	case was.member && !member:
		p.note(p.audience, "exit")
	case member && was.keys != keys:
		p.note(p.audience, "keys")
	}
	p.people[id] = &human{keys, member}
	if !member {
		for _, left := range p.begun {
			delete(left, id)
		}
	}
}

// note writes a change into the log. p.mu is held.
func (p *plane) note(a activation.AudienceID, what string) {
	p.seq++
	p.log = append(p.log, changed{p.seq, a, what})
}

// put puts somebody into another audience, or takes them out.
func (p *plane) put(a activation.AudienceID, id int64, member bool) {
	defer p.lock()()
	if p.others[a] == nil {
		p.others[a] = map[int64]bool{}
	}
	if p.others[a][id] != member {
		p.note(a, map[bool]string{true: "enter", false: "exit"}[member])
	}
	p.others[a][id] = member
}

// out reports why somebody is not wanted although a member.
func (p *plane) out(r warehouse.PlanRequest, id int64) (heldOut, excluded, outranked bool) {
	in := func(list []activation.AudienceID) bool {
		return slices.ContainsFunc(list, func(a activation.AudienceID) bool { return p.others[a][id] })
	}
	heldOut = r.Holdout != nil && heldBack(r.Holdout.Salt, r.Holdout.Percent, id)
	return heldOut, !heldOut && in(r.Exclude), !heldOut && !in(r.Exclude) && in(r.Above)
}

// heldBack decides by salt and person alone.
func heldBack(salt string, percent float64, id int64) bool {
	h := fnv.New32a()
	fmt.Fprint(h, salt, "/", id)
	return float64(h.Sum32()%10_000) < percent*100
}

// held reports whether the network may hold the person under any keys.
func (p *plane) held(generation int, id int64) bool {
	for v, row := range p.ledger[generation] {
		if v.person == id && (row.state == "in" || row.state == "maybe") {
			return true
		}
	}
	return false
}

// whom decides who of the people is wanted, and counts the others.
func (p *plane) whom(r warehouse.PlanRequest, deferred map[int64]bool, c *activation.Counts) (wanted map[int64]bool, excluded map[int64]bool) {
	wanted, excluded = map[int64]bool{}, map[int64]bool{}
	defer maps.DeleteFunc(excluded, func(_ int64, is bool) bool { return !is })
	var newcomers []int64
	for id, h := range p.people {
		left, begun := p.begun[r.Begun]
		row := p.ledger[r.Generation][version{id, h.keys}]
		heldOut, apart, outranked := p.out(r, id)
		early := r.Begun != "" && !p.held(r.Generation, id) && (!begun || left[id])
		excluded[id] = h.member && !r.Nobody && early // whatever else is said of them
		switch {
		case !h.member || r.Nobody:
		case heldOut:
			c.HeldOut++
		case outranked:
			c.Outranked++
			c.Excluded++
		case apart, early:
			c.Excluded++
		default:
			wanted[id] = true
			if r.Limit != nil && !deferred[id] && h.keys != [2]string{} && !p.held(r.Generation, id) && (row == nil || row.state != "refused") {
				newcomers = append(newcomers, id)
			}
		}
	}
	slices.Sort(newcomers)
	for i, id := range newcomers {
		if int64(i) >= *r.Limit {
			delete(wanted, id)
			c.Capped++
		}
	}
	c.Selected = c.HeldOut + c.Excluded + c.Capped
	return wanted, excluded
}

// wanted returns the key values the network must hold, and those it may hold
// beside them: a member whose row it refused still keeps others from taking a
// shared value away.
func (p *plane) wanted(generation int) (must, may map[string]bool) {
	defer p.lock()()
	must, may = map[string]bool{}, map[string]bool{}
	for id, h := range p.people {
		if !h.member {
			continue
		}
		row := p.ledger[generation][version{id, h.keys}]
		if p.begun[p.job][id] && !p.held(generation, id) || p.apart != nil && p.apart(id) {
			continue
		}
		for _, v := range h.keys {
			may[v] = true
			must[v] = must[v] || row == nil || row.state != "refused"
		}
	}
	must[""] = false
	maps.DeleteFunc(must, func(_ string, is bool) bool { return !is })
	return must, may
}

// known is the set of values that the ledger says the network may hold.
func (p *plane) known(generation int) map[string]bool {
	defer p.lock()()
	out := map[string]bool{}
	for _, row := range p.ledger[generation] {
		if row.state != "refused" {
			out[row.values[0]], out[row.values[1]] = true, true
		}
	}
	delete(out, "")
	return out
}

func (p *plane) Seq(context.Context) (map[activation.AudienceID]int64, error) {
	defer p.lock()()
	return p.highest(func(changed) bool { return true }), nil
}

func (p *plane) KeySeq(context.Context) (map[activation.AudienceID]int64, error) {
	defer p.lock()()
	return p.highest(func(c changed) bool { return c.what == "keys" }), nil
}

// highest is the highest number of those changes, per audience.
func (p *plane) highest(counts func(changed) bool) map[activation.AudienceID]int64 {
	out := map[activation.AudienceID]int64{p.audience: 0}
	for _, c := range p.log {
		if counts(c) {
			out[c.audience] = c.seq
		}
	}
	return out
}

func (p *plane) Waits(_ context.Context, audiences []activation.AudienceID, above int64) (warehouse.Waiting, error) {
	defer p.lock()()
	var w warehouse.Waiting
	for _, c := range p.log {
		if c.seq <= above || !slices.Contains(audiences, c.audience) {
			continue
		}
		*map[string]*int64{"enter": &w.Enters, "exit": &w.Exits, "keys": &w.Keys}[c.what]++
	}
	return w, nil
}

func (p *plane) TimeDependent(_ context.Context, id activation.AudienceID) (bool, error) {
	defer p.lock()()
	return p.timed[id], nil
}

func (p *plane) Evaluate(_ context.Context, id activation.AudienceID, _ time.Time) error {
	defer p.lock()()
	p.fresh = append(p.fresh, id)
	return nil
}

func (p *plane) Stage(_ context.Context, r warehouse.PlanRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	if err := p.sick; err != nil { // while it looks who is in which audience
		stage(activation.StagePayload)
		stage(activation.StageAudiences)
		p.sick = nil
		return warehouse.Plan{}, err
	}
	for _, s := range []activation.Stage{activation.StagePayload, activation.StageAudiences, activation.StageStaging} {
		stage(s)
	}
	defer p.lock()()
	p.ready = slices.Clone(p.fresh)
	rows, wanted, excluded, plan := p.plan(r)
	if p.late > 0 { // everybody came while the plan was made
		p.late--
		rows, plan = nil, warehouse.Plan{Counts: activation.Counts{Selected: plan.Counts.Selected, Eligible: plan.Counts.Eligible, Deferred: plan.Counts.Eligible}}
	}
	p.staged[r.Run], p.gives[r.Run], p.asked[r.Run] = rows, r.Nobody, r
	if delete(p.took, r.Run); r.Replace {
		p.took[r.Run] = map[version]bool{}
	}
	if r.Begun != "" && !r.Nobody {
		p.begun[r.Begun] = excluded
	}
	for v, row := range p.ledger[r.Generation] {
		row.doubted = row.doubted || !wanted[v.person] || p.people[v.person].keys != v.keys
	}
	return plan, nil
}

func (p *plane) DryRun(_ context.Context, r warehouse.PlanRequest) (warehouse.Plan, error) {
	defer p.lock()()
	_, _, _, plan := p.plan(r)
	return plan, nil
}

func (p *plane) plan(r warehouse.PlanRequest) ([]change, map[int64]bool, map[int64]bool, warehouse.Plan) {
	deferred := p.deferred(r.Awaiting)
	plan := warehouse.Plan{Seq: p.seq}
	c := &plan.Counts
	member, excluded := p.whom(r, deferred, c)
	if r.Replace {
		rows := p.replaceAll(r, member, &plan)
		return rows, member, excluded, plan
	}
	held := map[string]bool{} // values somebody wanted needs
	for id := range member {
		held[p.people[id].keys[0]], held[p.people[id].keys[1]] = true, true
	}
	ledger := p.ledger[r.Generation]
	old := map[int64]bool{} // people with rows under other keys that must go
	var rows []change
	holds := map[int64]bool{}
	for v, row := range ledger {
		if row.state == "in" || row.state == "maybe" {
			holds[v.person] = true
		}
		h := p.people[v.person]
		wanted := member[v.person] && h.keys == v.keys && h.keys != [2]string{}
		if r.Keep || wanted || deferred[v.person] || row.state == "refused" {
			continue
		}
		if r.KeysOnly && (!member[v.person] || h.keys == [2]string{}) {
			continue
		}
		var values [2]string
		for i, val := range row.values {
			if val != "" && !held[val] {
				values[i] = val
			}
		}
		if values == [2]string{} {
			continue // all of it is others'
		}
		plain := !member[v.person] && row.state != "shared"
		if plain {
			c.Remove++
		}
		if member[v.person] {
			old[v.person] = true
		}
		rows = append(rows, change{op: activation.OpRemove, phase: 1, plain: plain, of: v, values: values})
	}
	plan.Holding = int64(len(holds))
	for id := range member {
		h := p.people[id]
		c.Selected++
		c.Eligible++
		v := version{id, h.keys}
		row := ledger[v]
		add := change{op: activation.OpAdd, phase: 1, plain: !p.held(r.Generation, id), of: v, values: h.keys}
		if old[id] {
			add.op, add.phase = activation.OpReadd, 2
		}
		switch {
		case deferred[id], r.KeysOnly && !p.held(r.Generation, id), r.KeysOnly && h.keys == [2]string{}:
			c.Deferred++
		case h.keys == [2]string{} || row != nil && row.state == "refused":
			c.Omitted++
		case row != nil && row.state == "in" && !row.doubted:
			c.Unchanged++
		case row != nil || add.op == activation.OpReadd:
			c.Update++
			rows = append(rows, add)
		default:
			c.Add++
			rows = append(rows, add)
		}
	}
	slices.SortFunc(rows, func(a, b change) int {
		return cmp.Or(a.phase-b.phase, cmp.Compare(b.op, a.op), cmp.Compare(fmt.Sprint(b.plain), fmt.Sprint(a.plain)), cmp.Compare(a.of.person, b.of.person))
	})
	for i, row := range rows {
		n := len(plan.Segments)
		if n > 0 && plan.Segments[n-1].Phase == row.phase && plan.Segments[n-1].Op == row.op && plan.Segments[n-1].Plain == row.plain {
			plan.Segments[n-1].Last = int64(i)
		} else {
			plan.Segments = append(plan.Segments, warehouse.Segment{Phase: row.phase, Op: row.op, Plain: row.plain, First: int64(i), Last: int64(i)})
		}
		if prior := ledger[row.of]; prior != nil && prior.state == "in" {
			c.InBefore++
		}
	}
	c.Staged = int64(len(rows))
	return rows, member, excluded, plan
}

// deferred lists the people who wait for an answer: those in it, and those who
// hold a value that the network may yet take away.
func (p *plane) deferred(awaiting []warehouse.Range) map[int64]bool {
	out, going := map[int64]bool{}, map[string]bool{}
	for _, a := range awaiting {
		for _, c := range p.staged[a.Run][a.First : a.Last+1] {
			out[c.of.person] = true
			if c.op == activation.OpRemove {
				going[c.values[0]], going[c.values[1]] = true, true
			}
		}
	}
	delete(going, "")
	for id, h := range p.people {
		out[id] = out[id] || going[h.keys[0]] || going[h.keys[1]]
	}
	return out
}

func (p *plane) Rows(_ context.Context, r warehouse.Range, recheck bool, fn func(warehouse.KeyRow) error) error {
	defer p.lock()()
	for n := r.First; n <= r.Last; n++ {
		c := p.staged[r.Run][n]
		h := p.people[c.of.person]
		heldOut, apart, outranked := p.out(p.asked[r.Run], c.of.person)
		wanted := h.member && h.keys == c.of.keys && !p.gives[r.Run] && !heldOut && !apart && !outranked
		row := warehouse.KeyRow{Ordinal: n, Profile: c.of.person, Values: make([][]byte, 2), Stale: recheck && wanted == (c.op == activation.OpRemove)}
		for i, v := range c.values {
			if v != "" {
				row.Values[i] = []byte(v)
			}
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

func (p *plane) Fold(_ context.Context, items []warehouse.FoldItem) ([]warehouse.FoldResult, error) {
	defer p.lock()()
	if p.wrong {
		p.wrong = false
		return nil, &activation.Error{Kind: activation.Internal, Code: activation.CodeCounts, Message: "the ledger disagrees"}
	}
	var out []warehouse.FoldResult
	for _, it := range items {
		key := fmt.Sprint(it.Item, "/", it.Attempt)
		r, done := p.folded[key]
		if !done {
			r = p.foldItem(it)
			p.folded[key] = r
		}
		r.Skipped = done
		out = append(out, r)
	}
	return out, nil
}

func (p *plane) foldItem(it warehouse.FoldItem) warehouse.FoldResult {
	r := warehouse.FoldResult{Item: it.Item}
	outcomes := map[int64]activation.Outcome{}
	for _, x := range it.Exceptions {
		outcomes[it.First+x.Ordinal] = x.Outcome
	}
	if p.ledger[it.Generation] == nil {
		p.ledger[it.Generation] = map[version]*holding{}
	}
	ledger := p.ledger[it.Generation]
	for n := it.First; n <= it.Last; n++ {
		outcome, ok := outcomes[n]
		if !ok {
			outcome = it.Outcome
		}
		c := p.staged[it.Run][n]
		row := ledger[c.of]
		before := row != nil && row.state == "in"
		switch {
		case outcome == activation.Unsent || outcome == activation.Superseded:
		case outcome == activation.Unknown && row != nil:
			row.state = "maybe"
			if c.op != activation.OpRemove {
				row.values = c.of.keys
			}
		case outcome == activation.Unknown:
			ledger[c.of] = &holding{state: "maybe", values: c.of.keys}
		case outcome == activation.Rejected && p.took[it.Run] != nil && before:
			row.state = "maybe"
		case outcome == activation.Rejected && (c.op == activation.OpRemove || row != nil):
		case outcome == activation.Rejected:
			ledger[c.of] = &holding{state: "refused"}
		case c.op != activation.OpRemove:
			ledger[c.of] = &holding{state: "in", values: c.of.keys}
			if took := p.took[it.Run]; took != nil {
				took[c.of] = true
			}
		case row != nil:
			for i, v := range c.values {
				if v != "" {
					row.values[i] = ""
				}
			}
			row.state = "shared"
			if row.values == [2]string{} {
				delete(ledger, c.of)
			}
		}
		row = ledger[c.of]
		after := row != nil && row.state == "in"
		if after && !before {
			r.BecameIn++
		}
		if before && !after {
			r.LeftIn++
		}
	}
	return r
}

func (p *plane) InRows(_ context.Context, run activation.RunID, _ activation.TargetID, generation int) (int64, error) {
	defer p.lock()()
	var n int64
	for _, c := range p.staged[run] {
		if row := p.ledger[generation][c.of]; row != nil && row.state == "in" {
			n++
		}
	}
	return n, nil
}

func (p *plane) Holdings(_ context.Context, _ activation.TargetID, generation int) (warehouse.Holdings, error) {
	defer p.lock()()
	var h warehouse.Holdings
	for _, row := range p.ledger[generation] {
		switch row.state {
		case "in":
			h.In++
		case "maybe":
			h.Maybe++
		case "shared":
			h.Shared++
		default:
			h.Refused++
		}
	}
	return h, nil
}

func (p *plane) Forget(ctx context.Context, t activation.TargetID, generation int, begun string) error {
	p.mu.Lock()
	delete(p.begun, begun)
	p.mu.Unlock()
	return p.Reset(ctx, t, generation)
}

func (p *plane) Reset(_ context.Context, _ activation.TargetID, generation int) error {
	defer p.lock()()
	for g := range p.ledger {
		if g < generation {
			delete(p.ledger, g)
		}
	}
	return nil
}

// difference describes how a set of values is not between must and may.
func difference(got, must, may map[string]bool) string {
	var b bytes.Buffer
	for v := range got {
		if !may[v] {
			fmt.Fprintf(&b, " too many: %s", v)
		}
	}
	for v := range must {
		if !got[v] {
			fmt.Fprintf(&b, " missing: %s", v)
		}
	}
	return b.String()
}

func (p *plane) Unstage(_ context.Context, runs []activation.RunID) error {
	defer p.lock()()
	for _, id := range runs {
		delete(p.staged, id)
	}
	return nil
}
