-- +goose Up
-- Times are Unix microseconds, JSON is text, states are words. Nothing in here
-- is personal: random ids and counts only.

CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('run', 0);

CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE leases (
  name  TEXT PRIMARY KEY,
  node  TEXT NOT NULL CHECK (node <> ''),
  until BIGINT NOT NULL
);

CREATE TABLE authorizations (
  id              TEXT PRIMARY KEY,
  label           TEXT NOT NULL,
  description     TEXT NOT NULL,
  provider        TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN ('healthy', 'unhealthy', 'unknown')),
  reason          TEXT NOT NULL,
  key_id          TEXT NOT NULL,
  sealed          BLOB NOT NULL,
  last_checked_at BIGINT,
  created_at      BIGINT NOT NULL,
  updated_at      BIGINT NOT NULL
);

CREATE TABLE destinations (
  id               TEXT PRIMARY KEY,
  name             TEXT NOT NULL UNIQUE CHECK (name <> ''),
  provider         TEXT NOT NULL,
  authorization_id TEXT REFERENCES authorizations (id),
  account          TEXT NOT NULL,
  mapping          TEXT NOT NULL,
  config           TEXT NOT NULL,
  enabled          BOOLEAN NOT NULL CHECK (enabled IN (0, 1)),
  created_at       BIGINT NOT NULL,
  updated_at       BIGINT NOT NULL
);
CREATE INDEX destinations_authorization ON destinations (authorization_id);

CREATE TABLE audiences (
  id          TEXT PRIMARY KEY,
  slug        TEXT NOT NULL UNIQUE CHECK (slug <> ''),
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  rule        TEXT NOT NULL,
  version     BIGINT NOT NULL CHECK (version > 0),
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);

CREATE TABLE jobs (
  id                 TEXT PRIMARY KEY,
  name               TEXT NOT NULL CHECK (name <> ''),
  description        TEXT NOT NULL,
  workflow           TEXT NOT NULL CHECK (workflow <> ''),
  provider           TEXT NOT NULL,
  type               TEXT NOT NULL,
  config             TEXT NOT NULL,
  destination_id     TEXT REFERENCES destinations (id),
  audiences          TEXT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN ('runnable', 'sleeping', 'paused', 'completed', 'failed', 'killed')),
  state_since        BIGINT NOT NULL,
  sleep_reason       TEXT CHECK (sleep_reason IN ('schedule', 'error', 'provider_limit', 'quiet_window', 'authorization', 'approval')),
  sleep_until        BIGINT,
  resume_at          BIGINT,
  consecutive_errors BIGINT NOT NULL CHECK (consecutive_errors >= 0),
  failing_since      BIGINT,
  fail_after         BIGINT NOT NULL CHECK (fail_after > 0),
  continuous         BOOLEAN NOT NULL CHECK (continuous IN (0, 1)),
  every              BIGINT NOT NULL CHECK (every >= 0),
  created_by         TEXT NOT NULL,
  created_at         BIGINT NOT NULL,
  updated_at         BIGINT NOT NULL,
  last_run_at        BIGINT,
  deleted_at         BIGINT,
  CHECK ((state = 'sleeping') = (sleep_reason IS NOT NULL)),
  CHECK ((sleep_reason IS NULL) = (sleep_until IS NULL)),
  CHECK (resume_at IS NULL OR state = 'paused'),
  CHECK (deleted_at IS NULL OR state = 'killed')
);
CREATE UNIQUE INDEX jobs_name ON jobs (name, workflow) WHERE deleted_at IS NULL;
CREATE INDEX jobs_state ON jobs (state);

