package delivery

import (
	"errors"
	"time"

	"usher/internal/activation"
)

// What becomes of an item after a call.
type move string

const (
	// moveRecord: store the receipt and the new state.
	moveRecord move = "record"
	// moveRequeue: nothing was applied; back to the queue.
	moveRequeue move = "requeue"
	// moveHalve: refused whole without a position; replace it by its halves.
	moveHalve move = "halve"
	// moveRest: store the receipt, and queue the rows that are to be sent again.
	moveRest move = "rest"
)

// What the call means for the rest of the run.
type effect string

const (
	// effectNone: the network answered; go on.
	effectNone effect = "none"
	// effectWait: the network asked us to come back at the error's Until.
	effectWait effect = "wait"
	// effectTrouble: try again after a while, for up to a minute.
	effectTrouble effect = "trouble"
	// effectFail: the run fails with the error.
	effectFail effect = "fail"
	// effectGone: the remote audience is gone; a new generation begins.
	effectGone effect = "gone"
)

// codeNothingTaken: the network answered and took nothing.
const codeNothingTaken = "NOTHING-TAKEN"

// A ruling is what one call to Deliver means.
type ruling struct {
	move    move
	rows    int64                // of the batch
	state   activation.ItemState // with moveRecord
	receipt activation.Receipt   // with moveRecord; ordinals within the batch
	effect  effect
	err     *activation.Error // why, for every effect but none
}

// judge rules on the answer to a batch of rows. It decides by kind of error and
// by whether the call may have taken effect, never by text.
func judge(rows int64, rc activation.Receipt, err error) ruling {
	r := judged(rows, rc, err)
	r.rows = rows
	return r
}

func judged(rows int64, rc activation.Receipt, err error) ruling {
	if err == nil {
		return judgeReceipt(rows, rc)
	}
	e := asError(err)
	if e.MayHaveApplied {
		return ruling{move: moveRecord, state: activation.ItemUnknown, receipt: activation.Receipt{Unknown: rows, RequestID: e.RequestID}, effect: effectOf(e.Kind), err: e}
	}
	switch e.Kind {
	case activation.RefusedWhole:
		if rows > 1 {
			return ruling{move: moveHalve, effect: effectNone}
		}
		return ruling{move: moveRecord, state: activation.ItemDelivered, receipt: refusedRow(e), effect: effectNone, err: e}
	case activation.Invalid, activation.Unauthorized:
		return ruling{move: moveRecord, state: activation.ItemFailed, receipt: activation.Receipt{Unsent: rows, RequestID: e.RequestID}, effect: effectFail, err: e}
	case activation.WaitUntil, activation.Unavailable, activation.Internal, activation.Gone:
		return ruling{move: moveRequeue, effect: effectOf(e.Kind), err: e}
	}
	return ruling{move: moveRequeue, effect: effectFail, err: e}
}

func effectOf(k activation.Kind) effect {
	switch k {
	case activation.WaitUntil:
		return effectWait
	case activation.Unavailable, activation.Internal, activation.RefusedWhole:
		return effectTrouble
	case activation.Gone:
		return effectGone
	case activation.Invalid, activation.Unauthorized:
		return effectFail
	}
	return effectFail
}

// judgeReceipt rules on a receipt. One that does not add up proves nothing: the
// batch is unknown and the run fails with code COUNTS.
func judgeReceipt(rows int64, rc activation.Receipt) ruling {
	if rc.PollToken != "" {
		waiting := activation.Receipt{PollToken: rc.PollToken, PollAfter: rc.PollAfter, RequestID: rc.RequestID, HTTPStatus: rc.HTTPStatus, Headers: rc.Headers}
		return ruling{move: moveRecord, state: activation.ItemAwaiting, receipt: waiting, effect: effectNone}
	}
	if !addsUp(rows, rc) {
		e := &activation.Error{Kind: activation.Internal, Code: activation.CodeCounts, Message: "the receipt of a batch does not add up to its rows", RequestID: rc.RequestID}
		return ruling{move: moveRecord, state: activation.ItemUnknown, receipt: activation.Receipt{Unknown: rows, RequestID: rc.RequestID}, effect: effectFail, err: e}
	}
	return ruling{move: moveRecord, state: activation.ItemDelivered, receipt: rc, effect: effectNone}
}

