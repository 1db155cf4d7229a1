package publishing_test

import (
	"context"
	"time"

	"usher/internal/activation"
	"usher/internal/publishing"
	"usher/internal/store"
)

// mortal is the store as a node sees it that dies: after left steps nothing of what it
// does arrives any more. Every write has a step before it and one after.
type mortal struct {
	*store.Store
	left int
}

var _ publishing.Store = (*mortal)(nil)

func (m *mortal) step() error {
	if m.left--; m.left < 0 {
		return errCrash
	}
	return nil
}

func (m *mortal) around(fn func() error) error {
	if err := m.step(); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return m.step()
}

func (m *mortal) WriteEntries(ctx context.Context, id activation.PublisherID, parent *activation.Entry, entries []activation.Entry, w activation.EntryWrite) (out []activation.Entry, err error) {
	err = m.around(func() error { out, err = m.Store.WriteEntries(ctx, id, parent, entries, w); return err })
	return out, err
}

func (m *mortal) TakeOverEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, limit int) (out []activation.Entry, err error) {
	err = m.around(func() error { out, err = m.Store.TakeOverEntries(ctx, p, id, limit); return err })
	return out, err
}

func (m *mortal) QueueHead(ctx context.Context, id activation.PublisherID, limit int) ([]activation.Entry, map[activation.ObjectRef]activation.PublisherObject, error) {
	if err := m.step(); err != nil {
		return nil, nil, err
	}
	return m.Store.QueueHead(ctx, id, limit)
}

func (m *mortal) ClaimEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, entries []activation.EntryID) (out []activation.Entry, err error) {
	err = m.around(func() error { out, err = m.Store.ClaimEntries(ctx, p, id, entries); return err })
	return out, err
}

func (m *mortal) SettleEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, outcomes []activation.EntryOutcome) error {
	return m.around(func() error { return m.Store.SettleEntries(ctx, p, id, outcomes) })
}

func (m *mortal) ReleaseWaiting(ctx context.Context, p activation.Pass, id activation.PublisherID) (n int64, err error) {
	err = m.around(func() error { n, err = m.Store.ReleaseWaiting(ctx, p, id); return err })
	return n, err
}

func (m *mortal) SaveNightly(ctx context.Context, p activation.Pass, id activation.PublisherID, n activation.Nightly) error {
	return m.around(func() error { return m.Store.SaveNightly(ctx, p, id, n) })
}

func (m *mortal) SaveStructure(ctx context.Context, p activation.Pass, id activation.PublisherID, reading int64, seen []activation.PublisherObject) (r activation.StructureRead, err error) {
	err = m.around(func() error { r, err = m.Store.SaveStructure(ctx, p, id, reading, seen); return err })
	return r, err
}

func (m *mortal) EndStructure(ctx context.Context, p activation.Pass, id activation.PublisherID, reading int64, at time.Time) (r activation.StructureRead, err error) {
	err = m.around(func() error { r, err = m.Store.EndStructure(ctx, p, id, reading, at); return err })
	return r, err
}

func (m *mortal) SaveObjects(ctx context.Context, p activation.Pass, id activation.PublisherID, seen []activation.PublisherObject, gone []activation.ObjectRef) (r activation.StructureRead, err error) {
	err = m.around(func() error { r, err = m.Store.SaveObjects(ctx, p, id, seen, gone); return err })
	return r, err
}

func (m *mortal) SaveCosts(ctx context.Context, id activation.PublisherID, reading int64, rows []activation.Cost) error {
	return m.around(func() error { return m.Store.SaveCosts(ctx, id, reading, rows) })
}

func (m *mortal) EndCosts(ctx context.Context, id activation.PublisherID, reading int64, from, until string, at time.Time) error {
	return m.around(func() error { return m.Store.EndCosts(ctx, id, reading, from, until, at) })
}
