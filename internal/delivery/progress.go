package delivery

import (
	"cmp"
	"slices"

	"usher/internal/activation"
)

// A step is the next thing to do about a run.
type step string

const (
	// stepPlan: plan, stage and queue (again, if a crash came before the queue).
	stepPlan step = "plan"
	// stepSupersede: the rows were staged under other keys; none is sent.
	stepSupersede step = "supersede"
	// stepGiveUp: an error ended the sending; what is queued has failed.
	stepGiveUp step = "give up"
	// stepWithdraw: what is queued is not sent by this run.
	stepWithdraw step = "withdraw"
	// stepForsake: the job ended; what the network still owes is unknown.
	stepForsake step = "forsake"
	// stepFold: bring final items into the ledger.
	stepFold step = "fold"
	// stepReplay: send unknown items again, where that is harmless.
	stepReplay step = "replay"
	// stepReopen: rows that the network has not taken, as it says now, are to be
	// sent again.
	stepReopen step = "reopen"
	// stepRemote: look the remote audience up, or create it.
	stepRemote step = "remote"
	// stepSend: send the queued items of the first open phase.
	stepSend step = "send"
	// stepDelete: nobody is left in the remote audience; delete it.
	stepDelete step = "delete"
	// stepPoll: ask the network for what it owes.
	stepPoll step = "poll"
	// stepFinish: nothing is left to do now.
	stepFinish step = "finish"
)

// sends reports whether the step leads to something new at the network, which
// a quiet window forbids.
func (s step) sends() bool {
	return s == stepPlan || s == stepReplay || s == stepReopen || s == stepRemote || s == stepSend
}

// A halt says why a run sends nothing more.
type halt string

const (
	// haltNone: it sends.
	haltNone halt = ""
	// haltFailed: an error ended it.
	haltFailed halt = "failed"
	// haltCalledOff: a full replace is not sent after all.
	haltCalledOff halt = "called off"
	// haltEnded: its job was killed, deleted or has failed, or its destination
	// is switched off.
	haltEnded halt = "ended"
)

// progress is everything that decides the next step of a run in somebody's
// hands. It is rebuilt from the store before each step, so that a takeover
// goes on exactly as the first attempt would have.
type progress struct {
	// awaiting: everything was sent before; only answers are waited for.
	awaiting bool
	// cut: the items are in the store. They are the truth from then on.
	cut bool
	// rekeyed: the destination's keys are no longer those of the staged rows.
	rekeyed bool
	// remote: the remote audience was looked up in this attempt.
	remote bool
	// replays: unknown items may be sent again.
	replays bool
	// unfoldable: the ledger refused the counts; nothing more is folded.
	unfoldable bool
	// events: no later run carries the rows, so this one is opened again for them.
	events bool
	// pollDue: an awaiting item may be asked for.
	pollDue bool
	// gone: the remote audience that the run gives up is not there any more.
	gone bool
	// deletes: the run ends with the deletion of its remote audience.
	deletes bool
	// replaces: the rows are one whole at the network, taken in order. resumed:
	// something was sent before this attempt.
	replaces, resumed bool
	halt              halt
	items             []activation.Item
}

// next decides the next step. It is the whole of the order of a run.
func (p progress) next() step {
	queued := p.any(activation.ItemQueued)
	switch {
	case !p.cut && p.halt == haltNone:
		return stepPlan
	case !p.cut:
		return stepFinish
	case queued && p.severed():
		return stepWithdraw
	case p.replaces && p.any(activation.ItemAwaiting): // nobody waits for what comes later
		return stepForsake
	case queued && p.halt == haltFailed:
		return stepGiveUp
	case queued && (p.halt == haltEnded || p.gone):
		return stepWithdraw
	case queued && p.rekeyed:
		return stepSupersede
	case (p.halt == haltEnded || p.gone) && p.any(activation.ItemAwaiting):
		return stepForsake
	case !p.unfoldable && len(p.unfolded()) > 0:
		return stepFold
	case p.halt != haltNone, p.gone:
		return stepFinish
	case p.awaiting && p.pollDue && p.any(activation.ItemAwaiting):
		return stepPoll
	case p.awaiting && (queued || p.events && p.replays && p.unsure()):
		return stepReopen
	case p.deletes && !queued && !p.any(activation.ItemAwaiting) && !p.any(activation.ItemFailed):
		return stepDelete
	case p.awaiting:
		return stepFinish
	case p.replays && p.unsure():
		return stepReplay
	case queued && p.behindAwaiting():
		return stepWithdraw
	case queued && !p.remote:
		return stepRemote
	case queued:
		return stepSend
	}
	return stepFinish
}

func (p progress) any(s activation.ItemState) bool {
	return slices.ContainsFunc(p.items, func(i activation.Item) bool { return i.State == s })
}

// unsure reports whether items may be sent again because their outcome is not
// known.
func (p progress) unsure() bool { return slices.ContainsFunc(p.items, unsure) }

// mostSilences is how often an item is sent to a network that does not answer.
const mostSilences = 3

func unsure(i activation.Item) bool {
	return i.State == activation.ItemUnknown && (i.Code != codeNoAnswer || i.Attempt < mostSilences)
}

// unfolded lists the final items whose outcome the ledger does not know yet.
// Other final states leave the ledger as it is.
func (p progress) unfolded() []activation.Item {
	var out []activation.Item
	for _, i := range p.items {
		if !i.Folded && (i.State == activation.ItemDelivered || i.State == activation.ItemUnknown) {
			out = append(out, i)
		}
	}
	return out
}

// sendable lists the queued items of the lowest phase that has any. Steps
// before stepSend have made sure that every phase below is final and folded.
func (p progress) sendable() []activation.Item {
	phase := p.phase()
	var out []activation.Item
	for _, i := range p.items {
		if i.State == activation.ItemQueued && i.Phase == phase {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b activation.Item) int { return cmp.Compare(a.First, b.First) }) // children in their parent's place
	return out
}

func (p progress) phase() int {
	low := 0
	for _, i := range p.items {
		if i.State == activation.ItemQueued && (low == 0 || i.Phase < low) {
			low = i.Phase
		}
	}
	return low
}

// behindAwaiting reports whether the next items to send belong to a phase
// behind one that the network has not answered for.
func (p progress) behindAwaiting() bool {
	phase := p.phase()
	return slices.ContainsFunc(p.items, func(i activation.Item) bool {
		return i.State == activation.ItemAwaiting && i.Phase < phase
	})
}
