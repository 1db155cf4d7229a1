package forget

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// far is all that a Forgetter works with, in memory: a control store, a warehouse
// with one person per value, networks and an inbox. Calls fail at random while
// odds is above 0.
type far struct {
	mu   sync.Mutex
	rand *rand.Rand
	odds float64

	forgets map[activation.ForgetID]activation.Forget
	order   []activation.ForgetID
	targets map[activation.TargetID]activation.Target
	runs    []activation.Run

	suppressed map[activation.ForgetID]string
	erased     map[activation.ForgetID]warehouse.Erasure
	holds      map[activation.TargetID]int // generation, where the person is held
	told       map[activation.ForgetID]bool
	let        []activation.TargetID
	compacts   []time.Time
	busy       int // compactions that are refused
	waiting    time.Time
	failed     []inbox.Load
	blanked    []int64
	rejected   []inbox.RejectedRow
	unreadable error // of the file of a failed load
	discarded  []string
	// answer says what becomes of a run that forgets.
	answer map[activation.TargetID]func(*activation.Run)
}

var errDown = &activation.Error{Kind: activation.Unavailable, Code: "NET-503", Message: "it is down"}

func newFar(seed uint64) *far {
	return &far{
		rand: rand.New(rand.NewPCG(seed, 0)), forgets: map[activation.ForgetID]activation.Forget{}, targets: map[activation.TargetID]activation.Target{},
		suppressed: map[activation.ForgetID]string{}, erased: map[activation.ForgetID]warehouse.Erasure{}, holds: map[activation.TargetID]int{}, told: map[activation.ForgetID]bool{},
		answer: map[activation.TargetID]func(*activation.Run){},
	}
}

// fails locks, and says whether the call fails.
func (f *far) fails() error {
	f.mu.Lock()
	if f.rand.Float64() < f.odds {
		return errDown
	}
	return nil
}

func call[T any](f *far, do func() (T, error)) (T, error) {
	defer f.mu.Unlock()
	if err := f.fails(); err != nil {
		var none T
		return none, err
	}
	return do()
}

func (f *far) AddForget(_ context.Context, one activation.Forget) (activation.Forget, error) {
	return call(f, func() (activation.Forget, error) {
		if f.suppressed[one.ID] == "" {
			return one, errors.New("recorded before anybody is kept away")
		}
		one.Status, one.Stage, one.RequestedAt = activation.ForgetPending, activation.ForgetErase, time.Now()
		f.forgets[one.ID], f.order = one, append(f.order, one.ID)
		return one, nil
	})
}

func (f *far) Forget(_ context.Context, id activation.ForgetID) (activation.Forget, error) {
	defer f.mu.Unlock()
	f.mu.Lock()
	return f.forgets[id], nil
}

func (f *far) Forgets(context.Context, int) ([]activation.Forget, error) { return nil, nil }

func (f *far) PendingForgets(context.Context) ([]activation.Forget, error) {
	return call(f, func() (out []activation.Forget, err error) {
		for _, id := range f.order {
			if one := f.forgets[id]; one.Status == activation.ForgetPending {
				one.Targets, one.Counts = slices.Clone(one.Targets), maps.Clone(one.Counts)
				out = append(out, one)
			}
		}
		return out, nil
	})
}

func (f *far) SaveForget(_ context.Context, one activation.Forget) (activation.Forget, error) {
	return call(f, func() (activation.Forget, error) {
		if one.Stage != activation.ForgetErase && one.ErasedAt.IsZero() {
			one.ErasedAt = time.Now()
		}
		if one.Stage == activation.ForgetDone {
			one.Status = activation.ForgetComplete
		}
		f.forgets[one.ID] = one
		return one, nil
	})
}

func (f *far) ForgetRun(_ context.Context, t activation.TargetID) (activation.Run, error) {
	return call(f, func() (activation.Run, error) {
		for _, r := range slices.Backward(f.runs) {
			if r.Target == t {
				return r, nil
			}
		}
		return activation.Run{}, activation.ErrNotFound
	})
}

