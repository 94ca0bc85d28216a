-- The tenant's own policy: what may be reached and done in it. Times are milliseconds since 1970.

CREATE TABLE tenant_policies (
  tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id),
  -- A policy as JSON. A tenant without a row has none: all is allowed that its keys' policies allow.
  policy TEXT NOT NULL
    CHECK (json_valid(policy) AND json_type(policy) = 'object' AND length(policy) <= 16384),
  updated_at INTEGER NOT NULL,
  -- The identity that wrote it: 'key:<id>'.
  updated_by TEXT NOT NULL
) STRICT;
