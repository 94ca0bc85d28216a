-- Erasures of end users. Times are milliseconds since 1970.
CREATE TABLE erasures (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'era_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  -- By the tenant's own naming; NULL once it is done: nothing here tells who it was.
  user TEXT CHECK (length(user) BETWEEN 1 AND 256),
  status TEXT NOT NULL CHECK (status IN ('running', 'done')),
  -- JSON: what is looked at, where that goes on, whether anything was found in this look (src/erasure/progress.ts).
  progress TEXT NOT NULL CHECK (json_valid(progress)),
  -- JSON: how much was erased, and of which connections the provider was not told.
  report TEXT NOT NULL CHECK (json_valid(report)),
  begun_at INTEGER NOT NULL,
  -- The identity that asked for it, as in the audit.
  begun_by TEXT NOT NULL,
  looked_at INTEGER,
  -- When a look first found nothing; NULL: none did since something was found last.
  clean_since INTEGER,
  done_at INTEGER,
  -- Until when one walks; 0: nobody does.
  lease_until INTEGER NOT NULL DEFAULT 0,
  CHECK ((status = 'done') = (user IS NULL)),
  CHECK ((status = 'done') = (done_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX erasures_running ON erasures (tenant, user) WHERE user IS NOT NULL;
-- What is told of a time before one was done makes nobody known again.
CREATE INDEX erasures_done ON erasures (tenant, done_at) WHERE done_at IS NOT NULL;
CREATE INDEX erasures_by_look ON erasures (looked_at) WHERE user IS NOT NULL;

-- Names of events that were posted on behalf of a user within the last two days: where their data may stand.
CREATE TABLE user_events (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  event TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_events_by_time ON user_events (seen_at);
