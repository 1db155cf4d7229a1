// Package storetest is the suite that every control store passes. A database's
// package calls Run with a function that opens a fresh one.
//
// It is built against the failures that package store is built for: two nodes
// at once, takeovers, fenced attempts that come back, and any order of
// commands. It must not know which database it runs against.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// Clock is the database's clock in a test. It stands still until moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at a fixed time.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
}

// Now returns the present time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock on.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Env is what a database gives the suite: Open opens one database with this
// clock and wake function; Again opens the same database a second time, as
// another node would.
type Env struct {
	Open func(t testing.TB, clock func() time.Time, wake func(kind, id string)) (first *store.Store, again func() *store.Store)
}

// world is a store with a destination, an audience and a clock.
type world struct {
	*store.Store
	t     testing.TB
	again func() *store.Store
	clock *Clock
	auth  activation.Authorization
	dest  activation.Destination
	woken *woken
}

// RenewRun renews one run.
func (w *world) RenewRun(ctx context.Context, r activation.Run, lease time.Duration) error {
	return w.renew(ctx, r, lease, false)
}

// InLine renews one run that waits its turn.
func (w *world) InLine(ctx context.Context, r activation.Run) error {
	return w.renew(ctx, r, lease, true)
}

func (w *world) renew(ctx context.Context, r activation.Run, lease time.Duration, inLine bool) error {
	fenced, err := w.RenewRuns(ctx, []activation.HeldRun{{ID: r.ID, Attempt: r.Attempt, InLine: inLine}}, lease)
	if err == nil && len(fenced) > 0 {
		return activation.ErrFenced
	}
	return err
}

type woken struct {
	mu   sync.Mutex
	list []string
}

func (w *woken) add(kind, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, kind+" "+id)
}

func (w *woken) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.list
	w.list = nil
	return out
}

func newWorld(t testing.TB, env Env) *world {
	t.Helper()
	w := &world{t: t, clock: NewClock(), woken: &woken{}}
	w.Store, w.again = env.Open(t, w.clock.Now, w.woken.add)
	w.auth = w.authorization("first")
	w.dest = w.destination("Ads", "100", w.auth.ID)
	return w
}

func (w *world) authorization(label string) activation.Authorization {
	w.t.Helper()
	a, err := w.CreateAuthorization(w.t.Context(), activation.Authorization{Label: label, Provider: "meta", KeyID: "k1", Sealed: []byte("sealed")}, "ann")
	w.ok(err)
	return a
}

func (w *world) destination(name, account string, auth activation.AuthorizationID) activation.Destination {
	w.t.Helper()
	d, err := w.CreateDestination(w.t.Context(), activation.Destination{
		Name: name, Provider: "meta", Authorization: auth, Account: account,
		Mapping: map[string]string{"email": "email"}, Enabled: true,
	}, "ann")
	w.ok(err)
	return d
}

func (w *world) audience(slug string) activation.Audience {
	w.t.Helper()
	a, err := w.CreateAudience(w.t.Context(), activation.Audience{Slug: slug, Name: slug, Rule: "FILTER *"}, "ann")
	w.ok(err)
	return a
}

