package delivery_test

import (
	"context"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
)

// Every write of a dead process is refused before it reaches the store.

func (g *gatedStore) RaiseDirty(ctx context.Context, seq map[activation.AudienceID]int64) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.RaiseDirty(ctx, seq)
}

func (g *gatedStore) RaiseKeys(ctx context.Context, seq map[activation.AudienceID]int64) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.RaiseKeys(ctx, seq)
}

func (g *gatedStore) SetRemote(ctx context.Context, t activation.TargetID, generation int, remote string) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.SetRemote(ctx, t, generation, remote)
}

func (g *gatedStore) OpenRun(ctx context.Context, r activation.Run) (activation.Run, error) {
	return gate1(g.p, func() (activation.Run, error) { return g.worldStore.OpenRun(ctx, r) })
}

func (g *gatedStore) RenewRuns(ctx context.Context, runs []activation.HeldRun, lease time.Duration) ([]activation.RunID, error) {
	return gate1(g.p, func() ([]activation.RunID, error) { return g.worldStore.RenewRuns(ctx, runs, lease) })
}

func (g *gatedStore) ReleaseRun(ctx context.Context, r activation.Run, until time.Time) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.ReleaseRun(ctx, r, until)
}

func (g *gatedStore) SaveRun(ctx context.Context, r activation.Run) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.SaveRun(ctx, r)
}

func (g *gatedStore) FinishRun(ctx context.Context, r activation.Run, end delivery.End) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.FinishRun(ctx, r, end)
}

func (g *gatedStore) NewGeneration(ctx context.Context, r activation.Run, s activation.RunStatus) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.NewGeneration(ctx, r, s)
}

func (g *gatedStore) QueueItems(ctx context.Context, r activation.Run, items []activation.Item) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.QueueItems(ctx, r, items)
}

func (g *gatedStore) ClaimItem(ctx context.Context, r activation.Run, id activation.ItemID) (activation.Item, error) {
	return gate1(g.p, func() (activation.Item, error) { return g.worldStore.ClaimItem(ctx, r, id) })
}

func (g *gatedStore) UnclaimItem(ctx context.Context, r activation.Run, it activation.Item) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.UnclaimItem(ctx, r, it)
}

func (g *gatedStore) SaveReceipt(ctx context.Context, r activation.Run, it activation.Item, s activation.ItemState, rc activation.Receipt, code, message string) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.SaveReceipt(ctx, r, it, s, rc, code, message)
}

func (g *gatedStore) SplitItem(ctx context.Context, r activation.Run, it activation.Item, children []activation.Item) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.SplitItem(ctx, r, it, children)
}

func (g *gatedStore) EndItems(ctx context.Context, r activation.Run, s activation.ItemState) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.EndItems(ctx, r, s)
}

func (g *gatedStore) ReplayItem(ctx context.Context, r activation.Run, id activation.ItemID) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.ReplayItem(ctx, r, id)
}

func (g *gatedStore) MarkFolded(ctx context.Context, r activation.Run, ids []activation.ItemID) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.MarkFolded(ctx, r, ids)
}

func (g *gatedStore) AwaitApproval(ctx context.Context, r activation.Run) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.AwaitApproval(ctx, r)
}

func (g *gatedStore) TakeRun(ctx context.Context, id activation.RunID, node string, lease time.Duration) (activation.Run, []activation.Item, error) {
	if err := g.p.alive(); err != nil {
		return activation.Run{}, nil, err
	}
	return g.worldStore.TakeRun(ctx, id, node, lease)
}

func (g *gatedStore) SaveRest(ctx context.Context, r activation.Run, it activation.Item, rc activation.Receipt, children []activation.Item) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.SaveRest(ctx, r, it, rc, children)
}

func (g *gatedStore) RestRun(ctx context.Context, r activation.Run, anew bool) (time.Time, error) {
	return gate1(g.p, func() (time.Time, error) { return g.worldStore.RestRun(ctx, r, anew) })
}

func (g *gatedStore) ReopenRun(ctx context.Context, r activation.Run) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.ReopenRun(ctx, r)
}
