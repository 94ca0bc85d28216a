/** PERSISTED CONTRACT. The tables of one run object. The list of migrations only ever grows. */

import { defineSchema } from "../platform/index.ts";

/**
 * - `turns`: the journal, one row per turn; `seq` is the number of its first fact. `facts` and `vals` are JSON texts,
 *   null where they are too long for a row and stand in `chunks`.
 * - `chunks`: long texts in parts; slot -1 is the facts of a turn, others are single values of it.
 * - `snapshots`: the newest snapshot, in parts: the state before the turn `seq`.
 * - `outbox`: what others must still be told.
 */
export const RUN_SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
      CREATE TABLE turns (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, facts TEXT, vals TEXT) STRICT;
      CREATE TABLE chunks (seq INTEGER NOT NULL, slot INTEGER NOT NULL, part INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (seq, slot, part)) STRICT, WITHOUT ROWID;
      CREATE TABLE snapshots (part INTEGER PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
      CREATE TABLE outbox (id INTEGER PRIMARY KEY, listener TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
        tries INTEGER NOT NULL, due INTEGER NOT NULL, since INTEGER NOT NULL) STRICT;
    `,
  },
]);
