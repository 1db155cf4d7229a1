package delivery

import (
	"context"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

type givenShim interface {
	KeySeq(ctx context.Context) (map[activation.AudienceID]int64, error)
	Waits(ctx context.Context, audiences []activation.AudienceID, above int64) (warehouse.Waiting, error)
}

type storeShim interface {
	// RaiseKeys raises keys_seq of the targets of these audiences; never lowers.
	RaiseKeys(ctx context.Context, seq map[activation.AudienceID]int64) error
	// Outranking lists the audiences that come before the target's in a priority
	// list of its destination and that a living job sends there.
	Outranking(ctx context.Context, target activation.TargetID) ([]activation.AudienceID, error)
}

func (d *Delivery) keySeq(ctx context.Context) (map[activation.AudienceID]int64, error) {
	if g, ok := d.audiences.(givenShim); ok {
		return g.KeySeq(ctx)
	}
	return nil, nil
}

func (d *Delivery) waits(ctx context.Context, audiences []activation.AudienceID, above int64) (warehouse.Waiting, error) {
	if g, ok := d.audiences.(givenShim); ok {
		return g.Waits(ctx, audiences, above)
	}
	return warehouse.Waiting{}, nil
}

func (d *Delivery) raiseKeys(ctx context.Context, seq map[activation.AudienceID]int64) error {
	if g, ok := d.store.(storeShim); ok {
		return g.RaiseKeys(ctx, seq)
	}
	return nil
}

func (d *Delivery) outranking(ctx context.Context, target activation.TargetID) ([]activation.AudienceID, error) {
	if g, ok := d.store.(storeShim); ok {
		return g.Outranking(ctx, target)
	}
	return nil, nil
}
