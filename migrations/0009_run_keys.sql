-- Which runs keep a key of their own, and under which key of the vault it is sealed: for counting, and for finding them when
-- that key is to be dropped. The keys themselves are in the objects of the runs, and only there.
CREATE TABLE run_keys (
  tenant TEXT NOT NULL,
  run TEXT NOT NULL,
  kid TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_keys_by_kid ON run_keys (kid);
