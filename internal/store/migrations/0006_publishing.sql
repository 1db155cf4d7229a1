-- +goose Up
-- Publishers: accounts whose campaigns Usher edits, its copy of their structure, and
-- the Activity Log. Nothing here is about people.

CREATE TABLE publishers (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  provider    TEXT NOT NULL,
  auth_id     TEXT NOT NULL REFERENCES authorizations (id),
  account     TEXT NOT NULL,
  config      TEXT NOT NULL,
  currency    TEXT NOT NULL,
  timezone    TEXT NOT NULL,
  nightly_at  TEXT NOT NULL,
  sync_job    TEXT NOT NULL REFERENCES jobs (id),
  post_job    TEXT NOT NULL REFERENCES jobs (id),
  -- The number of the last call that posted entries.
  batch       BIGINT NOT NULL DEFAULT 0,
  -- The number of the last reading of the whole structure that began.
  reading     BIGINT NOT NULL DEFAULT 0,
  -- The number of the reading of costs that is under way, or comes next.
  cost_reading BIGINT NOT NULL DEFAULT 1,
  -- How far the nightly sync is, and which pass of it; so that one cut goes on.
  nightly     TEXT NOT NULL DEFAULT '{}',
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  synced_at   BIGINT,
  cost_at     BIGINT,
  UNIQUE (provider, account)
);
CREATE UNIQUE INDEX publishers_jobs ON publishers (sync_job);
CREATE UNIQUE INDEX publishers_post_jobs ON publishers (post_job);

-- Fields are as activation.PublisherObject tells them; confirmed is NULL for what waits
-- to be created.
CREATE TABLE publisher_objects (
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  kind         TEXT NOT NULL CHECK (kind IN ('campaign', 'group', 'creative', 'keyword', 'other')),
  id           TEXT NOT NULL,
  type         TEXT NOT NULL,
  parent_kind  TEXT NOT NULL,
  parent_id    TEXT NOT NULL,
  -- In small letters, to find and sort by.
  name         TEXT NOT NULL,
  status       TEXT NOT NULL,
  confirmed    TEXT,
  local        TEXT NOT NULL,
  waiting      BIGINT NOT NULL DEFAULT 0,
  removed      BOOLEAN NOT NULL DEFAULT FALSE CHECK (removed IN (0, 1)),
  deleted      BOOLEAN NOT NULL DEFAULT FALSE CHECK (deleted IN (0, 1)),
  confirmed_at BIGINT,
  -- The number of the reading of the whole structure that saw it last.
  seen         BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (publisher_id, kind, id)
);
CREATE INDEX publisher_objects_name ON publisher_objects (publisher_id, kind, name, id);
CREATE INDEX publisher_objects_parent ON publisher_objects (publisher_id, parent_kind, parent_id, kind, name, id);
CREATE INDEX publisher_objects_waiting ON publisher_objects (publisher_id, kind, name, id) WHERE waiting > 0;

-- The last id that an entry got. Whoever takes some has the row until they commit, so
-- the order of ids is the order of commits.
CREATE TABLE entry_ids (one BIGINT PRIMARY KEY CHECK (one = 1), last BIGINT NOT NULL);
INSERT INTO entry_ids (one, last) VALUES (1, 0);

-- The ids come from there; what counts them here is only a faster key.
CREATE TABLE entries (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  publisher_id  TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  parent_id     BIGINT,
  file_row      BIGINT NOT NULL DEFAULT 0,
  status        TEXT NOT NULL CHECK (status IN ('held', 'to_be_sent', 'queued', 'processing', 'done', 'failed', 'cancelled', 'partial')),
  reason        TEXT NOT NULL DEFAULT '',
  origin        TEXT NOT NULL CHECK (origin IN ('scheduled', 'user', 'system')),
  made_by       TEXT NOT NULL,
  source        TEXT NOT NULL,
  operation     TEXT NOT NULL CHECK (operation IN ('sync', 'create', 'edit', 'bid', 'geo', 'status', 'delete', 'upload')),
  kind          TEXT NOT NULL,
  object_id     TEXT NOT NULL,
  type          TEXT NOT NULL,
  object_name   TEXT NOT NULL,
  parent_kind   TEXT NOT NULL,
  parent_object TEXT NOT NULL,
  changes       TEXT NOT NULL,
  refers        TEXT NOT NULL DEFAULT '[]',
  wording       TEXT NOT NULL,
  detail        TEXT NOT NULL DEFAULT '{}',
  -- The four keys of the order in one number, which compares as they do: own is that
  -- of the entry itself. place is where it goes among all that waits, turn where among
  -- what is released: its own, or that of the first entry that needs it. Of those in
  -- one place the lowest before goes first; it is 0 in one's own place, else less.
  own           BIGINT NOT NULL,
  place         BIGINT NOT NULL,
  place_before  BIGINT NOT NULL DEFAULT 0,
  turn          BIGINT NOT NULL,
  turn_before   BIGINT NOT NULL DEFAULT 0,
  attempt       BIGINT NOT NULL DEFAULT 0,
  batch         BIGINT NOT NULL DEFAULT 0,
  -- The pass that has it in hand, and its place in the call.
  pass_id       TEXT,
  pass_attempt  BIGINT NOT NULL DEFAULT 0,
  batch_place   BIGINT NOT NULL DEFAULT 0,
  answer        TEXT NOT NULL DEFAULT '',
  error_code    TEXT NOT NULL DEFAULT '',
  error_text    TEXT NOT NULL DEFAULT '',
  error_field   TEXT NOT NULL DEFAULT '',
  request_id    TEXT NOT NULL DEFAULT '',
  children      TEXT NOT NULL DEFAULT '{}',
  created_at    BIGINT NOT NULL,
  released_at   BIGINT,
  posted_at     BIGINT,
  ended_at      BIGINT
);
CREATE INDEX entries_place ON entries (publisher_id, status, place, place_before)
  WHERE status IN ('held', 'to_be_sent', 'queued', 'processing') AND operation <> 'upload';
