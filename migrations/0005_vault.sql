-- The keys that records were ever sealed under, each with a known answer. Never the keys themselves. Times are milliseconds
-- since 1970. Rows are never deleted: a name is not used for a second key.

CREATE TABLE vault_keys (
  kid TEXT NOT NULL PRIMARY KEY CHECK (length(kid) BETWEEN 1 AND 16 AND kid NOT GLOB '*[^a-z0-9]*'),
  -- A fixed text, sealed under the key: what does not open it is another key of the same name.
  check_value TEXT NOT NULL,
  -- When an isolate first had the key.
  created_at INTEGER NOT NULL,
  -- When something was last sealed under it. Coarse: written at most every two minutes. NULL: never.
  sealed_at INTEGER,
  -- Nothing is sealed under it any more, and no record needs it.
  dropped_at INTEGER
) STRICT, WITHOUT ROWID;
