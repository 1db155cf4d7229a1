// Package postgres keeps a table of an audience's people in step in a PostgreSQL
// database of the user's own, writes raw events into one, and reads the rows of
// tables and queries for imports.
//
// It owns the tables that carry its mark; an export reads no others, and an import
// reads in a transaction that may change nothing. Names come from
// settings, are checked and always quoted; values travel as parameters or by
// COPY, never in the text of a statement. It decides nothing and retries
// nothing. It is built for three failures: a connection lost while a COMMIT is
// under way, whose outcome nobody knows; a table of somebody else under the name
// that was chosen; and an error of the server that repeats a row's values, which
// is why only its SQLSTATE is kept.
//
// Pages are on www.postgresql.org/docs/current, read 2026-11-22.
package postgres
