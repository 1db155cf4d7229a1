// Package tradedesk keeps data elements of a Trade Desk advertiser in step: it
// sends people's ids with a lifetime, and takes them out with a lifetime of 0.
//
// It owns what is The Trade Desk's alone: the body and its signature, the ids,
// the lines that an answer calls failed, the error codes. It decides nothing and
// retries nothing. It is built for the failure of an answer of status 200 that
// is not good: rows are rejected by the position that each failed line names.
//
// Limits and answers are those of the first-party data endpoint
// (partner.thetradedesk.com, api/data, first-party data) as far as the page says;
// what only public connectors say (2.5 MB, 180 days) is marked where it stands.
// All were read 2026-11-21.
package tradedesk
