/**
 * What a hook's object keeps on its disk. Owns the names and shapes of its entries, which are a PERSISTED CONTRACT. All calls are
 * synchronous.
 *
 * - L1 rings: a delivery costs one row, and one more where its body is kept, however many there were.
 * - L2 what nobody could prove to be genuine has a ring of its own: it drives out nothing that is.
 */
import { defineSchema, hasSchema, integer, migrate, text, textOrNull } from "../../platform/index.ts";
import { type DeliveryEntry, isGenuine } from "../entries.ts";
import type { Bucket } from "../rate.ts";
import type { LoggedDelivery, ToldDelivery } from "./hook-rpc.ts";

/** Lines that are kept of deliveries that were proved to be the sender's own. */
export const LOG_KEPT = 200;
/** Lines of the others; their slots follow those of the first. */
const UNPROVEN_KEPT = 50;
/** Bodies: of the newest deliveries that came far enough. */
export const BODIES_KEPT = 20;
/** A body is kept no longer, however few follow it. */
export const BODY_KEPT_MS = 30 * 24 * 60 * 60_000;
/** A value of SQLite here has at most 2 MB. */
const MAX_SEALED_CHARS = 1_990_000;

export const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE log (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE bodies (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL, sealed TEXT NOT NULL) STRICT;
  `,
  },
]);

export class HookLog {
  readonly #storage: DurableObjectStorage;
  /** Of the last line. */
  #n = 0;
  /** That the next line takes, in each ring. */
  #next = { proven: 0, unproven: LOG_KEPT, body: 0 };

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    if (!hasSchema(storage, SCHEMA)) return;
    migrate(storage, SCHEMA);
    const slots = (table: "log" | "bodies") =>
      storage.sql
        .exec(`SELECT slot, n FROM ${table} ORDER BY n DESC`)
        .toArray()
        .map((row) => ({ slot: integer(row, "slot"), n: integer(row, "n") }));
    const lines = slots("log");
    const proven = lines.find(({ slot }) => slot < LOG_KEPT);
    const unproven = lines.find(({ slot }) => slot >= LOG_KEPT);
    const body = slots("bodies")[0];
    this.#n = lines[0]?.n ?? 0;
    this.#next = {
      proven: proven === undefined ? 0 : after(proven.slot),
      unproven: unproven === undefined ? LOG_KEPT : after(unproven.slot),
      body: body === undefined ? 0 : (body.slot + 1) % BODIES_KEPT,
    };
  }

  /** Null: it is full. */
  bucket(): Bucket | null {
    return this.#storage.kv.get<Bucket>("bucket") ?? null;
  }

  putBucket(bucket: Bucket): void {
    this.#storage.kv.put<Bucket>("bucket", bucket);
  }

  /** Since when the hook is gone; undefined: it is not. What is told of it later is not kept. */
  isGone(): boolean {
    return this.#storage.kv.get<boolean>("gone") === true;
  }

  /** @returns whether its body is kept */
  add({ id, entry, sealed }: ToldDelivery): boolean {
    const isProven = isGenuine(entry);
    const kept = sealed !== null && sealed.length <= MAX_SEALED_CHARS ? sealed : null;
    this.#storage.transactionSync(() => {
      migrate(this.#storage, SCHEMA);
      this.#n += 1;
      const slot = isProven ? this.#next.proven : this.#next.unproven;
      this.#storage.sql.exec(
        "INSERT OR REPLACE INTO log (slot, n, id, body) VALUES (?, ?, ?, ?)",
        ...[slot, this.#n, id, JSON.stringify(entry)],
      );
      if (kept !== null)
        this.#storage.sql.exec(
          "INSERT OR REPLACE INTO bodies (slot, n, at, sealed) VALUES (?, ?, ?, ?)",
          ...[this.#next.body, this.#n, entry.at, kept],
        );
      this.#next = {
        proven: isProven ? after(slot) : this.#next.proven,
        unproven: isProven ? this.#next.unproven : after(slot),
        body: kept === null ? this.#next.body : (this.#next.body + 1) % BODIES_KEPT,
      };
    });
    return kept !== null;
  }

  page(before: number | null, limit: number): LoggedDelivery[] {
    if (!hasSchema(this.#storage, SCHEMA)) return [];
    return this.#storage.sql
      .exec(
        `SELECT log.n, log.id, log.body, bodies.n AS kept FROM log LEFT JOIN bodies ON bodies.n = log.n
         WHERE log.n < ? ORDER BY log.n DESC LIMIT ?`,
        ...[before ?? Number.MAX_SAFE_INTEGER, limit],
      )
      .toArray()
      .map((row) => ({
        id: text(row, "id"),
        n: integer(row, "n"),
        entry: JSON.parse(text(row, "body")) as DeliveryEntry,
        kept: row["kept"] !== null,
      }));
  }

  find(id: string): { readonly entry: DeliveryEntry; readonly sealed: string | null } | null {
    if (!hasSchema(this.#storage, SCHEMA)) return null;
    const [row] = this.#storage.sql
      .exec(
        "SELECT log.body, bodies.sealed FROM log LEFT JOIN bodies ON bodies.n = log.n WHERE log.id = ?",
        id,
      )
      .toArray();
    if (row === undefined) return null;
    return { entry: JSON.parse(text(row, "body")) as DeliveryEntry, sealed: textOrNull(row, "sealed") };
  }

  /** Takes away the bodies that came before a time. @returns when the oldest of the others came; null: there is none */
  dropBodies(before: number): number | null {
    if (!hasSchema(this.#storage, SCHEMA)) return null;
    this.#storage.sql.exec("DELETE FROM bodies WHERE at < ?", before);
    const [row] = this.#storage.sql.exec("SELECT min(at) AS at FROM bodies").toArray();
    return row?.["at"] === null || row === undefined ? null : integer(row, "at");
  }

  /** What a sender wrote of deliveries that started the run. */
  eraseRun(run: string): void {
    if (!hasSchema(this.#storage, SCHEMA)) return;
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      const rows = sql
        .exec("SELECT slot, n, body FROM log WHERE json_extract(body, '$.run') = ?", run)
        .toArray();
      for (const row of rows) {
        const entry = JSON.parse(text(row, "body")) as DeliveryEntry;
        const erased: DeliveryEntry = { ...entry, detail: null, delivery: null, event: null, key: null };
        sql.exec("DELETE FROM bodies WHERE n = ?", integer(row, "n"));
        sql.exec("UPDATE log SET body = ? WHERE slot = ?", JSON.stringify(erased), integer(row, "slot"));
      }
    });
  }

  /** All of it. */
  forget(): void {
    this.#storage.transactionSync(() => {
      if (hasSchema(this.#storage, SCHEMA)) {
        this.#storage.sql.exec("DELETE FROM log");
        this.#storage.sql.exec("DELETE FROM bodies");
      }
      this.#storage.kv.delete("bucket");
      this.#storage.kv.put<boolean>("gone", true);
    });
  }
}

/** The slot after one, in its ring. */
function after(slot: number): number {
  return slot < LOG_KEPT ? (slot + 1) % LOG_KEPT : LOG_KEPT + ((slot - LOG_KEPT + 1) % UNPROVEN_KEPT);
}
