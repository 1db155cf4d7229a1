package delivery

import (
	"cmp"
	"context"
	"fmt"

	"usher/internal/activation"
	"usher/internal/provider"
)

// ensureRemote is step 5: the network finds our audience by its marker or
// creates it. Asking again is harmless, so any error may simply be retried.
func (x *execution) ensureRemote(ctx context.Context) error {
	if x.run.Stage != activation.StageRemote {
		x.enter(activation.StageRemote)
		if err := x.d.store.SaveRun(ctx, x.run); err != nil {
			return x.fail(ctx, err)
		}
	}
	id, err := x.lookUp(ctx)
	switch {
	case err != nil:
		return x.remoteErred(ctx, err)
	case x.ofEvents: // nothing of it is kept
	case x.target.RemoteID != "" && x.target.RemoteID != string(id):
		return x.newGeneration(ctx)
	}
	x.audience.Remote = id
	if x.target.RemoteID == "" && !x.ofEvents {
		if err := x.d.store.SetRemote(ctx, x.target.ID, x.target.Generation, string(id)); err != nil {
			return x.fail(ctx, fmt.Errorf("store the remote audience: %w", err))
		}
		x.target.RemoteID = string(id)
	}
	if err := x.d.at(ctx, AfterRemote); err != nil {
		return err
	}
	x.remote, x.patience = true, patience{}
	x.enter(activation.StageMembers)
	return x.fail(ctx, x.d.store.SaveRun(ctx, x.run))
}

func (x *execution) lookUp(ctx context.Context) (provider.RemoteID, error) {
	release, err := x.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	if x.audience, err = x.wanted(ctx); err != nil {
		return "", err
	}
	var id provider.RemoteID
	err = x.d.around(ctx, BeforeRemote, AfterRemoteCall, func() (err error) {
		wanted := x.audience
		id, err = call(ctx, x, func() (provider.RemoteID, error) { return x.client.EnsureAudience(ctx, wanted) })
		return err
	})
	return id, err
}

// wanted is what the remote audience of the run should be.
func (x *execution) wanted(ctx context.Context) (provider.Audience, error) {
	a := provider.Audience{Marker: marker(x.target), Name: x.target.RemoteName, Remote: provider.RemoteID(x.target.RemoteID), Config: settingsOf(x.def, x.job, x.target), Keys: x.keys.Keys}
	name := x.target.Stream
	if x.target.Audience != "" {
		audience, err := x.d.store.Audience(ctx, x.target.Audience)
		if err != nil {
			return a, err
		}
		name, a.Slug = audience.Name, audience.Slug
	}
	a.Name = cmp.Or(a.Name, name)
	return a, nil
}

// marker is what our audience is found by at the network.
func marker(t activation.Target) string {
	return fmt.Sprintf("usher-%s-%d", t.ID, t.Generation)
}

func (x *execution) remoteErred(ctx context.Context, err error) error {
	if crashed(err) || context.Cause(ctx) != nil {
		return err
	}
	e := x.failsAs(asError(err))
	switch effectOf(e.Kind) {
	case effectGone:
		return x.newGeneration(ctx)
	case effectWait:
		return x.waitFor(ctx, e)
	case effectTrouble:
		return x.trouble(ctx, e)
	case effectNone, effectFail:
	}
	return x.fail(ctx, e)
}

// waitFor obeys a network that asked us to come back later: up to a second in
// place, longer without the run.
func (x *execution) waitFor(ctx context.Context, e *activation.Error) error {
	until := e.Until
	if until.IsZero() {
		until = x.d.now().Add(longestTrouble)
	}
	if wait := until.Sub(x.d.now()); wait <= shortestPause || x.holds(wait) {
		return sleep(ctx, wait)
	}
	return &pause{until}
}

// trouble pauses before the next try, or fails the run when it has been in
// trouble for longer than a run may be.
func (x *execution) trouble(ctx context.Context, e *activation.Error) error {
	next, wait, ok := x.patience.again(x.d.now())
	if !ok {
		return x.fail(ctx, e)
	}
	x.patience = next
	return sleep(ctx, wait)
}

// newGeneration ends the run because its remote audience is gone or another
// one; the target begins anew.
func (x *execution) newGeneration(ctx context.Context) error {
	if x.run.Release != "" {
		x.gone = true // that is what it was to be
		return nil
	}
	p, err := x.look(ctx)
	if err != nil {
		return err
	}
	for i, it := range p.items { // as the store is about to move them
		switch it.State {
		case activation.ItemQueued:
			p.items[i].State = activation.ItemWithdrawn
		case activation.ItemAwaiting, activation.ItemSending:
			p.items[i].State = activation.ItemUnknown
		case activation.ItemDelivered, activation.ItemFailed, activation.ItemUnknown, activation.ItemWithdrawn, activation.ItemSuperseded, activation.ItemSplit:
		}
	}
	if err := x.count(ctx, p); err != nil {
		return err
	}
	status := activation.RunWithdrawn
	if x.run.Counts.Sent > 0 {
		status = activation.RunFailed
	}
	x.endTimings()
	err = x.d.around(ctx, BeforeGeneration, AfterGeneration, func() error { return x.d.store.NewGeneration(ctx, x.run, status) })
	if err != nil {
		return err
	}
	x.log.WarnContext(ctx, "the remote audience is gone; the next run fills a new one")
	x.d.wake(KindTarget, string(x.target.ID))
	return errHandedOver
}
