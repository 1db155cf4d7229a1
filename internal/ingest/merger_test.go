package ingest

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// mergeBench runs a merger in a synctest bubble.
type mergeBench struct {
	*bench
	m      *Merger
	mu     sync.Mutex
	woken  []string // load ids that OnMerged was called with
	cancel context.CancelFunc
	ended  chan error
}

// inBubble runs f with a merger that is not yet started.
func inBubble(t *testing.T, cfg MergerConfig, f func(t *testing.T, b *mergeBench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &mergeBench{bench: &bench{dir: t.TempDir(), wh: &fakeWarehouse{}}, ended: make(chan error, 1)}
		in, err := inbox.Open(t.Context(), inbox.Config{Dir: b.dir})
		if err != nil {
			t.Fatal(err)
		}
		b.inbox = in
		b.Collector = NewCollector(CollectorConfig{Inbox: in, Schema: b.wh})
		cfg.Inbox, cfg.Warehouse = in, b.wh
		cfg.OnMerged = func(_ context.Context, l warehouse.Load, r warehouse.LoadResult) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.woken = append(b.woken, l.ID)
		}
		b.m = NewMerger(cfg)
		f(t, b)
		b.stop(t)
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (b *mergeBench) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() { b.ended <- b.m.Run(ctx) }()
}

func (b *mergeBench) stop(t *testing.T) {
	t.Helper()
	if b.cancel == nil {
		return
	}
	b.cancel()
	b.cancel = nil
	if err := <-b.ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func (b *mergeBench) send(t *testing.T, streams ...string) (ids []string) {
	t.Helper()
	for _, stream := range streams {
		s, err := b.Bulk(t.Context(), Request{Stream: stream, Body: body("a\n1\n2\n")})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.LoadID)
	}
	return ids
}

func (b *mergeBench) hooked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.woken)
}

// after lets fake time pass and returns the order of merges.
func (b *mergeBench) after(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	return strings.Join(b.wh.streams(), " ")
}

func TestMergesInTheOrderOfAcceptance(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		ids := b.send(t, "a", "b", "a", "c")
		b.start(t)
		if got := b.after(time.Millisecond); got != "a b a c" {
			t.Errorf("merged %q", got)
		}
		ids = append(ids, b.send(t, "b")...) // wakes the merger
		l, err := b.m.Wait(t.Context(), ids[4])
		if err != nil || l.Status != inbox.Merged || l.Result.Rows != 2 {
			t.Errorf("load = %+v, %v", l, err)
		}
		if got := b.hooked(); !slices.Equal(got, ids) {
			t.Errorf("OnMerged was called with %v, want %v", got, ids)
		}
		b.after(time.Millisecond) // a merged load's file goes after its status
		if files, err := os.ReadDir(b.dir + "/spool"); err != nil || len(files) != 0 {
			t.Errorf("files %v are left, %v", files, err)
		}
		if _, ok := b.m.Progress(); ok {
			t.Error("a merge is said to be under way")
		}
	})
}

func TestAStumblingStreamWaitsAlone(t *testing.T) {
	inBubble(t, MergerConfig{FirstWait: time.Second, LongestWait: 4 * time.Second}, func(t *testing.T, b *mergeBench) {
		ids := b.send(t, "a", "b", "a", "c")
		b.wh.fail = func(l warehouse.Load, attempt int) error {
			if l.ID == ids[0] && attempt <= 4 {
				return errors.New("database is locked")
			}
			return nil
		}
		b.start(t)
		if got := b.after(0); got != "b c" {
			t.Errorf("merged %q at once, want b c", got)
		}
		l, err := b.inbox.Load(t.Context(), ids[0])
		if err != nil || l.Status != inbox.Pending || l.Attempts != 1 || l.Error != "internal error" {
			t.Errorf("load = %+v, %v", l, err)
		}
		// Attempts at 1, 3, 7 and 11 s: the wait doubles up to 4 s.
		if got := b.after(10 * time.Second); got != "b c" {
			t.Errorf("merged %q after 10 s", got)
		}
		if got := b.after(2 * time.Second); got != "b c a a" {
			t.Errorf("merged %q after 12 s, want b c a a", got)
		}
		if b.wh.attempts(ids[0]) != 5 || b.wh.attempts(ids[2]) != 1 {
			t.Error("another number of tries")
		}
	})
}

func TestALoadThatFailsForGoodStandsAside(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		mended := false
		b.wh.fail = func(l warehouse.Load, attempt int) error {
			if attempt == 1 && l.Stream == "a" && !mended {
				mended = true
				return &activation.Error{Kind: activation.Invalid, Code: "X-1", Message: "the mapping is wrong"}
			}
			return nil
		}
		ids := b.send(t, "a", "a")
		b.start(t)
		_, err := b.m.Wait(t.Context(), ids[0])
		if activation.CodeOf(err) != "X-1" || activation.SafeMessage(err) != "the load was not merged: the mapping is wrong" {
			t.Errorf("Wait = %v", err)
		}
		if got := b.after(0); got != "a" || b.wh.firstMerged() != ids[1] {
			t.Errorf("merged %q, want the second load", got)
		}
		if err := b.inbox.Retry(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		if l, err := b.m.Wait(t.Context(), ids[0]); err != nil || l.Status != inbox.Merged {
			t.Errorf("retried load = %+v, %v", l, err)
		}
	})
}

