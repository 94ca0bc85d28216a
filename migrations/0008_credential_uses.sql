-- Which credentials the attempts of runs were lent. Times are milliseconds since 1970.
-- Kept for 90 days. Told by runs, at least once: ids come from the facts of their journals.

CREATE TABLE credential_uses (
  -- '<run>.<unit>.a<attempt>.<which of its credentials>': uses of a run lie side by side.
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  at INTEGER NOT NULL,
  run TEXT NOT NULL,
  workflow TEXT NOT NULL,
  user TEXT,
  unit TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  -- The id of the connection, or the name of the role; '' where that is not told.
  target TEXT NOT NULL,
  -- JSON: what can be told of the credential. Never the credential.
  credential TEXT NOT NULL CHECK (json_valid(credential)),
  -- Of an attempt that has ended: JSON array of hosts, how many more there were, and the kind of its end.
  hosts TEXT CHECK (json_valid(hosts)),
  more_hosts INTEGER,
  outcome TEXT,
  CHECK ((hosts IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX credential_uses_by_time ON credential_uses (tenant, at);
CREATE INDEX credential_uses_by_target ON credential_uses (tenant, target, at);

-- The audit is listed by time; what connections tell comes a while after it happened.
CREATE INDEX access_audit_by_time ON access_audit (tenant, at, seq);
CREATE INDEX access_audit_by_target ON access_audit (tenant, target, at, seq);
