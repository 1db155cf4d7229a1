-- +goose Up
-- The job runtime: schedules, jobs without targets, logs that count, events,
-- alerts, people.

ALTER TABLE jobs ADD COLUMN schedule TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN realtime BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN once BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN reach TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN auth_ids TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN tag TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN hidden BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN verbose_logging BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN on_end TEXT NOT NULL DEFAULT 'keep' CHECK (on_end IN ('keep', 'empty', 'delete'));
ALTER TABLE jobs ADD COLUMN stall_after BIGINT NOT NULL DEFAULT 900000000 CHECK (stall_after > 0);
ALTER TABLE jobs ADD COLUMN expires_at BIGINT;
-- The quiet window that is on, or the next one.
ALTER TABLE jobs ADD COLUMN quiet_from BIGINT;
ALTER TABLE jobs ADD COLUMN quiet_until BIGINT;
-- For jobs without targets: the next scheduled time, and from when on one is
-- wanted whatever else is so.
ALTER TABLE jobs ADD COLUMN next_at BIGINT;
ALTER TABLE jobs ADD COLUMN due_at BIGINT;
-- When it was announced that the job will be purged.
ALTER TABLE jobs ADD COLUMN purge_noticed_at BIGINT;
UPDATE jobs SET realtime = (continuous AND every = 0), once = NOT continuous,
  schedule = CASE WHEN continuous THEN '{"continuous_update":true,"run_frequency":"' ELSE '{"continuous_update":false,"run_frequency":"' END
    || CASE WHEN every = 0 THEN 'realtime' ELSE CAST(every / 1000000 AS TEXT) || 's' END || '"}';
ALTER TABLE jobs DROP COLUMN every;
ALTER TABLE jobs DROP COLUMN continuous;
-- What only time brings about is found by indexes that hold nothing else.
CREATE INDEX jobs_expires ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_quiet_from ON jobs (quiet_from) WHERE quiet_from IS NOT NULL;
CREATE INDEX jobs_quiet_until ON jobs (quiet_until) WHERE quiet_until IS NOT NULL;
CREATE INDEX jobs_state_since ON jobs (state_since) WHERE state IN ('paused', 'completed', 'failed', 'killed');

ALTER TABLE targets ADD COLUMN next_at BIGINT;
-- What is to become of a remote audience that is given up.
ALTER TABLE targets ADD COLUMN release_mode TEXT CHECK (release_mode IN ('empty', 'delete'));
CREATE INDEX targets_due ON targets (due_at)
  WHERE open_run IS NULL AND state IN ('runnable', 'sleeping') AND coalesce(sleep_reason, '') <> 'authorization' AND due_at IS NOT NULL;
CREATE INDEX targets_next ON targets (next_at)
  WHERE open_run IS NULL AND state IN ('runnable', 'sleeping') AND coalesce(sleep_reason, '') <> 'authorization' AND next_at IS NOT NULL;
CREATE INDEX targets_dirty ON targets (job_id)
  WHERE open_run IS NULL AND state IN ('runnable', 'sleeping') AND coalesce(sleep_reason, '') <> 'authorization' AND dirty_seq > done_seq;
CREATE INDEX targets_parked ON targets (sleep_until) WHERE sleep_reason = 'authorization';
DROP INDEX targets_audience;
CREATE INDEX targets_audience ON targets (audience_id, dirty_seq);

ALTER TABLE authorizations ADD COLUMN created_by TEXT NOT NULL DEFAULT '';

ALTER TABLE runs ADD COLUMN progress_at BIGINT;
ALTER TABLE runs ADD COLUMN stalled_at BIGINT;
CREATE INDEX runs_stalled ON runs (job_id) WHERE stalled_at IS NOT NULL AND status = 'running';
ALTER TABLE runs ADD COLUMN stalls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN release_mode TEXT CHECK (release_mode IN ('empty', 'delete'));
-- What of the run's counts the metrics hold already.
ALTER TABLE runs ADD COLUMN metered TEXT NOT NULL DEFAULT '{}';

-- Jobs with verbose_logging log at debug too.
-- +only sqlite
DROP INDEX job_log_job;
DROP INDEX job_log_at;
ALTER TABLE job_log RENAME TO job_log_before;
CREATE TABLE job_log (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  at      BIGINT NOT NULL,
  event   TEXT NOT NULL,
  level   TEXT NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
  code    TEXT NOT NULL,
  message TEXT NOT NULL,
  context TEXT NOT NULL
);
INSERT INTO job_log (id, job_id, at, event, level, code, message, context)
  SELECT id, job_id, at, event, level, code, message, context FROM job_log_before ORDER BY id;
DROP TABLE job_log_before;
CREATE INDEX job_log_job ON job_log (job_id, id);
CREATE INDEX job_log_at ON job_log (at);
-- +only end
-- +only postgres
ALTER TABLE job_log DROP CONSTRAINT job_log_level_check;
ALTER TABLE job_log ADD CHECK (level IN ('debug', 'info', 'warn', 'error'));
-- +only end

-- For the purge: without it every item that goes costs a look at all others.
CREATE INDEX items_parent ON items (parent) WHERE parent IS NOT NULL;

