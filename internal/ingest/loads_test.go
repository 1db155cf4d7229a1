package ingest

import (
	"errors"
	"testing"
	"testing/synctest"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

func TestUploadsAsPeopleSeeThem(t *testing.T) {
	inBubble(t, MergerConfig{}, func(t *testing.T, b *mergeBench) {
		inside, leave := make(chan struct{}), make(chan struct{})
		b.wh.during = func(l warehouse.Load, progress func(int64)) {
			if l.Stream == "a" {
				progress(1)
				close(inside)
				<-leave
			}
		}
		ids := b.send(t, "a", "b")
		b.start(t)
		<-inside
		for i, done := range []int64{1, 0} {
			if s, err := b.m.Load(t.Context(), ids[i]); err != nil || s.Status != inbox.Pending || s.Rows != 2 || s.Done != done {
				t.Errorf("load = %+v, %v; want %d rows done", s, err, done)
			}
		}
		close(leave)
		synctest.Wait()
		recent, err := b.m.Recent(t.Context(), "", 10)
		if err != nil || len(recent) != 2 || recent[0].ID != ids[1] || recent[1].Done != 2 || recent[1].Status != inbox.Merged {
			t.Errorf("recent = %+v, %v", recent, err)
		}
		if _, err := b.m.Load(t.Context(), "nothing"); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("load = %v, want ErrNotFound", err)
		}
	})
}
