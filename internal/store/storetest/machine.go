package storetest

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/store"
)

// machine drives a store and the model with the same random commands. Workers
// never forget what they once held, so that stale attempts come back all the
// time.
type machine struct {
	*model
	w       *world
	ctx     context.Context //nolint:containedctx // lives as long as the test
	nodes   []*store.Store
	job     activation.Job
	target  activation.TargetID
	workers []*worker
}

// worker is an attempt that somebody believes to hold.
type worker struct {
	r    *modelRun
	run  activation.Run
	held []held
}

type held struct {
	it    activation.Item
	model *modelItem
}

// anyOrder runs random commands and compares the store with the model after
// each.
func anyOrder(t *testing.T, env Env) {
	w := newWorld(t, env)
	nodes := []*store.Store{w.Store, w.again()}
	limitChecks(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		j, targets := w.job(fmt.Sprint("job ", n), nil, w.audience(fmt.Sprint("audience-", n)))
		m := &machine{model: &model{now: w.clock.Now, gen: 1}, w: w, ctx: t.Context(), nodes: nodes, job: j, target: targets[0].ID}
		rt.Repeat(map[string]func(*rapid.T){
			"":             m.compare,
			"open":         m.doOpen,
			"take":         m.doTake,
			"queue":        m.doQueue,
			"claim":        m.doClaim,
			"claim more":   m.doClaim,
			"receipt":      m.doReceipt,
			"receipt more": m.doReceipt,
			"unclaim":      m.doUnclaim,
			"replay":       m.doReplay,
			"fold":         m.doFold,
			"finish":       m.doFinish,
			"release":      m.doRelease,
			"ask":          m.doAsk,
			"answer":       m.doAnswer,
			"withdraw":     m.doWithdraw,
			"retry":        m.doRetry,
			"generation":   m.doGeneration,
			"pause":        m.doPause,
			"wait":         func(rt *rapid.T) { w.clock.Add(time.Duration(rapid.IntRange(1, 50).Draw(rt, "seconds")) * time.Second) },
		})
		for _, r := range m.runs {
			m.compareRun(rt, r)
		}
		m.sound(rt)
	})
}

// limitChecks sets how many sequences are tried, unless the command line does.
func limitChecks(t *testing.T) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	if err := flag.Set("rapid.checks", randomChecks); err != nil {
		t.Fatal(err)
	}
}

// agree fails unless store and model answered alike; it reports whether it was done.
func agree(rt *rapid.T, want, got error) bool {
	rt.Helper()
	if class(want) != class(got) {
		rt.Fatalf("the store answers %v, the model %s", got, class(want))
	}
	return want == nil
}

func (m *machine) store(rt *rapid.T) *store.Store {
	return m.nodes[rapid.IntRange(0, len(m.nodes)-1).Draw(rt, "node")]
}

func (m *machine) anyRun(rt *rapid.T) *modelRun {
	if len(m.runs) == 0 {
		rt.Skip("no run")
	}
	return m.runs[rapid.IntRange(max(0, len(m.runs)-4), len(m.runs)-1).Draw(rt, "run")]
}

func (m *machine) anyWorker(rt *rapid.T) *worker {
	if len(m.workers) == 0 {
		rt.Skip("no worker")
	}
	return m.workers[rapid.IntRange(max(0, len(m.workers)-3), len(m.workers)-1).Draw(rt, "worker")]
}

func (m *machine) anyItem(rt *rapid.T, r *modelRun) *modelItem {
	if len(r.items) == 0 {
		rt.Skip("no item")
	}
	return r.items[rapid.IntRange(0, len(r.items)-1).Draw(rt, "item")]
}

func (m *machine) doOpen(rt *rapid.T) {
	r, err := m.store(rt).OpenRun(m.ctx, activation.Run{Target: m.target})
	if agree(rt, m.mayOpen(), err) {
		m.openRun(r)
	}
}

func (m *machine) doTake(rt *rapid.T) {
	r := m.anyRun(rt)
	got, lost, err := m.store(rt).TakeRun(m.ctx, r.run.ID, "some node", lease)
	if !agree(rt, m.mayTake(r), err) {
		return
	}
	if want := m.take(r, lease); want != len(lost) {
		rt.Fatalf("%d items were lost, the model loses %d", len(lost), want)
	}
	wk := &worker{r: r, run: got}
	items, err := m.store(rt).Items(m.ctx, r.run.ID)
	agree(rt, nil, err)
	for k, it := range items {
		if it.State == activation.ItemAwaiting { // to be polled
			wk.held = append(wk.held, held{it, r.items[k]})
		}
	}
	m.workers = append(m.workers, wk)
}

