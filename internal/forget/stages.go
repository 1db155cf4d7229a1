package forget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// advance takes a forget as far as it gets now, up to its compaction.
func (f *Forgetter) advance(ctx context.Context, one activation.Forget) (err error) {
	if one.Stage == activation.ForgetErase {
		if one, err = f.erase(ctx, one); err != nil {
			return err
		}
	}
	if one.Stage == activation.ForgetRemove {
		return f.remove(ctx, one)
	}
	return nil
}

// erase is the first stage.
func (f *Forgetter) erase(ctx context.Context, one activation.Forget) (activation.Forget, error) {
	e, err := f.cfg.Warehouse.Erase(ctx, one.ID)
	if err != nil {
		return one, err
	}
	one.Stage, one.ErrorCode, one.ErrorText = activation.ForgetRemove, "", ""
	one.Counts = map[string]int64{
		"profiles": e.Profiles, "messages": e.Messages, "identifiers": e.Identifiers, "memberships": e.Memberships, "staged_rows": e.StagedRows, "waiting_loads": 0,
	}
	for _, id := range e.Held {
		at, err := f.describe(ctx, id)
		if err != nil {
			return one, err
		}
		one.Targets = append(one.Targets, at)
	}
	if one, err = f.cfg.Store.SaveForget(ctx, one); err != nil {
		return one, err
	}
	f.cfg.Changed(ctx)
	f.cfg.Log.InfoContext(ctx, "somebody was erased", "forget_id", string(one.ID), "targets", len(one.Targets))
	return one, nil
}

// describe names a target as it is now. One that is there no more has no name.
func (f *Forgetter) describe(ctx context.Context, id activation.TargetID) (activation.ForgetTarget, error) {
	at := activation.ForgetTarget{Target: id, Status: activation.ForgetAtPending}
	t, err := f.cfg.Store.Target(ctx, id)
	if errors.Is(err, activation.ErrNotFound) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	at.DestinationID = t.Destination
	if d, err := f.cfg.Store.Destination(ctx, t.Destination); err == nil {
		at.Destination = d.Name
	} else if !errors.Is(err, activation.ErrNotFound) {
		return at, err
	}
	if a, err := f.cfg.Store.Audience(ctx, t.Audience); err == nil {
		at.Audience = a.Name
	} else if !errors.Is(err, activation.ErrNotFound) {
		return at, err
	}
	return at, nil
}

// remove is the second stage: networks are told, until none holds the person and
// nothing that was staged of them is under way.
func (f *Forgetter) remove(ctx context.Context, one activation.Forget) error {
	e, err := f.cfg.Warehouse.Erase(ctx, one.ID) // says what it did
	if err != nil {
		return err
	}
	busy, err := f.underWay(ctx, e.Staged) // before the ledger: what ends in between is in it
	if err != nil {
		return err
	}
	held, err := f.cfg.Warehouse.Held(ctx, one.ID)
	if err != nil {
		return err
	}
	for _, h := range held {
		if !slices.ContainsFunc(one.Targets, func(t activation.ForgetTarget) bool { return t.Target == h.Target }) {
			at, err := f.describe(ctx, h.Target)
			if err != nil {
				return err
			}
			one.Targets = append(one.Targets, at)
		}
	}
	open, first := busy, error(nil)
	for i := range one.Targets {
		at := &one.Targets[i]
		mine := slices.DeleteFunc(slices.Clone(held), func(h warehouse.HeldState) bool { return h.Target != at.Target })
		if err := f.settle(ctx, one.RequestedAt, at, mine); err != nil && first == nil {
			first = err
		}
		open = open || at.Status == activation.ForgetAtPending
	}
	one.ErrorCode, one.ErrorText = "", ""
	if first != nil {
		one.ErrorCode, one.ErrorText = activation.CodeOf(first), activation.SafeMessage(first)
	}
	// The receipt says why before the ledger forgets it.
	if one, err = f.cfg.Store.SaveForget(ctx, one); err != nil {
		return err
	}
	for _, at := range one.Targets {
		if givenUp(at.Status) {
			if err := f.cfg.Warehouse.LetGo(ctx, one.ID, at.Target); err != nil {
				return err
			}
		}
	}
	if open {
		return nil
	}
	if err := f.cfg.Warehouse.Told(ctx, one.ID); err != nil {
		return err
	}
	one.Stage = activation.ForgetCompact
	_, err = f.cfg.Store.SaveForget(ctx, one)
	return err
}

// givenUp reports whether nothing more is asked of a network that held somebody.
func givenUp(s activation.ForgetTargetStatus) bool {
	return s == activation.ForgetAtRefused || s == activation.ForgetAtGone || s == activation.ForgetAtReleased
}

// closeAs says what became of the person at a target.
func closeAs(at *activation.ForgetTarget, as activation.ForgetTargetStatus, code string) {
	at.Status, at.Code = as, code
}

