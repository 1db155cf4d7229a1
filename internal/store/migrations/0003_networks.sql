-- +goose Up
-- The networks: targets that are fed by a stream, templates of payloads, and
-- the consent that OAuth is connected by.

-- A target is one audience or one stream of events. SQLite changes no constraint
-- of a table, but takes another text for one that only asks for less.
-- +only sqlite
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'audience_id        TEXT NOT NULL REFERENCES audiences (id)', 'audience_id        TEXT REFERENCES audiences (id)')
  WHERE type = 'table' AND name = 'targets';
-- A token of a site reads the web destination and nothing else.
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (role IN (''viewer'', ''operator'', ''admin''))', 'CHECK (role IN (''viewer'', ''operator'', ''admin'', ''site''))')
  WHERE type = 'table' AND name = 'tokens';
PRAGMA writable_schema = RESET;
-- +only end
-- +only postgres
ALTER TABLE targets ALTER COLUMN audience_id DROP NOT NULL;
ALTER TABLE tokens DROP CONSTRAINT tokens_role_check;
ALTER TABLE tokens ADD CHECK (role IN ('viewer', 'operator', 'admin', 'site'));
-- +only end
ALTER TABLE targets ADD COLUMN stream TEXT NOT NULL DEFAULT '';
ALTER TABLE targets ADD COLUMN workflow TEXT NOT NULL DEFAULT '';
UPDATE targets SET workflow = coalesce((SELECT j.workflow FROM jobs j WHERE j.id = targets.job_id), '');
UPDATE targets SET workflow = 'meta_custom_audience'
  WHERE workflow = '' AND destination_id IN (SELECT id FROM destinations WHERE provider = 'meta');
CREATE INDEX targets_stream ON targets (stream, dirty_seq) WHERE stream <> '';
ALTER TABLE runs ADD COLUMN stream TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN stream TEXT NOT NULL DEFAULT '';

-- Public audiences may be read by sites.
ALTER TABLE audiences ADD COLUMN public BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE templates (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
  description TEXT NOT NULL,
  body        TEXT NOT NULL,
  created_by  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);

-- When what an authorization has ends, for warnings ahead; NULL = not known or
-- never. noticed_at is when the last warning was given.
ALTER TABLE authorizations ADD COLUMN expires_at BIGINT;
ALTER TABLE authorizations ADD COLUMN expiry_noticed_at BIGINT;

-- Consents under way: who asked for one, and what is sealed until they come
-- back. The state is kept as its SHA-256, and is good once.
CREATE TABLE consents (
  state_hash       BLOB PRIMARY KEY,
  person           TEXT NOT NULL,
  provider         TEXT NOT NULL,
  authorization_id TEXT,
  label            TEXT NOT NULL,
  description      TEXT NOT NULL,
  key_id           TEXT NOT NULL,
  sealed           BLOB NOT NULL,
  return_to        TEXT NOT NULL,
  created_at       BIGINT NOT NULL
);
CREATE INDEX consents_created ON consents (created_at);