func (f *far) OpenRun(_ context.Context, r activation.Run) (activation.Run, error) {
	return call(f, func() (activation.Run, error) {
		if r.Mode != activation.ModeForget || r.SyncType != activation.SyncPIIUpdate || r.Cause != activation.CauseAgent {
			return r, fmt.Errorf("opened as %+v", r)
		}
		r.ID, r.Number, r.StartedAt, r.EndedAt = activation.RunID(fmt.Sprint("f", len(f.runs))), int64(len(f.runs)+1), time.Now(), time.Now()
		r.Status = activation.RunCompleted
		if answer := f.answer[r.Target]; answer != nil {
			answer(&r)
		} else {
			delete(f.holds, r.Target)
		}
		f.runs = append(f.runs, r)
		return r, nil
	})
}

func (f *far) Run(_ context.Context, id activation.RunID) (activation.Run, error) {
	return call(f, func() (activation.Run, error) {
		i := slices.IndexFunc(f.runs, func(r activation.Run) bool { return r.ID == id })
		if i < 0 {
			return activation.Run{}, activation.ErrNotFound
		}
		return f.runs[i], nil
	})
}

func (f *far) Items(context.Context, activation.RunID) ([]activation.Item, error) {
	return []activation.Item{{State: activation.ItemAwaiting, First: 1, Last: 9}}, nil
}

func (f *far) Target(_ context.Context, id activation.TargetID) (activation.Target, error) {
	return call(f, func() (activation.Target, error) {
		t, ok := f.targets[id]
		if !ok {
			return t, activation.ErrNotFound
		}
		return t, nil
	})
}

func (f *far) Destination(context.Context, activation.DestinationID) (activation.Destination, error) {
	return activation.Destination{Name: "Shop"}, nil
}

func (f *far) Audience(context.Context, activation.AudienceID) (activation.Audience, error) {
	return activation.Audience{Name: "Buyers"}, nil
}

func (f *far) AddAudit(context.Context, activation.AuditEntry) error { return nil }

func (f *far) Suppress(_ context.Context, id activation.ForgetID, _, value string) error {
	_, err := call(f, func() (int, error) { f.suppressed[id] = value; return 0, nil })
	return err
}

func (f *far) Erase(_ context.Context, id activation.ForgetID) (warehouse.Erasure, error) {
	return call(f, func() (warehouse.Erasure, error) {
		if e, ok := f.erased[id]; ok {
			return e, nil
		}
		e := warehouse.Erasure{Profiles: 1, Staged: []warehouse.PersonStaged{{Run: "open", Ordinal: 3}}}
		e.Held = slices.Sorted(maps.Keys(f.holds))
		f.erased[id] = e
		return e, nil
	})
}

func (f *far) Held(context.Context, activation.ForgetID) ([]warehouse.HeldState, error) {
	return call(f, func() (out []warehouse.HeldState, err error) {
		for _, t := range slices.Sorted(maps.Keys(f.holds)) {
			out = append(out, warehouse.HeldState{Target: t, Generation: f.holds[t], Held: true, Code: "NO-9"})
		}
		return out, nil
	})
}

func (f *far) LetGo(_ context.Context, _ activation.ForgetID, t activation.TargetID) error {
	_, err := call(f, func() (int, error) {
		f.let = append(f.let, t)
		delete(f.holds, t)
		return 0, nil
	})
	return err
}

func (f *far) Told(_ context.Context, id activation.ForgetID) error {
	_, err := call(f, func() (int, error) {
		if len(f.holds) > 0 {
			return 0, activation.ErrConflict
		}
		f.told[id] = true
		return 0, nil
	})
	return err
}

// Compact is that of the warehouse; compactedInbox that of the inbox.
func (f *far) Compact(context.Context) error {
	_, err := call(f, func() (int, error) {
		if f.busy > 0 {
			f.busy--
			return 0, fmt.Errorf("reads go on: %w", warehouse.ErrBusy)
		}
		f.compacts = append(f.compacts, time.Now())
		return 0, nil
	})
	return err
}

func (f *far) Suppressed(context.Context) (int64, error) { return int64(len(f.suppressed)), nil }

func (f *far) Carrying(_ context.Context, l warehouse.Load) ([]int64, error) { return []int64{7}, nil }

