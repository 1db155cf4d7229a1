// Package singer brings in what a program prints that speaks the Singer protocol
// (a tap): SCHEMA, RECORD and STATE messages, one JSON object a line
// (hub.meltano.com/singer/spec, read 2026-11-22).
//
// It owns the process: which program may be started, what it is given, how it is
// bounded and ended with everything that it started itself. It reads the messages,
// makes flat rows of records, and keeps the STATE that stood behind the rows that
// were taken. It trusts a tap with nothing: a program is a file name in one folder
// and no shell sees it, its environment is empty but for a path, its lines are
// bounded, and of what it prints as a log only counts are kept, since taps print
// credentials and rows. It is built for the tap that dies in the middle, that
// never ends, and that prints something else.
package singer
