-- Tenants, API keys and the audit of access. Times are milliseconds since 1970.
-- Rows are never deleted by the product: names and ids are not used a second time.

CREATE TABLE tenants (
  id TEXT NOT NULL PRIMARY KEY
    CHECK (length(id) BETWEEN 1 AND 48 AND id GLOB '[a-z0-9]*' AND id NOT GLOB '*[^a-z0-9_-]*'),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;

INSERT INTO tenants (id, created_at, created_by) VALUES ('default', unixepoch() * 1000, 'system');

CREATE TABLE api_keys (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'key_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  -- SHA-256 of the key's text, in hex. The text itself is shown once and kept nowhere.
  hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 64 AND hash NOT GLOB '*[^0-9a-f]*'),
  prefix TEXT NOT NULL,
  last4 TEXT NOT NULL CHECK (length(last4) = 4),
  -- JSON array of scopes.
  scopes TEXT NOT NULL CHECK (json_valid(scopes) AND json_type(scopes) = 'array'),
  -- The end user that the key is bound to, by the tenant's own naming. NULL: not bound.
  user TEXT CHECK (length(user) BETWEEN 1 AND 256),
  -- JSON array of policies, all of which must allow an action: those of the key's ancestors, then its own.
  policies TEXT NOT NULL CHECK (json_valid(policies) AND json_type(policies) = 'array'),
  -- The identity that made the key: 'root' or 'key:<id>'.
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER CHECK (expires_at > created_at),
  revoked_at INTEGER,
  -- Coarse: written at most about once an hour.
  last_used_at INTEGER,
  -- A key that is bound to a user is short-lived.
  CHECK (user IS NULL OR (expires_at IS NOT NULL AND expires_at - created_at <= 3600000))
) STRICT;

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at, id);

CREATE TABLE access_audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  tenant TEXT,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('granted', 'refused')),
  detail TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;

CREATE INDEX access_audit_by_tenant ON access_audit (tenant, seq);

CREATE TRIGGER access_audit_no_update BEFORE UPDATE ON access_audit
BEGIN
  SELECT RAISE(ABORT, 'access_audit is append-only');
END;

CREATE TRIGGER access_audit_no_delete BEFORE DELETE ON access_audit
BEGIN
  SELECT RAISE(ABORT, 'access_audit is append-only');
END;
