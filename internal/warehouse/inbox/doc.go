// Package inbox keeps what was accepted and not yet merged: one spool file per
// load and one row per load in a SQLite file of its own. It is part of the data
// plane, since spool files hold rows of people.
//
// It owns its folder (inbox.db and spool/) and the order of acceptance. It does
// not parse, merge or retry: package ingest does. It is built for one failure, a
// process killed at any statement: a load exists from the moment its row is
// committed and not before, its file was synced and named before that, and a
// file without a row is removed at the next start. So whoever was told "yes" is
// never forgotten, and whoever was not leaves nothing.
package inbox
