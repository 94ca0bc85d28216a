/**
 * Tells somebody outside what the journal of a run says, in batches: an outbox whose messages are the facts themselves.
 *
 * Owns: the mark from which on facts are still to be told, when they are, and telling them. Does not own: what is told of a
 * fact, or what who listens makes of it (`Followed`).
 *
 * S1 the mark is written in the transaction of the first fact that is to be told, and goes when all from there on were
 *    told and nothing was left open: two rows for all that is told together, however much.
 * S2 who does not answer never slows a run. Nothing is dropped while the run is kept.
 * S3 told at least once, in order: ids come from the facts, so who listens takes none of them twice.
 * S4 no alarm is set for it while the run goes on: what a life that ends leaves is told by the next one. The end is told
 *    until it was taken, by the alarm that stands for the report of it.
 */

import type { Row } from "../driver/index.ts";
import { nextWake, statusOf, type Fact, type Json, type RunState } from "../kernel/index.ts";
import type { Logger } from "../platform/index.ts";
import type { JournalStore } from "./journal-store.ts";
import { BACKSTOP_MS, retryMs } from "./telling.ts";

/** So many facts are told together, or those of so long: whatever comes first. */
const MANY = 200;
const LONG_MS = 60_000;
/** A wait of at least so long is the end of a batch. */
const LONG_WAIT_MS = 10_000;
/** The longest wait before it is told again. */
const MOST_MS = 60 * 60_000;
/** Rows of the journal per reading. */
const ROWS = 100;

/** What is told, and to whom. */
export interface Followed {
  /** Names it in the storage of the run, and in the log. PERSISTED CONTRACT. */
  readonly name: (typeof NAMES)[number];
  /** Whether there is anything to tell of a fact. Pure. */
  tells(fact: Fact): boolean;
  /**
   * Tells what rows say from fact number `from` on. Resolves once that was taken, to what stays open: handed back with the next
   * rows, of this life or another; null: nothing. A rejection is tried again.
   */
  tell(state: RunState, rows: readonly Row[], from: number, open: Json): Promise<Json>;
}

/** PERSISTED CONTRACT. */
interface Mark {
  /** Number of the first fact that is to be told. */
  readonly from: number;
  readonly open?: Json;
}

export class Follower {
  readonly #storage: DurableObjectStorage;
  readonly #followed: Followed;
  readonly #now: () => number;
  readonly #log: Logger;
  #mark: Mark | null = null;
  /** Of this life: how many facts are to be told, since when, and whether some came while others were being told. */
  #facts = 0;
  #since = 0;
  #newer = false;
  #due = false;
  #ended: number | null = null;
  #retryAt = 0;
  #tries = 0;
  #telling: Promise<void> | null = null;

  constructor(storage: DurableObjectStorage, followed: Followed, now: () => number, log: Logger) {
    this.#storage = storage;
    this.#followed = followed;
    this.#now = now;
    this.#log = log;
  }

  /** When a life begins that is not the first: what earlier ones left is told at once (S4). */
  load(state: RunState): void {
    this.#mark = this.#storage.kv.get<Mark>(this.#followed.name) ?? null;
    this.#due = this.#mark !== null;
    this.#since = this.#now();
    this.#ended = state.endedAt;
  }

  /** What writes the mark for a row; null: nothing is to be written. S1: to be called in the transaction of the turn. */
  marks(row: Row): (() => void) | null {
    const followed = this.#followed;
    const telling = row.facts.filter((fact) => followed.tells(fact)).length;
    if (telling === 0) return null;
    if (this.#facts === 0) this.#since = row.at;
    this.#facts += telling;
    if (this.#telling !== null) this.#newer = true;
    if (this.#mark !== null) return null;
    const first = row.facts.findIndex((fact) => followed.tells(fact));
    const mark = { from: row.seq + first };
    this.#mark = mark;
    return () => {
      this.#storage.kv.put(followed.name, mark);
    };
  }

  /** To be called after every turn, and when the alarm fires. */
  look(state: RunState): void {
    this.#ended = state.endedAt;
    if (this.#mark === null || this.#due || this.#facts === 0) return;
    const now = this.#now();
    this.#due = this.#facts >= MANY || now >= this.#since + LONG_MS || rests(state, now);
  }

  /** Whether something is to be told now. */
  get isDue(): boolean {
    return this.#mark !== null && this.#due && this.#retryAt <= this.#now();
  }

  /** When the alarm must look after it, or null. */
  get alarmAt(): number | null {
    // S4
    if (this.#mark === null || this.#ended === null) return null;
    const at = this.#tries > 0 ? this.#retryAt : this.#ended + BACKSTOP_MS;
    const now = this.#now();
    // What stands in the past is under way: it is looked after in a while, and not at once again and again.
    return at > now ? at : now + BACKSTOP_MS;
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
    if (this.#mark === null || state === null) return;
    const upTo = head.seq;
    let { from, open = null } = this.#mark;
    this.#newer = false;
    this.#facts = 0;
    try {
      while (from <= upTo) {
        const rows = journal.after(from - 1, ROWS);
        const last = rows.at(-1);
        if (last === undefined) break;
        open = await this.#followed.tell(state, rows, from, open);
        from = last.seq + last.facts.length;
      }
    } catch (error) {
      const now = this.#now();
      // Lives may be short, and each begins to count anew: so at least as long as it was in vain already.
      const passed = this.#ended === null ? 0 : Math.min(MOST_MS, now - this.#ended);
      this.#retryAt = now + Math.max(retryMs(this.#tries), passed);
      this.#tries += 1;
      this.#keep({ from, ...(open === null ? {} : { open }) });
      if (this.#tries === 1) this.#log.warn(`${this.#followed.name}_not_taken`, { run: state.run.id, error });
      return;
    }
    this.#told(from, open);
  }

  /** S1: what came meanwhile, and perhaps was told already, is another batch. */
  #told(from: number, open: Json): void {
    this.#tries = 0;
    this.#retryAt = 0;
    this.#due = this.#newer && this.#ended !== null;
    if (open !== null) this.#keep({ from, open });
    else if (this.#newer) this.#keep({ from });
    else {
      this.#mark = null;
      this.#storage.kv.delete(this.#followed.name);
    }
  }

  /** What was told is not told again, also where the rest was not taken. */
  #keep(mark: Mark): void {
    if (this.#mark?.from === mark.from) return;
    this.#mark = mark;
    this.#storage.kv.put(this.#followed.name, mark);
  }
}

/** The run as its driver knows it. */
export interface RunHead {
  readonly state: RunState | null;
  /** Number of the last fact. */
  readonly seq: number;
}

/** Names of all that is followed. */
const NAMES = ["uses", "spans"] as const;

/** Of a run that is deleted. What of it was never told, by name. */
export function forgetFollowed(storage: DurableObjectStorage): readonly string[] {
  // Also to delete what is not there costs a row.
  return NAMES.filter((name) => storage.kv.get(name) !== undefined && storage.kv.delete(name));
}

function rests(state: RunState, now: number): boolean {
  if (state.endedAt !== null || state.pausedSince !== null) return true;
  return statusOf(state) === "waiting" && (nextWake(state, now) ?? now) >= now + LONG_WAIT_MS;
}
