package publishing_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
	"usher/internal/store"
)

// meddler is the store while people work: something happens before what is at the head
// is claimed, and before what became of it is stored.
type meddler struct {
	*store.Store
	work func()
}

var _ publishing.Store = (*meddler)(nil)

func (m *meddler) ClaimEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, entries []activation.EntryID) ([]activation.Entry, error) {
	m.work()
	return m.Store.ClaimEntries(ctx, p, id, entries)
}

func (m *meddler) SettleEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, outcomes []activation.EntryOutcome) error {
	m.work()
	return m.Store.SettleEntries(ctx, p, id, outcomes)
}

// TestPeopleAtWork writes, holds, releases, posts, retries and cancels entries at random
// while others are posted: whatever is sent is the head of the documented order of all
// that is released at that moment, nothing goes twice, and Usher's copy is what the
// publisher has.
func TestPeopleAtWork(t *testing.T) {
	seeds := uint64(8)
	if raceEnabled {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			test(t, func(w *world) {
				s := newStory(w, rand.New(rand.NewPCG(seed, 3))) //nolint:gosec // a test's choice
				s.f.before = func(edits []provider.Edit) error {
					var sent []activation.EntryID
					for _, e := range edits {
						sent = append(sent, e.Entry)
					}
					if order := plainOrder(s.queued()); len(order) < len(sent) || !slices.Equal(sent, order[:len(sent)]) {
						t.Errorf("sent %v of the order %v", sent, order)
					}
					return nil
				}
				s.writeSome(func(activation.EntryID) bool { return false })
				left := 25
				m := &meddler{Store: w.Store, work: func() {
					if left--; left > 0 {
						s.meddle()
					}
				}}
				for range 60 {
					if waits, err := w.HasQueued(w.ctx(), s.a.ID); err != nil || !waits && left <= 0 {
						w.ok(err)
						break
					} else if !waits {
						m.work()
						continue
					}
					if _, err := w.pass(s.a.PostJob, m); err != nil {
						t.Fatal(err)
					}
				}
				retried := map[activation.EntryID]bool{}
				for _, id := range s.f.tookEffect() {
					if retried[id] {
						t.Errorf("%d took effect twice", id)
					}
					retried[id] = true
				}
				if len(retried) < 10 {
					t.Errorf("only %d entries took effect", len(retried))
				}
				w.ok(w.settledCounts(s.a))
				w.sameTree(s.a, s.f)
			})
		})
	}
}

// settledCounts returns an error where the counts of an account are not those of its
// entries.
func (w *world) settledCounts(a activation.PublisherAccount) error {
	have, err := w.desk(w.Store).Counts(w.ctx(), a.ID)
	if err != nil {
		return err
	}
	all, _, err := w.Entries(w.ctx(), activation.EntryQuery{Publisher: a.ID, Limit: 1000})
	if err != nil {
		return err
	}
	for _, e := range all {
		have[e.Status]--
	}
	for status, n := range have {
		if n != 0 {
			return fmt.Errorf("the count of %s is wrong by %d", status, n)
		}
	}
	return nil
}

// meddle does something that people do.
func (s *story) meddle() {
	w := s.w
	all, _, err := w.Entries(w.ctx(), activation.EntryQuery{Publisher: s.a.ID, Limit: 1000})
	w.ok(err)
	waits := map[activation.EntryID]bool{}
	for _, e := range all {
		waits[e.ID] = e.Status.Waits() && e.Status != activation.EntryProcessing
	}
	switch roll := s.r.IntN(8); {
	case roll < 3:
		s.writeSome(func(id activation.EntryID) bool { return waits[id] })
	case roll == 3: // some that wait
		ref := s.objects[5+s.r.IntN(len(s.objects)-5)]
		e := edit(ref, activation.OpStatus, "status", "paused")
		e.Status = []activation.EntryStatus{activation.EntryHeld, activation.EntryToBeSent}[s.r.IntN(2)]
		made := w.write(s.a, e)[0]
		s.all[made.ID] = made
	case roll == 4 && s.n%3 == 0:
		made := w.write(s.a, activation.Entry{Origin: activation.OriginUser, Operation: activation.OpSync, Detail: map[string]string{publishing.DetailWhat: publishing.ReadStructure}})[0]
		s.all[made.ID] = made
	default:
		command := []activation.EntryCommand{
			activation.CommandPost, activation.CommandPostAll, activation.CommandHold, activation.CommandRelease, activation.CommandCancel, activation.CommandRetry, activation.CommandPost,
		}[s.r.IntN(7)]
		var some []activation.EntryID
		for _, e := range all {
			if s.r.IntN(3) == 0 {
				some = append(some, e.ID)
			}
		}
		if len(some) > 0 {
			_, err := w.MoveEntries(w.ctx(), command, activation.EntryQuery{Publisher: s.a.ID, IDs: some}, "ann", false)
			w.ok(err)
		}
	}
}
