package delivery

import (
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// reach says in a plan's request whom the run sends: nobody where the target is
// given up, else what priority lists and the job's Exclude and Reach leave of the
// members. What a job of events says of reach is about its events, not about the
// audience of those whose events were accepted.
func (d *Delivery) reach(ctx context.Context, r activation.Run, t activation.Target, req warehouse.PlanRequest) (warehouse.PlanRequest, error) {
	if r.Release != "" {
		req.Nobody = true
		return req, nil
	}
	audience, err := d.store.Audience(ctx, t.Audience)
	if err != nil {
		return req, err
	}
	req.Forget = r.Mode == activation.ModeForget
	if req.Above, err = d.store.Outranking(ctx, t.ID); err != nil {
		return req, fmt.Errorf("read the priority lists: %w", err)
	}
	req.KeysOnly = r.Mode == activation.ModeKeys
	req.Replace = r.Mode == activation.ModeReplace
	req.Keep = audience.Kind == activation.KindConversion
	job, err := d.store.Job(ctx, t.Job)
	if errors.Is(err, activation.ErrNotFound) {
		return forgetting(req), nil // deleted: its runs are being ended
	}
	if err != nil {
		return req, err
	}
	if job.Stream != "" {
		return forgetting(req), nil
	}
	req.Keep = req.Keep || job.BackfillOnly
	req.Exclude = job.Exclude
	if job.HoldoutPercent > 0 {
		req.Holdout = &warehouse.Holdout{Percent: job.HoldoutPercent, Salt: string(t.Audience)}
	}
	if job.SkipBackfill {
		req.Begun = BegunBy(job.ID)
	}
	if req.Limit, err = d.store.Allowance(ctx, t.ID); err != nil {
		return req, fmt.Errorf("count newcomers: %w", err)
	}
	return forgetting(req), nil
}

// forgetting is a request that takes those away who were forgotten, also where
// the job takes nobody away and however few it may add.
func forgetting(req warehouse.PlanRequest) warehouse.PlanRequest {
	if req.Forget {
		req.Keep, req.Limit = false, nil
	}
	return req
}

// BegunBy names the beginning of a job in the data plane.
func BegunBy(id activation.JobID) string { return string(id) }

// calledOff reports whether the target of a run that was to give it up is
// wanted again, or its destination switched off.
func (x *execution) calledOff(ctx context.Context) (bool, error) {
	job, err := x.d.store.Job(ctx, x.run.Job)
	if err != nil && !errors.Is(err, activation.ErrNotFound) {
		return false, err
	}
	x.job = job // nothing of it where it is deleted or purged
	return x.target.Release == "" || !x.dest.Enabled, nil
}

// watchRelease looks whether a release was called off meanwhile.
func (x *execution) watchRelease(ctx context.Context, id activation.TargetID, stop context.CancelCauseFunc) {
	every(ctx, x.d.set.Watch, func() {
		if t, err := x.d.store.Target(ctx, id); err == nil && t.Release == "" {
			stop(errEnded)
		}
	})
}

// deleteRemote deletes the remote audience, of which everybody was removed that
// the network lets go. Asking again after a crash is harmless: then it is gone.
func (x *execution) deleteRemote(ctx context.Context) error {
	if x.target.RemoteID == "" {
		return x.ensureRemote(ctx) // it may have been made without our being told
	}
	client, ok := x.client.(provider.Deleter)
	if !ok {
		return x.fail(ctx, noDeletion("on_end"))
	}
	leave, err := x.slot(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = x.d.around(ctx, BeforeDelete, AfterDelete, func() error {
		_, err := call(ctx, x, func() (struct{}, error) {
			return struct{}{}, client.DeleteAudience(ctx, provider.RemoteID(x.target.RemoteID))
		})
		if activation.KindOf(err) == activation.Gone {
			return nil
		}
		return err
	})
	if err != nil {
		return x.remoteErred(ctx, err)
	}
	x.log.InfoContext(ctx, "the remote audience is deleted")
	x.gone = true
	return nil
}

// noDeletion is the error of asking for a deletion where there is none.
func noDeletion(field string) error {
	return &activation.Error{
		Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: field,
		Message: "this network offers no deletion of audiences; choose keep or empty",
	}
}

// released decides whether a run that was to give its target up has done so: the
// audience is gone; or a person did not want anybody removed; or, where it only
// is to be empty, nobody is left but those whom the network refused to remove.
// Otherwise the next run goes on with it.
func (x *execution) released(ctx context.Context, end *End) error {
	if x.run.Release == "" || x.run.Status != activation.RunCompleted {
		return nil
	}
	switch {
	case x.ofEvents:
		if err := x.d.events.ForgetEvents(ctx, x.target.ID); err != nil {
			return fmt.Errorf("forget how far events were staged: %w", err)
		}
		end.Released = true
	case x.gone:
		end.Released, end.Gone = true, true
	case x.run.Counts.Withheld > 0:
		end.Released = true
	case x.run.Release == activation.EndEmpty:
		awaiting, err := x.d.store.AwaitingItems(ctx, x.target.ID, x.run.Generation)
		if err != nil {
			return fmt.Errorf("list awaiting items: %w", err)
		}
		h, err := x.d.ledger.Holdings(ctx, x.target.ID, x.run.Generation)
		if err != nil {
			return fmt.Errorf("count the ledger: %w", err)
		}
		end.Released = len(awaiting) == 0 && h.In+h.Maybe <= x.run.Counts.Rejected
	}
	end.Due = !end.Released
	return nil
}

// forget drops what the data plane knows of a remote audience that is gone for
// good. What a crash or an error leaves goes with the run's staged rows.
func (d *Delivery) forget(ctx context.Context, r activation.Run) {
	if err := d.ledger.Forget(ctx, r.Target, r.Generation+1, BegunBy(r.Job)); err != nil {
		d.log.WarnContext(ctx, "forgetting a released target", "run_id", r.ID, "error", err)
	}
}

// forgetReleased is forget once more when the rows of a run are dropped.
func (d *Delivery) forgetReleased(ctx context.Context, id activation.RunID) error {
	r, err := d.store.Run(ctx, id)
	if err != nil || r.Release == "" {
		return err
	}
	t, err := d.store.Target(ctx, r.Target)
	if err != nil || t.Generation == r.Generation {
		return err
	}
	if err := d.ledger.Forget(ctx, t.ID, t.Generation, BegunBy(r.Job)); err != nil {
		return fmt.Errorf("forget a released target: %w", err)
	}
	return nil
}

// ReleaseTarget gives up the remote audience of a target that no living job
// owns. keep lets go of it as it is and forgets it; empty and delete make a run
// that removes everybody, past the removal guard, and then the audience.
func (d *Delivery) ReleaseTarget(ctx context.Context, id activation.TargetID, how activation.OnEnd, user string) (activation.Target, error) {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return t, err
	}
	if how == activation.EndDelete {
		dest, err := d.store.Destination(ctx, t.Destination)
		if err != nil {
			return t, err
		}
		_, def, err := d.providers(ctx, dest, t.Workflow)
		if err != nil {
			return t, err
		}
		if !def.Deletes && !takesEvents(def, t) {
			return t, noDeletion("remote")
		}
	}
	if t, err = d.store.ReleaseTarget(ctx, id, how, user); err != nil {
		return t, err
	}
	if how == activation.EndKeep {
		if err := d.ledger.Forget(ctx, id, t.Generation, BegunBy(t.Job)); err != nil {
			return t, fmt.Errorf("forget the ledger: %w", err)
		}
		if d.events != nil {
			if err := d.events.ForgetEvents(ctx, id); err != nil {
				return t, fmt.Errorf("forget how far events were staged: %w", err)
			}
		}
	}
	d.wake(KindTarget, string(id))
	return t, nil
}
