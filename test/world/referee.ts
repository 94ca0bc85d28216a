/**
 * The referee knows what really happened, whatever anybody was told.
 * Owns the ledger, the deeds, the kept keys, the reports, and the file that the first three are folded from.
 * Does not own faults, tokens or HTTP.
 *
 * R1 what has happened changes only by folding a line, and the line is in the file first, so {@link Referee.reload} gives
 *    the same state; what is at work lives in memory only, and dies with a life;
 * R2 a request that was open when the world ended is `lost` when the world is read again;
 * R3 `life` is aborted by reset, reload and close: what an older life has begun must not change a newer one.
 */
import { Deeds, type Deed, type DeedFilter, type DeedTotals, type Duplicate } from "./deeds.ts";
import { now, type Answer } from "./http.ts";
import { Keys, KEY_TTL_MS, type Claim } from "./keys.ts";
import {
  Ledger,
  type Arrival,
  type Ending,
  type Entry,
  type LedgerPage,
  type LedgerTotals,
  type Note,
} from "./ledger.ts";
import { StateFile, type Line } from "./lines.ts";
import { Reports } from "./reports.ts";

/** Kept answers; beyond it the services answer 507. */
const MAX_KEPT_KEYS = 200_000;

export interface Counts extends LedgerTotals, DeedTotals {
  /** Requests at which a service still works, also when their client has gone: once 0, nothing more happens by itself. */
  atWork: number;
  /** The same deeds by service and kind: `{ "airline booking": { made, standing } }`. */
  kinds: Record<string, { made: number; standing: number }>;
}

export interface Happened {
  happened: boolean;
  /**
   * Requests with this reference or key at which a service still works, also when their client has gone.
   * While there are any, `happened` may still become true.
   */
  atWork: number;
  deeds: Deed[];
}

export class Referee {
  readonly reports = new Reports();
  #file: StateFile | null;
  readonly #keyTtlMs: number;
  readonly #watchers = new Set<() => void>();
  #ledger = new Ledger();
  #deeds = new Deeds();
  #keys = new Keys();
  #atWork = new Set<Pick<Arrival, "service" | "key" | "reference">>();
  #tokens: Record<string, string> = {};
  #life = new AbortController();
  #lastSeq = 0;
  #lastDeed = 0;

  /** Reads `stateFile` if it is given and exists. */
  constructor(options: { stateFile?: string; keyTtlMs?: number } = {}) {
    this.#file = options.stateFile === undefined ? null : new StateFile(options.stateFile);
    this.#keyTtlMs = options.keyTtlMs ?? KEY_TTL_MS;
    this.#readFile();
  }

  /** Aborted when the world forgets, restarts or ends. */
  get life(): AbortSignal {
    return this.#life.signal;
  }

  /** There is no room for another deed or key; reset the world. */
  get full(): boolean {
    return this.#deeds.full || this.#keys.size >= MAX_KEPT_KEYS;
  }

  /** Grows with every change of the ledger. */
  get revision(): number {
    return this.#ledger.rev;
  }

  // Questions.

  counts(): Counts {
    const kinds: Counts["kinds"] = {};
    for (const deed of this.#deeds.list()) {
      const kind = (kinds[`${deed.service} ${deed.kind}`] ??= { made: 0, standing: 0 });
      kind.made += 1;
      if (deed.undoneAt === null) kind.standing += 1;
    }
    return { ...this.#ledger.totals, ...this.#deeds.totals, atWork: this.#atWork.size, kinds };
  }

  /** Ledger entries that changed after revision `since` (0: all). */
  ledger(since = 0, limit?: number): LedgerPage {
    return this.#ledger.since(since, limit);
  }

  /** Requests received and not answered yet, for instance those in flight when the product is about to be killed. */
  open(): Entry[] {
    return this.#ledger.open().map((entry) => structuredClone(entry));
  }

  /** What happened, oldest first; `{ standing: true }` leaves out what was undone. */
  deeds(filter: DeedFilter = {}): Deed[] {
    return this.#deeds.list(filter).map((deed) => structuredClone(deed));
  }

  deed(service: string, id: string): Deed | undefined {
    return this.#deeds.get(service, id);
  }

  /** Effects that took place twice (deeds.ts, D2). */
  duplicates(): Duplicate[] {
    return this.#deeds.duplicates();
  }

  /** Did the effect with this reference or key happen? */
  happened(reference: string, service?: string): Happened {
    const deeds = this.deeds(service === undefined ? { reference } : { reference, service });
    const atWork = [...this.#atWork].filter(
      (work) =>
        (work.reference === reference || work.key === reference) &&
        (service === undefined || work.service === service),
    );
    return { happened: deeds.length > 0, atWork: atWork.length, deeds };
  }

  /** Waits until `check` holds; it is asked after every change. False when the time is up. */
  async until(check: () => boolean, timeoutMs: number): Promise<boolean> {
    if (check()) return true;
    return await new Promise<boolean>((resolve) => {
      const finish = (held: boolean): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve(held);
      };
      const look = (): void => {
        if (check()) finish(true);
      };
      const timer = setTimeout(finish, timeoutMs, false);
      this.#watchers.add(look);
    });
  }

