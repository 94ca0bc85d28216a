-- Stored plans. Every version stays: runs name the one that they were started with. Times are milliseconds since 1970.

CREATE TABLE plans (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL
    CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9_-]*'),
  version INTEGER NOT NULL CHECK (version >= 1),
  description TEXT,
  -- The plan as JSON, without its name.
  body TEXT NOT NULL CHECK (json_valid(body)),
  -- SHA-256 of the canonical JSON of the body.
  digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- The identity that stored it, as in the audit.
  created_by TEXT NOT NULL,
  PRIMARY KEY (tenant, name, version)
) STRICT, WITHOUT ROWID;
