/**
 * What a connection object keeps on its disk. Owns the names of its entries and their shapes, which are a PERSISTED CONTRACT:
 * they only gain optional fields. All calls are synchronous: what is read together is of one moment.
 */
import { defineSchema, hasSchema, integer, migrate, text, type AuditEntry } from "../platform/index.ts";
import type { ConnectionRecord, KeptIntegration, PendingGrant, Slot } from "./grant.ts";
import type { RevocationReport } from "./rpc.ts";

const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE waiters (run TEXT PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
  `,
  },
]);

export interface Revoking {
  readonly report: RevocationReport;
  /** When the provider is told again; null: that is over. */
  readonly retryAt: number | null;
  readonly since: number;
}

/** What is still to be written where connections are listed. */
export interface MirrorDue {
  readonly at: number;
  readonly tries: number;
}

interface Entries {
  slot: { readonly slot: Slot; readonly id: string };
  record: ConnectionRecord;
  integration: KeptIntegration;
  workflows: readonly string[];
  pending: readonly PendingGrant[];
  limited: number;
  waking: { readonly at: number; readonly tries: number };
  mirror: MirrorDue;
  revoking: Revoking;
}

const MAX_WAITERS = 10_000;

export class ConnectionStore {
  readonly #storage: DurableObjectStorage;
  #ready: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#ready = hasSchema(storage, SCHEMA);
    if (this.#ready) migrate(storage, SCHEMA);
  }

  get<K extends keyof Entries>(key: K): Entries[K] | undefined {
    return this.#storage.kv.get<Entries[K]>(key);
  }

  put<K extends keyof Entries>(key: K, value: Entries[K]): void {
    this.#storage.kv.put(key, value);
  }

  remove(key: keyof Entries): void {
    this.#storage.kv.delete(key);
  }

  /** All or nothing. */
  together(work: () => void): void {
    this.#prepare();
    this.#storage.transactionSync(work);
  }

  addWaiter(run: string, now: number): void {
    this.#prepare();
    const { sql } = this.#storage;
    const [{ n } = { n: 0 }] = sql.exec<{ n: number }>("SELECT count(*) AS n FROM waiters").toArray();
    // Those beyond it look again by themselves, a while later.
    if (n < MAX_WAITERS) sql.exec("INSERT OR IGNORE INTO waiters (run, since) VALUES (?, ?)", run, now);
  }

  waiters(limit: number): string[] {
    if (!this.#ready) return [];
    return this.#storage.sql
      .exec("SELECT run FROM waiters ORDER BY since, run LIMIT ?", limit)
      .toArray()
      .map((row) => text(row, "run"));
  }

  waiting(): number {
    if (!this.#ready) return 0;
    const [row] = this.#storage.sql.exec("SELECT count(*) AS n FROM waiters").toArray();
    return row === undefined ? 0 : integer(row, "n");
  }

  removeWaiter(run: string): void {
    this.#storage.sql.exec("DELETE FROM waiters WHERE run = ?", run);
  }

  addAudit(entry: AuditEntry): void {
    this.#prepare();
    this.#storage.sql.exec("INSERT INTO audit (body) VALUES (?)", JSON.stringify(entry));
  }

  audit(limit: number): { readonly last: number; readonly entries: readonly AuditEntry[] } {
    if (!this.#ready) return { last: 0, entries: [] };
    const rows = this.#storage.sql.exec("SELECT id, body FROM audit ORDER BY id LIMIT ?", limit).toArray();
    return {
      last: rows.reduce((last, row) => Math.max(last, integer(row, "id")), 0),
      entries: rows.map((row) => JSON.parse(text(row, "body")) as AuditEntry),
    };
  }

  removeAudit(last: number): void {
    if (last > 0) this.#storage.sql.exec("DELETE FROM audit WHERE id <= ?", last);
  }

  /** An object that was only asked writes nothing. */
  #prepare(): void {
    if (this.#ready) return;
    migrate(this.#storage, SCHEMA);
    this.#ready = true;
  }
}
