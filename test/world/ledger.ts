/**
 * The ledger: one entry for every request that reached a service of the world.
 * Owns entries and their running totals. Does not own what happened (deeds.ts) or when to write (referee.ts).
 *
 * L1 entries are numbered by arrival (`seq`), from 1, never reused, also over a reset;
 * L2 every change of an entry gives it a new `rev`, so a reader that asks for "since rev" misses nothing;
 * L3 an open entry is never dropped; beyond the limit the longest unchanged ended one goes, its share of the totals stays.
 */
import type { FaultKind } from "./faults.ts";

/** Entries kept in memory. */
export const MAX_LEDGER_ENTRIES = 100_000;
/** Entries in one page of a query. */
export const MAX_PAGE_ENTRIES = 1_000;

/** What is known when a request has arrived. Secrets and bodies are not part of it. */
export interface Arrival {
  seq: number;
  /** Milliseconds since the epoch, with fractions. */
  at: number;
  service: string;
  method: string;
  /** Path and query as they came. */
  path: string;
  key: string | null;
  reference: string | null;
  /** SHA-256 of the body, hex; null when the body did not arrive whole. */
  digest: string | null;
  /** The caller's `X-Attempt` and `traceparent`, if it sent them. */
  attempt: string | null;
  traceparent: string | null;
}

/**
 * How a request ended. `delivered`: every byte of the answer was handed to a connection that stood.
 * `lost`: the connection was gone before that, by a fault or by the client.
 */
export interface Ending {
  at: number;
  answer: "delivered" | "lost";
  /** Status of the answer, null if none was begun. */
  status: number | null;
}

export type Note = { fault: FaultKind } | { absorbed: true };

export interface Entry extends Arrival {
  rev: number;
  answer: "open" | "delivered" | "lost";
  status: number | null;
  endedAt: number | null;
  /** The fault that hit this request. */
  fault: FaultKind | null;
  /** A stored answer was replayed: the request was a duplicate and did nothing. */
  absorbed: boolean;
  /** Ids of what this request made happen, and of what it undid. */
  made: string[];
  undid: string[];
}

export interface LedgerTotals {
  requests: number;
  open: number;
  delivered: number;
  lost: number;
  absorbed: number;
  faults: number;
}

export interface LedgerPage {
  /** Changed entries, oldest change first. */
  entries: Entry[];
  /** Pass it as `since` to read on. */
  next: number;
  /** There are more changed entries than fit in this page. */
  more: boolean;
}

export class Ledger {
  // Kept in order of `rev`: a changed entry is taken out and put in again at the end.
  readonly #entries = new Map<number, Entry>();
  readonly #open = new Map<number, Entry>();
  #rev: number;
  readonly totals: LedgerTotals = { requests: 0, open: 0, delivered: 0, lost: 0, absorbed: 0, faults: 0 };

  constructor(rev = 0) {
    this.#rev = rev;
  }

  get rev(): number {
    return this.#rev;
  }

  arrived(arrival: Arrival): void {
    const entry: Entry = {
      ...arrival,
      rev: 0,
      answer: "open",
      status: null,
      endedAt: null,
      fault: null,
      absorbed: false,
      made: [],
      undid: [],
    };
    this.#open.set(entry.seq, entry);
    this.totals.requests += 1;
    this.totals.open += 1;
    this.#touch(entry);
    if (this.#entries.size > MAX_LEDGER_ENTRIES) this.#dropOldest();
  }

  noted(seq: number, note: Note): void {
    this.#change(seq, (entry) => {
      if ("fault" in note) {
        entry.fault = note.fault;
        this.totals.faults += 1;
      } else {
        entry.absorbed = true;
        this.totals.absorbed += 1;
      }
    });
  }

  made(seq: number, id: string): void {
    this.#change(seq, (entry) => entry.made.push(id));
  }

  undid(seq: number, id: string): void {
    this.#change(seq, (entry) => entry.undid.push(id));
  }

  ended(seq: number, ending: Ending): void {
    this.#change(seq, (entry) => {
      if (entry.answer !== "open") return;
      entry.answer = ending.answer;
      entry.status = ending.status;
      entry.endedAt = ending.at;
      this.#open.delete(seq);
      this.totals.open -= 1;
      this.totals[ending.answer] += 1;
    });
  }

  /** Requests that have arrived and are not answered yet. */
  open(): Entry[] {
    return [...this.#open.values()];
  }

  entry(seq: number): Entry | undefined {
    return this.#entries.get(seq);
  }

  /** Entries that changed after revision `since`. A revision that is still to come is from another world: all are given. */
  since(since: number, limit = MAX_PAGE_ENTRIES): LedgerPage {
    const entries: Entry[] = [];
    const after = since > this.#rev ? 0 : since;
    let more = false;
    if (after < this.#rev) {
      for (const entry of this.#entries.values()) {
        if (entry.rev <= after) continue;
        more = entries.length === limit;
        if (more) break;
        entries.push(structuredClone(entry));
      }
    }
    return { entries, next: more ? (entries.at(-1)?.rev ?? after) : this.#rev, more };
  }

  #change(seq: number, change: (entry: Entry) => void): void {
    const entry = this.#entries.get(seq);
    if (entry === undefined) return;
    change(entry);
    this.#touch(entry);
  }

  #touch(entry: Entry): void {
    this.#rev += 1;
    entry.rev = this.#rev;
    this.#entries.delete(entry.seq);
    this.#entries.set(entry.seq, entry);
  }

  #dropOldest(): void {
    for (const [seq, entry] of this.#entries) {
      if (entry.answer === "open") continue;
      this.#entries.delete(seq);
      return;
    }
  }
}
