/**
 * What others must learn of a run: written with the facts, delivered at least once, each message with the number of
 * the fact that it speaks of as its version, so that a listener can pass over what is older than what it knows.
 *
 * O1 a message is written in the transaction of the turn that it speaks of.
 * O2 a listener that does not answer never slows the run: deliveries run beside it, retries wait for the alarm.
 *    A fresh message is delivered in the event that wrote it; the alarm only stands behind, a while later.
 * O3 messages of one listener are delivered in order; a failed one holds back only its own listener's later ones.
 * O4 a message passes through `Texts`, which seals it in a confidential run. What a listener keeps of it is the listener's.
 */

import type { Row } from "../driver/index.ts";
import type { Fact, RunState } from "../kernel/index.ts";
import { crashPoint, hasSchema, integer, migrate, text, type Logger } from "../platform/index.ts";
import { OUTBOX_SCHEMA } from "./schema.ts";
import { BACKSTOP_MS, retryMs } from "./telling.ts";
import type { Texts } from "./texts.ts";

/** A message that nobody took for this long is dropped and logged: the listener is gone. */
const GIVE_UP_MS = 3 * 24 * 60 * 60_000;
/** Deliveries per drain: what is left goes with the next one. */
const BATCH = 16;

export interface Message {
  readonly tenant: string;
  readonly run: string;
  readonly version: number;
  readonly at: number;
  readonly body: unknown;
}

export interface Listener {
  readonly name: string;
  /**
   * What the listener wants to know of a fact; null: nothing. Pure.
   * @param confidential whether the run holds what nobody may see: what is kept of it elsewhere is not sealed by the run
   */
  message(fact: Fact, after: RunState, confidential: boolean): unknown;
  /**
   * Whether it wants to know anything of the runs of a tenant: a message costs rows. It may say no only where it knows that.
   * Also asked when a run starts, so that it can find out until something happens. Missing: it does.
   */
  wants?(tenant: string): boolean;
  /** Resolves once the listener has it. A rejection is tried again. */
  deliver(message: Message): Promise<void>;
}

export class Outbox {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #texts: Texts;
  readonly #listeners: readonly Listener[];
  readonly #now: () => number;
  readonly #log: Logger;
  #dueAt: number | null = null;
  /** Since when the oldest message waits. */
  #oldestAt: number | null = null;
  /** When the last message was written: its delivery is under way in the same event. */
  #freshAt = -BACKSTOP_MS;
  #draining: Promise<void> | null = null;

  constructor(
    storage: DurableObjectStorage,
    texts: Texts,
    listeners: readonly Listener[],
    now: () => number,
    log: Logger,
  ) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#texts = texts;
    this.#listeners = listeners;
    this.#now = now;
    this.#log = log;
  }

  /** When a life begins: what earlier ones left. */
  load(): void {
    if (this.#listeners.length === 0 || !hasSchema(this.#storage, OUTBOX_SCHEMA)) return;
    const [row] = this.#sql.exec("SELECT min(due) AS due, min(since) AS since FROM outbox").toArray();
    const none = row === undefined || row["due"] === null;
    this.#dueAt = none ? null : integer(row, "due");
    this.#oldestAt = none ? null : integer(row, "since");
  }

  /** Since when the oldest message waits that nobody has taken yet, or null. */
  get oldestAt(): number | null {
    return this.#oldestAt;
  }

  /** When the next delivery is due, or null. */
  get dueAt(): number | null {
    return this.#dueAt;
  }

  /** When the alarm must look after deliveries, or null. */
  get alarmAt(): number | null {
    return this.#dueAt === null ? null : Math.max(this.#dueAt, this.#freshAt + BACKSTOP_MS);
  }

  /** What writes the messages about a turn; null: there are none. O1: to be called in the transaction of the turn. */
  messagesOf(row: Row, after: RunState): (() => void) | null {
    const { tenant } = after.run;
    if (row.facts[0]?.t === "run_started") for (const listener of this.#listeners) listener.wants?.(tenant);
    const messages = this.#listeners.flatMap((listener) =>
      row.facts.flatMap((fact, i) => {
        const message = listener.message(fact, after, this.#texts.confidential);
        if (message === null || listener.wants?.(tenant) === false) return [];
        const { name } = listener;
        const version = row.seq + i;
        const body = this.#texts.write(["message", version, name], JSON.stringify(message));
        return [{ name, version, body }];
      }),
    );
    if (messages.length === 0) return null;
    return () => {
      migrate(this.#storage, OUTBOX_SCHEMA);
      for (const { name, version, body } of messages) {
        // O3: not before an earlier one that waits for its retry.
        this.#sql.exec(
          `INSERT INTO outbox (listener, version, body, tries, due, since)
           SELECT ?1, ?2, ?3, 0, max(?4, coalesce((SELECT max(due) FROM outbox WHERE listener = ?1), 0)), ?4`,
          name,
          version,
          body,
          row.at,
        );
      }
      this.#dueAt = this.#dueAt === null ? row.at : Math.min(this.#dueAt, row.at);
      this.#oldestAt ??= row.at;
      this.#freshAt = row.at;
    };
  }

  /** Delivers what is due. One drain at a time; a second call joins the first. */
  drain(tenant: string, run: string): Promise<void> {
    this.#draining ??= this.#drain(tenant, run).finally(() => {
      this.#draining = null;
    });
    return this.#draining;
  }

  async #drain(tenant: string, run: string): Promise<void> {
    const blocked = new Set<string>();
    while (this.#dueAt !== null && this.#dueAt <= this.#now()) {
      const rows = this.#sql
        .exec(
          "SELECT id, listener, version, body, tries, since FROM outbox WHERE due <= ? ORDER BY id LIMIT ?",
          this.#now(),
          BATCH,
        )
        .toArray();
      for (const row of rows) {
        const listener = text(row, "listener");
        if (blocked.has(listener)) continue;
        const message = { tenant, run, version: integer(row, "version"), at: integer(row, "since") };
        const kept = { id: integer(row, "id"), tries: integer(row, "tries"), body: text(row, "body") };
        if (!(await this.#deliver(listener, message, kept))) blocked.add(listener);
      }
      this.load();
      if (rows.every((row) => blocked.has(text(row, "listener")))) return;
    }
  }

  async #deliver(
    name: string,
    message: Omit<Message, "body">,
    { id, tries, body }: { readonly id: number; readonly tries: number; readonly body: string },
  ): Promise<boolean> {
    const listener = this.#listeners.find((known) => known.name === name);
    try {
      const plain = this.#texts.read(["message", message.version, name], body);
      await listener?.deliver({ ...message, body: JSON.parse(plain) as unknown });
      if (CRASH_POINTS) crashPoint("crash-point:message-delivered");
      this.#sql.exec("DELETE FROM outbox WHERE id = ?", id);
      return true;
    } catch (error) {
      const now = this.#now();
      if (now - message.at > GIVE_UP_MS) {
        this.#log.error("outbox_message_dropped", {
          tenant: message.tenant,
          run: message.run,
          listener: name,
          version: message.version,
          error,
        });
        this.#sql.exec("DELETE FROM outbox WHERE id = ?", id);
        return true;
      }
      const due = now + retryMs(tries);
      // O3: later ones of the same listener wait with it.
      this.#sql.exec(
        "UPDATE outbox SET due = ?, tries = tries + (id = ?) WHERE listener = ? AND due < ?",
        due,
        id,
        name,
        due,
      );
      return false;
    }
  }
}
