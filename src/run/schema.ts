/**
 * PERSISTED CONTRACT. The tables of one run object. Lists of migrations only ever grow.
 * A table costs two rows, so only the journal is made at the start; the others when they are first written.
 */

import { defineSchema, hasSchema, migrate, type SqlStore } from "../platform/index.ts";

/**
 * `turns`: the journal, one row per turn; `seq` is the number of its first fact. `facts` and `vals` are JSON texts, null
 * where they are too long for a row and stand in `chunks`.
 */
export const RUN_SCHEMA = defineSchema([
  {
    id: 1,
    sql: "CREATE TABLE turns (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, facts TEXT, vals TEXT) STRICT;",
  },
]);

/**
 * - `chunks`: long texts in parts; slot -1 is the facts of a turn, others are single values of it.
 * - `snapshots`: the newest snapshot, in parts: the state before the turn `seq`.
 */
export const LONG_SCHEMA = defineSchema(
  [
    {
      id: 1,
      sql: `
      CREATE TABLE chunks (seq INTEGER NOT NULL, slot INTEGER NOT NULL, part INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (seq, slot, part)) STRICT, WITHOUT ROWID;
      CREATE TABLE snapshots (part INTEGER PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    `,
    },
  ],
  "long",
);

/** `outbox`: what others must still be told. */
export const OUTBOX_SCHEMA = defineSchema(
  [
    {
      id: 1,
      sql: `
      CREATE TABLE outbox (id INTEGER PRIMARY KEY, listener TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
        tries INTEGER NOT NULL, due INTEGER NOT NULL, since INTEGER NOT NULL) STRICT;
    `,
    },
  ],
  "outbox",
);

/** `descendants`: of a run that nobody started as a child, the runs below it. */
export const FAMILY_SCHEMA = defineSchema(
  [{ id: 1, sql: "CREATE TABLE descendants (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;" }],
  "family",
);

/** Brings what earlier lives have made to the schemas of this build. */
export function migrateAll(storage: SqlStore): void {
  migrate(storage, RUN_SCHEMA);
  for (const schema of [LONG_SCHEMA, OUTBOX_SCHEMA, FAMILY_SCHEMA])
    if (hasSchema(storage, schema)) migrate(storage, schema);
}
