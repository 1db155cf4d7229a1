// Package publishing is how people's edits of ad campaigns reach their publisher:
// publisher accounts, Usher's copy of their structure, the Activity Log and the order
// in which its entries are posted.
//
// It owns when an entry is written, released, posted, read back and ended; what local
// values are; conflicts, schedules, bids and costs. It must not know a publisher (it
// goes by the provider's declaration), and it never sends an edit whose earlier
// sending it has not read back.
//
// It is built for these failures: a crash between sending and noting the answer (the
// batch is unknown and read back before anything else of the account is sent), a
// publisher that refuses some of a call, an object that somebody else changed, and an
// account that does not answer (its own queue waits, in order, and no other's).
package publishing
