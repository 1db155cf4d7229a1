// Package ingest is how data comes in: it checks uploads, makes them durable,
// and brings them into the warehouse one after the other.
//
// It owns the reading of CSV and JSON, of timestamps, and the order of merges.
// It must not know HTTP, jobs or networks, and it never puts a value of a row
// into an error or a log line: an error names line, column and reason.
//
// It is built for these failures: a body that is cut, lies about its format or
// never ends (memory is bounded by one buffer, whatever comes); a row that is
// wrong (nothing of the request is kept, unless dropping was asked for); a
// crash between any two statements (a load is merged exactly once or was never
// accepted); and a load that can't be merged (it stands aside and the others go on).
package ingest
