/**
 * What an endpoint's object keeps on its disk: messages, what became of each, and how the endpoint does. Owns the names and shapes
 * of its entries, which are a PERSISTED CONTRACT: they only gain optional fields. All calls are synchronous: what is read together is
 * of one moment, and what one call writes is written in one transaction.
 */
import {
  defineSchema,
  dropSchema,
  hasSchema,
  integer,
  integerOrNull,
  migrate,
  type Row,
  type SqlStore,
  text,
  textOrNull,
} from "../../platform/index.ts";
import type { DisabledReason } from "./endpoint.ts";
import type { EraseMessages } from "./endpoint-rpc.ts";
import { type EndpointMessage, erasedBody } from "./events.ts";

/** Messages that the log shows, and that are kept however old they are. */
export const LOG_KEPT = 200;
/** Messages that wait. One that comes then is recorded as failed, without its body. */
export const MAX_PENDING = 10_000;
const DAY_MS = 24 * 60 * 60_000;
/** Longer than an outbox tries to tell of an event (three days): for so long a copy is known by its id. */
export const KNOWN_MS = 4 * DAY_MS;
/** What failed can be sent again for so long. */
export const FAILED_KEPT_MS = 30 * DAY_MS;
const ERASED_AT_ONCE = 200;
const PRUNED_AT_A_TIME = 1_000;
/** Tries of one message that are shown: the plan, and some by hand. */
const MAX_ATTEMPTS = 20;

/**
 * - `messages`: `due` is when the next try is, NULL where none is to come; `body` is NULL where there was no room
 */
export const SCHEMA = defineSchema([
  {
    id: 1,
    sql: `
    CREATE TABLE messages (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, body TEXT, at INTEGER NOT NULL,
      taken INTEGER NOT NULL, status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')), code TEXT,
      tries INTEGER NOT NULL, due INTEGER, ended INTEGER, attempts TEXT NOT NULL,
      CHECK ((status = 'pending') = (due IS NOT NULL)), CHECK (status <> 'pending' OR body IS NOT NULL)) STRICT;
    CREATE INDEX messages_due ON messages (due) WHERE due IS NOT NULL;
  `,
  },
]);

export type MessageStatus = "pending" | "delivered" | "failed";

/** Why a message failed. */
export type FailedCode =
  /** Its last try failed too. */
  | "given_up"
  /** The endpoint was disabled. */
  | "endpoint_disabled"
  /** Too many waited when it came. */
  | "queue_full"
  /** It was a ping, which is tried once. */
  | "ping_failed";

/** One try. Nothing of the answer but its status is kept. */
export interface Attempt {
  readonly at: number;
  /** Null: there was no answer. */
  readonly status: number | null;
  readonly ms: number;
  /** Why there was no answer, or the answer could not be read; null: it was read. */
  readonly code: string | null;
}

export interface Logged {
  readonly id: string;
  readonly type: string;
  /** When it happened, and when it came here. */
  readonly at: number;
  readonly taken: number;
  readonly status: MessageStatus;
  readonly code: FailedCode | null;
  readonly tries: number;
  readonly due: number | null;
  readonly ended: number | null;
  /** The last ones, the oldest first. */
  readonly attempts: readonly Attempt[];
  /** Whether it can be sent again. */
  readonly kept: boolean;
}

export interface Due {
  readonly n: number;
  readonly id: string;
  readonly body: string;
  readonly tries: number;
}

/** What becomes of a message after a try. */
export type Verdict =
  | { readonly status: "pending"; readonly due: number }
  | { readonly status: "delivered" }
  | { readonly status: "failed"; readonly code: FailedCode };

export interface Condition {
  /** Whose and which: an alarm does not say. */
  readonly tenant: string;
  readonly endpoint: string;
  /** Since when nothing was delivered; null: the last try was a success, or there was none. */
  readonly failingSince: number | null;
  /** Since when its maker may not act; null: they may. */
  readonly heldSince: number | null;
  /** It is to be disabled, and that is not known where endpoints are listed yet. */
  readonly dead: {
    readonly reason: DisabledReason;
    readonly at: number;
    /** Of the endpoint, as it was judged. */
    readonly version: number;
  } | null;
}

export interface Counts {
  readonly pending: number;
  readonly failed: number;
}

export class QueueStore {
  readonly #storage: SqlStore;
  #has: boolean;
  /** Of what waits; null: not counted yet in this life. */
  #pending: number | null = null;