CREATE INDEX entries_turn ON entries (publisher_id, turn, turn_before, origin, kind, operation, parent_id, id) WHERE status = 'queued' AND operation <> 'upload';
CREATE INDEX entries_log ON entries (publisher_id, status, id);
CREATE INDEX entries_top ON entries (publisher_id, status, id) WHERE parent_id IS NULL;
CREATE INDEX entries_children ON entries (parent_id, status, id) WHERE parent_id IS NOT NULL;
CREATE INDEX entries_object ON entries (publisher_id, kind, object_id, id);
CREATE INDEX entries_ended ON entries (publisher_id, ended_at) WHERE ended_at IS NOT NULL;

-- Which create an entry needs, until that is done.
CREATE TABLE entry_refers (
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  needs        BIGINT NOT NULL,
  entry_id     BIGINT NOT NULL,
  PRIMARY KEY (publisher_id, needs, entry_id)
);

-- How many entries of each status there are, uploads left out; kept with every change.
CREATE TABLE entry_counts (
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  status       TEXT NOT NULL,
  n            BIGINT NOT NULL,
  PRIMARY KEY (publisher_id, status)
);

-- What is queued, counted in stretches of as many keys of the order (turn) each, in
-- groups; so that what is ahead of an entry is told without counting all of it.
CREATE TABLE entry_queue (
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  stretch      BIGINT NOT NULL,
  origin       TEXT NOT NULL,
  kind         TEXT NOT NULL,
  operation    TEXT NOT NULL,
  parent_id    BIGINT NOT NULL,
  n            BIGINT NOT NULL,
  first_turn   BIGINT NOT NULL,
  first_id     BIGINT NOT NULL,
  PRIMARY KEY (publisher_id, stretch, origin, kind, operation, parent_id)
);

CREATE TABLE publisher_schedules (
  id           TEXT PRIMARY KEY,
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  kind         TEXT NOT NULL,
  object_id    TEXT NOT NULL,
  action       TEXT NOT NULL CHECK (action IN ('pause', 'resume')),
  next_at      BIGINT,
  days         TEXT NOT NULL,
  hour         BIGINT NOT NULL,
  last_entry   BIGINT NOT NULL DEFAULT 0,
  created_by   TEXT NOT NULL,
  created_at   BIGINT NOT NULL
);
CREATE INDEX publisher_schedules_due ON publisher_schedules (next_at) WHERE next_at IS NOT NULL;

-- body is activation.Strategy; proposals are what its last run made of each object.
CREATE TABLE publisher_strategies (
  id           TEXT PRIMARY KEY,
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  name         TEXT NOT NULL,
  body         TEXT NOT NULL,
  proposals    TEXT NOT NULL DEFAULT '[]',
  run_at       BIGINT,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL,
  UNIQUE (publisher_id, name)
);

CREATE TABLE publisher_costs (
  publisher_id TEXT NOT NULL REFERENCES publishers (id) ON DELETE CASCADE,
  date         TEXT NOT NULL,
  kind         TEXT NOT NULL,
  object_id    TEXT NOT NULL,
  currency     TEXT NOT NULL,
  impressions  BIGINT NOT NULL,
  clicks       BIGINT NOT NULL,
  micros       BIGINT NOT NULL,
  conversions  DOUBLE PRECISION NOT NULL,
  value        DOUBLE PRECISION NOT NULL,
  -- The reading of costs that brought it (publishers.cost_reading).
  reading      BIGINT NOT NULL,
  PRIMARY KEY (publisher_id, kind, date, object_id)
);
CREATE INDEX publisher_costs_object ON publisher_costs (publisher_id, kind, object_id, date);

-- How far a job has read a drop folder, kept in the transaction that writes the
-- entries of a file.
CREATE TABLE publisher_drops (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  state  TEXT NOT NULL
);
