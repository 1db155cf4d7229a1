-- +goose Up
-- Data in: rebuilds, people who are to be forgotten, and series of counts that
-- belong to no job. Nothing here is personal: a forget knows no name, no profile
-- and no value of the person.

CREATE TABLE rebuilds (
  id         TEXT PRIMARY KEY,
  number     BIGINT NOT NULL UNIQUE,
  status     TEXT NOT NULL CHECK (status IN ('running', 'completed', 'cancelled', 'failed')),
  reason     TEXT NOT NULL,
  asked_by   TEXT NOT NULL,
  attempt    BIGINT NOT NULL CHECK (attempt >= 0),
  cancelled_by TEXT NOT NULL DEFAULT '',
  -- Messages replayed so far, and how many there were.
  done       BIGINT NOT NULL,
  total      BIGINT NOT NULL,
  -- What changed: people touched, new, merged away.
  counts     TEXT NOT NULL,
  error_code TEXT NOT NULL,
  error_text TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at   BIGINT,
  CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX rebuilds_one_open ON rebuilds (status) WHERE status = 'running';

CREATE TABLE forgets (
  id           TEXT PRIMARY KEY,
  status       TEXT NOT NULL CHECK (status IN ('pending', 'complete')),
  -- The next thing to do: erase, remove (at the networks), compact, or none.
  stage        TEXT NOT NULL CHECK (stage IN ('erase', 'remove', 'compact', 'done')),
  asked_by     TEXT NOT NULL,
  -- The identifier field it was asked by; the value is in the data plane until
  -- it is erased there, and then nowhere.
  field        TEXT NOT NULL,
  -- What was erased: profiles, messages, rows.
  counts       TEXT NOT NULL,
  error_code   TEXT NOT NULL,
  error_text   TEXT NOT NULL,
  requested_at BIGINT NOT NULL,
  erased_at    BIGINT,
  removed_at   BIGINT,
  completed_at BIGINT,
  CHECK ((status = 'complete') = (completed_at IS NOT NULL))
);
CREATE INDEX forgets_pending ON forgets (requested_at) WHERE status = 'pending';

-- What became of a forget at each target whose network held the person.
CREATE TABLE forget_targets (
  forget_id   TEXT NOT NULL REFERENCES forgets (id) ON DELETE CASCADE,
  target_id   TEXT NOT NULL,
  destination_id TEXT NOT NULL,
  -- Names as they were, for the receipt outlives target and audience.
  destination TEXT NOT NULL,
  audience    TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('pending', 'removed', 'refused', 'gone', 'released')),
  run_number  BIGINT NOT NULL,
  code        TEXT NOT NULL,
  closed_at   BIGINT,
  PRIMARY KEY (forget_id, target_id),
  CHECK ((status = 'pending') = (closed_at IS NULL))
);

-- Counts of streams and sizes of audiences in buckets of width seconds (60, 3600, 86400).
CREATE TABLE series (
  kind    TEXT NOT NULL CHECK (kind IN ('stream', 'segment')),
  subject TEXT NOT NULL,
  name    TEXT NOT NULL,
  width   BIGINT NOT NULL CHECK (width IN (60, 3600, 86400)),
  bucket  BIGINT NOT NULL,
  value   BIGINT NOT NULL,
  PRIMARY KEY (kind, subject, width, bucket, name)
);
CREATE INDEX series_age ON series (width, bucket);
