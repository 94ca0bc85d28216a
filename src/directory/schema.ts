/**
 * PERSISTED CONTRACT. The tables of one directory object. The list of migrations only ever grows.
 *
 * Rows are money: what a run costs here is counted by test/workers/directory-rows.test.ts. So the table stands in the
 * order of the list and needs no index for it, and all indexes but one hold only runs that are looked for by them.
 */
import { defineSchema } from "../platform/index.ts";

/**
 * - `runs`: what was reported last of every run. `lease_at` is null once it has ended. No CHECK on `status`: a directory
 *   takes what runs of a newer build tell.
 *   `kept_until`: when a run that has ended deletes itself, as far as it knew; null: it has not said.
 * - `tags`: one row per run and tag.
 * - `changes`: the newest reports, a ring of CHANGES_KEPT slots: `n` counts all reports. `totals`: sums over the runs of the workflow
 *   `label` since (`totals.ts`).
 * - `totals`: those that stand in no row of the ring; `n`: of the newest change then.
 * - Of `runs`, `tally`: what of the run is counted in the sums; `said_at` is null where nothing is.
 */
export const DIRECTORY_SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE runs (
      started_at INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, workflow TEXT NOT NULL,
      workflow_version TEXT NOT NULL, user TEXT, started_by TEXT NOT NULL,
      tags TEXT NOT NULL CHECK (json_valid(tags)), parent TEXT, status TEXT NOT NULL,
      paused INTEGER NOT NULL CHECK (paused IN (0, 1)), generation INTEGER NOT NULL, ended_at INTEGER,
      failure_code TEXT, failure_text TEXT, lease_at INTEGER,
      PRIMARY KEY (started_at, id), CHECK ((ended_at IS NULL) = (lease_at IS NOT NULL))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX runs_by_workflow ON runs (workflow, started_at, id);
    CREATE INDEX runs_by_user ON runs (user, started_at, id) WHERE user IS NOT NULL;
    CREATE INDEX runs_by_parent ON runs (parent, started_at, id) WHERE parent IS NOT NULL;
    CREATE INDEX runs_by_status ON runs (status, started_at, id) WHERE status <> 'succeeded';
    CREATE INDEX runs_by_failure ON runs (failure_code, started_at, id) WHERE failure_code IS NOT NULL;
    CREATE INDEX runs_by_lease ON runs (lease_at) WHERE lease_at IS NOT NULL;
    CREATE TABLE tags (tag TEXT NOT NULL, started_at INTEGER NOT NULL, id TEXT NOT NULL,
      PRIMARY KEY (tag, started_at, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE changes (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL,
      started_at INTEGER NOT NULL, id TEXT NOT NULL) STRICT;
  `,
  },
]);

/** Added, under names of their own: an older build that finds them goes on without. `kept_until`: see above. */
export const DIRECTORY_KEPT = defineSchema(
  [{ id: 1, sql: "ALTER TABLE runs ADD COLUMN kept_until INTEGER" }],
  "kept",
);

/** Likewise: what is counted. An older build writes over the sums of the slots that it takes: counters fall, and begin anew. */
export const DIRECTORY_SUMS = defineSchema(
  [
    {
      id: 1,
      sql: `
      ALTER TABLE runs ADD COLUMN tally TEXT;
      ALTER TABLE runs ADD COLUMN parked TEXT;
      ALTER TABLE runs ADD COLUMN untold_since INTEGER;
      ALTER TABLE runs ADD COLUMN said_at INTEGER;
      CREATE INDEX runs_by_untold ON runs (untold_since) WHERE untold_since IS NOT NULL;
      ALTER TABLE changes ADD COLUMN label TEXT;
      ALTER TABLE changes ADD COLUMN totals TEXT;
      CREATE TABLE totals (label TEXT PRIMARY KEY, n INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    `,
    },
  ],
  "sums",
);
