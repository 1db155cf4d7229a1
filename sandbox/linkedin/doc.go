// Package linkedin stands in for LinkedIn's Marketing API, as far as DMP
// segments with streamed users and conversions go: versions, headers, segments
// and their delay, per-element answers, conversion rules and events, OAuth
// tokens, quotas and errors.
//
// It owns the network's side of the truth: who is in which segment, which
// events came. It shares no code with the product it judges. It is built for
// two failures: an HTTP 200 that hides refused people, and rows that were taken
// and lost because their segment was seconds old.
//
// # How people are matched
//
// A member has ids, each with its type; names, company, title and country are
// kept beside them and find nobody.
//
//   - ADD: it is the member who has all ids of the element; else every member
//     whose ids are all among them, who become one with all of them. Otherwise it
//     is another one, even when they have an id in common.
//   - REMOVE takes away every member that has any of the element's ids.
//   - Both answer 201 whether or not that changed anything.
//
// # What goes wrong by itself
//
//   - A segment cannot be found, read or filled for Options.Hidden after it was
//     made (404), and rows that come within Options.Settle are answered with 201
//     and lost.
//   - Making a segment again makes another one: there are no idempotency keys.
//   - One bad event refuses a whole batch of events, with the indices in the
//     message: 422 for what the schema refuses, 400 for the rest.
//   - A call beyond the quota of the minute or of the day gets 429 and no hint
//     when to come back. Both count by member, which is whoever consented.
//
// A fault of kind invalid spoils Rows elements from Row on, with Status as
// their status (400 when zero); of kind token it answers 401 with Subcode
// (65600 when zero); of kind throttle it sends Retry-After only where Minutes is
// set, which LinkedIn itself never does.
//
// Pages are on learn.microsoft.com/linkedin, read 2026-11-21.
package linkedin
