// Package site keeps what web sites may read: by a keyed digest of a public id,
// in which public audiences a visitor is and which public attributes they have.
// It is part of the data plane and has a SQLite file of its own, so that a
// reader never waits for the warehouse.
//
// It owns site.db and site.key in the data directory. It decides nothing about
// who is public and knows no HTTP. It is built for the copied file: rows are kept
// under HMAC-SHA256 of the public id, and the id itself is there for comparing
// only, sealed (AES-GCM), so that a copy of site.db without site.key tells of
// nobody; and for the lost key: under another key no row can be found,
// so the table is emptied, its audiences are gone, and the next runs fill it.
package site