-- One execution of a job without targets.
CREATE TABLE passes (
  id          TEXT PRIMARY KEY,
  job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  number      BIGINT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'withdrawn')),
  attempt     BIGINT NOT NULL CHECK (attempt >= 0),
  node        TEXT,
  lease_until BIGINT,
  wait_until  BIGINT,
  counts      TEXT NOT NULL,
  metered     TEXT NOT NULL DEFAULT '{}',
  error_kind  TEXT NOT NULL,
  error_code  TEXT NOT NULL,
  error_text  TEXT NOT NULL,
  progress_at BIGINT NOT NULL,
  started_at  BIGINT NOT NULL,
  ended_at    BIGINT,
  UNIQUE (job_id, number),
  CHECK ((status = 'running') = (ended_at IS NULL)),
  CHECK ((node IS NULL) = (lease_until IS NULL)),
  CHECK (node IS NULL OR status = 'running'),
  CHECK (status <> 'failed' OR error_code <> '')
);
CREATE UNIQUE INDEX passes_one_open ON passes (job_id) WHERE status = 'running';

-- Counts of jobs in buckets of width seconds (60, 3600, 86400), each count in all three.
CREATE TABLE job_metrics (
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  width  BIGINT NOT NULL CHECK (width IN (60, 3600, 86400)),
  bucket BIGINT NOT NULL,
  value  BIGINT NOT NULL,
  PRIMARY KEY (job_id, width, bucket, name)
);
CREATE INDEX job_metrics_old ON job_metrics (width, bucket);

CREATE TABLE events (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  at           BIGINT NOT NULL,
  source       TEXT NOT NULL,
  type         TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  subject_name TEXT NOT NULL,
  level        TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
  code         TEXT NOT NULL,
  message      TEXT NOT NULL,
  run          BIGINT NOT NULL,
  per_mille    BIGINT NOT NULL
);
CREATE INDEX events_subject ON events (source, subject_id, id);
CREATE INDEX events_at ON events (at);

-- How far each alert job has read the events.
CREATE TABLE alert_cursors (
  job_id   TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  event_id BIGINT NOT NULL
);

-- What each alert job last told about each subject: one notice per change of
-- state, one on recovery.
CREATE TABLE alerts (
  job_id          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  source          TEXT NOT NULL,
  subject_id      TEXT NOT NULL,
  subject_name    TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('firing', 'resolved')),
  type            TEXT NOT NULL,
  code            TEXT NOT NULL,
  message         TEXT NOT NULL,
  since           BIGINT NOT NULL,
  resolved_at     BIGINT,
  acknowledged_at BIGINT,
  acknowledged_by TEXT NOT NULL DEFAULT '',
  silenced_until  BIGINT,
  PRIMARY KEY (job_id, source, subject_id),
  CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);

-- One message of an alert job, from its making to its arrival.
CREATE TABLE notices (
  id           TEXT PRIMARY KEY,
  job_id       TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  event_id     BIGINT NOT NULL,
  source       TEXT NOT NULL,
  type         TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  subject_name TEXT NOT NULL,
  level        TEXT NOT NULL,
  code         TEXT NOT NULL,
  message      TEXT NOT NULL,
  run          BIGINT NOT NULL,
  per_mille    BIGINT NOT NULL,
  recovery     BOOLEAN NOT NULL,
  repeat       BIGINT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'unknown', 'silenced')),
  attempts     BIGINT NOT NULL CHECK (attempts >= 0),
  event_at     BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  sent_at      BIGINT,
  answer       TEXT NOT NULL DEFAULT '',
  error_code   TEXT NOT NULL DEFAULT '',
  error_text   TEXT NOT NULL DEFAULT '',
  UNIQUE (job_id, event_id, repeat),
  CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX notices_job ON notices (job_id, created_at);
CREATE INDEX notices_waiting ON notices (job_id) WHERE state IN ('pending', 'sending');

-- Answers to requests with an Idempotency-Key, kept for a day.
CREATE TABLE idempotency (
  person     TEXT NOT NULL,
  key        TEXT NOT NULL,
  digest     BLOB NOT NULL,
  subject_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (person, key)
);
CREATE INDEX idempotency_old ON idempotency (created_at);

-- Jobs half made in the console; no secret is ever in one.
CREATE TABLE drafts (
  id         TEXT PRIMARY KEY,
  person     TEXT NOT NULL,
  answers    TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX drafts_old ON drafts (updated_at);

CREATE TABLE users (
  id              TEXT PRIMARY KEY,
  login           TEXT NOT NULL UNIQUE CHECK (login <> ''),
  name            TEXT NOT NULL,
  role            TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  password_hash   TEXT NOT NULL,
  disabled_at     BIGINT,
  created_at      BIGINT NOT NULL,
  updated_at      BIGINT NOT NULL,
  last_sign_in_at BIGINT
);
ALTER TABLE sessions ADD COLUMN user_id TEXT;
CREATE INDEX sessions_user ON sessions (user_id);
ALTER TABLE tokens ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN user_id TEXT;
