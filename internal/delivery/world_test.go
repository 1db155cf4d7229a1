package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// world is a store, a data plane, a network and one living process between
// them, which may die at any crash point and is then followed by the next.
type world struct {
	store  worldStore
	plane  worldPlane
	net    *network
	def    provider.Definition
	target activation.TargetID
	job    activation.JobID
	proc   *process
	born   int
	faults *faults
	set    delivery.Settings
	retry  map[activation.RunID]bool // runs a person retried
	events delivery.Events           // nil = the target keeps members
	heard  *journal                  // what should have been heard
	// declare tells the data plane of audiences; nil = it knows.
	declare func(ctx context.Context) error
}

// worldStore and worldPlane are what a world needs beside what delivery does.
type worldStore interface {
	delivery.Store
	all() []activation.Run
	setJob(id activation.JobID, s activation.JobState)
	change(id activation.JobID, fn func(*activation.Job))
}

type worldPlane interface {
	delivery.Ledger
	delivery.Audiences
	set(id int64, keys [2]string, member bool)
	wanted(generation int) (must, may map[string]bool)
	known(generation int) map[string]bool
}

// process is one start of the program. Once dead it changes nothing any more.
type process struct {
	*delivery.Delivery
	mu   sync.Mutex
	dead bool
}

var errDead = errors.New("the process is dead")

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

func (p *process) alive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	return nil
}

// faults kills the process at one crash point.
type faults struct {
	mu    sync.Mutex
	point delivery.CrashPoint
	skip  int // times the point is passed before it kills
	proc  *process
	hit   map[delivery.CrashPoint]int
}

func (f *faults) At(_ context.Context, p delivery.CrashPoint, _ int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.proc == nil || f.point != p {
		return nil
	}
	if f.skip > 0 {
		f.skip--
		return nil
	}
	f.proc.kill()
	f.proc, f.hit[p] = nil, f.hit[p]+1
	return errDead
}

// arm makes the present process die when it reaches the point once more than
// skip times.
func (w *world) arm(p delivery.CrashPoint, skip int) {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	w.faults.point, w.faults.skip, w.faults.proc = p, skip, w.proc
}

func newWorld(st worldStore, pl worldPlane, n *network, replay provider.Replay) *world {
	w := &world{store: st, plane: pl, net: n, def: n.definition(replay), faults: &faults{hit: map[delivery.CrashPoint]int{}}, retry: map[activation.RunID]bool{}}
	w.set = delivery.Settings{GuardMinimum: 8, GuardPercent: 50, FoldItems: 3}
	return w
}

// inMemory is a world of fakes with one target.
func inMemory(seed uint64, replay provider.Replay, async bool) *world {
	n := newNetwork(time.Now, seed)
	n.async = async
	m, p := newMemory(time.Now), newPlane(time.Now)
	w := newWorld(m, p, n, replay)
	p.audience, w.job, w.target = "audience", "job", "target"
	m.auds["audience"] = activation.Audience{ID: "audience", Name: "Audience"}
	m.dests["dest"] = activation.Destination{ID: "dest", Provider: "fake", Authorization: "auth", Enabled: true, Mapping: map[string]string{"EMAIL": "email", "PHONE": "phone"}}
	m.jobs["job"] = &activation.Job{ID: "job", State: activation.JobRunnable, Exclude: []activation.AudienceID{leftOut}, Schedule: activation.Schedule{Continuous: true}, Destination: "dest"}
	m.targets["target"] = &activation.Target{ID: "target", Destination: "dest", Audience: "audience", Job: "job", Generation: 1}
	w.boot()
	return w
}

// boot ends the present process and starts the next one, for which what was
// armed is meant from now on.
func (w *world) boot() {
	w.born++
	p := &process{}
	if w.proc != nil {
		w.proc.kill()
	}
	w.faults.mu.Lock()
	if w.faults.proc != nil {
		w.faults.proc = p
	}
	w.faults.mu.Unlock()
	w.net.mu.Lock()
	w.net.gate = p.alive
	w.net.mu.Unlock()
	var events delivery.Events
	if w.events != nil {
		events = &gatedEvents{w.events, p}
	}
	drifts, _ := w.plane.(warehouse.Drifts)
	p.Delivery = delivery.New(delivery.Config{
		Node: fmt.Sprint("n", w.born), Store: &gatedStore{w.store, p}, Ledger: &gatedPlane{w.plane, p}, Audiences: w.plane, Events: events, Drifts: drifts, Declare: w.declare,
		Providers: func(context.Context, activation.Destination, string) (provider.Destination, provider.Definition, error) {
			return w.net, w.def, nil
		},
		Now: time.Now, Faults: w.faults, Settings: w.set,
	})
	w.proc = p
}

