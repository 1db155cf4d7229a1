package server

import (
	"context"

	"usher/internal/provider"
	"usher/internal/warehouse/site"
)

// siteTable is the site's table as the web destination sees it. Neither room
// knows the other.
type siteTable struct{ *site.Site }

// Ensure makes an audience known to the site.
func (t siteTable) Ensure(ctx context.Context, marker, slug string) (provider.RemoteID, error) {
	id, err := t.Site.Ensure(ctx, marker, slug)
	return provider.RemoteID(id), err
}

// Put adds people to an audience.
func (t siteTable) Put(ctx context.Context, audience provider.RemoteID, ids, values []string) error {
	return t.Site.Put(ctx, string(audience), ids, values)
}

// Replace puts people into an audience as one part of all of its people.
func (t siteTable) Replace(ctx context.Context, audience provider.RemoteID, session int64, last bool, ids, values []string) error {
	return t.Site.Replace(ctx, string(audience), session, last, ids, values)
}

// Members names the members of an audience.
func (t siteTable) Members(ctx context.Context, audience provider.RemoteID, yield func(id, values string) error) error {
	return t.Site.Members(ctx, string(audience), yield)
}

// Take removes people from an audience.
func (t siteTable) Take(ctx context.Context, audience provider.RemoteID, ids []string) error {
	return t.Site.Take(ctx, string(audience), ids)
}

// Drop removes an audience.
func (t siteTable) Drop(ctx context.Context, audience provider.RemoteID) error {
	return t.Site.Drop(ctx, string(audience))
}

// Has looks for an audience.
func (t siteTable) Has(ctx context.Context, audience provider.RemoteID) (bool, error) {
	return t.Site.Has(ctx, string(audience))
}
