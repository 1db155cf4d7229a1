package delivery

import (
	"context"
	"errors"
	"fmt"
)

// CrashPoint names a moment of the protocol at which a process may die. There
// is one before and one after each commit and each call to a network.
type CrashPoint string

// The crash points in the order of the protocol; docs/delivery.md says what a
// restart does at each.
const (
	BeforeOpen CrashPoint = "before_open" // step 1
	AfterOpen  CrashPoint = "after_open"

	AfterTake CrashPoint = "after_take" // a run is taken, anew or over

	BeforePlan CrashPoint = "before_plan" // step 2
	AfterPlan  CrashPoint = "after_plan"  // now is stored

	BeforeStage CrashPoint = "before_stage" // step 3
	AfterStage  CrashPoint = "after_stage"
	BeforeGuard CrashPoint = "before_guard" // before the run is set to wait for approval
	AfterGuard  CrashPoint = "after_guard"

	BeforeQueue CrashPoint = "before_queue" // step 4
	AfterQueue  CrashPoint = "after_queue"

	BeforeRemote     CrashPoint = "before_remote"      // step 5, before the call
	AfterRemoteCall  CrashPoint = "after_remote_call"  // the network has the audience, we don't know it
	AfterRemote      CrashPoint = "after_remote"       // its id is stored
	BeforeGeneration CrashPoint = "before_generation"  // before a gone audience is stored
	AfterGeneration  CrashPoint = "after_generation"   //
	BeforeDelete     CrashPoint = "before_delete"      // before a released audience is deleted
	AfterDelete      CrashPoint = "after_delete"       // it is, and the store does not know
	BeforeClaim      CrashPoint = "before_claim"       // step 6
	AfterClaim       CrashPoint = "after_claim"        //
	BeforeDeliver    CrashPoint = "before_deliver"     // step 7
	AfterDeliver     CrashPoint = "after_deliver"      // the network has it, we have no receipt
	BeforeReceipt    CrashPoint = "before_receipt"     // step 8: receipt, requeue or halves
	AfterReceipt     CrashPoint = "after_receipt"      //
	BeforeFold       CrashPoint = "before_fold"        // step 9
	AfterFold        CrashPoint = "after_fold"         // the ledger moved, the store does not know
	AfterMarkFolded  CrashPoint = "after_mark_folded"  //
	BeforeReplay     CrashPoint = "before_replay"      // before an unknown item is queued again
	AfterReplay      CrashPoint = "after_replay"       //
	BeforeEndItems   CrashPoint = "before_end_items"   // before queued items end unsent
	AfterEndItems    CrashPoint = "after_end_items"    //
	BeforePoll       CrashPoint = "before_poll"        //
	AfterPoll        CrashPoint = "after_poll"         // the answer is here, not stored
	AfterPollReceipt CrashPoint = "after_poll_receipt" //
	BeforeReopen     CrashPoint = "before_reopen"      // before an awaiting run sends again
	AfterReopen      CrashPoint = "after_reopen"       //
	BeforeRest       CrashPoint = "before_rest"        // before a run of events that met an error is given back
	AfterRest        CrashPoint = "after_rest"         //
	BeforeRelease    CrashPoint = "before_release"     // before a run that waits is given back
	AfterRelease     CrashPoint = "after_release"      //
	BeforeConversion CrashPoint = "before_conversion"  // before the target of a conversion audience is there
	AfterConversion  CrashPoint = "after_conversion"   //
	BeforeAccept     CrashPoint = "before_accept"      // before people are brought into it
	AfterAccept      CrashPoint = "after_accept"       // they are, and the run has not ended
	BeforeReplaced   CrashPoint = "before_replaced"    // everybody is sent; before the others leave the ledger
	AfterReplaced    CrashPoint = "after_replaced"     //
	BeforeDoubt      CrashPoint = "before_doubt"       // before the ledger knows of a replacement that was cut
	AfterDoubt       CrashPoint = "after_doubt"        //
	BeforeFinish     CrashPoint = "before_finish"      // step 10
	AfterFinish      CrashPoint = "after_finish"       //
)

// CrashPoints lists every crash point in the order of the protocol.
var CrashPoints = []CrashPoint{
	BeforeOpen, AfterOpen, AfterTake, BeforePlan, AfterPlan, BeforeStage, AfterStage, BeforeGuard, AfterGuard,
	BeforeQueue, AfterQueue, BeforeRemote, AfterRemoteCall, AfterRemote, BeforeGeneration, AfterGeneration,
	BeforeDelete, AfterDelete, BeforeClaim, AfterClaim, BeforeDeliver, AfterDeliver, BeforeReceipt, AfterReceipt,
	BeforeFold, AfterFold, AfterMarkFolded, BeforeReplay, AfterReplay, BeforeEndItems, AfterEndItems,
	BeforePoll, AfterPoll, AfterPollReceipt, BeforeReopen, AfterReopen, BeforeRest, AfterRest, BeforeRelease, AfterRelease,
	BeforeConversion, AfterConversion, BeforeAccept, AfterAccept, BeforeReplaced, AfterReplaced, BeforeDoubt, AfterDoubt, BeforeFinish, AfterFinish,
}

// Faults is called each time a crash point is reached. A test makes it end the
// process there; one that returns an error instead makes delivery drop the work
// on the spot, writing nothing more, as a crash would.
type Faults interface {
	// At is told the point and how often this process has reached it before.
	At(ctx context.Context, p CrashPoint, n int) error
}

// crash is the error of a work that was dropped at a crash point.
type crash struct {
	point CrashPoint
	err   error
}

func (c *crash) Error() string { return fmt.Sprintf("dropped at %s: %v", c.point, c.err) }
func (c *crash) Unwrap() error { return c.err }

func crashed(err error) bool {
	var c *crash
	return errors.As(err, &c)
}

// at passes a crash point.
func (d *Delivery) at(ctx context.Context, p CrashPoint) error {
	if d.faults == nil {
		return nil
	}
	d.mu.Lock()
	n := d.reached[p]
	d.reached[p]++
	d.mu.Unlock()
	if err := d.faults.At(ctx, p, n); err != nil {
		return &crash{p, err}
	}
	return nil
}

// around does one commit between its two crash points.
func (d *Delivery) around(ctx context.Context, before, after CrashPoint, commit func() error) error {
	if err := d.at(ctx, before); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	return d.at(ctx, after)
}