// turn does all the work that is due now, once, and boots again if it died.
func (w *world) turn(ctx context.Context) error {
	for _, k := range w.proc.Workers() {
		works, err := k.Due(ctx, 100)
		if err != nil && w.proc.alive() == nil {
			return err
		}
		for _, x := range works {
			if err := k.Do(ctx, x); err != nil && w.proc.alive() == nil && !errors.Is(err, activation.ErrConflict) {
				return fmt.Errorf("%s: %w", k.Kind(), err)
			}
		}
	}
	if w.proc.alive() != nil {
		w.boot()
	}
	return nil
}

// settle stops all mischief, lets time pass until nothing is open, and once
// more after another run: removals that were refused are tried again by it.
func (w *world) settle(ctx context.Context) error {
	w.net.heal()
	w.store.setJob(w.job, activation.JobRunnable)
	defer func(guarded delivery.Settings) {
		w.set = guarded
		w.boot()
	}(w.set)
	w.set.GuardMinimum = 1 << 40 // what was declined goes as well
	w.boot()
	if err := w.rest(ctx); err != nil {
		return err
	}
	for _, err := w.proc.RunTarget(ctx, w.target); err != nil; _, err = w.proc.RunTarget(ctx, w.target) {
		if w.proc.alive() == nil {
			return err
		}
		w.boot()
		if err := w.rest(ctx); err != nil {
			return err
		}
	}
	return w.rest(ctx)
}

func (w *world) rest(ctx context.Context) error {
	for range 400 {
		if err := w.turn(ctx); err != nil {
			return err
		}
		time.Sleep(time.Minute)
		w.approveAll(ctx)
		t, err := w.store.Target(ctx, w.target)
		if err != nil {
			return err
		}
		seq, err := w.plane.Seq(ctx)
		if err != nil {
			return err
		}
		seen := seq[t.Audience]
		if job, err := w.store.Job(ctx, w.job); err == nil {
			for _, a := range job.Exclude {
				seen = max(seen, seq[a])
			}
		}
		waiting, err := w.waiting(ctx, t)
		if err != nil {
			return err
		}
		if !waiting && t.OpenRun == "" && !t.DueNow && t.DoneSeq >= seen && !slices.ContainsFunc(w.store.all(), func(r activation.Run) bool { return !r.Status.Final() }) {
			return nil
		}
	}
	return errors.New("the runs never come to rest")
}

// waiting reports whether events wait for the target.
func (w *world) waiting(ctx context.Context, t activation.Target) (bool, error) {
	if w.events == nil || t.Stream == "" {
		return false, nil
	}
	seq, err := w.events.StreamSeq(ctx)
	return t.DoneSeq < seq[t.Stream], err
}

func (w *world) approveAll(ctx context.Context) {
	for _, r := range w.store.all() {
		if r.Status == activation.RunPending && r.Reason == activation.SleepApproval {
			_, _ = w.proc.Approve(ctx, r.ID, "ann") // a conflict is tried again
		}
	}
}

// check looks for anything that must never be.
func (w *world) check(ctx context.Context) string {
	t, err := w.store.Target(ctx, w.target)
	if err != nil {
		return err.Error()
	}
	open := 0
	for _, r := range w.store.all() {
		if r.ErrorCode == activation.CodeCounts && w.net.only == "" && !w.badReceipts() {
			return fmt.Sprintf("run #%d: %s", r.Number, r.ErrorText)
		}
		if r.Status.Final() {
			if err := r.Counts.CheckLaws(); err != nil && r.ErrorCode != activation.CodeCounts {
				return fmt.Sprintf("run #%d (%s): %v %+v", r.Number, r.Status, err, r.Counts)
			}
		}
		if r.Status == activation.RunRunning || r.Status == activation.RunPending && r.Reason == "" {
			open++
			if t.OpenRun != r.ID {
				return fmt.Sprintf("run #%d is %s but its target names %q", r.Number, r.Status, t.OpenRun)
			}
		}
	}
	if t.OpenRun != "" && open == 0 {
		return "the target names a run that is not open"
	}
	w.net.mu.Lock()
	odd := w.net.odd
	w.net.mu.Unlock()
	return odd + w.sentTwice()
}

