package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"usher/internal/activation"
	"usher/internal/store"
)

// atOnce runs fn for every i below n, all at the same time, and waits.
func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			fn(i)
		})
	}
	close(gate)
	wg.Wait()
}

// twoNodes: of many who open, take and claim at once, one wins each, and the
// losers get the error that says so.
func twoNodes(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	_, targets := w.job("vips", nil, w.audience("vips"))
	const tries = 8
	won := func(lost error, fn func(s *store.Store, i int) error) {
		w.t.Helper()
		var winners atomic.Int64
		atOnce(tries, func(i int) {
			switch err := fn(nodes[i%2], i); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, lost):
				w.t.Errorf("loser %d: %v", i, err)
			}
		})
		w.equal(1, winners.Load())
	}
	for range 3 {
		var mu sync.Mutex
		var run activation.Run
		keep := func(r activation.Run, err error) error {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				run = r
			}
			return err
		}
		won(activation.ErrConflict, func(s *store.Store, _ int) error {
			return keep(s.OpenRun(ctx, activation.Run{Target: targets[0].ID}))
		})
		opened := run.ID
		won(activation.ErrConflict, func(s *store.Store, i int) error {
			r, _, err := s.TakeRun(ctx, opened, fmt.Sprintf("n%d", i), lease)
			return keep(r, err)
		})
		w.ok(w.QueueItems(ctx, run, tenEach(1)))
		items, err := w.Items(ctx, run.ID)
		w.ok(err)
		won(activation.ErrFenced, func(s *store.Store, _ int) error {
			_, err := s.ClaimItem(ctx, run, items[0].ID)
			return err
		})
		items, err = w.Items(ctx, run.ID)
		w.ok(err)
		w.equal(1, items[0].Attempt)
		won(activation.ErrFenced, func(s *store.Store, i int) error {
			return s.SaveReceipt(ctx, run, items[0], activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", fmt.Sprint(i))
		})
		w.ok(w.MarkFolded(ctx, run, []activation.ItemID{items[0].ID}))
		run.Status = activation.RunCompleted
		won(activation.ErrFenced, func(s *store.Store, _ int) error {
			return s.FinishRun(ctx, run, activation.End{Done: true})
		})
	}
}

// twoOwners: of two jobs that name the same target at once, one owns it.
func twoOwners(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	vips := w.audience("vips")
	var winners atomic.Int64
	atOnce(6, func(i int) {
		_, err := nodes[i%2].CreateJob(ctx, activation.Job{Name: fmt.Sprint(i), Workflow: "w", Destination: w.dest.ID, Audiences: []activation.AudienceID{vips.ID}})
		switch {
		case err == nil:
			winners.Add(1)
		case activation.KindOf(err) != activation.Invalid:
			w.t.Errorf("loser %d: %v", i, err)
		}
	})
	w.equal(1, winners.Load())
	jobs, err := w.Jobs(ctx, store.JobFilter{})
	w.ok(err)
	w.equal(1, len(jobs))
}