// underWay reports whether something staged of the person was sent and its outcome
// is not in the ledger yet. What is not sent is not sent any more; and of what
// takes events there is no ledger.
func (f *Forgetter) underWay(ctx context.Context, staged []warehouse.PersonStaged) (bool, error) {
	byRun := map[activation.RunID][]int64{}
	for _, s := range staged {
		byRun[s.Run] = append(byRun[s.Run], s.Ordinal)
	}
	for id, ordinals := range byRun {
		r, err := f.cfg.Store.Run(ctx, id)
		if errors.Is(err, activation.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if r.Status.Final() || r.SyncType == activation.SyncEvents || r.SyncType == activation.SyncOfflineConversion {
			continue
		}
		items, err := f.cfg.Store.Items(ctx, id)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(items, func(i activation.Item) bool { return owes(i, ordinals) }) {
			return true, nil
		}
	}
	return false, nil
}

// owes reports whether an item with one of these rows was sent, and the ledger
// does not know what became of it.
func owes(i activation.Item, ordinals []int64) bool {
	switch i.State {
	case activation.ItemSending, activation.ItemAwaiting:
	case activation.ItemDelivered, activation.ItemUnknown:
		if i.Folded {
			return false
		}
	case activation.ItemQueued, activation.ItemFailed, activation.ItemWithdrawn, activation.ItemSuperseded, activation.ItemSplit:
		return false
	}
	return slices.ContainsFunc(ordinals, func(n int64) bool { return i.First <= n && n <= i.Last })
}

// settle finds out what became of the person at one target, and does the next
// thing there. held are the rows that its ledger has of them.
func (f *Forgetter) settle(ctx context.Context, since time.Time, at *activation.ForgetTarget, held []warehouse.HeldState) error {
	if givenUp(at.Status) {
		return nil
	}
	t, err := f.cfg.Store.Target(ctx, at.Target)
	if errors.Is(err, activation.ErrNotFound) {
		closeAs(at, activation.ForgetAtReleased, "")
		return nil
	}
	if err != nil {
		return err
	}
	r, err := f.cfg.Store.ForgetRun(ctx, at.Target)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return err
	}
	mine := err == nil && !r.StartedAt.Before(since)
	if mine {
		at.Run = r.Number
	}
	if len(held) == 0 {
		goneOrRemoved(at, t, mine, r)
		return nil
	}
	if held[len(held)-1].Generation < t.Generation { // nothing of the old audience is reached any more
		closeAs(at, activation.ForgetAtGone, activation.CodeRemoteGone)
		return nil
	}
	at.Status = activation.ForgetAtPending
	switch {
	case mine && !r.Status.Final():
		return nil
	case mine && r.Status == activation.RunCompleted && r.Counts.Rejected > 0 && held[len(held)-1].Code != "":
		closeAs(at, activation.ForgetAtRefused, held[len(held)-1].Code)
		return nil
	case mine && r.Status == activation.RunFailed && r.ErrorCode == codeKeySet:
		closeAs(at, activation.ForgetAtRefused, r.ErrorCode)
		return nil
	case mine && f.cfg.Now().Before(nextTry(r)):
		if r.Status == activation.RunFailed {
			return &activation.Error{Kind: r.ErrorKind, Code: r.ErrorCode, Message: fmt.Sprintf("run #%d at destination %q failed: %s", r.Number, at.Destination, r.ErrorText)}
		}
		return nil
	}
	return f.open(ctx, at)
}

// codeKeySet: the keys that the person was sent with are no keys of the
// destination any more, so that nothing can take them away.
const codeKeySet = "KEYSET"

// goneOrRemoved settles a target whose ledger has nothing of the person.
func goneOrRemoved(at *activation.ForgetTarget, t activation.Target, mine bool, r activation.Run) {
	switch {
	case at.Status != activation.ForgetAtPending:
	case mine && r.ErrorCode == activation.CodeRemoteGone:
		closeAs(at, activation.ForgetAtGone, r.ErrorCode)
	case !mine && t.RemoteID == "":
		closeAs(at, activation.ForgetAtReleased, "")
	default:
		closeAs(at, activation.ForgetAtRemoved, "")
	}
}

// nextTry is when a target wants another run after one that left the person there.
func nextTry(r activation.Run) time.Time {
	if r.Status == activation.RunFailed {
		return r.EndedAt.Add(longestPause)
	}
	return r.EndedAt.Add(time.Minute) // the network owed an answer
}

// open opens a run that forgets at a target. Where another run is open it waits
// for that one to end.
func (f *Forgetter) open(ctx context.Context, at *activation.ForgetTarget) error {
	r, err := f.cfg.Store.OpenRun(ctx, activation.Run{
		Target: at.Target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget, Cause: activation.CauseAgent, TriggeredBy: "Agent",
	})
	if err != nil {
		return err
	}
	at.Run = r.Number
	return nil
}
