/**
 * Faults: which request shall be served badly, and how. Owns the list, the remaining counts and the seeded
 * dice. Does not own what a fault does to an answer (misbehave.ts).
 *
 * F1 rules are tried in order; the first that matches, has turns left and wins its dice is used up by one and served;
 * F2 only requests that would otherwise be served are offered to the rules: a wrong token or an unknown path uses none up;
 * F3 same seed, same rules, same order of arrivals: same faults.
 */

export type Fault =
  /** Answers with this status before anything happens, or, with `after`, once it has happened. */
  | {
      kind: "status";
      status: number;
      after?: boolean;
      /** `Retry-After` in seconds, or as an HTTP date that many seconds from now. */
      retryAfterSeconds?: number;
      retryAfterDateSeconds?: number;
    }
  /** It happens; the answer never comes, for as long as the client waits. */
  | { kind: "accept_then_timeout" }
  /** It happens; the connection is closed instead of an answer. */
  | { kind: "lost_answer" }
  /** Nothing happens; the connection is reset. */
  | { kind: "reset" }
  /** Works for `ms`, then it happens and is answered. It happens also if the client has gone meanwhile. */
  | { kind: "slow"; ms: number }
  /** It happens at once and is answered after `ms`. */
  | { kind: "late"; ms: number }
  /** It happens; the answer is 200 with no JSON, with JSON cut in half, or breaks off in the middle of the transfer. */
  | { kind: "garbage"; form?: "text" | "cut_json" | "cut_transfer" }
  /** It happens; the answer is 200 with a JSON document of `bytes`; with `gzip` compressed to about a thousandth. */
  | { kind: "huge"; bytes: number; gzip?: boolean }
  /** Nothing happens; the answer points elsewhere (`to` may be relative). */
  | { kind: "redirect"; to: string; status?: number };

export type FaultKind = Fault["kind"];

export interface FaultRule {
  /** Name or host of a service; without it any. */
  service?: string;
  method?: string;
  /** A path, a route (`/bookings/:id`), or a beginning with `*` at the end. */
  path?: string;
  /** Only requests with this reference or idempotency key; `*` at the end matches a beginning. */
  reference?: string;
  key?: string;
  /** Matching requests that are let through first. */
  skip?: number;
  /** How often the rule serves. Default: once, or without end if there is a probability. */
  times?: number;
  /** Chance of each matching request, 0 to 1. Default 1. */
  probability?: number;
  fault: Fault;
}

export interface FaultTarget {
  service: string;
  host: string;
  method: string;
  path: string;
  /** The path pattern of the route. */
  route: string;
  reference: string | null;
  key: string | null;
}

/** A rule as it stands now. */
export interface FaultStanding extends FaultRule {
  /** Turns left, null without end. */
  left: number | null;
  served: number;
}

interface Slot {
  rule: FaultRule;
  skip: number;
  left: number;
  served: number;
}

/** Rules in one list. */
export const MAX_FAULT_RULES = 1_000;

export class FaultBook {
  readonly #random: () => number;
  #slots: Slot[] = [];

  constructor(seed: number) {
    this.#random = dice(seed);
  }

  /** Replaces all rules. */
  set(rules: readonly FaultRule[]): void {
    this.#slots = [];
    this.add(rules);
  }

  /** Puts rules after those that are there. Throws if there are too many. */
  add(rules: readonly FaultRule[]): void {
    if (this.#slots.length + rules.length > MAX_FAULT_RULES)
      throw new RangeError(`at most ${MAX_FAULT_RULES} fault rules`);
    for (const rule of rules) {
      const endless = rule.probability === undefined ? 1 : Infinity;
      this.#slots.push({ rule, skip: rule.skip ?? 0, left: rule.times ?? endless, served: 0 });
    }
  }

  list(): FaultStanding[] {
    return this.#slots.map(({ rule, left, served }) => ({
      ...rule,
      left: left === Infinity ? null : left,
      served,
    }));
  }

  /** The fault of this request, if any (F1). */
  take(target: FaultTarget): Fault | null {
    for (const slot of this.#slots) {
      if (slot.left <= 0 || !matches(slot.rule, target)) continue;
      if (slot.skip > 0) {
        slot.skip -= 1;
        continue;
      }
      if (slot.rule.probability !== undefined && this.#random() >= slot.rule.probability) continue;
      slot.left -= 1;
      slot.served += 1;
      return slot.rule.fault;
    }
    return null;
  }
}

function matches(rule: FaultRule, target: FaultTarget): boolean {
  if (rule.service !== undefined && rule.service !== target.service && rule.service !== target.host)
    return false;
  if (rule.method !== undefined && rule.method !== target.method) return false;
  if (rule.path !== undefined && rule.path !== target.route && !like(rule.path, target.path)) return false;
  if (rule.reference !== undefined && !like(rule.reference, target.reference)) return false;
  return rule.key === undefined || like(rule.key, target.key);
}

function like(pattern: string, text: string | null): boolean {
  if (text === null) return false;
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

/** Mulberry32: small, fast, good enough for dice, and the same on every machine. */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
