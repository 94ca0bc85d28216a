/**
 * What a queue keeps on its disk: one row for each run that waits or holds a slot, one for each rate key that was used within the
 * period, one for the settings. All calls are synchronous: what is read together is of one moment.
 */
import { defineSchema, hasSchema, migrate, text } from "../../platform/index.ts";
import type { Changes, Entry, Kept, RateState } from "./flow-state.ts";
import type { Settings } from "./place.ts";

/** Without row ids: the key is the table, so that an entry costs one row and no index. */
export const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE entries (run TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE rates (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
  },
]);

const SETTINGS = "settings";

export class FlowStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    if (this.isMade()) migrate(storage, SCHEMA);
  }

  isMade(): boolean {
    return hasSchema(this.#storage, SCHEMA);
  }

  read(): Kept {
    if (!this.isMade()) return { settings: null, entries: [], rates: [] };
    const { sql, kv } = this.#storage;
    return {
      settings: kv.get<Settings>(SETTINGS) ?? null,
      entries: sql
        .exec("SELECT body FROM entries")
        .toArray()
        .map((row) => JSON.parse(text(row, "body")) as Entry),
      rates: sql
        .exec("SELECT body FROM rates")
        .toArray()
        .map((row) => JSON.parse(text(row, "body")) as RateState),
    };
  }

  /** @param rate the key of its rate: that runs began under it is forgotten, so that as many more may; null: it has none */
  erase(run: string, rate: string | null): void {
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      sql.exec("DELETE FROM entries WHERE run = ?", run);
      if (rate !== null) sql.exec("DELETE FROM rates WHERE key = ?", rate);
    });
  }

  write({ settings, entries, rates }: Changes): void {
    const { sql, kv } = this.#storage;
    this.#storage.transactionSync(() => {
      migrate(this.#storage, SCHEMA);
      if (settings !== null) kv.put<Settings>(SETTINGS, settings);
      for (const [run, entry] of entries)
        if (entry === null) sql.exec("DELETE FROM entries WHERE run = ?", run);
        else sql.exec("INSERT OR REPLACE INTO entries (run, body) VALUES (?, ?)", run, JSON.stringify(entry));
      for (const [key, rate] of rates)
        if (rate === null) sql.exec("DELETE FROM rates WHERE key = ?", key);
        else sql.exec("INSERT OR REPLACE INTO rates (key, body) VALUES (?, ?)", key, JSON.stringify(rate));
    });
  }
}
