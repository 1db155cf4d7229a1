package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// A full replace is one session at the network: its batches go out in order, one
// after the other, and when the last one is in the network drops whoever was in
// none of them. A session that is cut leaves the audience in a state that nobody
// knows. So nothing of a session is ever sent by another attempt or a second
// time: whatever goes wrong once it has begun ends it, all that the ledger says
// is in doubt, and the next ordinary run brings the audience in step again.

// errCut is why a replacement that has begun cannot be ended.
func errCut(message string) *activation.Error {
	return &activation.Error{Kind: activation.Unavailable, Code: activation.CodeReplaceCut, Message: message}
}

// replaces reports whether the run replaces everybody.
func (x *execution) replaces() bool { return x.run.Mode == activation.ModeReplace }

// ReplaceTarget opens a run that sends everybody who is wanted, and has the
// network drop the others, whatever the ledger says. It is for networks that
// offer that, and waits for no answers that are owed.
func (d *Delivery) ReplaceTarget(ctx context.Context, id activation.TargetID, user string) (activation.Run, error) {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return activation.Run{}, err
	}
	dest, err := d.store.Destination(ctx, t.Destination)
	if err != nil {
		return activation.Run{}, err
	}
	_, def, err := d.providers(ctx, dest, t.Workflow)
	switch {
	case err != nil:
		return activation.Run{}, err
	case takesEvents(def, t) || !def.Replaces || def.Async:
		return activation.Run{}, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "target", Message: "this network offers no full replace; run the target to bring it in step"}
	case t.Release != "":
		return activation.Run{}, conflict("the audience is being given up")
	}
	if err := d.unanswered(ctx, t); err != nil {
		return activation.Run{}, err
	}
	p, err := d.purposeOf(ctx, t, activation.CauseManual)
	if err != nil {
		return activation.Run{}, err
	}
	p.mode = activation.ModeReplace
	r, err := d.openFor(ctx, t, p)
	if err == nil {
		d.log.InfoContext(ctx, "a full replace was asked for", "run_id", r.ID, "by", user)
	}
	return r, err
}

// unanswered is ErrConflict while the network owes answers about people of a
// target.
func (d *Delivery) unanswered(ctx context.Context, t activation.Target) error {
	awaiting, err := d.store.AwaitingItems(ctx, t.ID, t.Generation)
	if err != nil {
		return fmt.Errorf("list awaiting items: %w", err)
	}
	if len(awaiting) > 0 {
		return conflict("the network still owes %d answers about this audience", len(awaiting))
	}
	return nil
}

// conflict is ErrConflict with its reason, which people see.
func conflict(format string, args ...any) error {
	return &activation.Error{Kind: activation.Invalid, Code: "CONFLICT", Message: fmt.Sprintf(format, args...), Err: activation.ErrConflict}
}

// mayBegin decides whether a planned replacement is sent: not while the network
// owes answers, since the people they are about would be in none of its batches;
// not with nobody, for there is no batch that says so; and not where a person
// declined it.
func (x *execution) mayBegin(ctx context.Context, p warehouse.Plan, a answer) error {
	err := x.d.unanswered(ctx, x.target)
	switch {
	case errors.Is(err, activation.ErrConflict):
		return &pause{x.d.now().Add(askAgain)}
	case err != nil:
		return err
	case len(p.Segments) == 0:
		x.callOff("nobody is wanted, so there is nothing to replace the audience by; the next run removes those who are in it", true)
	case a == guardWithhold:
		x.callOff("removing people was declined", false)
	}
	return nil
}

// callOff ends the run before anything is sent.
func (x *execution) callOff(why string, due bool) {
	x.halt, x.dueAgain, x.run.ErrorText = haltCalledOff, due, why
	x.log.InfoContext(context.Background(), "the full replace is called off", "reason", why)
}

// ownVerdict leaves of the last verdict about a target only what was said of the
// run itself: who approved or declined the removal of people one by one did not
// speak of this.
func ownVerdict(r activation.Run, v activation.GuardVerdict) activation.GuardVerdict {
	if r.Mode == activation.ModeReplace && v.At.Before(r.StartedAt) {
		return activation.GuardVerdict{}
	}
	return v
}

// A session is how far a full replace is: which batch an item is of how many.
type session struct {
	id     int64
	number map[activation.ItemID]int
	rows   int64
}

