-- What the operator has set for a tenant beside the defaults of the deployment. Times are milliseconds since 1970.

CREATE TABLE tenant_settings (
  tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id),
  -- Each a JSON object with what differs from the defaults. NULL: nothing does.
  quotas TEXT CHECK (quotas IS NULL OR (json_valid(quotas) AND json_type(quotas) = 'object')),
  retention TEXT CHECK (retention IS NULL OR (json_valid(retention) AND json_type(retention) = 'object')),
  updated_at INTEGER NOT NULL,
  -- The identity that wrote it: 'root'.
  updated_by TEXT NOT NULL
) STRICT;