func (f *far) Recognise(context.Context) (func(string) bool, error) {
	return func(text string) bool { return text == "ann@x.org" || text == "+15550001111" }, nil
}

// box is the inbox side of far.
type box struct{ *far }

func (b box) OldestWaiting(context.Context) (time.Time, error) {
	return call(b.far, func() (time.Time, error) { return b.waiting, nil })
}

func (b box) FailedLoads(context.Context) ([]inbox.Load, error) { return b.failed, nil }

func (b box) BlankRows(_ context.Context, _ inbox.Load, which func(int64, []string) bool) (n int64, err error) {
	if b.unreadable != nil {
		return 0, b.unreadable
	}
	b.blanked = nil
	for line, values := range [][]string{{"bob@x.org"}, {"x", "Ann <ann@x.org>"}, {"(+1) 555-000-1111"}, {"ann@x.organisation"}, {}, {}, {}, {"by a mapping"}} {
		if which(int64(line), values) {
			b.blanked = append(b.blanked, int64(line))
		}
	}
	return int64(len(b.blanked)), nil
}

func (b box) Discard(_ context.Context, id string) error {
	b.discarded = append(b.discarded, id)
	return nil
}

func (b box) RewriteRejected(_ context.Context, keep func(inbox.RejectedRow) bool) error {
	b.far.rejected = slices.DeleteFunc(b.far.rejected, func(r inbox.RejectedRow) bool { return !keep(r) })
	return nil
}

func (b box) Compact(context.Context) error { return nil }

func (f *far) forgetter() *Forgetter {
	return New(Config{Store: f, Warehouse: f, Inbox: box{f}, Site: box{f}, CompactAt: 24 * time.Hour})
}

func (f *far) forget(t *testing.T, g *Forgetter) activation.ForgetID {
	t.Helper()
	for {
		if one, err := g.Ask(t.Context(), "email", "ann@x.org", "ann"); err == nil {
			return one.ID
		}
	}
}

// TestEveryStageMayBeDoneAgain: whatever fails and wherever the process dies, a
// forget completes, with its receipt, and nobody is forgotten by half.
func TestEveryStageMayBeDoneAgain(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			f := newFar(seed)
			for _, id := range []activation.TargetID{"accepts", "refuses", "keyless", "gone", "lost"} {
				f.targets[id], f.holds[id] = activation.Target{ID: id, Generation: 1, RemoteID: "r", Destination: "d"}, 1
			}
			f.targets["gone"] = activation.Target{ID: "gone", Generation: 2, RemoteID: "r2"}
			delete(f.targets, "lost")
			f.answer["refuses"] = func(r *activation.Run) { r.Counts.Rejected = 1 }
			f.answer["keyless"] = func(r *activation.Run) {
				r.Status, r.ErrorKind, r.ErrorCode = activation.RunFailed, activation.Invalid, "KEYSET"
			}
			f.runs = []activation.Run{{ID: "open", Target: "other", Status: activation.RunRunning}}
			g := f.forgetter()
			f.odds = 0.3
			id := f.forget(t, g)
			for range 60 {
				ctx, stop := context.WithTimeout(t.Context(), time.Duration(1+f.rand.IntN(200))*time.Second)
				if err := g.Run(ctx); err != nil {
					t.Fatal(err)
				}
				stop()
				g = f.forgetter() // another start
			}
			if one := f.forgets[id]; one.Stage != activation.ForgetRemove || f.told[id] {
				t.Fatalf("seed %d: what is under way was not waited for: %+v", seed, one)
			}
			f.odds, f.runs[0].Status = 0, activation.RunCompleted
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Hour)
			defer stop()
			if err := g.Run(ctx); err != nil {
				t.Fatal(err)
			}
			one := f.forgets[id]
			if one.Status != activation.ForgetComplete || !f.told[id] || one.ErrorText != "" {
				t.Fatalf("seed %d: %+v", seed, one)
			}
			want := map[activation.TargetID]activation.ForgetTargetStatus{
				"accepts": activation.ForgetAtRemoved, "refuses": activation.ForgetAtRefused, "keyless": activation.ForgetAtRefused,
				"gone": activation.ForgetAtGone, "lost": activation.ForgetAtReleased,
			}
			for _, at := range one.Targets {
				if at.Status != want[at.Target] {
					t.Errorf("seed %d: %s is %s, want %s", seed, at.Target, at.Status, want[at.Target])
				}
				delete(want, at.Target)
			}
			if len(want) > 0 {
				t.Errorf("seed %d: the receipt lacks %v", seed, want)
			}
		})
	}
}