// addsUp checks the law of one receipt: its counts are its rows, and its
// exceptions name every row that was not accepted, once and in order.
func addsUp(rows int64, rc activation.Receipt) bool {
	named := map[activation.Outcome]int64{}
	last := int64(-1)
	for _, x := range rc.Exceptions {
		if x.Ordinal <= last || x.Ordinal >= rows {
			return false
		}
		last = x.Ordinal
		named[x.Outcome]++
	}
	return rc.Accepted >= 0 && rc.Unplaced >= 0 && rc.Unplaced <= rc.Accepted &&
		rc.Accepted+rc.Rejected+rc.Unknown+rc.Unsent == rows && rc.Superseded == 0 &&
		named[activation.Rejected] == rc.Rejected && named[activation.Unknown] == rc.Unknown && named[activation.Unsent] == rc.Unsent &&
		int64(len(rc.Exceptions)) == rc.Rejected+rc.Unknown+rc.Unsent
}

func refusedRow(e *activation.Error) activation.Receipt {
	return activation.Receipt{Rejected: 1, RequestID: e.RequestID, Exceptions: []activation.Exception{{Outcome: activation.Rejected, Code: e.Code}}}
}

// asError returns the Error in err's chain. Whatever else comes out of a
// provider, a cut context included, may have taken effect.
func asError(err error) *activation.Error {
	var e *activation.Error
	if errors.As(err, &e) {
		return e
	}
	return &activation.Error{Kind: activation.Internal, Code: activation.CodeOf(err), Message: activation.SafeMessage(err), MayHaveApplied: true, Err: err}
}

// patience is how long a run has been in trouble without a success.
type patience struct {
	since time.Time
	tries int
}

const (
	// longestTrouble is how long retryable errors are retried inside a run.
	longestTrouble = time.Minute
	// longestPause is the longest pause between two of those tries.
	longestPause = 15 * time.Second
	// shortestPause is the first one; they double.
	shortestPause = time.Second
)

// again returns how long to pause after one more error at now, or ok = false
// when the minute would be over by then.
func (p patience) again(now time.Time) (next patience, pause time.Duration, ok bool) {
	if p.tries == 0 {
		p.since = now
	}
	pause = min(shortestPause<<min(p.tries, 10), longestPause)
	p.tries++
	return p, pause, now.Add(pause).Sub(p.since) <= longestTrouble
}

// judgeEvents is a ruling on a batch of events. No later run carries them, so
// what the network has not taken is sent again by this one.
func (x *execution) judgeEvents(r ruling, err error) ruling {
	if err != nil {
		e := x.failsAs(r.err)
		if e != r.err && !e.MayHaveApplied {
			return ruling{move: moveRecord, state: activation.ItemFailed, receipt: activation.Receipt{Unsent: r.rows, RequestID: e.RequestID}, effect: effectFail, err: e}
		}
		if e != r.err {
			r.effect, r.err = effectFail, e
		}
		return r
	}
	rc := r.receipt
	if r.state != activation.ItemDelivered || rc.Unsent == 0 && rc.Unknown == 0 {
		return r
	}
	r.move = moveRest
	if rc.Accepted+rc.Rejected == 0 { // else it gets on
		r.effect, r.err = effectTrouble, &activation.Error{Kind: activation.Unavailable, Code: codeNothingTaken, Message: "the network took nothing of a batch", RequestID: rc.RequestID}
	}
	if rc.Unsent == r.rows {
		r.move, r.receipt = moveRequeue, activation.Receipt{}
	}
	return r
}
