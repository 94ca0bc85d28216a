/**
 * Tells the audit which credentials the attempts of a run were lent: an outbox whose messages are the facts of the journal.
 *
 * Owns: the mark from which on facts are still to be told, when they are, and telling them. Does not own: what is told of a
 * fact (`uses-of.ts`), or what the audit makes of it.
 *
 * S1 the mark is written in the transaction of the first fact that is to be told, and goes when all from there on were
 *    told: two rows for all uses that are told together, however many.
 * S2 an audit that does not answer never slows a run. Nothing is dropped while the run is kept.
 * S3 told at least once, in order: ids come from the facts, so who listens takes none of them twice.
 * S4 no alarm is set for it while the run goes on: what a life that ends leaves is told by the next one. The end is told
 *    until it was taken, by the alarm that stands for the report of it.
 */

import type { Row } from "../driver/index.ts";
import { nextWake, statusOf, type RunState } from "../kernel/index.ts";
import type { Logger, UseSink } from "../platform/index.ts";
import type { JournalStore } from "./journal-store.ts";
import { tellsOfUse, usesOf } from "./uses-of.ts";

const MARK_KEY = "uses";
/** So many facts are told together, or those of so long: whatever comes first. */
const MANY = 200;
const LONG_MS = 60_000;
/** A wait of at least so long is the end of a batch. */
const LONG_WAIT_MS = 10_000;
/** Rows of the journal, and uses, per message. */
const ROWS = 100;
const USES = 200;
/** How long after the end the alarm looks whether it was told. */
const BACKSTOP_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60 * 60_000;

/** PERSISTED CONTRACT. */
interface Mark {
  /** Number of the first fact that is to be told. */
  readonly from: number;
}

export class Uses {
  readonly #storage: DurableObjectStorage;
  readonly #sink: UseSink | null;
  readonly #now: () => number;
  readonly #log: Logger;
  #mark: Mark | null = null;
  /** Of this life: how many facts are to be told, since when, and the first that came while others were being told. */
  #facts = 0;
  #since = 0;
  #newer: number | null = null;
  #due = false;
  #ended: number | null = null;
  #retryAt = 0;
  #tries = 0;
  #telling: Promise<void> | null = null;

  /** @param sink null: there is no audit of uses */
  constructor(storage: DurableObjectStorage, sink: UseSink | null, now: () => number, log: Logger) {
    this.#storage = storage;
    this.#sink = sink;
    this.#now = now;
    this.#log = log;
  }

  /** When a life begins that is not the first: what earlier ones left is told at once (S4). */
  load(state: RunState): void {
    if (this.#sink === null) return;
    this.#mark = markIn(this.#storage);
    this.#due = this.#mark !== null;
    this.#since = this.#now();
    this.#ended = state.endedAt;
  }

  /** What writes the mark for a row; null: nothing is to be written. S1: to be called in the transaction of the turn. */
  marks(row: Row): (() => void) | null {
    if (this.#sink === null) return null;
    const first = row.facts.findIndex(tellsOfUse);
    if (first === -1) return null;
    this.#facts += row.facts.filter(tellsOfUse).length;
    if (this.#telling !== null) this.#newer ??= row.seq + first;
    if (this.#mark !== null) return null;
    this.#since = row.at;
    const mark = { from: row.seq + first };
    this.#mark = mark;
    return () => {
      this.#storage.kv.put(MARK_KEY, mark);
    };
  }

  /** To be called after every turn, and when the alarm fires. */
  look(state: RunState): void {
    this.#ended = state.endedAt;
    if (this.#mark === null || this.#due) return;
    const now = this.#now();
    this.#due = this.#facts >= MANY || now >= this.#since + LONG_MS || rests(state, now);
  }

  /** Whether something is to be told now. */
  get isDue(): boolean {
    return this.#mark !== null && this.#due && this.#retryAt <= this.#now();
  }

  /** When the alarm must look after it, or null. */
  get alarmAt(): number | null {
    if (this.#mark === null) return null;
    if (this.#tries > 0) return this.#retryAt;
    return this.#ended === null ? null : this.#ended + BACKSTOP_MS;
  }

  /** Tells what is due. A second call joins the first. */
  deliver(journal: JournalStore, head: RunHead): Promise<void> {
    if (!this.isDue) return this.#telling ?? Promise.resolve();
    this.#telling ??= this.#deliver(journal, head).finally(() => {
      this.#telling = null;
    });
    return this.#telling;
  }

  async #deliver(journal: JournalStore, head: RunHead): Promise<void> {
    const { state } = head;
    if (this.#sink === null || this.#mark === null || state === null) return;
    const upTo = head.seq;
    this.#newer = null;
    this.#facts = 0;
    try {
      for (let from = this.#mark.from; from <= upTo;) {
        const rows = journal.after(from - 1, ROWS);
        const last = rows.at(-1);
        if (last === undefined) break;
        const uses = usesOf(state.run, rows, from);
        for (let i = 0; i < uses.length; i += USES) await this.#sink.write(uses.slice(i, i + USES));
        from = last.seq + last.facts.length;
      }
    } catch (error) {
      this.#retryAt = this.#now() + Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#tries);
      this.#tries += 1;
      if (this.#tries === 1) this.#log.warn("uses_not_taken", { run: state.run.id, error });
      return;
    }
    this.#told();
  }

  /** S1: what came meanwhile, and perhaps was told already, is another batch. */
  #told(): void {
    this.#tries = 0;
    this.#retryAt = 0;
    this.#due = this.#ended !== null;
    this.#mark = this.#newer === null ? null : { from: this.#newer };
    if (this.#mark === null) forgetUses(this.#storage);
    else {
      this.#since = this.#now();
      this.#storage.kv.put(MARK_KEY, this.#mark);
    }
  }
}

/** The run as its driver knows it. */
export interface RunHead {
  readonly state: RunState | null;
  /** Number of the last fact. */
  readonly seq: number;
}

/** Of a run that is deleted. True: some were never told. */
export function forgetUses(storage: DurableObjectStorage): boolean {
  return markIn(storage) !== null && storage.kv.delete(MARK_KEY);
}

function markIn(storage: DurableObjectStorage): Mark | null {
  return storage.kv.get<Mark>(MARK_KEY) ?? null;
}

function rests(state: RunState, now: number): boolean {
  if (state.endedAt !== null || state.pausedSince !== null) return true;
  return statusOf(state) === "waiting" && (nextWake(state, now) ?? now) >= now + LONG_WAIT_MS;
}
