// Package linkedin keeps LinkedIn DMP segments in step by streaming people into
// and out of them, and sends conversions, by the Marketing API.
//
// It owns what is LinkedIn's alone: versions, headers, paths, bodies, keys,
// error codes and how a new segment is waited for. It decides nothing; the only
// calls it makes twice are those that LinkedIn refused before any work: with a
// stale token, and in conflict with another change. It is built for three
// failures: an HTTP 200 that hides refused people, a segment that takes rows and
// loses them because it is seconds old, and one bad event that refuses
// thousands of good ones.
//
// Pages are on learn.microsoft.com/linkedin, read 2026-11-21: "users" is
// marketing/matched-audiences/create-and-manage-segment-users, "segments" is
// marketing/matched-audiences/create-and-manage-segments, "conversions" is
// marketing/integrations/ads-reporting/conversions-api.
package linkedin
