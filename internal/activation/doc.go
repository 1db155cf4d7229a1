// Package activation holds the nouns of Usher and the rules that bind them:
// jobs, destinations, targets, runs, queue items, receipts, their states and
// the kinds of error. One word has one meaning here, in the tables, in the API
// and in the console.
//
// It owns the state tables (states.go) and the count laws (laws.go). It does no
// I/O, reads no clock and imports nothing but the standard library, so every
// other package may import it and every rule in it can be tested a million
// times a minute. It is built for the failure of two places that decide alike
// until they do not: each rule is here once.
package activation
