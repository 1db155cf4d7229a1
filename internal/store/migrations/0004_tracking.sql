-- +goose Up
-- Sync Tracking: what triggered a run and what it does, who may be sent at all,
-- next-best-action, historical pushes, and what reconciling found.

-- rule: members by the rule. action: by decisions. negative: by a rule that Usher
-- makes of an action's eligibility. conversion: by accepted events. retired: of an
-- action that was deleted, until nothing is kept of it.
ALTER TABLE audiences ADD COLUMN kind TEXT NOT NULL DEFAULT 'rule' CHECK (kind IN ('rule', 'action', 'negative', 'conversion', 'retired'));

-- The audiences whose members an export job leaves out, and the level of the
-- hierarchy whose actions it sends instead of audiences by name.
ALTER TABLE jobs ADD COLUMN exclude TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN level TEXT NOT NULL DEFAULT '';

-- What made a target due at due_at; keys_seq is the highest change of a member's
-- identifiers, keys_done the one that is sent, keys_at when that last began.
ALTER TABLE targets ADD COLUMN due_cause TEXT CHECK (due_cause IN ('manual', 'schedule', 'real_time', 'outbound', 'agent', 'repair'));
ALTER TABLE targets ADD COLUMN keys_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE targets ADD COLUMN keys_done BIGINT NOT NULL DEFAULT 0;
ALTER TABLE targets ADD COLUMN keys_at BIGINT;
CREATE INDEX targets_keys ON targets (job_id)
  WHERE open_run IS NULL AND state IN ('runnable', 'sleeping') AND coalesce(sleep_reason, '') <> 'authorization' AND keys_seq > keys_done;

-- mode is what a run does, where that is not to bring the audience in step.
ALTER TABLE runs ADD COLUMN mode TEXT NOT NULL DEFAULT '' CHECK (mode IN ('', 'keys', 'replace', 'history', 'forget'));
ALTER TABLE runs ADD COLUMN cause TEXT NOT NULL DEFAULT '' CHECK (cause IN ('', 'manual', 'schedule', 'real_time', 'outbound', 'agent', 'repair'));
ALTER TABLE runs ADD COLUMN period TEXT NOT NULL DEFAULT '{}';

-- The other audiences that decide who is wanted at a target: those its job leaves
-- out, and those before it in a priority list.
CREATE TABLE watches (
  target_id   TEXT NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
  audience_id TEXT NOT NULL REFERENCES audiences (id),
  PRIMARY KEY (target_id, audience_id)
);
CREATE INDEX watches_audience ON watches (audience_id);

-- Ordered audiences of a destination: a person goes to the first one only.
CREATE TABLE priority_lists (
  id             TEXT PRIMARY KEY,
  name           TEXT NOT NULL UNIQUE CHECK (name <> ''),
  destination_id TEXT NOT NULL REFERENCES destinations (id),
  audiences      TEXT NOT NULL,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL
);
CREATE INDEX priority_lists_destination ON priority_lists (destination_id);

CREATE TABLE paid_issues (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
  description TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);
CREATE TABLE paid_groups (
  id          TEXT PRIMARY KEY,
  issue_id    TEXT NOT NULL REFERENCES paid_issues (id),
  name        TEXT NOT NULL CHECK (name <> ''),
  description TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  UNIQUE (issue_id, name)
);
CREATE TABLE paid_actions (
  id          TEXT PRIMARY KEY,
  group_id    TEXT NOT NULL REFERENCES paid_groups (id),
  name        TEXT NOT NULL CHECK (name <> ''),
  description TEXT NOT NULL,
  eligibility TEXT NOT NULL,
  priority    BIGINT NOT NULL,
  enabled     BOOLEAN NOT NULL CHECK (enabled IN (0, 1)),
  audience_id TEXT NOT NULL REFERENCES audiences (id),
  negative_id TEXT NOT NULL REFERENCES audiences (id),
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  UNIQUE (group_id, name)
);

-- Historical pushes: what of the past was sent to a target, by message time.
CREATE TABLE pushes (
  run_id         TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  target_id      TEXT NOT NULL REFERENCES targets (id),
  destination_id TEXT NOT NULL,
  from_at        BIGINT NOT NULL,
  until_at       BIGINT NOT NULL,
  created_by     TEXT NOT NULL,
  created_at     BIGINT NOT NULL,
  CHECK (from_at < until_at)
);
CREATE INDEX pushes_target ON pushes (target_id);

-- What comparing a ledger with what the network can tell has found.
CREATE TABLE reconciliations (
  id         TEXT PRIMARY KEY,
  target_id  TEXT NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
  generation BIGINT NOT NULL,
  method     TEXT NOT NULL CHECK (method IN ('members', 'size', 'none')),
  status     TEXT NOT NULL CHECK (status IN ('running', 'equal', 'drifted', 'repaired', 'failed', 'untold')),
  ledger     BIGINT NOT NULL,
  remote_low BIGINT NOT NULL,
  remote_high BIGINT NOT NULL,
  missing    BIGINT NOT NULL,
  extra      BIGINT NOT NULL,
  error_code TEXT NOT NULL,
  error_text TEXT NOT NULL,
  asked_by   TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at   BIGINT,
  repaired_by TEXT NOT NULL DEFAULT '',
  repaired_at BIGINT
);
CREATE INDEX reconciliations_target ON reconciliations (target_id, started_at);

-- Sync Tracking filters runs by these, newest first, and counts what fits by
-- status: an index holds all that the filters look at, so that no run is read
-- that is not shown.
DROP INDEX runs_started;
DROP INDEX runs_status;
DROP INDEX runs_sync_type;
DROP INDEX runs_destination;
DROP INDEX runs_triggered;
DROP INDEX runs_audience;
DROP INDEX runs_job;
CREATE INDEX runs_list ON runs (number, status, sync_type, cause, destination_id, started_at, triggered_by, audience_id);
CREATE INDEX runs_status ON runs (status, number, sync_type, cause, destination_id, started_at, triggered_by, audience_id);
CREATE INDEX runs_sync_type ON runs (sync_type, number, status, cause, destination_id, started_at);
CREATE INDEX runs_cause ON runs (cause, number, status, sync_type, destination_id, started_at);
CREATE INDEX runs_destination ON runs (destination_id, number, status, sync_type, cause, started_at);
CREATE INDEX runs_triggered ON runs (triggered_by, number, status, sync_type, cause, destination_id, started_at);
CREATE INDEX runs_audience ON runs (audience_id, number, status, sync_type, cause, destination_id, started_at);
CREATE INDEX runs_job ON runs (job_id, number, status, sync_type, cause, destination_id, started_at, triggered_by, audience_id);
