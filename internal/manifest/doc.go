// Package manifest is configuration as code: fields, streams, audiences,
// the next-best-action hierarchy, payload templates, destinations, publisher
// accounts with their scheduled operations and bidding strategies, jobs and
// priority lists as YAML files that live in git.
//
// It owns the shape of the files, the plan (what would be created, changed or
// left alone, and everything that is wrong, with file and line) and the export
// that reads back as it was written. It decides nothing about the things
// themselves: each is checked and stored by the catalog, by package decision or by package
// publishing, as everywhere else.
// Authorizations are named, never held: a file has no secret in it. Nothing is
// deleted because a file is gone.
//
// It is built for the half-applied change: a plan runs on a shadow of the
// catalog first, and as long as anything is wrong nothing is stored.
package manifest
