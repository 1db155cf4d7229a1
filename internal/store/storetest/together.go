package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"usher/internal/activation"
	"usher/internal/store"
)

// endTogether: the runs of a job that syncs once end on two nodes at the same
// moment; whoever is last sees that all is done.
func endTogether(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	for round := range 4 {
		var audiences []activation.Audience
		for i := range 6 {
			audiences = append(audiences, w.audience(fmt.Sprintf("a-%d-%d", round, i)))
		}
		j, targets := w.job(fmt.Sprint("once ", round), func(j *activation.Job) { j.Continuous = false }, audiences...)
		runs := make([]activation.Run, len(targets))
		for i, target := range targets {
			runs[i] = w.started(target.ID)
			runs[i].Status = activation.RunCompleted
		}
		atOnce(len(runs), func(i int) {
			if err := nodes[i%2].FinishRun(ctx, runs[i], activation.End{Done: true}); err != nil {
				w.t.Errorf("finish run %d: %v", i, err)
			}
		})
		w.equal(activation.JobCompleted, w.jobState(j.ID))
	}
}

// workTogether: many hands of two nodes work through one run; every item is
// claimed once and delivered.
func workTogether(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	_, targets := w.job("vips", nil, w.audience("vips"))
	run, items := w.queued(targets[0].ID, 64)
	next := make(chan activation.Item, len(items))
	for _, it := range items {
		next <- it
	}
	close(next)
	var mu sync.Mutex
	atOnce(8, func(i int) {
		s := nodes[i%2]
		for it := range next {
			mu.Lock()
			mine := run
			mu.Unlock()
			it, err := s.ClaimItem(ctx, mine, it.ID)
			if err == nil {
				err = s.SaveReceipt(ctx, mine, it, activation.ItemDelivered, activation.Receipt{Accepted: it.Rows()}, "", "")
			}
			if err == nil {
				mu.Lock()
				run.Counts.Accepted += it.Rows()
				now := run
				mu.Unlock()
				err = s.MarkFolded(ctx, now, []activation.ItemID{it.ID})
			}
			if err != nil {
				w.t.Errorf("item %d: %v", it.Number, err)
			}
		}
	})
	items, err := w.Items(ctx, run.ID)
	w.ok(err)
	for _, it := range items {
		w.equal("delivered 1 true", fmt.Sprintf("%s %d %t", it.State, it.Attempt, it.Folded))
	}
	run.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, run, activation.End{Done: true}))
}

// oddText: bytes that not every database holds as text are replaced, both where
// a network answers with them and where a reader asks for them.
func oddText(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	run, items := w.queued(targets[0].ID, 1)
	it, err := w.ClaimItem(ctx, run, items[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, run, it, activation.ItemFailed, activation.Receipt{Unsent: it.Rows()}, "META-2", "it \x00 said \xff this"))
	items, err = w.Items(ctx, run.ID)
	w.ok(err)
	w.equal("it \uFFFD said \uFFFD this", items[0].Message)
	_, err = w.Job(ctx, "\x00")
	w.is(activation.ErrNotFound, err)
	_, err = w.Audience(ctx, "vips\x00")
	w.is(activation.ErrNotFound, err)
	runs, err := w.Runs(ctx, store.RunFilter{TriggeredBy: "\xfe", Destination: "\x00"})
	w.ok(err)
	w.equal(0, len(runs))
}

// oneRemote: of several targets that take the same remote audience at once,
// one gets it, though no single row stands in the way of the others.
func oneRemote(w *world) {
	ctx := w.t.Context()
	nodes := []*store.Store{w.Store, w.again()}
	for round := range 4 {
		var audiences []activation.Audience
		for i := range 4 {
			audiences = append(audiences, w.audience(fmt.Sprintf("a-%d-%d", round, i)))
		}
		_, targets := w.job(fmt.Sprint("j", round), nil, audiences...)
		var winners atomic.Int64
		atOnce(len(targets), func(i int) {
			switch err := nodes[i%2].SetRemote(ctx, targets[i].ID, 1, fmt.Sprint("remote ", round)); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, activation.ErrConflict):
				w.t.Errorf("loser %d: %v", i, err)
			}
		})
		w.equal(1, winners.Load())
	}
}
