-- Connections that are not listed because nothing was confirmed yet, and still keep sealed texts: so that the keys of the vault
-- can be counted, and the texts moved. Once one is listed, its row in `connections` says it.
CREATE TABLE unlisted_connections (
  id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB 'conn_*'),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  -- JSON array: the keys that anything of it is sealed under; empty: it keeps none any more.
  kids TEXT NOT NULL CHECK (json_valid(kids)),
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX unlisted_connections_idle ON unlisted_connections (updated_at) WHERE kids = '[]';
