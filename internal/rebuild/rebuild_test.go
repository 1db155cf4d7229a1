package rebuild

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// records is a control store in memory.
type records struct {
	mu   sync.Mutex
	all  []activation.Rebuild
	down error
}

func (s *records) last() *activation.Rebuild {
	if len(s.all) == 0 {
		return nil
	}
	return &s.all[len(s.all)-1]
}

func (s *records) CreateRebuild(_ context.Context, reason, user string) (activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.last(); r != nil && r.Status == activation.RebuildRunning {
		return *r, activation.ErrConflict
	}
	s.all = append(s.all, activation.Rebuild{
		ID: activation.RebuildID(rune('a' + len(s.all))), Number: int64(len(s.all) + 1), Status: activation.RebuildRunning, Reason: reason, AskedBy: user, StartedAt: time.Now(),
	})
	return *s.last(), nil
}

func (s *records) TakeRebuild(context.Context) (*activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.down; err != nil {
		s.down = nil
		return nil, err
	}
	r := s.last()
	if r == nil || r.Status != activation.RebuildRunning {
		return nil, nil
	}
	r.Attempt++
	taken := *r
	return &taken, nil
}

func (s *records) SaveRebuild(_ context.Context, id activation.RebuildID, attempt int, done, total int64) (activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.last()
	if r.ID != id || r.Attempt != attempt {
		return *r, activation.ErrConflict
	}
	r.Done, r.Total = done, total
	return *r, nil
}

func (s *records) EndRebuild(_ context.Context, e activation.Rebuild) (activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.last()
	if r.ID != e.ID || r.Attempt != e.Attempt {
		return *r, activation.ErrConflict
	}
	e.CancelledBy, e.EndedAt = r.CancelledBy, time.Now()
	*r = e
	return e, nil
}

func (s *records) CancelRebuild(_ context.Context, _ activation.RebuildID, user string) (activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last().CancelledBy = user
	return *s.last(), nil
}

func (s *records) Rebuild(_ context.Context, id activation.RebuildID) (activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.all {
		if r.ID == id {
			return r, nil
		}
	}
	return activation.Rebuild{}, activation.ErrNotFound
}

func (s *records) Rebuilds(context.Context, int) ([]activation.Rebuild, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []activation.Rebuild
	for i := range s.all {
		out = append(out, s.all[len(s.all)-1-i])
	}
	return out, nil
}

// lake replays ten messages a second.
type lake struct {
	messages int64
	fails    error
	replays  int
	expired  int
}

func (l *lake) Rebuild(ctx context.Context, progress func(done, total int64)) (warehouse.RebuildResult, error) {
	l.replays++
	for done := int64(0); done < l.messages; done += 10 {
		progress(done, l.messages)
		select {
		case <-ctx.Done():
			return warehouse.RebuildResult{}, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	progress(l.messages, l.messages)
	return warehouse.RebuildResult{Profiles: 7, Changed: 3}, l.fails
}

func (l *lake) Cost(context.Context) (warehouse.RebuildCost, error) {
	return warehouse.RebuildCost{Messages: l.messages, Bytes: 10 * l.messages}, nil
}

func (l *lake) Expire(context.Context, time.Time) (int64, error) {
	l.expired++
	return 1, nil
}

// server is one Rebuilder at work on records and a lake.
type server struct {
	*Rebuilder
	stop    func()
	changed int
}

func serve(t *testing.T, s *records, l *lake) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &server{}
	out.Rebuilder = New(Config{Store: s, Warehouse: l, Changed: func(context.Context) { out.changed++ }})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := out.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	out.stop = func() { cancel(); <-ended }
	t.Cleanup(out.stop)
	return out
}

func (s *server) is(t *testing.T, want activation.RebuildStatus) activation.Rebuild {
	t.Helper()
	synctest.Wait()
	all, err := s.Rebuilds(t.Context(), 1)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d rebuilds: %v", len(all), err)
	}
	if all[0].Status != want {
		t.Fatalf("rebuild %+v, want it %s", all[0], want)
	}
	return all[0]
}