  constructor(storage: SqlStore) {
    this.#storage = storage;
    this.#has = hasSchema(storage, SCHEMA);
    if (this.#has) migrate(storage, SCHEMA);
  }

  condition(): Condition | null {
    return this.#storage.kv.get<Condition>("condition") ?? null;
  }

  setCondition(condition: Condition): void {
    this.#storage.kv.put<Condition>("condition", condition);
  }

  /** Nothing is left of the endpoint. */
  drop(): void {
    if (this.#has) dropSchema(this.#storage);
    this.#storage.kv.delete("condition");
    this.#has = false;
    this.#pending = null;
  }

  /** Takes a message, unless its id is known. */
  add(message: EndpointMessage, taken: number): "taken" | "known" | "queue_full" {
    this.#make();
    const room = this.pending() < MAX_PENDING;
    const { id, type, at, body } = message;
    const [row] = this.#storage.sql
      .exec(
        `INSERT INTO messages (id, type, body, at, taken, status, code, tries, due, ended, attempts)
         VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, '[]') ON CONFLICT (id) DO NOTHING RETURNING n`,
        ...[id, type, room ? body : null, at, taken],
        ...(room ? ["pending", null, taken, null] : ["failed", "queue_full", null, taken]),
      )
      .toArray();
    if (row === undefined) return "known";
    if (!room) return "queue_full";
    this.#count(1);
    return "taken";
  }

  /** Notes a message that is not to wait here, with its only try. */
  note({ id, type, at, body }: EndpointMessage, attempt: Attempt, delivered: boolean): void {
    this.#make();
    const ended = attempt.at + attempt.ms;
    this.#storage.sql.exec(
      `INSERT INTO messages (id, type, body, at, taken, status, code, tries, due, ended, attempts)
       VALUES (?, ?, ?, ?, ?, ?, ?, 1, NULL, ?, ?)`,
      ...[id, type, body, at, attempt.at],
      ...(delivered ? ["delivered", null] : ["failed", "ping_failed"]),
      ...[ended, JSON.stringify([attempt])],
    );
  }

  due(now: number, limit: number): Due[] {
    if (!this.#has) return [];
    return this.#storage.sql
      .exec("SELECT n, id, body, tries FROM messages WHERE due <= ? ORDER BY due, n LIMIT ?", now, limit)
      .toArray()
      .map((row) => ({
        n: integer(row, "n"),
        id: text(row, "id"),
        body: text(row, "body"),
        tries: integer(row, "tries"),
      }));
  }

  /** When the next try is, or null. */
  nextDue(): number | null {
    if (!this.#has) return null;
    const [row] = this.#storage.sql
      .exec("SELECT min(due) AS due FROM messages WHERE due IS NOT NULL")
      .toArray();
    return row === undefined ? null : integerOrNull(row, "due");
  }

  pending(): number {
    if (!this.#has) return 0;
    if (this.#pending === null) {
      const [row] = this.#storage.sql
        .exec("SELECT count(*) AS n FROM messages WHERE due IS NOT NULL")
        .toArray();
      this.#pending = row === undefined ? 0 : integer(row, "n");
    }
    return this.#pending;
  }

  /**
   * A try and what follows from it, in one transaction. What is not there any more stays as it is, and what waits no more
   * (the endpoint was disabled meanwhile) too, unless it was delivered.
   */
  settle(due: Due, attempt: Attempt, verdict: Verdict, condition: Condition): void {
    this.#storage.transactionSync(() => {
      const [row] = this.#storage.sql.exec("SELECT attempts, due FROM messages WHERE n = ?", due.n).toArray();
      const waits = row !== undefined && integerOrNull(row, "due") !== null;
      if (row !== undefined && (waits || verdict.status === "delivered")) {
        const attempts = [...attemptsOf(row), attempt].slice(-MAX_ATTEMPTS);
        this.#storage.sql.exec(
          "UPDATE messages SET status = ?, code = ?, tries = ?, due = ?, ended = ?, attempts = ? WHERE n = ?",
          verdict.status,
          verdict.status === "failed" ? verdict.code : null,
          due.tries + 1,
          verdict.status === "pending" ? verdict.due : null,
          verdict.status === "pending" ? null : attempt.at + attempt.ms,
          JSON.stringify(attempts),
          due.n,
        );
        if (waits && verdict.status !== "pending") this.#count(-1);
      }
      const before = this.condition();
      // An entry is a row: only what is another one is written.
      if (before === null || before.failingSince !== condition.failingSince || before.dead !== condition.dead)
        this.setCondition(condition);
    });
  }

  /** It could not be tried now, and that says nothing of the endpoint. */
  putOff(n: number, due: number): void {
    this.#storage.sql.exec("UPDATE messages SET due = ? WHERE n = ? AND due IS NOT NULL", due, n);
  }

  /** Nothing waits any more. */
  failPending(code: FailedCode, now: number): void {
    if (!this.#has || this.pending() === 0) return;
    this.#storage.sql.exec(
      "UPDATE messages SET status = 'failed', code = ?, due = NULL, ended = ? WHERE due IS NOT NULL",
      code,
      now,
    );
    this.#pending = 0;
  }

  /** Sends one again, from the beginning of the plan. */
  again(id: string, now: number): "again" | "not_found" | "not_kept" | "queue_full" {
    if (!this.#has) return "not_found";
    const [row] = this.#storage.sql
      .exec("SELECT n, due, body IS NOT NULL AS kept FROM messages WHERE id = ?", id)
      .toArray();
    if (row === undefined) return "not_found";
    if (integer(row, "kept") === 0) return "not_kept";
    const waits = integerOrNull(row, "due") !== null;
    if (!waits && this.pending() >= MAX_PENDING) return "queue_full";
    this.#restart(integer(row, "n"), now);
    if (!waits) this.#count(1);
    return "again";
  }

  /**
   * Of what happened since then: sends all again that failed, the oldest first, as many as there is room for, and now what waits
   * for its next try. Answers how many.
   */
  allAgain(since: number, now: number): number {
    if (!this.#has) return 0;
    const room = Math.max(0, MAX_PENDING - this.pending());
    const rows = this.#storage.sql
      .exec(
        `SELECT n FROM messages WHERE status = 'failed' AND code <> 'ping_failed' AND body IS NOT NULL AND at >= ?
         ORDER BY n LIMIT ?`,
        since,
        room,
      )
      .toArray();
    // What waits for its next try waits no longer; what is under way is due, and stays as it is.
    const hurried = this.#storage.transactionSync(() => {
      for (const row of rows) this.#restart(integer(row, "n"), now);
      return this.#storage.sql
        .exec("UPDATE messages SET due = ? WHERE due > ? AND at >= ? RETURNING n", now, now, since)
        .toArray().length;
    });
    this.#count(rows.length);
    return rows.length + hurried;
  }

  /** Whose the runs of these messages were, and what is said of them, goes; the rest of a message stays as it was to be sent. */
  erase(whose: EraseMessages): void {
    if (!this.#has) return;
    const [member, value] = "user" in whose ? ["user", whose.user] : ["run", whose.run];
    this.#storage.transactionSync(() => {
      let after = 0;
      for (;;) {
        const rows = this.#storage.sql
          .exec(
            `SELECT n, body FROM messages WHERE n > ? AND body IS NOT NULL AND json_extract(body, '$.data.${member}') = ?
             ORDER BY n LIMIT ${ERASED_AT_ONCE}`,
            ...[after, value],
          )
          .toArray();
        for (const row of rows) {
          after = integer(row, "n");
          this.#storage.sql.exec(
            "UPDATE messages SET body = ? WHERE n = ?",
            erasedBody(text(row, "body")),
            after,
          );
        }
        if (rows.length < ERASED_AT_ONCE) return;
      }
    });
  }

  /** The newest first, at most `LOG_KEPT`. */
  log(limit: number): Logged[] {
    if (!this.#has) return [];
    return this.#storage.sql
      .exec(
        `SELECT id, type, at, taken, status, code, tries, due, ended, attempts, body IS NOT NULL AS kept
         FROM messages ORDER BY n DESC LIMIT ?`,
        Math.min(limit, LOG_KEPT),
      )
      .toArray()
      .map(toLogged);
  }

  counts(): Counts {
    if (!this.#has) return { pending: 0, failed: 0 };
    const [row] = this.#storage.sql
      .exec("SELECT count(*) AS n FROM messages WHERE status = 'failed'")
      .toArray();
    return { pending: this.pending(), failed: row === undefined ? 0 : integer(row, "n") };
  }

  /** Whether there is more than the log shows, so that something may be too old. */
  outgrown(): boolean {
    if (!this.#has) return false;
    const [row] = this.#storage.sql.exec("SELECT coalesce(max(n) - min(n), 0) AS n FROM messages").toArray();
    return row !== undefined && integer(row, "n") >= LOG_KEPT;
  }

  /** Drops what is too old, some of it. Answers whether there may be more. */
  prune(now: number): boolean {
    if (!this.#has) return false;
    const gone = this.#storage.sql
      .exec(
        `DELETE FROM messages WHERE n IN (
           SELECT n FROM messages WHERE due IS NULL AND n <= (SELECT max(n) FROM messages) - ${LOG_KEPT}
             AND ended < iif(status = 'failed' AND body IS NOT NULL, ?, ?) ORDER BY n LIMIT ${PRUNED_AT_A_TIME}
         ) RETURNING n`,
        now - FAILED_KEPT_MS,
        now - KNOWN_MS,
      )
      .toArray();
    return gone.length === PRUNED_AT_A_TIME;
  }

  #restart(n: number, now: number): void {
    this.#storage.sql.exec(
      "UPDATE messages SET status = 'pending', code = NULL, tries = 0, due = ?, ended = NULL WHERE n = ?",
      now,
      n,
    );
  }

  #make(): void {
    if (this.#has) return;
    migrate(this.#storage, SCHEMA);
    this.#has = true;
  }

  #count(more: number): void {
    if (this.#pending !== null) this.#pending = Math.max(0, this.#pending + more);
  }
}

function attemptsOf(row: Row): Attempt[] {
  // The column holds what was written by this file.
  return JSON.parse(text(row, "attempts")) as Attempt[];
}

function toLogged(row: Row): Logged {
  return {
    id: text(row, "id"),
    type: text(row, "type"),
    at: integer(row, "at"),
    taken: integer(row, "taken"),
    // CHECK of the column, and what this file writes.
    status: text(row, "status") as MessageStatus,
    code: textOrNull(row, "code") as FailedCode | null,
    tries: integer(row, "tries"),
    due: integerOrNull(row, "due"),
    ended: integerOrNull(row, "ended"),
    attempts: attemptsOf(row),
    kept: integer(row, "kept") === 1,
  };
}