  // What services report.

  arrive(arrival: Omit<Arrival, "seq" | "at">): number {
    const seq = this.#lastSeq + 1;
    this.#write({ t: "arrived", arrival: { seq, at: now(), ...arrival } });
    return seq;
  }

  /** Says that a service is at work on a request, until `end` is called or the world's life ends. */
  startWork(work: Pick<Arrival, "service" | "key" | "reference">): { end: () => void } {
    const atWork = this.#atWork;
    atWork.add(work);
    this.#wake();
    return {
      end: () => {
        atWork.delete(work);
        this.#wake();
      },
    };
  }

  note(seq: number, note: Note): void {
    this.#write({ t: "noted", seq, note });
  }

  end(seq: number, ending: Omit<Ending, "at">): void {
    this.#write({ t: "ended", seq, ending: { at: now(), ...ending } });
  }

  /** Makes it happen. */
  make(deed: Omit<Deed, "id" | "at" | "undoneAt">, prefix: string): Deed {
    const number = this.#lastDeed + 1;
    const made: Deed = { ...deed, id: `${prefix}_${number}`, at: now(), undoneAt: null };
    this.#write({ t: "made", number, deed: made });
    return made;
  }

  undo(seq: number, deed: Deed): void {
    this.#write({ t: "undone", service: deed.service, id: deed.id, seq, at: now() });
  }

  claimKey(scope: string, digest: string): Claim {
    return this.#keys.claim(scope, digest, now(), this.#keyTtlMs);
  }

  keepAnswer(scope: string, digest: string, answer: Answer): void {
    this.#write({ t: "kept", scope, digest, answer, at: now() });
  }

  // The state as a whole.

  /** The tokens of an earlier world that wrote the same file; `given` ones win and are written down. */
  tokens(given: Record<string, string>): Record<string, string> {
    const added = Object.entries(given).filter(([host, token]) => this.#tokens[host] !== token);
    if (added.length > 0) this.#writeHead(Object.fromEntries(added));
    return { ...this.#tokens };
  }

  /** All services forget their idempotency keys, as real ones do after a day. */
  forgetKeys(): void {
    this.#write({ t: "forgot" });
  }

  /** A new world: nothing has happened yet. Requests at work are cut off. Tokens and numbering stay. */
  reset(): void {
    this.#nextLife();
    this.#ledger = new Ledger(this.#ledger.rev);
    this.#deeds = new Deeds();
    this.#keys = new Keys();
    this.reports.clear();
    this.#file?.clear();
    this.#writeHead(this.#tokens);
  }

  /** The world crashes and comes back: memory is dropped and read again from the file. False if there is no file. */
  reload(): boolean {
    if (this.#file === null) return false;
    this.#nextLife();
    this.#ledger = new Ledger(this.#ledger.rev);
    this.#deeds = new Deeds();
    this.#keys = new Keys();
    this.#readFile();
    this.#wake();
    return true;
  }

  close(): void {
    this.#life.abort();
    this.reports.clear();
    this.#file?.close();
    this.#file = null;
  }

  #writeHead(tokens: Record<string, string>): void {
    this.#write({ t: "head", tokens, lastSeq: this.#lastSeq, lastDeed: this.#lastDeed });
  }

  #nextLife(): void {
    const old = this.#life;
    this.#life = new AbortController();
    this.#atWork = new Set();
    old.abort();
  }

  #readFile(): void {
    for (const line of this.#file?.read() ?? []) this.#fold(line);
    for (const { seq } of this.#ledger.open()) this.end(seq, { answer: "lost", status: null });
  }

  #write(line: Line): void {
    this.#file?.append(line);
    this.#fold(line);
    this.#wake();
  }

  #wake(): void {
    for (const look of this.#watchers) look();
  }

  #fold(line: Line): void {
    switch (line.t) {
      case "head":
        this.#tokens = { ...this.#tokens, ...line.tokens };
        this.#lastSeq = line.lastSeq;
        this.#lastDeed = line.lastDeed;
        return;
      case "arrived":
        this.#lastSeq = line.arrival.seq;
        return this.#ledger.arrived(line.arrival);
      case "noted":
        return this.#ledger.noted(line.seq, line.note);
      case "ended":
        return this.#ledger.ended(line.seq, line.ending);
      case "made":
        this.#lastDeed = line.number;
        this.#deeds.made(structuredClone(line.deed));
        return this.#ledger.made(line.deed.seq, line.deed.id);
      case "undone":
        this.#deeds.undone(line.service, line.id, line.at);
        return this.#ledger.undid(line.seq, line.id);
      case "kept":
        return this.#keys.kept(line.scope, { digest: line.digest, answer: line.answer, at: line.at });
      case "forgot":
        return this.#keys.forgot();
    }
  }
}
