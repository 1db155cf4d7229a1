// Package schedule says when a job runs: it reads what a person wrote about it,
// names everything that is wrong with it, brings it into one normal form, and
// computes the times from that. docs/schedules.md is its page.
//
// It does no I/O and reads no clock: the moment to count from is always an
// argument. It must not decide what becomes of a job; the store asks it for a
// time and keeps it.
//
// It is built for the failure of the two nights a year on which the clock is
// changed: a daily job that runs twice, not at all, or an hour off. The library
// that reads cron expressions is asked what the five fields mean and nothing
// more. Which instants these are is decided here (wall.go, times.go): asked for
// them (v0.9.1), it runs twice in an hour that is repeated, and not at all where
// midnight or half an hour is skipped.
package schedule
