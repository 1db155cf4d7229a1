-- +goose Up
-- Writings of many entries. They are stored piece by piece, so that nobody waits long
-- for the one who writes, and what is stored of them is to be seen at once, at the end.
CREATE TABLE entry_loads (
  -- The id of its first entry.
  id           BIGINT PRIMARY KEY,
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  -- The ids of its entries, as pairs of the first and the last.
  spans        TEXT NOT NULL,
  -- All of it is stored and can be seen; objects are being brought up to date.
  shown        BOOLEAN NOT NULL DEFAULT FALSE CHECK (shown IN (0, 1)),
  -- An object of it has changed since it was looked at: it can't be shown any more.
  stale        BOOLEAN NOT NULL DEFAULT FALSE CHECK (stale IN (0, 1)),
  -- The objects of the entries up to this one are up to date.
  up_to        BIGINT NOT NULL DEFAULT 0,
  touched_at   BIGINT NOT NULL
);

-- The structure by status: without it a status that few objects have reads all of a kind.
CREATE INDEX publisher_objects_status ON publisher_objects (publisher_id, kind, status, name, id);