// job creates a real-time job with one target per audience, and returns them.
func (w *world) job(name string, change func(*activation.Job), audiences ...activation.Audience) (activation.Job, []activation.Target) {
	w.t.Helper()
	j := activation.Job{Name: name, Workflow: "meta_custom_audience", Provider: "meta", Type: "export", Destination: w.dest.ID, Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann"}
	for _, a := range audiences {
		j.Audiences = append(j.Audiences, a.ID)
	}
	if change != nil {
		change(&j)
	}
	j, err := w.CreateJob(w.t.Context(), j)
	w.ok(err)
	targets, err := w.Targets(w.t.Context(), store.TargetFilter{Job: j.ID})
	w.ok(err)
	return j, targets
}

// lease is the lease time of runs in the suite.
const lease = 45 * time.Second

// started opens and takes a run of a target.
func (w *world) started(target activation.TargetID) activation.Run {
	w.t.Helper()
	r, err := w.OpenRun(w.t.Context(), activation.Run{Target: target, TriggeredBy: "audience"})
	w.ok(err)
	r, lost, err := w.TakeRun(w.t.Context(), r.ID, "n1", lease)
	w.ok(err)
	w.equal(0, len(lost))
	return r
}

// queued is started with n items of ten adds each.
func (w *world) queued(target activation.TargetID, n int) (activation.Run, []activation.Item) {
	w.t.Helper()
	r := w.started(target)
	r.Stage, r.StagedAt, r.Seq = activation.StageMembers, w.clock.Now(), 5
	w.ok(w.QueueItems(w.t.Context(), r, tenEach(n)))
	items, err := w.Items(w.t.Context(), r.ID)
	w.ok(err)
	return r, items
}

func tenEach(n int) []activation.Item {
	var out []activation.Item
	for i := range n {
		out = append(out, activation.Item{Number: i + 1, Phase: 2, Op: activation.OpAdd, First: int64(i * 10), Last: int64(i*10 + 9)})
	}
	return out
}

// delivered claims an item, stores an accepting receipt and marks it folded.
func (w *world) delivered(r activation.Run, it activation.Item) activation.Item {
	w.t.Helper()
	it, err := w.ClaimItem(w.t.Context(), r, it.ID)
	w.ok(err)
	w.ok(w.SaveReceipt(w.t.Context(), r, it, activation.ItemDelivered, activation.Receipt{Accepted: it.Rows()}, "", ""))
	w.ok(w.MarkFolded(w.t.Context(), r, []activation.ItemID{it.ID}))
	return it
}

// failedRun leaves a failed run with one delivered and one failed item.
func (w *world) failedRun(target activation.TargetID, kind activation.Kind) activation.Run {
	w.t.Helper()
	r, items := w.queued(target, 2)
	w.delivered(r, items[0])
	it, err := w.ClaimItem(w.t.Context(), r, items[1].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(w.t.Context(), r, it, activation.ItemFailed, activation.Receipt{Unsent: it.Rows()}, "META-2", "the service is unavailable"))
	r.Status, r.ErrorKind, r.ErrorCode, r.ErrorText = activation.RunFailed, kind, "META-2", "the service is unavailable"
	w.ok(w.FinishRun(w.t.Context(), r, activation.End{}))
	return r
}

func (w *world) target(id activation.TargetID) activation.Target {
	w.t.Helper()
	v, err := w.Target(w.t.Context(), id)
	w.ok(err)
	return v
}

func (w *world) run(id activation.RunID) activation.Run {
	w.t.Helper()
	v, err := w.Run(w.t.Context(), id)
	w.ok(err)
	return v
}

func (w *world) jobState(id activation.JobID) activation.JobState {
	w.t.Helper()
	v, err := w.Job(w.t.Context(), id)
	w.ok(err)
	return v.State
}

// due returns the ids of the due targets.
func (w *world) due() []activation.TargetID {
	w.t.Helper()
	list, err := w.DueTargets(w.t.Context(), 100)
	w.ok(err)
	var out []activation.TargetID
	for _, v := range list {
		out = append(out, v.ID)
	}
	return out
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("unexpected error: %v", err)
	}
}

// is checks the class of an error.
func (w *world) is(want, got error) {
	w.t.Helper()
	if !errors.Is(got, want) {
		w.t.Fatalf("error is %v, want %v", got, want)
	}
}

func (w *world) equal(want, got any) {
	w.t.Helper()
	if fmt.Sprint(want) != fmt.Sprint(got) {
		w.t.Fatalf("got %v, want %v", got, want)
	}
}

// sound checks that the store finds nothing that must never be so.
func (w *world) sound() {
	w.t.Helper()
	v, err := w.Violations(w.t.Context())
	w.ok(err)
	w.equal(0, len(v))
}