func (w *world) badReceipts() bool { return w.net.chaosHas("bad receipt") }

func (n *network) chaosHas(string) bool { return n.only == "" || n.only == "bad receipt" }

// sentTwice finds an item of a network that forbids repetition that was sent
// again although the outcome of the first call was not known.
func (w *world) sentTwice() string {
	if w.def.Replay != provider.ReplayNever {
		return ""
	}
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	unsure := map[activation.ItemID]bool{}
	for _, c := range w.net.calls {
		if unsure[c.item] && !w.retriedItem(c.item) {
			return "an item with unknown outcome was sent again: " + string(c.item)
		}
		unsure[c.item] = c.applied && !c.sure
	}
	return ""
}

func (w *world) retriedItem(id activation.ItemID) bool {
	for run := range w.retry {
		items, _ := w.store.Items(context.Background(), run)
		if slices.ContainsFunc(items, func(i activation.Item) bool { return i.ID == id }) {
			return true
		}
	}
	return false
}

// verdict compares the far side with what should be there, after settle.
func (w *world) verdict(ctx context.Context) string {
	t, err := w.store.Target(ctx, w.target)
	if err != nil {
		return err.Error()
	}
	got := w.net.holds(t.RemoteID)
	must, may := w.plane.wanted(t.Generation)
	if d := difference(got, must, may); d != "" {
		return "the network does not hold the right people:" + d
	}
	known := w.plane.known(t.Generation)
	for v := range got {
		if known != nil && !known[v] {
			return "the network holds what the ledger does not know: " + v
		}
	}
	return ""
}

// humans draws what happens to people.
func (w *world) humans(r *rand.Rand, changes int) {
	pool := func(kind string) string {
		if r.IntN(8) == 0 {
			return ""
		}
		return fmt.Sprint(kind, r.IntN(12)) // a small pool: people share keys
	}
	for range changes {
		w.plane.set(int64(r.IntN(16)), [2]string{pool("e"), pool("p")}, r.IntN(3) > 0)
	}
}

// gatedStore and gatedPlane stop answering when their process is dead.
type gatedStore struct {
	worldStore
	p *process
}

type gatedPlane struct {
	worldPlane
	p *process
}

func gate1[T any](p *process, fn func() (T, error)) (T, error) {
	if err := p.alive(); err != nil {
		var none T
		return none, err
	}
	return fn()
}

func (g *gatedPlane) Stage(ctx context.Context, r warehouse.PlanRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	return gate1(g.p, func() (warehouse.Plan, error) { return g.worldPlane.Stage(ctx, r, stage) })
}

func (g *gatedPlane) Fold(ctx context.Context, items []warehouse.FoldItem) ([]warehouse.FoldResult, error) {
	return gate1(g.p, func() ([]warehouse.FoldResult, error) { return g.worldPlane.Fold(ctx, items) })
}

func (g *gatedPlane) Reset(ctx context.Context, t activation.TargetID, generation int) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldPlane.Reset(ctx, t, generation)
}

// story tells what happened, for whoever reads a failed campaign.
func (w *world) story() string {
	var b strings.Builder
	t, _ := w.store.Target(context.Background(), w.target)
	fmt.Fprintf(&b, "\ntarget %+v", t)
	for _, r := range w.store.all() {
		fmt.Fprintf(&b, "\nrun #%d %s gen %d %s %s seq %d staged %d: +%d -%d unknown %d rejected %d", r.Number, r.Status, r.Generation, r.ErrorCode, r.ErrorText, r.Seq,
			r.Counts.Staged, r.Counts.Added, r.Counts.Removed, r.Counts.Unknown, r.Counts.Rejected)
		items, _ := w.store.Items(context.Background(), r.ID)
		for _, i := range items {
			fmt.Fprintf(&b, "\n  item %d %s %d..%d phase %d attempt %d %s %s", i.Number, i.Op, i.First, i.Last, i.Phase, i.Attempt, i.State, i.Code)
			for _, c := range w.net.calls {
				if c.item == i.ID {
					fmt.Fprintf(&b, "\n    call attempt %d applied %t sure %t %v", c.attempt, c.applied, c.sure, c.values)
				}
			}
		}
	}
	return b.String()
}
