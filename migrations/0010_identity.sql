-- The identity of workflows. Times are milliseconds since 1970.

-- What issuer objects have said last. They alone sign; nothing here can bring a key back or put one in the place of another.
CREATE TABLE issuers (
  tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id),
  -- Raised by the object with every change.
  revision INTEGER NOT NULL CHECK (revision >= 1),
  -- What verifiers may see, sealed (src/vault): nobody who can only write here can add a key.
  published TEXT NOT NULL,
  -- JSON array: the keys of the vault that anything of it is sealed under.
  kids TEXT NOT NULL CHECK (json_valid(kids)),
  updated_at INTEGER NOT NULL,
  -- When a sweep last asked the object to do what is due.
  poked_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX issuers_by_poke ON issuers (poked_at);

-- The keys as the object keeps them, for people and for what the operator restores.
CREATE TABLE issuer_keys (
  tenant TEXT NOT NULL REFERENCES issuers (tenant),
  -- RFC 7638 thumbprint of the public key.
  kid TEXT NOT NULL,
  -- Counts the tenant's keys.
  number INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retired')),
  -- The private key, sealed for the object's own place; NULL: shredded, as it does not sign any more.
  sealed TEXT,
  made_at INTEGER NOT NULL,
  published_at INTEGER,
  active_at INTEGER,
  retired_at INTEGER,
  PRIMARY KEY (tenant, kid)
) STRICT, WITHOUT ROWID;
