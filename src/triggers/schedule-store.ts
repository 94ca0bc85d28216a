/**
 * What a schedule object keeps on its disk. Owns the names and shapes of its entries, which are a PERSISTED CONTRACT: they only gain
 * optional fields. All calls are synchronous: what is read together is of one moment.
 */
import { defineSchema, hasSchema, integer, migrate, text } from "../platform/index.ts";
import type { ScheduleTarget } from "./schedule-ports.ts";
import type { Maker } from "./start-port.ts";
import type { LoggedTick } from "./schedule-rpc.ts";
import type { ScheduleState, TickRecord } from "./schedule-state.ts";

/** Records that are kept of one schedule. */
export const LOG_KEPT = 200;

/**
 * - `targets`: what is started, and for whom, by revision; older ones for as long as a start of theirs is pending
 * - `log`: a ring, so that a record costs one row however many there were
 */
export const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE targets (revision INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE log (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT, body TEXT NOT NULL) STRICT;
  `,
  },
]);

export interface KeptSchedule {
  readonly tenant: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Records that there ever were. */
  readonly logged: number;
  readonly state: ScheduleState;
}

export interface KeptTarget {
  readonly target: ScheduleTarget;
  readonly maker: Maker;
}

export class ScheduleStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    if (hasSchema(storage, SCHEMA)) migrate(storage, SCHEMA);
  }

  kept(): KeptSchedule | undefined {
    return this.#storage.kv.get<KeptSchedule>("schedule");
  }

  /** No tick up to there is one of a schedule that is made now: an earlier one of this name may have started it. */
  goneUntil(): number {
    return this.#storage.kv.get<number>("goneUntil") ?? 0;
  }

  create(kept: KeptSchedule, target: string): void {
    this.#storage.transactionSync(() => {
      migrate(this.#storage, SCHEMA);
      this.#storage.kv.put<KeptSchedule>("schedule", kept);
      this.#addTarget(kept.state.revision, target);
    });
  }

  /** The new state and what became of its ticks, in one write. `target`: that of a new revision. */
  write(
    kept: KeptSchedule,
    state: ScheduleState,
    { records, at, target }: { records: readonly TickRecord[]; at: number; target?: string },
  ): void {
    this.#storage.transactionSync(() => {
      for (const [index, record] of records.entries()) this.#addRecord(kept.logged + index + 1, at, record);
      const updatedAt = target === undefined ? kept.updatedAt : at;
      const logged = kept.logged + records.length;
      this.#storage.kv.put<KeptSchedule>("schedule", { ...kept, updatedAt, logged, state });
      if (target === undefined) return;
      const wanted = new Set([state.revision, ...state.pending.map(({ revision }) => revision)]);
      for (const row of this.#storage.sql.exec("SELECT revision FROM targets").toArray()) {
        const revision = integer(row, "revision");
        if (!wanted.has(revision)) this.#storage.sql.exec("DELETE FROM targets WHERE revision = ?", revision);
      }
      this.#addTarget(state.revision, target);
    });
  }

  target(revision: number): KeptTarget | null {
    const [row] = this.#storage.sql.exec("SELECT body FROM targets WHERE revision = ?", revision).toArray();
    return row === undefined ? null : (JSON.parse(text(row, "body")) as KeptTarget);
  }

  /** Whether any start of it is for this user. */
  isFor(user: string): boolean {
    return (
      this.kept() !== undefined &&
      this.#storage.sql
        .exec("SELECT 1 FROM targets WHERE json_extract(body, '$.target.user') = ? LIMIT 1", user)
        .toArray().length > 0
    );
  }

  /** The newest first. */
  log(limit: number): LoggedTick[] {
    return this.#storage.sql
      .exec("SELECT n, at, body FROM log ORDER BY n DESC LIMIT ?", Math.min(limit, LOG_KEPT))
      .toArray()
      .map((row) => ({
        n: integer(row, "n"),
        at: integer(row, "at"),
        record: JSON.parse(text(row, "body")) as TickRecord,
      }));
  }

  /** What became of one start, if it is still in the log. */
  recordOf(key: string): TickRecord | null {
    const [row] = this.#storage.sql
      .exec("SELECT body FROM log WHERE key = ? ORDER BY n DESC LIMIT 1", key)
      .toArray();
    return row === undefined ? null : (JSON.parse(text(row, "body")) as TickRecord);
  }

  /** All but from when on a new one of this name may have ticks. */
  remove(goneUntil: number): void {
    this.#storage.transactionSync(() => {
      this.#storage.sql.exec("DELETE FROM targets");
      this.#storage.sql.exec("DELETE FROM log");
      this.#storage.kv.delete("schedule");
      this.#storage.kv.put<number>("goneUntil", goneUntil);
    });
  }

  #addTarget(revision: number, target: string): void {
    this.#storage.sql.exec("INSERT INTO targets (revision, body) VALUES (?, ?)", revision, target);
  }

  #addRecord(n: number, at: number, record: TickRecord): void {
    this.#storage.sql.exec(
      "INSERT OR REPLACE INTO log (slot, n, at, key, body) VALUES (?, ?, ?, ?, ?)",
      ...[n % LOG_KEPT, n, at, record.t === "skipped" ? null : record.key, JSON.stringify(record)],
    );
  }
}
