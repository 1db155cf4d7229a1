// Package dmp sends audiences to a data management platform as files: one line a
// customer, or CSV by the rules of LiveRamp's file intake.
//
// It owns these two formats and their match keys; names are package rowfile's,
// the way to the platform is that of the places of package drop, chosen by the
// authorization. It decides nothing. It is built for a reader that never answers:
// what it would not take is refused here, row by row, and what nobody can know
// is said on the docs page.
package dmp
