package provider

import "context"

// Site is the local table that the web destination fills and sites read: who,
// by a keyed digest of a public id, is in which public audiences. Its methods
// may be called by any goroutine; each is one transaction and may be repeated.
type Site interface {
	// Ensure makes an audience known to the site and returns its id there.
	Ensure(ctx context.Context, marker, slug string) (RemoteID, error)
	// Put adds people to an audience; values are their public attributes as a
	// JSON object each, "" = none.
	Put(ctx context.Context, audience RemoteID, ids, values []string) error
	// Replace puts people into an audience as one part of all of its people; with
	// last, whoever came by no part of the same session goes.
	Replace(ctx context.Context, audience RemoteID, session int64, last bool, ids, values []string) error
	// Members calls yield with each member and the attributes that Put was given,
	// as they are at one moment, and stops at its error. ErrNotFound where the
	// audience is not there.
	Members(ctx context.Context, audience RemoteID, yield func(id, values string) error) error
	// Take removes people from an audience.
	Take(ctx context.Context, audience RemoteID, ids []string) error
	// Drop removes the audience and its members. ErrNotFound where it is not there.
	Drop(ctx context.Context, audience RemoteID) error
	// Has reports whether the audience is there.
	Has(ctx context.Context, audience RemoteID) (bool, error)
}
