/**
 * What a connection object keeps on its disk. Owns the names of its entries and their shapes, which are a PERSISTED CONTRACT:
 * they only gain optional fields. All calls are synchronous: what is read together is of one moment.
 */
import { defineSchema, hasSchema, integer, migrate, text, type AuditEntry } from "../platform/index.ts";
import type { Account, ConnectionRecord, KeptIntegration, PendingGrant, Slot } from "./grant.ts";
import type { RevocationReport } from "./rpc.ts";

export const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE waiters (seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL UNIQUE, since INTEGER NOT NULL) STRICT;
    CREATE TABLE audit (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
  `,
  },
]);

export interface Revoking {
  readonly report: RevocationReport;
  /** When the provider is told again; null: that is over. */
  readonly retryAt: number | null;
  readonly since: number;
  /** How often it was asked in vain whether another connection lives on the account; missing: that is known. */
  readonly asked?: number;
}

/** A grant that has lost its place, or never got one, of which the provider is still to be told. */
export interface Leaving {
  /**
   * Which it was, and what its text is sealed for. `late`: what a refresh of that version brought afterwards. `pending`: it was
   * never confirmed, or refused when it came.
   */
  readonly of:
    | { readonly kind: "pair" | "late"; readonly version: number }
    | { readonly kind: "pending"; readonly session: string };
  /** Who took it back, or threw it away. */
  readonly by: string;
  readonly account: Account;
  readonly sealed: string;
  readonly integration: KeptIntegration;
  readonly since: number;
  /** When the provider is told again. */
  readonly retryAt: number;
  readonly tries: number;
}

/** What is still to be written where connections are listed. */
export interface MirrorDue {
  readonly at: number;
  readonly tries: number;
  /** Stamp of the newest change. */
  readonly stamp: number;
}

/** That a workflow used the connection, and how often as far as that is on disk. */
export interface KeptUse {
  readonly workflow: string;
  /** The last of them. */
  readonly at: number;
  /** The first of them, where that is known. */
  readonly first?: number;
  readonly count: number;
}

/** Those that wait up to a number are still to be told. */
export interface WakingDue {
  readonly at: number;
  readonly tries: number;
  readonly upTo: number;
  /** The last one that this round has tried, and how many it could not tell; missing: it has not begun. */
  readonly round?: { readonly last: number; readonly failed: number };
}

/** A run that waits. Asking again gives it another number, so that what is told of an earlier one does not end this one. */
export interface Waiter {
  readonly seq: number;
  readonly run: string;
}

interface Entries {
  slot: { readonly slot: Slot; readonly id: string };
  record: ConnectionRecord;
  integration: KeptIntegration;
  workflows: readonly string[];
  pending: readonly PendingGrant[];
  limited: number;
  waking: WakingDue;
  mirror: MirrorDue;
  /** The time of the newest change, raised so that no two changes have the same. */
  stamp: number;
  revoking: Revoking;
  leaving: readonly Leaving[];
  /** Uses that the listing does not have yet. */
  uses: { readonly since: number; readonly of: readonly KeptUse[] };
}

const MAX_WAITERS = 10_000;
const HOUR_MS = 60 * 60_000;
/** No step waits longer for a person. */
const LONGEST_WAIT_MS = 25 * HOUR_MS;

export class ConnectionStore {
  readonly #storage: DurableObjectStorage;
  #ready: boolean;
  #waiting: number | null = null;

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

  /** Puts it behind all others, also if it is there already. Those beyond the limit look again by themselves, a while later. */
  addWaiter(run: string, now: number): void {
    this.#prepare();
    const { sql } = this.#storage;
    this.#counted(-sql.exec("DELETE FROM waiters WHERE run = ? RETURNING seq", run).toArray().length);
    if (this.waiting() >= MAX_WAITERS)
      this.#counted(
        -sql.exec("DELETE FROM waiters WHERE since < ? RETURNING seq", now - LONGEST_WAIT_MS).toArray()
          .length,
      );
    if (this.waiting() >= MAX_WAITERS) return;
    sql.exec("INSERT INTO waiters (run, since) VALUES (?, ?)", run, now);
    this.#counted(1);
  }

  /** Behind `after`, up to `upTo`. */
  waiters(after: number, upTo: number, limit: number): Waiter[] {
    if (!this.#ready) return [];
    return this.#storage.sql
      .exec(
        "SELECT seq, run FROM waiters WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        after,
        upTo,
        limit,
      )
      .toArray()
      .map((row) => ({ seq: integer(row, "seq"), run: text(row, "run") }));
  }

  /** Number of the last that came; 0: none is there. */
  lastWaiter(): number {
    if (!this.#ready) return 0;
    const [row] = this.#storage.sql.exec("SELECT coalesce(max(seq), 0) AS last FROM waiters").toArray();
    return row === undefined ? 0 : integer(row, "last");
  }

  waiting(): number {
    if (!this.#ready) return 0;
    if (this.#waiting !== null) return this.#waiting;
    const [row] = this.#storage.sql.exec("SELECT count(*) AS n FROM waiters").toArray();
    return (this.#waiting = row === undefined ? 0 : integer(row, "n"));
  }

  /** When those that wait no more are forgotten next, at most once an hour; null: nobody waits. */
  staleWaitersAt(): number | null {
    if (this.waiting() === 0) return null;
    // In the order in which they came, but for clocks that went back.
    const [row] = this.#storage.sql.exec("SELECT since FROM waiters ORDER BY seq LIMIT 1").toArray();
    if (row === undefined) return null;
    return Math.ceil((integer(row, "since") + LONGEST_WAIT_MS) / HOUR_MS) * HOUR_MS;
  }

  dropStaleWaiters(now: number): void {
    if (this.waiting() === 0) return;
    const gone = this.#storage.sql.exec(
      "DELETE FROM waiters WHERE since <= ? RETURNING seq",
      now - LONGEST_WAIT_MS,
    );
    this.#counted(-gone.toArray().length);
  }

  /** Whether there never was a grant, and nothing waits or is still to be done. */
  isVoid(): boolean {
    if (this.get("slot") === undefined || this.get("record") !== undefined) return false;
    const isDue = (["waking", "mirror", "revoking", "leaving"] as const).some(
      (key) => this.get(key) !== undefined,
    );
    const pending = this.get("pending") ?? [];
    return !isDue && pending.length === 0 && this.waiting() === 0 && this.audit(1).entries.length === 0;
  }

  /** Whether nothing of a grant is left, the provider was told or given up, and the listing knows it. */
  isOver(): boolean {
    const record = this.get("record");
    const isGone = record === undefined || record.standing.status === "disconnected";
    const isDue = this.get("mirror") !== undefined || this.audit(1).entries.length > 0;
    return (
      isGone && !isDue && (this.get("pending") ?? []).length === 0 && (this.get("leaving") ?? []).length === 0
    );
  }

  /** All of it. What is written after this call stays, also before it has ended. */
  async forget(): Promise<void> {
    this.#ready = false;
    this.#waiting = null;
    await Promise.all([this.#storage.deleteAlarm(), this.#storage.deleteAll()]);
  }

  removeWaiter(seq: number): void {
    const gone = this.#storage.sql.exec("DELETE FROM waiters WHERE seq = ? RETURNING seq", seq);
    this.#counted(-gone.toArray().length);
  }

  #counted(more: number): void {
    if (this.#waiting !== null) this.#waiting += more;
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