CREATE TABLE targets (
  id                 TEXT PRIMARY KEY,
  destination_id     TEXT NOT NULL REFERENCES destinations (id),
  audience_id        TEXT NOT NULL REFERENCES audiences (id),
  job_id             TEXT REFERENCES jobs (id),
  remote_id          TEXT NOT NULL,
  remote_name        TEXT NOT NULL,
  generation         BIGINT NOT NULL CHECK (generation > 0),
-- +only sqlite
  open_run           TEXT UNIQUE REFERENCES runs (id),
-- +only end
-- +only postgres
  open_run           TEXT COLLATE "C" UNIQUE, -- its key comes with the runs
-- +only end
  due_at             BIGINT, -- from when on it wants a run whatever else is so
  dirty_seq          BIGINT NOT NULL,
  done_seq           BIGINT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN ('runnable', 'sleeping', 'completed', 'failed')),
  sleep_reason       TEXT CHECK (sleep_reason IN ('schedule', 'error', 'provider_limit', 'quiet_window', 'authorization', 'approval')),
  sleep_until        BIGINT,
  consecutive_errors BIGINT NOT NULL CHECK (consecutive_errors >= 0),
  failing_since      BIGINT,
  last_opened_at     BIGINT,
  created_at         BIGINT NOT NULL,
  UNIQUE (destination_id, audience_id),
  CHECK ((state = 'sleeping') = (sleep_reason IS NOT NULL)),
  CHECK ((sleep_reason IS NULL) = (sleep_until IS NULL))
);
CREATE INDEX targets_audience ON targets (audience_id);
CREATE INDEX targets_job ON targets (job_id);

CREATE TABLE runs (
  id              TEXT PRIMARY KEY,
  number          BIGINT NOT NULL UNIQUE,
  target_id       TEXT NOT NULL REFERENCES targets (id),
  job_id          TEXT REFERENCES jobs (id),
  destination_id  TEXT NOT NULL,
  audience_id     TEXT NOT NULL,
  generation      BIGINT NOT NULL,
  run_key         TEXT NOT NULL,
  sync_type       TEXT NOT NULL,
  triggered_by    TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN ('pending', 'running', 'awaiting', 'completed', 'withdrawn', 'failed')),
  stage           TEXT NOT NULL CHECK (stage IN ('', 'payload', 'audiences', 'staging', 'queue', 'remote_audiences', 'members')),
  attempt         BIGINT NOT NULL CHECK (attempt >= 0),
  node            TEXT,
  lease_until     BIGINT,
  seq             BIGINT NOT NULL,
  plan_now        BIGINT,
  key_set         TEXT NOT NULL,
  wait_until      BIGINT,
  reason          TEXT CHECK (reason IN ('approval')),
  reason_until    BIGINT,
  staged_at       BIGINT,
  unstaged        BOOLEAN NOT NULL DEFAULT FALSE CHECK (unstaged IN (0, 1)),
  counts          TEXT NOT NULL,
  timings         TEXT NOT NULL,
  verdict         TEXT CHECK (verdict IN ('approved', 'declined')),
  verdict_removes BIGINT,
  verdict_at      BIGINT,
  error_kind      TEXT NOT NULL,
  error_code      TEXT NOT NULL,
  error_text      TEXT NOT NULL,
  started_at      BIGINT NOT NULL,
  ended_at        BIGINT,
  CHECK ((status IN ('completed', 'withdrawn', 'failed')) = (ended_at IS NOT NULL)),
  CHECK (reason IS NULL OR status = 'pending'),
  CHECK ((reason IS NULL) = (reason_until IS NULL)),
  CHECK ((node IS NULL) = (lease_until IS NULL)),
  CHECK (node IS NULL OR status IN ('running', 'awaiting')),
  CHECK (wait_until IS NULL OR status IN ('pending', 'running', 'awaiting')),
  CHECK (status <> 'failed' OR error_code <> ''),
  CHECK ((verdict IS NULL) = (verdict_at IS NULL) AND (verdict IS NULL) = (verdict_removes IS NULL))
);
-- +only postgres
ALTER TABLE targets ADD FOREIGN KEY (open_run) REFERENCES runs (id);
-- +only end
-- At most one run of a target is open, whatever the code does.
CREATE UNIQUE INDEX runs_one_open ON runs (target_id)
  WHERE status = 'running' OR (status = 'pending' AND reason IS NULL);
