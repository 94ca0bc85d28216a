-- Issuers whose tokens the API takes in the place of an API key. Nothing here is a secret. Times are milliseconds since 1970.
CREATE TABLE trusted_issuers (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'iss_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL
    CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9_-]*'),
  -- As `iss` says it, letter by letter.
  issuer TEXT NOT NULL,
  -- Where its keys are; NULL: its discovery document says so.
  jwks_url TEXT,
  max_age_s INTEGER NOT NULL CHECK (max_age_s BETWEEN 1 AND 86400),
  -- JSON array: who gets which scopes.
  rules TEXT NOT NULL CHECK (json_valid(rules)),
  -- JSON array: the policies of the key that trusted it, which all of its callers stand under.
  policies TEXT NOT NULL CHECK (json_valid(policies)),
  -- JSON array: the keys ('key:<id>') that have ever said what is trusted of it; what the last one said holds, while that key does.
  makers TEXT NOT NULL CHECK (json_valid(makers) AND json_array_length(makers) >= 1),
  -- Raised with every change.
  version INTEGER NOT NULL CHECK (version >= 1),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (tenant, name),
  UNIQUE (tenant, issuer)
) STRICT;

-- Who has come with a token: tells people whom an id in the audit, or of who started a run, means.
CREATE TABLE trusted_callers (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'tok_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  issuer_id TEXT NOT NULL,
  subject TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  -- Coarse: written at most about once an hour.
  last_at INTEGER NOT NULL
) STRICT;

CREATE INDEX trusted_callers_by_issuer ON trusted_callers (issuer_id, last_at);
