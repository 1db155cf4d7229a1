// Package meta keeps Meta custom audiences in step: it finds or makes the
// audience, adds people to it and removes them, by the Marketing API. It edits the
// campaigns of an ad account by the same API (files campaign*.go).
//
// It owns what is Meta's alone: paths, bodies, keys, error codes and usage
// headers. It decides nothing and retries nothing. It is built for three
// failures: a call that took effect although it failed, an error code whose
// HTTP status says something else, and an answer that repeats people's values.
//
// Pages are on developers.facebook.com, read 2026-11-21; "audiences guide" is
// documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences, and a
// "reference" is marketing-api/reference/….
package meta