func (m *machine) doQueue(rt *rapid.T) {
	wk := m.anyWorker(rt)
	run := wk.run
	run.Stage, run.StagedAt = activation.StageMembers, m.now()
	items := tenEach(rapid.IntRange(1, 3).Draw(rt, "items"))
	for i := range items {
		items[i].ID = activation.NewID[activation.ItemID]()
	}
	want := m.owns(wk.r, run.Attempt)
	if want == nil && wk.r.claimed() {
		want = activation.ErrConflict
	}
	if !agree(rt, want, m.store(rt).QueueItems(m.ctx, run, items)) {
		return
	}
	wk.run, wk.r.staged, wk.r.items = run, true, nil
	for _, i := range items {
		wk.r.items = append(wk.r.items, &modelItem{id: i.ID, state: activation.ItemQueued})
	}
}

func (m *machine) doClaim(rt *rapid.T) {
	wk := m.anyWorker(rt)
	i := m.anyItem(rt, wk.r)
	want := m.owns(wk.r, wk.run.Attempt)
	if want == nil && i.state != activation.ItemQueued {
		want = activation.ErrFenced
	}
	it, err := m.store(rt).ClaimItem(m.ctx, wk.run, i.id)
	if agree(rt, want, err) {
		i.state, i.attempt, i.folded = activation.ItemSending, i.attempt+1, false
		wk.held = append(wk.held, held{it, i})
	}
}

func (m *machine) anyHeld(rt *rapid.T) (*worker, held) {
	wk := m.anyWorker(rt)
	if len(wk.held) == 0 {
		rt.Skip("nothing claimed")
	}
	return wk, wk.held[rapid.IntRange(0, len(wk.held)-1).Draw(rt, "held")]
}

func (m *machine) doReceipt(rt *rapid.T) {
	wk, h := m.anyHeld(rt)
	state := rapid.SampledFrom([]activation.ItemState{activation.ItemDelivered, activation.ItemFailed, activation.ItemUnknown, activation.ItemAwaiting}).Draw(rt, "state")
	rc := map[activation.ItemState]activation.Receipt{
		activation.ItemDelivered: {Accepted: 10}, activation.ItemFailed: {Unsent: 10}, activation.ItemUnknown: {Unknown: 10}, activation.ItemAwaiting: {PollToken: "p"},
	}[state]
	var want error
	if !wk.r.mine(wk.run.Attempt) || h.model.attempt != h.it.Attempt ||
		(h.model.state != activation.ItemSending && h.model.state != activation.ItemAwaiting) {
		want = activation.ErrFenced
	}
	if agree(rt, want, m.store(rt).SaveReceipt(m.ctx, wk.run, h.it, state, rc, "", "")) {
		h.model.state = state
	}
}

func (m *machine) doUnclaim(rt *rapid.T) {
	wk, h := m.anyHeld(rt)
	var want error
	if !wk.r.mine(wk.run.Attempt) || h.model.attempt != h.it.Attempt || h.model.state != activation.ItemSending {
		want = activation.ErrFenced
	}
	if agree(rt, want, m.store(rt).UnclaimItem(m.ctx, wk.run, h.it)) {
		h.model.state = activation.ItemQueued
	}
}

func (m *machine) doReplay(rt *rapid.T) {
	wk := m.anyWorker(rt)
	i := m.anyItem(rt, wk.r)
	want := m.owns(wk.r, wk.run.Attempt)
	if want == nil && i.state != activation.ItemUnknown {
		want = activation.ErrFenced
	}
	if agree(rt, want, m.store(rt).ReplayItem(m.ctx, wk.run, i.id)) {
		i.state, i.folded = activation.ItemQueued, false
	}
}

func (m *machine) doFold(rt *rapid.T) {
	wk := m.anyWorker(rt)
	var want error
	if !wk.r.mine(wk.run.Attempt) {
		want = activation.ErrFenced
	}
	var ids []activation.ItemID
	for _, i := range wk.r.unfolded() {
		ids = append(ids, i.id)
	}
	if agree(rt, want, m.store(rt).MarkFolded(m.ctx, wk.run, ids)) {
		for _, i := range wk.r.unfolded() {
			i.folded = true
		}
	}
}

func (m *machine) doFinish(rt *rapid.T) {
	wk := m.anyWorker(rt)
	run := wk.run
	run.Status = rapid.SampledFrom([]activation.RunStatus{activation.RunCompleted, activation.RunFailed, activation.RunAwaiting, activation.RunWithdrawn}).Draw(rt, "status")
	if run.Status == activation.RunFailed {
		run.ErrorKind = activation.WaitUntil
		run.ErrorCode = rapid.SampledFrom([]string{"META-2", activation.CodeCounts}).Draw(rt, "code")
	}
	want := m.mayFinish(wk.r, run.Attempt, run.Status, run.ErrorCode)
	if agree(rt, want, m.store(rt).FinishRun(m.ctx, run, activation.End{Done: true})) {
		m.finish(wk.r, run.Status, run.ErrorCode)
	}
}

func (m *machine) doRelease(rt *rapid.T) {
	wk := m.anyWorker(rt)
	until := m.now().Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "wait")) * time.Second)
	var want error
	if !wk.r.mine(wk.run.Attempt) {
		want = activation.ErrFenced
	}
	if agree(rt, want, m.store(rt).ReleaseRun(m.ctx, wk.run, until)) {
		wk.r.held, wk.r.wait = false, until
	}
}