func TestAttemptsEndAfterAWhile(t *testing.T) {
	inBubble(t, MergerConfig{GiveUpAfter: 10 * time.Minute}, func(t *testing.T, b *mergeBench) {
		b.wh.fail = func(l warehouse.Load, _ int) error {
			if l.Stream == "a" {
				return &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: "disk full"}
			}
			return nil
		}
		ids := b.send(t, "a")
		b.start(t)
		b.after(9 * time.Minute)
		if l, err := b.inbox.Load(t.Context(), ids[0]); err != nil || l.Status != inbox.Pending {
			t.Errorf("load = %+v, %v", l, err)
		}
		b.after(2 * time.Minute)
		l, err := b.inbox.Load(t.Context(), ids[0])
		if err != nil || l.Status != inbox.Failed || l.Error != "disk full" {
			t.Errorf("load = %+v, %v", l, err)
		}
		if _, err := os.Stat(l.Path); err != nil {
			t.Errorf("a failed load's rows are gone: %v", err)
		}
	})
}

func TestWaitUntilIsObeyed(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		until := time.Now().Add(30 * time.Minute)
		b.wh.fail = func(warehouse.Load, int) error {
			if time.Now().Before(until) {
				return &activation.Error{Kind: activation.WaitUntil, Until: until}
			}
			return nil
		}
		ids := b.send(t, "a")
		b.start(t)
		b.after(29 * time.Minute)
		if n := b.wh.attempts(ids[0]); n != 1 {
			t.Errorf("%d tries before the time, want 1", n)
		}
		if got := b.after(time.Minute); got != "a" {
			t.Errorf("merged %q", got)
		}
	})
}

func TestStoppingIsNoFailedAttempt(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		inside := make(chan struct{})
		var once sync.Once
		b.wh.during = func(warehouse.Load, func(int64)) { once.Do(func() { close(inside); time.Sleep(time.Second) }) }
		b.wh.fail = func(_ warehouse.Load, attempt int) error {
			if attempt == 1 {
				return context.Canceled
			}
			return nil
		}
		ids := b.send(t, "a")
		b.start(t)
		<-inside
		b.stop(t)
		if l, err := b.inbox.Load(t.Context(), ids[0]); err != nil || l.Status != inbox.Pending || l.Attempts != 0 {
			t.Errorf("load = %+v, %v", l, err)
		}
		b.start(t) // Run again goes on
		if got := b.after(0); got != "a" {
			t.Errorf("merged %q", got)
		}
	})
}

func TestMissingSpoolFileFailsTheLoad(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		ids := b.send(t, "a", "a")
		l, err := b.inbox.Load(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(l.Path); err != nil {
			t.Fatal(err)
		}
		b.start(t)
		if got := b.after(0); got != "a" || b.wh.firstMerged() != ids[1] {
			t.Errorf("merged %q, want the second load", got)
		}
		if _, err := b.m.Wait(t.Context(), ids[0]); activation.SafeMessage(err) != "the load was not merged: the spool file of the load is gone: send the data again" {
			t.Errorf("Wait = %v", err)
		}
	})
}

func TestProgress(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		inside, leave := make(chan struct{}), make(chan struct{})
		b.wh.during = func(_ warehouse.Load, progress func(int64)) {
			time.Sleep(3 * time.Second)
			progress(1)
			close(inside)
			<-leave
		}
		ids := b.send(t, "a")
		b.start(t)
		<-inside
		p, ok := b.m.Progress()
		if !ok || p.LoadID != ids[0] || p.Stream != "a" || p.Done != 1 || p.Total != 2 {
			t.Errorf("progress = %+v, %t", p, ok)
		}
		if left, ok := p.Left(); !ok || left != 3*time.Second {
			t.Errorf("left = %s, %t; want 3s", left, ok)
		}
		close(leave)
		if _, err := b.m.Wait(t.Context(), ids[0]); err != nil {
			t.Error(err)
		}
	})
	if _, ok := (Progress{}).Left(); ok {
		t.Error("a pace is known before the first row")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		ids := b.send(t, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.m.Wait(ctx, ids[0]); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v", err)
		}
		if _, err := b.m.Wait(t.Context(), "nothing"); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("Wait for nothing = %v", err)
		}
	})
}

func TestOldHistoryIsPurged(t *testing.T) {
	inBubble(t, MergerConfig{KeepHistory: 48 * time.Hour}, func(t *testing.T, b *mergeBench) {
		b.send(t, "a")
		b.start(t)
		for days, want := range []int{1, 1, 1, 0} {
			if loads, err := b.inbox.Recent(t.Context(), "", 10); err != nil || len(loads) != want {
				t.Errorf("day %d: %d loads in the history, want %d (%v)", days, len(loads), want, err)
			}
			b.after(24*time.Hour + time.Minute)
		}
	})
}
