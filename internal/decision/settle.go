package decision

import (
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// system is who does what nobody asked for, in the audit log.
const system = "system"

// Settle makes good what a crash left undone of a change of the hierarchy: the
// warehouse knows its audiences, jobs follow it, nobody is in the audience of an
// action that was deleted, and what networks hold of one is given up. It is
// called at the start, and does nothing where nothing is left to do.
func (d *Decisions) Settle(ctx context.Context) error {
	return d.alone(ctx, func() error { return d.follow(ctx, system) })
}

// follow brings what hangs on the hierarchy in step with it: first the warehouse,
// then the jobs that send a level, then what is retired.
func (d *Decisions) follow(ctx context.Context, user string) error {
	if err := d.Catalog.SyncAudiences(ctx); err != nil {
		return fmt.Errorf("declare the audiences of actions: %w", err)
	}
	if err := d.Jobs.FollowHierarchy(ctx, user); err != nil {
		return fmt.Errorf("have jobs follow the hierarchy: %w", err)
	}
	return d.retire(ctx, user)
}

// undone takes a change back in the store that what hangs on it did not take, and
// returns why.
func (d *Decisions) undone(ctx context.Context, cause error, back func(context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	if err := back(ctx); err != nil {
		return errors.Join(cause, err)
	}
	if err := d.follow(ctx, system); err != nil {
		d.Log.WarnContext(ctx, "what hangs on the hierarchy is not in step with it", "error", err)
	}
	return cause
}

// retire empties the audiences of actions that were deleted, and what networks
// hold of them. A target that a living job owns is emptied by that job.
func (d *Decisions) retire(ctx context.Context, user string) error {
	all, err := d.Store.Audiences(ctx)
	if err != nil {
		return err
	}
	var moved int64
	for _, a := range all {
		if a.Kind != activation.KindRetired {
			continue
		}
		n, err := d.empty(ctx, a.ID)
		if err != nil {
			return err
		}
		moved += n
		if err := d.release(ctx, a.ID, false, user); err != nil {
			return err
		}
	}
	if moved > 0 {
		d.Moved(ctx)
	}
	return nil
}

// empty has everybody leave a given audience: a decision for nothing.
func (d *Decisions) empty(ctx context.Context, id activation.AudienceID) (int64, error) {
	n, err := d.Warehouse.Size(ctx, id)
	if err != nil || n == 0 {
		return 0, err
	}
	done, err := d.Warehouse.Decide(ctx, warehouse.DecideRequest{Level: []activation.AudienceID{id}, Now: d.Now()}, nil)
	if err != nil {
		return 0, fmt.Errorf("empty a retired audience: %w", err)
	}
	return done.Left, nil
}

// release gives up what networks hold of a retired audience and is not being
// given up. Unless it is for the first time, what a person wanted to stay stays.
func (d *Decisions) release(ctx context.Context, id activation.AudienceID, first bool, user string) error {
	targets, err := d.targetsOf(ctx, []activation.AudienceID{id})
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Release != "" || !first && t.State == activation.TargetCompleted {
			continue // under way, or over
		}
		_, err := d.Delivery.ReleaseTarget(ctx, t.ID, activation.EndEmpty, user)
		if err != nil && !errors.Is(err, activation.ErrConflict) {
			return fmt.Errorf("give up target %q: %w", t.ID, err)
		}
	}
	return nil
}
