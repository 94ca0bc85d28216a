/**
 * The referee of the simulated outside: what really happened, whatever anybody was told.
 * It knows a unit by its reference, which is its idempotency key whether the request carries that as a key or not.
 */

import { keyOf, refOf, unitOf, type Effect, type RunState, type UnitRef } from "../../src/kernel/index.ts";
import type { Coverage } from "./coverage.ts";
import type { Findings } from "./verdict.ts";

export interface Landing {
  /** Reference of the step or item that is meant; the undoing and checking of it name the same. */
  readonly of: string;
  readonly role: "undo" | "verify" | undefined;
  readonly effect: Effect;
  /** Effect of the step that it is about. */
  readonly ofEffect: Effect;
  /** The key that the request carries, or null. */
  readonly key: string | null;
  readonly body: string;
  readonly at: number;
  /** How long this provider remembers keys. */
  readonly keyTtlMs: number;
}

export type Landed = "done" | "absorbed" | "taken back" | "nothing to do";

interface Deed {
  times: number;
  /** It was done and not undone. */
  standing: boolean;
  readonly at: number;
  /** The key under which it was done first: only that one is known to the provider. */
  readonly key: string | null;
}

export class Referee {
  readonly #findings: Findings;
  readonly #coverage: Coverage;
  readonly #deeds = new Map<string, Deed>();
  /** Times that something was taken back. A later request for it is refused: it comes after its own cancellation. */
  readonly #undone = new Map<string, Deed>();
  readonly #bodies = new Map<string, string>();
  /** Requests that have left and will do something when they land, by unit. */
  readonly #travelling = new Map<string, number>();

  constructor(findings: Findings, coverage: Coverage) {
    this.#findings = findings;
    this.#coverage = coverage;
  }

  /** A request has left that will land. Most do; what is `safe` does nothing then. */
  leaves(of: string, role: Landing["role"], effect: Effect): void {
    if (effect !== "safe") this.#travels(of, role, 1);
  }

  lands(landing: Landing): Landed {
    const { of, role, effect } = landing;
    if (landing.key !== null) this.#checkKey(landing, landing.key);
    if (effect === "safe") return "nothing to do";
    this.#travels(of, role, -1);
    return role === "undo" ? this.#undo(landing) : this.#do(landing);
  }

  #travels(of: string, role: Landing["role"], by: number): void {
    const name = `${role ?? ""} ${unitOfKey(of)}`;
    this.#travelling.set(name, (this.#travelling.get(name) ?? 0) + by);
  }

  #do(landing: Landing): Landed {
    if (this.#undone.has(unitOfKey(landing.of))) return "taken back";
    return this.#count(this.#deeds, landing.of, landing);
  }

  /** A child run has done what it was for; in which of its generations does not matter. */
  childDid(of: string, at: number): void {
    if (!this.#deeds.has(of)) this.#deeds.set(of, { times: 1, standing: true, at, key: of });
  }

  #undo(landing: Landing): Landed {
    const unit = unitOfKey(landing.of);
    // What is idempotent has no key: whatever its generation, it is the same thing in the world.
    const named = landing.ofEffect === "idempotent" ? thingOfKey : unitOfKey;
    for (const [of, deed] of this.#deeds) if (named(of) === named(unit)) deed.standing = false;
    return this.#count(this.#undone, unit, landing);
  }

  #count(deeds: Map<string, Deed>, name: string, landing: Landing): Landed {
    const deed = deeds.get(name);
    if (deed === undefined) {
      deeds.set(name, { times: 1, standing: true, at: landing.at, key: landing.key });
      return "done";
    }
    if (landing.effect === "idempotent") return "done";
    const known = landing.key !== null && (landing.key === deed.key || landing.role === "undo");
    if (known && landing.at <= deed.at + landing.keyTtlMs) {
      this.#coverage.fault("duplicate absorbed by its key");
      return "absorbed";
    }
    deed.times++;
    this.#findings.find(
      "duplicated",
      `${landing.role ?? "deed"} of ${landing.of} (${landing.effect}) happened ${deed.times} times`,
    );
    return "done";
  }

  /** One key, one payload, and nothing else ever has it (K6). */
  #checkKey(landing: Landing, key: string): void {
    const body = `${landing.of} ${landing.role ?? ""} ${landing.body}`;
    const earlier = this.#bodies.get(key);
    this.#findings.expect(earlier === undefined || earlier === body, `K6: two payloads under the key ${key}`);
    this.#bodies.set(key, body);
  }

  /** What a check, and a person who looks, sees now. */
  stands(unit: string): boolean {
    return [...this.#deeds].some(([of, deed]) => deed.standing && unitOfKey(of) === unitOfKey(unit));
  }

  /** In this generation of the unit or an earlier one. */
  everStands(unit: string): boolean {
    return [...this.#deeds].some(([of, deed]) => deed.standing && thingOfKey(of) === thingOfKey(unit));
  }

  happened(unit: string): boolean {
    return [...this.#deeds.keys()].some((of) => unitOfKey(of) === unitOfKey(unit));
  }

  /** Exactly this: the round and the generation, too. */
  happenedUnder(key: string): boolean {
    return this.#deeds.has(key);
  }

  /** In this generation of the unit or an earlier one. */
  everHappened(unit: string): boolean {
    return [...this.#deeds.keys()].some((of) => thingOfKey(of) === thingOfKey(unit));
  }

  wasUndone(unit: string): boolean {
    return this.#undone.has(unitOfKey(unit));
  }

  /** Units of which something stands. */
  standing(): string[] {
    return [...new Set([...this.#deeds].flatMap(([of, deed]) => (deed.standing ? [unitOfKey(of)] : [])))];
  }

  /** Whether an attempt of the unit has happened already, or is under way to. */
  mayHaveHappened(runId: string, ref: UnitRef, state: RunState): boolean {
    const unit = unitKey(runId, ref, state);
    const travels = (this.#travelling.get(`${ref.role ?? ""} ${unitOfKey(unit)}`) ?? 0) > 0;
    return travels || (ref.role === "undo" ? this.wasUndone(unit) : this.happened(unit));
  }
}

/** The reference of the unit that a step, item, undoing or checking is about, in its current generation. */
export function unitKey(runId: string, ref: UnitRef, state: RunState): string {
  const owner = unitOf(state, refOf(ref.step, ref.item));
  return keyOf(runId, refOf(ref.step, ref.item), { gen: owner?.gen ?? 0, iteration: 0 });
}

/** Without the round: all rounds of a `repeat` are one unit, and are undone together. */
function unitOfKey(key: string): string {
  return key.replace(/\.r\d+/, "");
}

/** Without the generation, too. */
export function thingOfKey(key: string): string {
  return unitOfKey(key).replace(/\.g\d+$/, "");
}