CREATE INDEX runs_live ON runs (status) WHERE status IN ('pending', 'running', 'awaiting');
CREATE INDEX runs_status ON runs (status, number);
CREATE INDEX runs_sync_type ON runs (sync_type, number);
CREATE INDEX runs_destination ON runs (destination_id, number);
CREATE INDEX runs_audience ON runs (audience_id, number);
CREATE INDEX runs_job ON runs (job_id, number);
CREATE INDEX runs_target ON runs (target_id, number);
CREATE INDEX runs_triggered ON runs (triggered_by, number);
CREATE INDEX runs_started ON runs (started_at);
CREATE INDEX runs_staged ON runs (ended_at) WHERE staged_at IS NOT NULL AND NOT unstaged;
CREATE INDEX runs_verdict ON runs (target_id, verdict_at) WHERE verdict IS NOT NULL;

CREATE TABLE items (
  id         TEXT PRIMARY KEY,
  run_id     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  number     BIGINT NOT NULL,
  parent     TEXT REFERENCES items (id),
  phase      BIGINT NOT NULL,
  op         TEXT NOT NULL CHECK (op IN ('add', 'remove', 'readd')),
  plain      BOOLEAN NOT NULL CHECK (plain IN (0, 1)),
  first_row  BIGINT NOT NULL,
  last_row   BIGINT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'delivered', 'awaiting', 'failed', 'unknown', 'withdrawn', 'superseded', 'split')),
  attempt    BIGINT NOT NULL CHECK (attempt >= 0),
  folded     BOOLEAN NOT NULL CHECK (folded IN (0, 1)),
  code       TEXT NOT NULL,
  message    TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (run_id, number),
  CHECK (first_row <= last_row),
  CHECK (NOT folded OR state NOT IN ('queued', 'sending', 'awaiting')),
  CHECK (attempt > 0 OR state NOT IN ('sending', 'awaiting', 'delivered', 'unknown', 'split'))
);
CREATE INDEX items_awaiting ON items (run_id) WHERE state = 'awaiting';

CREATE TABLE receipts (
  item_id     TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
  attempt     BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  accepted    BIGINT NOT NULL,
  rejected    BIGINT NOT NULL,
  unknown     BIGINT NOT NULL,
  unsent      BIGINT NOT NULL,
  superseded  BIGINT NOT NULL,
  unplaced    BIGINT NOT NULL,
  exceptions  TEXT NOT NULL,
  request_id  TEXT NOT NULL,
  http_status BIGINT NOT NULL,
  headers     TEXT NOT NULL,
  poll_token  TEXT NOT NULL,
  poll_after  BIGINT,
  PRIMARY KEY (item_id, attempt)
);

CREATE TABLE job_log (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  at      BIGINT NOT NULL,
  event   TEXT NOT NULL,
  level   TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
  code    TEXT NOT NULL,
  message TEXT NOT NULL,
  context TEXT NOT NULL
);
CREATE INDEX job_log_job ON job_log (job_id, id);
CREATE INDEX job_log_at ON job_log (at);

CREATE TABLE audit (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  at           BIGINT NOT NULL,
  actor        TEXT NOT NULL,
  verb         TEXT NOT NULL,
  subject_type TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  before_text  TEXT NOT NULL,
  after_text   TEXT NOT NULL
);
CREATE INDEX audit_subject ON audit (subject_type, subject_id, id);

CREATE TABLE tokens (
  id           TEXT PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE CHECK (name <> ''),
  hash         BLOB NOT NULL UNIQUE,
  role         TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  created_by   TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT,
  last_used_at BIGINT
);

CREATE TABLE sessions (
  hash       BLOB PRIMARY KEY,
  person     TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  csrf       TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE sign_ins (
  hash       BLOB PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

-- +only sqlite
-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- +goose StatementEnd
-- +only end
-- +only postgres
-- +goose StatementBegin
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
-- +only end
