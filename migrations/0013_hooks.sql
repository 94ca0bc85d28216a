-- Hooks: where services deliver webhooks that start runs. Times are milliseconds since 1970.
CREATE TABLE hooks (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL
    CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9_-]*'),
  -- Another one if a hook of the same name is made again: ids of runs are made of it.
  id TEXT NOT NULL UNIQUE,
  workflow TEXT NOT NULL,
  -- The end user on whose behalf the runs act; NULL: the tenant.
  user TEXT CHECK (length(user) BETWEEN 1 AND 256),
  -- JSON: scheme, limits, filter, input, headers. Nothing of it is a secret.
  rules TEXT NOT NULL CHECK (json_valid(rules)),
  -- Raised with every change.
  version INTEGER NOT NULL CHECK (version >= 1),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- What deliveries are verified with, sealed (src/vault); `kid` names the key that a text is sealed under.
CREATE TABLE hook_secrets (
  hook TEXT NOT NULL REFERENCES hooks (id),
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  sealed TEXT NOT NULL,
  kid TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  -- It proves nothing from then on; NULL: it has no end.
  until INTEGER,
  PRIMARY KEY (hook, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX hook_secrets_by_kid ON hook_secrets (kid);
