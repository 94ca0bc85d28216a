-- Endpoints: where a tenant's systems are told of its runs. Times are milliseconds since 1970.
CREATE TABLE endpoints (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL PRIMARY KEY,
  url TEXT NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
  -- JSON: list of the types of events that it is sent.
  types TEXT NOT NULL CHECK (json_valid(types)),
  description TEXT NOT NULL CHECK (length(description) <= 256),
  -- JSON: in whose name it is sent (src/triggers/start-port.ts).
  maker TEXT NOT NULL CHECK (json_valid(maker)),
  disabled_reason TEXT CHECK (disabled_reason IN ('by_request', 'gone', 'failing', 'maker_revoked')),
  disabled_at INTEGER,
  -- Since when it is sent to as it is now: what failed before says nothing of it.
  since INTEGER NOT NULL,
  -- Raised with every change.
  version INTEGER NOT NULL CHECK (version >= 1),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  CHECK ((disabled_reason IS NULL) = (disabled_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX endpoints_by_tenant ON endpoints (tenant, created_at, id);

-- What messages to an endpoint are signed with, sealed (src/vault); `kid` names the key that a text is sealed under.
CREATE TABLE endpoint_keys (
  endpoint TEXT NOT NULL REFERENCES endpoints (id),
  -- 1, 2, 3, ...: of two changes at one time only one is made.
  n INTEGER NOT NULL CHECK (n >= 1),
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('hmac', 'ed25519')),
  -- Of Ed25519: what receivers verify with.
  public_key TEXT,
  sealed TEXT NOT NULL,
  kid TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  -- It signs nothing from then on; NULL: it is the newest, and has no end.
  until INTEGER,
  PRIMARY KEY (endpoint, n),
  CHECK ((kind = 'ed25519') = (public_key IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX endpoint_keys_by_kid ON endpoint_keys (kid);
