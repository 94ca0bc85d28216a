-- The schedules of a tenant, as the object of each has said last: for lists, and for the sweeper. Times are milliseconds since 1970.
CREATE TABLE schedules (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL
    CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9_-]*'),
  workflow TEXT NOT NULL,
  -- JSON, as are pauses. Nothing of it is a secret.
  timing TEXT NOT NULL CHECK (json_valid(timing)),
  -- NULL: it is not paused.
  paused TEXT CHECK (json_valid(paused)),
  maker TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- When the sweeper asked its object last.
  poked_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_by_poke ON schedules (poked_at);
