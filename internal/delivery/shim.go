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
