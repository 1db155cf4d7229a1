package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// sent is what one parallel send came to.
type sent struct {
	ruling ruling
	err    error // of ours, not of the network
}

// send is steps 6 to 8 for the items of one phase, several at a time. It begins
// no more when something needs a decision or enough items are final to be
// folded, waits for those under way, and then draws the consequence.
func (x *execution) send(ctx context.Context, items []activation.Item) error {
	results := make(chan sent)
	var all []sent
	busy := 0
	for i := 0; busy > 0 || (i < len(items) && x.goOn(ctx, all)); {
		if i < len(items) && busy < x.atOnce() && x.goOn(ctx, all) {
			it := items[i]
			go func() { results <- x.sendItem(ctx, it) }()
			i, busy = i+1, busy+1
			continue
		}
		all = append(all, <-results)
		busy--
	}
	return x.conclude(ctx, all)
}

// atOnce is how many items may be under way. Events and the batches of a full
// replace are sent in order.
func (x *execution) atOnce() int {
	if x.ofEvents || x.replaces() {
		return 1
	}
	return max(1, x.def.Concurrency)
}

// goOn reports whether more items may be begun after these results.
func (x *execution) goOn(ctx context.Context, all []sent) bool {
	return ctx.Err() == nil && len(all) < x.d.set.FoldItems &&
		!slices.ContainsFunc(all, func(s sent) bool {
			return s.err != nil || s.ruling.effect != effectNone || x.ofEvents && s.ruling.move != moveRecord || // what is left comes first
				x.replaces() && s.ruling.state != activation.ItemDelivered
		})
}

// conclude draws the consequence of a round of sends: the worst one wins.
func (x *execution) conclude(ctx context.Context, all []sent) error {
	worst := map[effect]*activation.Error{}
	var errs []error
	for _, s := range all {
		errs = append(errs, s.err)
		if s.err == nil && s.ruling.effect == effectNone {
			x.patience, x.answered = patience{}, true
		}
		if e := s.ruling.err; e != nil && (worst[s.ruling.effect] == nil || e.Until.After(worst[s.ruling.effect].Until)) {
			worst[s.ruling.effect] = e
		}
	}
	err := errors.Join(errs...)
	switch {
	case err != nil || context.Cause(ctx) != nil:
		return err
	case worst[effectGone] != nil:
		return x.newGeneration(ctx)
	case worst[effectFail] != nil:
		return x.fail(ctx, worst[effectFail])
	case worst[effectWait] != nil:
		return x.waitFor(ctx, worst[effectWait])
	case worst[effectTrouble] != nil:
		return x.trouble(ctx, worst[effectTrouble])
	}
	return nil
}

// sendItem claims one item, sends its rows and writes down what became of them.
func (x *execution) sendItem(ctx context.Context, it activation.Item) sent {
	release, err := x.slot(ctx)
	if err != nil {
		return sent{err: err}
	}
	defer release()
	err = x.d.around(ctx, BeforeClaim, AfterClaim, func() (err error) {
		it, err = x.d.store.ClaimItem(ctx, x.run, it.ID)
		return err
	})
	if err != nil {
		return sent{err: err}
	}
	r, skipped, err := x.deliver(ctx, it)
	if err != nil {
		return sent{err: err}
	}
	r.receipt = skipped.lift(r.receipt)
	if r.move == moveRest && len(leftover(it, r.receipt, x.mayReplay())) == 0 {
		r.move, r.effect, r.err = moveRecord, effectNone, nil
	}
	return sent{r, x.record(ctx, it, r)}
}

