-- Cloud roles: where a workflow's own identity is exchanged for a credential. Nothing here is a secret. Times are milliseconds
-- since 1970.
CREATE TABLE cloud_roles (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL
    CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9_-]*'),
  -- Another one if a role of the same name is made again.
  id TEXT NOT NULL UNIQUE,
  provider TEXT NOT NULL,
  audience TEXT NOT NULL,
  -- JSON: target, hosts, claims.
  settings TEXT NOT NULL CHECK (json_valid(settings)),
  -- JSON array of subjects: `code:<name>`, `plan:<name>`.
  workflows TEXT NOT NULL CHECK (json_valid(workflows)),
  inline INTEGER NOT NULL CHECK (inline IN (0, 1)),
  per_run INTEGER NOT NULL CHECK (per_run IN (0, 1)),
  -- Raised with every change.
  version INTEGER NOT NULL CHECK (version >= 1),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX cloud_roles_by_audience ON cloud_roles (tenant, audience);