func (m *machine) doAsk(rt *rapid.T) {
	wk := m.anyWorker(rt)
	want := m.owns(wk.r, wk.run.Attempt)
	if want == nil && wk.r.claimed() {
		want = activation.ErrConflict
	}
	if agree(rt, want, m.store(rt).AwaitApproval(m.ctx, wk.run)) {
		wk.r.staged = !wk.run.StagedAt.IsZero()
		wk.r.status, wk.r.asks, wk.r.held, m.open = activation.RunPending, true, false, nil
	}
}

func (m *machine) doAnswer(rt *rapid.T) {
	r := m.anyRun(rt)
	s := m.store(rt)
	answer := s.Approve
	if rapid.Bool().Draw(rt, "decline") {
		answer = s.Decline
	}
	if agree(rt, m.mayAnswer(r), answer(m.ctx, r.run.ID, "ann")) {
		r.asks, m.open = false, r
	}
}

func (m *machine) doWithdraw(rt *rapid.T) {
	r := m.anyRun(rt)
	var want error
	if r.status != activation.RunPending {
		want = activation.ErrConflict
	}
	if agree(rt, want, m.store(rt).Withdraw(m.ctx, r.run.ID, "ann")) {
		m.withdraw(r)
	}
}

func (m *machine) doRetry(rt *rapid.T) {
	r := m.anyRun(rt)
	s := m.store(rt)
	want := m.mayRetry(r)
	ok, _, err := s.RetryVerdict(m.ctx, r.run.ID)
	if err != nil || ok != (want == nil) {
		rt.Fatalf("the verdict is %v (%v), the model says %s", ok, err, class(want))
	}
	if agree(rt, want, s.Retry(m.ctx, r.run.ID, "ann")) {
		m.retry(r)
	}
}

func (m *machine) doGeneration(rt *rapid.T) {
	wk := m.anyWorker(rt)
	status := rapid.SampledFrom([]activation.RunStatus{activation.RunWithdrawn, activation.RunFailed}).Draw(rt, "status")
	var want error
	if !wk.r.mine(wk.run.Attempt) || wk.r.gen != m.gen {
		want = activation.ErrFenced
	}
	if agree(rt, want, m.store(rt).NewGeneration(m.ctx, wk.run, status)) {
		m.newGeneration(wk.r, status)
	}
}

func (m *machine) doPause(rt *rapid.T) {
	var err error
	if m.paused {
		err = m.store(rt).Resume(m.ctx, m.job.ID, "ann")
	} else {
		err = m.store(rt).Pause(m.ctx, m.job.ID, 0, "ann")
	}
	if agree(rt, nil, err) {
		m.paused = !m.paused
	}
}

// compare checks that store and model are in the same state, and that nothing
// is so that must never be so.
func (m *machine) compare(rt *rapid.T) {
	target, err := m.nodes[0].Target(m.ctx, m.target)
	agree(rt, nil, err)
	var open activation.RunID
	if m.open != nil {
		open = m.open.run.ID
	}
	if target.OpenRun != open || target.Generation != m.gen {
		rt.Fatalf("the target names run %q in generation %d, the model %q in %d", target.OpenRun, target.Generation, open, m.gen)
	}
	for _, r := range m.runs[max(0, len(m.runs)-2):] {
		m.compareRun(rt, r)
	}
}

// sound checks that nothing is so that must never be so.
func (m *machine) sound(rt *rapid.T) {
	bad, err := m.nodes[1].Violations(m.ctx)
	if err != nil || len(bad) > 0 {
		rt.Fatalf("violations: %v (%v)", bad, err)
	}
}

func (m *machine) compareRun(rt *rapid.T, r *modelRun) {
	got, err := m.nodes[1].Run(m.ctx, r.run.ID)
	agree(rt, nil, err)
	if got.Status != r.status || got.Attempt != r.attempt || (got.Reason != "") != r.asks || (got.Node != "") != r.held {
		rt.Fatalf("run #%d is %s, attempt %d, reason %q, node %q; the model has %s, %d, asks %v, held %v",
			got.Number, got.Status, got.Attempt, got.Reason, got.Node, r.status, r.attempt, r.asks, r.held)
	}
	items, err := m.nodes[1].Items(m.ctx, r.run.ID)
	agree(rt, nil, err)
	if len(items) != len(r.items) {
		rt.Fatalf("run #%d has %d items, the model %d", got.Number, len(items), len(r.items))
	}
	for k, i := range items {
		want := r.items[k]
		if i.ID != want.id || i.State != want.state || i.Attempt != want.attempt || i.Folded != want.folded {
			rt.Fatalf("item %d is %s, attempt %d, folded %v; the model has %s, %d, %v", i.Number, i.State, i.Attempt, i.Folded, want.state, want.attempt, want.folded)
		}
	}
}