// deliver reads the rows of a claimed item and sends them.
func (x *execution) deliver(ctx context.Context, it activation.Item) (ruling, skips, error) {
	b, skipped, err := x.batch(ctx, it)
	switch {
	case err != nil: // nothing was sent
		e := asError(fmt.Errorf("read the rows of item %d: %w", it.Number, err))
		return ruling{move: moveRequeue, effect: effectTrouble, err: e}, nil, nil
	case b.Rows() == 0:
		return ruling{move: moveRecord, state: activation.ItemSuperseded, effect: effectNone}, skipped, nil
	case x.def.MaxBytes > 0 && bodySize(b) > x.def.MaxBytes && it.Rows() > 1:
		r := ruling{move: moveHalve, effect: effectNone}
		if x.replaces() {
			r = x.judgeReplace(r, it)
		}
		return r, nil, nil
	}
	if err := x.d.at(ctx, BeforeDeliver); err != nil {
		return ruling{}, nil, err
	}
	rc, sendErr := call(ctx, x, func() (activation.Receipt, error) { return x.client.Deliver(ctx, b) })
	if err := x.d.at(ctx, AfterDeliver); err != nil {
		return ruling{}, nil, err
	}
	r := judge(int64(b.Rows()), rc, sendErr)
	if x.ofEvents {
		r = x.judgeEvents(r, sendErr)
	}
	if x.replaces() {
		r = x.judgeReplace(r, it)
	}
	if r.move == moveHalve && it.Rows() == 1 {
		r.move = moveRequeue
	}
	return r, skipped, nil
}

// batch reads the rows of an item. Rows that were staged longer ago than
// Settings.Recheck are checked again; who is no longer wanted so is skipped.
func (x *execution) batch(ctx context.Context, it activation.Item) (provider.Batch, skips, error) {
	b := provider.Batch{
		Run: it.Run, Item: it.ID, Attempt: it.Attempt, RunNumber: x.run.Number, Number: it.Number, At: x.run.StagedAt,
		Remote: x.audience.Remote, Audience: x.audience, Op: it.Op, Keys: x.keys.Keys,
	}
	if b.Op == activation.OpReadd {
		b.Op = activation.OpAdd
	}
	if x.replaces() {
		b.Replace = x.session.mark(it)
	}
	recheck := !x.ofEvents && !x.replaces() && x.d.now().Sub(x.run.StagedAt) > x.d.set.Recheck
	b.Values = make([][]byte, 0, it.Rows()*int64(len(b.Keys)))
	var skipped skips
	err := x.d.ledger.Rows(ctx, warehouse.Range{Run: it.Run, First: it.First, Last: it.Last}, recheck, func(row warehouse.KeyRow) error {
		if len(row.Values) != len(b.Keys) {
			return &activation.Error{Kind: activation.Internal, Code: activation.CodeCounts, Message: "a staged row has other keys than its run"}
		}
		if row.Stale || !usable(row.Values) {
			skipped = append(skipped, activation.Exception{Ordinal: row.Ordinal - it.First, Outcome: activation.Superseded})
			return nil
		}
		for _, v := range row.Values {
			b.Values = append(b.Values, clone(v))
		}
		return nil
	})
	if err == nil && int64(b.Rows()+len(skipped)) != it.Rows() {
		err = &activation.Error{Kind: activation.Internal, Code: activation.CodeCounts, Message: "staged rows are missing"}
	}
	return b, skipped, err
}

func usable(values [][]byte) bool {
	for _, v := range values {
		if len(v) > 0 {
			return true
		}
	}
	return false
}

// clone copies a value, which the warehouse may use again for the next row.
func clone(v []byte) []byte {
	if len(v) == 0 {
		return nil
	}
	return append([]byte(nil), v...)
}

// record writes down what became of a sent item, also when the attempt is being
// cancelled. Fenced, the receipt is discarded: the item is another attempt's.
func (x *execution) record(ctx context.Context, it activation.Item, r ruling) error {
	ctx, cancel := x.writing(ctx)
	defer cancel()
	return x.d.around(ctx, BeforeReceipt, AfterReceipt, func() error {
		switch r.move {
		case moveRequeue:
			return x.d.store.UnclaimItem(ctx, x.run, it)
		case moveHalve:
			return x.d.store.SplitItem(ctx, x.run, it, halves(it))
		case moveRest:
			return x.d.store.SaveRest(ctx, x.run, it, r.receipt, leftover(it, r.receipt, x.mayReplay()))
		case moveRecord:
		}
		code, message := "", ""
		if r.err != nil {
			code, message = r.err.Code, r.err.Message
		}
		return x.d.store.SaveReceipt(ctx, x.run, it, r.state, r.receipt, code, message)
	})
}
