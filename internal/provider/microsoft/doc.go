// Package microsoft edits the campaigns of Microsoft Advertising accounts and reads
// what they cost, by the REST form of version 13 of its API.
//
// It owns what is Microsoft's alone: addresses, headers, the form of requests, error
// codes, ids and the report of costs. It decides nothing; the only call it makes
// twice is one that was refused for its token, before any work. It is built for the
// answer that says 200 and holds refused rows: each of them is found by its index,
// and one that is neither refused nor has an id is unknown.
//
// An object's id here is the path of Microsoft's ids from the campaign down, divided
// by "~", because Microsoft finds nothing without the id of what it lies in.
//
// Pages are below learn.microsoft.com/advertising, read 2026-11-22: "rest" is
// guides/migrate-to-rest, "errors" is guides/handle-service-errors-exceptions, "codes"
// is guides/operation-error-codes, "limits" are the pages of the single operations of
// campaign-management-service. What no page confirms is a setting of the publisher
// account.
//
// The structure is read by a call for each campaign and ad group. The Bulk service
// would read it in one file; that is another format with other words, and no page asks
// for it: it is not used.
package microsoft