// TestCompactionIsShared: forgets wait for one another up to an hour, for what was
// accepted before them, and for a warehouse that is busy; every night there is one.
func TestCompactionIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(1)
		f.failed = []inbox.Load{{}}
		f.rejected = []inbox.RejectedRow{{Line: 1, Text: "7,ann@x.org"}, {Line: 2, Text: "8,bob@x.org"}, {Line: 3, Text: `{"phone":"+1 555 000 1111"}`}}
		g := f.forgetter()
		f.waiting, f.busy = time.Now(), 2
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		// after lets time pass and wants so many compactions, and these forgets complete.
		after := func(d time.Duration, compacts int, complete ...activation.ForgetID) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.compacts) != compacts {
				t.Fatalf("compacted at %v, want %d times", f.compacts, compacts)
			}
			for _, id := range complete {
				if one := f.forgets[id]; one.Status != activation.ForgetComplete || one.Counts["waiting_loads"] != 1 {
					t.Fatalf("forget %+v", one)
				}
			}
		}
		after(time.Second, 0)
		first := f.forget(t, g)
		after(10*time.Minute, 0)
		f.mu.Lock()
		if f.forgets[first].Stage != activation.ForgetCompact {
			t.Errorf("the first is %+v", f.forgets[first])
		}
		f.waiting = time.Time{}
		f.mu.Unlock()
		after(time.Minute, 1, first)
		second, third := f.forget(t, g), f.forget(t, g)
		after(30*time.Minute, 1)
		after(40*time.Minute, 2, second, third)
		after(24*time.Hour, 3)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if night := f.compacts[2].UTC(); night.Sub(night.Truncate(24*time.Hour)) > 2*time.Minute {
			t.Errorf("the nightly one was at %v", night)
		}
		if len(f.rejected) != 1 || f.rejected[0].Line != 2 {
			t.Errorf("rejected rows %+v", f.rejected)
		}
		if !slices.Equal(f.blanked, []int64{1, 2, 7}) {
			t.Errorf("blanked rows %v", f.blanked)
		}
	})
}

// TestOnlyDamagedLoadsAreDiscarded: rows that were accepted and wait to be tried
// again are not lost because a disk is full while files are rewritten.
func TestOnlyDamagedLoadsAreDiscarded(t *testing.T) {
	for _, c := range []struct {
		name             string
		err              error
		fails, discarded bool
	}{
		{"full disk", fmt.Errorf("write spool file: %w", inbox.ErrDiskFull), true, false},
		{"no file", fmt.Errorf("open spool file: %w", fs.ErrNotExist), false, false},
		{"damaged", fmt.Errorf("read spool file: %w", inbox.ErrDamaged), false, true},
	} {
		f := newFar(1)
		f.failed, f.unreadable = []inbox.Load{{Load: warehouse.Load{ID: "a"}}}, c.err
		err := f.forgetter().Compact(t.Context(), "ann")
		if (err != nil) != c.fails || (len(f.discarded) > 0) != c.discarded || (len(f.compacts) > 0) == c.fails {
			t.Errorf("%s: %v, discarded %v, compacted %v", c.name, err, f.discarded, f.compacts)
		}
	}
}

// TestMentions: an identifier counts as a whole, however a number is written.
func TestMentions(t *testing.T) {
	known, _ := newFar(1).Recognise(t.Context())
	for text, want := range map[string]bool{
		"ann@x.org": true, "7,ann@x.org,x": true, `{"e":"ann@x.org"}`: true, "mail ann@x.org now": true, "a=ann@x.org;b": true,
		"xann@x.org": false, "ann@x.organ": false, "": false, "7,+1 (555) 000-1111": true, "15550001111": true, "5550001111": false, "1,5550001111": false,
	} {
		if mentions(text, known) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}
