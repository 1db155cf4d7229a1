package manifest_test

import (
	"context"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/publishing"
	"usher/internal/store"
	"usher/internal/warehouse"
)

// nothing is a control store with nothing in it, which nothing may write to.
type nothing struct{ catalog.Store }

func (nothing) Authorizations(context.Context) ([]activation.Authorization, error) { return nil, nil }
func (nothing) Authorization(context.Context, activation.AuthorizationID) (activation.Authorization, error) {
	return activation.Authorization{}, activation.ErrNotFound
}

func (nothing) Hierarchy(context.Context) (activation.Hierarchy, error) {
	return activation.Hierarchy{}, nil
}

func (nothing) PriorityLists(context.Context, activation.DestinationID) ([]activation.PriorityList, error) {
	return nil, nil
}
func (nothing) Audiences(context.Context) ([]activation.Audience, error) { return nil, nil }
func (nothing) Audience(context.Context, activation.AudienceID) (activation.Audience, error) {
	return activation.Audience{}, activation.ErrNotFound
}
func (nothing) Templates(context.Context) ([]activation.Template, error) { return nil, nil }
func (nothing) Template(context.Context, string) (activation.Template, error) {
	return activation.Template{}, activation.ErrNotFound
}
func (nothing) Destinations(context.Context) ([]activation.Destination, error) { return nil, nil }
func (nothing) Destination(context.Context, activation.DestinationID) (activation.Destination, error) {
	return activation.Destination{}, activation.ErrNotFound
}
func (nothing) Jobs(context.Context, store.JobFilter) ([]activation.Job, error) { return nil, nil }

// nobody is a store of publishers with nothing in it, which nothing may write to.
type nobody struct{ publishing.Store }

func (nobody) Publishers(context.Context) ([]activation.PublisherAccount, error) { return nil, nil }
func (nobody) Publisher(context.Context, activation.PublisherID) (activation.PublisherAccount, error) {
	return activation.PublisherAccount{}, activation.ErrNotFound
}

func (nobody) Schedules(context.Context, activation.PublisherID) ([]activation.ScheduledOperation, error) {
	return nil, nil
}

func (nobody) Strategies(context.Context, activation.PublisherID) ([]activation.Strategy, error) {
	return nil, nil
}

// nothingPlane is a data plane with nothing in it.
type nothingPlane struct{}

func (nothingPlane) Apply(context.Context, warehouse.Schema) ([]string, error) {
	panic("a plan must not write")
}

func (nothingPlane) Schema(context.Context) (warehouse.Schema, error) {
	return warehouse.Schema{}, nil
}

func (nothingPlane) Streams(context.Context) ([]warehouse.StreamStat, error) { return nil, nil }

func (nothingPlane) SetAudiences(context.Context, []warehouse.Rule, time.Time) error {
	panic("a plan must not write")
}
func (nothingPlane) Try(context.Context, string, time.Time) (int64, error)      { return 0, nil }
func (nothingPlane) Size(context.Context, activation.AudienceID) (int64, error) { return 0, nil }
func (nothingPlane) Preview(_ context.Context, s warehouse.Schema) (warehouse.Schema, []string, error) {
	return s, nil, nil
}