// sessionOf finds the session of an attempt from the run's items.
func sessionOf(r activation.Run, items []activation.Item) session {
	whole := slices.DeleteFunc(slices.Clone(items), func(it activation.Item) bool { return it.State == activation.ItemSplit })
	slices.SortStableFunc(whole, func(a, b activation.Item) int { return int(a.First - b.First) })
	s := session{id: sessionID(r), number: make(map[activation.ItemID]int, len(whole))}
	for i, it := range whole {
		s.number[it.ID] = i + 1
		s.rows += it.Rows()
	}
	return s
}

// sessionID is a positive number that no other attempt at any run has.
func sessionID(r activation.Run) int64 {
	h := sha256.Sum256(fmt.Appendf(nil, "%s#%d/%d", r.ID, r.Number, r.Attempt))
	return int64(binary.BigEndian.Uint64(h[:8])>>2) + 1 //nolint:gosec // two bits are free
}

// mark is what a batch of the session carries.
func (s session) mark(it activation.Item) *provider.Replace {
	return &provider.Replace{Session: s.id, Number: s.number[it.ID], Of: len(s.number), Rows: s.rows}
}

// begun reports whether something of the run has reached the network, as far as
// anybody knows.
func (p progress) begun() bool {
	return p.any(activation.ItemDelivered) || p.any(activation.ItemUnknown) || p.any(activation.ItemAwaiting)
}

// severed reports whether a replacement that has begun cannot go on: this attempt
// did not begin it, or something of it was not taken.
func (p progress) severed() bool {
	return p.replaces && p.begun() && (p.resumed || p.halt != haltNone || p.rekeyed ||
		p.any(activation.ItemUnknown) || p.any(activation.ItemFailed) || p.any(activation.ItemAwaiting) || p.any(activation.ItemSuperseded))
}

// whole reports whether the network has taken or refused every single row.
func (p progress) whole(c activation.Counts) bool {
	return len(p.items) > 0 && c.Accepted+c.Rejected == c.Staged &&
		!slices.ContainsFunc(p.items, func(it activation.Item) bool {
			return it.State != activation.ItemDelivered && it.State != activation.ItemSplit
		})
}

// judgeReplace is a ruling on a batch of a session. Nothing of it is sent again
// or in another way once there was a batch before it.
func (x *execution) judgeReplace(r ruling, it activation.Item) ruling {
	first := x.session.number[it.ID] == 1
	switch {
	case r.move == moveHalve && !first:
		e := errCut("a batch of the replacement is too large, or was refused whole")
		return ruling{move: moveRecord, rows: it.Rows(), state: activation.ItemFailed, receipt: activation.Receipt{Unsent: it.Rows()}, effect: effectFail, err: e}
	case r.state == activation.ItemDelivered && r.receipt.Unknown+r.receipt.Unsent > 0:
		r.effect, r.err = effectFail, errCut("the network did not take or refuse every row of a batch")
	case r.state == activation.ItemUnknown && r.effect == effectTrouble || r.state == activation.ItemUnknown && r.effect == effectWait:
		r.effect = effectFail
	}
	return r
}

// longestHold is how long a network may make a session wait that has begun.
const longestHold = 10 * time.Minute

// holds reports whether a network's wait is sat out with the run in hand, because
// a session that has begun ends when the run is given back.
func (x *execution) holds(wait time.Duration) bool {
	return x.replaces() && x.answered && wait <= longestHold
}

// cutShort says of a replacement that was cut why it failed.
func (x *execution) cutShort() End {
	text, kind := "the rest of it could not be sent", activation.Unavailable
	if x.failure != nil {
		text, kind = textOf(x.failure), x.failure.Kind
	}
	x.run.Status, x.run.ErrorKind, x.run.ErrorCode = activation.RunFailed, kind, activation.CodeReplaceCut
	x.run.ErrorText = "the full replace was cut in the middle: " + text
	return End{Due: true}
}

// settleReplace brings the ledger in line with the end of a replacement. It comes
// before the end is stored, so that a crash has it done again.
func (x *execution) settleReplace(ctx context.Context, p progress) error {
	switch {
	case !x.replaces() || !p.begun():
		return nil
	case x.run.Status == activation.RunCompleted:
		err := x.d.around(ctx, BeforeReplaced, AfterReplaced, func() error {
			left, err := x.d.ledger.Replaced(ctx, x.run.ID, x.run.Target, x.run.Generation)
			x.run.Counts.Removed = left
			return err
		})
		if err != nil {
			return fmt.Errorf("note what was replaced: %w", err)
		}
		return nil
	}
	err := x.d.around(ctx, BeforeDoubt, AfterDoubt, func() error {
		return x.d.ledger.Doubt(ctx, x.run.Target, x.run.Generation)
	})
	if err != nil {
		return fmt.Errorf("note that a replacement was cut: %w", err)
	}
	return nil
}
