// Package inbox keeps what was accepted and not yet merged: one spool file per
// load and one row per load in a SQLite file of its own; what comes in real time
// is in that file itself, many requests written by one transaction. It is part of
// the data plane, since both hold rows of people.
//
// It owns its folder (inbox.db, spool/ and rejected/) and the order of acceptance. It does
// not parse, merge or retry: package ingest does. It is built for one failure, a
// process killed at any statement: a load exists from the moment its row is
// committed and not before, its file was synced and named before that, and a
// file without a row is removed at the next start. So whoever was told "yes" is
// never forgotten, and whoever was not leaves nothing.
package inbox