func (s *server) start(t *testing.T) activation.Rebuild {
	t.Helper()
	r, err := s.Start(t.Context(), "a new field", "ann")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRebuildToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{messages: 100}
		s := serve(t, &records{}, l)
		if c, err := s.Cost(t.Context()); err != nil || c.Seconds != 100.0/defaultPace || c.Bytes != 1000 {
			t.Errorf("the cost of the first is %+v (%v), want the pace that is stated", c, err)
		}
		s.start(t)
		if _, err := s.Start(t.Context(), "", "bob"); !errors.Is(err, activation.ErrConflict) {
			t.Errorf("a second beside the first: %v, want a conflict", err)
		}
		time.Sleep(5500 * time.Millisecond)
		r := s.is(t, activation.RebuildRunning)
		if r.Done != 50 || r.Total != 100 || r.Left.Round(time.Second) != 6*time.Second {
			t.Errorf("after half of it: %+v, want 50 of 100 and about as long again", r)
		}
		if stored, err := s.Store.Rebuild(t.Context(), r.ID); err != nil || stored.Done < 30 || stored.Done > 40 {
			t.Errorf("%d are stored (%v), want what there was two seconds ago", stored.Done, err)
		}
		time.Sleep(5 * time.Second)
		r = s.is(t, activation.RebuildCompleted)
		if r.Done != 100 || r.Counts["changed_profiles"] != 3 || r.Left != 0 || s.changed != 1 {
			t.Errorf("at the end %+v, changed %d times", r, s.changed)
		}
		if c, err := s.Cost(t.Context()); err != nil || c.Seconds != 10 {
			t.Errorf("the cost of the next is %+v (%v), want 10 seconds", c, err)
		}
		s.start(t)
		time.Sleep(time.Minute)
		s.is(t, activation.RebuildCompleted)
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if l.expired != 3 {
			t.Errorf("messages were deleted %d times in two days and a start, want 3", l.expired)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, l := &records{}, &lake{messages: 1000}
		s := serve(t, rec, l)
		r := s.start(t)
		time.Sleep(5 * time.Second)
		if _, err := s.Cancel(t.Context(), r.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r := s.is(t, activation.RebuildCancelled); r.CancelledBy != "bob" || s.changed != 0 {
			t.Errorf("%+v, changed %d times", r, s.changed)
		}
		// Another server is told by the record.
		r = s.start(t)
		time.Sleep(time.Second)
		if _, err := rec.CancelRebuild(t.Context(), r.ID, "cy"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveEvery)
		s.is(t, activation.RebuildCancelled)
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, l := &records{}, &lake{messages: 100}
		s := serve(t, rec, l)
		r := s.start(t)
		time.Sleep(5 * time.Second)
		s.stop()
		s.is(t, activation.RebuildRunning)
		rec.down = errors.New("no answer")
		s = serve(t, rec, l)
		time.Sleep(retryAfter + 11*time.Second)
		if r := s.is(t, activation.RebuildCompleted); r.Attempt != 2 || l.replays != 2 {
			t.Errorf("%+v after %d replays, want the second attempt to end it", r, l.replays)
		}
		// One that was to be cancelled when the server stopped ends at the next start.
		r = s.start(t)
		time.Sleep(time.Second)
		s.stop()
		if _, err := rec.CancelRebuild(t.Context(), r.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		s = serve(t, rec, l)
		synctest.Wait()
		s.is(t, activation.RebuildCancelled)
	})
}

func TestFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lake{messages: 10, fails: &activation.Error{Kind: activation.Internal, Code: "SPOOL", Message: "the disk is full"}}
		s := serve(t, &records{}, l)
		s.start(t)
		time.Sleep(5 * time.Second)
		if r := s.is(t, activation.RebuildFailed); r.ErrorCode != "SPOOL" || !strings.Contains(r.ErrorText, "disk is full") || s.changed != 0 || l.replays != 1 {
			t.Errorf("%+v after %d replays", r, l.replays)
		}
		l.fails = nil
		s.start(t)
		time.Sleep(5 * time.Second)
		s.is(t, activation.RebuildCompleted)
	})
}
