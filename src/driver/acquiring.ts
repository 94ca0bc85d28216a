/**
 * Credentials that this life has asked for, for units that are due and have not begun.
 *
 * Owns: who asks for which unit, and the answer until it is used. Nothing of it is journaled.
 * Does not own: what an answer leads to (`turn.ts`), how credentials are had (the port).
 *
 * Q1 nothing of the unit has begun: that an answer, or the life that waits for it, is lost costs time and nothing else.
 * Q2 every asking ends within `ACQUIRE_MS`, answered or not.
 * Q3 an answer is for one attempt of one generation with one payload; where that is not due any more it is dropped.
 * Q4 what is told of a connection while an answer is on its way makes that answer old news, if it is that one lacks it.
 */

import { unitName, type Need, type UnitRef } from "../kernel/index.ts";
import { WATCHDOG_MS } from "./alarm.ts";
import type { Acquired, ClockPort } from "./ports.ts";

/** By then whoever was asked has answered, or is taken as not to be had just now. */
const ACQUIRE_MS = 60_000;
/** An answer that could not be used at once is asked for again after this: what it lends may be old. */
const FRESH_MS = 60_000;

/** Nobody answered, so nobody said what for: any change of a connection makes the unit look again, and so does time. */
const UNANSWERED: Need = {
  kind: "connection",
  integration: "",
  reason: "unavailable",
  limitMs: 60 * 60_000,
  recheckMs: 1_000,
  detail: "Whoever keeps the credential did not answer.",
};

export interface Asked {
  readonly unit: UnitRef;
  readonly attempt: number;
  readonly generation: number;
  readonly digest: string;
}

export interface Asking extends Asked {
  /** By when it is over (Q2). */
  readonly until: number;
  /** When somebody looks after it first: no later than the alarm would stand for the attempt, which then costs no row. */
  readonly watchAt: number;
  answer: { readonly acquired: Exclude<Acquired, { readonly kind: "hop" }>; readonly at: number } | null;
  /** It met a limit of the platform's event: to be asked again in the next one. */
  hopping: boolean;
  /** Something was told of a connection since it was asked (Q4). */
  changed: boolean;
}

export class Acquiring {
  readonly #clock: ClockPort;
  readonly #askings = new Map<string, Asking>();
  readonly #timers = new Set<() => void>();

  constructor(clock: ClockPort) {
    this.#clock = clock;
  }

  /** Each holds a slot, until its answer is used. */
  get size(): number {
    return this.#askings.size;
  }

  has(asked: Asked): boolean {
    return this.#askings.has(nameOf(asked));
  }

  /** Whether some attempt of the unit is asked about, whatever for: it is not idle. */
  hasUnit({ unit, attempt, generation }: Omit<Asked, "digest">): boolean {
    const name = unitName(unit);
    for (const asking of this.#askings.values())
      if (asking.attempt === attempt && asking.generation === generation && unitName(asking.unit) === name)
        return true;
    return false;
  }

  /** Whether some wait for the next event of the platform. */
  get hopping(): boolean {
    return [...this.#askings.values()].some(({ hopping }) => hopping);
  }

  /** When to look after the first of them, or Infinity: a life that dies meanwhile leaves work that nobody does (Q1). */
  lookAt(now: number): number {
    let at = Infinity;
    for (const { watchAt, until } of this.#askings.values())
      at = Math.min(at, watchAt > now ? watchAt : until + WATCHDOG_MS);
    return at;
  }

  /** @returns what is asked, and its answer, which never fails (Q2) */
  ask(
    asked: Asked,
    timeoutMs: number,
    promise: Promise<Acquired>,
  ): { readonly asking: Asking; readonly answer: Promise<Acquired> } {
    const now = this.#clock.now();
    const until = now + ACQUIRE_MS;
    const watchAt = now + Math.min(ACQUIRE_MS, timeoutMs);
    const asking: Asking = { ...asked, until, watchAt, answer: null, hopping: false, changed: false };
    this.#askings.set(nameOf(asking), asking);
    let stop = (): void => {};
    const silence = new Promise<Acquired>((resolve) => {
      stop = this.#clock.after(ACQUIRE_MS, () => {
        resolve({ kind: "needs", need: UNANSWERED });
      });
    });
    this.#timers.add(stop);
    const heard = promise.catch((): Acquired => ({ kind: "needs", need: UNANSWERED }));
    const answer = Promise.race([heard, silence]).then((acquired) => {
      stop();
      this.#timers.delete(stop);
      return acquired;
    });
    return { asking, answer };
  }

  /** Those that were answered and not used, the oldest first; what has grown old is forgotten. */
  answered(now: number): Asking[] {
    const all = [...this.#askings.values()].filter(({ answer }) => answer !== null);
    const old = all.filter(({ answer }) => answer !== null && now - answer.at > FRESH_MS);
    for (const asking of old) this.remove(asking);
    return all.filter((asking) => !old.includes(asking));
  }

  remove(asking: Asking): void {
    this.#askings.delete(nameOf(asking));
  }

  /** Q4 */
  changed(): void {
    for (const asking of this.#askings.values()) asking.changed = true;
  }

  /** A fresh event: what met a limit of the last one is asked again. */
  freshEvent(): void {
    for (const asking of this.#askings.values()) if (asking.hopping) this.remove(asking);
  }

  /** The life ends. */
  stop(): void {
    for (const stop of this.#timers) stop();
    this.#timers.clear();
    this.#askings.clear();
  }
}

function nameOf({ unit, attempt, generation, digest }: Asked): string {
  return `${generation} ${unitName(unit)}#${attempt} ${digest}`;
}
