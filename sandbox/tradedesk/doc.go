// Package tradedesk stands in for The Trade Desk's first-party data endpoint:
// POST /data/advertiser, which puts ids into data elements of an advertiser and
// takes them out by a lifetime of 0.
//
// It owns the network's side of the truth: which id is in which element and
// until when. It shares no code with the product it judges. It is built for the
// failure of a sender that signs something else than it sends, or that takes a
// good status for good rows: signatures are compared over the exact bytes of the
// body, and bad items are named in an answer whose status is 200.
//
// What is stricter than the network: fields it does not know, more than one id
// in an item and ids that are not of their form are refused, so that the product
// cannot lean on a repair. The network publishes no limit of calls; throttling
// comes by fault scripts only.
package tradedesk
