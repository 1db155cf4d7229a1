// Package google is a stand-in of Google's Data Manager API: user lists, members,
// conversion events, the status of requests, and a place that mints access
// tokens; and of the campaigns of the Google Ads API (files ads*.go).
//
// It owns what the account holds and judges every body by Google's own
// definitions (protos/), by strict protojson: a field that they do not have, a
// wrong word or two members of a oneof refuse the request, as do a required field
// that is missing, a limit, or a hash that is none. It imports nothing of the
// product. It is built for the failure of believing "accepted": what a request
// comes to shows later, in no promised order, and never row by row.
//
// Its members are identifiers. A member is who was sent together; a removal takes
// the identifiers it names off the list, whoever has them, and a member is gone
// with the last one. So who is removed by fewer identifiers than were sent stays,
// and a shared identifier that is removed is missing from its other owner.
//
// Faults: invalid calls Rows of a request wrong without a word which (PARTIAL_SUCCESS,
// or FAILED when it is all); error answers with HTTP status Code and the reason
// in Message, and names row Subcode when that is set, counted from 1; throttle
// names a delay when Minutes is set.
//
// Campaigns are a tree of resources for each account, of which googleAds:mutate and
// googleAds:searchStream are there, below /v25 and /v26 with the definitions of v25.
// Operations are all or none, or each for itself, as the call says. A query is read as
// far as it is SELECT, FROM, WHERE, ORDER BY and LIMIT, and metrics are by day only.
// Every error is one that Google's definitions have.
//
// Faults of campaigns: the operations are mutate and search; invalid refuses Rows
// operations from Row on with the error code in Message, or with Applied only says
// so; error refuses the whole
// call with it, and names operation Subcode when that is set; throttle takes the word of
// the quota error in Message; flagged says that the account is not enabled.
//
// Below /_sandbox/google/:
//
//	GET    lists                  all lists with their sizes
//	GET    lists/{id}/members     members by their identifiers
//	POST   lists/{id}/members     {"members": [{"emailAddress": "…"}]}: bring people in
//	POST   lists/{id}/members/remove  {"members": […]} or {"count": 3}: take people out
//	DELETE lists/{id}             take it away behind the caller's back
//	GET    events                 conversions that took effect
//	GET    requests               requests and what they came to
//	POST   requests/finish        process what is waiting, in any order
//	GET    ads/{customer}/tree    the campaigns and all that is in them, removed ones too
//	GET    ads/{customer}/journal every change, with the call that made it
//	GET    ads/{customer}/costs   what was spent, by day
//	POST   ads/{customer}/costs   [{"resource": "customers/…", "date": "…", "clicks": 3, …}]: spend more
//	POST   ads/{customer}/mutate  a body of googleAds:mutate: somebody else edits
//	POST   ads/{customer}/example {"seed": 1, "campaigns": 3, …}: make some campaigns with costs
//	POST   tokens/expire          end all access tokens
//	GET    calls                  the latest calls
//	DELETE calls                  forget them
package google
