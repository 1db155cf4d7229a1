package delivery_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
)

// What memory does for delivery.TrackStore.

// tracked is what surrounds runs in memory.
type tracked struct {
	compared []activation.Reconciliation // the newest last
	pushes   map[activation.RunID]activation.Period
	told     []activation.ReconciliationID // drift that somebody was told of
}

func (m *memory) ConversionTarget(_ context.Context, of activation.Target, a activation.Audience, workflow string) (t activation.Target, created bool, err error) {
	defer m.lock()()
	a.ID = activation.AudienceID(a.Slug)
	if _, created = m.auds[a.ID]; !created {
		m.auds[a.ID] = a
	}
	for _, other := range m.targets {
		if other.Destination == of.Destination && other.Audience == a.ID {
			return *other, !created, nil
		}
	}
	t = activation.Target{
		ID: activation.TargetID("of-" + a.Slug), Destination: of.Destination, Audience: a.ID, Workflow: workflow, Job: of.Job, Generation: 1,
	}
	m.targets[t.ID] = &t
	return t, !created, nil
}

func (m *memory) OpenPush(ctx context.Context, id activation.TargetID, p activation.Period, user string) (activation.Run, error) {
	m.mu.Lock()
	for run, q := range m.tracked.pushes {
		if r := m.runs[run]; r.Target == id && q.From.Before(p.Until) && p.From.Before(q.Until) && r.Status != activation.RunWithdrawn {
			m.mu.Unlock()
			return activation.Run{}, fmt.Errorf("run #%d has sent some of this period: %w", r.Number, activation.ErrConflict)
		}
	}
	m.mu.Unlock()
	r, err := m.OpenRun(ctx, activation.Run{
		Target: id, Mode: activation.ModeHistory, Period: p, Cause: activation.CauseManual, SyncType: activation.SyncOfflineConversion, TriggeredBy: user,
	})
	if err != nil {
		return r, err
	}
	defer m.lock()()
	if m.tracked.pushes == nil {
		m.tracked.pushes = map[activation.RunID]activation.Period{}
	}
	m.tracked.pushes[r.ID] = p
	return r, nil
}

func (m *memory) MakeDue(_ context.Context, targets []activation.TargetID, cause activation.Cause) error {
	defer m.lock()()
	for _, id := range targets {
		m.targets[id].DueNow, m.targets[id].DueCause = true, cause
		delete(m.dueAt, id)
	}
	return nil
}

func (m *memory) SaveReconciliation(_ context.Context, r activation.Reconciliation) error {
	defer m.lock()()
	if r.Status == activation.ReconcileDrifted && !slices.Contains(m.tracked.told, r.ID) {
		m.tracked.told = append(m.tracked.told, r.ID)
	}
	for i := range m.tracked.compared {
		if m.tracked.compared[i].ID == r.ID {
			m.tracked.compared[i] = r
			return nil
		}
	}
	m.tracked.compared = append(m.tracked.compared, r)
	return nil
}

func (m *memory) Reconciliations(_ context.Context, t activation.TargetID, limit int) ([]activation.Reconciliation, error) {
	defer m.lock()()
	var out []activation.Reconciliation
	for _, r := range slices.Backward(m.tracked.compared) {
		if r.Target == t && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) DueReconciliations(_ context.Context, before time.Time, limit int) ([]activation.TargetID, error) {
	defer m.lock()()
	var out []activation.TargetID
	for id, t := range m.targets {
		since := slices.ContainsFunc(m.tracked.compared, func(r activation.Reconciliation) bool { return r.Target == id && !r.StartedAt.Before(before) })
		if t.RemoteID != "" && m.jobs[t.Job].State != activation.JobKilled && !since {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return out[:min(len(out), limit)], nil
}

func (g *gatedStore) ConversionTarget(ctx context.Context, of activation.Target, a activation.Audience, workflow string) (t activation.Target, created bool, err error) {
	if err := g.p.alive(); err != nil {
		return t, false, err
	}
	return g.worldStore.ConversionTarget(ctx, of, a, workflow)
}

func (g *gatedStore) OpenPush(ctx context.Context, t activation.TargetID, p activation.Period, user string) (activation.Run, error) {
	return gate1(g.p, func() (activation.Run, error) { return g.worldStore.OpenPush(ctx, t, p, user) })
}

func (g *gatedStore) MakeDue(ctx context.Context, targets []activation.TargetID, cause activation.Cause) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.MakeDue(ctx, targets, cause)
}

func (g *gatedStore) SaveReconciliation(ctx context.Context, r activation.Reconciliation) error {
	if err := g.p.alive(); err != nil {
		return err
	}
	return g.worldStore.SaveReconciliation(ctx, r)
}
