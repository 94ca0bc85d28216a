-- Integrations, connections and connect sessions. Times are milliseconds since 1970.
-- Secrets stand sealed (src/vault); `kid` names the key that they are sealed under, so that keys can be counted.

-- A tenant's apps at providers. What a token may reach is fixed when it is made; names are never used a second time.
CREATE TABLE integrations (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL
    CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9_-]*'),
  provider TEXT NOT NULL,
  kind TEXT NOT NULL,
  -- Whose its connections are.
  owner TEXT NOT NULL CHECK (owner IN ('user', 'tenant')),
  -- JSON: the bound descriptor and the client's id. Never changes.
  fixed TEXT NOT NULL CHECK (json_valid(fixed)),
  -- JSON: scopes, modes, addresses to return to. May change.
  settings TEXT NOT NULL CHECK (json_valid(settings)),
  secret TEXT,
  kid TEXT,
  -- Raised with every change.
  version INTEGER NOT NULL CHECK (version >= 1),
  -- Version at which the secret was sealed.
  secret_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER,
  -- 1: connections are still to be told of a change, or taken back.
  unsettled INTEGER NOT NULL DEFAULT 0 CHECK (unsettled IN (0, 1)),
  CHECK ((secret IS NULL) = (kid IS NULL)),
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX integrations_unsettled ON integrations (updated_at) WHERE unsettled = 1;
CREATE INDEX integrations_by_kid ON integrations (kid) WHERE kid IS NOT NULL;

-- What the objects of connections have said last. They alone give tokens: nothing here can revive one or change its hosts.
CREATE TABLE connections (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'conn_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  integration TEXT NOT NULL,
  -- The end user, by the tenant's own naming; NULL: the tenant's own.
  user TEXT CHECK (length(user) BETWEEN 1 AND 256),
  account TEXT NOT NULL,
  -- The account's name at the provider, for people.
  label TEXT,
  -- HMAC of the account's id at the provider, to find others on the same grant.
  account_mac TEXT,
  status TEXT NOT NULL CHECK (status IN ('active', 'dead', 'revoking', 'disconnected')),
  reason TEXT,
  -- JSON array; NULL: not known.
  scopes TEXT CHECK (json_valid(scopes)),
  identity_level TEXT NOT NULL,
  -- JSON array; NULL: not bound to workflows.
  workflows TEXT CHECK (json_valid(workflows)),
  epoch INTEGER NOT NULL,
  version INTEGER NOT NULL,
  -- The pair as the object keeps it, sealed for the object's own place; NULL: shredded.
  sealed TEXT,
  -- JSON array: the keys that anything of it is sealed under.
  kids TEXT NOT NULL CHECK (json_valid(kids)),
  granted_at INTEGER NOT NULL,
  expires_at INTEGER,
  ends_at INTEGER,
  -- JSON, of a connection that was taken back.
  revocation TEXT CHECK (json_valid(revocation)),
  updated_at INTEGER NOT NULL,
  -- Version of the integration that the object keeps; 0: none any more.
  integration_version INTEGER NOT NULL,
  -- When a sweep last asked the object to do what is due.
  poked_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX connections_by_poke ON connections (status, poked_at);
CREATE INDEX connections_by_owner ON connections (tenant, integration, user, account);
CREATE INDEX connections_by_user ON connections (tenant, user, id);
CREATE INDEX connections_by_account ON connections (tenant, integration, account_mac) WHERE account_mac IS NOT NULL;

-- Which workflows used a connection: what its owner is shown.
CREATE TABLE connection_uses (
  connection TEXT NOT NULL REFERENCES connections (id),
  workflow TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  PRIMARY KEY (connection, workflow)
) STRICT, WITHOUT ROWID;

CREATE TABLE connect_sessions (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'cs_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  integration TEXT NOT NULL,
  connection TEXT NOT NULL,
  user TEXT,
  account TEXT NOT NULL,
  -- JSON array.
  scopes TEXT NOT NULL CHECK (json_valid(scopes)),
  mode TEXT NOT NULL CHECK (mode IN ('confirm', 'host_session', 'link')),
  -- Where the browser goes in the end; NULL: to a page of ours. Fixed when the session is made.
  return_to TEXT,
  replace_account INTEGER NOT NULL CHECK (replace_account IN (0, 1)),
  -- What it is for: 'api', or the run and step that wait.
  purpose TEXT NOT NULL,
  -- The key of the vault that its link is derived from.
  kid TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'redeemed', 'exchanging', 'unconfirmed', 'done', 'failed')),
  failure TEXT,
  -- SHA-256, in hex: of the browser's cookie, of OAuth's `state`, of the one-time code for the tenant's backend, of the ticket.
  cookie_hash TEXT,
  state_hash TEXT UNIQUE,
  code_hash TEXT,
  ticket_hash TEXT,
  ticket_until INTEGER,
  -- PKCE's verifier, sealed.
  verifier TEXT,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Until when the link can be opened; of a redeemed one: until when the flow must be over.
  expires_at INTEGER NOT NULL,
  redeemed_at INTEGER,
  ended_at INTEGER
) STRICT;

CREATE INDEX connect_sessions_by_expiry ON connect_sessions (expires_at);

-- Links to the page on which a user sees what they granted. The link itself is derived from the id and stored nowhere.
CREATE TABLE grant_links (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'gl_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  user TEXT NOT NULL,
  -- The key of the vault that the link is derived from.
  kid TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Until when the link can be redeemed; of a redeemed one: until when its browser sees the page.
  expires_at INTEGER NOT NULL,
  redeemed_at INTEGER,
  -- SHA-256, in hex, of the cookie of the browser that redeemed it.
  cookie_hash TEXT
) STRICT;

CREATE INDEX grant_links_by_expiry ON grant_links (expires_at);
