// Package query reads the rows of a query for the providers whose far side is a
// database: the settings, what a query may be, where reading went on from, and
// how a row becomes a line of NDJSON. How a database is spoken to is theirs.
//
// It owns the rule by which a cursor column loses no row and repeats none (see
// Source). It writes nothing anywhere, keeps nothing between passes but the state
// that it hands out, and puts no value of a row into an error. It is built for
// rows that come late under a value that was read already, for the connection
// that breaks in the middle of a result, and for a query that is more than one.
package query
